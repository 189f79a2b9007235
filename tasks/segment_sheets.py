"""The sheets of a day's summary: its best segments side by side, and what is known of each of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from footage.images import read_image
from footage.sheets import SegmentCell, contact_sheet, segment_figure
from footage.writing import write_jpeg

CONTACT, FIGURE = "contact.jpg", "segments.jpg"
COLUMNS, WIDTH = 4, 1280
JPEG_QUALITY = 85

Row = dict[str, Any]


def best_of(entries: Sequence[Row], most: int) -> list[Row]:
    """The entries with the highest scores that have a still, in the order of the summary."""
    best = sorted((entry for entry in entries if entry["still"]), key=lambda entry: (-entry["score"], entry["at_us"]))
    return sorted(best[:most], key=lambda entry: entry["at_us"])


def write_contact_sheet(folder: Path, best: Sequence[Row], clock: Callable[[datetime], str]) -> None:
    """Write the contact sheet of some entries of the summary in `folder`, at least one."""
    captions = [f"{clock(entry['taken_at'])}  {entry['reason']}" for entry in best]
    write_jpeg(folder / CONTACT, contact_sheet(_stills(folder, best), captions, COLUMNS, WIDTH), JPEG_QUALITY)


def write_figure(folder: Path, best: Sequence[Row], clock: Callable[[datetime], str]) -> None:
    """Write the figure of some entries, at least one: keyframe, truth, probability and score."""
    cells = [
        SegmentCell(
            still,
            f"{clock(entry['taken_at'])}  {entry['reason']}",
            entry["truth"],
            None if entry["probability"] is None else float(entry["probability"]),
            float(entry["score"]),
        )
        for still, entry in zip(_stills(folder, best), best, strict=True)
    ]
    write_jpeg(folder / FIGURE, segment_figure(cells, COLUMNS, WIDTH), JPEG_QUALITY)


def _stills(folder: Path, entries: Sequence[Row]) -> list[Any]:
    """Their stills as they were written: a sheet is the same whether they were made just now or long ago."""
    return [read_image(folder / entry["still"]) for entry in entries]
