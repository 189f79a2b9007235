"""What a camera's day is segmented and measured by: its sampled pictures, their embeddings, and scores, on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from footage.regions import WHOLE
from infra.errors import LakeError
from lake.store import Store
from lake.vectors import read_embeddings
from models.summary.scores import surprise
from tasks.plan import FRAMES_SCOPE, DayPlan, Recording, made, paths_of
from tasks.rows import EPOCH, MICROSECOND
from tasks.step_plans import DaySteps
from tasks.summarise import recordings_of_day
from tasks.summary_steps import is_there
from workspace.opened import Workspace

MOST_NORMALS = 5000
"""Pictures of the camera's past that memorability is measured against, spread evenly."""
APART_US = 1_000_000

Times = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DayAxis:
    """The recordings of a day, in order of start, one after the other: nothing of one meets anything of another, also
    where the camera was recorded twice at one moment.

    Attributes:
        recordings: R of them.
    """

    recordings: Sequence[Recording]

    @cached_property
    def starts_us(self) -> Times:
        """int64 (R,), true starts in microseconds since 1970, UTC."""
        return np.array([(one.started_at - EPOCH) // MICROSECOND for one in self.recordings], dtype=np.int64)

    @cached_property
    def bases_us(self) -> Times:
        """int64 (R,), where each begins on the axis."""
        lengths = [0, *(one.duration_us + APART_US for one in self.recordings)]
        return np.array(list(accumulate(lengths)), dtype=np.int64)[: len(self.recordings)]

    def owners(self, rows: pa.Table, begin: str) -> Times:
        """int64 (N,), number of each row's recording; `begin` is the column of its time in the recording."""
        starts = np.asarray(rows["taken_at"].cast(pa.int64()), dtype=np.int64) - np.asarray(rows[begin], dtype=np.int64)
        known = pd.MultiIndex.from_arrays([[one.recording_id for one in self.recordings], self.starts_us])
        found = known.get_indexer(pd.MultiIndex.from_arrays([rows["recording_id"].to_pylist(), starts]))
        if (found < 0).any():
            row = int(np.argmin(found))
            raise LakeError(
                f"the lake has rows of recording {rows['recording_id'][row]}, which is none of the day; embed the day again"
            )
        return found.astype(np.int64)

    def at(self, rows: pa.Table, owners: Times, name: str) -> Times:
        """int64 (N,), a column of times in recordings, on the axis."""
        return np.asarray(self.bases_us[owners] + np.asarray(rows[name], dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Pictures:
    """The sampled pictures, N in order of the axis.

    Attributes:
        rows: of `frames`.
        owners: int64 (N,), number of each one's recording.
        at_us: int64 (N,), on the axis.
    """

    rows: pa.Table
    owners: Times
    at_us: Times

    def values(self, name: str) -> NDArray[np.float64]:
        """float64 (N,), a measure of them."""
        return np.asarray(self.rows[name], dtype=np.float64)

    @property
    def motion(self) -> NDArray[np.float64]:
        """float64 (N,), change since the picture before; nan of a recording's first, which has none before it."""
        return np.where(np.diff(self.owners, prepend=-1) == 0, self.values("motion"), np.nan)

    def of(self, recording: int) -> slice:
        """Those of a recording."""
        first, last = np.searchsorted(self.owners, [recording, recording + 1])
        return slice(int(first), int(last))


@dataclass(frozen=True, eq=False)
class Looks:
    """Embeddings of the pictures, less the camera's usual one: a fixed camera's are nearly the same, and what tells them
    apart is how they differ from it.

    Attributes:
        vectors: float32 (N, D), in order of time; (0, 0) where there are none.
        owners, from_us, to_us: int64 (N,), recordings and spans on the axis.
        normals: float32 (M, D), of the earlier days.
    """

    vectors: NDArray[np.float32]
    owners: Times
    from_us: Times
    to_us: Times
    normals: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of the heads that make a segment anomalous, all of them together.

    Attributes:
        owners: int64 (N,), number of each one's recording.
        from_us, to_us: int64 (N,), on the axis.
        probability: float64 (N,), that of an alarm class, or the share of the camera's normal scores below.
        deviations: float64 (N,), robust standard deviations above the median of the camera's normal scores; nan of an alarm
            class.
    """

    owners: Times
    from_us: Times
    to_us: Times
    probability: NDArray[np.float64]
    deviations: NDArray[np.float64]

    @property
    def surprise(self) -> NDArray[np.float64]:
        """float64 (N,), see `models.summary.scores.surprise`."""
        return surprise(self.probability, self.deviations)


@dataclass(frozen=True, eq=False)
class DayMaterial:
    """All of it; `told` is what there is to know of alarms that could not be applied."""

    axis: DayAxis
    pictures: Pictures
    looks: Looks
    scores: Scores
    told: tuple[str, ...] = field(default=())


def read_material(workspace: Workspace, day: DayPlan, steps: DaySteps) -> DayMaterial:
    """Read what is there of a day.

    Raises:
        LakeError: the scores of the novelty head are to count, and are not there.
    """
    axis = DayAxis(recordings_of_day(day))
    pictures = _read_pictures(workspace.store, day, axis)
    scores, told = _read_scores(workspace.store, steps, axis)
    return DayMaterial(axis, pictures, _read_looks(workspace, day, steps, axis), scores, told)


def _read_pictures(store: Store, day: DayPlan, axis: DayAxis) -> Pictures:
    rows = pa.concat_tables([store.read_table(product.paths[0]) for product in made(day, FRAMES_SCOPE)])
    owners = axis.owners(rows, "t_us")
    at_us = axis.at(rows, owners, "t_us")
    order = np.argsort(at_us, kind="stable")
    return Pictures(rows.take(order), owners[order], at_us[order])


def _read_looks(workspace: Workspace, day: DayPlan, steps: DaySteps, axis: DayAxis) -> Looks:
    scope = f"{workspace.encoder(workspace.settings.summary.encoder).spec.space}/{WHOLE.name}"
    looks = read_embeddings(workspace.store, paths_of(made(day, scope)))
    if not len(looks):
        nothing = np.empty(0, dtype=np.int64)
        return Looks(looks.vectors, nothing, nothing, nothing, looks.vectors)
    total, normals, count = _read_normals(workspace.store, steps.normals)
    if not count:
        total, normals, count = looks.vectors.sum(axis=0, dtype=np.float64), looks.vectors[:0], len(looks)
    usual = (total / count).astype(np.float32)
    owners = axis.owners(looks.rows, "from_us")
    from_us, to_us = (axis.at(looks.rows, owners, name) for name in ("from_us", "to_us"))
    return Looks(looks.vectors - usual, owners, from_us, to_us, normals - usual)


def _read_normals(store: Store, paths: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float32], int]:
    """What is needed of the camera's past, a file at a time: two weeks of it do not fit into memory.

    Returns:
        The sum of all its vectors, float64 (D,), for float32 would lose what tells a still camera's pictures apart;
        `MOST_NORMALS` of them, spread evenly, float32 (M, D); and how many there are. (0,) and (0, 0) where none is.
    """
    counts = [store.read_table(path, ["index"]).num_rows for path in paths]
    count = sum(counts)
    wanted = np.linspace(0, count - 1, min(count, MOST_NORMALS)).round().astype(np.int64)
    total, chosen = np.empty(0), [np.empty((0, 0), dtype=np.float32)]
    for path, own, start in zip(paths, counts, accumulate(counts, initial=0), strict=False):
        if own:
            vectors = read_embeddings(store, [path]).vectors
            first, last = np.searchsorted(wanted, [start, start + own])
            sums = vectors.sum(axis=0, dtype=np.float64)
            total = total + sums if len(total) else sums
            chosen.append(vectors[wanted[first:last] - start])
    return total, np.concatenate(chosen[1:] or chosen), count


def _read_scores(store: Store, steps: DaySteps, axis: DayAxis) -> tuple[Scores, tuple[str, ...]]:
    paths, told = [], []
    if steps.summary.with_novelty:
        if not store.exists(steps.score.outputs[0]):
            raise LakeError(f"the scores of head {steps.score.scope} are not there; the next night makes them")
        paths.append(steps.score.outputs[0])
    for alarm in steps.alarms:
        if alarm.step.scope not in steps.summary.alarms:
            continue
        told += [f"alarm {alarm.step.scope} {alarm.suspended}"] if alarm.suspended else []
        if is_there(store, alarm.step):
            paths.append(alarm.step.outputs[0])
    names = ["recording_id", "taken_at", "from_us", "to_us", "probability", "region", "score"]
    parts = [part for path in paths if (part := store.read_table(path, names)).num_rows]
    if not parts:
        nothing = np.empty(0, dtype=np.int64)
        return Scores(nothing, nothing, nothing, np.empty(0), np.empty(0)), tuple(told)
    rows = pa.concat_tables(parts)
    owners = axis.owners(rows, "from_us")
    from_us, to_us = (axis.at(rows, owners, name) for name in ("from_us", "to_us"))
    deviations = np.full(len(rows), np.nan)
    if steps.summary.with_novelty:
        novel = slice(0, store.read_table(paths[0], ["region"]).num_rows)
        deviations[novel] = _deviations(rows.slice(0, novel.stop), store.read_table(_standards(steps)))
    return Scores(owners, from_us, to_us, np.asarray(rows["probability"], dtype=np.float64), deviations), tuple(told)


def _standards(steps: DaySteps) -> str:
    """The file of `standards` that the novelty head's scores were held against."""
    return next(path for path in steps.score.outputs if path.startswith("standards/"))


def _deviations(scores: pa.Table, standards: pa.Table) -> NDArray[np.float64]:
    """Robust standard deviations of a novelty head's scores above the normal median of their region.

    Infinite above the median of a region in which all normal scores are equal.
    """
    norms = {row["region"]: (row["median"], row["spread"]) for row in standards.to_pylist()}
    known = [norms[region] for region in scores["region"].to_pylist()]
    median, spread = np.array(known, dtype=np.float64).reshape(-1, 2).T
    above = np.asarray(scores["score"], dtype=np.float64) - median
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(above == 0, 0.0, above / spread)
