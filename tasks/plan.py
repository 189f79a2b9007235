"""What a night has to do: every step of every camera's day, its key, and whether its output is there already.

Keys depend on nothing but content and parameters, so the whole chain is known before anything runs. Nothing here
decodes, loads a network or starts an orchestrator.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from footage.index import MICROSECONDS
from footage.regions import WHOLE, Region
from footage.sampling import Shard, shards
from lake.current import recordings_now
from lake.keys import Place, step_key
from tasks.inventory import USABLE, Row
from workspace.indexes import load_index
from workspace.opened import PlannedEncoder, Workspace

FRAMES_SCOPE = "frames"


@dataclass(frozen=True)
class Recording:
    """A usable recording."""

    place: Place
    recording_id: str
    path: str
    started_at: datetime
    duration_us: int
    frames: int
    there: bool = True
    """Whether the file is still there to be decoded."""


@dataclass(frozen=True)
class Product:
    """What one shard gives for one scope: `frames` (statistics and coverage) or `space/region` (embeddings)."""

    scope: str
    key: str
    paths: tuple[str, ...]
    exists: bool
    encoder: PlannedEncoder | None = None
    region: Region | None = None


@dataclass(frozen=True)
class ShardPlan:
    """A shard of a recording and what is to come of it."""

    recording: Recording
    shard: Shard
    seconds: float
    products: tuple[Product, ...]

    @property
    def todo(self) -> tuple[Product, ...]:
        """Products to make; none for a recording that is gone."""
        return tuple(product for product in self.products if not product.exists) if self.recording.there else ()


@dataclass(frozen=True)
class Step:
    """A step of a camera's day after embedding: made from `inputs` (keys), giving `outputs` (files of the lake)."""

    name: str
    scope: str
    key: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    exists: bool


@dataclass(frozen=True)
class DayPlan:
    """A camera's day."""

    place: Place
    shards: tuple[ShardPlan, ...]

    @property
    def todo_s(self) -> float:
        """Seconds of footage still to be decoded."""
        return sum(shard.seconds for shard in self.shards if shard.todo)

    def products(self, scope: str) -> list[Product]:
        return [product for shard in self.shards for product in shard.products if product.scope == scope]

    @property
    def scopes(self) -> list[str]:
        """Scopes of the day's products, in order, without repetition."""
        return list(dict.fromkeys(product.scope for shard in self.shards for product in shard.products))


@dataclass(frozen=True)
class Selection:
    """Which part of the footage a run is about; None means all."""

    campaign: str | None = None
    camera: str | None = None
    day: date | None = None

    def takes(self, place: Place) -> bool:
        return (
            self.campaign in (None, place.campaign)
            and self.camera in (None, place.camera)
            and self.day in (None, place.day)
        )


def recordings_of(workspace: Workspace, rows: Sequence[Row]) -> list[Recording]:
    """Usable recordings among rows of the lake, and those that were usable until their files went: their results stay.

    Cameras that the settings skip are left out.
    """
    now = {row["path"]: row for row in [*recordings_now(workspace.ledger), *rows]}
    usable = {row["recording_id"] for row in now.values() if row["status"] in USABLE}
    # Content that lies elsewhere now was renamed: it counts there. Of gone duplicates, one counts.
    gone = {
        (row["recording_id"], row["campaign"], row["camera"], row["started_at"]): row
        for row in now.values()
        if row["status"] == "gone" and row["frames"] and row["recording_id"] not in usable
    }
    counting = [*(row for row in rows if row["status"] in USABLE), *gone.values()]
    return [
        Recording(
            Place(row["campaign"], row["camera"], row["day"]),
            row["recording_id"],
            row["path"],
            row["started_at"],
            row["duration_us"],
            row["frames"],
            row["status"] in USABLE,
        )
        for row in counting
        if not workspace.settings.skips(row["camera"])
    ]


def plan_days(workspace: Workspace, recordings: Sequence[Recording]) -> list[DayPlan]:
    """Plan the embedding of every recording, by camera and day, in order of place and start.

    Of a recording that is not there any more, only what was made of it counts.
    """
    places: dict[Place, list[Recording]] = {}
    for recording in recordings:
        places.setdefault(recording.place, []).append(recording)
    existing: dict[str, frozenset[str]] = {}

    def exists(path: str) -> bool:
        folder = path.rsplit("/", 1)[0]
        if folder not in existing:
            existing[folder] = frozenset(workspace.store.names(folder))
        return path in existing[folder]

    days = []
    for place in sorted(places):
        planned = [
            _plan_shard(workspace, recording, shard, seconds, exists)
            for recording in sorted(places[place], key=lambda item: (item.started_at, item.path))
            for shard, seconds in _shards_of(workspace, recording)
        ]
        kept = tuple(shard if shard.recording.there else _what_was_made(shard) for shard in planned)
        if any(shard.products for shard in kept):
            days.append(DayPlan(place, tuple(shard for shard in kept if shard.products)))
    return days


