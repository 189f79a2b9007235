"""Times of the settings that come again and again, in cron's five fields."""

import re
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

FIELDS = "minute, hour, day of month, month, day of week"
FIELD = re.compile(r"[0-9A-Za-z*,/-]+")
POINTLESS = re.compile(r"\b(\w+)-\1\b")
SPECIAL = re.compile(r"L|\dW|W\d")
A_MOMENT = datetime(2024, 1, 1)  # any will do to read the fields
CHANGE = timedelta(hours=3)
"""More than clocks are ever put forward or back at once."""


def _is_cron(text: str) -> str:
    """Take what every scheduler reads in the same way.

    Raises:
        ValueError: it is something else.
    """
    fields = text.split()
    if len(fields) != 5 or not all(FIELD.fullmatch(field) for field in fields):
        raise ValueError(f'is five fields of cron ({FIELDS}), as "0 1 * * *", got "{text}"')
    _, _, day, _, weekday = fields
    if SPECIAL.search(day) or SPECIAL.search(weekday):
        raise ValueError(f'is cron without "L" and "W", which schedulers read differently, got "{text}"')
    if "*" not in (day, weekday) and (day.startswith("*") or weekday.startswith("*")):
        raise ValueError(
            f'names days of the month and of the week, one of them as "*/…", which schedulers read differently, got "{text}"; '
            'write the days out, as "1-31/2"'
        )
    if POINTLESS.search(text):
        raise ValueError(f'is cron without a span of one, which schedulers read differently, got "{text}"')
    try:
        CronSim(text.upper(), A_MOMENT)
    except CronSimError as error:
        raise ValueError(f'is five fields of cron ({FIELDS}), got "{text}": {str(error).lower()}') from None
    return text


Cron = Annotated[str, AfterValidator(_is_cron)]


def last_start(cron: str, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """The newest time of `cron` at or before `moment`; None where there was none in fifty years.

    A time that is left out when clocks are put forward comes as much before the change; one that comes twice counts once, the
    first time. So does Prefect.

    Args:
        cron: as the settings take it.
        zone: in which its clock goes.
        moment: with a time zone.
    """
    clock = moment.astimezone(zone).replace(tzinfo=None)
    found: datetime | None = None
    for told in CronSim(cron.upper(), clock + CHANGE, reverse=True):
        if found is not None and told < clock - CHANGE:
            break
        start = _moment(told, zone)
        if start <= moment and (found is None or start > found):
            found = start
    return found


def _moment(clock: datetime, zone: ZoneInfo) -> datetime:
    """When a clock in `zone` shows this, in UTC."""
    utc = ZoneInfo("UTC")
    first = clock.replace(tzinfo=zone).astimezone(utc)
    shown = first.astimezone(zone).replace(tzinfo=None)
    return first if shown == clock else clock.replace(tzinfo=zone, fold=1).astimezone(utc)
