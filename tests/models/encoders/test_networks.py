"""The network families: weights in their true layouts come back as the same vectors, features as the reference has them."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip  # type: ignore[import-untyped]  # ships no type information
import pytest
import timm
import torch
from huggingface_hub import constants
from pytorchvideo.models import hub as zoo  # type: ignore[import-untyped]  # ships no type information
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import video  # type: ignore[import-untyped]  # ships no type information

from infra.errors import ConfigurationError, WeightsError
from infra.weights import Option, WeightsFile
from models.encoders import hub
from models.encoders.base import Encoder, Pixels, TextEncoder
from models.encoders.build import build
from models.encoders.open_clip import create_untrained
from models.encoders.specs import describe, normalisation
from models.networks.segments import SegmentNetwork


def pictures(encoder: Encoder, count: int = 1) -> Pixels:
    spec = encoder.spec
    frames = () if spec.kind == "frame" else (spec.snippet_frames,)
    shape = (count, *frames, *spec.input_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def tensor(encoder: Encoder, pixels: Pixels) -> Tensor:
    """Pixels as a network takes them, written down anew."""
    rule = normalisation(encoder.spec.name)
    scaled = (pixels / 255 - np.array(rule.mean)) / np.array(rule.std)
    return torch.from_numpy(np.moveaxis(scaled, -1, 1).astype(np.float32))


def saved(state: object, path: Path) -> WeightsFile:
    if path.suffix == ".safetensors":
        assert isinstance(state, dict)
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    return WeightsFile(path, hashlib.sha256(path.read_bytes()).hexdigest())


def entering(module: nn.Module, watched: nn.Module, inputs: object) -> tuple[Tensor, Tensor]:
    """What enters `watched` while `module` runs on `inputs`, and what it gives: the references for features and logits."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0])

    handle = watched.register_forward_pre_hook(keep)
    with torch.inference_mode():
        given_back = module.eval()(inputs)
    handle.remove()
    return seen[0], given_back


