"""How far a review has come, and what it may have missed."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from infra.errors import ConfigurationError
from lake.reviews import AuditDraw, newest_audit, say_audit, views_of
from models.labelling import middles
from models.reviewing import missed_upper_bound
from workspace.session import EPOCH, Ranking, Review
from workspace.training import Rows

AUDIT_SLICES = 59
"""Slices drawn for an audit: if none of 59 is relevant, at most 5 % of what was not flagged is, at 95 % confidence."""


@dataclass(frozen=True)
class Progress:
    """How far a review has come.

    Attributes:
        slices, looked: temporal slices of the campaign, and how many of them somebody has looked at.
        flagged_left: slices that are flagged and were not looked at yet.
        recorded_s, looked_s: footage there is, and footage that was looked at (each second once).
        spent_s: what reviewers spent on it.
    """

    slices: int
    looked: int
    flagged_left: int
    recorded_s: float
    looked_s: float
    spent_s: float


@dataclass(frozen=True)
class Audit:
    """What a random sample of unflagged slices says about what was missed.

    Attributes:
        drawn: slices of the sample.
        answered: of these, in the order drawn, those up to the first that nobody has looked at since: so many of a
            random sample are a random sample themselves.
        relevant: answered slices that are relevant; a slice that was looked at and skipped counts as one.
        unflagged: slices the sample was drawn from.
        share, slices: upper bounds at 95 % confidence of the relevant share, and of the number, among `unflagged`.
        left: rows still to be answered.
        said_at: when the sample was drawn; it speaks of the head as it was then.
    """

    drawn: int
    answered: int
    relevant: int
    unflagged: int
    share: float
    slices: int
    left: tuple[int, ...]
    said_at: datetime


def progress_of(review: Review, ranking: Ranking) -> Progress:
    """What was looked at and what is left."""
    slices, looked = review.samples.slices, looked_slices(review)
    flagged = np.unique(slices[np.flatnonzero(ranking.flagged)])
    seen = np.isin(slices, looked)
    return Progress(
        slices=review.samples.slice_count,
        looked=len(looked),
        flagged_left=int((~np.isin(flagged, looked)).sum()),
        recorded_s=_union_s(review.block.from_us, review.until_us),
        looked_s=_union_s(review.block.from_us[seen], review.until_us[seen]),
        spent_s=sum(view.seconds for view in views_of(review.workspace.ledger, review.use_case, review.campaign)),
    )


def looked_slices(review: Review, since: datetime = EPOCH) -> Rows:
    views = views_of(review.workspace.ledger, review.use_case, review.campaign)
    spans = [view.span for view in views if view.said_at >= since]
    labels = [label for label in review.labels() if label.campaign == review.campaign and label.said_at >= since]
    spans += [label.span for label in labels]
    looked: list[Rows] = [np.empty(0, dtype=np.int64)]
    looked += [review.samples.slices[review.samples.rows_within(span)] for span in dict.fromkeys(spans)]
    return np.unique(np.concatenate(looked))


# What may have been missed.


def draw_audit(review: Review, ranking: Ranking, author: str, seed: int, count: int = AUDIT_SLICES) -> AuditDraw:
    """Draw a random sample of the slices that are neither flagged nor labelled, to be labelled.

    Raises:
        ConfigurationError: there is no head with a threshold yet, or nothing is left to draw from.
    """
    if ranking.threshold is None:
        raise ConfigurationError("an audit needs a head that separates: label relevant and irrelevant moments first")
    slices = review.samples.slices
    taken = np.union1d(slices[np.flatnonzero(ranking.flagged)], slices[ranking.marks.rows])
    rows = middles(slices)
    free = rows[~np.isin(slices[rows], taken)]
    if not len(free):
        raise ConfigurationError("every slice is flagged or labelled: there is nothing left to audit")
    # In the order drawn: however many of them are answered, these are a random sample.
    chosen = np.random.default_rng(seed).choice(free, min(count, len(free)), replace=False)
    spans = tuple(review.samples.span(int(row)) for row in chosen)
    draw = AuditDraw(review.use_case, review.campaign, spans, len(free), seed, author)
    say_audit(review.workspace.ledger, draw)
    return draw


def audit_of(review: Review) -> Audit | None:
    """What the newest sample says so far; None where none was drawn."""
    draw = newest_audit(review.workspace.ledger, review.use_case, review.campaign)
    if draw is None:
        return None
    answers = _answers_since(review, draw.said_at)
    looked = looked_slices(review, since=draw.said_at)
    rows = [row for row in (review.row_of(span) for span in draw.spans) if row is not None]
    counted = relevant = 0
    for row in rows:
        number = int(review.samples.slices[row])
        if number not in answers and number not in looked:
            break
        counted += 1
        relevant += answers.get(number, True)
    bound = missed_upper_bound(relevant, counted, draw.unflagged)
    return Audit(
        drawn=len(draw.spans),
        answered=counted,
        relevant=relevant,
        unflagged=draw.unflagged,
        share=bound.share,
        slices=bound.count,
        left=tuple(row for row in rows if int(review.samples.slices[row]) not in answers),
        said_at=draw.said_at,
    )


def _answers_since(review: Review, moment: datetime) -> dict[int, bool]:
    """The newest answer of each slice that was given after a moment, wherever in the slice."""
    answers: dict[int, bool] = {}
    for label in sorted(review.labels(), key=lambda label: label.said_at):
        if label.campaign == review.campaign and label.said_at >= moment:
            for number in np.unique(review.samples.slices[review.samples.rows_within(label.span)]):
                answers[int(number)] = label.relevant
    return answers


def _union_s(from_us: Rows, to_us: Rows) -> float:
    """Seconds covered by spans in order of their start; what overlaps counts once."""
    if not len(from_us):
        return 0.0
    reached = np.maximum.accumulate(to_us)
    begins = np.maximum(from_us, np.concatenate([from_us[:1], reached[:-1]]))
    return float(np.maximum(to_us - begins, 0).sum() / 1e6)
