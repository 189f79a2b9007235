"""What of a head counted after a run of the ledger: superseded files stay in the lake until retention removes them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from infra.errors import LakeError
from lake.keys import Place
from lake.ledger import FINISHED, newest
from workspace.flip_sides import Run, RunSides
from workspace.flips import Compared, ComparedDay, FoundEvent, events_in_order
from workspace.opened import Workspace
from workspace.retention.deleted import deleted_now

APPLIED = {"score": "novelty", "retrieve": "retrieval", "classify": "classifier"}
"""Steps that make events, and the kind of model that each applies."""
BY_RETENTION = (
    'retention deleted the events of the one run or the other ("afterwatch retention report" says when and why); choose later '
    "runs, or another campaign"
)
LOST = "the events of the one run or the other are not in the lake any more, and retention did not delete them"
Row = Mapping[str, Any]


def counted_events(workspace: Workspace, sides: RunSides, campaign: str) -> Compared:
    """The events of a head that counted after each of two runs, day by day of a campaign.

    A day whose file of the one or the other is gone is left out, and told: whether retention deleted it, or it was lost.
    """
    rows = [
        row
        for row in workspace.ledger.rows("runs").to_pylist()
        if (row["scope"], row["campaign"]) == (sides.head, campaign)
        and row["status"] in FINISHED
        and row["step"] in APPLIED
    ]
    before, after = (_counting(rows, run) for run in (sides.current, sides.candidate))
    days: list[ComparedDay] = []
    gone: Counter[tuple[str, str]] = Counter()
    deleted = deleted_now(workspace.ledger).outputs
    counting: list[Row] = []
    for place in sorted({*before, *after}):
        mine = [row for row in (before.get(place), after.get(place)) if row is not None]
        if not any(row["outputs"] for row in mine):
            continue  # out of service in both
        try:
            current, candidate = (_events(workspace, found.get(place)) for found in (before, after))
        except FileNotFoundError:
            absent = {path for row in mine for path in _files(row) if not workspace.store.exists(path)}
            gone[place.camera, BY_RETENTION if absent & deleted else LOST] += 1
            continue
        days.append(ComparedDay(place, current, candidate))
        counting += mine
    remarks = [
        f"{count} day{'s' if count > 1 else ''} of camera {camera} left out: {why}"
        for (camera, why), count in sorted(gone.items())
    ]
    heads = {sides.head} | {event.head for day in days for event in (*day.current, *day.candidate)}
    models = sorted({model for row in counting for model in _models(row)} | _of_events(days, counting))
    return Compared(
        tuple(days),
        tuple(sorted(heads)),
        tuple(models),
        tuple(f"{sides.head} as it counted after run {run.run_id}" for run in (sides.current, sides.candidate)),
        tuple(remarks),
        tuple(sorted({row["key"] for row in counting})),
    )


def _counting(rows: Sequence[dict[str, Any]], run: Run) -> dict[Place, Row]:
    """The row that counted of each day once a run had ended."""
    by_then = [row for row in rows if row["finished_at"] <= run.ended_at]
    latest = newest(by_then, ("step", "campaign", "camera", "day", "scope"), "finished_at")
    return {Place(row["campaign"], row["camera"], row["day"]): row for row in latest}


def _events(workspace: Workspace, row: Row | None) -> tuple[FoundEvent, ...]:
    """The events that a row says are there; none of a day that had none, or in which the head was out of service.

    Raises:
        FileNotFoundError: its file is gone.
    """
    paths = [] if row is None else _files(row)
    found = [told for path in paths for told in workspace.store.read_table(path).to_pylist()]
    try:
        return events_in_order(FoundEvent.of(told) for told in found)
    except (KeyError, TypeError, ValueError) as error:
        raise LakeError(f"{', '.join(paths)} holds what is no event ({error}); run the night again") from None


def _files(row: Row) -> list[str]:
    """Files of events that a row says are there."""
    return [path for path in row["outputs"] or () if path.startswith("events/")]


def _models(row: Row) -> set[tuple[str, str, str]]:
    """Classifiers that a step names among what it was made from, as kind, name and version."""
    named = (told.split("/") for told in row["inputs"] if told.startswith(f"{APPLIED['classify']}/"))
    return {(parts[0], parts[1], parts[2]) for parts in named if len(parts) > 2}


def _of_events(days: Sequence[ComparedDay], counting: Sequence[Row]) -> set[tuple[str, str, str]]:
    """Versions of a retrieval head, as its events name them."""
    names = {row["scope"] for row in counting if row["step"] == "retrieve"}
    versions = {event.version for day in days for event in (*day.current, *day.candidate)}
    return {(APPLIED["retrieve"], name, version) for name in names for version in versions}
