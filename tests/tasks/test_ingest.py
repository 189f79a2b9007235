"""What becomes of files when they are examined and entered: whole ones, broken ones, moved ones."""

import os
import struct
import wave
from datetime import timedelta
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from footage.probe import content_hash
from footage.synthetic.truth import read_truth
from infra.errors import LakeError
from lake.current import recordings_now
from tasks import ingest as ingesting
from tasks.ingest import examine_file
from tasks.inventory import Row, take_inventory
from tasks.plan import Selection
from tests.footage.films import Film, make
from tests.tasks.conftest import Processed
from tests.tasks.nights import configure, ingest, new_site, run, tree
from tests.tasks.planned import plan, shards_of
from workspace.opened import Workspace

FILM = Film(count=50)
GOOD = "demo/hall/2026-03-02T08-00-00.mp4"


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("film") / "film.mp4", FILM)


@pytest.fixture
def workspace(tmp_path: Path, film: Path) -> Workspace:
    """A site with one good recording."""
    found = new_site(tmp_path / "site")
    put(found, GOOD, film.read_bytes())
    return found


def put(workspace: Workspace, name: str, content: bytes) -> Path:
    path = workspace.site.footage_root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def status_of(rows: list[Row]) -> dict[str, str]:
    return {row["path"]: row["status"] for row in rows}


def test_rows_tell_what_was_staged(processed: Processed, small_footage: Path) -> None:
    rows = {row["path"]: row for row in processed.night.rows}
    staged = [recording for camera in read_truth(small_footage).cameras for recording in camera.recordings]
    recorded = [item for item in staged if (small_footage / item.file).exists()]
    assert set(rows) == {f"demo/{item.file}" for item in recorded}
    for item in recorded:
        row = rows[f"demo/{item.file}"]
        camera, _ = item.file.split("/")
        assert (row["campaign"], row["camera"], row["started_at"]) == ("demo", camera, item.started_at)
        assert (row["width"], row["height"], row["codec"]) == (192, 108, "h264")
        assert row["bytes"] == (small_footage / item.file).stat().st_size
        assert row["recording_id"] == content_hash(small_footage / item.file)
        assert row["status"] == ("partial" if item.defect == "truncated" else "ready")
        assert row["variable_rate"] == (item.defect == "variable_rate")
        assert abs(row["duration_us"] - item.duration_us) <= 125_000
        if item.defect != "truncated":
            assert row["frames"] == item.frames


def test_a_night_alters_neither_bytes_nor_times_of_the_footage(tmp_path: Path, film: Path) -> None:
    workspace = new_site(tmp_path / "site")
    path = put(workspace, GOOD, film.read_bytes())
    broken = put(workspace, "demo/hall/2026-03-02T08-00-10.mp4", film.read_bytes()[:900])
    for file in (path, broken):
        os.utime(file, ns=(1_700_000_000_123_456_789, 1_700_000_000_987_654_321))
        file.chmod(0o444)
    before = tree(workspace.site.footage_root), [path.stat().st_mtime_ns for path in (path, broken)]
    run(workspace)
    assert (tree(workspace.site.footage_root), [path.stat().st_mtime_ns for path in (path, broken)]) == before