def _what_was_made(shard: ShardPlan) -> ShardPlan:
    """A shard of a recording that is gone: nothing where its pictures were never looked at."""
    made = tuple(product for product in shard.products if product.exists)
    counts = any(product.scope == FRAMES_SCOPE for product in made)
    return replace(shard, products=made if counts else ())


def _shards_of(workspace: Workspace, recording: Recording) -> list[tuple[Shard, float]]:
    span_s = workspace.settings.footage.shard_s
    if recording.duration_us <= span_s * MICROSECONDS:
        return [(Shard(0, 0, recording.frames), recording.duration_us / MICROSECONDS)]
    index = load_index(workspace.store, recording.recording_id)
    ends = [*index.t_us[1:], index.duration_us]
    return [
        (shard, float(ends[shard.last - 1] - index.t_us[shard.first]) / MICROSECONDS) for shard in shards(index, span_s)
    ]


def _plan_shard(
    workspace: Workspace, recording: Recording, shard: Shard, seconds: float, exists: Callable[[str], bool]
) -> ShardPlan:
    place, settings = recording.place, workspace.settings
    sampling = settings.sampling_of(place.camera).model_dump(mode="json")
    common = {
        "campaign": place.campaign,
        "camera": place.camera,
        "day": place.day.isoformat(),
        "recording": recording.recording_id,
        "started_at": recording.started_at.isoformat(),
        "pictures": [shard.first, shard.last],
    }
    key = step_key("embed", {**common, "sampling": sampling, "reach_s": settings.reach_s}, ())
    paths = tuple(f"{table}/{place.folder}/{key}.parquet" for table in ("frames", "coverage"))
    products = [Product(FRAMES_SCOPE, key, paths, all(map(exists, paths)))]
    for encoder in workspace.encoders:
        for region in workspace.regions(place.camera):
            if encoder.table.regions != "all" and region.name not in encoder.table.regions:
                continue
            of_encoder = {
                "space": encoder.spec.space,
                "region": [region.name, region.geometry],
                "sampling": sampling if encoder.spec.kind == "frame" else encoder.stride_s,
            }
            key = step_key("embed", {**common, **of_encoder}, ())
            path = f"embeddings/space={encoder.spec.space}/{place.folder}/{key}.parquet"
            scope = f"{encoder.spec.space}/{region.name}"
            products.append(Product(scope, key, (path,), exists(path), encoder, region))
    return ShardPlan(recording, shard, seconds, tuple(products))


@dataclass(frozen=True)
class RegionPlan:
    """One region of a camera's day: its snippets, and the earlier ones that they are held against.

    `fit` is None where there is no earlier footage: the day is then compared with itself.
    """

    camera: str
    region: str
    judged_with: tuple[str, ...]
    """All regions of the camera that are judged; they share its alarm budget."""
    snippets: tuple[str, ...]
    reference: tuple[str, ...]
    alarms: tuple[str, ...]
    """Files of the earlier days' events: what raised an alarm is no reference for later days."""
    fit: Step | None


@dataclass(frozen=True)
class DaySteps:
    """The steps of a camera's day after embedding, and what it is held against."""

    place: Place
    health: Step
    regions: tuple[RegionPlan, ...]
    score: Step
    summarise: Step
    publish: Step
    normals: tuple[str, ...]
    """Files of the earlier days' pictures, in the summary's space."""

    @property
    def all(self) -> tuple[Step, ...]:
        return (self.health, *self.fits, self.score, self.summarise, self.publish)

    @property
    def fits(self) -> tuple[Step, ...]:
        return tuple(plan.fit for plan in self.regions if plan.fit is not None)

    @property
    def exist(self) -> bool:
        """Whether nothing is left to do."""
        return all(step.exists for step in self.all)


def plan_camera(workspace: Workspace, days: Sequence[DayPlan], chosen: Collection[Place]) -> list[DaySteps]:
    """Plan what follows the embedding of a camera's days.

    Args:
        workspace: the site.
        days: all days of the camera, of whatever campaign, as far as they are embedded: absent products do not count.
        chosen: days that the run is about; earlier ones count as far as they have been scored before.

    Returns:
        The steps of the chosen days, in order of day. Each depends on the days before it.
    """
    planned: list[tuple[DayPlan, DaySteps]] = []
    for day in sorted(days, key=lambda day: (day.place.day, day.place.campaign)):
        planned.append((day, _plan_steps(workspace, day, planned, chosen)))
    return [steps for day, steps in planned if day.place in chosen]


