"""What the ledger says of recordings, of all times: the ages that policies go by, and the places that holds go by."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from lake.current import recordings_of
from lake.keys import Place
from workspace.opened import Workspace

CONTENT = ("ready", "partial", "duplicate")
"""Status of files whose content can be used."""

Row = dict[str, Any]


class KnownFootage:
    """Recordings by their content, under every name and on every day that they ever had.

    Args:
        workspace: the site.
        now: by the clock, which is trusted.
    """

    def __init__(self, workspace: Workspace, now: datetime) -> None:
        self._zone, self._now = workspace.settings.zone, now
        self.today = now.astimezone(self._zone).date()
        self.rows: list[Row] = workspace.ledger.rows("recordings").to_pylist()
        self.files: list[Row] = [row for row in recordings_of(self.rows) if row["status"] != "gone"]
        self.contents: dict[Place, set[str]] = defaultdict(set)
        self.places: dict[str, set[Place]] = defaultdict(set)
        self._found: dict[str, datetime] = {}
        self._ended: dict[str, datetime] = {}
        for row in self.rows:
            content = row["recording_id"]
            if not content or not row["camera"]:
                continue
            place = Place(row["campaign"], row["camera"], row["day"])
            self.contents[place].add(content)
            self.places[content].add(place)
            self._found[content] = min(self._found.get(content, row["seen_at"]), row["seen_at"])
            if row["started_at"] is not None:
                ended_at = row["started_at"] + timedelta(microseconds=row["duration_us"] or 0)
                self._ended[content] = max(self._ended.get(content, ended_at), ended_at)

    def is_past(self, day: date, days: int) -> bool:
        """Whether more than `days` days have gone by since a day."""
        return (self.today - day).days > days

    def is_old(self, content: str, days: int) -> bool:
        """Whether more than `days` days have gone by since a recording's day, whichever it ever was reckoned to, since its end,
        and since the day on which it was found.

        The last is for what a name says that is not so: a camera whose clock fell back to its first day, or an archive that was
        taken in yesterday.
        """
        ended_at = self._ended.get(content)
        if ended_at is None or content not in self._found:
            return False
        found_on = self._found[content].astimezone(self._zone).date()
        since = [*(place.day for place in self.places[content]), found_on]
        return all(self.is_past(day, days) for day in since) and self._now - ended_at > timedelta(days=days)

    def all_old(self, contents: Iterable[str], days: int) -> bool:
        """Whether there are any, and all of them are."""
        asked = list(contents)
        return bool(asked) and all(self.is_old(content, days) for content in asked)
