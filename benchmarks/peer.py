"""Ours against the script that a user would write: `peer`.

The script reads every frame with OpenCV, takes one a second, prepares it with open_clip's own transform, encodes a
recording's pictures in one batch and saves them with NumPy; it uses all cores throughout. Ours begins at the file as
well: hash, probe, plan, one pass, Parquet. Neither is charged for imports and for loading the network.
"""

import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open_clip  # type: ignore[import-untyped]  # ships no type information
import torch
from PIL import Image

from benchmarks.clips import RATE_HZ, Clip, clip_folder, recording
from benchmarks.timing import Ratio, Report, core_count, ratio_of, take_turns
from benchmarks.workbench import CLIP, embed_all, ingest_and_plan, make_site, shards_of
from flows.machine import decode_threads
from infra.settings import ClusterTable
from tasks.camera import best_first, group_shards
from tasks.plan import ShardPlan

ONE = Clip(1920, 1080, 60)
EACH_OF_MANY = Clip(1920, 1080, 10)
MANY = 20
CAMERAS = 4
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Script:
    """What a user would write."""

    def __init__(self) -> None:
        logging.disable(logging.WARNING)  # that the weights are random is what was asked for
        try:
            model, _, self._prepare = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
        finally:
            logging.disable(logging.NOTSET)
        self._model = model.eval()

    def __call__(self, recordings: Sequence[Path]) -> None:
        for path in recordings:
            np.save(clip_folder() / f"{path.stem}.npy", self._embed(path))

    def _embed(self, path: Path) -> Any:
        capture, images, number = cv2.VideoCapture(str(path)), [], 0
        while True:
            there, frame = capture.read()
            if not there:
                break
            if number % RATE_HZ == 0:
                images.append(self._prepare(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))))
            number += 1
        capture.release()
        with torch.inference_mode():
            return self._model.encode_image(torch.stack(images)).numpy()


def ours_in_one_process(recordings: Sequence[Path], threads: int) -> None:
    """From the files to the lake, in this process."""
    root = make_site(recordings, [CLIP])
    embed_all(root, shards_of(ingest_and_plan(root)), threads)
    shutil.rmtree(root)


def ours_by_workers(pool: ProcessPoolExecutor, recordings: Sequence[Path], cameras: int) -> None:
    """From the files to the lake, the groups of a night mapped over its workers, cameras best first."""
    root = make_site(recordings, [CLIP], cameras=cameras)
    days = ingest_and_plan(root)
    total_s = sum(day.todo_s for day in days)
    groups = [group.shards for mine in best_first(days) for group in group_shards(mine, total_s)]
    threads = decode_threads(ClusterTable(), 0)
    for done in [pool.submit(_embed_group, root, shards, threads) for shards in groups]:
        done.result()
    shutil.rmtree(root)


def _embed_group(root: Path, shards: Sequence[ShardPlan], threads: int) -> int:
    cv2.setNumThreads(threads)
    return embed_all(root, shards, threads)


@contextmanager
def night_workers(warm_up: Callable[[ProcessPoolExecutor], None]) -> Iterator[ProcessPoolExecutor]:
    """Worker processes as a night's embedded cluster has them: one for each core, each with its share of threads."""
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, str(decode_threads(ClusterTable(), 0))))
    try:
        with ProcessPoolExecutor(core_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
            warm_up(pool)
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_peer(
    report: Report, one: Clip = ONE, each: Clip = EACH_OF_MANY, many: int = MANY, rounds: tuple[int, int] = (3, 2)
) -> list[Ratio]:
    """Time of a user's script ÷ ours, on one recording and on many."""
    script, short = Script(), recording(Clip(each.width, each.height, 2))
    script([short])
    ours_in_one_process([short], core_count())
    alone = [recording(one)]
    report.say(f"peer, one recording, {one.name}, {one.seconds} s, one process")
    runs = {"script": lambda: script(alone), "ours": lambda: ours_in_one_process(alone, core_count())}
    of_one = ratio_of(take_turns(runs, rounds[0], report), "script", "ours")
    recordings = [recording(each, number) for number in range(many)]
    report.say(
        f"peer, {many} recordings of {CAMERAS} cameras, {each.name}, {each.seconds} s each, {core_count()} workers"
    )

    def warm_up(pool: ProcessPoolExecutor) -> None:
        warm = [recording(Clip(each.width, each.height, 2), number) for number in range(2 * core_count())]
        ours_by_workers(pool, warm, cameras=len(warm))

    with night_workers(warm_up) as pool:
        runs = {"script": lambda: script(recordings), "ours": lambda: ours_by_workers(pool, recordings, CAMERAS)}
        of_many = ratio_of(take_turns(runs, rounds[1], report), "script", "ours")
    return [
        Ratio(f"user's script / ours, 1 recording, {one.name}", of_one, ">= 1"),
        Ratio(f"user's script / ours, {many} recordings, {each.name}", of_many, ">= 1.5"),
    ]
