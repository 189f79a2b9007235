"""What a comparison of recognition networks prints: Markdown for people, CSV and JSON for programs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.anomaly_tables import shown
from evaluation.csv_text import csv_text
from evaluation.markdown import table
from evaluation.protocols.action_recognition import PAIRED_CLIPS, PROTOCOL, Entry, Measured, RecognitionReport

TITLES = (
    "network",
    "top-1",
    "top-5",
    "seconds per sample",
    "× bare network",
    "clips per second",
    "parameters",
    "multiply-adds per view",
    "views",
)
MOST_LEFT_OUT = 20
"""Clips left out that are named in the text; the JSON names all."""


def to_json(report: RecognitionReport) -> dict[str, Any]:
    """The object that `--json` prints."""
    return {
        "protocol": PROTOCOL,
        "data": report.data,
        "notes": list(report.notes),
        "left_out": list(report.left_out),
        "networks": [
            {
                "name": one.entry.name,
                "classes": len(one.entry.classes),
                "look": one.entry.look,
                "device": one.entry.device,
                "views": one.entry.views,
            }
            for one in report.networks
        ],
        "results": [result.to_json() for result in report.results],
    }


def to_csv(report: RecognitionReport) -> str:
    """One row for each number; empty where it is undefined."""
    rows = []
    for one in report.results:
        numbers = (f"{value:.6g}" if math.isfinite(value) else "" for value in (one.value, one.low, one.high))
        rows.append((one.name, one.metric, *numbers, one.n))
    return csv_text(("name", "metric", "value", "low", "high", "n"), rows)


def clips_csv(report: RecognitionReport) -> str:
    """One row for each clip and network: its class, what it was taken for, and how sure."""
    rows = []
    for measured in report.networks:
        classes = measured.entry.classes
        for at, clip in enumerate(measured.clips):
            probabilities = measured.scores[at]
            taken, own = int(np.argmax(probabilities)), int(measured.truth[at])
            sure = (f"{probabilities[index]:.6f}" for index in (taken, own))
            rows.append((measured.entry.name, clip.name, classes[own], classes[taken], *sure))
    return csv_text(("name", "clip", "class", "taken_for", "probability", "probability_of_class"), rows)


def to_markdown(report: RecognitionReport, command: str) -> str:
    """What was run and by which command, then a row for each network.

    Args:
        report: the comparison.
        command: that makes it.
    """
    entries = [one.entry for one in report.networks]
    lines = [
        f"# Recognition: {report.data}",
        "",
        "Made by:",
        "",
        "```sh",
        command,
        "```",
        "",
        f"- {len(report.networks[0].clips)} clips of {len(set(report.networks[0].truth.tolist()))} classes "
        f"({report.clip_set.layout}).",
        *(
            f"- `{one.name}`: {one.look}; {len(one.classes)} classes, so that {chance(one)} is chance."
            for one in entries
        ),
        "- Seconds per sample: scaling, cropping and the network on all views of a clip; the clips per second hold the "
        f"decoding of the network's own pictures as well, as timed on the first {PAIRED_CLIPS} clips. "
        f"Device: {', '.join(sorted({one.device for one in entries}))}.",
        "- In brackets: 95 % interval by clip (Wilson).",
        *(f"- {note}" for note in report.notes),
        *_left_out(report.left_out),
        "",
        *table(TITLES, [_row(one) for one in report.networks]),
        "",
    ]
    return "\n".join(lines)


def chance(entry: Entry) -> str:
    """Top-1 of one who guesses among a network's classes."""
    return f"{1 / len(entry.classes):.3f}"


def _row(measured: Measured) -> list[str]:
    return [
        measured.entry.name,
        shown(measured.result("top1")),
        shown(measured.result("top5")),
        shown(measured.result("seconds_per_sample")),
        shown(measured.result("times_bare_network"), 2),
        shown(measured.result("clips_per_second"), 2),
        _counted(measured.entry.parameters),
        _counted(measured.entry.multiply_adds),
        str(measured.entry.views),
    ]


def _counted(number: float) -> str:
    if math.isnan(number):
        return "–"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"


def _left_out(left_out: Sequence[str]) -> list[str]:
    if not left_out:
        return []
    more = [f"  - and {len(left_out) - MOST_LEFT_OUT} more"] if len(left_out) > MOST_LEFT_OUT else []
    return [f"- Left out: {len(left_out)}", *(f"  - {one}" for one in left_out[:MOST_LEFT_OUT]), *more]
