from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.summary.segments import Segments, cut_segments
from models.summary.selection import EventSpan, Selection, Wanted, select_segments, wanted_of

SECOND = 1_000_000


def segments_of(lengths_us: Any) -> Segments:
    edges = np.concatenate([[0], np.cumsum(lengths_us)]).astype(int).tolist()
    return cut_segments(list(pairwise(edges)), max(edges[-1], 1))


def event(rank: int, from_s: float, to_s: float, peak_s: float) -> EventSpan:
    return EventSpan(f"novelty {rank}", f"id-{rank}", *(round(at * SECOND) for at in (from_s, to_s, peak_s)))


def select(
    segments: Segments,
    scores: NDArray[Any],
    events: list[EventSpan],
    budget_s: float,
    looks: NDArray[Any] | None = None,
    maximum_cosine: float = 1.0,
    clear: NDArray[np.bool_] | None = None,
) -> Selection:
    return select_segments(
        segments.durations_us,
        segments.from_us,
        scores,
        clear=np.ones(len(segments), dtype=np.bool_) if clear is None else clear,
        wanted=wanted_of(segments, scores, events),
        budget_s=budget_s,
        looks=looks,
        maximum_cosine=maximum_cosine,
    )


def told(selection: Selection) -> list[tuple[int, str]]:
    return [(choice.index, choice.reason) for choice in selection.choices]


def omitted(selection: Selection) -> list[str]:
    return [one.name for one in selection.omitted]


TEN = cut_segments([(0, 100 * SECOND)], 10 * SECOND)


