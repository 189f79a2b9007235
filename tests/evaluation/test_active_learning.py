"""Active learning with known truth: who is asked about what, what is tested on, and what the tables make of it."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import active_choice
from evaluation.active_choice import STRATEGIES, Rows, Strategy, choose, first_labels
from evaluation.active_figures import labels_figure
from evaluation.active_tables import nights_csv, reached, results, to_csv, to_json, to_markdown, values
from evaluation.datasets.base import LabelledData
from evaluation.datasets.read import read_data
from evaluation.embedding import Embedded
from evaluation.leakage import Slice
from evaluation.protocols.active_learning import (
    ActiveReport,
    ActiveSettings,
    Night,
    Part,
    Run,
    Sizes,
    part_videos,
    run_active_learning,
    simulate,
)
from evaluation.samples import EmbeddedSlice
from infra.errors import ConfigurationError
from models.encoders.build import build
from models.encoders.specs import describe
from models.heads.neighbours import unit_length
from models.heads.retrieval import fit_retrieval
from tests.evaluation.conftest import VideoMaker

SMALL = ActiveSettings(budget=6, most=24, start=2, seeds=3)


def rows_of(vectors: np.ndarray, relevant: np.ndarray, step_s: float = 10.0) -> Rows:
    """Rows `step_s` apart that last a second each, so that each is a slice of its own."""
    from_us = (np.arange(len(vectors)) * step_s * 1e6).astype(np.int64)
    return Rows(unit_length(vectors.astype(np.float32)), from_us, from_us + 1_000_000, relevant)


def made_up(seed: int, count: int = 80) -> Rows:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 8))
    relevant = vectors[:, 0] > 0.5
    vectors[:, 0] += relevant
    return rows_of(vectors, relevant)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_labels_add_up_by_night_to_the_most(strategy: Strategy) -> None:
    nights = simulate(made_up(0), made_up(1), strategy, SMALL, seed=4)
    assert SMALL.labels == (4, 10, 16, 22, 24)
    assert [night.labels for night in nights] == list(SMALL.labels)
    assert nights[0].relevant == 2 and nights[-1].frame_auc > 0.7


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_empty_pool_ends_it(strategy: Strategy) -> None:
    nights = simulate(made_up(0, 15), made_up(1), strategy, replace(SMALL, most=200), seed=0)
    assert nights[-1].labels <= 15 and len(nights) <= 4
    assert nights[-1].labels == 15 or strategy != "random"


def test_all_begin_with_the_same_labels_of_either_class() -> None:
    pool = made_up(0)
    chosen = first_labels(pool, 2, seed=3)
    assert pool.relevant[chosen].tolist() == [True, True, False, False]
    assert first_labels(pool, 2, seed=3) == chosen != first_labels(pool, 2, seed=5)
    first = {strategy: simulate(pool, made_up(1), strategy, SMALL, 3)[0] for strategy in STRATEGIES}
    assert len(set(first.values())) == 1


def test_too_few_of_a_class_to_begin_with_are_refused() -> None:
    pool = made_up(0)
    one = replace(pool, relevant=np.arange(len(pool)) == 7)
    with pytest.raises(ConfigurationError, match="1 moments apart that are relevant, and begins with 2"):
        first_labels(one, 2, seed=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), strategy=st.sampled_from(STRATEGIES), step_s=st.sampled_from([0.2, 0.5, 2.0]))
def test_nothing_is_asked_twice(seed: int, strategy: Strategy, step_s: float) -> None:
    random = np.random.default_rng(seed)
    pool = rows_of(random.normal(size=(60, 6)), random.random(60) < 0.4, step_s)
    labelled = first_labels(pool, 1, seed)
    head = fit_retrieval(SMALL.retrieval, pool.vectors[labelled], pool.relevant[labelled], np.zeros(2, np.int64)).head
    more = choose(strategy, head, pool, labelled, 7, 0.5, seed)
    assert len(more) <= 7 and more == choose(strategy, head, pool, labelled, 7, 0.5, seed)
    every = [*labelled, *more]
    for place, row in enumerate(every):
        assert not pool.said_of(every[:place])[row]


def test_doubt_alone_asks_the_nearest_to_the_boundary() -> None:
    pool = made_up(2)
    labelled = first_labels(pool, 4, 0)
    head = fit_retrieval(SMALL.retrieval, pool.vectors[labelled], pool.relevant[labelled], np.zeros(8, np.int64)).head
    left = np.setdiff1d(np.arange(len(pool)), labelled)
    nearest = left[np.argsort(np.abs(head.score(pool.vectors[left])))[:5]]
    assert choose("uncertain", head, pool, labelled, 5, 0.5, 0) == nearest.tolist()


def test_the_queue_finds_what_is_rare_and_chance_does_not() -> None:
    """Normal ones of one sort, two sorts of relevant ones, of which one is so rare that no first label is of it."""
    random = np.random.default_rng(0)
    sorts = np.repeat([0, 1, 2], [400, 20, 3])
    centres = np.eye(3, 16)[sorts]
    vectors = centres + 0.02 * random.normal(size=(len(sorts), 16))
    order = random.permutation(len(sorts))
    pool = rows_of(vectors[order], sorts[order] > 0)
    rare = np.flatnonzero(sorts[order] == 2)
    labelled = first_labels(pool, 2, 0)
    assert not set(labelled) & set(rare)
    head = fit_retrieval(SMALL.retrieval, pool.vectors[labelled], pool.relevant[labelled], np.zeros(4, np.int64)).head
    assert set(choose("queue", head, pool, labelled, 6, 0.5, 0)) & set(rare)
    assert not set(choose("random", head, pool, labelled, 6, 0.5, 0)) & set(rare)


def test_the_test_part_decides_nothing() -> None:
    pool, one, other = made_up(0), made_up(1), made_up(9)
    for strategy in STRATEGIES:
        asked = [[night.relevant for night in simulate(pool, test, strategy, SMALL, 1)] for test in (one, other)]
        assert asked[0] == asked[1]


def test_spans_are_those_of_snippets_and_videos_lie_apart(labelled_video: VideoMaker) -> None:
    videos = [labelled_video("a", 20, starts_s=100.0, relevant=((5, 9),)), labelled_video("b", 10)]
    embedded = [Embedded(np.arange(len(one.index)), np.ones((len(one.index), 2), np.float32)) for one in videos]
    slices = [EmbeddedSlice.of(Slice.whole(one), rows, 10.0) for one, rows in zip(videos, embedded, strict=True)]
    frames, snippets = Rows.of(slices, 0.0), Rows.of(slices, 1.0)
    assert np.flatnonzero(frames.relevant).tolist() == [5, 6, 7, 8]
    assert (frames.to_us - frames.from_us == 100_000).all() and (snippets.to_us - snippets.from_us == 1_000_000).all()
    assert snippets.from_us[20] - snippets.to_us[19] >= 60_000_000
    assert frames.said_of([5]).sum() == 1 and snippets.said_of([10]).sum() == 19  # less than a second apart


def data_of(labelled_video: VideoMaker, groups: str, relevant: str, train: int = 0) -> LabelledData:
    """A video of each letter of `groups`; those of `relevant` groups have something relevant."""
    videos = tuple(
        labelled_video(f"{place}{group}", group=group, relevant=((0, 9),) if group in relevant else ())
        for place, group in enumerate(groups)
    )
    normal = tuple(labelled_video(f"train{place}") for place in range(train))
    return LabelledData("made", "made up", "a visit", videos, {"hall": ()}, train=normal)


@settings(max_examples=25, deadline=None)
@given(groups=st.text("abcdefgh", min_size=1, max_size=20), seed=st.integers(0, 1000))
def test_groups_are_never_parted(labelled_video: VideoMaker, groups: str, seed: int) -> None:
    data = data_of(labelled_video, groups, "abcd", train=2)
    with_some = set(groups) & set("abcd")
    if len(with_some) < 2:
        with pytest.raises(ConfigurationError, match="label more"):
            part_videos(data, seed)
        return
    pool, test = part_videos(data, seed)
    assert sorted(one.video_id for one in (*pool, *test)) == sorted(one.video_id for one in (*data.train, *data.videos))
    assert not {one.group for one in pool} & {one.group for one in test} and pool[:2] == data.train
    assert len({one.group for one in test} & with_some) == len(with_some) // 2
    assert part_videos(data, seed) == (pool, test)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def report(clips: Path, cache: Path) -> ActiveReport:
    return run_active_learning(read_data(clips), [build(describe("handcrafted/appearance"))], SMALL, cache=cache)


def test_labels_find_a_square(report: ActiveReport) -> None:
    for strategy in STRATEGIES:
        auc = values(report, "handcrafted/appearance", strategy, "frame_auc")
        assert auc.shape == (3, 5) and auc[:, -1].min() > 0.9
    for part in report.parts:
        assert len(part.pool) == len(part.test) == 3 and not set(part.pool) & set(part.test)
        sizes = part.sizes["handcrafted/appearance"]
        assert sizes.rows == sizes.tested == 3 * 60 and 0 < sizes.slices <= 180 and sizes.relevant == 60
    assert len({part.test for part in report.parts}) > 1


def test_the_same_again(clips: Path, cache: Path, report: ActiveReport) -> None:
    again = run_active_learning(read_data(clips), [build(describe("handcrafted/appearance"))], SMALL, cache=cache)
    assert nights_csv(again) == nights_csv(report) and labels_figure(again) == labels_figure(report)


def test_parts_that_share_a_recording_are_refused(clips: Path) -> None:
    data = read_data(clips)
    videos = tuple(replace(one, content="the same") for one in data.videos)
    with pytest.raises(ConfigurationError, match="leaks"):
        run_active_learning(replace(data, videos=videos), [build(describe("handcrafted/appearance"))], SMALL)


CURVES: dict[Strategy, list[list[float]]] = {
    "queue": [[0.5, 0.9, 0.9], [0.5, 0.7]],
    "uncertain": [[0.5, 0.6, 0.6], [0.5, 0.6, 0.7]],
    "random": [[0.5, 0.6, 0.8], [0.5, 0.5, 0.7]],
}


@pytest.fixture
def told(labelled_video: VideoMaker) -> ActiveReport:
    """A report in which strategies have the AUCs of `CURVES`."""
    count = 2
    runs = tuple(
        Run(
            "e",
            strategy,
            seed,
            tuple(Night(n, n // 2, auc, auc, 0.5, math.nan) for n, auc in zip((4, 24, 44), of, strict=False)),
        )
        for strategy, seeds in CURVES.items()
        for seed, of in enumerate(seeds)
    )
    part = Part(("a",), ("b",), {"e": Sizes(100, 20, 50, 80, 40)})
    data = LabelledData("made", "made up", "a visit", (labelled_video(),), {"hall": ()})
    settings_then = ActiveSettings(budget=20, most=44, start=2, seeds=count)
    return ActiveReport(data, settings_then, ("e",), (part,) * count, runs)


def test_labels_to_what_chance_reaches(told: ActiveReport) -> None:
    target = reached(told, "e")
    assert target.auc == pytest.approx(0.75) and target.of == 44
    assert target.labels["queue"] == 24 and target.labels["random"] == 44 and math.isnan(target.labels["uncertain"])


def test_differences_from_chance_are_seed_by_seed(told: ActiveReport) -> None:
    held = {(one.name, one.metric): one for one in results(told)}
    above = held["queue e at 24", "frame_auc_above_random"]
    assert above.value == pytest.approx(0.25) and above.high - above.value == pytest.approx(np.std([0.3, 0.2], ddof=1))
    # The second seed had nothing left to ask: its head stays.
    assert held["queue e at 44", "labels"].value == 34
    assert held["queue e at 44", "frame_auc_above_random"].value == pytest.approx(0.05)
    assert held["queue e", "frame_auc_all_nights"].value == pytest.approx((2.3 / 3 + 1.9 / 3) / 2)
    assert ("random e at 24", "frame_auc_above_random") not in held
    assert math.isnan(held["random e at 24", "precision"].value) and held["random e at 24", "precision"].n == 0
    text = to_markdown(told, "afterwatch evaluate active-learning", {})
    assert "| never |" in text and "| 24 | 0.800 ± 0.141 | 0.600 ± 0.000 | 0.550 ± 0.071 | +0.250 ± 0.071 |" in text


def test_tables_and_json_hold_the_same_numbers(report: ActiveReport) -> None:
    told = json.loads(json.dumps(to_json(report), allow_nan=False))
    assert (told["protocol"], told["data"], told["settings"]["budget"]) == ("active-learning", "squares", 6)
    assert all(set(one) == {"name", "metric", "value", "low", "high", "n"} for one in told["results"])
    assert [part["seed"] for part in told["parts"]] == [0, 1, 2]
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert [(row["name"], row["metric"]) for row in rows] == [(one["name"], one["metric"]) for one in told["results"]]
    nights = list(csv.DictReader(io.StringIO(nights_csv(report))))
    (one,) = [row for row in nights if (row["strategy"], row["seed"], row["night"]) == ("queue", "1", "2")]
    assert float(one["frame_auc"]) == pytest.approx(
        values(report, "handcrafted/appearance", "queue", "frame_auc")[1, 2], abs=1e-6
    )
    text = to_markdown(report, "afterwatch evaluate active-learning", {"By labels": "x.png"})
    assert "![By labels](x.png)" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {8, 12}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": 0}, "at least 1"),
        ({"start": 0}, "at least 1"),
        ({"seeds": 0}, "at least 1"),
        ({"most": 4}, "more labels at the end"),
        ({"uncertain_share": 1.5}, "between 0 and 1"),
        ({"rate_hz": math.nan}, "above 0 and finite"),
    ],
)
def test_settings_are_checked(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ActiveSettings(**wrong)  # type: ignore[arg-type]


def test_the_choice_is_that_of_the_night() -> None:
    """What asks here is what asks at night: nothing of it is written anew."""
    from models import queueing

    for name in ("slices_of", "threshold_distances", "margin_distances", "ask", "deal"):
        assert getattr(active_choice, name) is getattr(queueing, name)
