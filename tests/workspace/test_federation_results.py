"""What a site keeps: its own model as a candidate, read by everything that reads such models, told on a card; put into service by nobody."""

from pathlib import Path

import numpy as np
import pytest

from afterwatch.classifier_texts import tell_metrics
from infra.errors import ConfigurationError
from infra.weights import read_weights
from lake.promotions import in_service, promote
from models.autoencoders.cuboids import mean_picture
from models.federation.base import Tensors
from models.federation.plan import FederatedPlan
from models.federation.sites import initial_shared
from models.heads.classifier_training import score_clips
from models.projections.build import projection_from_arrays
from tasks.projections import find_projection
from tests.footage.films import Film
from tests.workspace.federated import a_classifier, a_projection, an_autoencoder, federated_site
from tests.workspace.made_clips import put_clip, put_clips
from tests.workspace.told_cards import says_everything
from workspace import autoencoders, projections
from workspace.classifiers import EVERY_CAMERA, KIND, find_classifier, load_head, sweep_of, threshold_of
from workspace.federation.autoencoder_material import AutoencoderMaterial
from workspace.federation.classifier_material import ClassifierMaterial
from workspace.federation.folders import material_folder
from workspace.federation.material import Material, SiteMaterial, site_material
from workspace.federation.projection_material import ProjectionMaterial
from workspace.federation.results import NONE_HELD_OUT, keep_model
from workspace.opened import Workspace
from workspace.segment_scores import fold_names
from workspace.serving import model_named, put_into_service


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return federated_site(tmp_path / "site")


def trained(plan: FederatedPlan, found: SiteMaterial) -> Tensors:
    """Shared tensors after a round of this site alone."""
    return found.site.train(initial_shared(plan), 1, None).shared


def test_an_autoencoder_is_kept_as_a_candidate_with_this_sites_own_mean_picture(
    workspace: Workspace, tmp_path: Path
) -> None:
    for number in range(3):
        put_clip(tmp_path / "clips" / f"{number}.mp4", number, Film(count=75, height=48, width=48))
    plan = an_autoencoder()
    found = site_material(workspace, plan, Material(tmp_path / "clips"))
    assert isinstance(found, AutoencoderMaterial)
    shared = trained(plan, found)
    kept = keep_model(workspace, plan, found, shared, author=" ada ")
    assert (kept.kind, kept.name) == (autoencoders.KIND, "hasan.yard")
    assert "autoencoder/hasan/yard" not in read_weights(workspace.site.weights_folder), "the night goes on without it"
    card, arrays = workspace.registry.load(kept.kind, kept.name, kept.version)
    assert card == kept.card and card["author"] == "ada"
    says_everything(kept.kind, card, "ada")
    assert card["federation"] == {
        "plan": plan.digest,
        "rounds": 2,
        "local_epochs": 1,
        "seed": 3,
        "clients": None,
        "samples": found.site.samples,
    }
    assert card["footage"]["cuboids"] == found.site.samples and card["footage"]["rate_hz"] == 5.0
    assert len(arrays["held_out_scores"]) > 0
    # Put into service, it is the shared tensors with what was measured here.
    put_into_service(workspace, model_named(workspace, kept.name), kept.version, "ada")
    weights = read_weights(workspace.site.weights_folder)["autoencoder/hasan/yard"]
    from safetensors.numpy import load_file

    tensors = load_file(weights.path)
    assert all(np.array_equal(tensors[name], value) for name, value in shared.items())
    picture, deviation = mean_picture(found.footage.training)
    local = {name: value for name, value in tensors.items() if name not in shared}
    assert sorted(value.size for value in local.values()) == [1, 48 * 48]
    assert any(np.array_equal(value.reshape(-1), picture.reshape(-1)) for value in local.values())
    assert any(value.size == 1 and np.isclose(float(value.reshape(-1)[0]), deviation) for value in local.values())


def test_the_same_result_is_one_version_and_its_clips_are_taken_away(workspace: Workspace, tmp_path: Path) -> None:
    put_clips(tmp_path / "clips", [f"{name}/{number}.mp4" for name in ("fall", "normal") for number in range(3)])
    plan = a_classifier(classes=("fall",))
    found = site_material(workspace, plan, Material(tmp_path / "clips"))
    shared = trained(plan, found)
    assert any(material_folder(workspace, plan.name, plan.digest).iterdir())
    first = keep_model(workspace, plan, found, shared, author="ada")
    assert not material_folder(workspace, plan.name, plan.digest).exists()
    again = keep_model(
        workspace, plan, site_material(workspace, plan, Material(tmp_path / "clips")), shared, author="bob"
    )
    assert again.version == first.version and again.card == first.card
    assert len(workspace.registry.versions()) == 1
    with pytest.raises(ConfigurationError, match="has an author"):
        keep_model(workspace, plan, found, shared, author=" ")
    # Nor do they stay where the model cannot be kept: the disk may be full of them.
    found = site_material(workspace, plan, Material(tmp_path / "clips"))
    with pytest.raises(ConfigurationError, match="absent or unknown"):
        keep_model(workspace, plan, found, {}, author="ada")
    assert not material_folder(workspace, plan.name, plan.digest).exists()


