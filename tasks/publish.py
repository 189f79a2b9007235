"""Publish: the pictures and videos of a camera's day that the dashboards show.

Only what is shown is decoded, and of that only what is not there: the summary and the short videos of events are kept as
long as what they are made of is the same. `summary.json` is written last: what it names is there, whole.
"""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from prefect import task

from footage.regions import WHOLE
from footage.writing import VideoWriter, write_bytes, write_jpeg
from infra.settings import SummaryTable
from lake.store import Store
from tasks.kept_files import EarlierParts, Part, decided_by, written_part
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps, Recording, Step
from tasks.receipts import Receipt, reason_of
from tasks.segment_sheets import CONTACT, FIGURE, JPEG_QUALITY, best_of, write_contact_sheet, write_figure
from tasks.shown_events import ShownEvents
from tasks.shown_pictures import SUMMARY, Cut, ShownPictures
from tasks.shown_segments import SampledPictures, chapter_of, entries_of, read_chosen, told_entry
from tasks.steps import Published, published
from tasks.summarise import read_segments, recordings_of_day, select
from tasks.summary_steps import standing_applied, standing_segment, standing_summarise
from tasks.truth import Truth
from workspace.indexes import load_index
from workspace.opened import Workspace

ENTRIES = "summary.json"

Row = dict[str, Any]


@task(task_run_name="publish {label}", persist_result=False)
def publish(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]], decode_threads: int) -> list[Receipt]:
    """Publish the days of one camera."""
    workspace = Workspace(root)
    return [publish_day(workspace, day, steps, decode_threads) for day, steps in days]


def publish_day(workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int) -> Receipt:
    """The task's work for one day, without an orchestrator."""
    step, began = steps.publish, time.perf_counter()
    status, decoded_s, message = "skipped", 0.0, ""
    # What lacked the same heads' files when it was published is not made again for nothing.
    there_now = Published(step.key, _lacking(workspace.store, steps))
    if not step.exists and published(workspace, day.place) != there_now:
        try:
            decoded_s = _Publication(workspace, day, steps, decode_threads).write()
            status = "done"
        except Exception as error:  # noqa: BLE001 — one day must not stop the camera's others: it is reported, and tried again
            status, message = "failed", reason_of(error)
    seconds = time.perf_counter() - began
    return Receipt(day.place, step.name, step.scope, step.key, status, (), step.inputs, 0, seconds, decoded_s, message)


@dataclass(frozen=True, eq=False)
class _Summary:
    """The summary of a day: what it shows, in order, the hash of it, and the files of it that stand; None: to be made."""

    entries: list[Row]
    of: str
    part: Part | None


