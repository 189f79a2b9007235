"""Readers of labelled clips, on folders as people have them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from infra.errors import ConfigurationError, UnknownNameError
from models.heads.classifier_samples import ClassifierSamples, check_apart
from tests.workspace.made_clips import put_clip, put_clips
from workspace.clip_sets.base import ClipSet, LabelledClip, counted
from workspace.clip_sets.dcsass import video_of
from workspace.clip_sets.folders import normal_class
from workspace.clip_sets.read import layout_of, read_clip_set
from workspace.clip_sets.ucf101 import group_of

Told = dict[str, tuple[str, str]]


def told(clip_set: ClipSet) -> Told:
    """Label and source of each clip."""
    return {clip.name: (clip.label, clip.source) for clip in clip_set.clips}


# --- a folder for each class -------------------------------------------------------------------------------------------


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    put_clips(tmp_path, ["fight/b.mp4", "fight/a.MP4", "noFight/x.avi", "noFight/y_c02.mp4", "noFight/y_c01.mp4"])
    (tmp_path / "LICENSE").write_text("MIT")
    found = read_clip_set(tmp_path)
    assert found.layout == "folders"
    assert (found.classes, found.normal, found.counts) == (("fight", "noFight"), "noFight", {"fight": 2, "noFight": 3})
    assert told(found) == {
        "fight/a.MP4": ("fight", "fight/a"),
        "fight/b.mp4": ("fight", "fight/b"),
        "noFight/x.avi": ("noFight", "noFight/x"),
        "noFight/y_c01.mp4": ("noFight", "noFight/y"),
        "noFight/y_c02.mp4": ("noFight", "noFight/y"),
    }
    assert all(clip.split is None and len(clip.index) == 6 for clip in found.clips)
    assert found.left_out == ()
    assert found.alarm_classes() == ("fight",)
    assert found.targets(("fight",))[:, 0].tolist() == [True, True, False, False, False]


def test_what_archives_and_file_managers_leave_behind_is_passed_over(tmp_path: Path) -> None:
    put_clips(tmp_path / "violence", ["Violence/V_1.mp4", "NonViolence/NV_1.mp4", "NonViolence/.trash/old.mp4"])
    (tmp_path / "violence/Violence/._V_1.mp4").write_bytes(b"resource fork")
    (tmp_path / "violence/.DS_Store").write_bytes(b"x")
    (tmp_path / "violence/Violence/Thumbs.db").write_bytes(b"x")
    put_clips(tmp_path / "__MACOSX/Violence", ["V_1.mp4"], 10)
    found = read_clip_set(tmp_path)  # the archive holds one folder, which holds the classes
    assert [clip.name for clip in found.clips] == ["violence/NonViolence/NV_1.mp4", "violence/Violence/V_1.mp4"]
    assert (found.classes, found.normal, found.left_out) == (("NonViolence", "Violence"), "NonViolence", ())


def test_clips_of_a_source_with_a_folder_of_its_own(tmp_path: Path) -> None:
    put_clips(tmp_path, ["theft/video 1.mp4/clip 1.mp4", "theft/video 1.mp4/clip 2.mp4", "calm/video 1.mp4/clip 3.mp4"])
    found = read_clip_set(tmp_path)
    assert {source for _, source in told(found).values()} == {"video 1.mp4"}


def test_an_expression_says_the_source(tmp_path: Path) -> None:
    put_clips(tmp_path, ["theft/cam1_003.mp4", "theft/cam2_001.mp4", "calm/cam1_004.mp4"])
    assert read_clip_set(tmp_path, source="cam[0-9]+").sources == ("cam1", "cam1", "cam2")
    assert read_clip_set(tmp_path, source="/cam([0-9]+)_").sources == ("1", "1", "2")
    with pytest.raises(ConfigurationError, match="says no source video of calm/cam1_004"):
        read_clip_set(tmp_path, source="camera")
    with pytest.raises(ConfigurationError, match="no regular expression"):
        read_clip_set(tmp_path, source="cam(")


def test_official_sides_are_read_off_their_folders(tmp_path: Path) -> None:
    put_clips(tmp_path, ["train/Fight/1.avi", "train/NonFight/1.avi", "val/Fight/1.avi", "val/NonFight/2.avi"])
    found = read_clip_set(tmp_path)
    assert (found.classes, found.normal) == (("Fight", "NonFight"), "NonFight")
    assert {clip.name: clip.split for clip in found.clips} == {
        "train/Fight/1.avi": "train",
        "train/NonFight/1.avi": "train",
        "val/Fight/1.avi": "test",
        "val/NonFight/2.avi": "test",
    }
    # Each side numbers its clips for itself: the two called 1 are of two videos.
    assert len(set(found.sources)) == 4


def test_a_source_that_is_named_is_one_on_whichever_side_its_clips_lie(tmp_path: Path) -> None:
    put_clips(
        tmp_path,
        ["train/theft/shop00_c01.mp4", "test/theft/shop00_c02.mp4", "train/calm/cam1/a.mp4", "test/calm/cam1/b.mp4"],
    )
    found = read_clip_set(tmp_path)
    assert {source for _, source in told(found).values()} == {"theft/shop00", "cam1"}
    assert {clip.split for clip in found.clips} == {"train", "test"}
    targets = found.targets(("theft",))
    windows = np.zeros((len(found), 1), np.float32)
    contents = tuple(clip.content for clip in found.clips)
    samples = ClassifierSamples(
        ("theft",), windows, np.arange(len(found)), targets, found.sources, contents, tuple(told(found))
    )
    sides = np.array([clip.split == "test" for clip in found.clips])
    with pytest.raises(ConfigurationError, match="the split leaks"):
        check_apart(samples.of(np.flatnonzero(~sides)), samples.of(np.flatnonzero(sides)))


def test_validation_clips_are_trained_on_where_there_are_test_clips(tmp_path: Path) -> None:
    put_clips(tmp_path, ["train/a/1.mp4", "Validation/b/2.mp4", "test/a/3.mp4", "test/b/4.mp4"])
    sides = {clip.name: clip.split for clip in read_clip_set(tmp_path).clips}
    assert sides == {
        "Validation/b/2.mp4": "train",
        "test/a/3.mp4": "test",
        "test/b/4.mp4": "test",
        "train/a/1.mp4": "train",
    }


def test_classes_called_train_and_bus_are_classes(tmp_path: Path) -> None:
    put_clips(tmp_path, ["train/1.mp4", "bus/1.mp4"])
    found = read_clip_set(tmp_path)
    assert (found.classes, {clip.split for clip in found.clips}) == (("bus", "train"), {None})


def test_the_same_bytes_are_taken_once(tmp_path: Path) -> None:
    put_clips(tmp_path, ["a/1.mp4", "b/2.mp4"])
    shutil.copy(tmp_path / "a/1.mp4", tmp_path / "a/copy.mp4")
    found = read_clip_set(tmp_path)
    assert [clip.name for clip in found.clips] == ["a/1.mp4", "b/2.mp4"]
    assert found.left_out == ("a/copy.mp4: the same bytes as a/1.mp4",)


def test_the_same_bytes_under_two_labels_are_not_taken_at_all(tmp_path: Path) -> None:
    put_clips(tmp_path, ["a/0.mp4", "a/1.mp4", "b/2.mp4"])
    for name in ("a/copy.mp4", "b/1.mp4", "c/1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / "a/1.mp4", tmp_path / name)
    found = read_clip_set(tmp_path)
    assert [clip.name for clip in found.clips] == ["a/0.mp4", "b/2.mp4"]
    told = "its bytes are of class a (a/1.mp4) and of class b (b/1.mp4) and of class c (c/1.mp4)"
    assert found.left_out == (
        *(f"{name}: {told}; keep the one that is right" for name in ("a/1.mp4", "a/copy.mp4", "b/1.mp4", "c/1.mp4")),
        "class c: none of its clips can be used",
    )


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    put_clips(tmp_path, ["a/1.mp4", "b/2.mp4"])
    (tmp_path / "a/empty.mp4").touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/words.mp4").write_text("not a video")
    (tmp_path / "d").mkdir()
    found = read_clip_set(tmp_path)
    assert found.classes == ("a", "b")
    assert [line.split(":")[0] for line in found.left_out] == ["class d", "a/empty.mp4", "c/words.mp4", "class c"]
    assert "the file is empty" in found.left_out[1]
    assert "none of its clips can be used" in found.left_out[3]


def test_folders_that_do_not_do_are_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder"):
        read_clip_set(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="holds no folder of videos"):
        read_clip_set(tmp_path)
    put_clip(tmp_path / "loose.mp4", 0)
    with pytest.raises(ConfigurationError, match="holds no folder of videos"):
        read_clip_set(tmp_path)
    put_clip(tmp_path / "only/1.mp4", 1)
    with pytest.raises(ConfigurationError, match=r"1 classes have clips that can be used \(only\)"):
        read_clip_set(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/broken.mp4").write_bytes(b"broken")
    with pytest.raises(ConfigurationError, match=r"left out: other/broken.mp4: not a readable video"):
        read_clip_set(tmp_path)
    with pytest.raises(UnknownNameError, match="dcsass"):
        read_clip_set(tmp_path, "kinetics")
    with pytest.raises(ConfigurationError, match="--list 1 is of UCF101"):
        read_clip_set(tmp_path, official_list=1)


@pytest.mark.parametrize(
    ("classes", "normal"),
    [
        (("fight", "noFight"), "noFight"),
        (("fights", "no_fight"), "no_fight"),
        (("Shoplifting", "Normal_Videos"), "Normal_Videos"),
        (("Violence", "NonViolence"), "NonViolence"),
        (("not shoplifting", "shoplifting"), "not shoplifting"),
        (("Abnormal", "Normal"), "Normal"),
        (("none", "push", "slap"), "none"),
        (("normal day", "normal night", "theft"), None),
        (("nodding", "waving"), None),
        (("across", "down"), None),
        (("1", "2"), None),
    ],
)
def test_the_normal_class_is_known_by_its_name(classes: tuple[str, ...], normal: str | None) -> None:
    assert normal_class(classes) == normal


def test_alarm_classes_are_those_chosen(tmp_path: Path) -> None:
    found = read_clip_set(put_clips(tmp_path, ["fall/1.mp4", "fight/2.mp4", "normal/3.mp4"]))
    assert found.alarm_classes() == ("fall", "fight")
    assert found.alarm_classes(["fight"]) == ("fight",)
    assert found.targets(("fight", "fall")).tolist() == [[False, True], [True, False], [False, False]]
    with pytest.raises(UnknownNameError, match='did you mean "fight"'):
        found.alarm_classes(["fights"])


def test_a_clip_set_is_consistent(tmp_path: Path) -> None:
    clip = read_clip_set(put_clips(tmp_path, ["a/1.mp4", "b/2.mp4"])).clips[0]
    assert isinstance(clip, LabelledClip)
    with pytest.raises(ValueError, match="classes are the clips' labels"):
        ClipSet((clip,), ("a", "b"), None, "folders")
    with pytest.raises(ValueError, match="normal class"):
        ClipSet((clip,), ("a",), "b", "folders")
    with pytest.raises(ConfigurationError, match="1 classes are left"):
        ClipSet((clip,), ("a",), None, "folders").narrowed([clip], ["b/2.mp4: gone"])


# --- DCSASS ------------------------------------------------------------------------------------------------------------


def labels(folder: Path, **files: str) -> None:
    (folder / "Labels").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / "Labels" / f"{name}.csv").write_text(text, encoding="utf-8", newline="")


def dcsass(folder: Path) -> Path:
    """As downloaded: one folder in another, clips in folders that end like videos."""
    inner = folder / "DCSASS Dataset/DCSASS Dataset"
    put_clips(
        inner,
        [
            "Abuse/Abuse001_x264.mp4/Abuse001_x264_0.mp4",
            "Abuse/Abuse001_x264.mp4/Abuse001_x264_1.mp4",
            "Abuse/Abuse001_x264.mp4/Abuse001_x264_2.mp4",
            "Shoplifting/Shoplifting002_x264.mp4/Shoplifting002_x264_10.mp4",
        ],
    )
    labels(
        folder / "DCSASS Dataset",
        Abuse="\ufeffAbuse001_x264_0,Abuse,0\r\nAbuse001_x264_1,Abuse,1\r\nAbuse048_x264_0,Abuse,\r\n",
        Shoplifting="Shoplifting002_x264_10 , Shoplifting , 1\nShoplifting003_x264_0,Shoplifting,0",
    )
    return folder


def test_dcsass_as_downloaded(tmp_path: Path) -> None:
    found = read_clip_set(dcsass(tmp_path))
    assert (found.layout, found.normal) == ("dcsass", "Normal")
    assert {Path(name).stem: what for name, what in told(found).items()} == {
        "Abuse001_x264_0": ("Normal", "Abuse001_x264"),
        "Abuse001_x264_1": ("Abuse", "Abuse001_x264"),
        "Shoplifting002_x264_10": ("Shoplifting", "Shoplifting002_x264"),
    }
    assert found.alarm_classes() == ("Abuse", "Shoplifting")
    rows, files, names = found.left_out
    assert rows == "1 rows of Abuse.csv that say neither 0 nor 1: Abuse048_x264_0"
    assert files.startswith("1 files without a label: ") and files.endswith("Abuse001_x264_2.mp4")
    assert names == "1 labels without a file: Shoplifting003_x264_0"


def test_dcsass_by_the_folder_beside_its_labels(tmp_path: Path) -> None:
    found = read_clip_set(dcsass(tmp_path) / "DCSASS Dataset/DCSASS Dataset")
    assert (found.layout, len(found)) == ("dcsass", 3)
    # Labels of something else beside a folder of classes are not its own.
    put_clips(tmp_path / "other/classes", ["a/1.mp4", "b/2.mp4"])
    labels(tmp_path / "other", Abuse="Abuse001_x264_0,Abuse,0\n")
    assert read_clip_set(tmp_path / "other/classes").layout == "folders"


def test_dcsass_with_a_heading_endings_in_the_labels_and_clips_moved_together(tmp_path: Path) -> None:
    put_clips(tmp_path, ["Arson/Arson002_x264_0.mp4", "Arson/Arson002_x264_1.mp4"])
    labels(tmp_path, Arson="clip name,class,label\nArson002_x264_0.mp4,Arson,1\nArson002_x264_1.mp4,Arson,0.0\n\n,,\n")
    found = read_clip_set(tmp_path, "dcsass")
    assert sorted(told(found).values()) == [("Arson", "Arson002_x264"), ("Normal", "Arson002_x264")]
    assert found.left_out == ()


def test_a_clip_with_two_labels_or_two_files_is_told(tmp_path: Path) -> None:
    put_clips(tmp_path, ["A/A1_x264_0.mp4", "A/A1_x264_1.mp4", "A/A1_x264_2.mp4", "copies/A1_x264_0.mp4"])
    labels(tmp_path, A="A1_x264_0,A,1\nA1_x264_0,A,1\nA1_x264_1,A,0\nA1_x264_2,A,0\nA1_x264_2,A,1\n")
    found = read_clip_set(tmp_path)
    assert [clip.name for clip in found.clips] == ["A/A1_x264_0.mp4", "A/A1_x264_1.mp4"]
    assert found.left_out == (
        "1 clips with two different labels: A1_x264_2",
        "copies/A1_x264_0.mp4: A/A1_x264_0.mp4 has that label already",
        "1 files without a label: A/A1_x264_2.mp4",
    )


def test_labels_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    put_clips(tmp_path, ["A/A1_x264_0.mp4", "A/A1_x264_1.mp4"])
    with pytest.raises(ConfigurationError, match="holds no folder Labels"):
        read_clip_set(tmp_path, "dcsass")
    labels(tmp_path, A="B7_x264_0,A,1\n")
    with pytest.raises(ConfigurationError, match="none of 1 labels"):
        read_clip_set(tmp_path)
    labels(tmp_path, A="A1_x264_0,A,0\nA1_x264_1,A,0\n")
    with pytest.raises(ConfigurationError, match=r"1 classes have clips that can be used \(Normal\)"):
        read_clip_set(tmp_path)
    (tmp_path / "Labels/A.csv").write_bytes("A1_x264_0,Überfall,1\n".encode("utf-16"))
    with pytest.raises(ConfigurationError, match="no text in UTF-8"):
        read_clip_set(tmp_path)


def test_video_of_a_clip() -> None:
    assert video_of("RoadAccidents001_x264_12") == "RoadAccidents001_x264"
    assert video_of("Abuse001_x264") == "Abuse001_x264"


def test_real_dcsass_clips(real_data: Path) -> None:
    if not (real_data / "dcsass").is_dir():
        pytest.skip("no DCSASS clips (../shared/data/dcsass) on this machine")
    found = read_clip_set(real_data / "dcsass")
    assert found.layout == "dcsass"
    assert found.counts == {"Arrest": 1, "Arson": 1, "Explosion": 1, "Normal": 3, "Shoplifting": 2}
    assert {clip.source for clip in found.clips if clip.label == "Shoplifting"} == {
        "Shoplifting001_x264",
        "Shoplifting018_x264",
    }
    assert [line.split(":")[0] for line in found.left_out] == [
        "2 rows of Abuse.csv that say neither 0 nor 1",
        "16586 labels without a file",
    ]


# --- UCF101 ------------------------------------------------------------------------------------------------------------

TRAIN = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nHandstandPushups/v_HandStandPushups_g08_c02.avi 2\r\n"
TEST = "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\nApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi\nHandstandPushups/v_HandStandPushups_g01_c01.avi\n"


def ucf101(folder: Path, where: str = "ucfTrainTestlist") -> Path:
    put_clips(
        folder / "UCF-101",
        [
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01.avi",
            "HandstandPushups/v_HandStandPushups_g08_c02.avi",
            "HandstandPushups/v_HandstandPushups_g01_c01.avi",
        ],
    )
    lists = folder / where
    lists.mkdir(exist_ok=True)
    (lists / "trainlist01.txt").write_text(TRAIN)
    (lists / "testlist01.txt").write_text(TEST)
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 HandstandPushups\n")
    return folder


@pytest.mark.parametrize("where", ["ucfTrainTestlist", "."])
def test_ucf101_lists(tmp_path: Path, where: str) -> None:
    found = read_clip_set(ucf101(tmp_path, where))
    assert (found.layout, found.normal) == ("ucf101", None)
    assert found.alarm_classes() == ("ApplyEyeMakeup", "HandstandPushups")
    assert {Path(clip.name).stem: (clip.label, clip.source, clip.split) for clip in found.clips} == {
        "v_ApplyEyeMakeup_g08_c01": ("ApplyEyeMakeup", "ApplyEyeMakeup/g08", "train"),
        "v_ApplyEyeMakeup_g01_c01": ("ApplyEyeMakeup", "ApplyEyeMakeup/g01", "test"),
        "v_HandStandPushups_g08_c02": ("HandstandPushups", "HandstandPushups/g08", "train"),
        "v_HandstandPushups_g01_c01": ("HandstandPushups", "HandstandPushups/g01", "test"),
    }
    assert found.left_out == (
        "1 lines of list 1 without a file: ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi",
        "1 files in neither part of list 1: v_ApplyEyeMakeup_g02_c01.avi",
    )


def test_another_list_is_another_split(tmp_path: Path) -> None:
    lists = ucf101(tmp_path) / "ucfTrainTestlist"
    (lists / "trainlist02.txt").write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\n")
    (lists / "testlist02.txt").write_text("HandstandPushups/v_HandStandPushups_g08_c02.avi\n")
    found = read_clip_set(tmp_path, official_list=2)
    assert [clip.split for clip in found.clips] == ["train", "test"]
    with pytest.raises(ConfigurationError, match=r"trainlist03.txt; there are testlist01.txt, .*trainlist02.txt"):
        read_clip_set(tmp_path, official_list=3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("trainlist01.txt", "v_ApplyEyeMakeup_g08_c01.avi 1\n", "does not read Class/clip.avi"),
        ("trainlist01.txt", TRAIN.replace(" 1", " 2"), "which classInd.txt calls HandstandPushups"),
        ("trainlist01.txt", TRAIN + TEST.splitlines()[0] + " 1\n", "to train and to test on"),
        ("classInd.txt", "ApplyEyeMakeup 1\n", 'does not read "1 Class"'),
    ],
)
def test_lists_that_contradict_themselves_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (ucf101(tmp_path) / "ucfTrainTestlist" / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_clip_set(tmp_path)


def test_lists_without_videos_and_videos_without_lists(tmp_path: Path) -> None:
    shutil.rmtree(ucf101(tmp_path) / "UCF-101")
    with pytest.raises(ConfigurationError, match="none of 5 clips of list 1 lies below"):
        read_clip_set(tmp_path)
    shutil.rmtree(tmp_path / "ucfTrainTestlist")
    with pytest.raises(ConfigurationError, match=r"holds no trainlist01.txt"):
        read_clip_set(tmp_path, "ucf101")


def test_a_group_is_of_its_class() -> None:
    assert group_of("Archery/v_Archery_g01_c02.avi") == "Archery/g01"
    assert group_of("HandstandPushups/v_HandStandPushups_g25_c07.avi") == "HandstandPushups/g25"
    assert group_of("Archery/own.avi") == "Archery/own"


def test_what_is_left_out_is_counted_with_a_few_names() -> None:
    assert counted("lines without a file", []) == []
    assert counted("lines without a file", list("abc")) == ["3 lines without a file: a, b, c"]
    assert counted("lines without a file", list("abcd")) == ["4 lines without a file: a, b, c …"]


def test_the_layout_is_found_out(tmp_path: Path) -> None:
    assert layout_of(dcsass(tmp_path / "one")) == "dcsass"
    assert layout_of(ucf101(tmp_path / "two")) == "ucf101"
    assert layout_of(put_clips(tmp_path / "three", ["a/1.mp4", "b/2.mp4"])) == "folders"


def test_progress_counts_the_clips(tmp_path: Path) -> None:
    seen: list[tuple[str, float, float]] = []
    read_clip_set(put_clips(tmp_path, ["a/1.mp4", "b/2.mp4"]), progress=lambda *told: seen.append(told))
    assert seen == [("clips", 1, 2), ("clips", 2, 2)]
