"""What follows the embedding of a camera's days: every step, its key, and whether its output is there already."""

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from typing import Any

from footage.regions import WHOLE
from infra.errors import ConfigurationError
from infra.settings import NoveltyTable
from lake.keys import Place, step_key
from lake.thresholds import thresholds_now
from lake.verdicts import judged_stretches
from tasks.alarms import CameraAlarms
from tasks.camera_runs import CameraRuns
from tasks.day_steps import day_key, day_step
from tasks.heads import CameraHeads
from tasks.kept_files import published, told_gone
from tasks.plan import FRAMES_SCOPE, NOVELTY, DayPlan, ShardPlan, keys_of, made, paths_of, recordings_with
from tasks.projections import ProjectionPlan, find_projection
from tasks.references import find_references, references_within
from tasks.retained import as_deleted, closed_days, stands
from tasks.step_plans import DaySteps, Measured, Reference, RegionPlan, Said, Step, Unusual, in_one_piece
from tasks.summary_steps import MadeFrom, anomaly_steps, measured, plan_summary, segment_step, summarise_step
from tasks.truth import Truth
from workspace.opened import Workspace
from workspace.retention.deleted import deleted_now
from workspace.weight_sets import NamedWeights, weights_in_use

SCORED = ("scores", "events", "reasons", "standards")
"""Tables that a day's scoring writes, beside `unusual`."""
SHOWN_BY = {"keyframes", "proxy_width", "proxy_rate_hz", "proxy_margin_s", "proxy_longest_s"}
"""Settings of the summary that decide how it looks, and not what it shows."""


def plan_camera(workspace: Workspace, days: Sequence[DayPlan], chosen: Collection[Place]) -> list[DaySteps]:
    """Plan what follows the embedding of a camera's days; see `plan_whole_camera`.

    Returns:
        The steps of the chosen days, in order of day. Each depends on the days before it.
    """
    return [steps for day, steps in plan_whole_camera(workspace, days, chosen) if day.place in chosen]


def plan_whole_camera(
    workspace: Workspace, days: Sequence[DayPlan], chosen: Collection[Place]
) -> list[tuple[DayPlan, DaySteps]]:
    """Plan what follows the embedding of a camera's days.

    Args:
        workspace: the site.
        days: all days of the camera, of whatever campaign, as far as they are embedded: absent products do not count.
        chosen: days that the run is about; earlier ones count as far as they have been scored before.

    Returns:
        All days and their steps, in order of day; of those that are not chosen only what the chosen ones depend on.
    """
    if not days:
        return []
    planned: list[tuple[DayPlan, DaySteps]] = []
    camera = days[0].place.camera
    runs = CameraRuns(workspace, camera)
    heads, alarms = CameraHeads(workspace, camera, runs), CameraAlarms(workspace, camera, runs)
    serving = _Serving(heads, alarms, runs, weights_in_use(workspace), Truth(workspace, camera))
    closed = closed_days(workspace, camera)
    references = _references(workspace, [*days, *closed])
    said = _Said(workspace, camera)
    for day in sorted([*days, *closed], key=lambda day: (day.place.day, day.place.campaign)):
        steps = _plan_steps(workspace, day, planned, chosen, references, serving, said)
        if any(day is other for other in closed):
            steps = as_deleted(workspace, steps)
        elif closed and not stands(steps):  # made anew, it is held against what is there
            left = [pair for pair in planned if not any(pair[0] is other for other in closed)]
            steps = _plan_steps(workspace, day, left, chosen, references, serving, said)
        planned.append((day, steps))
    return [pair for pair in planned if not any(pair[0] is other for other in closed)]


def _references(workspace: Workspace, days: Sequence[DayPlan]) -> list[Reference]:
    """The camera's references; of a still that is only foreseen it is taken for granted that it shows enough."""
    real = [replace(day, shards=tuple(shard for shard in day.shards if not _is_foreseen(shard))) for day in days]
    found = find_references(workspace, real)
    foreseen = [(shard.recording.started_at, shard) for day in days for shard in day.shards if _is_foreseen(shard)]
    if not foreseen:
        return found
    started_at, first = min(foreseen, key=lambda pair: (pair[0], pair[1].recording.path, pair[1].shard.number))
    earliest = min((shard.recording.started_at for day in real for shard in day.shards), default=None)
    if earliest is not None and earliest <= started_at:
        return found
    pictures = next(product for product in first.products if product.scope == FRAMES_SCOPE)
    still = Reference(None, pictures.key, pictures.paths[-1], 0)
    return [still, *(reference for reference in found if reference.since is not None)]


def _is_foreseen(shard: ShardPlan) -> bool:
    return any(product.foreseen for product in shard.products if product.scope == FRAMES_SCOPE)


