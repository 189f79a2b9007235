"""What grows with the footage and what does not: `scale`."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.clips import Clip, recording
from benchmarks.timing import Ratio, Report, ratio_of, take_turns
from benchmarks.workbench import APPEARANCE, MOTION, embed_all, ingest_and_plan, make_site, shards_of, temporary_site

CHECKOUT = Path(__file__).resolve().parents[1]
SHORT = Clip(1280, 720, 30)
EACH_S = 10
FEW = 2
TIMES = 10


def run_scale(report: Report, clip: Clip = SHORT, few: int = FEW, rounds: int = 3) -> list[Ratio]:
    """Peak memory of a recording ten times as long, and time of ten times as many recordings.

    The time is CPU time: runs of seconds and of a minute do not meet the same neighbours on a machine that others use.
    """
    longer = Clip(clip.width, clip.height, clip.seconds * TIMES)
    report.say(f"scale, memory of a process that embeds {clip.seconds} s and {longer.seconds} s, {clip.name}")
    memory = median(_peak_bytes(longer, report) / _peak_bytes(clip, report) for _ in range(rounds))
    each = Clip(clip.width, clip.height, EACH_S)
    recordings = [recording(each, number) for number in range(few * TIMES)]
    _ingest_and_embed(recordings[:1])
    report.say(f"scale, time of {few} and of {few * TIMES} recordings, {each.name}, {each.seconds} s each")
    runs = {"few": lambda: _ingest_and_embed(recordings[:few]), "many": lambda: _ingest_and_embed(recordings)}
    times = take_turns(runs, rounds, report, time.process_time)
    return [
        Ratio(f"peak memory, recording {TIMES} times as long / short one", memory, "<= 1.1"),
        Ratio(f"CPU time, {few * TIMES} recordings / {few}", ratio_of(times, "many", "few"), "<= 10.5"),
    ]


def _ingest_and_embed(recordings: Sequence[Path]) -> None:
    with temporary_site(make_site(recordings, [APPEARANCE])) as root:
        embed_all(root, shards_of(ingest_and_plan(root)), 1)


def _peak_bytes(clip: Clip, report: Report) -> int:
    """Peak resident memory of a process of its own that ingests and embeds one recording with the default encoders."""
    with temporary_site(make_site([recording(clip)], [APPEARANCE, MOTION])) as root:
        called = [sys.executable, "-m", "benchmarks.child", str(root)]
        done = subprocess.run(called, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    report.say(f"  {clip.seconds} s: {told['peak_bytes'] / 1e6:.0f} MB, {told['rows']} rows")
    return int(told["peak_bytes"])
