"""One decode pass over shards that feeds every encoder, region and statistic.

Three stages overlap: a thread decodes, a thread prepares (statistics, crops, reductions), and the caller's thread
encodes. Batches fill across shards. What is held at any moment is bounded by the queues, one batch per encoder and the
pictures of one snippet, however long a recording is.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture, Rgb, Size
from footage.regions import Region
from footage.sampling import Shard, Snippets, coverage, sample, snippets
from footage.statistics import GREY_WIDTH, FrameStatistics, Grey, measure
from footage.stills import StillMaker, still_windows
from infra.background import prefetch
from infra.errors import AfterwatchError
from lake.store import rows_of
from models.encoders.base import Encoder
from tasks.plan import FRAMES_SCOPE, Product, Recording, ShardPlan
from tasks.receipts import reason_of
from workspace.footage_files import refuse_replaced
from workspace.indexes import load_index
from workspace.opened import Workspace

DECODED_AHEAD = 8
PREPARED_AHEAD = 8
SNIPPETS_PER_FRAME_BATCH = 8
"""A batch holds this many times fewer snippets than pictures, since each is many pictures."""

Indices = NDArray[np.int64]
ViewKey = tuple[Region, Size]


@dataclass(frozen=True)
class Prepared:
    """A decoded picture as its consumers want it."""

    index: int
    t_us: int
    statistics: FrameStatistics | None
    digest: str
    views: Mapping[ViewKey, Rgb]
    grey: Grey | None = None


def prepare(pictures: Iterable[Picture], sampled: Indices, wanted: Mapping[ViewKey, Indices]) -> Iterator[Prepared]:
    """Measure sampled pictures and cut the views that were asked for."""
    before: tuple[int, NDArray[np.uint8]] | None = None
    for picture in pictures:
        statistics, digest, grey = None, "", None
        position = _find(sampled, picture.index)
        if position is not None:
            grey = picture.grey(GREY_WIDTH)
            # Only the sample just before counts, so that it does not matter what a shard's neighbour could decode.
            follows = before is not None and position > 0 and before[0] == sampled[position - 1]
            statistics = measure(grey, before[1] if before is not None and follows else None)
            digest = picture.digest()
            before = (picture.index, grey)
        views = {
            key: picture.view(*key) for key, indices in wanted.items() if _find(indices, picture.index) is not None
        }
        yield Prepared(picture.index, picture.t_us, statistics, digest, views, grey)


def _find(indices: Indices, index: int) -> int | None:
    position = int(np.searchsorted(indices, index))
    return position if position < len(indices) and indices[position] == index else None


@dataclass
class _Rows:
    """Embeddings of one product on their way: what is known at once, and vectors that follow with their batch."""

    product: Product
    recording: Recording
    shard: Shard
    index: list[int] = field(default_factory=list)
    from_us: list[int] = field(default_factory=list)
    to_us: list[int] = field(default_factory=list)
    digest: list[str] = field(default_factory=list)
    vectors: dict[int, NDArray[np.float16]] = field(default_factory=dict)
    closed: bool = False
    error: str = ""
    """Why it cannot become whole."""

    def open_row(self, index: int, from_us: int, to_us: int, pixels: NDArray[np.uint8]) -> int:
        self.index.append(index)
        self.from_us.append(from_us)
        self.to_us.append(to_us)
        self.digest.append(hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8).hexdigest())
        return len(self.index) - 1

    @property
    def complete(self) -> bool:
        return self.closed and len(self.vectors) == len(self.index)

    def table(self, dimension: int) -> pa.Table:
        rows = [self.vectors[row] for row in range(len(self.index))]
        halves = np.stack(rows) if rows else np.empty((0, dimension), np.float16)
        if not np.isfinite(halves).all():
            raise AfterwatchError(
                f"{self.product.scope}: a vector of {self.recording.path} is not finite in 16 bits; "
                "check the encoder's weights and normalisation"
            )
        place = self.recording.place
        columns: dict[str, Any] = {
            "campaign": place.campaign,
            "camera": place.camera,
            "day": place.day,
            "space": self.product.scope.split("/", 1)[0],
            "recording_id": self.recording.recording_id,
            "region": self.product.scope.split("/", 1)[1],
            "index": self.index,
            "from_us": self.from_us,
            "to_us": self.to_us,
            "taken_at": [self.recording.started_at + timedelta(microseconds=at) for at in self.from_us],
            "digest": self.digest,
            "vector": halves,
        }
        return rows_of("embeddings", columns, dimension)


class _Batcher:
    """Collects pixels for one encoder until a batch is full, whichever shards they come from."""

    def __init__(self, encoder: Encoder, batch_size: int) -> None:
        self.encoder = encoder
        frames = encoder.spec.snippet_frames
        self._size = batch_size if frames == 1 else max(1, batch_size // SNIPPETS_PER_FRAME_BATCH)
        self._waiting: list[tuple[_Rows, int, NDArray[np.uint8]]] = []

    def add(self, rows: _Rows, row: int, pixels: NDArray[np.uint8]) -> None:
        self._waiting.append((rows, row, pixels))
        if len(self._waiting) >= self._size:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            try:
                # All of a shard's vectors wait for its last one: they wait as they will be stored.
                vectors = self.encoder.encode(np.stack([pixels for _, _, pixels in waiting])).astype(np.float16)
            except Exception as error:
                for rows, _, _ in waiting:  # rows of other shards may be among them
                    rows.error = reason_of(error)
                raise
            for (rows, row, _), vector in zip(waiting, vectors, strict=True):
                rows.vectors[row] = vector


class _FrameFeed:
    """Feeds sampled pictures of one region to a frame encoder."""

    def __init__(self, rows: _Rows, batcher: _Batcher, sampled: Indices, index: FrameIndex) -> None:
        self.key: ViewKey = (_region(rows.product), batcher.encoder.spec.input_size)
        self.wanted = sampled
        self._rows, self._batcher = rows, batcher
        self._ends = {int(i): int(index.t_us[i + 1]) if i + 1 < len(index) else index.extent_us for i in sampled}

    def take(self, picture: Prepared) -> None:
        if picture.index in self._ends:
            pixels = picture.views[self.key]
            row = self._rows.open_row(picture.index, picture.t_us, self._ends[picture.index], pixels)
            self._batcher.add(self._rows, row, pixels)


class _SnippetFeed:
    """Feeds snippets of one region to a snippet encoder; a snippet with a picture that was not delivered is left out."""

    def __init__(self, rows: _Rows, batcher: _Batcher, runs: Snippets) -> None:
        self.key: ViewKey = (_region(rows.product), batcher.encoder.spec.input_size)
        self.wanted = np.unique(runs.frames)
        self._rows, self._batcher, self._runs = rows, batcher, runs
        self._next = 0
        self._views: dict[int, Rgb] = {}

    def take(self, picture: Prepared) -> None:
        if self.key in picture.views and _find(self.wanted, picture.index) is not None:
            self._views[picture.index] = picture.views[self.key]
        while self._next < len(self._runs) and self._runs.frames[self._next, -1] <= picture.index:
            self._emit(self._next)
            self._next += 1
        if self._next < len(self._runs):
            first = self._runs.frames[self._next, 0]
            self._views = {index: view for index, view in self._views.items() if index >= first}

    def _emit(self, number: int) -> None:
        frames = self._runs.frames[number]
        if all(int(index) in self._views for index in frames):
            pixels = np.stack([self._views[int(index)] for index in frames])
            span = int(self._runs.from_us[number]), int(self._runs.to_us[number])
            self._batcher.add(self._rows, self._rows.open_row(int(frames[0]), *span, pixels), pixels)


def _region(product: Product) -> Region:
    if product.region is None:
        raise ValueError(f"{product.scope} has no region")
    return product.region


@dataclass(frozen=True)
class ShardResult:
    """What a shard's pass has written: rows by scope, and the seconds of footage that were decoded."""

    rows: Mapping[str, int]
    decoded_s: float


