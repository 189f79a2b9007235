"""A clock that was wrong and is put right: what was found out last counts, whatever the clock shows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos_tables import content_of, differences
from lake import moments
from lake.audit import NOTHING, AuditRow, enter, verify
from lake.current import recordings_now, statements_now
from lake.ledger import Ledger, Statement
from lake.moments import moment_after
from lake.store import Store
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


def said(value: object, at: datetime | None = None, key: str = "a") -> Statement:
    return Statement(key, "ann", value) if at is None else Statement(key, "ann", value, said_at=at)


def test_what_is_said_now_counts_though_the_clock_was_ahead_when_it_was_said_before(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)))
    ahead = datetime.now(UTC) + YEAR
    ledger.say("labels", [said("wrong", ahead)])
    ledger.say("labels", [said("first"), said("second"), said("another", key="b")])
    assert {row["key"]: row["value"] for row in statements_now(ledger, "labels")} == {"a": "second", "b": "another"}
    moments_said = ledger.rows("labels")["said_at"].to_pylist()
    assert moments_said == sorted(moments_said) and moments_said[0] == ahead < moments_said[1]
    ledger.say("labels", [said(None)])
    assert [row["key"] for row in statements_now(ledger, "labels")] == ["b"], "it was taken back"


def test_what_was_said_long_ago_is_entered_as_it_was_said(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)))
    now = datetime.now(UTC)
    ledger.say("labels", [said("wrong", now + YEAR)])
    ledger.say("labels", [said("old", now - YEAR), said("older", now - 2 * YEAR, key="b")])
    assert {row["value"]: row["said_at"] for row in statements_now(ledger, "labels")} == {
        "wrong": now + YEAR,
        "older": now - 2 * YEAR,
    }


def test_by_a_clock_that_is_right_nothing_is_dated_otherwise(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)))
    one = said("one")
    ledger.say("labels", [one])
    other = said("other")
    ledger.say("labels", [other])
    assert ledger.rows("labels")["said_at"].to_pylist() == [one.said_at, other.said_at]


def test_the_audit_stands_as_it_was_sealed_by_whatever_clock(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)))
    now = datetime.now(UTC)
    for moment in (now + YEAR, now):
        enter(ledger, AuditRow("ann", "engineer", "test", "delete", True, NOTHING, said_at=moment), None)
    verdict = verify(ledger, None)
    assert (verdict.rows, verdict.problems) == (2, ())