def test_torchvision_features_are_those_before_the_classifier(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = video.r3d_18(weights=None, num_classes=5)  # fine-tuned elsewhere: another class count is no obstacle
    file = saved(network.state_dict(), tmp_path / "r3d.pth")
    encoder = build(describe("torchvision/r3d_18", file), file, device="cpu")
    pixels = pictures(encoder)
    expected, scores = entering(network, network.fc, tensor(encoder, pixels))
    assert encoder.dimension == 512
    np.testing.assert_allclose(encoder.encode(pixels), expected, rtol=1e-3, atol=1e-4)
    logits = build(describe("torchvision/r3d_18+logits", file), file, device="cpu")
    assert logits.dimension == 5
    np.testing.assert_allclose(logits.encode(pixels), scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("architecture", "dimension"), [("x3d_xs", 192), ("slowfast_r50", 2304)])
def test_pytorchvideo_features_are_those_before_the_head(tmp_path: Path, architecture: str, dimension: int) -> None:
    torch.manual_seed(1)
    network = getattr(zoo, architecture)(pretrained=False)
    file = saved({"model_state": network.state_dict(), "cfg": "text"}, tmp_path / f"{architecture}.pyth")
    encoder = build(describe(f"pytorchvideo/{architecture}", file), file, device="cpu")
    pixels = pictures(encoder)
    clip = tensor(encoder, pixels)
    inputs = [clip[:, :, [0, 4, 8, 13, 17, 22, 26, 31]], clip] if architecture == "slowfast_r50" else clip
    # x3d's hub module ends in a softmax before the mean over positions; logits are taken before it.
    network.blocks[-1].activation = None
    entered, scores = entering(network, network.blocks[-1], inputs)
    expected = entered.mean(dim=(2, 3, 4))
    assert (encoder.dimension, expected.shape) == (dimension, (1, dimension))
    np.testing.assert_allclose(encoder.encode(pixels), expected, rtol=1e-3, atol=1e-4)
    logits = build(describe(f"pytorchvideo/{architecture}+logits", file), file, device="cpu")
    assert logits.dimension == 400
    np.testing.assert_allclose(logits.encode(pixels), scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ["r2plus1d_r50", "slow_r50"])
def test_r50_features_have_2048_values(architecture: str) -> None:
    encoder = build(describe(f"pytorchvideo/{architecture}/random"), device="cpu")
    assert encoder.dimension == 2048
    assert encoder.encode(pictures(encoder)).shape == (1, 2048)


def test_our_networks_are_encoders_of_features_and_logits(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = SegmentNetwork(2, 7, shift=True).eval()
    file = replace(saved(network.state_dict(), tmp_path / "tsm.safetensors"), options={"segments": 2})
    features = build(describe("afterwatch/tsm_r50", file), file, device="cpu")
    logits = build(describe("afterwatch/tsm_r50+logits", file), file, device="cpu")
    assert (features.dimension, logits.dimension) == (2048, 7)
    assert features.spec.space != logits.spec.space
    pixels = pictures(features, 2)
    with torch.inference_mode():
        frames = tensor(features, pixels)
        np.testing.assert_allclose(features.encode(pixels), network.features(frames), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(logits.encode(pixels), network.logits(frames), rtol=1e-3, atol=1e-4)


def test_logits_want_a_classifier_layer_in_the_weights(tmp_path: Path) -> None:
    state = {name: value for name, value in video.r3d_18(weights=None).state_dict().items() if "fc." not in name}
    file = saved(state, tmp_path / "body.pth")
    assert build(describe("torchvision/r3d_18", file), file, device="cpu").dimension == 512
    with pytest.raises(WeightsError, match=r'use "torchvision/r3d_18/local" for features.*weights add'):
        build(describe("torchvision/r3d_18+logits", file), file, device="cpu")


def test_another_programs_classifier_is_left_out_of_features(tmp_path: Path) -> None:
    network = video.r3d_18(weights=None)
    network.fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 3))
    file = saved(network.state_dict(), tmp_path / "other_head.pth")
    assert build(describe("torchvision/r3d_18", file), file, device="cpu").dimension == 512


def test_a_video_network_of_ours_is_recognised_where_it_does_not_fit(tmp_path: Path) -> None:
    file = saved(SegmentNetwork(2, 7, shift=True).state_dict(), tmp_path / "tsm.pth")
    with pytest.raises(WeightsError, match=r"do not fit torchvision/r3d_18.*Afterwatch for afterwatch/tsm_r50"):
        build(describe("torchvision/r3d_18", file), file, device="cpu")


def test_timm_features_are_the_pooled_ones(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network: Any = timm.create_model("resnet18", pretrained=False, num_classes=7).eval()
    file = saved(network.state_dict(), tmp_path / "resnet18.safetensors")
    encoder = build(describe("timm/resnet18", file), file, device="cpu")
    pixels = pictures(encoder, 3)
    with torch.inference_mode():
        images = tensor(encoder, pixels)
        expected = network.forward_head(network.forward_features(images), pre_logits=True)
    assert encoder.dimension == 512
    np.testing.assert_allclose(encoder.encode(pixels), expected, rtol=1e-3, atol=1e-4)


def test_timm_options_reach_the_constructor(tmp_path: Path) -> None:
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=64, num_classes=0)
    file = replace(saved(network.state_dict(), tmp_path / "vit.pt"), options={"img_size": 64})
    encoder = build(describe("timm/vit_tiny_patch16_224", file), file, device="cpu")
    assert encoder.encode(pictures(encoder, 2)).shape == (2, 192)
    wrong = replace(file, options={"img_size": 64, "input_size": 96})
    with pytest.raises(ConfigurationError, match="img_size"):
        build(describe("timm/vit_tiny_patch16_224", wrong), wrong)
    refusals: tuple[dict[str, Option], ...] = ({"pad": "same"}, {"num_classes": 3})
    for options in refusals:
        refused = replace(file, options=options)
        with pytest.raises(ConfigurationError, match=r"weights\.toml"):
            build(describe("timm/vit_tiny_patch16_224", refused), refused)


def test_a_file_for_another_network_is_refused_with_names(tmp_path: Path) -> None:
    network = timm.create_model("mobilenetv3_small_050", pretrained=False)
    file = saved(network.state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"do not fit timm/resnet18/local: \d+ missing .*conv1"):
        build(describe("timm/resnet18", file), file)


def test_timm_hub_weights_come_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    network: Any = timm.create_model("resnet18", pretrained=False).eval()
    snapshot = tmp_path / "models--timm--resnet18.a1_in1k/snapshots/0123"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("0123")
    save_file(network.state_dict(), snapshot / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "ask", lambda address: pytest.fail("asked the network"))
    encoder = build(describe("timm/resnet18"), device="cpu")
    pixels = pictures(encoder)
    with torch.inference_mode():
        images = tensor(encoder, pixels)
        expected = network.forward_head(network.forward_features(images), pre_logits=True)
    np.testing.assert_allclose(encoder.encode(pixels), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tag", ["tv_in1k", "gluon_in1k"])
def test_other_timm_tags_of_usual_training_are_asked_of_the_hub(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ask", lambda address: "unreachable")
    with pytest.raises(WeightsError, match=f"afterwatch weights add timm/resnet18/{tag} FILE"):
        build(describe(f"timm/resnet18/{tag}"))


def test_timm_weights_trained_otherwise_than_their_name_says_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="input_size, mean and std"):
        build(describe("timm/convmixer_768_32/in1k"))
    with pytest.raises(ConfigurationError, match=r"\(320, 320\)|\(288, 288\)|\(256, 256\)"):
        build(describe("timm/repvgg_d2se/rvgg_in1k"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, WeightsFile]:
    """A small CLIP model and its weights in the layout that open_clip's training writes."""
    torch.manual_seed(1)
    model = open_clip.create_model("ViT-S-32-alt", pretrained_text=False, quick_gelu=True).eval()
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    return model, saved({"state_dict": state, "epoch": 32}, tmp_path_factory.mktemp("clip") / "clip.pt")


def test_open_clip_pictures_and_words_are_those_of_the_library(clip: tuple[Any, WeightsFile]) -> None:
    model, file = clip
    file = replace(file, options={"quick_gelu": True})
    encoder = build(describe("open_clip/ViT-S-32-alt", file), file, device="cpu")
    assert isinstance(encoder, TextEncoder)
    pixels, texts = pictures(encoder, 2), ["a person at a table", "an empty hall", ""]
    with torch.inference_mode():
        images = model.encode_image(tensor(encoder, pixels))
        words = model.encode_text(open_clip.get_tokenizer("ViT-S-32-alt")(texts), normalize=True)
    np.testing.assert_allclose(encoder.encode(pixels), images, rtol=1e-3, atol=1e-4)
    found = encoder.encode_text(texts)
    assert found.shape == (3, encoder.dimension)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, words, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert encoder.encode_text([]).shape == (0, encoder.dimension)
    with pytest.raises(TypeError, match="write"):
        encoder.encode_text("a person")


def test_the_activation_of_open_clip_weights_is_part_of_the_space(clip: tuple[Any, WeightsFile]) -> None:
    file = clip[1]
    quick = replace(file, options={"quick_gelu": True})
    plain_spec, quick_spec = describe("open_clip/ViT-S-32-alt", file), describe("open_clip/ViT-S-32-alt", quick)
    plain = build(plain_spec, file, device="cpu")
    pixels = pictures(plain)
    assert plain_spec.space != quick_spec.space
    assert not np.allclose(plain.encode(pixels), build(quick_spec, quick, device="cpu").encode(pixels), rtol=1e-3)


def test_open_clip_tags_bring_their_activation() -> None:
    # OpenAI's weights were trained with QuickGELU, LAION's with GELU; the library only warns where they are mixed up.
    for tag, activation in (("openai", "QuickGELU"), ("laion2b_s34b_b79k", "GELU")):
        model = create_untrained(describe(f"open_clip/ViT-B-32/{tag}"), "ViT-B-32", {})
        assert type(model.visual.transformer.resblocks[0].mlp.gelu).__name__ == activation


def test_random_weights_must_be_asked_for_and_are_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ask", lambda address: "unreachable")
    for name in ("open_clip/ViT-B-32", "torchvision/r3d_18", "pytorchvideo/x3d_s", "afterwatch/tsm_r50"):
        spec = describe(name)
        with pytest.raises(WeightsError, match=f"afterwatch weights add {spec.name} FILE"):
            build(spec)
    spec = describe("timm/mobilenetv3_small_050/random")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, second = build(spec, device="cpu"), build(spec, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    pixels = pictures(first, 2)
    np.testing.assert_array_equal(first.encode(pixels), second.encode(pixels))


def test_a_picture_alone_and_among_others_has_one_vector() -> None:
    encoder = build(describe("timm/mobilenetv3_small_050/random"), device="cpu")
    pixels = pictures(encoder, 5)
    together = encoder.encode(pixels)
    alone = np.concatenate([encoder.encode(pixels[at : at + 1]) for at in range(5)])
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-5)
