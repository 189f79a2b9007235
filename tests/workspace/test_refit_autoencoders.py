"""Autoencoders trained anew on footage that came since, put into service and put back."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from afterwatch.__main__ import main
from infra.errors import ConfigurationError, LakeError
from infra.weights import read_weights
from lake.labels import Label, UseCase, say_labels
from lake.promotions import promote
from models.autoencoders.cuboids import Cuboids
from models.autoencoders.settings import settings_of
from models.autoencoders.training import Trained, TrainingSettings, scores_of
from models.encoders.weights import read_state_dict
from tasks.refit import refit_subject, subjects_of
from tests.tasks.nights import EAST, configure, ingest, new_site
from workspace import refit_autoencoders
from workspace.autoencoder_readers import promotion_words, readers_of
from workspace.autoencoders import (
    KIND,
    clips_folder,
    fit_autoencoder,
    keep_autoencoder,
    weights_of,
    work_folder,
)
from workspace.clips import View
from workspace.known_recordings import KnownRecording, KnownRecordings
from workspace.normal_footage import anomalies_of, clips_of, known_footage, normal_spans
from workspace.opened import Workspace
from workspace.refit_autoencoders import held_out_of, stopping_of
from workspace.serving import model_named, put_into_service, roll_back, take_out_of_service, versions_in_service

SETTINGS = settings_of("hasan", {"width": 0.02, "size_px": 48})
VIEW = View(48, 10.0)
TRAINING = TrainingSettings(epochs=1, cuboids_per_epoch=8, validation_cuboids=12)
NAME, ENCODER = "hasan.hall", "autoencoder/hasan/hall"
CHANGES = {
    "encoders": [{"name": "handcrafted/appearance"}, {"name": "handcrafted/motion"}, {"name": ENCODER}],
    "refit": {"least_new_s": 5.0, "held_out": 0.4},
}


@pytest.fixture
def grown(tmp_path: Path, small_footage: Path) -> Workspace:
    """A site with an autoencoder of a camera's first day, and a second day ingested since."""
    footage = tmp_path / "footage"
    (footage / EAST).mkdir(parents=True)
    for file in sorted((small_footage / EAST).glob("2026-03-02*")):
        shutil.copyfile(file, footage / EAST / file.name)
    workspace = new_site(tmp_path / "site", footage)
    ingest(workspace)
    workspace = Workspace(workspace.site.root)
    found = known_footage(workspace, VIEW, clips_folder(workspace, SETTINGS, "hall"))
    fit_autoencoder(workspace, SETTINGS, "hall", found, VIEW, TRAINING, author="ada")
    for file in sorted((small_footage / EAST).glob("2026-03-03*")):
        shutil.copyfile(file, footage / EAST / file.name)
    ingest(Workspace(workspace.site.root))
    return configure(workspace.site.root, CHANGES)


