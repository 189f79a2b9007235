"""The digest of a day: the best of all cameras' summaries in order of time, traceable, the same every time."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from afterwatch.workspace_files import make_workspace
from footage.probe import content_hash
from infra.settings import SETTINGS_FILE
from tasks import camera_summaries, digest_video
from tasks.digest import digest_day
from tasks.receipts import Receipt
from tests.tasks.nights import EAST, NORTH, TUESDAY, configure, tree
from tests.tasks.published_days import CAMPAIGN, DAY, MIDNIGHT, Happening, Piece, publish_by_hand
from workspace.opened import Workspace

HALL, YARD = "hall", "yard"
CAMERAS = (HALL, YARD, "gate")


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    root = make_workspace(tmp_path / "site")
    (root / SETTINGS_FILE).write_text("[summary]\ndigest_s = 16.0\n", encoding="utf-8")
    return Workspace(root)


def make(workspace: Workspace, cameras: tuple[str, ...] = CAMERAS) -> Receipt:
    return digest_day(workspace, CAMPAIGN, DAY, 1, cameras)


def alter(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let the night have told otherwise in a camera's `summary.json`."""
    told = told_of(folder)
    change(told)
    (folder / "summary.json").write_text(json.dumps(told), encoding="utf-8")


def never(*_: object, **__: object) -> None:
    pytest.fail("nothing is to be decoded")


def lost(*_: object, **__: object) -> None:
    raise OSError(5, "Input/output error")


def folder_of(workspace: Workspace) -> Path:
    return workspace.site.digests_folder / CAMPAIGN / DAY.isoformat()


def told_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # our own file


