"""What a camera shows when nobody is there: a small grey picture for about every ten minutes of a recording.

A still is the median, pixel by pixel, of a few sampled pictures spread evenly over a window: what passes is gone, what
stays is there. Windows lie on a grid anchored to the recording's own start. A shard that begins inside a window (shards
begin at key frames) gives its own part of it a still, so a recording's stills depend on its shards, and on nothing else:
not on the worker, nor on what else is made in the same pass. A recording of one shard has one still to a window.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from footage.index import MICROSECONDS, FrameIndex
from footage.sampling import Indices, Shard

WINDOW_US = 600 * MICROSECONDS
MOST_PICTURES = 9
"""Pictures of a still at most. Something must stand in one place in half of them to be seen."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class StillWindow:
    """A window of a shard, `[from_us, to_us)` of the recording, and the pictures its still is made of."""

    from_us: int
    to_us: int
    pictures: Indices

    def __post_init__(self) -> None:
        if self.from_us >= self.to_us or not len(self.pictures):
            raise ValueError(f"a still's window is not empty, got [{self.from_us}, {self.to_us})")


def still_windows(index: FrameIndex, shard: Shard, sampled: Indices) -> list[StillWindow]:
    """The windows of a shard in which pictures were sampled, in order of time.

    Args:
        index: of the whole recording.
        shard: whose windows.
        sampled: int64 (S,), sampled pictures of the shard, increasing.
    """
    begin_us = int(index.t_us[shard.first])
    end_us = int(index.t_us[shard.last]) if shard.last < len(index) else index.extent_us
    numbers = index.t_us[sampled] // WINDOW_US
    windows = []
    for number in np.unique(numbers):
        mine = sampled[numbers == number]
        places = np.linspace(0, len(mine) - 1, min(len(mine), MOST_PICTURES)).round().astype(np.int64)
        from_us, to_us = int(number) * WINDOW_US, (int(number) + 1) * WINDOW_US
        windows.append(StillWindow(max(from_us, begin_us), min(to_us, end_us), mine[places]))
    return windows


class StillMaker:
    """Collects pictures as they are decoded, in order; holds those of one window at a time.

    Args:
        windows: of a shard.
    """

    def __init__(self, windows: list[StillWindow]) -> None:
        self._waiting = list(windows)
        self._pictures: list[Grey] = []
        self._made: list[tuple[StillWindow, Grey]] = []

    def take(self, index: int, grey: Grey) -> None:
        """Offer a picture, uint8 (h, w); those that no window asks for are passed over."""
        while self._waiting and index > self._waiting[0].pictures[-1]:
            self._close()
        if self._waiting and index in self._waiting[0].pictures:
            self._pictures.append(grey)

    def finish(self) -> list[tuple[StillWindow, Grey]]:
        """The stills, in order of time; none of a window of which no picture could be decoded."""
        while self._waiting:
            self._close()
        return self._made

    def _close(self) -> None:
        window, pictures = self._waiting.pop(0), self._pictures
        self._pictures = []
        alike = [picture for picture in pictures if picture.shape == pictures[0].shape]
        if alike:
            self._made.append((window, np.median(np.stack(alike), axis=0).astype(np.uint8)))
