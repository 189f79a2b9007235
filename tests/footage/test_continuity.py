"""A lost reference picture is noticed in every dialect of H.264; a whole stream never is."""

import av
import pytest

from footage.continuity import Continuity
from tests.footage.conftest import FilmPath
from tests.footage.films import Film

DIALECTS = {
    "plain": Film(".mkv", 60, gop=20),
    "annex-b": Film(".ts", 60, gop=20),
    "in avi": Film(".avi", 60, gop=20, bframes=2),
    "b-frames": Film(".mp4", 60, gop=20, bframes=3, x264=":b-pyramid=normal"),
    "open groups": Film(".mkv", 60, gop=20, bframes=2, x264=":open-gop=1"),
    "scaling lists": Film(".mkv", 60, gop=20, x264=":cqm=jvt:8x8dct=1"),
    "baseline": Film(".mkv", 60, gop=20, x264=":cabac=0:8x8dct=0:weightp=0"),
    "interlaced": Film(".mkv", 60, gop=20, x264=":interlaced=1", height=64),
    "intra refresh": Film(".mkv", 60, gop=20, x264=":intra-refresh=1"),
    "long numbers": Film(".mkv", 120, gop=120, x264=":ref=8"),
}


def stream(film: Film, film_path: FilmPath) -> tuple[bytes | None, list[tuple[bytes, bool]]]:
    """Parameter sets, and each packet with whether others are made from it (its first slice's nal_ref_idc)."""
    with av.open(str(film_path(film))) as container:
        video = container.streams.video[0]
        found = [bytes(packet) for packet in container.demux(video) if packet.size]
        extradata = video.codec_context.extradata
    prefix = 4 if film.suffix in (".mkv", ".mp4") else 0
    return extradata, [(data, is_reference(data, prefix)) for data in found]


def is_reference(data: bytes, prefix: int) -> bool:
    units = [unit for unit in data.split(b"\0\0\1")[1:] if unit]
    at = 0
    while prefix and at < len(data):
        size = int.from_bytes(data[at : at + prefix], "big")
        units, at = [*units, data[at + prefix : at + prefix + size]], at + prefix + size
    return any(unit[0] & 31 in (1, 5) and unit[0] & 0x60 for unit in units if unit)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_whole_stream_is_never_broken(name: str, film_path: FilmPath) -> None:
    extradata, packets = stream(DIALECTS[name], film_path)
    for start in (0, 20, 40):
        continuity = Continuity(extradata)
        assert not any(continuity.is_broken_by(data) for data, _ in packets[start:])


@pytest.mark.parametrize("name", DIALECTS)
def test_a_lost_reference_is_noticed_at_the_next_picture(name: str, film_path: FilmPath) -> None:
    extradata, packets = stream(DIALECTS[name], film_path)
    lost = [number for number, (_, reference) in enumerate(packets[2:18], 2) if reference]
    assert lost
    for number in lost:
        continuity = Continuity(extradata)
        rest = packets[:number] + packets[number + 1 :]
        broken = [position for position, (data, _) in enumerate(rest) if continuity.is_broken_by(data)]
        assert broken[:1] == [number]


def test_a_lost_picture_that_nothing_refers_to_breaks_nothing(film_path: FilmPath) -> None:
    extradata, packets = stream(DIALECTS["b-frames"], film_path)
    kept = [data for data, reference in packets if reference]
    assert len(kept) < len(packets)
    continuity = Continuity(extradata)
    assert not any(continuity.is_broken_by(data) for data in kept)


@pytest.mark.parametrize("extradata", [None, b"", b"\x01", b"\x01" * 40, bytes(40), b"\0\0\1\x67"])
@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\1", b"\0\0\1\x65", b"\0\0\0\1\x41" + bytes(60), b"\xff" * 50])
def test_nonsense_is_left_to_the_decoder(extradata: bytes | None, data: bytes) -> None:
    assert not Continuity(extradata).is_broken_by(data)
