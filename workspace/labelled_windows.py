"""Spans of the lake that people labelled, in windows, as a classifier is trained on them: nothing is decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lake.current import Output, current_outputs
from lake.labels import Label, UseCase
from lake.vectors import Embeddings, read_embeddings
from lake.verdicts import Stretch, stretches_now
from models.heads.base import Vectors
from models.windows import Rows, grid_windows, joined
from workspace.clip_vectors import Inputs
from workspace.indexes import load_index
from workspace.known_recordings import KnownRecording, KnownRecordings
from workspace.opened import Workspace

CONTENT = "recording:"
"""Begins the content of a labelled span among clips: a hash of bytes never does."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledSpan:
    """A stretch of a recording that was confirmed to show a class, or dismissed.

    Attributes:
        label: of the use case of an alarm.
        class_name: class of the classifier that the alarm is about.
        recording: it is a part of.
    """

    label: Label
    class_name: str
    recording: KnownRecording

    @property
    def content(self) -> str:
        """What stands for it among contents of clips; one span about two classes is two."""
        one = self.label
        return f"{CONTENT}{one.recording_id}/{one.from_us}-{one.to_us}/{one.use_case.region}/{self.class_name}"

    @property
    def name(self) -> str:
        seconds = "-".join(f"{us / 1e6:.1f}" for us in (self.label.from_us, self.label.to_us))
        return f"{self.recording.name} {seconds} s"

    def overlaps(self, other: "LabelledSpan") -> bool:
        mine, theirs = self.label, other.label
        same = mine.recording_id == theirs.recording_id
        return same and mine.from_us < theirs.to_us and theirs.from_us < mine.to_us


def labelled_spans(workspace: Workspace, classifier: str, classes: Sequence[str]) -> list[LabelledSpan]:
    """What people said of the alarms of a classifier, in order of place and time; the newer of two words counts.

    Alarms that are about no class of it are passed over, and recordings that nobody has ingested.
    """
    return spans_of_heads(workspace, alarms_about(workspace, classifier, classes))


def alarms_about(workspace: Workspace, classifier: str, classes: Sequence[str]) -> list[tuple[str, str]]:
    """Names of the alarms of a classifier, and the class that each is about."""
    mine = [alarm for alarm in workspace.settings.alarms if alarm.classifier_version[0] == classifier]
    named = [(alarm.name, alarm.class_name or (classes[0] if len(classes) == 1 else "")) for alarm in mine]
    return [(name, class_name) for name, class_name in named if class_name in classes]


def spans_of_heads(workspace: Workspace, heads: Sequence[tuple[str, str]]) -> list[LabelledSpan]:
    """What people said under names of heads, in order of place and time; of two words on one span the newer counts.

    Args:
        workspace: whose lake; recordings that nobody has ingested are passed over.
        heads: name of a head, and the class that its answers are about.
    """
    recordings = KnownRecordings(workspace.ledger)
    known = {
        one.recording_id: one
        for campaign in recordings.campaigns
        for camera in recordings.cameras
        for one in recordings.of_camera(campaign, camera)
    }
    found = [
        LabelledSpan(_said(case, one, known[one.recording_id]), class_name, known[one.recording_id])
        for head, class_name in heads
        for case, stretches in stretches_now(workspace.ledger, head=head).items()
        for one in stretches
        if one.recording_id in known
    ]
    unique = {one.content: one for one in sorted(found, key=lambda one: one.label.said_at)}
    return sorted(unique.values(), key=_order)


def _said(case: UseCase, stretch: Stretch, recording: KnownRecording) -> Label:
    return Label(
        case,
        recording.campaign,
        recording.day,
        stretch.recording_id,
        stretch.from_us,
        stretch.to_us,
        relevant=stretch.confirmed,
        author=stretch.author,
        said_at=stretch.said_at,
    )


def _order(span: LabelledSpan) -> tuple[object, ...]:
    one, label = span.recording, span.label
    place = one.campaign, one.camera, one.day, one.started_at, one.path
    return *place, label.from_us, label.to_us, label.use_case.region, span.content


