"""Our video networks: the papers' shapes and costs, TSM's shift, features before logits."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet50  # type: ignore[import-untyped]  # ships no type information

from infra.errors import UnknownNameError, WeightsError
from infra.weights import WeightsFile
from models.encoders.specs import describe
from models.networks.base import VideoNetwork
from models.networks.build import build_network, multiply_adds, parameter_count
from models.networks.c3d import C3D, pooled_to
from models.networks.pytorchvideo import BUILDERS, PytorchvideoNetwork, head_prefix
from models.networks.resnet3d import ResNet3d
from models.networks.segments import SegmentNetwork, temporal_shift
from models.networks.slowfast import SlowFast, SlowFastSettings, pack_pathways
from tests.models.networks.foreign import shaken, shifted_by_loops

HUB_8X8 = SlowFastSettings(alpha=4, beta=8, fusion_kernel=7)
TABLE_4X16 = SlowFastSettings(alpha=8, beta=8, fusion_kernel=5)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def without_contents(make: Callable[[], VideoNetwork]) -> VideoNetwork:
    with torch.device("meta"):
        return make().eval()


def clip(frames: int, side: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, frames, side, side, generator=torch.Generator().manual_seed(7))


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 20))
def test_the_temporal_shift_is_the_naive_loops(clips: int, segments: int, channels: int) -> None:
    maps = torch.randn(clips * segments, channels, 2, 3)
    torch.testing.assert_close(temporal_shift(maps, segments), shifted_by_loops(maps, segments), rtol=0, atol=0)


def test_the_shift_is_partial_and_leaves_the_identity_path_alone() -> None:
    network = SegmentNetwork(2, 4, shift=True)
    block = network.backbone.layer1[1].eval()
    nn.init.zeros_(block.bn3.weight)
    maps = torch.rand(2, 256, 3, 3)  # not below 0, so the ReLU behind the sum changes nothing
    torch.testing.assert_close(block(maps), maps)


# S2's table: a raw clip of 64 frames of 224, the slow pathway at stride 16 and the fast one at stride 2.
TABLE = (
    ((4, 56), (32, 56)),
    ((4, 56), (32, 56)),
    ((4, 28), (32, 28)),
    ((4, 14), (32, 14)),
    ((4, 7), (32, 7)),
)
CHANNELS = ((64, 8), (256, 32), (512, 64), (1024, 128), (2048, 256))


@pytest.mark.parametrize(("settings", "slow_frames"), [(TABLE_4X16, 4), (HUB_8X8, 8)])
def test_slowfast_has_the_published_shapes_at_every_stage(settings: SlowFastSettings, slow_frames: int) -> None:
    network = without_contents(lambda: SlowFast(settings, 400))
    assert isinstance(network, SlowFast)
    frames = torch.empty(2, 3, 32, 224, 224, device="meta")
    slow, fast = network.pathways(frames)
    assert (slow.shape, fast.shape) == ((2, 3, slow_frames, 224, 224), (2, 3, 32, 224, 224))
    stem = network.blocks[0].multipathway_blocks
    assert stem[0].conv(slow).shape == (2, 64, slow_frames, 112, 112)
    assert stem[1].conv(fast).shape == (2, 8, 32, 112, 112)
    maps = [slow, fast]
    for at, (block, sides, channels) in enumerate(zip(network.blocks, TABLE, CHANNELS, strict=True)):
        maps = block(maps)
        fused = 0 if at == 4 else 2 * channels[1]  # the last stage is not fused
        assert maps[0].shape == (2, channels[0] + fused, slow_frames, sides[0][1], sides[0][1])
        assert maps[1].shape == (2, channels[1], sides[1][0], sides[1][1], sides[1][1])
    assert network.features(frames).shape == (2, 2304)
    assert network.logits(frames).shape == (2, 400)


@pytest.mark.parametrize(("alpha", "beta", "dimension"), [(2, 4, 2560), (4, 16, 2176), (8, 8, 2304)])
def test_slowfast_alpha_and_beta_set_frames_and_channels(alpha: int, beta: int, dimension: int) -> None:
    network = without_contents(lambda: SlowFast(SlowFastSettings(alpha, beta, 5), 7))
    frames = torch.empty(1, 3, 16, 64, 64, device="meta")
    assert network.features(frames).shape == (1, dimension) == (1, network.dimension)
    with pytest.raises(ValueError, match=f"multiple of alpha = {alpha}"):
        network.features(frames[:, :, :15])


def test_slowfast_slow_frames_are_those_of_the_program_that_trained_it() -> None:
    frames = torch.arange(32.0).reshape(1, 1, 32, 1, 1)
    trained_elsewhere = SlowFastSettings(4, 8, 7, "mmaction2")
    for settings, expected in (
        (HUB_8X8, [0, 4, 8, 13, 17, 22, 26, 31]),
        (trained_elsewhere, [0, 4, 8, 12, 16, 20, 24, 28]),
    ):
        network = without_contents(lambda settings=settings: SlowFast(settings, None))  # type: ignore[misc]
        assert isinstance(network, SlowFast)
        assert network.pathways(frames)[0].flatten().tolist() == expected
    assert pack_pathways(frames, 8)[0].flatten().tolist() == [0, 10, 20, 31]


@pytest.mark.parametrize(
    ("make", "shape", "giga", "millions"),
    [
        # Published: SlowFast 8x8 65.7 G and 34.6 M, 4x16 36.1 G and 34.5 M (PySlowFast's model zoo, at 256);
        # C3D 38.5 G and 78.4 M with 101 classes, TSM 32.9 G and 24.3 M (MMAction2's).
        (lambda: SlowFast(HUB_8X8, 400), (32, 256, 256), 65.7, 34.6),
        (lambda: SlowFast(TABLE_4X16, 400), (32, 256, 256), 36.1, 34.5),
        (lambda: C3D(101), (16, 112, 112), 38.5, 78.4),
        (lambda: SegmentNetwork(8, 400, shift=True), (8, 224, 224), 32.7, 24.3),
        (lambda: SegmentNetwork(8, 400, shift=False), (8, 224, 224), 32.7, 24.3),
        (lambda: ResNet3d(400), (16, 112, 112), 10.1, 47.0),
    ],
)
def test_costs_are_the_published(
    make: Callable[[], VideoNetwork], shape: tuple[int, int, int], giga: float, millions: float
) -> None:
    network = without_contents(make)
    assert multiply_adds(network, shape) / 1e9 == pytest.approx(giga, abs=0.06)
    assert parameter_count(network) / 1e6 == pytest.approx(millions, abs=0.06)


def test_costs_are_counted_for_a_specification_and_leave_the_network_alone() -> None:
    spec = describe("pytorchvideo/x3d_xs/random")
    network = build_network(spec)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert multiply_adds(network, spec) == multiply_adds(network, (4, 182, 182))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_tsn_agrees_by_the_mean_of_its_segments() -> None:
    network = SegmentNetwork(3, 5, shift=False)
    shaken(network, 1)
    frames = clip(3, 40, count=2)
    with torch.inference_mode():
        alone = [network.backbone(frames[:, :, at]) for at in range(3)]
        expected = torch.stack([network.classifier(features) for features in alone]).mean(dim=0)  # type: ignore[misc]
        torch.testing.assert_close(network.features(frames), torch.stack(alone).mean(dim=0), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(network.logits(frames), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="takes 3 segments"):
        network.features(clip(4, 40))


def test_a_3d_resnet_of_flat_kernels_sees_a_still_clip_as_the_2d_one_sees_its_picture() -> None:
    flat = resnet50(weights=None, num_classes=6)
    shaken(flat, 2)
    deep = ResNet3d(6).eval()
    state = {}
    for name, wanted in deep.state_dict().items():
        found = flat.state_dict()[name]
        if found.shape != wanted.shape:
            found, plain = torch.zeros_like(wanted), found
            found[:, :, wanted.shape[2] // 2] = plain
        state[name] = found
    deep.load_state_dict(state)
    picture = clip(1, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            deep.logits(picture.repeat(1, 1, 9, 1, 1)), flat(picture[:, :, 0]), rtol=1e-4, atol=1e-4
        )


def test_c3d_takes_sixteen_frames_of_112() -> None:
    with pytest.raises(ValueError, match="16 frames of 112x112"):
        without_contents(lambda: C3D(5)).features(torch.empty(1, 3, 16, 128, 128, device="meta"))


@pytest.mark.parametrize(("frames", "side"), [(32, 64), (16, 16), (24, 130), (17, 112)])
def test_c3d_of_another_size_pools_to_what_its_layers_take(frames: int, side: int) -> None:
    network = without_contents(lambda: C3D(5, frames, side))
    assert network.features(torch.empty(2, 3, frames, side, side, device="meta")).shape == (2, 4096)
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in without_contents(lambda: C3D(5)).state_dict().items()
    }, "the published weights fit"
    with pytest.raises(ValueError, match=f"C3D takes {frames} frames of {side}x{side}"):
        network.features(torch.empty(1, 3, frames, side + 1, side + 1, device="meta"))


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
def test_pooling_is_torchs_adaptive_average(size: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    maps = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(5))
    expected = nn.functional.adaptive_avg_pool3d(maps, shape)
    torch.testing.assert_close(pooled_to(maps, shape), expected, rtol=1e-5, atol=1e-6)
    assert pooled_to(maps, size) is maps, "the published size is left alone"


@pytest.mark.parametrize(("name", "side"), [("afterwatch/c3d", 64), ("afterwatch/resnet3d_50", 64)])
def test_frames_and_size_are_options(tmp_path: Path, name: str, side: int) -> None:
    network = build_network(describe(f"{name}/random"))
    path = tmp_path / "mine.safetensors"
    save_file(network.state_dict(), path)
    file = WeightsFile(path, hashlib.sha256(path.read_bytes()).hexdigest(), options={"frames": 32, "size": side})
    spec = describe(f"{name}/mine", file)
    assert (spec.snippet_frames, spec.input_size) == (32, (side, side))
    assert "options frames=32, size=64" in spec.preprocessing, "another space than the published size's"
    frames = clip(32, side)
    with torch.inference_mode():
        features = build_network(spec, file).features(frames)
    assert features.shape == (1, network.dimension) and torch.isfinite(features).all()


@pytest.mark.parametrize("name", ["afterwatch/resnet3d_50/random", "pytorchvideo/x3d_xs/random"])
def test_a_network_is_ready_to_use_and_the_same_every_time(name: str) -> None:
    network, again = build_network(describe(name)), build_network(describe(name))
    assert not network.training
    assert network.classes == 400
    assert network.dimension == length_of_features(network)
    assert network.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in network.state_dict().items())


def length_of_features(network: VideoNetwork) -> int:
    side = 182 if "Pytorchvideo" in type(network).__name__ else 64
    return int(network(torch.zeros(1, 3, 8, side, side)).shape[1])


@pytest.mark.parametrize("classes", [3, None])
def test_a_networks_own_state_dict_builds_it_again(tmp_path: Path, classes: int | None) -> None:
    network = SlowFast(HUB_8X8, classes)
    shaken(network, 3)
    path = tmp_path / "fine-tuned.safetensors"
    save_file(network.state_dict(), path)
    file = WeightsFile(path, hashlib.sha256(path.read_bytes()).hexdigest(), options={"frames": 8})
    spec = describe("afterwatch/slowfast_r50_8x8/mine", file)
    again = build_network(spec, file)
    assert again.classes == classes
    frames = clip(8, 64)
    with torch.inference_mode():
        torch.testing.assert_close(again.features(frames), network.features(frames), rtol=0, atol=0)
        if classes is None:
            with pytest.raises(WeightsError, match="no classifier layer"):
                again.logits(frames)
        else:
            torch.testing.assert_close(again.logits(frames), network.logits(frames), rtol=0, atol=0)


@pytest.mark.parametrize("architecture", sorted(BUILDERS))
def test_pytorchvideos_head_is_where_its_classes_are_read(architecture: str) -> None:
    network = without_contents(lambda: PytorchvideoNetwork(architecture, 5))
    body = without_contents(lambda: PytorchvideoNetwork(architecture, None))
    head = head_prefix(architecture)
    assert network.state_dict()[f"{head}proj.weight"].shape[0] == 5
    assert [name for name in network.state_dict() if not name.startswith(head)] == list(body.state_dict())


def test_other_families_have_no_video_networks() -> None:
    with pytest.raises(UnknownNameError, match="afterwatch, pytorchvideo, torchvision"):
        build_network(describe("handcrafted/motion"))
