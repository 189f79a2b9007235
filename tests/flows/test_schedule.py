"""A night that runs by itself: with the wrong libraries the server looks healthy and its schedules never fire."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.history import last_nights
from workspace.opened import Workspace

LONGEST_S = 240


@pytest.mark.serial
@pytest.mark.timeout(LONGEST_S + 60)
def test_a_scheduled_night_really_fires(small_site: Path) -> None:
    settings = small_site / "afterwatch.toml"
    settings.write_text(settings.read_text().replace('cron = "0 1 * * *"', 'cron = "* * * * *"'))
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
        while last is None and time.monotonic() < deadline and serving.poll() is None:
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
    assert sum(line["recorded_s"] for line in last["coverage"]) > 0
