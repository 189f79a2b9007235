"""Cuts: where a recording goes from one scene to another between two pictures, as a switcher or an editor makes it.

Sampled pictures tell between which of them one may lie; only what is between these is decoded again.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.decode import decode
from footage.index import FrameIndex, Span
from footage.pictures import Picture
from footage.regions import WHOLE

LEAST_CHANGE = 8.0
"""Grey levels that a sampled picture differs from the one before, on average, where there may be a cut between them."""
STANDS_OUT = 3.0
"""How many times the usual change of a recording that is; usual is the lower quartile, below which no cuts are counted."""
WIDTH = 160
"""Pixels at which pictures are compared: noise is averaged out."""
WINDOW = 2
"""Pictures before and after one whose changes it is held against."""
CONTENT = 15.0
"""Least change of brightness at a cut, in levels of 255: PySceneDetect's own default."""
RATIO = 3.0
"""How many times the changes around it that is: likewise."""


def changed_spans(t_us: NDArray[np.int64], motion: NDArray[np.float64]) -> list[Span]:
    """The spans between neighbouring sampled pictures of a recording between which there may be a cut.

    Args:
        t_us: int64 (N,), rising, times of the sampled pictures.
        motion: (N,), mean absolute change since the one before, in grey levels; that of the first does not count.

    Returns:
        `(from_us, to_us)` in order of time; none where no change stands out.
    """
    changes = motion[1:]
    if not len(changes):
        return []
    usual = float(np.quantile(changes, 0.25))
    rows = np.flatnonzero(changes >= max(LEAST_CHANGE, STANDS_OUT * usual))
    return [(int(t_us[row]), int(t_us[row + 1])) for row in rows]


def find_cuts(path: Path, index: FrameIndex, spans_us: Sequence[Span], *, threads: int = 0) -> NDArray[np.int64]:
    """Times of the pictures that begin a new scene, by PySceneDetect's adaptive detector.

    It takes for a cut a change of brightness from one picture to the next of at least `CONTENT` levels that is at least
    `RATIO` times the changes around it. A scene that fades into another is none.

    Args:
        path: the recording.
        index: its frame index.
        spans_us: `(from_us, to_us)` in which cuts are looked for; a cut is after `from_us` and at `to_us` at the latest.
            Nothing but these, and a few pictures on either side, is decoded.
        threads: decoding threads; 0 for one per core.

    Returns:
        int64 (M,), rising, microseconds since the first picture. What cannot be decoded has no cuts.

    Raises:
        DecodeError: the file cannot be opened as the recording it was.
    """
    wanted = np.zeros(len(index), dtype=np.bool_)
    inside = np.zeros(len(index), dtype=np.bool_)
    for from_us, to_us in spans_us:
        first, last = np.searchsorted(index.t_us, [from_us, to_us], side="right")
        inside[first:last] = True
        wanted[max(0, first - 1 - WINDOW) : last + WINDOW] = True
    numbers = np.flatnonzero(wanted).astype(np.int64)
    found = [cut for run in _runs(decode(path, index, numbers, threads=threads)) for cut in run.cuts()]
    cuts = np.array(found, dtype=np.int64)
    return np.asarray(index.t_us[cuts[inside[cuts]]], dtype=np.int64)


class _Run:
    """Pictures that follow one another, as the detector sees them."""

    def __init__(self) -> None:
        from scenedetect import AdaptiveDetector  # brings much along, for the few cameras whose recordings have cuts

        self._detector = AdaptiveDetector(
            adaptive_threshold=RATIO, min_scene_len=1, window_width=WINDOW, min_content_val=CONTENT, luma_only=True
        )
        self._numbers: list[int] = []
        self._cuts: list[int] = []
        self._last: NDArray[np.uint8] | None = None

    def follows(self, number: int) -> bool:
        return not self._numbers or number == self._numbers[-1] + 1

    def feed(self, picture: Picture) -> None:
        height = max(1, round(picture.size[0] * WIDTH / picture.size[1]))
        view = picture.view(WHOLE, (height, WIDTH))
        # A run has no past: standing still before it, its first pictures are judged as well.
        for _ in range(1 if self._numbers else 1 + WINDOW):
            self._numbers.append(picture.index)
            self._process(view)
        self._last = view

    def cuts(self) -> list[int]:
        """Numbers of the pictures that begin a scene."""
        for _ in range(WINDOW if self._last is not None else 0):
            self._numbers.append(self._numbers[-1])
            self._process(self._last)
        return self._cuts

    def _process(self, view: Any) -> None:
        from scenedetect import FrameTimecode

        moment = FrameTimecode(len(self._numbers) - 1, fps=25.0)
        self._cuts += [self._numbers[cut.frame_num] for cut in self._detector.process_frame(moment, view)]


def _runs(pictures: Iterator[Picture]) -> Iterator[_Run]:
    """The pictures in runs of neighbours."""
    run: _Run | None = None
    for picture in pictures:
        if run is None or not run.follows(picture.index):
            if run is not None:
                yield run
            run = _Run()
        run.feed(picture)
    if run is not None:
        yield run
