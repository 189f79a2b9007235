"""When a night has to stop starting things."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from infra.errors import ConfigurationError


def next_moment(clock: str | time, zone: ZoneInfo, now: datetime) -> datetime:
    """The next moment, after `now`, at which a clock in `zone` shows `clock` (`06:00`).

    Raises:
        ConfigurationError: it is no time of day.
    """
    try:
        wanted = clock if isinstance(clock, time) else time.fromisoformat(clock)
    except ValueError:
        raise ConfigurationError(f'"{clock}" is no time of day; write it as 06:00') from None
    today = now.astimezone(zone).date()
    days = (today, today + timedelta(days=1))
    moments = [datetime.combine(day, wanted.replace(fold=fold), tzinfo=zone) for day in days for fold in (0, 1)]
    # Two moments of one zone are compared by their clocks, which go back once a year; so in UTC.
    return next(moment for moment in moments if moment.astimezone(UTC) > now)


def deadline_of(until: time | None, zone: ZoneInfo) -> datetime | None:
    """The next moment a clock in `zone` shows `until`; None where nothing is said."""
    return None if until is None else next_moment(until, zone, datetime.now(UTC))
