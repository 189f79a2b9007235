"""Embeddings come back as they were written, in order of time, and two spaces never meet."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.errors import LakeError
from lake.store import Store, rows_of
from lake.vectors import read_embeddings
from tests.lake.conftest import DAY, START


def write(
    store: Store, name: str, vectors: NDArray[np.float32], seconds: list[int], space: str = "s", recording: str = "r"
) -> str:
    columns: dict[str, Any] = {
        "campaign": "c1",
        "camera": "hall",
        "day": DAY,
        "space": space,
        "recording_id": recording,
        "region": "frame",
        "index": np.arange(len(seconds)),
        "from_us": [second * 1_000_000 for second in seconds],
        "to_us": [second * 1_000_000 + 500_000 for second in seconds],
        "taken_at": [START + timedelta(seconds=second) for second in seconds],
        "digest": "d",
        "vector": vectors.astype(np.float16),
    }
    path = f"embeddings/{name}.parquet"
    store.write_table(path, rows_of("embeddings", columns, vectors.shape[1]))
    return path


def test_files_are_read_in_order_of_time(store: Store) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float16).astype(np.float32)
    late = write(store, "a", vectors[2:], [2, 3])
    early = write(store, "b", vectors[:2], [0, 1])
    found = read_embeddings(store, [late, early])
    assert len(found) == 4
    assert found.vectors.dtype == np.float32
    assert np.array_equal(found.vectors, vectors)
    start_us = int(START.timestamp()) * 1_000_000
    assert found.from_us.tolist() == [start_us + n * 1_000_000 for n in range(4)]
    assert (found.to_us - found.from_us).tolist() == [500_000] * 4
    assert "vector" not in found.rows.column_names


def test_equal_times_are_ordered_by_recording_and_index(store: Store) -> None:
    vectors = np.eye(3, dtype=np.float32)
    paths = [write(store, name, vectors, [5, 5, 5], recording=name) for name in ("b", "a")]
    found = read_embeddings(store, paths)
    assert found.column("recording_id").tolist() == ["a"] * 3 + ["b"] * 3
    assert found.column("index").tolist() == [0, 1, 2] * 2


def test_taking_positions_takes_rows_and_vectors(store: Store) -> None:
    vectors = np.eye(4, dtype=np.float32)
    taken = read_embeddings(store, [write(store, "a", vectors, [0, 1, 2, 3])]).take(np.array([3, 1]))
    assert np.array_equal(taken.vectors, vectors[[3, 1]])
    assert taken.column("index").tolist() == [3, 1]


def test_nothing_reads_as_nothing(store: Store) -> None:
    empty = write(store, "a", np.empty((0, 5), dtype=np.float32), [])
    for paths in ([], [empty]):
        found = read_embeddings(store, paths)
        assert len(found) == 0
        assert found.from_us.tolist() == found.to_us.tolist() == []


def test_empty_files_beside_full_ones_do_not_matter(store: Store) -> None:
    empty = write(store, "a", np.empty((0, 5), dtype=np.float32), [])
    full = write(store, "b", np.ones((2, 5), dtype=np.float32), [0, 1])
    assert len(read_embeddings(store, [empty, full])) == 2


def test_two_spaces_are_refused(store: Store) -> None:
    ones = np.ones((1, 5), dtype=np.float32)
    paths = [write(store, name, ones, [0], space=name) for name in ("clip", "hog")]
    with pytest.raises(LakeError, match=r"different spaces.*\['clip', 'hog'\]"):
        read_embeddings(store, paths)
