"""Recordings spoilt by chance go through whole nights; ten times as many: `python -m benchmarks.fuzz --files 600`."""

from pathlib import Path

import pytest

from benchmarks.fuzz import Findings, judge_night, lay_out, sound_site
from benchmarks.fuzz_judging import wrong_in
from benchmarks.fuzz_recordings import FILMS, MUTATIONS, film_bytes, mutated_recording, packets_of
from lake.current import recordings_now
from tests.chaos.sites import FIRST, small
from tests.tasks.nights import ingest, run
from workspace.opened import Workspace

FILES = 60
SEED = 3


@pytest.fixture(scope="module")
def sound_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_site(tmp_path_factory.mktemp("sound") / "site", 6)


def test_a_night_over_spoilt_recordings_ends_and_says_nothing_wrong(tmp_path: Path, sound_only: Path) -> None:
    spoilt = [mutated_recording(SEED, number) for number in range(FILES)]
    placed = lay_out(tmp_path / "site", spoilt)
    night = run(Workspace(tmp_path / "site"))
    told = Findings("recordings")
    judge_night(tmp_path / "site", placed, sound_only, told)
    assert told.wrong == []
    assert told.files == FILES
    assert told.ends["ready"] and told.ends["quarantined"]
    assert [receipt.message for receipt in night.failed()] == []
    assert night.report.status == "complete", night.report.attention
    listed = {item["path"] for item in night.report.ingest["problems"]}
    assert {path for path, recording in placed.items() if recording is None} & listed == set()


def test_a_sound_recording_whose_rows_differ_is_told(tmp_path: Path, sound_only: Path) -> None:
    placed = lay_out(tmp_path / "site", [mutated_recording(SEED, 1)])
    workspace = Workspace(tmp_path / "site")
    ingest(workspace)
    told = Findings("recordings")
    judge_night(tmp_path / "site", placed, sound_only, told)
    assert any("is sound, and its rows are not those" in line for line in told.wrong)


def test_a_wrong_row_is_found_out(tmp_path: Path) -> None:
    workspace = small(tmp_path / "site", 1)
    run(workspace)
    (row,) = recordings_now(workspace.ledger)
    file = workspace.site.footage_root / FIRST
    tables = {
        name: [
            found
            for path in sorted((workspace.site.root / "lake" / name).rglob("*.parquet"))
            for found in workspace.store.read_table(str(path.relative_to(workspace.site.root / "lake"))).to_pylist()
        ]
        for name in ("frames", "coverage")
    }
    assert wrong_in(workspace.store, file, row, tables) == []
    first, second, *rest = tables["frames"]
    exchanged = [{**first, "digest": second["digest"]}, second, *rest]
    assert len(wrong_in(workspace.store, file, row, {**tables, "frames": exchanged})) == 1
    late = [{**first, "t_us": first["t_us"] + 1000}, second, *rest]
    assert len(wrong_in(workspace.store, file, row, {**tables, "frames": late})) == 1
    short = [{**tables["coverage"][0], "to_us": 5}]
    assert len(wrong_in(workspace.store, file, row, {**tables, "coverage": short})) == 1
    assert wrong_in(workspace.store, file, {**row, "status": "partial"}, tables) != []
    assert wrong_in(workspace.store, file, {**row, "status": "quarantined", "reason": "x"}, tables) != []


def test_the_same_seed_and_number_give_the_same_bytes_and_every_kind_is_met() -> None:
    spoilt = [mutated_recording(7, number) for number in range(600)]
    again = mutated_recording(7, 41)
    assert again.content == spoilt[41].content
    assert again.content != mutated_recording(8, 41).content
    assert {(recording.film, recording.kinds[0]) for recording in spoilt} == {
        (film, kind) for film in FILMS for kind in MUTATIONS
    }
    changed = sum(recording.content != film_bytes(recording.film) for recording in spoilt)
    assert changed > 0.95 * len(spoilt)
    assert all(packets_of(film) for film in FILMS)
