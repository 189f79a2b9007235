"""What the Regions page asks of the lake: a camera's recordings, and how much of it is embedded for each region."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from dashboards.queries import USABLE
from dashboards.snapshot import LakeReader, records
from lake.keys import Place

FINISHED = "status IN ('done', 'skipped', 'partial')"


@dataclass(frozen=True)
class Stretch:
    """A usable recording of a camera's day, as far as it reaches.

    Attributes:
        recording_id: hash of its content.
        path: relative to the footage root.
        started_at: true time of its first picture.
        duration_us: recorded time.
        width, height: of its pictures, in pixels.
    """

    recording_id: str
    path: str
    started_at: datetime
    duration_us: int
    width: int
    height: int

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(microseconds=self.duration_us)

    def t_us(self, moment: datetime) -> int:
        """`moment` as microseconds since the first picture, within the recording."""
        since = round((moment - self.started_at) / timedelta(microseconds=1))
        return min(max(since, 0), max(self.duration_us - 1, 0))


def stretches(lake: LakeReader, place: Place) -> list[Stretch]:
    """The usable recordings of a camera's day that hold something, in order of time."""
    rows = lake.rows(
        f"""
        SELECT recording_id, path, started_at, duration_us, width, height FROM recordings
        WHERE campaign = ? AND camera = ? AND day = ? AND {USABLE} AND duration_us > 0 AND started_at IS NOT NULL
        ORDER BY started_at, path""",
        (place.campaign, place.camera, place.day),
    )
    return [
        Stretch(
            row.recording_id,
            row.path,
            row.started_at.to_pydatetime(),
            int(row.duration_us),
            int(row.width),
            int(row.height),
        )
        for row in records(rows)
    ]


def recording_count(lake: LakeReader, camera: str) -> int:
    """Usable recordings of a camera, in all campaigns."""
    rows = lake.rows(
        f"SELECT count(DISTINCT recording_id) AS held FROM recordings WHERE camera = ? AND {USABLE}", (camera,)
    )
    return int(rows["held"][0])


def embedded_recordings(lake: LakeReader, camera: str, drawn: Iterable[tuple[str, datetime]]) -> pd.DataFrame:
    """How many of a camera's usable recordings are embedded with the outlines that regions have now.

    What a run made counts where it began after the outline was said: before, it is of another one. Of a day that was
    finished, every recording that was known then counts, also one too short to give a vector; of an unfinished day,
    those with vectors.

    Args:
        lake: to ask.
        camera: whose regions.
        drawn: name of each region, and since when its outline is what it is.

    Returns:
        Columns region, space, recordings; pairs without an embedded recording are absent.
    """
    since = {name: moment.astimezone(UTC) for name, moment in drawn}
    if not since:
        return pd.DataFrame({"region": [], "space": [], "recordings": []})
    return lake.rows(
        f"""
        WITH drawn AS (SELECT unnest(?::VARCHAR[]) AS region, unnest(?::TIMESTAMPTZ[]) AS said_at),
        -- A run is named by the second in which it began; its first row comes later.
        began AS (
            SELECT run_id, least(min(started_at),
                                 to_timestamp(epoch(try_strptime(left(run_id, 15), '%Y%m%dT%H%M%S')))) AS began_at
            FROM runs GROUP BY run_id),
        newest AS (
            SELECT campaign, day, scope, arg_max(run_id, finished_at) AS run_id, arg_max(status, finished_at) AS status,
                   max(finished_at) AS finished_at
            FROM runs WHERE step = 'embed' AND camera = ? AND {FINISHED} GROUP BY ALL),
        fresh AS (
            SELECT campaign, day, region, left(scope, length(scope) - length(region) - 1) AS space, status, finished_at
            FROM newest JOIN began USING (run_id) JOIN drawn ON ends_with(scope, '/' || region) AND began_at >= date_trunc('second', said_at)),
        usable AS (SELECT * FROM recordings WHERE camera = ? AND {USABLE}),
        embedded AS (
            SELECT region, space, recording_id FROM usable JOIN fresh USING (campaign, day)
            WHERE fresh.status <> 'partial' AND seen_at <= finished_at
            UNION
            SELECT region, space, recording_id FROM embeddings JOIN fresh USING (campaign, day, region, space)
            WHERE camera = ? AND fresh.status = 'partial' AND recording_id IN (SELECT recording_id FROM usable))
        SELECT region, space, count(DISTINCT recording_id) AS recordings
        FROM embedded GROUP BY ALL ORDER BY region, space""",
        (list(since), list(since.values()), camera, camera, camera),
    )
