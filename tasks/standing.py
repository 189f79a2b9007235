"""What stands between a camera and its heads, night after night, until somebody sees to it: moved views, suspended heads
and alarms."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tasks.alarms import STEP as CLASSIFY
from tasks.heads import STEP, SUSPENDED, SUSPENDED_FOR
from tasks.receipts import Receipt
from workspace.opened import Workspace

UNMATCHED = 1.0
"""Value of a moved stretch whose picture does not show the same at all."""

Row = dict[str, Any]


def standing_matters(workspace: Workspace, receipts: Sequence[Receipt]) -> list[str]:
    """A line for each camera that the newest day of a run leaves moved, and for what is suspended there."""
    finished = [receipt for receipt in receipts if receipt.status in ("done", "skipped", "partial")]
    lines = []
    for camera in sorted({receipt.place.camera for receipt in finished}):
        mine = [receipt for receipt in finished if receipt.place.camera == camera]
        newest = max(receipt.place.day for receipt in mine)
        suspended = [item for item in mine if item.place.day == newest and _is_suspended(item, STEP)]
        by_view = {item.scope for item in suspended if item.message.startswith(SUSPENDED_FOR)}
        lines += _moved(workspace, camera, mine, suspended=sorted(by_view))
        reasons: dict[str, set[str]] = {}
        for item in suspended:
            reasons.setdefault(item.message, set()).add(item.scope)
        lines += [f"camera {camera}: {', '.join(sorted(names))} {why}" for why, names in reasons.items()]
    return [*lines, *suspended_alarms(finished)]


def suspended_alarms(receipts: Sequence[Receipt]) -> list[str]:
    """A line for each alarm and reason why it is suspended on the newest day of cameras, which are named together."""
    newest: dict[str, date] = {}
    for receipt in receipts:
        camera, day = receipt.place.camera, receipt.place.day
        newest[camera] = max(day, newest.get(camera, day))
    cameras: dict[tuple[str, str], set[str]] = {}
    for receipt in receipts:
        if receipt.place.day == newest[receipt.place.camera] and _is_suspended(receipt, CLASSIFY):
            cameras.setdefault((receipt.scope, receipt.message), set()).add(receipt.place.camera)
    return [
        f"camera{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}: alarm {alarm} {why}"
        for (alarm, why), names in sorted(cameras.items())
    ]


def _is_suspended(receipt: Receipt, step: str) -> bool:
    return receipt.step == step and receipt.message.startswith(SUSPENDED)


def _moved(workspace: Workspace, camera: str, receipts: Sequence[Receipt], *, suspended: Sequence[str]) -> list[str]:
    """The line of a camera whose last stills of all show that it was moved; the first of them tells since when."""
    since: datetime | None = None
    value, newest = 0.0, max(receipt.place.day for receipt in receipts)
    days = sorted({receipt.place.day for receipt in receipts}, reverse=True)
    for day in days:
        of_day = [receipt for receipt in receipts if receipt.place.day == day]
        spans = [row for row in _rows(workspace, of_day, "health") if row["kind"] == "moved"]
        stills = _rows(workspace, of_day, "stills") if spans else []
        for still in sorted(stills, key=lambda still: still["taken_at"], reverse=True):
            span = next((span for span in spans if _holds(span, still)), None)
            if span is None:
                break
            since, value = still["taken_at"], value or span["value"]
        else:
            if stills:
                continue  # the whole day was so; it may have begun the day before
        break
    if since is None:
        return []
    how = (
        "shows another view than it did"
        if value >= UNMATCHED
        else f"moved by {100 * value:.1f} % of the picture's width"
    )
    heads = f"; heads suspended: {', '.join(suspended)}" if suspended else ""
    moment = _clock(since, workspace.settings.zone, newest)
    return [
        f"camera {camera}: {how} since {moment}{heads} — draw its regions again, on a picture of now, or put it back"
    ]


def _rows(workspace: Workspace, receipts: Sequence[Receipt], table: str) -> list[Row]:
    """Rows that the receipts' outputs hold of a table, without their pictures."""
    names = ["recording_id", "from_us", "to_us", *(["kind", "value"] if table == "health" else ["taken_at"])]
    paths = [path for receipt in receipts for path in receipt.outputs if path.startswith(f"{table}/")]
    return [row for path in paths for row in workspace.store.read_table(path, names).to_pylist()]


def _holds(span: Row, still: Row) -> bool:
    within = span["from_us"] <= still["from_us"] < span["to_us"]
    return bool(span["recording_id"] == still["recording_id"] and within)


def _clock(moment: datetime, zone: ZoneInfo, day: date) -> str:
    local = moment.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == day else f"{local:%Y-%m-%d %H:%M}"
