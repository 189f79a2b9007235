"""A review of one use case in one campaign: labels in, a ranking out, again after every label.

Nothing here is drawn and nothing is decoded. What people say goes to the ledger at once, so a review can be left and
gone on with, by several people at the same time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError
from lake.keys import Place
from lake.labels import Label, Span, UseCase, labels_now, say_labels, undo_label
from lake.matrix import Block, Matrices
from lake.reviews import AuditDraw, View, audit_of, say_audit, say_views, views_of
from models.events import Event, find_events
from models.heads.retrieval import RetrievalSettings
from models.labelling import disputed, middles, suggest
from models.reviewing import missed_upper_bound
from workspace.opened import PlannedEncoder, Workspace
from workspace.search import open_matrices
from workspace.training import Marks, Rows, Samples, Trained, mark, train

Order = Literal["suggested", "most relevant", "in time", "audit", "disputed"]
ORDERS: tuple[Order, ...] = get_args(Order)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DISPUTED_MARGIN = 0.5
"""How far on the wrong side of the boundary a label is disputed: half way to where the other class lies."""
AUDIT_SLICES = 59
"""Slices drawn for an audit: if none of 59 is relevant, at most 5 % of what was not flagged is, at 95 % confidence."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """What a head makes of a campaign, after the newest label.

    Attributes:
        trained: None until something is labelled relevant.
        scores: float32 (N,), higher is more relevant; None likewise.
        probability: float32 (N,), calibrated; None where there are too few labels.
        threshold: above which a row counts as relevant; None while similarity ranks.
        events: the relevant moments, in order of time.
        flagged: bool (N,), rows inside a relevant moment; none while similarity ranks.
        marks: the campaign's own labels as rows.
        seconds: that fitting and scoring took.
    """

    trained: Trained | None
    scores: NDArray[np.float32] | None
    probability: NDArray[np.float32] | None
    threshold: float | None
    events: tuple[Event, ...]
    flagged: NDArray[np.bool_]
    marks: Marks
    seconds: float


@dataclass(frozen=True)
class FoundMoment:
    """A relevant moment of a campaign.

    Attributes:
        row: where its score is highest.
        started_at, ended_at, peak_at: true times.
        recording_id, peak_us: of the peak, and its time in that recording.
        score: smoothed, at the peak.
        probability: calibrated, at the peak; None where there are too few labels.
    """

    row: int
    started_at: datetime
    ended_at: datetime
    peak_at: datetime
    recording_id: str
    peak_us: int
    score: float
    probability: float | None


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


def reviewable(workspace: Workspace, matrices: Matrices, campaign: str, camera: str) -> dict[str, list[PlannedEncoder]]:
    """Regions of a camera that are embedded, and the encoders that did it, frame encoders first."""
    found: dict[str, list[PlannedEncoder]] = {}
    for encoder in sorted(workspace.encoders, key=lambda encoder: encoder.spec.kind != "frame"):
        for of_campaign, of_camera, region in matrices.names(encoder.spec.space):
            if (of_campaign, of_camera) == (campaign, camera):
                found.setdefault(region, []).append(encoder)
    return found


def open_review(
    workspace: Workspace, use_case: UseCase, campaign: str | None = None, encoder: str | None = None
) -> "Review":
    """A review as the page opens it, with what is not said chosen.

    Args:
        workspace: the site.
        use_case: what is looked for.
        campaign: None: the one with the newest label of the use case, else the last by name.
        encoder: None: the first that has embedded the region, frame encoders before others.

    Raises:
        ConfigurationError: the region is not embedded.
        UnknownNameError: there is no such campaign or encoder.
    """
    matrices = open_matrices(workspace)
    camera, region = use_case.camera, use_case.region
    names = {name for planned in workspace.encoders for name in matrices.names(planned.spec.space)}
    places = sorted(place for place, *where in names if where == [camera, region])
    if not places:
        raise ConfigurationError(
            f"region {region} of camera {camera} is not embedded in any campaign; "
            f'look it up with "afterwatch regions list", then run "afterwatch backfill --camera {camera}"'
        )
    if campaign is None:
        labels = [label for label in labels_now(workspace.ledger) if label.use_case == use_case]
        newest = max(
            (label for label in labels if label.campaign in places), key=lambda label: label.said_at, default=None
        )
        campaign = places[-1] if newest is None else newest.campaign
    if campaign not in places:
        raise UnknownNameError(f"campaign with vectors of {camera}, {region}", campaign, places)
    able = reviewable(workspace, matrices, campaign, camera)[region]
    if encoder is not None and encoder not in [planned.table.name for planned in able]:
        raise UnknownNameError(f"encoder that has embedded {region}", encoder, (one.table.name for one in able))
    chosen = next(planned for planned in able if encoder in (None, planned.table.name))
    return Review(workspace, matrices, use_case, campaign, chosen)


class Review:
    """A use case under review in one campaign, seen through one encoder.

    Args:
        workspace: the site.
        matrices: its vectors.
        use_case: what is looked for.
        campaign: where.
        encoder: through which encoder's vectors.

    Raises:
        ConfigurationError: the region is not embedded in this campaign yet.
    """

    def __init__(
        self, workspace: Workspace, matrices: Matrices, use_case: UseCase, campaign: str, encoder: PlannedEncoder
    ) -> None:
        self.workspace, self.use_case, self.campaign, self.encoder = workspace, use_case, campaign, encoder
        self._matrices = matrices
        self._ledger = workspace.ledger
        self.samples = self._samples(campaign)
        if not len(self.samples.block.norms):
            raise ConfigurationError(
                f"region {use_case.region} of {campaign} · {use_case.camera} is not embedded by {encoder.spec.name}; "
                f'run "afterwatch backfill --camera {use_case.camera}"'
            )
        self._known: tuple[object, Ranking] | None = None
        self._elsewhere: dict[str, Samples] = {}

    @property
    def block(self) -> Block:
        return self.samples.block

    def _block(self, campaign: str) -> Block:
        return self._matrices.block(self.encoder.spec.space, campaign, self.use_case.camera, self.use_case.region)

    def _samples(self, campaign: str) -> Samples:
        return Samples.of(self._block(campaign), self.workspace.settings.reach_s)

    @property
    def until_us(self) -> Rows:
        """int64 (N,): until when each row speaks for the camera; see `Samples`."""
        return self.samples.until_us

    # What was said.

    def labels(self) -> list[Label]:
        """Labels of the use case that count, of every campaign."""
        return [label for label in labels_now(self._ledger) if label.use_case == self.use_case]

    def truth(self, name: str) -> list[Label]:
        """What is known to be true of this campaign and camera under a name, of whatever region."""
        return [
            label
            for label in labels_now(self._ledger, role="truth")
            if (label.use_case.name, label.use_case.camera, label.campaign)
            == (name, self.use_case.camera, self.campaign)
        ]

    def answer(self, row: int, relevant: bool, author: str, seconds: float = 0.0) -> Label:
        """Say of a row whether it is relevant, and that it was looked at for so long."""
        place, span = self.place(row), self.samples.span(row)
        label = Label(
            self.use_case, self.campaign, place.day, span.recording_id, span.from_us, span.to_us, relevant, author
        )
        say_labels(self._ledger, [label])
        self.look(row, author, seconds)
        self._ledger.compact("labels")
        return label

    def undo(self, author: str) -> Label | None:
        """Take an author's newest word back."""
        return undo_label(self._ledger, author, self.use_case)

    def look(self, row: int, author: str, seconds: float) -> None:
        """Say that somebody has looked at the slice of a row."""
        first, last = self._slice(row)
        here, end = self.samples.span(first), self.samples.span(last)
        if here.recording_id == end.recording_id:
            here = Span(here.recording_id, here.from_us, end.to_us)
        view = View(self.use_case, self.campaign, self.place(row).day, here, round(seconds, 1), author)
        say_views(self._ledger, [view])
        self._ledger.compact("reviews")

    def _slice(self, row: int) -> tuple[int, int]:
        """First and last row of the slice that a row is in."""
        number = self.samples.slices[row]
        first, end = np.searchsorted(self.samples.slices, [number, number + 1])
        return int(first), int(end) - 1

    def row_of(self, span: Span) -> int | None:
        """The row in the middle of a span; None where no vector covers it."""
        hit = self.samples.rows_within(span)
        return int(hit[len(hit) // 2]) if len(hit) else None

    def row_at(self, moment: datetime) -> int:
        """The row nearest to a moment."""
        at_us = round(moment.astimezone(UTC).timestamp() * 1e6)
        middle = (self.block.from_us + self.block.to_us) // 2
        return int(np.abs(middle - at_us).argmin())

    def moment(self, row: int) -> datetime:
        """True time of a row's middle."""
        middle_us = int(self.block.from_us[row] + self.block.to_us[row]) // 2
        return EPOCH + timedelta(microseconds=middle_us)

    def clock_span_us(self, span: Span) -> tuple[int, int] | None:
        """A span in microseconds since 1970, whether or not vectors cover it; None where no recording is known by it."""
        origin_us = self._ledger.derived("recordings", _origins_us).get(span.recording_id)
        return None if origin_us is None else (origin_us + span.from_us, origin_us + span.to_us)

    def slice_span_us(self, row: int) -> tuple[int, int]:
        """The temporal slice that a row is in, in microseconds since 1970."""
        first, last = self._slice(row)
        return int(self.block.from_us[first]), int(self.until_us[first : last + 1].max())

    def place(self, row: int) -> Place:
        day: date = self.block.rows["day"][row].as_py()
        return Place(self.campaign, self.use_case.camera, day)

    # What follows from it.

    def ranking(self, settings: RetrievalSettings | None = None) -> Ranking:
        """Fit on every label that counts and score every row; what was computed for the same labels is remembered."""
        settings = settings or RetrievalSettings()
        labels = self.labels()
        asked = (settings, tuple((label.key, label.campaign, label.relevant, label.said_at) for label in labels))
        known = self._known
        if known is None or known[0] != asked:
            # Several people share a review: what is remembered may be another's before it is read again.
            known = (asked, self._rank(labels, settings))
            self._known = known
        return known[1]

    def _rank(self, labels: Sequence[Label], settings: RetrievalSettings) -> Ranking:
        began = time.perf_counter()
        here = mark(self.samples, (label for label in labels if label.campaign == self.campaign))
        elsewhere = [
            (samples, mark(samples, (label for label in labels if label.campaign == campaign)))
            for campaign, samples in self.others(labels).items()
        ]
        marked = [(self.samples, here), *elsewhere]
        flagged = np.zeros(len(self.block.norms), dtype=np.bool_)
        if not any(marks.relevant.any() for _, marks in marked):
            return Ranking(None, None, None, None, (), flagged, here, time.perf_counter() - began)
        trained = train(marked, settings)
        head = trained.fitted.head
        scores = head.score_unit(self.block.vectors)
        events: tuple[Event, ...] = ()
        if head.threshold is not None:
            rule = self.samples.rule.at(head.threshold)
            events = tuple(find_events(self.block.from_us, self.until_us, scores, rule))
        for event in events:
            flagged |= (self.block.from_us < event.to_us) & (self.until_us > event.from_us)
        probability = trained.fitted.probability(scores)
        seconds = time.perf_counter() - began
        return Ranking(trained, scores, probability, head.threshold, events, flagged, here, seconds)

    def others(self, labels: Sequence[Label]) -> dict[str, Samples]:
        """Samples of the other campaigns that labels speak of, as far as they are embedded in this space."""
        names = sorted({label.campaign for label in labels} - {self.campaign})
        embedded = set(self._matrices.names(self.encoder.spec.space))
        case = self.use_case
        wanted = [name for name in names if (name, case.camera, case.region) in embedded]
        fresh = {}
        for name in wanted:
            known, key = self._elsewhere.get(name), self._block(name).key
            fresh[name] = known if known is not None and known.block.key == key else self._samples(name)
        self._elsewhere = fresh
        return fresh

    def moments(self, ranking: Ranking) -> list[FoundMoment]:
        """The relevant moments, in order of time."""
        found = []
        for event in ranking.events:
            row = event.peak_index
            span = self.samples.span(row)
            probability = None if ranking.probability is None else float(ranking.probability[row])
            began, ended, peak = (
                EPOCH + timedelta(microseconds=at) for at in (event.from_us, event.to_us, event.peak_us)
            )
            peak_us = event.peak_us - int(self.block.from_us[row]) + span.from_us
            score = event.peak_score
            found.append(FoundMoment(row, began, ended, peak, span.recording_id, peak_us, score, probability))
        return found

    # What to look at next.

    def queue(self, order: Order, count: int, ranking: Ranking, skipped: Sequence[int] = ()) -> list[int]:
        """Rows to look at next, at most `count`, one of a slice; labelled slices are left out.

        Args:
            order: `suggested` mixes uncertain and diverse; `most relevant` goes down the ranking; `in time` shows what
                was not looked at yet; `audit` the random sample of unflagged slices; `disputed` the labels that the
                cross-validated head disagrees with most.
            count: at least 1.
            ranking: of the newest label.
            skipped: rows whose slices are left out as well.
        """
        slices = self.samples.slices
        done = np.unique(slices[np.concatenate([ranking.marks.rows, np.array(skipped, dtype=np.int64)])])
        match order:
            case "disputed":
                return [row for row in self._disputed(ranking) if row not in skipped][:count]
            case "audit":
                audit = self.audit()
                return [row for row in audit.left if slices[row] not in done][:count] if audit else []
            case "suggested":
                scores = ranking.scores
                if scores is None or ranking.threshold is None:
                    return self._first_looks(scores, done, count)
                found = suggest(scores - np.float32(ranking.threshold), self.block.vectors, slices, done, count)
                return [int(row) for row in found]
            case "most relevant":
                best = self._best_of_slices(ranking.scores, done)
                return [int(row) for row in best[:count]]
            case "in time":
                looked = np.union1d(done, self._looked_slices())
                rows = middles(slices)
                return [int(row) for row in rows[~np.isin(slices[rows], looked)][:count]]
        raise UnknownNameError("order", order, ORDERS)

    def _first_looks(self, scores: NDArray[np.float32] | None, done: Rows, count: int) -> list[int]:
        """Before there are two classes: by turns what looks unlike all else, and what looks most like the examples."""
        likely = [] if scores is None else [int(row) for row in self._best_of_slices(scores, done)[: count // 2]]
        done = np.union1d(done, self.samples.slices[np.array(likely, dtype=np.int64)])
        flat = np.zeros(len(self.samples.slices), dtype=np.float32)
        varied = suggest(flat, self.block.vectors, self.samples.slices, done, count - len(likely), uncertain_share=0.0)
        by_turns = zip_longest((int(row) for row in varied), likely)
        return [row for pair in by_turns for row in pair if row is not None]

    def _best_of_slices(self, scores: NDArray[np.float32] | None, done: Rows) -> Rows:
        """The highest row of each slice not yet done, best first."""
        if scores is None:
            rows = middles(self.samples.slices)
            return rows[~np.isin(self.samples.slices[rows], done)]
        order = np.lexsort((np.arange(len(scores)), -scores))
        _, first = np.unique(self.samples.slices[order], return_index=True)
        best = order[np.sort(first)]
        return np.asarray(best[~np.isin(self.samples.slices[best], done)], dtype=np.int64)

    def _disputed(self, ranking: Ranking) -> list[int]:
        if ranking.trained is None:
            return []
        margins = ranking.trained.margins(self.campaign)
        if not len(margins):
            return []
        found = disputed(ranking.marks.relevant, margins, least=DISPUTED_MARGIN)
        return [int(ranking.marks.rows[position]) for position in found]

    # How far it has come.

    def progress(self, ranking: Ranking) -> Progress:
        """What was looked at and what is left."""
        slices, looked = self.samples.slices, self._looked_slices()
        flagged = np.unique(slices[np.flatnonzero(ranking.flagged)])
        seen = np.isin(slices, looked)
        return Progress(
            slices=self.samples.slice_count,
            looked=len(looked),
            flagged_left=int((~np.isin(flagged, looked)).sum()),
            recorded_s=_union_s(self.block.from_us, self.until_us),
            looked_s=_union_s(self.block.from_us[seen], self.until_us[seen]),
            spent_s=sum(view.seconds for view in views_of(self._ledger, self.use_case, self.campaign)),
        )

    def _looked_slices(self, since: datetime = EPOCH) -> Rows:
        views = views_of(self._ledger, self.use_case, self.campaign)
        spans = [view.span for view in views if view.said_at >= since]
        labels = [label for label in self.labels() if label.campaign == self.campaign and label.said_at >= since]
        spans += [label.span for label in labels]
        looked: list[Rows] = [np.empty(0, dtype=np.int64)]
        looked += [self.samples.slices[self.samples.rows_within(span)] for span in dict.fromkeys(spans)]
        return np.unique(np.concatenate(looked))

    # What may have been missed.

    def draw_audit(self, ranking: Ranking, author: str, seed: int, count: int = AUDIT_SLICES) -> AuditDraw:
        """Draw a random sample of the slices that are neither flagged nor labelled, to be labelled.

        Raises:
            ConfigurationError: there is no head with a threshold yet, or nothing is left to draw from.
        """
        if ranking.threshold is None:
            raise ConfigurationError(
                "an audit needs a head that separates: label relevant and irrelevant moments first"
            )
        slices = self.samples.slices
        taken = np.union1d(slices[np.flatnonzero(ranking.flagged)], slices[ranking.marks.rows])
        rows = middles(slices)
        free = rows[~np.isin(slices[rows], taken)]
        if not len(free):
            raise ConfigurationError("every slice is flagged or labelled: there is nothing left to audit")
        # In the order drawn: however many of them are answered, these are a random sample.
        chosen = np.random.default_rng(seed).choice(free, min(count, len(free)), replace=False)
        spans = tuple(self.samples.span(int(row)) for row in chosen)
        draw = AuditDraw(self.use_case, self.campaign, spans, len(free), seed, author)
        say_audit(self._ledger, draw)
        return draw

    def audit(self) -> Audit | None:
        """What the newest sample says so far; None where none was drawn."""
        draw = audit_of(self._ledger, self.use_case, self.campaign)
        if draw is None:
            return None
        answers = self._answers_since(draw.said_at)
        looked = self._looked_slices(since=draw.said_at)
        rows = [row for row in (self.row_of(span) for span in draw.spans) if row is not None]
        counted = relevant = 0
        for row in rows:
            number = int(self.samples.slices[row])
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
            left=tuple(row for row in rows if int(self.samples.slices[row]) not in answers),
            said_at=draw.said_at,
        )

    def _answers_since(self, moment: datetime) -> dict[int, bool]:
        """The newest answer of each slice that was given after a moment, wherever in the slice."""
        answers: dict[int, bool] = {}
        for label in sorted(self.labels(), key=lambda label: label.said_at):
            if label.campaign == self.campaign and label.said_at >= moment:
                for number in np.unique(self.samples.slices[self.samples.rows_within(label.span)]):
                    answers[int(number)] = label.relevant
        return answers


def _union_s(from_us: Rows, to_us: Rows) -> float:
    """Seconds covered by spans in order of their start; what overlaps counts once."""
    if not len(from_us):
        return 0.0
    reached = np.maximum.accumulate(to_us)
    begins = np.maximum(from_us, np.concatenate([from_us[:1], reached[:-1]]))
    return float(np.maximum(to_us - begins, 0).sum() / 1e6)


def _origins_us(recordings: pa.Table) -> dict[str, int]:
    """True start of every recording that was ever known, by its content, in microseconds since 1970."""
    rows = sorted(
        recordings.select(["recording_id", "started_at", "seen_at"]).to_pylist(), key=lambda row: row["seen_at"]
    )
    return {
        row["recording_id"]: (row["started_at"] - EPOCH) // timedelta(microseconds=1)
        for row in rows
        if row["started_at"]
    }