def tones(video: Path) -> list[tuple[float, int]]:
    """Seconds and grey level in the middle of every picture."""
    with av.open(str(video)) as container:
        pictures = [(frame.time or 0.0, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [(time, int(picture[picture.shape[0] // 2, picture.shape[1] // 2].mean())) for time, picture in pictures]


def seconds_of_day(told: dict[str, Any]) -> list[tuple[str, float]]:
    return [
        (entry["camera"], (datetime.fromisoformat(entry["taken_at"]) - MIDNIGHT).total_seconds())
        for entry in told["entries"]
    ]


def test_the_best_of_all_cameras_follow_one_another_in_order_of_time(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40, 0.9), Piece(300, 80, 0.8), Piece(500, 120, 0.1)])
    publish_by_hand(site.site, YARD, [Piece(200, 160, 0.7), Piece(300, 200, 0.6), Piece(600, 240, 0.2)])
    receipt = make(site)
    assert (receipt.status, receipt.rows, receipt.step, receipt.message) == ("done", 4, "digest", "")
    assert (receipt.place.campaign, receipt.place.camera, receipt.place.day) == (CAMPAIGN, "", DAY)
    assert receipt.decoded_s == 0, "the recordings are not touched"
    folder = folder_of(site)
    told = told_of(folder)
    assert seconds_of_day(told) == [(HALL, 100), (YARD, 200), (HALL, 300), (YARD, 300)]
    assert [entry["at_s"] for entry in told["entries"]] == [0, 4, 8, 12]
    assert (told["duration_s"], told["partial"], told["left_out"], told["omitted"]) == (16, False, [], [])
    shown = tones(folder / told["video"])
    assert [time for time, _ in shown] == pytest.approx([number / 5 for number in range(80)], abs=1e-5)
    for time, tone in shown:
        assert tone == pytest.approx([40, 160, 80, 200][int(time // 4 + 1e-6)], abs=4)
    assert set(tree(folder)) == {"summary.json", "summary.mp4", "contact.jpg"}
    assert cv2.imread(str(folder / "contact.jpg")) is not None


def test_every_entry_names_its_camera_and_what_it_was_cut_from(site: Workspace) -> None:
    hall = publish_by_hand(site.site, HALL, [Piece(100, 40), Piece(300, 80)])
    make(site)
    told = told_of(folder_of(site))
    own = told_of(hall)["entries"]
    for entry, original in zip(told["entries"], own, strict=True):
        same = set(original) - {"at_s", "reason", "event_id"}
        assert {name: entry[name] for name in same} == {name: original[name] for name in same}
        assert (entry["camera"], entry["summary"]) == (HALL, content_hash(hall / "summary.json"))
        assert entry["summary_at_s"] == original["at_s"]
    assert told["cameras"] == {
        HALL: {"summary": content_hash(hall / "summary.json"), "key": f"key of {HALL}", "entries": 2}
    }


def test_chapters_tell_time_camera_and_reason(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40, event="e")], [Happening("e", 101, 103)])
    publish_by_hand(site.site, YARD, [Piece(3700, 80)])
    make(site)
    with av.open(str(folder_of(site) / "summary.mp4")) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == [
            "00:01:40 hall · novelty 1",
            "01:01:40 yard · score",
        ]
        assert container.metadata["title"] == "demo · 2026-03-02"


def test_alarms_come_before_other_events_and_events_before_scores(site: Workspace) -> None:
    hall = [Piece(100, 40, 0.99), Piece(200, 50, 0.2, event="rank 1"), Piece(300, 60, 0.3, event="rank 2")]
    events = [Happening("rank 1", 201, 203), Happening("rank 2", 301, 303, rank=2)]
    publish_by_hand(site.site, HALL, hall, events)
    yard = [Piece(400, 70, 0.1, event="alarm"), Piece(500, 80, 0.98)]
    publish_by_hand(site.site, YARD, yard, [Happening("alarm", 401, 403, rank=9, alarm=True, head="theft")])
    shown = {}
    for seconds in (4, 8, 12, 16):
        (site.site.root / SETTINGS_FILE).write_text(f"[summary]\ndigest_s = {seconds}\n", encoding="utf-8")
        site = Workspace(site.site.root)
        assert make(site).status == "done"
        told = told_of(folder_of(site))
        shown[seconds] = {(entry["camera"], entry["reason"]) for entry in told["entries"]}
        omitted = [(event["camera"], event["event_id"]) for event in told["omitted"]]
        assert omitted == [(HALL, "rank 1"), (HALL, "rank 2")][max(0, seconds // 4 - 1) :]
    assert shown[4] == {(YARD, "theft 9")}
    assert shown[8] == shown[4] | {(HALL, "novelty 1")}
    assert shown[12] == shown[8] | {(HALL, "novelty 2")}
    assert shown[16] == shown[12] | {(HALL, "score")}


def test_a_segment_without_a_clear_picture_is_shown_for_an_event_only(site: Workspace) -> None:
    pieces = [Piece(100, 40, 0.9, clear=False), Piece(200, 50, 0.8, event="e", clear=False), Piece(300, 60, 0.1)]
    publish_by_hand(site.site, HALL, pieces, [Happening("e", 201, 203)])
    make(site)
    told = told_of(folder_of(site))
    assert seconds_of_day(told) == [(HALL, 200), (HALL, 300)]
    assert [entry["keyframe"] for entry in told["entries"]] == ["", "keyframes/2.jpg"]


def test_without_a_single_still_there_is_no_contact_sheet(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(200, 50, event="e", clear=False)], [Happening("e", 201, 203)])
    make(site)
    assert told_of(folder_of(site))["contact"] == ""
    assert set(tree(folder_of(site))) == {"summary.json", "summary.mp4"}


def test_cameras_of_other_shapes_are_put_into_one(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 200)], size=(48, 64))
    publish_by_hand(site.site, YARD, [Piece(200, 200)], size=(80, 40))
    make(site)
    with av.open(str(folder_of(site) / "summary.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert {picture.shape for picture in pictures} == {(80, 40, 3)}, "the larger"
    assert pictures[0][:20].mean() < 10, "black above and below"
    assert pictures[0][40, 20].mean() > 190
    assert pictures[-1].mean() > 190


def test_made_again_it_is_the_same_and_what_stands_is_left(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40, 0.9), Piece(300, 80, 0.8)])
    publish_by_hand(site.site, YARD, [Piece(200, 160, 0.7)])
    assert make(site).status == "done"
    before = tree(site.site.digests_folder)
    receipt = make(site)
    assert (receipt.status, receipt.rows) == ("skipped", 0)
    shutil.rmtree(site.site.digests_folder)
    assert make(site).status == "done"
    assert tree(site.site.digests_folder) == before


@pytest.mark.parametrize("name", ["summary.mp4", "contact.jpg", "summary.json"])
def test_a_damaged_digest_is_made_again(site: Workspace, name: str) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    make(site)
    before = tree(site.site.digests_folder)
    file = folder_of(site) / name
    file.write_bytes(file.read_bytes()[:-20])
    assert make(site).status == "done"
    assert tree(site.site.digests_folder) == before


def test_another_summary_of_a_camera_makes_another_digest(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    key = make(site).key
    publish_by_hand(site.site, YARD, [Piece(200, 80)])
    receipt = make(site)
    assert (receipt.status, receipt.rows) == ("done", 2)
    assert receipt.key != key


def test_a_camera_that_cannot_be_shown_is_left_out_told_and_tried_again(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    yard = publish_by_hand(site.site, YARD, [Piece(200, 80)])
    gate = publish_by_hand(site.site, "gate", [Piece(300, 120)])
    whole = (yard / "summary.mp4").read_bytes()
    (yard / "summary.mp4").write_bytes(whole[:-9] + b"otherwise")
    (gate / "summary.json").write_text('{"entries": [', encoding="utf-8")
    for rows in (1, 0):
        receipt = make(site)
        assert (receipt.status, receipt.rows) == ("partial", rows), "the second time nothing is written"
        assert "camera yard is left out: its summary.mp4 is not the file that was published" in receipt.message
        assert "camera gate is left out: its summary.json cannot be read (JSONDecodeError" in receipt.message
    told = told_of(folder_of(site))
    assert told["partial"]
    assert [item["camera"] for item in told["left_out"]] == ["gate", "yard"]
    (yard / "summary.mp4").write_bytes(whole)
    shutil.rmtree(gate)
    receipt = make(site)
    assert (receipt.status, receipt.rows, receipt.message) == ("done", 2, "")


def test_a_partial_summary_makes_a_partial_digest(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)], partial=True)
    assert make(site).status == "done"
    assert told_of(folder_of(site))["partial"]


def test_it_goes_where_no_camera_has_a_summary_any_more(site: Workspace) -> None:
    assert make(site).status == "skipped"
    assert not site.site.digests_folder.exists()
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    make(site)
    (folder_of(site) / ".summary.mp4.0123456789ab.partial").write_bytes(b"killed")
    publish_by_hand(site.site, HALL, [])
    receipt = make(site)
    assert (receipt.status, receipt.rows) == ("done", 0)
    assert not folder_of(site).exists()
    assert make(site).status == "skipped"


def test_what_is_not_named_any_more_is_removed(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    make(site)
    (folder_of(site) / ".summary.mp4.0123456789ab.partial").write_bytes(b"killed")
    publish_by_hand(site.site, HALL, [Piece(100, 40, event="e", clear=False)], [Happening("e", 101, 103)])
    assert make(site).status == "done"
    assert set(tree(folder_of(site))) == {"summary.json", "summary.mp4"}


def test_a_failure_is_told_and_keeps_what_there_was(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    make(site)
    before = tree(site.site.digests_folder)
    publish_by_hand(site.site, YARD, [Piece(200, 80)])

    with monkeypatch.context() as patched:
        patched.setattr(digest_video, "decode", lost)
        receipt = make(site)
    assert receipt.status == "failed"
    assert "Input/output error" in receipt.message
    assert tree(site.site.digests_folder) == before
    assert make(site).status == "done"


def test_a_summary_that_cannot_be_read_at_all_is_a_failure_that_is_told(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    monkeypatch.setattr(camera_summaries, "content_hash", lost)
    receipt = make(site)
    assert (receipt.status, receipt.key, receipt.rows) == ("failed", "", 0)
    assert "Input/output error" in receipt.message


def test_a_camera_left_out_is_no_reason_to_write_the_same_again(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    yard = publish_by_hand(site.site, YARD, [Piece(200, 80)])
    whole = (yard / "summary.mp4").read_bytes()
    (yard / "summary.mp4").unlink()
    make(site)
    files = [*folder_of(site).iterdir()]
    before = {file: file.stat().st_ino for file in files}
    with monkeypatch.context() as patched:
        patched.setattr(digest_video, "decode", never)
        receipt = make(site)
    assert (receipt.status, receipt.rows) == ("partial", 0)
    assert "camera yard is left out: its summary.mp4 is not there any more" in receipt.message
    assert {file: file.stat().st_ino for file in folder_of(site).iterdir()} == before, "no file is written anew"
    files[0].write_bytes(b"damaged")
    assert (make(site).status, make(site).rows) == ("partial", 0)
    assert files[0].read_bytes() != b"damaged"
    (yard / "summary.mp4").write_bytes(whole)
    assert make(site).status == "done"
    assert seconds_of_day(told_of(folder_of(site))) == [(HALL, 100), (YARD, 200)]


def test_what_is_told_otherwise_of_the_same_pictures_encodes_nothing(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = publish_by_hand(site.site, HALL, [Piece(100, 40), Piece(300, 80)])
    make(site)
    before = tree(folder_of(site))
    alter(hall, lambda told: told["entries"][0].update(truth="confirmed"))
    with monkeypatch.context() as patched:
        patched.setattr(digest_video, "decode", never)
        receipt = make(site)
    assert (receipt.status, receipt.rows) == ("done", 2)
    told, after = told_of(folder_of(site)), tree(folder_of(site))
    assert told["entries"][0]["truth"] == "confirmed"
    assert told["cameras"][HALL]["summary"] == content_hash(hall / "summary.json") == told["entries"][0]["summary"]
    assert {name for name in after if after[name] != before[name]} == {"summary.json"}
    assert make(site).status == "skipped"


def test_another_still_makes_another_contact_sheet_and_no_other_video(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = publish_by_hand(site.site, HALL, [Piece(100, 40), Piece(300, 80)])
    make(site)
    before = tree(folder_of(site))
    shutil.copy(hall / "keyframes" / "1.jpg", hall / "keyframes" / "0.jpg")
    alter(hall, lambda told: told["entries"][0].update(keyframe_us=1))
    with monkeypatch.context() as patched:
        patched.setattr(digest_video, "decode", never)
        assert make(site).status == "done"
    after = tree(folder_of(site))
    assert {name for name in after if after[name] != before[name]} == {"summary.json", "contact.jpg"}


@pytest.mark.parametrize("changed", ["reason", "pictures", "rate"])
def test_a_video_that_would_look_otherwise_is_encoded_again(site: Workspace, changed: str) -> None:
    hall = publish_by_hand(site.site, HALL, [Piece(100, 40, event="e")], [Happening("e", 101, 103)])
    make(site)
    before = content_hash(folder_of(site) / "summary.mp4")
    if changed == "reason":
        alter(hall, lambda told: told["events"][0].update(rank=2))
    elif changed == "pictures":
        publish_by_hand(site.site, HALL, [Piece(100, 90, event="e")], [Happening("e", 101, 103)])
    else:
        settings = "[summary]\ndigest_s = 16.0\nproxy_rate_hz = 2.0\n"
        (site.site.root / SETTINGS_FILE).write_text(settings, encoding="utf-8")
        site = Workspace(site.site.root)
    assert make(site).status == "done"
    assert content_hash(folder_of(site) / "summary.mp4") != before


def test_an_event_is_shown_by_its_own_recording_where_another_overlaps_it(site: Workspace) -> None:
    pieces = [Piece(100, 40, 0.9), Piece(100, 160, 0.1)]
    hall = publish_by_hand(site.site, HALL, pieces, [Happening("e", 101, 103)])

    def two_recordings(told: dict[str, Any]) -> None:
        for entry, recording in zip(told["entries"], ("front", "back"), strict=True):
            entry["recording_id"] = recording
        told["events"][0]["recording_id"] = "back"

    alter(hall, two_recordings)
    (site.site.root / SETTINGS_FILE).write_text("[summary]\ndigest_s = 4.0\n", encoding="utf-8")
    site = Workspace(site.site.root)
    make(site)
    (entry,) = told_of(folder_of(site))["entries"]
    assert (entry["recording_id"], entry["reason"]) == ("back", "novelty 1")


def test_only_cameras_whose_day_counts_are_shown(site: Workspace) -> None:
    publish_by_hand(site.site, HALL, [Piece(100, 40)])
    publish_by_hand(site.site, YARD, [Piece(200, 80)])
    make(site)
    assert make(site, (YARD,)).status == "done"
    told = told_of(folder_of(site))
    assert (seconds_of_day(told), set(told["cameras"]), told["left_out"]) == ([(YARD, 200)], {YARD}, [])
    assert make(site, ()).status == "done"
    assert not folder_of(site).exists()


def test_a_camera_that_is_skipped_by_now_is_in_no_digest(copied: Workspace) -> None:
    skipping = configure(copied.site.root, {"cameras": {EAST: {"skip": True}}})
    receipt = digest_day(skipping, "demo", TUESDAY, 1)
    assert receipt.status == "done", receipt.message
    told = told_of(copied.site.digests_folder / "demo" / TUESDAY.isoformat())
    assert {entry["camera"] for entry in told["entries"]} == set(told["cameras"]) == {NORTH}


def test_the_digest_of_a_night_is_cut_from_its_summaries_alone(copied: Workspace) -> None:
    (copied.site.footage_root / "demo").rename(copied.site.root / "away")
    shutil.rmtree(copied.site.digests_folder, ignore_errors=True)
    receipt = digest_day(copied, "demo", TUESDAY, 1)
    assert receipt.status == "done", receipt.message
    folder = copied.site.digests_folder / "demo" / TUESDAY.isoformat()
    told = told_of(folder)
    assert {entry["camera"] for entry in told["entries"]} == {EAST, NORTH}
    for entry in told["entries"]:
        camera = copied.site.published_folder / "demo" / entry["camera"] / TUESDAY.isoformat()
        own = told_of(camera)
        assert any(
            entry["recording_id"] == each["recording_id"] and entry["from_us"] == each["from_us"]
            for each in own["entries"]
        )
    events = {event["event_id"] for camera in (EAST, NORTH) for event in _alarms(copied, camera)}
    assert events <= {entry["event_id"] for entry in told["entries"]} | {event["event_id"] for event in told["omitted"]}


def _alarms(workspace: Workspace, camera: str) -> list[dict[str, Any]]:
    told = told_of(workspace.site.published_folder / "demo" / camera / TUESDAY.isoformat())
    shown = {entry["event_id"] for entry in told["entries"]}
    return [event for event in told["events"] if event["alarm"] and event["event_id"] in shown]