def _silent(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(struct.pack("<h", 0) * 800)


def _audio_only(folder: Path) -> bytes:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def _wav(folder: Path) -> bytes:
    _silent(folder / "sound.wav")
    return (folder / "sound.wav").read_bytes()


def _jpeg() -> bytes:
    return bytes(cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes())


def test_what_is_no_recording_is_quarantined_with_a_reason_and_stops_nothing(
    workspace: Workspace, film: Path, tmp_path: Path
) -> None:
    whole = film.read_bytes()
    header = whole.find(b"mdat")
    bad = {
        "empty": b"",
        "one-byte": b"\0",
        "truncated": whole[: len(whole) // 8],
        "zeros": bytes(len(whole)),
        "zeroed-payload": whole[: header + 4] + bytes(len(whole) - header - 4),
        "noise": np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8).tobytes(),
        "audio": _audio_only(tmp_path),
        "wav": _wav(tmp_path),
        "picture": _jpeg(),
        "text": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "playlist": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
    }
    for number, content in enumerate(bad.values()):
        put(workspace, f"demo/hall/2026-03-02T09-00-{number:02}.mp4", content)
    _, rows = ingest(workspace)
    told = {row["path"]: row for row in rows}
    assert told.pop(GOOD)["status"] == "ready"
    assert len(told) == len(bad)
    for name, row in zip(bad, told.values(), strict=True):
        assert row["status"] == "quarantined", name
        assert len(row["reason"]) > 10, name
        assert "examining it failed" not in row["reason"], f"{name}: nobody foresaw it: {row['reason']}"
    reasons = dict(zip(bad, (row["reason"] for row in told.values()), strict=True))
    assert reasons["empty"] == "the file is empty"
    assert "no video stream" in reasons["audio"]
    assert [shard.recording.path for shard in shards_of(plan(workspace))] == [GOOD]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nonsense.mp4", "does not fit footage.pattern"),
        ("demo/2026-03-02T08-00-00.mp4", "does not fit footage.pattern"),
        ("demo/hall/more/2026-03-02T08-00-00.mp4", "does not fit footage.pattern"),
        ("demo/hall/2026-02-30T08-00-00.mp4", "is no time"),
        ("demo/hall/2026-03-02 08:00.mp4", "is no time"),
        ("demo/hall=1/2026-03-02T08-00-00.mp4", "characters other than"),
    ],
)
def test_a_name_that_tells_nothing_is_quarantined(workspace: Workspace, film: Path, name: str, said: str) -> None:
    put(workspace, name, film.read_bytes() + b"\0")
    _, rows = ingest(workspace)
    told = {row["path"]: row for row in rows}
    assert told[name]["status"] == "quarantined"
    assert said in told[name]["reason"]
    assert told[GOOD]["status"] == "ready"
    assert take_inventory(workspace).new == (), "it is not examined every night again"


def test_quarantine_ends_when_the_name_fits_the_pattern(workspace: Workspace, film: Path) -> None:
    put(workspace, "yard-20260302080000.mp4", film.read_bytes() + b"\0")
    ingest(workspace)
    changed = configure(workspace.site.root, {"footage": {"pattern": "{camera}-{start:%Y%m%d%H%M%S}"}})
    _, rows = ingest(changed)
    assert status_of(rows) == {"yard-20260302080000.mp4": "ready", GOOD: "quarantined"}


def test_the_second_of_two_cameras_with_one_file_is_a_duplicate_until_the_first_goes(
    workspace: Workspace, film: Path
) -> None:
    other = "demo/yard/2026-03-02T08-00-00.mp4"
    put(workspace, other, film.read_bytes())
    _, rows = ingest(workspace)
    assert status_of(rows) == {GOOD: "ready", other: "duplicate"}
    assert rows[1]["reason"] == f"the same content as {GOOD}"
    assert [shard.recording.path for shard in shards_of(plan(workspace))] == [GOOD]
    _, rows = ingest(workspace)
    assert status_of(rows) == {GOOD: "ready", other: "duplicate"}, "nothing has changed"
    (workspace.site.footage_root / GOOD).unlink()
    _, rows = ingest(workspace)
    assert status_of(rows) == {other: "ready"}
    planned = shards_of(plan(workspace))
    assert [shard.recording.path for shard in planned] == [other]


def test_a_renamed_file_is_decoded_again_only_where_camera_or_start_changed(
    workspace: Workspace, decoded: list[str]
) -> None:
    run(workspace)
    assert decoded == ["2026-03-02T08-00-00.mp4"]
    decoded.clear()
    footage = workspace.site.footage_root
    same = footage / "demo/hall/2026-03-02T08-00-00.MP4"
    (footage / GOOD).rename(same)
    night = run(workspace)
    assert (len(night.inventory.new), len(night.inventory.gone)) == (1, 1)
    assert decoded == []
    assert night.done() == set()
    moved = footage / "demo/yard/2026-03-02T08-00-00.mp4"
    moved.parent.mkdir()
    same.rename(moved)
    run(workspace)
    assert decoded == ["2026-03-02T08-00-00.mp4"]
    moved.rename(moved.with_name("2026-03-02T08-00-01.mp4"))
    run(workspace)
    assert decoded == ["2026-03-02T08-00-00.mp4", "2026-03-02T08-00-01.mp4"]
    assert [shard.recording.place.camera for shard in shards_of(plan(workspace))] == ["yard"]


