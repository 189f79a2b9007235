"""Refit: one model in service, trained anew as a candidate; the settings say of what kinds and when."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from prefect import task

from infra.errors import UnknownNameError
from lake.ledger import RunRow
from tasks.receipts import reason_of
from workspace import refit_classifiers, refit_retrieval
from workspace.opened import Workspace
from workspace.refitting import NotDueError, Progress, Refitted, Subject, refitted

STEP = "refit"
KINDS = ("autoencoder", "retrieval", "classifier")
DONE = ("candidate", "waiting")
"""Outcomes with which there is a candidate."""


def subjects_of(
    workspace: Workspace, kind: str | None = None, name: str | None = None, camera: str | None = None
) -> list[Subject]:
    """The models in service that may be refitted, by kind and name.

    Args:
        workspace: whose.
        kind: only this one, whether or not `[refit] kinds` has it; None: those.
        name: only the models of this name.
        camera: only the models that look at this camera.

    Raises:
        UnknownNameError: there is no such kind, or no model in service of that name or camera.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError("kind of model that is refitted", kind, KINDS)
    wanted = workspace.settings.refit.kinds if kind is None else (kind,)
    found = [one for each in KINDS if each in wanted for one in _listed(each)(workspace)]
    if name is not None and name not in (one.name for one in found):
        raise UnknownNameError("model in service", name, {one.name for one in found})
    named = [one for one in found if name in (None, one.name)]
    if camera is not None and not any(one.looks_at(camera) for one in named):
        raise UnknownNameError(
            "camera of a model in service", camera, {known for one in named for known in one.cameras or ()}
        )
    return [one for one in named if camera is None or one.looks_at(camera)]


def _listed(kind: str) -> Callable[[Workspace], list[Subject]]:
    if kind == "autoencoder":
        from workspace import refit_autoencoders  # torch takes seconds to import, and few sites have one

        return refit_autoencoders.subjects
    return refit_retrieval.subjects if kind == "retrieval" else refit_classifiers.subjects


def _refit(kind: str) -> Callable[[Workspace, Subject, Progress], Refitted]:
    if kind == "autoencoder":
        from workspace import refit_autoencoders

        return refit_autoencoders.refit
    return refit_retrieval.refit if kind == "retrieval" else refit_classifiers.refit


@task(task_run_name="refit {label}", persist_result=False)
def refit_model(root: str, label: str, subject: Subject, run_id: str, progress: Progress) -> Refitted:
    """Train a candidate in place of one model in service, and enter into the ledger what came of it."""
    return refit_subject(Workspace(root), subject, run_id, progress)


def refit_subject(
    workspace: Workspace, subject: Subject, run_id: str, progress: Progress = lambda _stage, _done, _total: None
) -> Refitted:
    """The task's work, without an orchestrator. What goes wrong with one model is told, and the next one has its turn."""
    began, started = datetime.now(UTC), time.perf_counter()
    try:
        result = _refit(subject.kind)(workspace, subject, progress)
    except NotDueError as error:
        result = refitted(subject, "left", message=str(error))
    except Exception as error:  # noqa: BLE001 — whatever is wrong with one model, the others are to be refitted
        result = refitted(subject, "failed", message=reason_of(error))
    now = datetime.now(UTC)
    workspace.ledger.record(
        [
            RunRow(
                run_id=run_id,
                step=STEP,
                campaign="",
                camera="",
                day=began.astimezone(workspace.settings.zone).date(),
                scope=f"{subject.kind}/{subject.name}",
                key=result.version or subject.version,
                status=_status(result),
                started_at=began,
                finished_at=now,
                inputs=(subject.version,),
                seconds=round(time.perf_counter() - started, 3),
                message=f"{result.outcome}: {result.message}" if result.message else result.outcome,
            )
        ]
    )
    return result


def _status(result: Refitted) -> str:
    if result.outcome == "failed":
        return "failed"
    return "done" if result.outcome == "candidate" else "skipped"
