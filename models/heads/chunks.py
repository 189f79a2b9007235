"""Scoring many rows at the speed of the cache."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock

import numpy as np
from threadpoolctl import ThreadpoolController

from models.heads.base import Scores, Vectors

CHUNK_FLOATS = 2**17
"""Of the largest array that a thread works on at once, 512 KiB: it is still in the cache when it is read again."""


_alone = Lock()


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Inside, matrix products run in the thread that asks for them; one caller at a time, the others wait.

    Several products at once, each on the library's own pool of threads, wait for one another: on a busy machine that is
    three times slower. The setting is the process's: were two callers inside, the second would take the first one's
    limit for the usual one, and leave it behind.
    """
    with _alone, _libraries().limit(limits=1, user_api="blas"):
        yield


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def by_chunks(vectors: Vectors, width: int, score: Callable[[Vectors], Scores]) -> Scores:
    """Score rows in chunks that are shared out among threads, one for each core this process may use.

    Args:
        vectors: float32 (N, D), may be memory-mapped.
        width: values for each row in the largest array that scoring makes.
        score: rows (n, D) to scores (n,).

    Returns:
        float32 (N,). A row's score may depend on its place by the rounding of the product.
    """
    scores = np.empty(len(vectors), dtype=np.float32)
    step = max(64, CHUNK_FLOATS // max(1, width))
    starts = range(0, len(vectors), step)

    def fill(start: int) -> None:
        scores[start : start + step] = score(vectors[start : start + step])

    if len(starts) == 1:
        fill(0)
        return scores
    with one_thread_each(), ThreadPoolExecutor(core_count()) as pool:
        list(pool.map(fill, starts))
    return scores
