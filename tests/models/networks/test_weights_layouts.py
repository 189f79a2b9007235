"""State dicts in the layouts people have give what the programs that wrote them give; others are refused by name."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from pytorchvideo.models.slowfast import create_slowfast  # type: ignore[import-untyped]  # ships no type information
from torch import Tensor, nn
from torchvision.models import resnet50  # type: ignore[import-untyped]  # ships no type information

from infra.errors import WeightsError
from infra.weights import Option, WeightsFile
from models.encoders.architectures import IMAGENET, KINETICS_GREY
from models.encoders.base import EncoderSpec
from models.encoders.specs import describe
from models.networks.afterwatch import build_afterwatch
from models.networks.base import VideoNetwork
from models.networks.build import build_network
from models.networks.slowfast import pack_pathways
from tests.models.networks.foreign import MitSegments, MmSegments, MmSlowFast, PlainC3D, shaken

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def clip(frames: int, side: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, frames, side, side, generator=torch.Generator().manual_seed(7))


def described(name: str, file: WeightsFile) -> tuple[EncoderSpec, WeightsFile]:
    return describe(name, file), file


def loaded(name: str, state: Mapping[str, Tensor], **entry: object) -> VideoNetwork:
    """The network of a file with these tensors, its bytes left out."""
    file = replace(WeightsFile(Path("weights.pth"), "ab" * 32), **entry)  # type: ignore[arg-type]
    return build_afterwatch(describe(name, file), file, dict(state)).eval()


def assert_same(network: VideoNetwork, foreign: nn.Module, frames: Tensor) -> None:
    with torch.inference_mode():
        expected = foreign(frames)
        assert expected.std() > 1e-3  # scores that say something
        torch.testing.assert_close(network.logits(frames), expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@cache
def mmaction2(architecture: str) -> nn.Module:
    torch.manual_seed(5)
    return shaken(MmSegments(2, 5, shift=architecture == "tsm_r50"), 6)


SEGMENTS: dict[str, Option] = {"segments": 2}


@pytest.mark.parametrize("architecture", ["tsn_r50", "tsm_r50"])
def test_mmaction2_segment_networks(architecture: str) -> None:
    foreign = mmaction2(architecture)
    network = loaded(f"afterwatch/{architecture}", foreign.state_dict(), options=SEGMENTS)
    assert network.classes == 5
    assert_same(network, foreign, clip(2, 40, count=2))


@pytest.mark.parametrize("architecture", ["tsn_r50", "tsm_r50"])
def test_mit_segment_networks_with_the_prefix_of_parallel_training(tmp_path: Path, architecture: str) -> None:
    foreign = shaken(MitSegments(2, 5, shift=architecture == "tsm_r50"), 8)
    path = tmp_path / "ckpt.best.pth"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in foreign.state_dict().items()}}, path)
    file = WeightsFile(path, hashlib.sha256(path.read_bytes()).hexdigest(), options=SEGMENTS)
    assert_same(build_network(*described(f"afterwatch/{architecture}", file)), foreign, clip(2, 40))


@pytest.mark.parametrize("architecture", ["tsn_r50", "tsm_r50"])
def test_torchvisions_picture_network_is_a_backbone_without_classes(architecture: str) -> None:
    pictures = resnet50(weights=None)
    shaken(pictures, 9)
    network = loaded(f"afterwatch/{architecture}", pictures.state_dict(), options=SEGMENTS)
    assert network.classes is None
    pictures.fc = nn.Identity()
    frames = clip(2, 40)
    with torch.inference_mode():
        plain = torch.stack([pictures(frames[:, :, at]) for at in range(2)]).mean(dim=0)
        near = torch.allclose(network.features(frames), plain, rtol=1e-4, atol=1e-5 * float(plain.max()))
    assert near == (architecture == "tsn_r50")  # the shift changes what the same tensors see


@pytest.mark.parametrize(("architecture", "alpha", "kernel"), [("slowfast_r50_4x16", 8, 5), ("slowfast_r50_8x8", 4, 7)])
def test_mmaction2_slowfast(architecture: str, alpha: int, kernel: int) -> None:
    torch.manual_seed(5)
    foreign = shaken(MmSlowFast(alpha, kernel, 5), 10)
    network = loaded(
        f"afterwatch/{architecture}",
        foreign.state_dict(),
        options={"frames": 16},
        mean=IMAGENET.mean,
        std=IMAGENET.std,
    )
    assert_same(network, foreign, clip(16, 64))
    own = loaded(f"afterwatch/{architecture}", network.state_dict(), options={"frames": 16})
    assert_same(own, foreign, clip(16, 64))  # saved under our names, it keeps MMAction2's arithmetic


class Hub(nn.Module):
    """pytorchvideo's SlowFast over one clip, as its users feed it."""

    def __init__(self, alpha: int, kernel: int, frames: int) -> None:
        super().__init__()
        self.alpha = alpha
        self.net = create_slowfast(
            model_num_class=5,
            slowfast_fusion_conv_kernel_size=(kernel, 1, 1),
            slowfast_fusion_conv_stride=(alpha, 1, 1),
            head_pool_kernel_sizes=((frames // alpha, 7, 7), (frames, 7, 7)),
        )

    def forward(self, frames: Tensor) -> Tensor:
        scores: Tensor = self.net(pack_pathways(frames, self.alpha))
        return scores


def test_pytorchvideos_slowfast_with_its_pooling_windows() -> None:
    foreign = shaken(Hub(4, 7, 4), 11)
    state = {name.removeprefix("net."): tensor for name, tensor in foreign.state_dict().items()}
    assert "blocks.6.proj.weight" in state
    network = loaded("afterwatch/slowfast_r50_8x8", state, options={"frames": 4})
    assert_same(network, foreign, clip(4, 256))  # maps of 8 x 8: four windows of 7 x 7


@cache
def plain_c3d() -> tuple[nn.Module, VideoNetwork]:
    foreign = PlainC3D(5).eval()
    return foreign, loaded("afterwatch/c3d", foreign.state_dict())


def test_plain_c3d() -> None:
    foreign, network = plain_c3d()
    frames = clip(16, 112)
    with torch.inference_mode():
        # Fresh layers shrink what passes through them; the comparison is relative.
        expected = foreign(frames)
        torch.testing.assert_close(network.logits(frames), expected, rtol=1e-5, atol=1e-7)
    assert (network.classes, network.dimension) == (5, 4096)


MMACTION2_C3D = {
    "conv1": "backbone.conv1a.conv",
    "conv2": "backbone.conv2a.conv",
    **{name: f"backbone.{name}.conv" for name in ("conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")},
    "fc6": "backbone.fc6",
    "fc7": "backbone.fc7",
    "fc8": "cls_head.fc_cls",
}


def test_mmaction2_c3d_whole_and_as_its_pretrained_body() -> None:
    foreign, network = plain_c3d()
    whole = {
        f"{MMACTION2_C3D[name.partition('.')[0]]}.{name.partition('.')[2]}": tensor
        for name, tensor in foreign.state_dict().items()
    }
    same = loaded("afterwatch/c3d", whole).state_dict()
    assert all(torch.equal(tensor, same[name]) for name, tensor in network.state_dict().items())
    body = {name.removeprefix("backbone."): tensor for name, tensor in whole.items() if "cls_head" not in name}
    headless = loaded("afterwatch/c3d", body)
    assert headless.classes is None
    assert all(torch.equal(tensor, same[name]) for name, tensor in headless.state_dict().items())


def test_haras_3d_resnet_has_torchvisions_names() -> None:
    flat = resnet50(weights=None, num_classes=5)
    network = build_network(describe("afterwatch/resnet3d_50/random"))
    assert network.state_dict().keys() == flat.state_dict().keys()
    shaken(network, 12)
    again = loaded("afterwatch/resnet3d_50", network.state_dict())
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())


# What is not of the network, or not all of it, is refused, by the names in the file.


def mm_state() -> State:
    return dict(mmaction2("tsn_r50").state_dict())


def test_a_missing_tensor_is_named() -> None:
    state = mm_state()
    del state["backbone.layer3.2.conv2.bn.running_var"]
    with pytest.raises(WeightsError, match=r"1 missing \(backbone\.layer3\.2\.bn2\.running_var\)"):
        loaded("afterwatch/tsn_r50", state)


def test_a_tensor_too_many_is_named_as_in_the_file() -> None:
    state = mm_state() | {"cls_head.fc_cls.scale": torch.zeros(5)}
    with pytest.raises(WeightsError, match=r"1 unexpected \(cls_head\.fc_cls\.scale\)"):
        loaded("afterwatch/tsn_r50", state)


def test_a_tensor_of_another_shape_is_named_with_both() -> None:
    state = mm_state() | {"backbone.conv1.conv.weight": torch.zeros(64, 10, 7, 7)}  # TSN over stacked flow
    with pytest.raises(WeightsError, match=r"backbone\.conv1\.conv\.weight \(64, 10, 7, 7\) for \(64, 3, 7, 7\)"):
        loaded("afterwatch/tsn_r50", state)


def test_two_tensors_for_one_place_are_refused() -> None:
    foreign = MitSegments(2, 5, shift=False).state_dict() | {"base_model.fc.weight": torch.zeros(5, 2048)}
    with pytest.raises(WeightsError, match=r"base_model\.fc\.weight are the same tensor|new_fc\.weight and"):
        loaded("afterwatch/tsn_r50", foreign)


def test_another_networks_file_is_refused_and_told_what_it_is() -> None:
    with pytest.raises(WeightsError, match=r"backbone\.conv1\.conv\.weight.*MMAction2 for afterwatch/tsn_r50"):
        loaded("afterwatch/tsm_r50", mm_state())
    flat = resnet50(weights=None).state_dict()
    with pytest.raises(WeightsError, match=r"torchvision for afterwatch/tsm_r50 or afterwatch/tsn_r50"):
        loaded("afterwatch/resnet3d_50", flat)
    with pytest.raises(WeightsError, match=r"none of the known layouts.*weights add afterwatch/c3d/local FILE"):
        loaded("afterwatch/c3d", {"encoder.patch_embed.weight": torch.zeros(3)})


def test_4x16_weights_do_not_pass_for_8x8() -> None:
    state = MmSlowFast(8, 5, 5).state_dict()
    with pytest.raises(WeightsError, match=r"slow_path\.conv1_lateral\.conv\.weight \(16, 8, 5, 1, 1\)"):
        loaded("afterwatch/slowfast_r50_8x8", state, mean=IMAGENET.mean, std=IMAGENET.std)


def test_weights_trained_on_otherwise_normalised_pictures_want_it_said() -> None:
    state = MmSlowFast(4, 7, 5).state_dict()
    with pytest.raises(WeightsError, match=r"--mean 0\.485,0\.456,0\.406 --std 0\.229,0\.224,0\.225"):
        loaded("afterwatch/slowfast_r50_8x8", state)
    hub = {"blocks.6.proj.weight": torch.zeros(5, 2304)}
    with pytest.raises(WeightsError, match=r"--mean 0\.45,0\.45,0\.45"):
        loaded("afterwatch/slowfast_r50_4x16", hub)
    with pytest.raises(WeightsError, match="missing"):
        loaded("afterwatch/slowfast_r50_4x16", hub, mean=KINETICS_GREY.mean, std=KINETICS_GREY.std)
