"""Our own video networks from weights in any layout that people have."""

from torch import Tensor

from infra.errors import UnknownNameError
from infra.weights import WeightsFile
from models.encoders.base import EncoderSpec
from models.encoders.specs import split_name, video_architecture
from models.encoders.video_architectures import AFTERWATCH, LOGITS, VideoArchitecture
from models.encoders.weights import load_strictly
from models.networks.base import KINETICS_CLASSES, VideoNetwork
from models.networks.c3d import C3D
from models.networks.layouts import MMACTION2, under_our_names
from models.networks.loading import check_normalisation, class_count
from models.networks.resnet3d import ResNet3d
from models.networks.segments import SegmentNetwork
from models.networks.slowfast import SlowFast, SlowFastSettings, Trainer, slow_first

CLASSIFIERS = {"resnet3d_50": "fc"}
"""Our name of the classifier layer, but where it is `classifier`."""
FUSION_KERNELS = {"slowfast_r50_4x16": 5, "slowfast_r50_8x8": 7}
FUSION_NORM = "blocks.0.multipathway_fusion.norm.weight"

_HOST = "https://download.openmmlab.com/mmaction/v1.0/recognition"
ADDRESSES = {
    "c3d": (
        f"{_HOST}/c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb/"
        "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb_20220811-31723200.pth"
    ),
    "slowfast_r50_4x16": (
        f"{_HOST}/slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb/"
        "slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth"
    ),
    "slowfast_r50_8x8": "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R50.pyth",
    "tsm_r50": (
        f"{_HOST}/tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb/"
        "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb_20220831-64d69186.pth"
    ),
    "tsn_r50": (
        f"{_HOST}/tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb/"
        "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb_20220906-2692d16c.pth"
    ),
}


def build_afterwatch(spec: EncoderSpec, weights: WeightsFile | None, state: dict[str, Tensor] | None) -> VideoNetwork:
    """An `afterwatch/…` network; see `build_network`.

    Args:
        spec: what it is.
        weights: the workspace's file, if it has one.
        state: the tensors of that file or of the hub's; None for random weights.
    """
    architecture = split_name(spec.name).architecture.removesuffix(LOGITS)
    video = video_architecture(spec.name, weights)
    if state is None:
        return _untrained(architecture, video, KINETICS_CLASSES, "pyslowfast")
    renamed = under_our_names(spec.name, architecture, state)
    check_normalisation(spec, weights, renamed.layout)
    ours = renamed.state
    classes = class_count(ours, f"{CLASSIFIERS.get(architecture, 'classifier')}.weight")
    # Files of ours carry the arithmetic that their tensors came from: MMAction2's fusion has no norm.
    trained_by: Trainer = "pyslowfast" if FUSION_NORM in ours else "mmaction2"
    network = _untrained(architecture, video, classes, trained_by)
    if isinstance(network, SlowFast) and renamed.layout.name == MMACTION2 and classes is not None:
        ours = {**ours, "classifier.weight": slow_first(ours["classifier.weight"], video.beta)}
    load_strictly(network, ours, encoder=spec.name, told=renamed.told)
    return network


def _untrained(architecture: str, video: VideoArchitecture, classes: int | None, trained_by: Trainer) -> VideoNetwork:
    match architecture:
        case "c3d":
            return C3D(classes, video.frames, video.size_px)
        case "resnet3d_50":
            return ResNet3d(classes)
        case "tsm_r50" | "tsn_r50":
            return SegmentNetwork(video.frames, classes, shift=architecture == "tsm_r50")
        case "slowfast_r50_4x16" | "slowfast_r50_8x8":
            settings = SlowFastSettings(video.alpha, video.beta, FUSION_KERNELS[architecture], trained_by)
            return SlowFast(settings, classes)
        case other:
            raise UnknownNameError("afterwatch architecture", other, AFTERWATCH)
