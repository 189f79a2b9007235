"""What is known of each video network without loading it: frames, rate, size, normalisation, settable options."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra.errors import ConfigurationError
from infra.weights import Option
from models.encoders.architectures import IMAGENET, KINETICS, KINETICS_GREY, Normalisation

LOGITS = "+logits"
"""Ending of an architecture's name that asks for the classifier's logits in place of features."""

CLIP_S = 64 / 30
"""Length of SlowFast's clip: 64 pictures at 30 Hz. TSN and TSM take their segments from a clip of this length."""


@dataclass(frozen=True)
class VideoArchitecture:
    """A snippet encoder as its published weights were trained and tested.

    Attributes:
        frames: pictures in a snippet.
        rate_hz: pictures per second of a snippet.
        size_px: side of the square input, in pixels.
        normalisation: of the published weights.
        alpha: SlowFast's ratio of frame rates, fast to slow; 0 for other networks.
        beta: SlowFast's ratio of channels, slow to fast; 0 for other networks.
        options: what an entry of weights.toml may set.
    """

    frames: int
    rate_hz: float
    size_px: int
    normalisation: Normalisation
    alpha: int = 0
    beta: int = 0
    options: tuple[str, ...] = ()


# Frames, rate and size as in the weights' own metadata: 16 frames at 15 Hz, crop 112.
TORCHVISION = {
    "mc3_18": VideoArchitecture(16, 15.0, 112, KINETICS),
    "r2plus1d_18": VideoArchitecture(16, 15.0, 112, KINETICS),
    "r3d_18": VideoArchitecture(16, 15.0, 112, KINETICS),
}

# The model zoo's "frames x stride" of footage at 30 Hz, and the crop of its inference transforms.
PYTORCHVIDEO = {
    "r2plus1d_r50": VideoArchitecture(16, 30 / 4, 256, KINETICS_GREY),
    "slow_r50": VideoArchitecture(8, 30 / 8, 256, KINETICS_GREY),
    "slowfast_r50": VideoArchitecture(32, 30 / 2, 256, KINETICS_GREY, alpha=4, beta=8),
    "x3d_m": VideoArchitecture(16, 30 / 5, 256, KINETICS_GREY),
    "x3d_s": VideoArchitecture(13, 30 / 6, 182, KINETICS_GREY),
    "x3d_xs": VideoArchitecture(4, 30 / 12, 182, KINETICS_GREY),
}

# In grey levels: mean 104, 117, 128 and no scaling.
C3D_LEVELS = Normalisation((104 / 255, 117 / 255, 128 / 255), (1 / 255, 1 / 255, 1 / 255))
HARA = Normalisation((0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737))

C3D_FRAMES, C3D_SIZE_PX = 16, 112
LEAST = {"c3d": 16}
"""Fewest frames and least size of a network whose poolings would leave nothing of less."""

# The normalisation is that of the weights most people have: of SlowFast 8x8 pytorchvideo's, of 4x16 MMAction2's.
AFTERWATCH = {
    "c3d": VideoArchitecture(C3D_FRAMES, 30.0, C3D_SIZE_PX, C3D_LEVELS, options=("frames", "size")),
    "resnet3d_50": VideoArchitecture(16, 30.0, 112, HARA, options=("frames", "size")),
    "slowfast_r50_4x16": VideoArchitecture(
        32, 15.0, 256, IMAGENET, alpha=8, beta=8, options=("alpha", "beta", "frames")
    ),
    "slowfast_r50_8x8": VideoArchitecture(
        32, 15.0, 256, KINETICS_GREY, alpha=4, beta=8, options=("alpha", "beta", "frames")
    ),
    "tsm_r50": VideoArchitecture(8, 8 / CLIP_S, 224, IMAGENET, options=("segments",)),
    "tsn_r50": VideoArchitecture(8, 8 / CLIP_S, 224, IMAGENET, options=("segments",)),
}

VIDEO = {"afterwatch": AFTERWATCH, "pytorchvideo": PYTORCHVIDEO, "torchvision": TORCHVISION}

# Family → architecture → tags of its hub, the default first; absent where no hub has weights.
HUB_TAGS = {
    "afterwatch": {
        "c3d": ("ucf101",),
        "slowfast_r50_4x16": ("kinetics400",),
        "slowfast_r50_8x8": ("kinetics400",),
        "tsm_r50": ("kinetics400",),
        "tsn_r50": ("kinetics400",),
    },
    "pytorchvideo": dict.fromkeys(PYTORCHVIDEO, ("kinetics400",)),
    "torchvision": dict.fromkeys(TORCHVISION, ("KINETICS400_V1",)),
}


def with_options(name: str, architecture: VideoArchitecture, options: Mapping[str, Option]) -> VideoArchitecture:
    """`architecture` as the options of a weights file have it.

    More `segments` lie in a clip of the same length; more `frames` make a longer clip; `size` is the side of its pictures.

    Args:
        name: of the encoder, for messages.
        architecture: the published one.
        options: `alpha`, `beta`, `frames`, `segments` or `size`, as far as the architecture takes them.

    Raises:
        ConfigurationError: the architecture takes no such option, or a value is out of its range.
    """
    others = sorted(set(options) - set(architecture.options))
    if others:
        takes = f"the options {', '.join(architecture.options)}" if architecture.options else "no options"
        raise ConfigurationError(f"{name} takes {takes}, got {dict(options)}; correct its entry in weights.toml")
    numbers: dict[str, int] = {}
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1024:
            raise ConfigurationError(
                f"{name}: option {option} is a whole number from 1 to 1024, got {value!r}; correct weights.toml"
            )
        least = LEAST.get(name.split("/")[1].removesuffix(LOGITS), 1)
        if value < least:
            raise ConfigurationError(
                f"{name}: option {option} is at least {least}, got {value}: its poolings would leave nothing; "
                "correct weights.toml"
            )
        numbers[option] = value
    if "segments" in numbers:
        return replace(architecture, frames=numbers["segments"], rate_hz=numbers["segments"] / CLIP_S)
    changed = replace(
        architecture,
        frames=numbers.get("frames", architecture.frames),
        size_px=numbers.get("size", architecture.size_px),
        alpha=numbers.get("alpha", architecture.alpha),
        beta=numbers.get("beta", architecture.beta),
    )
    if changed.alpha and changed.frames % changed.alpha:
        raise ConfigurationError(
            f"{name}: {changed.frames} frames are not a multiple of alpha = {changed.alpha}, the fast pathway's "
            "frames to one of the slow pathway's; correct the options frames and alpha in weights.toml"
        )
    if changed.beta and 64 % changed.beta:
        raise ConfigurationError(
            f"{name}: beta = {changed.beta} does not divide the slow pathway's 64 channels; "
            "correct the option beta in weights.toml"
        )
    return changed
