"""A backfill makes what is missing of known recordings, of what was asked for, and looks at nothing else."""

import shutil
from pathlib import Path

import pytest

from lake.current import recordings_now
from tasks.inventory import USABLE
from tests.e2e.command import afterwatch
from tests.footage.films import Film, make
from tests.tasks.nights import EAST, HATCH, NORTH, new_site, run, say_region
from workspace.opened import Workspace


@pytest.mark.serial
@pytest.mark.timeout(300)
def test_a_new_region_of_a_camera_is_embedded_without_decoding_another(tmp_path: Path, small_footage: Path) -> None:
    shutil.copytree(small_footage, tmp_path / "footage")
    workspace = new_site(tmp_path / "site", tmp_path / "footage")
    run(workspace)
    for camera in (EAST, NORTH):
        workspace = say_region(workspace, camera, "hatch", HATCH)
    make(tmp_path / "footage" / EAST / "2026-03-04T08-00-00.mp4", Film(count=50))

    done = afterwatch("backfill", "--site", workspace.site.root, "--camera", EAST, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "complete"
    known = [row for row in recordings_now(workspace.ledger) if row["camera"] == EAST and row["status"] in USABLE]
    assert done.json["decoded_s"] == pytest.approx(sum(row["duration_us"] for row in known) / 1e6, abs=0.1)
    assert {line["camera"] for line in done.json["coverage"]} == {EAST}
    rows = Workspace(workspace.site.root).ledger.rows("runs").to_pylist()
    mine = [row for row in rows if row["run_id"] == done.json["run"] and row["camera"]]
    assert {row["camera"] for row in mine} == {EAST}
    embedded = [row for row in mine if row["step"] == "embed" and row["status"] == "done"]
    assert {row["scope"].rsplit("/", 1)[-1] for row in embedded} == {"hatch"}
    assert {"score", "publish"} <= {row["step"] for row in mine if row["status"] == "done"}
    assert not any("2026-03-04" in row["path"] for row in recordings_now(workspace.ledger)), "no new files are taken in"

    again = afterwatch("backfill", "--site", workspace.site.root, "--camera", EAST, "--json")
    assert again.code == 0, again.err
    assert again.json["decoded_s"] == 0
    assert all(step["done"] == step["failed"] == 0 for step in again.json["steps"])


def test_an_unknown_camera_is_answered_with_the_known_ones(tmp_path: Path, small_footage: Path) -> None:
    workspace = new_site(tmp_path / "site", small_footage)
    done = afterwatch("backfill", "--site", workspace.site.root, "--camera", "hall-west")
    assert done.code == 2
    assert EAST in done.err
