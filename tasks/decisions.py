"""What decided each step of a camera's day, kept beside its results, so that a later plan can tell what is different.

A key is a hash: it says that something changed, and not what. So the parameters of every step that a run looks at go into a small
file, `decisions/campaign=…/camera=…/DAY-HASH.json`, named by its content: the same plan of a day gives the same file. It decides
nothing itself. Of results that were made before there were such files, or whose file is gone, a plan says that they were made with
other settings.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from lake.keys import VERSIONS, Place, short_hash
from lake.ledger import newest
from models.encoders.base import EncoderSpec
from tasks.alarms import STEP as CLASSIFY
from tasks.heads import STEP as RETRIEVE
from tasks.plan import DayPlan, Product, pictures_by, vectors_by
from tasks.step_plans import AlarmPlan, DaySteps, HeadPlan
from workspace.opened import Workspace

FOLDER = "decisions"
EMBED = "embed"
OWN = ""
"""Among the inputs of a step, those of its own day."""

Row = dict[str, Any]
Planned = tuple[DayPlan, DaySteps]


@dataclass(frozen=True)
class Decision:
    """What decided a step.

    Attributes:
        step, scope: of the camera's day.
        version: of the step (`lake.keys.VERSIONS`).
        keys: of what it makes: of an embedding one for each shard, else one.
        parameters: as JSON holds them.
        inputs: hash of the keys it is made from, by the day that they are of; `OWN` where it is the same.
    """

    step: str
    scope: str
    version: int
    keys: tuple[str, ...]
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Decided:
    """What decided a camera's day when it was last planned so.

    Attributes:
        decisions: of its steps.
        recordings: by content, when it starts (ISO) and in how many shards it is cut.
    """

    decisions: tuple[Decision, ...]
    recordings: Mapping[str, tuple[str, int]]


def decide(workspace: Workspace, day: DayPlan, steps: DaySteps, origins: Mapping[str, date]) -> Decided:
    """What decides a camera's day.

    Args:
        workspace: the site.
        day: its embedding.
        steps: what follows.
        origins: day of each key that steps of the camera may be made from (see `origins_of`).
    """
    parameters = _applied_by(workspace, steps)
    decisions = [_embedding(workspace, day, scope) for scope in day.scopes]
    for step in steps.all:
        by_day: dict[str, list[str]] = {}
        for key in step.inputs:
            of = origins.get(key, day.place.day)
            by_day.setdefault(OWN if of == day.place.day else of.isoformat(), []).append(key)
        decisions.append(
            Decision(
                step.name,
                step.scope,
                VERSIONS[step.name],
                (step.key,),
                parameters.get((step.name, step.scope), step.parameters),
                {of: short_hash(sorted(keys))[:10] for of, keys in sorted(by_day.items())},
            )
        )
    cut: dict[str, tuple[str, int]] = {}
    for shard in day.shards:
        count = cut.get(shard.recording.recording_id, ("", 0))[1] + 1
        cut[shard.recording.recording_id] = shard.recording.started_at.isoformat(), count
    return Decided(tuple(decisions), cut)


def origins_of(planned: Iterable[Planned]) -> dict[str, date]:
    """Day of each key that steps of a camera are made from."""
    origins: dict[str, date] = {}
    for day, steps in planned:
        keys = [product.key for shard in day.shards for product in shard.products]
        keys += [*(step.key for step in steps.all), steps.unusual.key, steps.measured.key]
        origins |= dict.fromkeys(keys, day.place.day)
    return origins


def _embedding(workspace: Workspace, day: DayPlan, scope: str) -> Decision:
    products = day.products(scope)
    keys = tuple(sorted(product.key for product in products))
    return Decision(EMBED, scope, VERSIONS[EMBED], keys, embedded_by(workspace, day.place.camera, products[0]), {})


def embedded_by(workspace: Workspace, camera: str, product: Product) -> dict[str, Any]:
    """What decides the embedding of a scope, with the encoder in words."""
    if product.encoder is None or product.region is None:
        return pictures_by(workspace, camera)
    of_region = vectors_by(workspace, camera, product.encoder, product.region)
    return {**of_region, "encoder": told_encoder(product.encoder.spec)}


def told_encoder(spec: EncoderSpec) -> dict[str, Any]:
    """Everything that an encoder's space is made of."""
    told = asdict(spec)
    del told["layout"]
    return told


def _applied_by(workspace: Workspace, steps: DaySteps) -> dict[tuple[str, str], dict[str, Any]]:
    """What decides the steps that apply heads and alarms, by step and scope."""
    references = [[reference.key, reference.from_us] for reference in steps.references]
    reach_s = workspace.settings.reach_s
    heads = {(RETRIEVE, head.step.scope): _head(head, references, reach_s) for head in steps.heads}
    return heads | {(CLASSIFY, alarm.step.scope): _alarm(alarm, references) for alarm in steps.alarms}