def test_a_classifier_is_kept_as_a_candidate_that_everything_can_read(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [
        f"{name}/{number}.mp4" for name, count in (("fall", 6), ("fight", 2), ("normal", 6)) for number in range(count)
    ]
    put_clips(tmp_path / "clips", names)
    plan = a_classifier()
    found = site_material(workspace, plan, Material(tmp_path / "clips"))
    assert isinstance(found, ClassifierMaterial)
    shared = trained(plan, found)
    kept = keep_model(workspace, plan, found, shared, author="ada", clients=3)
    assert not in_service(workspace.ledger, KIND), "not even the first of its name is put into service"
    classifier = find_classifier(workspace, "trouble", kept.version)
    assert classifier.classes == ("fall", "fight") and classifier.card["federation"]["clients"] == 3
    head = load_head(workspace, classifier)
    assert np.array_equal(
        head.logits(found.held_out.vectors), found.site.finished(shared).logits(found.held_out.vectors)
    )
    # Thresholds are chosen on clips that nobody was trained on, and told by them.
    _, arrays = workspace.registry.load(KIND, "trouble", kept.version)
    assert np.array_equal(arrays["fold.scores"], score_clips(head, found.held_out))
    assert np.array_equal(arrays["fold.truth"].astype(bool), found.held_out.targets)
    assert fold_names(classifier, len(found.held_out)) == list(found.held_out.names)
    assert sorted(classifier.card["clips"]) == sorted(names), "all of them were seen, and none may measure it later"
    assert classifier.card["metrics"]["fall"]["auc"] == pytest.approx(
        sweep_of(workspace, classifier, "fall").auc, abs=1e-4
    )
    told = classifier.card["thresholds"]
    assert told["fight"] == {"threshold": 0.5, "criterion": NONE_HELD_OUT}
    assert "no held-out clip is of fight" in classifier.card["remark"]
    promote(workspace.ledger, KIND, "trouble", kept.version, "ada", EVERY_CAMERA)
    assert threshold_of(workspace, find_classifier(workspace, "trouble"), "fall").threshold == told["fall"]["threshold"]
    for name in classifier.classes:
        tell_metrics(classifier.card, name)
    assert "fight: AUC undefined" in capsys.readouterr().out


def test_the_threshold_that_a_group_is_told_by_is_chosen_on_the_others(workspace: Workspace, tmp_path: Path) -> None:
    """The figure `inside` beside one reckoned from the arrays by hand."""
    from models.sweep import sweep

    put_clips(tmp_path / "clips", [f"{name}/{number:02}.mp4" for name in ("fall", "normal") for number in range(15)])
    plan = a_classifier(classes=("fall",))
    found = site_material(workspace, plan, Material(tmp_path / "clips"))
    kept = keep_model(workspace, plan, found, trained(plan, found), author="ada")
    _, arrays = workspace.registry.load(kept.kind, kept.name, kept.version)
    fold, truth, scores = arrays["fold.number"], arrays["fold.truth"][:, 0].astype(bool), arrays["fold.scores"][:, 0]
    assert len(set(fold.tolist())) == 5 and len(truth) == 6
    found_true = missed = false = 0
    for number in range(5):
        others, mine = fold != number, fold == number
        threshold = sweep(truth[others], scores[others]).choose() if truth[others].any() else np.inf
        predicted = scores[mine] > threshold
        found_true += int((predicted & truth[mine]).sum())
        false += int((predicted & ~truth[mine]).sum())
        missed += int((~predicted & truth[mine]).sum())
    told = kept.card["metrics"]["fall"]["inside"]
    assert (told["true_positives"], told["false_positives"], told["false_negatives"]) == (found_true, false, missed)


def test_a_projection_is_kept_with_what_it_does_to_samples_held_out(workspace: Workspace, tmp_path: Path) -> None:
    put_clips(tmp_path / "clips", [f"{name}/{number}.mp4" for name in ("run", "walk") for number in range(5)])
    plan = a_projection(loss="supervised_contrastive", classes=("run", "walk"))
    found = site_material(workspace, plan, Material(tmp_path / "clips"))
    assert isinstance(found, ProjectionMaterial)
    shared = trained(plan, found)
    kept = keep_model(workspace, plan, found, shared, author="ada")
    card, arrays = workspace.registry.load(projections.KIND, "moves", kept.version)
    assert card == kept.card and card["space"] == found.spec.space and card["settings"]["dimension"] == 4
    wanted = found.site.finished(shared).apply(found.held_out.plain)
    assert np.array_equal(projection_from_arrays(arrays).apply(found.held_out.plain), wanted)
    told = card["metrics"]["silhouette"]["views"]
    assert set(told) == {"raw", "untrained", "trained"} and told["trained"] != told["untrained"]
    assert card["data"]["samples"]["held_out"] == len(found.held_out)
    # Settings that name it without a version go on with what they had, or are told.
    settings = workspace.site.root / "afterwatch.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("[novelty]", '[novelty]\nprojection = "moves"'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf'as a candidate only .* projection = "moves/{kept.version}"'):
        find_projection(Workspace(workspace.site.root))
