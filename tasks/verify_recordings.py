"""Verify, from the footage: what the lake keeps of a span of a recording, measured and embedded again."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from footage.decode import decode
from footage.index import FrameIndex
from footage.probe import content_hash, probe
from footage.regions import Region
from footage.sampling import sample, snippets
from infra.errors import FootageError
from lake.schema import VECTOR
from tasks.embedding import SNIPPETS_PER_FRAME_BATCH, Prepared, ViewKey, prepare
from tasks.encoders import load_encoder
from tasks.plan import FRAMES_SCOPE, DayPlan, Recording
from workspace.indexes import load_index
from workspace.opened import PlannedEncoder, Workspace

MEASURES = ("luminance", "entropy_bits", "sharpness", "motion")
RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""Within these two numbers are the same: what another machine's arithmetic may make of them."""
HALF, HALF_STEP = 2.0**-10, 2.0**-24
"""What rounding to 16 bits may do to a value: as a share of it, and to the smallest ones."""

Indices = NDArray[np.int64]
Row = dict[str, Any]


def same_number(kept: float | None, now: float | None) -> bool:
    """Whether two values are the same but for rounding; none and nan are the same as themselves alone."""
    if kept is None or now is None:
        return kept is now
    if math.isnan(kept) or math.isnan(now):
        return math.isnan(kept) and math.isnan(now)
    return kept == now or math.isclose(kept, now, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def furthest(kept: NDArray[Any], now: NDArray[Any]) -> int | None:
    """Position of the value that differs most between two vectors, (D,) each, beyond rounding to 16 bits; else None.

    Rounding is told by the vector's largest value: what a batch of another size does to its smallest is no difference.
    """
    if kept.shape != now.shape:
        return 0
    one, other = kept.astype(np.float64), now.astype(np.float64)
    if np.array_equal(one, other, equal_nan=True):
        return None
    off = np.where(np.isfinite(one) & np.isfinite(other), np.abs(one - other), np.inf)
    off[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    largest = float(np.nanmax(np.abs(np.concatenate([one, other])), initial=0.0))
    worst = int(off.argmax())
    return worst if off[worst] > 2 * HALF * largest + HALF_STEP else None


@dataclass(frozen=True, eq=False)
class Known:
    """A recording, held against the lake.

    Attributes:
        index: of the file as it is now; None where it cannot be compared.
        differences: why not, or how the file's pictures stand elsewhere in time than the lake says.
        gone: that is so since a night found it gone: nothing is wrong with what was made of it.
    """

    index: FrameIndex | None
    differences: tuple[str, ...] = ()
    gone: bool = False


class Recordings:
    """The recordings of a site as they are now; each is read and hashed once.

    Args:
        workspace: the site.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, Known] = {}

    def look(self, recording: Recording) -> Known:
        """Hash a recording and read its pictures' times from its own packets."""
        if recording.path not in self._known:
            self._known[recording.path] = self._look(recording)
        return self._known[recording.path]

    def _look(self, recording: Recording) -> Known:
        path = self._workspace.site.footage_root / recording.path
        if not recording.there:
            return Known(None, gone=True)
        if not path.exists():
            return Known(None, ("the file is not there any more",))
        content = content_hash(path)
        if content != recording.recording_id:
            return Known(
                None,
                (f"the file's content is not the one that was processed ({recording.recording_id}, now {content})",),
            )
        try:
            index = probe(path).index
        except FootageError as error:
            return Known(None, (str(error),))
        return Known(index, tuple(_index_differences(load_index(self._workspace.store, recording.recording_id), index)))


def _index_differences(kept: FrameIndex, now: FrameIndex) -> list[str]:
    if kept.time_base != now.time_base or len(kept) != len(now):
        told = [f"{len(index)} pictures in units of {index.time_base} s" for index in (kept, now)]
        return [f"the lake's index has {told[0]}, the file {told[1]}"]
    elsewhere = np.flatnonzero(kept.pts != now.pts)
    keys = np.flatnonzero(kept.is_key != now.is_key)
    lines = []
    if len(elsewhere):
        first = int(elsewhere[0])
        lines.append(
            f"PTS of {len(elsewhere)} pictures differ; of picture {first} it is {kept.pts[first]} in the lake's index, "
            f"{now.pts[first]} in the file"
        )
    if len(keys):
        lines.append(f"{len(keys)} pictures differ in whether they are key frames, the first is picture {keys[0]}")
    return lines


@dataclass(frozen=True)
class Compared:
    """What was compared of a span, and the differences, a line each."""

    pictures: int
    vectors: int
    differences: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Views:
    """What an encoder is given of a span.

    Attributes:
        encoder, region, scope: whose.
        frames: int64 (K, T), pictures of each row of `embeddings`.
        from_us, to_us: int64 (K,), its span.
    """

    scope: str
    encoder: PlannedEncoder
    region: Region
    frames: Indices
    from_us: Indices
    to_us: Indices

    @property
    def key(self) -> ViewKey:
        return self.region, self.encoder.spec.input_size


class SpanVerifier:
    """Compares spans of one recording with what the lake keeps of it.

    Args:
        workspace: the site.
        day: of the recording.
        recording: it is there and has the content that was processed.
        index: of the file as it is now.
        scopes: embeddings to make again, `space/region`.
        threads: threads of the decoder.
    """

    def __init__(
        self,
        workspace: Workspace,
        day: DayPlan,
        recording: Recording,
        index: FrameIndex,
        scopes: Sequence[str],
        threads: int,
    ) -> None:
        self._workspace, self._recording, self._index = workspace, recording, index
        self._path, self._threads = workspace.site.footage_root / recording.path, threads
        self._every = sample(index, workspace.settings.sampling_of(recording.place.camera))
        mine = [
            product
            for shard in day.shards
            if shard.recording == recording
            for product in shard.products
            if product.exists
        ]
        self._frames = self._read([product.paths[0] for product in mine if product.scope == FRAMES_SCOPE], "t_us")
        self._scopes = {
            scope: (product.encoder, product.region)
            for scope in scopes
            for product in mine
            if product.scope == scope and product.encoder is not None and product.region is not None
        }
        self._rows = {
            scope: self._read([product.paths[0] for product in mine if product.scope == scope], "from_us")
            for scope in self._scopes
        }

    def frames(self, from_us: int, to_us: int) -> list[Row]:
        """The lake's rows of `frames` within a span, in order of time."""
        return list(_within(self._frames, "t_us", "t_us", from_us, to_us).to_pylist())

    def compare(self, from_us: int, to_us: int) -> Compared:
        """Decode a span of the recording again and compare all that the lake keeps of it.

        Raises:
            AfterwatchError: it cannot be decoded, or an encoder cannot be brought to life.
        """
        within = (self._index.t_us[self._every] >= from_us) & (self._index.t_us[self._every] < to_us)
        sampled, views = self._every[within], [self._views(scope, from_us, to_us) for scope in self._scopes]
        before = self._every[np.maximum(np.flatnonzero(within) - 1, 0)]
        wanted: dict[ViewKey, Indices] = {}
        for view in views:
            wanted[view.key] = np.union1d(wanted.get(view.key, sampled[:0]), view.frames)
        decoded = decode(
            self._path,
            self._index,
            np.unique(np.concatenate([sampled, before, *wanted.values()])).astype(np.int64),
            threads=self._threads,
        )
        seen = {picture.index: picture for picture in prepare(decoded, self._every, wanted)}
        lines = list(self._compare_frames(self.frames(from_us, to_us), sampled, seen))
        for view in views:
            kept = _within(self._rows[view.scope], "from_us", "to_us", from_us, to_us).to_pylist()
            lines += self._compare_vectors(view, kept, seen)
        count = sum(len(view.frames) for view in views)
        return Compared(len(sampled), count, tuple(lines))

    def _read(self, paths: Sequence[str], order: str) -> pa.Table:
        parts = [part for path in paths if (part := self._workspace.store.read_table(path)).num_rows]
        return pa.concat_tables(parts).sort_by(order) if parts else pa.table({"from_us": [], "to_us": [], "t_us": []})

    def _views(self, scope: str, from_us: int, to_us: int) -> _Views:
        encoder, region = self._scopes[scope]
        spec = encoder.spec
        if spec.snippet_rate_hz is None:
            starts = self._index.t_us
            ends = np.append(starts[1:], self._index.extent_us)
            frames = self._every[:, None]
            begin, end = starts[self._every], ends[self._every]
        else:
            runs = snippets(
                self._index, frames=spec.snippet_frames, rate_hz=spec.snippet_rate_hz, stride_s=encoder.stride_s
            )
            frames, begin, end = runs.frames, runs.from_us, runs.to_us
        meets = (begin < to_us) & (end > from_us)
        return _Views(scope, encoder, region, frames[meets], begin[meets], end[meets])

    def _compare_frames(self, kept: Sequence[Row], sampled: Indices, seen: dict[int, Prepared]) -> list[str]:
        rows = {row["index"]: row for row in kept}
        lines = []
        for number in sorted({*rows, *(int(number) for number in sampled)}):
            row, picture = rows.get(number), seen.get(number)
            if picture is None or picture.statistics is None:
                if row is not None:
                    lines.append(f"picture {number} is in the lake, and cannot be decoded or is none that is sampled")
                continue
            if row is None:
                lines.append(f"picture {number} can be decoded, and the lake does not know it")
                continue
            if row["t_us"] != picture.t_us:
                lines.append(_line(f"time of picture {number}", f"{row['t_us']} us", f"{picture.t_us} us"))
            if row["digest"] != picture.digest:
                lines.append(_line(f"digest of the pixels of picture {number}", row["digest"], picture.digest))
            for name in MEASURES:
                value = getattr(picture.statistics, name)
                if not same_number(row[name], value):
                    lines.append(_line(f"{name} of picture {number}", row[name], value))
        return lines

    def _compare_vectors(self, view: _Views, kept: Sequence[Row], seen: dict[int, Prepared]) -> list[str]:
        rows = {row["from_us"]: row for row in kept}
        whole = np.array([all(int(at) in seen for at in frames) for frames in view.frames], dtype=np.bool_)
        there = np.flatnonzero(whole)
        pixels = [np.stack([seen[int(at)].views[view.key] for at in view.frames[row]]) for row in there]
        vectors = self._encode(view.encoder, pixels)
        lines = []
        for row, given, vector in zip(there, pixels, vectors, strict=True):
            begin = int(view.from_us[row])
            name = f"{view.scope} at {begin / 1e6:.3f} s"
            known = rows.pop(begin, None)
            if known is None:
                lines.append(f"{name}: can be embedded, and the lake does not know it")
                continue
            for column, now in (("index", int(view.frames[row][0])), ("to_us", int(view.to_us[row]))):
                if known[column] != now:
                    lines.append(_line(f"{name}: {column}", known[column], now))
            digest = hashlib.blake2b(np.ascontiguousarray(given).data, digest_size=8).hexdigest()
            if known["digest"] != digest:
                lines.append(_line(f"{name}: digest of the pixels", known["digest"], digest))
            old = np.asarray(known[VECTOR], dtype=np.float32)
            worst = furthest(old, vector)
            if worst is not None:
                lines.append(_line(f"{name}: value {worst} of the vector", old[worst], vector[worst]))
        return [*lines, *(f"{view.scope} at {at / 1e6:.3f} s: is in the lake, and cannot be embedded" for at in rows)]

    def _encode(self, planned: PlannedEncoder, pixels: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """A vector for each of `pixels`, uint8 (T, H, W, 3), as the lake rounds it."""
        compute = self._workspace.settings.compute
        encoder, found = load_encoder(planned, compute), []
        one = planned.spec.kind == "frame"
        size = compute.batch_size if one else max(1, compute.batch_size // SNIPPETS_PER_FRAME_BATCH)
        for start in range(0, len(pixels), size):
            batch = np.stack([given[0] if one else given for given in pixels[start : start + size]])
            found += list(encoder.encode(batch).astype(np.float16).astype(np.float32))
        return found


def _within(rows: pa.Table, begin: str, end: str, from_us: int, to_us: int) -> pa.Table:
    """Rows whose span meets `[from_us, to_us)`; a moment is a span of no length that begins in it."""
    starts, ends = (np.asarray(rows[name], dtype=np.int64) for name in (begin, end))
    after = starts >= from_us if begin == end else ends > from_us
    return rows.filter(pa.array((starts < to_us) & after))


def _line(what: str, kept: object, now: object) -> str:
    return f"{what} is {kept} in the lake, {now} from the recording"
