"""What the Alarms page asks of the lake: SQL in, data frames and frozen values out. Moments are UTC."""

from collections.abc import Sequence
from datetime import timedelta

import pandas as pd

from dashboards.event_rows import RANKED_COLUMNS, Ranked, ranked
from dashboards.snapshot import LakeReader
from workspace.event_files import EventRow


def alarm_events(lake: LakeReader, alarms: Sequence[str]) -> list[Ranked]:
    """Events of some alarms, of all campaigns and cameras: the newest night first, within it the most probable."""
    rows = lake.rows(
        f"""
        SELECT {RANKED_COLUMNS} FROM events WHERE alarm AND head IN (SELECT unnest(?::VARCHAR[]))
        ORDER BY day DESC, peak_score DESC NULLS LAST, peak_at, campaign, camera, region, head, event_id""",
        (list(alarms),),
    )
    return [ranked(row) for row in rows.to_dict("records")]


def scored_alarms(lake: LakeReader, alarms: Sequence[str]) -> pd.DataFrame:
    """What alarms have looked at.

    Returns:
        Columns alarm, cameras (how many), nights (how many), newest (day), in order of alarm; without a row for those that
        have scored nothing.
    """
    return lake.rows(
        """
        SELECT head AS alarm, count(DISTINCT campaign || chr(31) || camera) AS cameras, count(DISTINCT day) AS nights,
               max(day) AS newest
        FROM scores WHERE head IN (SELECT unnest(?::VARCHAR[])) GROUP BY head ORDER BY head""",
        (list(alarms),),
    )


def alarm_remarks(lake: LakeReader, alarms: Sequence[str]) -> pd.DataFrame:
    """What the newest night of each camera had to say of an alarm, such as why it could not be looked for.

    Returns:
        Columns alarm, campaign, camera, day, status, message, in that order; without a row where there is nothing to know.
    """
    return lake.rows(
        """
        WITH newest AS (
            SELECT scope AS alarm, campaign, camera, day, status, message FROM runs
            WHERE step = 'classify' AND scope IN (SELECT unnest(?::VARCHAR[]))
            QUALIFY row_number() OVER (PARTITION BY scope, campaign, camera ORDER BY day DESC, finished_at DESC) = 1)
        SELECT * FROM newest WHERE message <> '' ORDER BY alarm, campaign, camera""",
        (list(alarms),),
    )


def probabilities(lake: LakeReader, event: EventRow, around: timedelta) -> pd.DataFrame:
    """Probabilities of an event's alarm and region from `around` before the event to as long after it.

    Returns:
        Columns recording_id, taken_at, seconds (that the probability is about, from `taken_at`), probability, in order of
        time.
    """
    return lake.rows(
        """
        SELECT recording_id, taken_at, (to_us - from_us) / 1e6 AS seconds, probability::DOUBLE AS probability
        FROM scores
        WHERE head = ? AND version = ? AND campaign = ? AND camera = ? AND region = ?
              AND taken_at + to_microseconds(to_us - from_us) > ? AND taken_at < ?
        ORDER BY taken_at, recording_id, index""",
        (
            event.head,
            event.version,
            event.campaign,
            event.camera,
            event.region,
            event.started_at - around,
            event.ended_at + around,
        ),
    )
