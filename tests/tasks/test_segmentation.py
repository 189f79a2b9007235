"""Where a day is cut: at equal lengths, at changes and at cuts; and what stands for a segment. Only cuts are decoded for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from footage import cuts
from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture
from tasks.segment import measure_day
from tests.footage.films import Film, make
from tests.tasks.nights import MONDAY, configure, new_site, run
from tests.tasks.segmented import day_of, days_of, frames_of, inside, rows_of_day
from workspace.opened import Workspace


def film_of(path: Path, scenes: Sequence[tuple[int, int]], rate: int = 10) -> None:
    """A film of scenes, each of its own texture and brightness, with a square that moves through all of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            "libx264", rate=rate, options={"x264-params": "keyint=20:scenecut=0:threads=1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        number = 0
        for level, count in scenes:
            still = np.random.default_rng(level).integers(0, 80, (12, 16, 1), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
            for _ in range(count):
                picture = np.broadcast_to(still + np.uint8(level), (48, 64, 3)).copy()
                picture[8:16, number % 48 : number % 48 + 8] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                number += 1
        container.mux(stream.encode(None))


@pytest.fixture
def cut_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the pictures that were decoded to place cuts."""
    numbers: list[int] = []

    def counting(path: Path, index: FrameIndex, wanted: NDArray[np.int64], **options: Any) -> Iterator[Picture]:
        numbers.extend(wanted.tolist())
        return decode(path, index, wanted, **options)

    monkeypatch.setattr(cuts, "decode", counting)
    return numbers


CUT_AT = (93, 176)
SCENES = [(20, 93), (140, 83), (60, 64)]


def test_no_segment_goes_across_a_cut_and_only_around_them_is_decoded(tmp_path: Path, cut_decoded: list[int]) -> None:
    workspace = new_site(tmp_path / "site", changes={"summary": {"cuts": ["hall"]}})
    for camera, brighter in (("hall", 0), ("yard", 1)):
        scenes = [(level + brighter, count) for level, count in SCENES]
        film_of(workspace.site.footage_root / f"demo/{camera}/2026-03-02T08-00-00.mp4", scenes)
    night = run(workspace)
    assert night.failed() == []
    _, hall = day_of(workspace, "hall", MONDAY)
    begins = {segment["from_us"]: segment["begins_at"] for segment in rows_of_day(workspace, hall)}
    assert {at for at, what in begins.items() if what == "cut"} == {at * 100_000 for at in CUT_AT}
    assert begins[0] == "recording"
    assert len(cut_decoded) < 60
    (receipt,) = (one for one in night.receipts if (one.step, one.place.camera) == ("segment", "hall"))
    assert receipt.decoded_s == 2.0
    assert night.report.decoded_s == pytest.approx(2 * 24.0), "what is embedded"
    _, yard = day_of(workspace, "yard", MONDAY)
    assert {segment["begins_at"] for segment in rows_of_day(workspace, yard)} == {"recording", "length"}


def test_cuts_of_a_recording_that_is_gone_are_put_at_sampled_pictures(tmp_path: Path, cut_decoded: list[int]) -> None:
    workspace = new_site(tmp_path / "site")
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    film_of(path, SCENES)
    run(workspace)
    path.unlink()
    changed = configure(workspace.site.root, {"summary": {"cuts": "all"}})
    night = run(changed)
    (receipt,) = (one for one in night.receipts if one.step == "segment")
    assert receipt.message == (
        "cuts are put at sampled pictures where the recording is gone: demo/hall/2026-03-02T08-00-00.mp4"
    )
    assert (receipt.decoded_s, cut_decoded) == (0.0, [])
    _, hall = day_of(changed, "hall", MONDAY)
    begins = [segment["from_us"] for segment in rows_of_day(changed, hall) if segment["begins_at"] == "cut"]
    assert begins == [10_000_000, 18_000_000]


def test_cuts_stay_where_they_were_after_a_recording_went(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site", changes={"summary": {"cuts": "all"}})
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    film_of(path, SCENES)
    run(workspace)
    _, before = day_of(workspace, "hall", MONDAY)
    path.unlink()
    run(workspace)
    day, steps = day_of(Workspace(workspace.site.root), "hall", MONDAY)
    assert not any(shard.recording.there for shard in day.shards)
    assert steps.segment == before.segment
    kept = workspace.store.read_table(steps.segment.outputs[0])
    assert [row["from_us"] for row in kept.to_pylist() if row["begins_at"] == "cut"] == [9_300_000, 17_600_000]
    assert measure_day(workspace, day, steps).equals(kept)


def test_what_was_recorded_between_sampled_pictures_is_in_segments(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site", changes={"sampling": {"policy": "every_nth", "n": 80}})
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    film_of(path, SCENES)
    assert run(workspace).failed() == []
    day, steps = day_of(workspace, "hall", MONDAY)
    frames, segments = frames_of(workspace, day), rows_of_day(workspace, steps)
    assert [frame["t_us"] for frame in frames] == [0, 8_000_000, 16_000_000]
    assert [(row["segment"], row["from_us"], row["to_us"]) for row in segments] == [
        (number, number * 2_000_000, (number + 1) * 2_000_000) for number in range(12)
    ]
    for segment in segments:
        mine = [frame for frame in frames if inside(segment, frame, "t_us")]
        assert segment["surprise"] is not None, "snippets are embedded between the pictures"
        assert segment["entropy_bits"] == (pytest.approx(mine[0]["entropy_bits"]) if mine else None)
        assert mine or (segment["keyframe_us"], segment["motion"], segment["dynamics"]) == (None, None, 0.0)
    shown = workspace.store.read_table(steps.summarise.outputs[0]).to_pylist()
    without = {row["segment"] for row in segments if row["keyframe_us"] is None}
    assert all(row["reason"] != "score" for row in shown if row["segment"] in without)


def test_segments_between_changes_are_neither_short_nor_long(tmp_path: Path) -> None:
    settings = {"segmentation": "change_points", "segment_s": 3.0, "longest_s": 7.0}
    workspace = new_site(tmp_path / "site", changes={"summary": settings})
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    film_of(path, [(20, 160), (140, 120), (60, 120)])
    night = run(workspace)
    assert night.failed() == []
    _, steps = day_of(workspace, "hall", MONDAY)
    segments = rows_of_day(workspace, steps)
    changes = [segment["from_us"] / 1e6 for segment in segments if segment["begins_at"] == "change"]
    assert changes == [16.0, 28.0]
    lengths = [segment["to_us"] - segment["from_us"] for segment in segments]
    assert all(3e6 <= length <= 7e6 for length in lengths)
    assert sum(lengths) == 40e6
    both = configure(workspace.site.root, {"summary": {**settings, "cuts": "all"}})
    run(both)
    told = [(row["from_us"] / 1e6, row["begins_at"]) for row in rows_of_day(both, day_of(both, "hall", MONDAY)[1])]
    assert [at for at, what in told if what == "cut"] == [16.0, 28.0]
    assert not any(what == "change" for _, what in told), "what a cut changes is no change of its own"


def test_a_camera_that_was_recorded_twice_at_one_moment(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    folder = workspace.site.footage_root / "demo/hall"
    film_of(folder / "2026-03-02T08-00-00.mp4", [(20, 100)])
    film_of(folder / "2026-03-02T08-00-01.mp4", [(150, 100)])
    run(workspace)
    day, steps = day_of(workspace, "hall", MONDAY)
    frames = frames_of(workspace, day)
    segments = rows_of_day(workspace, steps)
    for segment in segments:
        mine = [frame for frame in frames if inside(segment, frame, "t_us")]
        assert segment["entropy_bits"] == pytest.approx(np.mean([frame["entropy_bits"] for frame in mine]), rel=1e-5)
        assert any(frame["t_us"] == segment["keyframe_us"] for frame in mine)
    assert len({segment["recording_id"] for segment in segments}) == 2


def test_black_and_blurred_pictures_stand_for_nothing(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sharp = np.random.default_rng(0).integers(60, 200, (48, 64, 3), dtype=np.uint8)
        for picture in (sharp, np.zeros_like(sharp), np.full_like(sharp, 128)):
            for _ in range(40 if picture is sharp else 20):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    assert run(workspace).failed() == []
    _, steps = day_of(workspace, "hall", MONDAY)
    clear = {segment["from_us"] // 4_000_000: segment["keyframe_us"] for segment in rows_of_day(workspace, steps)}
    assert clear[0] is not None and clear[1] is not None
    assert (clear[2], clear[3]) == (None, None)
    summary = workspace.store.read_table(steps.summarise.outputs[0]).to_pylist()
    shown = {row["from_us"] // 4_000_000 for row in summary if row["reason"] == "score"}
    assert shown <= {0, 1}


def test_a_recording_of_one_picture_is_segmented(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    path.parent.mkdir(parents=True)
    make(path, Film(count=1))
    night = run(workspace)
    assert night.failed() == []
    assert night.report.status == "complete"
    ((_, steps),) = days_of(workspace)
    assert len(rows_of_day(workspace, steps)) == 1
