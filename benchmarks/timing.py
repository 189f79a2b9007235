"""Ratios that hold on a machine that others use too: the things compared take turns, and medians are told."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2

Run = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Ratio:
    """One printed line: what was measured and what it should be."""

    name: str
    value: float
    target: str

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "value": round(self.value, 4), "target": self.target}


class Report:
    """Tells on stderr what is going on, unless it is to be quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def say(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)


def seconds(run: Run, clock: Clock = time.perf_counter) -> float:
    """Time that one call takes, wall time unless the clock is another."""
    began = clock()
    run()
    return clock() - began


def take_turns(
    runs: Mapping[str, Run], rounds: int, report: Report, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Times of every run, `rounds` of each, the order turned round each time (A B, B A, A B)."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs) if number % 2 == 0 else reversed(list(runs)):
            times[name].append(seconds(runs[name], clock))
    for name, taken in times.items():
        report.say(f"  {name}: {', '.join(f'{value:.2f}' for value in taken)} s")
    return times


def ratio_of(times: Mapping[str, list[float]], above: str, *below: str) -> float:
    """Median over the rounds of the time of `above` divided by the sum of those `below`."""
    rounds = zip(times[above], *(times[name] for name in below), strict=True)
    return float(median(first / sum(rest) for first, *rest in rounds))


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Hold every thread of this process, and OpenCV's pool, to `count` cores: what one worker of a night has."""
    before, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    _hold(set(sorted(before)[:count]))
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        _hold(before)
        cv2.setNumThreads(threads)


def _hold(allowed: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), allowed)
        except ProcessLookupError:
            continue  # the thread ended meanwhile
