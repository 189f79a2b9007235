"""Readers of published data sets: official layouts, in every form their labels come in, with what is wrong with them."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from evaluation.datasets.avenue import read_avenue
from evaluation.datasets.base import from_one, image_files, spans_of
from evaluation.datasets.ucf_crime import read_ucf_crime
from evaluation.datasets.ucsd import read_ucsd_split
from footage.decode import decode
from footage.writing import Encoding, VideoWriter
from infra.errors import ConfigurationError


def film(path: Path, frames: int, rate_hz: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, Encoding(rate_hz=Fraction(rate_hz))) as video:
        for number in range(frames):
            video.write(np.full((48, 64, 3), (number * 3) % 200, np.uint8), round(number * 1_000_000 / rate_hz))


def avi(path: Path, frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), (number * 3) % 200, np.uint8))
    writer.release()


def images(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.full((24, 32), number % 250, np.uint8))


# UCSD


def ucsd(folder: Path, seed: int = 0) -> None:
    for part, count in (("Train", 2), ("Test", 2)):
        for clip in range(1, count + 1):
            images(folder / part / f"{part}{clip:03d}", range(1, 21 + seed + 10 * clip + (part == "Test")))
    told = {"Test001": [6, 10], "Test002": [[2, 3], [9, 12]]}
    (folder / "labels.json").write_text(json.dumps({"anomalous": told}), encoding="utf-8")


def test_ucsd_gives_its_training_clips_apart(tmp_path: Path) -> None:
    ucsd(tmp_path / "UCSDped2")
    data = read_ucsd_split(tmp_path / "UCSDped2")
    assert [video.video_id for video in data.train] == ["Train001", "Train002"]
    assert [video.relevant for video in data.train] == [(), ()]
    assert [video.relevant for video in data.videos] == [((5, 10),), ((1, 3), (8, 12))]
    assert data.train[-1].at_us(len(data.train[-1].index)) <= data.videos[0].at_us(0)


def test_both_ucsd_sets_are_two_cameras(tmp_path: Path) -> None:
    for number, name in enumerate(("UCSDped1", "UCSDped2")):
        ucsd(tmp_path / name, seed=number)
    data = read_ucsd_split(tmp_path)
    assert {video.camera for video in data.train} == {video.camera for video in data.videos} == {"UCSDped1", "UCSDped2"}
    assert data.videos[0].video_id == "UCSDped1/Test001" and len(data.videos) == len(data.train) == 4


def test_ucsd_without_training_clips_is_refused(tmp_path: Path) -> None:
    ucsd(tmp_path)
    shutil.rmtree(tmp_path / "Train")
    with pytest.raises(ConfigurationError, match="no training clips"):
        read_ucsd_split(tmp_path)
    with pytest.raises(ConfigurationError, match="no test clips"):
        read_ucsd_split(tmp_path / "Test")


def test_images_may_be_numbered_from_zero_but_not_with_a_gap(tmp_path: Path) -> None:
    images(tmp_path / "a", range(12))
    assert [path.stem for path in image_files(tmp_path / "a")][:2] == ["000", "001"]
    (tmp_path / "a" / "005.png").unlink()
    with pytest.raises(ConfigurationError, match="without a gap"):
        image_files(tmp_path / "a")


# Avenue


@pytest.fixture
def avenue(tmp_path: Path) -> Path:
    folder = tmp_path / "Avenue Dataset"
    for number in (1, 2):
        avi(folder / "training_videos" / f"{number:02d}.avi", 30 + number)
        avi(folder / "testing_videos" / f"{number:02d}.avi", 40 + number)
    return folder


def masks(path: Path, flags: list[bool]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(flags)), dtype=object)
    for place, flag in enumerate(flags):
        cells[0, place] = np.zeros((4, 5), np.uint8)
        cells[0, place][1, 2] = flag
    savemat(str(path), {"volLabel": cells})


def flags_of(frames: int, *spans: tuple[int, int]) -> list[bool]:
    return [any(a <= frame < b for a, b in spans) for frame in range(frames)]


def test_avenue_labels_in_all_their_forms_agree(avenue: Path) -> None:
    wanted = [((3, 9), (20, 30)), ((0, 5),)]
    with pytest.raises(ConfigurationError, match="no labels"):
        read_avenue(avenue)
    one = avenue / "frame_labels_avenue.npy"
    np.save(one, np.array([flags_of(41, *wanted[0]) + flags_of(42, *wanted[1])], dtype=np.int8))
    assert [video.relevant for video in read_avenue(avenue).videos] == wanted
    for number, spans in enumerate(wanted, 1):
        (avenue / "test_frame_mask").mkdir(exist_ok=True)
        np.save(avenue / "test_frame_mask" / f"{number:02d}.npy", np.array(flags_of(40 + number, *spans), np.uint8))
    one.unlink()
    assert [video.relevant for video in read_avenue(avenue).videos] == wanted
    shutil.rmtree(avenue / "test_frame_mask")
    for number, spans in enumerate(wanted, 1):
        masks(avenue.parent / f"ground_truth_demo/testing_label_mask/{number}_label.mat", flags_of(40 + number, *spans))
    data = read_avenue(avenue)
    assert [video.relevant for video in data.videos] == wanted
    assert [len(video.index) for video in data.train] == [31, 32] and data.videos[0].index.rate_hz == pytest.approx(25)
    told = {"01": [[4, 9], [21, 30]], "2": [1, 5]}
    (avenue / "labels.json").write_text(json.dumps({"anomalous": told}), encoding="utf-8")
    assert [video.relevant for video in read_avenue(avenue).videos] == wanted


def test_avenue_labels_of_other_videos_are_refused_and_of_a_few_frames_more_cut(avenue: Path) -> None:
    folder = avenue / "ground_truth_demo/testing_label_mask"
    masks(folder / "1_label.mat", flags_of(43, (38, 43)))
    masks(folder / "2_label.mat", flags_of(42))
    data = read_avenue(avenue)
    assert data.videos[0].relevant == ((38, 41),) and any("43 frames" in note for note in data.notes)
    masks(folder / "2_label.mat", flags_of(90))
    with pytest.raises(ConfigurationError, match="another video"):
        read_avenue(avenue)
    (folder / "2_label.mat").write_bytes(b"no matrix")
    with pytest.raises(ConfigurationError, match="MATLAB 5"):
        read_avenue(avenue)


def test_avenue_as_folders_of_images(tmp_path: Path) -> None:
    for part in ("training", "testing"):
        for number in ("01", "02"):
            images(tmp_path / part / "frames" / number, range(20))
    (tmp_path / "labels.json").write_text(json.dumps({"anomalous": {"01": [1, 2], "02": []}}), encoding="utf-8")
    data = read_avenue(tmp_path)
    assert [video.relevant for video in data.videos] == [((0, 2),), ()]
    assert any("25 Hz" in note for note in data.notes)


# UCF-Crime

LINES = """Fighting001_x264.mp4  Fighting  11  20  31  40
Arson002_x264.mp4  Arson  5  90  -1  -1

