"""Videos cut into snippets end to end, each with a vector and a label: what the thesis (S4) is measured on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledVideo
from evaluation.embedding import Looking, embed_pictures
from evaluation.leakage import Slice
from footage.index import MICROSECONDS, FrameIndex
from footage.regions import WHOLE
from models.encoders.base import Encoder

FRAMES, FRAME_HZ = 16, 30.0
"""Of a snippet whose encoder looks at single frames: the thesis' 16, at the rate of the official videos."""
ANOMALOUS_SHARE = 0.25
"""A snippet is anomalous from this share of its pictures on: 4 of 16 (S4: "more than 3")."""
ROUNDING_US = 500
"""Far less than a picture lasts, and more than times are rounded by."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Snippets:
    """Snippets of several videos, in order of video and time.

    Attributes:
        vectors: float32 (N, D).
        video: int64 (N,), number of its video.
        first, last: int64 (N,), its frames, half open.
        from_us, to_us: int64 (N,), its time within the video.
        anomalous: bool (N,).
        videos: all that were cut, also those too short for one snippet.
    """

    vectors: NDArray[np.float32]
    video: Numbers
    first: Numbers
    last: Numbers
    from_us: Numbers
    to_us: Numbers
    anomalous: NDArray[np.bool_]
    videos: tuple[LabelledVideo, ...]

    def __len__(self) -> int:
        return len(self.video)

    def slices(self, rows: Numbers) -> list[Slice]:
        """Frames of chosen snippets, rising, adjoining ones as one slice; for the guard."""
        slices: list[Slice] = []
        for row in rows.tolist():
            video, first, last = self.videos[self.video[row]], int(self.first[row]), int(self.last[row])
            if slices and slices[-1].video is video and slices[-1].last == first:
                first = slices.pop().first
            slices.append(Slice(video, first, last))
        return slices


def cut_into_snippets(
    videos: Sequence[LabelledVideo],
    encoder: Encoder,
    looking: Looking,
    cache: Path | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Snippets:
    """Cut videos end to end; what is left over at a video's end is no snippet, nor is one that cannot be decoded."""
    parts = []
    for number, video in enumerate(videos):
        pictures, starts, ends = _pictures(video.index, encoder)
        seen = pictures if encoder.spec.kind == "snippet" else pictures[:, FRAMES // 2 : FRAMES // 2 + 1]

        def told(share: float, number: int = number) -> None:
            progress((number + share) / len(videos))

        (embedded,) = embed_pictures(video, WHOLE, [(encoder, seen)], looking, cache, told)
        truth = np.zeros(len(video.index), dtype=np.bool_)
        for begin, end in video.relevant:
            truth[begin:end] = True
        shown, from_us, to_us = (column[embedded.frames] for column in (pictures, starts, ends))
        needed = math.ceil(ANOMALOUS_SHARE * pictures.shape[1])
        parts.append(
            (
                embedded.vectors,
                np.full(len(shown), number, dtype=np.int64),
                np.searchsorted(video.index.t_us, from_us - ROUNDING_US).astype(np.int64),
                np.searchsorted(video.index.t_us, to_us - ROUNDING_US).astype(np.int64),
                from_us,
                to_us,
                np.count_nonzero(truth[shown] & (shown >= 0), axis=1) >= needed,
            )
        )
    vectors, *columns, anomalous = (np.concatenate(column) for column in zip(*parts, strict=True))
    video_of, begins, ends, from_us, to_us = columns
    return Snippets(vectors, video_of, begins, ends, from_us, to_us, anomalous, tuple(videos))


def _pictures(index: FrameIndex, encoder: Encoder) -> tuple[Numbers, Numbers, Numbers]:
    """int64 (N, T) pictures of each whole snippet, and int64 (N,) its start and end in microseconds.

    A picture is that on display in the middle of its step: at its beginning, rounding would show the one before.
    """
    spec = encoder.spec
    count, rate_hz = (FRAMES, FRAME_HZ) if spec.snippet_rate_hz is None else (spec.snippet_frames, spec.snippet_rate_hz)
    step_us = MICROSECONDS / rate_hz
    whole = int((index.extent_us + ROUNDING_US) // (count * step_us))
    bounds = np.rint(np.arange(whole + 1) * (count * step_us)).astype(np.int64)
    middles = np.rint((np.arange(count) + 0.5) * step_us).astype(np.int64)
    return index.on_display(bounds[:-1, None] + middles[None, :]), bounds[:-1], bounds[1:]
