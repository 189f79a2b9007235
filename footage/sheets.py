"""Lays pictures out for people: captions, contact sheets, and the figure of segments with what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from footage.writing import Picture, check_picture
from infra.errors import ConfigurationError

FONT = cv2.FONT_HERSHEY_SIMPLEX
GAP = 6
LEAST_CELL = 40
CAPTION_HEIGHT, LINE_HEIGHT = 20, 15
BACKGROUND, TEXT, DIM = (24, 24, 24), (226, 228, 230), (150, 152, 156)
TRACK, PROBABILITY, SCORE = (58, 60, 64), (230, 159, 0), (86, 180, 233)
TRUTHS = {"confirmed": (213, 94, 0), "dismissed": (0, 158, 115)}
"""Colours of Okabe and Ito, which people who see colours differently tell apart."""


def draw_caption(rgb: Picture, text: str) -> Picture:
    """A copy of a picture with one line of small text burnt into its lower left corner.

    Light letters with a dark outline, legible on bright and dark alike; shrunk, then cut with "..", to fit the width.
    Letters outside ASCII become "?": OpenCV 4 has no others.

    Args:
        rgb: uint8 RGB, shape (H, W, 3).
        text: One line; empty draws nothing.

    Returns:
        uint8 RGB of the same shape.
    """
    check_picture(rgb)
    drawn: Picture = rgb.copy()
    if not text:
        return drawn
    height, width = rgb.shape[:2]
    margin = max(2, min(height, width) // 60)
    line, scale = _fitted(text, width - 2 * margin, min(1.2, max(0.36, height / 700)))
    left, bottom = margin, height - 1 - margin - round(5 * scale)
    rim = max(1, round(2 * scale))
    # A thicker pen would not outline the letters: from OpenCV 5 on it widens their spacing too.
    for right, down in product((-rim, 0, rim), repeat=2):
        cv2.putText(drawn, line, (left + right, bottom + down), FONT, scale, (12, 12, 14), 1, cv2.LINE_AA)
    cv2.putText(drawn, line, (left, bottom), FONT, scale, (250, 250, 246), 1, cv2.LINE_AA)
    return drawn


def contact_sheet(pictures: Sequence[Picture], captions: Sequence[str], columns: int, width: int) -> Picture:
    """Lays pictures out in rows, left to right, each over its caption.

    Args:
        pictures: At least one uint8 RGB picture (H, W, 3); sizes may differ, proportions are kept.
        captions: One line for each picture.
        columns: Pictures in a row.
        width: Width of the sheet in pixels, at least 40 for each column.

    Returns:
        uint8 RGB, shape (height that the rows need, width, 3).

    Raises:
        ConfigurationError: Nothing to show, captions missing, or no room.
    """
    if not pictures or len(pictures) != len(captions):
        raise ConfigurationError(
            f"{len(pictures)} pictures and {len(captions)} captions; give at least one picture and a caption for each"
        )
    sheet, cells = _laid_out(pictures, columns, width, CAPTION_HEIGHT)
    for caption, (left, top, cell) in zip(captions, cells, strict=True):
        _write_line(sheet, caption, (left + 1, top + CAPTION_HEIGHT - 6), cell, TEXT)
    return sheet


@dataclass(frozen=True, eq=False)
class SegmentCell:
    """A segment of `segment_figure`.

    Attributes:
        picture: uint8 RGB (H, W, 3), its keyframe.
        caption: one line: when, and why it is shown.
        truth: what is known of it, such as `confirmed` or `dismissed`; empty where nothing is.
        probability: 0 to 1, that it is what a head looks for; None where no head says so.
        score: 0 to 1, what it was ranked by; None where it was not.
    """

    picture: Picture
    caption: str
    truth: str = ""
    probability: float | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        check_picture(self.picture)
        for name, value in (("probability", self.probability), ("score", self.score)):
            if value is not None and not 0 <= value <= 1:
                raise ConfigurationError(f"{name} of a segment is 0 to 1, or None where there is none, got {value}")


def segment_figure(cells: Sequence[SegmentCell], columns: int, width: int) -> Picture:
    """Segments side by side: the keyframe over its caption, the truth, and probability and score as bars from 0 to 1.

    Args:
        cells: At least one.
        columns: Segments in a row.
        width: Width of the figure in pixels, at least 40 for each column.

    Returns:
        uint8 RGB, shape (height that the rows need, width, 3).

    Raises:
        ConfigurationError: Nothing to show, or no room.
    """
    if not cells:
        raise ConfigurationError("no segment to show; give at least one")
    pictures = [cell.picture for cell in cells]
    figure, places = _laid_out(pictures, columns, width, CAPTION_HEIGHT + 3 * LINE_HEIGHT + GAP)
    for cell, (left, top, room) in zip(cells, places, strict=True):
        _write_line(figure, cell.caption, (left + 1, top + CAPTION_HEIGHT - 6), room, TEXT)
        under = top + CAPTION_HEIGHT
        _write_line(figure, f"truth {cell.truth or '-'}", (left + 1, under + 11), room, TRUTHS.get(cell.truth, DIM))
        _draw_bar(figure, "probability", cell.probability, (left + 1, under + LINE_HEIGHT, room - 2), PROBABILITY)
        _draw_bar(figure, "score", cell.score, (left + 1, under + 2 * LINE_HEIGHT, room - 2), SCORE)
    return figure


def _laid_out(
    pictures: Sequence[Picture], columns: int, width: int, strip: int
) -> tuple[Picture, list[tuple[int, int, int]]]:
    """Pictures in rows on one sheet; also left edge, upper edge and width of the strip of `strip` pixels under each."""
    if columns < 1 or width < LEAST_CELL * columns:
        raise ConfigurationError(
            f"{columns} columns in {width} px; use at least one column and {LEAST_CELL} px for each"
        )
    for picture in pictures:
        check_picture(picture)
    cell = (width - GAP * (columns + 1)) // columns
    highs = [max(1, round(cell * picture.shape[0] / picture.shape[1])) for picture in pictures]
    rows = [max(highs[first : first + columns]) + strip + GAP for first in range(0, len(highs), columns)]
    sheet: Picture = np.full((GAP + sum(rows), width, 3), BACKGROUND, np.uint8)
    strips = []
    for index, (picture, high) in enumerate(zip(pictures, highs, strict=True)):
        row, column = divmod(index, columns)
        top, left = GAP + sum(rows[:row]), GAP + column * (cell + GAP)
        method = cv2.INTER_AREA if picture.shape[1] > cell else cv2.INTER_LINEAR
        sheet[top : top + high, left : left + cell] = cv2.resize(picture, (cell, high), interpolation=method)
        strips.append((left, GAP + sum(rows[: row + 1]) - GAP - strip, cell))
    return sheet, strips


def _write_line(
    sheet: Picture, text: str, at: tuple[int, int], room: int, colour: tuple[int, int, int], scale: float = 0.42
) -> None:
    line, scale = _fitted(text, room, scale)
    cv2.putText(sheet, line, at, FONT, scale, colour, 1, cv2.LINE_AA)


def _draw_bar(
    sheet: Picture, name: str, value: float | None, at: tuple[int, int, int], colour: tuple[int, int, int]
) -> None:
    """A line of the form ``name  0.70  ▮▮▮▮▯▯`` at (left, top) and as wide as told; the bar of what is unknown is empty."""
    left, top, wide = at
    told = f"{name} -" if value is None else f"{name} {value:.2f}"
    bar = wide // 2
    _write_line(sheet, told, (left, top + 11), wide - bar - GAP, TEXT)
    from_x, to_x = left + wide - bar, left + wide
    sheet[top + 3 : top + 12, from_x:to_x] = TRACK
    if value is not None:
        sheet[top + 3 : top + 12, from_x : from_x + round(value * bar)] = colour


def _fitted(text: str, room: int, scale: float) -> tuple[str, float]:
    """The text and letter size that fit into ``room`` pixels: smaller first, then shorter."""
    line = "".join(letter if " " <= letter <= "~" else "?" for letter in text)

    def wide(some: str, size: float) -> int:
        return int(cv2.getTextSize(some, FONT, size, 1)[0][0])

    smaller = scale
    while smaller > 0.32 and wide(line, smaller) > room:
        smaller = max(0.32, smaller * 0.92)
    if wide(line, smaller) <= room:
        return line, smaller
    while line and wide(line + "..", smaller) > room:
        line = line[:-1]
    return line + "..", smaller
