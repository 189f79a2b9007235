"""Classifiers of the registry beside networks: what they take clips for."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from torch import Tensor

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from evaluation.class_index import indices_or_rest
from evaluation.protocols.measured_classifiers import (
    AlarmRecogniser,
    classes_of,
    measure_classifier,
    refuse_seen,
    told_apart,
    with_normal,
)
from footage.writing import VideoWriter
from infra.errors import ConfigurationError, LakeError
from infra.weights import add_weights
from lake.promotions import promote
from models.arrays import prefixed
from models.encoders.build import build
from models.encoders.specs import describe
from models.heads.classifier import ClassifierHead
from models.networks.base import VideoNetwork
from models.recognition.flow import RecognitionFlow
from workspace.classifiers import EVERY_CAMERA, KIND
from workspace.clip_sets.base import ClipSet
from workspace.clip_sets.read import read_clip_set
from workspace.clip_vectors import inputs_of
from workspace.finetuning import KIND as NETWORK
from workspace.opened import Workspace

ENCODER = describe("handcrafted/appearance")
LEVELS = {"Bright": 210, "calm": 40, "other": 60}


@pytest.fixture(scope="module")
def clip_set(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    """Two clips of each class, plain grey ones; treat it as read only."""
    folder = tmp_path_factory.mktemp("levels")
    for label, level in LEVELS.items():
        (folder / label).mkdir()
        for number in range(2):
            with VideoWriter(folder / label / f"{label}{number}.mp4") as video:
                for frame in range(50):
                    video.write(np.full((64, 64, 3), level + 4 * number, np.uint8), frame * 40_000)
    return read_clip_set(folder)


@pytest.fixture
def workspace(tmp_path: Path, clip_set: ClipSet) -> Workspace:
    """With a classifier `lamp` that finds bright clips by the mean lightness of their pictures."""
    make_workspace(tmp_path / "site")
    workspace = Workspace(tmp_path / "site")
    encoder = build(ENCODER)
    dark, bright = (encoder.encode(np.full((1, 128, 128, 3), level, np.uint8))[0] for level in (50, 200))
    towards = np.zeros((1, 3 * encoder.dimension, 1), np.float32)
    towards[0, : encoder.dimension, 0] = (bright - dark) / np.square(bright - dark).sum()
    middle = -float(((bright + dark) / 2) @ towards[0, : encoder.dimension, 0])
    offset, scale = np.zeros(3 * encoder.dimension, np.float32), np.ones(3 * encoder.dimension, np.float32)
    head = ClassifierHead(("bright",), offset, scale, ((20 * towards, np.full((1, 1), 20 * middle, np.float32)),))
    known = next(clip.content for clip in clip_set.clips if clip.name == "Bright/Bright0.mp4")
    for version, seen in (("v1", []), ("v2", [known, "of another clip"])):
        card = {
            **inputs_of([ENCODER], window_s=1.0, frame_rate_hz=4.0).to_card(),
            "classes": ["bright"],
            "normal": "dim",
            "contents": seen,
            "made_at": "2026-03-02T08:00:00+00:00",
        }
        workspace.registry.save(KIND, "lamp", version, card, prefixed("head", head.to_arrays()), author="ada")
    promote(workspace.ledger, KIND, "lamp", "v1", "Ada", EVERY_CAMERA)
    return workspace


def test_clips_are_taken_for_the_alarm_class_or_for_normal(workspace: Workspace, clip_set: ClipSet) -> None:
    measured, left_out = measure_classifier(workspace, "lamp", clip_set, threads=1)
    assert left_out == ()
    assert measured.entry.name == "classifier lamp/v1"
    assert measured.entry.classes == ("bright", "dim")
    # Clips that are of no alarm class, whatever they are called, are normal.
    assert measured.truth.tolist() == [0, 0, 1, 1, 1, 1]
    assert measured.scores.argmax(axis=1).tolist() == [0, 0, 1, 1, 1, 1]
    assert measured.result("top1").value == 1.0
    assert measured.entry.device == "cpu", "the device that was used, not the word auto"
    assert 0 < measured.sample_s < measured.elapsed_s
    assert measured.entry.parameters == 3 * build(ENCODER).dimension + 1
    assert np.isnan(measured.result("multiply_adds").value)


def test_the_verb_measures_a_classifier_by_name(
    workspace: Workspace, clip_set: ClipSet, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(clip_set.clips[0].path.parent.parent)
    with pytest.raises(SystemExit) as left:
        main(
            [
                "evaluate",
                "action-recognition",
                "--data",
                data,
                "--classifier",
                "lamp",
                "--site",
                str(workspace.site.root),
            ]
        )
    assert not left.value.code
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| classifier lamp/v1")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1].startswith("1.000 [0.610, 1.000]")
    assert (cells[2], cells[4], cells[7]) == ("–", "–", "–")


def test_a_classifier_is_not_measured_on_clips_that_it_was_fitted_on(workspace: Workspace, clip_set: ClipSet) -> None:
    with pytest.raises(ConfigurationError, match=r"of 1 of these 6 clips \(Bright/Bright0.mp4\)"):
        measure_classifier(workspace, "lamp", clip_set, version="v2")


def test_a_classifier_of_other_classes_says_so(workspace: Workspace, clip_set: ClipSet) -> None:
    without = [clip for clip in clip_set.clips if clip.label != "Bright"]
    with pytest.raises(ConfigurationError, match=r"none of the classes calm, other .* \(bright\)"):
        measure_classifier(workspace, "lamp", clip_set.narrowed(without, ()))


def test_other_vectors_than_it_was_fitted_on_are_refused(workspace: Workspace, clip_set: ClipSet) -> None:
    card, arrays = workspace.registry.load(KIND, "lamp", "v1")
    card["inputs"][0]["space"] = "another-space"
    workspace.registry.save(KIND, "lamp", "v3", card, arrays, author="ada")
    with pytest.raises(LakeError, match="another-space"):
        measure_classifier(workspace, "lamp", clip_set, version="v3")


def test_a_classifier_is_not_measured_on_clips_that_its_network_was_fine_tuned_on(
    workspace: Workspace, clip_set: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tuned.safetensors").write_bytes(b"a network")
    encoder = "pytorchvideo/x3d_xs/tuned"
    weights = add_weights(workspace.site.weights_folder, encoder, tmp_path / "tuned.safetensors", {})
    spec = describe(encoder, weights)
    monkeypatch.setattr(
        "evaluation.protocols.measured_classifiers.input_encoder", lambda *_, **__: SimpleNamespace(spec=spec)
    )
    card, arrays = workspace.registry.load(KIND, "lamp", "v1")
    workspace.registry.save(KIND, "lamp", "v4", {**card, **inputs_of([spec]).to_card()}, arrays, author="ada")
    seen = next(clip.content for clip in clip_set.clips if clip.name == "calm/calm1.mp4")
    told = {"weights": weights.sha256, "classes": ["bright"], "data": {"seen": [seen]}}
    workspace.registry.save(NETWORK, "x3d_xs.tuned", "v1", told, {"a": np.zeros(1)}, author="ada")
    with pytest.raises(ConfigurationError, match=rf"{encoder} was fitted on .* 1 of these 6 clips \(calm/calm1.mp4\)"):
        measure_classifier(workspace, "lamp", clip_set, version="v4")


def test_other_clips_of_a_source_video_that_was_fitted_on_are_refused_as_well(clip_set: ClipSet) -> None:
    first, second, *rest = clip_set.clips
    sides = [
        replace(first, split="train"),
        replace(second, split="test"),
        *(replace(one, split="test") for one in rest),
    ]
    apart = replace(clip_set, clips=tuple(sides))
    refuse_seen("it", {first.content}, apart)  # the training side is not measured
    sides[1] = replace(sides[1], source=first.source)
    with pytest.raises(ConfigurationError, match=rf"it was .* of 1 of these 5 clips \({second.name}\)"):
        refuse_seen("it", {first.content}, replace(apart, clips=tuple(sides)))


def test_the_normal_class_scores_one_less_the_highest() -> None:
    found = with_normal(np.array([[0.7, 0.2], [0.2, 0.4]], np.float32))
    np.testing.assert_allclose(found, [[0.7, 0.2, 0.3], [0.2, 0.4, 0.6]], atol=1e-6)


class Redness(VideoNetwork):
    """Two logits: the mean of red, and of green."""

    def __init__(self) -> None:
        super().__init__(3, 2)

    def features(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=(2, 3, 4))

    def logits(self, frames: Tensor) -> Tensor:
        return self.features(frames)[:, :2]


def test_a_network_of_alarm_classes_scores_the_mean_sigmoid_of_its_views() -> None:
    flow = RecognitionFlow(short_side_px=16, crop_px=16, frames=1, stride=1, clips=2)
    recogniser = AlarmRecogniser(describe("torchvision/r3d_18/random"), Redness(), flow, device="cpu")
    colours = np.array([[250, 20, 0], [120, 5, 0]], np.uint8)
    sample = recogniser.sample(np.array([0, 1_000_000]), 2_000_000)
    assert sample.wanted.tolist() == [0, 1]
    for index, colour in enumerate(colours):
        sample.add(index, np.broadcast_to(colour, (16, 16, 3)).copy())
    logits = (colours[:, :2] / 255 - flow.normalisation.mean[:2]) / np.array(flow.normalisation.std[:2])
    expected = (1 / (1 + np.exp(-logits))).mean(axis=0)
    np.testing.assert_allclose(
        recogniser.probabilities(sample), [expected[0], expected[1], 1 - expected.max()], atol=1e-5
    )
    assert recogniser.classes == 3


def test_clips_of_no_alarm_class_are_told_apart_as_normal(clip_set: ClipSet) -> None:
    classes = classes_of({"classes": ["bright"], "normal": "dim"})
    apart = told_apart(clip_set, "tuned", classes)
    assert [clip.label for clip in apart.clips] == ["bright", "bright", "dim", "dim", "dim", "dim"]
    assert (apart.classes, apart.normal) == (("bright", "dim"), "dim")
    with pytest.raises(ConfigurationError, match="none of the classes Bright, calm, other is one that tuned knows"):
        told_apart(clip_set, "tuned", ("fight", "normal"))
    assert classes_of({"classes": ["run"]}) == ("run", "normal")
    assert classes_of({"classes": ["run", "calm"], "normal": "calm"}) == ("run", "calm", "not calm")


def test_labels_of_no_class_are_the_rest() -> None:
    assert indices_or_rest(["Fight", "walking"], ["fight", "fall"]) == {"Fight": 0, "walking": 2}
