"""A night that loses a worker ends by itself with the rows of an undisturbed one; twenty such: `python -m benchmarks.chaos`."""

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.chaos_house import SPAWNED, environment, kill_tree, start_night
from benchmarks.chaos_nights import PLAN, KilledNight, chaos_campaign, files_made, last_words
from benchmarks.chaos_tables import content_of, differences, row_count
from footage.synthetic.plan import SECOND_US
from tests.chaos.sites import put, small, whole
from tests.e2e.command import afterwatch
from tests.tasks.nights import run

PATIENCE_S = 120


@pytest.mark.serial
@pytest.mark.timeout(600)
def test_a_night_that_loses_a_worker_ends_with_the_rows_of_an_undisturbed_one(tmp_path: Path, server: str) -> None:
    expected, site = small(tmp_path / "expected"), small(tmp_path / "site")
    run(expected)
    root = site.site.root
    night = start_night(root, tmp_path / "night.log", environment(PREFECT_API_URL=server))
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not files_made(root) and time.monotonic() < deadline and night.poll() is None:
            time.sleep(0.02)
        time.sleep(random.Random(5).uniform(0.0, 0.5))
        os.kill(workers_of(psutil.Process(night.pid))[0], signal.SIGKILL)
        assert night.wait(timeout=PATIENCE_S * 2) == 0
    finally:
        kill_tree(night)
    assert last_words(tmp_path / "night.log")["status"] == "complete"
    again = afterwatch("run", "--site", root, "--json")
    assert (again.code, again.json["status"], again.json["decoded_s"]) == (0, "complete", 0), again.err
    assert differences(content_of(expected.site.root), content_of(root)) == []


def workers_of(night: psutil.Process) -> list[int]:
    """Dask's workers among what a night has started."""
    found = []
    for member in night.children(recursive=True):
        try:
            if any(SPAWNED in word for word in member.cmdline()):
                found.append(int(member.pid))
        except psutil.Error:
            continue
    return found


def test_a_row_too_many_or_too_few_is_told_with_its_table(tmp_path: Path) -> None:
    one, other = small(tmp_path / "one", 1), small(tmp_path / "other", 1)
    run(one)
    run(other)
    first, second = content_of(one.site.root), content_of(other.site.root)
    assert differences(first, second) == []
    assert row_count(first) > 50
    put(other, "demo/hall/2026-03-04T08-00-00.avi", whole(2))
    run(other)
    told = {line.split(":")[0] for line in differences(first, content_of(other.site.root))}
    assert told >= {"recordings", "frames", "coverage", "embeddings", "runs", "published"}


def test_every_process_is_killed_within_as_many_nights_as_the_plan_has() -> None:
    assert {victim for _, victim in PLAN} == {"worker", "scheduler", "flow", "Prefect server"}
    assert len(PLAN) <= 20
    campaign = chaos_campaign(7)
    assert campaign.days * campaign.slots * campaign.slot_us == 32 * SECOND_US


def test_a_night_is_right_only_where_it_ended_and_nothing_differs() -> None:
    night = KilledNight(0, *PLAN[0], 0.5, 10, "complete", 0, 1, ())
    assert night.is_right
    assert not KilledNight(0, *PLAN[0], 0.5, 10, "hangs for 900 s", 0, 1, ()).is_right
    assert not KilledNight(0, *PLAN[0], 0.5, 10, "complete", 0, 1, ("frames: 1 rows absent",)).is_right


def test_the_report_is_found_among_what_else_a_night_says(tmp_path: Path) -> None:
    log = tmp_path / "night.log"
    log.write_text(
        'a warning\n{\n  "run": "1",\n  "status": "partial"\n}\nleaked\n{\n  "run": "2"\n}\n', encoding="utf-8"
    )
    assert last_words(log) == {"run": "2"}
    log.write_text('killed\n{\n  "run": "1",\n  "sta', encoding="utf-8")
    assert last_words(log) == {}
