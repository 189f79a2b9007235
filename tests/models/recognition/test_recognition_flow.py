"""The data flow of recognition networks: which pictures, what size, which crops."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from footage.decode import decode
from footage.images import read_image
from footage.index import FrameIndex
from footage.probe import probe
from infra.errors import ConfigurationError
from models.encoders.architectures import KINETICS_GREY, UNIT, Normalisation
from models.encoders.specs import describe, normalisation
from models.recognition.flow import RecognitionFlow, flow_of, pictures_at

Rgb = NDArray[np.uint8]

SLOWFAST = RecognitionFlow()


def frames_at(rate_hz: float, count: int) -> NDArray[np.int64]:
    return np.asarray(np.rint(np.arange(count) * 1e6 / rate_hz), np.int64)


def random_pictures(count: int, height: int, width: int, seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def test_a_view_has_slowfasts_length() -> None:
    assert SLOWFAST.length_us == 2_133_333
    assert (SLOWFAST.frames, SLOWFAST.stride, SLOWFAST.crop_px, SLOWFAST.normalisation) == (32, 2, 256, KINETICS_GREY)


def test_a_clip_of_one_views_length_gives_every_second_picture() -> None:
    (row,) = pictures_at(frames_at(30, 64), SLOWFAST.times_us(SLOWFAST.length_us))
    assert row.tolist() == list(range(0, 64, 2))


def test_one_view_lies_in_the_middle_and_ten_reach_from_end_to_end() -> None:
    ten_s = 10_000_000
    (middle,) = SLOWFAST.times_us(ten_s)
    assert middle[0] == (ten_s - SLOWFAST.length_us) // 2
    views = RecognitionFlow(clips=10).times_us(ten_s)
    assert views.shape == (10, 32)
    assert views[0, 0] == 0
    assert views[-1, 0] == ten_s - SLOWFAST.length_us
    # Each start is rounded down by itself.
    assert np.ptp(np.diff(views[:, 0])) <= 1


@pytest.mark.parametrize("clips", [1, 2, 3, 10])
def test_views_begin_where_pyslowfasts_do_with_offset_sampling(clips: int) -> None:
    """Reference: its `get_start_end_idx` with `use_offset`, in microseconds instead of pictures."""
    room = 10_000_000 - SLOWFAST.length_us
    starts = RecognitionFlow(clips=clips).times_us(10_000_000)[:, 0]
    wanted = [room // 2] if clips == 1 else [number * (room // (clips - 1)) for number in range(clips)]
    assert np.abs(starts - wanted).max() <= clips


def test_behind_the_end_of_a_short_clip_its_last_picture_stands() -> None:
    (row,) = pictures_at(frames_at(30, 20), SLOWFAST.times_us(666_667))
    assert row.tolist() == [*range(0, 20, 2), *([19] * 22)]


@settings(deadline=None)  # machines differ, and are shared
@given(
    duration_us=st.integers(1, 60_000_000),
    frames=st.integers(1, 40),
    stride=st.integers(1, 8),
    clips=st.integers(1, 12),
    segments=st.booleans(),
)
def test_times_stay_inside_a_clip_that_is_long_enough(
    duration_us: int, frames: int, stride: int, clips: int, segments: bool
) -> None:
    flow = RecognitionFlow(
        frames=frames, stride=stride, clips=clips, sampling="segments" if segments else "dense", rate_hz=25
    )
    times = flow.times_us(duration_us)
    assert times.shape == (clips, frames)
    assert times.dtype == np.int64
    assert (times >= 0).all()
    assert (np.diff(times, axis=1) >= 0).all()
    if segments or duration_us >= flow.length_us:
        assert times.max() < duration_us
    else:
        assert (times[:, 0] == 0).all()


def test_segments_are_looked_at_in_their_middles() -> None:
    flow = RecognitionFlow(frames=8, sampling="segments")
    assert flow.times_us(8_000_000).tolist() == [[500_000 + 1_000_000 * k for k in range(8)]]
    twice = RecognitionFlow(frames=8, sampling="segments", clips=2).times_us(8_000_000)
    assert twice[:, 0].tolist() == [250_000, 750_000]
    assert (np.diff(twice, axis=1) == 1_000_000).all()


@settings(deadline=None)  # machines differ, and are shared
@given(
    count=st.integers(1, 50),
    at=st.lists(st.integers(-10, 3_000_000), min_size=1, max_size=20),
)
def test_the_picture_at_a_time_is_the_last_that_has_begun(count: int, at: list[int]) -> None:
    t_us = frames_at(25, count)
    found = pictures_at(t_us, np.array(at, np.int64))
    assert found.tolist() == [max([k for k in range(count) if t_us[k] <= time], default=0) for time in at]


@pytest.mark.parametrize("shape", [(240, 320), (320, 240), (100, 100), (37, 211)], ids=str)
def test_pictures_are_scaled_as_published_networks_were_trained(shape: tuple[int, int]) -> None:
    """Reference: pytorchvideo's `short_side_scale`, bilinear without antialiasing."""
    flow = RecognitionFlow(short_side_px=64, crop_px=64)
    (picture,) = random_pictures(1, *shape)
    scaled = flow.scaled(picture)
    height, width = shape
    size = (64, width * 64 // height) if height <= width else (height * 64 // width, 64)
    unit = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    expected = interpolate(unit, size=size, mode="bilinear", align_corners=False)[0]
    assert scaled.dtype == torch.float32
    torch.testing.assert_close(scaled, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("upright", [False, True], ids=["lying", "upright"])
def test_three_crops_lie_along_the_long_side(upright: bool) -> None:
    """The red value of a pixel is its place along the long side."""
    flow = RecognitionFlow(short_side_px=8, crop_px=8, frames=2, crops=3, normalisation=UNIT)
    picture = np.zeros((8, 21, 3), np.uint8)
    picture[..., 0] = np.arange(21)
    pictures = np.stack([picture.transpose(1, 0, 2) if upright else picture] * 2)
    crops = flow.view(pictures)
    assert crops.shape == (3, 3, 2, 8, 8)
    along = crops[:, 0, 0, :, 0] if upright else crops[:, 0, 0, 0, :]
    assert (along * 255).round().int().tolist() == [list(range(8)), list(range(7, 15)), list(range(13, 21))]
    (centre,) = RecognitionFlow(short_side_px=8, crop_px=8, frames=2, normalisation=UNIT).view(pictures)
    assert torch.equal(centre, crops[1])


def test_a_crop_smaller_than_the_short_side_is_taken_from_its_middle() -> None:
    flow = RecognitionFlow(short_side_px=10, crop_px=4, frames=1, normalisation=UNIT)
    (picture,) = random_pictures(1, 10, 10)
    (crop,) = flow.view(picture[None])
    assert torch.equal((crop[:, 0] * 255).round(), torch.from_numpy(picture[3:7, 3:7]).permute(2, 0, 1).float())


def test_pixels_are_normalised_by_channel() -> None:
    flow = RecognitionFlow(
        short_side_px=4, crop_px=4, frames=1, normalisation=Normalisation((0.0, 0.5, 1.0), (1.0, 0.5, 0.25))
    )
    crop = flow.view(np.full((1, 4, 4, 3), 255, np.uint8))
    assert crop[0, :, 0, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_whichever_way_a_clip_is_decoded_the_tensors_are_the_same(tmp_path: Path) -> None:
    """A lossless clip read by our reader, by OpenCV, and as a folder of images."""
    pictures = random_pictures(40, 48, 64)
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"HFYU"), 30, (64, 48))
    for number, picture in enumerate(pictures):
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        writer.write(bgr)
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), bgr)
    writer.release()
    flow = RecognitionFlow(short_side_px=32, crop_px=32, frames=8, crops=3, clips=2)

    index = probe(path).index
    wanted = pictures_at(index.t_us, flow.times_us(index.extent_us))
    ours = {one.index: one.rgb() for one in decode(path, index, np.unique(wanted), threads=1)}
    capture = cv2.VideoCapture(str(path))
    theirs = []
    while (read := capture.read())[0]:
        theirs.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    capture.release()
    images = [read_image(file) for file in sorted(tmp_path.glob("*.png"))]

    even = pictures_at(frames_at(30, len(images)), flow.times_us(frames_at(30, 41)[-1].item()))
    assert wanted.tolist() == even.tolist()
    assert len(theirs) == len(images) == len(index)
    for row in wanted:
        mine = flow.view(np.stack([ours[int(number)] for number in row]))
        assert torch.equal(mine, flow.view(np.stack([pictures[int(number)] for number in row])))
        assert torch.equal(mine, flow.view(np.stack([theirs[int(number)] for number in row])))
        assert torch.equal(mine, flow.view(np.stack([images[int(number)] for number in row])))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pytorchvideo/slowfast_r50/random", (256, 256, 32, 2, 30.0)),
        ("pytorchvideo/slow_r50/random", (256, 256, 8, 8, 30.0)),
        ("pytorchvideo/x3d_s/random", (182, 182, 13, 6, 30.0)),
        ("torchvision/r2plus1d_18/random", (128, 112, 16, 2, 30.0)),
        ("afterwatch/c3d/random", (128, 112, 16, 1, 30.0)),
        ("afterwatch/resnet3d_50/random", (112, 112, 16, 1, 30.0)),
    ],
)
def test_a_networks_flow_is_that_of_its_encoder(name: str, expected: tuple[int, int, int, int, float]) -> None:
    spec = describe(name)
    flow = flow_of(spec, clips=10, crops=3)
    assert flow.normalisation == normalisation(spec.name)
    assert (flow.short_side_px, flow.crop_px, flow.frames, flow.stride, flow.rate_hz) == expected
    assert flow.views == 30
    assert flow.length_us == round(spec.snippet_s * 1e6)
    assert flow.sampling == "dense"


