"""Classifiers as ONNX files: what is written is the classifier, and says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError, LakeError, UnknownNameError
from lake.operating_points import OperatingPoint, say_operating_point
from lake.promotions import promote
from models.arrays import prefixed
from models.encoders.build import build
from models.encoders.specs import describe
from models.heads.classifier import ClassifierHead
from models.onnx_export import random_windows, unit_range
from models.windows import joined_dimension
from workspace.classifiers import EVERY_CAMERA, KIND
from workspace.clip_vectors import Inputs, inputs_of
from workspace.export import export_classifier, window_vectors
from workspace.opened import Workspace

FRAMES = "timm/test_resnet/random"
SNIPPETS = "autoencoder/hasan/random"
RATE_HZ, WINDOW_S = 2.0, 1.5
Kept = Callable[..., tuple[Workspace, ClassifierHead]]


def head_on(dimension: int) -> ClassifierHead:
    random = np.random.default_rng(1)

    def layer(into: int, out: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        weight = random.standard_normal((2, into, out), np.float32) / np.float32(np.sqrt(into))
        return weight, random.standard_normal((2, out), np.float32)

    offset, scale = random.standard_normal(dimension, np.float32), random.uniform(0.5, 2, dimension).astype(np.float32)
    return ClassifierHead(("fight", "fall"), offset, scale, (layer(dimension, 16), layer(16, 2)))


def inputs_for(*names: str) -> Inputs:
    specs = [describe(name) for name in names]
    frames_only = all(spec.kind == "frame" for spec in specs)
    any_frames = any(spec.kind == "frame" for spec in specs)
    return inputs_of(specs, window_s=WINDOW_S if frames_only else None, frame_rate_hz=RATE_HZ if any_frames else None)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Puts a classifier on such encoders into service; its head has weights of chance."""

    def keep(*names: str, **other: Any) -> tuple[Workspace, ClassifierHead]:
        site = tmp_path / "site"
        if not site.exists():
            make_workspace(site)
        workspace = Workspace(site)
        inputs = inputs_for(*names)
        dimensions = [(item.pooling, build(describe(item.encoder), device="cpu").dimension) for item in inputs.items]
        head = head_on(joined_dimension(dimensions))
        card = {
            **inputs.to_card(),
            "classes": list(head.classes),
            "normal": "nothing",
            "thresholds": {name: {"threshold": 0.25, "criterion": "f_beta 2"} for name in head.classes},
            "made_at": "2026-03-02T08:00:00+00:00",
            **other,
        }
        workspace.registry.save(KIND, "hall", "v1", card, prefixed("head", head.to_arrays()), author="ada")
        promote(workspace.ledger, KIND, "hall", "v1", "Ada", EVERY_CAMERA)
        return workspace, head

    return keep


def metadata(path: Path) -> dict[str, str]:
    return {one.key: one.value for one in onnx.load(str(path)).metadata_props}


