"""Wanted pictures are those of a plain decoder, whatever the container, the codec, the choice and the threads."""

import gc
import os
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from footage import decode as decoding
from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture
from footage.probe import probe
from footage.regions import WHOLE, Region
from infra.errors import DecodeError
from tests.footage.films import Film, digest, packets, plain_digests, scrambled

FilmPath = Callable[[Film], Path]

FILMS = {
    "h264-mp4": Film(".mp4", 90),
    "h264-b-mp4": Film(".mp4", 90, bframes=3),
    "h264-b-mkv": Film(".mkv", 90, bframes=3),
    "h264-long-groups": Film(".mkv", 90, gop=80, bframes=2),
    "h264-open-mp4": Film(".mp4", 90, bframes=2, x264=":open-gop=1"),
    "h264-open-ts": Film(".ts", 90, bframes=2, x264=":open-gop=1"),
    "h264-b-ts": Film(".ts", 90, bframes=3),
    "h264-avi": Film(".avi", 90),
    "h264-b-avi": Film(".avi", 90, bframes=2),
    "h264-pyramid-avi": Film(".avi", 90, bframes=3, x264=":b-pyramid=normal"),
    "h264-open-avi": Film(".avi", 90, bframes=2, x264=":open-gop=1"),
    "h264-intra-refresh": Film(".mkv", 90, x264=":intra-refresh=1"),
    "h264-interlaced": Film(".mkv", 90, bframes=2, x264=":interlaced=1", height=64),
    "h264-vfr": Film(
        ".mkv",
        90,
        bframes=2,
        times=tuple(40 * n + 5 * (n % 5) + 700 * (n // 30) for n in range(90)),
        time_base=Fraction(1, 1000),
    ),
    "mpeg4-avi": Film(".avi", 90, codec="mpeg4"),
    "mpeg4-b-avi": Film(".avi", 90, codec="mpeg4", bframes=2),
    "mpeg2-b-ts": Film(".ts", 90, codec="mpeg2video", bframes=2),
    "mjpeg-avi": Film(".avi", 40, codec="mjpeg"),
    "hevc-mp4": Film(".mp4", 60, codec="libx265", bframes=3),
}


def digests(path: Path, index: FrameIndex, wanted: NDArray[np.int64], threads: int = 1) -> dict[int, str]:
    """Delivered pictures' digests by index; order and times are checked on the way."""
    got: dict[int, str] = {}
    for picture in decode(path, index, wanted, threads=threads):
        assert not got or picture.index > max(got)
        assert picture.t_us == index.t_us[picture.index]
        got[picture.index] = picture.digest()
    return got


def everything(index: FrameIndex) -> NDArray[np.int64]:
    return np.arange(len(index), dtype=np.int64)


@pytest.mark.parametrize("name", FILMS)
def test_pictures_are_those_of_a_plain_decoder(name: str, film_path: FilmPath) -> None:
    path = film_path(FILMS[name])
    truth = plain_digests(path)
    index = probe(path).index
    assert len(index) == len(truth) == FILMS[name].count
    assert len(set(truth)) == len(truth)
    rng = np.random.default_rng(0)
    choices = [everything(index), index.keys, everything(index)[::29], np.array([77 % len(index)])]
    choices += [np.sort(rng.choice(len(index), size, replace=False)) for size in (2, 5, 13)]
    for number, wanted in enumerate(choices):
        for threads in (1, 3) if number < 3 else (1 + number % 2,):
            got = digests(path, index, wanted.astype(np.int64), threads)
            assert got == {int(i): truth[i] for i in wanted}, (number, threads)


def test_each_picture_of_a_real_avi_with_b_frames_is_the_right_one(real_data: Path) -> None:
    path = real_data / "footage/walkway/2026-03-02T08-00-00.avi"
    index = probe(path).index
    assert index.in_decoding_order
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.video[0])
        truth = [digest(frame) for _, frame in zip(range(160), frames, strict=False)]
    wanted = np.array([3, 40, 41, 119, 158], dtype=np.int64)
    assert digests(path, index, wanted) == {int(i): truth[i] for i in wanted}


def test_nothing_is_decoded_where_nothing_is_wanted(film_path: FilmPath, tmp_path: Path) -> None:
    index = probe(film_path(FILMS["h264-mp4"])).index
    assert list(decode(tmp_path / "absent.mp4", index, np.array([], dtype=np.int64))) == []


@pytest.mark.parametrize("wanted", [[3, 3], [5, 4], [-1, 2], [89, 90]])
def test_indices_that_name_no_pictures_are_refused(wanted: list[int], film_path: FilmPath) -> None:
    path = film_path(FILMS["h264-mp4"])
    with pytest.raises(ValueError, match="wanted indices"):
        decode(path, probe(path).index, np.array(wanted, dtype=np.int64))


def count_fed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the packets that decoders are fed."""
    fed: list[int] = []
    fed_before = decoding._Reader._frames

    def frames(
        self: decoding._Reader, packet: "av.Packet[av.VideoStream] | None", at: int, *, broken: bool = False
    ) -> list[av.VideoFrame]:
        if packet is not None:
            fed.append(at)
        return fed_before(self, packet, at, broken=broken)

    monkeypatch.setattr(decoding._Reader, "_frames", frames)
    return fed


def test_stretches_that_nothing_depends_on_are_jumped_over(
    film_path: FilmPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film_path(Film(".mp4", 400, gop=40))
    index = probe(path).index
    fed = count_fed(monkeypatch)
    assert [p.index for p in decode(path, index, index.keys, threads=1)] == list(range(0, 400, 40))
    assert len(fed) <= 2 * len(index.keys)
    fed.clear()
    list(decode(path, index, np.array([0, 5, 399]), threads=1))
    assert len(fed) <= 6 + 40 + 1


def test_far_pictures_are_sought_and_not_read_up_to(film_path: FilmPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "SEEK_PACKETS", 50)
    for suffix in (".mp4", ".mkv", ".ts", ".avi"):
        path = film_path(Film(suffix, 300, gop=25))
        truth, index = plain_digests(path), probe(path).index
        for wanted in ([290], [2, 130, 131, 280], [60, 299]):
            assert digests(path, index, np.array(wanted)) == {i: truth[i] for i in wanted}, (suffix, wanted)


def test_a_seek_that_fails_or_overshoots_loses_nothing(film_path: FilmPath, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film_path(FILMS["h264-b-mkv"])
    truth, index = plain_digests(path), probe(path).index
    monkeypatch.setattr(decoding, "SEEK_PACKETS", -1)  # seek before every run, backwards too
    wanted = np.array([0, 30, 60, 89], dtype=np.int64)
    assert digests(path, index, wanted) == {int(i): truth[i] for i in wanted}


GROUP = 20
DAMAGED = {
    "h264-mkv": Film(".mkv", 100, gop=GROUP, height=96, width=160),
    "h264-b-mkv": Film(".mkv", 100, gop=GROUP, bframes=3, height=96, width=160),
    "h264-b-mp4": Film(".mp4", 100, gop=GROUP, bframes=3, height=96, width=160),
    "h264-b-avi": Film(".avi", 100, gop=GROUP, bframes=2, height=96, width=160),
    "mpeg4-mkv": Film(".mkv", 100, gop=GROUP, codec="mpeg4", height=96, width=160),
    "mjpeg-avi": Film(".avi", 60, codec="mjpeg", height=96, width=160),
}


@pytest.mark.parametrize("at", [40, 41, 47, 59])
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_costs_its_group_and_fakes_nothing(name: str, at: int, film_path: FilmPath, tmp_path: Path) -> None:
    path = film_path(DAMAGED[name])
    truth, spans = plain_digests(path), packets(path)
    hurt = tmp_path / f"hurt{path.suffix}"
    hurt.write_bytes(scrambled(path.read_bytes(), [(p.at, p.size) for p in spans[at : at + 2]], seed=at))
    index = probe(hurt).index
    assert len(index) == len(truth)
    # Where pictures are counted, those that the decoder still held when a damaged key frame came cannot be told.
    lost = range(38 if name == "h264-b-avi" and at == 40 else 40, 80 if at == 59 else 60)
    for threads in (1, 3):
        for wanted in (everything(index), everything(index)[::7]):
            got = digests(hurt, index, wanted, threads)
            assert all(truth[i] == told for i, told in got.items()), "a faked picture was delivered"
            assert set(wanted.tolist()) - set(got) <= set(lost)
            assert len(wanted) < len(index) or len(got) < len(index)


def test_what_stands_before_damage_in_its_group_is_delivered(film_path: FilmPath, tmp_path: Path) -> None:
    path = film_path(DAMAGED["h264-b-mkv"])
    spans = packets(path)[50:52]
    hurt = tmp_path / "hurt.mkv"
    hurt.write_bytes(scrambled(path.read_bytes(), [(p.at, p.size) for p in spans]))
    index = probe(hurt).index
    for threads in (1, 4):
        assert set(range(48)) <= set(digests(hurt, index, everything(index), threads))


def without(path: Path, target: Path, lost: set[int]) -> Path:
    """A copy of a recording that lacks some of its packets, as a recorder leaves it when its network fails."""
    with av.open(str(path)) as container, av.open(str(target), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(container.demux(stream)):
            if packet.size and number not in lost:
                packet.stream = copy
                out.mux(packet)
    return target


@pytest.mark.parametrize("name", ["h264-mkv", "h264-b-mkv", "h264-b-mp4"])
@pytest.mark.parametrize("lost", [{47}, {40}, {58, 59}, {25, 67}])
def test_packets_that_were_never_written_fake_nothing(
    name: str, lost: set[int], film_path: FilmPath, tmp_path: Path
) -> None:
    path = film_path(DAMAGED[name])
    with av.open(str(path)) as container:
        times = {frame.time: digest(frame) for frame in container.decode(container.streams.video[0])}
    hurt = without(path, tmp_path / f"hurt{path.suffix}", lost)
    found = probe(hurt).index
    groups = {number // GROUP for number in lost}
    for threads in (1, 3):
        for wanted in (everything(found), everything(found)[::7]):
            got = digests(hurt, found, wanted, threads)
            for number, told in got.items():
                assert times[float(int(found.pts[number]) * found.time_base)] == told, "a faked picture was delivered"
            missed = {round(found.t_us[i] / 40_000) // GROUP for i in wanted if int(i) not in got}
            assert missed <= groups


def test_a_key_frame_that_is_passed_over_leaves_nothing_to_lean_on(film_path: FilmPath, tmp_path: Path) -> None:
    # The key frame's packet is turned into one that decoders pass over without a word (an access unit delimiter).
    path = film_path(DAMAGED["h264-mkv"])
    truth, key = plain_digests(path), packets(path)[40]
    content = bytearray(path.read_bytes())
    content[key.at : key.at + 5] = (key.size - 4).to_bytes(4, "big") + b"\x09"
    hurt = tmp_path / "hurt.mkv"
    hurt.write_bytes(content)
    index = probe(hurt).index
    for wanted in (everything(index), everything(index)[::7]):
        got = digests(hurt, index, wanted)
        assert all(truth[i] == told for i, told in got.items())
        assert set(wanted.tolist()) - set(got) == {int(i) for i in wanted if 40 <= i < 60}


def test_lost_packets_of_a_transport_stream_fake_nothing(film_path: FilmPath, tmp_path: Path) -> None:
    path = film_path(Film(".ts", 100, gop=GROUP, bframes=2, height=96, width=160))
    with av.open(str(path)) as container:
        times = {frame.pts: digest(frame) for frame in container.decode(container.streams.video[0])}
    content = path.read_bytes()
    for start in (0.3, 0.45, 0.6):
        first = int(start * len(content)) // 188 * 188
        hurt = tmp_path / "hurt.ts"
        hurt.write_bytes(content[:first] + content[first + 5 * 188 :])
        index = probe(hurt).index
        got = digests(hurt, index, everything(index), 2)
        assert all(times.get(int(index.pts[i])) == told for i, told in got.items())
        assert len(index) - len(got) <= 2 * GROUP
        assert len(got) >= len(times) - 2 * GROUP


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi"])
def test_a_truncated_file_gives_what_it_holds(suffix: str, film_path: FilmPath, tmp_path: Path) -> None:
    path = film_path(Film(suffix, 100, gop=GROUP, height=96, width=160))
    truth, content = plain_digests(path), path.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(len(content) * 0.62)])
    index = probe(cut).index
    got = digests(cut, index, everything(index))
    assert 20 < len(index) < 90
    assert set(range(len(index) - 1)) <= set(got)  # the last one may be cut in the middle
    assert all(truth[i] == told for i, told in got.items())


def test_pictures_before_the_first_key_frame_are_not_delivered(film_path: FilmPath, tmp_path: Path) -> None:
    path = film_path(Film(".ts", 60, gop=20))
    truth = plain_digests(path)
    with av.open(str(path)) as container, av.open(str(tmp_path / "late.ts"), "w", format="mpegts") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(container.demux(stream)):
            if packet.size and number >= 8:
                packet.stream = copy
                out.mux(packet)
    index = probe(tmp_path / "late.ts").index
    assert len(index) == 52
    assert index.keys[0] == 12
    got = digests(tmp_path / "late.ts", index, everything(index), 3)
    assert got == {i: truth[i + 8] for i in range(12, 52)}
    assert digests(tmp_path / "late.ts", index, np.array([3])) == {}


def test_key_frames_in_name_only_are_not_begun_at(film_path: FilmPath, tmp_path: Path) -> None:
    # Matroska marks key frames itself; a sloppy recorder marks every packet of a codec that FFmpeg does not look into.
    path = film_path(Film(".mkv", 60, gop=20, codec="msmpeg4"))
    truth, content = plain_digests(path), bytearray(path.read_bytes())
    for packet in packets(path):
        content[packet.at - 1] |= 0x80
    boast = tmp_path / "boast.mkv"
    boast.write_bytes(content)
    index = probe(boast).index
    assert index.is_key.all()
    for wanted in ([7], [30], [5, 25, 59], list(range(60))):
        assert digests(boast, index, np.array(wanted)) == {i: truth[i] for i in wanted}


def test_a_file_that_is_another_recording_now_is_an_error_and_no_endless_search(
    film_path: FilmPath, tmp_path: Path
) -> None:
    index = probe(film_path(Film(".mkv", 300, gop=25))).index
    shorter = film_path(Film(".mkv", 60, gop=25))
    with pytest.raises(DecodeError, match="run ingest again"):
        list(decode(shorter, index, np.array([290]), threads=1))
    with pytest.raises(DecodeError, match="run ingest again"):
        list(decode(shorter, index, everything(index), threads=2))
    with pytest.raises(DecodeError, match="cannot be opened"):
        list(decode(tmp_path / "gone.mkv", index, np.array([1])))
    (tmp_path / "text.mkv").write_text("no recording\n" * 50)
    with pytest.raises(DecodeError, match="cannot be opened"):
        list(decode(tmp_path / "text.mkv", index, np.array([1])))


def threads_now() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_closing_early_leaves_no_thread_and_no_open_file(film_path: FilmPath) -> None:
    path = film_path(FILMS["h264-b-mp4"])
    index = probe(path).index
    gc.collect()
    threads, files = threads_now(), len(os.listdir("/proc/self/fd"))
    pictures = decode(path, index, everything(index), threads=4)
    for _ in range(5):
        next(pictures)
    assert threads_now() > threads
    pictures.close()  # type: ignore[attr-defined]  # it is a generator
    del pictures
    gc.collect()
    for _ in range(100):
        if threads_now() <= threads:
            break
        time.sleep(0.02)
    assert threads_now() <= threads
    assert len(os.listdir("/proc/self/fd")) <= files


def first_picture(path: Path) -> Picture:
    return next(decode(path, probe(path).index, np.array([0], dtype=np.int64), threads=1))


def test_a_picture_s_views_have_the_sizes_asked_for(film_path: FilmPath) -> None:
    picture = first_picture(film_path(FILMS["h264-mp4"]))
    assert picture.size == (48, 64)
    assert picture.rgb().shape == (48, 64, 3)
    assert picture.rgb() is picture.rgb()
    assert picture.grey(32).shape == (24, 32)
    assert picture.grey(320).shape == (240, 320)
    region = Region.box("door", 0.25, 0.5, 0.5, 0.25)
    for size in ((8, 8), (17, 5), (224, 224)):
        for where in (WHOLE, region, Region("bay", ((0.1, 0.1), (0.9, 0.2), (0.5, 0.9)))):
            view = picture.view(where, size)
            assert view.shape == (*size, 3)
            assert view.dtype == np.uint8
            assert picture.view(where, size) is view


def test_a_view_is_the_region_s_area_average(film_path: FilmPath) -> None:
    picture = first_picture(film_path(FILMS["h264-mp4"]))
    part = picture.rgb()[24:48, 32:64].astype(np.float64)
    view = picture.view(Region.box("corner", 0.5, 0.5, 0.5, 0.5), (6, 8)).astype(np.float64)
    assert np.abs(view - part.reshape(6, 4, 8, 4, 3).mean(axis=(1, 3))).max() <= 1
    whole = picture.view(WHOLE, (12, 16)).astype(np.float64)
    averages = picture.rgb().astype(np.float64).reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    luma = np.array([0.299, 0.587, 0.114])  # colours are coarser than brightness, and reduced in another order
    assert np.abs(whole @ luma - averages @ luma).mean() < 6


def test_digests_tell_pictures_apart_and_repeat(film_path: FilmPath) -> None:
    path = film_path(FILMS["h264-mp4"])
    told = [picture.digest() for picture in decode(path, probe(path).index, np.arange(10), threads=1)]
    again = [picture.digest() for picture in decode(path, probe(path).index, np.arange(10), threads=3)]
    assert told == again
    assert len(set(told)) == 10
    assert all(len(value) == 16 for value in told)
