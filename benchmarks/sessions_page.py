"""What came of twenty people beside a night, as a page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.sessions_client import PageRun


@dataclass(frozen=True)
class Phase:
    """Runs of pages, and the processor time that the server used for them."""

    runs: Sequence[PageRun]
    cpu_s: float

    @property
    def each_s(self) -> float:
        """Processor time for a run."""
        return self.cpu_s / max(1, len(self.runs))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was measured.

    Attributes:
        people, think_s: how many looked, and how long at a page on average.
        first: runs of pages on a server that had just started, of one person.
        quiet, busy: runs of pages without and beside a night.
        alone_s, beside_s: seconds that the night took without and beside people.
        checked: what the checker tells: looks, states, wrong.
        rows: rows and files that the night's workspace holds.
        wrong: where they differ from those of a night alone.
        traces: exceptions in the server's log.
    """

    people: int
    think_s: float
    first: Sequence[PageRun]
    quiet: Phase
    busy: Phase
    alone_s: float
    beside_s: float
    checked: Mapping[str, Any]
    rows: int
    wrong: tuple[str, ...]
    traces: int

    @property
    def errors(self) -> Counter[str]:
        """What went wrong on pages, with how often."""
        return Counter(
            f"{run.page}, {run.kind}: {error}"
            for run in (*self.first, *self.quiet.runs, *self.busy.runs)
            for error in run.errors
        )

    @property
    def is_right(self) -> bool:
        return not (self.errors or self.checked["wrong"] or self.wrong or self.traces)


def page(outcome: Outcome, command: str, load: Sequence[float]) -> str:
    """The results page."""
    lines = [
        f"# {outcome.people} people at the dashboards while a night writes",
        "",
        f"Printed by `{command}`.",
        "",
        *_told(outcome, load),
        "",
        "| page | runs without a night | p50 | p95 | longest | runs beside a night | p50 | p95 | longest |",
        "|---|---|---|---|---|---|---|---|---|",
        *_table(outcome),
        "",
        "Seconds from the click until the server said that the page's run had ended, all kinds of runs together: opened from a "
        "link, run again, with another choice in one of its fields, and by themselves where a page asks for it.",
        "",
        "| first visit after the server's start | seconds |",
        "|---|---|",
        *(f"| {run.page} | {run.seconds:.2f} |" for run in outcome.first),
    ]
    if not outcome.is_right:
        lines += ["", "What went wrong:", "", *(f"- {what} ({times} times)" for what, times in outcome.errors.items())]
        lines += [f"- {what}" for what in (*outcome.checked["wrong"], *outcome.wrong)]
    return "\n".join(lines) + "\n"


def _told(outcome: Outcome, load: Sequence[float]) -> list[str]:
    """The figures in words."""
    runs = len(outcome.first) + len(outcome.quiet.runs) + len(outcome.busy.runs)
    same = "the same" if not outcome.wrong else "not the same"
    return [
        f"- {runs} runs of pages, of which {sum(outcome.errors.values())} showed an error or an exception, or a picture or film that "
        f"could not be fetched; {outcome.traces} exceptions in the server's log.",
        f"- The night took {outcome.alone_s:.0f} s alone and {outcome.beside_s:.0f} s beside {outcome.people} people: "
        f"{outcome.beside_s / outcome.alone_s:.2f} times as long. Its {outcome.rows} rows and files were {same} in the end.",
        f"- A process beside them took {outcome.checked['looks']} snapshots of the lake during that night, in "
        f"{outcome.checked['states']} different states; {len(outcome.checked['wrong'])} rules were broken.",
        f"- A run of a page took {outcome.quiet.each_s:.2f} s of the server's processor time without the night, and "
        f"{outcome.busy.each_s:.2f} s beside it; the rest of the times below is waiting.",
        f"- Everybody looked {outcome.think_s:g} s at a page on average before the next click. The tabs speak the dashboards' own "
        f"protocol and draw nothing. One machine did all of it, with a load of {load[0]:.1f} over its last minute.",
    ]


def _table(outcome: Outcome) -> list[str]:
    names = list(dict.fromkeys(run.page for run in outcome.first))
    rows = []
    for name in (*names, "all"):
        cells = [
            _cells([run for run in runs if name in (run.page, "all")])
            for runs in (outcome.quiet.runs, outcome.busy.runs)
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _cells(runs: Sequence[PageRun]) -> str:
    if not runs:
        return "0 | – | – | –"
    seconds = np.array([run.seconds for run in runs])
    half, most = np.quantile(seconds, [0.5, 0.95])
    return f"{len(runs)} | {half:.2f} | {most:.2f} | {seconds.max():.2f}"
