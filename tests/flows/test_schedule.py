"""What runs by itself, without a server: that it really fires is shown in tests/e2e/test_scheduled_nights.py."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterwatch.workspace_files import make_workspace
from flows import missed_nights, schedule
from flows import server as server_module
from infra.errors import NightError
from infra.lock import AlreadyRunningError, backfill_lock, night_lock, refit_lock
from tasks.report import NightReport, new_report
from tasks.schedule_file import read_schedule, turn
from workspace.opened import Workspace

Told = list[tuple[str, Any]]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PREFECT_"):
            monkeypatch.delenv(name)
    # What a flow sets for its process goes with the test.
    monkeypatch.setattr(schedule, "prepare_orchestrator", lambda _site: None)
    return make_workspace(tmp_path / "site")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What people are told: how, and of what."""
    found: Told = []

    def report(_workspace: Workspace, night: dict[str, Any]) -> list[str]:
        found.append(("report", night["status"]))
        return ["channel desk: refused"]

    def failure(_workspace: Workspace, began_at: datetime, reason: str) -> list[str]:
        assert began_at <= datetime.now(UTC)
        found.append(("failure", reason))
        return []

    monkeypatch.setattr(schedule, "tell_report", report)
    monkeypatch.setattr(schedule, "tell_failure", failure)
    return found


def night(status: str, calls: list[str] | None = None) -> Callable[..., NightReport]:
    def run(workspace: Workspace, *_arguments: Any, **_options: Any) -> NightReport:
        if calls is not None:
            calls.append(str(workspace.site.root))
        report = new_report()
        report.status, report.attention = status, ["hall: embed failed"]
        return report

    return run


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        ("complete", "Completed", "complete; channel desk: refused"),
        ("partial", "Completed", "partial; channel desk: refused"),
        ("incomplete", "Failed", "the night is incomplete: hall: embed failed; channel desk: refused"),
    ],
)
def test_a_night_is_told_with_its_report(
    site: Path, told: Told, monkeypatch: pytest.MonkeyPatch, status: str, state: str, words: str
) -> None:
    monkeypatch.setattr(schedule, "run_night", night(status))
    found = schedule.scheduled_night.fn(str(site))
    assert (found.name, found.message) == (state, words)
    assert told == [("report", status)]
    expected = read_schedule(site / ".afterwatch")
    assert expected is not None and expected.cron == "0 1 * * *", "from now on nights are expected"


def test_a_night_that_ends_without_a_report_is_told_and_fails(
    site: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_arguments: Any, **_options: Any) -> NightReport:
        raise NightError("the night stopped before its report: killed")

    monkeypatch.setattr(schedule, "run_night", run)
    found = schedule.scheduled_night.fn(str(site))
    assert found.is_failed() and found.message == "the night stopped before its report: killed"
    assert told == [("failure", found.message)]


@contextmanager
def _other_turn(folder: Path) -> Iterator[None]:
    with turn(folder, "night"):
        yield


