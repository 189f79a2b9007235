"""Which pictures are looked at, and what becomes of every microsecond."""

import itertools
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.index import FrameIndex
from footage.sampling import CoverageSpan, Shard, Snippets, coverage, grid_us, sample, shards, snippets
from infra.settings import AtRate, EveryNth, KeyFrames
from tests.footage.times import indexes

Policy = EveryNth | AtRate | KeyFrames
POLICIES: st.SearchStrategy[Policy] = st.one_of(
    st.builds(EveryNth, n=st.integers(1, 40)),
    st.builds(AtRate, rate_hz=st.sampled_from((0.1, 0.5, 1.0, 2.0, 3.0, 7.5, 25.0))),
    st.just(KeyFrames()),
)


def regular(count: int, rate_hz: int = 25, gop: int = 25) -> FrameIndex:
    return FrameIndex(np.arange(count, dtype=np.int64), np.arange(count) % gop == 0, Fraction(1, rate_hz))


def shown_at(index: FrameIndex, at_us: float) -> int:
    """The naive reference: the last picture that has begun, unless the recording or its hold is over."""
    begun = [i for i in range(len(index)) if index.t_us[i] <= at_us]
    if not begun or at_us >= index.extent_us or at_us - index.t_us[begun[-1]] >= index.hold_us:
        return -1
    return begun[-1]


@given(indexes(), POLICIES)
def test_samples_are_those_of_a_naive_loop(index: FrameIndex, policy: Policy) -> None:
    expected: list[int] = []
    match policy:
        case EveryNth(n=n):
            expected = [i for i in range(len(index)) if i % n == 0]
        case KeyFrames():
            expected = [i for i in range(len(index)) if index.is_key[i]]
        case AtRate(rate_hz=rate_hz):
            number = 0
            while round(number / rate_hz * 1e6) < index.extent_us:
                shown = shown_at(index, round(number / rate_hz * 1e6))
                if shown >= 0 and shown not in expected:
                    expected.append(shown)
                number += 1
    assert sample(index, policy).tolist() == expected


@pytest.mark.parametrize(("step_s", "end_us"), [(1.0, 10_000_000), (0.1, 1_000_000), (1 / 3, 2_000_001), (0.04, 0)])
def test_the_grid_has_every_time_below_the_end_once(step_s: float, end_us: int) -> None:
    grid = grid_us(step_s, end_us)
    expected = [number for number in range(100) if number * step_s * 1e6 < end_us - 1e-3]
    assert grid.tolist() == [round(number * step_s * 1e6) for number in expected]


def test_the_grid_does_not_drift_over_a_day() -> None:
    grid = grid_us(1 / 3, 86_400_000_000)
    assert len(grid) == 3 * 86_400
    assert np.array_equal(grid[::3], np.arange(86_400) * 1_000_000)


@given(
    indexes(),
    st.integers(1, 16),
    st.sampled_from((1.0, 4.0, 12.5, 25.0)),
    st.sampled_from((0.25, 1.0, 1.7)),
)
def test_snippets_are_those_of_a_naive_loop(index: FrameIndex, frames: int, rate_hz: float, stride_s: float) -> None:
    found = snippets(index, frames=frames, rate_hz=rate_hz, stride_s=stride_s)
    expected = []
    for start in grid_us(stride_s, index.extent_us).tolist():
        times = [start + round(number * 1e6 / rate_hz) for number in range(frames)]
        inside = [at for at in times if at < index.extent_us]
        row = [shown_at(index, at) for at in inside] + [len(index) - 1] * (frames - len(inside))
        if -1 not in row and 2 * len(inside) >= frames:
            expected.append((row, start, min(start + round(frames / rate_hz * 1e6), index.extent_us)))
    assert [row for row, _, _ in expected] == found.frames.tolist()
    assert [(a, b) for _, a, b in expected] == list(zip(found.from_us.tolist(), found.to_us.tolist(), strict=True))
    assert np.all(np.diff(found.frames, axis=1) >= 0)
    assert np.array_equal(found.anchors, found.frames[:, 0])


def test_a_snippet_across_a_hole_is_left_out() -> None:
    pts = np.array([*range(50), *range(300, 350)], dtype=np.int64)
    index = FrameIndex(pts, np.arange(100) % 25 == 0, Fraction(1, 25))
    found = snippets(index, frames=16, rate_hz=12.5, stride_s=1.28)
    hole_from, hole_to = index.holes()[0]
    assert len(found)
    assert all(b <= hole_from + 1_280_000 or a >= hole_to - 1 for a, b in zip(found.from_us, found.to_us, strict=True))


def test_snippets_check_their_rows() -> None:
    frames, zeros, ones = np.zeros((2, 4), np.int64), np.zeros(2, np.int64), np.ones(2, np.int64)
    with pytest.raises(ValueError, match="one row"):
        Snippets(frames, zeros[:1], ones)
    with pytest.raises(ValueError, match="not empty"):
        Snippets(frames, ones, ones)