def test_every_event_gets_the_segment_of_its_peak_and_the_rest_goes_by_score() -> None:
    scores = np.array([0.1, 0.9, 0.2, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    selection = select(TEN, scores, [event(1, 50, 60, 55), event(2, 15, 30, 25)], 45)
    assert told(selection) == [(1, "score"), (2, "novelty 2"), (3, "score"), (5, "novelty 1")]
    assert [choice.event_id for choice in selection.choices] == ["", "id-2", "", "id-1"]
    assert selection.duration_us == 40 * SECOND and selection.omitted == ()


def test_events_come_in_the_order_given_where_not_all_fit() -> None:
    events = [event(1, 35, 36, 35.5), event(2, 75, 76, 75.5), event(3, 5, 6, 5.5)]
    selection = select(TEN, np.ones(10), events, 20)
    assert told(selection) == [(3, "novelty 1"), (7, "novelty 2")]
    assert [(one.name, one.event_id, one.numbers.tolist()) for one in selection.omitted] == [("novelty 3", "id-3", [0])]
    assert omitted(select(TEN, np.ones(10), events[::-1], 20)) == ["novelty 1"]


def test_an_event_whose_peak_is_shown_needs_no_second_segment() -> None:
    events = [event(1, 11, 13, 12), event(2, 16, 28, 17)]
    selection = select(TEN, np.zeros(10), events, 100)
    assert told(selection) == [(1, "novelty 1")] and selection.omitted == ()


def test_where_the_peak_does_not_fit_another_segment_of_the_event_does() -> None:
    segments = segments_of([3 * SECOND, 9 * SECOND, 4 * SECOND, 2 * SECOND])
    selection = select(segments, np.array([0.1, 0.9, 0.1, 0.2]), [event(1, 0, 18, 5)], 4)
    assert told(selection) == [(3, "novelty 1")]


def test_where_nothing_of_an_event_fits_what_is_shown_of_it_serves() -> None:
    segments = segments_of([4 * SECOND, 9 * SECOND, 9 * SECOND])
    selection = select(segments, np.ones(3), [event(1, 0, 4, 1), event(2, 2, 20, 6)], 5)
    assert told(selection) == [(0, "novelty 1")] and selection.omitted == ()


def test_an_event_outside_every_segment_is_reported() -> None:
    assert omitted(select(TEN.take(np.arange(3)), np.ones(3), [event(1, 50, 60, 55)], 10)) == ["novelty 1"]


def test_the_segments_of_an_event_are_that_of_its_peak_then_the_best() -> None:
    scores = np.array([0.1, 0.9, 0.2, 0.8, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1])
    wanted = wanted_of(TEN, scores, [event(1, 5, 45, 29), event(2, 200, 210, 205), event(3, 98, 101, 99)])
    assert [one.numbers.tolist() for one in wanted] == [[2, 1, 3, 4, 0], [], [9]]
    assert [(one.name, one.event_id) for one in wanted[:2]] == [("novelty 1", "id-1"), ("novelty 2", "id-2")]
    assert wanted_of(TEN, scores, []) == []


spans_of_events = st.tuples(
    st.integers(0, 40), st.integers(1, 30), st.floats(0, 0.99), st.sampled_from([None, 0, 1, 2])
)


@given(st.lists(spans_of_events, max_size=6), st.integers(0, 99))
def test_the_segments_of_events_are_those_of_every_pair(
    spans: list[tuple[int, int, float, int | None]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    segments = cut_segments([(0, 20), (25, 63), (12, 32)], 5).take(random.permutation(16))
    scores = random.integers(0, 4, 16) / 4
    events = [
        EventSpan(str(i), "", at, at + length, at + int(part * length), recording)
        for i, (at, length, part, recording) in enumerate(spans)
    ]
    for one, rows in zip(events, (one.numbers for one in wanted_of(segments, scores, events)), strict=True):
        meeting = [i for i in range(16) if segments.from_us[i] < one.to_us and segments.to_us[i] > one.from_us]
        other = segments.recording != (segments.recording if one.recording is None else one.recording)
        holds = (segments.from_us <= one.peak_us) & (one.peak_us < segments.to_us)
        assert rows.tolist() == sorted(
            meeting, key=lambda i: (other[i], not holds[i], -scores[i], segments.from_us[i], i)
        )


def test_of_two_recordings_of_one_moment_an_event_is_shown_by_its_own() -> None:
    twice = cut_segments([(0, 20 * SECOND), (SECOND, 21 * SECOND)], 4 * SECOND)
    scores = np.where(twice.recording == 1, 0.9, 0.1)
    for recording, expected in ((0, 1), (1, 6), (None, 6)):
        one = EventSpan("novelty 1", "id", 5 * SECOND, 7 * SECOND, 6 * SECOND, recording)
        selection = select(twice, scores, [one], 4)
        assert told(selection) == [(expected, "novelty 1")]
    both = [EventSpan(f"novelty {1 + n}", str(n), 5 * SECOND, 7 * SECOND, 6 * SECOND, n) for n in (1, 0)]
    assert told(select(twice, scores, both, 8)) == [(1, "novelty 1"), (6, "novelty 2")]
    assert told(select(twice, scores, both, 4)) == [(6, "novelty 2")], "the other recording's segment serves it too"


def test_the_segments_of_long_events_are_arrays_and_none_is_lost() -> None:
    segments = cut_segments([(0, 2000)], 1)
    scores = np.random.default_rng(0).random(2000)
    events = [EventSpan(f"novelty {i}", str(i), i, 2000, 1000 + i) for i in range(50)]
    wanted = wanted_of(segments, scores, events)
    for number, one in enumerate(wanted):
        assert isinstance(one.rows, np.ndarray) and one.rows.dtype == np.int64
        assert one.rows[0] == 1000 + number
        others = one.rows[1:]
        assert sorted(others.tolist()) == [row for row in range(number, 2000) if row != 1000 + number]
        assert (np.diff(scores[others]) <= 0).all()
    selection = select(segments, scores, events, 40e-6)
    assert selection.indices == tuple(range(1000, 1040))
    assert omitted(selection) == [], "those without a segment of their own are served by the others'"


def test_a_clear_segment_is_preferred_for_an_event_and_needed_for_a_score() -> None:
    clear = np.arange(10) % 2 == 0
    scores = np.array([0.1, 0.9, 0.2, 0.9, 0.3, 0.9, 0.9, 0.9, 0.1, 0.1])
    events = [event(1, 25, 45, 35), event(2, 52, 58, 55)]
    assert told(select(TEN, scores, events, 40, clear=clear)) == [
        (2, "score"),
        (4, "novelty 1"),
        (5, "novelty 2"),
        (6, "score"),
    ]
    assert select(TEN, scores, [], 1000, clear=clear).indices == (0, 2, 4, 6, 8)


def test_equal_scores_choose_the_earlier() -> None:
    assert select(TEN, np.full(10, 0.5), [], 30).indices == (0, 1, 2)


def test_a_near_duplicate_is_not_shown_unless_an_event_needs_it() -> None:
    looks = np.eye(10, dtype=np.float32)
    looks[4] = looks[7] = looks[1]
    scores = np.array([0.1, 0.9, 0.2, 0.3, 0.8, 0.1, 0.1, 0.7, 0.1, 0.1])
    assert select(TEN, scores, [], 30, looks, 0.95).indices == (1, 2, 3)
    assert select(TEN, scores, [], 30, looks.astype(np.float16), 0.95).indices == (1, 2, 3)
    assert select(TEN, scores, [], 30, looks).indices == (1, 4, 7)
    both = [event(1, 75, 76, 75.5), event(2, 45, 46, 45.5)]
    assert told(select(TEN, scores, both, 30, looks, 0.95)) == [(3, "score"), (4, "novelty 2"), (7, "novelty 1")]


def test_a_segment_without_a_look_is_like_no_other() -> None:
    looks = np.full((10, 3), np.nan, dtype=np.float32)
    assert select(TEN, np.ones(10), [], 30, looks, 0.5).indices == (0, 1, 2)


def test_what_scores_nothing_is_not_shown_and_no_budget_shows_nothing() -> None:
    assert select(TEN, np.zeros(10), [], 100).choices == ()
    nothing = select(TEN, np.ones(10), [event(1, 0, 10, 5)], 0)
    assert nothing.choices == () and omitted(nothing) == ["novelty 1"]
    assert select(cut_segments([], 1), np.ones(0), [], 10).choices == ()


lengths_ms = st.lists(st.integers(1, 9), min_size=1, max_size=9)


@settings(deadline=None)
@given(lengths_ms, st.data())
def test_the_score_within_the_budget_is_the_highest_there_is(lengths: list[int], data: st.DataObject) -> None:
    segments = segments_of([length * 1000 for length in lengths])
    scores = np.array(data.draw(st.lists(st.integers(0, 20), min_size=len(lengths), max_size=len(lengths)))) / 20
    budget_ms = data.draw(st.integers(0, 30))
    chosen = list(select(segments, scores, [], budget_ms / 1000).indices)
    assert sum(lengths[i] for i in chosen) <= budget_ms
    every = (c for size in range(len(lengths) + 1) for c in combinations(range(len(lengths)), size))
    best = max(scores[list(c)].sum() for c in every if sum(lengths[i] for i in c) <= budget_ms)
    assert scores[chosen].sum() == pytest.approx(best)


@settings(deadline=None)
@given(st.lists(st.integers(100, 5_000_000), min_size=1, max_size=12), st.data())
def test_the_budget_holds_the_order_is_time_and_no_pair_is_too_alike(lengths: list[int], data: st.DataObject) -> None:
    segments = segments_of(lengths)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    scores, looks = random.random(len(lengths)), random.standard_normal((len(lengths), 3)).astype(np.float32)
    clear = random.random(len(lengths)) < 0.7
    end_us = int(segments.to_us[-1])
    peaks = data.draw(st.lists(st.floats(0, 0.99), max_size=4))
    events = [
        EventSpan(f"novelty {i}", str(i), int(p * end_us), int(p * end_us) + SECOND, int(p * end_us))
        for i, p in enumerate(peaks)
    ]
    budget_s = data.draw(st.floats(0, 1.2)) * end_us / SECOND
    selection = select(segments, scores, events, budget_s, looks, 0.8, clear)
    assert selection.duration_us == sum(segments.durations_us[list(selection.indices)])
    assert selection.duration_us <= round(budget_s * SECOND)
    assert list(selection.indices) == sorted(set(selection.indices))
    unit = looks / np.linalg.norm(looks, axis=1, keepdims=True)
    cosine = unit @ unit.T
    for i in (choice.index for choice in selection.choices if choice.reason == "score"):
        assert clear[i] and all(cosine[i, j] <= 0.8 + 1e-6 for j in selection.indices if j != i)
    for one in events:
        served = ((segments.from_us < one.to_us) & (segments.to_us > one.from_us))[list(selection.indices)].any()
        assert served != (one.name in omitted(selection))


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 6), st.floats(0.3, 0.95))
def test_of_any_five_shown_for_their_score_no_two_look_alike(seed: int, kinds: int, maximum_cosine: float) -> None:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((kinds, 64))
    looks = (centres[random.integers(0, kinds, 300)] + 0.3 * random.standard_normal((300, 64))).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    segments = segments_of(random.choice([4, 4, 7], 300) * SECOND)
    chosen = list(select(segments, random.random(300), [], 60, looks, maximum_cosine).indices)
    assert chosen
    cosine = looks[chosen] @ looks[chosen].T
    assert (cosine[~np.eye(len(chosen), dtype=np.bool_)] <= maximum_cosine + 1e-6).all()


def test_the_order_of_segments_does_not_matter() -> None:
    random = np.random.default_rng(0)
    segments = segments_of(random.integers(1, 9, 40) * SECOND)
    scores, order = random.integers(1, 5, 40) / 5, random.permutation(40)
    looks, clear = random.standard_normal((40, 4)).astype(np.float32), random.random(40) < 0.8
    events = [event(1, 30, 44, 31), event(2, 80, 95, 90)]
    one = select(segments, scores, events, 60, looks, 0.7, clear)
    other = select(segments.take(order), scores[order], events, 60, looks[order], 0.7, clear[order])
    assert told(one) == [(int(order[i]), reason) for i, reason in told(other)]


def test_the_order_of_time_may_be_another_than_that_of_the_segments() -> None:
    durations, order = np.full(4, SECOND), np.array([5, 1, 9, 1])
    selection = select_segments(durations, order, np.ones(4), clear=np.ones(4, np.bool_), wanted=[], budget_s=3)
    assert selection.indices == (1, 3, 0)


@pytest.mark.parametrize(("budget", "cosine"), [(-1, 1), (float("nan"), 1), (float("inf"), 1), (10, 1.5)])
def test_a_budget_or_cosine_out_of_range_is_refused(budget: float, cosine: float) -> None:
    with pytest.raises(ConfigurationError):
        select(TEN, np.ones(10), [], budget, None, cosine)


def test_arrays_that_do_not_fit_are_refused() -> None:
    for scores in (-np.ones(10), np.full(10, np.nan)):
        with pytest.raises(ValueError, match="scores are finite"):
            select(TEN, scores, [], 10)
    with pytest.raises(ValueError, match="looks are one per segment"):
        select(TEN, np.ones(10), [], 10, np.ones((9, 2), np.float32))
    with pytest.raises(ValueError, match="one shape"):
        select(TEN, np.ones(10), [], 10, clear=np.ones(9, dtype=np.bool_))
    with pytest.raises(ValueError, match="True or False"):
        select(TEN, np.ones(10), [], 10, clear=np.ones(10))  # type: ignore[arg-type]
    ten = (np.full(10, SECOND), np.arange(10), np.ones(10))
    clear = np.ones(10, dtype=np.bool_)
    with pytest.raises(ValueError, match="novelty 1 wants some of 10 segments, got 2 to 10"):
        select_segments(*ten, clear=clear, wanted=[Wanted("novelty 1", "", (2, 10))], budget_s=10)
    with pytest.raises(ValueError, match="at least 1 us, got 0"):
        select_segments(np.zeros(10, dtype=np.int64), *ten[1:], clear=clear, wanted=[], budget_s=10)
    with pytest.raises(ValueError, match="holds its peak"):
        EventSpan("novelty 1", "", 0, 10, 10)
    with pytest.raises(ValueError, match="numbered from 0"):
        EventSpan("novelty 1", "", 0, 10, 5, recording=-1)
