"""What the pages ask of the `runs` ledger: which nights there were, and what each did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from dashboards.queries import decoded
from dashboards.snapshot import LakeReader, records
from lake.keys import Place

SILENCE = timedelta(minutes=30)
"""Time without a row after which a run that nothing has closed may have been killed."""
COVERAGE_COLUMNS = ("campaign", "camera", "day", "recorded_s", "analysed_s", "skipped_s", "corrupt_s", "missing_s")
STEPS = (
    "ingest",
    "embed",
    "health",
    "fit",
    "score",
    "retrieve",
    "classify",
    "segment",
    "summarise",
    "publish",
    "digest",
    "queue",
)


@dataclass(frozen=True, eq=False)
class Night:
    """A finished run, as its closing row tells it.

    Attributes:
        status: complete, partial, incomplete or failed.
        steps: columns step, done, skipped, failed, seconds.
        coverage: one row per camera's day, `COVERAGE_COLUMNS`; days are `date`.
        ingest: counts of files by what became of them.
        problems: columns path, status, reason.
        attention: what a person should look at, in words.
        alarms_by_head: alarms that each head raised on the days it accounts for; empty where the run does not say.
        readable: whether the closing row could be read; where not, only status and times are known.
    """

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime
    decoded_s: float = 0.0
    steps: pd.DataFrame = field(default_factory=pd.DataFrame)
    coverage: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COVERAGE_COLUMNS)))
    ingest: Mapping[str, int] = field(default_factory=dict)
    problems: pd.DataFrame = field(default_factory=pd.DataFrame)
    attention: tuple[str, ...] = ()
    alarms_by_head: Mapping[str, int] = field(default_factory=dict)
    readable: bool = True

    @property
    def places(self) -> list[Place]:
        """The camera's days it accounts for."""
        return [Place(row.campaign, row.camera, row.day) for row in records(self.coverage)]

    @property
    def duration_s(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class OpenRun:
    """A run without a closing row: it is going on, or it was killed."""

    run_id: str
    started_at: datetime
    newest_at: datetime
    step: str
    done: int
    skipped: int
    failed: int

    def is_silent(self, now: datetime | None = None) -> bool:
        return (now or datetime.now(UTC)) - self.newest_at > SILENCE


def run_history(lake: LakeReader, limit: int = 200) -> pd.DataFrame:
    """Runs, newest first.

    Returns:
        Columns run_id, status (complete, partial, incomplete, failed; `open` where none closed it), started_at,
        finished_at (of the newest row), seconds, done, skipped, partial, failed (rows of steps), decoded_s, cameras.
    """
    rows = lake.rows(
        f"""
        SELECT run_id, min(started_at) AS started_at, max(finished_at) AS finished_at,
               count(*) FILTER (status = 'done' AND step <> 'night') AS done,
               count(*) FILTER (status = 'skipped' AND step <> 'night') AS skipped,
               count(*) FILTER (status = 'partial' AND step <> 'night') AS partial,
               count(*) FILTER (status = 'failed' AND step <> 'night') AS failed,
               coalesce(sum(decoded_s) FILTER (step <> 'night'), 0) AS decoded_s,
               count(DISTINCT campaign || chr(31) || camera) FILTER (camera <> '') AS cameras,
               arg_max(message, finished_at) FILTER (step = 'night') AS closing,
               arg_max(status, finished_at) FILTER (step = 'night') AS closed_as
        FROM (SELECT DISTINCT * FROM runs) GROUP BY run_id
        ORDER BY started_at DESC, run_id DESC LIMIT {int(limit)}"""
    )
    rows["status"] = [_status(row.closing, row.closed_as) for row in records(rows)]
    rows["seconds"] = (rows["finished_at"] - rows["started_at"]).dt.total_seconds()
    return rows.drop(columns=["closing", "closed_as"])


def open_run(lake: LakeReader) -> OpenRun | None:
    """The newest run, where nothing has closed it and no later night has finished."""
    newest = run_history(lake, limit=1)
    if newest.empty or newest["status"][0] != "open":
        return None
    row = records(newest)[0]
    steps = lake.rows("SELECT step FROM runs WHERE run_id = ? ORDER BY finished_at DESC LIMIT 1", (row.run_id,))
    return OpenRun(
        run_id=row.run_id,
        started_at=row.started_at.to_pydatetime(),
        newest_at=row.finished_at.to_pydatetime(),
        step=str(steps["step"][0]),
        done=int(row.done + row.partial),
        skipped=int(row.skipped),
        failed=int(row.failed),
    )


def night(lake: LakeReader, run_id: str | None = None) -> Night | None:
    """A finished run by name, or the last one; none where there is no such run."""
    chosen, parameters = ("AND run_id = ?", (run_id,)) if run_id else ("", ())
    closing = lake.rows(
        f"SELECT run_id, status, message, started_at, finished_at FROM runs WHERE step = 'night' {chosen}"
        " ORDER BY finished_at DESC LIMIT 1",
        parameters,
    )
    if closing.empty:
        return None
    row = records(closing)[0]
    first = lake.rows("SELECT min(started_at) AS started_at FROM runs WHERE run_id = ?", (row.run_id,))
    started_at, finished_at = first["started_at"][0].to_pydatetime(), row.finished_at.to_pydatetime()
    told = decoded(row.message)
    if told is None:
        return Night(row.run_id, _status(None, row.status), started_at, finished_at, readable=False)
    ingest = told.get("ingest") if isinstance(told.get("ingest"), dict) else {}
    return Night(
        run_id=row.run_id,
        status=_status(row.message, row.status),
        started_at=started_at,
        finished_at=finished_at,
        decoded_s=_number(told.get("decoded_s")),
        steps=_frame(told.get("steps"), ("step", "done", "skipped", "failed", "seconds")),
        coverage=_coverage(told.get("coverage")),
        ingest=_counts(ingest),
        problems=_frame((ingest or {}).get("problems"), ("path", "status", "reason")),
        attention=tuple(str(line) for line in told.get("attention") or ()),
        alarms_by_head=_counts(told.get("alarms_by_head")),
    )


def steps_of(lake: LakeReader, run_id: str) -> pd.DataFrame:
    """What a run did, by step, in the order of the night.

    Returns:
        Columns step, done, skipped, partial, failed, seconds (work of all rows, not wall time), decoded_s.
    """
    rows = lake.rows(
        """
        SELECT step, count(*) FILTER (status = 'done') AS done, count(*) FILTER (status = 'skipped') AS skipped,
               count(*) FILTER (status = 'partial') AS partial, count(*) FILTER (status = 'failed') AS failed,
               sum(seconds) AS seconds, sum(decoded_s) AS decoded_s
        FROM (SELECT DISTINCT * FROM runs) WHERE run_id = ? AND step <> 'night' GROUP BY step""",
        (run_id,),
    )
    order = {step: position for position, step in enumerate(STEPS)}
    return rows.sort_values("step", key=lambda steps: steps.map(lambda step: order.get(step, len(order)))).reset_index(
        drop=True
    )


def rows_of_run(lake: LakeReader, run_id: str) -> pd.DataFrame:
    """Every row of a run but the closing one: failures first, then in order of time."""
    return lake.rows(
        """
        SELECT DISTINCT step, campaign, camera, day, scope, status, seconds, decoded_s, rows, message,
               started_at, finished_at
        FROM runs WHERE run_id = ? AND step <> 'night' ORDER BY status <> 'failed', started_at, step, camera""",
        (run_id,),
    )


def cameras_of(coverage: pd.DataFrame) -> pd.DataFrame:
    """Coverage of a night summed by camera; columns as `COVERAGE_COLUMNS`, `days` in place of `day`."""
    seconds = [name for name in COVERAGE_COLUMNS if name.endswith("_s")]
    summed = coverage.groupby(["campaign", "camera"], as_index=False)[seconds].sum()
    summed["days"] = coverage.groupby(["campaign", "camera"])["day"].nunique().to_numpy()
    return summed


def _status(closing: Any, closed_as: Any) -> str:
    if isinstance(closed_as, str):
        told = decoded(closing) or {}
        known = {"done": "complete", "skipped": "complete", "partial": "partial", "failed": "failed"}
        return str(told.get("status") or known.get(closed_as, closed_as))
    return "open"


def _counts(told: Any) -> dict[str, int]:
    return {name: value for name, value in told.items() if isinstance(value, int)} if isinstance(told, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _frame(told: Any, columns: Sequence[str]) -> pd.DataFrame:
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    return pd.DataFrame([{name: row.get(name) for name in columns} for row in rows], columns=list(columns))


def _coverage(told: Any) -> pd.DataFrame:
    rows = [row for row in told if isinstance(row, dict) and row.get("camera")] if isinstance(told, list) else []
    kept = [
        {
            "campaign": str(row.get("campaign", "")),
            "camera": str(row["camera"]),
            "day": date.fromisoformat(str(row["day"])),
            **{name: _number(row.get(name)) for name in COVERAGE_COLUMNS if name.endswith("_s")},
        }
        for row in rows
        if row.get("day")
    ]
    return pd.DataFrame(kept, columns=list(COVERAGE_COLUMNS))
