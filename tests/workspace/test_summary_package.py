"""A package holds the recordings' own pictures, says where they are from, and can be checked by anybody."""

import hashlib
import json
import subprocess
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from afterwatch.workspace_files import make_workspace
from footage.probe import probe
from infra.errors import ConfigurationError, FootageError
from lake.keys import Place
from tasks.ingest import enter, examine_file
from tasks.inventory import take_inventory
from tests.footage.films import Film, make, plain_digests
from workspace.opened import Workspace
from workspace.summary_package import PackageEntry, package_entry, write_package

PATH = "demo/hall east/2026-03-02T08-00-00.mp4"
PLACE = Place("demo", "hall east", date(2026, 3, 2))
FILM = Film(count=150, gop=25, bframes=2)


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    """A workspace with two recordings that were taken in."""
    workspace = Workspace(make_workspace(tmp_path / "site"))
    for name, film in ((PATH, FILM), (PATH.replace("08-00", "09-00"), FILM.but(seed=1, suffix=".mp4", codec="mpeg4"))):
        path = workspace.site.footage_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path, film)
    inventory = take_inventory(workspace)
    enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    return Workspace(workspace.site.root)


def entry(workspace: Workspace, from_us: int, to_us: int, path: str = PATH, **changes: Any) -> PackageEntry:
    known = {row["path"]: row for row in workspace.ledger.rows("recordings").to_pylist()}[path]
    given = PackageEntry(
        *("demo", "hall east", date(2026, 3, 2), known["recording_id"], path, from_us, to_us),
        taken_at=datetime(2026, 3, 2, 8, tzinfo=UTC),
        reason="novelty 1",
        event_id="e1",
        keyframe_us=from_us,
        numbers={"score": 0.5, "anomaly": 0.25},
        weights="busy/2",
        versions={"afterwatch": "1"},
    )
    return replace(given, **changes)


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # of our own file


