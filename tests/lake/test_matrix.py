"""Matrices hold what the ledger names, in order of time, at unit length; they are made again whenever they must be."""

import multiprocessing
import os
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from infra.errors import LakeError
from lake.ledger import Ledger
from lake.matrix import Block, Matrices
from lake.matrix_file import DamagedFileError, open_matrix
from lake.store import Store, rows_of
from lake.vectors import read_embeddings
from tests.lake.conftest import DAY, START, RunMaker

SPACE = "clip-1"
HERE = (SPACE, "c1", "hall", "frame")
Vectors = NDArray[np.float32]


class Lake:
    """Embeddings and what the ledger says of them."""

    def __init__(self, store: Store, run_row: RunMaker, folder: Path) -> None:
        self.store, self.ledger, self.folder = store, Ledger(store), folder
        self._run_row, self._said = run_row, 0

    @property
    def matrices(self) -> Matrices:
        """As a new process would open them."""
        return Matrices(self.store, Ledger(self.store), self.folder)

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def embed(self, name: str, vectors: Vectors, seconds: Sequence[float], recording: str = "r", **told: Any) -> str:
        space, campaign, camera, region = told.get("place", HERE)
        columns = {
            "campaign": campaign,
            "camera": camera,
            "day": told.get("day", DAY),
            "space": space,
            "recording_id": recording,
            "region": region,
            "index": np.arange(len(seconds)),
            "from_us": [round(second * 1e6) for second in seconds],
            "to_us": [round(second * 1e6) + 40_000 for second in seconds],
            "taken_at": pa.array([START + timedelta(seconds=second) for second in seconds], pa.timestamp("us", "UTC")),
            "digest": "d",
            "vector": vectors.astype(np.float16),
        }
        path = f"embeddings/space={space}/{name}.parquet"
        self.store.write_table(path, rows_of("embeddings", columns, vectors.shape[1]))
        return path

    def count(self, *paths: str, place: tuple[str, str, str, str] = HERE, day: date = DAY) -> None:
        """Say that these files, and no others of the place and day, count."""
        self._said += 1
        space, campaign, camera, region = place
        row = self._run_row(
            self._said,
            step="embed",
            campaign=campaign,
            camera=camera,
            day=day,
            scope=f"{space}/{region}",
            outputs=paths,
        )
        self.ledger.record([row])

    def run_row(self, second: int, place: tuple[str, str, str, str], day: date, path: str, began: datetime) -> None:
        """Say that a file counts, as a run does that is named by the moment it began."""
        space, campaign, camera, region = place
        told: dict[str, Any] = {"step": "embed", "campaign": campaign, "camera": camera, "day": day}
        moment = START + timedelta(seconds=second)
        run_id = f"{began:%Y%m%dT%H%M%S}-{second:06x}"
        row = self._run_row(
            second, **told, run_id=run_id, started_at=moment, scope=f"{space}/{region}", outputs=(path,)
        )
        self.ledger.record([row])


@pytest.fixture
def lake(store: Store, run_row: RunMaker, tmp_path: Path) -> Lake:
    return Lake(store, run_row, tmp_path / "matrices")


def drawn(rows: int, dimension: int = 6, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension)) * 3
    return vectors.astype(np.float16).astype(np.float32)


def check(block: Block, store: Store, paths: Sequence[str]) -> None:
    """The block is what its files hold, read the plain way."""
    expected = read_embeddings(store, paths)
    lengths = np.linalg.norm(expected.vectors, axis=1)
    np.testing.assert_allclose(block.norms, lengths, rtol=1e-6)
    np.testing.assert_allclose(block.vectors * block.norms[:, None], expected.vectors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(block.vectors[lengths > 0], axis=1), 1, atol=1e-6)
    assert block.vectors.dtype == block.norms.dtype == np.float32
    assert block.rows.equals(expected.rows.select(block.rows.column_names))
    assert np.array_equal(block.from_us, expected.from_us)
    assert np.array_equal(block.to_us, expected.to_us)


def test_files_that_interleave_are_put_in_order_of_time(lake: Lake) -> None:
    paths = [
        lake.embed("b", drawn(3), [0, 2, 4]),
        lake.embed("a", drawn(3, seed=1), [1, 3, 4], recording="q"),
        lake.embed("c", np.zeros((0, 6), np.float32), []),
    ]
    lake.count(*paths)
    block = lake.matrices.block(*HERE)
    check(block, lake.store, paths)
    assert block.rows.column_names == ["day", "recording_id", "index", "from_us", "to_us", "taken_at"]
    assert block.rows["recording_id"].to_pylist() == ["r", "q", "r", "q", "q", "r"]
    assert (np.diff(block.from_us) >= 0).all()
    assert (block.space, block.campaign, block.camera, block.region) == HERE


