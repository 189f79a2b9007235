"""Whether a night was missed: by the settings' clock and the ledger's, whatever jumps the machine's own makes."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwatch.workspace_files import make_workspace
from infra.lock import backfill_lock, night_lock
from lake.ledger import RunRow
from tasks.nights_due import begun, missed_night, missed_now
from tasks.plan import Selection
from tasks.report import BACKFILL, FAILED_ONLY, close_night, new_report
from tasks.schedule_file import ScheduleFile, expect_nights, read_schedule, schedule_lock, write_schedule
from workspace.opened import Workspace

UTC_ZONE = ZoneInfo("UTC")
HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
DUE = datetime(2026, 11, 22, 1, tzinfo=UTC)
"""One o'clock, at which the night of a new workspace begins."""
LONG_AGO = DUE - YEAR


@pytest.mark.parametrize(
    ("nights", "missed"),
    [
        ([], True),
        ([DUE - DAY], True),
        ([DUE], False),
        ([DUE + timedelta(seconds=1)], False),
        ([DUE - timedelta(seconds=20)], False),
        ([DUE - 2 * timedelta(minutes=1)], True),
        ([DUE + 2 * HOUR], False),
        # Its clock was a year ahead, or has been put back since: it says nothing of this night.
        ([DUE + YEAR], True),
        ([DUE + YEAR, DUE], False),
        # Its clock was a year behind.
        ([DUE - YEAR], True),
    ],
)
def test_a_night_is_missed_where_none_began_at_its_time(nights: list[datetime], missed: bool) -> None:
    found = missed_night(DUE, DUE + 3 * HOUR, LONG_AGO, nights)
    assert (found is not None) == missed
    if found is not None:
        assert (found.due_at, found.late_s) == (DUE, 10_800.0)
        assert found.last_at == max((night for night in nights if night <= DUE), default=None)


def test_before_nights_are_expected_none_is_missed() -> None:
    assert missed_night(DUE, DUE + HOUR, DUE + timedelta(seconds=1), []) is None
    assert missed_night(None, DUE + HOUR, LONG_AGO, []) is None


def test_a_run_that_began_and_did_not_end_is_told() -> None:
    found = missed_night(DUE, DUE + 9 * HOUR, LONG_AGO, [DUE - DAY], [DUE - DAY, DUE + HOUR, DUE + YEAR])
    assert found is not None and found.began_at == DUE + HOUR
    assert "began at 2026-11-22 02:00 UTC and ended without its report" in found.words(UTC_ZONE)
    assert "the last one began 2026-11-21 01:00 UTC" in found.words(UTC_ZONE)


@given(
    st.lists(st.integers(-72 * 60, 72 * 60)),
    st.integers(0, 72 * 60),
)
def test_more_nights_never_make_one_missed(minutes: list[int], later: int) -> None:
    now = DUE + timedelta(minutes=later)
    nights = [DUE + timedelta(minutes=one) for one in minutes]
    found = missed_night(DUE, now, LONG_AGO, nights)
    there = [night for night in nights if DUE - timedelta(minutes=1) <= night <= now + timedelta(minutes=1)]
    assert (found is None) == bool(there)
    assert missed_night(DUE, now, LONG_AGO, [*nights, DUE]) is None


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    workspace = Workspace(make_workspace(tmp_path / "site"))
    expected_since(workspace, LONG_AGO)
    return workspace


def expected_since(workspace: Workspace, since: datetime) -> None:
    folder = workspace.site.state_folder
    with schedule_lock(folder):
        write_schedule(folder, ScheduleFile(since, workspace.settings.schedule.cron, workspace.settings.site.time_zone))


def run(workspace: Workspace, run_id: str, step: str, began_at: datetime, message: str = "") -> None:
    row = RunRow(run_id, step, "", "", date(1970, 1, 1), "", run_id, "done", began_at, began_at + HOUR, message=message)
    workspace.ledger.record([row])


def test_a_night_is_late_for_as_long_as_the_settings_say(site: Workspace) -> None:
    run(site, "one", "night", DUE - DAY)
    assert missed_now(site, DUE + timedelta(seconds=3599)) is None
    found = missed_now(site, DUE + HOUR)
    assert found is not None and (found.due_at, found.last_at) == (DUE, DUE - DAY)
    run(site, "two", "night", DUE)
    assert missed_now(site, DUE + HOUR) is None


