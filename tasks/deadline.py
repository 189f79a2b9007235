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
    here = now.astimezone(zone)
    moment = datetime.combine(here.date(), wanted, tzinfo=zone)
    return moment if moment > here else datetime.combine(here.date() + timedelta(days=1), wanted, tzinfo=zone)


def deadline_of(until: time | None, zone: ZoneInfo) -> datetime | None:
    """The next moment a clock in `zone` shows `until`; None where nothing is said."""
    return None if until is None else next_moment(until, zone, datetime.now(UTC))
