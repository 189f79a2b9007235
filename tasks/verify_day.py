"""Verify one published day of a camera: each entry derived again, from the recording up to what `summary.json` says of it."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footage.index import FrameIndex
from footage.regions import WHOLE
from infra.errors import LakeError
from tasks.kept_files import EarlierParts
from tasks.plan import DayPlan, Recording
from tasks.publish import ENTRIES
from tasks.receipts import reason_of
from tasks.segment import measure_day
from tasks.shown_events import ShownEvents
from tasks.shown_segments import SampledPictures, entries_of, read_chosen, told_entry
from tasks.step_plans import DaySteps
from tasks.summarise import read_segments, recordings_of_day, select_day
from tasks.summary_steps import standing_applied, standing_segment, standing_summarise
from tasks.told_summary import gone_of, told_summary
from tasks.truth import truth_of
from tasks.verify_published import (
    SUMMARY_SHAPE,
    compare_parts,
    compare_publication,
    compare_told,
    file_differences,
    places_in_video,
    read_told,
    rendered_differences,
)
from tasks.verify_recordings import Recordings, SpanVerifier
from tasks.verify_tables import compare_rows, judged_again
from workspace.opened import Workspace
from workspace.retention.deleted import deleted_now

Row = dict[str, Any]


@dataclass
class Found:
    """What a verification of summaries has compared so far, and found.

    Attributes:
        summaries, entries, pictures, vectors, digests: how many were compared.
        differences: a line each.
        remarks: what could not be compared, and is no sign of a difference.
    """

    summaries: int = 0
    entries: int = 0
    pictures: int = 0
    vectors: int = 0
    digests: int = 0
    differences: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class DayVerifier:
    """One camera's day under verification.

    Args:
        workspace: the site.
        day: as it is planned now.
        steps: of it.
        recordings: of the site.
        found: where what is found is told.
        threads: threads of the decoder; 0 for one per core.
    """

    def __init__(
        self,
        workspace: Workspace,
        day: DayPlan,
        steps: DaySteps,
        recordings: Recordings,
        found: Found,
        threads: int,
    ) -> None:
        self._workspace, self._day, self._steps = workspace, day, steps
        self._recordings, self._found, self._threads = recordings, found, threads
        self._own = {recording.recording_id: recording for recording in recordings_of_day(day)}
        place = day.place
        self._folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
        self._looking_at: tuple[str, SpanVerifier] | None = None

    def verify(self, *, render: bool) -> None:
        """Every check, each for itself: one that cannot be made is told, and the others go on."""
        self._found.summaries += 1
        try:
            told = read_told(self._folder, SUMMARY_SHAPE)
        except LakeError as error:
            self._differ("", [str(error)])
            return
        self._check("its files cannot be compared: ", lambda: file_differences(self._folder, told, _shown(told)))
        self._check("its entries cannot be compared: ", lambda: places_in_video(told["entries"]))
        self._check("", lambda: self._from_recordings(told["entries"]))
        if told["key"] != self._steps.publish.key:
            self._differ("", [self._stale(told)])
            return
        self._check("its entries cannot be held against the lake: ", lambda: self._entries(told))
        self._check("its events cannot be held against the lake: ", lambda: self._events(told))
        self._check("", lambda: judged_again(self._workspace, self._day, self._steps))
        self._check("its segments cannot be derived again: ", self._derived)
        self._check("it cannot be told again: ", lambda: self._told_again(told))
        if render:
            self._check("cannot be published again: ", self._rendered)

    def _check(self, failed: str, check: Callable[[], list[str]]) -> None:
        try:
            self._differ("", check())
        except Exception as error:  # noqa: BLE001 — whatever is damaged is named, and the rest is verified all the same
            self._differ(failed, [reason_of(error)])

    def _differ(self, before: str, lines: Sequence[str]) -> None:
        self._found.differences += [f"{self._day.place}: {before}{line}" for line in lines]

    def _stale(self, told: Row) -> str:
        """What was published of other settings, weights or rows than those of now cannot be derived from these."""
        return (
            f"was published under the key {told['key']}, and settings, weights, verdicts or what it is made from would now "
            f"give {self._steps.publish.key}; run the night, and verify again"
        )

    def _from_recordings(self, entries: Sequence[Row]) -> list[str]:
        """The entries held against their recordings: whole, in time, by pixels, by measures and by vectors."""
        lines = []
        for number, entry in enumerate(entries, start=1):
            try:
                found = self._from_recording(entry)
            except Exception as error:  # noqa: BLE001 — an entry that cannot be decoded or embedded is named, and the others are verified
                found = [f"cannot be held against its recording: {reason_of(error)}"]
            lines += [f"{_name(number, entry)}: {line}" for line in found]
        return lines

    def _from_recording(self, entry: Row) -> list[str]:
        recording = self._own.get(entry["recording_id"])
        if recording is None:
            return ["the lake knows no such recording of that day"]
        self._found.entries += 1
        known = self._recordings.look(recording)
        if known.gone:
            self._found.remarks.append(
                f"{self._day.place}: {recording.path} is gone; its entries rest on the lake alone"
            )
        if known.index is None:
            return list(known.differences)
        compared = self._spans(recording, known.index).compare(entry["from_us"], entry["to_us"])
        self._found.pictures += compared.pictures
        self._found.vectors += compared.vectors
        return [*known.differences, *compared.differences]

    def _spans(self, recording: Recording, index: FrameIndex) -> SpanVerifier:
        """What compares spans of a recording; entries are in order of recording, so one is kept at a time."""
        if self._looking_at is None or self._looking_at[0] != recording.path:
            spans = SpanVerifier(self._workspace, self._day, recording, index, self._scopes(), self._threads)
            self._looking_at = recording.path, spans
        return self._looking_at[1]

    def _scopes(self) -> list[str]:
        """Embeddings that segments, scores and events rest on."""
        settings = self._workspace.settings
        novelty, looks = (
            self._workspace.encoder(name).spec.space for name in (settings.novelty.encoder, settings.summary.encoder)
        )
        scopes = [f"{looks}/{WHOLE.name}", *(f"{novelty}/{plan.region}" for plan in self._steps.regions)]
        scopes += [head.scope for head in self._steps.heads if not head.suspended]
        scopes += [scope for alarm in self._steps.alarms for region in alarm.regions for scope in region.scopes]
        return list(dict.fromkeys(scopes))

    def _entries(self, told: Row) -> list[str]:
        """The entries against the segments that the lake holds as chosen."""
        pictures = SampledPictures(self._workspace.store, self._day)
        due = {_segment_of(entry): told_entry(entry, pictures) for entry in self._due(told)}
        lines = []
        for number, entry in enumerate(told["entries"], start=1):
            expected = due.pop(_segment_of(entry), None)
            found = ["no such segment is chosen in the lake"]
            if expected is not None:
                found = compare_told(entry, expected)
            lines += [f"{_name(number, entry)}: {line}" for line in found]
        return [
            *lines,
            *(f"{_span(entry)}: is chosen in the lake, and no entry of {ENTRIES}" for entry in due.values()),
        ]

    def _chosen(self) -> list[Row]:
        return [
            {**row, "truth": truth_of(self._steps.truth, row["recording_id"], row["from_us"], row["to_us"])}
            for row in read_chosen(self._workspace.store, self._steps)
        ]

    def _due(self, told: Row) -> list[Row]:
        """The entries that are due by the lake's rows; what is gone may be among them or not, all or nothing.

        Of a recording that is gone, a still is due where the publication has made it.
        """
        chosen, shown = self._chosen(), {_segment_of(entry) for entry in told["entries"]}
        there = [row for row in chosen if self._own[row["recording_id"]].there]
        rows = there if shown == {_segment_of(row) for row in there} else chosen
        return [
            {**entry, "still": entry["still"] if entry["recording"].there or entry["still"] in told["made"] else ""}
            for entry in entries_of(rows, self._own)
        ]

    def _events_due(self) -> list[Row]:
        """The events as they are to be told by the lake's rows, with the files that the publication made of them.

        Of a recording that is there, the short video is due; its still may be of a picture that cannot be decoded.
        """
        store = self._workspace.store
        steps = (self._steps.score, *standing_applied(store, self._steps))
        rows = [row for step in steps for row in store.read_table(step.outputs[1]).sort_by("rank").to_pylist()]
        earlier = EarlierParts(self._folder, ENTRIES)
        events = ShownEvents(self._workspace.settings, self._folder, self._own, rows, earlier)
        due = []
        for row, event in zip(rows, events.told(), strict=True):
            made = (earlier.named(row["event_id"]) or {"files": ()})["files"]
            clip = row["clip"] if self._own[row["recording_id"]].there or row["clip"] in made else ""
            due.append({**event, "clip": clip, "keyframe": row["keyframe"] if row["keyframe"] in made else ""})
        return due

    def _events(self, told: Row) -> list[str]:
        kept = {event["event_id"]: event for event in self._events_due()}
        lines = []
        for event in told["events"]:
            due = kept.pop(event.get("event_id"), None)
            found = ["the lake knows no such event"] if due is None else compare_told(event, due)
            lines += [f"event {event.get('head')} {event.get('rank')}: {line}" for line in found]
        lost = (
            f"event {event['head']} {event['rank']}: is in the lake, and not in {ENTRIES}" for event in kept.values()
        )
        return [*lines, *lost]

    def _derived(self) -> list[str]:
        """Segments and summary derived again from the lake's pictures, vectors, scores and events."""
        store = self._workspace.store
        if self._made_from_deleted():
            self._found.remarks.append(
                f"{self._day.place}: its segments are not derived again, they were made from what retention has deleted since"
            )
            return []
        measured = measure_day(self._workspace, self._day, self._steps)
        kept = standing_segment(store, self._steps).outputs[0]
        lines = compare_rows(kept, store.read_table(kept), measured)
        selected = select_day(self._workspace, self._day, self._steps, measured)
        chosen = standing_summarise(store, self._steps).outputs[0]
        return [*lines, *compare_rows(chosen, store.read_table(chosen), selected)]

    def _made_from_deleted(self) -> bool:
        deleted = deleted_now(self._workspace.ledger).outputs
        past = (*self._steps.normals, *(item.path for item in self._steps.summary.past))
        return any(path in deleted and not self._workspace.store.exists(path) for path in past)

    def _told_again(self, told: Row) -> list[str]:
        """Everything else that is told of the day; entries and events are compared each by itself, files by their hashes."""
        entries, events = self._due(told), self._events_due()
        gone = gone_of(list(self._own.values()), self._chosen(), entries, events)
        segments = read_segments(self._workspace, self._steps)
        derived = told_summary(self._workspace, self._day, self._steps, segments, entries, events, gone)
        return [*compare_parts(told["made"], derived), *compare_publication(told, derived)]

    def _rendered(self) -> list[str]:
        if not all(recording.there for recording in self._own.values()):
            self._found.remarks.append(f"{self._day.place}: not published again, a recording of it is gone")
            return []
        with tempfile.TemporaryDirectory(prefix="afterwatch-verify-") as target:
            return rendered_differences(
                self._workspace, self._day, self._steps, self._folder, Path(target), self._threads
            )


def _shown(told: Row) -> list[Any]:
    """Names of the files that a summary shows."""
    names = [told.get(name) for name in ("video", "contact", "figure")]
    return [*names, *(item.get(name) for item in (*told["entries"], *told["events"]) for name in ("keyframe", "clip"))]


def _segment_of(entry: Row) -> tuple[Any, Any]:
    """What tells an entry from others, whatever it says of itself."""
    return entry.get("recording_id"), entry.get("segment")


def _name(number: int, entry: Row) -> str:
    return f"entry {number}, {_span(entry)}"


def _span(entry: Row) -> str:
    return f"{entry.get('recording')} {entry['from_us'] / 1e6:.3f}–{entry['to_us'] / 1e6:.3f} s"
