"""Encoders that are quick and tell what they saw."""

from dataclasses import dataclass, field

import numpy as np

from models.encoders.base import EncoderSpec, Pixels, Vectors, check_pixels


@dataclass
class Means:
    """Mean of each colour of each picture; counts the pictures or snippets that it was given."""

    spec: EncoderSpec
    seen: list[int] = field(default_factory=list)

    @property
    def dimension(self) -> int:
        return 3 * self.spec.snippet_frames

    def encode(self, pixels: Pixels) -> Vectors:
        check_pixels(pixels, self.spec)
        self.seen.append(len(pixels))
        stacked = pixels.reshape(len(pixels), self.spec.snippet_frames, -1, 3)
        return np.asarray(stacked.mean(axis=2, dtype=np.float64).reshape(len(pixels), -1), dtype=np.float32)


def frame_means(name: str = "means/frame", size_px: int = 8) -> Means:
    return Means(EncoderSpec(name, "frame", (size_px, size_px), "none", "mean colours"))


def snippet_means(name: str = "means/snippet", frames: int = 4, rate_hz: float = 5.0, size_px: int = 8) -> Means:
    return Means(
        EncoderSpec(name, "snippet", (size_px, size_px), "none", "mean colours", frames, rate_hz),
    )
