"""Search is exact, its ties are in order of row, and hits that follow one another are one moment."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError
from models.search import Searched, group, highest, rank

SECOND = 1_000_000


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def searched(vectors: NDArray[np.float32], start: int = 0, stop: int | None = None, mask: object = None) -> Searched:
    told = None if mask is None else np.asarray(mask, dtype=np.bool_)
    return Searched(unit(vectors), np.linalg.norm(vectors, axis=1).astype(np.float32), start, stop, told)


def drawn(rows: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=2000), st.integers(0, 2000))
def test_the_highest_are_those_of_a_stable_sort(values: list[int], count: int) -> None:
    scores = np.array(values, dtype=np.float32)
    expected = sorted(range(len(values)), key=lambda place: (-values[place], place))[:count]
    assert highest(scores, min(count, len(values))).tolist() == expected


def test_the_highest_of_many_are_those_of_a_stable_sort() -> None:
    scores = np.random.default_rng(0).integers(0, 5000, 200_000).astype(np.float32)
    expected = np.lexsort((np.arange(len(scores)), -scores))
    for count in (0, 1, 50, 700, 781, 782, 5000):
        assert np.array_equal(highest(scores, count), expected[:count])


@pytest.mark.parametrize("threads", [1, 3, None])
def test_cosine_is_that_of_the_definition(threads: int | None) -> None:
    vectors, query = drawn(5000, 24), drawn(1, 24, seed=1)[0]
    wide = vectors.astype(np.float64)
    expected = wide @ query / np.linalg.norm(wide, axis=1) / np.linalg.norm(query)
    hits = rank([searched(vectors[:3000]), searched(vectors[3000:])], query, threads=threads).best(40)
    assert (hits.part * 3000 + hits.row).tolist() == np.argsort(-expected)[:40].tolist()
    np.testing.assert_allclose(hits.score, np.sort(expected)[::-1][:40], atol=1e-6)
    assert hits.score.dtype == np.float32


def test_euclidean_distance_is_that_of_the_vectors_as_they_were() -> None:
    vectors = drawn(2000, 16) * np.linspace(0.1, 5, 2000, dtype=np.float32)[:, None]
    query = drawn(1, 16, seed=1)[0]
    expected = np.linalg.norm(vectors.astype(np.float64) - query, axis=1)
    hits = rank([searched(vectors)], query, "euclidean").best(30)
    assert hits.row.tolist() == np.argsort(expected)[:30].tolist()
    np.testing.assert_allclose(-hits.score, np.sort(expected)[:30], atol=1e-3)
    cosine = rank([searched(vectors)], query).best(30)
    assert cosine.row.tolist() != hits.row.tolist()


def test_equal_rows_have_equal_scores_wherever_they_lie_and_come_in_order() -> None:
    vectors = drawn(70_000, 37)
    same = np.array([3, 4, 99, 5_001, 20_000, 65_535, 69_999])
    vectors[same] = vectors[3]
    parts = [searched(vectors[:30_001]), searched(vectors[30_001:])]
    for threads in (1, 4):
        hits = rank(parts, vectors[3] + np.float32(0.01), threads=threads).best(len(same))
        assert (hits.part * 30_001 + hits.row).tolist() == same.tolist()
        assert len(set(hits.score.tolist())) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 60), st.integers(0, 60), st.integers(1, 80), st.booleans())
def test_ranges_and_masks_leave_out_and_change_nothing_else(
    seed: int, first: int, second: int, count: int, masked: bool
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.integers(-2, 3, (60, 3)).astype(np.float32)
    query = np.array([1, 2, 3], dtype=np.float32)
    start, stop = sorted((first, second))
    mask = random.random(stop - start) < 0.5 if masked else None
    found = rank([searched(vectors[:20]), searched(vectors, start, stop, mask)], query)
    kept = [row for row in range(start, stop) if mask is None or mask[row - start]]
    whole = rank([searched(vectors[:20]), searched(vectors[kept])], query)
    hits, expected = found.best(count), whole.best(count)
    assert len(found) == 20 + len(kept)
    assert hits.part.tolist() == expected.part.tolist()
    assert hits.score.tolist() == expected.score.tolist()
    rows = [row if part == 0 else kept[row] for part, row in zip(expected.part, expected.row, strict=True)]
    assert hits.row.tolist() == rows


def test_a_zero_vector_is_like_nothing() -> None:
    vectors = np.array([[0, 0], [1, 0], [-1, 0]], dtype=np.float32)
    hits = rank([searched(vectors)], np.array([5, 0], dtype=np.float32)).best(3)
    assert hits.row.tolist() == [1, 0, 2]
    assert hits.score.tolist() == [1, 0, -1]


def test_nothing_is_found_in_nothing() -> None:
    query = np.ones(4, dtype=np.float32)
    empty = searched(np.empty((0, 0), dtype=np.float32))
    assert len(rank([], query).best(5)) == 0
    assert len(rank([empty, searched(drawn(3, 4))], query).best(5)) == 3
    assert group(rank([empty], query), [(np.empty(0, np.int64), np.empty(0, np.int64))], 5, 0) == ()


def test_what_cannot_be_compared_is_refused() -> None:
    part = searched(drawn(3, 4))
    with pytest.raises(ValueError, match=r"5 dimensions cannot be compared with vectors of \[4\]"):
        rank([part], np.ones(5, dtype=np.float32))
    with pytest.raises(ConfigurationError, match="zero"):
        rank([part], np.zeros(4, dtype=np.float32))
    with pytest.raises(ValueError, match="finite"):
        rank([part], np.array([1, np.nan, 0, 0], dtype=np.float32))
    with pytest.raises(UnknownNameError, match='similarity "manhattan"'):
        rank([part], np.ones(4, dtype=np.float32), "manhattan")  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ValueError, match="rows 2 to 9"):
        searched(drawn(3, 4), 2, 9)
    with pytest.raises(ValueError, match="a mask of 2 rows"):
        searched(drawn(3, 4), 1, 3, [True])


Spans = tuple[NDArray[np.int64], NDArray[np.int64]]


def scored(*parts: Sequence[float]) -> list[Searched]:
    """Matrices whose cosine with (1, 0) is what is said."""
    return [searched(np.array([[c, np.sqrt(1 - c * c)] for c in part], dtype=np.float32)) for part in parts]


def every_second(rows: int) -> Spans:
    starts = np.arange(rows, dtype=np.int64) * SECOND
    return starts, starts + SECOND // 10


EAST = np.array([1, 0], dtype=np.float32)


def test_hits_that_follow_one_another_are_one_moment() -> None:
    scores = [0.1, 0.8, 0.9, 0.85, 0.1, 0.1, 0.1, 0.1, 0.7, 0.1]
    first, second = group(rank(scored(scores), EAST), [every_second(10)], 2, 2 * SECOND)
    assert (first.row, first.first, first.last, first.hits) == (2, 1, 3, 3)
    assert (first.from_us, first.to_us) == (SECOND, 3 * SECOND + SECOND // 10)
    assert first.score == pytest.approx(0.9)
    assert (second.row, second.hits) == (8, 1)


def test_a_gap_is_from_the_end_of_one_to_the_start_of_the_next() -> None:
    scores, spans = scored([0.9, 0.1, 0.8, *[0.1] * 8]), every_second(11)
    seen = np.arange(11) != 1  # what lies between the two cannot be found
    gap_us = 2 * SECOND - SECOND // 10
    ranking = rank([Searched(scores[0].vectors, scores[0].norms, mask=seen)], EAST)
    assert next((one.first, one.last) for one in group(ranking, [spans], 2, gap_us - 1)) == (0, 0)
    assert next((one.first, one.last, one.hits) for one in group(ranking, [spans], 2, gap_us)) == (0, 2, 2)


def test_cameras_are_apart_however_near_in_time() -> None:
    parts = scored([0.9, 0.8], [0.95, 0.7])
    found = group(rank(parts, EAST), [every_second(2)] * 2, 2, 10 * SECOND)
    assert [(moment.part, moment.row, moment.hits) for moment in found] == [(1, 0, 1), (0, 0, 1)]


LOW = [0.1] * 20


def test_a_shallow_valley_joins_two_peaks_and_a_deep_one_does_not() -> None:
    shallow, deep = [0.9, 0.75, 0.8, *LOW], [0.9, 0.3, 0.8, *LOW]
    (one, *_) = group(rank(scored(shallow), EAST), [every_second(23)], 2, SECOND)
    assert (one.row, one.first, one.last, one.hits) == (0, 0, 2, 3)
    first, second = group(rank(scored(deep), EAST), [every_second(23)], 2, SECOND)
    assert [(moment.row, moment.hits) for moment in (first, second)] == [(0, 1), (2, 1)]


def test_however_many_are_asked_for_peaks_stay_apart() -> None:
    scores = [*LOW, 0.9, 0.88, *LOW, 0.7, *LOW]
    found = group(rank(scored(scores), EAST), [every_second(len(scores))], 50, SECOND)
    assert [(moment.row, moment.first, moment.last) for moment in found[:2]] == [(20, 20, 21), (42, 42, 42)]


def test_what_lies_on_the_slope_of_a_peak_is_no_moment_of_its_own() -> None:
    scores = [*LOW, 0.2, 0.4, 0.6, 0.9, 0.6, 0.4, 0.2, *LOW]
    found = group(rank(scored(scores), EAST), [every_second(len(scores))], 5, SECOND)
    assert [moment.row for moment in found if moment.score > 0.15] == [23]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(0, 5))
def test_moments_are_disjoint_ranked_and_high(seed: int, count: int, gap: int) -> None:
    random = np.random.default_rng(seed)
    parts = scored(*((random.integers(0, 20, 15) / 20).tolist() for _ in range(2)))
    starts = np.sort(random.choice(120, 15, replace=False)).astype(np.int64)
    spans = [(starts, starts + random.integers(1, 4, 15)), (starts, starts + 1)]
    ranking = rank(parts, EAST)
    found = group(ranking, spans, count, gap)
    assert len(found) <= count and [m.score for m in found] == sorted((m.score for m in found), reverse=True)
    best = ranking.best(1)
    assert (found[0].part, found[0].row) == (best.part[0], best.row[0])
    for moment in found:
        mine = ranking.scores[15 * moment.part + moment.first : 15 * moment.part + moment.last + 1]
        assert moment.score == mine.max() and moment.first <= moment.row <= moment.last
        assert 1 <= moment.hits <= moment.last - moment.first + 1
    for part in (0, 1):
        rows = sorted((m.first, m.last) for m in found if m.part == part)
        assert all(one[1] < other[0] for one, other in pairwise(rows))


def test_impossible_wishes_are_refused() -> None:
    ranking = rank(scored([0.5]), EAST)
    for count, gap_us in ((0, 0), (1, -1)):
        with pytest.raises(ConfigurationError, match="at least 1 moment"):
            group(ranking, [every_second(1)], count, gap_us)
