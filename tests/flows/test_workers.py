"""Which workers of an existing scheduler may take tasks, and what becomes of a run that finds none."""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from flows import workers
from flows.runners import _cancel_all, client_pool
from flows.workers import LIBRARIES, Crew, Shared, attended, look, muster, token_in, unfit
from infra.errors import ConfigurationError
from infra.settings import SETTINGS_FILE, ClusterTable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is to be shared."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / SETTINGS_FILE).write_text("[site]\n", encoding="utf-8")
    return tmp_path / "site"


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A scheduler whose workers, where it is given some, are threads of this process."""
    with LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local:
        yield local


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with Client(cluster) as connected:
        yield connected


def test_a_worker_with_the_same_code_that_sees_the_folder_fits(folder: Path) -> None:
    with token_in(folder) as token:
        told = look(str(folder), token)
        assert unfit(told, told, folder) == ""
    assert list(folder.iterdir()) == [folder / SETTINGS_FILE]


def other_code(told: dict[str, str], _: Path) -> dict[str, str]:
    return told | {"code": "0" * 20}


def other_library(told: dict[str, str], _: Path) -> dict[str, str]:
    return told | {LIBRARIES[0]: "0.1"}


def not_mounted(_: dict[str, str], elsewhere: Path) -> dict[str, str]:
    return look(str(elsewhere / "nowhere"), "token")


def a_copy(told: dict[str, str], elsewhere: Path) -> dict[str, str]:
    (elsewhere / SETTINGS_FILE).write_text("[site]\n", encoding="utf-8")
    return look(str(elsewhere), "token")


def stale_settings(told: dict[str, str], elsewhere: Path) -> dict[str, str]:
    return told | {"settings": look(str(elsewhere), "token")["settings"]}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (other_code, "other code"),
        (other_library, f"{LIBRARIES[0]} 0.1"),
        (not_mounted, "does not see"),
        (a_copy, "does not see"),
        (stale_settings, "other settings"),
    ],
)
def test_a_worker_that_would_work_otherwise_does_not(
    folder: Path, tmp_path: Path, there: Callable[[dict[str, str], Path], dict[str, str]], said: str
) -> None:
    with token_in(folder) as token:
        here = look(str(folder), token)
        assert said in unfit(here, there(dict(here), tmp_path), folder)
    assert "install the same Afterwatch" in unfit(here, ModuleNotFoundError("flows"), folder)


def test_a_scheduler_without_workers_is_told_and_not_waited_for(
    client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "START_S", 0.0)
    with pytest.raises(ConfigurationError, match=r"it has none.*leave cluster\.address out"):
        muster(Crew(client, Shared(folder), "token"))


def test_a_resource_that_nobody_offers_is_told(cluster: Any, client: Any, folder: Path) -> None:
    cluster.scale(1)
    client.wait_for_workers(1)
    with token_in(folder) as token:
        muster(Crew(client, Shared(folder), token))
        with pytest.raises(ConfigurationError, match=r"none of the 1 workers .* --resources GPU=1"):
            muster(Crew(client, Shared(folder, "GPU"), token))


def test_a_worker_that_fits_no_more_loses_its_label(
    cluster: Any, client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.scale(1)
    client.wait_for_workers(1)
    shared = Shared(folder)
    with token_in(folder) as token:
        muster(Crew(client, shared, token))
        assert [told["resources"][shared.label] for told in client.scheduler_info()["workers"].values()] == [
            workers.UNITS
        ]
        monkeypatch.setattr(workers, "unfit", lambda *_: "was unmounted")
        with pytest.raises(ConfigurationError, match="was unmounted"):
            muster(Crew(client, shared, token))
    assert [told["resources"][shared.label] for told in client.scheduler_info()["workers"].values()] == [0]


def test_a_task_that_waits_goes_to_the_first_worker_that_joins(
    cluster: Any, client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOOK_S", 0.05)
    shared = Shared(folder)
    with token_in(folder) as token, attended(Crew(client, shared, token), lambda why: pytest.fail(why)):
        waiting = client.submit(abs, -3, resources={shared.label: 1})
        cluster.scale(1)
        assert waiting.result(timeout=60) == 3


def test_a_run_that_finds_nobody_gives_up_and_says_why(
    client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOOK_S", 0.05)
    monkeypatch.setattr(workers, "PATIENCE_S", 0.1)
    told: list[str] = []

    def give_up(why: str) -> None:
        told.append(why)
        _cancel_all(client)

    shared = Shared(folder)
    with attended(Crew(client, shared, "token"), give_up):
        waiting = client.submit(abs, -3, resources={shared.label: 1})
        with pytest.raises(CancelledError):
            waiting.result(timeout=60)
    assert "no worker of the scheduler may take tasks" in told[0]


def test_clients_of_an_experiment_are_workers_of_a_scheduler(cluster: Any, folder: Path) -> None:
    cluster.scale(1)
    with client_pool(ClusterTable(address=cluster.scheduler_address), folder) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
