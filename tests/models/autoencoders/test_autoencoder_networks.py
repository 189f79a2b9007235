"""The three autoencoders against their papers' tables, and the arithmetic of scores."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from infra.errors import ConfigurationError, UnknownNameError
from models.autoencoders.base import (
    Autoencoder,
    cell_bounds,
    cell_errors,
    cuboid_scores,
    error_maps,
    grey_of,
)
from models.autoencoders.build import build_autoencoder
from models.autoencoders.conv_lstm import ConvLstm
from models.autoencoders.settings import ARCHITECTURES, settings_of
from models.layout import Layout


def shapes(network: nn.Module, cuboid: Tensor) -> dict[str, tuple[int, ...]]:
    """What each layer gives, by its name."""
    seen: dict[str, tuple[int, ...]] = {}

    def keeper(name: str) -> Any:
        def keep(_module: nn.Module, _given: Any, made: Tensor) -> None:
            seen[name] = tuple(made.shape)

        return keep

    for name, layer in network.named_children():
        layer.register_forward_hook(keeper(name))
    with torch.inference_mode():
        network(cuboid)
    return seen


# Channels × height × width after each layer, as the papers' figures give them.
PUBLISHED = {
    "hasan": {
        "conv1": (512, 55, 55),
        "conv2": (256, 27, 27),
        "conv3": (128, 13, 13),
        "deconv1": (256, 13, 13),
        "deconv2": (512, 27, 27),
        "deconv3": (10, 227, 227),
    },
    "chong_tay": {
        "conv1": (128, 55, 55),
        "conv2": (64, 26, 26),
        "lstm1": (64, 26, 26),
        "lstm2": (32, 26, 26),
        "lstm3": (64, 26, 26),
        "deconv1": (128, 55, 55),
        "deconv2": (1, 227, 227),
    },
    "istl": {
        "conv1": (128, 56, 56),
        "conv2": (64, 28, 28),
        "lstm1": (64, 28, 28),
        "lstm2": (32, 28, 28),
        "lstm3": (64, 28, 28),
        "deconv1": (128, 56, 56),
        "deconv2": (1, 224, 224),
    },
}
KERNELS = {"hasan": (11, 5, 3), "chong_tay": (11, 5), "istl": (27, 13)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layers_are_as_published(architecture: str) -> None:
    settings = settings_of(architecture)
    with torch.device("meta"):  # shapes without arithmetic
        network = build_autoencoder(settings)
        found = shapes(network, torch.zeros(1, settings.cuboid_frames, settings.size_px, settings.size_px))
    assert {name: shape[-3:] for name, shape in found.items()} == PUBLISHED[architecture]
    kernels = [getattr(network, f"conv{number + 1}").kernel_size[0] for number in range(len(KERNELS[architecture]))]
    assert tuple(kernels) == KERNELS[architecture]
    assert settings.cuboid_frames == (8 if architecture == "istl" else 10)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size_px", [48, 65, 96])
def test_other_sizes_come_out_as_they_went_in(architecture: str, size_px: int) -> None:
    settings = settings_of(architecture, {"width": 0.05, "size_px": size_px})
    network = build_autoencoder(settings)
    cuboids = torch.rand(2, settings.cuboid_frames, size_px, size_px)
    assert network(cuboids).shape == cuboids.shape
    assert isinstance(network, Autoencoder) and network.size == (size_px, size_px)
    with pytest.raises(ValueError, match="takes"):
        network(cuboids[:, 1:])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_untrained_network_starts_from_the_mean_picture(architecture: str) -> None:
    settings = settings_of(architecture, {"width": 0.05, "size_px": 48})
    network = build_autoencoder(settings)
    mean = np.random.default_rng(0).random((48, 48), np.float32)
    network.set_normalisation(mean, 0.01)
    cuboid = torch.from_numpy(mean).expand(1, settings.cuboid_frames, 48, 48)
    with torch.inference_mode():
        assert float(error_maps(cuboid, network(cuboid)).mean()) < 1e-4


def test_settings_outside_their_range_are_refused() -> None:
    for options in (
        {"width": 0.0},
        {"width": 9.0},
        {"width": "wide"},
        {"width": math.nan},
        {"size_px": 12},
        {"size_px": 64.5},
    ):
        with pytest.raises(ConfigurationError):
            settings_of("istl", options)
    with pytest.raises(UnknownNameError, match="width"):
        settings_of("istl", {"widht": 1.0})
    with pytest.raises(UnknownNameError, match="chong_tay"):
        settings_of("chongtay")


def test_convolutional_lstm_is_torchs_own_where_a_map_is_one_pixel() -> None:
    torch.manual_seed(0)
    ours, theirs = ConvLstm(3, 4), nn.LSTM(3, 4, batch_first=True)
    middle = (slice(None), slice(None), 1, 1)
    order = [0, 1, 3, 2]  # ours: input, forget, output, new; torch: input, forget, new, output
    with torch.no_grad():
        theirs_by_name = dict(theirs.named_parameters())
        for name, weight in (("weight_ih_l0", ours.inputs.weight), ("weight_hh_l0", ours.recurrent.weight)):
            theirs_by_name[name].copy_(torch.cat([weight[middle].chunk(4)[number] for number in order]))
        assert ours.inputs.bias is not None
        theirs_by_name["bias_ih_l0"].copy_(torch.cat([ours.inputs.bias.chunk(4)[number] for number in order]))
        theirs_by_name["bias_hh_l0"].zero_()
        sequence = torch.randn(2, 5, 3)
        found = ours(sequence[..., None, None])[..., 0, 0]
        torch.testing.assert_close(found, theirs(sequence)[0])


# Scores


def test_a_score_is_the_root_of_the_sum_of_squared_errors() -> None:
    original = torch.zeros(2, 3, 4, 4)
    made = original.clone()
    made[0, 1, 2, 2], made[0, 2, 0, 0] = 0.3, -0.4
    assert cuboid_scores(error_maps(original, made)).tolist() == pytest.approx([0.5, 0.0])


def test_an_error_lands_in_its_cell() -> None:
    layout = Layout(2, 3, (("error", 1),))
    made = torch.zeros(1, 2, 5, 7)
    made[0, :, 4, 6] = 0.5
    found = cell_errors(error_maps(torch.zeros_like(made), made), layout)
    assert found.tolist() == [pytest.approx([0, 0, 0, 0, 0, math.sqrt(0.5)])]


@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 9), st.integers(9, 30), st.integers(9, 30))
def test_the_length_of_a_vector_is_the_score(seed: int, rows: int, columns: int, height: int, width: int) -> None:
    errors = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    vectors = cell_errors(errors, Layout(rows, columns, (("error", 1),)))
    torch.testing.assert_close(vectors.norm(dim=1), cuboid_scores(errors))


@given(st.integers(1, 50), st.integers(0, 200))
def test_cells_cover_a_side_once_and_evenly(cells: int, more: int) -> None:
    bounds = cell_bounds(cells + more, cells)
    sizes = np.diff(bounds)
    assert (bounds[0], bounds[-1], len(sizes)) == (0, cells + more, cells)
    assert sizes.min() >= 1 and sizes.max() - sizes.min() <= 1


def test_grey_is_opencvs() -> None:
    import cv2

    rgb = np.random.default_rng(1).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    ours = grey_of(torch.from_numpy(rgb).permute(2, 0, 1)[None, :, None].float() / 255)[0, 0] * 255
    assert np.abs(ours.numpy() - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)).max() <= 0.51
