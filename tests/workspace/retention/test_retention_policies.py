"""Which files retention names, and which it never does."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError, LakeError
from lake.keys import Place
from lake.ledger import RunRow, Statement
from tests.workspace.kept_site import (
    CAMPAIGN,
    FIRST,
    HALL,
    NIGHT,
    POLICIES,
    SECOND,
    YARD,
    configured,
    copied_to,
    make,
    make_site,
    outputs_of,
    present,
    publish,
    record,
    see,
)
from workspace.opened import Workspace
from workspace.retention.deleting import Run, run_retention
from workspace.retention.holds import Hold, add_hold
from workspace.retention.policies import RetentionPlan, plan_retention, superseded

PLACES = [Place(CAMPAIGN, camera, day) for camera in (HALL, YARD) for day in (FIRST, SECOND)]


def at(days: float) -> datetime:
    """So many days after the night that found the recordings."""
    return NIGHT + timedelta(days=days)


def plan(workspace: Workspace, days: float, **policies: Any) -> RetentionPlan:
    opened = configured(workspace, **({"idle_days": 1000} | policies)) if policies else workspace
    return plan_retention(opened, at(days))


def run(workspace: Workspace, days: float, **policies: Any) -> Run:
    opened = configured(workspace, **({"idle_days": 1000} | policies)) if policies else workspace
    return run_retention(opened, "keeper", now=lambda: at(days))


def named(found: RetentionPlan, policy: str) -> set[str]:
    return {file.path for file in found.files if file.policy == policy}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_site(tmp_path_factory.mktemp("kept") / "site")


@pytest.fixture
def site(made: Workspace, tmp_path: Path) -> Workspace:
    return copied_to(made, tmp_path / "site")


def test_without_a_number_nothing_is_deleted(site: Workspace) -> None:
    before = present(site)
    with pytest.raises(ConfigurationError, match="names no days"):
        run(site, 10_000)
    assert present(site) == before


def test_results_need_published_days_of_at_most_as_many(site: Workspace) -> None:
    with pytest.raises(ConfigurationError, match="results_days = 60 needs published_days"):
        configured(site, results_days=60)
    with pytest.raises(ConfigurationError, match="published_days is at most results_days"):
        configured(site, results_days=60, published_days=61)


def test_what_was_replaced_goes_and_what_counts_stays(site: Workspace) -> None:
    assert run(site, 31.9, superseded_days=31).deleted == [], "it was replaced a day after the night"
    done = run(site, 33, superseded_days=31)
    old = set().union(*(outputs_of(place, "old") for place in PLACES))
    assert {entry.path for entry in done.deleted} == old
    lake = {name.removeprefix("lake/") for name in present(site) if name.startswith("lake/")}
    assert lake == set().union(*(outputs_of(place, "new") for place in PLACES))


def test_what_counts_was_made_from_is_kept_however_old(site: Workspace) -> None:
    """Where a later step failed, its newest output rests on what was replaced since."""
    place = PLACES[0]
    rows = [row for row in site.ledger.rows("runs").to_pylist() if row["camera"] == HALL and row["day"] == FIRST]
    kept = next(row for row in rows if row["step"] == "summarise" and row["run_id"] == "old")
    moment = at(2)
    site.ledger.record(
        [
            RunRow(
                "third",
                "summarise",
                *_where(place),
                "",
                kept["key"],
                "skipped",
                moment,
                moment,
                tuple(kept["inputs"]),
                tuple(kept["outputs"]),
            )
        ]
    )
    due = named(plan(site, 400, superseded_days=30), "superseded")
    assert not due & outputs_of(place, "old"), "its pictures and scores are what the summary was made from"
    assert outputs_of(PLACES[1], "old") <= due


def test_a_file_that_no_row_names_is_never_superseded(site: Workspace) -> None:
    path = f"scores/{PLACES[0].folder}/0000.parquet"
    site.store.write_table(
        path, site.store.read_table(next(iter(outputs_of(PLACES[0], "new") & _table(site, "scores"))))
    )
    assert path not in named(plan(site, 400, superseded_days=1), "superseded")


def test_rolled_back_settings_count_from_the_newer_replacement() -> None:
    def row(version: str, hours: float) -> dict[str, Any]:
        moment = NIGHT + timedelta(hours=hours)
        return {
            "step": "score",
            "campaign": "c",
            "camera": "x",
            "day": FIRST,
            "scope": "",
            "status": "done",
            "key": version,
            "inputs": [],
            "outputs": [f"scores/{version}.parquet"],
            "finished_at": moment,
        }

    found = superseded([row("a", 0), row("b", 1), row("a", 2), row("b", 3)])
    assert {path: moment for path, (_, moment) in found.items()} == {"scores/a.parquet": NIGHT + timedelta(hours=3)}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["done", "failed", "skipped"])), max_size=12))
@settings(max_examples=60, deadline=None)
def test_what_the_newest_finished_row_names_is_never_superseded(said: list[tuple[str, str]]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "step": "score",
            "campaign": "c",
            "camera": "x",
            "day": FIRST,
            "scope": "",
            "status": status,
            "key": key,
            "inputs": [],
            "outputs": [f"scores/{key}.parquet"],
            "finished_at": NIGHT + timedelta(minutes=number),
        }
        for number, (key, status) in enumerate(said)
    ]
    finished = [row for row in rows if row["status"] != "failed"]
    newest = set(finished[-1]["outputs"]) if finished else set()
    assert not newest & superseded(rows).keys()
    assert superseded(rows).keys() == {path for row in finished for path in row["outputs"]} - newest


def test_published_days_go_with_their_digests_and_the_rest_stays(site: Workspace) -> None:
    before = present(site)
    assert run(site, 30.9, published_days=30).deleted == []
    run(site, 31.1, published_days=30)
    gone = before - present(site)
    assert gone == {name for name in before if name.startswith(("published/", "digests/"))}
    assert not site.site.published_folder.joinpath(CAMPAIGN, HALL, FIRST.isoformat(), "summary.mp4").exists()


def test_a_file_that_no_night_published_is_kept_and_told(site: Workspace) -> None:
    own = site.site.published_folder / CAMPAIGN / HALL / FIRST.isoformat() / "letter.docx"
    own.write_text("mine")
    other = site.site.published_folder / CAMPAIGN / "unknown" / FIRST.isoformat() / "summary.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    found = plan(site, 400, published_days=30)
    told = {item.what: item.reason for item in found.kept}
    assert told[f"workspace/published/{CAMPAIGN}/{HALL}/{FIRST}/letter.docx"] == "no night published it"
    assert told[f"{CAMPAIGN} · unknown · {FIRST}"] == "the lake knows no recording of that day"
    run(site, 400, published_days=30)
    assert own.exists() and other.exists()


def test_results_of_old_days_go_with_every_version_of_them(site: Workspace) -> None:
    _found_later(site, SECOND, 20)
    done = run(site, 70, published_days=60, results_days=60)
    gone = {entry.path for entry in done.deleted if entry.policy == "results"}
    assert gone == set().union(*(outputs_of(p, v) for p in PLACES if p.day == FIRST for v in ("old", "new")))
    assert all(site.store.exists(path) for p in PLACES if p.day == SECOND for path in outputs_of(p, "new"))


def test_footage_is_touched_only_where_its_days_are_said(site: Workspace) -> None:
    footage = {name for name in present(site) if name.startswith("footage/")}
    run(site, 400, superseded_days=1, published_days=1, results_days=1)
    assert footage and footage <= present(site)
    run(site, 400, footage_days=90)
    assert not footage & present(site)


def test_days_count_from_when_a_recording_was_found_where_that_is_later(site: Workspace) -> None:
    """A camera whose clock fell back to its first day, or an archive taken in yesterday."""
    place = Place(CAMPAIGN, YARD, date(2000, 1, 1))
    see(site, [record(site, place)], at(100))
    make(site, place, "new", at(100))
    publish(site, place)
    found = plan(site, 101, **POLICIES)
    assert place not in {group.place for group in found.groups}
    assert place in {group.place for group in plan(site, 300, **POLICIES).groups}


def test_a_recording_that_is_another_by_now_is_kept(site: Workspace) -> None:
    path = site.site.footage_root / f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4"
    path.write_text("other footage of the same name")
    found = plan(site, 400, footage_days=90)
    assert f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4" not in named(found, "footage")
    assert any("another than the one that was processed" in item.reason for item in found.kept)


def test_a_recording_with_the_size_and_time_of_the_one_processed_is_told_by_its_content(site: Workspace) -> None:
    path = site.site.footage_root / f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4"
    told = path.stat()
    path.write_text(path.read_text().replace("footage", "FOOTAGE"))
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    done = run(site, 400, footage_days=90)
    assert path.exists()
    assert done.status == "partial"
    assert [line for line in done.failed if "its content is not the one that was processed" in line]


def test_a_recording_that_no_night_has_analysed_is_kept(site: Workspace) -> None:
    place = Place(CAMPAIGN, YARD, date(2026, 3, 1))
    see(site, [record(site, place)], NIGHT)
    found = plan(site, 400, footage_days=90)
    assert not any(str(place.day) in path for path in named(found, "footage"))
    assert any("accounted for" in item.reason for item in found.kept)


def test_what_is_in_quarantine_is_for_people_to_delete(site: Workspace) -> None:
    place = Place(CAMPAIGN, YARD, date(2026, 3, 1))
    see(site, [record(site, place, status="quarantined", reason="no video stream")], NIGHT)
    found = plan(site, 400, footage_days=90)
    assert any(item.reason.startswith("it is in quarantine (no video stream)") for item in found.kept)
    assert not any(str(place.day) in path for path in named(found, "footage"))


def test_files_of_one_content_go_together_or_stay_together(site: Workspace) -> None:
    """Of two of them, the one that is left would be new to the next night."""
    twin = f"{CAMPAIGN}/{HALL}/2026-05-01T08-00-00.mp4"
    shutil.copy2(site.site.footage_root / f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4", site.site.footage_root / twin)
    later = record(site, Place(CAMPAIGN, HALL, date(2026, 5, 1)), path=twin, status="duplicate")
    see(site, [later], at(60))
    due = named(plan(site, 100, footage_days=90), "footage")
    assert due == {f"{CAMPAIGN}/{place.camera}/{place.day}T08-00-00.mp4" for place in PLACES if place != PLACES[0]}
    due = named(plan(site, 200, footage_days=90), "footage")
    assert {twin, f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4"} <= due


@pytest.mark.parametrize(
    ("zone", "begins"),
    [("UTC", "2026-06-03T00:00"), ("Pacific/Kiritimati", "2026-06-02T10:00"), ("Pacific/Honolulu", "2026-06-02T10:00")],
)
def test_the_zone_of_the_site_decides_the_day(site: Workspace, zone: str, begins: str) -> None:
    """The day after the 90th since the night that found the recordings, by the clocks there: 4 March, or still the 3rd."""
    told = f'[retention]\nidle_days = 1000\nfootage_days = 90\n[site]\ntime_zone = "{zone}"\n'
    (site.site.root / "afterwatch.toml").write_text(told)
    opened, moment = Workspace(site.site.root), datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert not plan_retention(opened, moment - timedelta(minutes=1)).files
    assert plan_retention(opened, moment + timedelta(minutes=1)).files


# ——— what must not be reached ———


def test_footage_behind_a_link_is_refused_unless_the_settings_allow_it(site: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "recorder"
    shutil.move(site.site.footage_root, elsewhere)
    site.site.footage_root.symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match=r"footage.root leads to .*recorder, outside the workspace"):
        run(site, 400, footage_days=90)
    assert len(list(elsewhere.rglob("*.mp4"))) == len(PLACES)
    run(site, 400, footage_days=90, allow_outside=True)
    assert not list(elsewhere.rglob("*.mp4"))


def test_a_campaign_behind_a_link_is_kept_and_told(site: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "recorder"
    shutil.move(site.site.footage_root / CAMPAIGN, elsewhere)
    (site.site.footage_root / CAMPAIGN).symlink_to(elsewhere)
    done = run(site, 400, footage_days=90)
    assert done.deleted == []
    assert len(list(elsewhere.rglob("*.mp4"))) == len(PLACES)
    assert {item.reason.split(" at ")[0] for item in done.kept} == {"a link leads to it"}


def test_links_and_further_names_of_a_file_are_kept(site: Workspace, tmp_path: Path) -> None:
    """Deleting one name would delete nothing, and prove a deletion that never was."""
    first, second = (site.site.footage_root / f"{CAMPAIGN}/{HALL}/{day}T08-00-00.mp4" for day in (FIRST, SECOND))
    shutil.move(first, tmp_path / "moved.mp4")
    first.symlink_to(tmp_path / "moved.mp4")
    os.link(second, tmp_path / "second.mp4")
    done = run(site, 400, footage_days=90, allow_outside=True)
    assert {entry.place.camera for entry in done.deleted} == {YARD}
    reasons = " ".join(item.reason for item in done.kept)
    assert "it is a link and no file" in reasons
    assert "2 names (hard links)" in reasons


def test_a_lake_outside_the_workspace_is_refused(site: Workspace, tmp_path: Path) -> None:
    """Two workspaces may share it, and the other's lock is elsewhere."""
    shutil.move(site.site.root / "lake", tmp_path / "shared")
    (site.site.root / "lake").symlink_to(tmp_path / "shared")
    for policies in ({"superseded_days": 1}, {"published_days": 1, "results_days": 1}):
        with pytest.raises(ConfigurationError, match=r"lake leads to .*shared, outside the workspace"):
            run(site, 400, **policies)
    assert run(site, 400, superseded_days=30, allow_outside=True).deleted


