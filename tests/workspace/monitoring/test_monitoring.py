"""What monitoring is told of a workspace, and what is well."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.lock import night_lock
from lake.keys import Place
from lake.ledger import RunRow
from tests.workspace.kept_site import CAMPAIGN, FIRST, HALL, NIGHT, YARD, configured, copied_to, make_site, record, see
from workspace.monitoring import health
from workspace.monitoring.figures import Figure, figures
from workspace.monitoring.health import ask_dashboards, dashboards_health, flow_health, room_health
from workspace.monitoring.running import running_now
from workspace.opened import Workspace
from workspace.retention.deleting import run_retention
from workspace.room import room_left

REPORT = {
    "run": "20260304T010000-abc",
    "status": "partial",
    "seconds": 120.5,
    "steps": [{"step": "embed", "done": 3, "skipped": 1, "failed": 0, "seconds": 9.0}],
    "coverage": [
        {"recorded_s": 30.0, "analysed_s": 20.0, "skipped_s": 4.0, "corrupt_s": 1.0, "missing_s": 0.0},
        {"recorded_s": 10.0, "analysed_s": 10.0, "skipped_s": 0.0, "corrupt_s": 0.0, "missing_s": 0.0},
    ],
    "events": 7,
    "alarms_by_head": {"novelty": 2, "fights": 1},
    "left": {"shards": 4, "days": 0},
    "attention": ["one", "two"],
}
DAY = date(1970, 1, 1)
ENDED = NIGHT + timedelta(hours=26)
"""After the newest of the steps that the site was made with."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    site = make_site(tmp_path_factory.mktemp("kept") / "site")
    close_night(site, NIGHT, ENDED)
    return site


@pytest.fixture
def site(made: Workspace, tmp_path: Path) -> Workspace:
    return copied_to(made, tmp_path / "site")


def close_night(workspace: Workspace, began: datetime, ended: datetime, **changes: Any) -> None:
    message = json.dumps(REPORT | changes)
    workspace.ledger.record([RunRow("night", "night", "", "", DAY, "", "night", "done", began, ended, message=message)])


def told(found: list[Figure]) -> dict[str, dict[tuple[str, ...], float]]:
    return {figure.name: dict(figure.values) for figure in found}


def test_the_last_night_is_told(made: Workspace) -> None:
    found = told(figures(made, ENDED + timedelta(hours=3)))
    assert found["night_status"] == {("complete",): 0, ("partial",): 1, ("incomplete",): 0}
    assert found["night_age_seconds"] == {(): 3 * 3600}
    assert found["night_duration_seconds"] == {(): 120.5}
    assert found["night_finished_timestamp_seconds"] == {(): ENDED.timestamp()}
    states = {"analysed": 30, "skipped": 4, "corrupt": 1, "missing": 0, "recorded": 40}
    assert found["night_footage_seconds"] == {(name,): value for name, value in states.items()}
    assert found["night_unaccounted_seconds"] == {(): 5}
    assert found["night_steps"] == {("embed", "done"): 3, ("embed", "skipped"): 1, ("embed", "failed"): 0}
    assert found["night_alarms"] == {("novelty",): 2, ("fights",): 1}
    assert (found["night_left_shards"], found["night_attention"], found["night_events"]) == ({(): 4}, {(): 2}, {(): 7})


def test_recordings_are_counted_by_status_and_those_nobody_looked_at_are_a_backlog(site: Workspace) -> None:
    later = Place(CAMPAIGN, YARD, date(2026, 3, 5))
    bad = record(site, Place(CAMPAIGN, YARD, date(2026, 3, 6)), status="quarantined")
    see(site, [record(site, later), bad], NIGHT + timedelta(days=2))
    found = told(figures(site))
    assert found["recordings"] == {
        ("ready",): 5,
        ("partial",): 0,
        ("quarantined",): 1,
        ("duplicate",): 0,
        ("gone",): 0,
    }
    assert (found["backlog_camera_days"], found["backlog_seconds"]) == ({(): 1}, {(): 10})


def test_what_retention_deleted_is_counted_and_no_backlog(site: Workspace) -> None:
    opened = configured(site, idle_days=1000, published_days=1, results_days=1)
    run_retention(opened, "keeper", now=lambda: NIGHT + timedelta(days=100))
    found = told(figures(opened))
    assert found["deleted_files"][("results",)] == 4 * 2 * 6
    assert found["backlog_camera_days"] == {(): 0}


def test_a_site_without_a_night_has_no_night_to_tell_of(tmp_path: Path) -> None:
    from afterwatch.workspace_files import make_workspace

    found = told(figures(Workspace(make_workspace(tmp_path / "new"))))
    assert not any(name.startswith("night_") for name in found)
    assert set(found["readable"].values()) == {1}


def test_what_cannot_be_read_is_told_as_such_and_the_rest_is_told(site: Workspace) -> None:
    (site.site.root / "lake" / "holds").mkdir()
    (site.site.root / "lake" / "holds" / "29990101T000000.000000-x.parquet").write_bytes(b"PAR1")
    found = told(figures(Workspace(site.site.root)))
    assert {part for (part,), value in found["readable"].items() if not value} == {"retention"}
    assert found["night_events"] == {(): 7}


# ——— the run at work ———

