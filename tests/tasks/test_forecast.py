"""The forecast, and a night that has nothing to do."""

import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from tasks import shown_pictures
from tasks.forecast import forecast, idle_night, known_places
from tasks.plan import Selection
from tasks.report import new_report
from tests.footage.films import Film, make
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, NORTH, TUESDAY, configure, ingest, run, tree
from tests.tasks.planned import EVERYTHING, plan
from workspace.opened import Workspace

ROOT = Path(__file__).resolve().parents[2]


def test_before_the_first_night_all_files_are_new_and_nothing_is_opened(
    small_site: Path, small_footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        pytest.fail("a forecast opens no recording")

    monkeypatch.setattr("footage.decode.open_recording", opened)
    monkeypatch.setattr("footage.probe.open_recording", opened)
    workspace = Workspace(small_site)
    found = forecast(workspace, EVERYTHING, workers=2)
    files = [path for path in small_footage.rglob("*") if path.suffix in (".mp4", ".mkv")]
    assert len(found.inventory.new) == len(files)
    assert found.new_bytes == sum(path.stat().st_size for path in files)
    assert (found.days, found.recorded_s, found.measured, found.is_empty) == ((), 0.0, False, False)
    assert found.work_s > 0
    assert not (small_site / "lake").exists(), "nothing is written"
    assert forecast(workspace, EVERYTHING, workers=1).work_s == pytest.approx(2 * found.work_s)


def test_what_is_known_but_not_embedded_is_told_day_by_day(small_site: Path) -> None:
    workspace = Workspace(small_site)
    ingest(workspace)
    found = forecast(workspace, EVERYTHING, workers=1)
    assert found.inventory.new == ()
    assert [(day.place.camera, day.place.day, day.shards) for day in found.days] == [
        (NORTH, MONDAY, 2),
        (NORTH, TUESDAY, 3),
        (EAST, MONDAY, 3),
        (EAST, TUESDAY, 3),
    ], "least left to do first"
    assert found.todo_s == pytest.approx(found.recorded_s)
    assert {day.why for day in found.days} == {"not embedded yet"}
    assert found.days[0].steps[0] == "embed"
    only = forecast(workspace, Selection(camera=EAST, day=TUESDAY), workers=1)
    assert [(day.place.camera, day.place.day) for day in only.days] == [(EAST, TUESDAY)]
    assert json.loads(json.dumps(only.as_json()))["shards"] == 3


def test_after_a_night_nothing_is_left_and_its_speed_is_known(processed: Processed) -> None:
    found = forecast(processed.workspace, EVERYTHING, workers=1)
    assert found.is_empty
    assert (found.days, found.todo_s, found.measured, found.work_s) == ((), 0.0, True, 0.0)
    assert len(found.inventory.present) == len(processed.night.rows)


def test_a_change_is_told_with_its_reason(copied: Workspace) -> None:
    shown = forecast(configure(copied.site.root, {"summary": {"budget_s": 6.0}}), EVERYTHING, workers=1)
    assert {day.steps for day in shown.days} == {("summarise", "publish")}
    assert {day.why for day in shown.days} == {"summary.budget_s 12 → 6"}
    assert shown.todo_s == 0.0
    stride = [{"name": "handcrafted/appearance"}, {"name": "handcrafted/motion", "stride_s": 0.8}]
    again = forecast(configure(copied.site.root, {"encoders": stride}), EVERYTHING, workers=1)
    assert {day.why for day in again.days} == {"stride_s of handcrafted/motion 0.5 → 0.8"}
    assert len(again.days) == 4


def test_a_file_that_has_gone_is_something_to_enter(copied: Workspace) -> None:
    link = copied.site.footage_root / "demo"
    footage = link.resolve()
    link.unlink()
    for path in footage.rglob("*.m*"):
        if path.name != "2026-03-03T08-00-16.mp4":
            target = copied.site.footage_root / "demo" / path.relative_to(footage)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    found = forecast(copied, EVERYTHING, workers=1)
    assert (len(found.inventory.gone), found.is_empty) == (2, False)
    assert found.days == (), "their results stay"
    assert run(copied).report.ingest["gone"] == 2
    assert forecast(copied, EVERYTHING, workers=1).is_empty


def test_an_idle_night_decodes_nothing_and_enters_what_counts(
    copied: Workspace, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("nothing is to be decoded")

    monkeypatch.setattr(shown_pictures, "decode", never)
    monkeypatch.setattr("tasks.encoders.build", never)
    before = tree(copied.site.published_folder)
    found = forecast(copied, EVERYTHING, workers=1)
    told = idle_night(copied, found, EVERYTHING, new_report())
    assert (told.status, told.decoded_s, decoded) == ("complete", 0.0, [])
    assert all(step["done"] == step["failed"] == 0 for step in told.steps)
    assert {step["step"] for step in told.steps if step["skipped"]} == {step["step"] for step in told.steps}
    assert (told.ingest["new"], told.ingest["present"]) == (0, len(found.inventory.present))
    rows = [row for row in copied.ledger.rows("runs").to_pylist() if row["run_id"] == told.run]
    assert {row["status"] for row in rows if row["step"] != "night"} == {"skipped"}
    outputs = {path for row in rows for path in row["outputs"]}
    products = (product for day in plan(copied) for shard in day.shards for product in shard.products)
    assert {path for product in products for path in product.paths} <= outputs
    assert tree(copied.site.published_folder) == before


def test_a_night_with_nothing_else_to_do_makes_digests_of_another_length(copied: Workspace) -> None:
    idle_night(copied, forecast(copied, EVERYTHING, workers=1), EVERYTHING, new_report())
    shorter = configure(copied.site.root, {"summary": {"digest_s": 5.0}})
    found = forecast(shorter, EVERYTHING, workers=1)
    assert found.is_empty
    for done, skipped in ((2, 0), (0, 2)):
        told = idle_night(shorter, found, EVERYTHING, new_report())
        (digests,) = (step for step in told.steps if step["step"] == "digest")
        assert (told.status, digests["done"], digests["skipped"], told.decoded_s) == ("complete", done, skipped, 0.0)
    for day in ("2026-03-02", "2026-03-03"):
        digest = json.loads((shorter.site.digests_folder / "demo" / day / "summary.json").read_text(encoding="utf-8"))
        assert 0 < digest["duration_s"] <= 5


def test_an_idle_night_shows_no_camera_that_does_not_count_any_more(copied: Workspace) -> None:
    idle_night(copied, forecast(copied, EVERYTHING, workers=1), EVERYTHING, new_report())
    abandoned = copied.site.digests_folder / "demo" / "2026-01-01"
    shutil.copytree(copied.site.digests_folder / "demo" / TUESDAY.isoformat(), abandoned)
    skipping = configure(copied.site.root, {"cameras": {EAST: {"skip": True}}})
    narrow = Selection(day=TUESDAY)
    idle_night(skipping, forecast(skipping, narrow, workers=1), narrow, new_report())
    assert _shown(skipping, TUESDAY) == {NORTH}
    assert _shown(skipping, MONDAY) == {EAST, NORTH}, "the run was not about it"
    assert abandoned.exists()
    told = idle_night(skipping, forecast(skipping, EVERYTHING, workers=1), EVERYTHING, new_report())
    (digests,) = (step for step in told.steps if step["step"] == "digest")
    assert (told.status, digests["done"], digests["skipped"]) == ("complete", 2, 1)
    assert _shown(skipping, MONDAY) == {NORTH}
    assert not abandoned.exists()


def _shown(workspace: Workspace, day: date) -> set[str]:
    """Cameras of a digest."""
    folder = workspace.site.digests_folder / "demo" / day.isoformat()
    told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert set(told["cameras"]) == {entry["camera"] for entry in told["entries"]}
    return set(told["cameras"])


@pytest.mark.parametrize("broken", ["tasks.camera_summaries.content_hash", "tasks.forecast.digests_due"])
def test_an_idle_night_is_reported_although_its_digests_cannot_be_made(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(broken, lost)
    told = idle_night(copied, forecast(copied, EVERYTHING, workers=1), EVERYTHING, new_report())
    assert told.status == "incomplete"
    assert any("digest" in line and "Input/output error" in line for line in told.attention)
    assert copied.ledger.rows("runs").to_pylist()[-1]["step"] == "night"


def test_an_idle_night_imports_neither_networks_nor_an_orchestrator(copied: Workspace) -> None:
    script = (
        "import sys\nfrom tasks.forecast import forecast, idle_night\nfrom tasks.plan import Selection\n"
        "from tasks.report import new_report\nfrom workspace.opened import Workspace\n"
        "workspace = Workspace(sys.argv[1])\nfound = forecast(workspace, Selection(), 1)\nassert found.is_empty\n"
        "print(idle_night(workspace, found, Selection(), new_report()).status)\n"
        "print(sorted({'torch', 'prefect', 'dask', 'distributed', 'streamlit', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(copied.site.root)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ["complete", "[]"]), done.stderr


def test_known_places_are_those_of_the_lake_and_of_files_to_come(copied: Workspace, tmp_path: Path) -> None:
    folder = copied.site.footage_root / "summer" / "yard"
    folder.mkdir(parents=True)
    make(folder / "2026-07-01T08-00-00.mp4", Film(count=5))
    (folder / "nonsense.mp4").write_bytes(b"")
    places = [(place.campaign, place.camera, place.day.isoformat()) for place in known_places(copied)]
    assert places == [
        *(("demo", camera, day) for camera in (EAST, NORTH) for day in ("2026-03-02", "2026-03-03")),
        ("summer", "yard", "2026-07-01"),
    ]
    assert tmp_path in folder.parents