def test_a_clock_offset_moves_the_start_of_its_camera_only(workspace: Workspace, film: Path) -> None:
    put(workspace, "demo/yard/2026-03-02T08-00-00.mp4", film.read_bytes() + b"\0")
    _, before = ingest(workspace)
    shifted = configure(workspace.site.root, {"cameras": {"yard": {"clock_offset_s": 90.25}}})
    _, after = ingest(shifted)
    started = {row["camera"]: row["started_at"] for row in before}
    moved = {row["camera"]: row["started_at"] for row in after}
    assert moved["hall"] == started["hall"]
    assert moved["yard"] - started["yard"] == timedelta(seconds=90.25)


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workspace.site.footage_root / GOOD
    whole = path.read_bytes()

    def growing(path: Path) -> str:
        told = content_hash(path)
        path.write_bytes(whole + b"\0" * 8)
        return told

    monkeypatch.setattr(ingesting, "content_hash", growing)
    _, (row,) = ingest(workspace)
    assert row["status"] == "quarantined"
    assert "changed while it was read" in row["reason"]
    monkeypatch.undo()
    _, (row,) = ingest(workspace)
    assert (row["status"], row["bytes"]) == ("ready", len(whole) + 8), "without a retry: it is a changed file"


def test_a_file_that_goes_before_it_is_read_is_no_error(workspace: Workspace) -> None:
    (file,) = take_inventory(workspace).new
    (workspace.site.footage_root / GOOD).unlink()
    row = examine_file(workspace, file)
    assert row["status"] == "quarantined"
    assert "No such file" in row["reason"]


def test_a_lake_that_cannot_be_written_is_not_held_against_the_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LakeError("no space left on device")

    monkeypatch.setattr(ingesting, "save_index", full)
    (file,) = take_inventory(workspace).new
    with pytest.raises(LakeError, match="no space left"):
        examine_file(workspace, file)


def test_a_retry_takes_only_what_failed(workspace: Workspace, film: Path) -> None:
    broken = put(workspace, "demo/hall/2026-03-02T09-00-00.mp4", b"no video")
    ingest(workspace)
    assert take_inventory(workspace).new == ()
    inventory, rows = ingest(workspace, retry=True)
    assert [file.path for file in inventory.new] == ["demo/hall/2026-03-02T09-00-00.mp4"]
    assert status_of(rows)["demo/hall/2026-03-02T09-00-00.mp4"] == "quarantined"
    told = broken.stat()
    broken.write_bytes(film.read_bytes() + b"\0")
    os.utime(broken, ns=(told.st_atime_ns, told.st_mtime_ns))
    _, rows = ingest(workspace, retry=True)
    assert status_of(rows) == {GOOD: "ready", "demo/hall/2026-03-02T09-00-00.mp4": "ready"}
    assert take_inventory(workspace, retry=True).new == ()


def test_results_of_a_recording_that_is_gone_stay(workspace: Workspace, film: Path, decoded: list[str]) -> None:
    put(
        workspace,
        "demo/hall/2026-03-02T08-00-10.mp4",
        make(film.with_name("second.mp4"), FILM.but(seed=3)).read_bytes(),
    )
    first = run(workspace)
    published = tree(workspace.site.published_folder)
    decoded.clear()
    (workspace.site.footage_root / GOOD).unlink()
    second = run(workspace)
    assert second.report.status == "complete"
    assert second.report.ingest["gone"] == 1
    assert second.report.coverage == first.report.coverage
    assert (decoded, second.done()) == ([], set())
    assert tree(workspace.site.published_folder) == published
    third = run(workspace)
    assert (third.report.ingest["gone"], third.report.coverage, third.done()) == (0, first.report.coverage, set())


def test_a_day_can_be_published_again_after_one_of_its_recordings_has_gone(workspace: Workspace, film: Path) -> None:
    put(
        workspace, "demo/hall/2026-03-02T08-00-10.mp4", make(film.with_name("third.mp4"), FILM.but(seed=5)).read_bytes()
    )
    run(workspace)
    (workspace.site.footage_root / GOOD).unlink()
    changed = configure(workspace.site.root, {"summary": {"segment_s": 1.0}})
    night = run(changed)
    assert {(step, scope) for _, _, step, scope in night.done()} == {
        ("segment", ""),
        ("summarise", ""),
        ("publish", ""),
    }
    assert night.failed() == []


def test_looking_at_a_selection_does_not_lose_the_rest(workspace: Workspace, film: Path) -> None:
    put(workspace, "demo/yard/2026-03-02T08-00-00.mp4", film.read_bytes() + b"\0")
    night = run(workspace, Selection(camera="yard"))
    assert {line["camera"] for line in night.report.coverage} == {"yard"}
    assert {row["camera"] for row in recordings_now(workspace.ledger)} == {"hall", "yard"}
    rest = run(workspace)
    assert {camera for camera, *_ in rest.done()} == {"hall"}
