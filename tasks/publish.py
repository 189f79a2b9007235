"""Publish: the pictures and videos of a camera's day that the dashboards show.

Only what is shown is decoded, and of that only what is not there: the summary's video, its stills and the short videos of
events are kept as long as what they are made of is the same. `summary.json` is written last: what it names is there, whole.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import task

from footage.writing import VideoWriter, write_jpeg
from infra.settings import SummaryTable
from lake.store import Store
from tasks.kept_files import FOLDERS, EarlierParts, Part, decided_by, published, told_gone, write_told, written_part
from tasks.limits import going_on
from tasks.plan import DayPlan, Recording
from tasks.receipts import Receipt, reason_of
from tasks.segment_sheets import CONTACT, FIGURE, JPEG_QUALITY, best_of, write_contact_sheet, write_figure
from tasks.shown_events import ShownEvents
from tasks.shown_pictures import SUMMARY, Cut, ShownPictures
from tasks.shown_segments import chapter_of, entries_of, read_chosen
from tasks.step_plans import DaySteps, Step
from tasks.summarise import read_segments, recordings_of_day
from tasks.summary_steps import standing_applied, standing_summarise
from tasks.told_summary import gone_of, lacking_of, told_summary
from tasks.truth import truth_of
from workspace.indexes import load_index
from workspace.opened import Workspace

ENTRIES = "summary.json"

Row = dict[str, Any]
WriteSheet = Callable[[Path, Sequence[Row], Callable[[datetime], str]], None]


@task(task_run_name="publish {label}", persist_result=False)
def publish(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]], decode_threads: int) -> list[Receipt]:
    """Publish the days of one camera."""
    workspace = Workspace(root)
    return [publish_day(workspace, day, steps, decode_threads) for day, steps in going_on(workspace, days)]


def publish_day(workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int) -> Receipt:
    """The task's work for one day, without an orchestrator."""
    step, began = steps.publish, time.perf_counter()
    status, decoded_s, message = "skipped", 0.0, step.remark
    if not step.exists and not _stands(workspace, day, steps):
        try:
            decoded_s, message = _Publication(workspace, day, steps, decode_threads).write()
            status = "done"
        except Exception as error:  # noqa: BLE001 — one day must not stop the camera's others: it is reported, and tried again
            status, message = "failed", reason_of(error)
    seconds = time.perf_counter() - began
    return Receipt(day.place, step.name, step.scope, step.key, status, (), step.inputs, 0, seconds, decoded_s, message)


def _stands(workspace: Workspace, day: DayPlan, steps: DaySteps) -> bool:
    """Whether what is there now was published: what lacked the same steps' files then is not made again for nothing."""
    store = workspace.store
    there = standing_summarise(store, steps).key, lacking_of(store, steps)
    return published(workspace, day.place).stands(day, steps.publish.key, *there)


@dataclass(frozen=True, eq=False)
class _Summary:
    """The summary of a day: what it shows, in order, the hash of its video, and those of its parts that stand.

    The parts are the video and every still, by name.
    """

    entries: list[Row]
    of: str
    made: dict[str, Part]

    @property
    def to_show(self) -> list[Row]:
        """Entries of the video, where that is to be made."""
        return [] if SUMMARY in self.made else self.entries

    @property
    def to_keep(self) -> list[Row]:
        """Entries whose still is to be made."""
        return [entry for entry in self.entries if entry["still"] and entry["still"] not in self.made]