def test_a_zero_vector_stays_zero(lake: Lake) -> None:
    vectors = drawn(3)
    vectors[1] = 0
    lake.count(lake.embed("a", vectors, [0, 1, 2]))
    block = lake.matrices.block(*HERE)
    assert block.norms[1] == 0
    assert (block.vectors[1] == 0).all()
    assert np.linalg.norm(block.vectors, axis=1).round(6).tolist() == [1, 0, 1]


def test_a_block_cannot_be_written_to(lake: Lake) -> None:
    lake.count(lake.embed("a", drawn(2), [0, 1]))
    block = lake.matrices.block(*HERE)
    with pytest.raises(ValueError, match="read-only"):
        block.vectors[0] = 0


def test_only_files_that_the_ledger_names_count(lake: Lake) -> None:
    lake.embed("never", drawn(4, seed=3), [0, 1, 2, 3])
    old = lake.embed("old", drawn(2), [0, 1])
    lake.count(old)
    new = lake.embed("new", drawn(3, seed=1), [0, 1, 2])
    lake.count(new)
    other = lake.embed("other", drawn(1, seed=2), [90_000])
    lake.count(other, day=DAY + timedelta(days=1))
    check(lake.matrices.block(*HERE), lake.store, [new, other])


def test_names_and_filters(lake: Lake) -> None:
    places = [
        (SPACE, "c1", "hall", "frame"),
        (SPACE, "c1", "hall", "hatch/2 %"),
        (SPACE, "c2", "hall", "frame"),
        (SPACE, "c2", "yard", "frame"),
        ("hog-2", "c1", "hall", "frame"),
    ]
    for number, place in enumerate(places):
        lake.count(lake.embed(f"f{number}", drawn(number + 1), range(number + 1), place=place), place=place)
    matrices = lake.matrices
    assert matrices.spaces() == [SPACE, "hog-2"]
    assert matrices.names(SPACE) == [place[1:] for place in places[:4]]
    assert matrices.names("nothing") == []
    assert [len(block) for block in matrices.blocks(SPACE)] == [1, 2, 3, 4]
    assert [len(block) for block in matrices.blocks(SPACE, camera="hall", region="frame")] == [1, 3]
    assert [len(block) for block in matrices.blocks(SPACE, campaign="c2")] == [3, 4]
    assert matrices.blocks("hog-2", campaign="c2") == []


def test_of_what_is_not_embedded_the_block_is_empty_and_nothing_is_written(lake: Lake) -> None:
    assert len(lake.matrices.block(*HERE)) == 0
    lake.count(lake.embed("a", np.zeros((0, 6), np.float32), []))
    block = lake.matrices.block(*HERE)
    assert block.vectors.shape == (0, 6)
    assert block.from_us.tolist() == block.to_us.tolist() == []
    assert lake.files == []


def test_what_is_there_is_opened_and_not_made_again(lake: Lake) -> None:
    path = lake.embed("a", drawn(20), range(20))
    lake.count(path)
    first = lake.matrices
    block = first.block(*HERE)
    lake.store.delete(path)
    told: list[tuple[int, int]] = []
    again = lake.matrices.block(*HERE, progress=lambda done, count: told.append((done, count)))
    assert np.array_equal(again.vectors, block.vectors)
    assert told == []
    assert first.block(*HERE) is block


def test_a_further_day_is_read_and_the_others_are_taken_from_the_older_matrix(lake: Lake) -> None:
    first = lake.embed("z", drawn(30), range(0, 60, 2))
    lake.count(first)
    older = lake.matrices.block(*HERE)
    (old_file,) = lake.files
    second = lake.embed("b", drawn(30, seed=1), range(1, 61, 2))
    lake.count(first, second)
    expected = read_embeddings(lake.store, [first, second])
    lake.store.delete(first)
    told: list[tuple[int, int]] = []
    block = lake.matrices.block(*HERE, progress=lambda done, count: told.append((done, count)))
    assert block.key != older.key
    assert told[-1] == (60, 60)
    assert block.rows.equals(expected.rows.select(block.rows.column_names))
    np.testing.assert_allclose(block.vectors * block.norms[:, None], expected.vectors, rtol=1e-5, atol=1e-6)
    assert old_file not in lake.files and len(lake.files) == 1
    np.testing.assert_allclose(older.vectors, block.vectors[::2])  # who has the old file mapped keeps it


