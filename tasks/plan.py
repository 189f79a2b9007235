"""What a night has to embed: every product of every camera's day, its key, and whether it is there already.

Keys depend on nothing but content and parameters, so all that follows is known before anything runs (`tasks.steps`).
Nothing here decodes, loads a network or starts an orchestrator.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from footage.index import MICROSECONDS
from footage.regions import Region
from footage.sampling import Shard, shards
from lake.current import recordings_now
from lake.keys import Place, step_key
from tasks.inventory import USABLE, Row
from workspace.indexes import load_index
from workspace.opened import PlannedEncoder, Workspace
from workspace.retention.deleted import deleted_now

FRAMES_SCOPE = "frames"
NOVELTY = "novelty"
"""Kind of novelty heads in the registry; a head's name there is its camera."""
SELF = "self"
"""Version of the head of a day without earlier footage: it is compared with itself."""


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

    @property
    def ended_at(self) -> datetime:
        """True time of its end."""
        return self.started_at + timedelta(microseconds=self.duration_us)


@dataclass(frozen=True)
class Product:
    """What one shard gives for one scope: `frames` (statistics, coverage and stills) or `space/region` (embeddings)."""

    scope: str
    key: str
    paths: tuple[str, ...]
    exists: bool
    encoder: PlannedEncoder | None = None
    region: Region | None = None
    foreseen: bool = False
    """Whether it only counts as existing, to tell what follows once it is made; nothing of it can be read."""


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

    @property
    def foreseen(self) -> "ShardPlan":
        """The shard as it will be when it is embedded."""
        if not self.todo:
            return self
        products = (item if item.exists else replace(item, exists=True, foreseen=True) for item in self.products)
        return replace(self, products=tuple(products))


@dataclass(frozen=True)
class DayPlan:
    """A camera's day."""

    place: Place
    shards: tuple[ShardPlan, ...]

    @property
    def todo_s(self) -> float:
        """Seconds of footage still to be decoded."""
        return sum(shard.seconds for shard in self.shards if shard.todo)

    @property
    def foreseen(self) -> "DayPlan":
        """The day as it will be when all of it is embedded."""
        return replace(self, shards=tuple(shard.foreseen for shard in self.shards))

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

    @property
    def words(self) -> str:
        """What it is limited to; empty of everything."""
        told = (("campaign", self.campaign), ("camera", self.camera), ("day", self.day))
        return ", ".join(f"{name} {value}" for name, value in told if value is not None)


def recordings_of(workspace: Workspace, rows: Sequence[Row]) -> list[Recording]:
    """Usable recordings among rows of the lake, and those that were usable until their files went: their results stay.

    Cameras that the settings skip are left out, and recordings of which retention deleted the results: none are made again.
    """
    closed = deleted_now(workspace.ledger).closed
    return [recording for recording in all_recordings(workspace, rows) if recording.recording_id not in closed]


def all_recordings(workspace: Workspace, rows: Sequence[Row]) -> list[Recording]:
    """As `recordings_of`, those among them of which retention deleted the results."""
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


def plan_days(workspace: Workspace, recordings: Sequence[Recording], deleted: Collection[str] = ()) -> list[DayPlan]:
    """Plan the embedding of every recording, by camera and day, in order of place and start.

    Of a recording that is not there any more, only what was made of it counts; `deleted` are files that count as there.
    """
    places: dict[Place, list[Recording]] = {}
    for recording in recordings:
        places.setdefault(recording.place, []).append(recording)
    existing: dict[str, frozenset[str]] = {}

    def exists(path: str) -> bool:
        folder = path.rsplit("/", 1)[0]
        if folder not in existing:
            existing[folder] = frozenset(workspace.store.names(folder))
        return path in existing[folder] or path in deleted

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
    place = recording.place
    common = {
        "campaign": place.campaign,
        "camera": place.camera,
        "day": place.day.isoformat(),
        "recording": recording.recording_id,
        "started_at": recording.started_at.isoformat(),
        "pictures": [shard.first, shard.last],
    }
    key = step_key("embed", {**common, **pictures_by(workspace, place.camera)}, ())
    paths = tuple(f"{table}/{place.folder}/{key}.parquet" for table in ("frames", "coverage", "stills"))
    if not recording.there and not exists(paths[-1]):
        paths = paths[:-1]  # embedded before there were stills, and none can be had any more
    products = [Product(FRAMES_SCOPE, key, paths, all(map(exists, paths)))]
    for encoder in workspace.encoders:
        if not encoder.table.runs_for(place.camera):
            continue
        for region in workspace.regions(place.camera):
            if encoder.table.regions != "all" and region.name not in encoder.table.regions:
                continue
            key = step_key("embed", {**common, **vectors_by(workspace, place.camera, encoder, region)}, ())
            path = f"embeddings/space={encoder.spec.space}/{place.folder}/{key}.parquet"
            scope = f"{encoder.spec.space}/{region.name}"
            products.append(Product(scope, key, (path,), exists(path), encoder, region))
    return ShardPlan(recording, shard, seconds, tuple(products))


def pictures_by(workspace: Workspace, camera: str) -> dict[str, Any]:
    """What decides a recording's sampled pictures, beside the recording."""
    settings = workspace.settings
    return {"sampling": settings.sampling_of(camera).model_dump(mode="json"), "reach_s": settings.reach_s}


def vectors_by(workspace: Workspace, camera: str, encoder: PlannedEncoder, region: Region) -> dict[str, Any]:
    """What decides the vectors of a region in a recording, beside the recording."""
    sampling = workspace.settings.sampling_of(camera).model_dump(mode="json")
    return {
        "space": encoder.spec.space,
        "region": [region.name, region.geometry],
        "sampling": sampling if encoder.spec.kind == "frame" else encoder.stride_s,
    }


def made(day: DayPlan, scope: str) -> list[Product]:
    """The products of a scope that are there."""
    return [product for product in day.products(scope) if product.exists]


def paths_of(products: Sequence[Product]) -> tuple[str, ...]:
    """Their files."""
    return tuple(path for product in products for path in product.paths)


def keys_of(products: Sequence[Product]) -> list[str]:
    """Their keys."""
    return [product.key for product in products]


def recordings_with(days: Sequence[DayPlan], scope: str) -> frozenset[str]:
    """Contents of the recordings of which a product of that scope is there."""
    return frozenset(
        shard.recording.recording_id
        for day in days
        for shard in day.shards
        if any(product.exists and product.scope == scope for product in shard.products)
    )