@dataclass
class LakeWindows:
    """Windows of recordings as a classifier sees them.

    What is read of a camera's day is remembered until another day is asked for: ask in order of place.

    Attributes:
        workspace: whose lake.
        inputs: of the classifier.
    """

    workspace: Workspace
    inputs: Inputs
    _day: tuple[str, ...] = ()
    _read: dict[tuple[str, str], tuple[Numbers, Numbers, Vectors]] = field(default_factory=dict)
    _days: dict[tuple[str, ...], dict[str, Embeddings]] = field(default_factory=dict)
    _outputs: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for output in current_outputs(self.workspace.ledger):
            if output.table == "embeddings":
                self._outputs.setdefault(_place(output), []).append(output.path)

    def of_recording(self, recording: KnownRecording, region: str) -> tuple[Numbers, Numbers, Vectors]:
        """Starts and ends in the recording, int64 (M,) each, and vectors, float32 (M, D), of the windows that every input has
        vectors of; M is 0 where an input has embedded nothing of it."""
        day = (recording.campaign, recording.camera, recording.day.isoformat())
        if day != self._day:
            self._day = day
            self._read.clear()
            self._days.clear()
        at = (recording.recording_id, region)
        if at not in self._read:
            self._read[at] = self._windows(recording, region)
        return self._read[at]

    def of_span(self, span: LabelledSpan) -> Vectors:
        """float32 (M, D): the windows whose middle lies in the span; where none does, the one that the span's middle is in."""
        begins, ends, vectors = self.of_recording(span.recording, span.label.use_case.region)
        middles = (begins + ends) // 2
        inside = (middles >= span.label.from_us) & (middles < span.label.to_us)
        if not inside.any():
            middle = (span.label.from_us + span.label.to_us) // 2
            inside = (
                np.arange(len(begins)) == np.argmax((begins <= middle) & (middle < ends)) if len(begins) else inside
            )
            inside &= (begins <= middle) & (middle < ends)
        return vectors[inside]

    def _windows(self, recording: KnownRecording, region: str) -> tuple[Numbers, Numbers, Vectors]:
        mine = [self._embedded(recording, f"{item.space}/{region}") for item in self.inputs.items]
        nothing = np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float32)
        filled = [one for one in mine if one is not None and len(one)]
        if len(filled) < len(mine):
            return nothing
        own = self.inputs.window_item
        if own is None:
            extent_us = load_index(self.workspace.store, recording.recording_id).extent_us
            windows = grid_windows(extent_us, self.inputs.window_s, self.inputs.stride_s)
        else:
            leading = filled[self.inputs.items.index(own)]
            windows = leading.column("from_us"), leading.column("to_us")
        rows = [
            (item.pooling, Rows(one.column("from_us"), one.column("to_us"), one.vectors))
            for item, one in zip(self.inputs.items, filled, strict=True)
        ]
        kept, vectors = joined(rows, windows)
        return windows[0][kept], windows[1][kept], vectors

    def _embedded(self, recording: KnownRecording, scope: str) -> Embeddings | None:
        place = (recording.campaign, recording.camera, recording.day.isoformat(), scope)
        if place not in self._days:
            whole = read_embeddings(self.workspace.store, self._outputs.get(place, []))
            owners = np.array(whole.rows["recording_id"].to_pylist(), dtype=object)
            self._days[place] = {str(one): whole.take(np.flatnonzero(owners == one)) for one in set(owners.tolist())}
        return self._days[place].get(recording.recording_id)


def _place(output: Output) -> tuple[str, ...]:
    return (output.campaign, output.camera, output.day.isoformat(), output.scope)


def targets_of(spans: Sequence[LabelledSpan], classes: Sequence[str]) -> NDArray[np.bool_]:
    """bool (S, K), what each span shows: its class where it was confirmed, and each class that another span confirms there.

    What nobody was asked about counts as not shown.
    """
    place: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    shown = np.zeros((len(spans), len(classes)), np.bool_)
    confirmed = [one for one in spans if one.label.relevant]
    for number, span in enumerate(spans):
        shown[number, place[span.class_name]] = span.label.relevant
        for other in confirmed:
            if other.class_name != span.class_name and span.overlaps(other):
                shown[number, place[other.class_name]] = True
    return shown
