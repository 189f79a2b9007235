"""What retrieving and classifying have in common: several heads are applied to one day, each for itself."""

import time
from collections.abc import Callable, Iterable

from tasks.plan import DayPlan
from tasks.receipts import Receipt, reason_of
from tasks.step_plans import Step

Applied = tuple[int, str]
"""Rows of scores that were written, and what there is to know."""


def apply_steps(
    day: DayPlan, name: str, retired: Iterable[Step], todo: Iterable[tuple[Step, Callable[[], Applied]]]
) -> list[Receipt]:
    """Take the steps of a day that apply a head each; what exists is not made again, and one that fails stops no other.

    Args:
        day: that they are applied to.
        name: of the steps.
        retired: steps of heads that are not applied any more; only those of that name count.
        todo: each step, and what makes its files.
    """
    receipts = [
        Receipt(day.place, step.name, step.scope, step.key, "skipped", message=step.remark)
        for step in retired
        if step.name == name
    ]
    for step, apply in todo:
        began = time.perf_counter()
        status, rows, message = "skipped", 0, step.remark
        if not step.exists:
            try:
                (rows, message), status = apply(), "done"
            except Exception as error:  # noqa: BLE001 — one head must not stop the others: it is reported, and tried again
                status, message = "failed", reason_of(error)
        outputs = step.outputs if status != "failed" else ()
        seconds = time.perf_counter() - began
        receipts.append(
            Receipt(
                day.place, step.name, step.scope, step.key, status, outputs, step.inputs, rows, seconds, 0.0, message
            )
        )
    return receipts
