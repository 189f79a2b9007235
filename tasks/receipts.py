"""What a task gives back: small facts about what it made, never the thing itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.errors import AfterwatchError
from lake.keys import Place
from lake.ledger import Ledger, RunRow


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
    if isinstance(error, MemoryError):
        return "out of memory; lower compute.batch_size or footage.shard_s, or use fewer workers"
    return str(error) if isinstance(error, AfterwatchError | OSError) else f"{type(error).__name__}: {error}"


def record(ledger: Ledger, run_id: str, receipts: Iterable[Receipt]) -> None:
    """Enter receipts into the `runs` ledger, all at once: from then on their outputs are what counts."""
    now = datetime.now(UTC)
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
