from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from models.events import Event
from models.summary.segments import Segment, cut_segments
from models.summary.selection import Selection, choose_keyframe, select_segments

SECOND = 1_000_000


def segments_of(lengths_us: Any) -> list[Segment]:
    edges = np.concatenate([[0], np.cumsum(lengths_us)]).astype(int).tolist()
    return [Segment(0, i, start, end) for i, (start, end) in enumerate(pairwise(edges))]


def event(from_s: float, to_s: float, peak_s: float, score: float) -> Event:
    return Event(int(from_s * SECOND), int(to_s * SECOND), int(peak_s * SECOND), score, 0, 0, 0)


def told(selection: Selection) -> list[tuple[int, str]]:
    return [(choice.index, choice.reason) for choice in selection.choices]


TEN = cut_segments([(0, 100 * SECOND)], 10 * SECOND)


def test_every_event_gets_the_segment_of_its_peak_and_the_rest_goes_by_score() -> None:
    scores = np.array([0.1, 0.9, 0.2, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    selection = select_segments(TEN, scores, [event(15, 30, 25, 2.0), event(50, 60, 55, 7.0)], 45)
    assert told(selection) == [(1, "score"), (2, "event 2"), (3, "score"), (5, "event 1")]
    assert selection.duration_us == 40 * SECOND and selection.omitted_events == ()


def test_the_best_events_come_first_where_not_all_fit() -> None:
    events = [event(5, 6, 5.5, 1.0), event(35, 36, 35.5, 9.0), event(75, 76, 75.5, 5.0)]
    selection = select_segments(TEN, np.ones(10), events, 20)
    assert told(selection) == [(3, "event 1"), (7, "event 2")] and selection.omitted_events == (3,)


def test_an_event_whose_peak_is_shown_needs_no_second_segment() -> None:
    events = [event(11, 13, 12, 9.0), event(16, 18, 17, 5.0)]
    assert told(select_segments(TEN, np.zeros(10), events, 100)) == [(1, "event 1")]


def test_where_the_peak_does_not_fit_another_segment_of_the_event_does() -> None:
    segments = segments_of([3 * SECOND, 9 * SECOND, 4 * SECOND, 2 * SECOND])
    selection = select_segments(segments, np.array([0.1, 0.9, 0.1, 0.2]), [event(0, 18, 5, 1.0)], 4)
    assert told(selection) == [(3, "event 1")]


def test_an_event_outside_every_segment_is_reported() -> None:
    assert select_segments(TEN[:3], np.ones(3), [event(50, 60, 55, 1.0)], 10).omitted_events == (1,)


def test_equal_scores_choose_the_earlier() -> None:
    assert select_segments(TEN, np.full(10, 0.5), [], 30).indices == (0, 1, 2)


def test_a_near_duplicate_is_not_shown_unless_an_event_needs_it() -> None:
    vectors = np.eye(10, dtype=np.float32)
    vectors[4] = vectors[7] = vectors[1]
    scores = np.array([0.1, 0.9, 0.2, 0.3, 0.8, 0.1, 0.1, 0.7, 0.1, 0.1])
    assert select_segments(TEN, scores, [], 30, vectors, 0.95).indices == (1, 2, 3)
    assert select_segments(TEN, scores, [], 30, vectors).indices == (1, 4, 7)
    both = [event(45, 46, 45.5, 1.0), event(75, 76, 75.5, 2.0)]
    assert told(select_segments(TEN, scores, both, 30, vectors, 0.95)) == [
        (3, "score"),
        (4, "event 2"),
        (7, "event 1"),
    ]


def test_a_segment_without_a_vector_is_like_no_other() -> None:
    vectors = np.full((10, 3), np.nan, dtype=np.float32)
    assert select_segments(TEN, np.ones(10), [], 30, vectors, 0.5).indices == (0, 1, 2)


def test_what_scores_nothing_is_not_shown_and_no_budget_shows_nothing() -> None:
    assert select_segments(TEN, np.zeros(10), [], 100).choices == ()
    assert select_segments(TEN, np.ones(10), [event(0, 10, 5, 1.0)], 0).choices == ()
    assert select_segments([], np.ones(0), [], 10).choices == ()


lengths_ms = st.lists(st.integers(1, 9), min_size=1, max_size=9)


@settings(deadline=None)
@given(lengths_ms, st.data())
def test_the_knapsack_is_exact(lengths: list[int], data: st.DataObject) -> None:
    segments = segments_of([length * 1000 for length in lengths])
    scores = np.array(data.draw(st.lists(st.integers(0, 20), min_size=len(lengths), max_size=len(lengths)))) / 20
    budget_ms = data.draw(st.integers(0, 30))
    chosen = list(select_segments(segments, scores, [], budget_ms / 1000).indices)
    assert sum(lengths[i] for i in chosen) <= budget_ms
    every = (c for size in range(len(lengths) + 1) for c in combinations(range(len(lengths)), size))
    best = max(scores[list(c)].sum() for c in every if sum(lengths[i] for i in c) <= budget_ms)
    assert scores[chosen].sum() == pytest.approx(best)


@settings(deadline=None)
@given(st.lists(st.integers(100, 5_000_000), min_size=1, max_size=12), st.data())
def test_the_budget_holds_the_order_is_time_and_no_pair_is_too_alike(lengths: list[int], data: st.DataObject) -> None:
    segments = segments_of(lengths)
    seed = data.draw(st.integers(0, 99))
    random = np.random.default_rng(seed)
    scores, vectors = random.random(len(lengths)), random.standard_normal((len(lengths), 3)).astype(np.float32)
    end_s = segments[-1].to_us / SECOND
    peaks = data.draw(st.lists(st.floats(0, 0.99), max_size=4))
    events = [event(p * end_s, p * end_s + 1, p * end_s, 1 + p) for p in peaks]
    budget_s = data.draw(st.floats(0, 1.2)) * end_s
    selection = select_segments(segments, scores, events, budget_s, vectors, 0.8)
    assert selection.duration_us == sum(segments[i].duration_us for i in selection.indices)
    assert selection.duration_us <= round(budget_s * SECOND)
    assert list(selection.indices) == sorted(set(selection.indices))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    by_score = [choice.index for choice in selection.choices if choice.reason == "score"]
    for i in by_score:
        assert all(cosine[i, j] <= 0.8 + 1e-6 for j in selection.indices if j != i)
    for rank, one in enumerate(sorted(events, key=lambda e: -e.peak_score), start=1):
        if rank not in selection.omitted_events:
            assert any(segments[i].from_us < one.to_us and segments[i].to_us > one.from_us for i in selection.indices)


def test_the_order_of_segments_does_not_matter() -> None:
    random = np.random.default_rng(0)
    segments = segments_of(random.integers(1, 9, 40) * SECOND)
    scores, order = random.integers(1, 5, 40) / 5, random.permutation(40)
    one = select_segments(segments, scores, [], 60)
    other = select_segments([segments[i] for i in order], scores[order], [], 60)
    assert [segments[i] for i in one.indices] == [segments[order[i]] for i in other.indices]


@pytest.mark.parametrize(("budget", "cosine"), [(-1, 1), (float("nan"), 1), (10, 1.5)])
def test_a_budget_or_cosine_out_of_range_is_refused(budget: float, cosine: float) -> None:
    with pytest.raises(ConfigurationError):
        select_segments(TEN, np.ones(10), [], budget, None, cosine)


def test_scores_and_vectors_that_do_not_fit_are_refused() -> None:
    for scores, vectors in ((np.ones(9), None), (-np.ones(10), None), (np.full(10, np.nan), None)):
        with pytest.raises(ValueError):
            select_segments(TEN, scores, [], 10, vectors)
    with pytest.raises(ValueError, match="vectors"):
        select_segments(TEN, np.ones(10), [], 10, np.ones((9, 2), np.float32))


def keyframe(sharpness: Any, luminance: Any, scores: Any, times: list[int] | None = None) -> int:
    t_us = np.arange(len(scores)) * SECOND if times is None else np.array(times)
    return choose_keyframe(t_us, np.array(sharpness), np.array(luminance), np.array(scores))


def test_the_keyframe_is_the_sharpest_near_the_peak() -> None:
    assert keyframe([90, 60, 70, 95], [99] * 4, [0.1, 0.95, 1.0, 0.2]) == 2
    assert keyframe([60, 75, 70, 60], [99] * 4, [0.1, 0.95, 1.0, 0.2]) == 1


def test_a_black_or_blurred_frame_is_not_taken_where_another_exists() -> None:
    assert keyframe([500, 50, 55], [3, 99, 99], [1.0, 0.5, 0.1]) == 1
    assert keyframe([10, 100, 12], [99, 99, 99], [1.0, 0.1, 0.9]) == 1
    assert keyframe([5, 9], [0, 0], [1.0, 1.0]) == 1


def test_equally_sharp_frames_go_to_the_peak_then_to_the_earlier() -> None:
    assert keyframe([50] * 5, [99] * 5, [0.0, 0.95, 0.95, 1.0, 0.95]) == 3
    assert keyframe([50] * 3, [99] * 3, [1.0, 1.0, 1.0]) == 0
    assert keyframe([50] * 3, [99] * 3, [1.0, 1.0, 1.0], times=[9, 4, 6]) == 1


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_keyframe_is_never_black_or_blurred_if_it_need_not_be(frames: list[tuple[int, int, float]]) -> None:
    sharpness, luminance, scores = (np.array(column) for column in zip(*frames, strict=True))
    chosen = keyframe(sharpness, luminance, scores)
    lit = luminance > 16
    if lit.any():
        assert lit[chosen] and sharpness[chosen] >= sharpness[lit].max() / 2


def test_no_frame_no_keyframe() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        keyframe([], [], [])
