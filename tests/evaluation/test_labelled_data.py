"""Readers: every layout comes out in the same form, with the frames that its labels mean."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.datasets.base import LabelledVideo, even_index, image_files
from evaluation.datasets.read import LAYOUTS, read_data
from footage.synthetic.truth import read_truth
from footage.writing import Encoding, VideoWriter
from infra.errors import ConfigurationError, UnknownNameError

ROI = {"name": "door", "box": {"x": 0.25, "y": 0.0, "width": 0.5, "height": 1.0}}


def film(path: Path, frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, Encoding(rate_hz=Fraction(10))) as video:
        for number in range(frames):
            video.write(np.full((48, 64, 3), 40 + number, np.uint8), number * 100_000)


def write_labels(folder: Path, told: object) -> None:
    (folder / "labels.json").write_text(json.dumps(told), encoding="utf-8")


def test_one_recording_beside_its_labels(tmp_path: Path) -> None:
    camera = tmp_path / "spring" / "hall"
    film(camera / "2026-03-02T08-00-00.mp4", 20)
    told = {"recording": "2026-03-02T08-00-00.mp4", "frames_total": 20, "relevant_frames": [[3, 7], [9, 12]]}
    write_labels(camera, {"roi": ROI, "positive": "the door is open", **told})
    data = read_data(camera)
    (video,) = data.videos
    assert (video.campaign, video.camera, video.day, video.group) == ("spring", "hall", "2026-03-02", None)
    assert video.relevant == ((3, 7), (9, 12)) and len(video.index) == 20
    assert video.at_us(3) - video.at_us(0) == 300_000 and video.at_us(20) - video.at_us(0) == 2_000_000
    assert data.use_case == "the door is open"
    assert data.region("hall", None).bounds == ((0.25, 0.0), (0.75, 1.0))
    assert data.region("hall", "0,0,0.5,0.5").bounds == ((0.0, 0.0), (0.5, 0.5))
    assert data.region("hall", "frame").bounds == ((0.0, 0.0), (1.0, 1.0))
    with pytest.raises(UnknownNameError, match="door"):
        data.region("hall", "window")
    with pytest.raises(ConfigurationError, match="x,y,width,height"):
        data.region("hall", "0,0,2,1")


def test_a_campaign_of_two_cameras_and_several_days(tmp_path: Path) -> None:
    names = ("2026-03-02T08-00-00.mp4", "2026-03-03T08-00-00.mp4")
    for camera, spans in (("hall", [[0, 4]]), ("gate", [])):
        for name in names:
            film(tmp_path / camera / name, 8)
        write_labels(tmp_path / camera, {"recordings": dict.fromkeys(names, spans)})
    film(tmp_path / "unlabelled" / names[0], 8)
    data = read_data(tmp_path)
    assert [video.video_id for video in data.videos] == [f"{c}/{n}" for c in ("gate", "hall") for n in names]
    assert [video.group for video in data.videos] == ["2026-03-02", "2026-03-03"] * 2
    assert [video.unit for video in data.videos[2:]] == ["hall 2026-03-02", "hall 2026-03-03"]
    assert [video.relevant for video in data.videos] == [(), (), ((0, 4),), ((0, 4),)]
    assert data.region("gate", None).name == "frame"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"relevant_frames": [[3, 30]]}, "another file"),
        ({"relevant_frames": [[3, 7]], "frames_total": 21}, "another file"),
        ({"relevant_frames": [[7, 3]]}, "half open"),
        ({"relevant_frames": [[3, 7], [5, 9]]}, "disjoint"),
        ({"relevant_frames": 3}, "documented form"),
        ({"relevant_frames": [], "roi": {"name": "door"}}, "documented form"),
        ({"recordings": {"absent.mp4": []}}, "not there"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, told: dict[str, object], reason: str) -> None:
    film(tmp_path / "hall" / "2026-03-02T08-00-00.mp4", 20)
    write_labels(tmp_path / "hall", {"recording": "2026-03-02T08-00-00.mp4", **told})
    with pytest.raises(ConfigurationError, match=reason):
        read_data(tmp_path)


def test_ucsd_clips_lie_end_to_end(clips: Path) -> None:
    data = read_data(clips)
    assert [video.video_id for video in data.videos] == [f"Test{number:03d}" for number in range(1, 7)]
    assert [video.group for video in data.videos] == [video.video_id for video in data.videos]
    assert data.videos[0].relevant == ((41, 81),)
    assert [video.at_us(0) for video in data.videos] == [number * 12_000_000 for number in range(6)]
    assert data.notes


def test_ucsd_labels_in_all_three_forms_agree(clips: Path, tmp_path: Path) -> None:
    wanted = [video.relevant for video in read_data(clips).videos]
    official = tmp_path / "official"
    shutil.copytree(clips, official)
    (official / "labels.json").unlink()
    with pytest.raises(ConfigurationError, match="neither labels nor masks"):
        read_data(official)
    for video in read_data(clips).videos:
        masks = official / "Test" / f"{video.video_id}_gt"
        masks.mkdir()
        for frame in range(120):
            mask = np.full((8, 8), 255 * any(a <= frame < b for a, b in video.relevant), np.uint8)
            cv2.imwrite(str(masks / f"{frame + 1:03d}.bmp"), mask)
    assert [video.relevant for video in read_data(official).videos] == wanted
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{a + 1}:{b - 5},{b - 4}:{b}];" for ((a, b),) in wanted]
    (official / "Test" / "UCSDped2.m").write_text("TestVideoFile = {};\n" + "\n".join(lines), encoding="utf-8")
    told = [video.relevant for video in read_data(official).videos]
    assert told == [((a, b - 5), (b - 5, b)) for ((a, b),) in wanted]


def test_images_are_numbered_without_a_gap(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "10.png", "._1.png"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigurationError, match="1 to 3"):
        image_files(tmp_path)
    (tmp_path / "10.png").rename(tmp_path / "3.png")
    assert [path.name for path in image_files(tmp_path)] == ["1.png", "2.png", "3.png"]


def test_a_rendered_campaign_is_read_by_its_truth(small_footage: Path) -> None:
    data, truth = read_data(small_footage), read_truth(small_footage)
    by_name = {video.video_id: video for video in data.videos}
    assert set(by_name) == {recording.file for camera in truth.cameras for recording in camera.recordings}
    casks = [event for camera in truth.cameras for event in camera.events if event.kind == "cask"]
    filmed = [event for event in casks if event.file in by_name]
    assert filmed
    for event in filmed:
        video = by_name[event.file]
        spans = [(int(video.index.t_us[a]), video.at_us(b) - video.starts_at_us) for a, b in video.relevant]
        assert any(abs(a - event.from_us) <= 125_000 and abs(b - event.to_us) <= 250_000 for a, b in spans)
    assert {video.group for video in data.videos} == {"2026-03-02", "2026-03-03"}
    assert all(data.region(camera, None).name == "hatch" for camera in data.regions)


def test_an_unknown_layout_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_data(tmp_path)
    assert all(layout in str(refused.value) for layout in LAYOUTS)
    with pytest.raises(ConfigurationError, match="no folder"):
        read_data(tmp_path / "absent")


def test_a_video_knows_its_bounds() -> None:
    index = even_index(10, Fraction(10))
    with pytest.raises(ConfigurationError, match="another file"):
        LabelledVideo("a", "c", "x", "", "a", Path("a"), "a", index, ((0, 11),), None, 0)


def test_real_labels_are_read(real_data: Path) -> None:
    lobby = read_data(real_data / "footage/lobby")
    assert len(lobby.videos) == 1 and len(lobby.videos[0].relevant) == 6
    ped2 = read_data(real_data / "UCSDped2")
    assert sum(len(video.index) for video in ped2.videos) == 2010
    assert sum(b - a for video in ped2.videos for a, b in video.relevant) == 1624
