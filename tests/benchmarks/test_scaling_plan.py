"""The arithmetic of a site's size: known answers, what must be in proportion, and a lake that is asked for real."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling_lake import ASKED, DAY_ROWS, HOUR_ROWS, HOURS, Asked, ask, make_lake
from benchmarks.scaling_page import page
from benchmarks.scaling_plan import main, needs_of, task_runs
from benchmarks.scaling_rates import Rates
from lake.catalogue import connect, select
from lake.store import Store

RATES = Rates(
    pass_core_s={"1280×720": 0.05, "1920×1080": 0.1},
    item_core_s={"open_clip/ViT-B-32/random": 0.05},
    items_per_s={"open_clip/ViT-B-32/random": 1.0},
    lake_bytes={"embeddings": 9_000_000, "frames": 1_000_000},
    lake_files=100,
    lakes=(Asked(10, 1000, 864_000, 0.5, (0.1, 0.2, 0.3), 200_000_000),),
    shown={"files": 20.0, "bytes": 5e6, "seconds": 30.0},
    prefect={"task_run": 50.0, "events": 200.0, "log": 10.0, "bytes_per_task": 20_000.0},
    dask_tasks_per_s=500.0,
)


def test_one_camera_by_hand() -> None:
    one = needs_of(1, RATES)
    assert one.footage_hours == 24.0
    assert one.decode_core_hours == pytest.approx({"1280×720": 1.2, "1920×1080": 2.4})
    assert one.cores == {"1280×720": 1, "1920×1080": 1}
    assert one.footage_bytes["1920×1080"] == pytest.approx(43.2e9)
    assert one.footage_mbit_per_s["1920×1080"] == pytest.approx(12.0)
    assert one.network_core_hours["open_clip/ViT-B-32/random"] == pytest.approx(1.2)
    # 86 400 pictures × 8.8e9 operations ÷ (a fifth of 65e12 a second)
    assert one.network_gpu_hours["open_clip/ViT-B-32/random", "NVIDIA T4"] * 3600 == pytest.approx(58.486, rel=1e-3)
    assert (one.lake_bytes, one.lake_files, one.shown_files) == (10_000_000, 100, 20)
    # a task for each recording of an hour, one for all that are examined, four of the camera, the digest, the queue
    assert one.tasks == 24 + 1 + 4 + 2
    assert one.prefect_bytes == 31 * 20_000


@given(st.integers(1, 2000))
def test_what_is_in_proportion_to_cameras_is(cameras: int) -> None:
    one, many = needs_of(1, RATES), needs_of(cameras, RATES)
    assert many.decode_core_hours["1280×720"] == pytest.approx(cameras * one.decode_core_hours["1280×720"])
    assert many.lake_files == cameras * one.lake_files
    assert many.cores["1920×1080"] <= cameras * one.cores["1920×1080"]
    assert many.tasks <= cameras * one.tasks


def test_groups_of_shards_grow_until_each_is_a_camera_s_day() -> None:
    assert task_runs(10) == 10 * 24 + 8 + 40 + 2
    assert task_runs(1000) == 1000 + 750 + 4000 + 2


def test_no_camera_is_no_site() -> None:
    with pytest.raises(ValueError, match="at least one camera, got 0"):
        needs_of(0, RATES)


def test_what_was_measured_is_read_back_and_the_page_says_the_same(tmp_path: Path) -> None:
    kept, told = tmp_path / "rates.json", tmp_path / "scaling.md"
    kept.write_text(RATES.to_json(), encoding="utf-8")
    assert Rates.from_json(RATES.to_json()) == RATES
    assert main(["--cameras", "1", "10", "--rates", str(kept), "--page", str(told)]) == 0
    text = told.read_text(encoding="utf-8")
    assert text == page(RATES, [needs_of(1, RATES), needs_of(10, RATES)])
    assert "| hours of footage | 24 | 240 |" in text
    assert "| 10 | 290 |" in text  # cameras, runs of tasks


def test_a_lake_is_laid_and_answers(tmp_path: Path) -> None:
    sizes = make_lake(tmp_path, 2, (4, 3))
    assert sizes["embeddings"] > sizes["coverage"] > 0
    told = ask(tmp_path)
    assert told["rows"] == 2 * HOURS * HOUR_ROWS["frames"]
    assert len(told["answers_s"]) == len(ASKED)
    of_each = select(connect(Store(str(tmp_path))), "SELECT camera, count(*) AS n FROM scores GROUP BY 1 ORDER BY 1")
    assert of_each.to_pylist() == [{"camera": f"camera-{number}", "n": DAY_ROWS["scores"]} for number in range(2)]
