"""Workspaces to measure in: recordings linked in, examined, planned and embedded without an orchestrator."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.clips import clip_folder
from infra.errors import AfterwatchError
from infra.settings import SETTINGS_FILE
from lake.ledger import Statement
from tasks.embed import embed_shards
from tasks.ingest import enter, examine_file
from tasks.inventory import take_inventory
from tasks.plan import DayPlan, ShardPlan, plan_days, recordings_of
from workspace.opened import Workspace

APPEARANCE = "handcrafted/appearance"
MOTION = "handcrafted/motion"
CLIP = "open_clip/ViT-B-32/random"
MOBILENET = "timm/mobilenetv2_100/random"
CAMPAIGN = "bench"
Outline = tuple[tuple[float, float], ...]


def make_site(
    recordings: Sequence[Path], encoders: Sequence[str], *, cameras: int = 1, regions: Sequence[Outline] = ()
) -> Path:
    """A workspace whose cameras share the recordings in turn.

    Args:
        recordings: files, linked into the workspace.
        encoders: names; they embed `regions` where there are some, else the whole picture.
        cameras: number of cameras.
        regions: outlines of each camera's regions.
    """
    root = Path(tempfile.mkdtemp(prefix="site-", dir=clip_folder()))
    names = [f"region-{number}" for number in range(len(regions))] or ["frame"]
    tables = "\n".join(f'[[encoders]]\nname = "{name}"\nregions = {names!r}'.replace("'", '"') for name in encoders)
    used = f'[novelty]\nencoder = "{encoders[0]}"\n[summary]\nencoder = "{encoders[0]}"\n'
    (root / SETTINGS_FILE).write_text(f'{used}\n{tables}\n[compute]\ndevice = "auto"\n', encoding="utf-8")
    for number, recording in enumerate(recordings):
        started = datetime(2026, 3, 2, 8) + timedelta(hours=number // cameras)
        folder = root / "footage" / CAMPAIGN / f"camera-{number % cameras}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(recording, folder / f"{started:%Y-%m-%dT%H-%M-%S}.mp4")
    said = [
        Statement(f"camera-{camera}/{name}", "bench", outline, camera=f"camera-{camera}")
        for camera in range(cameras)
        for name, outline in zip(names, regions, strict=False)
    ]
    Workspace(root).ledger.say("regions", said)
    return root


def ingest_and_plan(root: Path) -> list[DayPlan]:
    """Examine what is new, as a night does, and plan its embedding."""
    workspace = Workspace(root)
    inventory = take_inventory(workspace)
    rows = enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    return plan_days(workspace, recordings_of(workspace, rows))


def shards_of(days: Sequence[DayPlan]) -> list[ShardPlan]:
    return [shard for day in days for shard in day.shards]


def embed_all(root: Path, plans: Sequence[ShardPlan], threads: int) -> int:
    """Embed, and see that everything was: a benchmark of work left undone would flatter.

    Returns:
        Rows written.
    """
    outcomes = embed_shards(Workspace(root), plans, threads)
    failed = [outcome.message for outcome in outcomes if outcome.status != "done" or not outcome.rows]
    if failed:
        raise AfterwatchError(
            f"the benchmark's own footage could not be embedded: {failed[0]}; see the tests of tasks/"
        )
    return sum(outcome.rows for outcome in outcomes)


class FreshSites:
    """The same workspace before its embedding, again and again: examined and planned, with nothing made yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.plans = shards_of(ingest_and_plan(root))

    def embed(self, threads: int) -> int:
        rows = embed_all(self._root, self.plans, threads)
        self._forget()
        return rows

    def _forget(self) -> None:
        for table in ("embeddings", "frames", "coverage"):
            shutil.rmtree(self._root / "lake" / table, ignore_errors=True)


@contextmanager
def temporary_site(root: Path) -> Iterator[Path]:
    """Remove a workspace when done with it."""
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