class _Publication:
    """One camera's day on its way into its folder."""

    def __init__(self, workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int) -> None:
        place, store = day.place, workspace.store
        self._workspace, self._day, self._steps = workspace, day, steps
        self._settings: SummaryTable = workspace.settings.summary
        self._folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
        self._recordings = {recording.recording_id: recording for recording in recordings_of_day(day)}
        truth = Truth(workspace, place.camera)
        self._chosen = [
            {**row, "truth": truth.of(row["recording_id"], row["from_us"], row["to_us"])}
            for row in read_chosen(store, steps)
        ]
        self._lacking = _lacking(store, steps)
        found_by = (steps.score, *standing_applied(store, steps))
        events = [row for step in found_by for row in _events(store, step)]
        self._earlier = EarlierParts(self._folder, ENTRIES)
        self._events = ShownEvents(workspace.settings, self._folder, self._recordings, events, self._earlier)
        self._pictures = ShownPictures(workspace, self._folder, decode_threads)

    def write(self) -> float:
        """Write everything; returns the seconds of footage decoded."""
        for name in ("keyframes", "events"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        summary = self._summary()
        decoded_s = self._write_videos(summary)
        self._events.written(self._pictures.stills.keys())
        made = {SUMMARY: summary.part or self._written_summary(summary)}
        best = self._best(summary.entries, made[SUMMARY])
        if best:
            made[FIGURE] = self._figure(best)
        made |= self._events.parts
        told = self._told(summary.entries, made)
        write_bytes(self._folder / ENTRIES, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())
        self._clear(told)
        return decoded_s

    def _summary(self) -> "_Summary":
        """The summary of all that was chosen, where it stands; else of what of it can be decoded."""
        there = [row for row in self._chosen if self._recordings[row["recording_id"]].there]
        for chosen in (self._chosen, there):
            entries = entries_of(chosen, self._recordings)
            names = ("recording_id", "segment", "from_us", "to_us", "keyframe_us", "reason", "score")
            shown = [[*(row[name] for name in names), row["taken_at"].isoformat()] for row in entries]
            of = decided_by(self._workspace.settings, "summary", self._settings.keyframes, shown)
            part = self._earlier.standing(SUMMARY, of)
            if part is not None:
                break
        return _Summary(entries, of, part)

    def _best(self, entries: Sequence[Row], part: Part) -> list[Row]:
        """The entries that the sheets show: the best of those of which there is a still."""
        return best_of([entry for entry in entries if entry["still"] in part["files"]], self._settings.keyframes)

    def _written_summary(self, summary: "_Summary") -> Part:
        """What was just made of the summary, its contact sheet included."""
        names = [entry["still"] for entry in summary.entries if entry["still"] in self._pictures.stills]
        names += [SUMMARY] if summary.entries else []
        best = self._best(summary.entries, {"files": names})
        if best:
            write_contact_sheet(self._folder, best, self._pictures.clock)
            names.append(CONTACT)
        return written_part(self._folder, summary.of, names)

    def _figure(self, best: Sequence[Row]) -> Part:
        """The figure of the best, made again where something of it is told otherwise now; nothing is decoded for it."""
        names = ("recording_id", "segment", "keyframe_us", "reason", "score", "probability", "truth")
        shown = [[*(entry[name] for name in names), entry["taken_at"].isoformat()] for entry in best]
        of = decided_by(self._workspace.settings, "figure", shown)
        part = self._earlier.standing(FIGURE, of)
        if part is None:
            write_figure(self._folder, best, self._pictures.clock)
        return part or written_part(self._folder, of, [FIGURE])

    def _write_videos(self, summary: "_Summary") -> float:
        """One pass over each recording for what of the summary, the proxies and the stills is not there yet."""
        decoded_us = 0
        entries = summary.entries if summary.part is None else []
        with ExitStack() as open_videos:
            video = None
            if entries:
                chapters = [chapter_of(entry, self._pictures.clock(entry["taken_at"])) for entry in entries]
                title, end_us = f"{self._day.place}", chapters[-1].to_us
                video = open_videos.enter_context(self._pictures.writer(SUMMARY, title, chapters, end_us))
            for recording in (recording for recording in self._recordings.values() if recording.there):
                decoded_us += self._write_from(recording, entries, video)
        for name, picture in sorted(self._pictures.stills.items()):
            write_jpeg(self._folder / name, picture, JPEG_QUALITY)
        return decoded_us / 1e6

    def _write_from(self, recording: Recording, entries: Sequence[Row], video: VideoWriter | None) -> int:
        """Write what is shown of one recording; returns the microseconds decoded."""
        mine = [entry for entry in entries if entry["recording"] is recording]
        cuts = [Cut(SUMMARY, entry["from_us"], entry["to_us"], entry["at_us"]) for entry in mine]
        events = [row for row in self._events.new if row["recording_id"] == recording.recording_id]
        cuts += [self._events.clips[row["event_id"]] for row in events]
        stills = {entry["keyframe_us"]: entry["still"] for entry in mine if entry["still"]}
        wanted_stills = [*stills.items(), *((row["peak_us"], row["keyframe"]) for row in events)]
        if cuts:
            index = load_index(self._workspace.store, recording.recording_id)
            with ExitStack() as proxies:
                videos = {
                    cut.video: proxies.enter_context(self._pictures.writer(cut.video, "", (), cut.to_us - cut.from_us))
                    for cut in cuts
                    if cut.video != SUMMARY
                }
                if video is not None:
                    videos[SUMMARY] = video
                self._pictures.feed(recording, index, cuts, wanted_stills, videos)
        return sum(cut.to_us - cut.from_us for cut in cuts)

    def _told(self, entries: Sequence[Row], made: dict[str, Part]) -> dict[str, Any]:
        place, weights = self._day.place, self._steps.summary.weights
        pictures = SampledPictures(self._workspace.store, self._day)
        segments = read_segments(self._workspace, self._steps)
        selection, _ = select(self._workspace, self._steps, segments)
        return {
            "key": self._steps.publish.key,
            "campaign": place.campaign,
            "camera": place.camera,
            "day": place.day.isoformat(),
            "partial": bool(self._lacking) or self._is_partial(),
            "lacking": list(self._lacking),
            "video": SUMMARY if entries else "",
            "contact": CONTACT if CONTACT in made[SUMMARY]["files"] else "",
            "figure": FIGURE if FIGURE in made else "",
            "duration_s": sum(entry["to_us"] - entry["from_us"] for entry in entries) / 1e6,
            "weights": {"label": weights.label, "values": asdict(weights.weights)},
            "entries": [told_entry(entry, pictures) for entry in entries],
            "omitted": [{"name": event.name, "event_id": event.event_id} for event in selection.omitted],
            "events": list(self._events.told()),
            "made": made,
            "versions": self._versions(),
        }

    def _versions(self) -> dict[str, Any]:
        store, steps, encoders = self._workspace.store, self._steps, self._workspace.encoders
        return {
            "afterwatch": version("afterwatch"),
            "score": steps.score.key,
            "segment": standing_segment(store, steps).key,
            "summarise": standing_summarise(store, steps).key,
            **({"retrieve": {step.scope: step.key for step in steps.retrieves}} if steps.heads else {}),
            **({"classify": {step.scope: step.key for step in steps.classifies}} if steps.alarms else {}),
            "spaces": {encoder.table.name: encoder.spec.space for encoder in encoders},
            "weights": {encoder.table.name: encoder.spec.weights for encoder in encoders},
        }

    def _is_partial(self) -> bool:
        """Whether something is lacking of what the publication is made from; its key changes when that comes."""
        settings = self._workspace.settings
        novelty, looks = (
            self._workspace.encoder(name).spec.space for name in (settings.novelty.encoder, settings.summary.encoder)
        )
        scopes = {FRAMES_SCOPE, f"{looks}/{WHOLE.name}", *(f"{novelty}/{plan.region}" for plan in self._steps.regions)}
        scopes |= {head.scope for head in self._steps.heads if not head.suspended}
        scopes |= {scope for alarm in self._steps.alarms for region in alarm.regions for scope in region.scopes}
        return any(not product.exists for scope in scopes for product in self._day.products(scope))

    def _clear(self, told: dict[str, Any]) -> None:
        """Remove what an earlier publication left, or did not finish, and this one does not name."""
        for file in self._folder.glob(".*.partial"):
            file.unlink(missing_ok=True)
        for name in {SUMMARY, CONTACT, FIGURE} - {told["video"], told["contact"], told["figure"]}:
            (self._folder / name).unlink(missing_ok=True)
        named = {item[key] for item in told["events"] for key in ("keyframe", "clip")}
        named |= {item["keyframe"] for item in told["entries"]}
        for name in ("keyframes", "events"):
            for file in (self._folder / name).iterdir():
                if f"{name}/{file.name}" not in named:
                    file.unlink(missing_ok=True)


def _lacking(store: Store, steps: DaySteps) -> tuple[str, ...]:
    """Names of the heads and alarms whose step did not come to its end: what they find is not known yet."""
    there = standing_applied(store, steps)
    return tuple(step.scope for step in (*steps.retrieves, *steps.classifies) if step not in there)


def _events(store: Store, step: Step) -> list[Row]:
    return list(store.read_table(step.outputs[1]).sort_by("rank").to_pylist())