def _plan_steps(
    workspace: Workspace,
    day: DayPlan,
    planned: Sequence[tuple[DayPlan, DaySteps]],
    chosen: Collection[Place],
    references: Sequence[Reference],
    serving: "_Serving",
    said: "_Said",
) -> DaySteps:
    settings, place, store = workspace.settings, day.place, workspace.store
    since = place.day - timedelta(days=settings.novelty.reference_days)
    before = [(other, steps) for other, steps in planned if since <= other.place.day < place.day]
    past = [other for other, _ in before]
    frames = made(day, FRAMES_SCOPE)
    held_against = references_within(references, day)
    identities = [[reference.key, reference.from_us] for reference in held_against]
    health = day_step(store, "health", "", place, {"references": identities}, keys_of(frames), ("health",))
    regions, score, unusual = _plan_scores(workspace, day, before, chosen, said)

    pictures = f"{workspace.encoder(settings.summary.encoder).spec.space}/{WHOLE.name}"
    normals = [product for other in past for product in made(other, pictures)]
    made_from = MadeFrom(keys_of(frames), keys_of(made(day, pictures)), keys_of(normals), unusual.key)
    summary = plan_summary(workspace, place, made_from, _measured_before(before, chosen), serving.weights)
    heads = serving.heads.plan(day, held_against) if place in chosen else ()
    # What later days take of this one's segments depends on its alarms, whether the run is about it or not.
    alarms = serving.alarms.plan(day, held_against) if place in chosen or summary.alarms else ()
    retired = (*serving.heads.retired(place), *serving.alarms.retired(place)) if place in chosen else ()
    of_alarms = anomaly_steps(summary, alarms)
    segment = serving.with_remark(segment_step(store, place, summary, of_alarms, summary.past))
    applied = (*(head.step for head in heads), *(alarm.step for alarm in alarms))
    summarise = serving.with_remark(summarise_step(store, place, summary, (segment, score, *applied)))

    truth = serving.truth.told({shard.recording.recording_id for shard in day.shards})
    shown_by = {
        "summary": settings.summary.model_dump(mode="json", include=SHOWN_BY),
        "time_zone": settings.site.time_zone,
        "truth": [list(astuple(item)) for item in truth],
    }
    made_by = [score.key, summarise.key, *(step.key for step in applied)]
    publish = day_step(store, "publish", "", place, shown_by, made_by, ())
    shown = published(workspace, place)
    remark = told_gone(shown.gone_of(day)) if shown.key == publish.key else ""
    there = shown.stands(day, publish.key, summarise.key) or place in deleted_now(workspace.ledger).published
    publish = replace(publish, exists=there, remark=remark)
    return DaySteps(
        place=place,
        health=health,
        regions=regions,
        score=score,
        unusual=unusual,
        segment=segment,
        summarise=summarise,
        publish=publish,
        summary=summary,
        measured=measured(segment, place, summary, of_alarms),
        normals=paths_of(normals),
        references=held_against,
        heads=heads,
        retired=retired,
        projection=said.projection,
        alarms=alarms,
        truth=truth,
    )


def _plan_scores(
    workspace: Workspace,
    day: DayPlan,
    before: Sequence[tuple[DayPlan, DaySteps]],
    chosen: Collection[Place],
    said: "_Said",
) -> tuple[tuple[RegionPlan, ...], Step, Unusual]:
    """The regions that are judged, the step that does it, and what of the day later references leave out."""
    novelty, place, store = workspace.settings.novelty, day.place, workspace.store
    # A day of which nothing is embedded is not judged, and has no alarms to leave out.
    judged = [steps.unusual for other, steps in before if steps.unusual.exists or _comes(other, chosen)]
    regions, judged_by = _plan_regions(workspace, day, [other for other, _ in before], judged, said)
    budget = _budget(novelty, said.projection)
    in_use = _thresholds_in_use(novelty, regions)
    score = day_step(store, "score", novelty.name, place, {**budget, **in_use}, judged_by, SCORED)
    left_out = day_key("score", place, budget, judged_by)
    path = f"unusual/{place.folder}/{left_out}.parquet"
    unusual = Unusual(left_out, path, store.exists(path))
    score = replace(
        score,
        outputs=(*score.outputs, path),
        exists=score.exists and unusual.exists,
        remark="" if regions or not made(day, FRAMES_SCOPE) else _not_judged(workspace, place.camera),
    )
    return regions, score, unusual


def _measured_before(before: Sequence[tuple[DayPlan, DaySteps]], chosen: Collection[Place]) -> list[Measured]:
    """The earlier days' segments that are there, or that this run will make."""
    return [steps.measured for other, steps in before if steps.measured.exists or _comes(other, chosen)]


def _comes(day: DayPlan, chosen: Collection[Place]) -> bool:
    """Whether this run makes what follows the embedding of a day."""
    return day.place in chosen and bool(made(day, FRAMES_SCOPE))


