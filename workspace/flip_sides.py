"""What people name to be compared: versions of a model, as NAME/VERSION, or runs of the ledger, as HEAD@RUN."""

from dataclasses import dataclass
from datetime import datetime

from infra.errors import ConfigurationError, UnknownNameError
from lake.ledger import FINISHED
from workspace.flip_signing import COMPARED
from workspace.opened import Workspace
from workspace.serving import model_named

NOW = "now"
NEWEST = 8
"""Runs that are told where one is not known."""
FORMS = (
    "write NAME/VERSION (or NAME for the version in service) twice, or HEAD@RUN twice (HEAD@now for what counts now)"
)


@dataclass(frozen=True)
class VersionSides:
    """Two versions of a model."""

    kind: str
    name: str
    current: str
    candidate: str


@dataclass(frozen=True)
class Run:
    """A run of the ledger, and when its last step ended: what counted then is what counts of it."""

    run_id: str
    ended_at: datetime


@dataclass(frozen=True)
class RunSides:
    """A head after two runs."""

    head: str
    current: Run
    candidate: Run


def find_sides(workspace: Workspace, current: str, candidate: str, kind: str | None = None) -> VersionSides | RunSides:
    """What two names stand for.

    Args:
        workspace: the site.
        current, candidate: as a person names them.
        kind: of the model, where models of several kinds have the name.

    Raises:
        ConfigurationError: they are no two versions of one model, nor one head after two runs (UnknownNameError: a name is
            not known).
    """
    if ("@" in current) != ("@" in candidate):
        raise ConfigurationError(f"{current} and {candidate} cannot be compared: {FORMS}")
    return _runs(workspace, current, candidate) if "@" in current else _versions(workspace, current, candidate, kind)


def _versions(workspace: Workspace, current: str, candidate: str, kind: str | None) -> VersionSides:
    name, _, asked = current.partition("/")
    other, _, wanted = candidate.partition("/")
    if name != other:
        raise ConfigurationError(f"{current} and {candidate} are not of one model; {FORMS}")
    model = model_named(workspace, name, kind)
    if model.kind not in COMPARED:
        raise ConfigurationError(
            f"{name} is of kind {model.kind}, and versions are compared before they serve only of {', '.join(COMPARED[:-1])} and "
            f"{COMPARED[-1]}; let a night run with the change, then compare what counted before and after: "
            '"afterwatch models compare HEAD@RUN HEAD@now"'
        )
    found = [_version(model.kind, name, said or model.serving or "", model.versions) for said in (asked, wanted)]
    if found[0] == found[1]:
        raise ConfigurationError(f"{current} and {candidate} are the same version, {found[0]}; {FORMS}")
    return VersionSides(model.kind, name, *found)


def _version(kind: str, name: str, said: str, known: tuple[str, ...]) -> str:
    if not said:
        raise ConfigurationError(f"no version of {kind} {name} is in service, so say which is meant, as {name}/VERSION")
    begun = [said] if said in known else [version for version in known if version.startswith(said)]
    if len(begun) != 1:
        raise UnknownNameError(f"version of {kind} {name}", said, begun or known)
    return begun[0]


def _runs(workspace: Workspace, current: str, candidate: str) -> RunSides:
    head, _, asked = current.partition("@")
    other, _, wanted = candidate.partition("@")
    if head != other:
        raise ConfigurationError(f"{current} and {candidate} are not of one head; {FORMS}")
    rows = workspace.ledger.rows("runs").select(["run_id", "scope", "status", "outputs", "finished_at"]).to_pylist()
    heads = {row["scope"] for row in rows if any(path.startswith("events/") for path in row["outputs"] or ())}
    if head not in heads:
        raise UnknownNameError("head with events", head, heads)
    ended: dict[str, datetime] = {}
    for row in rows:
        if row["status"] in FINISHED:
            ended[row["run_id"]] = max(row["finished_at"], ended.get(row["run_id"], row["finished_at"]))
    runs = sorted(
        (Run(run_id, ended_at) for run_id, ended_at in ended.items()), key=lambda run: (run.ended_at, run.run_id)
    )
    first, second = (_run(said, runs) for said in (asked, wanted))
    if first == second:
        raise ConfigurationError(f"{current} and {candidate} are the same run, {first.run_id}; {FORMS}")
    return RunSides(head, first, second)


def _run(said: str, runs: list[Run]) -> Run:
    """The run that is meant; now is the one that ended last."""
    if said == NOW:
        return runs[-1]
    begun = [run for run in runs if run.run_id == said] or [run for run in runs if said and run.run_id.startswith(said)]
    if len(begun) != 1:
        newest = [run.run_id for run in (begun or runs)[-NEWEST:]]
        raise UnknownNameError("run", said, [*newest, NOW])
    return begun[0]