def tree(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_clips_hold_the_recordings_own_pictures(site: Workspace, tmp_path: Path) -> None:
    entries = [
        entry(site, 1_500_000, 2_600_000),
        entry(site, 0, 1_000_000, PATH.replace("08-00", "09-00")),
        entry(site, 4_000_000, 9_000_000),
    ]
    write_package(site, entries, tmp_path / "package")
    told = manifest(tmp_path / "package")["entries"]
    assert len(told) == 3
    for each in told:
        source = site.site.footage_root / each["recording"]
        index, digests = probe(source).index, plain_digests(source)
        clip = each["clip"]
        held = np.flatnonzero((index.pts >= clip["first_pts"]) & (index.pts <= clip["last_pts"]))
        copy = tmp_path / "package" / clip["file"]
        assert plain_digests(copy) == [digests[number] for number in held]
        assert probe(copy).index.t_us.tolist() == (index.t_us[held] - clip["from_us"]).tolist()
        assert clip["pictures"] == len(held)
        assert clip["from_us"] <= each["from_us"]
        assert clip["segment_begins_us"] == each["from_us"] - clip["from_us"]
        assert clip["to_us"] >= min(each["to_us"], index.extent_us)
        keyframe = each["keyframe"]
        number = int(np.searchsorted(index.t_us, keyframe["t_us"]))
        assert (keyframe["digest"], keyframe["pts"]) == (digests[number], index.pts[number])
        still = cv2.imread(str(tmp_path / "package" / keyframe["file"]))
        assert still is not None
        assert still.shape == (48, 64, 3), "as large as in the recording"


def test_the_manifest_tells_where_everything_comes_from(site: Workspace, tmp_path: Path) -> None:
    given = entry(site, 1_500_000, 2_600_000)
    write_package(site, [given], tmp_path / "package")
    (told,) = manifest(tmp_path / "package")["entries"]
    same = (
        "campaign",
        "camera",
        "recording_id",
        "from_us",
        "to_us",
        "reason",
        "event_id",
        "weights",
        "versions",
        "numbers",
    )
    assert {name: told[name] for name in same} == {name: getattr(given, name) for name in same}
    assert (told["recording"], told["day"]) == (PATH, "2026-03-02")
    for part in (told["clip"], told["keyframe"]):
        content = (tmp_path / "package" / part["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == part["sha256"]


def test_checksums_name_every_file_and_find_an_altered_one(site: Workspace, tmp_path: Path) -> None:
    report = write_package(site, [entry(site, 0, 1_000_000)], tmp_path / "package")
    files = tree(tmp_path / "package")
    lines = (tmp_path / "package" / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in lines} == set(files) - {"SHA256SUMS"}
    assert (report.entries, report.files) == (1, len(files))
    assert report.bytes == sum((tmp_path / "package" / name).stat().st_size for name in files)

    def check() -> int:
        return subprocess.run(
            ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
            cwd=tmp_path / "package",
            capture_output=True,
            check=False,
        ).returncode

    assert check() == 0
    clip = next((tmp_path / "package" / "clips").iterdir())
    content = bytearray(clip.read_bytes())
    content[len(content) // 2] ^= 1
    clip.write_bytes(content)
    assert check() != 0


def test_a_package_is_the_same_every_time_whatever_the_order(site: Workspace, tmp_path: Path) -> None:
    entries = [entry(site, 0, 1_000_000), entry(site, 2_000_000, 3_000_000), entry(site, 4_000_000, 5_000_000)]
    for name in ("a", "a.zip"):
        write_package(site, entries, tmp_path / name)
    for name in ("b", "b.zip"):
        write_package(site, entries[::-1], tmp_path / name)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(tree(tmp_path / "a"))
        archive.extractall(tmp_path / "unpacked")
    assert tree(tmp_path / "unpacked") == tree(tmp_path / "a")


def test_a_segment_without_a_keyframe_has_none(site: Workspace, tmp_path: Path) -> None:
    write_package(site, [entry(site, 0, 1_000_000, keyframe_us=None)], tmp_path / "package")
    (told,) = manifest(tmp_path / "package")["entries"]
    assert told["keyframe"] is None
    assert not (tmp_path / "package" / "keyframes").exists()


def test_progress_is_told_entry_by_entry(site: Workspace, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    entries = [entry(site, 0, 1_000_000), entry(site, 2_000_000, 3_000_000)]
    write_package(site, entries, tmp_path / "package", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 2), (2, 2)]


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"site"}


@pytest.mark.parametrize("name", ["package", "package.zip"])
def test_nothing_is_replaced(site: Workspace, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigurationError, match="replaces nothing; choose another name"):
        write_package(site, [entry(site, 0, 1_000_000)], tmp_path / name)
    assert (tmp_path / name).read_text() == "mine"
    assert left(tmp_path) == {name}


@pytest.mark.parametrize("name", ["package", "package.zip"])
def test_nothing_half_written_stays(
    site: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workspace.summary_package.put_in_place", full)
    with pytest.raises(ConfigurationError, match="cannot be written: No space left on device; choose another place"):
        write_package(site, [entry(site, 0, 1_000_000)], tmp_path / name)
    assert left(tmp_path) == set()


def test_a_zip_that_cannot_be_finished_is_removed(
    site: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workspace.package_files.shutil.copyfileobj", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        write_package(site, [entry(site, 0, 1_000_000)], tmp_path / "package.zip")
    assert left(tmp_path) == set()


def test_recordings_that_are_gone_or_altered_are_told(site: Workspace, tmp_path: Path) -> None:
    file = site.site.footage_root / PATH
    given = entry(site, 0, 1_000_000)
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(FootageError, match="is not the recording that was processed"):
        write_package(site, [given], tmp_path / "package")
    file.unlink()
    with pytest.raises(FootageError, match="footage is gone"):
        write_package(site, [given], tmp_path / "package")
    assert left(tmp_path) == set()


def test_a_copy_that_shows_other_pictures_is_refused(
    site: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = entry(site, 0, 1_000_000)
    monkeypatch.setattr("footage.pictures.Picture.digest", lambda picture: str(id(picture)))
    with pytest.raises(FootageError, match="does not show the recording's own pictures"):
        write_package(site, [given], tmp_path / "package")
    assert left(tmp_path) == set()


def test_wrong_calls_say_what_is_wrong(site: Workspace, tmp_path: Path) -> None:
    given = entry(site, 0, 1_000_000)
    with pytest.raises(ConfigurationError, match="choose at least one"):
        write_package(site, [], tmp_path / "package")
    with pytest.raises(ConfigurationError, match="is given twice"):
        write_package(site, [given, replace(given, reason="score")], tmp_path / "package")
    with pytest.raises(ConfigurationError, match="0 <= from < to"):
        replace(given, to_us=0)
    with pytest.raises(ConfigurationError, match="has a zone"):
        replace(given, taken_at=datetime(2026, 3, 2, 8))
    with pytest.raises(ConfigurationError, match="no number of a segment"):
        replace(given, numbers={"score": float("nan")})
    with pytest.raises(FootageError, match="no picture that can be decoded"):
        write_package(site, [entry(site, 60_000_000, 61_000_000, keyframe_us=None)], tmp_path / "package")
    assert left(tmp_path) == set()


def test_entries_of_old_and_new_summaries_are_taken(site: Workspace) -> None:
    old = {
        "recording_id": "abc",
        "recording": PATH,
        "from_us": 0,
        "to_us": 4_000_000,
        "keyframe_us": 1_000_000,
        "score": 0.5,
        "anomaly": 0.1,
        "memorability": 0.2,
        "entropy": 0.3,
        "dynamics": 0.4,
        "taken_at": "2026-03-02T08:00:00+00:00",
        "reason": "event 1",
        "at_s": 0.0,
        "for_s": 4.0,
        "keyframe": "k.jpg",
    }
    made = package_entry(PLACE, old)
    assert (made.event_id, made.weights, made.keyframe_us) == ("", "", 1_000_000)
    assert made.numbers == {name: old[name] for name in ("score", "anomaly", "memorability", "entropy", "dynamics")}
    new = {**old, "event_id": "e", "surprise": 2.5, "motion": None, "probability": 0.9, "keyframe_us": None}
    made = package_entry(PLACE, new, weights="busy/1", versions={"score": "k"})
    assert (made.event_id, made.weights, made.keyframe_us, made.versions) == ("e", "busy/1", None, {"score": "k"})
    assert {name: made.numbers.get(name) for name in ("surprise", "motion", "probability")} == {
        "surprise": 2.5,
        "motion": None,
        "probability": 0.9,
    }
