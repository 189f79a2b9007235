"""From an encoder's name to its specification, in milliseconds: no network library is imported.

A name reads `family/architecture` or `family/architecture/weights`. The third part is a tag of the library's hub, the
word `random` (untrained, seed 0: for tests and baselines only), or, beside a file from the workspace, a tag or any
label. A network without a third part takes its file from the workspace or else a default tag. A video network's
architecture may end in `+logits`: its vectors are then the classifier's logits, else the features before the classifier.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from infra.errors import ConfigurationError, UnknownNameError, WeightsError
from infra.weights import Option, WeightsFile
from models.autoencoders.settings import ARCHITECTURES as AUTOENCODERS
from models.autoencoders.settings import AutoencoderSettings, settings_of
from models.encoders.architectures import (
    OPEN_CLIP_DEFAULT_TAGS,
    TIMM_DEFAULT_TAGS,
    Normalisation,
    open_clip_normalisation,
    open_clip_sizes,
    timm_architectures,
    timm_normalisation,
    timm_size_px,
)
from models.encoders.base import EncoderSpec
from models.encoders.video_architectures import HUB_TAGS, LOGITS, VIDEO, VideoArchitecture, with_options
from models.layout import Layout

FAMILIES = ("afterwatch", "autoencoder", "handcrafted", "open_clip", "pytorchvideo", "timm", "torchvision")
RANDOM = "random"
LOCAL = "local"
RATE = "snippet_rate_hz"
"""Option of an autoencoder: pictures per second of the footage it was trained on."""
CUBOID_RATE_HZ = 10.0

HANDCRAFTED = {
    "action": EncoderSpec(
        name="handcrafted/action",
        kind="snippet",
        input_size=(192, 320),
        weights="none",
        preprocessing="region squashed to 192x320, not cropped; grey; logarithm of a Gaussian of motion, whatever its place",
        snippet_frames=16,
        snippet_rate_hz=8.0,
    ),
    "appearance": EncoderSpec(
        name="handcrafted/appearance",
        kind="frame",
        input_size=(128, 128),
        weights="none",
        preprocessing="region squashed to 128x128, not cropped; grid of oriented gradients and CIE Lab colour layout",
    ),
    "motion": EncoderSpec(
        name="handcrafted/motion",
        kind="snippet",
        input_size=(120, 160),
        weights="none",
        preprocessing="region squashed to 120x160, not cropped; grey; grid of optical-flow histograms",
        snippet_frames=16,
        snippet_rate_hz=8.0,
        layout=Layout(6, 8, (("direction", 8), ("speed", 3), ("moving", 1))),
    ),
    "velocity": EncoderSpec(
        name="handcrafted/velocity",
        kind="snippet",
        input_size=(240, 360),
        weights="none",
        preprocessing="region squashed to 240x360, not cropped; grey; velocity of moving pixels around a grid of places",
        snippet_frames=4,
        snippet_rate_hz=10.0,
        layout=Layout(12, 18, (("direction", 2), ("speed", 1), ("moving", 1))),
    ),
}


class EncoderName(NamedTuple):
    """The parts of an encoder's name; `label` is its third part, if it has one."""

    family: str
    architecture: str
    label: str | None


def split_name(name: str) -> EncoderName:
    """Split `family/architecture[/weights]`.

    Raises:
        ConfigurationError: the name has not two or three parts, or (UnknownNameError) the family is not known.
    """
    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ConfigurationError(
            f'encoder "{name}" does not read family/architecture or family/architecture/weights; '
            'write "open_clip/ViT-B-32", say'
        )
    if parts[0] not in FAMILIES:
        raise UnknownNameError("encoder family", parts[0], FAMILIES)
    return EncoderName(parts[0], parts[1], parts[2] if len(parts) == 3 else None)


def describe(name: str, weights: WeightsFile | None = None) -> EncoderSpec:
    """Say everything that decides the vectors of encoder `name`.

    The returned name always has its third part where there are weights (`open_clip/ViT-B-32` becomes
    `open_clip/ViT-B-32/laion2b_s34b_b79k`, or `open_clip/ViT-B-32/local` with a file), so that describing it again
    gives the same specification.

    Args:
        name: `family/architecture` or `family/architecture/weights`.
        weights: the workspace's file for this encoder; it goes before any hub.

    Raises:
        UnknownNameError: a part of the name is not known; the message lists those that are.
        ConfigurationError: name and weights contradict one another, or no default weights are known.
        WeightsError: the name asks for a local file and none was given.
    """
    parts = split_name(name)
    match parts.family:
        case "handcrafted":
            return _handcrafted(name, parts, weights)
        case "autoencoder":
            return _autoencoder(name, parts, weights)
        case "afterwatch" | "pytorchvideo" | "torchvision":
            return _video(name, parts, weights)
        case "open_clip":
            return _open_clip(name, parts, weights)
        case _:
            return _timm(name, parts, weights)