def test_an_object_store_is_refused_unless_the_settings_allow_it(site: Workspace) -> None:
    settings = site.site.root / "afterwatch.toml"
    settings.write_text('lake = "memory://nobody"\n[retention]\nsuperseded_days = 1\n')
    with pytest.raises(ConfigurationError, match="is an object store, which another workspace may use too"):
        plan_retention(Workspace(site.site.root), at(400))


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "runs/20260304T000000.parquet", "scores/../runs/x.parquet", "/etc/passwd"]
)
def test_a_ledger_that_names_other_files_deletes_none_of_them(site: Workspace, path: str) -> None:
    place, moments = PLACES[0], (at(1), at(2))
    rows = [
        RunRow("evil", "retrieve", *_where(place), "x", str(number), "done", moment, moment, outputs=outputs)
        for number, (moment, outputs) in enumerate(zip(moments, ((path,), ()), strict=True))
    ]
    site.ledger.record(rows)
    assert path not in {file.path for file in plan(site, 400, superseded_days=1).files}


@pytest.mark.parametrize("table", ["runs", "recordings", "holds", "deletions"])
def test_a_ledger_that_cannot_be_read_deletes_nothing(site: Workspace, table: str) -> None:
    before = present(site)
    (site.site.root / "lake" / table).mkdir(exist_ok=True)
    (site.site.root / "lake" / table / "29990101T000000.000000-x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(LakeError, match=f"the ledger {table} cannot be read"):
        run(site, 400, **POLICIES)
    assert present(site) == before


def test_a_hold_that_cannot_be_read_deletes_nothing(site: Workspace) -> None:
    site.ledger.say("holds", [Statement("case", "somebody", {"camera": HALL})])
    with pytest.raises(LakeError, match="a hold of the ledger cannot be read"):
        run(site, 400, **POLICIES)


# ——— holds ———


def hold(workspace: Workspace, name: str = "case", **what: Any) -> None:
    given: dict[str, Any] = {"campaign": None, "camera": None, "from_day": None, "to_day": None} | what
    add_hold(
        workspace.ledger, workspace.site.state_folder, Hold(name, **given, reason="claim", author="lawyer"), PLACES
    )


def test_nothing_of_what_is_held_is_due(site: Workspace) -> None:
    hold(site, camera=HALL, from_day=FIRST, to_day=FIRST)
    before = present(site)
    run(site, 400, **POLICIES)
    folder = PLACES[0].folder
    held = {name for name in before if folder in name or name.startswith(f"footage/{CAMPAIGN}/{HALL}/{FIRST}")}
    shown = {name for name in before if name.startswith(("published/", "digests/")) and FIRST.isoformat() in name}
    assert len(held) == 13 and held | shown == present(site), "a digest shows every camera of its day"


def test_a_hold_follows_a_recording_that_was_renamed(site: Workspace) -> None:
    """By its content: what was made of it under its new name is held too."""
    hold(site, camera=HALL)
    renamed = Place(CAMPAIGN, "entrance", FIRST)
    old = site.site.footage_root / f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4"
    new = site.site.footage_root / f"{CAMPAIGN}/entrance/{FIRST}T08-00-00.mp4"
    gone = record(site, PLACES[0], status="gone")
    new.parent.mkdir()
    shutil.move(old, new)
    see(site, [gone, record(site, renamed)], at(1))
    make(site, renamed, "new", at(1))
    run(site, 400, **POLICIES)
    assert new.exists()
    assert all(site.store.exists(path) for path in outputs_of(renamed, "new"))


def test_a_hold_said_on_a_recordings_former_name_is_said_on_the_recording(site: Workspace) -> None:
    see(site, [record(site, PLACES[0], camera="entrance", path=f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4")], at(1))
    hold(site, camera=HALL, from_day=FIRST, to_day=FIRST)
    found = plan(site, 400, footage_days=90)
    assert f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4" not in named(found, "footage")


def _where(place: Place) -> tuple[str, str, date]:
    return place.campaign, place.camera, place.day


def _table(workspace: Workspace, table: str) -> set[str]:
    return {name for place in PLACES for name in workspace.store.names(f"{table}/{place.folder}")}


def _found_later(workspace: Workspace, day: date, days: float) -> None:
    """As if the recordings of a day had been found so many days later."""
    (name,) = workspace.store.names("recordings")
    rows = workspace.store.read_table(name).to_pylist()
    workspace.store.delete(name)
    for late in (True, False):
        mine = [row for row in rows if (row["day"] == day) == late]
        see(workspace, mine, NIGHT + timedelta(days=days if late else 0))
