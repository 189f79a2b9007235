"""A file is a recording or it is refused with a reason; no file makes anything else happen."""

import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from footage.decode import decode
from footage.probe import Probe, content_hash, probe
from footage.regions import WHOLE, Region
from infra.errors import DecodeError, FootageError
from tests.footage.films import Film, make

FilmPath = Callable[[Film], Path]


def test_a_recording_is_told_by_its_packets(film_path: FilmPath) -> None:
    found = probe(film_path(Film(".mp4", 50, gop=10)))
    assert (found.width, found.height, found.codec, len(found.index)) == (64, 48, "h264", 50)
    assert found.index.keys.tolist() == [0, 10, 20, 30, 40]
    assert found.index.duration_us == 2_000_000
    assert not found.index.is_cut_short
    assert not found.index.in_decoding_order


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_every_container_tells_the_same_times(suffix: str, film_path: FilmPath) -> None:
    index = probe(film_path(Film(suffix, 75, gop=25))).index
    assert np.abs(index.t_us - 40_000 * np.arange(75)).max() <= 500
    assert abs(index.duration_us - 3_000_000) <= 40_000


def test_a_hash_is_of_the_bytes_and_nothing_else(tmp_path: Path) -> None:
    for name, content in (("a.mp4", b"one"), ("b.mkv", b"one"), ("c.mp4", b"two")):
        (tmp_path / name).write_bytes(content)
    assert content_hash(tmp_path / "a.mp4") == content_hash(tmp_path / "b.mkv") != content_hash(tmp_path / "c.mp4")
    assert len(content_hash(tmp_path / "a.mp4")) == 32


