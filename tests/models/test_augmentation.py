from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.augmentation import UNCHANGED, Augmentation, Pixels, centred, cropped, views

RECORDED = Augmentation(flip=0, rotation_deg=0, noise=0, blur_px=0)


def numbered(length: int, size: int = 8) -> Pixels:
    """uint8 (1, length, size, size, 3): every picture is of one grey that tells its number."""
    greys = np.arange(length, dtype=np.uint8)[None, :, None, None, None]
    return np.broadcast_to(greys, (1, length, size, size, 3)).copy()


def textured(length: int = 4, height: int = 24, width: int = 32) -> Pixels:
    """uint8 (1, length, height, width, 3), smooth, and the same picture throughout."""
    small = np.random.default_rng(5).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.repeat(picture[None, None], length, axis=1)


def told(made: Pixels) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in made]


def test_a_clip_as_long_as_a_view_is_left_as_it_is_where_nothing_may_change() -> None:
    clip = textured(16)
    made = views(clip, 3, np.random.default_rng(0), frames=16, augmentation=UNCHANGED)
    assert made.shape == (1, 3, 16, 24, 32, 3) and made.dtype == np.uint8
    assert all(np.array_equal(view, clip[0]) for view in made[0])


def test_the_same_generator_gives_the_same_views_and_another_gives_others() -> None:
    clips = np.concatenate([textured(20), numbered(20, 32)[:, :, :24]])
    first, second, other = (views(clips, 2, np.random.default_rng(seed), frames=8, step=1.5) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0, 0], first[0, 1]), "each view draws its own values"


@given(
    length=st.integers(1, 200),
    frames=st.integers(1, 32),
    step=st.floats(0.5, 6),
    seed=st.integers(0, 10_000),
)
def test_a_crop_stays_within_the_clip_in_order_and_within_the_bounds_of_its_rate(
    length: int, frames: int, step: float, seed: int
) -> None:
    bounds = Augmentation(slowest=0.5, fastest=2)
    chosen = cropped(length, frames, step, np.random.default_rng(seed), bounds)
    assert chosen.shape == (frames,) and chosen.min() >= 0 and chosen.max() < length
    assert (np.diff(chosen) >= 0).all()
    reach = int(chosen[-1] - chosen[0])
    assert reach <= (frames - 1) * step * 2 + 1
    # Only where the clip is too short for the slowest rate is less of it shown.
    if length - 1 >= (frames - 1) * step * 0.5:
        assert reach >= (frames - 1) * step * 0.5 - 1


def test_crops_begin_everywhere_and_run_faster_and_slower() -> None:
    random = np.random.default_rng(3)
    chosen = [cropped(101, 11, 4, random, Augmentation(slowest=0.5, fastest=2)) for _ in range(400)]
    steps = np.array([(one[-1] - one[0]) / 10 for one in chosen])
    assert 2 <= steps.min() < 2.2 and 7.6 < steps.max() <= 8
    assert 0.4 < np.mean(steps < 4) < 0.6, "twice as fast is as likely as half as fast"
    slack = np.array([one[0] / max(1, 100 - (one[-1] - one[0])) for one in chosen])
    assert slack.min() < 0.05 and slack.max() > 0.95 and 0.4 < slack.mean() < 0.6


def test_a_view_shows_the_pictures_of_its_crop() -> None:
    expected = cropped(60, 8, 3, np.random.default_rng(9), RECORDED)
    made = views(numbered(60), 1, np.random.default_rng(9), frames=8, step=3, augmentation=RECORDED)
    assert told(made[0, 0]) == expected.tolist()


def test_too_short_a_clip_ends_with_its_last_picture() -> None:
    made = views(numbered(3), 1, np.random.default_rng(0), frames=6, augmentation=UNCHANGED)
    assert told(made[0, 0]) == [0, 1, 2, 2, 2, 2]
    assert centred(3, 6, 1).tolist() == [0, 1, 2, 2, 2, 2]


def test_the_middle_of_a_clip() -> None:
    assert centred(9, 3, 2).tolist() == [2, 4, 6]
    assert centred(5, 1, 4).tolist() == [2]
    assert centred(16, 16, 1).tolist() == list(range(16))


