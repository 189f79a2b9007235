"""Normal scores of detectors that have no neighbours to leave out: each row is scored by one that never saw it."""

from collections.abc import Callable, Iterator

import numpy as np

from infra.errors import TooLittleFootageError
from models.detectors.base import Detector, Scores, Vectors
from models.heads.neighbours import Indices, TimeExclusion

BLOCKS = 5


def cross_scores(vectors: Vectors, exclusion: TimeExclusion, fit: Callable[[Vectors], Detector]) -> Scores:
    """Score each row by a detector fitted without it and what the exclusion takes from it.

    The rows, in order of time, are cut into `BLOCKS` blocks, or more where the exclusion would leave one nothing; each is
    scored by a detector fitted on the rows that the exclusion leaves to all of the block. So a row is as new to its detector as a later day's is, and a slow event is not
    its own normal.

    Args:
        vectors: float32 (M, d).
        exclusion: of these rows.
        fit: makes a detector of some of the rows; its scores are on one scale, whichever rows it was given.

    Returns:
        float32 (M,).

    Raises:
        TooLittleFootageError: the exclusion leaves some row nothing.
    """
    scores = np.empty(len(vectors), dtype=np.float32)
    for block, others in in_blocks(exclusion):
        scores[block] = fit(vectors[others]).score(vectors[block])
    return scores


def in_blocks(exclusion: TimeExclusion) -> Iterator[tuple[Indices, Indices]]:
    """Blocks of rows in order of time, and the rows that the exclusion leaves to all of a block; int64 each.

    Raises:
        TooLittleFootageError: the exclusion leaves some row nothing.
    """
    order = np.argsort(exclusion.from_us, kind="stable")
    for block in np.array_split(order, min(BLOCKS, len(order))):
        yield from _parted(exclusion, block)


def _parted(exclusion: TimeExclusion, block: Indices) -> Iterator[tuple[Indices, Indices]]:
    """A block and the rows left to it; halved where it is left nothing, as one that reaches over a pause may be."""
    others = np.flatnonzero(~exclusion.around(block))
    if len(others):
        yield block, others
    elif len(block) > 1:
        for half in np.array_split(block, 2):
            yield from _parted(exclusion, half)
    else:
        raise TooLittleFootageError(
            f"an exclusion of {exclusion.exclusion_us} us leaves some snippet none of {len(exclusion)} to be held against"
            " — shorten the exclusion or gather more footage"
        )
