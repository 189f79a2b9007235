"""The published summaries of a site, as the `summary.json` of each camera's day tells them.

Days that were published before summaries named their weights or the events left out say neither; they are read all the same.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError, LakeError
from infra.site import Site
from lake.keys import Place
from lake.weight_sets import COLUMNS
from models.summary.scores import Weights
from workspace.known_recordings import check_known

ENTRIES = "summary.json"
SCORE = "score"
"""Reason of a segment that is shown for its score; any other reason names an event."""
RAW = ("surprise", "distinctiveness", "entropy_bits", "motion")
"""What the columns were scaled from, as far as a publication tells it."""
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, ConfigurationError)
"""What a file that is no summary raises while it is read."""


@dataclass(frozen=True)
class ShownSegment:
    """A segment of a published summary.

    Attributes:
        number: from 1 on, in the order of the video; where recordings overlap, that is not the order of time.
        recording, recording_id: path below the footage root, and hash of the content.
        from_us, to_us: of the recording.
        taken_at: true time of `from_us`.
        at_s: where in the video it is.
        score: weighted mean of `columns`.
        columns: anomaly, memorability, entropy and dynamics, 0 to 1.
        reason: head and rank of the event it is shown for, or `score`.
        event_id: of that event; empty where it is shown for its score, or where an older publication did not say it.
        probability: highest probability of the heads that make a segment anomalous; None where none scored.
        keyframe: picture, relative to the day's folder; empty where it has none.
        told: the entry as the file has it.
    """

    number: int
    recording: str
    recording_id: str
    from_us: int
    to_us: int
    taken_at: datetime
    at_s: float
    score: float
    columns: Mapping[str, float]
    reason: str
    event_id: str
    probability: float | None
    keyframe: str
    told: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def span(self) -> tuple[str, int, int]:
        """What it shows of the footage, whatever it is called."""
        return self.recording_id, self.from_us, self.to_us


@dataclass(frozen=True)
class ShownSummary:
    """What is published of a camera's day.

    Attributes:
        place: which day.
        folder: where it lies.
        partial: whether something was lacking when it was published.
        video, contact: files, relative to the folder; empty where there are none.
        duration_s: of the video.
        segments: in the order of the video: recording by recording, each in order of time.
        omitted: events that the budget left no segment for, as `<head> <rank>`.
        label: name of the weights; empty where an older publication did not say it.
        weights: by column; empty where it did not say them.
        versions: of what it was made with.
    """

    place: Place
    folder: Path
    partial: bool
    video: str
    contact: str
    duration_s: float
    segments: tuple[ShownSegment, ...]
    omitted: tuple[str, ...]
    label: str
    weights: Mapping[str, float]
    versions: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def events_shown(self) -> int:
        """Segments that are shown for an event."""
        return sum(segment.reason != SCORE for segment in self.segments)


def published_places(site: Site) -> list[Place]:
    """Camera days that have a published summary, in order."""
    found = []
    for file in site.published_folder.glob(f"*/*/*/{ENTRIES}"):
        campaign, camera, day = file.parts[-4:-1]
        try:
            found.append(Place(campaign, camera, date.fromisoformat(day)))
        except ValueError:
            continue  # somebody else's folder
    return sorted(found)


def published_digests(site: Site) -> list[tuple[str, date, Path]]:
    """Campaign, day and video of each digest, in order."""
    found = []
    for file in site.digests_folder.glob(f"*/*/{ENTRIES}"):
        campaign, day = file.parts[-3:-1]
        try:
            found.append((campaign, date.fromisoformat(day), file.with_name("summary.mp4")))
        except ValueError:
            continue  # somebody else's folder
    return sorted(found)


def read_summary(site: Site, place: Place) -> ShownSummary:
    """What is published of a camera's day.

    Raises:
        ConfigurationError: nothing is.
        LakeError: there is a summary, but it cannot be understood.
    """
    day = place.day.isoformat()
    folder = site.published_folder / place.campaign / place.camera / day
    run = f'"afterwatch run --campaign {place.campaign} --camera {place.camera} --day {day}"'
    try:
        if not folder.resolve().is_relative_to(site.published_folder.resolve()):
            raise FileNotFoundError
        content = (folder / ENTRIES).read_bytes()
    except OSError:
        raise ConfigurationError(f"{place} has no published summary; make it with {run}") from None
    try:
        return _summary(json.loads(content), place, folder)
    except UNREADABLE as error:
        raise LakeError(
            f"{folder / ENTRIES} cannot be read ({type(error).__name__}: {error}); delete the folder {day} and publish it "
            f"again with {run}"
        ) from None


def find_place(
    places: Iterable[Place], day: str, camera: str | None = None, campaign: str | None = None, having: str = "a summary"
) -> Place:
    """The one camera's day that is meant.

    Args:
        places: those there are.
        day: as 2026-03-02.
        camera, campaign: None where nothing is said: there is to be one only.
        having: what they have, in words.

    Raises:
        ConfigurationError: the day is no date, nothing is of all that is named, or several camera days are.
    """
    known = list(places)
    try:
        when = date.fromisoformat(day)
    except ValueError:
        raise ConfigurationError(f'"{day}" is no day; write it as 2026-03-02') from None
    if not known:
        raise ConfigurationError(f'no day has {having} yet; run the night with "afterwatch run"')
    check_known(f"campaign with {having}", campaign, (place.campaign for place in known))
    check_known(f"camera with {having}", camera, (place.camera for place in known))
    mine = [place for place in known if camera in (None, place.camera) and campaign in (None, place.campaign)]
    if not mine:
        raise ConfigurationError(f"camera {camera} has {having}, but not in campaign {campaign}; correct one of them")
    check_known(f"day with {having}", when.isoformat(), (place.day.isoformat() for place in mine))
    meant = [place for place in mine if place.day == when]
    if len(meant) > 1:
        cameras, campaigns = ({getattr(place, each) for place in meant} for each in ("camera", "campaign"))
        option, names = ("--camera", cameras) if len(cameras) > 1 else ("--campaign", campaigns)
        raise ConfigurationError(f"on {day} {', '.join(sorted(names))} have {having}; choose one with {option}")
    return meant[0]


def main_part(segment: ShownSegment, weights: Mapping[str, float]) -> tuple[str, float] | None:
    """The column that makes most of a segment's score, and its share of it; of equal ones the first.

    None where the weights are not known, or the score is 0.
    """
    parts = {name: weights.get(name, 0.0) * segment.columns[name] for name in COLUMNS}
    whole = sum(parts.values())
    if whole <= 0:
        return None
    name = max(parts, key=lambda each: parts[each])
    return name, parts[name] / whole


def shown_segment(number: int, row: Mapping[str, Any]) -> ShownSegment:
    """A segment as an entry of `summary.json` tells it.

    Args:
        number: its own.
        row: the entry, of whatever age.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it is no such entry.
    """
    from_us, to_us = row["from_us"], row["to_us"]
    keyframe_us = row.get("keyframe_us")
    if not all(type(at_us) is int for at_us in (from_us, to_us, 0 if keyframe_us is None else keyframe_us)):
        raise TypeError(f"microseconds are whole, got {from_us!r}, {to_us!r} and {keyframe_us!r}")
    if not 0 <= from_us < to_us < 2**63:
        raise ValueError(f"a segment spans [{from_us}, {to_us}) us; it needs 0 <= from < to")
    taken_at = datetime.fromisoformat(str(row["taken_at"]))
    if taken_at.tzinfo is None or not 1970 <= taken_at.year < 9999:
        raise ValueError(f"the time of a segment has a zone and a year from 1970 on, got {row['taken_at']}")
    for name in RAW:
        number_told(row, name)
    return ShownSegment(
        number=number,
        recording=str(row["recording"]),
        recording_id=str(row["recording_id"]),
        from_us=from_us,
        to_us=to_us,
        taken_at=taken_at,
        at_s=_number(row["at_s"], "at_s", least=0.0),
        score=_number(row["score"], "score", 0.0, 1.0),
        columns={name: _number(row[name], name, 0.0, 1.0) for name in COLUMNS},
        reason=str(row["reason"]),
        event_id=str(row.get("event_id") or ""),
        probability=number_told(row, "probability", 0.0, 1.0),
        keyframe=str(row.get("keyframe") or ""),
        told=dict(row),
    )


def number_told(row: Mapping[str, Any], name: str, least: float = -math.inf, most: float = math.inf) -> float | None:
    """A finite number in [least, most] by its name; None where it is not told.

    Raises:
        TypeError, ValueError, OverflowError: something else is told.
    """
    value = row.get(name)
    return None if value is None else _number(value, name, least, most)


def _number(value: Any, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number, got {value!r}")
    number = float(value)
    if not (least <= number <= most and math.isfinite(number)):
        raise ValueError(f"{name} is finite and in [{least:g}, {most:g}], got {value!r}")
    return number


def _weights(values: Mapping[str, Any]) -> dict[str, float]:
    if set(values) != set(COLUMNS):
        raise ValueError(f"weights are those of {', '.join(COLUMNS)}, got {values!r}")
    return asdict(Weights(**{name: _number(value, name) for name, value in values.items()}))


def _summary(told: Mapping[str, Any], place: Place, folder: Path) -> ShownSummary:
    weights = told.get("weights") or {}
    values = weights.get("values") or {}
    return ShownSummary(
        place=place,
        folder=folder,
        partial=bool(told.get("partial", False)),
        video=str(told.get("video") or ""),
        contact=str(told.get("contact") or ""),
        duration_s=number_told(told, "duration_s", least=0.0) or 0.0,
        segments=tuple(shown_segment(number, row) for number, row in enumerate(told.get("entries") or (), start=1)),
        omitted=tuple(str(event["name"]) for event in told.get("omitted") or ()),
        label=str(weights.get("label") or ""),
        weights=_weights(values) if values else {},
        versions=dict(told.get("versions") or {}),
    )
