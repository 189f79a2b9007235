"""Exact search over the memory-mapped matrices of a lake against faiss's flat index on the same data: `search`.

The vectors go the whole way: Parquet in a temporary lake, a row of the ledger, `Matrices`. faiss holds a copy of them in
memory. Both are asked the same queries one by one, with as many threads as there are cores.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.timing import Ratio, Report, core_count, ratio_of, take_turns
from infra.errors import AfterwatchError
from lake.ledger import Ledger, RunRow
from lake.matrix import Block, Matrices
from lake.schema import MOMENT
from lake.store import Store, rows_of
from models.search import Searched, rank

ROWS = 1_000_000
DIMENSION = 512
TOP = 50
CAMERAS = 4
FILE_ROWS = 50_000
SPACE, CAMPAIGN, REGION = "bench", "bench", "frame"
CHOSEN, SHARE = 2, 0.4
"""The filter: one camera of the four, and the middle 40 % of its time: a tenth of all rows."""
QUERIES = 4
TOLERANCE = 1e-5
"""Scores closer than this are ties: each side adds up in its own order."""

Queries = NDArray[np.float32]


def run_search(report: Report, rows: int = ROWS, dimension: int = DIMENSION, rounds: int = 5) -> list[Ratio]:
    """Time of ours ÷ time of faiss, for the best `TOP` of all rows and of a tenth of them."""
    import faiss  # a development requirement

    threads = core_count()
    faiss.omp_set_num_threads(threads)
    report.say(f"search, {rows} × {dimension}, top {TOP}, {threads} threads; the lake is made first")
    with _lake(rows, dimension, report) as blocks:
        index = faiss.IndexFlatIP(dimension)
        for block in blocks:
            index.add(block.vectors)
        queries = _queries(blocks)
        ours, theirs = partial(_ours, blocks, queries, threads, False), partial(_theirs, index, queries, None)
        _check(ours(), theirs())
        times = take_turns({"ours": ours, "faiss": theirs}, rounds, report)
        ratios = [Ratio("ours / faiss IndexFlatIP, all rows", ratio_of(times, "ours", "faiss"), "<= 1")]
        first, end = _filtered(blocks)
        report.say(f"  filtered by camera and time: {end - first} rows")
        wanted = np.arange(first, end)
        selectors = {
            "IDSelectorRange": faiss.IDSelectorRange(first, end),
            "IDSelectorBatch": faiss.IDSelectorBatch(wanted),
        }
        ours = partial(_ours, blocks, queries, threads, True)
        settings: Any = faiss.SearchParameters  # its types know nothing of its keywords
        chosen = {name: partial(_theirs, index, queries, settings(sel=it)) for name, it in selectors.items()}
        for theirs in chosen.values():
            _check(ours(), theirs())
        times = take_turns({"ours": ours, **chosen}, 3 * rounds, report)
    name = f"ours / faiss, camera and time filter ({end - first} rows)"
    return [*ratios, *(Ratio(f"{name}, {selector}", ratio_of(times, "ours", selector), "<= 1") for selector in chosen)]


def _queries(blocks: Sequence[Block]) -> Queries:
    """Rows of the lake with noise, so that there is something to find."""
    random = np.random.default_rng(1)
    places = random.integers(0, len(blocks[CHOSEN]), QUERIES)
    found = blocks[CHOSEN].vectors[places] + random.normal(scale=0.03, size=(QUERIES, blocks[CHOSEN].vectors.shape[1]))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def _span(block: Block) -> tuple[int, int]:
    """The middle of its time, microseconds since 1970."""
    first, last = int(block.from_us[0]), int(block.from_us[-1])
    margin = round((last - first) * (1 - SHARE) / 2)
    return first + margin, last - margin


def _filtered(blocks: Sequence[Block]) -> tuple[int, int]:
    """The rows that the filter leaves, as faiss counts them: over all blocks."""
    before = sum(len(block) for block in blocks[:CHOSEN])
    first, end = blocks[CHOSEN].from_us.searchsorted(_span(blocks[CHOSEN]))
    return before + int(first), before + int(end)


def _ours(blocks: Sequence[Block], queries: Queries, threads: int, filtered: bool) -> list[tuple[Any, Any]]:
    """Ids over all blocks, and scores, for each query; with the filter's own work."""
    begins = np.cumsum([0, *(len(block) for block in blocks)])
    found = []
    for query in queries:
        if filtered:
            block = blocks[CHOSEN]
            start, stop = block.from_us.searchsorted(_span(block))
            hits = rank([Searched(block.vectors, block.norms, int(start), int(stop))], query, threads=threads).best(TOP)
            found.append((hits.row + begins[CHOSEN], hits.score))
        else:
            hits = rank([Searched(block.vectors, block.norms) for block in blocks], query, threads=threads).best(TOP)
            found.append((hits.row + begins[hits.part], hits.score))
    return found


