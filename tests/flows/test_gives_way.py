"""A backfill gives way to a night, says so, and the next one ends with what an undisturbed run gives."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from afterwatch.night import process
from flows.watch import silent
from infra.lock import AlreadyRunningError, backfill_lock, night_lock
from tasks.plan import Selection
from tests.e2e.command import environment, tables
from tests.tasks.nights import EAST, HATCH, NORTH, new_site, run, say_region
from workspace.opened import Workspace


@pytest.mark.serial
@pytest.mark.timeout(400)
def test_a_backfill_gives_way_to_a_night_and_the_next_one_goes_on(tmp_path: Path, small_footage: Path) -> None:
    workspace = new_site(tmp_path / "site", small_footage, {"cluster": {"workers": 1}})
    run(workspace)
    for camera in (EAST, NORTH):
        workspace = say_region(workspace, camera, "hatch", HATCH)
    shutil.copytree(workspace.site.root, tmp_path / "undisturbed", symlinks=True)
    run(Workspace(tmp_path / "undisturbed"))

    folder = workspace.site.state_folder
    command = [sys.executable, "-m", "afterwatch", "backfill", "--site", str(workspace.site.root), "--json"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as backfill:
        _until_the_flow_has_the_lock(folder)
        told: list[str] = []
        with night_lock(folder, asking=told.append):
            assert told[0] == f"a backfill is running (process {backfill.pid}); it is asked to give way"
            out, _ = backfill.communicate(timeout=120)
    assert backfill.returncode == 1
    report = json.loads(out)
    assert (report["kind"], report["status"]) == ("backfill", "partial")
    assert report["left"]["why"] == ["gave way to a night"]
    assert report["left"]["shards"] + report["left"]["days"] > 0
    assert any(line.startswith("gave way to a night; ") for line in report["attention"])

    again = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=280, check=False)
    assert again.returncode == 0, again.stderr
    told_again = json.loads(again.stdout)
    assert (told_again["status"], told_again["left"]["why"]) == ("complete", [])
    assert tables(workspace.site.root) == tables(tmp_path / "undisturbed")


def _until_the_flow_has_the_lock(folder: Path) -> None:
    """Its server is started between the look at what there is to do, which needs the lock too, and the flow."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        lock = folder / "night.lock"
        if (folder / "prefect-server.log").exists() and lock.exists() and "backfill" in lock.read_text():
            return
        time.sleep(0.05)
    pytest.fail("the backfill did not begin")


def test_a_backfill_beside_a_night_is_refused_by_name(small_site: Path) -> None:
    folder = Workspace(small_site).site.state_folder
    with night_lock(folder), pytest.raises(AlreadyRunningError, match="a night is already running on this workspace"):
        process(Workspace(small_site), Selection(), known_only=True, progress=silent)
    with backfill_lock(folder), pytest.raises(AlreadyRunningError, match="a backfill"), night_lock(folder):
        pytest.fail("it did not ask")
