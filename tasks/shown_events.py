"""The events of a published day: a short video and a still of each, and what is told of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from infra.settings import Settings
from tasks.kept_files import EarlierParts, Part, decided_by, written_part
from tasks.plan import Recording
from tasks.shown_pictures import Cut

Row = dict[str, Any]


class ShownEvents:
    """The events of a camera's day on their way into its folder.

    Args:
        settings: of the site.
        folder: of the published day.
        recordings: of the day, by content.
        rows: of `events`.
        earlier: what an earlier publication left.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        recordings: Mapping[str, Recording],
        rows: Sequence[Row],
        earlier: EarlierParts,
    ) -> None:
        self._settings, self._folder, self._recordings, self._rows = settings, folder, recordings, rows
        self.clips = {row["event_id"]: self._clip(row) for row in rows}
        kept = {row["event_id"]: self._kept(row, earlier) for row in rows}
        self.new = [row for row in rows if kept[row["event_id"]] is None]
        """What there is nothing of yet, or not of the same."""
        self.parts: dict[str, Part] = {event_id: part for event_id, part in kept.items() if part is not None}

    def _clip(self, event: Row) -> Cut:
        """What the event's proxy shows: the event with a margin, or as much around its peak as a proxy may be long."""
        recording, summary = self._recordings[event["recording_id"]], self._settings.summary
        margin_us = round(summary.proxy_margin_s * 1e6)
        start_us = _since(event["started_at"], recording) - margin_us
        end_us = _since(event["ended_at"], recording) + margin_us
        longest_us = round(summary.proxy_longest_s * 1e6)
        if end_us - start_us > longest_us:
            start_us = min(max(start_us, event["peak_us"] - longest_us // 2), end_us - longest_us)
            end_us = start_us + longest_us
        return Cut(event["clip"], max(0, start_us), min(end_us, recording.duration_us))

    def _kept(self, event: Row, earlier: EarlierParts) -> Part | None:
        """The event's short video and still where they stand, or as they were left of a recording that is gone."""
        if self._recordings[event["recording_id"]].there:
            return earlier.standing(event["event_id"], self._of(event))
        return earlier.named(event["event_id"])

    def _of(self, event: Row) -> str:
        recording, cut = self._recordings[event["recording_id"]], self.clips[event["event_id"]]
        shown = [cut.from_us, cut.to_us, event["peak_us"], event["keyframe"], event["clip"]]
        return decided_by(self._settings, "event", recording.recording_id, recording.started_at.isoformat(), shown)

    def written(self, stills: Collection[str]) -> None:
        """Take note of what was just written of the new ones, `stills` being those of which there is a picture."""
        for event in self.new:
            if self._recordings[event["recording_id"]].there:
                names = [event["clip"], *([event["keyframe"]] if event["keyframe"] in stills else [])]
                self.parts[event["event_id"]] = written_part(self._folder, self._of(event), names)

    def told(self) -> Iterator[Row]:
        """What `summary.json` tells of each."""
        for row in self._rows:
            recording, cut = self._recordings[row["recording_id"]], self.clips[row["event_id"]]
            files = self.parts[row["event_id"]]["files"] if row["event_id"] in self.parts else ()

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


def _since(moment: datetime, recording: Recording) -> int:
    return (moment - recording.started_at) // timedelta(microseconds=1)


def _at(recording: Recording, t_us: int) -> datetime:
    return (recording.started_at + timedelta(microseconds=t_us)).astimezone(UTC)
