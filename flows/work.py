"""What every flow over camera days does: embed what is missing, and go on to scores, summaries and pages.

From the moment on at which a run may start nothing new (`tasks.limits`), what is left of it is counted and not begun.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed

from flows.machine import decode_threads
from flows.runners import NIGHT, embedding_resources, in_order, matters_of_workers, task_runner
from flows.watch import Progress, Watch, watching
from infra.errors import AfterwatchError, NightError
from infra.lock import AlreadyRunningError
from tasks.alarms import STEP as CLASSIFY
from tasks.camera import ShardGroup, best_first, embed_receipts, group_shards, step_receipts
from tasks.camera_summaries import digests_due
from tasks.classify import classify
from tasks.deadline import next_moment
from tasks.decisions import keep_decisions
from tasks.digest import digest_day
from tasks.digest_task import digest
from tasks.embed import embed
from tasks.heads import STEP as RETRIEVE
from tasks.inventory import Row
from tasks.left_days import keeps_its_results
from tasks.limits import reason_to_stop
from tasks.plan import DayPlan, Selection, plan_days
from tasks.publish import publish
from tasks.queue import queue_campaign, queues_due
from tasks.queue_task import queue
from tasks.receipts import Receipt, ShardOutcome, reason_of, record
from tasks.report import NightReport, close_night, new_report
from tasks.retrieve import retrieve
from tasks.score import score
from tasks.segment import segment
from tasks.step_plans import DaySteps
from tasks.steps import plan_whole_camera
from tasks.summarise import summarise
from workspace.opened import Workspace

PUBLISHED = ("publish", "done")
STOPPED = "nothing new could be started for a while"
"""Where the reason has passed when the flow looks for it."""

Planned = tuple[DayPlan, DaySteps]


def deadline(workspace: Workspace, until: str | None) -> datetime | None:
    """The moment after which nothing new starts: said as one, or as a time of day."""
    if until is None:
        return None
    if len(until) > len("06:00:00.000000"):
        return datetime.fromisoformat(until)
    return next_moment(until, workspace.settings.zone, datetime.now(UTC))


@dataclass
class Work:
    """What a flow knows while it runs."""

    workspace: Workspace
    until: datetime | None
    watch: Watch
    report: NightReport = field(default_factory=new_report)
    receipts: list[Receipt] = field(default_factory=list)
    priority: int = NIGHT
    stopped: str = ""
    """Why nothing new is begun any more: no room, or a night that waits. After the deadline what is embedded goes on."""
    total_s: float = 0.0
    """Seconds of footage to embed."""
    embedded_s: float = 0.0

    @property
    def root(self) -> str:
        return str(self.workspace.site.root)

    @property
    def threads(self) -> int:
        return decode_threads(self.workspace.settings.cluster, self.workspace.settings.compute.decode_threads)

    def may_go_on(self) -> bool:
        """Whether something new may be begun; once it may not, it may not again."""
        self.stopped = self.stopped or reason_to_stop(self.workspace)
        return not self.stopped

    def enter(self, receipts: Iterable[Receipt]) -> None:
        """Enter receipts into the ledger: from now on the dashboards show what they name."""
        new = list(receipts)
        record(self.workspace.ledger, self.report.run, new)
        self.receipts += new
        for receipt in new:
            if receipt.message and receipt.status in ("failed", "partial"):
                where = " · ".join(filter(None, receipt.place.told))  # a digest is of no camera
                self.report.failures.setdefault(f"{where}: {receipt.step} failed — {receipt.message}")

    def result(self, future: "PrefectFuture[Any]", label: str) -> Any:
        """What a task gave back; None where it failed, which is entered as a failure."""
        try:
            return future.result()
        except Exception as error:  # noqa: BLE001 — a task lost with its worker must not take the night along
            self.report.failures.setdefault(f"{label}: {reason_of(error)}")
            return None

    def close(self, selection: Selection, rows: Sequence[Row]) -> State[Any]:
        """Add the run up and enter it into the ledger."""
        self.report.of_workers += matters_of_workers()
        close_night(self.workspace, self.report, selection, rows, self.receipts)
        self.watch.report = self.report
        message = f"{self.report.status}: {len(self.report.attention)} matters want attention"
        return (Completed if self.report.status in ("complete", "partial") else Failed)(message=message)


def run_here(
    flow: Flow[Any, Any],
    workspace: Workspace,
    selection: Selection,
    until: datetime | None,
    progress: Progress,
    *,
    retry: bool = False,
) -> NightReport:
    """Run a flow over camera days in this process, on the runner that the settings ask for.

    Raises:
        AlreadyRunningError: another run holds the workspace.
        NightError: the flow ended without a report; the message is its reason.
    """
    here = flow.with_options(task_runner=task_runner(workspace.settings.cluster, workspace.site.root))
    with watching(progress) as watch, temporary_settings({PREFECT_API_URL: os.environ.get("PREFECT_API_URL")}):
        state: Any = here(
            str(workspace.site.root),
            selection.campaign,
            selection.camera,
            selection.day,
            None if until is None else until.isoformat(),
            *((retry,) if retry else ()),
            return_state=True,
        )
    if watch.report is None:
        reason = state.result(raise_on_failure=False)
        if isinstance(reason, AlreadyRunningError):
            raise reason
        why = reason_of(reason) if isinstance(reason, BaseException) else state.message
        raise NightError(f"the night stopped before its report: {why}")
    return watch.report


def process(work: Work, chosen: Sequence[DayPlan], all_days: Sequence[DayPlan]) -> None:
    """Embed every camera, best first; each goes on to its scores, summaries and pages as soon as it is embedded."""
    work.total_s = sum(day.todo_s for day in chosen)
    take_up(work, chosen, all_days)
    finish(work, chosen)


def take_up(work: Work, chosen: Sequence[DayPlan], all_days: Sequence[DayPlan]) -> None:
    """Embed camera days, and take them as far as being published; returns when all of it is done."""
    work.watch.progress("embed", work.embedded_s, work.total_s)
    waiting = [(days, _submit_embedding(work, days)) for days in best_first(chosen)]
    finishing: list[tuple[list[Planned], list[PrefectFuture[list[Receipt]]]]] = []
    for days, groups in waiting:
        outcomes: list[ShardOutcome] = []
        for group, future in groups:
            outcomes += work.result(future, f"embed {group.label}") or []
            work.embedded_s += group.seconds
            work.watch.progress("embed", work.embedded_s, work.total_s)
        finishing.append(_finish_camera(work, days, outcomes, all_days))
    work.watch.progress("review", 0, len(finishing))
    for number, (plans, futures) in enumerate(finishing, start=1):
        _collect(work, plans, futures)
        work.watch.progress("review", number, len(finishing))


def finish(work: Work, chosen: Sequence[DayPlan]) -> None:
    """Make the digests and queues of what was taken up; a run that may begin nothing new leaves them to the next."""
    with in_order(work.priority):
        if work.may_go_on():
            _digest(work, chosen)
        if work.may_go_on():
            _queue(work, chosen)


def _digest(work: Work, chosen: Sequence[DayPlan]) -> None:
    """Write the digest of each campaign and day of which a camera was published anew.

    The others are looked at here: as a rule they stand, and a task of its own for each would cost more than that.
    """
    try:
        due = digests_due(work.workspace, [day.place for day in chosen])
    except OSError as error:  # the night is to be reported all the same; the next one makes the digests
        work.report.failures.setdefault(f"digests: {reason_of(error)}")
        return
    new = {(done.place.campaign, done.place.day) for done in work.receipts if (done.step, done.status) == PUBLISHED}
    futures = [
        (campaign, day, digest.submit(work.root, campaign, day, work.threads, cameras))
        for (campaign, day), cameras in due.items()
        if (campaign, day) in new
    ]
    work.enter(
        digest_day(work.workspace, campaign, day, work.threads, cameras)
        for (campaign, day), cameras in due.items()
        if (campaign, day) not in new
    )
    for campaign, day, future in futures:
        work.enter(work.result(future, f"digest {campaign} · {day.isoformat()}") or [])


def _queue(work: Work, chosen: Sequence[DayPlan]) -> None:
    """Choose what is asked next of each campaign; of one whose queue stands, that is told here."""
    try:
        due = queues_due(work.workspace, [day.place for day in chosen])
    except (AfterwatchError, OSError) as error:  # the night is to be reported all the same; the next one asks
        work.report.failures.setdefault(f"queue: {reason_of(error)}")
        return
    futures = [(plan.place.campaign, queue.submit(work.root, plan.place.campaign, plan)) for plan in due if plan.is_new]
    work.enter(receipt for plan in due if not plan.is_new for receipt in queue_campaign(work.workspace, plan))
    for campaign, future in futures:
        work.enter(work.result(future, f"queue {campaign}") or [])


def _submit_embedding(
    work: Work, days: Sequence[DayPlan]
) -> list[tuple[ShardGroup, PrefectFuture[list[ShardOutcome]]]]:
    cluster = work.workspace.settings.cluster
    with embedding_resources(cluster), in_order(work.priority):
        return [
            (group, embed.submit(work.root, group.label, group.shards, work.threads, work.until, cluster.retries))
            for group in group_shards(days, work.total_s)
        ]


def _finish_camera(
    work: Work, planned: Sequence[DayPlan], outcomes: Sequence[ShardOutcome], all_days: Sequence[DayPlan]
) -> tuple[list[Planned], list[PrefectFuture[list[Receipt]]]]:
    """Enter what was embedded of a camera, and send its days on their way to being published."""
    workspace, camera = work.workspace, planned[0].place.camera
    for why, count in Counter(outcome.message for outcome in outcomes if outcome.status == "late").items():
        work.report.left_shards[why] = work.report.left_shards.get(why, 0) + count
    recordings = [
        recording
        for day in all_days
        if day.place.camera == camera
        for recording in {shard.recording.path: shard.recording for shard in day.shards}.values()
    ]
    now = {day.place: day for day in plan_days(workspace, recordings)}
    kept = {day.place for day in planned if keeps_its_results(workspace, now[day.place], outcomes)}
    work.report.kept_days += len(kept)
    chosen = {day.place for day in planned} - kept
    whole = plan_whole_camera(workspace, list(now.values()), chosen)
    try:
        keep_decisions(workspace, whole, chosen)
    except (AfterwatchError, OSError) as error:  # they explain what is made, and are not needed for it
        work.report.failures.setdefault(f"decisions: {reason_of(error)}")
    work.enter(
        receipt for day in planned if day.place in chosen for receipt in embed_receipts(day, now[day.place], outcomes)
    )
    plans = [(day, steps) for day, steps in whole if day.place in chosen]
    plans = [(day, steps) for day, steps in plans if any(product.exists for product in day.products("frames"))]
    todo = [(day, steps) for day, steps in plans if not steps.exist]
    if not todo or not work.may_go_on():
        return plans, []
    with in_order(work.priority, ahead=True):
        scored = score.submit(work.root, camera, todo)
        classified = _submit_classification(work, camera, todo)
        segmented = segment.submit(work.root, camera, todo, work.threads, wait_for=[scored, *classified])  # type: ignore[call-overload]  # Prefect types wait_for only beside return_state
        found = [scored, *_submit_retrieval(work, camera, todo, scored), *classified, segmented]
        summarised = summarise.submit(work.root, camera, todo, wait_for=found)  # type: ignore[call-overload]  # likewise
        published = publish.submit(work.root, camera, todo, work.threads, wait_for=[summarised])  # type: ignore[call-overload]  # likewise
    return plans, [*found, summarised, published]


def _submit_retrieval(
    work: Work, camera: str, todo: Sequence[tuple[DayPlan, DaySteps]], scored: PrefectFuture[list[Receipt]]
) -> list[PrefectFuture[list[Receipt]]]:
    """Nothing is sent where no head is in service, and none was taken out of it."""
    if not any(steps.heads or _retires(steps, RETRIEVE) for _, steps in todo):
        return []
    return [retrieve.submit(work.root, camera, todo, wait_for=[scored])]  # type: ignore[call-overload]  # as above


def _submit_classification(
    work: Work, camera: str, todo: Sequence[tuple[DayPlan, DaySteps]]
) -> list[PrefectFuture[list[Receipt]]]:
    """Nothing is sent where no alarm is switched on, and none was switched off; it needs nothing but embeddings."""
    if not any(steps.alarms or _retires(steps, CLASSIFY) for _, steps in todo):
        return []
    return [classify.submit(work.root, camera, todo)]


def _retires(steps: DaySteps, name: str) -> bool:
    return any(step.name == name for step in steps.retired)


def _collect(work: Work, plans: Sequence[Planned], futures: Sequence[PrefectFuture[list[Receipt]]]) -> None:
    receipts: list[Receipt] = []
    results = [work.result(future, plans[0][0].place.camera) for future in futures]
    for result in results:
        receipts += result or []
    told = {(receipt.place, receipt.step) for receipt in receipts}
    there = [receipt for _, steps in plans if steps.exist for receipt in step_receipts(steps)]
    work.enter([*receipts, *(receipt for receipt in there if (receipt.place, receipt.step) not in told)])
    left = sum(not steps.exist and (day.place, "publish") not in told for day, steps in plans)
    if left and all(result is not None for result in results):  # a task that failed is told as such
        work.may_go_on()
        why = work.stopped or STOPPED
        work.report.left_days[why] = work.report.left_days.get(why, 0) + left
