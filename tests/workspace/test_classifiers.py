"""Classifiers of the registry: fitted from windows, found, put into service, held against thresholds, kept apart from what was seen."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from afterwatch.workspace_files import make_workspace
from footage.index import FrameIndex
from infra.errors import ConfigurationError, LakeError, UnknownNameError
from lake.operating_points import OperatingPoint, say_operating_point
from lake.promotions import in_service, promote
from models.encoders.specs import describe
from models.finetuning import FinetuningSettings
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_training import cross_validate
from models.sweep import Criterion, sweep
from tests.workspace.told_cards import says_everything
from workspace import serving
from workspace.classifier_fitting import FittedClassifier, fit_classifier, training_part
from workspace.classifiers import (
    EVERY_CAMERA,
    KIND,
    FoundClassifier,
    find_classifier,
    load_head,
    sweep_of,
    threshold_of,
    versions_of,
)
from workspace.clip_sets.base import ClipSet, LabelledClip
from workspace.clip_vectors import ClipWindows, Inputs, inputs_of
from workspace.finetuning import KIND as NETWORK
from workspace.finetuning import encoder_name, finetune_encoder, unseen_part
from workspace.opened import Workspace

QUICK = ClassifierSettings(hidden=(8,), learning_rate=0.05, epochs=8, patience=3, batch_size=16)
INDEX = FrameIndex(np.arange(50), np.ones(50, np.bool_), Fraction(1, 25))
CLASSES = ("fall", "fight", "normal")


def clip_set(count: int = 24, classes: tuple[str, ...] = CLASSES) -> ClipSet:
    clips = tuple(
        LabelledClip(
            f"{classes[number % len(classes)]}/{number:02}.mp4",
            Path(f"{number}.mp4"),
            classes[number % len(classes)],
            f"source{number}",
            f"content{number}",
            INDEX,
        )
        for number in range(count)
    )
    return ClipSet(clips, tuple(sorted(classes)), "normal", "folders", ("broken.mp4: cannot be read",))


def windows_of(clips: ClipSet, seed: int = 0) -> ClipWindows:
    """Two windows of each clip; each class has a value of its own."""
    clip = np.repeat(np.arange(len(clips)), 2)
    vectors = np.random.default_rng(seed).normal(size=(len(clip), 4))
    vectors[np.arange(len(clip)), [clips.classes.index(clips.labels[one]) for one in clip.tolist()]] += 3
    spans = np.tile([0, 1_000_000], len(clips))
    return ClipWindows(clips, clip, spans, spans + 1_000_000, vectors.astype(np.float32), 0)


def inputs() -> Inputs:
    return inputs_of([describe("handcrafted/motion")])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path / "site"))


def fit(workspace: Workspace, seed: int = 0, classes: tuple[str, ...] = ("fall", "fight")) -> FittedClassifier:
    return fit_classifier(
        workspace,
        "trouble",
        "clips",
        windows_of(clip_set()),
        inputs(),
        classes,
        replace(QUICK, seed=seed),
        folds=4,
        author=" ada ",
    )


@pytest.fixture
def fitted(workspace: Workspace) -> FittedClassifier:
    return fit(workspace)


def test_the_card_says_what_a_classifier_is_and_is_true(workspace: Workspace, fitted: FittedClassifier) -> None:
    card, arrays = workspace.registry.load(KIND, "trouble", fitted.version)
    assert card == fitted.card and fitted.serves
    says_everything(KIND, card, "ada")
    assert Inputs.from_card(card) == inputs()
    assert (card["classes"], card["normal"], card["author"]) == (["fall", "fight"], "normal", "ada")
    assert card["data"]["clips"] == {"fall": 8, "fight": 8, "normal": 8} and card["data"]["sources"] == 24
    assert card["data"]["left_out"] == ["broken.mp4: cannot be read"] and card["data"]["windows"] == 48
    assert card["clips"] == [clip.name for clip in clip_set().clips] and len(card["folds"]["epochs"]) == 4
    out = cross_validate(QUICK, windows_of(clip_set()).samples(("fall", "fight")), folds=4)
    assert np.array_equal(arrays["fold.scores"], out.scores) and np.array_equal(arrays["fold.number"], out.fold)
    assert card["epochs"] == out.median_epochs
    truth = clip_set().targets(("fall", "fight"))
    assert np.array_equal(arrays["fold.truth"], truth)
    for place, name in enumerate(("fall", "fight")):
        swept, told = sweep(truth[:, place], out.scores[:, place]), card["metrics"][name]
        assert told["auc"] == pytest.approx(swept.auc, abs=1e-4) and told["auc"] > 0.9
        assert told["half"]["true_positives"] == swept.at(0.5).true_positives
        assert card["thresholds"][name] == {"threshold": swept.choose(), "criterion": "f_beta 2"}
        assert told["recommended"]["f2"] >= told["inside"]["f2"]


def test_the_head_tells_the_classes_apart(workspace: Workspace, fitted: FittedClassifier) -> None:
    head = load_head(workspace, find_classifier(workspace, "trouble"))
    told = windows_of(clip_set(), seed=5)
    said = head.probabilities(told.vectors)
    assert head.classes == ("fall", "fight")
    assert said[:, 1][told.clip % 3 == 1].mean() > said[:, 1][told.clip % 3 != 1].mean() + 0.2


def test_the_same_call_makes_the_same_version_and_another_seed_another(
    workspace: Workspace, fitted: FittedClassifier
) -> None:
    again, other = fit(workspace), fit(workspace, seed=1)
    assert again.version == fitted.version != other.version
    assert again.card["made_at"] == fitted.card["made_at"], "what is there already stays"
    assert again.serves and not other.serves
    assert in_service(workspace.ledger, KIND) == {"trouble": fitted.version}, "a later one is a candidate"
    assert set(versions_of(workspace, "trouble")) == {fitted.version, other.version}


def test_a_classifier_is_found_by_name_version_and_service(workspace: Workspace, fitted: FittedClassifier) -> None:
    other = fit(workspace, seed=1)
    assert find_classifier(workspace, "trouble").version == fitted.version
    assert find_classifier(workspace, "trouble", other.version).card == other.card
    promote(workspace.ledger, KIND, "trouble", other.version, "bob", EVERY_CAMERA)
    assert find_classifier(workspace, "trouble").version == other.version
    with pytest.raises(UnknownNameError, match='unknown classifier "troubles" — did you mean "trouble"'):
        find_classifier(workspace, "troubles")
    with pytest.raises(UnknownNameError, match="version of classifier trouble"):
        find_classifier(workspace, "trouble", "nothing")
    serving.take_out_of_service(workspace, serving.model_named(workspace, "trouble"), "bob")
    with pytest.raises(ConfigurationError, match="afterwatch models promote trouble"):
        find_classifier(workspace, "trouble")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"frame_rate_hz": 5.0}, "only frame encoders have a frame_rate_hz"),
        ({"thresholds": {"fall": {"threshold": 0.5, "criterion": "chosen"}}}, "its card tells no threshold of fight"),
        (
            {"thresholds": {"fight": {"threshold": "high", "criterion": "chosen"}}},
            "its card tells no threshold of fight",
        ),
        ({"made_at": "yesterday"}, "or not when it was made"),
        ({"classes": 3}, "its card does not name its classes"),
        ({"classes": []}, "its card does not name its classes"),
    ],
)
def test_a_card_that_cannot_be_used_is_refused_by_name(
    workspace: Workspace, fitted: FittedClassifier, wrong: dict[str, object], why: str
) -> None:
    workspace.registry.save(KIND, "wrong", "v1", {**fitted.card, **wrong}, {"a": np.zeros(1)}, author="ada")
    with pytest.raises(LakeError, match=r"^classifier wrong v1 cannot be used: .*; fit it again$") as refused:
        threshold_of(workspace, find_classifier(workspace, "wrong", "v1"), "fight")
    assert why in str(refused.value)


def test_versions_of_every_kind_are_told_oldest_first(workspace: Workspace) -> None:
    made = {"v1": "2026-03-03", "v2": "2026-03-01", "v3": "2026-03-02", "v4": "2026-03-02"}
    for kind in (KIND, "retrieval"):
        for version, made_at in made.items():
            workspace.registry.save(
                kind, f"{kind} door", version, {"made_at": made_at}, {"a": np.zeros(1)}, author="ada"
            )
        assert versions_of(workspace, f"{kind} door", kind) == ["v2", "v3", "v4", "v1"]
        assert serving.model_named(workspace, f"{kind} door").versions == ("v2", "v3", "v4", "v1")
    with pytest.raises(UnknownNameError, match='unknown retrieval "nothing"'):
        versions_of(workspace, "nothing", "retrieval")


def test_a_class_is_named_where_there_are_several(workspace: Workspace, fitted: FittedClassifier) -> None:
    found = find_classifier(workspace, "trouble")
    assert found.class_named("fight") == "fight"
    with pytest.raises(ConfigurationError, match=r"which one is meant \(fall, fight\)"):
        found.class_named(None)
    with pytest.raises(UnknownNameError, match="class of classifier trouble"):
        sweep_of(workspace, found, "normal")
    assert FoundClassifier("one", "v", {"classes": ["fight"]}).class_named(None) == "fight"


def test_a_threshold_is_what_was_said_last_or_else_recommended(workspace: Workspace, fitted: FittedClassifier) -> None:
    found = find_classifier(workspace, "trouble")
    point = threshold_of(workspace, found, "fight")
    assert (point.author, point.criterion) == ("", "f_beta 2")
    assert point.threshold == sweep_of(workspace, found, "fight").choose(Criterion("f_beta", (2,)))
    said = OperatingPoint("trouble", fitted.version, "fight", 0.75, "chosen", "ada")
    say_operating_point(workspace.ledger, said)
    assert threshold_of(workspace, found, "fight") == said
    assert threshold_of(workspace, found, "fall").author == ""
    other = fit(workspace, seed=1)
    assert threshold_of(workspace, FoundClassifier("trouble", other.version, other.card), "fight").author == ""


def test_classes_that_raise_no_alarm_count_as_normal(workspace: Workspace) -> None:
    card = fit(workspace, classes=("fight",)).card
    assert card["classes"] == ["fight"] and card["data"]["clips"]["fall"] == 8
    assert (
        card["metrics"]["fight"]["half"]["true_negatives"] + card["metrics"]["fight"]["half"]["false_positives"] == 16
    )


def test_what_cannot_be_fitted_is_refused_and_nothing_is_kept(workspace: Workspace) -> None:
    told = windows_of(clip_set())
    for name, author, match in (("a/b", "ada", "cannot name a classifier"), ("trouble", " ", "author")):
        with pytest.raises(ConfigurationError, match=match):
            fit_classifier(workspace, name, "clips", told, inputs(), ("fight",), QUICK, author=author)
    with pytest.raises(ConfigurationError, match="9 folds need 9 of each class"):
        fit_classifier(workspace, "trouble", "clips", told, inputs(), ("fight",), QUICK, folds=9, author="ada")
    assert workspace.registry.versions() == []


def test_the_test_side_of_an_official_split_is_not_trained_on() -> None:
    whole = clip_set()
    sides = tuple(replace(clip, split="test" if number < 6 else "train") for number, clip in enumerate(whole.clips))
    assert training_part(replace(whole, clips=sides)).clips == sides[6:]
    assert training_part(whole) is whole
    with pytest.raises(ConfigurationError, match="0 classes are left"):
        training_part(replace(whole, clips=tuple(replace(clip, split="test") for clip in whole.clips)))


# Service.


def test_only_known_versions_of_kinds_that_serve_are_promoted(workspace: Workspace, fitted: FittedClassifier) -> None:
    model = serving.model_named(workspace, "trouble")
    assert (model.kind, model.versions, model.serving) == (KIND, (fitted.version,), fitted.version)
    with pytest.raises(UnknownNameError, match="version of classifier trouble"):
        serving.put_into_service(workspace, model, "nothing", "ada")
    with pytest.raises(ConfigurationError, match="author"):
        serving.put_into_service(workspace, model, fitted.version, " ")
    workspace.registry.save("novelty", "hall", "v1", {}, {"a": np.zeros(1)}, author="ada")
    with pytest.raises(ConfigurationError, match="the night chooses novelty heads"):
        serving.put_into_service(workspace, serving.model_named(workspace, "hall"), "v1", "ada")
    serving.take_out_of_service(workspace, model, "ada")
    with pytest.raises(ConfigurationError, match="nothing to retire"):
        serving.take_out_of_service(workspace, serving.model_named(workspace, "trouble"), "ada")
    with pytest.raises(UnknownNameError, match='unknown model "hal"'):
        serving.model_named(workspace, "hal")


def test_a_retrieval_head_serves_its_own_camera(workspace: Workspace) -> None:
    card = {"use_case": {"camera": "hall", "region": "frame", "name": "door"}, "made_at": "2026-03-02"}
    for version in ("v1", "v2"):
        workspace.registry.save("retrieval", "door", version, card, {"a": np.zeros(1)}, author="ada")
    serving.put_into_service(workspace, serving.model_named(workspace, "door"), "v2", "ada")
    assert in_service(workspace.ledger, "retrieval", "hall") == {"door": "v2"}
    workspace.registry.save(KIND, "door", "v1", {}, {"a": np.zeros(1)}, author="ada")
    with pytest.raises(ConfigurationError, match="kinds classifier, retrieval; say which with --kind"):
        serving.model_named(workspace, "door")
    assert serving.model_named(workspace, "door", "retrieval").serving == "v2"


# What a fine-tuned network has seen.


def test_clips_of_sources_that_a_fine_tuned_encoder_has_seen_are_left_out(workspace: Workspace) -> None:
    whole = clip_set()
    clips = tuple(replace(clip, source=f"source{number // 2}") for number, clip in enumerate(whole.clips))
    whole = replace(whole, clips=clips)
    card = {"weights": "0" * 64, "data": {"seen": ["content0", "content4", "elsewhere"]}}
    workspace.registry.save(NETWORK, "r3d_18.mine", "v1", card, {"a": np.zeros(1)}, author="ada")
    plain = describe("torchvision/r3d_18/random")
    assert unseen_part(workspace.registry, whole, [plain]) is whole
    left = unseen_part(workspace.registry, whole, [plain, replace(plain, weights=f"sha256:{'0' * 64}")])
    assert [clip.source for clip in clips if clip not in left.clips] == ["source0", "source0", "source2", "source2"]
    assert left.left_out[-1] == "4 clips of 2 source videos: the fine-tuned network has seen them"


def test_what_can_be_fine_tuned_and_how_it_is_called() -> None:
    spec = describe("torchvision/r3d_18/random")
    assert encoder_name(spec, "mine") == "torchvision/r3d_18/mine"
    for name in ("random", "local", "a/b", ""):
        with pytest.raises(ConfigurationError, match="cannot name fine-tuned weights"):
            encoder_name(spec, name)
    with pytest.raises(ConfigurationError, match="no video network"):
        encoder_name(describe("handcrafted/motion"), "mine")


def test_snippets_that_would_not_fit_the_disk_are_refused_before_a_clip_is_decoded(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    many = clip_set(30)
    spec = describe("torchvision/r3d_18/random")
    with pytest.raises(ConfigurationError, match=r"60 snippets for .* take about 0\.0 GB"):
        finetune_encoder(
            workspace, "mine", "clips", many, ("fight",), spec, None, FinetuningSettings(), device="cpu", author="ada"
        )


@pytest.mark.parametrize("lost", ["head.layer0.bias", "head.offset", "head.classes", "fold.scores", "fold.truth"])
def test_arrays_that_are_no_head_are_named(workspace: Workspace, fitted: FittedClassifier, lost: str) -> None:
    card, arrays = workspace.registry.load(KIND, fitted.name, fitted.version)
    for version, changed in (("gone", {}), ("misshapen", {lost: np.zeros((1, 0), np.float32)})):
        left = {name: value for name, value in arrays.items() if name != lost}
        workspace.registry.save(KIND, fitted.name, version, card, {**left, **changed}, author="ada")
        found = find_classifier(workspace, fitted.name, version)
        refused = pytest.raises(LakeError, match=r"damaged .*; fit it again")
        if lost.startswith("fold"):
            with refused:
                sweep_of(workspace, found, "fight")
        else:
            with refused:
                load_head(workspace, found)
