"""Our decoding beside what else reads video here, the pictures turned to RGB on every side: `decode`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import RATE_HZ, Clip, recording
from benchmarks.timing import Ratio, Report, core_count, ratio_of, take_turns
from footage.decode import decode
from footage.index import FrameIndex
from footage.probe import probe
from footage.sampling import sample
from infra.settings import AtRate, KeyFrames

CLIP = Clip(1920, 1080, 20)


def run_decode(report: Report, clip: Clip = CLIP, rounds: int = 3) -> list[Ratio]:
    """Time of OpenCV and of plain PyAV ÷ ours: every picture, one a second, key frames only; all cores for each."""
    path = recording(clip)
    index = probe(path).index
    every = np.arange(len(index), dtype=np.int64)
    each_second, keys = sample(index, AtRate()), sample(index, KeyFrames())
    report.say(f"decode, {clip.name}, {clip.seconds} s, {core_count()} threads each")

    def compare(what: str, wanted: NDArray[np.int64], others: dict[str, Callable[[], int]], target: str) -> list[Ratio]:
        counts = {name: run() for name, run in {"ours": lambda: _ours(path, index, wanted), **others}.items()}
        if set(counts.values()) != {len(wanted)}:
            raise RuntimeError(f"the readers disagree on how many pictures there are, expected {len(wanted)}: {counts}")
        report.say(f" {what}, {len(wanted)} pictures")
        times = take_turns({"ours": lambda: _ours(path, index, wanted), **others}, rounds, report)
        return [Ratio(f"{name} / ours, {what}", ratio_of(times, name, "ours"), target) for name in others]

    every_other = {"OpenCV": lambda: _opencv(path, 1), "PyAV": lambda: _pyav(path, 1)}
    second_other = {"OpenCV": lambda: _opencv(path, RATE_HZ), "PyAV": lambda: _pyav(path, RATE_HZ)}
    return [
        *compare("every picture", every, every_other, ">= 0.9"),
        *compare("one picture a second", each_second, second_other, ">= 1"),
        *compare("key frames", keys, {"PyAV": lambda: _pyav(path, 1, "NONKEY")}, ">= 0.9"),
    ]


def _ours(path: Path, index: FrameIndex, wanted: NDArray[np.int64]) -> int:
    return sum(picture.rgb().size > 0 for picture in decode(path, index, wanted, threads=core_count()))


def _opencv(path: Path, step: int) -> int:
    """Pictures between samples are grabbed and not converted, which is the best OpenCV can do."""
    capture, number, taken = cv2.VideoCapture(str(path)), 0, 0
    while capture.grab():
        if number % step == 0:
            taken += int(capture.retrieve()[0])
        number += 1
    capture.release()
    return taken


def _pyav(path: Path, step: int, skip_frame: Literal["DEFAULT", "NONKEY"] = "DEFAULT") -> int:
    taken = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.skip_frame = "AUTO", skip_frame
        for number, frame in enumerate(container.decode(stream)):
            if number % step == 0:
                taken += frame.to_ndarray(format="rgb24").size > 0
    return taken