def _theirs(index: Any, queries: Queries, parameters: Any) -> list[tuple[Any, Any]]:
    found = []
    for query in queries:
        scores, ids = index.search(query[None], TOP, params=parameters)
        found.append((ids[0], scores[0]))
    return found


def _check(ours: Sequence[tuple[Any, Any]], theirs: Sequence[tuple[Any, Any]]) -> None:
    """See that both found the same, but for ties: a quick answer that is wrong would flatter."""
    for (my_ids, my_scores), (ids, scores) in zip(ours, theirs, strict=True):
        same = np.allclose(my_scores, scores, atol=TOLERANCE)
        alone = set(my_ids.tolist()) ^ set(ids.tolist())
        told = dict(zip([*my_ids.tolist(), *ids.tolist()], [*my_scores.tolist(), *scores.tolist()], strict=True))
        if not same or any(told[number] > min(scores) + TOLERANCE for number in alone):
            raise AfterwatchError("ours and faiss found different rows; see tests/models/test_search.py")


@contextmanager
def _lake(rows: int, dimension: int, report: Report) -> Iterator[list[Block]]:
    """The matrices of a lake with `rows` vectors, of `CAMERAS` cameras with one a second."""
    folder = Path(tempfile.mkdtemp(prefix="afterwatch-bench-"))
    try:
        store = Store(str(folder / "lake"))
        ledger = Ledger(store)
        for camera in range(CAMERAS):
            ledger.record([_embed(store, camera, rows // CAMERAS, dimension)])
        blocks = Matrices(store, ledger, folder / "matrices").blocks(SPACE)
        shutil.rmtree(folder / "lake")
        report.say(f"  {sum(len(block) for block in blocks)} rows in {len(blocks)} matrices")
        yield blocks
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _embed(store: Store, camera: int, rows: int, dimension: int) -> RunRow:
    random = np.random.default_rng(camera)
    begin_us, paths = round(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1_000_000, []
    for first in range(0, rows, FILE_ROWS):
        number = np.arange(first, min(first + FILE_ROWS, rows))
        columns: dict[str, Any] = {
            "campaign": CAMPAIGN,
            "camera": f"camera-{camera}",
            "day": date(2026, 3, 2),
            "space": SPACE,
            "recording_id": f"{camera}-{first}",
            "region": REGION,
            "index": number - first,
            "from_us": (number - first) * 1_000_000,
            "to_us": (number - first) * 1_000_000 + 40_000,
            "taken_at": pa.array(begin_us + number * 1_000_000).cast(MOMENT),
            "digest": "",
            "vector": random.standard_normal((len(number), dimension), dtype=np.float32).astype(np.float16),
        }
        paths.append(f"embeddings/{camera}-{first}.parquet")
        store.write_table(paths[-1], rows_of("embeddings", columns, dimension))
    now = datetime.now(UTC)
    scope = f"{SPACE}/{REGION}"
    place = (CAMPAIGN, f"camera-{camera}", date(2026, 3, 2), scope)
    return RunRow("bench", "embed", *place, f"{camera}", "done", now, now, outputs=tuple(paths))
