"""Scoring many rows at the speed of the cache."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from threading import Lock

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it ships no types

from models.heads.base import Scores, Vectors

CHUNK_FLOATS = 2**17
"""Of the largest array that a thread works on at once, 512 KiB: it is still in the cache when it is read again."""


class _OneThreadEach:
    """While anybody is inside, matrix products run in the thread that asks for them.

    Several products at once, each on a pool of the library's own, wait for one another: on a busy machine that is three
    times slower. The setting is the process's, so whoever comes first makes it and whoever goes last takes it back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._limit = ExitStack()

    @cached_property
    def _libraries(self) -> ThreadpoolController:
        return ThreadpoolController()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limit.enter_context(self._libraries.limit(limits=1, user_api="blas"))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limit.close()


_one_thread_each = _OneThreadEach()


def by_chunks(vectors: Vectors, width: int, score: Callable[[Vectors], Scores]) -> Scores:
    """Score rows in chunks that are shared out among threads, one for each core this process may use.

    Args:
        vectors: float32 (N, D), may be memory-mapped.
        width: values for each row in the largest array that scoring makes.
        score: rows (n, D) to scores (n,).

    Returns:
        float32 (N,).
    """
    scores = np.empty(len(vectors), dtype=np.float32)
    step = max(64, CHUNK_FLOATS // max(1, width))
    starts = range(0, len(vectors), step)

    def fill(start: int) -> None:
        scores[start : start + step] = score(vectors[start : start + step])

    if len(starts) == 1:
        fill(0)
        return scores
    with _one_thread_each, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(fill, starts))
    return scores
