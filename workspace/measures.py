"""A review held against what is known: recall by minutes, agreement of reviewers, and whether a head travels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from lake.labels import Label, labels_now
from lake.reviews import views_of
from models.heads.retrieval import RetrievalSettings
from models.reviewing import ReviewCurve, cohen_kappa, recall_by_minutes
from models.transfer import BudgetPoint, Drift, drift, label_budget_curve, labels_needed
from workspace.session import Review
from workspace.training import BLOCK_US, Marks, Samples, mark, train

DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
BUDGETS = (4, 8, 16, 32, 64, 128, 256)


def recall_curve(review: Review, truth_name: str) -> ReviewCurve:
    """Share of the true moments that were looked at, by minutes of footage looked at, in the order of looking.

    Args:
        review: of one campaign.
        truth_name: name under which the truth is known.
    """
    told = [review.clock_span_us(label.span) for label in review.truth(truth_name) if label.relevant]
    true = [span for span in told if span is not None]
    looked = [
        review.slice_span_us(row)
        for view in views_of(review.workspace.ledger, review.use_case, review.campaign)
        if (row := review.row_of(view.span)) is not None
    ]
    spans = (np.array(some, dtype=np.int64).reshape(-1, 2) for some in (true, looked))
    return recall_by_minutes(*spans)


@dataclass(frozen=True)
class Conflict:
    """A moment of which two reviewers say different things: a row of the review, and who calls it relevant."""

    row: int
    relevant_by: str
    irrelevant_by: str


@dataclass(frozen=True)
class PairAgreement:
    """How two reviewers agree on the moments that both have labelled.

    Attributes:
        first, second: their names.
        moments: labelled by both.
        share: of these, how many they agree on; nan without any.
        kappa: Cohen's κ; nan where it is not defined.
        conflicts: what they do not agree on.
    """

    first: str
    second: str
    moments: int
    share: float
    kappa: float
    conflicts: tuple[Conflict, ...]


def agreements(review: Review) -> list[PairAgreement]:
    """Each pair of reviewers of a campaign, in order of name; two labels within one temporal slice speak of the same."""
    said = labels_now(review.workspace.ledger, each_author=True)
    mine = [label for label in said if (label.use_case, label.campaign) == (review.use_case, review.campaign)]
    by_author: dict[str, list[tuple[int, Label]]] = {}
    for label in mine:
        row = review.row_of(label.span)
        if row is not None:
            by_author.setdefault(label.author, []).append((row, label))
    return [_agreement(review, *pair) for pair in combinations(sorted(by_author.items()), 2)]


def _agreement(
    review: Review, first: tuple[str, list[tuple[int, Label]]], second: tuple[str, list[tuple[int, Label]]]
) -> PairAgreement:
    rows, answers = zip(*(_newest_of_slices(review, labels) for _, labels in (first, second)), strict=True)
    spans = [np.array([review.slice_span_us(row) for row in of], dtype=np.int64).reshape(-1, 2) for of in rows]
    told = cohen_kappa(spans[0], np.array(answers[0]), spans[1], np.array(answers[1]))
    conflicts = []
    for one in told.conflicts[:, 0].tolist():
        yes, no = (first[0], second[0]) if answers[0][one] else (second[0], first[0])
        conflicts.append(Conflict(rows[0][one], yes, no))
    return PairAgreement(first[0], second[0], len(told.pairs), told.share, told.kappa, tuple(conflicts))


def _newest_of_slices(review: Review, labels: Sequence[tuple[int, Label]]) -> tuple[list[int], list[bool]]:
    """One row and answer for each slice that a reviewer has labelled: their newest word on it."""
    newest: dict[int, tuple[int, Label]] = {}
    for row, label in sorted(labels, key=lambda item: item[1].said_at):
        newest[int(review.samples.slices[row])] = row, label
    kept = [newest[number] for number in sorted(newest)]
    return [row for row, _ in kept], [label.relevant for _, label in kept]


@dataclass(frozen=True, eq=False)
class Travel:
    """Whether a head that other campaigns trained can be trusted here.

    Attributes:
        trained_on: the campaigns whose labels trained it.
        drift: of this campaign's vectors against those campaigns'.
        checked: labels of this campaign it was held against; 0 where there are none.
        right: share of these that it gets right; nan without any.
        curve: quality by the number of this campaign's labels, on top of theirs; empty where there are too few.
        needed: labels of this campaign from which on more do not help; None where the curve does not show it.
        remark: why there is no curve; empty where there is one.
    """

    trained_on: tuple[str, ...]
    drift: Drift
    checked: int
    right: float
    curve: tuple[BudgetPoint, ...]
    needed: int | None
    remark: str


def travel(review: Review, settings: RetrievalSettings | None = None) -> Travel:
    """Hold the head that earlier campaigns' labels train against this campaign.

    Raises:
        ConfigurationError: no other campaign has labels of both kinds in this use case.
    """
    settings = settings or RetrievalSettings()
    labels = review.labels()
    others = [
        (samples, mark(samples, (label for label in labels if label.campaign == name)))
        for name, samples in review.others(labels).items()
    ]
    answers = np.concatenate([np.empty(0, dtype=np.bool_), *(marks.relevant for _, marks in others)])
    if not 0 < answers.sum() < len(answers):
        raise ConfigurationError(
            f"no other campaign has relevant and irrelevant labels of {review.use_case}; "
            "review one there first, or look at this campaign's own curve"
        )
    trained = train(others, settings)
    head = trained.fitted.head
    old = np.concatenate([np.asarray(samples.block.vectors) for samples, _ in others])
    blocks = _blocks([*(samples for samples, _ in others), review.samples])
    margins = head.score_unit(old), head.score_unit(review.block.vectors)
    moved = drift(old, blocks[: len(old)], np.asarray(review.block.vectors), blocks[len(old) :], margins)
    here = mark(review.samples, (label for label in labels if label.campaign == review.campaign))
    right = float("nan")
    if len(here.rows):
        right = float(((margins[1][here.rows] > 0) == here.relevant).mean())
    known = np.concatenate([np.asarray(samples.block.vectors[marks.rows]) for samples, marks in others]), answers
    curve, remark = _curve(review, here, settings, known)
    return Travel(trained.campaigns, moved, len(here.rows), right, tuple(curve), labels_needed(curve), remark)


def own_curve(review: Review, settings: RetrievalSettings | None = None) -> tuple[list[BudgetPoint], int | None, str]:
    """Quality by the number of this campaign's labels alone, how many suffice, and why there is no curve."""
    labels = [label for label in review.labels() if label.campaign == review.campaign]
    curve, remark = _curve(review, mark(review.samples, labels), settings or RetrievalSettings(), None)
    return curve, labels_needed(curve), remark