class EmbeddingPass:
    """Runs shards one after the other through the same encoders.

    Args:
        workspace: whose lake.
        encoders: the loaded encoders, by space.
        decode_threads: threads that decode a recording.
        check: called for every picture; what it raises ends the shard.

    Attributes:
        failures: by path and number of a shard, why some of its vectors could not be made or written, although its
            footage was decoded. Batches cross shards, so this may come out after `run`.
    """

    def __init__(
        self,
        workspace: Workspace,
        encoders: Mapping[str, Encoder],
        decode_threads: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._workspace, self._store = workspace, workspace.store
        self._threads, self._check = decode_threads, check
        batch_size = workspace.settings.compute.batch_size
        self._batchers = {space: _Batcher(encoder, batch_size) for space, encoder in encoders.items()}
        self._pending: list[_Rows] = []
        self.failures: dict[tuple[str, int], str] = {}

    def run(self, plan: ShardPlan) -> ShardResult:
        """Decode a shard once for all its products that are not there, and write those that are complete.

        Raises:
            AfterwatchError: it cannot be decoded or written; an encoder may raise what it likes. Call `forget` then.
        """
        index = load_index(self._store, plan.recording.recording_id)
        sampling = self._workspace.settings.sampling_of(plan.recording.place.camera)
        every = sample(index, sampling)
        owned = every[plan.shard.owns(every)]
        context = every[every < plan.shard.first][-1:]
        feeds = [self._feed(product, plan, index, owned) for product in plan.todo if product.scope != FRAMES_SCOPE]
        frames = next((product for product in plan.todo if product.scope == FRAMES_SCOPE), None)
        measured = np.concatenate([context, owned]) if frames else owned[:0]
        views: dict[ViewKey, Indices] = {}
        for feed in feeds:
            views[feed.key] = np.union1d(views.get(feed.key, owned[:0]), feed.wanted)
        wanted = np.unique(np.concatenate([measured, *views.values()]))
        path = self._workspace.site.footage_root / plan.recording.path
        pictures = prefetch(decode(path, index, wanted, threads=self._threads), DECODED_AHEAD)
        kept: list[Prepared] = []
        taken = 0
        stills = StillMaker(still_windows(index, plan.shard, owned) if frames else [])
        for prepared in prefetch(prepare(pictures, measured, views), PREPARED_AHEAD):
            self._check()
            taken += 1
            for feed in feeds:
                feed.take(prepared)
            if prepared.grey is not None:
                stills.take(prepared.index, prepared.grey)
            if prepared.statistics is not None:
                kept.append(Prepared(prepared.index, prepared.t_us, prepared.statistics, prepared.digest, {}))
        lost = taken < len(wanted)
        refuse_replaced(self._workspace, plan.recording.path, plan.recording.recording_id, suspect=lost)
        rows = {}
        if frames is not None:
            rows[FRAMES_SCOPE] = self._write_frames(frames, plan, index, measured, kept, stills)
        for waiting in self._pending:
            if waiting.recording is plan.recording:
                waiting.closed = True
                rows[waiting.product.scope] = len(waiting.index)
        self._write_complete()
        return ShardResult(rows, plan.seconds)

    def forget(self, plan: ShardPlan) -> None:
        """Drop what a failed shard has left half done; other shards' rows go on."""
        self._pending = [rows for rows in self._pending if rows.recording is not plan.recording or rows.closed]

    def finish(self) -> None:
        """Encode what is left in unfilled batches and write it; what fails is told in `failures`."""
        for batcher in self._batchers.values():
            with suppress(Exception):  # the rows of the batch know of it
                batcher.flush()
        self._write_complete()

    def _feed(self, product: Product, plan: ShardPlan, index: FrameIndex, owned: Indices) -> _FrameFeed | _SnippetFeed:
        if product.encoder is None:
            raise ValueError(f"{product.scope} has no encoder")
        spec = product.encoder.spec
        rows = _Rows(product, plan.recording, plan.shard)
        self._pending.append(rows)
        batcher = self._batchers[spec.space]
        if spec.snippet_rate_hz is None:
            return _FrameFeed(rows, batcher, owned, index)
        runs = snippets(
            index, frames=spec.snippet_frames, rate_hz=spec.snippet_rate_hz, stride_s=product.encoder.stride_s
        )
        mine = plan.shard.owns(runs.anchors)
        return _SnippetFeed(rows, batcher, Snippets(runs.frames[mine], runs.from_us[mine], runs.to_us[mine]))

    def _write_complete(self) -> None:
        for rows in [rows for rows in self._pending if rows.complete or (rows.closed and rows.error)]:
            self._pending.remove(rows)
            if not rows.error:
                dimension = self._batchers[rows.product.scope.split("/", 1)[0]].encoder.dimension
                try:
                    self._store.write_table(rows.product.paths[0], rows.table(dimension))
                except Exception as error:  # noqa: BLE001 — the rows of one shard must not take the others' along
                    rows.error = reason_of(error)
            if rows.error:
                self.failures.setdefault((rows.recording.path, rows.shard.number), rows.error)

    def _write_frames(
        self,
        product: Product,
        plan: ShardPlan,
        index: FrameIndex,
        measured: Indices,
        looked_at: list[Prepared],
        stills: StillMaker,
    ) -> int:
        """Write statistics, coverage and stills; `measured` and `looked_at` begin with the sample before the shard."""
        place, recording = plan.recording.place, plan.recording
        where = {
            "campaign": place.campaign,
            "camera": place.camera,
            "day": place.day,
            "recording_id": recording.recording_id,
        }
        kept = [item for item in looked_at if item.index >= plan.shard.first]
        measures = [item.statistics for item in kept if item.statistics is not None]
        columns: dict[str, Any] = {
            **where,
            "index": [item.index for item in kept],
            "t_us": [item.t_us for item in kept],
            "taken_at": [recording.started_at + timedelta(microseconds=item.t_us) for item in kept],
            "luminance": [item.luminance for item in measures],
            "entropy_bits": [item.entropy_bits for item in measures],
            "sharpness": [item.sharpness for item in measures],
            "motion": [item.motion for item in measures],
            "digest": [item.digest for item in kept],
        }
        delivered = np.isin(measured, [item.index for item in looked_at])
        reach_us = round(self._workspace.settings.reach_s * 1_000_000)
        begin_us = int(index.t_us[plan.shard.first])
        # The sample before the shard may speak for its beginning; what lies before it is told by its own shard.
        spans = [span for span in coverage(index, plan.shard, measured, delivered, reach_us) if span.to_us > begin_us]
        states = {name: [getattr(span, name) for span in spans] for name in ("from_us", "to_us", "state", "reason")}
        states["from_us"] = [max(at, begin_us) for at in states["from_us"]]
        frames_path, coverage_path, stills_path = product.paths
        self._store.write_table(frames_path, rows_of("frames", columns))
        self._store.write_table(coverage_path, rows_of("coverage", {**where, **states}))
        self._store.write_table(stills_path, rows_of("stills", {**where, **_still_columns(recording, stills)}))
        return len(kept)


def _still_columns(recording: Recording, stills: StillMaker) -> dict[str, Any]:
    made = stills.finish()
    return {
        "from_us": [window.from_us for window, _ in made],
        "to_us": [window.to_us for window, _ in made],
        "taken_at": [recording.started_at + timedelta(microseconds=window.from_us) for window, _ in made],
        "height": [picture.shape[0] for _, picture in made],
        "width": [picture.shape[1] for _, picture in made],
        "picture": [picture.tobytes() for _, picture in made],
    }
