"""An encoder's specification: known without loading it, and different wherever the vectors would be."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]  # ships no type information
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip.pretrained import get_pretrained_cfg  # type: ignore[import-untyped]  # ships no type information
from timm.models import get_pretrained_cfg as timm_config

from infra.errors import ConfigurationError, UnknownNameError, WeightsError
from infra.weights import WeightsFile
from models.encoders.architectures import (
    TIMM_DEFAULT_TAGS,
    open_clip_normalisation,
    open_clip_sizes,
)
from models.encoders.base import EncoderSpec
from models.encoders.build import build
from models.encoders.lookup import find_weights
from models.encoders.specs import describe, known_encoders, normalisation, video_architecture

ROOT = Path(__file__).resolve().parents[3]
FILE = WeightsFile(Path("weights.safetensors"), "ab" * 32)
LIBRARIES = ("torch", "cv2", "timm", "open_clip", "pytorchvideo", "torchvision")


def test_describing_every_known_encoder_imports_no_network_library() -> None:
    program = (
        "import sys\n"
        "from infra.weights import WeightsFile\n"
        "from models.encoders.specs import describe, known_encoders\n"
        "from pathlib import Path\n"
        "file = WeightsFile(Path('w.pt'), 'ab' * 32)\n"
        "for name in known_encoders():\n"
        "    describe(name, None if name.startswith('handcrafted') else file)\n"
        f"print([name for name in {LIBRARIES} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    ("name", "frames", "seconds", "size"),
    [
        ("pytorchvideo/slowfast_r50", 32, 32 * 2 / 30, 256),  # T2: a clip of 2.13 s
        ("pytorchvideo/slow_r50", 8, 8 * 8 / 30, 256),
        ("pytorchvideo/r2plus1d_r50", 16, 16 * 4 / 30, 256),
        ("pytorchvideo/x3d_xs", 4, 4 * 12 / 30, 182),
        ("pytorchvideo/x3d_s", 13, 13 * 6 / 30, 182),
        ("pytorchvideo/x3d_m", 16, 16 * 5 / 30, 256),
        ("torchvision/r3d_18", 16, 16 / 15, 112),
        ("torchvision/r2plus1d_18", 16, 16 / 15, 112),
        ("afterwatch/slowfast_r50_8x8", 32, 32 * 2 / 30, 256),
        ("afterwatch/slowfast_r50_4x16+logits", 32, 32 * 2 / 30, 256),
        ("afterwatch/tsm_r50", 8, 64 / 30, 224),
        ("afterwatch/tsn_r50", 8, 64 / 30, 224),
        ("afterwatch/c3d", 16, 16 / 30, 112),
    ],
)
def test_snippets_are_as_long_as_those_the_weights_were_trained_on(
    name: str, frames: int, seconds: float, size: int
) -> None:
    spec = describe(name)
    assert (spec.kind, spec.snippet_frames, spec.input_size) == ("snippet", frames, (size, size))
    assert spec.snippet_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("name", "full_name", "weights", "size"),
    [
        ("open_clip/ViT-B-32", "open_clip/ViT-B-32/laion2b_s34b_b79k", "hub:laion2b_s34b_b79k", 224),
        ("open_clip/ViT-B-16-SigLIP-384/webli", "open_clip/ViT-B-16-SigLIP-384/webli", "hub:webli", 384),
        ("timm/resnet50", "timm/resnet50/a1_in1k", "hub:a1_in1k", 224),
        ("timm/vit_base_patch16_384/random", "timm/vit_base_patch16_384/random", "random:0", 384),
        ("timm/vit_small_patch14_dinov2", "timm/vit_small_patch14_dinov2/lvd142m", "hub:lvd142m", 518),
        ("torchvision/r3d_18", "torchvision/r3d_18/KINETICS400_V1", "hub:KINETICS400_V1", 112),
        ("pytorchvideo/x3d_s", "pytorchvideo/x3d_s/kinetics400", "hub:kinetics400", 182),
        ("handcrafted/appearance", "handcrafted/appearance", "none", 128),
        ("afterwatch/tsm_r50", "afterwatch/tsm_r50/kinetics400", "hub:kinetics400", 224),
        ("pytorchvideo/x3d_s+logits", "pytorchvideo/x3d_s+logits/kinetics400", "hub:kinetics400", 182),
    ],
)
def test_a_name_is_completed_with_its_weights(name: str, full_name: str, weights: str, size: int) -> None:
    spec = describe(name)
    assert (spec.name, spec.weights, spec.input_size[0]) == (full_name, weights, size)
    assert describe(spec.name) == spec


def test_a_file_goes_before_the_hub_and_is_known_by_its_hash() -> None:
    spec = describe("timm/resnet50", FILE)
    assert (spec.name, spec.weights) == ("timm/resnet50/local", f"sha256:{FILE.sha256}")
    assert describe(spec.name, FILE) == spec
    tagged = describe("open_clip/ViT-B-32/openai", FILE)
    assert (tagged.name, tagged.weights) == ("open_clip/ViT-B-32/openai", spec.weights)


@pytest.mark.parametrize(
    "other",
    [
        replace(FILE, sha256="cd" * 32),
        replace(FILE, options={"pad_type": "same"}),
        replace(FILE, options={"input_size": 288}),
        replace(FILE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    ],
)
def test_whatever_a_file_changes_in_the_vectors_changes_the_space(other: WeightsFile) -> None:
    assert describe("timm/resnet50", other).space != describe("timm/resnet50", FILE).space


def test_options_of_a_video_network_set_its_snippets() -> None:
    segments = describe("afterwatch/tsn_r50", replace(FILE, options={"segments": 16}))
    assert segments.snippet_frames == 16
    assert segments.snippet_s == pytest.approx(64 / 30)  # more of the same clip
    frames = describe("afterwatch/slowfast_r50_8x8", replace(FILE, options={"frames": 64, "alpha": 8}))
    assert (frames.snippet_frames, frames.snippet_rate_hz) == (64, 15)  # a longer clip
    assert len({segments.space, describe("afterwatch/tsn_r50", FILE).space, frames.space}) == 3
    assert video_architecture("afterwatch/slowfast_r50_8x8", replace(FILE, options={"alpha": 8})).alpha == 8


def test_spaces_of_video_encoders_stay_what_they_were() -> None:
    # Vectors are stored under these names; a changed name would leave them behind.
    assert describe("pytorchvideo/x3d_m").space == "pytorchvideo-x3d-m-kinetics400-cd2cbf6c"
    assert describe("pytorchvideo/slowfast_r50/random").space == "pytorchvideo-slowfast-r50-random-069395d7"
    assert describe("torchvision/mc3_18").space == "torchvision-mc3-18-kinetics400-v1-dbf6444a"
    assert describe("timm/resnet50").space == "timm-resnet50-a1-in1k-e202feae"


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("afterwatch/tsm_r50", "afterwatch/tsm_r50"),
        ("afterwatch/tsm_r50", "afterwatch/tsm_r50/local"),
        ("afterwatch/tsm_r50/mine", "afterwatch/tsm_r50/mine"),
        ("afterwatch/tsm_r50+logits", "afterwatch/tsm_r50"),
        ("afterwatch/tsm_r50+logits", "afterwatch/tsm_r50/local"),
        ("afterwatch/tsm_r50+logits/mine", "afterwatch/tsm_r50/mine"),
        ("autoencoder/hasan", "autoencoder/hasan/local"),
    ],
)
def test_a_file_is_found_under_every_name_that_means_it(name: str, added: str) -> None:
    other = replace(FILE, sha256="cd" * 32)
    known = {added: FILE, "afterwatch/tsn_r50": other, "afterwatch/tsm_r50/other": other}
    assert find_weights(known, name) is FILE


def test_a_file_for_logits_alone_goes_before_the_one_for_both_and_none_serves_another() -> None:
    other = replace(FILE, sha256="cd" * 32)
    assert find_weights({"afterwatch/c3d": other, "afterwatch/c3d+logits": FILE}, "afterwatch/c3d+logits") is FILE
    assert find_weights({"afterwatch/c3d+logits": FILE}, "afterwatch/c3d") is None
    assert find_weights({"afterwatch/c3d/mine": FILE}, "afterwatch/c3d") is None


def test_where_a_file_lies_does_not_change_the_space() -> None:
    assert describe("timm/resnet50", replace(FILE, path=Path("/other.pt"))) == describe("timm/resnet50", FILE)


def test_a_file_says_its_size_and_normalisation() -> None:
    file = replace(FILE, options={"img_size": 96}, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    assert describe("timm/vit_tiny_patch16_224", file).input_size == (96, 96)
    assert normalisation("timm/vit_tiny_patch16_224", file).mean == (0.1, 0.2, 0.3)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.text("abc/", min_size=1),
    "kind": st.just("snippet"),
    "input_size": st.tuples(st.integers(1, 999), st.integers(1, 999)),
    "weights": st.text(),
    "preprocessing": st.text(),
    "snippet_frames": st.integers(1, 64),
    "snippet_rate_hz": st.floats(0.1, 60),
    "version": st.integers(1, 99),
}
SPECS = st.builds(EncoderSpec, **FIELDS)


@given(SPECS, st.sampled_from([field for field in FIELDS if field != "kind"]), st.data())
def test_a_space_changes_with_every_field(spec: EncoderSpec, field: str, data: st.DataObject) -> None:
    changed: dict[str, Any] = {field: data.draw(FIELDS[field])}
    other = replace(spec, **changed)
    assert (other.space == spec.space) == (other == spec)


def test_a_space_changes_with_the_kind() -> None:
    frame = EncoderSpec("a/b", "frame", (8, 8), "none", "")
    assert frame.space != replace(frame, kind="snippet", snippet_rate_hz=1.0).space


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("openclip/ViT-B-32", "open_clip"),
        ("handcrafted/apperance", "appearance"),
        ("torchvision/r3d_50", "r3d_18"),
        ("torchvision/r3d_18/KINETICS700", "KINETICS400_V1"),
        ("pytorchvideo/x3d_xl", "x3d_xs"),
        ("open_clip/ViT-B-31", "ViT-B-32"),
        ("afterwatch/tsm_r51", "tsm_r50"),
        ("torchvision/r3d_50+logits", "r3d_18"),
        ("timm/resnet50+logits", "resnet50"),
        ("timm/resnet49", "resnet50"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known(name: str, listed: str) -> None:
    with pytest.raises(UnknownNameError, match="known: ") as caught:
        describe(name)
    assert listed in caught.value.known
    assert listed in str(caught.value)


@pytest.mark.parametrize("name", ["timm/resnet18/a9_in1k", "open_clip/ViT-B-32/laion3b"])
def test_an_unknown_tag_is_answered_with_the_known_when_built(name: str) -> None:
    with pytest.raises(UnknownNameError, match="known: "):
        build(describe(name))


@pytest.mark.parametrize("name", ["timm", "timm/", "timm/a/b/c", "", "/resnet50"])
def test_a_name_has_two_or_three_parts(name: str) -> None:
    with pytest.raises(ConfigurationError, match="family/architecture"):
        describe(name)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("handcrafted/motion", FILE),
        ("handcrafted/motion/v2", None),
        ("timm/resnet50/random", FILE),
        ("timm/resnet10t", None),  # no default tag is frozen for it
        ("torchvision/r3d_18", replace(FILE, options={"width": 2})),
        ("timm/resnet50", replace(FILE, options={"input_size": "big"})),
        ("afterwatch/resnet3d_50", None),  # no hub has its weights
        ("afterwatch/c3d", replace(FILE, options={"frames": 8})),  # its poolings would leave nothing
        ("afterwatch/c3d", replace(FILE, options={"size": 15})),
        ("afterwatch/resnet3d_50", replace(FILE, options={"size": "64"})),
        ("torchvision/r3d_18", replace(FILE, options={"size": 64})),
        ("afterwatch/tsm_r50", replace(FILE, options={"segments": 0})),
        ("afterwatch/tsm_r50", replace(FILE, options={"segments": "8"})),
        ("afterwatch/slowfast_r50_8x8", replace(FILE, options={"alpha": 5})),
        ("afterwatch/slowfast_r50_8x8", replace(FILE, options={"beta": 3})),
        ("timm/resnet50", replace(FILE, mean=(0.5, 0.5, 0.5))),
        ("timm/resnet50", replace(FILE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.0))),
    ],
)
def test_contradictions_are_refused(name: str, file: WeightsFile | None) -> None:
    with pytest.raises(ConfigurationError):
        describe(name, file)


def test_local_weights_without_a_file_name_the_command() -> None:
    with pytest.raises(WeightsError, match="afterwatch weights add timm/resnet50/local FILE"):
        describe("timm/resnet50/local")


def test_a_spec_is_built_only_with_the_weights_it_was_described_with() -> None:
    with pytest.raises(ConfigurationError, match="disagree"):
        build(describe("timm/resnet50/a1_in1k", FILE))
    with pytest.raises(ConfigurationError, match="disagree"):
        build(describe("timm/resnet50", FILE), replace(FILE, sha256="cd" * 32))
    with pytest.raises(WeightsError, match="the workspace has none"):
        build(describe("timm/resnet50", FILE))
    with pytest.raises(ConfigurationError, match="disagree"):
        build(replace(describe("handcrafted/appearance"), input_size=(64, 64)))


def test_known_encoders_name_every_family_once() -> None:
    known = known_encoders()
    assert len(set(known)) == len(known)
    assert {name.split("/")[0] for name in known} == {
        "afterwatch",
        "autoencoder",
        "handcrafted",
        "open_clip",
        "pytorchvideo",
        "timm",
        "torchvision",
    }


def test_open_clip_sizes_and_normalisations_are_the_librarys() -> None:
    assert set(open_clip_sizes()) == set(open_clip.list_models())
    for model, tag in open_clip.list_pretrained():
        config, rule = get_pretrained_cfg(model, tag), open_clip_normalisation(model, tag)
        assert (rule.mean, rule.std) == (tuple(config["mean"]), tuple(config["std"])), f"{model}/{tag}"


@pytest.mark.parametrize("architecture", sorted(TIMM_DEFAULT_TAGS))
def test_timm_sizes_and_normalisations_are_the_librarys(architecture: str) -> None:
    spec, rule = describe(f"timm/{architecture}"), normalisation(f"timm/{architecture}")
    config = timm_config(f"{architecture}.{TIMM_DEFAULT_TAGS[architecture]}")
    assert config is not None
    assert spec.input_size == tuple(config.input_size[1:])
    assert (rule.mean, rule.std) == (tuple(config.mean), tuple(config.std))
