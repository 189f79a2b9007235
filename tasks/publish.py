"""Publish: the pictures and videos of a camera's day that the dashboards show.

Only what is shown is decoded. `summary.json` is written last: what it names is there, whole.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task

from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture, Rgb, Size
from footage.regions import WHOLE
from footage.writing import Chapter, Encoding, VideoWriter, contact_sheet, draw_caption, write_bytes, write_jpeg
from infra.errors import AfterwatchError
from infra.settings import SummaryTable
from lake.store import Store
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps, Recording, Step
from tasks.receipts import Receipt, reason_of
from tasks.steps import Published, published
from tasks.summarise import recordings_of_day
from workspace.indexes import load_index
from workspace.opened import Workspace

SUMMARY, CONTACT, ENTRIES = "summary.mp4", "contact.jpg", "summary.json"
CONTACT_COLUMNS, CONTACT_WIDTH = 4, 1280
JPEG_QUALITY = 85

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


@dataclass(frozen=True)
class Cut:
    """A span of a recording that goes into a video; `at_us` is its place there."""

    video: str
    from_us: int
    to_us: int
    at_us: int = 0


class _Publication:
    """One camera's day on its way into its folder."""

    def __init__(self, workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int) -> None:
        place = day.place
        self._workspace, self._day, self._steps, self._threads = workspace, day, steps, decode_threads
        self._settings: SummaryTable = workspace.settings.summary
        self._folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
        self._recordings = {recording.recording_id: recording for recording in recordings_of_day(day)}
        self._segments = _rows(workspace.store, steps.summarise.outputs[0], "taken_at")
        self._chosen = [row for row in self._segments if row["chosen"]]
        self._lacking = _lacking(workspace.store, steps)
        lacking = _not_there(workspace.store, steps)
        found_by = (steps.score, *(step for step in _applied(steps) if step not in lacking))
        self._events = [row for step in found_by for row in _rows(workspace.store, step.outputs[1], "rank")]
        self._stills: dict[str, Rgb] = {}
        self._sizes: dict[str, Size] = {}

    def write(self) -> float:
        """Write everything; returns the seconds of footage decoded."""
        for name in ("keyframes", "events"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        entries, chapters = self._entries()
        clips = {row["event_id"]: self._clip(row) for row in self._events}
        decoded_s = self._write_videos(entries, chapters, clips)
        sheet = self._write_stills(entries)
        told = self._told(entries, clips, sheet)
        write_bytes(self._folder / ENTRIES, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())
        self._clear(told)
        return decoded_s

    def _entries(self) -> tuple[list[Row], list[Chapter]]:
        entries, chapters, at_us = [], [], 0
        # By recording: each is decoded once, and where two overlap their pictures must not alternate.
        order = {recording_id: number for number, recording_id in enumerate(self._recordings)}
        there = [row for row in self._chosen if self._recordings[row["recording_id"]].there]
        for row in sorted(there, key=lambda row: (order[row["recording_id"]], row["from_us"])):
            length_us = row["to_us"] - row["from_us"]
            recording = self._recordings[row["recording_id"]]
            name = f"{row['taken_at']:%H%M%S}-{row['recording_id'][:6]}-{row['segment']:04d}.jpg"
            entries.append({**row, "at_us": at_us, "recording": recording, "still": f"keyframes/{name}"})
            chapters.append(Chapter(f"{self._clock(row['taken_at'])} {row['chosen']}", at_us, at_us + length_us))
            at_us += length_us
        return entries, chapters

    def _clip(self, event: Row) -> Cut:
        """What the event's proxy shows: the event with a margin, or as much around its peak as a proxy may be long."""
        recording = self._recordings[event["recording_id"]]
        margin_us = round(self._settings.proxy_margin_s * 1e6)
        start_us = _since(event["started_at"], recording) - margin_us
        end_us = _since(event["ended_at"], recording) + margin_us
        longest_us = round(self._settings.proxy_longest_s * 1e6)
        if end_us - start_us > longest_us:
            start_us = min(max(start_us, event["peak_us"] - longest_us // 2), end_us - longest_us)
            end_us = start_us + longest_us
        return Cut(event["clip"], max(0, start_us), min(end_us, recording.duration_us))

    def _write_videos(self, entries: Sequence[Row], chapters: Sequence[Chapter], clips: dict[str, Cut]) -> float:
        """One pass over each recording for the summary, the proxies and the stills that come from it."""
        decoded_us = 0
        with ExitStack() as open_videos:
            summary = None
            if entries:
                title = f"{self._day.place}"
                summary = open_videos.enter_context(self._writer(SUMMARY, title, chapters, chapters[-1].to_us))
            for recording in (recording for recording in self._recordings.values() if recording.there):
                mine = [entry for entry in entries if entry["recording"] is recording]
                cuts = [Cut(SUMMARY, entry["from_us"], entry["to_us"], entry["at_us"]) for entry in mine]
                events = [row for row in self._events if row["recording_id"] == recording.recording_id]
                cuts += [clips[row["event_id"]] for row in events]
                stills = {entry["keyframe_us"]: entry["still"] for entry in mine}
                wanted_stills = [*stills.items(), *((row["peak_us"], row["keyframe"]) for row in events)]
                if not cuts:
                    continue
                index = load_index(self._workspace.store, recording.recording_id)
                with ExitStack() as proxies:
                    videos = {
                        cut.video: proxies.enter_context(self._writer(cut.video, "", (), cut.to_us - cut.from_us))
                        for cut in cuts
                        if cut.video != SUMMARY
                    }
                    if summary is not None:
                        videos[SUMMARY] = summary
                    self._feed(recording, index, cuts, wanted_stills, videos)
                decoded_us += sum(cut.to_us - cut.from_us for cut in cuts)
        return decoded_us / 1e6

    def _feed(
        self,
        recording: Recording,
        index: FrameIndex,
        cuts: Sequence[Cut],
        stills: Sequence[tuple[int, str]],
        videos: dict[str, VideoWriter],
    ) -> None:
        shown = {cut: set(self._pictures_of(cut, index).tolist()) for cut in cuts}
        at = {name: int(index.on_display(np.array([t_us]))[0]) for t_us, name in stills}
        wanted = np.array(sorted(set().union(*shown.values(), (i for i in at.values() if i >= 0))), dtype=np.int64)
        path = self._workspace.site.footage_root / recording.path
        for picture in decode(path, index, wanted, threads=self._threads):
            own_size = self._shown_size(picture)
            frame = self._captioned(picture, recording, own_size)
            for cut, indices in shown.items():
                if picture.index in indices:
                    size = self._sizes.setdefault(cut.video, own_size)
                    fitting = frame if size == own_size else self._captioned(picture, recording, size)
                    videos[cut.video].write(fitting, cut.at_us + max(0, picture.t_us - cut.from_us))
            self._stills |= {name: frame for name, wanted_index in at.items() if wanted_index == picture.index}
        for cut in cuts:
            if videos[cut.video].frames == 0 and cut.video != SUMMARY:
                raise AfterwatchError(f"{recording.path}: no picture of {cut.video} can be decoded any more")

    def _pictures_of(self, cut: Cut, index: FrameIndex) -> NDArray[np.int64]:
        """Pictures of a cut, from the one on display at its beginning on, thinned to the proxies' rate."""
        first, last = np.searchsorted(index.t_us, [cut.from_us, cut.to_us])
        shown = int(index.on_display(np.array([cut.from_us]))[0])
        first = first if shown < 0 else min(int(first), shown)
        times = np.maximum(index.t_us[first:last] - cut.from_us, 0)
        cell = (times * self._settings.proxy_rate_hz / 1e6 + 1e-6).astype(np.int64)
        _, kept = np.unique(cell, return_index=True)
        return np.asarray(first + kept, dtype=np.int64)

    def _shown_size(self, picture: Picture) -> Size:
        height, width = picture.size
        scaled = max(2, min(self._settings.proxy_width, width) & ~1)
        return max(2, round(height * scaled / width) & ~1), scaled

    def _captioned(self, picture: Picture, recording: Recording, size: Size) -> Rgb:
        """The picture within `size`, black beside it where a camera's recordings differ in shape."""
        height, width = picture.size
        scale = min(size[0] / height, size[1] / width)
        fits = abs(size[0] - height * scale) < 2 and abs(size[1] - width * scale) < 2
        inner = size if fits else (max(1, round(height * scale)), max(1, round(width * scale)))
        small = picture.view(WHOLE, inner)
        above, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        small = np.pad(small, ((above, size[0] - inner[0] - above), (left, size[1] - inner[1] - left), (0, 0)))
        moment = recording.started_at + timedelta(microseconds=picture.t_us)
        return draw_caption(small, f"{recording.place.camera}  {recording.place.day} {self._clock(moment)}")

    def _clock(self, moment: datetime) -> str:
        return f"{moment.astimezone(self._workspace.settings.zone):%H:%M:%S}"

    def _writer(self, name: str, title: str, chapters: Sequence[Chapter], end_us: int) -> VideoWriter:
        rate = Fraction(self._settings.proxy_rate_hz).limit_denominator(1000)
        encoding = Encoding(crf=27, preset="superfast", keyframe_every=round(2 * rate), rate_hz=rate)
        return VideoWriter(self._folder / name, encoding, title=title or None, chapters=chapters, end_us=end_us)

    def _write_stills(self, entries: Sequence[Row]) -> bool:
        """Write the keyframes and the contact sheet of the best; returns whether there is a sheet."""
        for name, picture in sorted(self._stills.items()):
            write_jpeg(self._folder / name, picture, JPEG_QUALITY)
        there = [entry for entry in entries if entry["still"] in self._stills]
        best = sorted(there, key=lambda entry: (-entry["score"], entry["at_us"]))[: self._settings.keyframes]
        best.sort(key=lambda entry: entry["at_us"])
        if best:
            captions = [f"{self._clock(entry['taken_at'])}  {entry['chosen']}" for entry in best]
            pictures = [self._stills[entry["still"]] for entry in best]
            sheet = contact_sheet(pictures, captions, CONTACT_COLUMNS, CONTACT_WIDTH)
            write_jpeg(self._folder / CONTACT, sheet, JPEG_QUALITY)
        return bool(best)

    def _told(self, entries: Sequence[Row], clips: dict[str, Cut], sheet: bool) -> dict[str, Any]:
        place = self._day.place
        return {
            "key": self._steps.publish.key,
            "campaign": place.campaign,
            "camera": place.camera,
            "day": place.day.isoformat(),
            "partial": bool(self._lacking) or self._is_partial(),
            "lacking": list(self._lacking),
            "video": SUMMARY if entries else "",
            "contact": CONTACT if sheet else "",
            "duration_s": sum(entry["to_us"] - entry["from_us"] for entry in entries) / 1e6,
            "entries": [_told_entry(entry) for entry in entries],
            "events": list(self._told_events(clips)),
            "versions": {
                "afterwatch": version("afterwatch"),
                "score": self._steps.score.key,
                "summarise": self._steps.summarise.key,
                **({"retrieve": {step.scope: step.key for step in self._steps.retrieves}} if self._steps.heads else {}),
                **(
                    {"classify": {step.scope: step.key for step in self._steps.classifies}}
                    if self._steps.alarms
                    else {}
                ),
                "spaces": {encoder.table.name: encoder.spec.space for encoder in self._workspace.encoders},
                "weights": {encoder.table.name: encoder.spec.weights for encoder in self._workspace.encoders},
            },
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

    def _told_events(self, clips: dict[str, Cut]) -> Iterator[Row]:
        for row in self._events:
            recording, cut = self._recordings[row["recording_id"]], clips[row["event_id"]]

            def left(name: str, recording: Recording = recording) -> bool:
                """Whether an earlier publication made it of a recording that is gone."""
                return not recording.there and (self._folder / name).is_file()

            moments = {name: row[name].isoformat() for name in ("started_at", "ended_at", "peak_at")}
            yield {
                **{name: row[name] for name in ("event_id", "rank", "alarm", "head", "version", "region", "peak_us")},
                **moments,
                "peak_score": float(row["peak_score"]),
                "threshold": float(row["threshold"]),
                "recording": recording.path,
                "recording_id": row["recording_id"],
                "keyframe": row["keyframe"] if row["keyframe"] in self._stills or left(row["keyframe"]) else "",
                "clip": row["clip"] if recording.there or left(row["clip"]) else "",
                "clip_started_at": _at(recording, cut.from_us).isoformat(),
                "clip_s": (cut.to_us - cut.from_us) / 1e6,
            }

    def _clear(self, told: dict[str, Any]) -> None:
        """Remove what an earlier publication left, or did not finish, and this one does not name."""
        for file in self._folder.glob(".*.partial"):
            file.unlink(missing_ok=True)
        for name in {SUMMARY, CONTACT} - {told["video"], told["contact"]}:
            (self._folder / name).unlink(missing_ok=True)
        named = {item[key] for item in told["events"] for key in ("keyframe", "clip")}
        named |= {item["keyframe"] for item in told["entries"]}
        for name in ("keyframes", "events"):
            for file in (self._folder / name).iterdir():
                if f"{name}/{file.name}" not in named:
                    file.unlink(missing_ok=True)


def _told_entry(entry: Row) -> Row:
    names = ("recording_id", "from_us", "to_us", "keyframe_us")
    scores = ("score", "anomaly", "memorability", "entropy", "dynamics")
    return {
        **{name: entry[name] for name in names},
        **{name: round(float(entry[name]), 6) for name in scores},
        "at_s": entry["at_us"] / 1e6,
        "for_s": (entry["to_us"] - entry["from_us"]) / 1e6,
        "recording": entry["recording"].path,
        "taken_at": entry["taken_at"].isoformat(),
        "reason": entry["chosen"],
        "keyframe": entry["still"],
    }


def _applied(steps: DaySteps) -> tuple[Step, ...]:
    """Steps of the heads and alarms that add events to those of the novelty head."""
    return (*steps.retrieves, *steps.classifies)


def _not_there(store: Store, steps: DaySteps) -> tuple[Step, ...]:
    """Those of them that did not come to their end: what they find is not known yet."""
    return tuple(step for step in _applied(steps) if not all(map(store.exists, step.outputs)))


def _lacking(store: Store, steps: DaySteps) -> tuple[str, ...]:
    """Names of the heads and alarms whose step did not come to its end."""
    return tuple(step.scope for step in _not_there(store, steps))


def _rows(store: Store, path: str, order: str) -> list[Row]:
    return list(store.read_table(path).sort_by(order).to_pylist())


def _since(moment: datetime, recording: Recording) -> int:
    return (moment - recording.started_at) // timedelta(microseconds=1)


def _at(recording: Recording, t_us: int) -> datetime:
    return (recording.started_at + timedelta(microseconds=t_us)).astimezone(UTC)
