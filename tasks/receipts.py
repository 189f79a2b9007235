"""What a task gives back: small facts about what it made, never the thing itself."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from infra.errors import AfterwatchError
from lake.keys import Place
from lake.ledger import Ledger, RunRow
from lake.moments import moment_after

KILLED = "KilledWorker"
"""Dask's error for a task whose workers died, one after the other."""
OUT_OF_MEMORY = (
    "(-4:Insufficient memory)",
    "DefaultCPUAllocator: can't allocate memory",
    "failed to map segment from shared object",
)
"""How OpenCV, PyTorch and the system's loader say it."""
NO_THREAD = "can't start new thread"
"""What fails first where a process may use few addresses."""


@dataclass(frozen=True)
class Receipt:
    """One step of one camera's day.

    Attributes:
        place: the camera's day.
        step, scope, key: what was made.
        status: done, skipped (its output was there), partial or failed.
        outputs: files, relative to the lake.
        inputs: keys of what it was made from.
        rows: rows written.
        seconds: wall time.
        decoded_s: seconds of footage decoded.
        message: what went wrong, or what there is to know.
    """

    place: Place
    step: str
    scope: str
    key: str
    status: str
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    rows: int = 0
    seconds: float = 0.0
    decoded_s: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class ShardOutcome:
    """What became of a shard: done, failed, or late (the deadline came first)."""

    path: str
    number: int
    status: str
    rows: int = 0
    seconds: float = 0.0
    decoded_s: float = 0.0
    message: str = ""


def reason_of(error: BaseException) -> str:
    """An error in words for the night's report."""
    if _wants_memory(error):
        return "out of memory; lower compute.batch_size or footage.shard_s, or use fewer workers"
    if NO_THREAD in str(error):
        return f"out of memory, or of the threads that one account may have ({error}); raise the limit, or use fewer workers"
    if type(error).__name__ == KILLED:  # Dask's own; nothing here knows of Dask
        return (
            "its worker was killed several times over, which is what running out of memory looks like from outside; lower "
            "compute.batch_size or footage.shard_s, or use fewer workers, and see the workers' logs"
        )
    return str(error) if isinstance(error, AfterwatchError | OSError) else f"{type(error).__name__}: {error}"


def _wants_memory(error: BaseException) -> bool:
    """Whether memory was wanting, in the words of whoever wanted it: Python, FFmpeg and Arrow, or OpenCV, PyTorch, DuckDB."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    named = type(error).__name__ in ("OutOfMemoryError", "OutOfMemoryException")
    return named or any(words in str(error) for words in OUT_OF_MEMORY)


def record(ledger: Ledger, run_id: str, receipts: Iterable[Receipt]) -> None:
    """Enter receipts into the `runs` ledger, all at once: from then on their outputs are what counts."""
    now = moment_after(ledger, "runs", "finished_at")
    ledger.record(
        [
            RunRow(
                run_id=run_id,
                step=receipt.step,
                campaign=receipt.place.campaign,
                camera=receipt.place.camera,
                day=receipt.place.day,
                scope=receipt.scope,
                key=receipt.key,
                status=receipt.status,
                started_at=now,
                finished_at=now,
                inputs=receipt.inputs,
                outputs=receipt.outputs,
                rows=receipt.rows,
                seconds=receipt.seconds,
                decoded_s=receipt.decoded_s,
                message=receipt.message,
            )
            for receipt in receipts
        ]
    )