Robbery003_x264.mp4  Robbery  1  9  -1  -1
Normal_Videos_004_x264.mp4  Normal  -1  -1  -1  -1
"""


@pytest.fixture
def crimes(tmp_path: Path) -> Path:
    folder = tmp_path / "UCF_Crimes"
    film(folder / "Videos/Fighting/Fighting001_x264.mp4", 60)
    film(folder / "Videos/Arson/Arson002_x264.mp4", 60)
    film(folder / "Videos/Testing_Normal_Videos_Anomaly/Normal_Videos_004_x264.mp4", 45)
    (folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text(LINES, encoding="utf-8")
    return folder


def test_ucf_crime_labels_count_from_one_and_end_with_the_video(crimes: Path) -> None:
    data = read_ucf_crime(crimes)
    relevant = {video.video_id: video.relevant for video in data.videos}
    assert relevant["Fighting001_x264"] == ((10, 20), (30, 40))
    assert relevant["Arson002_x264"] == ((4, 60),) and any("reach beyond" in note for note in data.notes)
    assert relevant["Normal_Videos_004_x264"] == () and not data.train
    assert "3 of the 4" in data.notes[0]


def test_ucf_crime_files_of_another_rate_hold_the_official_frames(crimes: Path) -> None:
    path = crimes / "Videos/Fighting/Fighting001_x264.mp4"
    film(path, 60, 20)
    (video,) = [one for one in read_ucf_crime(crimes).videos if one.video_id == "Fighting001_x264"]
    assert video.relevant == ((10, 20), (30, 40)) and video.index.rate_hz == pytest.approx(30, rel=1e-3)
    shown = [picture.index for picture in decode(video.source, video.index, np.array([0, 31, 59]))]
    assert shown == [0, 31, 59]
    (resampled,) = [one for one in read_ucf_crime(crimes, by_time=True).videos if one.video_id == "Fighting001_x264"]
    assert resampled.relevant == ((7, 14), (20, 27)) and resampled.index.rate_hz == pytest.approx(20, rel=1e-3)


def test_ucf_crime_lists_and_folders_say_what_is_trained_on(crimes: Path) -> None:
    film(crimes / "Videos/Testing_Normal_Videos_Anomaly/Normal_Videos005_x264.mp4", 30)
    film(crimes / "Videos/Training-Normal-Videos-Part-1/Normal_Videos006_x264.mp4", 33)
    film(crimes / "Videos/Fighting/Fighting007_x264.mp4", 36)
    film(crimes / "Normal_Videos_for_Event_Recognition/Normal_Videos006_x264.mp4", 20)
    data = read_ucf_crime(crimes)
    assert [video.video_id for video in data.train] == ["Normal_Videos006_x264"]
    # Neither annotated nor of a folder for training: its folder says that it is a normal test video.
    assert "Normal_Videos005_x264" in {video.video_id for video in data.videos}
    listed = "Training_Normal_Videos_Anomaly/Normal_Videos005_x264.mp4\nFighting/Fighting007_x264.mp4\n"
    (crimes / "Anomaly_Train.txt").write_text(listed, encoding="utf-8")
    (crimes / "Anomaly_Test.txt").write_text("Fighting/Fighting001_x264.mp4\n", encoding="utf-8")
    data = read_ucf_crime(crimes)
    assert [video.video_id for video in data.train] == ["Normal_Videos005_x264"]
    assert [video.video_id for video in data.videos] == ["Fighting001_x264"]
    (crimes / "Anomaly_Train.txt").write_text("x/Normal_Videos_004_x264.mp4\n", encoding="utf-8")
    (crimes / "Anomaly_Test.txt").unlink()
    with pytest.raises(ConfigurationError, match="to train and to test"):
        read_ucf_crime(crimes)


def test_ucf_crime_says_what_is_wrong(crimes: Path) -> None:
    annotation = next(crimes.glob("Temporal*.txt"))
    annotation.write_text("Fighting001_x264.mp4 Fighting 20 11 -1 -1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="line 1"):
        read_ucf_crime(crimes)
    annotation.unlink()
    with pytest.raises(ConfigurationError, match="annotation file"):
        read_ucf_crime(crimes)
    annotation.write_text("Absent001_x264.mp4 Arson 1 2 -1 -1\n", encoding="utf-8")
    shutil.rmtree(crimes / "Videos/Testing_Normal_Videos_Anomaly")
    with pytest.raises(ConfigurationError, match="none of the 1"):
        read_ucf_crime(crimes)


def test_spans() -> None:
    assert spans_of(np.array([True, True, False, True])) == ((0, 2), (3, 4))
    assert spans_of(np.zeros(3, np.bool_)) == ()
    assert from_one([61, 180]) == ((60, 180),) and from_one([[1, 1], [5, 9]]) == ((0, 1), (4, 9)) and from_one([]) == ()


def test_real_data_is_read(real_data: Path) -> None:
    ped2 = read_ucsd_split(real_data / "UCSDped2")
    assert sum(len(video.index) for video in ped2.train) == 2550 and len(ped2.train) == 16
    crimes = read_ucf_crime(real_data / "ucf_crime")
    relevant = {video.video_id: video.relevant for video in crimes.videos}
    # The clock in the picture advances 10 s in 300 frames, though the file tells 20 Hz.
    assert relevant["Shoplifting016_x264"] == ((629, 720),)
    assert len(crimes.videos) == 6 and sum(not spans for spans in relevant.values()) == 2