def check_described(spec: EncoderSpec, weights: WeightsFile | None) -> None:
    """Raise ConfigurationError unless `describe` makes `spec` of its name and `weights`."""
    expected = describe(spec.name, weights)
    if spec != expected:
        raise ConfigurationError(
            f"this spec and these weights disagree: the spec says {spec}, the name and weights give {expected}; "
            "make the spec with describe(name, weights) and build it with the same weights"
        )


def normalisation(name: str, weights: WeightsFile | None = None) -> Normalisation:
    """Mean and standard deviation that encoder `name` subtracts and divides by; a file's own go first.

    Raises:
        ConfigurationError: the family is handcrafted or autoencoder, or the file gives a mean without a std.
    """
    if weights is not None and (weights.mean is not None or weights.std is not None):
        if weights.mean is None or weights.std is None:
            raise ConfigurationError(
                f"{name}: mean {weights.mean} and std {weights.std} come together or not at all; give both"
            )
        return Normalisation(weights.mean, weights.std)
    family, architecture, label = split_name(name)
    match family:
        case "afterwatch" | "pytorchvideo" | "torchvision":
            return video_architecture(name).normalisation
        case "open_clip":
            return open_clip_normalisation(architecture, label or OPEN_CLIP_DEFAULT_TAGS.get(architecture))
        case "timm":
            return timm_normalisation(architecture, _timm_tag(architecture, label))
        case _:
            raise ConfigurationError(f"{name} normalises by itself or not at all; ask another network")


def known_encoders() -> tuple[str, ...]:
    """Names that `describe` knows without a third part or with one, sorted.

    Of timm's thousand backbones the customary ones are named; any other that the installed timm registers serves too,
    with its tag written out.
    """
    names: dict[str, Iterable[str]] = {
        "autoencoder": AUTOENCODERS,
        "handcrafted": HANDCRAFTED,
        "open_clip": open_clip_sizes(),
        "timm": TIMM_DEFAULT_TAGS,
        **VIDEO,
    }
    return tuple(sorted(f"{family}/{architecture}" for family, known in names.items() for architecture in known))


def _handcrafted(name: str, parts: EncoderName, weights: WeightsFile | None) -> EncoderSpec:
    if parts.architecture not in HANDCRAFTED:
        raise UnknownNameError("handcrafted encoder", parts.architecture, HANDCRAFTED)
    if weights is not None or parts.label is not None:
        raise ConfigurationError(f'{name}: a handcrafted encoder has no weights; write "{"/".join(parts[:2])}"')
    return HANDCRAFTED[parts.architecture]


def autoencoder_settings(name: str, weights: WeightsFile | None = None) -> AutoencoderSettings:
    """Shape of encoder `autoencoder/…`: the paper's, but for the options of its file.

    Raises:
        UnknownNameError: there is no such architecture or option.
        ConfigurationError: an option is out of its range, or the file gives a mean or std.
    """
    if weights is not None and (weights.mean is not None or weights.std is not None):
        raise ConfigurationError(
            f"{name}: an autoencoder's mean picture lies in its weights; remove mean and std from weights.toml"
        )
    options = {} if weights is None else {key: value for key, value in weights.options.items() if key != RATE}
    return settings_of(split_name(name).architecture, options)


def _autoencoder(name: str, parts: EncoderName, weights: WeightsFile | None) -> EncoderSpec:
    settings = autoencoder_settings(name, weights)
    rate_hz = CUBOID_RATE_HZ if weights is None else weights.options.get(RATE, CUBOID_RATE_HZ)
    if isinstance(rate_hz, bool | str) or not 0 < rate_hz <= 1000:
        raise ConfigurationError(f"{name}: {RATE} is a number of pictures per second, got {rate_hz!r}")
    if weights is None and parts.label != RANDOM:
        raise WeightsError(
            f"{name} is trained on a camera's own footage and the workspace has no weights of it; "
            f'run "afterwatch fit autoencoder --architecture {parts.architecture} --name {parts.label or LOCAL}"'
        )
    identity, full_name = _identify(name, parts, weights, None)
    size_px = settings.size_px
    return EncoderSpec(
        name=full_name,
        kind="snippet",
        input_size=(size_px, size_px),
        weights=identity,
        preprocessing=(
            f"region squashed to {size_px}x{size_px}, not cropped; grey scaled to [0, 1]; width {settings.width:g}; "
            f"root of the summed squared errors in {settings.layout.rows}x{settings.layout.columns} cells"
        ),
        snippet_frames=settings.cuboid_frames,
        snippet_rate_hz=float(rate_hz),
        layout=settings.layout,
    )


def video_architecture(name: str, weights: WeightsFile | None = None) -> VideoArchitecture:
    """The video network behind encoder `name`, its options as the file has them.

    Raises:
        UnknownNameError: it is no video network, or there is no such architecture.
        ConfigurationError: an option is not known or out of its range.
    """
    parts = split_name(name)
    if parts.family not in VIDEO:
        raise UnknownNameError("family of video networks", parts.family, VIDEO)
    known = VIDEO[parts.family]
    architecture = parts.architecture.removesuffix(LOGITS)
    if architecture not in known:
        raise UnknownNameError(f"{parts.family} architecture", architecture, known)
    return with_options(name, known[architecture], {} if weights is None else weights.options)


