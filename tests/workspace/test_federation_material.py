"""What a site learns from: only what its settings let it, no more than once decoded, and nothing where there is too little."""

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infra.errors import ConfigurationError
from models.federation.base import SiteError, Word
from models.federation.plan import FederatedPlan
from models.federation.sites import initial_shared
from tasks.ingest import enter, examine_file
from tasks.inventory import take_inventory
from tests.footage.films import Film
from tests.workspace.federated import (
    APPEARANCE,
    MOTION,
    a_classifier,
    a_projection,
    an_autoencoder,
    configured,
    federated_site,
    view_inputs,
)
from tests.workspace.made_clips import put_clip, put_clips
from workspace.clip_vectors import inputs_of
from workspace.federation import autoencoder_material
from workspace.federation.autoencoder_material import AutoencoderMaterial
from workspace.federation.classifier_material import ClassifierMaterial
from workspace.federation.folders import federation_folder, material_folder
from workspace.federation.material import Material, cameras_of, site_material
from workspace.federation.memories import Memories
from workspace.federation.plan_inputs import autoencoder_inputs
from workspace.federation.projection_material import ProjectionMaterial
from workspace.normal_footage import folder_footage, known_footage
from workspace.opened import Workspace

LONG = Film(count=75, height=48, width=48)
HALL, YARD = "hall-east", "yard"


def refused(word: Word, reason: str) -> "pytest.RaisesExc[SiteError]":
    return pytest.raises(SiteError, match=reason, check=lambda error: error.word == word)


@pytest.fixture(scope="module")
def normal_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("normal")
    for number in range(3):
        put_clip(folder / f"{number}.mp4", number, LONG)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips of each of two alarms' classes and of what is normal, each a source of its own."""
    names = [f"{name}/{number}.mp4" for name in ("fall", "fight", "normal") for number in range(5)]
    return put_clips(tmp_path_factory.mktemp("labelled"), names)


# Autoencoders.


