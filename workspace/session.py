"""A review of one use case in one campaign: labels in, a ranking out, again after every label.

Nothing here is drawn and nothing is decoded. What people say goes to the ledger at once, so a review can be left and
gone on with, by several people at the same time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError
from lake.keys import Place
from lake.labels import Label, Span, UseCase, labels_now, say_labels, undo_label
from lake.matrix import Block, Matrices
from lake.reviews import View, say_views
from models.events import Event, find_events
from models.heads.retrieval import RetrievalSettings
from workspace.opened import PlannedEncoder, Workspace
from workspace.search import open_matrices
from workspace.training import Marks, Rows, Samples, Trained, mark, train

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
