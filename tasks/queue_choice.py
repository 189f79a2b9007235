"""Which snippets a campaign's queue asks about: a row of each temporal slice, those that help most, shared out among heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake.labels import Span, UseCase, labels_now
from lake.schema import TABLES
from lake.store import rows_of
from models.events import speaks_until
from models.heads.neighbours import unit_length
from models.queueing import (
    Distances,
    Owner,
    Pick,
    ask,
    deal,
    logit_distances,
    margin_distances,
    slices_of,
    threshold_distances,
)
from tasks.queue import QueuePlan, ScoredDay, answers_of
from tasks.queue_pool import KINDS, Material, ScoredRegion
from tasks.rows import finite
from workspace.opened import Workspace
from workspace.queue_items import Kind, skips_now


def write_queue(workspace: Workspace, plan: QueuePlan) -> tuple[int, str]:
    """Choose what is asked of a campaign and write it; returns the number of questions, and what there is to know."""
    source = _Source(workspace, plan)
    asked: dict[Owner, list[_Question]] = {}
    for _, days in groupby(plan.scored, key=lambda day: (day.step, day.scope, day.place.camera)):
        asked |= source.questions(list(days))
    doubts = {owner: [abs(question.distance) for question in mine] for owner, mine in asked.items()}
    order = deal(doubts, workspace.settings.queue.budget, plan.turn)
    rows = [{**asked[owner][number].row, "rank": rank} for rank, (owner, number) in enumerate(order, start=1)]
    columns = {name: [row[name] for row in rows] for name in TABLES["queue"].schema.names}
    workspace.store.write_table(plan.path, rows_of("queue", columns))
    return len(rows), source.message


@dataclass(frozen=True)
class _Question:
    """A row of the queue, less its rank; `distance` is nan where there is none."""

    row: dict[str, Any]
    distance: float


@dataclass(frozen=True, eq=False)
class _Candidates:
    """One row of each temporal slice of some days, S of them.

    Attributes:
        rows: of `scores`, and their `day`, `slice` (its number in the day) and `threshold`.
        vectors: float32 (S, D), of unit length or zero.
        distances: float64 (S,), of the scores from the threshold; nan where there is none.
        done: bool (S,), whether anything of the slice was judged or skipped.
    """

    rows: pa.Table
    vectors: NDArray[np.float32]
    distances: Distances
    done: NDArray[np.bool_]

    @property
    def spans_us(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begins and ends in true time, microseconds since 1970."""
        return _spans_us(self.rows)

    @classmethod
    def of(cls, parts: Sequence["_Candidates"]) -> "_Candidates":
        """Several days as one."""
        return cls(
            pa.concat_tables([part.rows for part in parts]),
            np.concatenate([part.vectors for part in parts]),
            np.concatenate([part.distances for part in parts]),
            np.concatenate([part.done for part in parts]),
        )


