"""When something that comes again and again is due: as Prefect reckons it, which starts it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prefect.server.schemas.schedules import CronSchedule
from pydantic import TypeAdapter, ValidationError

from infra.cron import Cron, last_start

CRON: TypeAdapter[str] = TypeAdapter(Cron)
CRONS = (
    "0 1 * * *",
    "30 2 * * *",
    "0 2 * * *",
    "30 22 * * 1-5",
    "*/15 * * * *",
    "0 */6 * * *",
    "0 4 * * sun",
    "0 22 * * 5-7",
    "0 1 2/5 * *",
    "0 0 1-31/2 * 1",
    "5,10 3-5 * 1-6 *",
)
ZONES = ("UTC", "Europe/Rome", "America/New_York", "Australia/Lord_Howe")
DAYS_OF_CHANGE = ("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-10-03", "2026-04-04")
"""Days before clocks change in one of the zones."""
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
def test_the_last_start_is_the_one_that_prefect_makes(cron: str, zone: str) -> None:
    told = CronSchedule(cron=CRON.validate_python(cron), timezone=zone)
    for day in DAYS_OF_CHANGE:
        dates: Any = asyncio.run(told.get_dates(6, start=datetime.fromisoformat(f"{day}T12:00:00+00:00")))
        starts = [datetime.fromtimestamp(date.timestamp(), UTC) for date in dates]
        assert [last_start(cron, ZoneInfo(zone), start) for start in starts] == starts
        assert [last_start(cron, ZoneInfo(zone), start - SECOND) for start in starts[1:]] == starts[:-1]


@pytest.mark.parametrize(
    ("cron", "zone", "moment", "start"),
    [
        ("0 1 * * *", "UTC", "2026-11-22T01:00:00+00:00", "2026-11-22T01:00:00+00:00"),
        ("0 1 * * *", "UTC", "2026-11-22T00:59:59+00:00", "2026-11-21T01:00:00+00:00"),
        ("30 22 * * mon-fri", "Europe/Rome", "2026-11-22T12:00:00+00:00", "2026-11-20T21:30:00+00:00"),
        ("0 3 29 2 *", "UTC", "2026-11-22T01:00:00+00:00", "2024-02-29T03:00:00+00:00"),
        # Clocks go from 2:00 to 3:00: 2:30 does not come, and counts as an hour before 3:30.
        ("30 2 * * *", "Europe/Rome", "2026-03-29T12:00:00+00:00", "2026-03-29T00:30:00+00:00"),
        # Clocks go from 3:00 to 2:00: 2:30 comes twice, and counts once.
        ("30 2 * * *", "Europe/Rome", "2026-10-25T12:00:00+00:00", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_known_starts(cron: str, zone: str, moment: str, start: str) -> None:
    found = last_start(cron, ZoneInfo(zone), datetime.fromisoformat(moment))
    assert found == datetime.fromisoformat(start)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("@daily", "five fields"),
        ("0 1 * *", "five fields"),
        ("0 0 1 * * *", "five fields"),
        ("61 * * * *", "bad minute"),
        ("0 1 30 2 *", "bad day-of-month"),
        ("0 1 L * *", 'without "L"'),
        ("0 1 * * 5L", 'without "L"'),
        ("0 1 15W * *", 'without "L"'),
        ("0 1 * * 5#2", "five fields"),
        ("0 0 */2 * 1", "write the days out"),
        ("0 0 1-7 * */2", "write the days out"),
        ("H 1 * * *", "bad minute"),
        ("0 1 * * 1-1", "span of one"),
    ],
)
def test_what_schedulers_do_not_read_in_one_way_is_refused(text: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule) as caught:
        CRON.validate_python(text)
    assert text in str(caught.value)


@pytest.mark.parametrize("text", ["0 1 * * *", "*/15 0-6 * * *", "0 4 * JUL wed", "0 4 1,15 * *", "0 0 1-7/2 * 1"])
def test_a_cron_is_kept_as_it_is_written(text: str) -> None:
    assert CRON.validate_python(text) == text