def _plan_steps(
    workspace: Workspace, day: DayPlan, planned: Sequence[tuple[DayPlan, DaySteps]], chosen: Collection[Place]
) -> DaySteps:
    settings, place = workspace.settings, day.place
    novelty, summary = settings.novelty, settings.summary
    since = place.day - timedelta(days=novelty.reference_days)
    before = [(other, steps) for other, steps in planned if since <= other.place.day < place.day]
    past = [other for other, _ in before]
    # A day of which nothing is embedded is not judged, and has no alarms to leave out.
    judged = [
        steps.score
        for other, steps in before
        if steps.score.exists or (other.place in chosen and _made(other, FRAMES_SCOPE))
    ]
    pictures = f"{workspace.encoder(summary.encoder).spec.space}/{WHOLE.name}"
    normals = [product for other in past for product in _made(other, pictures)]
    frames, looks = _made(day, FRAMES_SCOPE), _made(day, pictures)

    def step(name: str, scope: str, parameters: Any, inputs: Sequence[str], tables: Sequence[str]) -> Step:
        told = {"place": [place.campaign, place.camera, place.day.isoformat()], "parameters": parameters}
        key = step_key(name, told, inputs)
        outputs = tuple(f"{table}/{place.folder}/{key}.parquet" for table in tables)
        return Step(name, scope, key, tuple(inputs), outputs, all(workspace.store.exists(path) for path in outputs))

    health = step("health", "", {}, _keys(frames), ("health",))
    regions, judged_by = _plan_regions(workspace, day, past, judged)
    score = step("score", novelty.name, novelty.model_dump(mode="json"), judged_by, ("scores", "events"))
    chosen_by = summary.model_dump(
        mode="json", include={"segment_s", "budget_s", "similarity_limit", "encoder", "weights"}
    )
    made_of = [score.key, *_keys(frames), *_keys(looks), *_keys(normals)]
    summarise = step("summarise", "", chosen_by, made_of, ("segments",))
    shown_by = {"summary": summary.model_dump(mode="json"), "time_zone": settings.site.time_zone}
    publish = step("publish", "", shown_by, [score.key, summarise.key], ())
    publish = replace(publish, exists=published_key(workspace, place) == publish.key)
    return DaySteps(place, health, regions, score, summarise, publish, _paths(normals))


def _plan_regions(
    workspace: Workspace, day: DayPlan, past: Sequence[DayPlan], judged: Sequence[Step]
) -> tuple[tuple[RegionPlan, ...], list[str]]:
    """Plan each region that is judged; also the keys that the day's scores depend on."""
    novelty, camera = workspace.settings.novelty, day.place.camera
    told = novelty.model_dump(mode="json")
    space = workspace.encoder(novelty.encoder).spec.space
    wanted = [
        region.name
        for region in workspace.regions(camera)
        if (novelty.regions == "all" or region.name in novelty.regions) and day.products(f"{space}/{region.name}")
    ]
    alarms = tuple(step.outputs[1] for step in judged)
    regions, keys = [], list(wanted)
    for name in wanted:
        snippets = _made(day, f"{space}/{name}")
        reference = [product for other in past for product in _made(other, f"{space}/{name}")]
        fit = None
        if reference:
            parameters = {"camera": camera, "regions": [name, wanted], "parameters": told}
            made_from = [*_keys(reference), *(step.key for step in judged)]
            key = step_key("fit", parameters, made_from)
            known = workspace.registry.exists("novelty", camera, key)
            fit = Step("fit", name, key, tuple(made_from), (), known)
            keys.append(key)
        keys += _keys(snippets)
        regions.append(RegionPlan(camera, name, tuple(wanted), _paths(snippets), _paths(reference), alarms, fit))
    return tuple(regions), keys


def published_key(workspace: Workspace, place: Place) -> str:
    """Key of the step that published a camera's day; empty where nothing is published or it cannot be read."""
    folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
    try:
        return str(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _made(day: DayPlan, scope: str) -> list[Product]:
    return [product for product in day.products(scope) if product.exists]


def _paths(products: Sequence[Product]) -> tuple[str, ...]:
    return tuple(path for product in products for path in product.paths)


def _keys(products: Sequence[Product]) -> list[str]:
    return [product.key for product in products]
