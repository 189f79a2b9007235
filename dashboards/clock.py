"""The site's clock for charts, whose scales know no zone but UTC and the browser's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd


@dataclass(frozen=True)
class Clock:
    """The site's clock over a window of time, for a scale that knows UTC only.

    A window in which clocks change keeps the offset it began with; labels after the change add the difference.
    """

    zone: ZoneInfo
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"a window needs start < end, got {self.start} and {self.end}")

    @property
    def offset(self) -> timedelta:
        return self.start.astimezone(self.zone).utcoffset() or timedelta()

    def shifted(self, moments: pd.Series) -> pd.Series:
        """Moments as the scale wants them: what the clock shows, told as if it were UTC, without a zone."""
        shown: pd.Series = moments.dt.tz_convert("UTC").dt.tz_localize(None) + self.offset
        return shown

    @property
    def domain_ms(self) -> list[int]:
        """The window on the shifted scale, in milliseconds since 1970."""
        return [round((moment + self.offset).timestamp() * 1000) for moment in (self.start, self.end)]

    @property
    def label_expression(self) -> str:
        """Vega expression that writes a tick's time of day."""
        seconds = (self.end - self.start).total_seconds()
        form = "%H:%M:%S" if seconds < 900 else "%H:%M" if seconds < 36 * 3600 else "%d %b %H:%M"
        later = self.end.astimezone(self.zone).utcoffset() or timedelta()
        if later == self.offset:
            return f"utcFormat(datum.value, '{form}')"
        low, high = self.start, self.end
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) / 2
            low, high = (middle, high) if middle.astimezone(self.zone).utcoffset() == self.offset else (low, middle)
        change_ms = round((high.timestamp() + self.offset.total_seconds()) * 1000)
        more_ms = round((later - self.offset).total_seconds() * 1000)
        return f"utcFormat(datum.value + (+datum.value >= {change_ms} ? {more_ms} : 0), '{form}')"
