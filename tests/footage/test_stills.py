"""Stills: without what passes, the same whatever else is made, and of every window once."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from footage.index import FrameIndex
from footage.sampling import shards
from footage.stills import MOST_PICTURES, WINDOW_US, StillMaker, still_windows

Grey = NDArray[np.uint8]


def index_of(seconds: int, *, key_every: int = 50) -> FrameIndex:
    """One picture a second."""
    return FrameIndex(np.arange(seconds, dtype=np.int64), np.arange(seconds) % key_every == 0, Fraction(1))


def made(index: FrameIndex, span_s: float, lost: frozenset[int] = frozenset()) -> list[tuple[int, int, int]]:
    """(from_us, to_us, grey level) of every still of a recording whose pictures are as grey as their number, modulo 200."""
    found = []
    every = np.arange(len(index), dtype=np.int64)
    for shard in shards(index, span_s):
        maker = StillMaker(still_windows(index, shard, every[shard.owns(every)]))
        for number in range(shard.first, shard.last):
            if number not in lost:
                maker.take(number, np.full((4, 6), number % 200, dtype=np.uint8))
        found += [(window.from_us, window.to_us, int(picture[0, 0])) for window, picture in maker.finish()]
    return found


@given(seconds=st.integers(1, 4000), key_every=st.integers(1, 700), span_s=st.sampled_from([300.0, 900.0, 10_000.0]))
@settings(max_examples=40, deadline=None)
def test_windows_adjoin_and_fill_the_recording(seconds: int, key_every: int, span_s: float) -> None:
    index = index_of(seconds, key_every=key_every)
    found = made(index, span_s)
    assert found[0][0] == 0
    assert found[-1][1] == index.extent_us
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert all(0 < to_us - from_us <= WINDOW_US for from_us, to_us, _ in found)


def test_a_window_within_one_shard_has_the_same_still_however_the_recording_is_cut() -> None:
    index = index_of(3000, key_every=600)  # key frames lie on the windows' edges
    assert made(index, 600.0) == made(index, 1200.0) == made(index, 1e6)
    cut = {span[:2]: span for span in made(index_of(3000, key_every=50), 900.0)}
    whole = {span[:2]: span for span in made(index_of(3000, key_every=50), 1e6)}
    assert len(cut.keys() & whole.keys()) >= 3
    assert all(cut[span] == whole[span] for span in cut.keys() & whole.keys())


def test_few_pictures_of_a_window_are_held() -> None:
    index = index_of(2000)
    (shard,) = shards(index, 1e6)
    windows = still_windows(index, shard, np.arange(2000, dtype=np.int64))
    assert [len(window.pictures) for window in windows] == [MOST_PICTURES] * 4


def test_what_passes_is_not_in_the_still() -> None:
    index = index_of(90)
    (shard,) = shards(index, 1e6)
    windows = still_windows(index, shard, np.arange(90, dtype=np.int64))
    maker = StillMaker(windows)
    for number in range(90):
        picture = np.full((40, 60), 100, dtype=np.uint8)
        picture[:, number * 60 // 90 : number * 60 // 90 + 10] = 255
        maker.take(number, picture)
    ((_, still),) = maker.finish()
    assert (still == 100).all()


def test_pictures_that_cannot_be_decoded_are_left_out() -> None:
    index = index_of(1500)
    lost = frozenset(range(600, 1200))
    assert [span[0] for span in made(index, 1e6, lost)] == [0, 2 * WINDOW_US]
    assert made(index, 1e6, frozenset({0, 75})) != []
