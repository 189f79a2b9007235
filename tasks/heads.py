"""Which retrieval heads are in service of a camera, and what they are to make of its days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.errors import AfterwatchError
from lake.keys import Place, step_key
from lake.labels import UseCase
from lake.promotions import in_service
from tasks.camera_runs import CameraRuns
from tasks.plan import FRAMES_SCOPE, DayPlan, keys_of, made, paths_of
from tasks.step_plans import HeadPlan, Reference, Step
from workspace.opened import Workspace

KIND = "retrieval"
STEP = "retrieve"
SUSPENDED = "suspended"
"""First word of what a receipt tells of a head that was not applied, or not to all of a day."""
SUSPENDED_FOR = f"{SUSPENDED} for"
"""First words where it is for some of the day's stills, because the camera was moved."""
RETIRED = "taken out of service"

Card = dict[str, Any]


@dataclass(frozen=True)
class _Head:
    """A head in service; `unusable` says why it cannot be read, and is empty where it can."""

    name: str
    version: str
    card: Card
    has_reference: bool
    unusable: str


class CameraHeads:
    """The heads of one camera, as registry and ledger have them at the moment: read when first needed, and once.

    Args:
        workspace: the site.
        camera: whose heads.
        runs: what the ledger says of the camera's steps.
        versions: of each head by name, such as one that does not serve yet; None: those in service of the camera.
    """

    def __init__(
        self, workspace: Workspace, camera: str, runs: CameraRuns, versions: Mapping[str, str] | None = None
    ) -> None:
        self._workspace, self._camera, self._runs = workspace, camera, runs
        self._versions = versions

    def plan(self, day: DayPlan, references: Sequence[Reference]) -> tuple[HeadPlan, ...]:
        """Plan what the heads in service make of a camera's day, in order of name.

        A head that does not fit the camera as it is now is suspended: its step makes nothing, and says why.

        Args:
            day: as far as it is embedded.
            references: the camera's own stills, for heads that keep none of theirs.
        """
        if not made(day, FRAMES_SCOPE):
            return ()
        return tuple(self._plan_head(day, references, head) for head in self._serving)

    def retired(self, place: Place) -> tuple[Step, ...]:
        """Steps of the heads no longer in service whose scores and events of a day still count, in order of name.

        They give no files and are done as they are: once they are in the ledger, nothing of such a head counts.
        """
        return self._runs.retired(STEP, place, {head.name for head in self._serving}, RETIRED)

    def _plan_head(self, day: DayPlan, references: Sequence[Reference], head: _Head) -> HeadPlan:
        workspace, place = self._workspace, day.place
        scope = "" if head.unusable else f"{head.card['space']}/{head.card['use_case']['region']}"
        suspended = head.unusable or _unfit(workspace, day, head.card, scope)
        snippets = [] if suspended else made(day, scope)
        held_against = () if head.has_reference else references
        told: dict[str, Any] = {
            "place": place.told,
            "head": [head.name, head.version],
            "suspended": suspended,
            "reach_s": workspace.settings.reach_s,
            "references": [[reference.key, reference.from_us] for reference in held_against],
        }
        made_from = [] if suspended else [*keys_of(snippets), *keys_of(made(day, FRAMES_SCOPE))]
        key = step_key(STEP, told, made_from)
        outputs = tuple(f"{table}/{place.folder}/{key}.parquet" for table in ("scores", "events"))
        exists = all(workspace.store.exists(path) for path in outputs)
        remark = self._runs.said(STEP, key) if exists else ""
        step = Step(STEP, head.name, key, tuple(made_from), outputs, exists, remark)
        return HeadPlan(head.name, head.version, step, paths_of(snippets), scope, suspended)

    @cached_property
    def _serving(self) -> tuple[_Head, ...]:
        serving = self._versions
        if serving is None:
            serving = in_service(self._workspace.ledger, KIND, self._camera)
        return tuple(_read(self._workspace, self._camera, name, version) for name, version in sorted(serving.items()))


def _read(workspace: Workspace, camera: str, name: str, version: str) -> _Head:
    try:
        card, arrays = workspace.registry.load(KIND, name, version)
    except AfterwatchError as error:
        return _Head(name, version, {}, False, str(error))
    return _Head(name, version, card, "reference" in arrays, _of_another(card, camera, name))


def _of_another(card: Card, camera: str, name: str) -> str:
    """Why a card is not of the head and camera that it serves; empty where it is."""
    use_case = card.get("use_case")
    told = [use_case.get(part) for part in ("camera", "region", "name")] if isinstance(use_case, dict) else []
    parts = [part for part in told if isinstance(part, str) and part]
    if len(parts) < 3:
        return "its card names no use case (camera, region and name); train it again"
    if parts[0] != camera:
        return f"it was trained on camera {parts[0]}, and is in service of camera {camera}; train one on {camera}"
    try:
        expected = UseCase(*parts).head_name
    except AfterwatchError as error:
        return f"its card cannot be used: {error}"
    if expected != name:
        return f"its card is that of {expected}; train it again, or put another version of it into service"
    lacking = [entry for entry in ("space", "encoder", "geometry", "kind", "rule") if entry not in card]
    return f"its card lacks {', '.join(lacking)}; train it again" if lacking else ""


def _unfit(workspace: Workspace, day: DayPlan, card: Card, scope: str) -> str:
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