def _video(name: str, parts: EncoderName, weights: WeightsFile | None) -> EncoderSpec:
    video = video_architecture(name, weights)
    tags = HUB_TAGS[parts.family].get(parts.architecture.removesuffix(LOGITS), ())
    if weights is None and parts.label not in (None, RANDOM, LOCAL, *tags):
        raise UnknownNameError(f"weights of {parts.family}/{parts.architecture}", str(parts.label), (*tags, RANDOM))
    identity, full_name = _identify(name, parts, weights, tags[0] if tags else None)
    options = {} if weights is None else weights.options
    return EncoderSpec(
        name=full_name,
        kind="snippet",
        input_size=(video.size_px, video.size_px),
        weights=identity,
        preprocessing=_preprocessing(video.size_px, normalisation(full_name, weights), options),
        snippet_frames=video.frames,
        snippet_rate_hz=video.rate_hz,
    )


def _open_clip(name: str, parts: EncoderName, weights: WeightsFile | None) -> EncoderSpec:
    sizes = open_clip_sizes()
    if parts.architecture not in sizes:
        raise UnknownNameError("open_clip model", parts.architecture, sizes)
    identity, full_name = _identify(name, parts, weights, OPEN_CLIP_DEFAULT_TAGS.get(parts.architecture))
    options = {} if weights is None else weights.options
    return _frame(full_name, sizes[parts.architecture], identity, normalisation(full_name, weights), options)


def _timm(name: str, parts: EncoderName, weights: WeightsFile | None) -> EncoderSpec:
    known = timm_architectures()
    if parts.architecture not in known:
        near = get_close_matches(parts.architecture, known, n=5)
        raise UnknownNameError("timm architecture", parts.architecture, {*TIMM_DEFAULT_TAGS, *near})
    identity, full_name = _identify(name, parts, weights, TIMM_DEFAULT_TAGS.get(parts.architecture))
    options = {} if weights is None else weights.options
    size_px = timm_size_px(parts.architecture, _timm_tag(parts.architecture, parts.label))
    for option in ("img_size", "input_size"):
        told = options.get(option, size_px)
        if isinstance(told, bool) or not isinstance(told, int) or told < 1:
            raise ConfigurationError(f"{name}: {option} is a number of pixels, got {told!r}; correct weights.toml")
        size_px = told
    return _frame(full_name, size_px, identity, normalisation(full_name, weights), options)


def _timm_tag(architecture: str, label: str | None) -> str:
    """A label that names no tag (`local`, `random`, none) stands for the architecture's default tag."""
    return TIMM_DEFAULT_TAGS.get(architecture, "") if label in (None, LOCAL, RANDOM) else label or ""


def _identify(name: str, parts: EncoderName, weights: WeightsFile | None, default_tag: str | None) -> tuple[str, str]:
    """The identity of the weights and the full name."""
    stem = f"{parts.family}/{parts.architecture}"
    if weights is not None:
        if parts.label == RANDOM:
            raise ConfigurationError(
                f"{name} asks for random weights and has the file {weights.path.name}; "
                f'write "{stem}/{LOCAL}" or remove the file from weights.toml'
            )
        return f"sha256:{weights.sha256}", f"{stem}/{parts.label or LOCAL}"
    if parts.label == RANDOM:
        return "random:0", f"{stem}/{RANDOM}"
    if parts.label == LOCAL:
        raise WeightsError(
            f'{name} asks for a file of weights and the workspace has none; run "afterwatch weights add {name} FILE"'
        )
    tag = parts.label or default_tag
    if tag is None:
        raise ConfigurationError(
            f'{name} has no default weights; write "{stem}/TAG" with a tag of its hub, '
            f'or run "afterwatch weights add {stem}/{LOCAL} FILE"'
        )
    return f"hub:{tag}", f"{stem}/{tag}"


def _frame(name: str, size_px: int, identity: str, pixels: Normalisation, options: Mapping[str, Option]) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        kind="frame",
        input_size=(size_px, size_px),
        weights=identity,
        preprocessing=_preprocessing(size_px, pixels, options),
    )


def _preprocessing(size_px: int, pixels: Normalisation, options: Mapping[str, Option]) -> str:
    # Cameras are fixed and what matters may stand at the edge: a centre crop would lose it, so regions are squashed.
    words = [f"region squashed to {size_px}x{size_px}, not cropped", "RGB scaled to [0, 1]", str(pixels)]
    # Options change the arithmetic (padding, activation) under one hash of weights, so they belong to the space.
    if options:
        words.append("options " + ", ".join(f"{key}={options[key]!r}" for key in sorted(options)))
    return "; ".join(words)
