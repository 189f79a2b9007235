"""Reads a lake again and again while others write it, and holds every snapshot against what a snapshot may be.

`python -m benchmarks.sessions_checker SITE` looks until its standard input ends, then tells as JSON how often it looked, how
many different states it saw, and what was wrong with them.
"""

import json
import select
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboards.media import read_published
from dashboards.snapshot import LakeReader, records
from infra.errors import AfterwatchError
from infra.site import Site
from lake.catalogue import DATA_TABLES
from lake.keys import Place
from lake.ledger import FINISHED
from lake.store import Store

PAUSE_S = 0.5
"""Between two looks, so that who looks is no burden to who is looked at."""
TOLD_AT_MOST = 20
_PLACE = "campaign, camera, day"
_SCORED = f"{_PLACE}, head, version, region"

LATEST = f"""
    SELECT step, unnest(outputs) AS path FROM (
        SELECT *, row_number() OVER (PARTITION BY step, {_PLACE}, scope ORDER BY finished_at DESC, rowid DESC) AS age
        FROM runs WHERE status IN {FINISHED})
    WHERE age = 1"""
"""The files that count, by the rows of the same snapshot; not as `lake/current.py` finds them, which is what is checked."""

RULES: Mapping[str, str] = {
    "coverage that does not add up to its recording": """
        SELECT recording_id, sum(to_us - from_us) AS told_us, any_value(duration_us) AS duration_us
        FROM coverage JOIN (SELECT DISTINCT recording_id, duration_us FROM recordings
                            WHERE status IN ('ready', 'partial')) USING (recording_id)
        GROUP BY recording_id HAVING told_us <> any_value(duration_us)""",
    "coverage of a recording that nobody has entered": """
        SELECT recording_id FROM coverage ANTI JOIN recordings USING (recording_id)""",
    "scores of what is not embedded": f"""
        SELECT {_PLACE}, head, recording_id, region, "index" FROM scores
        ANTI JOIN embeddings USING ({_PLACE}, recording_id, region, "index")""",
    "a score told twice": f"""
        SELECT {_SCORED}, recording_id, "index", count(*) AS times FROM scores
        GROUP BY ALL HAVING times > 1""",
    "an event without its scores": f"""
        SELECT {_SCORED}, event_id FROM events ANTI JOIN scores ON
        {" AND ".join(f"events.{name} = scores.{name}" for name in _SCORED.split(", "))}
        AND events.recording_id = scores.recording_id AND scores.flagged""",
    "an event told twice": f"SELECT {_SCORED}, event_id, count(*) AS times FROM events GROUP BY ALL HAVING times > 1",
    "an event of a recording that nobody has entered": """
        SELECT event_id, recording_id FROM events ANTI JOIN recordings USING (recording_id)""",
    "a reason for no event": f"SELECT {_PLACE}, event_id FROM reasons ANTI JOIN events USING ({_PLACE}, event_id)",
    "a summary of no segment": f"""
        SELECT {_PLACE}, recording_id, segment FROM summaries
        ANTI JOIN segments USING ({_PLACE}, recording_id, segment)""",
    "a question about no recording": "SELECT recording_id FROM queue ANTI JOIN recordings USING (recording_id)",
}
"""SELECTs that find nothing in a lake that is whole."""


