"""What a site of some size needs: `python -m benchmarks.scaling_plan --cameras 1 10 1000 --page docs/scaling.md`.

The arithmetic here is pure: measured rates in, needs out. What was measured is kept in a file of its own, so that the needs of other
numbers of cameras are told without measuring again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from benchmarks.scaling_rates import Rates, measure
from flows.nightly import FILES_PER_TASK
from tasks.camera import LEAST_GROUP_S, MOST_TASKS

HOURS = 24.0
"""Of footage that a camera records a day."""
NIGHT_HOURS = 8.0
RECORDING_S = 3600.0
MBIT_PER_S: Mapping[str, float] = {"1280×720": 2.0, "1920×1080": 4.0}
"""Of footage as the benchmarks make it; cameras differ."""
CAMERA_TASKS = 4
"""Of each camera: score, segment, summarise, publish; a retrieval head in service adds one, and so do alarms."""
GIGA_MULTIPLY_ADDS: Mapping[str, float] = {
    "timm/mobilenetv2_100": 0.30,
    "open_clip/ViT-B-32": 4.4,
    "pytorchvideo/x3d_s": 2.96,
    "pytorchvideo/slowfast_r50": 65.7,
    "pytorchvideo/r2plus1d_r50": 76.5,
}
"""Of one picture or one clip, as published by the networks' authors and libraries."""
GPUS: Mapping[str, float] = {"NVIDIA T4": 65e12, "NVIDIA H100": 990e12}
"""Dense 16-bit operations a second, of the makers' data sheets."""
USE = 0.2
"""Share of that which a network is taken to get; not measured."""
GB, TB, HOUR_S = 1e9, 1e12, 3600.0


@dataclass(frozen=True)
class Needs:
    """Of a site for one day of its footage.

    Attributes:
        cameras: all recording without pause.
        footage_hours: of all of them together.
        decode_core_hours: by picture size: decoding, statistics and both default encoders.
        cores: by picture size, that do it within the night.
        network_core_hours, network_gpu_hours: by network, and for GPUs by model of GPU as well.
        footage_bytes: by picture size.
        footage_mbit_per_s: by picture size, while the night reads it.
        lake_bytes, lake_files: new each day.
        shown_bytes, shown_files: published each day.
        tasks: runs of Prefect tasks in a night in which everything is new.
        prefect_bytes: that its database grows by.
    """

    cameras: int
    footage_hours: float
    decode_core_hours: Mapping[str, float]
    cores: Mapping[str, int]
    network_core_hours: Mapping[str, float]
    network_gpu_hours: Mapping[tuple[str, str], float]
    footage_bytes: Mapping[str, float]
    footage_mbit_per_s: Mapping[str, float]
    lake_bytes: float
    lake_files: int
    shown_bytes: float
    shown_files: float
    tasks: int
    prefect_bytes: float


def needs_of(cameras: int, rates: Rates) -> Needs:
    """What so many cameras need, each at one picture a second.

    Raises:
        ValueError: there is no camera.
    """
    if cameras < 1:
        raise ValueError(f"a site has at least one camera, got {cameras}")
    footage_s = cameras * HOURS * HOUR_S
    decode = {size: rate * footage_s / HOUR_S for size, rate in rates.pass_core_s.items()}
    items = {name: rate * footage_s for name, rate in rates.items_per_s.items()}
    footage = {size: MBIT_PER_S[size] * 1e6 / 8 * footage_s for size in rates.pass_core_s}
    tasks = task_runs(cameras)
    return Needs(
        cameras=cameras,
        footage_hours=footage_s / HOUR_S,
        decode_core_hours=decode,
        cores={size: ceil(hours / NIGHT_HOURS) for size, hours in decode.items()},
        network_core_hours={name: items[name] * core_s / HOUR_S for name, core_s in rates.item_core_s.items()},
        network_gpu_hours={
            (name, gpu): items[name] * 2e9 * GIGA_MULTIPLY_ADDS[_plain(name)] / (GPUS[gpu] * USE) / HOUR_S
            for name in items
            for gpu in GPUS
        },
        footage_bytes=footage,
        footage_mbit_per_s={size: count * 8 / 1e6 / (NIGHT_HOURS * HOUR_S) for size, count in footage.items()},
        lake_bytes=float(sum(rates.lake_bytes.values()) * cameras),
        lake_files=rates.lake_files * cameras,
        shown_bytes=rates.shown["bytes"] * cameras,
        shown_files=rates.shown["files"] * cameras,
        tasks=tasks,
        prefect_bytes=rates.prefect["bytes_per_task"] * tasks,
    )


def _plain(name: str) -> str:
    """A network's name without its weights."""
    return name.rsplit("/", 1)[0]


def task_runs(cameras: int) -> int:
    """Runs of Prefect tasks in a night of so many cameras, all of whose footage is new: by the flow's own grouping."""
    recordings = ceil(HOURS * HOUR_S / RECORDING_S)
    total_s = cameras * HOURS * HOUR_S
    together = max(1, int(max(LEAST_GROUP_S, total_s / MOST_TASKS) // RECORDING_S))
    embedding = cameras * ceil(recordings / together)
    ingest = ceil(cameras * recordings / FILES_PER_TASK)
    return ingest + embedding + cameras * CAMERA_TASKS + 2  # the digest and the queue of the campaign


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, where that was not done before, and print the page."""
    from benchmarks.scaling_page import page

    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_plan", description=__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 10, 1000], help="sizes of a site")
    parser.add_argument("--rates", type=Path, help="file of what was measured; it is made where there is none")
    parser.add_argument("--page", type=Path, help="write the page here, not to the standard output")
    chosen = parser.parse_args(arguments)
    if chosen.rates is not None and chosen.rates.is_file():
        rates = Rates.from_json(chosen.rates.read_text(encoding="utf-8"))
    else:
        rates = measure(lambda what: print(f"measuring: {what}", file=sys.stderr, flush=True))
        if chosen.rates is not None:
            chosen.rates.write_text(rates.to_json(), encoding="utf-8")
    told = page(rates, [needs_of(cameras, rates) for cameras in chosen.cameras])
    if chosen.page is None:
        print(told, end="")
    else:
        chosen.page.write_text(told, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