@pytest.mark.parametrize(
    ("at_work", "flow", "runs", "words"),
    [
        (night_lock, "scheduled_night", False, "a night is already running"),
        (_other_turn, "scheduled_night", False, "another schedule of this workspace has begun the night"),
        (backfill_lock, "scheduled_night", True, "complete"),
        (refit_lock, "scheduled_night", True, "complete"),
        (night_lock, "scheduled_backfill", False, "a night is already running"),
        (backfill_lock, "scheduled_backfill", False, "a backfill is already running"),
        (refit_lock, "scheduled_refit", False, "a refit is already running"),
        (night_lock, "scheduled_refit", True, ""),
    ],
)
def test_what_finds_another_at_work_is_skipped_and_says_so(
    site: Path,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    at_work: Callable[[Path], Any],
    flow: str,
    runs: bool,
    words: str,
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(schedule, "run_night", night("complete", calls))
    monkeypatch.setattr(schedule, "run_backfill", night("complete", calls))

    def refit(workspace: Workspace) -> Any:
        calls.append(str(workspace.site.root))
        return schedule_refit_report

    monkeypatch.setattr(schedule, "run_refit", refit)
    with at_work(site / ".afterwatch"):
        found = getattr(schedule, flow).fn(str(site))
    assert found.is_completed() and (found.name == schedule.SKIPPED) == (not runs)
    assert words in (found.message or "")
    assert calls == ([str(site)] if runs else [])
    assert told == ([("report", "complete")] if runs and flow == "scheduled_night" else []), "nobody is woken for it"


class schedule_refit_report:
    status, message = "complete", "0 new candidates of 0 models in service"


def test_a_night_that_began_by_hand_in_the_meantime_is_no_failure(
    site: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:

    def run(*_arguments: Any, **_options: Any) -> NightReport:
        raise AlreadyRunningError("night", "17")

    monkeypatch.setattr(schedule, "run_night", run)
    found = schedule.scheduled_night.fn(str(site))
    assert found.name == schedule.SKIPPED and "process 17" in (found.message or "")
    assert told == []


@pytest.mark.parametrize(("status", "is_failed"), [("complete", False), ("partial", False), ("incomplete", True)])
def test_a_backfill_that_gave_way_is_no_failure(
    site: Path, monkeypatch: pytest.MonkeyPatch, status: str, is_failed: bool
) -> None:
    monkeypatch.setattr(schedule, "run_backfill", night(status))
    assert schedule.scheduled_backfill.fn(str(site)).is_failed() == is_failed


@pytest.mark.parametrize("failed", [[], ["channel desk: refused"]])
def test_the_flow_of_work_pools_looks_for_missed_nights(
    site: Path, monkeypatch: pytest.MonkeyPatch, failed: list[str]
) -> None:
    monkeypatch.setattr(schedule, "tell_missed", lambda _workspace: failed)
    assert schedule.missed_nights.fn(str(site)).is_failed() == bool(failed)
    assert read_schedule(site / ".afterwatch") is not None


def test_what_the_settings_say_is_served_in_their_zone(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[list[tuple[str, str, str]], bool]] = []
    names: set[str] = set()

    def serve(*deployments: Any, limit: int, pause_on_shutdown: bool) -> None:
        assert limit > len(deployments), "a night that finds another at work says so, and does not wait for it"
        names.update(one.name for one in deployments)
        lines = [
            (one.flow_name, one.schedules[0].schedule.cron, one.schedules[0].schedule.timezone) for one in deployments
        ]
        served.append((lines, pause_on_shutdown))

    looked: list[Path] = []

    @contextmanager
    def looking(root: Path) -> Iterator[None]:
        looked.append(root)
        yield

    monkeypatch.setattr(schedule, "serve", serve)
    monkeypatch.setattr(schedule, "looking_for_missed_nights", looking)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")  # a server that is never asked
    file = site / "afterwatch.toml"
    schedule.serve_nightly(Workspace(site))
    text = file.read_text().replace('"UTC"', '"Europe/Rome"')
    text = text.replace('cron = "0 1 * * *"', 'cron = "0 1 * * *"\nbackfill_cron = "0 9 * * 1-5"')
    file.write_text(f'{text}\n[refit]\ncron = "0 12 * * 0"\n')
    schedule.serve_nightly(Workspace(site))
    rome = [
        ("scheduled-night", "0 1 * * *", "Europe/Rome"),
        ("scheduled-backfill", "0 9 * * 1-5", "Europe/Rome"),
        ("scheduled-refit", "0 12 * * 0", "Europe/Rome"),
    ]
    assert served == [([("scheduled-night", "0 1 * * *", "UTC")], False), (rome, False)]
    assert looked == [site, site] and len(names) == 1
    expected = read_schedule(site / ".afterwatch")
    assert expected is not None and expected.time_zone == "Europe/Rome"


def test_the_watch_over_nights_outlives_what_goes_wrong(
    site: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    looked = threading.Semaphore(0)

    def tell(workspace: Workspace, _sleep: Callable[[float], object]) -> list[str]:
        looked.release()
        return ["channel desk: refused"]

    monkeypatch.setattr(missed_nights, "tell_missed", tell)
    monkeypatch.setattr(missed_nights, "LOOK_S", 0.05)
    good = (site / "afterwatch.toml").read_text()
    (site / "afterwatch.toml").write_text("[")
    with missed_nights.looking_for_missed_nights(site):
        assert not looked.acquire(timeout=0.3)
        (site / "afterwatch.toml").write_text(good)
        for _ in range(3):
            assert looked.acquire(timeout=60)
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("attention: missed nights cannot be looked for: ")
    assert said.count("attention: channel desk: refused") == 1, "the same is said once"


def test_what_is_served_ends_with_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nothing would be scheduled, and nobody would know."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(server_module, "_wait_for", lambda *_arguments: None)
    monkeypatch.setattr(server_module, "LOOK_S", 0.05)
    started: list[Any] = []
    popen = subprocess.Popen

    def start(_command: list[str], **options: Any) -> Any:
        started.append(popen(["sleep", "600"], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    ended = threading.Event()

    def serve_until_it_ends() -> None:
        with server_module.orchestrator(tmp_path / "server.log", on_end=ended.set):
            os.kill(started[0].pid, signal.SIGKILL)
            assert ended.wait(60)

    with pytest.raises(NightError, match=r"the Prefect server ended with exit code -9, .*server\.log says why"):
        serve_until_it_ends()
    with server_module.orchestrator(tmp_path / "server.log", on_end=ended.clear):
        pass
    assert ended.is_set() and started[1].poll() is not None, "the end that was asked for is none"


def test_deployments_name_flows_that_there_are_with_their_parameters() -> None:
    text = (Path(schedule.__file__).parents[1] / "infra" / "deploy" / "prefect.yaml").read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    assert told["pull"] == [], "with null, Prefect would look for the folder of the one who deployed"
    flows = []
    for one in told["deployments"]:
        module, name = one["entrypoint"].rsplit(".", 1)
        assert module == schedule.__name__
        flows.append(getattr(schedule, name))
        assert set(flows[-1].parameters.properties) == set(one["parameters"])
        assert one["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
        assert [line["timezone"] for line in one["schedules"]] == ["{{ $AFTERWATCH_ZONE }}"]
    served = (schedule.scheduled_night, schedule.missed_nights, schedule.scheduled_backfill, schedule.scheduled_refit)
    assert tuple(flows) == served
