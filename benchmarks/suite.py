"""The benchmarks by name: `afterwatch bench NAME`.

Each makes its own footage, compares things that take turns in one run and gives ratios, never times: on a machine that
others use too, a ratio of neighbours holds where a time does not.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.classifier import run_classifier
from benchmarks.decoding import run_decode
from benchmarks.idle import run_idle
from benchmarks.novelty import run_novelty
from benchmarks.passes import run_fan_in, run_network, run_pass
from benchmarks.peer import run_peer
from benchmarks.retrieval import run_retrieval
from benchmarks.scale import run_scale
from benchmarks.search import run_search
from benchmarks.summary import run_summary
from benchmarks.timing import Ratio, Report
from infra.errors import UnknownNameError

Benchmark = Callable[[Report], list[Ratio]]

BENCHMARKS: dict[str, Benchmark] = {
    "decode": run_decode,
    "pass": run_pass,
    "network": run_network,
    "fan-in": run_fan_in,
    "peer": run_peer,
    "scale": run_scale,
    "idle": run_idle,
    "search": run_search,
    "retrieval": run_retrieval,
    "novelty": run_novelty,
    "classifier": run_classifier,
    "summary": run_summary,
}
ALL = "all"


def run_benchmarks(name: str, quiet: bool = False) -> list[dict[str, Any]]:
    """Run one benchmark, or `all`.

    Args:
        name: one of `BENCHMARKS`, or `all`.
        quiet: tell nothing on stderr meanwhile.

    Returns:
        For each benchmark `{"bench": name, "ratios": [{"name", "value", "target"}]}`.

    Raises:
        UnknownNameError: there is no such benchmark.
    """
    if name not in (*BENCHMARKS, ALL):
        raise UnknownNameError("benchmark", name, (*BENCHMARKS, ALL))
    report = Report(quiet)
    chosen = BENCHMARKS if name == ALL else {name: BENCHMARKS[name]}
    return [{"bench": key, "ratios": [ratio.as_json() for ratio in run(report)]} for key, run in chosen.items()]
