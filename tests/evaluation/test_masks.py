"""Boxes painted over: what they cover says nothing any more, to any encoder, from pictures as from films."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.datasets.read import read_data
from evaluation.embedding import Looking, embed_video
from evaluation.masks import Mask, painted
from footage.regions import MASK_GREY, WHOLE
from infra.errors import ConfigurationError
from models.encoders.build import build
from models.encoders.specs import describe


def test_a_box_in_pixels_and_the_same_in_fractions() -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    pixels, fractions = Mask.parse("20,10,40,5"), Mask.parse("0.25,0.25,0.5,0.125")
    assert pixels.in_pixels and not fractions.in_pixels
    one, other = painted(picture, (pixels,)), painted(picture, (fractions,))
    assert np.array_equal(one, other) and not picture.any()
    assert (one[10:15, 20:60] == MASK_GREY).all() and np.count_nonzero(one) == 5 * 40 * 3
    assert painted(picture, ()) is picture


@pytest.mark.parametrize("wrong", ["1,2,3", "a,b,c,d", "0.5,0.5,0.6,0.1", "-1,2,3,4", "5,5,0,5"])
def test_a_wrong_box_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        Mask.parse(wrong)


def test_what_is_masked_decides_nothing(clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(clips, folder)
    for path in (folder / "Test/Test001").iterdir():
        picture = cv2.imread(str(path))
        assert picture is not None
        picture[4:14, 8:40] = np.random.default_rng(0).integers(0, 255, (10, 32, 3))
        cv2.imwrite(str(path), picture)
    encoders = [build(describe(f"handcrafted/{name}")) for name in ("appearance", "motion")]
    videos = [read_data(one).videos[0] for one in (clips, folder)]
    cache = tmp_path / "cache"
    for looking, same in ((Looking(False, True, (Mask.parse("8,4,32,10"),)), True), (Looking(False, True), False)):
        found = [embed_video(video, WHOLE, encoders, rate_hz=1.0, looking=looking, cache=cache) for video in videos]
        agree = [np.array_equal(one.vectors, other.vectors) for one, other in zip(*found, strict=True)]
        assert agree[0] == same  # the box stands still: motion sees little of it either way
        assert agree[1] or not same
    assert len(list(cache.iterdir())) == 8  # two videos, two encoders, with and without the mask


def test_vectors_keep_their_length_unless_it_is_taken(clips: Path, tmp_path: Path) -> None:
    encoder, video = build(describe("handcrafted/motion")), read_data(clips).videos[0]
    cache = tmp_path / "cache"
    raw, unit = (
        embed_video(video, WHOLE, [encoder], rate_hz=1.0, looking=Looking(unit_length=flag), cache=cache)[0].vectors
        for flag in (False, True)
    )
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.allclose(raw, unit * lengths, atol=1e-5) and not np.allclose(lengths, 1)
    assert len(list(cache.iterdir())) == 1


def test_snippets_inside_a_video_show_no_picture_twice(clips: Path) -> None:
    from evaluation.embedding import pictures_of, sampled_frames

    index, spec = read_data(clips).videos[0].index, describe("handcrafted/motion")
    frames = sampled_frames(index)
    shown = pictures_of(index, frames, spec, inside=True)
    assert all(len(set(row)) == spec.snippet_frames for row in shown.tolist())
    outside = pictures_of(index, frames, spec)
    middle = slice(10, -10)
    assert np.array_equal(shown[middle], outside[middle]) and not np.array_equal(shown, outside)
    assert shown.min() == 0 and shown.max() == len(index) - 1


def test_an_unreadable_image_is_lost_where_that_is_wanted(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "data")
    (tmp_path / "data/Test/Test002/050.png").write_bytes(b"no picture")
    video = read_data(tmp_path / "data").videos[1]
    encoders = [build(describe(f"handcrafted/{name}")) for name in ("appearance", "motion")]
    found = embed_video(video, WHOLE, encoders, looking=Looking(inside=True, skip_unreadable=True))
    assert set(range(120)) - set(found[0].frames.tolist()) == {49}
    lost = set(range(120)) - set(found[1].frames.tolist())
    assert lost and all(abs(frame - 49) <= 11 for frame in lost)
