"""Retrieval heads trained anew on all labels of their use case, and held against the head in service."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import LakeError
from lake.keys import short_hash
from lake.labels import Label, UseCase, labels_now
from lake.promotions import in_service
from models.arrays import part
from models.drift import score_drift
from models.events import EventRule
from models.heads.retrieval import RetrievalHead, RetrievalSettings, retrieval_head
from workspace.comparisons import Comparison, HeldOut, compare_scores
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace
from workspace.refitting import (
    NOT_MEASURABLE,
    Division,
    Known,
    NotDueError,
    Progress,
    Refitted,
    Subject,
    chosen_by_scores,
    compared_anew,
    divide_labels,
    known_versions,
    moment_told,
    refitted,
    waiting_candidate,
)
from workspace.search import open_matrices
from workspace.training import KIND, Samples, Trained, cross_validated, mark, save_head, train

AUTHOR = "refit"
STAGE = "retrieval"


def subjects(workspace: Workspace) -> list[Subject]:
    """The retrieval heads in service, in order of name."""
    found = []
    for name, version in sorted(in_service(workspace.ledger, KIND).items()):
        try:
            camera = str(workspace.registry.card(KIND, name, version)["use_case"]["camera"])
        except (LakeError, KeyError, TypeError):
            camera = ""  # its refit says what is wrong with it
        found.append(Subject(KIND, name, version, (camera,)))
    return found


def refit(workspace: Workspace, subject: Subject, progress: Progress) -> Refitted:
    """Train a candidate in place of a head in service.

    Raises:
        NotDueError: it is left as it is.
        LakeError: its card or arrays are damaged.
    """
    now = datetime.now(UTC)
    card, arrays = workspace.registry.load(KIND, subject.name, subject.version)
    try:
        case = UseCase(**card["use_case"])
        settings = RetrievalSettings(**(card.get("settings") or {}))
        current = retrieval_head(card["kind"], part("head", arrays))
        rule = EventRule(**card["rule"])
    except (KeyError, TypeError, ValueError) as error:
        raise LakeError(f"its card or arrays are damaged ({error!r}); train it again on the Review page") from None
    _check_fits(workspace, card, case)
    table = workspace.settings.refit
    labels = [label for label in labels_now(workspace.ledger) if label.use_case == case and label.said_at <= now]
    recordings = KnownRecordings(workspace.ledger)
    division = divide_labels(labels, Known.of(card).has, recordings, table.held_out, table.least_new_labels)
    key = short_hash([subject.version, asdict(settings), _told(division.training), _told(division.held_out)])
    waiting = waiting_candidate(workspace, subject, key)
    if waiting is not None:
        return waiting
    progress(STAGE, 0, 1)
    samples = _samples(workspace, card["space"], case, labels)
    trained = _trained(samples, division, settings)
    known = known_versions(workspace, subject)
    chosen = chosen_by_scores(workspace, division.held_out, [case.name])
    about = {
        "known_until": moment_told(now),
        "refit": {"from": subject.version, "key": key, "new_labels": len(division.new)},
        "comparison": _compared(samples, division, chosen, subject.version, current, trained).to_card(),
        "drift": _drifted(samples, division, labels, current),
    }
    version = save_head(
        workspace,
        case,
        card["encoder"],
        card["space"],
        trained,
        AUTHOR,
        cross_validated(trained),
        arrays.get("reference"),
        rule,
        candidate=True,
        about=about,
    )
    progress(STAGE, 1, 1)
    if version == subject.version:
        raise NotDueError("what is new to it changes nothing: trained again it is the same head")
    if version in known:
        return compared_anew(workspace, subject, version, about)
    return refitted(subject, "candidate", version, workspace.registry.card(KIND, subject.name, version))


def _check_fits(workspace: Workspace, card: Mapping[str, Any], case: UseCase) -> None:
    """Refuse a head that the night does not apply either: its vectors are of another outline or encoder."""
    region = next((one for one in workspace.regions(case.camera) if one.name == case.region), None)
    if region is None or region.geometry != card.get("geometry"):
        raise NotDueError(
            f"region {case.region} of camera {case.camera} was taken back or drawn anew since it was trained; train it again "
            "on the Review page, on the region as it is now"
        )
    if card.get("space") not in {planned.spec.space for planned in workspace.encoders}:
        raise NotDueError(
            f"its encoder {card.get('encoder')} is not used any more as it was; train it again on the Review page in one "
            "that is"
        )


def _samples(workspace: Workspace, space: str, case: UseCase, labels: Iterable[Label]) -> dict[str, Samples]:
    """What is embedded of the use case's region in the campaigns that labels speak of, by campaign."""
    matrices = open_matrices(workspace)
    embedded = set(matrices.names(space))
    reach_s = workspace.settings.reach_s
    return {
        name: Samples.of(matrices.block(space, name, case.camera, case.region), reach_s)
        for name in sorted({label.campaign for label in labels})
        if (name, case.camera, case.region) in embedded
    }


