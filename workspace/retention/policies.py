"""What the policies of [retention] name today: files that are due, and what is kept although it is old enough."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from infra.errors import ConfigurationError, LakeError
from lake.current import current_outputs
from lake.keys import Place
from lake.ledger import ASIDE, FINISHED, FOUND_AGAIN
from workspace.opened import Workspace
from workspace.published_summaries import ENTRIES, published_digests, published_places
from workspace.retention.clock import check_clock
from workspace.retention.deleted import FOOTAGE, LAKE, SITE, Deleted, Where, deleted_now
from workspace.retention.deleted import TABLE as DELETIONS
from workspace.retention.files import (
    DueFile,
    Kept,
    check_outside,
    is_output,
    is_there,
    left_of,
    outputs_of,
    size_of,
    why_kept,
)
from workspace.retention.holds import TABLE as HOLDS
from workspace.retention.holds import Held, Hold, holds_now
from workspace.retention.known import CONTENT, KnownFootage

PICTURES = (".jpg", ".mp4")
"""Endings of what is published, beside `summary.json`."""
FOLDERS = ("keyframes", "events")
"""Folders of a published day."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Files of one policy and place, which are entered together.

    Attributes:
        policy, place: whose.
        files: in the order in which they are deleted.
        closes: recordings of which nothing is made any more once these files are gone.
    """

    policy: str
    place: Place
    files: tuple[DueFile, ...]
    closes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RetentionPlan:
    """What a run of retention would delete by the settings, the ledger and the clock as they are.

    Attributes:
        today: in the site's zone.
        groups: in order of policy and place.
        kept: what is old enough, and is kept.
        held: what the holds cover.
    """

    today: date
    groups: tuple[Group, ...]
    kept: tuple[Kept, ...]
    held: Held = field(repr=False, compare=False)

    @property
    def files(self) -> list[DueFile]:
        return [file for group in self.groups for file in group.files]

    def as_json(self) -> dict[str, Any]:
        return {
            "today": self.today.isoformat(),
            "files": [
                {
                    "where": file.where,
                    "path": file.path,
                    "policy": file.policy,
                    "campaign": file.place.campaign,
                    "camera": file.place.camera,
                    "day": file.place.day.isoformat(),
                    "bytes": file.bytes,
                    "reason": file.reason,
                }
                for file in self.files
            ],
            "bytes": sum(file.bytes for file in self.files),
            "kept": [{"policy": item.policy, "what": item.what, "reason": item.reason} for item in self.kept],
        }


def plan_retention(workspace: Workspace, now: datetime, needed: Collection[str] = ()) -> RetentionPlan:
    """See what the policies name; nothing is deleted.

    Args:
        workspace: the site.
        now: by the clock.
        needed: files of the lake that what is kept cannot do without.

    Raises:
        ConfigurationError: the settings name no policy, the clock cannot be trusted, or what they name lies outside the
            workspace.
        LakeError: a ledger cannot be read: nothing is deleted by half of what was said.
    """
    if not workspace.settings.retention.policies:
        raise ConfigurationError(
            "the settings' [retention] names no days: nothing is ever deleted; set superseded_days, published_days, results_days "
            "or footage_days"
        )
    check_outside(workspace)
    check_ledgers(workspace)
    check_clock(workspace, now)
    return _Planner(workspace, now, frozenset(needed)).plan()


def check_ledgers(workspace: Workspace) -> None:
    """See that all that retention goes by can be read.

    Raises:
        LakeError: a ledger cannot, or a file of one was set aside.
    """
    for table in ("runs", "recordings", HOLDS, DELETIONS):
        try:
            workspace.ledger.rows(table)
        except Exception as error:  # whatever a damaged file raises while it is read
            raise LakeError(
                f"the ledger {table} cannot be read ({error}), so nothing is deleted; put back the file that is damaged"
            ) from error
    aside = [path for table in FOUND_AGAIN for path in workspace.store.names(f"{ASIDE}/{table}")]
    if aside:
        raise LakeError(
            f"{aside[0]} was set aside as damaged, and what only it names would be taken for superseded, so nothing is deleted; put it "
            f"back whole where you can, and delete the copy in {ASIDE}/"
        )


class _Planner:
    """One look at everything that retention goes by."""

    def __init__(self, workspace: Workspace, now: datetime, needed: frozenset[str]) -> None:
        self._workspace, self._needed = workspace, needed
        self._known = KnownFootage(workspace, now)
        self._held = Held(self._known.rows, holds_now(workspace.ledger))
        self._deleted: Deleted = deleted_now(workspace.ledger)
        self._runs: list[Row] = workspace.ledger.rows("runs").to_pylist()
        self._kept: list[Kept] = []
        self._named: set[tuple[str, str]] = set()

    def plan(self) -> RetentionPlan:
        policies = {
            "superseded": self._superseded,
            "published": self._published,
            "results": self._results,
            "footage": self._footage,
        }
        groups: list[Group] = []
        for policy, days in self._workspace.settings.retention.policies.items():
            groups += policies[policy](days)
        return RetentionPlan(self._known.today, tuple(groups), tuple(self._kept), self._held)

    def _hold(self, policy: str, place: Place, contents: Iterable[str] = (), what: str = "") -> Hold | None:
        """The hold on something that is due, which is then told as kept."""
        hold = self._held.of(place, tuple(contents))
        if hold is not None:
            self._kept.append(Kept(policy, what or str(place), f"hold {hold.name}: {hold.reason}"))
        return hold

    def _due(
        self, where: Where, path: str, policy: str, days: int, place: Place, contents: Iterable[str], reason: str
    ) -> DueFile | None:
        """A file that is due and there; None, and told, where it is kept."""
        if (where, path) in self._named or not is_there(self._workspace, where, path):
            return None
        why = why_kept(self._workspace, where, path)
        if not why and where == LAKE and path in self._needed:
            why = "what is kept of later days is held against it"
        if why:
            self._kept.append(Kept(policy, f"{where}/{path}", why))
            return None
        self._named.add((where, path))
        told = tuple(sorted(contents))
        return DueFile(where, path, policy, days, place, told, reason, size_of(self._workspace, where, path))

    def _superseded(self, days: int) -> list[Group]:
        """Files that a step's row named once, and that no newest row of a step names, nor was anything that counts made from."""
        files: dict[Place, list[DueFile]] = defaultdict(list)
        counting = {output.path for output in current_outputs(self._workspace.ledger)}
        for path, (place, replaced_at) in sorted(superseded(self._runs).items()):
            replaced_on = replaced_at.astimezone(self._workspace.settings.zone).date()
            if path in counting or not is_output(path) or not self._known.is_past(replaced_on, days):
                continue
            if self._hold("superseded", place, self._known.contents.get(place, ()), f"{LAKE}/{path}") is not None:
                continue
            contents = self._known.contents.get(place, set())
            reason = f"replaced on {replaced_on.isoformat()}"
            due = self._due(LAKE, path, "superseded", days, place, contents, reason)
            files[place] += [due] if due is not None else []
        return [Group("superseded", place, tuple(found)) for place, found in sorted(files.items()) if found]

    def _published(self, days: int) -> list[Group]:
        """What is published of campaign days, all cameras together: a digest shows each of them."""
        places: dict[tuple[str, date], list[Place]] = defaultdict(list)
        for place in {*published_places(self._workspace.site), *self._deleted.published}:
            places[place.campaign, place.day].append(place)
        digests = {(campaign, day) for campaign, day, _ in published_digests(self._workspace.site)}
        groups = []
        for campaign, day in sorted(places.keys() | digests):
            of_day = [place for place in self._known.contents if (place.campaign, place.day) == (campaign, day)]
            contents = {content for place in of_day for content in self._known.contents[place]}
            if not self._known.all_old(contents, days):
                continue
            unknown = [place for place in places[campaign, day] if place not in of_day]
            self._kept += [
                Kept("published", str(place), "the lake knows no recording of that day") for place in unknown
            ]
            if any(self._hold("published", place, self._known.contents[place]) for place in sorted(of_day)):
                continue
            shown = [Place(campaign, "", day), *sorted(set(places[campaign, day]) - set(unknown))]
            groups += [self._publication(place, days, contents) for place in shown]
        return [group for group in groups if group.files]

    def _publication(self, place: Place, days: int, contents: Collection[str]) -> Group:
        """Files of a published day, or of a digest; what tells of the others goes first, so that nobody looks for them."""
        folder = "/".join(filter(None, ("published" if place.camera else "digests", place.campaign, place.camera)))
        folder = f"{folder}/{place.day.isoformat()}"
        names = sorted(self._published_names(folder), key=lambda name: (name != ENTRIES, name))
        reason = f"published of {place.day.isoformat()}"
        found = (self._due(SITE, f"{folder}/{name}", "published", days, place, contents, reason) for name in names)
        return Group("published", place, tuple(file for file in found if file is not None))

    def _published_names(self, folder: str) -> list[str]:
        """What nights write into a published day; anything else there is somebody's own, and is told."""
        root = self._workspace.site.root / folder
        names = []
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            name = path.relative_to(root)
            if path.is_dir() and not path.is_symlink():
                continue
            own = len(name.parts) == 1 or (len(name.parts) == 2 and name.parts[0] in FOLDERS)
            if own and (path.suffix in PICTURES or name.as_posix() == ENTRIES or path.suffix == ".partial"):
                names.append(name.as_posix())
            else:
                self._kept.append(Kept("published", f"{SITE}/{folder}/{name.as_posix()}", "no night published it"))
        return names

    def _results(self, days: int) -> list[Group]:
        """All that the lake holds of camera days."""
        groups = []
        for place in sorted(self._known.contents):
            contents = self._known.contents[place]
            if not self._known.all_old(contents, days):
                continue
            paths = list(outputs_of(self._workspace, place))
            if not paths or self._hold("results", place, contents) is not None:
                continue
            reason = f"made of recordings of {place.day.isoformat()}"
            found = (self._due(LAKE, path, "results", days, place, contents, reason) for path in paths)
            files = tuple(file for file in found if file is not None)
            if files:
                groups.append(Group("results", place, files, tuple(sorted(contents))))
        closed = {content for group in groups for content in group.closes}
        self._kept += left_of(self._workspace, closed) if closed else []
        return groups

    def _footage(self, days: int) -> list[Group]:
        """Recordings, every file of a content together: of two of one content, one alone would count as new."""
        files: dict[str, list[Row]] = defaultdict(list)
        for row in self._known.files:
            old = bool(row["camera"]) and self._known.is_past(row["day"], days)
            if row["status"] in CONTENT:
                files[row["recording_id"]].append(row)
            elif old:
                self._kept.append(
                    Kept("footage", row["path"], f"it is in quarantine ({row['reason']}); see to it by hand")
                )
        accounted = _Accounted(self._workspace)
        groups: dict[Place, list[DueFile]] = defaultdict(list)
        for content, rows in sorted(files.items()):
            if not self._known.is_old(content, days):
                continue
            place = Place(rows[0]["campaign"], rows[0]["camera"], rows[0]["day"])
            names = ", ".join(row["path"] for row in rows)
            if self._hold("footage", place, [content], names) is not None:
                continue
            if content not in self._deleted.closed and not any(accounted.has(row) for row in rows):
                self._kept.append(Kept("footage", names, "not every second of it is accounted for yet; run the night"))
                continue
            found = [self._recording(row, content, days) for row in rows]
            if all(file is not None for file in found):
                groups[place] += [file for file in found if file is not None]
        return [Group("footage", place, tuple(found)) for place, found in sorted(groups.items()) if found]

    def _recording(self, row: Row, content: str, days: int) -> DueFile | None:
        path = self._workspace.site.footage_root / row["path"]
        try:
            told = path.lstat()
        except OSError as error:
            self._kept.append(Kept("footage", row["path"], f"it cannot be looked at: {error.strerror or error}"))
            return None
        if (told.st_size, told.st_mtime_ns) != (row["bytes"], row["mtime_ns"]):
            why = (
                why_kept(self._workspace, FOOTAGE, row["path"]) or "the file is another than the one that was processed"
            )
            self._kept.append(Kept("footage", row["path"], why))
            return None
        place = Place(row["campaign"], row["camera"], row["day"])
        reason = f"recorded on {row['day'].isoformat()}"
        return self._due(FOOTAGE, row["path"], "footage", days, place, [content], reason)


