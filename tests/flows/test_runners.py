"""Where tasks run: an existing Dask scheduler by its address, with labelled resources."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed.cli import dask_scheduler, dask_worker

from flows import runners
from flows.runners import task_runner
from infra.errors import ConfigurationError
from infra.settings import ClusterTable
from tests.e2e.command import afterwatch
from tests.forks import FORKS, write_to


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """Address of a scheduler with one worker that offers a GPU by name."""
    log, told = tmp_path / "scheduler.log", tmp_path / "scheduler.json"
    started = [
        _start(log, _schedule, "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told), "--no-dashboard")
    ]
    try:
        address = _address(told, log)
        worker = [address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)]
        started.append(_start(log, _work, *worker, "--resources", "GPU=1"))
        yield address
    finally:
        for process in started:
            process.kill()
            process.join()


def _start(log: Path, target: Any, *arguments: str) -> Any:
    process = FORKS.Process(target=target, args=(log, arguments))
    process.start()
    return process


def _schedule(log: Path, arguments: tuple[str, ...]) -> None:
    write_to(log)
    dask_scheduler.main(arguments)


def _work(log: Path, arguments: tuple[str, ...]) -> None:
    write_to(log)
    dask_worker.main(arguments)


def _address(told: Path, log: Path) -> str:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if told.exists():
            return str(json.loads(told.read_text())["address"])
        time.sleep(0.2)
    pytest.fail(log.read_text())


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("server")
def test_an_existing_scheduler_runs_the_night_on_its_labelled_workers(scheduler: str, small_site: Path) -> None:
    settings = small_site / "afterwatch.toml"
    settings.write_text(settings.read_text() + f'\naddress = "{scheduler}"\ngpu_resource = "GPU"\n')
    done = afterwatch("run", "--site", small_site, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "complete"
    assert done.json["decoded_s"] > 0


def test_an_absent_scheduler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "CONNECT_S", 1)
    with pytest.raises(ConfigurationError, match=r"tcp://127\.0\.0\.1:9"):
        task_runner(ClusterTable(address="tcp://127.0.0.1:9"))