def test_a_matrix_made_from_an_older_one_is_the_one_made_from_the_files(lake: Lake) -> None:
    paths = [lake.embed(name, drawn(9, seed=n), [0, 5, 5, 5, 7, 7, 8, 9, 9]) for n, name in enumerate("cab")]
    lake.count(*paths[:2])
    lake.matrices.block(*HERE)
    lake.count(*paths)
    lake.matrices.block(*HERE)
    (grown,) = lake.files
    content = grown.read_bytes()
    grown.unlink()
    lake.matrices.block(*HERE)
    assert grown.read_bytes() == content


def test_a_file_that_no_longer_counts_goes_from_the_matrix(lake: Lake) -> None:
    first, second = lake.embed("a", drawn(3), [0, 1, 2]), lake.embed("b", drawn(2, seed=1), [3, 4])
    lake.count(first, second)
    lake.matrices.block(*HERE)
    lake.count(second)
    check(lake.matrices.block(*HERE), lake.store, [second])


def test_a_matrix_of_another_version_is_not_built_upon(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = lake.embed("a", drawn(3), [0, 1, 2]), lake.embed("b", drawn(2, seed=1), [3, 4])
    lake.count(first)
    with monkeypatch.context() as patched:
        patched.setattr("lake.matrix.VERSION", 0)
        patched.setattr("lake.matrix.unit_vectors", lambda vectors: (vectors, np.ones(len(vectors), np.float32)))
        lake.matrices.block(*HERE)
    lake.count(first, second)
    check(lake.matrices.block(*HERE), lake.store, [first, second])


def test_of_a_region_drawn_anew_only_what_a_later_run_names_counts(lake: Lake) -> None:
    hatch, next_day = (SPACE, "c1", "hall", "hatch"), DAY + timedelta(days=1)
    old = [lake.embed(name, drawn(3), [at, at + 1, at + 2], place=hatch) for name, at in (("a", 0), ("b", 10))]
    whole = lake.embed("w", drawn(3), [0, 1, 2])
    lake.run_row(1, hatch, DAY, old[0], START)
    lake.run_row(2, hatch, next_day, old[1], START)
    lake.run_row(3, HERE, DAY, whole, START)
    since: dict[tuple[str, str], datetime] = {}
    matrices = Matrices(lake.store, Ledger(lake.store), lake.folder, lambda: since)
    check(matrices.block(*hatch), lake.store, old)
    since["hall", "hatch"] = START + timedelta(seconds=10.5)
    assert matrices.names(SPACE) == [HERE[1:]]
    assert len(matrices.block(*hatch)) == 0
    new = lake.embed("c", drawn(3, seed=1), [0, 1, 2], place=hatch)
    lake.run_row(20, hatch, DAY, new, START + timedelta(seconds=10))  # a run is named by the second it began in
    check(matrices.block(*hatch), lake.store, [new])
    lake.run_row(30, hatch, next_day, old[1], START + timedelta(seconds=9))  # began before, and ended after
    check(matrices.block(*hatch), lake.store, [new])
    lake.run_row(40, hatch, next_day, old[1], START + timedelta(seconds=35))  # drawn back, found again
    check(matrices.block(*hatch), lake.store, [new, old[1]])
    check(matrices.block(*HERE), lake.store, [whole])


Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "too long": lambda content: content + b"\0" * 4096,
    "no matrix": lambda content: b"\x5a" * len(content),
    "zeros": lambda content: bytes(len(content)),
    "head": lambda content: flipped(content, 20),
    "a vector": lambda content: flipped(content, 4096 + 4 * 300),
    "a norm": lambda content: flipped(content, 4096 + 3 * 4096 + 40),
    "the last sum": lambda content: flipped(content, len(content) - 4096),
}


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_noticed_and_made_again(lake: Lake, damage: str) -> None:
    path = lake.embed("a", drawn(300, 8), range(300))
    lake.count(path)
    lake.matrices.block(*HERE)
    (file,) = lake.files
    content = file.read_bytes()
    file.unlink()  # who has it mapped would see the damage
    file.write_bytes(DAMAGES[damage](content))
    check(lake.matrices.block(*HERE), lake.store, [path])
    assert lake.files == [file]
    assert file.read_bytes() == content


def test_no_flipped_bit_of_a_file_goes_unnoticed_where_it_matters(lake: Lake) -> None:
    lake.count(lake.embed("a", drawn(300, 8), range(300)))
    lake.matrices.block(*HERE)
    (file,) = lake.files
    content, copy = file.read_bytes(), file.with_name("copy")
    good = open_matrix(file)
    for place in np.random.default_rng(0).integers(0, len(content), 200).tolist():
        copy.unlink(missing_ok=True)
        copy.write_bytes(flipped(content, place))
        try:
            found = open_matrix(copy)
        except DamagedFileError:
            continue
        assert np.array_equal(found.vectors, good.vectors)  # the byte only fills a page up
        assert np.array_equal(found.norms, good.norms)
        assert found.rows.equals(good.rows)


