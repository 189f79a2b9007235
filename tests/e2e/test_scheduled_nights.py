"""Nights that begin by themselves: served, and run by a worker of a work pool on a server that keeps its runs in PostgreSQL.

With the wrong libraries a Prefect server looks healthy and its schedules never fire; so here each really does, once. Everything is
started at one time, for what takes longest is waiting for the clock's next minute.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterwatch.workspace_files import link_footage, make_workspace
from tasks.history import last_nights
from tasks.schedule_file import read_schedule
from tests.e2e import postgres
from tests.workspace.listeners import HERE, free_port
from workspace.opened import Workspace

LONGEST_S = 400
"""Far beyond what anything takes on a machine that has nothing else to do."""
DEPLOYMENTS = Path(__file__).resolve().parents[2] / "infra" / "deploy" / "prefect.yaml"
NAME = "hall"

pytestmark = [pytest.mark.serial, pytest.mark.timeout(3 * LONGEST_S)]


@dataclass(frozen=True)
class Served:
    """What runs: the workspace that `afterwatch schedule` serves and what that said, and the one of the work pool."""

    site: Path
    said: Path
    process: "subprocess.Popen[bytes]"
    pooled: Path
    api: str
    database: str | None
    worker_said: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, small_footage: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("scheduled")
    site, pooled = make_workspace(folder / "served"), make_workspace(folder / "pooled")
    recording = min(small_footage.glob("*/*.mp4"))  # one is enough
    camera = folder / "footage" / recording.parent.name
    camera.mkdir(parents=True)
    (camera / recording.name).symlink_to(recording)
    link_footage(site, folder / "footage", "demo")
    settings = site / "afterwatch.toml"
    every = 'cron = "* * * * *"\nbackfill_cron = "* * * * *"'
    text = settings.read_text().replace('cron = "0 1 * * *"', every)
    assert every in text and "[refit]" not in text
    settings.write_text(f'{text}\n[refit]\ncron = "* * * * *"\n')
    with ExitStack() as stack:
        afterwatch = [sys.executable, "-m", "afterwatch"]
        schedule = stack.enter_context(running([*afterwatch, "schedule", "--site", str(site)], folder / "schedule.log"))
        address = None if postgres.why_not() else stack.enter_context(postgres.postgresql("prefect"))
        port = free_port()
        api = f"http://{HERE}:{port}/api"
        database = (
            {} if address is None else {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{address}"}
        )
        prefect = [sys.executable, "-m", "prefect"]
        own = {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",  # a machine with much else to do
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        }
        server = [*prefect, "server", "start", "--host", HERE, "--port", str(port)]
        stack.enter_context(running(server, folder / "server.log", own | database))
        until(lambda: asked(f"{api}/health") is not None)
        own["PREFECT_API_URL"] = api
        # Elsewhere than in the sources: the deployment says where its flow is found.
        worker = [*prefect, "worker", "start", "--pool", "afterwatch", "--type", "process"]
        stack.enter_context(running(worker, folder / "worker.log", own, folder))
        until(lambda: asked(f"{api}/work_pools/afterwatch") is not None)
        times = {"CRON": "* * * * *", "BACKFILL_CRON": "0 9 1 1 *", "REFIT_CRON": "0 12 1 1 *"}
        named = {"SITE": str(pooled), "NAME": NAME, "ZONE": "Europe/Rome"} | times
        subprocess.run(
            [*prefect, "--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS)],
            env=environment(own | {f"AFTERWATCH_{name}": value for name, value in named.items()}),
            check=True,
            capture_output=True,
            timeout=LONGEST_S,
            cwd=folder,
        )
        yield Served(site, folder / "schedule.log", schedule, pooled, api, address, folder / "worker.log")


def environment(own: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AFTERWATCH_"))}
    return kept | own


@contextmanager
def running(
    command: list[str], log: Path, own: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment(own or {}), stdout=output, stderr=output, start_new_session=True, cwd=folder
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def asked(url: str, body: dict[str, Any] | None = None) -> Any:
    """What a server answers; None where it does not, or knows of no such thing."""
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")
    except OSError:
        return None


def until(come_true: Callable[[], Any], *, so_long_as: Callable[[], bool] = lambda: True) -> Any:
    """What comes true, as soon as it does; the last answer where it does not in time."""
    deadline = time.monotonic() + LONGEST_S
    while not (found := come_true()) and time.monotonic() < deadline and so_long_as():
        time.sleep(0.5)
    return found


def test_a_worker_runs_the_night_that_was_deployed(served: Served) -> None:
    last = until(lambda: last_nights(Workspace(served.pooled))["last"])
    assert last is not None and last["status"] == "complete", served.worker_said.read_text(errors="replace")[-3000:]
    deployments = asked(f"{served.api}/deployments/filter", {})
    told = {one["name"]: one for one in deployments}
    assert set(told) == {f"{NAME}-{what}" for what in ("night", "missed-nights", "backfill", "refit")}
    night = told[f"{NAME}-night"]
    assert not night["pull_steps"] and night["parameters"] == {"site": str(served.pooled)}
    (schedule,) = night["schedules"]
    assert schedule["schedule"] | {"cron": "* * * * *", "timezone": "Europe/Rome"} == schedule["schedule"]
    assert night["global_concurrency_limit"]["limit"] == 1
    # Once is enough, and the other night has the machine to itself.
    asked(f"{served.api}/deployments/{night['id']}/pause_deployment", {})


def test_the_runs_of_a_server_on_postgresql_stand_in_it(served: Served) -> None:
    if served.database is None:
        pytest.skip(str(postgres.why_not()))

    def completed() -> list[str]:
        assert served.database is not None
        statement = (
            "SELECT f.name FROM flow_run r JOIN flow f ON f.id = r.flow_id "
            "WHERE r.auto_scheduled AND r.state_type = 'COMPLETED' AND f.name = 'scheduled-night'"
        )
        return postgres.ask(served.database, statement)

    assert until(completed), "the scheduled night fired, and its run is in the database"
    assert postgres.ask(served.database, "SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'") == ["pg_trgm"]


def test_a_served_night_really_fires_on_a_server_of_its_own(served: Served) -> None:
    def is_alive() -> bool:
        return served.process.poll() is None

    def night() -> Any:
        """The last run, where it is no backfill, which fires too."""
        last = last_nights(Workspace(served.site))["last"]
        return last if last is not None and last["kind"] == "night" else None

    last = until(night, so_long_as=is_alive)
    said = served.said.read_text(errors="replace")
    assert last is not None, said[-3000:]
    assert last["status"] == "complete", last["attention"]
    assert sum(line["recorded_s"] for line in last["coverage"]) > 0
    assert (served.site / ".afterwatch" / "prefect" / "prefect.db").is_file(), "on SQLite, unless told otherwise"
    expected = read_schedule(served.site / ".afterwatch")
    assert expected is not None and expected.cron == "* * * * *"


def test_a_refit_and_a_backfill_fire_beside_the_night(served: Served) -> None:
    def ended() -> dict[str, str]:
        """The state in which the first run of each schedule ended."""
        database = served.site / ".afterwatch" / "prefect" / "prefect.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            rows = connection.execute(
                "SELECT f.name, r.state_type FROM flow_run r JOIN flow f ON f.id = r.flow_id "
                "WHERE r.auto_scheduled AND r.state_type IN ('COMPLETED', 'FAILED', 'CRASHED') ORDER BY r.end_time DESC"
            )
            return dict(rows.fetchall())

    wanted = {"scheduled-refit", "scheduled-backfill"}
    until(lambda: wanted <= set(ended()), so_long_as=lambda: served.process.poll() is None)
    said = served.said.read_text(errors="replace")
    assert {name: ended().get(name) for name in wanted} == dict.fromkeys(wanted, "COMPLETED"), said[-3000:]