def _curve(
    review: Review,
    here: Marks,
    settings: RetrievalSettings,
    known: tuple[NDArray[np.float32], NDArray[np.bool_]] | None,
) -> tuple[list[BudgetPoint], str]:
    vectors = np.asarray(review.block.vectors[here.rows])
    blocks = review.block.from_us[here.rows] // BLOCK_US
    least = 0 if known is not None else BUDGETS[0]
    budgets = sorted({least, *(budget for budget in BUDGETS if budget <= len(here.rows) // 2)})
    try:
        return label_budget_curve(vectors, here.relevant, blocks, budgets, settings=settings, known=known), ""
    except ConfigurationError as error:
        return [], str(error)


def _blocks(campaigns: Sequence[Samples]) -> NDArray[np.int64]:
    """Temporal block of each row: days, where there are fewer than two of these hours, else minutes.

    Long blocks, for a frame is no news where one like it was seen a minute ago. Campaigns share none.
    """
    begins = [samples.block.from_us for samples in campaigns]
    shortest_us = min(int(begin[-1] - begin[0]) for begin in begins)
    length_us = next((length for length in (DAY_US, HOUR_US) if shortest_us >= 2 * length), BLOCK_US)
    return np.concatenate([begin // length_us + number * 2**40 for number, begin in enumerate(begins)])
