"""What is true of a synthetic campaign, known because it was staged; kept as JSON beside the footage."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from footage.writing import write_bytes
from infra.errors import FootageError

TRUTH_FILE = "truth.json"
SpanKind = Literal["gap", "corrupt", "missing", "frozen", "variable_rate"]


@dataclass(frozen=True)
class RecordingTruth:
    """One file as staged.

    Attributes:
        file: Path relative to the campaign's folder, with ``/``.
        started_at: Wall-clock start, UTC.
        duration_us: Length that the container declares; a truncated file holds less.
        frames: Frames that were encoded; a truncated file yields fewer.
        defect: What is wrong with the file as a whole, or None.
    """

    file: str
    started_at: datetime
    duration_us: int
    frames: int
    defect: Literal["truncated", "frozen", "variable_rate"] | None


@dataclass(frozen=True)
class EventTruth:
    """A relevant event as one camera sees it: ``[from_us, to_us)`` of its file, ``[began_at, ended_at)`` in UTC."""

    kind: Literal["cask", "intrusion", "running"]
    file: str
    from_us: int
    to_us: int
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class DefectTruth:
    """A faulty span. ``file`` is None for a gap: nothing was recorded from ``began_at`` to ``ended_at``.

    ``corrupt`` packets are damaged; ``missing`` is what was cut off a truncated file; in a ``frozen`` span the picture
    stands still; a ``variable_rate`` span is a whole recording with jittered and dropped frames.
    """

    kind: SpanKind
    file: str | None
    from_us: int
    to_us: int
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class RegionTruth:
    """A region an analyst would draw: a polygon in fractions of width and height."""

    name: str
    polygon: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CameraTruth:
    """Everything true of one camera; recordings, events and defects are in order of time."""

    name: str
    regions: tuple[RegionTruth, ...]
    recordings: tuple[RecordingTruth, ...]
    events: tuple[EventTruth, ...]
    defects: tuple[DefectTruth, ...]


@dataclass(frozen=True)
class CampaignTruth:
    """Everything true of a campaign."""

    seed: int
    width: int
    height: int
    rate_hz: int
    cameras: tuple[CameraTruth, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=datetime.isoformat, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "CampaignTruth":
        """Reads what ``to_json`` wrote.

        Raises:
            FootageError: The text is not such JSON.
        """
        try:
            raw = json.loads(text)
            return cls(**{**raw, "cameras": tuple(_camera(camera) for camera in raw["cameras"])})
        except (ValueError, KeyError, TypeError) as error:
            raise FootageError(
                f"truth is not the JSON of a synthetic campaign ({error}); render the campaign again"
            ) from error

    def write(self, path: Path) -> None:
        write_bytes(path, self.to_json().encode())


def read_truth(folder: Path) -> CampaignTruth:
    """The truth of a rendered campaign, from its folder.

    Raises:
        FootageError: The folder has no readable truth.
    """
    path = folder / TRUTH_FILE
    if not path.is_file():
        raise FootageError(f"{path} does not exist; only rendered campaigns have a known truth")
    return CampaignTruth.from_json(path.read_text())


def _camera(raw: dict[str, Any]) -> CameraTruth:
    return CameraTruth(
        name=raw["name"],
        regions=tuple(
            RegionTruth(r["name"], tuple((float(x), float(y)) for x, y in r["polygon"])) for r in raw["regions"]
        ),
        recordings=tuple(RecordingTruth(**_timed(r, "started_at")) for r in raw["recordings"]),
        events=tuple(EventTruth(**_timed(e, "began_at", "ended_at")) for e in raw["events"]),
        defects=tuple(DefectTruth(**_timed(d, "began_at", "ended_at")) for d in raw["defects"]),
    )


def _timed(raw: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {**raw, **{key: datetime.fromisoformat(raw[key]) for key in keys}}