def run(path: Path, **inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(["logits", "probabilities"], inputs)
    return found


def test_a_network_of_pictures_with_its_pooling_and_head(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, head = kept(FRAMES)
    path = tmp_path / "hall.onnx"
    with pytest.raises(SystemExit) as left:
        main(["models", "export", "hall/v1", "--output", str(path), "--site", str(workspace.site.root), "--json"])
    assert not left.value.code
    told = json.loads(capsys.readouterr().out)
    assert told["input_shape"] == [3, 3, 224, 224]
    assert told["classes"] == ["fight", "fall"]
    assert told["bytes"] == path.stat().st_size
    assert told["largest_difference"] < 1e-3
    pixels = random_windows(2, (3, 224, 224), seed=9)
    vectors = window_vectors(build(describe(FRAMES), device="cpu"), pixels, "moments")
    logits, probabilities = run(path, frames=unit_range(pixels))
    np.testing.assert_allclose(logits, head.logits(vectors), atol=1e-3)
    np.testing.assert_allclose(probabilities, head.probabilities(vectors), atol=1e-3)
    said = metadata(path)
    assert said["encoder"] == FRAMES
    assert said["space"] == describe(FRAMES).space
    assert said["model"] == "classifier/hall/v1"
    assert (said["frames"], said["rate_hz"], said["height"], said["width"]) == ("3", "2", "224", "224")
    assert (said["pooling"], said["window_s"]) == ("moments", "1.5")
    assert json.loads(said["classes"]) == ["fight", "fall"]
    assert json.loads(said["thresholds"]) == {"fight": 0.25, "fall": 0.25}


def test_a_network_of_snippets(kept: Kept, tmp_path: Path) -> None:
    workspace, head = kept(SNIPPETS)
    made = export_classifier(workspace, "hall", tmp_path / "hall.onnx", version="v1")
    spec = describe(SNIPPETS)
    assert made.input_shape == (3, spec.snippet_frames, *spec.input_size)
    pixels = random_windows(1, (spec.snippet_frames, *spec.input_size), seed=4)
    logits, _ = run(made.path, frames=unit_range(pixels))
    np.testing.assert_allclose(logits, head.logits(build(spec, device="cpu").encode(pixels)), atol=1e-3)
    assert metadata(made.path)["preprocessing"] == spec.preprocessing


def test_the_head_alone_whatever_the_encoders(kept: Kept, tmp_path: Path) -> None:
    workspace, head = kept("handcrafted/motion", "handcrafted/appearance")
    made = export_classifier(workspace, "hall", tmp_path / "hall.onnx", head_only=True)
    assert (made.input_name, made.input_shape) == ("vectors", (head.dimension,))
    vectors = np.random.default_rng(0).standard_normal((7, head.dimension), np.float32)
    logits, _ = run(made.path, vectors=vectors)
    np.testing.assert_allclose(logits, head.logits(vectors), atol=1e-4)
    assert json.loads(metadata(made.path)["inputs"]) == [
        {"encoder": "handcrafted/motion", "space": describe("handcrafted/motion").space, "pooling": "window"},
        {"encoder": "handcrafted/appearance", "space": describe("handcrafted/appearance").space, "pooling": "moments"},
    ]


@pytest.mark.parametrize(
    ("encoders", "fault"),
    [
        (("handcrafted/motion", "handcrafted/appearance"), "joins the vectors of 2 encoders.*--head-only"),
        (("handcrafted/motion",), "is no network.*--head-only"),
    ],
)
def test_what_has_no_form_as_a_whole_says_what_has(
    kept: Kept, tmp_path: Path, encoders: tuple[str, ...], fault: str
) -> None:
    workspace, _ = kept(*encoders)
    with pytest.raises(ConfigurationError, match=fault):
        export_classifier(workspace, "hall", tmp_path / "hall.onnx")
    assert not (tmp_path / "hall.onnx").exists()


def test_a_graph_that_differs_leaves_an_older_file_alone(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = kept("handcrafted/motion")
    path = tmp_path / "hall.onnx"
    path.write_bytes(b"older")
    monkeypatch.setattr("models.onnx_export.TOLERANCE", -1.0)
    with pytest.raises(ConfigurationError, match="differs from the classifier"):
        export_classifier(workspace, "hall", path, head_only=True)
    assert path.read_bytes() == b"older"


def test_the_threshold_that_a_person_chose_is_told(kept: Kept, tmp_path: Path) -> None:
    workspace, _ = kept("handcrafted/motion")
    say_operating_point(workspace.ledger, OperatingPoint("hall", "v1", "fall", 0.8, "recall 0.9", "Ada"))
    made = export_classifier(workspace, "hall", tmp_path / "hall.onnx", head_only=True)
    assert json.loads(metadata(made.path)["thresholds"]) == {"fight": 0.25, "fall": 0.8}
    assert json.loads(metadata(made.path)["threshold_criteria"])["fall"] == "recall 0.9"


def test_other_weights_than_it_was_fitted_on_are_refused(kept: Kept, tmp_path: Path) -> None:
    others = [{"encoder": FRAMES, "space": "another-space", "kind": "frame", "pooling": "moments"}]
    workspace, _ = kept(FRAMES, inputs=others)
    with pytest.raises(LakeError, match="fitted on vectors of another-space"):
        export_classifier(workspace, "hall", tmp_path / "hall.onnx")


def test_names_and_files_that_are_none_are_refused(kept: Kept, tmp_path: Path) -> None:
    workspace, _ = kept("handcrafted/motion")
    with pytest.raises(UnknownNameError, match="hal"):
        export_classifier(workspace, "hal", tmp_path / "hall.onnx")
    with pytest.raises(UnknownNameError, match="v2"):
        export_classifier(workspace, "hall", tmp_path / "hall.onnx", version="v2")
    with pytest.raises(ConfigurationError, match=r"does not end in \.onnx"):
        export_classifier(workspace, "hall", tmp_path / "hall.pt", head_only=True)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        export_classifier(workspace, "hall", blocked / "hall.onnx", head_only=True)
