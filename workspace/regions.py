"""What people say of a camera's regions: drawn, redrawn, taken back. Every statement stays; the newest of a name counts.

A statement's value is `{"outline": [[x, y], …], "drawn_on": moment}`: corners in fractions of the picture, and the true
time of the picture they were drawn on (null where there was none). A plain list of corners is read too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from footage.regions import WHOLE, Point, Region, outline_of
from infra.errors import ConfigurationError, LakeError, UnknownNameError
from infra.table import NAME
from lake.ledger import Ledger, Statement, newest

TABLE = "regions"


@dataclass(frozen=True)
class SaidRegion:
    """One statement on a region of a camera.

    Attributes:
        camera: whose region it is, in every campaign.
        name: unique for the camera.
        region: what was drawn; None where the region was taken back.
        drawn_on: true time of the picture it was drawn on; None where that is not known.
        author: who says so.
        said_at: when.
    """

    camera: str
    name: str
    region: Region | None
    drawn_on: datetime | None
    author: str
    said_at: datetime


def check_name(name: str) -> None:
    """Refuse what cannot name a region.

    Raises:
        ConfigurationError: it is `frame`, or no name.
    """
    if name == WHOLE.name or not NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" cannot name a region: "frame" is the whole picture; use letters and digits, 64 at most'
        )


def drawn_region(name: str, outline: Sequence[Sequence[float]]) -> Region:
    """A region as a person names and draws it.

    Args:
        name: letters, digits, spaces, dots, dashes.
        outline: corners (x, y) in fractions of the picture, in order.

    Raises:
        ConfigurationError: the name or the outline is none.
    """
    check_name(name)
    try:
        return Region(name, outline_of(outline))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{error}; corners are fractions of the picture, as 0.45,0.1 0.75,0.1 0.6,0.6"
        ) from None


def say_region(
    ledger: Ledger,
    camera: str,
    name: str,
    outline: Sequence[Sequence[float]],
    author: str,
    drawn_on: datetime | None = None,
) -> SaidRegion:
    """Add a region to a camera, or give one a new outline; the next night embeds it.

    Args:
        ledger: of the lake.
        camera: whose.
        name: of the region.
        outline: corners (x, y) in fractions of the picture, in order.
        author: who says so.
        drawn_on: true time of the picture it was drawn on.

    Raises:
        ConfigurationError: name, outline or author is none.
    """
    region = drawn_region(name, outline)
    told = None if drawn_on is None else drawn_on.astimezone(UTC).isoformat()
    value = {"outline": [list(point) for point in region.outline], "drawn_on": told}
    return _say(ledger, camera, name, value, author)


def remove_region(ledger: Ledger, camera: str, name: str, author: str) -> SaidRegion:
    """Take a region back; what was embedded of it stays in the lake.

    Raises:
        UnknownNameError: the camera has no such region now.
        ConfigurationError: the author is none.
    """
    known = [said.name for said in regions_now(ledger, camera)]
    if name not in known:
        raise UnknownNameError(f"region of camera {camera}", name, known)
    return _say(ledger, camera, name, None, author)


def regions_now(ledger: Ledger, camera: str | None = None) -> list[SaidRegion]:
    """The regions that count, in order of camera and name; of all cameras where none is named."""
    rows = [row for row in ledger.rows(TABLE).to_pylist() if camera in (None, row["camera"])]
    latest = [_said(row) for row in newest(rows, ("camera", "key"), "said_at")]
    return [said for said in latest if said.region is not None]


def region_versions(ledger: Ledger, camera: str) -> list[SaidRegion]:
    """Every statement on the camera's regions, oldest first; the newest of a name is what counts of it."""
    rows = [row for row in ledger.rows(TABLE).to_pylist() if row["camera"] == camera]
    return sorted((_said(row) for row in rows), key=lambda said: said.said_at)


def drawn_anew(ledger: Ledger) -> dict[tuple[str, str], datetime]:
    """Since when regions have the outline they have, by camera and name; those that never had another are absent.

    Of a region that was taken back it is the outline it had last. Drawing the same outline once more changes nothing.
    """
    last: dict[tuple[str, str], str] = {}
    since: dict[tuple[str, str], datetime] = {}
    rows = sorted(ledger.rows(TABLE).to_pylist(), key=lambda row: row["said_at"])
    for said in map(_said, rows):
        if said.region is not None:
            name, outline = (said.camera, said.name), said.region.geometry
            if last.setdefault(name, outline) != outline:
                last[name], since[name] = outline, said.said_at
    return since


def outline_said(value: Any) -> tuple[tuple[Point, ...], datetime | None]:
    """Outline and moment of a decoded value that takes nothing back, in either of its forms.

    Raises:
        LakeError: it has neither form.
    """
    try:
        if isinstance(value, Mapping):
            drawn_on = value.get("drawn_on")
            return outline_of(value["outline"]), None if drawn_on is None else _moment(drawn_on)
        return outline_of(value), None
    except (ValueError, TypeError, KeyError) as error:
        raise LakeError(
            f"a statement on a region holds {json.dumps(value)[:80]}, which is no outline ({error}); draw it again"
        ) from None


def _moment(text: str) -> datetime:
    told = datetime.fromisoformat(text)
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def _say(ledger: Ledger, camera: str, name: str, value: Any, author: str) -> SaidRegion:
    if not author.strip():
        raise ConfigurationError("a region has an author; say who you are")
    said = Statement(key=f"{camera}/{name}", author=author.strip(), value=value, camera=camera)
    ledger.say(TABLE, [said])
    return _said({"camera": camera, "key": said.key, "author": said.author, "said_at": said.said_at, "value": value})


def _said(row: Mapping[str, Any]) -> SaidRegion:
    camera, name = row["camera"], row["key"].split("/", 1)[1]
    value = json.loads(row["value"]) if isinstance(row["value"], str) else row["value"]
    if value is None:
        return SaidRegion(camera, name, None, None, row["author"], row["said_at"])
    outline, drawn_on = outline_said(value)
    try:
        region = Region(name, outline)
    except ValueError as error:
        raise LakeError(f"{error}, but was said of camera {camera}; draw it again") from None
    return SaidRegion(camera, name, region, drawn_on, row["author"], row["said_at"])