def test_what_came_since_makes_a_candidate_that_can_be_promoted_and_rolled_back(
    grown: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (subject,) = subjects_of(grown, KIND)
    assert subject.cameras == (EAST,)
    newer = [one for one in KnownRecordings(grown.ledger).of_camera("demo", EAST) if one.day.day == 3]
    assert len(newer) >= 2
    event = Label(
        UseCase(EAST, "frame", grown.settings.novelty.name), "demo", newer[-1].day, newer[-1].recording_id,
        2_000_000, 4_000_000, relevant=True, author="ada",
    )  # fmt: skip
    say_labels(grown.ledger, [event])
    before = read_weights(grown.site.weights_folder)
    result = refit_subject(grown, subject, "run")
    assert result.outcome == "candidate", result.message
    assert read_weights(grown.site.weights_folder) == before, "weights.toml names the one in service"
    assert versions_in_service(grown, KIND) == {NAME: subject.version}
    card, arrays = grown.registry.load(KIND, NAME, result.version)
    held = card["comparison"]["held_out"]
    count = max(1, round(0.4 * len(newer)))
    assert held["recordings"] == sorted(one.path for one in newer[-count:])
    used = {path for part in card["footage"]["sources"].values() for path in part}
    assert used.isdisjoint(held["recordings"]) and newer[0].path in card["footage"]["sources"]["training"]
    assert card["refit"]["new_trained_on"] == sorted(one.path for one in newer if one.path not in held["recordings"])
    assert card["refit"]["stopped_by"] == card["footage"]["sources"]["held_out"], "as its card says"
    assert [one["name"] for one in card["comparison"]["metrics"]] == ["mean_error", "auc", "average_precision"]
    assert held["positives"] > 0 and card["drift"]["now"] == held["samples"] - held["positives"]
    assert card["training"] == grown.registry.card(KIND, NAME, subject.version)["training"]
    assert len(arrays["held_out_scores"]) and not work_folder(grown, SETTINGS, "hall.refit").exists()

    # The mean errors are those of the two networks on the same cuboids.
    bad = anomalies_of(grown, newer)
    step = {one.path: one for one in newer}
    for side, version in (("current", subject.version), ("candidate", result.version)):
        digest = grown.registry.card(KIND, NAME, version)["weights"]
        network = Trained(SETTINGS, read_state_dict(weights_of(grown, NAME, version, digest)), (), -1).network
        errors = []
        for path in held["recordings"]:
            spans = normal_spans(step[path], bad)
            clips = [clip for span in spans for clip in clips_of(grown, step[path], span, VIEW, grown.site.root / "c")]
            whole = Cuboids(clips, 10)
            most = TRAINING.validation_cuboids // len(held["recordings"])
            errors.append(scores_of(network, Cuboids(clips, 10, step=max(1, -(-len(whole) // most)))))
        assert card["comparison"]["metrics"][0][side] == pytest.approx(np.concatenate(errors).mean(), abs=1e-3)

    assert refit_subject(grown, subject, "run").outcome == "waiting"
    say_labels(grown.ledger, [replace(event, from_us=6_000_000, to_us=8_000_000)])
    monkeypatch.setattr(refit_autoencoders, "train_in", None)  # it must not be trained again
    again = refit_subject(grown, subject, "run")
    assert (again.outcome, again.version) == ("waiting", result.version), again.message
    assert again.comparison != result.comparison
    assert grown.registry.card(KIND, NAME, result.version)["comparison"] == again.comparison
    space = grown.registry.card(KIND, NAME, subject.version)["space"]
    grown.registry.save("retrieval", "hall.frame.busy", "v1", {"space": space}, {}, author="ada")
    grown.registry.save("retrieval", "hall.frame.idle", "v1", {"space": "another"}, {}, author="ada")
    for name, read in (("street", space), ("yard", "another")):
        grown.registry.save("projection", name, "v1", {"space": read}, {}, author="ada")
        named = configure(
            grown.site.root, {**CHANGES, "novelty": {"encoder": ENCODER, "detector": "knn", "projection": name}}
        )
        assert (f"Projection {name}, which [novelty] names" in promotion_words(named, NAME)) == (read == space)
        assert readers_of(named, ENCODER) == (["projection street"] if read == space else [])
    configure(grown.site.root, CHANGES)
    for name in ("hall.frame.busy", "hall.frame.idle"):
        promote(grown.ledger, "retrieval", name, "v1", "ada", "hall")
    assert "find nothing any more until they are trained anew: retrieval hall.frame.busy." in promotion_words(
        grown, NAME
    )
    say = ["models", "promote", NAME, result.version, "--site", str(grown.site.root), "--author", "ada", "--json"]
    say += ["--unreviewed", "its refit measured it"]
    with pytest.raises(SystemExit) as left:
        main(say)
    assert left.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert (told["before"], told["suspends"]) == (subject.version, ["retrieval hall.frame.busy"])
    promoted = Workspace(grown.site.root)
    assert versions_in_service(promoted, KIND) == {NAME: result.version}
    assert promoted.encoder(ENCODER).spec.space == card["space"]
    assert grown.ledger.rows("promotions").to_pylist()[-1]["author"] == "ada"

    assert roll_back(promoted, model_named(promoted, NAME), "bob") == subject.version
    assert read_weights(grown.site.weights_folder) == before, "rolled back to the last letter"
    with pytest.raises(ConfigurationError, match=r"afterwatch\.toml"):
        take_out_of_service(promoted, model_named(promoted, NAME), "bob")


def recording(camera: str, number: int) -> KnownRecording:
    began = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=number)
    name = f"{camera}{number}"
    return KnownRecording(name, "demo", camera, began.date(), f"{name}.mp4", True, began, 60_000_000, 64, 48, 10.0)


@pytest.mark.parametrize(("old", "new"), [(10, 3), (10, 5), (30, 7), (100, 20), (0, 4), (3, 2)])
def test_most_of_what_is_new_is_learnt_and_each_camera_is_measured(old: int, new: int) -> None:
    """The newest of each camera are held out, what is left of the new is trained on, and the old ones say when to stop."""
    recordings = [recording(camera, number) for camera in ("hall", "yard") for number in range(old + new)]
    fresh = [one for one in recordings if int(one.recording_id[4:]) >= old]
    held = held_out_of(fresh, 0.2)
    assert {one.camera for one in held} == {"hall", "yard"} and set(held) <= set(fresh)
    left = [one for one in recordings if one not in held]
    stopping = stopping_of(left, fresh)
    for camera in ("hall", "yard"):
        mine = [one for one in left if one.camera == camera]
        assert sum(one.camera == camera for one in stopping) == max(1, round(len(mine) * 0.2))
    learnt = set(fresh) - set(held) - set(stopping)
    assert len(learnt) * 2 >= len(fresh)
    assert not old or not set(stopping) & set(fresh), "as long as there are others, none of the new ones"


def test_too_little_new_footage_leaves_it(grown: Workspace) -> None:
    workspace = configure(grown.site.root, {**CHANGES, "refit": {"least_new_s": 3600.0}})
    (subject,) = subjects_of(workspace, KIND)
    result = refit_subject(workspace, subject, "run")
    assert result.outcome == "left" and "least_new_s asks for 3600" in result.message
    assert subjects_of(configure(grown.site.root, {}), KIND) == [], "no encoder of the settings is an autoencoder"


def test_one_of_a_folder_and_one_of_an_older_card_are_told_apart(grown: Workspace) -> None:
    (subject,) = subjects_of(grown, KIND)
    card, arrays = grown.registry.load(KIND, NAME, subject.version)
    folder = grown.registry.folder(KIND, NAME, subject.version)

    def told(**changes: object) -> str:
        shutil.rmtree(folder)
        entries = {name: value for name, value in {**card, **changes}.items() if value is not None}
        grown.registry.save(KIND, NAME, subject.version, entries, arrays, author="ada")
        (found,) = subjects_of(grown, KIND)
        result = refit_subject(grown, found, "run")
        return f"{result.outcome}: {result.message}"

    sources = {"training": ["a.mp4"], "held_out": ["b.mp4"]}
    assert "left: it was trained on a folder" in told(footage={**card["footage"], "sources": sources})
    assert "left: its card does not say how it was trained" in told(training=None)
    assert told(known_until=None, made_at="2026-03-01T00:00:00+00:00").startswith("candidate"), (
        "an older card is known by when it was made"
    )


def test_a_candidate_keeps_weights_and_says_what_it_is_told(grown: Workspace) -> None:
    (subject,) = subjects_of(grown, KIND)
    digest = grown.registry.card(KIND, NAME, subject.version)["weights"]
    state = read_state_dict(weights_of(grown, NAME, subject.version, digest))
    state["deviation"] = state["deviation"] * 2
    trained = Trained(SETTINGS, state, (), 0)
    kept = keep_autoencoder(grown, trained, "hall", {"federation": {"rounds": 3}}, author="ada", candidate=True)
    assert kept.encoder == ENCODER and kept.version != subject.version
    card = grown.registry.card(KIND, NAME, kept.version)
    assert card["federation"] == {"rounds": 3} and card["weights"].startswith(kept.version)
    assert versions_in_service(grown, KIND)[NAME] == subject.version
    # Cards without footage, as a federation's are, say nothing of a rate: it is the usual one.
    put_into_service(grown, model_named(grown, NAME), kept.version, "ada", unreviewed="its refit measured it")
    assert read_weights(grown.site.weights_folder)[ENCODER].options == {"width": 0.02, "size_px": 48}
    weights_of(grown, NAME, subject.version, digest).path.unlink()
    with pytest.raises(LakeError, match="put the file back"):
        put_into_service(grown, model_named(grown, NAME), subject.version, "ada", unreviewed="back again")
    assert versions_in_service(grown, KIND)[NAME] == kept.version
