"""From a specification to a whole network, and what it costs to run."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from infra.errors import UnknownNameError, WeightsError
from infra.weights import WeightsFile
from models.encoders.base import EncoderSpec
from models.encoders.specs import check_described, split_name
from models.encoders.torch_runner import seeded
from models.encoders.video_architectures import LOGITS, VIDEO
from models.encoders.weights import load_strictly
from models.networks.base import KINETICS_CLASSES, Logits, VideoNetwork
from models.networks.layouts import seems_to_be
from models.networks.loading import class_count, state_of, without_head


def build_network(spec: EncoderSpec, weights: WeightsFile | None = None) -> VideoNetwork:
    """Bring a video network to life, with its classifier layer where its weights hold one.

    Args:
        spec: made by `models.encoders.specs.describe` with the same `weights`; with or without `+logits`.
        weights: the workspace's file for this encoder, if it has one.

    Returns:
        The network in evaluation mode, on the CPU, float32. Its `state_dict()` in a file builds the same network again.

    Raises:
        ConfigurationError: spec and weights disagree, or (UnknownNameError) the family has no video networks.
        WeightsError: weights are absent, altered or do not fit; the message names tensors and the command.
    """
    check_described(spec, weights)
    architecture = split_name(spec.name).architecture.removesuffix(LOGITS)
    with seeded(spec):
        match spec.family:
            case "afterwatch":
                from models.networks.afterwatch import ADDRESSES, build_afterwatch

                state = state_of(spec, weights, lambda _: ADDRESSES[architecture])
                network = build_afterwatch(spec, weights, state)
            case "pytorchvideo":
                network = _pytorchvideo(spec, weights, architecture)
            case "torchvision":
                network = _torchvision(spec, weights, architecture)
            case family:
                raise UnknownNameError("family of video networks", family, VIDEO)
    return network.eval()


def multiply_adds(network: VideoNetwork, clip: EncoderSpec | tuple[int, int, int]) -> int:
    """Multiplications with an addition that one clip costs, the published unit (65.7 G for SlowFast 8x8 at 256).

    Convolutions and matrix products count; norms, activations and poolings do not. Nothing is computed: torch counts
    over tensors without contents.

    Args:
        network: with its classifier layer, if it has one.
        clip: a specification, or frames, height and width.
    """
    shape = (clip.snippet_frames, *clip.input_size) if isinstance(clip, EncoderSpec) else clip
    module: nn.Module = network if network.classes is None else Logits(network)
    named = chain(module.named_parameters(), module.named_buffers())
    tensors: dict[str, Tensor] = {name: tensor.to("meta") for name, tensor in named}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        torch.func.functional_call(module, tensors, (torch.empty(1, 3, *shape, device="meta"),))
    return int(counter.get_total_flops()) // 2


def parameter_count(network: VideoNetwork) -> int:
    """Learned values of the network, its classifier's among them."""
    return sum(parameter.numel() for parameter in network.parameters())


def _pytorchvideo(spec: EncoderSpec, weights: WeightsFile | None, architecture: str) -> VideoNetwork:
    from models.networks.pytorchvideo import ADDRESSES, PytorchvideoNetwork, head_prefix

    state = state_of(spec, weights, lambda _: ADDRESSES[architecture])
    if state is None:
        return PytorchvideoNetwork(architecture, KINETICS_CLASSES)
    head = head_prefix(architecture)
    classes = class_count(state, f"{head}proj.weight")
    return _loaded(spec, PytorchvideoNetwork(architecture, classes), state, head)


def _torchvision(spec: EncoderSpec, weights: WeightsFile | None, architecture: str) -> VideoNetwork:
    from models.networks.torchvision import HEAD, HUB_WEIGHTS, TorchvisionNetwork

    state = state_of(spec, weights, lambda tag: str(HUB_WEIGHTS[architecture][tag].url))
    if state is None:
        return TorchvisionNetwork(architecture, KINETICS_CLASSES)
    return _loaded(spec, TorchvisionNetwork(architecture, class_count(state, f"{HEAD}weight")), state, HEAD)


def _loaded(spec: EncoderSpec, network: VideoNetwork, state: dict[str, Tensor], head: str) -> VideoNetwork:
    if network.classes is None:
        state = without_head(state, head)
    try:
        load_strictly(network, state, encoder=spec.name)
    except WeightsError as error:
        raise WeightsError(f"{error}{seems_to_be(state)}") from None
    return network
