"""Times, spans and shares as people read them, in the site's time zone."""

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def duration_text(seconds: float) -> str:
    """A span in the two units that matter: `45 s`, `12 min 30 s`, `2 h 05 min`, `3 d 4 h`."""
    if 0 < seconds < 1:
        return "< 1 s"
    total = round(seconds)
    minutes, rest_s = divmod(total, 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    if days >= 2:
        return f"{days} d {rest_h} h"
    if hours:
        return f"{hours} h {rest_min:02d} min"
    if minutes:
        return f"{minutes} min {rest_s:02d} s" if rest_s else f"{minutes} min"
    return f"{total} s"


def share_text(part: float, whole: float) -> str:
    """A share in percent that says 100 % or 0 % only where it is so; `–` of nothing."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    if part <= 0 or abs(part - whole) < 0.0005:
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.1), 99.9):.1f} %"


def score_text(score: float) -> str:
    """A score to three digits, without powers of ten: `0.0123`, `6.2`, `3,020`."""
    return f"{score:.3g}" if abs(score) < 1000 else f"{float(f'{score:.3g}'):,.0f}"


def strength_text(score: float, threshold: float) -> str:
    """How far a score is above its threshold: `1.4× threshold`, `over 1,000× threshold`; without one, the score itself."""
    if not threshold > 0:
        return f"score {score_text(score)}"
    ratio = score / threshold
    told = f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}" if ratio < 1000 else "over 1,000"
    return f"{told}× threshold"


def clock_text(moment: datetime, zone: ZoneInfo) -> str:
    """Time of day to the second: `08:12:31`."""
    return moment.astimezone(zone).strftime("%H:%M:%S")


def moment_text(moment: datetime, zone: ZoneInfo) -> str:
    """Date and time to the minute: `Sat 21 Nov 2026, 01:05`."""
    return f"{day_text(moment.astimezone(zone).date())}, {moment.astimezone(zone):%H:%M}"


def day_text(day: date) -> str:
    """`Sat 21 Nov 2026`."""
    return f"{day:%a} {day.day} {day:%b %Y}"


def age_text(moment: datetime, now: datetime | None = None) -> str:
    """How long ago: `12 s ago`."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return f"{duration_text(max(seconds, 0.0))} ago"


def count_text(count: int, one: str, many: str | None = None) -> str:
    """`1 event`, `3 events`, `no events`."""
    plural = many or f"{one}s"
    return f"no {plural}" if count == 0 else f"{count:,} {one if count == 1 else plural}"


def zone_text(zone: ZoneInfo, now: datetime | None = None) -> str:
    """The zone and its offset at present: `Europe/Rome (UTC+01:00)`."""
    offset = f"{(now or datetime.now(UTC)).astimezone(zone):%z}"
    return f"{zone.key} (UTC{offset[:3]}:{offset[3:5]})" if zone.key != "UTC" else "UTC"


def plain_text(text: str) -> str:
    """What a person wrote, so that Markdown shows it letter by letter."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!:$~|<>])", r"\\\1", text)
