"""Refit: models in service trained anew as candidates, one after another; a person puts into service what does better.

It may run beside a night: it reads what nights have made, and what it writes are new versions in the registry. It does not
run twice at once.
"""

import os
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed

from flows.watch import Progress, current_watch, silent, watching
from infra.errors import NightError
from infra.lock import refit_lock
from tasks.receipts import reason_of
from tasks.refit import refit_model, subjects_of
from workspace.opened import Workspace
from workspace.refitting import Refitted


@dataclass(frozen=True)
class RefitReport:
    """What came of every model in service that was asked for."""

    run: str
    models: tuple[Refitted, ...]

    @property
    def status(self) -> str:
        """`complete`, or `incomplete` where one failed."""
        return "incomplete" if any(one.outcome == "failed" for one in self.models) else "complete"

    @property
    def message(self) -> str:
        """In a line."""
        candidates = sum(one.outcome == "candidate" for one in self.models)
        failed = [f"{one.kind} {one.name}: {one.message}" for one in self.models if one.outcome == "failed"]
        return "; ".join([f"{candidates} new candidates of {len(self.models)} models in service", *failed])

    def to_json(self) -> dict[str, Any]:
        return {"run": self.run, "status": self.status, "models": [one.to_json() for one in self.models]}


_REPORTS: ContextVar[list[RefitReport]] = ContextVar("reports")


@flow(name="refit", flow_run_name="refit of {site}", persist_result=False)
def refit(site: str, kind: str | None = None, name: str | None = None, camera: str | None = None) -> State[Any]:
    """Train candidates for the models in service that have enough new to learn from; none is put into service.

    Args:
        site: folder of the workspace.
        kind, name, camera: narrow the run; no kind: those of `[refit] kinds`.
    """
    workspace = Workspace(site)
    with refit_lock(workspace.site.state_folder):
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        progress = current_watch().progress
        models = [
            # One after another, and here: each may take every core.
            refit_model(site, f"{subject.kind} {subject.name}", subject, run, progress)
            for subject in subjects_of(workspace, kind, name, camera)
        ]
        workspace.ledger.compact("runs")
    report = RefitReport(run, tuple(models))
    _REPORTS.get([]).append(report)
    return (Completed if report.status == "complete" else Failed)(message=report.message)


def run_refit(
    workspace: Workspace,
    kind: str | None = None,
    name: str | None = None,
    camera: str | None = None,
    *,
    progress: Progress = silent,
) -> RefitReport:
    """Run a refit in this process; see `refit`.

    Raises:
        UnknownNameError: there is no such kind, or no model in service of that name or camera.
        NightError: the flow ended without a report; the message is its reason.
    """
    subjects_of(workspace, kind, name, camera)
    reports: list[RefitReport] = []
    token = _REPORTS.set(reports)
    try:
        with watching(progress), temporary_settings({PREFECT_API_URL: os.environ.get("PREFECT_API_URL")}):
            state: Any = refit(str(workspace.site.root), kind, name, camera, return_state=True)
    finally:
        _REPORTS.reset(token)
    if not reports:
        reason = state.result(raise_on_failure=False)
        why = reason_of(reason) if isinstance(reason, BaseException) else state.message
        raise NightError(f"the refit stopped before its report: {why}")
    return reports[0]
