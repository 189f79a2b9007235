"""Models in service trained anew on what was said since: candidates, what they are compared on, and the way into the night."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.errors import UnknownNameError
from lake.current import current_outputs
from lake.labels import Label, UseCase, labels_now, say_labels
from lake.promotions import in_service
from lake.verdicts import stretches_now
from models.arrays import part
from models.events import EventRule
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples
from models.heads.retrieval import RetrievalSettings, retrieval_head
from models.sweep import F2
from tasks.refit import STEP, refit_subject, subjects_of
from tests.tasks.alarmed import LIVELY, MOTION, motion_inputs, switch_on
from tests.tasks.heads import relevant_of, vectors_of
from tests.tasks.nights import EAST, NORTH, configure, run
from workspace.classifier_fitting import fit_samples, keep_classifier
from workspace.classifiers import find_classifier
from workspace.comparisons import compare_scores
from workspace.known_recordings import KnownRecording, KnownRecordings
from workspace.labelled_windows import CONTENT, LakeWindows, labelled_spans
from workspace.opened import Workspace
from workspace.refit_classifiers import thresholds_of
from workspace.refitting import Refitted, Subject
from workspace.search import open_matrices
from workspace.serving import model_named, put_into_service
from workspace.training import KIND as RETRIEVAL
from workspace.training import Samples, mark, save_head, train

BUSY = UseCase(EAST, "frame", "busy")
RULE = EventRule(threshold=0.0, minimum_s=0.5, merge_gap_s=1.0)
LAVISH = {"refit": {"least_new_labels": 4, "held_out": 0.34}}


def recordings_of(workspace: Workspace, camera: str = EAST) -> list[KnownRecording]:
    """Those with vectors, oldest first."""
    embedded = set(vectors_of(workspace, camera).rows["recording_id"].to_pylist())
    return [one for one in KnownRecordings(workspace.ledger).of_camera("demo", camera) if one.recording_id in embedded]


def truth_of(workspace: Workspace, case: UseCase, recordings: Sequence[KnownRecording]) -> list[Label]:
    """A right answer for every snippet of some recordings, said now."""
    found = vectors_of(workspace, case.camera)
    answers = relevant_of(found)
    wanted = {one.recording_id: one for one in recordings}
    return [
        Label(
            case, "demo", wanted[row["recording_id"]].day, row["recording_id"], row["from_us"], row["to_us"],
            relevant=bool(answer), author="ada",
        )
        for row, answer in zip(found.rows.to_pylist(), answers.tolist(), strict=True)
        if row["recording_id"] in wanted
    ]  # fmt: skip


def samples_of(workspace: Workspace) -> Samples:
    block = open_matrices(workspace).block(workspace.encoder(MOTION).spec.space, "demo", EAST, "frame")
    return Samples.of(block, workspace.settings.reach_s)


def reviewed(workspace: Workspace, recordings: Sequence[KnownRecording]) -> str:
    """Label some recordings, train a head on them and put it into service, as a review does; returns its version."""
    say_labels(workspace.ledger, truth_of(workspace, BUSY, recordings))
    samples = samples_of(workspace)
    marks = mark(samples, labels_now(workspace.ledger))
    trained = train([(samples, marks)], RetrievalSettings(cost=3.0))
    space = workspace.encoder(MOTION).spec.space
    return save_head(workspace, BUSY, MOTION, space, trained, "ada", {}, None, RULE)


def only(workspace: Workspace, kind: str) -> Refitted:
    (subject,) = subjects_of(workspace, kind)
    return refit_subject(workspace, subject, "run")


@pytest.fixture
def taught(copied: Workspace) -> tuple[Workspace, str]:
    """A head in service, trained on the first two recordings of a camera; nothing is new to it."""
    workspace = configure(copied.site.root, LAVISH)
    return workspace, reviewed(workspace, recordings_of(workspace)[:2])


# Retrieval heads.


def test_answers_become_a_candidate_and_promoted_it_scores_the_next_night(taught: tuple[Workspace, str]) -> None:
    workspace, version = taught
    newer = recordings_of(workspace)[2:]
    assert len(newer) >= 3
    say_labels(workspace.ledger, truth_of(workspace, BUSY, newer))
    result = only(workspace, "retrieval")
    assert (result.outcome, result.current, result.name) == ("candidate", version, BUSY.head_name), result.message
    assert in_service(workspace.ledger, RETRIEVAL, EAST) == {BUSY.head_name: version}, "nothing is promoted by itself"

    card, arrays = workspace.registry.load(RETRIEVAL, BUSY.head_name, result.version)
    held = card["comparison"]["held_out"]
    count = max(1, round(0.34 * len(newer)))
    assert held["recording_ids"][0] in {one.recording_id for one in newer[-count:]}
    assert set(held["recording_ids"]) <= {one.recording_id for one in newer[-len(newer) // 2 :]}
    assert card["settings"] == asdict(RetrievalSettings(cost=3.0)), "trained as the one in service was"
    labelled = [label for label in labels_now(workspace.ledger) if label.recording_id not in held["recording_ids"]]
    assert card["labels"]["said"] == len(labelled)
    assert card["refit"]["new_labels"] == len(truth_of(workspace, BUSY, newer))
    assert set(arrays) >= {"head.support"} and "reference" not in arrays

    before = {row["version"] for row in scores(workspace) if row["head"] == "busy"}
    assert before <= {version}
    put_into_service(workspace, model_named(workspace, BUSY.head_name), result.version, "ada", unreviewed="measured")
    night = run(Workspace(workspace.site.root))
    assert not night.failed()
    assert {row["version"] for row in scores(workspace) if row["head"] == "busy"} == {result.version}
    again = only(Workspace(workspace.site.root), "retrieval")
    assert again.outcome == "left" or again.current == result.version


def scores(workspace: Workspace) -> list[dict[str, Any]]:
    paths = [one.path for one in current_outputs(workspace.ledger) if one.table == "scores" and one.camera == EAST]
    return [row for path in paths for row in workspace.store.read_table(path, ["head", "version"]).to_pylist()]


def test_the_comparison_is_on_what_neither_was_trained_on(taught: tuple[Workspace, str]) -> None:
    """Its numbers are those of the two heads on the labels held out, a slice each."""
    workspace, version = taught
    say_labels(workspace.ledger, truth_of(workspace, BUSY, recordings_of(workspace)[2:]))
    result = only(workspace, "retrieval")
    assert result.comparison is not None and result.drift is not None
    held = set(result.comparison["held_out"]["recording_ids"])
    samples = samples_of(workspace)
    labels = labels_now(workspace.ledger)
    learnt = mark(samples, [label for label in labels if label.recording_id not in held])
    mine = mark(samples, [label for label in labels if label.recording_id in held])
    apart = ~np.isin(samples.slices[mine.rows], samples.slices[learnt.rows])
    rows, truth = mine.rows[apart], mine.relevant[apart]
    told: list[NDArray[Any]] = []
    for one in (version, result.version):
        head = margins(workspace, one, np.asarray(samples.block.vectors[rows]))
        told.append(head)
    of = np.array([sorted(held).index(samples.span(int(row)).recording_id) for row in rows])
    expected = [one.to_card() for one in compare_scores(truth, (told[0], told[1]), (0.0, 0.0), of)]
    assert result.comparison["metrics"] == expected
    assert result.comparison["held_out"]["samples"] == len(rows)
    assert result.comparison["against"] == version
    assert 0 <= result.drift["statistic"] <= 1 and result.drift["before"] > 0 < result.drift["now"]


def margins(workspace: Workspace, version: str, vectors: NDArray[np.float32]) -> NDArray[Any]:
    card, arrays = workspace.registry.load(RETRIEVAL, BUSY.head_name, version)
    return retrieval_head(card["kind"], part("head", arrays)).score_unit(vectors)


def test_too_little_is_left_and_the_same_again_is_not_trained_again(taught: tuple[Workspace, str]) -> None:
    workspace, _ = taught
    newer = recordings_of(workspace)[2:]
    say_labels(workspace.ledger, truth_of(workspace, BUSY, newer)[:3])
    left = only(workspace, "retrieval")
    assert left.outcome == "left" and "3 labels are new to it" in left.message and left.version == ""
    say_labels(workspace.ledger, truth_of(workspace, BUSY, newer))
    made = only(workspace, "retrieval")
    waiting = only(workspace, "retrieval")
    assert (made.outcome, waiting.outcome, waiting.version) == ("candidate", "waiting", made.version)
    assert waiting.comparison == made.comparison
    rows = [row for row in workspace.ledger.rows("runs").to_pylist() if row["step"] == STEP]
    assert [(row["status"], row["scope"]) for row in rows] == [
        (status, f"retrieval/{BUSY.head_name}") for status in ("skipped", "done", "skipped")
    ]


def test_labels_said_since_on_held_out_recordings_renew_the_comparison(taught: tuple[Workspace, str]) -> None:
    """They change nothing that is trained on, so the candidate is the same; its card tells what is held out now."""
    workspace, _ = taught
    newer = recordings_of(workspace)[2:]
    labels = truth_of(workspace, BUSY, newer)
    say_labels(workspace.ledger, labels)
    made = only(workspace, "retrieval")
    assert made.comparison is not None
    held = made.comparison["left_out"]
    other = [replace(one, relevant=not one.relevant) for one in labels if one.recording_id in held]
    say_labels(workspace.ledger, [replace(one, said_at=datetime.now(UTC)) for one in other])
    again = only(workspace, "retrieval")
    assert (again.outcome, again.version) == ("waiting", made.version), again.message
    assert "compared anew" in again.message and again.comparison is not None
    now, before = again.comparison["held_out"], made.comparison["held_out"]
    assert now["samples"] == before["samples"] and now["positives"] == before["samples"] - before["positives"]
    assert workspace.registry.card(RETRIEVAL, BUSY.head_name, made.version)["comparison"] == again.comparison
    assert "unchanged" in only(workspace, "retrieval").message


def test_labels_are_not_spread_over_what_is_held_out(taught: tuple[Workspace, str]) -> None:
    """With spreading, vectors of the held-out recordings would decide the head."""
    workspace, _ = taught
    recordings = recordings_of(workspace)
    held = recordings[-1].recording_id
    labels = [one for one in truth_of(workspace, BUSY, recordings[:-1]) if one.from_us % 3_000_000 == 0]
    samples = samples_of(workspace)
    marks = mark(samples, labels)
    assert 0 < marks.relevant.sum() < len(marks.relevant)
    owners = np.array(samples.block.rows["recording_id"].to_pylist())
    vectors = np.asarray(samples.block.vectors).copy()
    vectors[owners == held] = vectors[marks.rows[0]]
    other = replace(samples, block=replace(samples.block, vectors=vectors))
    settings = RetrievalSettings(propagate=True)
    told = [train([(one, marks)], settings, apart=[held]).fitted.head.to_arrays() for one in (samples, other)]
    for name, value in told[0].items():
        assert np.array_equal(value, told[1][name]), name


def test_where_all_that_is_new_is_of_one_recording_nothing_is_compared(taught: tuple[Workspace, str]) -> None:
    workspace, version = taught
    newest = next(
        one
        for one in reversed(recordings_of(workspace)[2:])
        if len({label.relevant for label in truth_of(workspace, BUSY, [one])}) == 2
    )
    say_labels(workspace.ledger, truth_of(workspace, BUSY, [newest]))
    result = only(workspace, "retrieval")
    assert result.outcome == "candidate" and result.comparison is not None
    assert result.comparison["metrics"] == [] and result.comparison["held_out"] is None
    assert "one recording" in result.comparison["remark"] and result.comparison["against"] == version


def test_a_region_drawn_anew_leaves_its_head(taught: tuple[Workspace, str]) -> None:
    workspace, version = taught
    card, arrays = workspace.registry.load(RETRIEVAL, BUSY.head_name, version)
    workspace.registry.save(RETRIEVAL, BUSY.head_name, "odd", {**card, "geometry": "another"}, arrays, author="ada")
    put_into_service(workspace, model_named(workspace, BUSY.head_name), "odd", "ada", unreviewed="odd")
    result = only(workspace, "retrieval")
    assert result.outcome == "left" and "drawn anew" in result.message


def test_a_head_of_an_older_workspace_is_known_by_when_it_was_made(taught: tuple[Workspace, str]) -> None:
    workspace, version = taught
    card, arrays = workspace.registry.load(RETRIEVAL, BUSY.head_name, version)
    older = {key: value for key, value in card.items() if key != "known_until"}
    made_at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat(timespec="seconds")
    workspace.registry.save(RETRIEVAL, BUSY.head_name, "older", {**older, "made_at": made_at}, arrays, author="ada")
    put_into_service(workspace, model_named(workspace, BUSY.head_name), "older", "ada", unreviewed="older")
    assert "0 labels are new to it" in only(workspace, "retrieval").message


def test_one_that_is_damaged_is_told_and_entered(taught: tuple[Workspace, str]) -> None:
    workspace, version = taught
    (workspace.registry.folder(RETRIEVAL, BUSY.head_name, version) / "head.safetensors").write_bytes(b"no")
    result = only(workspace, "retrieval")
    assert result.outcome == "failed" and "damaged" in result.message
    assert workspace.ledger.rows("runs").to_pylist()[-1]["status"] == "failed"


def test_what_is_asked_for_is_checked(taught: tuple[Workspace, str]) -> None:
    workspace, version = taught
    mine = Subject(RETRIEVAL, BUSY.head_name, version, (EAST,))
    assert subjects_of(workspace) == subjects_of(workspace, camera=EAST) == [mine]
    assert subjects_of(workspace, "classifier") == []
    for options in ({"kind": "novelty"}, {"name": "sleepy"}, {"camera": NORTH}):
        with pytest.raises(UnknownNameError):
            subjects_of(workspace, **options)
    narrowed = configure(workspace.site.root, {"refit": {"kinds": ["classifier"]}})
    assert subjects_of(narrowed) == [] and subjects_of(narrowed, RETRIEVAL) == [mine]


# Classifiers.

QUICK = ClassifierSettings(hidden=(), learning_rate=0.05, epochs=20, batch_size=32, members=1)


def keep_taught(workspace: Workspace, camera: str = NORTH, **changes: Any) -> str:
    """A classifier that was trained on snippets of another camera, a clip each, as if they lay in a folder."""
    found = vectors_of(workspace, camera)
    lively = relevant_of(found)
    names = tuple(f"{number}.mp4" for number in range(len(found)))
    samples = ClassifierSamples((LIVELY,), found.vectors, np.arange(len(found)), lively[:, None], names, names, names)
    told = {
        **motion_inputs(workspace).to_card(),
        "normal": "calm",
        "data": {"folder": "clips", "layout": "folders", "clips": {"calm": 1, LIVELY: 1}, "content": "c"},
        **changes,
    }
    card, arrays, seconds = fit_samples(samples, QUICK, told, folds=3, criterion=F2)
    return keep_classifier(workspace, LIVELY, card, arrays, "ada", seconds).version


@pytest.fixture
def watching(copied: Workspace) -> tuple[Workspace, str]:
    """A classifier in service, and an alarm on it."""
    workspace = switch_on(copied, {"cameras": [EAST]}, **LAVISH)
    return workspace, keep_taught(workspace)


def test_verdicts_teach_a_classifier_without_its_folder(watching: tuple[Workspace, str]) -> None:
    workspace, version = watching
    run(workspace)  # labels that were said before the night knew the alarm would be of a use case of that name
    case = UseCase(EAST, "frame", LIVELY)
    say_labels(workspace.ledger, truth_of(workspace, case, recordings_of(workspace)))
    result = only(workspace, "classifier")
    assert (result.outcome, result.current) == ("candidate", version), result.message
    assert in_service(workspace.ledger, "classifier")[LIVELY] == version
    card, arrays = workspace.registry.load("classifier", LIVELY, result.version)
    assert result.comparison is not None and result.drift is not None
    held = set(result.comparison["held_out"]["recording_ids"])
    stretches = [one for some in stretches_now(workspace.ledger, head=LIVELY).values() for one in some]
    learnt = [one for one in stretches if one.recording_id not in held]
    mine = [content for content in card["contents"] if content.startswith(CONTENT)]
    assert len(mine) == len(learnt) == card["data"]["labels"]["confirmed"] + card["data"]["labels"]["dismissed"]
    assert not any(content in one for content in held for one in mine), "what is held out is not trained on"
    assert len(card["contents"]) == len(mine) + len(vectors_of(workspace, NORTH))
    assert arrays["windows"].dtype == np.float16 and len(arrays["windows"]) == len(arrays["fold.clip"])
    sources = [one for one in card["clip_sources"] if one.startswith(CONTENT)]
    assert len(set(sources)) == len({one.recording_id for one in learnt}), "a recording is one source"
    assert [one["name"] for one in result.comparison["metrics"]] == ["auc", "average_precision", "recall", "precision"]
    assert result.comparison["held_out"]["chosen"] > 0, "the alarms of the night are what its scores chose"
    assert result.comparison["thresholds"][""][1] == pytest.approx(card["thresholds"][LIVELY]["threshold"], abs=1e-4)
    fixed = switch_on(workspace, {"cameras": [EAST], "threshold": 0.4}, **LAVISH)
    assert thresholds_of(fixed, find_classifier(fixed, LIVELY, version), card, LIVELY) == (0.4, 0.4), "of the settings"
    workspace = switch_on(workspace, {"cameras": [EAST]}, **LAVISH)

    # A second refit of the promoted candidate: labels are taken as they stand now, none twice.
    put_into_service(workspace, model_named(workspace, LIVELY), result.version, "ada", unreviewed="measured")
    assert only(workspace, "classifier").current == result.version
    night = run(Workspace(workspace.site.root))
    assert not night.failed()
    assert {row["version"] for row in scores(workspace) if row["head"] == LIVELY} == {result.version}


def test_windows_of_the_lake_are_those_of_the_night(watching: tuple[Workspace, str]) -> None:
    """A span that is a snippet gives that snippet's vector; one between two gives the one it is in."""
    workspace, _ = watching
    case = UseCase(EAST, "frame", LIVELY)
    (recording, *_) = recordings_of(workspace)
    found = vectors_of(workspace, EAST)
    rows = [row for row in found.rows.to_pylist() if row["recording_id"] == recording.recording_id]
    place = ("demo", recording.day, recording.recording_id)
    middle = (rows[6]["from_us"] + rows[6]["to_us"]) // 2
    spans = [(rows[0]["from_us"], rows[0]["to_us"]), (middle + 1_000, middle + 2_000)]
    say_labels(workspace.ledger, [Label(case, *place, *span, relevant=True, author="ada") for span in spans])
    told = labelled_spans(workspace, LIVELY, (LIVELY,))
    windows = LakeWindows(workspace, motion_inputs(workspace))
    first, second = (windows.of_span(one) for one in sorted(told, key=lambda one: one.label.from_us))
    number = next(n for n, row in enumerate(found.rows.to_pylist()) if row["recording_id"] == recording.recording_id)
    assert found.vectors[number].tolist() in first.tolist()
    assert len(second) == 1


@pytest.mark.parametrize(
    ("changes", "arrays_too", "message"),
    [({}, False, "fit it again with"), ({"window_s": 1.0}, True, "labels are new to it")],
)
def test_a_classifier_without_windows_is_told_to_be_fitted_again(
    watching: tuple[Workspace, str], changes: dict[str, Any], arrays_too: bool, message: str
) -> None:
    workspace, version = watching
    card, arrays = workspace.registry.load("classifier", LIVELY, version)
    kept = {name: value for name, value in arrays.items() if arrays_too or name != "windows"}
    workspace.registry.save("classifier", LIVELY, "older", {**card, **changes}, kept, author="ada")
    put_into_service(workspace, model_named(workspace, LIVELY), "older", "ada", unreviewed="older")
    result = only(workspace, "classifier")
    assert result.outcome == "left" and message in result.message
