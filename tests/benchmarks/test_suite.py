"""The benchmarks: their names, the shape of what they give, and the arithmetic of their ratios. No time is judged."""

import json
import os
from functools import partial

import av
import numpy as np
import pytest

from benchmarks import suite
from benchmarks.child import peak_bytes
from benchmarks.classifier import run_classifier
from benchmarks.clips import KEY_EVERY, RATE_HZ, Clip, recording
from benchmarks.decoding import run_decode
from benchmarks.novelty import run_novelty
from benchmarks.passes import run_fan_in, run_pass
from benchmarks.retrieval import run_retrieval
from benchmarks.search import run_search
from benchmarks.timing import Report, cores, ratio_of, take_turns
from benchmarks.workbench import APPEARANCE, FreshSites, make_site
from footage.probe import content_hash, probe
from infra.errors import UnknownNameError

TINY = Clip(160, 96, 6)
QUIET = Report(quiet=True)


def test_every_benchmark_of_the_documentation_is_there() -> None:
    told = {
        "decode",
        "pass",
        "network",
        "fan-in",
        "peer",
        "scale",
        "idle",
        "search",
        "retrieval",
        "novelty",
        "classifier",
        "summary",
    }
    assert set(suite.BENCHMARKS) == told


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r'benchmark "fanin" — did you mean "fan-in"\?') as raised:
        suite.run_benchmarks("fanin", quiet=True)
    assert set(raised.value.known) == {*suite.BENCHMARKS, "all"}


def test_a_result_has_its_name_and_ratios_with_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(suite.BENCHMARKS, "pass", partial(run_pass, clips=(TINY,), rounds=1))

    results = suite.run_benchmarks("pass", quiet=True)

    assert json.loads(json.dumps(results)) == results
    assert [result["bench"] for result in results] == ["pass"]
    assert {frozenset(ratio) for ratio in results[0]["ratios"]} == {frozenset({"name", "value", "target"})}
    assert all(ratio["value"] > 0 and ratio["target"] == ">= 0.8" for ratio in results[0]["ratios"])


def test_all_runs_each_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in suite.BENCHMARKS:
        monkeypatch.setitem(suite.BENCHMARKS, name, lambda _: [])
    assert [result["bench"] for result in suite.run_benchmarks("all", quiet=True)] == list(suite.BENCHMARKS)


def test_progress_goes_to_stderr_unless_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    run_decode(Report(quiet=False), TINY, rounds=1)
    told = capfd.readouterr()
    assert told.out == ""
    assert "every picture, 180 pictures" in told.err
    run_decode(QUIET, TINY, rounds=1)
    assert capfd.readouterr() == ("", "")


def test_the_networks_of_a_fan_in_are_all_in_its_one_pass() -> None:
    (ratio,) = run_fan_in(QUIET, TINY, encoders=(APPEARANCE,), rounds=1)
    assert "4 regions × 1 encoders" in ratio.name
    assert ratio.value > 0


def test_a_search_finds_what_faiss_does_with_and_without_a_filter() -> None:
    ratios = run_search(QUIET, rows=8000, dimension=16, rounds=1)
    assert [ratio.target for ratio in ratios] == ["<= 1"] * 3
    assert all(ratio.value > 0 for ratio in ratios)
    assert all("(800 rows)" in ratio.name for ratio in ratios[1:])


def test_a_retrieval_head_scores_what_scikit_learn_does() -> None:
    ratios = run_retrieval(QUIET, labels=32, frames=500, dimension=16, rounds=1)
    assert [ratio.target for ratio in ratios] == [">= 8", "<= 1", "<= 1"]
    assert all(ratio.value > 0 for ratio in ratios)
    assert ratios[2].value <= 1  # the difference of the scores, not a time


def test_a_novelty_head_scores_what_scikit_learn_does() -> None:
    ratios = run_novelty(QUIET, rows=300, dimension=16, rounds=1)
    assert [ratio.target for ratio in ratios] == ["<= 0.5", "<= 1", "<= 1"] * 2
    assert ratios[0].value > 0 and ratios[3].value > 0
    assert all(ratio.value <= 1 for ratio in (*ratios[1:3], *ratios[4:]))  # differences of the scores, not times


def test_a_recording_has_the_pictures_a_camera_would_write() -> None:
    index = probe(recording(TINY)).index
    assert len(index) == TINY.seconds * RATE_HZ
    assert set(np.diff(index.keys)) == {KEY_EVERY}
    with av.open(str(recording(TINY))) as container:
        assert container.streams.video[0].codec_context.has_b_frames


def test_a_clip_ends_where_a_group_of_pictures_does() -> None:
    with pytest.raises(ValueError, match="multiple of 2 s, got 5"):
        Clip(160, 96, 5)


def test_recordings_of_other_numbers_are_other_files_with_the_same_pictures() -> None:
    first, second = recording(TINY, 0), recording(TINY, 1)
    assert content_hash(first) != content_hash(second)
    assert np.array_equal(probe(first).index.pts, probe(second).index.pts)


def test_a_fresh_site_embeds_the_same_each_time() -> None:
    site = FreshSites(make_site([recording(TINY)], [APPEARANCE]))
    rows = [site.embed(1) for _ in range(2)]
    assert rows == [2 * TINY.seconds] * 2  # statistics and vectors, one picture a second each


def test_runs_take_turns_and_the_order_turns_round() -> None:
    order: list[str] = []
    times = take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, QUIET)
    assert "".join(order) == "abbaab"
    assert {name: len(taken) for name, taken in times.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_the_median_of_the_rounds_not_the_ratio_of_sums() -> None:
    times = {"whole": [3.0, 40.0, 5.0], "one": [1.0, 5.0, 1.0], "other": [1.0, 5.0, 1.0]}
    assert ratio_of(times, "whole", "one", "other") == 2.5


def test_cores_are_held_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with cores(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_peak_memory_is_this_process_s_and_never_falls() -> None:
    before = peak_bytes()
    block = np.ones(100_000_000, np.uint8)
    raised = peak_bytes()
    del block
    assert raised >= 100_000_000
    assert min(raised, peak_bytes()) >= 0.99 * max(raised, before)  # the system counts pages in lots


def test_what_an_alarm_costs_is_told_of_encoder_head_and_training() -> None:
    ratios = run_classifier(QUIET, TINY, snippets=1, epochs=1, rounds=1)
    assert [ratio.target for ratio in ratios] == ["<= 2", "<= 0.05", "<= 2"]
    assert all(ratio.value > 0 for ratio in ratios)
    assert "handcrafted/action" in ratios[0].name and "MLPClassifier" in ratios[2].name
