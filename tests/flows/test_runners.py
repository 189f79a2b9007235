"""Where tasks run: an existing Dask scheduler by its address, with labelled resources."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.runners import task_runner
from infra.errors import ConfigurationError
from infra.settings import ClusterTable
from tests.e2e.command import afterwatch


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """Address of a scheduler with one worker that offers a GPU by name."""
    log = tmp_path / "scheduler.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
        started = [_start([*command, "--dashboard-address", "127.0.0.1:0"], output)]
        try:
            address = _address(log)
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
            started.append(_start([*worker, "--resources", "GPU=1", "--local-directory", str(tmp_path)], output))
            yield address
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _start(command: list[str], output: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)  # type: ignore[call-overload, no-any-return]


def _address(log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = re.search(r"tcp://127\.0\.0\.1:\d+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.2)
    pytest.fail(log.read_text())


@pytest.mark.serial
@pytest.mark.timeout(300)
def test_an_existing_scheduler_runs_the_night_on_its_labelled_workers(scheduler: str, small_site: Path) -> None:
    settings = small_site / "afterwatch.toml"
    settings.write_text(settings.read_text() + f'\naddress = "{scheduler}"\ngpu_resource = "GPU"\n')
    done = afterwatch("run", "--site", small_site, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "complete"
    assert done.json["decoded_s"] > 0


def test_an_absent_scheduler_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"tcp://127\.0\.0\.1:9"):
        task_runner(ClusterTable(address="tcp://127.0.0.1:9"))
