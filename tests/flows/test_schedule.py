"""A night and a refit that run by themselves: with the wrong libraries the server looks healthy and its schedules never fire."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.history import last_nights
from workspace.opened import Workspace

LONGEST_S = 300


@pytest.mark.serial
@pytest.mark.timeout(LONGEST_S + 60)
def test_a_scheduled_night_really_fires_and_a_refit_beside_it(small_site: Path) -> None:
    settings = small_site / "afterwatch.toml"
    every_minute = settings.read_text().replace('cron = "0 1 * * *"', 'cron = "* * * * *"')
    settings.write_text(f'{every_minute}\n[refit]\ncron = "*/2 * * * *"\n')
    refitted = small_site / ".afterwatch" / "refit.lock"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    serving = subprocess.Popen(
        [sys.executable, "-m", "afterwatch", "schedule", "--site", str(small_site)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + LONGEST_S
        last = None
        while (last is None or not refitted.exists()) and time.monotonic() < deadline and serving.poll() is None:
            time.sleep(2)
            last = last_nights(Workspace(small_site))["last"]
    finally:
        os.killpg(serving.pid, signal.SIGINT)
        try:
            output, _ = serving.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(serving.pid, signal.SIGKILL)
            output, _ = serving.communicate()
    assert last is not None, output.decode()[-3000:]
    assert last["status"] == "complete", last["attention"]
    assert refitted.exists(), output.decode()[-3000:]
    assert b"the refit is" not in output, output.decode()[-3000:]
    assert sum(line["recorded_s"] for line in last["coverage"]) > 0


def test_refits_are_served_only_where_the_settings_say_when(small_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import schedule

    served: list[tuple[list[tuple[str, str, str]], int]] = []

    def serve(*deployments: Any, limit: int) -> None:
        told = [
            (one.flow_name, one.schedules[0].schedule.cron, one.schedules[0].schedule.timezone) for one in deployments
        ]
        served.append((told, limit))

    monkeypatch.setattr(schedule, "serve", serve)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")  # a server that is never asked
    settings = small_site / "afterwatch.toml"
    workspace = Workspace(small_site)
    zone = workspace.settings.site.time_zone
    schedule.serve_nightly(workspace)
    settings.write_text(f'{settings.read_text()}\n[refit]\ncron = "0 12 * * 0"\n')
    schedule.serve_nightly(Workspace(small_site))
    night, refit = ("scheduled-night", "0 1 * * *", zone), ("scheduled-refit", "0 12 * * 0", zone)
    assert served == [([night], 1), ([night, refit], 2)]