def _marked(samples: Mapping[str, Samples], labels: Iterable[Label]) -> dict[str, Any]:
    mine = list(labels)
    return {name: mark(one, [label for label in mine if label.campaign == name]) for name, one in samples.items()}


def _trained(samples: Mapping[str, Samples], division: Division, settings: RetrievalSettings) -> Trained:
    marks = _marked(samples, division.training)
    answers = np.concatenate([np.empty(0, np.bool_), *(one.relevant for one in marks.values())])
    if not 0 < answers.sum() < len(answers):
        raise NotDueError(
            f"of {len(answers)} moments that it could be trained on, {int(answers.sum())} are labelled relevant: a head needs "
            "labels of both kinds on footage that is embedded"
        )
    apart = division.recordings.values()
    return train([(samples[name], one) for name, one in marks.items()], settings, apart=apart)


def _compared(
    samples: Mapping[str, Samples],
    division: Division,
    chosen: frozenset[Label],
    against: str,
    current: RetrievalHead,
    trained: Trained,
) -> Comparison:
    """Both heads on the labels held out; one answer of a temporal slice, and none of a slice that is trained on."""
    held, learnt = _marked(samples, division.held_out), _marked(samples, division.training)
    asked, left_out = _marked(samples, chosen), frozenset(division.recordings.values())
    count = 0
    truth: list[bool] = []
    of: list[str] = []
    scores: tuple[list[float], list[float]] = ([], [])
    for name, one in samples.items():
        seen = np.isin(one.slices[held[name].rows], one.slices[learnt[name].rows])
        rows = held[name].rows[~seen]
        if not len(rows):
            continue
        truth += held[name].relevant[~seen].tolist()
        count += int(np.isin(one.slices[rows], one.slices[asked[name].rows]).sum())
        of += [one.span(int(row)).recording_id for row in rows]
        for told, head in zip(scores, (current, trained.fitted.head), strict=True):
            told += head.score_unit(np.asarray(one.block.vectors[rows])).tolist()
    if not truth:
        return Comparison(against, None, (), division.remark or NOT_MEASURABLE, left_out)
    names = sorted(set(of))
    paths = {content: path for path, content in division.recordings.items()}
    thresholds = (_threshold(current), _threshold(trained.fitted.head))
    metrics = compare_scores(
        np.array(truth),
        (np.array(scores[0]), np.array(scores[1])),
        thresholds,
        np.array([names.index(one) for one in of], np.int64),
    )
    held_out = HeldOut({paths[name]: name for name in names}, len(truth), sum(truth), count)
    return Comparison(against, held_out, metrics, _remark(held_out), left_out, {"": thresholds})


def _threshold(head: RetrievalHead) -> float:
    """Above which a moment counts; a head that only ranks tells none relevant."""
    return float("inf") if head.threshold is None else head.threshold


def _remark(held_out: HeldOut) -> str:
    if 0 < held_out.positives < held_out.samples:
        return ""
    kind = "not relevant" if held_out.positives == 0 else "relevant"
    return f"all held-out labels are {kind}, so neither AUC nor a fair choice can be told; label moments of both kinds"


def _drifted(
    samples: Mapping[str, Samples], division: Division, labels: Iterable[Label], current: RetrievalHead
) -> dict[str, Any] | None:
    """What the head in service makes of footage that was trained on, and of footage with labels that are new to it; moments
    that are labelled relevant are left out of both."""
    marks = _marked(samples, (label for label in labels if label.relevant))
    fresh = {label.recording_id for label in division.new} - division.trained_on
    before: list[NDArray[np.float32]] = []
    now: list[NDArray[np.float32]] = []
    for name, one in samples.items():
        owners = one.block.rows["recording_id"].to_pylist()
        normal = ~np.isin(one.slices, one.slices[marks[name].rows])
        for parts, contents in ((before, division.trained_on), (now, fresh)):
            rows = np.flatnonzero(normal & np.array([owner in contents for owner in owners], np.bool_))
            if len(rows):
                parts.append(current.score_unit(np.asarray(one.block.vectors[rows])))
    return score_drift(np.concatenate(before), np.concatenate(now)).to_card() if before and now else None


def _told(labels: Iterable[Label]) -> list[list[Any]]:
    return sorted([label.campaign, label.key, label.relevant] for label in labels)
