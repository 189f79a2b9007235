"""Readers of videos with people's summaries: TVSum, SumMe, the preprocessed form; and what is wrong with a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from evaluation.datasets.summary_base import AnnotatedVideo, even_shots, shots_between
from evaluation.datasets.summary_read import is_annotated, read_annotated
from evaluation.datasets.tvsum import FILE, changes_of
from footage.writing import VideoWriter
from infra.errors import ConfigurationError

RATE_HZ = 25
FRAMES = {"first-video": 300, "other_video": 420}


def scores_of(name: str, people: int = 4) -> np.ndarray:
    """Whole numbers from 1 to 5 that change where a shot of 2 s begins."""
    shots = even_shots(FRAMES[name], RATE_HZ)
    random = np.random.default_rng(len(name))
    return np.repeat(random.integers(1, 6, (people, len(shots) - 1)), np.diff(shots), axis=1).astype(np.float64)


def write_tvsum(folder: Path, change: Callable[[str, np.ndarray], np.ndarray] = lambda _name, told: told) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / FILE, "w") as held:
        columns: dict[str, list[Any]] = {"video": [], "length": [], "nframes": [], "user_anno": []}
        for name, frames in FRAMES.items():
            columns["video"].append(np.frombuffer(name.encode("utf-16-le"), np.uint16)[:, None])
            columns["length"].append(np.array([[frames / RATE_HZ]]))
            columns["nframes"].append(np.array([[float(frames)]]))
            columns["user_anno"].append(change(name, scores_of(name)))
        for field, values in columns.items():
            references = held.create_dataset(f"tvsum50/{field}", (len(values), 1), h5py.ref_dtype)
            for number, value in enumerate(values):
                references[number, 0] = held.create_dataset(f"#refs#/{field}{number}", data=value).ref
    return folder


def write_features(file: Path, *, change_points: list[list[int]] | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as held:
        for number, frames in enumerate(FRAMES.values(), 1):
            group = held.create_group(f"video_{number}")
            picks = np.arange(0, frames, 15)
            group["picks"], group["n_frames"] = picks, frames
            group["features"] = np.random.default_rng(number).random((len(picks), 8))
            group["change_points"] = change_points or [[0, 99], [100, 199], [200, frames - 1]]
            group["user_summary"] = np.eye(3, frames) + np.tile(np.arange(frames) < 30, (3, 1))
    return file


def write_summe(folder: Path) -> Path:
    (folder / "GT").mkdir(parents=True)
    scores = np.zeros((200, 5))
    scores[20:40, :4] = 3
    scores[100:110, 0] = 1
    told = {"user_score": scores, "video_duration": 8.0, "FPS": 25.0, "nFrames": 200}
    savemat(folder / "GT" / "Jumps.mat", told)
    savemat(folder / "GT" / "Cooking.mat", told)
    return folder


def test_tvsum_is_read_as_it_was_written(tmp_path: Path) -> None:
    data = read_annotated(write_tvsum(tmp_path / "tvsum"))
    assert (data.name, data.layout, data.reduction) == ("tvsum", "TVSum", "mean")
    assert [video.video_id for video in data.videos] == list(FRAMES)
    for video in data.videos:
        assert video.importance is not None
        np.testing.assert_array_equal(video.importance, scores_of(video.video_id))
        np.testing.assert_array_equal(video.shots, even_shots(video.frames, RATE_HZ))
        assert video.seconds == FRAMES[video.video_id] / RATE_HZ
        assert (video.source, video.features) == (None, None)
    assert "0 lie inside" in data.notes[0]
    assert read_annotated(tmp_path / "tvsum" / FILE).videos[1].frames == 420


def test_the_shots_of_the_real_tvsum_are_those_people_were_shown(real_data: Path) -> None:
    if not (real_data / "tvsum").is_dir():
        pytest.skip("no TVSum (../shared/data/tvsum) on this machine")
    data = read_annotated(real_data / "tvsum")
    assert (len(data.videos), {video.importance.shape[0] for video in data.videos if video.importance is not None}) == (
        50,
        {20},
    )
    told = [changes_of(video.importance) for video in data.videos if video.importance is not None]
    off = [int((~np.isin(changes, video.shots)).sum()) for changes, video in zip(told, data.videos, strict=True)]
    assert sum(count > 0 for count in off) <= 2
    assert sum(off) <= 0.02 * sum(map(len, told))


def test_a_frame_belongs_to_the_shot_in_which_it_begins() -> None:
    assert even_shots(120, 25.0).tolist() == [0, 51, 101, 120]
    assert even_shots(101, 25.0).tolist() == [0, 51, 101]
    assert even_shots(130, 30000 / 1001).tolist() == [0, 60, 120, 130]
    with pytest.raises(ConfigurationError, match="holds no frame"):
        even_shots(100, 25.0, 0.01)


def test_videos_are_found_by_name(tmp_path: Path) -> None:
    folder = write_tvsum(tmp_path / "tvsum")
    films = tmp_path / "films" / "video"
    films.mkdir(parents=True)
    with VideoWriter(films / "other_video.mp4") as video:
        video.write(np.zeros((48, 64, 3), np.uint8), 0)
    data = read_annotated(folder, tmp_path / "films")
    assert [video.source for video in data.videos] == [None, films / "other_video.mp4"]
    assert "1 of 2 are there" in data.notes[-1]
    with pytest.raises(ConfigurationError, match="holds none of the 2 videos"):
        read_annotated(folder, folder)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        read_annotated(folder, tmp_path / "nowhere")


def test_summe_takes_what_people_chose(tmp_path: Path) -> None:
    data = read_annotated(write_summe(tmp_path / "SumMe"))
    assert (data.layout, data.reduction) == ("SumMe", "max")
    assert [video.video_id for video in data.videos] == ["Cooking", "Jumps"]
    video = data.videos[0]
    assert video.importance is None and video.summaries is not None
    # The fifth chose nothing at all.
    assert video.summaries.shape == (4, 200)
    assert video.summaries.sum(axis=1).tolist() == [30, 20, 20, 20]
    assert video.shots.tolist() == [0, 51, 101, 151, 200]
    assert [one.video_id for one in read_annotated(tmp_path / "SumMe" / "GT").videos] == ["Cooking", "Jumps"]


def test_the_preprocessed_form_brings_features_and_change_points(tmp_path: Path) -> None:
    data = read_annotated(write_features(tmp_path / "eccv16_dataset_summe_google_pool5.h5"))
    assert (data.reduction, [video.video_id for video in data.videos]) == ("max", ["video_1", "video_2"])
    video = data.videos[1]
    assert video.features is not None and video.features.vectors.shape == (28, 8)
    assert video.shots.tolist() == [0, 100, 200, 420]
    assert video.summaries is not None and video.summaries.shape == (3, 420)


def test_scores_come_from_the_annotations_beside_the_features(tmp_path: Path) -> None:
    write_tvsum(tmp_path / "both")
    write_features(tmp_path / "both" / "eccv16_dataset_tvsum_google_pool5.h5")
    data = read_annotated(tmp_path / "both")
    assert [video.video_id for video in data.videos] == list(FRAMES)
    for video in data.videos:
        assert video.importance is not None and video.features is not None and video.summaries is None
        np.testing.assert_array_equal(video.importance, scores_of(video.video_id))
        assert video.shots.tolist()[1:3] == [100, 200]


def test_what_is_not_annotated_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not is_annotated(tmp_path / "empty")
    assert not is_annotated(tmp_path / "nowhere")
    assert is_annotated(write_tvsum(tmp_path / "tvsum"))
    with pytest.raises(ConfigurationError, match="no layout that is understood: TVSum"):
        read_annotated(tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="there is no "):
        read_annotated(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _name, told: told + 3, "outside of 1 to 5"),
        (lambda _name, told: told[:, :-1], "frames and scores of"),
        (lambda _name, told: told[:1], "1 person annotated it"),
    ],
)
def test_a_wrong_tvsum_is_refused(
    tmp_path: Path, change: Callable[[str, np.ndarray], np.ndarray], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_annotated(write_tvsum(tmp_path / "tvsum", change))


@pytest.mark.parametrize("seconds", [0.0, -1.0, np.nan, np.inf])
def test_a_tvsum_video_without_a_length_is_refused(tmp_path: Path, seconds: float) -> None:
    folder = write_tvsum(tmp_path / "tvsum")
    with h5py.File(folder / FILE, "r+") as held:
        held["#refs#/length0"][...] = seconds
    with pytest.raises(ConfigurationError, match=r"first-video lasts .* longer than 0 s"):
        read_annotated(folder)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = (write_tvsum(tmp_path / "tvsum") / FILE).read_bytes()
    for length in (0, 300, len(whole) // 2):
        (tmp_path / "tvsum" / FILE).write_bytes(whole[:length])
        with pytest.raises(ConfigurationError, match="no annotation file of TVSum"):
            read_annotated(tmp_path / "tvsum")
    file = write_features(tmp_path / "features" / "one.h5")
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ConfigurationError, match="no layout that is understood"):
        read_annotated(file)
    folder = write_summe(tmp_path / "SumMe")
    (folder / "GT" / "Jumps.mat").write_bytes((folder / "GT" / "Jumps.mat").read_bytes()[:150])
    with pytest.raises(ConfigurationError, match=r"Jumps\.mat is no annotation file of SumMe"):
        read_annotated(folder)


def test_wrong_features_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "one" / "eccv16_dataset_tvsum_google_pool5.h5"
    with pytest.raises(ConfigurationError, match="do not follow one another"):
        read_annotated(write_features(file, change_points=[[0, 99], [101, 299]]))
    write_features(file)
    write_features(tmp_path / "one" / "again.h5")
    with pytest.raises(ConfigurationError, match="give one of the files"):
        read_annotated(tmp_path / "one")
    assert read_annotated(file).reduction == "mean"


def test_features_of_other_videos_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tvsum(tmp_path / "both")
    monkeypatch.setitem(FRAMES, "other_video", 450)
    write_features(tmp_path / "both" / "eccv16_dataset_tvsum_google_pool5.h5")
    with pytest.raises(ConfigurationError, match="has 450 frames, as 0 videos"):
        read_annotated(tmp_path / "both")


def test_shots_and_scores_fit_one_another() -> None:
    told = np.ones((2, 10), np.float32)
    with pytest.raises(ConfigurationError, match="do not reach from frame 0 to 10"):
        AnnotatedVideo("a", 1.0, told, None, np.array([0, 5, 9]))
    with pytest.raises(ConfigurationError, match="nobody's scores"):
        AnnotatedVideo("a", 1.0, None, None, np.array([0, 10]))
    with pytest.raises(ConfigurationError, match="lasts 0 s"):
        AnnotatedVideo("a", 0.0, told, None, np.array([0, 10]))
    with pytest.raises(ConfigurationError, match="no finite number"):
        AnnotatedVideo("a", 1.0, told * np.nan, None, np.array([0, 10]))
    with pytest.raises(ConfigurationError, match="pairs of frames"):
        shots_between(np.arange(3), 10, "a")
