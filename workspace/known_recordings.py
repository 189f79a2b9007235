"""The recordings that a lake has ever known, found by path, by file name or by content.

Nothing here touches the footage folder: a name that comes from a file or from a person is looked up, never opened.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from infra.errors import ConfigurationError, UnknownNameError
from lake.current import recordings_of
from lake.ledger import Ledger

USABLE = ("ready", "partial")
LEAST_DIGITS = 12
"""Digits of a content hash that are enough to name a recording."""
MOST_GUESSED = 2000
"""Recordings above which no guess is made at what an unknown name meant: comparing takes too long."""
MOST_GUESSES = 20
LONGEST_GUESSED = 300


@dataclass(frozen=True)
class KnownRecording:
    """A recording by its content.

    Attributes:
        recording_id: hash of the content.
        campaign, camera, day: where it belongs.
        path: where it lies, or last lay, relative to the footage root.
        is_at_path: whether that path still stands for this content.
        started_at: true time of its first picture.
        duration_us: recorded time.
        width, height: pixels.
        rate_hz: mean pictures per second.
    """

    recording_id: str
    campaign: str
    camera: str
    day: date
    path: str
    is_at_path: bool
    started_at: datetime
    duration_us: int
    width: int
    height: int
    rate_hz: float

    @property
    def name(self) -> str:
        """What stands for it in a file: its path, or its content hash where other content lies there by now."""
        return self.path if self.is_at_path else self.recording_id


class KnownRecordings:
    """Every recording of a ledger, as it is known at the moment of asking."""

    def __init__(self, ledger: Ledger) -> None:
        rows = ledger.rows("recordings").to_pylist()  # once: a night may enter a recording between two readings
        self._now: dict[str, dict[str, Any]] = {row["path"]: row for row in recordings_of(rows)}
        known = [row for row in rows if row["recording_id"] and row["started_at"]]
        best: dict[str, tuple[int, dict[str, Any]]] = {}
        for row in sorted(known, key=lambda row: row["seen_at"]):
            standing = self._standing(row)
            if row["recording_id"] not in best or standing <= best[row["recording_id"]][0]:
                best[row["recording_id"]] = standing, row
        self._by_id = {name: self._known(row) for name, (_, row) in best.items()}
        self._guessed: dict[str, list[str]] = {}
        self._by_file: dict[str, list[str]] = defaultdict(list)
        for path in self._now:
            self._by_file[path.rsplit("/", 1)[-1]].append(path)

    def _standing(self, row: dict[str, Any]) -> int:
        """How good a row is at saying where a content lies; 0 is best."""
        if self._now[row["path"]]["recording_id"] != row["recording_id"]:
            return 3
        status = self._now[row["path"]]["status"]
        return 0 if status in USABLE else 1 if status == "duplicate" else 2

    def _known(self, row: dict[str, Any]) -> KnownRecording:
        return KnownRecording(
            recording_id=row["recording_id"],
            campaign=row["campaign"],
            camera=row["camera"],
            day=row["day"],
            path=row["path"],
            is_at_path=self._now[row["path"]]["recording_id"] == row["recording_id"],
            started_at=row["started_at"],
            duration_us=row["duration_us"] or 0,
            width=row["width"] or 0,
            height=row["height"] or 0,
            rate_hz=row["rate_hz"] or 0.0,
        )

    @property
    def campaigns(self) -> list[str]:
        return sorted({known.campaign for known in self._by_id.values()})

    @property
    def cameras(self) -> list[str]:
        return sorted({known.camera for known in self._by_id.values()})

    def by_id(self, recording_id: str) -> KnownRecording:
        """The recording of a content.

        Raises:
            ConfigurationError: nobody has ever ingested it.
        """
        if recording_id not in self._by_id:
            raise ConfigurationError(
                f'no recording of content {recording_id[:LEAST_DIGITS]} is known; ingest it with "afterwatch run"'
            )
        return self._by_id[recording_id]

    def name_of(self, recording_id: str) -> str:
        """What stands for a content in a file: its path, else its hash."""
        return self._by_id[recording_id].name if recording_id in self._by_id else recording_id

    def of_camera(self, campaign: str, camera: str) -> list[KnownRecording]:
        """A camera's recordings, in order of time; contents that were replaced are left out."""
        mine = [
            known
            for known in self._by_id.values()
            if known.is_at_path and (known.campaign, known.camera) == (campaign, camera)
        ]
        return sorted(mine, key=lambda known: (known.started_at, known.path))

    def find(self, name: str, campaign: str = "", camera: str = "") -> KnownRecording:
        """A recording by its path below the footage root (or the end of it), its file name or its content hash.

        Args:
            name: what a person or a file calls it.
            campaign, camera: where it is said to belong; empty where nothing is said.

        Raises:
            ConfigurationError: none is called so, several are, or it belongs elsewhere.
        """
        found = self._called(name.strip())
        if len(found) > 1:
            found = [known for known in found if _is_of(known, campaign, camera)] or found
        if len(found) > 1:
            paths = sorted(known.path for known in found)
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            raise ConfigurationError(
                f'recording "{name}" may be {", ".join(paths[:3])}{more}; give the path below the footage folder'
            )
        (known,) = found
        for what, said, own in (("campaign", campaign, known.campaign), ("camera", camera, known.camera)):
            if said and said != own:
                raise ConfigurationError(f'recording {known.path} is of {what} {own}, not of "{said}"; correct one')
        return known

    def _called(self, name: str) -> list[KnownRecording]:
        """All that a name may mean, at least one."""
        if name in self._by_id:
            return [self._by_id[name]]
        if re.fullmatch(rf"[0-9a-f]{{{LEAST_DIGITS},}}", name):
            begun = [known for key, known in self._by_id.items() if key.startswith(name)]
            if begun:
                return begun
        paths = [name] if name in self._now else self._by_file.get(name.rsplit("/", 1)[-1], [])
        paths = [path for path in paths if path == name or path.endswith(f"/{name}")]
        ids = {self._now[path]["recording_id"] for path in paths} & set(self._by_id)
        if paths and not ids:
            row = self._now[paths[0]]
            raise ConfigurationError(
                f"recording {paths[0]} is {row['status']} ({row['reason']}); nothing can be said of it"
            )
        if not ids:
            guess = self._guesses(name)
            meant = f' — did you mean "{guess[0]}"?' if guess else ""
            raise ConfigurationError(
                f'unknown recording "{name[:200]}"{meant}; give its path below the footage folder, its file name or its '
                "content hash, of a recording that a night has ingested"
            )
        return [self._by_id[recording_id] for recording_id in sorted(ids)]

    def _guesses(self, name: str) -> list[str]:
        """What an unknown name may have meant; a file full of unknown names gets few guesses."""
        if name not in self._guessed and len(self._guessed) < MOST_GUESSES and len(self._now) <= MOST_GUESSED:
            self._guessed[name] = get_close_matches(name[:LONGEST_GUESSED], self._now, n=1)
        return self._guessed.get(name, [])


def _is_of(known: KnownRecording, campaign: str, camera: str) -> bool:
    return campaign in ("", known.campaign) and camera in ("", known.camera)


def check_known(what: str, name: str | None, known: Iterable[str]) -> None:
    """Refuse a name that is given and not known.

    Raises:
        UnknownNameError: with the known ones.
    """
    names = set(known)
    if name is not None and name not in names:
        raise UnknownNameError(what, name, names)