def test_a_probe_has_a_picture_size(film_path: FilmPath) -> None:
    with pytest.raises(ValueError, match="width and height"):
        Probe(probe(film_path(Film(".mp4", 50, gop=10))).index, 0, 48, "h264")


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def image(path: Path) -> None:
    rng = np.random.default_rng(0)
    content = cv2.imencode(f".{path.stem}", rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))[1]
    path.write_bytes(content.tobytes())


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "text" * 1000)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.mp4": (lambda path: path.write_bytes(b""), "empty"),
    "one.mkv": (lambda path: path.write_bytes(b"\x1a"), "header"),
    "zeros.mp4": (lambda path: path.write_bytes(bytes(10_000)), "header"),
    "noise.ts": (lambda path: path.write_bytes(np.random.default_rng(0).bytes(20_000)), "header"),
    "text.mp4": (lambda path: path.write_text("nothing to see\n" * 200), "header"),
    "sound.mp4": (audio_only, "no video stream .*audio"),
    "png.mp4": (image, "picture"),
    "jpg.avi": (image, "picture"),
    "bmp.mkv": (image, "picture"),
    "zip.mp4": (archive, "header"),
    "folder.mp4": (lambda path: path.mkdir(), "directory"),
    "hls.mp4": (
        lambda path: path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:4,\nx.ts\n#EXT-X-ENDLIST\n"),
        "header",
    ),
    "list.mp4": (lambda path: path.write_text("ffconcat version 1.0\nfile film.mp4\n"), "playlist"),
    "absent.mp4": (lambda _: None, "No such file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_recording_is_refused_with_a_reason(name: str, tmp_path: Path, film_path: FilmPath) -> None:
    write, reason = WRONG[name]
    (tmp_path / "film.mp4").write_bytes(film_path(Film(".mp4", 50, gop=10)).read_bytes())  # for the playlist to name
    write(tmp_path / name)
    with pytest.raises(FootageError, match=reason) as caught:
        probe(tmp_path / name)
    assert len(str(caught.value)) > 10


def test_an_mp4_without_its_header_is_refused(tmp_path: Path, film_path: FilmPath) -> None:
    content = film_path(Film(".mp4", 50, gop=10)).read_bytes()
    (tmp_path / "a.mp4").write_bytes(content.replace(b"moov", b"moox"))
    (tmp_path / "b.mp4").write_bytes(content[: content.find(b"moov") - 4])
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(FootageError, match="header"):
            probe(tmp_path / name)


def test_an_unknown_codec_is_named_as_the_reason(tmp_path: Path, film_path: FilmPath) -> None:
    content = film_path(Film(".mkv", 30)).read_bytes()
    (tmp_path / "a.mkv").write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/XYZ"))
    with pytest.raises(FootageError, match="codec"):
        probe(tmp_path / "a.mkv")


def test_packets_that_hold_no_pictures_are_refused(tmp_path: Path, film_path: FilmPath) -> None:
    path = film_path(Film(".mkv", 30))
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                at = content.find(bytes(packet))
                content[at : at + packet.size] = bytes(packet.size)
    (tmp_path / "a.mkv").write_bytes(content)
    with pytest.raises(FootageError, match=r"no picture can be decoded|no key frame"):
        probe(tmp_path / "a.mkv")


def test_a_truncated_matroska_file_is_cut_short_by_what_is_missing(tmp_path: Path, film_path: FilmPath) -> None:
    content = film_path(Film(".mkv", 300, gop=25)).read_bytes()
    (tmp_path / "a.mkv").write_bytes(content[: len(content) // 2])
    index = probe(tmp_path / "a.mkv").index
    assert index.is_cut_short
    assert index.duration_us == 12_000_000
    assert 3_000_000 < index.extent_us < 9_000_000


def test_a_recording_that_begins_late_is_not_cut_short(tmp_path: Path) -> None:
    film = Film(".mkv", 50, gop=10, times=tuple(range(3000, 3050)))
    index = probe(make(tmp_path / "late.mkv", film)).index
    assert index.t_us[0] == 0
    assert index.duration_us == 2_000_000
    assert not index.is_cut_short


def test_a_clock_that_was_set_back_is_refused_and_not_told_as_one_scene(tmp_path: Path) -> None:
    film = Film(".ts", 100, gop=10)
    path = make(tmp_path / "a.ts", film)
    content = path.read_bytes()
    path.write_bytes(content + content)
    with pytest.raises(FootageError, match=r"clock jumps back by 4\.0 s at picture 100"):
        probe(path)


def test_odd_letters_in_a_title_do_not_matter(tmp_path: Path, film_path: FilmPath) -> None:
    source = film_path(Film(".mkv", 30))
    with av.open(str(source)) as container, av.open(str(tmp_path / "a.mkv"), "w") as out:
        out.metadata["title"] = "XXXXXXXX"
        copy = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content.replace(b"XXXXXXXX", b"\xff\xfe\xfd\xfcXXXX"))
    found = probe(tmp_path / "a.mkv")
    assert len(list(decode(tmp_path / "a.mkv", found.index, np.arange(30), threads=1))) == 30


FUZZED = (
    Film(".mp4", 30, bframes=3),
    Film(".mkv", 30, bframes=3),
    Film(".ts", 30, bframes=3),
    Film(".avi", 30, bframes=2),
    Film(".avi", 30, codec="mpeg4", bframes=2),
    Film(".avi", 30, bframes=2, x264=":open-gop=1"),
    Film(".ts", 30, codec="mpeg2video", bframes=2),
    Film(".avi", 30, codec="mjpeg"),
)


def mutated(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Flipped bytes, flips in the header, a cut, a hole, or another file's header."""
    changed = bytearray(content)
    match int(rng.integers(5)):
        case 0:
            for at in rng.integers(0, len(changed), rng.integers(1, 40)):
                changed[at] = int(rng.integers(256))
        case 1:
            for at in rng.integers(0, min(2000, len(changed)), rng.integers(1, 10)):
                changed[at] = int(rng.integers(256))
        case 2:
            del changed[int(rng.integers(1, len(changed))) :]
        case 3:
            at = int(rng.integers(len(changed)))
            del changed[at : at + int(rng.integers(1, 3000))]
        case 4:
            size = int(rng.integers(16, 3000))
            changed[:size] = other[:size]
    return bytes(changed)


@pytest.mark.parametrize("number", range(len(FUZZED)))
def test_mutated_recordings_are_read_or_refused(number: int, tmp_path: Path, film_path: FilmPath) -> None:
    content = film_path(FUZZED[number]).read_bytes()
    other = film_path(FUZZED[(number + 1) % len(FUZZED)]).read_bytes()
    corner = Region.box("corner", 0.1, 0.1, 0.5, 0.5)
    for seed in range(9):
        path = tmp_path / f"{seed}{FUZZED[number].suffix}"
        path.write_bytes(mutated(content, other, np.random.default_rng([number, seed])))
        try:
            index = probe(path).index
        except FootageError:
            continue
        assert np.all(np.diff(index.pts) > 0)
        assert np.all(np.diff(index.t_us) >= 0)
        assert index.duration_us >= index.extent_us > 0
        last = -1
        with suppress(DecodeError):
            for picture in decode(path, index, np.arange(len(index), dtype=np.int64), threads=1 + seed % 3):
                assert picture.index > last
                last = picture.index
                assert picture.view(WHOLE, (16, 16)).shape == picture.view(corner, (16, 16)).shape == (16, 16, 3)
                assert picture.grey(320).shape[1] == 320
                assert picture.digest()
