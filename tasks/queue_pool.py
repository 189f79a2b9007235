"""What a campaign's queue is chosen from: the newest days as each head scored them, with the vectors that it read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from lake.current import current_outputs
from lake.keys import Place
from lake.labels import UseCase
from lake.vectors import Embeddings, read_embeddings
from models.windows import Rows, joined
from tasks.alarms import STEP as CLASSIFY
from tasks.heads import KIND as RETRIEVAL
from tasks.heads import STEP as RETRIEVE
from tasks.queue import SCORE, QueuePlan, ScoredDay
from workspace.classifiers import find_classifier, threshold_of
from workspace.clip_vectors import Inputs
from workspace.opened import Workspace
from workspace.queue_items import Kind

KINDS: dict[str, Kind] = {SCORE: "novelty", RETRIEVE: "retrieval", CLASSIFY: "alarm"}
"""Kind of the head by the step that applies it."""
POSITION = ["recording_id", "index", "from_us", "to_us", "taken_at"]
NAMED = ["head", "version", "region"]
ORDER = [("taken_at", "ascending"), ("recording_id", "ascending"), ("index", "ascending")]


@dataclass(frozen=True, eq=False)
class ScoredRegion:
    """A region of a camera's day as a head saw it, N rows in order of time.

    Attributes:
        place: the camera's day.
        use_case: what an answer would be a label of.
        rows: of `scores`.
        vectors: float32 (N, D), what the head read.
        threshold: what the scores are held against.
        spread: of a novelty head, the robust standard deviation of its normal scores; of others, 1.
    """

    place: Place
    use_case: UseCase
    rows: pa.Table
    vectors: NDArray[np.float32]
    threshold: float
    spread: float = 1.0

    @property
    def version(self) -> str:
        """Of the head; a novelty head has one for each day."""
        return str(self.rows["version"][0].as_py())


class Material:
    """What heads made of camera days, read back with the vectors that they read."""

    def __init__(self, workspace: Workspace, plan: QueuePlan) -> None:
        self._workspace, self._plan = workspace, plan
        self._embedded: dict[tuple[Place, str], list[str]] = {}
        for output in current_outputs(workspace.ledger):
            if output.table == "embeddings":
                place = Place(output.campaign, output.camera, output.day)
                self._embedded.setdefault((place, output.scope), []).append(output.path)
        self.told: set[str] = set()
        """What there is to know of what could not be asked about."""

    def read(self, day: ScoredDay) -> Iterator[ScoredRegion]:
        """The regions of a camera's day that a head scored, in order of name; none where its footage is gone."""
        path = next(path for path in day.outputs if path.startswith("scores/"))
        rows = self._workspace.store.read_table(path, [*POSITION, *NAMED, "score"])
        there = pc.is_in(rows["recording_id"], pa.array(sorted(self._plan.recordings), pa.string()))
        rows = rows.filter(pc.and_(there, pc.is_finite(rows["score"])))
        for region in sorted(set(rows["region"].to_pylist())):
            mine = rows.filter(pc.equal(rows["region"], region)).sort_by(ORDER)
            try:
                case = UseCase(day.place.camera, region, mine["head"][0].as_py())
            except ConfigurationError as error:  # nobody could say anything of it
                self.told.add(str(error))
                continue
            scored = self._read_region(day, case, mine)
            if scored is not None and len(scored.rows) < len(mine):
                self.told.add(
                    f"{case} on {day.place.day}: {len(mine) - len(scored.rows)} snippets have no vectors any more"
                )
            if scored is not None and len(scored.rows):
                yield scored

    def _read_region(self, day: ScoredDay, case: UseCase, rows: pa.Table) -> ScoredRegion | None:
        match KINDS[day.step]:
            case "novelty":
                return self._novelty(day, case, rows)
            case "retrieval":
                return self._retrieval(day, case, rows)
            case "alarm":
                return self._alarm(day, case, rows)

    def _novelty(self, day: ScoredDay, case: UseCase, rows: pa.Table) -> ScoredRegion:
        workspace = self._workspace
        path = next(path for path in day.outputs if path.startswith("standards/"))
        (standard,) = (row for row in workspace.store.read_table(path).to_pylist() if row["region"] == case.region)
        space = workspace.encoder(workspace.settings.novelty.encoder).spec.space
        held = self._with_vectors(day.place, f"{space}/{case.region}", rows)
        return ScoredRegion(day.place, case, *held, standard["threshold"], standard["spread"])

    def _retrieval(self, day: ScoredDay, case: UseCase, rows: pa.Table) -> ScoredRegion | None:
        queue = self._workspace.settings.queue
        if queue.heads != "all" and case.name not in queue.heads:
            return None
        card = self._workspace.registry.card(RETRIEVAL, day.scope, rows["version"][0].as_py())
        held = self._with_vectors(day.place, f"{card['space']}/{case.region}", rows)
        return ScoredRegion(day.place, case, *held, card["rule"]["threshold"])

    def _alarm(self, day: ScoredDay, case: UseCase, rows: pa.Table) -> ScoredRegion:
        workspace = self._workspace
        (table,) = (alarm for alarm in workspace.settings.alarms if alarm.name == case.name)
        found = find_classifier(workspace, table.classifier_version[0], rows["version"][0].as_py())
        threshold = table.threshold
        if threshold is None:
            threshold = threshold_of(workspace, found, found.class_named(table.class_name)).threshold
        inputs = Inputs.from_card(found.card)
        embedded = [self._read_vectors(day.place, f"{item.space}/{case.region}") for item in inputs.items]
        parts, kept = [], []
        for recording in sorted(set(rows["recording_id"].to_pylist())):
            numbers = np.flatnonzero(np.asarray(pc.equal(rows["recording_id"], recording)))
            windows = tuple(np.asarray(rows[name], dtype=np.int64)[numbers] for name in ("from_us", "to_us"))
            mine = [_rows_of(one, recording) for one in embedded]
            if all(map(len, mine)):
                poolings = [item.pooling for item in inputs.items]
                there, vectors = joined(list(zip(poolings, mine, strict=True)), (windows[0], windows[1]))
                kept.append(numbers[there])
                parts.append(vectors)
        if not kept:
            return ScoredRegion(day.place, case, rows.slice(0, 0), np.empty((0, 0), np.float32), threshold)
        order = np.argsort(np.concatenate(kept), kind="stable")
        rows = rows.take(np.concatenate(kept)[order])
        return ScoredRegion(day.place, case, rows, np.concatenate(parts)[order], threshold)

    def _read_vectors(self, place: Place, scope: str) -> Embeddings:
        return read_embeddings(self._workspace.store, self._embedded.get((place, scope), []))

    def _with_vectors(self, place: Place, scope: str, rows: pa.Table) -> tuple[pa.Table, NDArray[np.float32]]:
        """The rows that there are vectors of, and these."""
        embedded = self._read_vectors(place, scope)
        at = _positions(embedded.rows).get_indexer(_positions(rows))
        there = np.flatnonzero(at >= 0)
        return rows.take(there), embedded.vectors[at[there]]


def _positions(rows: pa.Table) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([rows[name].to_pylist() for name in ("recording_id", "index", "from_us")])


def _rows_of(embedded: Embeddings, recording: str) -> Rows:
    """What an encoder saw of a recording, on its clock."""
    mine = embedded.take(np.flatnonzero(np.asarray(pc.equal(embedded.rows["recording_id"], recording))))
    return Rows(mine.column("from_us"), mine.column("to_us"), mine.vectors)
