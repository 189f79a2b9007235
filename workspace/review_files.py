"""A review's moments as files for other software, before any night has found them."""

from pathlib import Path

from workspace.event_files import EventRow, Format
from workspace.event_timelines import TimelineSettings, event_files
from workspace.known_recordings import KnownRecordings
from workspace.session import Ranking, Review


def moment_rows(review: Review, ranking: Ranking) -> list[EventRow]:
    """The relevant moments of a review, in order of time."""
    found = review.moments(ranking)
    by_score = sorted(range(len(found)), key=lambda position: (-found[position].score, found[position].started_at))
    rank = {position: number for number, position in enumerate(by_score, start=1)}
    case = review.use_case
    return [
        EventRow(
            review.campaign,
            case.camera,
            review.place(moment.row).day,
            case.name,
            case.region,
            moment.started_at,
            moment.ended_at,
            moment.peak_at,
            moment.recording_id,
            rank=rank[position],
            peak_score=moment.score,
            threshold=ranking.threshold,
        )
        for position, moment in enumerate(found)
    ]


def moments_file(review: Review, ranking: Ranking, form: Format) -> bytes:
    """The moments as one file of the format."""
    settings = TimelineSettings(review.workspace.settings.zone, review.workspace.site.footage_root)
    target = Path(f"moments.{form}")
    known = KnownRecordings(review.workspace.ledger)
    return event_files(moment_rows(review, ranking), known, target, form, settings)[target]
