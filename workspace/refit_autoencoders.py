"""Autoencoders trained anew on all normal footage that is known, and held against the one in service."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.index import MICROSECONDS
from infra.errors import LakeError
from lake.keys import short_hash
from lake.labels import labels_now
from lake.ledger import Ledger
from models.autoencoders.checkpoint import CheckpointError
from models.autoencoders.cuboids import Cuboids
from models.autoencoders.settings import AutoencoderSettings, settings_of
from models.autoencoders.training import Trained, TrainingSettings, scores_of, training_cuboids
from models.drift import score_drift
from models.encoders.weights import read_state_dict
from workspace.autoencoders import (
    CHECKPOINT,
    KIND,
    keep_autoencoder,
    spread,
    told_of,
    train_in,
    weights_of,
    work_folder,
)
from workspace.clips import View
from workspace.comparisons import Comparison, HeldOut, MetricPair, compare_errors, compare_scores
from workspace.known_recordings import KnownRecording, KnownRecordings
from workspace.normal_footage import (
    HELD_OUT,
    Spans,
    anomalies_of,
    clips_of,
    footage_of,
    normal_spans,
    span_length,
    spread_pieces,
    trainable_recordings,
)
from workspace.opened import Workspace
from workspace.refitting import (
    Known,
    NotDueError,
    Progress,
    Refitted,
    Subject,
    chosen_by_scores,
    compared_anew,
    known_versions,
    moment_told,
    refitted,
    version_with,
    waiting_candidate,
)
from workspace.serving import versions_in_service

MOST_S = 7200.0
"""Seconds of footage that it is trained on at most, where the one in service was not trained on more."""
AUTHOR = UNFINISHED = "refit"
RANKING = ("auc", "average_precision")
"""Of events against normal footage; where an alarm begins is said per camera, by the night."""


def subjects(workspace: Workspace) -> list[Subject]:
    """The autoencoders that settings name and `weights.toml` has, in order of name."""
    named = {encoder.name for encoder in workspace.settings.encoders}
    found = []
    for name, version in sorted(versions_in_service(workspace, KIND).items()):
        if f"{KIND}/{name.replace('.', '/', 1)}" not in named:
            continue
        try:
            cameras = tuple(sorted(_cameras(workspace, workspace.registry.card(KIND, name, version))))
        except LakeError:
            cameras = ()  # its refit says what is wrong with it
        found.append(Subject(KIND, name, version, cameras))
    return found


@dataclass(frozen=True)
class _Plan:
    """What a refit is made of.

    Attributes:
        settings, training, view: as the card of the one in service says.
        recordings: that are trained on, by camera, in order of time; the last of each camera, as many as `stopping` has of
            it, tell when to stop.
        stopping: recordings that tell when to stop training; of those that are not new, as long as there are any.
        held_out: recordings that both are measured on; none where nothing could be held out.
        new: recordings that are new to the one in service.
        bad: confirmed anomalies by recording.
        most_s: seconds of footage at most.
    """

    settings: AutoencoderSettings
    training: TrainingSettings
    view: View
    recordings: tuple[KnownRecording, ...]
    stopping: tuple[KnownRecording, ...]
    held_out: tuple[KnownRecording, ...]
    new: tuple[KnownRecording, ...]
    bad: dict[str, Spans]
    most_s: float

    @property
    def new_s(self) -> float:
        """Seconds of new normal footage."""
        return sum(span_length(normal_spans(one, self.bad)) for one in self.new) / MICROSECONDS

    @property
    def learnt(self) -> tuple[KnownRecording, ...]:
        """New recordings that are trained on, and not only asked when to stop."""
        left_out = {one.recording_id for one in (*self.stopping, *self.held_out)}
        return tuple(one for one in self.new if one.recording_id not in left_out)

    def training_key(self, version: str) -> str:
        """Of all that the weights depend on."""
        told = [asdict(self.settings), asdict(self.training), asdict(self.view), self.most_s]
        return short_hash([version, told, self._told(self.recordings)])

    def key(self, version: str) -> str:
        """Of the weights and of what they are measured on."""
        return short_hash([self.training_key(version), self._told(self.held_out)])

    def _told(self, recordings: Sequence[KnownRecording]) -> list[list[Any]]:
        return [[one.recording_id, sorted(map(list, self.bad.get(one.recording_id, [])))] for one in recordings]


def refit(workspace: Workspace, subject: Subject, progress: Progress) -> Refitted:
    """Train a candidate in place of an autoencoder in service.

    Raises:
        NotDueError: it is left as it is.
        ConfigurationError: there is no normal footage to train on.
        LakeError: its card or its weights are damaged or gone.
    """
    now = datetime.now(UTC)
    card, arrays = workspace.registry.load(KIND, subject.name, subject.version)
    plan = _plan(workspace, card)
    if plan.new_s < workspace.settings.refit.least_new_s:
        raise NotDueError(
            f"{plan.new_s:.0f} s of normal footage are new to it, and [refit] least_new_s asks for "
            f"{workspace.settings.refit.least_new_s:g}; run more nights, or lower it"
        )
    key = plan.key(subject.version)
    waiting = waiting_candidate(workspace, subject, key)
    if waiting is not None:
        return waiting
    name = str(card["encoder"]).rsplit("/", 1)[1]
    current = Trained(
        plan.settings, read_state_dict(weights_of(workspace, subject.name, subject.version, card["weights"])), (), -1
    )
    made = version_with(workspace, subject, "training_key", plan.training_key(subject.version))
    if made is not None:
        return _compared_again(workspace, subject, plan, made, current, arrays, key)
    # Beside what `fit autoencoder` of the same name leaves unfinished, and never mistaken for it.
    folder = work_folder(workspace, plan.settings, f"{name}.{UNFINISHED}")
    footage = footage_of(workspace, plan.recordings, plan.view, folder / "clips", most_s=plan.most_s, progress=progress)
    cuboids = training_cuboids(footage.training, plan.settings, plan.training)
    stopping = Cuboids(footage.held_out, plan.settings.cuboid_frames)
    trained = _trained(workspace, folder, plan, cuboids, stopping, progress)
    about, kept = told_of(trained, footage, plan.view, plan.training, cuboids, stopping)
    comparison, scores = _compared(workspace, folder / "clips", plan, subject.version, current, trained)
    about |= {"known_until": moment_told(now), **_measured(plan, subject, key, comparison, arrays, scores)}
    known = known_versions(workspace, subject)
    fitted = keep_autoencoder(workspace, trained, name, about, author=AUTHOR, candidate=True, arrays=kept)
    shutil.rmtree(folder, ignore_errors=True)
    if fitted.version == subject.version:
        raise NotDueError("what is new to it changes nothing: trained again it is the same autoencoder")
    if fitted.version in known:
        return compared_anew(workspace, subject, fitted.version, about)
    return refitted(subject, "candidate", fitted.version, fitted.card)


def _measured(
    plan: _Plan,
    subject: Subject,
    key: str,
    comparison: Comparison,
    arrays: Mapping[str, NDArray[Any]],
    scores: NDArray[np.float32],
) -> dict[str, Any]:
    """What the card of a candidate says of the refit."""
    before = arrays.get("held_out_scores", np.empty(0))
    return {
        "refit": {
            "from": subject.version,
            "key": key,
            "training_key": plan.training_key(subject.version),
            "new_s": round(plan.new_s, 3),
            "new_trained_on": sorted(one.path for one in plan.learnt),
            "stopped_by": sorted(one.path for one in plan.stopping),
        },
        "comparison": comparison.to_card(),
        "drift": score_drift(before, scores).to_card() if len(before) and len(scores) else None,
    }


def _compared_again(
    workspace: Workspace,
    subject: Subject,
    plan: _Plan,
    version: str,
    current: Trained,
    arrays: Mapping[str, NDArray[Any]],
    key: str,
) -> Refitted:
    """A candidate that an earlier refit trained on the very same, held against the one in service on what is held out now."""
    digest = str(workspace.registry.card(KIND, subject.name, version).get("weights"))
    state = read_state_dict(weights_of(workspace, subject.name, version, digest))
    folder = work_folder(workspace, plan.settings, f"{subject.name.split('.', 1)[1]}.{UNFINISHED}")
    comparison, scores = _compared(
        workspace, folder / "clips", plan, subject.version, current, Trained(plan.settings, state, (), -1)
    )
    shutil.rmtree(folder, ignore_errors=True)
    return compared_anew(workspace, subject, version, _measured(plan, subject, key, comparison, arrays, scores))


def _plan(workspace: Workspace, card: dict[str, Any]) -> _Plan:
    try:
        settings = settings_of(str(card["architecture"]), card["settings"])
        told = card["footage"]
        sources = {path for part in told["sources"].values() for path in part}
        view = View(settings.size_px, float(told["rate_hz"]), str(told["region"]))
        training = TrainingSettings(**{**card["training"], "strides": tuple(card["training"]["strides"])})
        most_s = max(MOST_S, float(told["seconds"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotDueError(f"its card does not say how it was trained ({error!r}); fit it again") from None
    places = _places(workspace, card)
    if not places:
        raise NotDueError(
            "it was trained on a folder, and nothing of the workspace's recordings is known to be like it; "
            'fit it again with "afterwatch fit autoencoder --data", or on the recordings without --data'
        )
    known, seen = Known.of(card), _first_seen(workspace.ledger)
    # A campaign that was there when it was fitted and is none of its sources was left out by whoever fitted it.
    passed_over = {
        (one.campaign, one.camera)
        for one in trainable_recordings(workspace, None, None)
        if seen[one.recording_id] <= known.until and one.recording_id not in known.held_out
    } - places
    cameras = {camera for _, camera in places}
    mine = [
        one
        for one in trainable_recordings(workspace, None, None)
        if one.camera in cameras and (one.campaign, one.camera) not in passed_over
    ]
    bad = anomalies_of(workspace, mine)
    mine = [one for one in mine if normal_spans(one, bad)]
    new = [
        one
        for one in mine
        if one.path not in sources and (seen[one.recording_id] > known.until or one.recording_id in known.held_out)
    ]
    held = held_out_of(new, workspace.settings.refit.held_out)
    left = [one for one in mine if one not in held]
    stopping = stopping_of(left, new)
    return _Plan(
        settings,
        training,
        view,
        # `footage_of` asks the last ones of each camera when to stop.
        tuple(sorted(left, key=lambda one: (one.camera, one in stopping))),
        tuple(stopping),
        tuple(held),
        tuple(new),
        bad,
        most_s,
    )


def held_out_of(new: Sequence[KnownRecording], share: float) -> list[KnownRecording]:
    """New recordings that both are measured on: of each camera the newest, that share but at most half of them.

    Of a camera with a single new recording none, unless each camera has but one: then the newest of all. Of one new recording
    in all nothing is held out, as nothing would be left to learn from.

    Args:
        new: in order of camera and time.
        share: above 0 and at most 0.5.
    """
    held: list[KnownRecording] = []
    for camera in sorted({one.camera for one in new}):
        mine = sorted((one for one in new if one.camera == camera), key=lambda one: (one.started_at, one.path))
        if len(mine) > 1:
            held += mine[-min(max(1, round(len(mine) * share)), len(mine) // 2) :]
    if not held and len(new) > 1:
        held.append(max(new, key=lambda one: (one.started_at, one.path)))
    return held


def stopping_of(recordings: Sequence[KnownRecording], new: Sequence[KnownRecording]) -> list[KnownRecording]:
    """Recordings that tell when to stop training: a fifth of each camera's, at least one where it has two.

    They are spread over the recordings that are not new, so that the new ones are learnt; only where those are too few, the
    oldest new ones follow.

    Args:
        recordings: that are not held out, in order of camera and time.
        new: among them, those that the one in service has not seen.
    """
    stopping: list[KnownRecording] = []
    for camera in sorted({one.camera for one in recordings}):
        mine = [one for one in recordings if one.camera == camera]
        if len(mine) < 2:
            continue
        count = max(1, round(len(mine) * HELD_OUT))
        old = [one for one in mine if one not in new]
        inner = np.linspace(0, len(old), min(count, len(old)) + 2)[1:-1].astype(np.int64).tolist()
        chosen = [old[number] for number in dict.fromkeys(inner)]
        rest = [one for one in (*reversed(old), *mine) if one not in chosen]
        chosen += list(dict.fromkeys(rest))[: count - len(chosen)]
        stopping += chosen
    return stopping


def _places(workspace: Workspace, card: dict[str, Any]) -> set[tuple[str, str]]:
    """Campaign and camera of the recordings that an autoencoder was trained on; none where it was trained on a folder."""
    sources = (card.get("footage") or {}).get("sources") or {}
    paths = {path for part in sources.values() for path in part} if isinstance(sources, dict) else set()
    known = KnownRecordings(workspace.ledger)
    return {
        (campaign, camera)
        for campaign in known.campaigns
        for camera in known.cameras
        for one in known.of_camera(campaign, camera)
        if one.path in paths
    }


def _cameras(workspace: Workspace, card: dict[str, Any]) -> set[str]:
    return {camera for _, camera in _places(workspace, card)}


def _first_seen(ledger: Ledger) -> dict[str, datetime]:
    """When each content was first ingested."""
    seen: dict[str, datetime] = {}
    for row in ledger.rows("recordings").select(["recording_id", "seen_at"]).to_pylist():
        seen[row["recording_id"]] = min(seen.get(row["recording_id"], row["seen_at"]), row["seen_at"])
    return seen


def _trained(
    workspace: Workspace, folder: Path, plan: _Plan, cuboids: Cuboids, stopping: Cuboids, progress: Progress
) -> Trained:
    """Train, going on where a refit of the very same was broken off; what another left behind is forgotten."""
    try:
        return train_in(workspace, folder, plan.settings, cuboids, stopping, plan.training, progress)
    except CheckpointError:
        (folder / CHECKPOINT).unlink()
        return train_in(workspace, folder, plan.settings, cuboids, stopping, plan.training, progress)


def _compared(
    workspace: Workspace, cache: Path, plan: _Plan, against: str, current: Trained, candidate: Trained
) -> tuple[Comparison, NDArray[np.float32]]:
    """Both on the recordings held out, and what the one in service scores of new normal footage, float32 (N,)."""
    looked_at = plan.held_out or plan.new
    most = max(1, plan.training.validation_cuboids // len(looked_at))
    each_s = plan.most_s * HELD_OUT / len(looked_at)
    spans = [spread_pieces(normal_spans(one, plan.bad), each_s) for one in looked_at]
    normal = [_cuboids(workspace, cache, plan, *one, most) for one in zip(looked_at, spans, strict=True)]
    of_current = [scores_of(current.network, some) for some in normal]
    scores = np.concatenate(of_current)
    left_out = frozenset(one.recording_id for one in plan.held_out)
    if not plan.held_out or not len(scores):
        remark = (
            "left out of training, but not measurable: the held-out recordings are too short for a cuboid"
            if plan.held_out
            else "nothing could be held out: all that is new is one recording, and is trained on"
        )
        return Comparison(against, None, (), remark, left_out), scores
    of_candidate = np.concatenate([scores_of(candidate.network, some) for some in normal])
    of = np.repeat(np.arange(len(normal)), [len(some) for some in of_current])
    filled = np.unique(of)
    metrics = compare_errors((scores, of_candidate), np.searchsorted(filled, of))
    unusual = [_unusual(workspace, cache, plan, one, most) for one in looked_at]
    positives = [[scores_of(one.network, some) for some in unusual] for one in (current, candidate)]
    count = sum(map(len, positives[0]))
    if count:
        metrics += _ranked((scores, of_candidate), of, positives)
    paths = {looked_at[int(number)].path: looked_at[int(number)].recording_id for number in filled}
    # What people confirmed in them is what a novelty head put before them, and that may have read the one in service.
    held = HeldOut(paths, len(scores) + count, count, chosen=_alarmed(workspace, plan) if count else 0)
    return Comparison(against, held, metrics, left_out=left_out), scores


def _alarmed(workspace: Workspace, plan: _Plan) -> int:
    """How many of the spans confirmed in the held-out recordings heads' scores put before people."""
    mine = {one.recording_id for one in plan.held_out}
    name = workspace.settings.novelty.name
    said = [one for one in labels_now(workspace.ledger) if one.recording_id in mine and one.use_case.name == name]
    return len(chosen_by_scores(workspace, [one for one in said if one.relevant], [name]))