@dataclass(frozen=True)
class _Serving:
    """What is applied to a camera's days beside its novelty head, what the ledger says of them, and the weights in use."""

    heads: CameraHeads
    alarms: CameraAlarms
    runs: CameraRuns
    weights: NamedWeights
    truth: Truth

    def with_remark(self, step: Step) -> Step:
        """A step that exists with what was told of it when it was made."""
        return replace(step, remark=self.runs.said(step.name, step.key)) if step.exists else step


class _Said:
    """What people and the registry say of a camera's novelty head at the moment: read once.

    Args:
        workspace: the site.
        camera: whose head.
    """

    def __init__(self, workspace: Workspace, camera: str) -> None:
        novelty = workspace.settings.novelty
        if novelty.detector == "cells" and workspace.encoder(novelty.encoder).spec.layout is None:
            raise ConfigurationError(
                f'novelty.detector "cells" looks at places of the picture, and vectors of {novelty.encoder} have none; '
                "use handcrafted/velocity or handcrafted/motion"
            )
        head = novelty.name
        self._stretches = judged_stretches(workspace.ledger, camera=camera, head=head)
        self._deviations = {
            region: choice.deviations
            for (of, region, name), choice in thresholds_now(workspace.ledger).items()
            if (of, name) == (camera, head)
        }
        self.projection = find_projection(workspace)

    def deviations(self, region: str) -> float | None:
        """Where a person put the threshold of a region."""
        return self._deviations.get(region)

    def of(self, region: str, recordings: Collection[str]) -> tuple[Said, ...]:
        """What was said of recordings, in order, whoever said it and in however many pieces."""
        stretches = (item for item in self._stretches.get(region, ()) if item.recording_id in recordings)
        return tuple(
            in_one_piece(Said(item.recording_id, item.from_us, item.to_us, item.confirmed) for item in stretches)
        )


def _budget(novelty: NoveltyTable, projection: ProjectionPlan | None) -> dict[str, Any]:
    """What decides a head and what the alarm budget alarms on: all settings but those of another threshold."""
    told = novelty.model_dump(mode="json", exclude={"mu"})
    return told | ({} if projection is None else {"trained": astuple(projection)})


def _thresholds_in_use(novelty: NoveltyTable, regions: Sequence[RegionPlan]) -> dict[str, Any]:
    """What else decides a day's events; empty where the alarm budget alone does."""
    chosen = {plan.region: plan.deviations for plan in regions if plan.deviations is not None}
    return {"mu": novelty.mu, "chosen": chosen} if chosen or novelty.mu is not None else {}


def _not_judged(workspace: Workspace, camera: str) -> str:
    novelty = workspace.settings.novelty
    if not workspace.encoder(novelty.encoder).table.runs_for(camera):
        return (
            f"{novelty.encoder} does not run for camera {camera}, so nothing of it is judged; name the camera among the "
            "encoder's cameras, or another encoder in [novelty]"
        )
    return f"{novelty.encoder} embeds no region of camera {camera} that [novelty] asks for, so nothing of it is judged"


def _plan_regions(
    workspace: Workspace, day: DayPlan, past: Sequence[DayPlan], judged: Sequence[Unusual], people: _Said
) -> tuple[tuple[RegionPlan, ...], list[str]]:
    """Plan each region that is judged; also the keys that the day's scores depend on."""
    novelty, camera = workspace.settings.novelty, day.place.camera
    space = workspace.encoder(novelty.encoder).spec.space
    wanted = [
        region.name
        for region in workspace.regions(camera)
        if (novelty.regions == "all" or region.name in novelty.regions) and day.products(f"{space}/{region.name}")
    ]
    unusual = tuple(item.path for item in judged)
    regions, keys = [], list(wanted)
    for name in wanted:
        scope = f"{space}/{name}"
        snippets = made(day, scope)
        reference = [product for other in past for product in made(other, scope)]
        said = people.of(name, recordings_with(past, scope))
        fit = None
        if reference:
            parameters: dict[str, Any] = {
                "camera": camera,
                "regions": [name, wanted],
                "parameters": _budget(novelty, people.projection),
                "said": [astuple(item) for item in said],
            }
            made_from = [*keys_of(reference), *(item.key for item in judged)]
            key = step_key("fit", parameters, made_from)
            known = workspace.registry.exists(NOVELTY, camera, key)
            fit = Step("fit", name, key, tuple(made_from), (), known, parameters=parameters)
            keys.append(key)
        keys += keys_of(snippets)
        deviations = people.deviations(name)
        paths = paths_of(snippets), paths_of(reference)
        regions.append(RegionPlan(camera, name, tuple(wanted), *paths, unusual, said, deviations, fit))
    return tuple(regions), keys