def _head(plan: HeadPlan, references: list[Any], reach_s: float) -> dict[str, Any]:
    return {
        "version": plan.version,
        "suspended": plan.suspended,
        "scope": plan.scope,
        "reach_s": reach_s,
        "references": references,
    }


def _alarm(plan: AlarmPlan, references: list[Any]) -> dict[str, Any]:
    return {
        "classifier": [plan.classifier, plan.version, plan.class_name],
        "rule": None if plan.rule is None else asdict(plan.rule),
        "regions": {region.name: list(region.scopes) for region in plan.regions},
        "suspended": plan.suspended,
        "references": references,
    }


class Decisions:
    """The files of decisions of a lake: listed once for each campaign and camera, read when needed.

    Args:
        workspace: the site.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._names: dict[str, list[str]] = {}
        self._read: dict[str, Decided | None] = {}

    def keep(self, place: Place, decided: Decided) -> None:
        """Write what decided a camera's day, unless it is there.

        Raises:
            LakeError: it cannot be written.
        """
        told = {
            "steps": [asdict(decision) for decision in decided.decisions],
            "recordings": {content: list(cut) for content, cut in decided.recordings.items()},
        }
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        folder = _folder(place)
        path = f"{folder}/{place.day.isoformat()}-{short_hash(json.loads(text))}.json"
        if path not in self._listed(folder):
            self._workspace.store.write_bytes(path, text.encode())
            self._listed(folder).append(path)

    def find(self, place: Place, step: str, key: str) -> tuple[Decision, Decided] | None:
        """What decided the step of a camera's day that made `key`, and the rest of that day; None where nothing tells."""
        prefix = f"{_folder(place)}/{place.day.isoformat()}-"
        for path in self._listed(_folder(place)):
            decided = self._of(path) if path.startswith(prefix) else None
            for decision in () if decided is None else decided.decisions:
                if decision.step == step and key in decision.keys:
                    return decision, decided  # type: ignore[return-value]  # it has decisions
        return None

    def _listed(self, folder: str) -> list[str]:
        if folder not in self._names:
            self._names[folder] = self._workspace.store.names(folder)
        return self._names[folder]

    def _of(self, path: str) -> Decided | None:
        if path not in self._read:
            self._read[path] = _decoded(self._workspace.store.read_bytes(path))
        return self._read[path]


def _folder(place: Place) -> str:
    return f"{FOLDER}/{place.folder.rsplit('/', 1)[0]}"


def _decoded(content: bytes) -> Decided | None:
    """What a file tells; None where it is not as it was written: it explains, and decides nothing."""
    try:
        told = json.loads(content)
        decisions = tuple(Decision(**{**item, "keys": tuple(item["keys"])}) for item in told["steps"])
        return Decided(decisions, {name: (str(cut[0]), int(cut[1])) for name, cut in told["recordings"].items()})
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def keep_decisions(workspace: Workspace, planned: Sequence[Planned], kept: Iterable[Place]) -> None:
    """Keep what decides days of a camera.

    Args:
        workspace: the site.
        planned: all days of the camera and their steps.
        kept: the days of which it is kept.

    Raises:
        LakeError: it cannot be written.
    """
    wanted, origins, decisions = set(kept), origins_of(planned), Decisions(workspace)
    for day, steps in planned:
        if day.place in wanted:
            decisions.keep(day.place, decide(workspace, day, steps, origins))


def latest_steps(workspace: Workspace) -> dict[tuple[str, Place, str], Row]:
    """The newest row of the ledger of each step, camera's day and scope, whether it came to its end or not."""
    found: dict[tuple[str, Place, str], Row] = workspace.ledger.derived("runs", _newest_rows)
    return found


def counting_steps(workspace: Workspace) -> dict[tuple[str, Place, str], Row]:
    """The newest row of each step, camera's day and scope that names files or a key that counts."""
    found: dict[tuple[str, Place, str], Row] = workspace.ledger.derived("runs", _counting_rows)
    return found


def _newest_rows(runs: pa.Table) -> dict[tuple[str, Place, str], Row]:
    return _by_place(runs, lambda _: True)


def _counting_rows(runs: pa.Table) -> dict[tuple[str, Place, str], Row]:
    return _by_place(runs, lambda row: row["status"] != "failed" and bool(row["key"]))


def _by_place(runs: pa.Table, takes: Callable[[Row], bool]) -> dict[tuple[str, Place, str], Row]:
    names = [
        "run_id",
        "step",
        "campaign",
        "camera",
        "day",
        "scope",
        "key",
        "status",
        "outputs",
        "message",
        "finished_at",
    ]
    rows = [row for row in runs.select(names).to_pylist() if row["camera"] and takes(row)]
    latest = newest(rows, ("step", "campaign", "camera", "day", "scope"), "finished_at")
    return {(row["step"], Place(row["campaign"], row["camera"], row["day"]), row["scope"]): row for row in latest}
