"""The one decode pass against its parts: `pass`, `network`, `fan-in`."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import Clip, recording
from benchmarks.timing import Ratio, Report, Run, core_count, cores, ratio_of, take_turns
from benchmarks.workbench import APPEARANCE, CLIP, MOBILENET, FreshSites, Outline, make_site
from footage.decode import decode
from footage.probe import probe
from footage.regions import Region
from footage.sampling import sample
from infra.settings import AtRate, ComputeTable
from models.encoders.base import Encoder
from tasks.encoders import load_encoder
from workspace.opened import Workspace

HD = Clip(1920, 1080, 60)
SMALLER = Clip(1280, 720, 60)
HALF_A_MINUTE = Clip(1920, 1080, 30)
QUARTERS: tuple[Outline, ...] = tuple(
    Region.box("quarter", x, y, 0.4, 0.4).outline for x in (0.05, 0.55) for y in (0.05, 0.55)
)
"""Four regions that together cover most of the picture."""


class DecodeAlone:
    """The pictures of a 1 Hz pass, decoded and dropped."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path, self._threads = path, threads
        self._index = probe(path).index
        self._wanted = sample(self._index, AtRate())

    def __call__(self) -> int:
        return sum(1 for _ in decode(self._path, self._index, self._wanted, threads=self._threads))

    @property
    def count(self) -> int:
        return len(self._wanted)


def run_pass(report: Report, clips: Sequence[Clip] = (SMALLER, HD), rounds: int = 3) -> list[Ratio]:
    """Decoding alone ÷ the whole pass with a handcrafted encoder and the statistics of every picture.

    Once on all cores in wall time, and once on a single core, which is what a worker of a night has, in CPU time: there
    nothing can overlap, and what others do on that core does not count.
    """
    found = []
    for clip in clips:
        path = recording(clip)
        site = FreshSites(make_site([path], [APPEARANCE]))
        site.embed(1)  # brings the encoder to life
        for count in sorted({1, core_count()}):
            alone = DecodeAlone(path, count)
            report.say(f"pass, {clip.name}, {count} core(s), {count} decoding thread(s), {alone.count} pictures")
            with cores(count):
                clock = time.process_time if count == 1 else time.perf_counter
                times = take_turns({"decode": alone, "pass": partial(site.embed, count)}, rounds, report, clock)
            how = f"{count} cores, wall time" if count > 1 else "1 core, CPU time"
            name = f"decoding alone / whole pass, {clip.name}, {how}"
            found.append(Ratio(name, ratio_of(times, "decode", "pass"), ">= 0.8"))
    return found


class NetworkAlone:
    """An encoder over pictures that lie ready in memory, in the batches of a pass."""

    def __init__(self, encoder: Encoder, count: int, batch_size: int) -> None:
        rng = np.random.default_rng(0)
        height, width = encoder.spec.input_size
        self._batches: list[NDArray[np.uint8]] = [
            rng.integers(0, 256, (min(batch_size, count - at), height, width, 3), dtype=np.uint8)
            for at in range(0, count, batch_size)
        ]
        self._encoder = encoder

    def __call__(self) -> None:
        for batch in self._batches:
            self._encoder.encode(batch)


def loaded(root: Path, name: str) -> Encoder:
    """The very encoder that the pass over this workspace uses."""
    workspace = Workspace(root)
    return load_encoder(workspace.encoder(name), workspace.settings.compute)


def run_network(report: Report, clip: Clip = HD, encoder: str = CLIP, rounds: int = 3) -> list[Ratio]:
    """The whole pass with a network ÷ (decoding alone + the network alone on ready pictures)."""
    path, threads = recording(clip), core_count()
    root = make_site([path], [encoder])
    site = FreshSites(root)
    alone = DecodeAlone(path, threads)
    network = NetworkAlone(loaded(root, encoder), alone.count, ComputeTable().batch_size)
    network()
    report.say(f"network, {clip.name}, {encoder}, {alone.count} pictures, {threads} cores")
    times = take_turns({"decode": alone, "network": network, "pass": lambda: site.embed(threads)}, rounds, report)
    name = f"whole pass / (decoding alone + network alone), {encoder}, {clip.name}"
    return [Ratio(name, ratio_of(times, "pass", "decode", "network"), "<= 1.1")]


def run_fan_in(
    report: Report, clip: Clip = HALF_A_MINUTE, encoders: Sequence[str] = (MOBILENET, CLIP), rounds: int = 3
) -> list[Ratio]:
    """One pass for four regions and two encoders ÷ (decoding once + both networks on ready pictures)."""
    path, threads = recording(clip), core_count()
    root = make_site([path], encoders, regions=QUARTERS)
    site = FreshSites(root)
    alone = DecodeAlone(path, threads)
    pictures, batch_size = alone.count * len(QUARTERS), ComputeTable().batch_size
    networks = {name: NetworkAlone(loaded(root, name), pictures, batch_size) for name in encoders}
    report.say(f"fan-in, {clip.name}, {len(QUARTERS)} regions × {len(encoders)} encoders, {pictures} pictures for each")
    runs: dict[str, Run] = {"decode": alone, **networks, "pass": lambda: site.embed(threads)}
    times = take_turns(runs, rounds, report)
    name = f"one pass / (decoding once + the networks), {len(QUARTERS)} regions × {len(encoders)} encoders, {clip.name}"
    return [Ratio(name, ratio_of(times, "pass", "decode", *encoders), "<= 1.15")]
