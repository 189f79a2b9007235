"""Files are there whole or not at all, here and in an object store."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from infra.errors import LakeError, UnknownNameError
from lake.store import Store, rows_of

Spans = Callable[..., pa.Table]


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_what_is_written_is_there(kind: str, tmp_path: Path, spans: Spans) -> None:
    store = Store(str(tmp_path / "lake") if kind == "local" else f"memory://{tmp_path.name}/lake/")
    assert store.names("coverage") == []
    assert not store.exists("coverage/a.parquet")
    store.write_table("coverage/b.parquet", spans(2))
    store.write_table("coverage/a.parquet", spans(3))
    store.write_bytes("coverage/deep/c.parquet", b"1")
    found = [name for name in store.names("coverage") if name.endswith(".parquet")]
    assert found == ["coverage/a.parquet", "coverage/b.parquet"]
    assert store.exists("coverage/a.parquet")
    assert store.read_table("coverage/a.parquet").equals(spans(3))
    assert store.read_table("coverage/a.parquet", ["to_us"])["to_us"].to_pylist() == [10, 20, 30]
    store.delete("coverage/a.parquet")
    assert not store.exists("coverage/a.parquet")
    with pytest.raises(FileNotFoundError):
        store.read_bytes("coverage/a.parquet")


def test_an_unknown_store_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match='did you mean "s3"'):
        Store("s33://bucket/lake")


def test_the_same_rows_are_the_same_bytes(store: Store, spans: Spans) -> None:
    for name in ("a", "b"):
        store.write_table(f"coverage/{name}.parquet", spans(1000))
    assert store.read_bytes("coverage/a.parquet") == store.read_bytes("coverage/b.parquet")


def broken_write(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("existed", [False, True])
def test_a_full_disk_leaves_the_old_file_or_none(
    call: str, existed: bool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if existed:
        store.write_bytes("coverage/a.parquet", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken_write)
        with pytest.raises(
            LakeError, match=r"coverage/a\.parquet cannot be written: No space left on device; free space"
        ):
            store.write_bytes("coverage/a.parquet", b"new")
    assert store.exists("coverage/a.parquet") == existed
    assert not existed or store.read_bytes("coverage/a.parquet") == b"old"
    assert os.listdir(store.url("coverage")) == (["a.parquet"] if existed else [])


def test_a_writer_that_is_stopped_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write_bytes("coverage/a.parquet", b"new")
    assert os.listdir(store.url("coverage")) == []


def test_a_folder_in_the_way_is_told(store: Store) -> None:
    os.makedirs(store.url("coverage/a.parquet"))
    with pytest.raises(LakeError, match="cannot be written"):
        store.write_bytes("coverage/a.parquet", b"new")
    (Path(store.location) / "runs").write_text("a file where a folder should be")
    with pytest.raises(LakeError, match="cannot be written"):
        store.write_bytes("runs/a.parquet", b"new")


def test_unfinished_files_are_not_listed(store: Store) -> None:
    store.write_bytes("runs/a.parquet", b"1")
    (Path(store.location) / "runs/.b.parquet.123-abc.tmp").write_bytes(b"half")
    assert store.names("runs") == ["runs/a.parquet"]


def test_readers_never_see_half_a_file(store: Store) -> None:
    contents = {bytes([letter]) * 200_000 for letter in b"ab"}
    store.write_bytes("x/a", min(contents))
    seen, stop = set[bytes](), threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(store.read_bytes("x/a"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        store.write_bytes("x/a", sorted(contents)[number % 2])
    stop.set()
    reader.join()
    assert seen <= contents


def test_a_single_value_stands_for_every_row(spans: Spans) -> None:
    rows = spans(3, recording_id="x")
    assert rows["recording_id"].to_pylist() == ["x"] * 3
    assert rows.num_rows == 3
    assert spans(0).num_rows == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": "red"}, r"unknown columns \['colour'\]"),
        ({"state": None, "reason": None}, r"absent columns \['reason', 'state'\]"),
        ({"from_us": [1, 2], "to_us": [1, 2, 3]}, r"unequal length \[2, 3\]"),
    ],
)
def test_rows_that_are_no_table_are_refused(change: dict[str, Any], reason: str) -> None:
    columns: dict[str, Any] = {
        "campaign": "c",
        "camera": "a",
        "day": datetime(2026, 3, 2, tzinfo=UTC).date(),
        "recording_id": "r",
        "from_us": [1],
        "to_us": [2],
        "state": "analysed",
        "reason": "",
    }
    given = {name: value for name, value in (columns | change).items() if value is not None}
    with pytest.raises(LakeError, match=reason):
        rows_of("coverage", given)


def test_rows_of_an_unknown_table_are_refused() -> None:
    with pytest.raises(UnknownNameError):
        rows_of("covrage", {})


def test_vectors_are_kept_as_they_are(store: Store) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float16)
    place = {"campaign": "c", "camera": "a", "day": datetime(2026, 3, 2, tzinfo=UTC).date()}
    columns = {
        **place,
        "space": "s",
        "recording_id": "r",
        "region": "frame",
        "index": np.arange(5),
        "from_us": np.arange(5),
        "to_us": np.arange(5) + 1,
        "taken_at": [datetime(2026, 3, 2, tzinfo=UTC)] * 5,
        "digest": "",
        "vector": vectors,
    }
    store.write_table("embeddings/a.parquet", rows_of("embeddings", columns, 7))
    back = store.read_table("embeddings/a.parquet")
    assert np.array_equal(np.array(back["vector"].to_pylist(), dtype=np.float16), vectors)


def test_an_object_store_out_of_reach_is_a_lake_error() -> None:
    options = {
        "endpoint_url": "http://127.0.0.1:9",
        "key": "a",
        "secret": "b",
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1},
    }
    with pytest.raises(LakeError, match="cannot be written"):
        Store("s3://bucket/lake", options).write_bytes("a", b"1")
