"""The night, in order: ingest → embed → fit and score → summarise → publish → report. The work itself is in `tasks`."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed

from flows.machine import decode_threads
from flows.runners import ahead, embedding_resources, task_runner
from flows.watch import Progress, Watch, current_watch, silent, watching
from infra.errors import NightError
from infra.lock import night_lock
from tasks.camera import ShardGroup, best_first, embed_receipts, group_shards, step_receipts
from tasks.deadline import next_moment
from tasks.embed import embed
from tasks.history import failed_places
from tasks.ingest import Examined, enter, examine
from tasks.inventory import Inventory, Row, report, take_inventory
from tasks.plan import DayPlan, DaySteps, Selection, plan_camera, plan_days, recordings_of
from tasks.publish import publish
from tasks.receipts import Receipt, ShardOutcome, record
from tasks.report import NightReport, close_night, new_report
from tasks.score import score
from tasks.summarise import summarise
from workspace.opened import Workspace

FILES_PER_TASK = 32


@flow(name="nightly", flow_run_name="night of {site}", persist_result=False)
def nightly(
    site: str,
    campaign: str | None = None,
    camera: str | None = None,
    day: date | None = None,
    until: str | None = None,
    retry: bool = False,
) -> State[Any]:
    """Process what is new, everything that depends on it, and nothing else.

    Args:
        site: folder of the workspace, which all workers share.
        campaign, camera, day: narrow the run.
        until: time of day, or moment, after which no new shard starts.
        retry: take up what failed, and only that.
    """
    workspace = Workspace(site)
    with night_lock(workspace.site.state_folder):
        return _run(_Night(workspace, _deadline(workspace, until), current_watch()), campaign, camera, day, retry)


def _run(night: "_Night", campaign: str | None, camera: str | None, day: date | None, retry: bool) -> State[Any]:
    selection = Selection(campaign, camera, day)
    inventory = take_inventory(night.workspace, retry=retry)
    examined = _ingest(night, inventory)
    rows = [*inventory.present, *examined]
    days = plan_days(night.workspace, recordings_of(night.workspace, rows))
    chosen = [mine for mine in days if selection.takes(mine.place)]
    if retry:
        again = failed_places(night.workspace, examined)
        chosen = [mine for mine in chosen if mine.place in again]
    _process(night, chosen, days)
    night.report.ingest = report(inventory, examined, night.workspace.settings.footage.gap_s)
    close_night(night.workspace, night.report, selection, rows, night.receipts, night.late)
    night.watch.report = night.report
    message = f"{night.report.status}: {len(night.report.attention)} matters want attention"
    return (Completed if night.report.status in ("complete", "partial") else Failed)(message=message)


def run_night(
    workspace: Workspace,
    selection: Selection,
    *,
    until: datetime | None = None,
    retry: bool = False,
    progress: Progress = silent,
) -> NightReport:
    """Run a night in this process, on the runner that the settings ask for.

    Raises:
        NightError: the flow ended without a report; the message is its reason.
    """
    flow_here = nightly.with_options(task_runner=task_runner(workspace.settings.cluster))
    with watching(progress) as watch, temporary_settings({PREFECT_API_URL: os.environ.get("PREFECT_API_URL")}):
        state = flow_here(
            str(workspace.site.root),
            selection.campaign,
            selection.camera,
            selection.day,
            None if until is None else until.isoformat(),
            retry,
            return_state=True,
        )
    if watch.report is None:
        raise NightError(f"the night stopped before its report: {state.message}")
    return watch.report


def _deadline(workspace: Workspace, until: str | None) -> datetime | None:
    if until is None:
        return None
    if len(until) > len("06:00:00.000000"):
        return datetime.fromisoformat(until)
    return next_moment(until, workspace.settings.zone, datetime.now(UTC))


@dataclass
class _Night:
    """What a night knows while it runs."""

    workspace: Workspace
    until: datetime | None
    watch: Watch
    report: NightReport = field(default_factory=new_report)
    receipts: list[Receipt] = field(default_factory=list)
    late: int = 0

    @property
    def root(self) -> str:
        return str(self.workspace.site.root)

    @property
    def threads(self) -> int:
        return decode_threads(self.workspace.settings.cluster, self.workspace.settings.compute.decode_threads)

    def enter(self, receipts: Iterable[Receipt]) -> None:
        """Enter receipts into the ledger: from now on the dashboards show what they name."""
        new = list(receipts)
        record(self.workspace.ledger, self.report.run, new)
        self.receipts += new
        for receipt in new:
            if receipt.message and receipt.status in ("failed", "partial"):
                self.report.failures.setdefault(f"{receipt.place}: {receipt.step} failed — {receipt.message}")

    def result(self, future: "PrefectFuture[Any]", label: str) -> Any:
        """What a task gave back; None where it failed, which is entered as a failure."""
        try:
            return future.result()
        except Exception as error:  # noqa: BLE001 — a task lost with its worker must not take the night along
            self.report.failures.setdefault(f"{label}: {type(error).__name__}: {error}")
            return None


def _ingest(night: _Night, inventory: Inventory) -> list[Row]:
    began, files = time.perf_counter(), inventory.new
    groups = [files[start : start + FILES_PER_TASK] for start in range(0, len(files), FILES_PER_TASK)]
    futures: list[tuple[int, PrefectFuture[Examined]]] = [
        (len(group), examine.submit(night.root, f"{group[0].path} +{len(group) - 1}", group)) for group in groups
    ]
    rows: list[Row] = []
    done = 0
    night.watch.progress("ingest", 0, len(files))
    for count, future in futures:
        examined = night.result(future, "ingest")
        rows += examined.rows if examined is not None else ()
        done += count
        night.watch.progress("ingest", done, len(files))
    entered = enter(night.workspace, inventory, rows)
    failed = sum(row["status"] == "quarantined" for row in entered)
    night.report.ingested = {
        "done": len(entered) - failed,
        "skipped": len(inventory.present),
        "failed": failed,
        "seconds": round(time.perf_counter() - began, 3),
    }
    return entered


def _process(night: _Night, chosen: Sequence[DayPlan], all_days: Sequence[DayPlan]) -> None:
    """Embed every camera, best first; each goes on to its scores, summaries and pages as soon as it is embedded."""
    total_s = sum(day.todo_s for day in chosen)
    night.watch.progress("embed", 0.0, total_s)
    cameras = best_first(chosen)
    waiting = [(days, _submit_embedding(night, days, total_s)) for days in cameras]
    done_s = 0.0
    finishing: list[tuple[list[tuple[DayPlan, DaySteps]], list[PrefectFuture[list[Receipt]]]]] = []
    for days, groups in waiting:
        outcomes: list[ShardOutcome] = []
        for group, future in groups:
            outcomes += night.result(future, f"embed {group.label}") or []
            done_s += group.seconds
            night.watch.progress("embed", done_s, total_s)
        finishing.append(_finish_camera(night, days, outcomes, all_days))
    night.watch.progress("review", 0, len(finishing))
    for number, (plans, futures) in enumerate(finishing, start=1):
        _collect(night, plans, futures)
        night.watch.progress("review", number, len(finishing))


def _submit_embedding(
    night: _Night, days: Sequence[DayPlan], total_s: float
) -> list[tuple[ShardGroup, PrefectFuture[list[ShardOutcome]]]]:
    cluster = night.workspace.settings.cluster
    with embedding_resources(cluster):
        return [
            (group, embed.submit(night.root, group.label, group.shards, night.threads, night.until, cluster.retries))
            for group in group_shards(days, total_s)
        ]


def _finish_camera(
    night: _Night, planned: Sequence[DayPlan], outcomes: Sequence[ShardOutcome], all_days: Sequence[DayPlan]
) -> tuple[list[tuple[DayPlan, DaySteps]], list[PrefectFuture[list[Receipt]]]]:
    """Enter what was embedded of a camera, and send its days on their way to being published."""
    workspace, camera = night.workspace, planned[0].place.camera
    night.late += sum(outcome.status == "late" for outcome in outcomes)
    recordings = [
        recording
        for day in all_days
        if day.place.camera == camera
        for recording in {shard.recording.path: shard.recording for shard in day.shards}.values()
    ]
    now = {day.place: day for day in plan_days(workspace, recordings)}
    night.enter(receipt for day in planned for receipt in embed_receipts(day, now[day.place], outcomes))
    chosen = {day.place for day in planned}
    plans = [(now[steps.place], steps) for steps in plan_camera(workspace, list(now.values()), chosen)]
    plans = [(day, steps) for day, steps in plans if any(product.exists for product in day.products("frames"))]
    todo = [(day, steps) for day, steps in plans if not steps.exist]
    if not todo:
        return plans, []
    with ahead():
        scored = score.submit(night.root, camera, todo)
        summarised = summarise.submit(night.root, camera, todo, wait_for=[scored])  # type: ignore[call-overload]  # Prefect types wait_for only beside return_state
        published = publish.submit(night.root, camera, todo, night.threads, wait_for=[summarised])  # type: ignore[call-overload]  # likewise
    return plans, [scored, summarised, published]


def _collect(
    night: _Night, plans: Sequence[tuple[DayPlan, DaySteps]], futures: Sequence[PrefectFuture[list[Receipt]]]
) -> None:
    receipts: list[Receipt] = []
    for future in futures:
        receipts += night.result(future, plans[0][0].place.camera) or []
    told = {(receipt.place, receipt.step) for receipt in receipts}
    there = [receipt for _, steps in plans if steps.exist for receipt in step_receipts(steps)]
    night.enter([*receipts, *(receipt for receipt in there if (receipt.place, receipt.step) not in told)])
