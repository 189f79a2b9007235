"""What a path says, and which files there are."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from footage.recordings import FoundFile, Named, PathPattern, at, day_of, find_files
from infra.errors import ConfigurationError, FootageError, UnknownNameError

DEFAULT = "{campaign}/{camera}/{start:%Y-%m-%dT%H-%M-%S}"
UTC_ZONE = ZoneInfo("UTC")
SUFFIXES = (".mp4", ".mkv")


@pytest.mark.parametrize(
    ("pattern", "path", "campaign", "camera", "start"),
    [
        (DEFAULT, "c1/hall/2026-03-02T08-00-00.mp4", "c1", "hall", datetime(2026, 3, 2, 8)),
        (DEFAULT, "c 1/hall.b_2/2026-03-02T08-00-01.mkv", "c 1", "hall.b_2", datetime(2026, 3, 2, 8, 0, 1)),
        (
            "{camera}/{start:%Y/%m/%d/%H-%M-%S}",
            "hall/2026/03/02/08-30-00.mp4",
            "footage",
            "hall",
            datetime(2026, 3, 2, 8, 30),
        ),
        ("{camera}/{start:%Y%m%d}/{campaign}", "hall/20260302/night.ts", "night", "hall", datetime(2026, 3, 2)),
        (
            "{camera}_{start:%s}".replace("%s", "%Y%m%d%H%M%S"),
            "cam_a_20260302080000.avi",
            "footage",
            "cam_a",
            datetime(2026, 3, 2, 8),
        ),
        ("raw (old)/{camera}+{start}", "raw (old)/a+2026-03-02T08-00-00.mp4", "footage", "a", datetime(2026, 3, 2, 8)),
    ],
)
def test_patterns_read_campaign_camera_and_start(
    pattern: str, path: str, campaign: str, camera: str, start: datetime
) -> None:
    assert PathPattern(pattern, UTC_ZONE).read(path) == Named(campaign, camera, start.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("hall/2026-03-02T08-00-00.mp4", "does not fit"),
        ("a/b/hall/2026-03-02T08-00-00.mp4", "does not fit"),
        ("c/hall/2026-03-02.mp4", "no time of the form"),
        ("c/hall/2026-02-30T08-00-00.mp4", "no time of the form"),
        ("c/hall/readme.mp4", "no time of the form"),
        ("c/hall$/2026-03-02T08-00-00.mp4", "camera .*characters"),
        ("../hall/2026-03-02T08-00-00.mp4", "campaign .*characters"),
        ("c/ hall/2026-03-02T08-00-00.mp4", "camera .*characters"),
        ("c/h\nall/2026-03-02T08-00-00.mp4", "camera (.|\n)*characters"),
        ("c/Überwachung/2026-03-02T08-00-00.mp4", "camera .*characters"),
    ],
)
def test_paths_that_do_not_fit_are_refused_with_a_remedy(path: str, reason: str) -> None:
    with pytest.raises(FootageError, match=reason) as caught:
        PathPattern(DEFAULT, UTC_ZONE).read(path)
    assert "rename it" in str(caught.value)


def test_start_times_are_read_in_their_zone_with_summer_time() -> None:
    vienna = PathPattern(DEFAULT, ZoneInfo("Europe/Vienna"))
    assert vienna.read("c/a/2026-01-02T08-00-00.mp4").started_at == datetime(2026, 1, 2, 7, tzinfo=UTC)
    assert vienna.read("c/a/2026-07-02T08-00-00.mp4").started_at == datetime(2026, 7, 2, 6, tzinfo=UTC)


def test_a_zone_in_the_name_goes_before_the_settings() -> None:
    pattern = PathPattern("{camera}/{start:%Y-%m-%dT%H-%M-%S%z}", ZoneInfo("Europe/Vienna"))
    assert pattern.read("a/2026-01-02T08-00-00+0500.mp4").started_at == datetime(2026, 1, 2, 3, tzinfo=UTC)


def test_a_time_that_leaves_the_calendar_is_refused() -> None:
    with pytest.raises(FootageError, match="no time"):
        PathPattern(DEFAULT, ZoneInfo("Asia/Tokyo")).read("c/a/0001-01-01T00-00-00.mp4")


def test_patterns_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="camera twice"):
        PathPattern("{camera}/{camera}/{start:%Y}", UTC_ZONE)
    with pytest.raises(UnknownNameError, match="campaign"):
        PathPattern("{campagne}/{camera}/{start:%Y}", UTC_ZONE)


def test_what_a_path_says_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Named("c", "a", datetime(2026, 1, 1))


def test_a_day_is_the_site_s_and_a_moment_the_recording_s() -> None:
    start = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert day_of(start, ZoneInfo("Europe/Vienna")) == date(2026, 3, 2)
    assert day_of(start, UTC_ZONE) == date(2026, 3, 1)
    assert at(start, 1_500_001) == start + timedelta(seconds=1.500001)


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_video_files_are_listed_in_order_and_others_ignored(tmp_path: Path) -> None:
    for name in ("b/2.mp4", "b/1.MKV", "a/3.mp4", "a/notes.txt", "a/.hidden.mp4", ".trash/4.mp4", "a/mp4"):
        touch(tmp_path / name, b"12345")
    (tmp_path / "a/folder.mp4").mkdir()
    files, problems = find_files(tmp_path, SUFFIXES)
    assert [file.path for file in files] == ["a/3.mp4", "b/1.MKV", "b/2.mp4"]
    assert problems == []
    told = (tmp_path / "a/3.mp4").stat()
    assert files[0] == FoundFile("a/3.mp4", 5, told.st_mtime_ns)
    assert [file.path for file in find_files(tmp_path, (".MP4",))[0]] == ["a/3.mp4", "b/2.mp4"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "disk/day/1.mp4")
    root = tmp_path / "footage"
    root.mkdir()
    (root / "camera").symlink_to(tmp_path / "disk")
    (root / "one.mp4").symlink_to(tmp_path / "disk/day/1.mp4")
    (tmp_path / "disk/day/up").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/self").symlink_to(tmp_path / "disk/self")
    files, problems = find_files(root, SUFFIXES)
    assert [file.path for file in files] == ["camera/day/1.mp4", "one.mp4"]
    assert [path for path, reason in problems if "leads back" in reason] == ["camera/day/up"]


def test_broken_links_pipes_and_devices_are_told_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "absent.mp4")
    (tmp_path / "endless.mp4").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "waiting.mp4").symlink_to(tmp_path / "pipe")
    files, problems = find_files(tmp_path, SUFFIXES)
    assert files == []
    assert dict(problems) == {
        "broken.mp4": "cannot be read: No such file or directory",
        "endless.mp4": "it is a device or a pipe, no file",
        "waiting.mp4": "it is a device or a pipe, no file",
    }


def test_names_that_are_no_text_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "good.mp4")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.mp4")).write_bytes(b"x")
    files, problems = find_files(tmp_path, SUFFIXES)
    assert [file.path for file in files] == ["good.mp4"]
    assert [reason for _, reason in problems] == ["its name is not UTF-8; rename it"]
    assert all(path.isascii() for path, _ in problems)


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "open/1.mp4")
    touch(tmp_path / "shut/2.mp4")
    scandir = os.scandir

    def refuse(path: Path) -> "os._ScandirIterator[str]":
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    files, problems = find_files(tmp_path, SUFFIXES)
    assert [file.path for file in files] == ["open/1.mp4"]
    assert problems == [("shut", "the folder cannot be read: Permission denied")]


def test_a_footage_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    touch(tmp_path / "file")
    for name in ("absent", "file"):
        with pytest.raises(ConfigurationError, match="no footage folder"):
            find_files(tmp_path / name, SUFFIXES)


@pytest.mark.parametrize("start", ["9999-12-31T23-59-59", "1899-12-31T08-00-00", "0001-01-01T00-00-00"])
def test_a_year_that_no_recording_is_of_is_refused(start: str) -> None:
    with pytest.raises(FootageError, match="is no time of the form"):
        PathPattern("{camera}/{start:%Y-%m-%dT%H-%M-%S}", ZoneInfo("UTC")).read(f"hall/{start}.mp4")
