"""A night on the workers of an existing scheduler: they join, leave and are killed, and the rows are those of a local night."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from benchmarks.chaos_tables import content_of, differences, row_count
from infra.version import ROOMS
from tests.conftest import ROOT
from tests.e2e.command import afterwatch, start
from tests.e2e.test_object_store import put_lake, s3_api
from tests.flows.dask_processes import DaskProcesses, until
from tests.tasks.nights import configure, new_site, run

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """Address of an S3 API, known to processes that start from now on."""
    with pytest.MonkeyPatch.context() as patch, s3_api(patch) as address:
        yield address


@pytest.fixture(scope="module")
def dask(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """A scheduler with two workers that offer nothing."""
    with DaskProcesses(tmp_path_factory.mktemp("dask")) as processes:
        processes.worker("plain-1")
        processes.worker("plain-2")
        yield processes


@pytest.fixture(scope="module")
def other_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms as somebody else has them: one function is another."""
    folder = tmp_path_factory.mktemp("other")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "models" / "events.py").open("a", encoding="utf-8") as file:
        file.write("\n\ndef of_another_version() -> None:\n    pass\n")
    return folder


def on(dask: DaskProcesses, **more: str) -> dict[str, Any]:
    """Settings of a site whose nights run there."""
    return {"cluster": {"address": dask.address, **more}}


def where_tasks_ran(client: Client, begun: Any) -> dict[str, set[str]]:
    """Names of the tasks that each worker has done, by the worker's name; of those that have gone as well."""
    names = {address: str(told["name"]) for address, told in begun.items()}
    found: dict[str, set[str]] = {}
    for record in client.get_task_stream(start=0):
        found.setdefault(names.get(record["worker"], record["worker"]), set()).add(record["key"].split("-")[0])
    return found


@pytest.mark.usefixtures("server")
def test_workers_join_leave_and_are_killed_and_the_rows_are_those_of_a_local_night(
    dask: DaskProcesses, small_footage: Path, other_code: Path, tmp_path: Path
) -> None:
    expected, site = new_site(tmp_path / "expected", small_footage), new_site(tmp_path / "site", small_footage)
    root = configure(site.site.root, on(dask, gpu_resource="GPU")).site.root
    dask.stranger("stranger", other_code)
    dask.wait_for("plain-1", "plain-2", "stranger")

    refused = afterwatch("run", "--site", root, "--json")
    assert refused.code == 2
    assert "offers the resource GPU" in refused.err and "worker stranger" in refused.err
    assert {path.relative_to(root / "lake").parts[0] for path in (root / "lake").rglob("*.parquet")} <= {"audit"}

    dask.worker("gpu-1", "--resources", "GPU=1")
    dask.wait_for("gpu-1")
    with Client(dask.address) as client:
        client.get_task_stream(start=0)  # from now on they are kept
        seen = dict(client.scheduler_info()["workers"])
        night = start("run", "--site", root, "--json")
        until(lambda: any((root / "lake" / "embeddings").rglob("*.parquet")), "nothing is embedded")
        dask.leave("gpu-1")
        dask.kill("plain-1")
        run(expected)  # meanwhile nobody may embed
        dask.worker("gpu-2", "--resources", "GPU=1")
        dask.wait_for("gpu-2")
        seen |= client.scheduler_info()["workers"]
        night.join(200)
        assert night.exitcode == 0
        ran = where_tasks_ran(client, seen)
    assert "embed" in ran["gpu-2"]
    assert {name for name, tasks in ran.items() if "embed" in tasks} <= {"gpu-1", "gpu-2"}
    assert "publish" in ran["plain-2"] | ran["gpu-2"]
    assert "stranger" not in ran
    told = afterwatch("status", "--site", root, "--json").json["last"]
    assert told["status"] == "complete"
    assert any("worker stranger" in line and "other code" in line for line in told["attention"])
    here, there = content_of(expected.site.root), content_of(root)
    assert row_count(here) > 500
    assert differences(here, there) == []


@pytest.mark.usefixtures("server")
def test_several_workers_write_into_one_object_store(
    dask: DaskProcesses, store: str, one_camera: Path, tmp_path: Path
) -> None:
    dask.worker("plain-3")
    expected, site = new_site(tmp_path / "expected", one_camera), new_site(tmp_path / "site", one_camera)
    run(expected)
    root = configure(site.site.root, {**put_lake(store, "several"), **on(dask)}).site.root
    done = afterwatch("run", "--site", root, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "complete"
    assert not (root / "lake").exists()
    assert differences(content_of(expected.site.root), content_of(root)) == []
