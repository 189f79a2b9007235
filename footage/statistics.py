"""Plain measures of a sampled picture, from which health, entropy and dynamics are told later without decoding."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GREY_WIDTH = 320
"""Width at which pictures are measured: noise is averaged out, edges remain."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class FrameStatistics:
    """Measures of one picture.

    Attributes:
        luminance: mean grey level, 0 to 255.
        entropy_bits: Shannon entropy of the grey histogram, 0 to 8.
        sharpness: variance of the Laplacian, grey levels squared (Pech-Pacheco et al., ICPR 2000).
        motion: mean absolute change since the sampled picture before, in grey levels; 0 for the first.
    """

    luminance: float
    entropy_bits: float
    sharpness: float
    motion: float

    def __post_init__(self) -> None:
        if not (0 <= self.luminance <= 255 and 0 <= self.entropy_bits <= 8 and self.sharpness >= 0 <= self.motion):
            raise ValueError(f"measures out of their range: {self}")


def shannon_entropy(grey: Grey) -> float:
    """Entropy in bits of the histogram of 256 grey levels: H = −Σ p log2 p (Shannon 1948)."""
    counts = np.bincount(grey.ravel(), minlength=256)
    shares = counts[counts > 0] / grey.size
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def measure(grey: Grey, before: Grey | None) -> FrameStatistics:
    """Measure a grey picture, uint8 (h, w), against the sampled one before it (same size, or None)."""
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)
    motion = 0.0 if before is None or before.shape != grey.shape else float(cv2.absdiff(grey, before).mean())
    return FrameStatistics(
        luminance=float(grey.mean()),
        entropy_bits=shannon_entropy(grey),
        sharpness=float(np.asarray(laplacian).var()),
        motion=motion,
    )