@pytest.mark.parametrize("name", ["afterwatch/tsn_r50/random", "afterwatch/tsm_r50+logits/random"])
def test_tsn_and_tsm_look_at_segments_of_the_whole_clip(name: str) -> None:
    flow = flow_of(describe(name))
    assert (flow.sampling, flow.frames, flow.short_side_px, flow.crop_px) == ("segments", 8, 256, 224)


@pytest.mark.parametrize("name", ["handcrafted/motion", "handcrafted/appearance", "autoencoder/istl/random"])
def test_what_is_no_video_network_has_no_flow(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no video network"):
        flow_of(describe(name))


def test_a_flow_is_told_in_words() -> None:
    assert SLOWFAST.words == "32 pictures in 2.13 s; short side 256, crop 256; 1 × 1 views"
    segments = RecognitionFlow(frames=8, sampling="segments", crop_px=224, clips=10, crops=3)
    assert segments.words == "8 pictures, one of each of as many segments; short side 256, crop 224; 10 × 3 views"


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_px": 300},
        {"crop_px": 0},
        {"frames": 0},
        {"stride": 0},
        {"rate_hz": 0.0},
        {"rate_hz": float("nan")},
        {"clips": 0},
        {"crops": 2},
        {"sampling": "sparse"},
    ],
    ids=str,
)
def test_what_no_flow_can_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        RecognitionFlow(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_picture_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8 RGB"):
        SLOWFAST.scaled(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="duration"):
        SLOWFAST.times_us(0)


def test_a_variable_rate_makes_no_difference_to_the_times() -> None:
    pts = np.cumsum([0, *([20, 60] * 40)])
    index = FrameIndex(pts, np.ones(len(pts), np.bool_), Fraction(1, 1000))
    (row,) = pictures_at(index.t_us, SLOWFAST.times_us(index.extent_us))
    (times,) = SLOWFAST.times_us(index.extent_us)
    assert all(index.t_us[shown] <= time < index.t_us[shown + 1] for shown, time in zip(row, times, strict=True))
