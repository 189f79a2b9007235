"""The timeline of a review: which days are drawn of many, and that the day one looks at is among them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.review_charts import MOST_DAYS, Strip, days_chart, days_drawn, days_of, windows

ROME = ZoneInfo("Europe/Rome")
FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)


def strip_of(days: int, here: int | None = None, hour: int = 8) -> Strip:
    """A row a day."""
    starts = [FIRST.replace(hour=hour) + timedelta(days=day) for day in range(days)]
    from_us = np.array([round(start.timestamp() * 1e6) for start in starts], dtype=np.int64)
    return Strip(from_us, from_us + 1_000_000, np.linspace(0, 1, days), [(0, True)], None, here)


@given(st.integers(0, 400), st.integers(1, 90))
def test_windows_hold_every_day_once(count: int, most: int) -> None:
    days = [FIRST.date() + timedelta(days=day) for day in range(count)]
    parts = windows(days, most)
    assert sorted(day for part in parts for day in part) == days
    assert all(0 < len(part) <= most for part in parts)
    assert all(len(part) == most for part in parts[:-1])
    assert [part[-1] for part in parts] == sorted((part[-1] for part in parts), reverse=True)


def test_days_are_those_of_the_site() -> None:
    assert days_of(strip_of(2, hour=22), ROME) == [date(2026, 3, 2), date(2026, 3, 3)]
    assert days_of(strip_of(2, hour=23), ROME) == [date(2026, 3, 3), date(2026, 3, 4)]


@pytest.mark.parametrize(("here", "more"), [(None, 0), (5, 1), (95, 0)], ids=["nowhere", "older", "newer"])
def test_the_day_that_is_looked_at_is_always_drawn(here: int | None, more: int) -> None:
    strip = strip_of(100, here)
    drawn = days_drawn(strip, ROME, windows(days_of(strip, ROME))[0])
    assert len(drawn) == MOST_DAYS + more
    assert drawn == sorted(drawn)
    assert here is None or FIRST.date() + timedelta(days=here) in drawn
    chart = days_chart(strip, ROME, drawn).to_dict()
    cells = max(chart["datasets"].values(), key=len)
    assert len({cell["band"] for cell in cells}) == len(drawn)
