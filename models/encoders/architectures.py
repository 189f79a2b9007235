"""What is known of each architecture without loading it: sizes, rates, normalisation, default weights.

Nothing here imports a network library: planning a night must not cost seconds of imports. What the installed
libraries ship as text (open_clip's JSON configurations, timm's registrations) is read as text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from infra.errors import ConfigurationError

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per RGB channel, in the unit range."""

    mean: Triple
    std: Triple

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigurationError(
                f"mean and std have three values each and std is above 0, got mean {self.mean} and std {self.std}; "
                "correct the encoder's entry in weights.toml"
            )

    def __str__(self) -> str:
        return f"mean {', '.join(f'{v}' for v in self.mean)}; std {', '.join(f'{v}' for v in self.std)}"


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
UNIT = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
OPENAI = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
KINETICS = Normalisation((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
KINETICS_GREY = Normalisation((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))

OPEN_CLIP_DEFAULT_TAGS = {
    "RN50": "openai",
    "ViT-B-16": "laion2b_s34b_b88k",
    "ViT-B-16-SigLIP": "webli",
    "ViT-B-16-SigLIP2": "webli",
    "ViT-B-32": "laion2b_s34b_b79k",
    "ViT-B-32-256": "datacomp_s34b_b86k",
    "ViT-H-14": "laion2b_s32b_b79k",
    "ViT-L-14": "datacomp_xl_s13b_b90k",
    "MobileCLIP-S2": "datacompdr",
    "convnext_base_w": "laion2b_s13b_b82k_augreg",
}

# Backbones named in lists and errors, with timm's own default tag frozen: were it left to the library, an upgrade could
# change the vectors of a space without changing its name.
TIMM_DEFAULT_TAGS = {
    "convnext_base": "fb_in22k_ft_in1k",
    "convnext_tiny": "in12k_ft_in1k",
    "convnextv2_tiny": "fcmae_ft_in22k_in1k",
    "deit_small_patch16_224": "fb_in1k",
    "densenet121": "ra_in1k",
    "efficientnet_b0": "ra_in1k",
    "efficientnet_lite0": "ra_in1k",
    "mobilenetv2_100": "ra_in1k",
    "mobilenetv3_large_100": "ra_in1k",
    "mobilenetv3_small_100": "lamb_in1k",
    "regnety_016": "tv2_in1k",
    "resnet101": "a1h_in1k",
    "resnet18": "a1_in1k",
    "resnet50": "a1_in1k",
    "swin_tiny_patch4_window7_224": "ms_in1k",
    "vit_base_patch14_dinov2": "lvd142m",
    "vit_base_patch16_224": "augreg2_in21k_ft_in1k",
    "vit_base_patch16_dinov3": "lvd1689m",
    "vit_small_patch14_dinov2": "lvd142m",
    "vit_small_patch16_224": "augreg_in21k_ft_in1k",
    "vit_small_patch16_dinov3": "lvd1689m",
    "vit_tiny_patch16_224": "augreg_in21k_ft_in1k",
}


def open_clip_normalisation(model: str, tag: str | None) -> Normalisation:
    """What open_clip's `pretrained.py` gives each of its tags, as a rule; a test holds it against every tag."""
    # Named by tag: these two groups were trained otherwise than their families.
    if (model, tag) == ("ViT-L-14", "laion2b_s32b_b82k"):
        return HALF
    if model in ("MobileCLIP2-B", "MobileCLIP2-S0", "MobileCLIP2-S2") or model.startswith("MobileCLIP-"):
        return UNIT
    if "siglip" in model.lower() or model.startswith("PE-Core"):
        return HALF
    return IMAGENET if "CLIPA" in model else OPENAI


def timm_normalisation(architecture: str, tag: str) -> Normalisation:
    """The habit of timm's names; `build` compares it with the library's own value for hub weights."""
    if "siglip" in architecture or (architecture.startswith(("vit_", "mixer_")) and "augreg" in tag):
        return HALF
    if "clip" in architecture or architecture.startswith("eva"):
        return OPENAI
    return IMAGENET


def timm_size_px(architecture: str, tag: str) -> int:
    """Side of the input: DINO's published sizes, else the size in the tag, else in the architecture, else 224."""
    for ending, size_px in (("dinov2", 518), ("dinov3", 256)):
        if architecture.endswith(ending):
            return size_px
    for part in (tag, architecture):
        sizes = [int(found) for found in re.findall(r"_r?(\d{3})(?=_|$)", part)]
        sizes = [size for size in sizes if size >= 160]
        if sizes:
            return sizes[-1]
    return 224


@cache
def open_clip_sizes() -> Mapping[str, int]:
    """Model name → side of its input in pixels, from the JSON configurations that open_clip ships."""
    sizes = {}
    for path in _package("open_clip").glob("model_configs/*.json"):
        config = json.loads(path.read_text("utf-8"))
        sizes[path.stem] = int(config["vision_cfg"]["image_size"])
    return sizes


@cache
def timm_architectures() -> frozenset[str]:
    """Names that the installed timm registers, read from its sources."""
    registered = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
    paths = _package("timm").glob("models/*.py")
    return frozenset(name for path in paths for name in registered.findall(path.read_text("utf-8")))


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or found.origin is None:
        raise ConfigurationError(f'the package "{name}" is not installed; install Afterwatch with its requirements')
    return Path(found.origin).parent
