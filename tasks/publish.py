"""Publish: the pictures and videos of a camera's day that the dashboards show.

Only what is shown is decoded, and of that only what is not there: the summary and the short videos of events are kept as
long as what they are made of is the same. `summary.json` is written last: what it names is there, whole.
"""

import json
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from prefect import task

from footage.regions import WHOLE
from footage.writing import Chapter, contact_sheet, write_bytes, write_jpeg
from infra.settings import SummaryTable
from lake.keys import VERSIONS, short_hash
from lake.store import Store
from tasks.kept_files import EarlierParts, Part, written_part
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps, Recording, Step
from tasks.receipts import Receipt, reason_of
from tasks.shown_pictures import SUMMARY, Cut, ShownPictures
from tasks.steps import Published, published
from tasks.summarise import recordings_of_day
from workspace.indexes import load_index
from workspace.opened import Workspace

CONTACT, ENTRIES = "contact.jpg", "summary.json"
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


@dataclass(frozen=True, eq=False)
class _Summary:
    """The summary of a day: what it shows, in order, the hash of it, and the files of it that stand; None: to be made."""

    entries: list[Row]
    chapters: list[Chapter]
    of: str
    part: Part | None


class _Publication:
    """One camera's day on its way into its folder."""

    def __init__(self, workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int) -> None:
        place = day.place
        self._workspace, self._day, self._steps = workspace, day, steps
        self._settings: SummaryTable = workspace.settings.summary
        self._folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
        self._recordings = {recording.recording_id: recording for recording in recordings_of_day(day)}
        self._segments = _rows(workspace.store, steps.summarise.outputs[0], "taken_at")
        self._chosen = [row for row in self._segments if row["chosen"]]
        self._lacking = _lacking(workspace.store, steps)
        lacking = _not_there(workspace.store, steps)
        found_by = (steps.score, *(step for step in _applied(steps) if step not in lacking))
        self._events = [row for step in found_by for row in _rows(workspace.store, step.outputs[1], "rank")]
        self._earlier = EarlierParts(self._folder, ENTRIES)
        self._pictures = ShownPictures(workspace, self._folder, decode_threads)

    def write(self) -> float:
        """Write everything; returns the seconds of footage decoded."""
        for name in ("keyframes", "events"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        summary = self._summary()
        clips = {row["event_id"]: self._clip(row) for row in self._events}
        parts = {row["event_id"]: self._event_part(row, clips[row["event_id"]]) for row in self._events}
        new = [row for row in self._events if parts[row["event_id"]] is None]
        decoded_s = self._write_videos(summary, new, clips)
        made = {row["event_id"]: self._written_event(row, clips[row["event_id"]]) for row in new}
        made |= {event_id: part for event_id, part in parts.items() if part is not None}
        made[SUMMARY] = summary.part or self._written_summary(summary)
        told = self._told(summary.entries, clips, {name: part for name, part in made.items() if part is not None})
        write_bytes(self._folder / ENTRIES, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())
        self._clear(told)
        return decoded_s

    def _summary(self) -> "_Summary":
        """The summary of all that was chosen, where it stands; else of what of it can be decoded."""
        there = [row for row in self._chosen if self._recordings[row["recording_id"]].there]
        for chosen in (self._chosen, there):
            entries, chapters = self._entries(chosen)
            names = ("recording_id", "segment", "from_us", "to_us", "keyframe_us", "chosen", "score")
            shown = [[*(row[name] for name in names), row["taken_at"].isoformat()] for row in entries]
            of = self._decided_by("summary", self._settings.keyframes, shown)
            part = self._earlier.standing(SUMMARY, of)
            if part is not None:
                break
        return _Summary(entries, chapters, of, part)

    def _event_part(self, event: Row, cut: Cut) -> Part | None:
        """The event's short video and still where they stand, or as they were left of a recording that is gone."""
        if self._recordings[event["recording_id"]].there:
            return self._earlier.standing(event["event_id"], self._of_event(event, cut))
        return self._earlier.named(event["event_id"])

    def _of_event(self, event: Row, cut: Cut) -> str:
        recording = self._recordings[event["recording_id"]]
        shown = [cut.from_us, cut.to_us, event["peak_us"], event["keyframe"], event["clip"]]
        return self._decided_by("event", recording.recording_id, recording.started_at.isoformat(), shown)

    def _decided_by(self, *told: Any) -> str:
        """A hash of what decides how a part looks, beside the camera's day, which its folder tells."""
        settings = self._settings.model_dump(mode="json", include={"proxy_width", "proxy_rate_hz"})
        return short_hash([VERSIONS["publish"], settings, self._workspace.settings.site.time_zone, *told])

    def _written_event(self, event: Row, cut: Cut) -> Part | None:
        """What was just made of an event; None of a recording that is gone."""
        if not self._recordings[event["recording_id"]].there:
            return None
        names = [event["clip"], *([event["keyframe"]] if event["keyframe"] in self._pictures.stills else [])]
        return written_part(self._folder, self._of_event(event, cut), names)

    def _written_summary(self, summary: "_Summary") -> Part:
        sheet = self._write_sheet(summary.entries)
        names = [entry["still"] for entry in summary.entries if entry["still"] in self._pictures.stills]
        names += [*([SUMMARY] if summary.entries else []), *([CONTACT] if sheet else [])]
        return written_part(self._folder, summary.of, names)

    def _entries(self, chosen: Sequence[Row]) -> tuple[list[Row], list[Chapter]]:
        entries, chapters, at_us = [], [], 0
        # By recording: each is decoded once, and where two overlap their pictures must not alternate.
        order = {recording_id: number for number, recording_id in enumerate(self._recordings)}
        for row in sorted(chosen, key=lambda row: (order[row["recording_id"]], row["from_us"])):
            length_us = row["to_us"] - row["from_us"]
            recording = self._recordings[row["recording_id"]]
            name = f"{row['taken_at']:%H%M%S}-{row['recording_id'][:6]}-{row['segment']:04d}.jpg"
            entries.append({**row, "at_us": at_us, "recording": recording, "still": f"keyframes/{name}"})
            chapters.append(
                Chapter(f"{self._pictures.clock(row['taken_at'])} {row['chosen']}", at_us, at_us + length_us)
            )
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

    def _write_videos(self, summary: "_Summary", new: Sequence[Row], clips: dict[str, Cut]) -> float:
        """One pass over each recording for what of the summary, the proxies and the stills is not there yet."""
        decoded_us = 0
        entries = summary.entries if summary.part is None else []
        with ExitStack() as open_videos:
            video = None
            if entries:
                title, end_us = f"{self._day.place}", summary.chapters[-1].to_us
                video = open_videos.enter_context(self._pictures.writer(SUMMARY, title, summary.chapters, end_us))
            for recording in (recording for recording in self._recordings.values() if recording.there):
                mine = [entry for entry in entries if entry["recording"] is recording]
                cuts = [Cut(SUMMARY, entry["from_us"], entry["to_us"], entry["at_us"]) for entry in mine]
                events = [row for row in new if row["recording_id"] == recording.recording_id]
                cuts += [clips[row["event_id"]] for row in events]
                stills = {entry["keyframe_us"]: entry["still"] for entry in mine}
                wanted_stills = [*stills.items(), *((row["peak_us"], row["keyframe"]) for row in events)]
                if not cuts:
                    continue
                index = load_index(self._workspace.store, recording.recording_id)
                with ExitStack() as proxies:
                    videos = {
                        cut.video: proxies.enter_context(
                            self._pictures.writer(cut.video, "", (), cut.to_us - cut.from_us)
                        )
                        for cut in cuts
                        if cut.video != SUMMARY
                    }
                    if video is not None:
                        videos[SUMMARY] = video
                    self._pictures.feed(recording, index, cuts, wanted_stills, videos)
                decoded_us += sum(cut.to_us - cut.from_us for cut in cuts)
        for name, picture in sorted(self._pictures.stills.items()):
            write_jpeg(self._folder / name, picture, JPEG_QUALITY)
        return decoded_us / 1e6

    def _write_sheet(self, entries: Sequence[Row]) -> bool:
        """Write the contact sheet of the best; returns whether there is one."""
        there = [entry for entry in entries if entry["still"] in self._pictures.stills]
        best = sorted(there, key=lambda entry: (-entry["score"], entry["at_us"]))[: self._settings.keyframes]
        best.sort(key=lambda entry: entry["at_us"])
        if best:
            captions = [f"{self._pictures.clock(entry['taken_at'])}  {entry['chosen']}" for entry in best]
            pictures = [self._pictures.stills[entry["still"]] for entry in best]
            sheet = contact_sheet(pictures, captions, CONTACT_COLUMNS, CONTACT_WIDTH)
            write_jpeg(self._folder / CONTACT, sheet, JPEG_QUALITY)
        return bool(best)

    def _told(self, entries: Sequence[Row], clips: dict[str, Cut], made: dict[str, Part]) -> dict[str, Any]:
        place = self._day.place
        return {
            "key": self._steps.publish.key,
            "campaign": place.campaign,
            "camera": place.camera,
            "day": place.day.isoformat(),
            "partial": bool(self._lacking) or self._is_partial(),
            "lacking": list(self._lacking),
            "video": SUMMARY if entries else "",
            "contact": CONTACT if CONTACT in made[SUMMARY]["files"] else "",
            "duration_s": sum(entry["to_us"] - entry["from_us"] for entry in entries) / 1e6,
            "entries": [_told_entry(entry) for entry in entries],
            "events": list(self._told_events(clips, made)),
            "made": made,
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

    def _told_events(self, clips: dict[str, Cut], made: dict[str, Part]) -> Iterator[Row]:
        for row in self._events:
            recording, cut = self._recordings[row["recording_id"]], clips[row["event_id"]]
            files = made[row["event_id"]]["files"] if row["event_id"] in made else ()

            def shown(name: str, recording: Recording = recording, files: Collection[str] = files) -> str:
                """The file, where it was made; of a recording that is gone, where an earlier publication left it."""
                return name if (name in files if recording.there else (self._folder / name).is_file()) else ""

            moments = {name: row[name].isoformat() for name in ("started_at", "ended_at", "peak_at")}
            yield {
                **{name: row[name] for name in ("event_id", "rank", "alarm", "head", "version", "region", "peak_us")},
                **moments,
                "peak_score": float(row["peak_score"]),
                "threshold": float(row["threshold"]),
                "recording": recording.path,
                "recording_id": row["recording_id"],
                "keyframe": shown(row["keyframe"]),
                "clip": shown(row["clip"]),
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
