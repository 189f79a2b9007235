"""The layouts of state dicts that people have of our own networks, and ours: which tensor is which.

Hub files of pytorchvideo and torchvision's video networks need no table: those networks keep the libraries' names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from infra.errors import WeightsError
from models.encoders.architectures import IMAGENET, KINETICS_GREY, Normalisation
from models.encoders.video_architectures import C3D_LEVELS
from models.encoders.weights import NAMED, remedy


@dataclass(frozen=True)
class WeightsLayout:
    """One program's names for a network's tensors.

    Attributes:
        name: of the program.
        marks: name and number of axes of tensors of which a file in this layout has one.
        rules: pattern and replacement, applied to a name one after another; a name that none changes stays.
        left_out: beginnings of names that take no part.
        trained_with: the normalisation of every file in this layout; None where files differ.
    """

    name: str
    marks: tuple[tuple[str, int], ...]
    rules: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    trained_with: Normalisation | None = None

    def holds(self, state: Mapping[str, Tensor]) -> bool:
        """Whether `state` is in this layout."""
        return any(name in state and state[name].ndim == axes for name, axes in self.marks)

    def ours(self, name: str) -> str:
        """Our name of the tensor that this layout calls `name`."""
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name


class Renamed(NamedTuple):
    """A state dict under our names, the names it had, and its layout."""

    state: dict[str, Tensor]
    told: dict[str, str]
    layout: WeightsLayout


OWN = "Afterwatch"
MMACTION2 = "MMAction2"

_MMACTION2_HEAD = (r"^cls_head\.fc_cls\.", "classifier.")
_MMACTION2_RESNET = (
    _MMACTION2_HEAD,
    (r"\.conv(\d)\.bn\.", r".bn\1."),
    (r"\.conv(\d)\.conv\.", r".conv\1."),
    (r"\.downsample\.conv\.", ".downsample.0."),
    (r"\.downsample\.bn\.", ".downsample.1."),
)
_MIT = ((r"^base_model\.fc\.", "classifier."), (r"^new_fc\.", "classifier."), (r"^base_model\.", "backbone."))

TSN = (
    WeightsLayout(OWN, (("backbone.layer1.0.conv1.weight", 4),)),
    WeightsLayout(MMACTION2, (("backbone.layer1.0.conv1.conv.weight", 4),), _MMACTION2_RESNET, trained_with=IMAGENET),
    WeightsLayout("MIT TSM", (("base_model.layer1.0.conv1.weight", 4),), _MIT, trained_with=IMAGENET),
    # ImageNet's classifier tells pictures apart, not actions.
    WeightsLayout("torchvision", (("layer1.0.conv1.weight", 4),), ((r"^", "backbone."),), ("fc.",), IMAGENET),
)
TSM = (
    WeightsLayout(OWN, (("backbone.layer1.0.conv1.net.weight", 4),)),
    WeightsLayout(
        MMACTION2, (("backbone.layer1.0.conv1.conv.net.weight", 4),), _MMACTION2_RESNET, trained_with=IMAGENET
    ),
    WeightsLayout("MIT TSM", (("base_model.layer1.0.conv1.net.weight", 4),), _MIT, trained_with=IMAGENET),
    WeightsLayout(
        "torchvision",
        (("layer1.0.conv1.weight", 4),),
        ((r"^", "backbone."), (r"(layer\d\.\d\.conv1)\.", r"\1.net.")),
        ("fc.",),
        IMAGENET,
    ),
)
C3D = (
    WeightsLayout(OWN, (("conv1a.weight", 5),)),
    WeightsLayout(
        MMACTION2,
        (("backbone.conv1a.conv.weight", 5), ("conv1a.conv.weight", 5)),
        (_MMACTION2_HEAD, (r"^backbone\.", ""), (r"^(conv\d[ab])\.conv\.", r"\1.")),
        trained_with=C3D_LEVELS,
    ),
    WeightsLayout(
        "C3D in PyTorch", (("conv2.weight", 5),), ((r"^conv([12])\.", r"conv\1a."), (r"^fc8\.", "classifier."))
    ),
)
RESNET3D = (WeightsLayout("3D-ResNets", (("layer1.0.conv1.weight", 5),)),)

_LETTERED = tuple(
    (rf"\.conv{number}\.(conv|bn)\.", rf".branch2.\1_{letter}.") for number, letter in zip("123", "abc", strict=True)
)
SLOWFAST = (
    WeightsLayout(
        "pytorchvideo", (("blocks.6.proj.weight", 2),), ((r"^blocks\.6\.proj\.", "classifier."),), (), KINETICS_GREY
    ),
    WeightsLayout(OWN, (("blocks.0.multipathway_blocks.0.conv.weight", 5),)),
    WeightsLayout(
        MMACTION2,
        (("backbone.slow_path.conv1.conv.weight", 5),),
        (
            _MMACTION2_HEAD,
            (r"^backbone\.slow_path\.conv1_lateral\.conv\.", "blocks.0.multipathway_fusion.conv_fast_to_slow."),
            (r"^backbone\.slow_path\.layer(\d)_lateral\.conv\.", r"blocks.\1.multipathway_fusion.conv_fast_to_slow."),
            (r"^backbone\.(slow|fast)_path\.conv1\.(conv|bn)\.", r"blocks.0.multipathway_blocks.\1.\2."),
            (r"^backbone\.(slow|fast)_path\.layer(\d)\.(\d)\.", r"blocks.\2.multipathway_blocks.\1.res_blocks.\3."),
            (r"multipathway_blocks\.slow\.", "multipathway_blocks.0."),
            (r"multipathway_blocks\.fast\.", "multipathway_blocks.1."),
            *_LETTERED,
            (r"\.downsample\.(conv|bn)\.", r".branch1_\1."),
            (r"([._])bn([._])", r"\1norm\2"),
        ),
        trained_with=IMAGENET,
    ),
)

LAYOUTS = {
    "c3d": C3D,
    "resnet3d_50": RESNET3D,
    "slowfast_r50_4x16": SLOWFAST,
    "slowfast_r50_8x8": SLOWFAST,
    "tsm_r50": TSM,
    "tsn_r50": TSN,
}


def under_our_names(encoder: str, architecture: str, state: Mapping[str, Tensor]) -> Renamed:
    """Find a state dict's layout and rename its tensors.

    Args:
        encoder: name of the encoder, for messages.
        architecture: a key of `LAYOUTS`.
        state: tensors by name, as the file has them.

    Raises:
        WeightsError: the layout is none of the architecture's, or two tensors have one of our names.
    """
    layouts = LAYOUTS[architecture]
    layout = next((layout for layout in layouts if layout.holds(state)), None)
    if layout is None:
        first = ", ".join(list(state)[:NAMED])
        known = "; ".join(f'{layout.name} ("{layout.marks[0][0]}")' for layout in layouts)
        raise WeightsError(
            f"these weights do not fit {encoder}: its {len(state)} tensors ({first}, …) are in none of the known "
            f"layouts, each told by a tensor of its own: {known}{seems_to_be(state)}; {remedy(encoder)}"
        )
    renamed: dict[str, Tensor] = {}
    told: dict[str, str] = {}
    for name, tensor in state.items():
        if layout.left_out and name.startswith(layout.left_out):
            continue
        ours = layout.ours(name)
        if ours in renamed:
            raise WeightsError(
                f"these weights do not fit {encoder}: {told[ours]} and {name} are the same tensor in the layout of "
                f"{layout.name}; {remedy(encoder)}"
            )
        renamed[ours], told[ours] = tensor, name
    return Renamed(renamed, told, layout)


def seems_to_be(state: Mapping[str, Tensor]) -> str:
    """Words for an error that say which of our networks a state dict is of; empty where none is recognised."""
    fitting = {
        architecture: layout.name
        for architecture, layouts in LAYOUTS.items()
        for layout in layouts
        if layout.holds(state)
    }
    if not fitting:
        return ""
    return f"; it seems to be a file of {next(iter(fitting.values()))} for afterwatch/{' or afterwatch/'.join(fitting)}"