HOLDER = """
import sys, time
from pathlib import Path
from infra.lock import night_lock, backfill_lock
with {"night": night_lock, "backfill": backfill_lock}[sys.argv[2]](Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(site: Workspace, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLDER, str(site.site.state_folder), request.param]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("holder", ["night", "backfill"], indirect=True)
def test_a_run_at_work_is_told_with_how_far_it_is(
    site: Workspace, holder: "subprocess.Popen[str]", request: pytest.FixtureRequest
) -> None:
    kind = "backfill" if "backfill" in request.node.name else "night"
    running = running_now(site)
    assert running is not None
    assert (running.kind, running.process, running.run, running.steps) == (kind, holder.pid, "", 0)
    now = NIGHT + timedelta(hours=30)
    rows = [
        RunRow("tonight", "embed", CAMPAIGN, camera, FIRST, "frames", "k", "done", now, now) for camera in (HALL, YARD)
    ]
    site.ledger.record([*rows, replace(rows[0], step="score")])
    running = running_now(site)
    assert running is not None
    assert (running.run, running.steps, running.days, running.newest_at) == ("tonight", 3, 2, now)
    found = told(figures(site))
    assert found["run_active"] == {("night",): kind == "night", ("backfill",): kind == "backfill"}
    assert found["run_steps"] == {(): 3}


@pytest.mark.parametrize("holder", ["night"], indirect=True)
def test_a_run_that_was_killed_is_at_work_no_more(site: Workspace, holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.wait()
    assert (site.site.state_folder / "night.lock").read_text() == str(holder.pid), "a kill leaves its number"
    assert running_now(site) is None
    (site.site.state_folder / "night.lock").write_text(str(os.getpid()))
    assert running_now(site) is None, "and the number may be given again, to a process that does not hold the file"


def test_asking_never_takes_the_lock(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night that begins at that moment would find it held, and fail."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the lock was touched")

    (site.site.state_folder / "night.lock").parent.mkdir(exist_ok=True)
    (site.site.state_folder / "night.lock").write_text("1")
    monkeypatch.setattr(fcntl, "flock", refuse)
    running_now(site)
    figures(site)
    monkeypatch.undo()
    with night_lock(site.site.state_folder):
        assert running_now(site) is not None


# ——— health ———


def test_a_night_that_is_incomplete_or_missed_is_not_well(site: Workspace) -> None:
    assert flow_health(site).ok, "its deadline came: that is well"
    assert flow_health(site, "the night of today has not begun").reasons == ("the night of today has not begun",)
    ended = NIGHT + timedelta(days=3)
    close_night(site, ended, ended, status="incomplete", attention=["disk full"])
    assert flow_health(site).reasons == ("the last night is incomplete: disk full",)


def test_a_ledger_that_cannot_be_read_is_not_well(site: Workspace) -> None:
    ended = NIGHT + timedelta(days=3)
    row = RunRow("night", "night", "", "", DAY, "", "night", "done", ended, ended, message="no JSON")
    site.ledger.record([row])
    assert flow_health(site).reasons[0].startswith("the ledger cannot be read")


class _Dashboards(BaseHTTPRequestHandler):
    answers: dict[str, str] = {}  # noqa: RUF012 — each test says what is answered

    def do_GET(self) -> None:
        text = self.answers.get(self.path)
        self.send_response(200 if text is not None else 404)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def dashboards() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Dashboards)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_dashboards_are_asked_for_their_health_and_sessions(site: Workspace, dashboards: str) -> None:
    metrics = '# TYPE active_sessions gauge\nactive_sessions{kind="x"} 3\n# EOF\n'
    _Dashboards.answers = {"/_stcore/health": "ok", "/_stcore/metrics": metrics}
    answer = ask_dashboards(f"{dashboards}/")
    assert (answer.up, answer.sessions) == (True, 3)
    _Dashboards.answers = {"/_stcore/health": "ok"}
    assert (ask_dashboards(dashboards).up, ask_dashboards(dashboards).sessions) == (True, None)
    _Dashboards.answers = {"/_stcore/health": "<html>another server</html>"}
    assert not ask_dashboards(dashboards).up
    _Dashboards.answers = {}
    assert not ask_dashboards(dashboards).up
    assert dashboards_health(site, answer).ok


def test_dashboards_that_do_not_answer_are_not_well_where_they_are_expected(site: Workspace) -> None:
    answer = ask_dashboards("http://127.0.0.1:1")
    assert not answer.up
    assert not dashboards_health(site, answer).ok
    (site.site.root / "afterwatch.toml").write_text("[watch]\ndashboards = false\n")
    assert dashboards_health(Workspace(site.site.root), answer).ok
    assert health.all_well([dashboards_health(Workspace(site.site.root), answer)])


# ——— room ———


def test_room_is_that_of_the_fullest_disk_and_held_against_the_reserve(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {site.site.root: 9_000_000_000, site.site.published_folder: 6_000_000_000, site.site.root / "lake": 7e9}
    monkeypatch.setattr("workspace.room.free_bytes", lambda folder: int(free.get(folder, 8e9)))
    room = room_left(site)
    assert (room.free_bytes, room.reserve_bytes, room.enough) == (6_000_000_000, 5_000_000_000, True)
    free[site.site.root / "lake"] = 4.9e9
    room = room_left(site)
    assert (room.free_bytes, room.enough) == (4_900_000_000, False)
    assert "lake, less than watch.reserve_gb (5)" in room.words
    assert not room_health(site).ok
    (site.site.root / "afterwatch.toml").write_text("[watch]\nreserve_gb = 4.9\n")
    assert room_left(Workspace(site.site.root)).enough, "at the reserve there is enough"


def test_a_disk_that_does_not_answer_counts_as_full(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_folder: Path) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("workspace.room.free_bytes", gone)
    room = room_left(site)
    assert (room.free_bytes, room.enough) == (0, False)
    assert "cannot be measured: Input/output error" in room.words


def test_room_is_measured_where_folders_are_not_made_yet(tmp_path: Path) -> None:
    from afterwatch.workspace_files import make_workspace

    site = Workspace(make_workspace(tmp_path / "new"))
    measured = os.statvfs(site.site.root)
    free = measured.f_bavail * measured.f_frsize
    assert abs(room_left(site).free_bytes - free) < 10**9