def test_a_site_whose_nights_nobody_serves_misses_none(tmp_path: Path) -> None:
    site = Workspace(make_workspace(tmp_path / "site"))
    assert missed_now(site, DUE + 9 * HOUR) is None
    expect_nights(site.site.state_folder, site.settings)
    known = read_schedule(site.site.state_folder)
    assert known is not None and known.since > DUE - YEAR
    assert missed_now(site, known.since + timedelta(minutes=1)) is None, "the night before it was served is not missed"
    assert missed_now(site, known.since + 2 * DAY) is not None


def test_other_times_are_expected_only_once_they_are_served(site: Workspace) -> None:
    file = site.site.root / "afterwatch.toml"
    file.write_text(file.read_text().replace('cron = "0 1 * * *"', 'cron = "0 4 * * *"'))
    changed = Workspace(site.site.root)
    assert missed_now(changed, DUE + 9 * HOUR) is None
    expect_nights(changed.site.state_folder, changed.settings)
    known = read_schedule(changed.site.state_folder)
    assert known is not None and known.cron == "0 4 * * *" and known.since > LONG_AGO + DAY
    expect_nights(changed.site.state_folder, changed.settings)
    assert read_schedule(changed.site.state_folder) == known, "the same times are expected as long as before"


def test_a_night_at_work_is_not_missed_and_a_backfill_is_no_night(site: Workspace) -> None:
    folder = site.site.state_folder
    with night_lock(folder):
        assert missed_now(site, DUE + 9 * HOUR) is None
    assert missed_now(site, DUE + 9 * HOUR) is not None
    with backfill_lock(folder):
        assert missed_now(site, DUE + 9 * HOUR) is not None
    run(site, "backfill", "night", DUE + HOUR, json.dumps(new_report(BACKFILL).as_json()))
    found = missed_now(site, DUE + 9 * HOUR)
    assert found is not None and found.began_at is None, "a backfill closes as a night does"
    run(site, "night", "night", DUE + HOUR, json.dumps(new_report().as_json()))
    assert missed_now(site, DUE + 9 * HOUR) is None


def test_a_run_by_hand_of_a_part_is_no_night(site: Workspace) -> None:
    told = new_report().as_json()
    for number, part in enumerate(("camera hall-east", "campaign spring, day 2026-11-21", FAILED_ONLY)):
        run(site, f"part-{number}", "night", DUE + HOUR, json.dumps({**told, "limited_to": part}))
    found = missed_now(site, DUE + 9 * HOUR)
    assert found is not None and found.began_at is None
    older = {name: value for name, value in told.items() if name != "limited_to"}
    run(site, "older", "night", DUE + HOUR, json.dumps(older))
    assert missed_now(site, DUE + 9 * HOUR) is None, "reports of older nights do not say what they were limited to"


@pytest.mark.parametrize(
    ("selection", "limited_to"),
    [
        (Selection(), ""),
        (Selection(camera="hall-east"), "camera hall-east"),
        (Selection("spring", day=date(2026, 3, 2)), "campaign spring, day 2026-03-02"),
    ],
)
def test_a_run_says_what_it_was_limited_to(site: Workspace, selection: Selection, limited_to: str) -> None:
    report = new_report()
    close_night(site, report, selection, (), ())
    (row,) = site.ledger.rows("runs").to_pylist()
    assert json.loads(row["message"])["limited_to"] == limited_to
    missed = missed_night(report.started_at, report.started_at + HOUR, LONG_AGO, *begun(site))
    assert (missed is None) == (not limited_to)


def test_steps_without_a_report_and_refits_are_no_night(site: Workspace) -> None:
    run(site, "refit", "refit", DUE + HOUR)
    found = missed_now(site, DUE + 9 * HOUR)
    assert found is not None and found.began_at is None
    run(site, "killed", "embed", DUE + HOUR)
    found = missed_now(site, DUE + 9 * HOUR)
    assert found is not None and found.began_at == DUE + HOUR
    assert found.as_json()["began_at"] == (DUE + HOUR).isoformat()


def test_a_clock_that_jumps_ahead_and_comes_back_leaves_nothing_behind(site: Workspace) -> None:
    run(site, "one", "night", DUE)
    run(site, "ahead", "night", DUE + YEAR)
    found = missed_now(site, DUE + DAY + HOUR)
    assert found is not None and (found.due_at, found.last_at) == (DUE + DAY, DUE)
