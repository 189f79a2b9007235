"""Flows that end before their time: killed, by a deadline in the midst, or for a night that came while they were starting."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import pytest

from benchmarks.chaos_tables import content_of, differences
from flows.backfill import run_backfill
from flows.nightly import run_night
from infra.lock import AlreadyRunningError, backfill_lock, night_lock
from lake.current import recordings_now
from tasks import limits
from tasks.limits import DEADLINE, GAVE_WAY
from tasks.plan import Selection
from tests.chaos.sites import put, small, whole
from tests.e2e.command import afterwatch, start
from tests.forks import forked_workers
from tests.tasks.nights import ingest, run
from workspace.opened import Workspace

PATIENCE_S = 240
UNTIL = datetime(2026, 3, 5, 6, tzinfo=UTC)
PRELOADED = (
    "from tests.flows.test_interrupted_flows import clock\nfrom tasks import limits\nlimits.datetime = clock({!r})\n"
)

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600), pytest.mark.usefixtures("server")]


def clock(lake: str) -> type[datetime]:
    """A clock that shows an hour before the deadline until a shard is written, and then an hour after it."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            assert tz is UTC
            is_over = any((Path(lake) / "frames").rglob("*.parquet"))
            return UNTIL + timedelta(hours=1 if is_over else -1)

    return Clock


def wrong_in(expected: Workspace, found: Workspace) -> list[str]:
    """Where two workspaces differ, but for heads that were fitted on less, which stay in the registry."""
    wrong = differences(content_of(expected.site.root), content_of(found.site.root))
    return [line for line in wrong if not line.startswith(("models", "audit"))]


def test_a_deadline_in_the_midst_publishes_what_is_done_and_the_next_night_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, site = small(tmp_path / "expected"), small(tmp_path / "site")
    for workspace in (expected, site):
        for day in (2, 3):
            put(workspace, f"demo/hall/2026-03-0{day}T09-00-00.mp4", whole(0) + bytes(day))
    run(expected)
    root, preload = site.site.root, tmp_path / "clock.py"
    lake = root / "lake"
    preload.write_text(PRELOADED.format(str(lake)), encoding="utf-8")
    with (
        monkeypatch.context() as patch,
        dask.config.set({"distributed.worker.preload": [str(preload)]}),
        forked_workers(),
    ):
        patch.setattr(limits, "datetime", clock(str(lake)))
        report = run_night(Workspace(root), Selection(), until=UNTIL)
    assert (report.status, report.left_shards) == ("partial", {DEADLINE: 3}), report.attention
    assert "the deadline came before 3 shards; the next run takes them up" in report.attention
    workspace = Workspace(root)
    assert sum(row["status"] == "ready" for row in recordings_now(workspace.ledger)) == 4
    assert len({path.stem for path in (lake / "frames").rglob("*.parquet")}) == 1
    (summary,) = (root / "published").rglob("summary.json")
    assert json.loads(summary.read_text(encoding="utf-8"))["partial"] is True, "it lacks half of its day"
    night = run(workspace)
    assert night.report.status == "complete", night.report.attention
    assert len([outcome for outcome in night.outcomes if outcome.status == "done"]) == 3
    assert all(json.loads(path.read_text())["partial"] is False for path in (root / "published").rglob("summary.json"))
    assert wrong_in(expected, site) == []


def test_a_backfill_that_is_killed_in_the_midst_leaves_nothing_wrong_to_the_next(tmp_path: Path) -> None:
    expected, site = small(tmp_path / "expected", 4), small(tmp_path / "site", 4)
    run(expected)
    ingest(site)
    root = site.site.root
    backfill = start("backfill", "--site", root, "--json")
    try:
        until = time.monotonic() + PATIENCE_S
        while not any((root / "lake" / "frames").rglob("*.parquet")):
            assert time.monotonic() < until and backfill.exitcode is None, "it wrote nothing"
            time.sleep(0.01)
    finally:
        backfill.kill()
        backfill.join()
    assert differences(content_of(expected.site.root), content_of(root)) != [], "it was not done"
    again = afterwatch("backfill", "--site", root, "--json")
    assert (again.code, again.json["status"]) == (0, "complete"), again.err
    assert wrong_in(expected, site) == []


def test_a_backfill_gives_way_to_a_night_that_came_while_it_was_starting(tmp_path: Path) -> None:
    site = small(tmp_path / "site", 2)
    ingest(site)
    with night_lock(site.site.state_folder), forked_workers():
        report = run_backfill(site, Selection())
    assert (report.status, report.left_shards) == ("partial", {GAVE_WAY: 2})
    assert any(line.startswith(GAVE_WAY) for line in report.attention)
    with backfill_lock(site.site.state_folder), forked_workers(), pytest.raises(AlreadyRunningError, match="backfill"):
        run_backfill(site, Selection())
    assert run(Workspace(site.site.root)).report.status == "complete"
