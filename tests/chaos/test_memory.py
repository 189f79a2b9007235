"""Out of memory is named as such, whoever ran out of it, and no recording is told as damaged for it."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from afterwatch.__main__ import main
from footage import decode as decoding
from footage.decode import decode
from footage.probe import probe
from infra.with_parent import ended_with
from tasks import ingest as ingesting
from tasks.receipts import reason_of
from tests.chaos.sites import FIRST, small
from tests.tasks.nights import ingest, run
from workspace.opened import Workspace

WANTING = "import resource, sys\nfrom tasks.receipts import reason_of\n"
WANTED = {
    "numpy": "import numpy\nwant = lambda: numpy.ones(1 << 36, numpy.uint8)",
    "opencv": "import cv2, numpy\nwant = lambda: cv2.resize(numpy.zeros((9, 9), numpy.uint8), (1 << 18, 1 << 18))",
    "arrow": "import pyarrow\nwant = lambda: pyarrow.allocate_buffer(1 << 40)",
}


@pytest.mark.parametrize("library", WANTED)
def test_each_library_s_want_of_memory_is_told_as_such(library: str) -> None:
    code = (
        f"{WANTING}{WANTED[library]}\ntry:\n    want()\nexcept BaseException as error:\n    print(reason_of(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
    )
    assert done.stdout.startswith("out of memory; lower compute.batch_size"), done.stdout + done.stderr


def test_a_worker_that_was_killed_over_and_over_is_told_as_that() -> None:
    class KilledWorker(Exception):  # as Dask calls it
        pass

    told = reason_of(KilledWorker("Attempted to run task on 4 different workers"))
    assert "killed several times" in told and "memory" in told


def test_a_process_without_addresses_for_a_thread_or_a_library_says_what_it_lacks() -> None:
    assert "out of memory, or of the threads" in reason_of(RuntimeError("can't start new thread"))
    told = reason_of(ImportError("libtorch_cpu.so: failed to map segment from shared object"))
    assert told.startswith("out of memory")


def test_a_process_that_was_killed_is_told_as_what_that_looks_like() -> None:
    assert ended_with(-9) == "exit code -9, killed as the system does where memory runs out"
    assert ended_with(3) == "exit code 3"


def test_a_verb_without_memory_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_memory(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("afterwatch.__main__.app", without_memory)
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("afterwatch: out of memory; lower compute.batch_size") and "Traceback" not in said


def test_pytorch_s_want_of_memory_is_told_as_such() -> None:
    words = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 1"
    assert reason_of(RuntimeError(words)).startswith("out of memory")


def test_other_errors_are_not_told_as_want_of_memory() -> None:
    assert "out of memory" not in reason_of(RuntimeError("Insufficient footage"))
    assert "out of memory" not in reason_of(OSError(28, "No space left on device"))


def wanting(*_: Any, **__: Any) -> Any:
    raise av.error.MemoryError(12, "Cannot allocate memory")


def test_a_decoder_without_memory_fails_and_tells_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = small(tmp_path / "site", 1)
    path = workspace.site.footage_root / FIRST
    index = probe(path).index

    class Context:
        """A decoder that has no memory left; all else is the recording's own."""

        def __init__(self, real: Any) -> None:
            self.__dict__["real"] = real

        def __getattr__(self, name: str) -> Any:
            return wanting if name == "decode" else getattr(self.__dict__["real"], name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(self.__dict__["real"], name, value)

    opened = decoding._Reader._open

    def without_memory(reader: Any) -> None:
        opened(reader)
        reader._context = Context(reader._context)

    monkeypatch.setattr(decoding._Reader, "_open", without_memory)
    with pytest.raises(MemoryError):
        list(decode(path, index, np.arange(3, dtype=np.int64), threads=1))


def test_a_file_that_memory_was_wanting_for_is_told_and_taken_up_by_a_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = small(tmp_path / "site", 2)
    with monkeypatch.context() as patch:
        patch.setattr(ingesting, "probe", wanting)
        _, rows = ingest(workspace)
    assert [row["status"] for row in rows] == ["quarantined", "quarantined"]
    assert all("not enough memory" in row["reason"] for row in rows)
    again = run(Workspace(workspace.site.root), retry=True)
    assert [row["status"] for row in again.rows] == ["ready", "ready"]
    assert again.report.status == "complete"


def test_a_reader_without_memory_does_not_end_the_recording_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Container:
        def demux(self, _: Any) -> Iterator[Any]:
            wanting()
            yield

    with pytest.raises(MemoryError):
        list(decoding.read_packets(Container(), object()))  # type: ignore[arg-type]  # stand-ins