def test_a_damaged_older_matrix_is_not_built_upon(lake: Lake) -> None:
    first = lake.embed("a", drawn(300, 8), range(300))
    lake.count(first)
    lake.matrices.block(*HERE)
    (file,) = lake.files
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(flipped(content, 5000))
    second = lake.embed("b", drawn(2, 8, seed=1), [400, 401])
    lake.count(first, second)
    check(lake.matrices.block(*HERE), lake.store, [first, second])


def test_left_behind_unfinished_files_go_in_time(lake: Lake) -> None:
    lake.count(lake.embed("a", drawn(3), range(3)))
    lake.matrices.block(*HERE)
    (file,) = lake.files
    dead, alive = file.with_name(".x.matrix.1-aa.tmp"), file.with_name(".x.matrix.2-bb.tmp")
    for path in (dead, alive):
        path.write_bytes(b"")
    os.utime(dead, (0, 0))
    lake.count(lake.embed("b", drawn(3), range(3)))
    lake.matrices.block(*HERE)
    assert dead not in lake.files and alive in lake.files


def test_what_fails_leaves_nothing_behind(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lake.embed("a", drawn(3), range(3))
    lake.count(path)
    monkeypatch.setattr(os, "posix_fallocate", _full)
    with pytest.raises(LakeError, match=r"cannot be written: No space left on device; free space"):
        lake.matrices.block(*HERE)
    assert lake.files == []
    monkeypatch.undo()
    lake.store.delete(path)
    with pytest.raises(LakeError, match=r"a\.parquet counts and cannot be read .*afterwatch run"):
        lake.matrices.block(*HERE)
    lake.store.write_bytes(path, b"no Parquet")
    with pytest.raises(LakeError, match=r"a\.parquet counts and cannot be read"):
        lake.matrices.block(*HERE)
    assert lake.files == []


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_vectors_of_another_space_are_refused(lake: Lake) -> None:
    lake.count(lake.embed("a", drawn(3), range(3), place=("hog-2", "c1", "hall", "frame")))
    with pytest.raises(LakeError, match=r"should hold vectors of .* in clip-1, but holds .* hog-2"):
        lake.matrices.block(*HERE)


def test_vectors_of_two_lengths_are_refused(lake: Lake) -> None:
    lake.count(lake.embed("a", drawn(3), range(3)), lake.embed("b", drawn(3, 7), range(3)))
    with pytest.raises(LakeError, match=r"\[6, 7\] dimensions"):
        lake.matrices.block(*HERE)


def test_the_lake_may_be_an_object_store(run_row: RunMaker, tmp_path: Path) -> None:
    lake = Lake(Store(f"memory://lake-{tmp_path.name}"), run_row, tmp_path / "matrices")
    paths = [lake.embed("a", drawn(3), range(3)), lake.embed("b", drawn(3, seed=1), range(3, 6))]
    lake.count(*paths)
    check(lake.matrices.block(*HERE), lake.store, paths)
    assert len(lake.files) == 1


def test_memory_is_bounded_while_a_matrix_is_made(lake: Lake) -> None:
    files, rows, dimension = 30, 500, 512
    paths = [
        lake.embed(f"{n:02d}", drawn(rows, dimension, seed=n), range(n * rows, (n + 1) * rows)) for n in range(files)
    ]
    lake.count(*paths)
    tracemalloc.start()
    try:
        block = lake.matrices.block(*HERE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert block.vectors.nbytes == files * rows * dimension * 4
    assert peak < block.vectors.nbytes / 3


def build(location: str, folder: str) -> tuple[str, float]:
    store = Store(location)
    block = Matrices(store, Ledger(store), Path(folder)).block(*HERE)
    return block.key, float(block.vectors.sum(dtype=np.float64))


def test_several_processes_may_make_one_matrix_at_once(lake: Lake) -> None:
    lake.count(*(lake.embed(f"{n}", drawn(2000, 64, seed=n), range(n, 8000 + n, 4)) for n in range(4)))
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        made = [pool.submit(build, lake.store.location, str(lake.folder)) for _ in range(6)]
        found = {future.result() for future in made}
    block = lake.matrices.block(*HERE)
    assert found == {(block.key, float(block.vectors.sum(dtype=np.float64)))}
    assert len(lake.files) == 1
