"""Cuts are found where they are made, and nothing is decoded where nothing changes."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from footage import cuts
from footage.cuts import changed_spans, find_cuts
from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture
from footage.probe import probe

RATE = 10
PERIOD_US = 100_000
Film = Callable[..., tuple[Path, FrameIndex]]


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Makes a film of scenes, each of its own brightness, with a bright square that moves through all of them."""

    def make(scenes: Sequence[tuple[int, int]], *, grey: bool = True, gop: int = 20) -> tuple[Path, FrameIndex]:
        path = tmp_path / "film.mp4"
        rng = np.random.default_rng(5)
        still = rng.integers(0, 60, (48, 64, 1 if grey else 3), dtype=np.uint8)
        told = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:threads=1"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=RATE, options={"x264-params": told})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            number = 0
            for level, count in scenes:
                for _ in range(count):
                    picture = np.broadcast_to(still + np.uint8(level), (48, 64, 3)).copy()
                    picture[8:16, number % 48 : number % 48 + 8] = 255
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                    number += 1
            container.mux(stream.encode(None))
        found = probe(path)
        assert found.index is not None
        return path, found.index

    return make


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the pictures that were decoded."""
    numbers: list[int] = []

    def counting(path: Path, index: FrameIndex, wanted: NDArray[np.int64], **options: Any) -> Iterator[Picture]:
        numbers.extend(wanted.tolist())
        return decode(path, index, wanted, **options)

    monkeypatch.setattr(cuts, "decode", counting)
    return numbers


def test_a_cut_is_found_at_its_own_picture_and_only_its_span_is_decoded(film: Film, decoded: list[int]) -> None:
    path, index = film([(20, 33), (120, 40), (60, 27)])
    assert find_cuts(path, index, [(3_000_000, 4_000_000)], threads=1).tolist() == [3_300_000]
    assert set(decoded) == set(range(28, 43))
    assert find_cuts(path, index, [(7_000_000, 8_000_000), (3_000_000, 4_000_000)]).tolist() == [3_300_000, 7_300_000]


@pytest.mark.parametrize("span", [(0, 3_000_000), (3_400_000, 7_200_000), (7_300_000, 9_900_000)])
def test_where_there_is_no_cut_none_is_found(film: Film, span: tuple[int, int]) -> None:
    path, index = film([(20, 33), (120, 40), (60, 27)])
    assert find_cuts(path, index, [span]).tolist() == []


def test_a_span_ends_with_the_picture_it_names(film: Film) -> None:
    path, index = film([(20, 33), (120, 40)])
    assert find_cuts(path, index, [(3_200_000, 3_300_000)]).tolist() == [3_300_000]
    assert find_cuts(path, index, [(3_300_000, 3_400_000)]).tolist() == []
    assert find_cuts(path, index, []).tolist() == []


@pytest.mark.parametrize("scenes", [[(20, 1), (120, 12)], [(20, 12), (120, 1)], [(20, 1), (120, 1)]])
def test_the_first_and_the_last_picture_may_begin_a_scene(film: Film, scenes: list[tuple[int, int]]) -> None:
    path, index = film(scenes)
    assert find_cuts(path, index, [(0, int(index.t_us[-1]))]).tolist() == [scenes[0][1] * PERIOD_US]


def test_a_fade_is_no_cut(film: Film) -> None:
    path, index = film([(20, 20), *((20 + 5 * step, 1) for step in range(1, 21)), (120, 20)])
    assert find_cuts(path, index, [(0, 6_000_000)]).tolist() == []


def test_colours_count_by_their_brightness(film: Film) -> None:
    path, index = film([(20, 12), (100, 12)], grey=False)
    assert find_cuts(path, index, [(0, 2_300_000)]).tolist() == [1_200_000]


def test_sampled_pictures_tell_where_a_cut_may_be() -> None:
    t_us = np.arange(12, dtype=np.int64) * 1_000_000
    motion = np.array([0, 1, 2, 40, 1, 2, 1, 9, 1, 1, 25, 2], dtype=np.float64)
    assert changed_spans(t_us, motion) == [(2_000_000, 3_000_000), (6_000_000, 7_000_000), (9_000_000, 10_000_000)]
    assert changed_spans(t_us, motion + 10) == [(2_000_000, 3_000_000), (9_000_000, 10_000_000)], "more is usual there"
    assert changed_spans(t_us, np.minimum(motion, 7.9)) == []
    assert changed_spans(t_us[:1], motion[:1]) == []
    assert changed_spans(t_us[:0], motion[:0]) == []


def test_what_the_samples_tell_holds_every_cut(film: Film) -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(25, 45, 5).tolist()
    scenes = list(zip([20, 150, 60, 180, 30], counts, strict=True))
    path, index = film(scenes)
    samples = np.arange(0, len(index), RATE)
    greys = [picture.grey(64).astype(np.float64) for picture in decode(path, index, samples.astype(np.int64))]
    motion = np.array([0.0, *(float(np.abs(b - a).mean()) for a, b in pairwise(greys))])
    spans = changed_spans(index.t_us[samples], motion)
    assert len(spans) == 4
    expected = (np.cumsum(counts)[:-1] * PERIOD_US).tolist()
    assert find_cuts(path, index, spans).tolist() == expected
