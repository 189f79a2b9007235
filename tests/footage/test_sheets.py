"""Captions, contact sheets and the figure of segments: everything in its place, and legible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.sheets import PROBABILITY, SCORE, TRACK, TRUTHS, SegmentCell, contact_sheet, draw_caption, segment_figure
from footage.writing import Picture
from infra.errors import ConfigurationError


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_caption_shows_bright_and_dark_letters_on_any_ground(tone: int) -> None:
    plain: Picture = np.full((180, 320, 3), tone, np.uint8)
    drawn = draw_caption(plain, "hall-east 08:00:12.300")
    corner = drawn[140:, :200].mean(axis=2)
    assert corner.max() - corner.min() > 200
    assert (plain == tone).all()
    assert (drawn[:140] == tone).all()


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200))
def test_caption_takes_any_text_and_stays_inside(text: str) -> None:
    drawn = draw_caption(np.zeros((60, 90, 3), np.uint8), text)
    assert drawn.shape == (60, 90, 3)
    assert (drawn[:, -1] == 0).all()


def test_contact_sheet_lays_pictures_out_in_rows_with_their_proportions() -> None:
    pictures = [np.full((90, 160, 3), tone, np.uint8) for tone in (60, 110, 160, 210)]
    sheet = contact_sheet(pictures, ["a", "b", "c", "d"], columns=3, width=500)
    assert sheet.shape[1] == 500
    assert sheet.dtype == np.uint8
    cell = (500 - 4 * 6) // 3
    high = round(cell * 90 / 160)
    assert [int(sheet[6 + high // 2, 6 + i * (cell + 6) + cell // 2, 0]) for i in range(3)] == [60, 110, 160]
    second_row = 6 + high + 20 + 6
    assert int(sheet[second_row + high // 2, 6 + cell // 2, 0]) == 210
    assert (sheet[second_row : second_row + high, cell + 20 :] == 24).all()
    assert sheet[6 + high : second_row - 6].max() > 180  # the captions


def test_contact_sheet_refuses_what_it_cannot_lay_out() -> None:
    one = np.zeros((9, 16, 3), np.uint8)
    for pictures, captions, columns, width in (
        ([], [], 1, 100),
        ([one], [], 1, 100),
        ([one], ["a"], 3, 100),
        ([one], ["a"], 0, 100),
    ):
        with pytest.raises(ConfigurationError):
            contact_sheet(pictures, captions, columns, width)


def shown(figure: Picture, colour: tuple[int, int, int], near: int = 0) -> int:
    """Pixels of a colour, or of one that is nearly the same."""
    return int((np.abs(figure.astype(int) - colour).max(axis=2) <= near).sum())


@pytest.mark.parametrize(("probability", "score"), [(0.0, 1.0), (0.25, 0.5), (1.0, 0.0), (None, None)])
def test_bars_are_as_long_as_the_values_they_stand_for(probability: float | None, score: float | None) -> None:
    picture = np.full((90, 160, 3), 128, np.uint8)
    figure = segment_figure([SegmentCell(picture, "08:00:00 score", "", probability, score)], 1, 412)
    whole, height = (412 - 2 * 6 - 2) // 2, 9
    for value, colour in ((probability, PROBABILITY), (score, SCORE)):
        assert shown(figure, colour) == round((value or 0.0) * whole) * height
    assert shown(figure, TRACK) >= 2 * whole * height - shown(figure, PROBABILITY) - shown(figure, SCORE)


def test_the_truth_is_told_in_a_colour_of_its_own() -> None:
    picture = np.full((90, 160, 3), 128, np.uint8)
    counts = {}
    for truth in ("", "confirmed", "dismissed"):
        figure = segment_figure([SegmentCell(picture, "", truth)], 1, 200)
        counts[truth] = [shown(figure, colour, near=60) > 10 for colour in TRUTHS.values()]
    assert counts == {"": [False, False], "confirmed": [True, False], "dismissed": [False, True]}


def test_a_figure_has_a_cell_for_each_segment_and_is_the_same_every_time() -> None:
    tones = (60, 110, 160)
    cells = [SegmentCell(np.full((90, 160, 3), tone, np.uint8), "a", "confirmed", 0.3, 0.9) for tone in tones]
    figure = segment_figure(cells, 2, 500)
    assert figure.shape[1] == 500
    cell = (500 - 3 * 6) // 2
    high = round(cell * 90 / 160)
    below = figure.shape[0] // 2
    assert [int(figure[6 + high // 2, 6 + i * (cell + 6) + cell // 2, 0]) for i in range(2)] == [60, 110]
    assert int(figure[below + 6 + high // 2, 6 + cell // 2, 0]) == 160
    assert (segment_figure(cells, 2, 500) == figure).all()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_bar_stands_for_a_value_between_0_and_1(value: float) -> None:
    picture = np.zeros((9, 16, 3), np.uint8)
    with pytest.raises(ConfigurationError, match="0 to 1"):
        SegmentCell(picture, "", score=value)
    with pytest.raises(ConfigurationError, match="0 to 1"):
        SegmentCell(picture, "", probability=value)
    with pytest.raises(ConfigurationError, match="at least one"):
        segment_figure([], 1, 100)