def test_an_autoencoder_learns_from_a_folder_that_is_decoded_once(
    tmp_path: Path, normal_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, plan = federated_site(tmp_path / "site"), an_autoencoder()
    found = site_material(workspace, plan, Material(normal_clips))
    assert isinstance(found, AutoencoderMaterial)
    central = folder_footage(normal_clips, found.view, tmp_path / "cache")
    assert found.footage.sources == central.sources
    for mine, others in ((found.footage.training, central.training), (found.footage.held_out, central.held_out)):
        assert [clip.tolist() for clip in mine] == [clip.tolist() for clip in others]
    assert found.site.samples == len(found.cuboids) > 0 and len(found.held_out) > 0
    assert any(material_folder(workspace, plan.name, plan.digest).iterdir())
    # A site that is started anew finds the clips there.
    monkeypatch.setattr("workspace.clips.decode", lambda *_: pytest.fail("decoded a second time"))
    again = site_material(Workspace(workspace.site.root), plan, Material(normal_clips))
    update = found.site.train(initial_shared(plan), 1, None)
    twin = again.site.train(initial_shared(plan), 1, None)
    assert update.samples == twin.samples and update.loss == twin.loss
    assert all(np.array_equal(update.shared[name], twin.shared[name]) for name in update.shared)


@pytest.fixture
def ingested(small_site: Path) -> Workspace:
    """The small campaign, its recordings known and indexed, without a night."""
    workspace = configured(small_site)
    inventory = take_inventory(workspace)
    enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    return Workspace(small_site)


def test_only_cameras_that_the_settings_let_are_looked_at(ingested: Workspace, tmp_path: Path) -> None:
    from workspace.known_recordings import KnownRecordings

    cameras = KnownRecordings(ingested.ledger).cameras
    assert len(cameras) > 1
    everything = site_material(ingested, an_autoencoder(), Material(campaign="demo"))
    root = ingested.site.root
    text = (root / "afterwatch.toml").read_text(encoding="utf-8")
    (root / "afterwatch.toml").write_text(f'{text}cameras = ["{cameras[0]}"]\n', encoding="utf-8")
    limited = Workspace(root)
    found = site_material(limited, an_autoencoder("few"), Material())
    assert isinstance(found, AutoencoderMaterial) and isinstance(everything, AutoencoderMaterial)
    one = known_footage(limited, found.view, tmp_path / "cache", camera=cameras[0])
    assert found.footage.sources == one.sources and found.footage.seconds == one.seconds
    assert set(found.footage.sources["training"]) < set(everything.footage.sources["training"])
    # Nor is another camera's footage decoded, or a camera that is asked for by name let past the settings.
    with refused("not-allowed", rf"camera {cameras[1]} is not learnt from here"):
        site_material(limited, an_autoencoder(), Material(camera=cameras[1]))
    assert site_material(limited, an_autoencoder("few"), Material(camera=cameras[0])).site.samples == found.site.samples


def test_no_camera_of_the_settings_is_no_footage(ingested: Workspace) -> None:
    root = ingested.site.root
    text = (root / "afterwatch.toml").read_text(encoding="utf-8")
    (root / "afterwatch.toml").write_text(f'{text}cameras = ["cellar"]\n', encoding="utf-8")
    with refused("no-footage", "of a camera that may be used"):
        site_material(Workspace(root), an_autoencoder(), Material())


def test_cameras_are_those_of_both_the_settings_and_the_call(tmp_path: Path) -> None:
    free = federated_site(tmp_path / "free")
    assert cameras_of(free, Material()) is None and cameras_of(free, Material(camera=YARD)) == (YARD,)
    few = federated_site(tmp_path / "few", f'cameras = ["{HALL}", "{YARD}"]')
    assert cameras_of(few, Material()) == (HALL, YARD) and cameras_of(few, Material(camera=HALL)) == (HALL,)
    with refused("not-allowed", "cameras are hall-east, yard"):
        cameras_of(few, Material(camera="gate"))


def test_a_folder_has_no_camera() -> None:
    with pytest.raises(ConfigurationError, match="leave --data out"):
        Material(Path("clips"), camera=HALL)


# What is said instead of taking part.


def test_a_site_without_footage_or_with_too_little_sits_out(tmp_path: Path, normal_clips: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    workspace = federated_site(tmp_path / "site", "least_samples = 10000")

    def drawing(plan: FederatedPlan) -> FederatedPlan:
        return replace(plan, training={**plan.training, "cuboids_per_epoch": 10000})

    with refused("no-footage", "neither videos"):
        site_material(workspace, drawing(an_autoencoder()), Material(empty))
    with refused("no-footage", "no ingested recording"):
        site_material(workspace, drawing(an_autoencoder()), Material())
    with refused("too-few-samples", r"samples to train on, and \[federation\] least_samples asks for 10000"):
        site_material(workspace, drawing(an_autoencoder()), Material(normal_clips))
    # A picture in a second: no clip of three seconds holds ten.
    with refused("too-few-samples", "0 cuboids to train on"):
        site_material(workspace, drawing(an_autoencoder(rate_hz=1.0)), Material(normal_clips))


def test_a_plan_that_is_not_allowed_has_nothing_decoded(
    tmp_path: Path, normal_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = federated_site(tmp_path / "site", 'kinds = ["classifier"]')
    monkeypatch.setattr(autoencoder_material, "folder_footage", lambda *_: pytest.fail("looked at footage"))
    with refused("not-allowed", "kinds are classifier"):
        site_material(workspace, an_autoencoder(), Material(normal_clips))
    assert not federation_folder(workspace, "yard").exists()
    allowed = federated_site(tmp_path / "few", f'cameras = ["{HALL}"]')
    with refused("not-allowed", "is not learnt from"):
        site_material(allowed, a_classifier(), Material(camera=YARD))
    assert not federation_folder(allowed, "trouble").exists()


def test_samples_are_counted_by_their_pictures_and_not_by_how_often_a_plan_takes_them(
    tmp_path: Path, normal_clips: Path, labelled: Path
) -> None:
    workspace = federated_site(tmp_path / "site")
    once = site_material(workspace, an_autoencoder(), Material(normal_clips))
    plan = an_autoencoder()
    more = replace(plan, training={**plan.training, "strides": [1, 2, 3]})
    # Clips of 3 s at 25 pictures in a second, so that stride 2 and 3 fit into them.
    fast = replace(more, model={**more.model, "inputs": autoencoder_inputs(25.0)})
    found = site_material(workspace, fast, Material(normal_clips))
    assert isinstance(found, AutoencoderMaterial) and found.distinct < found.site.samples
    assert found.distinct == sum(len(clip) - 9 for clip in found.footage.training)
    assert once.distinct == once.site.samples
    asks = federated_site(tmp_path / "asks", f"least_samples = {found.distinct + 1}")
    drawn = {**fast.training, "cuboids_per_epoch": found.distinct + 1}
    with refused("too-few-samples", rf"there are {found.distinct} different samples"):
        site_material(asks, replace(fast, training=drawn), Material(normal_clips))
    overlapping = a_classifier(inputs=inputs_of([APPEARANCE], window_s=0.08, stride_s=0.04, frame_rate_hz=25.0))
    windows = site_material(workspace, overlapping, Material(labelled))
    assert isinstance(windows, ClassifierMaterial)
    each = np.bincount(windows.training.clip)
    assert windows.site.samples == each.sum() and each.max() > 1
    assert windows.distinct == sum(-(-count // 2) for count in each.tolist()) < windows.site.samples


def test_a_site_keeps_clips_of_one_plan_only_and_nobody_else_sees_them(tmp_path: Path, normal_clips: Path) -> None:
    """Names of plans are the server's, and so is their number."""
    workspace = federated_site(tmp_path / "site")
    first, second = an_autoencoder("first"), an_autoencoder("second")
    for plan in (first, second, an_autoencoder("second", rounds=3)):
        site_material(workspace, plan, Material(normal_clips))
        kept = material_folder(workspace, plan.name, plan.digest)
        every = [*workspace.site.state_folder.glob("federation/*/material-*")]
        assert every == [kept] and any(kept.iterdir())
        assert {stat.S_IMODE(path.stat().st_mode) for path in (kept, *list(kept.parents)[:2])} == {0o700}


# Classifiers.


def test_a_classifier_learns_from_a_folder_and_holds_sources_of_each_kind_out(tmp_path: Path, labelled: Path) -> None:
    workspace, plan = federated_site(tmp_path / "site"), a_classifier()
    found = site_material(workspace, plan, Material(labelled))
    assert isinstance(found, ClassifierMaterial)
    assert found.training.classes == found.held_out.classes == ("fall", "fight")
    assert len(found.training) == 12 and len(found.held_out) == 3
    assert not set(found.training.sources) & set(found.held_out.sources)
    assert found.held_out.targets.tolist() == [[True, False], [False, True], [False, False]]
    assert found.data["clips"] == {"fall": 5, "fight": 5, "normal": 5} and found.data["classes_absent"] == []
    update = found.site.train(initial_shared(plan), 1, None)
    assert update.samples == len(found.training.vectors) and np.isfinite(update.loss)
    again = site_material(workspace, plan, Material(labelled))
    assert isinstance(again, ClassifierMaterial) and again.held_out.names == found.held_out.names


def test_rounds_of_a_site_that_is_started_anew_are_those_of_one_that_was_not(tmp_path: Path, labelled: Path) -> None:
    """Gathered anew for each round, its memory from the disk, a round asked for twice: the same to the last bit."""
    workspace, plan = federated_site(tmp_path / "site"), a_classifier()
    site = site_material(workspace, plan, Material(labelled)).site
    first = site.train(initial_shared(plan), 1, None)
    second = site.train(first.shared, 2, first.memory)
    shared = initial_shared(plan)
    for number in (1, 2, 2):
        if number == 2:
            shared = first.shared
        memories = Memories(federation_folder(workspace, plan.name), plan.digest)
        update = site_material(workspace, plan, Material(labelled)).site.train(shared, number, memories.before(number))
        memories.keep(number, update.memory)
    assert all(np.array_equal(update.shared[name], second.shared[name]) for name in second.shared)


def test_a_site_that_lacks_a_class_takes_part_with_the_others(tmp_path: Path) -> None:
    names = [f"{name}/{number}.mp4" for name in ("fall", "normal") for number in range(3)]
    folder = put_clips(tmp_path / "clips", names)
    found = site_material(federated_site(tmp_path / "site"), a_classifier(), Material(folder))
    assert isinstance(found, ClassifierMaterial) and found.data["classes_absent"] == ["fight"]
    assert found.site.remarks and "fight is in no clip of this site" in found.site.remarks[0]


def test_a_folder_of_other_classes_is_not_learnt_from_as_if_it_were_normal(tmp_path: Path) -> None:
    folder = put_clips(tmp_path / "clips", [f"{name}/{number}.mp4" for name in ("Fall", "Calm") for number in range(3)])
    with refused("no-footage", "holds clips of Calm, Fall, and the plan is about fall, fight"):
        site_material(federated_site(tmp_path / "site"), a_classifier(), Material(folder))


def test_too_few_source_videos_are_too_few_samples(tmp_path: Path) -> None:
    folder = put_clips(tmp_path / "clips", ["fall/a.mp4", "fall/b.mp4", "normal/a.mp4"])
    with refused("too-few-samples", "of 3 source videos: at least 4"):
        site_material(federated_site(tmp_path / "site"), a_classifier(), Material(folder))


def test_vectors_of_another_space_are_not_trained_on(tmp_path: Path, labelled: Path) -> None:
    inputs = inputs_of([APPEARANCE], window_s=0.1, frame_rate_hz=25.0)
    plan = a_classifier(inputs=inputs)
    model = plan.model
    other = {
        **model["inputs"],
        "inputs": [{**model["inputs"]["inputs"][0], "space": "handcrafted-appearance-00000000"}],
    }
    strange = type(plan)(**{**vars(plan), "model": {**model, "inputs": other}})
    with refused("not-allowed", "is about vectors of handcrafted-appearance-00000000"):
        site_material(federated_site(tmp_path / "site"), strange, Material(labelled))


# Projections.


def test_a_projection_learns_from_a_folder_of_classes(tmp_path: Path) -> None:
    names = [f"{name}/{number}.mp4" for name in ("run", "walk") for number in range(5)]
    folder = put_clips(tmp_path / "clips", [*names, "jump/1.mp4"])
    plan = a_projection(loss="supervised_contrastive", classes=("run", "walk"))
    found = site_material(federated_site(tmp_path / "site"), plan, Material(folder))
    assert isinstance(found, ProjectionMaterial)
    assert found.data["samples"] == {"training": 6, "validation": 2, "held_out": 2}
    assert found.data["left_out"] == ["jump/1.mp4: jump is no class of the plan"]
    assert found.held_out.labels is not None and sorted(found.held_out.labels.tolist()) == [0, 1]
    update = found.site.train(initial_shared(plan), 1, None)
    assert update.samples == 6 and np.isfinite(update.loss)
    with refused("no-footage", "the plan is about swim"):
        other = a_projection(loss="supervised_contrastive", classes=("swim", "dive"))
        site_material(federated_site(tmp_path / "other"), other, Material(folder))


def test_a_projection_learns_without_labels_from_a_campaign(ingested: Workspace) -> None:
    plan = a_projection()
    found = site_material(ingested, plan, Material(campaign="demo"))
    assert isinstance(found, ProjectionMaterial) and found.held_out.labels is None
    assert found.data["campaign"] == "demo" and found.site.samples == found.data["samples"]["training"]
    with refused("no-footage", "no recording of campaign autumn"):
        site_material(ingested, plan, Material(campaign="autumn"))


def test_a_loss_that_needs_classes_gets_none_from_a_campaign(ingested: Workspace) -> None:
    plan = a_projection(loss="triplet", classes=("run", "walk"), inputs=view_inputs(MOTION))
    with refused("no-footage", "needs classes"):
        site_material(ingested, plan, Material(campaign="demo"))