class Checker:
    """Looks at one workspace.

    Attributes:
        looks: snapshots held against the rules.
        states: how many of them were another than the one before.
        wrong: what broke a rule, each once, with how often it was seen.
    """

    def __init__(self, root: Path) -> None:
        self._site = Site.open(root)
        self._store = Store(self._site.lake_location, self._site.settings.lake_options)
        self._reader = LakeReader(self._store, refresh_s=0.0)
        self._rows_of: dict[str, Counter[tuple[str, ...]]] = {}
        self._last: tuple[int, int] = (0, 0)
        self.looks = self.states = 0
        self.wrong: Counter[str] = Counter()

    def look(self) -> None:
        """Take a snapshot and hold it against every rule."""
        with self._reader.held():
            found = [*self._growth(), *self._receipts()]
            for rule, sql in RULES.items():
                rows = self._reader.rows(sql)
                found += [f"{rule}: {len(rows)} rows, as {rows.iloc[0].to_dict()}"] if len(rows) else []
        self.looks += 1
        self.wrong.update([*found, *self._published()])

    def _growth(self) -> list[str]:
        """Ledgers only grow; and rows of one that were seen are seen again."""
        rows = self._reader.rows(
            "SELECT (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM recordings) AS recordings"
        )
        now, before = (int(rows["runs"][0]), int(rows["recordings"][0])), self._last
        self.states += now != before
        self._last = now
        return [f"the ledgers shrank from {before} to {now} rows"] if min(map(int.__sub__, now, before)) < 0 else []

    def _receipts(self) -> list[str]:
        """Of every file that a receipt of the snapshot names, all rows are in the snapshot's tables, and no others."""
        told: Counter[tuple[str, ...]] = Counter()
        for row in records(self._reader.rows(LATEST)):
            if not (row.step == "summarise" and row.path.startswith("segments/")):
                told.update(self._rows(row.path))
        shown: Counter[tuple[str, ...]] = Counter()
        for table in DATA_TABLES:
            counted = self._reader.rows(f"SELECT {_PLACE}, count(*) AS rows FROM {table} GROUP BY ALL")
            shown.update({(table, row.campaign, row.camera, str(row.day)): int(row.rows) for row in records(counted)})
        wrong = {key for key in {*told, *shown} if told[key] != shown[key]}
        return [
            f"{' '.join(key)}: {shown[key]} rows shown, {told[key]} in the files that count" for key in sorted(wrong)
        ]

    def _rows(self, path: str) -> Counter[tuple[str, ...]]:
        """Rows of a file by table and camera's day, read past the catalogue."""
        if path not in self._rows_of:
            places = self._store.read_table(path, _PLACE.split(", ")).to_pylist()
            table = path.split("/", 1)[0]
            self._rows_of[path] = Counter((table, row["campaign"], row["camera"], str(row["day"])) for row in places)
        return self._rows_of[path]

    def _published(self) -> list[str]:
        """What a published day names is there, unless the day was published again meanwhile."""
        wrong = []
        for summary in self._site.published_folder.glob("*/*/*/summary.json"):
            before, (campaign, camera, day) = summary.read_bytes(), summary.parts[-4:-1]
            try:
                place = next(place for place in self._places(campaign, camera) if place.day.isoformat() == day)
                published = read_published(self._site, place)
            except (AfterwatchError, StopIteration) as error:
                wrong.append(f"{summary} cannot be read: {error!r}")
                continue
            assert published is not None
            named = [published.video, published.contact, *(entry.keyframe for entry in published.entries)]
            named += [file for clip in published.clips.values() for file in (clip.path, clip.keyframe)]
            absent = [name for name in named if name and published.file(name) is None]
            if absent and summary.read_bytes() == before:
                wrong.append(f"{summary} names {absent[0]}, which is not there")
        return wrong

    def _places(self, campaign: str, camera: str) -> list[Place]:
        rows = self._reader.rows(
            f"SELECT DISTINCT {_PLACE} FROM recordings WHERE campaign = ? AND camera = ?", (campaign, camera)
        )
        return [Place(row.campaign, row.camera, row.day) for row in records(rows)]

    def as_json(self) -> dict[str, Any]:
        wrong = [f"{what} ({times} times)" for what, times in self.wrong.most_common(TOLD_AT_MOST)]
        return {"looks": self.looks, "states": self.states, "wrong": wrong}


def main() -> None:
    checker = Checker(Path(sys.argv[1]))
    checker.look()
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        checker.look()
    print(json.dumps(checker.as_json()))


if __name__ == "__main__":
    main()
