"""Retention at work: every file is entered with its hash, then deleted, then seen to be gone, and that is entered too.

It may be killed between any two of these: what was entered and is still there is due again by the next run's plan, if the
policies and holds of then still say so; what was entered and has gone is entered as gone.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from footage.probe import content_hash
from infra.errors import FootageError
from infra.lock import backfill_lock, night_waits, refit_lock
from lake.keys import Place, short_hash
from lake.ledger import FINISHED, RunRow, newest
from lake.schema import TABLES
from lake.store import rows_of
from workspace.opened import Workspace
from workspace.retention.deleted import ENTERED, FOOTAGE, GONE, TABLE, Entry, closing, entries_now
from workspace.retention.files import DueFile, Kept, delete, is_there, local_path, sha256_of, state_of, why_kept
from workspace.retention.holds import Held, deletion_lock, holds_now
from workspace.retention.policies import Group, RetentionPlan, plan_retention

MOMENT, SMALLEST = "finished_at", timedelta(microseconds=1)
GAVE_WAY = "gave way to a night; run it again"

Progress = Callable[[str, float, float], None]
Row = dict[str, Any]
Entered = tuple[DueFile, Entry, tuple[int, ...]]
"""A file, what was entered of it, and what told it from others then."""


@dataclass
class Run:
    """What a run of retention did.

    Attributes:
        run: its name.
        status: complete, or partial where it gave way to a night or a file could not be deleted.
        deleted: files that are gone, as they were entered.
        kept: what was due and kept, and why.
        failed: what could not be deleted, and why.
        message: why it is partial.
    """

    run: str
    status: str = "complete"
    deleted: list[Entry] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        policies = sorted({entry.policy for entry in self.deleted})
        return {
            "run": self.run,
            "status": self.status,
            "files": len(self.deleted),
            "bytes": sum(entry.bytes for entry in self.deleted),
            "by_policy": {name: sum(entry.policy == name for entry in self.deleted) for name in policies},
            "kept": [{"policy": item.policy, "what": item.what, "reason": item.reason} for item in self.kept],
            "failed": self.failed,
            "message": self.message,
        }


def run_retention(
    workspace: Workspace,
    author: str,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    needed: Callable[[], Collection[str]] = tuple,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Run:
    """Delete what the policies name. No night, backfill or refit runs meanwhile; a night that begins is given way to.

    Args:
        workspace: the site.
        author: who deletes.
        now: the clock.
        needed: says which files of the lake what is kept cannot do without.
        progress: told of every file.

    Raises:
        NightError: a night, a backfill or a refit is at work.
        ConfigurationError: nothing may be deleted; see `plan_retention`.
    """
    state = workspace.site.state_folder
    with backfill_lock(state), refit_lock(state):
        plan = plan_retention(workspace, now(), needed())
        work = _Work(workspace, plan, author, now, progress)
        work.finish_entered()
        for group in plan.groups:
            work.delete_group(group)
        workspace.ledger.compact(TABLE)
        return work.run


class _Work:
    """What a run of retention knows while it deletes."""

    def __init__(
        self,
        workspace: Workspace,
        plan: RetentionPlan,
        author: str,
        now: Callable[[], datetime],
        progress: Progress,
    ) -> None:
        self._workspace, self._author, self._now, self._progress = workspace, author, now, progress
        began = now()
        self.run = Run(f"retention-{began:%Y%m%dT%H%M%S}-{short_hash([author, began.isoformat()])[:6]}")
        self.run.kept += plan.kept
        self._held, self._recordings = plan.held, workspace.ledger.rows("recordings").to_pylist()
        self._total, self._done = len(plan.files), 0

    def finish_entered(self) -> None:
        """Enter as gone what an earlier run entered and deleted, and was killed before it could say so."""
        entered = [entry for entry in entries_now(self._workspace.ledger) if entry.state == ENTERED]
        gone = [entry for entry in entered if not is_there(self._workspace, entry.where, entry.path)]
        self._say_gone(gone)

    def delete_group(self, group: Group) -> None:
        """Delete the files of one policy and place."""
        entered = self._enter(group)
        if entered and group.closes:
            self._withdraw(group.place)
        gone = []
        for file, entry, state in entered:
            if self._gives_way():
                break
            if self._delete(file, state):
                gone.append(entry)
            self._done += 1
            self._progress("delete", self._done, self._total)
        self._say_gone(gone)

    def _gives_way(self) -> bool:
        """Whether a night waits: what is left is for the next run."""
        if night_waits(self._workspace.site.state_folder):
            self.run.status, self.run.message = "partial", GAVE_WAY
        return self.run.message == GAVE_WAY

    def _enter(self, group: Group) -> list[Entered]:
        """Enter what is about to be deleted, with its hash."""
        entered: list[Entered] = []
        for file in group.files:
            if self._gives_way():
                return []
            if self._is_held(file):
                continue
            try:
                state = state_of(self._workspace, file.where, file.path)
                content = self._hash(file)
            except (OSError, FootageError) as error:
                self._fail(file, reason_of(error))
                continue
            what = (file.where, file.path, file.place, file.policy, file.days, file.reason, state[0], content)
            entered.append((file, Entry(*what, self._author, self.run.run, self._now()), state))
        said = [entry.statement() for _, entry, _ in entered]
        if said and group.closes:
            said.append(closing(group.place, list(group.closes), self._author, self.run.run, self._now()))
        self._workspace.ledger.say(TABLE, said)
        return entered

    def _hash(self, file: DueFile) -> str:
        """SHA-256 of a file; of a recording, after its content was held against the one that was processed."""
        local = local_path(self._workspace, file.where, file.path)
        if file.where == FOOTAGE and local is not None and (content_hash(local),) != file.contents:
            raise FootageError("its content is not the one that was processed")
        return sha256_of(self._workspace, file.where, file.path)

    def _withdraw(self, place: Place) -> None:
        """Take back what the ledger says of a day's files before they go: nothing that reads the lake looks for them then.

        The rows are of the runs that made the files, a moment later: no run of nights has to be told from one of retention.
        """
        names = ("campaign", "camera", "day")
        mine = [
            row
            for row in self._workspace.ledger.rows("runs").to_pylist()
            if row["status"] in FINISHED and Place(*(row[name] for name in names)) == place
        ]
        counting = [row for row in newest(mine, ("step", *names, "scope"), MOMENT) if row["outputs"]]
        self._workspace.ledger.record([_withdrawal(row, self.run.run) for row in counting])

    def _delete(self, file: DueFile, state: tuple[int, ...]) -> bool:
        """Delete a file, unless it is held or another by now; returns whether it is gone."""
        where, path = file.where, file.path
        with deletion_lock(self._workspace.site.state_folder):
            if self._is_held(file):
                return False
            try:
                if is_there(self._workspace, where, path):
                    why = why_kept(self._workspace, where, path)
                    if why or state_of(self._workspace, where, path) != state:
                        self._fail(file, why or "it changed while it was about to be deleted")
                        return False
                    delete(self._workspace, where, path)
            except OSError as error:
                self._fail(file, reason_of(error))
                return False
        if is_there(self._workspace, where, path):
            self._fail(file, "it was deleted, and is there again")
            return False
        return True

    def _is_held(self, file: DueFile) -> bool:
        """Whether a hold covers a file now; holds that were said since the plan count."""
        holds = holds_now(self._workspace.ledger)
        if tuple(holds) != self._held.holds:
            self._held = Held(self._recordings, holds)
        hold = self._held.of(file.place, file.contents)
        if hold is not None:
            self.run.kept.append(Kept(file.policy, f"{file.where}/{file.path}", f"hold {hold.name}: {hold.reason}"))
        return hold is not None

    def _say_gone(self, entries: Sequence[Entry]) -> None:
        # A moment later at least: of two words of one moment none would be the newer.
        gone = [replace(entry, state=GONE, said_at=max(self._now(), entry.said_at + SMALLEST)) for entry in entries]
        self._forget(entry.path for entry in gone if entry.where == FOOTAGE)
        self._workspace.ledger.say(TABLE, [entry.statement() for entry in gone])
        self.run.deleted += gone

    def _forget(self, paths: Iterable[str]) -> None:
        """Tell the lake that recordings have gone, so that no night wonders where they are."""
        gone = set(paths)
        latest = newest(self._recordings, ("path",), "seen_at")
        rows = [row for row in latest if row["path"] in gone and row["status"] != "gone"]
        if rows:
            seen_at = max(self._now(), *(row["seen_at"] + SMALLEST for row in rows))
            columns = {name: [row[name] for row in rows] for name in TABLES["recordings"].schema.names}
            told = {"status": ["gone"] * len(rows), "reason": ["deleted by retention"] * len(rows)}
            self._workspace.ledger.append_recordings(
                rows_of("recordings", {**columns, **told, "seen_at": [seen_at] * len(rows)}), seen_at
            )

    def _fail(self, file: DueFile, why: str) -> None:
        self.run.failed.append(f"{file.where}/{file.path}: {why}")
        self.run.status = "partial"
        self.run.message = self.run.message or "not everything that was due could be deleted"


def reason_of(error: Exception) -> str:
    """An error in words."""
    return str(getattr(error, "strerror", None) or error)


def _withdrawal(row: Row, run: str) -> RunRow:
    """A row that takes another back: of the same run, the smallest moment later, without files."""
    moment = row[MOMENT] + SMALLEST
    place = Place(row["campaign"], row["camera"], row["day"])
    key = short_hash(["deleted", *place.told, row["step"], row["scope"]])
    what = (row["step"], place.campaign, place.camera, place.day, row["scope"], key, "done", moment, moment)
    return RunRow(row["run_id"], *what, inputs=(row["key"],), message=f"deleted by {run}")