class _Accounted:
    """Whether coverage that counts accounts for all of a recording."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._paths: dict[Place, list[str]] = defaultdict(list)
        self._spans: dict[Place, dict[str, int]] = {}
        for output in current_outputs(workspace.ledger):
            if output.table == "coverage":
                self._paths[Place(output.campaign, output.camera, output.day)].append(output.path)

    def has(self, row: Row) -> bool:
        """Also where the settings leave its camera unprocessed."""
        place = Place(row["campaign"], row["camera"], row["day"])
        covered_us = self._read(place).get(row["recording_id"], -1)
        return self._workspace.settings.skips(row["camera"]) or covered_us >= row["duration_us"]

    def _read(self, place: Place) -> dict[str, int]:
        if place not in self._spans:
            spans = self._spans[place] = defaultdict(int)
            for path in filter(self._workspace.store.exists, self._paths[place]):
                rows = self._workspace.store.read_table(path, ["recording_id", "from_us", "to_us"])
                for row in rows.to_pylist():
                    spans[row["recording_id"]] += row["to_us"] - row["from_us"]
        return self._spans[place]


def superseded(runs: Sequence[Row]) -> dict[str, tuple[Place, datetime]]:
    """Files that rows of `runs` named, and that no newest finished row of a step, place and scope names any more.

    What anything that counts was made from, however long ago, is none of them. Nor is a file that no row names: the night that
    wrote it may not have entered it.

    Returns:
        The place of each, and when it was replaced.
    """
    slots: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    made_from: dict[str, set[str]] = defaultdict(set)
    for row in runs:
        if row["status"] in FINISHED:
            slots[tuple(row[name] for name in ("step", "campaign", "camera", "day", "scope"))].append(row)
            made_from[row["key"]] |= set(row["inputs"])
    counting: set[str] = set()
    needed: set[str] = set()
    replaced: dict[str, tuple[Place, datetime]] = {}
    for rows in slots.values():
        rows.sort(key=lambda row: row["finished_at"])
        counting |= set(rows[-1]["outputs"])
        needed |= {rows[-1]["key"]} if rows[-1]["outputs"] or rows[-1]["step"] == "publish" else set()
        for before, after in pairwise(rows):
            for path in set(before["outputs"]) - set(after["outputs"]):
                place = Place(before["campaign"], before["camera"], before["day"])
                since = max(replaced[path][1], after["finished_at"]) if path in replaced else after["finished_at"]
                replaced[path] = place, since
    todo = list(needed)
    while todo:
        new = made_from.get(todo.pop(), set()) - needed
        needed |= new
        todo += new
    return {
        path: found
        for path, found in replaced.items()
        if path not in counting and PurePosixPath(path).stem not in needed
    }
