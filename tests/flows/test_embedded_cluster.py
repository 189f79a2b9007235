"""The embedded cluster stands though a worker is lost while it starts, and says so; where it cannot stand, that is said too."""

from pathlib import Path

import dask
import pytest
from distributed import Client

from flows.runners import client_pool, start_embedded, task_runner
from infra.errors import NightError
from infra.settings import ClusterTable
from tests.forks import forked_workers

SETTINGS = {
    "n_workers": 1,
    "threads_per_worker": 1,
    "processes": True,
    "host": "127.0.0.1",
    "dashboard_address": "127.0.0.1:0",
}
ENDS = """
import os, signal
for number in range({times}):
    try:
        os.close(os.open(f"{folder}/{{number}}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        continue
    os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.serial


def losing(folder: Path, times: int) -> list[str]:
    """What kills as many workers as they start, and no more."""
    preload = folder / "ends.py"
    preload.write_text(ENDS.format(folder=folder, times=times), encoding="ascii")
    return [str(preload)]


def test_a_cluster_that_loses_a_worker_while_it_starts_is_started_once_more(tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.worker.preload": losing(tmp_path, 1)}),
        forked_workers(),
        start_embedded(**SETTINGS) as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(sum, [1, 2]).result() == 3
        assert len(cluster.scheduler.workers) == 1
        (line,) = cluster.told
        assert "a worker ended while the embedded cluster started" in line and "once more" in line


def test_a_cluster_that_cannot_start_says_what_that_looks_like(tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.worker.preload": losing(tmp_path, 2)}),
        forked_workers(),
        pytest.raises(NightError, match=r"ended while they started, twice .*running out of memory.*cluster\.workers"),
    ):
        start_embedded(**SETTINGS)


def test_nights_and_federated_experiments_start_it_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.runners.EmbeddedCluster", refused)
    with pytest.raises(NightError, match="twice"):
        task_runner(ClusterTable(workers=1), tmp_path).client  # noqa: B018 — it is started where it is asked for
    with pytest.raises(NightError, match="twice"), client_pool(ClusterTable(workers=1), tmp_path):
        pytest.fail("there is no cluster")


def refused(**_: object) -> None:
    raise RuntimeError("Nanny failed to start.")
