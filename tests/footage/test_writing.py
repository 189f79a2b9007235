"""What is written can be read back: the same times, sizes and chapters, the same bytes, and no half-written file."""

import hashlib
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.writing import (
    Chapter,
    Encoding,
    Picture,
    VideoWriter,
    write_bytes,
    write_jpeg,
)
from infra.errors import ConfigurationError, FootageError

IRREGULAR_US = (0, 100_000, 210_000, 211_000, 500_000, 1_234_567)


def picture(value: int = 0, height: int = 48, width: int = 64) -> Picture:
    ramp = np.linspace(40, 200, width).astype(np.uint8)
    rgb = np.broadcast_to(ramp[None, :, None], (height, width, 3)).copy()
    rgb[8:24, 8:24] = (value * 37 % 256, 200 - value * 11 % 150, 60)
    return rgb


def write(path: Path, times_us: tuple[int, ...], encoding: Encoding | None = None, end_us: int | None = None) -> None:
    with VideoWriter(path, encoding, end_us=end_us) as video:
        for index, time_us in enumerate(times_us):
            video.write(picture(index), time_us)


def times_us(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [round(frame.time * 1_000_000) for frame in container.decode(video=0) if frame.time is not None]


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.integers(1, 3_000_000), min_size=0, max_size=12), start=st.integers(0, 5_000_000))
def test_mp4_keeps_any_rising_times_to_the_microsecond(steps: list[int], start: int) -> None:
    times = tuple(int(t) for t in np.cumsum([start, *steps]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        write(path, times)
        assert times_us(path) == list(times)


def test_matroska_keeps_times_to_the_millisecond(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", IRREGULAR_US)
    assert times_us(tmp_path / "a.mkv") == [round(t / 1000) * 1000 for t in IRREGULAR_US]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_last_frame_lasts_until_the_end_or_one_interval(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for end_us, expected in ((2_000_000, 2_000_000), (None, 600_000)):
        write(path, (0, 100_000, 500_000), Encoding(rate_hz=Fraction(10)), end_us)
        with av.open(str(path)) as container:
            assert container.duration == expected


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_same_input_gives_same_bytes(tmp_path: Path, name: str) -> None:
    digests = set()
    for _ in range(2):
        write(tmp_path / name, IRREGULAR_US)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_key_frames_come_exactly_as_often_as_asked_and_nothing_is_reordered(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(path, tuple(range(0, 1_000_000, 100_000)), Encoding(keyframe_every=3))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [index for index, packet in enumerate(packets) if packet.is_keyframe] == [0, 3, 6, 9]
    assert all(packet.pts == packet.dts for packet in packets)


def test_pictures_come_back_and_odd_sizes_are_padded_by_their_last_row_and_column(tmp_path: Path) -> None:
    rgb = cv2.GaussianBlur(picture(3, 47, 63), (0, 0), 2).astype(np.uint8)
    with VideoWriter(tmp_path / "a.mp4", Encoding(crf=4)) as video:
        video.write(rgb, 0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        back = frame.to_ndarray(format="rgb24").astype(int)
    assert frame.format.name == "yuv420p"
    assert back.shape == (48, 64, 3)
    assert np.abs(back[:47, :63] - rgb).mean() < 3
    assert np.abs(back[47, :63] - rgb[46]).mean() < 4


def test_colours_agree_in_a_reader_that_ignores_tags(tmp_path: Path) -> None:
    rgb = np.empty((48, 64, 3), np.uint8)
    rgb[:] = (200, 40, 60)
    with VideoWriter(tmp_path / "a.mp4") as video:
        video.write(rgb, 0)
    done, bgr = cv2.VideoCapture(str(tmp_path / "a.mp4")).read()
    assert done
    assert np.abs(bgr[..., ::-1].astype(int) - rgb).max() <= 5


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_title_and_chapters_are_kept(tmp_path: Path, name: str) -> None:
    chapters = [Chapter("first", 0, 200_000), Chapter("second é", 200_000, 900_000)]
    with VideoWriter(tmp_path / name, title="summary", chapters=chapters, end_us=900_000) as video:
        video.write(picture(), 0)
    with av.open(str(tmp_path / name)) as container:
        units = [float(chapter["time_base"] or 0) for chapter in container.chapters()]
        found = [
            (c["metadata"]["title"], c["start"] * u, c["end"] * u)
            for c, u in zip(container.chapters(), units, strict=True)
        ]
        assert container.metadata["title"] == "summary"
    assert [title for title, _, _ in found] == ["first", "second é"]
    assert np.allclose([span for _, *span in found], [(0.0, 0.2), (0.2, 0.9)])


def test_index_stands_in_front_for_streaming(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", (0, 40_000))
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("existing", [None, b"the old file"])
def test_failure_leaves_what_was_there(tmp_path: Path, existing: bytes | None) -> None:
    path = tmp_path / "a.mp4"
    if existing is not None:
        path.write_bytes(existing)

    def interrupted() -> None:
        with VideoWriter(path) as video:
            video.write(picture(), 0)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == ({} if existing is None else {"a.mp4": existing})


def test_nothing_stands_under_the_name_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path) as video:
        video.write(picture(), 0)
        assert not path.exists()
        assert all(p.name.startswith(".") for p in tmp_path.iterdir())
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_video_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="at least one"), VideoWriter(tmp_path / "a.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_wrong_calls_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\.mkv, \.mp4"):
        VideoWriter(tmp_path / "a.avi")
    with pytest.raises(ConfigurationError, match="without overlap"):
        VideoWriter(tmp_path / "a.mp4", chapters=[Chapter("a", 0, 10), Chapter("b", 9, 20)])
    with pytest.raises(ConfigurationError, match="from < to"):
        Chapter("a", 5, 5)
    with pytest.raises(ConfigurationError, match="known: ultrafast"):
        Encoding(preset="quick")
    with pytest.raises(FootageError, match="does not exist"), VideoWriter(tmp_path / "absent" / "a.mp4"):
        pass
    for shape, time_us, message in (
        ((48, 64, 3), 40_000, "rise"),
        ((48, 66, 3), 80_000, "resize"),
        ((48, 64), 80_000, "RGB"),
    ):
        with VideoWriter(tmp_path / "a.mp4") as video:
            video.write(picture(), 40_000)
            with pytest.raises(ConfigurationError, match=message):
                video.write(np.zeros(shape, np.uint8), time_us)
        assert times_us(tmp_path / "a.mp4") == [40_000]


def test_jpeg_comes_back_and_finer_quality_is_closer(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    errors = []
    for quality in (20, 95):
        write_jpeg(tmp_path / "a.jpg", rgb, quality)
        back = np.asarray(cv2.imread(str(tmp_path / "a.jpg")))[..., ::-1].astype(int)
        errors.append(float(np.abs(back - rgb).mean()))
    assert errors[1] < errors[0]
    assert [p.name for p in tmp_path.iterdir()] == ["a.jpg"]
    with pytest.raises(ConfigurationError, match=r"1\.\.100"):
        write_jpeg(tmp_path / "a.jpg", rgb, 0)
    with pytest.raises(ConfigurationError, match=r"\.jpg"):
        write_jpeg(tmp_path / "a.png", rgb)


def test_bytes_replace_a_file_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.json", b"1")
    write_bytes(tmp_path / "a.json", b"22")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.json": b"22"}
