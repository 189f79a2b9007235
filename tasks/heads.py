"""Which retrieval heads are in service of a camera, and what they are to make of its days."""

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from infra.errors import AfterwatchError
from lake.keys import step_key
from lake.promotions import in_service
from tasks.plan import FRAMES_SCOPE, DayPlan, HeadPlan, Reference, Step, keys_of, made, paths_of
from workspace.opened import Workspace

KIND = "retrieval"
STEP = "retrieve"


def plan_heads(workspace: Workspace, day: DayPlan, references: Sequence[Reference]) -> tuple[HeadPlan, ...]:
    """Plan what the heads in service make of a camera's day, in order of name.

    A head that does not fit the camera as it is now is suspended: its step makes nothing, and says why.

    Args:
        workspace: the site.
        day: as far as it is embedded.
        references: the camera's own stills, for heads that keep none of theirs.
    """
    if not made(day, FRAMES_SCOPE):
        return ()
    serving = in_service(workspace.ledger, KIND, day.place.camera)
    return tuple(_plan_head(workspace, day, references, name, version) for name, version in sorted(serving.items()))


def _plan_head(
    workspace: Workspace, day: DayPlan, references: Sequence[Reference], name: str, version: str
) -> HeadPlan:
    scope, suspended = "", ""
    try:
        card, arrays = workspace.registry.load(KIND, name, version)
        references = () if "reference" in arrays else references
        scope = f"{card['space']}/{card['use_case']['region']}"
        suspended = _unfit(workspace, day, card, scope)
    except AfterwatchError as error:
        suspended = str(error)
    snippets = [] if suspended else made(day, scope)
    place = day.place
    told: dict[str, Any] = {
        "place": [place.campaign, place.camera, place.day.isoformat()],
        "head": [name, version],
        "suspended": suspended,
        "references": [[reference.key, reference.from_us] for reference in references],
    }
    made_from = [] if suspended else [*keys_of(snippets), *keys_of(made(day, FRAMES_SCOPE))]
    key = step_key(STEP, told, made_from)
    outputs = tuple(f"{table}/{place.folder}/{key}.parquet" for table in ("scores", "events"))
    exists = all(workspace.store.exists(path) for path in outputs)
    step = Step(STEP, name, key, tuple(made_from), outputs, exists, _said_of(workspace, key) if exists else "")
    return HeadPlan(name, version, step, paths_of(snippets), scope, suspended)


def _unfit(workspace: Workspace, day: DayPlan, card: dict[str, Any], scope: str) -> str:
    """Why a head cannot be applied to its camera as it is now; empty where it can."""
    name = card["use_case"]["region"]
    region = next((region for region in workspace.regions(day.place.camera) if region.name == name), None)
    if region is None:
        return f"its region {name} was taken back; draw it again, or take the head out of service"
    if region.geometry != card["geometry"]:
        return f"its region {name} was drawn anew since it was trained; train it again on the region as it is now"
    if not day.products(scope):
        return f"its encoder {card['encoder']} is not used any more as it was; train it again in one that is"
    if card["kind"] != "support_vectors":
        return "it can rank moments, but not tell relevant ones; label some that are not, and save it again"
    return ""


def _said_of(workspace: Workspace, key: str) -> str:
    """What was told when a step was done, out of the ledger."""
    runs = workspace.ledger.rows("runs")
    told = runs.filter(pc.and_(pc.equal(runs["step"], STEP), pc.equal(runs["key"], key)))["message"].to_pylist()
    return next((str(message) for message in reversed(told) if message), "")