def test_flips_exchange_left_and_right_as_often_as_asked() -> None:
    clip = textured()
    always = Augmentation(flip=1, rotation_deg=0, noise=0, blur_px=0, slowest=1, fastest=1)
    made = views(clip, 2, np.random.default_rng(0), frames=4, augmentation=always)
    assert all(np.array_equal(view, clip[0][:, :, ::-1]) for view in made[0])
    half = Augmentation(flip=0.5, rotation_deg=0, noise=0, blur_px=0)
    drawn = views(clip, 400, np.random.default_rng(0), frames=1, augmentation=half)[0]
    flipped = np.array([np.array_equal(view[0], clip[0, 0, :, ::-1]) for view in drawn])
    kept = np.array([np.array_equal(view[0], clip[0, 0]) for view in drawn])
    assert (flipped ^ kept).all() and 0.4 < flipped.mean() < 0.6


def test_rotation_turns_about_the_middle_by_no_more_than_asked() -> None:
    picture = np.zeros((1, 1, 101, 101, 3), np.uint8)
    picture[:, :, 48:53, 80:101] = 255
    turned = Augmentation(flip=0, rotation_deg=10, noise=0, blur_px=0)
    made = views(picture, 200, np.random.default_rng(4), frames=1, augmentation=turned)[0, :, 0, :, :, 0]
    down, across = np.mgrid[-50:51, -50:51]
    bar = (made > 127) & (across > 20) & (across < 45)
    angles = np.degrees([np.arctan2((one * down).sum(), (one * across).sum()) for one in bar])
    assert np.abs(angles).max() < 10.5 and angles.min() < -8 and angles.max() > 8


def test_pictures_of_a_view_are_turned_flipped_and_blurred_alike() -> None:
    still = Augmentation(noise=0)
    made = views(textured(30), 8, np.random.default_rng(0), frames=6, augmentation=still)[0]
    assert all((view == view[0]).all() for view in made)


def test_noise_is_new_in_each_picture_and_as_strong_as_asked() -> None:
    grey = np.full((1, 8, 64, 64, 3), 128, np.uint8)
    noisy = Augmentation(flip=0, rotation_deg=0, noise=12, blur_px=0)
    made = views(grey, 60, np.random.default_rng(2), frames=4, augmentation=noisy)[0].astype(np.float64)
    deviations = made.std(axis=(1, 2, 3, 4))
    assert deviations.max() < 12.3 and deviations.max() > 10 and deviations.min() < 2
    loud = made[deviations.argmax()]
    assert abs(np.corrcoef(loud[0].ravel(), loud[1].ravel())[0, 1]) < 0.05
    assert abs(loud.mean() - 128) < 0.5


def test_noise_does_not_wrap_around() -> None:
    noisy = Augmentation(flip=0, rotation_deg=0, noise=20, blur_px=0)
    for grey in (0, 255):
        clip = np.full((1, 1, 32, 32, 3), grey, np.uint8)
        made = views(clip, 10, np.random.default_rng(1), frames=1, augmentation=noisy).astype(np.int64)
        assert np.abs(made - grey).max() < 128


def test_blur_takes_detail_and_keeps_the_mean() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (1, 1, 48, 48, 3), dtype=np.uint8)
    blurred = Augmentation(flip=0, rotation_deg=0, noise=0, blur_px=3)
    made = views(clip, 20, np.random.default_rng(0), frames=1, augmentation=blurred)[0].astype(np.float64)
    deviations = made.std(axis=(1, 2, 3, 4))
    assert deviations.min() < clip.std() / 3 and (deviations <= clip.std() + 0.5).all()
    assert np.abs(made.mean(axis=(1, 2, 3, 4)) - clip.mean()).max() < 3


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 3), frames=st.integers(1, 5))
def test_views_have_the_shape_that_was_asked_for_and_leave_the_clip_alone(seed: int, count: int, frames: int) -> None:
    clip = textured(7)
    before = clip.copy()
    made = views(clip, count, np.random.default_rng(seed), frames=frames)
    assert made.shape == (1, count, frames, 24, 32, 3)
    assert np.array_equal(clip, before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip": 1.5},
        {"rotation_deg": -1},
        {"noise": -1},
        {"noise": 256},
        {"blur_px": -0.1},
        {"slowest": 0},
        {"slowest": 2, "fastest": 1},
        {"fastest": float("inf")},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got Augmentation"):
        Augmentation(**wrong)


def test_clips_of_another_form_are_refused() -> None:
    random = np.random.default_rng(0)
    wrongs: list[Any] = [textured()[0], textured().astype(np.float32), textured()[..., :1], textured()[:, :0]]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="uint8 \\(N, F, H, W, 3\\)"):
            views(wrong, 1, random, frames=1)
    with pytest.raises(ValueError, match="at least 1"):
        views(textured(), 1, random, frames=0)
    with pytest.raises(ValueError, match="not negative"):
        views(textured(), -1, random, frames=1)
