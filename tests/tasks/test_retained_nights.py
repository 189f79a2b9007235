"""Nights after retention: what was deleted is no failure, is not planned again, and is told."""

from pathlib import Path

import pytest

from lake.catalogue import connect, select
from tasks.forecast import forecast
from tasks.plan import Selection
from tasks.retained import needed_stills
from tasks.verify import verify
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, NORTH, TUESDAY, run
from tests.tasks.planned import keys_of
from tests.tasks.retained_nights import files_below, found_earlier, own_footage, retain, set_policies
from workspace.opened import Workspace


@pytest.fixture(scope="module")
def emptied(processed: Processed, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The processed site after retention has deleted Monday's results and publications. Treat it as read only."""
    import shutil

    root = tmp_path_factory.mktemp("emptied") / "site"
    shutil.copytree(processed.root, root, symlinks=True)
    site = found_earlier(Workspace(root), MONDAY, 10)
    (root / ".afterwatch" / "compare" / "hasan.hall" / "a-b" / "lake").mkdir(parents=True)
    done = retain(site, 35, results_days=40, published_days=40)
    assert done.status == "complete" and done.deleted
    left = {item.what: item.reason for item in done.kept}
    assert "frame indexes of these recordings" in left["lake/indexes"], "told plainly, and not deleted"
    assert "1 comparisons" in left[".afterwatch/compare"]
    assert "heads that hold vectors of these recordings" in left[f"models/novelty/{EAST}"]
    return Workspace(root)


@pytest.fixture
def site(emptied: Workspace, tmp_path: Path) -> Workspace:
    import shutil

    shutil.copytree(emptied.site.root, tmp_path / "copy", symlinks=True)
    return Workspace(tmp_path / "copy")


def test_only_monday_went_but_for_the_stills_that_cameras_are_held_against(emptied: Workspace) -> None:
    folder = f"day={MONDAY.isoformat()}"
    left = {name for name in files_below(Path(emptied.store.location)) if folder in name}
    assert left == needed_stills(emptied)
    assert {name.split("/")[0] for name in left} == {"stills"}
    decisions = files_below(Path(emptied.store.location) / "decisions")
    days = {Path(name).name[:10] for name in decisions}
    assert days == {TUESDAY.isoformat()}, "what decided Monday's steps went with what they made"
    assert not [name for name in files_below(emptied.site.published_folder) if MONDAY.isoformat() in name]
    assert files_below(emptied.site.published_folder)


def test_keys_of_the_days_that_stay_are_what_they_were(processed: Processed, emptied: Workspace) -> None:
    before = {name: keys for name, keys in keys_of(processed.workspace).items() if name[1] == TUESDAY.isoformat()}
    assert keys_of(emptied) == before


def test_the_next_night_is_complete_and_plans_and_does_nothing(site: Workspace, decoded: list[str]) -> None:
    assert forecast(site, Selection(), 1).is_empty
    night = run(site)
    assert (night.report.status, night.done(), decoded) == ("complete", set(), [])
    coverage = {(line["camera"], line["day"]): line for line in night.report.coverage}
    line = coverage[NORTH, MONDAY.isoformat()]
    assert line["deleted_s"] == line["skipped_s"] == line["recorded_s"] > 0
    assert "deleted_s" not in coverage[NORTH, TUESDAY.isoformat()]
    rows = select(connect(site.store), "SELECT DISTINCT day FROM scores").to_pylist()
    assert rows == [{"day": TUESDAY}], "nothing that reads the lake looks for what has gone"


def test_a_change_makes_the_days_that_stay_anew_without_what_was_deleted(site: Workspace, decoded: list[str]) -> None:
    changed = set_policies(site, {"novelty": {"neighbours": 4}}, results_days=40, published_days=40)
    night = run(changed)
    assert night.report.status == "complete"
    assert {(camera, day) for camera, day, _, _ in night.done()} == {
        (EAST, TUESDAY.isoformat()),
        (NORTH, TUESDAY.isoformat()),
    }
    assert decoded == []
    assert run(Workspace(site.site.root)).done() == set()


def test_verification_tells_what_was_deleted_and_finds_no_difference(emptied: Workspace) -> None:
    told = verify(emptied, Selection(camera=NORTH), frames=1, threads=1, progress=lambda *_: None)
    assert told.differences == ()
    assert f"demo · {NORTH} · {MONDAY}: what was made of it was deleted by retention" in told.remarks
    assert f"demo · {NORTH} · {MONDAY}: what was published of it was deleted by retention" in told.remarks
    assert any("its segments are not derived again" in line for line in told.remarks)


def test_without_footage_and_publications_a_night_is_complete_and_makes_neither_again(copied: Workspace) -> None:
    site = own_footage(copied)
    run(site)
    done = retain(Workspace(site.site.root), 35, published_days=30, footage_days=30)
    assert {entry.policy for entry in done.deleted} == {"published", "footage"}
    night = run(Workspace(site.site.root))
    assert (night.report.status, night.done(), night.report.ingest["gone"]) == ("complete", set(), 0)
    assert not files_below(Workspace(site.site.root).site.published_folder)
    told = verify(Workspace(site.site.root), Selection(camera=NORTH), frames=1, threads=1, progress=lambda *_: None)
    assert told.differences == ()
    assert any("deleted by retention on" in line for line in told.remarks)
