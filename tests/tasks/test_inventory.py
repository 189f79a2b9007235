"""What the footage folder holds against what the lake knows, and what neighbours say of gaps and overlaps."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from tasks.inventory import Row, gaps_and_overlaps, report, settle, take_inventory
from tests.footage.films import Film, make
from tests.tasks.nights import configure, ingest, new_site

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
FILM = Film(count=25)


def row(path: str, begin_s: float = 0.0, length_s: float = 10.0, **changes: Any) -> Row:
    started_at = START + timedelta(seconds=begin_s)
    told = {
        "path": path,
        "campaign": "demo",
        "camera": "hall",
        "day": started_at.date(),
        "started_at": started_at,
        "duration_us": round(length_s * 1e6),
        "recording_id": path,
        "status": "ready",
        "reason": "",
    }
    return told | changes


def test_recordings_end_to_end_have_neither_gap_nor_overlap() -> None:
    assert gaps_and_overlaps([row("a", 0), row("b", 10), row("c", 20)], gap_s=2.0) == []


@pytest.mark.parametrize(
    ("begin_s", "expected"),
    [(12.0, []), (12.5, [("gap", 2.5)]), (9.5, []), (9.0, [("overlap", 1.0)])],
)
def test_time_missing_and_time_told_twice_are_found_beyond_their_tolerance(
    begin_s: float, expected: list[tuple[str, float]]
) -> None:
    found = gaps_and_overlaps([row("b", begin_s), row("a", 0)], gap_s=2.0)
    assert [(item.kind, item.seconds) for item in found] == expected
    assert all((item.before, item.after) == ("a", "b") for item in found)


def test_a_gap_counts_from_the_end_of_all_before_and_names_who_ended_last() -> None:
    found = gaps_and_overlaps([row("long", 0, 60), row("short", 10, 5), row("late", 70)], gap_s=2.0)
    assert [(item.kind, item.before, item.after, item.seconds) for item in found] == [
        ("overlap", "long", "short", 50.0),
        ("gap", "long", "late", 10.0),
    ]


def test_cameras_campaigns_and_days_are_no_neighbours() -> None:
    rows = [row("a"), row("b", 100, camera="other"), row("c", 100, campaign="autumn"), row("d", 86400)]
    assert gaps_and_overlaps(rows, gap_s=2.0) == []


def test_what_cannot_be_used_is_no_neighbour() -> None:
    rows = [row("a"), row("b", 10, status="quarantined"), row("c", 10, status="duplicate"), row("d", 20)]
    assert [(item.kind, item.after) for item in gaps_and_overlaps(rows, 2.0)] == [("gap", "d")]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=8), st.randoms(use_true_random=False))
def test_neighbours_do_not_depend_on_the_order_of_rows(spans: list[tuple[int, int]], random: Any) -> None:
    rows = [row(f"{number}", begin, length) for number, (begin, length) in enumerate(spans)]
    shuffled = rows.copy()
    random.shuffle(shuffled)
    assert gaps_and_overlaps(rows, 2.0) == gaps_and_overlaps(shuffled, 2.0)
    covered = {second for begin, length in spans for second in range(begin, begin + length)}
    holes = max(covered) + 1 - min(covered) - len(covered) if covered else 0
    assert sum(item.seconds for item in gaps_and_overlaps(rows, 0.5) if item.kind == "gap") == holes


def test_of_files_with_one_content_the_known_counts_then_the_first_by_path() -> None:
    known = row("m", recording_id="one")
    examined = [row("z", recording_id="two"), row("b", recording_id="two"), row("a", recording_id="one")]
    told = {item["path"]: (item["status"], item["reason"]) for item in settle([known], examined)}
    assert told == {
        "a": ("duplicate", "the same content as m"),
        "b": ("ready", ""),
        "z": ("duplicate", "the same content as b"),
    }


def test_a_quarantined_file_is_nobodys_original() -> None:
    told = settle([row("a", recording_id="", status="quarantined")], [row("b", recording_id=""), row("c")])
    assert [item["status"] for item in told] == ["ready", "ready"]


def film(root: Path, name: str, seed: int = 0) -> Path:
    path = root / "footage" / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    return make(path, FILM.but(seed=seed))


def test_files_are_new_once_then_present_then_gone_once(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    path = film(workspace.site.root, "demo/hall/2026-03-02T08-00-00")
    assert [file.path for file in take_inventory(workspace).new] == ["demo/hall/2026-03-02T08-00-00.mp4"]
    assert len(take_inventory(workspace).new) == 1, "looking at it enters nothing"
    ingest(workspace)
    known = take_inventory(workspace)
    assert (len(known.new), len(known.present), len(known.gone)) == (0, 1, 0)
    path.unlink()
    inventory, _ = ingest(workspace)
    assert [item["path"] for item in inventory.gone] == ["demo/hall/2026-03-02T08-00-00.mp4"]
    later = take_inventory(workspace)
    assert (len(later.new), len(later.present), len(later.gone)) == (0, 0, 0)
    film(workspace.site.root, "demo/hall/2026-03-02T08-00-00")
    assert len(take_inventory(workspace).new) == 1, "it came back"


def test_what_a_name_says_is_read_again_when_the_settings_say_otherwise(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    film(workspace.site.root, "demo/hall/2026-03-02T23-30-00")
    _, (before,) = ingest(workspace)
    shifted = configure(workspace.site.root, {"cameras": {"hall": {"clock_offset_s": -1.5}}})
    _, (after,) = ingest(shifted)
    assert after["started_at"] - before["started_at"] == timedelta(seconds=-1.5)
    assert take_inventory(shifted).new == ()
    zoned = configure(workspace.site.root, {"site": {"time_zone": "Europe/Berlin"}})
    _, (berlin,) = ingest(zoned)
    assert berlin["started_at"] == before["started_at"]
    assert (str(before["day"]), str(berlin["day"])) == ("2026-03-02", "2026-03-03")


def test_a_duplicate_counts_as_soon_as_its_original_holds_something_else(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    first = film(workspace.site.root, "demo/a/2026-03-02T08-00-00")
    film(workspace.site.root, "demo/b/2026-03-02T08-00-00")
    _, rows = ingest(workspace)
    assert [item["status"] for item in rows] == ["ready", "duplicate"]
    make(first, FILM.but(seed=9, count=30))
    _, rows = ingest(workspace)
    assert [item["status"] for item in rows] == ["ready", "ready"]


def test_a_retry_takes_quarantined_files_and_leaves_new_ones_for_the_night(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    good = film(workspace.site.root, "demo/hall/2026-03-02T08-00-00")
    broken = good.with_name("2026-03-02T09-00-00.mp4")
    broken.write_bytes(b"no video")
    ingest(workspace)
    film(workspace.site.root, "demo/hall/2026-03-02T10-00-00", seed=4)
    again = take_inventory(workspace, retry=True)
    assert [file.path for file in again.new] == ["demo/hall/2026-03-02T09-00-00.mp4"]
    assert [item["path"] for item in again.present] == ["demo/hall/2026-03-02T08-00-00.mp4"]
    assert [file.path for file in take_inventory(workspace).new] == ["demo/hall/2026-03-02T10-00-00.mp4"]


def test_the_report_counts_and_gives_every_file_that_wants_attention_a_line(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    good = film(workspace.site.root, "demo/hall/2026-03-02T08-00-00")
    good.with_name("2026-03-02T08-00-20.mp4").write_bytes(good.read_bytes())
    good.with_name("2026-03-02T08-00-40.mp4").write_bytes(b"")
    film(workspace.site.root, "demo/hall/2026-03-02T08-01-00", seed=1)
    film(workspace.site.root, "demo/hall/2026-03-02T08-01-00.5", seed=2).rename(good.with_name("nonsense.mp4"))
    (workspace.site.footage_root / "demo/hall/2026-03-02T08-02-00.mp4").symlink_to(tmp_path / "nowhere")
    inventory, rows = ingest(workspace)
    told = report(inventory, rows, gap_s=2.0)
    assert {name: told[name] for name in ("new", "present", "duplicate", "broken", "gone", "gaps", "overlaps")} == {
        "new": 2,
        "present": 0,
        "duplicate": 1,
        "broken": 3,
        "gone": 0,
        "gaps": 1,
        "overlaps": 0,
    }
    lines = {Path(item["path"]).stem: (item["status"], item["reason"]) for item in told["problems"]}
    assert {name: status for name, (status, _) in lines.items()} == {
        "2026-03-02T08-00-20": "duplicate",
        "2026-03-02T08-00-40": "quarantined",
        "2026-03-02T08-01-00": "gap",
        "2026-03-02T08-02-00": "unreadable",
        "nonsense": "quarantined",
    }
    assert all(reason for _, reason in lines.values())
    assert lines["2026-03-02T08-01-00"][1].startswith("it begins 59.0 s after the end of")


def test_without_a_footage_folder_nothing_is_taken_for_gone(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    film(workspace.site.root, "demo/hall/2026-03-02T08-00-00")
    ingest(workspace)
    workspace.site.footage_root.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="there is no footage folder"):
        take_inventory(workspace)