class _Publication:
    """One camera's day on its way into its folder."""

    def __init__(self, workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int) -> None:
        place, store = day.place, workspace.store
        self._workspace, self._day, self._steps = workspace, day, steps
        self._settings: SummaryTable = workspace.settings.summary
        self._folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
        self._recordings = {recording.recording_id: recording for recording in recordings_of_day(day)}
        self._chosen = [
            {**row, "truth": truth_of(steps.truth, row["recording_id"], row["from_us"], row["to_us"])}
            for row in read_chosen(store, steps)
        ]
        found_by = (steps.score, *standing_applied(store, steps))
        events = [row for step in found_by for row in _events(store, step)]
        self._earlier = EarlierParts(self._folder, ENTRIES)
        self._events = ShownEvents(workspace.settings, self._folder, self._recordings, events, self._earlier)
        self._pictures = ShownPictures(workspace, self._folder, decode_threads)

    def write(self) -> tuple[float, str]:
        """Write everything; returns the seconds of footage decoded, and what there is to know of what is not shown."""
        for name in FOLDERS:
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        summary = self._summary()
        decoded_s = self._write_videos(summary)
        self._events.written(self._pictures.stills.keys())
        made = self._made(summary)
        entries = [{**entry, "still": entry["still"] if entry["still"] in made else ""} for entry in summary.entries]
        events = list(self._events.told())
        gone = gone_of(list(self._recordings.values()), self._chosen, entries, events)
        segments = read_segments(self._workspace, self._steps)
        told = told_summary(self._workspace, self._day, self._steps, segments, entries, events, gone)
        told["made"] = made | self._events.parts
        write_told(self._folder / ENTRIES, told)
        self._clear(told)
        return decoded_s, told_gone([recording.path for recording in gone])

    def _summary(self) -> "_Summary":
        """The summary of all that was chosen, where its video stands; else of what of it can be decoded."""
        there = [row for row in self._chosen if self._recordings[row["recording_id"]].there]
        for chosen in (self._chosen, there):
            entries = entries_of(chosen, self._recordings)
            names = ("recording_id", "from_us", "to_us", "reason")
            shown = [[*(row[name] for name in names), row["taken_at"].isoformat()] for row in entries]
            of = decided_by(self._workspace.settings, "summary", shown)
            video = self._earlier.standing(SUMMARY, of)
            if video is not None:
                break
        stills = {entry["still"]: self._earlier.standing(entry["still"], self._still_of(entry)) for entry in entries}
        parts = {**({SUMMARY: video} if entries else {}), **stills}
        return _Summary(entries, of, {name: part for name, part in parts.items() if part is not None})

    def _still_of(self, entry: Row) -> str:
        """A hash of what decides an entry's still."""
        began_at = entry["recording"].started_at.isoformat()
        return decided_by(
            self._workspace.settings, "still", entry["recording_id"], began_at, entry["keyframe_us"], entry["still"]
        )

    def _made(self, summary: "_Summary") -> dict[str, Part]:
        """The parts of the summary, those that were just written among them, and the sheets of its best."""
        made = dict(summary.made)
        if summary.to_show:
            made[SUMMARY] = written_part(self._folder, summary.of, [SUMMARY])
        for entry in summary.to_keep:
            if entry["still"] in self._pictures.stills:
                made[entry["still"]] = written_part(self._folder, self._still_of(entry), [entry["still"]])
        best = best_of([entry for entry in summary.entries if entry["still"] in made], self._settings.keyframes)
        if best:
            made[CONTACT] = self._sheet(CONTACT, write_contact_sheet, best, ("reason",))
            made[FIGURE] = self._sheet(FIGURE, write_figure, best, ("reason", "score", "probability", "truth"))
        return made

    def _sheet(self, name: str, write: WriteSheet, best: Sequence[Row], told: Sequence[str]) -> Part:
        """A sheet of the best, made again where what it tells of them is another; nothing is decoded for it."""
        cells = [
            [self._still_of(entry), entry["taken_at"].isoformat(), *(entry[each] for each in told)] for entry in best
        ]
        of = decided_by(self._workspace.settings, name, cells)
        part = self._earlier.standing(name, of)
        if part is None:
            self._earlier.disown()
            write(self._folder, best, self._pictures.clock)
        return part or written_part(self._folder, of, [name])

    def _write_videos(self, summary: "_Summary") -> float:
        """One pass over each recording for what of the summary, the proxies and the stills is not there yet."""
        decoded_us = 0
        entries = summary.to_show
        with ExitStack() as open_videos:
            video = None
            if entries:
                chapters = [chapter_of(entry, self._pictures.clock(entry["taken_at"])) for entry in entries]
                title, end_us = f"{self._day.place}", chapters[-1].to_us
                video = open_videos.enter_context(self._pictures.writer(SUMMARY, title, chapters, end_us))
            for recording in (recording for recording in self._recordings.values() if recording.there):
                decoded_us += self._write_from(recording, summary, video)
        for name, picture in sorted(self._pictures.stills.items()):
            write_jpeg(self._folder / name, picture, JPEG_QUALITY)
        return decoded_us / 1e6

    def _write_from(self, recording: Recording, summary: "_Summary", video: VideoWriter | None) -> int:
        """Write what is shown of one recording; returns the microseconds decoded, stills counting for nothing."""
        mine = [entry for entry in summary.to_show if entry["recording"] is recording]
        cuts = [Cut(SUMMARY, entry["from_us"], entry["to_us"], entry["at_us"]) for entry in mine]
        events = [row for row in self._events.new if row["recording_id"] == recording.recording_id]
        cuts += [self._events.clips[row["event_id"]] for row in events]
        kept = [entry for entry in summary.to_keep if entry["recording"] is recording]
        stills = [*((entry["keyframe_us"], entry["still"]) for entry in kept)]
        stills += [(row["peak_us"], row["keyframe"]) for row in events]
        if cuts or stills:
            index = load_index(self._workspace.store, recording.recording_id)
            with ExitStack() as proxies:
                videos = {
                    cut.video: proxies.enter_context(self._pictures.writer(cut.video, "", (), cut.to_us - cut.from_us))
                    for cut in cuts
                    if cut.video != SUMMARY
                }
                if video is not None:
                    videos[SUMMARY] = video
                self._pictures.feed(recording, index, cuts, stills, videos)
                self._earlier.disown()
        return sum(cut.to_us - cut.from_us for cut in cuts)

    def _clear(self, told: dict[str, Any]) -> None:
        """Remove what an earlier publication left, or did not finish, and this one does not name."""
        for file in self._folder.glob(".*.partial"):
            file.unlink(missing_ok=True)
        for name in {SUMMARY, CONTACT, FIGURE} - {told["video"], told["contact"], told["figure"]}:
            (self._folder / name).unlink(missing_ok=True)
        named = {item[key] for item in told["events"] for key in ("keyframe", "clip")}
        named |= {item["keyframe"] for item in told["entries"]}
        for name in FOLDERS:
            for file in (self._folder / name).iterdir():
                if f"{name}/{file.name}" not in named:
                    file.unlink(missing_ok=True)


def _events(store: Store, step: Step) -> list[Row]:
    return list(store.read_table(step.outputs[1]).sort_by("rank").to_pylist())