@given(indexes(), st.sampled_from((0.05, 0.7, 2.0, 30.0, 3600.0)))
def test_shards_partition_a_recording_and_begin_at_key_frames(index: FrameIndex, span_s: float) -> None:
    found = shards(index, span_s)
    assert [shard.number for shard in found] == list(range(len(found)))
    assert found[0].first == 0
    assert found[-1].last == len(index)
    assert all(before.last == after.first for before, after in itertools.pairwise(found))
    assert all(index.is_key[shard.first] for shard in found[1:])
    assert all(index.t_us[s.last] - index.t_us[s.first] >= span_s * 1e6 for s in found[:-1])


@given(indexes(), POLICIES, st.sampled_from((0.05, 0.7, 2.0, 30.0)))
def test_sampling_by_shards_is_sampling_the_whole(index: FrameIndex, policy: Policy, span_s: float) -> None:
    whole = sample(index, policy)
    parts = [whole[shard.owns(whole)] for shard in shards(index, span_s)]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (3, 2), (-1, 4)])
def test_a_shard_without_pictures_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="shard"):
        Shard(0, first, last)


@given(indexes(), POLICIES, st.sampled_from((0.05, 0.7, 2.0, 3600.0)), st.integers(1, 5_000_000), st.randoms())
def test_coverage_accounts_for_every_microsecond_once(
    index: FrameIndex, policy: Policy, span_s: float, reach_us: int, random: Random
) -> None:
    sampled = sample(index, policy)
    delivered = np.array([random.random() < 0.7 for _ in sampled], dtype=np.bool_)
    spans: list[CoverageSpan] = []
    for shard in shards(index, span_s):
        mine = shard.owns(sampled)
        spans += coverage(index, shard, sampled[mine], delivered[mine], reach_us)
    assert spans[0].from_us == 0
    assert spans[-1].to_us == index.duration_us
    assert all(a.to_us == b.from_us for a, b in itertools.pairwise(spans))
    assert sum(span.to_us - span.from_us for span in spans) == index.duration_us

    missing = sum(span.to_us - span.from_us for span in spans if span.state == "missing")
    assert missing == sum(b - a for a, b in index.holes())

    def state(at_us: int) -> str:
        return next(span.state for span in spans if span.from_us <= at_us < span.to_us)

    for from_us, to_us in index.holes():
        assert state(from_us) == state(to_us - 1) == "missing"
    ends = {int(index.t_us[shard.first]) for shard in shards(index, span_s)}
    for position, good in zip(sampled, delivered, strict=True):
        at = int(index.t_us[position])
        after = [int(index.t_us[i]) for i in sampled if index.t_us[i] > at]
        until = min([at + reach_us, at + index.hold_us, index.extent_us, *after, *(end for end in ends if end > at)])
        same = [bool(d) for i, d in zip(sampled, delivered, strict=True) if index.t_us[i] == at]
        if until > at and len(same) == 1:
            assert state(at) == state(until - 1) == ("analysed" if good else "corrupt")


def test_coverage_says_what_became_of_each_part() -> None:
    index = regular(500)
    shard = shards(index, 3600)[0]
    spans = coverage(index, shard, np.array([0, 100, 125]), np.array([True, False, True]), 2_000_000)
    assert [(span.from_us, span.to_us, span.state) for span in spans] == [
        (0, 2_000_000, "analysed"),
        (2_000_000, 4_000_000, "skipped"),
        (4_000_000, 5_000_000, "corrupt"),
        (5_000_000, 7_000_000, "analysed"),
        (7_000_000, 20_000_000, "skipped"),
    ]


def test_coverage_of_a_shard_without_samples_is_skipped() -> None:
    index = regular(100)
    spans = coverage(index, Shard(1, 25, 50), np.array([], dtype=np.int64), np.array([], dtype=np.bool_), 1)
    assert [(span.from_us, span.to_us, span.state) for span in spans] == [(1_000_000, 2_000_000, "skipped")]


def test_the_missing_tail_belongs_to_the_last_shard() -> None:
    index = FrameIndex(
        np.arange(100, dtype=np.int64), np.arange(100) % 25 == 0, Fraction(1, 25), declared_us=10_000_000
    )
    sampled = sample(index, AtRate(rate_hz=1.0))
    parts = shards(index, 2.0)
    last = coverage(index, parts[-1], sampled[parts[-1].owns(sampled)], np.array([True, True]), 2_000_000)
    assert (last[-1].from_us, last[-1].to_us, last[-1].state) == (4_000_000, 10_000_000, "missing")
    first = coverage(index, parts[0], sampled[parts[0].owns(sampled)], np.array([True, True]), 2_000_000)
    assert {span.state for span in first} == {"analysed"}


def test_a_coverage_span_checks_itself() -> None:
    with pytest.raises(ValueError, match="coverage span"):
        CoverageSpan(1, 1, "analysed", "")
    with pytest.raises(ValueError, match="coverage span"):
        CoverageSpan(0, 1, "lost", "")
