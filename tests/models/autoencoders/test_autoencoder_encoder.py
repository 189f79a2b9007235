"""An autoencoder as an encoder: described without torch, its weights by hash, its vectors the errors by cell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from infra.errors import ConfigurationError, UnknownNameError, WeightsError
from infra.weights import Option, WeightsFile, add_weights, read_weights
from models.autoencoders.build import build_autoencoder
from models.autoencoders.settings import settings_of
from models.encoders.autoencoder import AutoencoderEncoder
from models.encoders.build import build
from models.encoders.specs import describe, known_encoders, normalisation

NAME = "autoencoder/istl/hall"
FILE = WeightsFile(Path("weights.safetensors"), "ab" * 32, options={"width": 0.25, "size_px": 64})


@pytest.fixture
def kept(tmp_path: Path) -> WeightsFile:
    """A small autoencoder in a workspace's weights."""
    torch.manual_seed(4)
    network = build_autoencoder(settings_of("istl", {"width": 0.06, "size_px": 50}))
    network.set_normalisation(np.full((50, 50), 0.4, np.float32), 0.1)
    save_file(network.state_dict(), tmp_path / "made.safetensors")
    options = {"width": 0.06, "size_px": 50, "snippet_rate_hz": 5}
    add_weights(tmp_path / "weights", NAME, tmp_path / "made.safetensors", {"options": options})
    return read_weights(tmp_path / "weights")[NAME]


def encoder_of(weights: WeightsFile) -> AutoencoderEncoder:
    made = build(describe(NAME, weights), weights, device="cpu")
    assert isinstance(made, AutoencoderEncoder)
    return made


def snippets(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 50, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("architecture", "frames", "size_px"), [("hasan", 10, 227), ("chong_tay", 10, 227), ("istl", 8, 224)]
)
def test_without_options_it_is_the_papers(architecture: str, frames: int, size_px: int) -> None:
    spec = describe(f"autoencoder/{architecture}", replace(FILE, options={}))
    assert (spec.kind, spec.snippet_frames, spec.snippet_rate_hz) == ("snippet", frames, 10.0)
    assert (spec.name, spec.input_size) == (f"autoencoder/{architecture}/local", (size_px, size_px))
    assert f"autoencoder/{architecture}" in known_encoders()


def test_options_say_its_shape_and_are_part_of_the_space() -> None:
    spec = describe(NAME, FILE)
    assert (spec.name, spec.input_size, spec.weights) == (NAME, (64, 64), f"sha256:{FILE.sha256}")
    assert spec.layout is not None and spec.layout.parts == (("error", 1),)
    others: list[dict[str, Option]] = [
        {"width": 0.5, "size_px": 64},
        {"width": 0.25, "size_px": 96},
        {**FILE.options, "snippet_rate_hz": 5},
    ]
    for options in others:
        assert describe(NAME, replace(FILE, options=options)).space != spec.space
    assert describe(NAME, replace(FILE, sha256="cd" * 32)).space != spec.space


def test_what_is_wrong_with_its_entry_is_said() -> None:
    with pytest.raises(WeightsError, match="fit autoencoder --architecture istl --name hall"):
        describe(NAME)
    with pytest.raises(UnknownNameError, match="size_px"):
        describe(NAME, replace(FILE, options={"size": 64}))
    with pytest.raises(ConfigurationError, match="snippet_rate_hz"):
        describe(NAME, replace(FILE, options={"snippet_rate_hz": "fast"}))
    with pytest.raises(ConfigurationError, match="mean picture"):
        describe(NAME, replace(FILE, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)))
    with pytest.raises(UnknownNameError, match="hasan"):
        describe("autoencoder/lstm/hall")
    with pytest.raises(ConfigurationError):
        normalisation(NAME, FILE)


def test_a_vector_holds_the_errors_by_cell_and_its_length_is_the_score(kept: WeightsFile) -> None:
    encoder, pixels = encoder_of(kept), snippets(3)
    vectors = encoder.encode(pixels)
    assert vectors.shape == (3, 196) and vectors.dtype == np.float32 and encoder.spec.snippet_rate_hz == 5
    seen = encoder.reconstruct(pixels[1])
    assert np.linalg.norm(vectors[1]) == pytest.approx(seen.score, rel=1e-5)
    np.testing.assert_allclose(seen.cells.ravel(), vectors[1], rtol=1e-4, atol=1e-6)
    assert encoder.encode(pixels[:0]).shape == (0, 196)


def test_original_reconstruction_and_error_lie_side_by_side(kept: WeightsFile) -> None:
    seen = encoder_of(kept).reconstruct(snippets(1)[0])
    for picture in (seen.original, seen.reconstruction, seen.error):
        assert picture.shape == (8, 50, 50) and picture.dtype == np.uint8
    apart = np.abs(seen.original.astype(int) - seen.reconstruction.astype(int))
    assert np.abs(apart - seen.error).max() <= 1
    # Nothing leaves the range here, so the pictures themselves tell the score but for rounding.
    assert seen.score == pytest.approx(np.sqrt(np.square(apart / 255).sum()), rel=0.02)
    with pytest.raises(ValueError, match="takes uint8"):
        encoder_of(kept).reconstruct(snippets(1)[0, :4])


def test_what_differs_in_one_place_is_an_error_there(kept: WeightsFile) -> None:
    plain = np.full((1, 8, 50, 50, 3), 102, np.uint8)
    strange = plain.copy()
    strange[:, :, 40:44, 10:14] = 255
    encoder = encoder_of(kept)
    more = (encoder.encode(strange) - encoder.encode(plain)).reshape(14, 14)
    row, column = divmod(int(more.argmax()), 14)
    assert 11 <= row <= 12 and 2 <= column <= 3


def test_weights_of_another_width_do_not_load(kept: WeightsFile) -> None:
    other = replace(kept, options={**kept.options, "width": 0.12})
    with pytest.raises(WeightsError, match="do not fit"):
        encoder_of(other)


def test_random_weights_are_the_same_each_time() -> None:
    spec = describe("autoencoder/chong_tay/random")
    first, second = (build(spec, device="cpu") for _ in range(2))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 10, 227, 227, 3), dtype=np.uint8)
    assert spec.weights == "random:0" and (first.encode(pixels) == second.encode(pixels)).all()
