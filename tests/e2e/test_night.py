"""The whole night from the command line: what it finds, what it leaves alone, and what survives being killed."""

import random
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from afterwatch.night import process
from afterwatch.workspace_files import link_footage, make_workspace
from flows.watch import silent
from tasks.plan import Selection
from tests.e2e.command import afterwatch, start, tables
from tests.forks import forked_workers
from workspace.opened import Workspace

pytestmark = pytest.mark.serial
with_server = pytest.mark.usefixtures("server")


def test_a_second_run_decodes_nothing_and_says_so(finished: Path) -> None:
    before = tables(finished)
    done = afterwatch("run", "--site", finished, "--json")
    assert done.code == 0, done.err
    assert done.json["decoded_s"] == 0
    assert all(step["done"] == step["failed"] == 0 for step in done.json["steps"])
    assert tables(finished) == before
    assert "nothing decoded, nothing inferred" in afterwatch("run", "--site", finished).out
    assert "nothing to do" in afterwatch("plan", "--site", finished).out


def test_the_verbs_that_look_agree_on_what_was_done(finished: Path) -> None:
    coverage = afterwatch("coverage", "--site", finished, "--json")
    assert coverage.code == 0
    assert coverage.json["complete"]
    status = afterwatch("status", "--site", finished, "--json").json
    assert status["last"]["status"] == "complete"
    assert status["running"] is None
    assert status["last"]["coverage"] == coverage.json["coverage"]
    rows = afterwatch(
        "query", "SELECT camera, count(*) AS n FROM frames GROUP BY 1 ORDER BY 1", "--site", finished, "--json"
    )
    assert [row["camera"] for row in rows.json["rows"]] == ["hall-east", "hall-north"]
    assert afterwatch("verify", "--site", finished, "--json").json["differences"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--camera", "hall-esat"), 'did you mean "hall-east"'),
        (("run", "--day", "yesterday"), "2026-03-02"),
        (("run", "--until", "late"), "06:00"),
        (("query", "DELETE FROM frames"), "read only"),
        (("query", "SELECT nothing FROM frames"), "nothing"),
        (("regions", "add", "hall-east", "door", "--box", "0.5,0.5,0.9,0.9"), "fractions"),
        (("regions", "remove", "hall-east", "dor"), "hatch"),
        (("weights", "add", "tim/resnet50", "file.pt"), "timm"),
    ],
)
def test_mistyping_is_answered_with_what_would_be_right(finished: Path, arguments: tuple[str, ...], said: str) -> None:
    done = afterwatch(*arguments, "--site", finished)
    assert done.code in (1, 2)
    assert said in done.err
    assert "Traceback" not in done.err


@with_server
@pytest.mark.timeout(600)
def test_a_killed_night_goes_on_and_ends_with_the_same_tables(finished: Path, tmp_path: Path) -> None:
    site = make_workspace(tmp_path / "site")
    link_footage(site, finished / "footage" / "demo", "demo")
    shutil.copytree(finished / "lake" / "regions", site / "lake" / "regions")
    chance = random.Random(11)
    for made in ("embeddings", "scores"):
        running = start("run", "--site", site)
        _until_there(site / "lake" / made)
        time.sleep(chance.uniform(0.0, 1.0))
        running.kill()
        running.join()
        # Dask's workers are not killed; without their nanny they end by themselves.
    done = afterwatch("run", "--site", site, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "complete"
    assert tables(site) == tables(finished)


def _until_there(folder: Path) -> None:
    until = time.monotonic() + 240
    while not any(path.is_file() for path in folder.rglob("*")):
        assert time.monotonic() < until, f"nothing came to {folder}"
        time.sleep(0.05)


@with_server
@pytest.mark.timeout(600)
def test_a_deadline_leaves_a_partial_night_and_the_next_run_goes_on(
    one_camera_site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_HOME", "PREFECT_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "")  # so that what the run sets is taken back
        monkeypatch.delenv(name)
    came = datetime.now(UTC)
    with forked_workers():
        report = process(Workspace(one_camera_site), Selection(), until=came, progress=silent)
    assert report.status == "partial"
    assert report.decoded_s == 0
    assert any("deadline" in line for line in report.attention)
    done = afterwatch("run", "--site", one_camera_site, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "complete"


@with_server
@pytest.mark.timeout(600)
def test_what_failed_is_told_and_retry_takes_only_that(one_camera: Path, one_camera_site: Path) -> None:
    footage, site = one_camera, one_camera_site
    broken = next((footage / "hall-east").glob("*.mp4"))
    sound = broken.read_bytes()
    broken.write_bytes(b"\0" * 4096)
    (footage / "hall-east" / "holiday.mp4").write_bytes(sound)
    done = afterwatch("run", "--site", site, "--json")
    assert done.code == 0, done.err
    problems = {Path(item["path"]).name: item for item in done.json["ingest"]["problems"]}
    assert problems[broken.name]["status"] == "quarantined"
    assert "is no time of the form" in problems["holiday.mp4"]["reason"]
    broken.write_bytes(sound)
    again = afterwatch("retry", "--site", site, "--json")
    assert again.code == 0, again.err
    assert again.json["ingest"]["new"] == 1
    embedded = next(step for step in again.json["steps"] if step["step"] == "embed")
    assert embedded["done"] > 0
    assert {line["camera"] for line in again.json["coverage"]} >= {"hall-east"}