class _Source:
    """The questions of a campaign's heads."""

    def __init__(self, workspace: Workspace, plan: QueuePlan) -> None:
        self._workspace, self._plan = workspace, plan
        labels = labels_now(workspace.ledger)
        self._answers = answers_of(labels, workspace.settings.novelty.name)
        self._said: dict[UseCase, list[Span]] = {}
        said = [(label.use_case, label.span) for label in labels]
        said += [(skip.use_case, skip.span) for skip in skips_now(workspace.ledger)]
        for case, span in said:
            self._said.setdefault(case, []).append(span)
        self._material = Material(workspace, plan)

    @property
    def message(self) -> str:
        """What there is to know of the choice; empty where there is nothing."""
        return "; ".join(sorted(self._material.told))

    def questions(self, days: Sequence[ScoredDay]) -> dict[Owner, list[_Question]]:
        """What a head asks of a camera, best first, by region; `days` are those of one step, scope and camera."""
        regions: dict[Owner, list[_Candidates]] = {}
        kind = KINDS[days[0].step]
        for day in days:
            for scored in self._material.read(day):
                if kind != "novelty" and scored.version != day.version:
                    self._material.told.add(
                        f"{scored.use_case} on {day.place.day}: scored by version {scored.version}, and not by the one in use"
                    )
                    continue  # a night that was cut short has left the day to another version
                owner = Owner(scored.use_case.name, scored.use_case.camera, scored.use_case.region)
                regions.setdefault(owner, []).append(self._sliced(kind, scored))
        return {owner: self._ask(kind, owner, _Candidates.of(parts)) for owner, parts in regions.items()}

    def _sliced(self, kind: Kind, scored: ScoredRegion) -> _Candidates:
        rows = scored.rows
        scores, begins = (np.asarray(rows[name]) for name in ("score", "from_us"))
        from_us, to_us = _spans_us(rows)
        until_us = speaks_until(from_us, to_us, round(self._workspace.settings.reach_s * 1e6))
        if kind == "alarm":
            distances = logit_distances(scores, scored.threshold)
        else:
            distances = threshold_distances(scores, scored.threshold, scored.spread)
        done = self._done(scored, begins, begins + until_us - from_us)
        vectors = unit_length(scored.vectors)
        chosen, finished = slices_of(vectors, from_us, until_us, distances, done)
        count = len(chosen)
        columns: dict[str, Any] = {
            "day": pa.array([scored.place.day] * count, pa.date32()),
            "slice": pa.array(np.arange(count), pa.int32()),
            "threshold": pa.array(np.full(count, scored.threshold)),
        }
        rows = rows.take(chosen)
        for name, column in columns.items():
            rows = rows.append_column(name, column)
        return _Candidates(rows, vectors[chosen], distances[chosen], finished)

    def _done(self, scored: ScoredRegion, begins: NDArray[np.int64], untils: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool (N,), rows of which something was said."""
        owners = scored.rows["recording_id"].combine_chunks().dictionary_encode()
        codes = {name: code for code, name in enumerate(owners.dictionary.to_pylist())}
        of_row = np.asarray(owners.indices)
        done = np.zeros(len(begins), dtype=np.bool_)
        for span in self._said.get(scored.use_case, ()):
            if span.recording_id in codes:
                done |= (of_row == codes[span.recording_id]) & (begins < span.to_us) & (untils > span.from_us)
        return done

    def _ask(self, kind: Kind, owner: Owner, candidates: _Candidates) -> list[_Question]:
        queue = self._workspace.settings.queue
        distances = candidates.distances
        if kind == "retrieval":  # all days together tell how much margins differ
            distances = margin_distances(distances, 0.0)
        # A novelty head is fitted on one class; the others had to learn both before they could be in use.
        learnt = kind != "novelty" or len(self._answers.get(UseCase(owner.camera, owner.region, owner.head), ())) > 1
        picks = ask(
            candidates.vectors,
            candidates.spans_us,
            distances if learnt else None,
            candidates.done,
            queue.budget,
            uncertain_share=queue.uncertain_share,
        )
        return [self._question(kind, owner, candidates, float(distances[pick.row]), pick) for pick in picks]

    def _question(self, kind: Kind, owner: Owner, candidates: _Candidates, distance: float, pick: Pick) -> _Question:
        (told,) = candidates.rows.slice(pick.row, 1).to_pylist()
        row = {
            **told,
            "campaign": self._plan.place.campaign,
            "camera": owner.camera,
            "head": owner.head,
            "kind": kind,
            "reason": pick.reason,
            "threshold": finite(told["threshold"]),
            "distance": finite(distance),
        }
        return _Question(row, distance)


def _spans_us(rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begins and ends of rows of `scores` in true time, microseconds since 1970."""
    from_us = np.asarray(rows["taken_at"].cast(pa.int64()), dtype=np.int64)
    return from_us, from_us + np.asarray(rows["to_us"]) - np.asarray(rows["from_us"])
