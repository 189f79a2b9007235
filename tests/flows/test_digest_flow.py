"""From the command line: a night writes the digest of each day that a camera was published of, and no other."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import afterwatch
from tests.footage.films import Film, make
from tests.tasks.nights import EAST, configure, new_site, run
from workspace.opened import Workspace

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600), pytest.mark.usefixtures("server")]


def digests_of(site: Path) -> dict[str, dict[str, Any]]:
    """What is told of each digest, by day."""
    files = sorted((site / "digests" / "demo").glob("*/summary.json"))
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def rows_of(site: Path, run_id: str) -> dict[tuple[str, str], str]:
    """Status of each digest of a run, by campaign and day."""
    rows = Workspace(site).ledger.rows("runs").to_pylist()
    mine = [row for row in rows if (row["run_id"], row["step"]) == (run_id, "digest")]
    assert {row["camera"] for row in mine} == {""}
    return {(row["campaign"], row["day"].isoformat()): row["status"] for row in mine}


def test_a_night_writes_the_digests_of_what_it_published(copied: Workspace) -> None:
    site = copied.site.root
    written = digests_of(site)
    assert set(written) == {"2026-03-02", "2026-03-03"}

    configure(site, {"summary": {"budget_s": 6.0}})
    done = afterwatch("run", "--site", site, "--camera", EAST, "--day", "2026-03-02", "--json")
    assert done.code == 0, done.err
    counted = {step["step"]: step for step in done.json["steps"]}
    assert (counted["segment"]["skipped"], counted["summarise"]["done"], counted["publish"]["done"]) == (1, 1, 1)
    assert list(counted)[-2:] == ["digest", "queue"]
    assert rows_of(site, done.json["run"]) == {("demo", "2026-03-02"): "done"}
    now = digests_of(site)
    assert now["2026-03-02"] != written["2026-03-02"]
    assert now["2026-03-03"] == written["2026-03-03"]


def test_a_night_shows_recordings_where_they_count_now(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    site, footage = workspace.site.root, workspace.site.footage_root / "demo"
    for seed, (camera, name) in enumerate((("hall", "2026-03-02T23-59-40"), ("gate", "2026-03-03T08-00-00"))):
        (footage / camera).mkdir(parents=True)
        make(footage / camera / f"{name}.mp4", Film(count=200, seed=seed))
    run(Workspace(site))
    assert {day: set(told["cameras"]) for day, told in digests_of(site).items()} == {
        "2026-03-02": {"hall"},
        "2026-03-03": {"gate"},
    }

    (footage / "gate").rename(footage / "yard")
    configure(site, {"cameras": {"hall": {"clock_offset_s": 60.0}}})
    done = afterwatch("run", "--site", site, "--json")
    assert done.code == 0, done.err
    assert {day: set(told["cameras"]) for day, told in digests_of(site).items()} == {"2026-03-03": {"hall", "yard"}}
    assert rows_of(site, done.json["run"]) == {("demo", "2026-03-02"): "done", ("demo", "2026-03-03"): "done"}
