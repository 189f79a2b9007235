"""A site with a queue in its lake, as a night would have left it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lake.keys import Place, short_hash
from lake.ledger import RunRow
from lake.store import rows_of
from tests.workspace.labelled_site import CAMPAIGN, DAY, EAST, EAST_ID, START, labelled_site
from workspace.opened import Workspace

SECOND = 1_000_000


def question(at_s: float, *, seconds: float = 2.0, **changes: Any) -> dict[str, Any]:
    """A row of the queue, less its rank: a snippet of the site's first recording."""
    told = {
        "campaign": CAMPAIGN,
        "camera": EAST,
        "day": DAY,
        "head": "novelty",
        "version": "v1",
        "region": "frame",
        "kind": "novelty",
        "recording_id": EAST_ID,
        "from_us": round(at_s * SECOND),
        "to_us": round((at_s + seconds) * SECOND),
        "taken_at": START + timedelta(seconds=at_s),
        "slice": round(at_s),
        "reason": "uncertain",
        "score": 1.5,
        "threshold": 2.0,
        "distance": -0.25,
    }
    return told | changes


def put_queue(workspace: Workspace, questions: Sequence[dict[str, Any]], day: date = DAY, status: str = "done") -> str:
    """Let a night ask these, the first first; returns the file. What it asked of the campaign that day counts no more."""
    campaign = questions[0]["campaign"] if questions else CAMPAIGN
    rows = [{**row, "rank": rank} for rank, row in enumerate(questions, start=1)]
    columns = {name: [row[name] for row in rows] for name in [*question(0), "rank"]}
    place = Place(campaign, "", day)
    path = f"queue/{place.folder}/{short_hash([str(rows)])}.parquet"
    workspace.store.write_table(path, rows_of("queue", columns))
    now = datetime.now(UTC)
    done = RunRow("run", "queue", campaign, "", day, "", path, status, now, now, outputs=(path,))
    workspace.ledger.record([done])
    return path


def queued_site(folder: Path) -> Workspace:
    """The site of two cameras; its last night asks four things of three heads."""
    workspace = labelled_site(folder)
    put_queue(
        workspace,
        [
            question(4),
            question(10, head="fight", kind="alarm", score=0.4, threshold=0.5, distance=-0.4),
            question(20, head="opening", kind="retrieval", region="hatch", score=0.1, threshold=0.0, distance=0.1),
            question(30, reason="diverse", threshold=None, distance=None),
        ],
    )
    return workspace
