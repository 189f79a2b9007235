"""What an encoder is: pictures in, vectors out.

An `EncoderSpec` names everything that decides a vector and can be made without loading a network; its `space` is the
identity under which vectors are stored and compared. An `Encoder` is a spec brought to life on a device.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.layout import Layout

Kind = Literal["frame", "snippet"]
Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class EncoderSpec:
    """Everything that decides a vector.

    Attributes:
        name: `family/architecture/weights` (`family/architecture` where there are no weights).
        kind: one vector for a `frame`, or one for a `snippet` of several.
        input_size: height and width, in pixels, of the pictures the encoder takes.
        weights: `none`, `sha256:<hex>`, `hub:<tag>` or `random:<seed>`.
        preprocessing: what happens to the uint8 pixels, in words that change when it does.
        snippet_frames: pictures in a snippet; 1 for a frame encoder.
        snippet_rate_hz: rate, in pictures per second, at which a snippet is sampled; None for a frame encoder.
        version: raised when the arithmetic of the family changes.
        layout: what the values stand for, where they stand for places in the picture; decides no vector, and is no part
            of the space.
    """

    name: str
    kind: Kind
    input_size: tuple[int, int]
    weights: str
    preprocessing: str
    snippet_frames: int = 1
    snippet_rate_hz: float | None = None
    version: int = 1
    layout: Layout | None = None

    def __post_init__(self) -> None:
        if (self.kind == "snippet") != (self.snippet_rate_hz is not None):
            raise ValueError(f"a snippet encoder has a snippet_rate_hz, a frame encoder none: {self}")
        if self.kind == "frame" and self.snippet_frames != 1:
            raise ValueError(f"a frame encoder takes 1 picture, got snippet_frames = {self.snippet_frames}")
        if self.snippet_frames < 1 or min(self.input_size) < 1:
            raise ValueError(f"snippet_frames and input_size are at least 1: {self}")

    @property
    def family(self) -> str:
        return self.name.split("/", 1)[0]

    @property
    def snippet_s(self) -> float:
        """Length of a snippet in seconds; 0 for a frame."""
        return 0.0 if self.snippet_rate_hz is None else self.snippet_frames / self.snippet_rate_hz

    @property
    def space(self) -> str:
        """Identity of the vectors: readable name, then a hash of the fields above but the layout."""
        told = json.dumps(
            [
                self.name,
                self.kind,
                self.input_size,
                self.weights,
                self.preprocessing,
                self.snippet_frames,
                self.snippet_rate_hz,
                self.version,
            ]
        )
        readable = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return f"{readable}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


class Encoder(Protocol):
    """Pictures in, vectors out; deterministic; never sees a path."""

    @property
    def spec(self) -> EncoderSpec: ...

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        ...

    def encode(self, pixels: Pixels) -> Vectors:
        """Turn pictures into vectors.

        Args:
            pixels: uint8 RGB, (N, H, W, 3) for a frame encoder, (N, T, H, W, 3) for a snippet encoder, with
                (H, W) = `spec.input_size` and T = `spec.snippet_frames`; N may be 0.

        Returns:
            float32 (N, D), finite.

        Raises:
            ValueError: the shape or dtype is another.
        """
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """An encoder that also places words into its space."""

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """float32 (N, D), L2-normalised, comparable with `encode`'s vectors by cosine."""
        ...


def check_pixels(pixels: Pixels, spec: EncoderSpec) -> None:
    """Raise ValueError unless `pixels` is what an encoder of `spec` takes."""
    frames = () if spec.kind == "frame" else (spec.snippet_frames,)
    expected = (*frames, *spec.input_size, 3)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != expected:
        raise ValueError(
            f"{spec.name} takes uint8 pictures of shape (N, {', '.join(map(str, expected))}), "
            f"got {pixels.dtype} {pixels.shape}"
        )
