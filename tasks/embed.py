"""Embed: one decode pass over a group of shards, for every product that is not there yet."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from prefect import get_run_logger, task
from prefect.runtime import task_run

from infra.errors import AfterwatchError, DecodeError, FootageError
from tasks.embedding import EmbeddingPass, ShardResult
from tasks.encoders import load_encoder
from tasks.limits import GaveWayError, Grace, reason_to_stop
from tasks.plan import Product, ShardPlan
from tasks.receipts import ShardOutcome, reason_of
from workspace.footage_files import refuse_replaced
from workspace.opened import Workspace


@task(task_run_name="embed {label}", persist_result=False)
def embed(
    root: str, label: str, plans: Sequence[ShardPlan], decode_threads: int, until: datetime | None, retries: int
) -> list[ShardOutcome]:
    """Embed a group of shards.

    What exists is not made again, so a task that is run twice (a worker was lost) only does what is left. A shard that
    fails does not hold up the others; the task is retried for it, and at last reports it.
    """
    outcomes = embed_shards(Workspace(root), plans, decode_threads, until)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed and (task_run.run_count or 1) <= retries:
        get_run_logger().warning("%d of %d shards failed, first: %s", len(failed), len(outcomes), failed[0].message)
        raise AfterwatchError(f"{failed[0].path}: {failed[0].message}")
    return outcomes


def embed_shards(
    workspace: Workspace, plans: Sequence[ShardPlan], decode_threads: int, until: datetime | None = None
) -> list[ShardOutcome]:
    """The task's work, without an orchestrator."""
    left = [_refreshed(workspace, plan) for plan in plans]
    why = reason_to_stop(workspace, until)
    if why:  # told before networks are loaded for nothing
        return [_not_begun(plan, why) for plan in left]
    needed = {product.encoder.spec.space: product.encoder for plan in left for product in plan.todo if product.encoder}
    compute = workspace.settings.compute
    encoders = {space: load_encoder(planned, compute) for space, planned in needed.items()}
    running = EmbeddingPass(workspace, encoders, decode_threads, Grace(workspace).check)
    outcomes = []
    for plan in left:
        why = reason_to_stop(workspace, until) if plan.todo else ""
        outcomes.append(_run(workspace, running, plan) if plan.todo and not why else _not_begun(plan, why))
    running.finish()
    return [_as_it_ended(outcome, running.failures) for outcome in outcomes]


def _not_begun(plan: ShardPlan, why: str) -> ShardOutcome:
    status = "late" if plan.todo else "done"
    return ShardOutcome(plan.recording.path, plan.shard.number, status, message=why if plan.todo else "")


def _run(workspace: Workspace, running: EmbeddingPass, plan: ShardPlan) -> ShardOutcome:
    path, number, began = plan.recording.path, plan.shard.number, time.perf_counter()
    try:
        result: ShardResult = running.run(plan)
    except GaveWayError as error:
        status, message = "late", str(error)
    except DecodeError as error:
        status, message = "failed", _unread(workspace, plan) or reason_of(error)
    except Exception as error:  # noqa: BLE001 — one recording must not stop the night: it is reported, and tried again
        status, message = "failed", reason_of(error)
    else:
        seconds = time.perf_counter() - began
        return ShardOutcome(path, number, "done", sum(result.rows.values()), seconds, result.decoded_s)
    running.forget(plan)
    return ShardOutcome(path, number, status, seconds=time.perf_counter() - began, message=message)


def _unread(workspace: Workspace, plan: ShardPlan) -> str:
    """Why a recording that is there and cannot be decoded cannot be read either; empty where it can."""
    if not (workspace.site.footage_root / plan.recording.path).exists():
        return ""
    try:
        refuse_replaced(workspace, plan.recording.path, plan.recording.recording_id, suspect=True)
    except FootageError as error:
        return str(error)
    return ""


def _as_it_ended(outcome: ShardOutcome, failures: Mapping[tuple[str, int], str]) -> ShardOutcome:
    message = failures.get((outcome.path, outcome.number))
    return (
        outcome if message is None or outcome.status == "failed" else replace(outcome, status="failed", message=message)
    )


def _refreshed(workspace: Workspace, plan: ShardPlan) -> ShardPlan:
    """The plan as of now: what another worker has made meanwhile need not be made again."""
    products = tuple(_look(workspace, product) for product in plan.products)
    return ShardPlan(plan.recording, plan.shard, plan.seconds, products)


def _look(workspace: Workspace, product: Product) -> Product:
    if product.exists:
        return product
    there = all(workspace.store.exists(path) for path in product.paths)
    return Product(product.scope, product.key, product.paths, there, product.encoder, product.region)