def _ranked(
    normal: tuple[NDArray[np.float32], NDArray[np.float32]],
    of: NDArray[np.int64],
    positives: Sequence[Sequence[NDArray[np.float32]]],
) -> tuple[MetricPair, ...]:
    """How well confirmed events are told from normal footage."""
    both = [np.concatenate([mine, *events]) for mine, events in zip(normal, positives, strict=True)]
    truth = np.arange(len(both[0])) >= len(of)
    whose = np.concatenate([of, np.repeat(np.arange(len(positives[0])), [len(some) for some in positives[0]])])
    numbers = np.unique(whose, return_inverse=True)[1].reshape(-1).astype(np.int64)
    pairs = compare_scores(truth, (both[0], both[1]), (np.inf, np.inf), numbers)
    return tuple(pair for pair in pairs if pair.name in RANKING)


def _cuboids(
    workspace: Workspace, cache: Path, plan: _Plan, recording: KnownRecording, spans: Spans, most: int
) -> Cuboids:
    """About `most` cuboids of some spans of a recording."""
    clips = [clip for span in spans for clip in clips_of(workspace, recording, span, plan.view, cache)]
    return spread(Cuboids(clips, plan.settings.cuboid_frames), most)


def _unusual(workspace: Workspace, cache: Path, plan: _Plan, recording: KnownRecording, most: int) -> Cuboids:
    """Cuboids of what people confirmed in a recording; a span shorter than a cuboid is widened to one."""
    least_us = round((plan.settings.cuboid_frames + 1) * MICROSECONDS / plan.view.rate_hz)
    spans = []
    for begin, end in sorted(plan.bad.get(recording.recording_id, [])):
        more = max(0, least_us - (end - begin)) // 2
        spans.append((max(0, begin - more), min(recording.duration_us, end + more)))
    return _cuboids(workspace, cache, plan, recording, spans, most)
