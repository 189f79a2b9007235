"""What a night has to embed: every product of every camera's day, its key, and whether it is there already.

Keys depend on nothing but content and parameters, so all that follows is known before anything runs (`tasks.steps`).
Nothing here decodes, loads a network or starts an orchestrator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from footage.index import MICROSECONDS
from footage.regions import Region
from footage.sampling import Shard, shards
from lake.current import recordings_now
from lake.keys import Place, step_key
from models.events import EventRule
from tasks.inventory import USABLE, Row
from tasks.projections import ProjectionPlan
from workspace.indexes import load_index
from workspace.opened import PlannedEncoder, Workspace

if TYPE_CHECKING:  # SciPy comes with the arithmetic of summaries
    from workspace.weight_sets import NamedWeights

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
    remark: str = ""
    """What there is to know of what exists, as it was told when it was made."""


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
class Unusual:
    """What of a judged day is left out of later references: a file of `unusual`, and the key of what decides it.

    It is what the alarm budget alarms on; where μ or a person puts the threshold decides what a day's events are, but not
    what a camera usually sees. So no head is fitted anew because a threshold was moved.
    """

    key: str
    path: str
    exists: bool


@dataclass(frozen=True, order=True)
class Said:
    """`[from_us, to_us)` of a recording that people confirmed to be unusual, or dismissed."""

    recording_id: str
    from_us: int
    to_us: int
    confirmed: bool


def in_one_piece(said: Iterable[Said]) -> list[Said]:
    """What was said, in order, with neighbouring stretches of one answer as one: in however many pieces they were said."""
    found: list[Said] = []
    for new in said:
        last = found[-1] if found else None
        if last is not None and replace(last, from_us=last.to_us, to_us=new.to_us) == new:
            found[-1] = replace(last, to_us=new.to_us)
        else:
            found.append(new)
    return found


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
    unusual: tuple[str, ...]
    """Files of the earlier days' `unusual`: that is no reference for later days."""
    said: tuple[Said, ...]
    """What people said of the reference: confirmed stretches are left out of it, dismissed ones are in it."""
    deviations: float | None
    """Where a person put the threshold, in robust standard deviations above the normal median; None: nowhere."""
    fit: Step | None


@dataclass(frozen=True)
class Reference:
    """The still that a camera is held against, to tell whether it was moved.

    Attributes:
        since: the first moment it counts for; None: from the beginning.
        key: of the product that holds it.
        path: file of that product.
        from_us: which of the file's stills it is.
    """

    since: datetime | None
    key: str
    path: str
    from_us: int


@dataclass(frozen=True)
class HeadPlan:
    """A retrieval head in service and the day it is applied to.

    Attributes:
        name, version: in the registry.
        step: what it makes of the day; its scope is the head's name.
        snippets: files of the embeddings it scores.
        scope: of these embeddings, `space/region`; empty where the head cannot be read.
        suspended: why it is not applied; empty where it is.
    """

    name: str
    version: str
    step: Step
    snippets: tuple[str, ...]
    scope: str
    suspended: str


@dataclass(frozen=True)
class AlarmRegion:
    """A region of a camera's day that a class of [[alarms]] is looked for in.

    Attributes:
        name: of the region.
        scopes: of the embeddings of each input of the classifier, in its order: `space/region`.
        embeddings: their files.
    """

    name: str
    scopes: tuple[str, ...]
    embeddings: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class AlarmPlan:
    """An entry of [[alarms]] and the day it is applied to.

    Attributes:
        classifier, version: in the registry; the version is empty where there is none.
        class_name: class of the classifier that raises the alarm; empty where there is none.
        rule: when probabilities are an event; its threshold is that above which a window counts. None where there is no
            classifier.
        step: what it makes of the day; its scope is the alarm's name.
        regions: that it is applied to; none where it is suspended, or where what an earlier version found is kept.
        suspended: why it is not applied, or not to all of its regions, as the receipt says it; empty where it is.
    """

    classifier: str
    version: str
    class_name: str
    rule: EventRule | None
    step: Step
    regions: tuple[AlarmRegion, ...]
    suspended: str


@dataclass(frozen=True)
class Measured:
    """The segments of a day as the scales of later days take them: a file of `segments`, and the key of what decides its
    raw columns. What the day's own scales were fitted on decides nothing of these."""

    key: str
    path: str
    exists: bool


@dataclass(frozen=True)
class SummaryPlan:
    """What decides a day's segments and its summary.

    Attributes:
        measured_by: parameters of the step `segment`.
        made_from: keys of what segments are made from, beside alarms and the past: pictures, their embeddings and, where
            they count, the scores of the novelty head.
        alarms: names of the [[alarms]] whose probabilities make a segment anomalous.
        with_novelty: whether the novelty head's do.
        past: segments of the earlier days, which the scales are fitted on too.
        chosen_by: parameters of the step `summarise`.
        weights: in use.
    """

    measured_by: Mapping[str, Any]
    made_from: tuple[str, ...]
    alarms: tuple[str, ...]
    with_novelty: bool
    past: tuple[Measured, ...]
    chosen_by: Mapping[str, Any]
    weights: "NamedWeights"


@dataclass(frozen=True)
class DaySteps:
    """The steps of a camera's day after embedding, and what it is held against."""

    place: Place
    health: Step
    regions: tuple[RegionPlan, ...]
    score: Step
    unusual: Unusual
    """The last of the files of `score`."""
    segment: Step
    """Of everything it is made from; see `tasks.summary_steps` for what is made where some of it failed."""
    summarise: Step
    """Likewise."""
    publish: Step
    summary: SummaryPlan
    measured: Measured
    normals: tuple[str, ...]
    """Files of the earlier days' pictures, in the summary's space."""
    references: tuple[Reference, ...] = ()
    """The stills that tell whether the camera was moved, in order of `since`."""
    heads: tuple[HeadPlan, ...] = ()
    """Retrieval heads in service of the camera."""
    retired: tuple[Step, ...] = ()
    """Of each head out of service, and each alarm that is switched off, whose files count until this step is in the
    ledger; it gives none."""
    projection: ProjectionPlan | None = None
    """The trained projection of the novelty head."""
    alarms: tuple[AlarmPlan, ...] = ()
    """What [[alarms]] switches on for the camera."""
    truth: tuple[Said, ...] = ()
    """What people said of the day's events, as the key of `publish` has it."""

    @property
    def all(self) -> tuple[Step, ...]:
        applied = (*self.retrieves, *self.classifies, *self.retired)
        return (self.health, *self.fits, self.score, *applied, self.segment, self.summarise, self.publish)

    @property
    def retrieves(self) -> tuple[Step, ...]:
        return tuple(head.step for head in self.heads)

    @property
    def classifies(self) -> tuple[Step, ...]:
        return tuple(alarm.step for alarm in self.alarms)

    @property
    def fits(self) -> tuple[Step, ...]:
        return tuple(plan.fit for plan in self.regions if plan.fit is not None)

    @property
    def exist(self) -> bool:
        """Whether nothing is left to do."""
        return all(step.exists for step in self.all)


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
