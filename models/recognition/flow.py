"""From a clip to what a recognition network takes: which pictures, what size, which crops (row T2).

SlowFast's published data flow (Feichtenhofer et al. 2019, arXiv:1812.03982): the short side scaled to 256, crops of 256,
32 pictures two apart at 30 Hz (64/30 s = 2.13 s), mean 0.45 and standard deviation 0.225; for the published figures 10
clips × 3 crops of each video, their class probabilities averaged. TSN and TSM look at the middles of equal segments of the
whole clip instead (Wang et al. 2016, arXiv:1608.00859; Lin et al. 2019, arXiv:1811.08383).

Pictures are scaled bilinearly without antialiasing: the published weights were trained and tested on frames scaled by
`torch.nn.functional.interpolate`, which has none, and a smoother picture is one the network has not seen.

Whatever decodes a clip gives the same tensors for the same pixels and times: only those come in here.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # ships no type information

from infra.errors import ConfigurationError
from infra.weights import WeightsFile
from models.encoders.architectures import KINETICS_GREY, Normalisation
from models.encoders.base import EncoderSpec
from models.encoders.specs import normalisation
from models.encoders.video_architectures import VIDEO

Sampling = Literal["dense", "segments"]
Times = NDArray[np.int64]
Rgb = NDArray[np.uint8]

MICROSECONDS: Final = 1_000_000
CUSTOMARY_RATE_HZ: Final = 30.0
"""Rate of the footage that published strides count pictures of."""
MOST_CLIPS: Final = 100
CROPS: Final = (1, 3)
SHORT_SIDES_PX: Final = {112: 128, 224: 256}
"""Short side to which a picture is scaled before a centre crop of such a size is taken, as published for torchvision's
video networks and C3D (128, 112) and for TSN and TSM (256, 224); other networks take the whole short side."""
WHOLE_SHORT_SIDE: Final = ("resnet3d_",)
"""Networks of those sizes that take it too (Hara et al. 2018, arXiv:1711.09577)."""
SEGMENT_NETWORKS: Final = ("tsn_", "tsm_")


@dataclass(frozen=True)
class RecognitionFlow:
    """Which views of a clip a network sees. The defaults are SlowFast's; see the module.

    Attributes:
        short_side_px: to which a picture's short side is scaled, its aspect kept; at least `crop_px`.
        crop_px: side of the square crops.
        frames: pictures T of a view.
        stride: of so many pictures at `rate_hz` one is taken (`dense` only).
        rate_hz: pictures per second that the stride counts.
        clips: views in time of one clip.
        crops: views in place: 1 (centre) or 3 (left, centre, right; top, centre, bottom of an upright picture).
        sampling: `dense` takes pictures `stride` apart, `segments` one from each of T equal segments of the whole clip.
        normalisation: mean and standard deviation per RGB channel, in the unit range.
    """

    short_side_px: int = 256
    crop_px: int = 256
    frames: int = 32
    stride: int = 2
    rate_hz: float = CUSTOMARY_RATE_HZ
    clips: int = 1
    crops: int = 1
    sampling: Sampling = "dense"
    normalisation: Normalisation = KINETICS_GREY

    def __post_init__(self) -> None:
        if not 1 <= self.crop_px <= self.short_side_px:
            raise ConfigurationError(
                f"a crop has 1 pixel or more and at most the short side's, got crop_px {self.crop_px} and short_side_px "
                f"{self.short_side_px}; correct them"
            )
        if self.frames < 1 or self.stride < 1 or not 0 < self.rate_hz <= 1000:
            raise ConfigurationError(
                f"frames and stride are at least 1 and rate_hz is above 0 and at most 1000, got {self.frames}, "
                f"{self.stride} and {self.rate_hz}; correct them"
            )
        if not 1 <= self.clips <= MOST_CLIPS or self.crops not in CROPS:
            raise ConfigurationError(
                f"clips are 1 to {MOST_CLIPS} and crops 1 or 3, got {self.clips} and {self.crops}; "
                "the published test takes 10 clips and 3 crops"
            )
        if self.sampling not in ("dense", "segments"):
            raise ConfigurationError(f'sampling is "dense" or "segments", got "{self.sampling}"; correct it')

    @property
    def views(self) -> int:
        """Views of a clip: those in time by those in place."""
        return self.clips * self.crops

    @property
    def length_us(self) -> int:
        """Length of a dense view in microseconds, T strides; the span is half open."""
        return round(self.frames * self.stride / self.rate_hz * MICROSECONDS)

    @property
    def words(self) -> str:
        """As a person would say it."""
        if self.sampling == "segments":
            when = f"{self.frames} pictures, one of each of as many segments"
        else:
            when = f"{self.frames} pictures in {self.length_us / MICROSECONDS:.2f} s"
        return f"{when}; short side {self.short_side_px}, crop {self.crop_px}; {self.clips} × {self.crops} views"

    def times_us(self, duration_us: int) -> Times:
        """Times of the pictures of every view in time.

        Dense views lie evenly from the clip's beginning to its end, a single one in its middle, and picture k of a view
        stands `k · stride / rate_hz` behind its beginning. So does PySlowFast's test with `DATA.USE_OFFSET_SAMPLING`, which
        is off unless said: without it view i of c begins at i / c of what the clip is longer than a view, the first at the
        clip's beginning and none at its end. In a clip shorter than a view, the times
        go on behind its end, where its last picture stands. Of segments, view i of c takes the point (i + ½) / c of each.

        Args:
            duration_us: of the clip, at least 1.

        Returns:
            int64 (clips, T), microseconds since the clip's first picture, not decreasing along T.

        Raises:
            ValueError: the clip has no duration.
        """
        if duration_us < 1:
            raise ValueError(f"a clip has a duration of at least 1 µs, got {duration_us}")
        number = np.arange(self.frames)
        if self.sampling == "segments":
            within = (np.arange(self.clips) + 0.5)[:, None] / self.clips
            return np.asarray(np.floor((number + within) * (duration_us / self.frames)), np.int64)
        room_us = max(0, duration_us - self.length_us)
        shares = np.array([0.5]) if self.clips == 1 else np.linspace(0.0, 1.0, self.clips)
        offsets = np.rint(number * (self.stride / self.rate_hz * MICROSECONDS)).astype(np.int64)
        return np.asarray(np.floor(shares * room_us).astype(np.int64)[:, None] + offsets)

    def scaled(self, rgb: Rgb) -> Tensor:
        """A picture with its short side scaled; the long side is rounded down, as the published code has it.

        Args:
            rgb: uint8 (H, W, 3).

        Returns:
            float32 (3, h, w) in the unit range, min(h, w) = `short_side_px`.

        Raises:
            ValueError: it is no such picture.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise ValueError(f"a picture is uint8 RGB of shape (H, W, 3), got {rgb.dtype} {rgb.shape}")
        height, width = rgb.shape[:2]
        # In floating point before it is scaled: what is rounded to uint8 again differs by half a grey level.
        unit = torch.from_numpy(np.require(rgb, requirements=["C", "W"])).permute(2, 0, 1).float() / 255
        short = min(height, width)
        size = [height * self.short_side_px // short, width * self.short_side_px // short]
        scaled: Tensor = functional.resize(
            unit, size, interpolation=functional.InterpolationMode.BILINEAR, antialias=False
        )
        return scaled

    def cropped(self, scaled: Tensor) -> Tensor:
        """The normalised crops of a view's scaled pictures.

        Args:
            scaled: float32 (T, 3, h, w), as `scaled` gives them.

        Returns:
            float32 (crops, 3, T, s, s), s = `crop_px`; three crops lie from the left to the right, or, in an upright
            picture, from the top to the bottom.
        """
        height, width = scaled.shape[-2:]
        side = self.crop_px
        top, left = _middle(height - side), _middle(width - side)
        if self.crops == 1:
            corners = [(top, left)]
        elif height > width:
            corners = [(at, left) for at in (0, top, height - side)]
        else:
            corners = [(top, at) for at in (0, left, width - side)]
        crops = torch.stack([functional.crop(scaled, *corner, side, side) for corner in corners])
        pixels = self.normalisation
        normal: Tensor = functional.normalize(crops, list(pixels.mean), list(pixels.std))
        return normal.transpose(1, 2).contiguous()

    def view(self, pictures: Rgb) -> Tensor:
        """uint8 (T, H, W, 3) → float32 (crops, 3, T, s, s): the crops of one view in time."""
        return self.cropped(torch.stack([self.scaled(picture) for picture in pictures]))


def _middle(room: int) -> int:
    """Half the room, rounded up, as PySlowFast's `uniform_crop` has it."""
    return -(-room // 2)


def pictures_at(t_us: Times, at_us: Times) -> Times:
    """Which picture of a clip stands at each time: the last that has begun, the last of all behind the end.

    Args:
        t_us: int64 (P,), when each picture begins, increasing, from 0 on.
        at_us: int64, any shape.

    Returns:
        int64, the shape of `at_us`, indices of pictures.
    """
    return np.asarray(np.clip(np.searchsorted(t_us, at_us, side="right") - 1, 0, len(t_us) - 1), np.int64)


def flow_of(
    spec: EncoderSpec, weights: WeightsFile | None = None, *, clips: int = 1, crops: int = 1
) -> RecognitionFlow:
    """The flow of a video network: its pictures, rate, size and normalisation as its encoder has them.

    Args:
        spec: of the network.
        weights: the workspace's file for it, if it has one.
        clips, crops: views of a clip.

    Raises:
        ConfigurationError: the encoder is no video network.
    """
    if spec.family not in VIDEO or spec.snippet_rate_hz is None:
        raise ConfigurationError(
            f"{spec.name} is no video network; name one of the families {', '.join(sorted(VIDEO))}, as "
            "pytorchvideo/slowfast_r50"
        )
    size_px = spec.input_size[0]
    architecture = spec.name.split("/")[1]
    stride = round(CUSTOMARY_RATE_HZ / spec.snippet_rate_hz)
    at_customary = stride >= 1 and abs(stride * spec.snippet_rate_hz - CUSTOMARY_RATE_HZ) < 1e-9
    dense = RecognitionFlow(
        short_side_px=size_px if architecture.startswith(WHOLE_SHORT_SIDE) else SHORT_SIDES_PX.get(size_px, size_px),
        crop_px=size_px,
        frames=spec.snippet_frames,
        stride=stride if at_customary else 1,
        rate_hz=CUSTOMARY_RATE_HZ if at_customary else spec.snippet_rate_hz,
        clips=clips,
        crops=crops,
        normalisation=normalisation(spec.name, weights),
    )
    return replace(dense, sampling="segments") if architecture.startswith(SEGMENT_NETWORKS) else dense
