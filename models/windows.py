"""Windows of a video, and what several encoders saw in each of them, joined to one vector.

A classifier looks at windows: spans of time, half open, in microseconds on one clock. Its encoders have rows on that
clock, each with the span it speaks for: a snippet's own span, a picture's time on display. Per encoder one pooling says
what a window takes of its rows; what they give is put side by side, in the order of the inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Pooling = Literal["window", "mean", "moments"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]
Windows = tuple[Numbers, Numbers]
"""Starts and ends, int64 (M,) each, in microseconds, half open."""

MICROSECONDS = 1_000_000
LEAST_SHARE = 0.5
"""Share of a window that must be there at a recording's end for it to be one."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What one encoder saw of a video.

    Attributes:
        from_us, to_us: int64 (N,), the span that each row speaks for, in microseconds, half open; in any order.
        vectors: float32 (N, D).
    """

    from_us: Numbers
    to_us: Numbers
    vectors: Vectors

    def __post_init__(self) -> None:
        if not len(self.from_us) == len(self.to_us) == len(self.vectors) or self.vectors.ndim != 2:
            raise ValueError(
                f"from_us, to_us and vectors (N, D) have one row each for a span, got {self.from_us.shape}, "
                f"{self.to_us.shape} and {self.vectors.shape}"
            )
        if np.any(self.from_us >= self.to_us):
            raise ValueError("a row's span is not empty: from_us < to_us")

    def __len__(self) -> int:
        return len(self.from_us)

    @property
    def middle_us(self) -> Numbers:
        """int64 (N,), the middle of each span."""
        return (self.from_us + self.to_us) // 2


def grid_windows(extent_us: int, window_s: float, stride_s: float) -> Windows:
    """Windows of `window_s` every `stride_s` seconds from 0 on, cut off at the end of a video of `extent_us`.

    The last one is kept where at least half of it is there; the first one is kept however short the video is.

    >>> [edges.tolist() for edges in grid_windows(5_000_000, 2.0, 2.0)]
    [[0, 2000000, 4000000], [2000000, 4000000, 5000000]]
    """
    length_us, stride_us = window_s * MICROSECONDS, stride_s * MICROSECONDS
    if not (extent_us > 0 and length_us > 0 and stride_us > 0):
        raise ValueError(f"extent, window and stride are above 0, got {extent_us} µs, {window_s} s and {stride_s} s")
    spare_us = max(0.0, extent_us - LEAST_SHARE * length_us)
    starts = np.rint(np.arange(int(spare_us / stride_us + 1e-9) + 1) * stride_us).astype(np.int64)
    return starts, np.minimum(np.rint(starts + length_us).astype(np.int64), extent_us)


def joined_dimension(inputs: Sequence[tuple[Pooling, int]]) -> int:
    """Length of a joined vector of inputs with these poolings and dimensions."""
    return sum(dimension * (3 if pooling == "moments" else 1) for pooling, dimension in inputs)


def joined(inputs: Sequence[tuple[Pooling, Rows]], windows: Windows) -> tuple[Numbers, Vectors]:
    """One vector for each window that every input has rows of.

    - `window`: the row whose span is the window.
    - `mean`: mean of the rows whose middle lies in the window; where none does (snippets longer than the window), the
      row that is on at the window's own middle.
    - `moments`: of the rows whose middle lies in the window the mean, the standard deviation and the mean absolute
      difference between neighbours in time, side by side (3·D); the last two are 0 where there is one row.

    Args:
        inputs: pooling and rows of each encoder, all on one clock.
        windows: starts and ends, int64 (M,).

    Returns:
        int64 (K,), rising, the windows that were kept, and float32 (K, D'), their vectors.

    Raises:
        ValueError: there is no input, or a pooling is not known.
    """
    if not inputs:
        raise ValueError("a window is joined of at least one input")
    parts = [_pooled(pooling, rows, windows) for pooling, rows in inputs]
    kept = np.flatnonzero(np.logical_and.reduce([there for there, _ in parts])).astype(np.int64)
    return kept, np.concatenate([vectors[kept] for _, vectors in parts], axis=1)


def _pooled(pooling: Pooling, rows: Rows, windows: Windows) -> tuple[NDArray[np.bool_], Vectors]:
    """bool (M,), which windows have rows, and float32 (M, D) or (M, 3·D), zero where they have none."""
    match pooling:
        case "window":
            return _own(rows, windows)
        case "mean":
            return _means(rows, windows)
        case "moments":
            return _moments(rows, windows)
        case other:
            raise ValueError(f'pooling "{other}" is none of {", ".join(POOLINGS)}')


def _own(rows: Rows, windows: Windows) -> tuple[NDArray[np.bool_], Vectors]:
    there = np.zeros(len(windows[0]), dtype=np.bool_)
    vectors = np.zeros((len(there), rows.vectors.shape[1]), dtype=np.float32)
    first: dict[tuple[int, int], int] = {}
    for row, span in enumerate(zip(rows.from_us.tolist(), rows.to_us.tolist(), strict=True)):
        first.setdefault(span, row)
    for number, span in enumerate(zip(windows[0].tolist(), windows[1].tolist(), strict=True)):
        if span in first:
            there[number], vectors[number] = True, rows.vectors[first[span]]
    return there, vectors


def _means(rows: Rows, windows: Windows) -> tuple[NDArray[np.bool_], Vectors]:
    order, begins, ends = _within(rows, windows)
    vectors = np.zeros((len(begins), rows.vectors.shape[1]), dtype=np.float32)
    there = begins < ends
    for number in range(len(begins)):
        inside = order[begins[number] : ends[number]]
        if not len(inside):
            middle = (int(windows[0][number]) + int(windows[1][number])) // 2
            inside = order[(rows.from_us[order] <= middle) & (middle < rows.to_us[order])][:1]
            there[number] = bool(len(inside))
        if there[number]:
            vectors[number] = rows.vectors[inside].mean(axis=0, dtype=np.float64)
    return there, vectors


def _moments(rows: Rows, windows: Windows) -> tuple[NDArray[np.bool_], Vectors]:
    order, begins, ends = _within(rows, windows)
    dimension = rows.vectors.shape[1]
    vectors = np.zeros((len(begins), 3 * dimension), dtype=np.float32)
    for number in np.flatnonzero(begins < ends).tolist():
        inside = rows.vectors[order[begins[number] : ends[number]]].astype(np.float64)
        vectors[number, :dimension] = inside.mean(axis=0)
        vectors[number, dimension : 2 * dimension] = inside.std(axis=0)
        if len(inside) > 1:
            vectors[number, 2 * dimension :] = np.abs(np.diff(inside, axis=0)).mean(axis=0)
    return begins < ends, vectors


def _within(rows: Rows, windows: Windows) -> tuple[Numbers, Numbers, Numbers]:
    """Rows in order of their middles, and for each window the part [begin, end) of them whose middle lies in it."""
    order = np.lexsort((rows.from_us, rows.middle_us)).astype(np.int64)
    middles = rows.middle_us[order]
    return order, np.searchsorted(middles, windows[0]), np.searchsorted(middles, windows[1])
