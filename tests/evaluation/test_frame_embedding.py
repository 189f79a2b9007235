"""Embedding of labelled videos: the vectors are those of the pictures, whatever the source, and are kept by content."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.datasets.base import LabelledVideo
from evaluation.datasets.read import read_data
from evaluation.embedding import Embedded, embed_video, pictures_of, sampled_frames
from footage.decode import decode
from footage.regions import WHOLE, Region
from infra.errors import ConfigurationError
from models.encoders.base import Encoder, EncoderSpec
from models.encoders.build import build
from models.encoders.specs import describe

CORNER = Region.box("corner", 0.0, 0.0, 0.5, 0.5)


@pytest.fixture(scope="module")
def appearance() -> Encoder:
    return build(describe("handcrafted/appearance"))


@pytest.fixture(scope="module")
def motion() -> Encoder:
    return build(describe("handcrafted/motion"))


def test_frames_are_taken_up_to_the_rate(clips: Path) -> None:
    index = read_data(clips).videos[0].index
    assert sampled_frames(index, 10.0).tolist() == list(range(120))
    assert sampled_frames(index, 30.0).tolist() == list(range(120))
    assert sampled_frames(index, 5.0).tolist() == list(range(0, 120, 2))


def test_a_snippet_has_its_frame_in_the_middle(clips: Path) -> None:
    index = read_data(clips).videos[0].index
    spec = EncoderSpec("a/b", "snippet", (8, 8), "none", "none", snippet_frames=4, snippet_rate_hz=10.0)
    frames = np.array([0, 10, 119])
    assert pictures_of(index, frames, spec).tolist() == [[0, 0, 0, 1], [8, 9, 10, 11], [117, 118, 119, 119]]
    assert pictures_of(index, frames, describe("handcrafted/appearance")).tolist() == [[0], [10], [119]]


def test_vectors_of_images_are_those_of_the_pictures(clips: Path, appearance: Encoder, motion: Encoder) -> None:
    video = read_data(clips).videos[0]
    frames, snippets = embed_video(video, CORNER, [appearance, motion], rate_hz=2.0)
    assert frames.frames.tolist() == snippets.frames.tolist() == list(range(0, 120, 5))
    whole = [cv2.imread(str(video.source / f"{number:03d}.png")) for number in range(1, 121)]
    parts = [np.ascontiguousarray(picture[:24, :32, ::-1]) for picture in whole if picture is not None]
    looked = np.stack([cv2.resize(parts[n], (128, 128), interpolation=cv2.INTER_LINEAR) for n in frames.frames])
    assert np.allclose(frames.vectors, unit(appearance.encode(looked.astype(np.uint8))), atol=1e-6)
    runs = pictures_of(video.index, snippets.frames, motion.spec)
    views = [cv2.resize(part, (160, 120), interpolation=cv2.INTER_LINEAR) for part in parts]
    stacked = np.stack([[views[n] for n in run] for run in runs[[3, 20]]]).astype(np.uint8)
    assert np.allclose(snippets.vectors[[3, 20]], unit(motion.encode(stacked)), atol=1e-6)


def test_vectors_of_a_film_are_those_of_its_decoded_pictures(small_footage: Path, appearance: Encoder) -> None:
    video = next(video for video in read_data(small_footage).videos if video.source.suffix == ".mp4")
    (embedded,) = embed_video(video, WHOLE, [appearance], rate_hz=2.0)
    size = appearance.spec.input_size
    pictures = decode(video.source, video.index, sampled_frames(video.index, 2.0))
    direct = appearance.encode(np.stack([picture.view(WHOLE, size) for picture in pictures]))
    assert np.allclose(embedded.vectors, unit(direct), atol=1e-6)


def test_frames_that_cannot_be_decoded_are_left_out(small_footage: Path, appearance: Encoder, motion: Encoder) -> None:
    (damaged,) = [video for video in read_data(small_footage).videos if video.source.suffix == ".mkv"]
    frames, snippets = embed_video(damaged, WHOLE, [appearance, motion])
    assert 0 < len(frames.frames) < len(damaged.index)
    assert set(snippets.frames.tolist()) <= set(frames.frames.tolist())
    for embedded in (frames, snippets):
        assert len(embedded.vectors) == len(embedded.frames) and (np.diff(embedded.frames) > 0).all()


def test_what_was_made_before_is_read_again(clips: Path, tmp_path: Path, appearance: Encoder) -> None:
    folder, cache = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(clips, folder)
    video = read_data(folder).videos[0]
    (made,) = embed_video(video, CORNER, [appearance], cache=cache)
    (kept,) = cache.iterdir()
    shutil.rmtree(folder)
    same(made, embed_video(video, CORNER, [appearance], cache=cache)[0])  # there is nothing left to decode
    shutil.copytree(clips, folder)
    embed_video(video, WHOLE, [appearance], cache=cache)
    assert len(list(cache.iterdir())) == 2
    kept.write_bytes(b"cut short")
    same(made, embed_video(video, CORNER, [appearance], cache=cache)[0])


def test_an_unreadable_image_is_named(clips: Path, tmp_path: Path, appearance: Encoder) -> None:
    shutil.copytree(clips, tmp_path / "data")
    (tmp_path / "data/Test/Test002/007.png").write_bytes(b"no picture")
    video: LabelledVideo = read_data(tmp_path / "data").videos[1]
    with pytest.raises(ConfigurationError, match=r"Test002/007\.png"):
        embed_video(video, WHOLE, [appearance])


def unit(
    vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def same(one: Embedded, other: Embedded) -> None:
    assert np.array_equal(one.frames, other.frames) and np.array_equal(one.vectors, other.vectors)
