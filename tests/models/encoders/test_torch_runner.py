"""Running a network: normalisation, batches, want of memory, devices."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from infra.errors import AfterwatchError, ConfigurationError
from models.encoders.architectures import Normalisation
from models.encoders.base import EncoderSpec, Pixels
from models.encoders.torch_runner import (
    TorchEncoder,
    choose_batch_size,
    choose_device,
    choose_precision,
)

FRAME = EncoderSpec("test/frame", "frame", (4, 6), "none", "")
SNIPPET = EncoderSpec("test/snippet", "snippet", (4, 6), "none", "", snippet_frames=5, snippet_rate_hz=5.0)
PIXELS = Normalisation((0.1, 0.2, 0.3), (0.5, 0.25, 0.125))


class ChannelMeans(nn.Module):
    """Mean per channel; says that memory is short where more than `limit` inputs come at once."""

    def __init__(self, limit: int = 10**9) -> None:
        super().__init__()
        self.limit = limit
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        if len(images) > self.limit:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return images.flatten(2).mean(dim=2)


def pictures(spec: EncoderSpec, count: int) -> Pixels:
    frames = () if spec.kind == "frame" else (spec.snippet_frames,)
    return np.random.default_rng(0).integers(0, 256, (count, *frames, *spec.input_size, 3), dtype=np.uint8)


@pytest.mark.parametrize("spec", [FRAME, SNIPPET])
def test_pixels_are_scaled_then_normalised_per_channel(spec: EncoderSpec) -> None:
    pixels = pictures(spec, 3)
    expected = (pixels.reshape(3, -1, 3).mean(axis=1) / 255 - PIXELS.mean) / PIXELS.std
    found = TorchEncoder(ChannelMeans(), spec, PIXELS, 3, device="cpu").encode(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(count=st.integers(0, 20), batch_size=st.integers(1, 8), limit=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_vectors_are_the_same_however_they_are_batched(count: int, batch_size: int, limit: int) -> None:
    pixels = pictures(FRAME, count)
    module = ChannelMeans(limit)
    encoder = TorchEncoder(module, FRAME, PIXELS, 3, device="cpu", batch_size=batch_size)
    whole = TorchEncoder(ChannelMeans(), FRAME, PIXELS, 3, device="cpu", batch_size=100).encode(pixels)
    np.testing.assert_allclose(encoder.encode(pixels), whole, atol=1e-6)
    assert sum(size for size in module.seen if size <= limit) == count


def test_a_batch_too_large_for_memory_is_halved_and_stays_so() -> None:
    module = ChannelMeans(limit=3)
    encoder = TorchEncoder(module, FRAME, PIXELS, 3, device="cpu", batch_size=16)
    encoder.encode(pictures(FRAME, 5))
    assert module.seen == [5, 2, 2, 1]
    assert encoder.batch_size == 2
    module.seen.clear()
    encoder.encode(pictures(FRAME, 2))
    assert module.seen == [2]


def test_one_input_too_large_for_memory_is_an_error_with_a_remedy() -> None:
    encoder = TorchEncoder(ChannelMeans(limit=0), FRAME, PIXELS, 3, device="cpu", batch_size=4)
    with pytest.raises(ConfigurationError, match='set device to "cpu"'):
        encoder.encode(pictures(FRAME, 4))


def test_no_pictures_give_no_vectors_and_run_nothing() -> None:
    module = ChannelMeans()
    found = TorchEncoder(module, SNIPPET, PIXELS, 3, device="cpu").encode(pictures(SNIPPET, 0))
    assert found.shape == (0, 3)
    assert found.dtype == np.float32
    assert module.seen == []


def test_other_shapes_and_dtypes_are_refused() -> None:
    encoder = TorchEncoder(ChannelMeans(), FRAME, PIXELS, 3, device="cpu")
    wrongs: tuple[Any, ...] = (pictures(SNIPPET, 1), pictures(FRAME, 1)[0], pictures(FRAME, 1).astype(np.float32))
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"shape \(N, 4, 6, 3\)"):
            encoder.encode(wrong)


def test_pictures_that_cannot_be_written_or_are_strided_are_taken() -> None:
    pixels = pictures(FRAME, 4)
    encoder = TorchEncoder(ChannelMeans(), FRAME, PIXELS, 3, device="cpu")
    expected = encoder.encode(pixels)
    pixels.setflags(write=False)
    np.testing.assert_array_equal(encoder.encode(pixels), expected)
    np.testing.assert_array_equal(encoder.encode(pixels[::-1]), expected[::-1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_an_error(bad: float) -> None:
    module = nn.Sequential(ChannelMeans(), nn.Threshold(1e9, bad))
    with pytest.raises(AfterwatchError, match="not finite"):
        TorchEncoder(module, FRAME, PIXELS, 3, device="cpu").encode(pictures(FRAME, 1))


def test_vectors_of_another_length_are_an_error() -> None:
    with pytest.raises(AfterwatchError, match=r"\(2, 3\), expected \(2, 7\)"):
        TorchEncoder(ChannelMeans(), FRAME, PIXELS, 7, device="cpu").encode(pictures(FRAME, 2))


def test_a_network_runs_in_evaluation_mode() -> None:
    module = nn.Sequential(ChannelMeans(), nn.Dropout(0.9), nn.BatchNorm1d(3))
    encoder = TorchEncoder(module, FRAME, PIXELS, 3, device="cpu")
    pixels = pictures(FRAME, 4)
    np.testing.assert_array_equal(encoder.encode(pixels), encoder.encode(pixels))
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_bf16_on_a_cpu_is_near_fp32() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    exact, near = (
        TorchEncoder(module, FRAME, PIXELS, 8, device="cpu", precision=precision).encode(pictures(FRAME, 3))
        for precision in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - near).max() < 0.02 * np.abs(exact).max()


def test_devices_and_precisions_are_chosen_or_refused() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "cuda:x", "cpu:0", "", f"cuda:{torch.cuda.device_count()}"):
        with pytest.raises(ConfigurationError):
            choose_device(wrong)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert choose_precision("auto", cpu) == torch.float32
    assert choose_precision("auto", cuda) == torch.float16
    assert choose_precision("bf16", cpu) == torch.bfloat16
    for precision in ("fp16", "int8"):
        with pytest.raises(ConfigurationError):
            choose_precision(precision, cpu)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match='"auto" or "cpu"'):
        choose_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_half_precision_on_a_gpu_is_near_the_cpu() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    exact, near = (
        TorchEncoder(module, FRAME, PIXELS, 8, device=device).encode(pictures(FRAME, 3)) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(near, exact, atol=0.01 * np.abs(exact).max())


def test_batches_are_bounded_by_pixels_and_by_choice() -> None:
    clip = EncoderSpec("a/b", "snippet", (256, 256), "none", "", snippet_frames=32, snippet_rate_hz=15.0)
    cpu = torch.device("cpu")
    assert choose_batch_size(clip, cpu, None) == 1
    assert choose_batch_size(FRAME, cpu, None) == 32
    assert choose_batch_size(clip, torch.device("cuda"), None) > 8
    assert choose_batch_size(FRAME, cpu, 7) == 7
    with pytest.raises(ConfigurationError, match="at least 1"):
        choose_batch_size(FRAME, cpu, 0)
