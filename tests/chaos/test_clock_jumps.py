"""A clock that was wrong and is put right: what was found out last counts, whatever the clock shows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos_tables import content_of, differences
from lake import moments
from lake.current import recordings_now
from lake.moments import moment_after
from tasks import report
from tasks.history import last_nights
from tests.chaos.sites import FIRST, put, small, whole
from tests.tasks.nights import Night, run
from workspace.opened import Workspace

YEAR = timedelta(days=365)


def night_at(monkeypatch: pytest.MonkeyPatch, root: Path, by: timedelta) -> Night:
    """A night whose clock is off by so much."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + by

    with monkeypatch.context() as patch:
        patch.setattr(moments, "datetime", Clock)
        patch.setattr(report, "datetime", Clock)
        return run(Workspace(root))


def test_what_the_last_night_found_counts_though_the_one_before_was_a_year_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = small(tmp_path / "expected")
    put(expected, FIRST, whole(4))
    run(expected)
    site = small(tmp_path / "site")
    first = night_at(monkeypatch, site.site.root, YEAR)
    put(site, FIRST, whole(4))
    second = run(Workspace(site.site.root))
    assert (first.report.status, second.report.status) == ("complete", "complete"), second.report.attention
    wrong = differences(content_of(expected.site.root), content_of(site.site.root))
    assert [line for line in wrong if not line.startswith("models")] == [], "but for the head of the first night"
    third = run(Workspace(site.site.root))
    assert third.inventory.new == ()
    assert third.done() == set()
    told = last_nights(Workspace(site.site.root))
    assert (told["last"]["run"], told["running"]) == (third.report.run, None)


def test_a_moment_is_after_all_that_the_ledger_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = small(tmp_path / "site", 1)
    before = datetime.now(UTC)
    assert moment_after(workspace.ledger, "recordings", "seen_at") >= before
    night_at(monkeypatch, workspace.site.root, YEAR)
    (row,) = recordings_now(workspace.ledger)
    assert row["seen_at"] > before + YEAR
    assert moment_after(workspace.ledger, "recordings", "seen_at") == row["seen_at"] + moments.STEP
