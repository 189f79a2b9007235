"""What the arithmetic of a site's size rests on, measured on the machine that this runs on: `python -m benchmarks.scaling_plan`.

Work is told in CPU time of one thread, which neighbours change little; what waits is told in wall time.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

from benchmarks.clips import Clip, recording
from benchmarks.scaling_lake import Asked, measure_lake
from benchmarks.timing import cores, seconds
from benchmarks.workbench import APPEARANCE, MOTION, FreshSites, make_site, temporary_site
from infra.settings import ComputeTable
from tasks.encoders import load_encoder
from workspace.opened import Workspace

CHECKOUT = Path(__file__).resolve().parents[1]
SIZES = (Clip(1280, 720, 60), Clip(1920, 1080, 60))
NETWORKS = {
    "timm/mobilenetv2_100/random": 16,
    "open_clip/ViT-B-32/random": 8,
    "pytorchvideo/x3d_s/random": 2,
    "pytorchvideo/slowfast_r50/random": 1,
    "pytorchvideo/r2plus1d_r50/random": 1,
}
"""Networks, and how many pictures or snippets of each are enough."""
CAMERA_DAYS = (10, 100, 500)
KEPT = ("task_run", "task_run_state", "flow_run", "flow_run_state", "events", "event_resources", "log")
"""Tables of a Prefect server that grow with each run."""
TASKS = 2000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Rates:
    """What was measured.

    Attributes:
        pass_core_s: core-seconds of one decode pass with both default encoders, per second of footage, by picture size.
        item_core_s: core-seconds of one picture or snippet, by network.
        items_per_s: pictures or snippets that a second of footage gives each network, at one picture a second.
        lake_bytes: of a camera's day of 24 hours in 24 recordings, by table.
        lake_files: files of that day.
        lakes: how lakes of some sizes answer.
        shown: of a published camera's day: `files`, `bytes`, and the `seconds` of its summary.
        prefect: of one small night: rows of each table of `KEPT`, and `bytes_per_task`, what all of them hold by the run of a task.
        dask_tasks_per_s: empty tasks that a scheduler and one worker thread get through, wall time.
    """

    pass_core_s: Mapping[str, float]
    item_core_s: Mapping[str, float]
    items_per_s: Mapping[str, float]
    lake_bytes: Mapping[str, int]
    lake_files: int
    lakes: tuple[Asked, ...]
    shown: Mapping[str, float]
    prefect: Mapping[str, float]
    dask_tasks_per_s: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Rates":
        told = json.loads(text)
        lakes = tuple(Asked(**{**lake, "answers_s": tuple(lake["answers_s"])}) for lake in told.pop("lakes"))
        return cls(**told, lakes=lakes)


def measure(say: Say) -> Rates:
    """Measure all of it: some ten minutes on two cores."""
    say("decode pass")
    passes = {f"{clip.width}×{clip.height}": _pass_core_s(clip) for clip in SIZES}
    item_core_s, items_per_s = {}, {}
    for name, count in NETWORKS.items():
        say(name)
        item_core_s[name], items_per_s[name] = _network(name, count)
    lakes = []
    dimensions = _dimensions()
    for camera_days in CAMERA_DAYS:
        say(f"a lake of {camera_days} camera-days")
        asked, sizes = measure_lake(camera_days, dimensions)
        lakes.append(asked)
    say("a night")
    shown, prefect = _night()
    say("a scheduler")
    files = round((lakes[-1].files - 1) / lakes[-1].camera_days)
    return Rates(passes, item_core_s, items_per_s, sizes, files, tuple(lakes), shown, prefect, _dask_tasks_per_s())


def _pass_core_s(clip: Clip) -> float:
    with temporary_site(make_site([recording(clip)], [APPEARANCE, MOTION])) as root, cores(1):
        site = FreshSites(root)
        site.embed(1)  # brings the encoders to life
        return seconds(lambda: site.embed(1), time.process_time) / clip.seconds


def _dimensions() -> tuple[int, ...]:
    """Of the default encoders' vectors, which a little footage tells."""
    with temporary_site(make_site([recording(Clip(320, 240, 8))], [APPEARANCE, MOTION])) as root:
        workspace = Workspace(root)
        return tuple(_vectors(planned, 1).shape[1] for planned in workspace.encoders)


def _network(name: str, count: int) -> tuple[float, float]:
    with temporary_site(make_site([recording(Clip(320, 240, 8))], [name])) as root, cores(1):
        import torch

        torch.set_num_threads(1)
        planned = Workspace(root).encoders[0]
        _vectors(planned, 1)
        taken = seconds(lambda: _vectors(planned, count), time.process_time) / count
    return taken, 1.0 / planned.stride_s if planned.stride_s else 1.0


def _vectors(planned: Any, count: int) -> Any:
    spec = planned.spec
    shape = (count, *((spec.snippet_frames,) if spec.kind == "snippet" else ()), *spec.input_size, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return load_encoder(planned, ComputeTable(device="cpu")).encode(pictures)


def _night() -> tuple[dict[str, float], dict[str, float]]:
    """A demonstration in processes of its own: what it publishes, and what its Prefect server keeps of it."""
    with tempfile.TemporaryDirectory(prefix="scaling-night-") as name:
        folder = Path(name)
        told = {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        told.pop("PREFECT_API_URL", None)
        command = [sys.executable, "-m", "afterwatch", "demo", str(folder / "site"), "--small", "--json"]
        subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, env=told)
        databases = sorted(folder.rglob("prefect.db"))
        summaries = sorted((folder / "site" / "published").rglob("summary.json"))
        files = [path for path in (folder / "site" / "published").rglob("*") if path.is_file()]
        shown = {
            "files": len(files) / len(summaries),
            "bytes": sum(path.stat().st_size for path in files) / len(summaries),
            "seconds": sum(json.loads(path.read_text(encoding="utf-8"))["duration_s"] for path in summaries)
            / len(summaries),
        }
        return shown, _kept(databases[0])


def _kept(database: Path) -> dict[str, float]:
    """What a server's database holds of a night: rows, and the letters in them; its indexes come on top."""
    connection = sqlite3.connect(database)
    try:
        found: dict[str, float] = {}
        letters = 0
        for name in KEPT:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            each = " + ".join(f'coalesce(length("{column}"), 0)' for column in columns)
            count, length = connection.execute(f"SELECT count(*), coalesce(sum({each}), 0) FROM {name}").fetchone()
            found[name] = float(count)
            letters += length
    finally:
        connection.close()
    return {**found, "bytes_per_task": letters / found["task_run"]}


def _dask_tasks_per_s() -> float:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(_nothing, range(100), pure=False))
        return TASKS / seconds(lambda: client.gather(client.map(_nothing, range(TASKS), pure=False)))


def _nothing(_number: int) -> None:
    """A task without work."""
