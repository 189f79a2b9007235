"""What the Summaries page asks of the lake: SQL in, data frames and frozen values out. Moments are UTC."""

from collections.abc import Collection

from dashboards.event_rows import RANKED_COLUMNS, Ranked, ranked
from dashboards.snapshot import LakeReader, records
from lake.keys import Place

Span = tuple[str, int]
"""A segment by the recording it is of and its begin in it, in microseconds."""


def day_events(lake: LakeReader, place: Place) -> list[Ranked]:
    """Events of a camera's day, of all heads, in order of time."""
    rows = lake.rows(
        f"SELECT {RANKED_COLUMNS} FROM events WHERE campaign = ? AND camera = ? AND day = ?"
        " ORDER BY started_at, head, region, event_id",
        (place.campaign, place.camera, place.day),
    )
    return [ranked(row) for row in rows.to_dict("records")]


def keyframes(lake: LakeReader, places: Collection[Place], spans: Collection[Span]) -> dict[Span, int]:
    """Time of the picture that stands for some measured segments, microseconds in the recording.

    Args:
        lake: where they are.
        places: their camera days, at least one, of one campaign and day.
        spans: the segments, by recording and begin in it.

    Returns:
        By recording and begin in it; without those whose pictures are all black or blurred.
    """
    one = next(iter(places))
    rows = lake.rows(
        """
        SELECT recording_id, from_us, keyframe_us FROM segments
        WHERE campaign = ? AND day = ? AND camera IN (SELECT unnest(?::VARCHAR[])) AND keyframe_us IS NOT NULL
              AND recording_id || chr(31) || from_us IN (SELECT unnest(?::VARCHAR[]))""",
        (
            one.campaign,
            one.day,
            [place.camera for place in places],
            [f"{recording_id}\x1f{from_us}" for recording_id, from_us in spans],
        ),
    )
    return {(row.recording_id, int(row.from_us)): int(row.keyframe_us) for row in records(rows)}


def recording_paths(lake: LakeReader, recording_ids: Collection[str]) -> dict[str, str]:
    """Where recordings lie below the footage root, by content; without those that have gone."""
    rows = lake.rows(
        """
        SELECT recording_id, min(path) AS path FROM recordings
        WHERE status IN ('ready', 'partial') AND recording_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY recording_id""",
        (list(recording_ids),),
    )
    return {row.recording_id: row.path for row in records(rows)}
