"""What is trained on and what is tested on, as vectors: frames of slices, and the pool that labels are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.embedding import Embedded, sampled_frames
from evaluation.leakage import Slice
from infra.errors import ConfigurationError
from models.labelling import middles, temporal_slices

Labels = NDArray[np.bool_]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EmbeddedSlice:
    """Frames of one slice, embedded: float32 (N, D) vectors, the spans they speak for, and the truth of each."""

    slice: Slice
    vectors: NDArray[np.float32]
    from_us: Numbers
    to_us: Numbers
    relevant: Labels

    @classmethod
    def of(cls, piece: Slice, embedded: Embedded, rate_hz: float) -> "EmbeddedSlice":
        video, index = piece.video, piece.video.index
        sampled = sampled_frames(index, rate_hz)
        starts = index.t_us[sampled]
        # A frame speaks for the time up to the next one that was asked for, however it fared, and not across a hole.
        ends = np.minimum(np.append(starts[1:], index.extent_us), starts + index.hold_us)
        truth = np.zeros(len(index), dtype=np.bool_)
        for first, last in video.relevant:
            truth[first:last] = True
        mine = np.flatnonzero((embedded.frames >= piece.first) & (embedded.frames < piece.last))
        frames = embedded.frames[mine]
        places = np.searchsorted(sampled, frames)
        begin = video.starts_at_us
        return cls(piece, embedded.vectors[mine], starts[places] + begin, ends[places] + begin, truth[frames])

    @property
    def events(self) -> NDArray[np.int64]:
        """int64 (M, 2): the relevant spans of the slice in microseconds, also where frames of them are lost."""
        video = self.slice.video
        spans = [(video.at_us(first), video.at_us(last)) for first, last in self.slice.relevant]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    @property
    def seconds(self) -> float:
        return float((self.to_us - self.from_us).sum() / 1e6)


@dataclass(frozen=True, eq=False)
class Pool:
    """What a camera's training part offers to be labelled: one frame for each temporal slice."""

    vectors: NDArray[np.float32]
    relevant: Labels

    @classmethod
    def of(cls, parts: Sequence[EmbeddedSlice], slice_s: float) -> "Pool":
        """The pool of one camera; no slice is longer than `slice_s` seconds.

        Raises:
            ConfigurationError: one class has nothing.
        """
        ordered = sorted(parts, key=lambda rows: rows.slice.from_us)
        vectors = np.concatenate([rows.vectors for rows in ordered])
        from_us, to_us = (np.concatenate([getattr(rows, name) for rows in ordered]) for name in ("from_us", "to_us"))
        relevant = np.concatenate([rows.relevant for rows in ordered])
        chosen = middles(temporal_slices(vectors, from_us, to_us, longest_s=slice_s))
        if not 0 < relevant[chosen].sum() < len(chosen):
            raise ConfigurationError(
                f"the training part of camera {ordered[0].slice.video.camera} has {int(relevant[chosen].sum())} relevant "
                f"slices of {len(chosen)}; both classes are needed: label more of its days or visits"
            )
        return cls(vectors[chosen], relevant[chosen])

    @property
    def counts(self) -> tuple[int, int]:
        """Relevant and irrelevant slices."""
        return int(self.relevant.sum()), int((~self.relevant).sum())

    def orders(self, seed: tuple[int, ...]) -> tuple[Numbers, Numbers]:
        """Relevant and irrelevant samples, int64, each in a random order of its own that the seed decides."""
        random = np.random.default_rng(seed)
        return random.permutation(np.flatnonzero(self.relevant)), random.permutation(np.flatnonzero(~self.relevant))
