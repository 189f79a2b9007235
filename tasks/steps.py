"""What follows the embedding of a camera's days: every step, its key, and whether its output is there already."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from footage.regions import WHOLE
from lake.keys import Place, step_key
from tasks.heads import CameraHeads
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps, Reference, RegionPlan, Step, keys_of, made, paths_of
from tasks.references import find_references, references_within
from workspace.opened import Workspace


def plan_camera(workspace: Workspace, days: Sequence[DayPlan], chosen: Collection[Place]) -> list[DaySteps]:
    """Plan what follows the embedding of a camera's days.

    Args:
        workspace: the site.
        days: all days of the camera, of whatever campaign, as far as they are embedded: absent products do not count.
        chosen: days that the run is about; earlier ones count as far as they have been scored before.

    Returns:
        The steps of the chosen days, in order of day. Each depends on the days before it.
    """
    if not days:
        return []
    planned: list[tuple[DayPlan, DaySteps]] = []
    heads = CameraHeads(workspace, days[0].place.camera)
    references = find_references(workspace, days)
    for day in sorted(days, key=lambda day: (day.place.day, day.place.campaign)):
        planned.append((day, _plan_steps(workspace, day, planned, chosen, references, heads)))
    return [steps for day, steps in planned if day.place in chosen]


def _plan_steps(
    workspace: Workspace,
    day: DayPlan,
    planned: Sequence[tuple[DayPlan, DaySteps]],
    chosen: Collection[Place],
    references: Sequence[Reference],
    camera_heads: CameraHeads,
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
        if steps.score.exists or (other.place in chosen and made(other, FRAMES_SCOPE))
    ]
    pictures = f"{workspace.encoder(summary.encoder).spec.space}/{WHOLE.name}"
    normals = [product for other in past for product in made(other, pictures)]
    frames, looks = made(day, FRAMES_SCOPE), made(day, pictures)

    def step(name: str, scope: str, parameters: Any, inputs: Sequence[str], tables: Sequence[str]) -> Step:
        told = {"place": [place.campaign, place.camera, place.day.isoformat()], "parameters": parameters}
        key = step_key(name, told, inputs)
        outputs = tuple(f"{table}/{place.folder}/{key}.parquet" for table in tables)
        return Step(name, scope, key, tuple(inputs), outputs, all(workspace.store.exists(path) for path in outputs))

    held_against = references_within(references, day)
    identities = [[reference.key, reference.from_us] for reference in held_against]
    health = step("health", "", {"references": identities}, keys_of(frames), ("health",))
    regions, judged_by = _plan_regions(workspace, day, past, judged)
    score = step("score", novelty.name, novelty.model_dump(mode="json"), judged_by, ("scores", "events"))
    chosen_by = summary.model_dump(
        mode="json", include={"segment_s", "budget_s", "similarity_limit", "encoder", "weights"}
    )
    made_of = [score.key, *keys_of(frames), *keys_of(looks), *keys_of(normals)]
    summarise = step("summarise", "", chosen_by, made_of, ("segments",))
    shown_by = {"summary": summary.model_dump(mode="json"), "time_zone": settings.site.time_zone}
    heads = camera_heads.plan(day, held_against) if place in chosen else ()
    retired = camera_heads.retired(place) if place in chosen else ()
    made_by = [score.key, summarise.key, *(head.step.key for head in heads)]
    publish = step("publish", "", shown_by, made_by, ())
    publish = replace(publish, exists=published(workspace, place) == Published(publish.key))
    return DaySteps(place, health, regions, score, summarise, publish, paths_of(normals), held_against, heads, retired)


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
        snippets = made(day, f"{space}/{name}")
        reference = [product for other in past for product in made(other, f"{space}/{name}")]
        fit = None
        if reference:
            parameters = {"camera": camera, "regions": [name, wanted], "parameters": told}
            made_from = [*keys_of(reference), *(step.key for step in judged)]
            key = step_key("fit", parameters, made_from)
            known = workspace.registry.exists("novelty", camera, key)
            fit = Step("fit", name, key, tuple(made_from), (), known)
            keys.append(key)
        keys += keys_of(snippets)
        regions.append(RegionPlan(camera, name, tuple(wanted), paths_of(snippets), paths_of(reference), alarms, fit))
    return tuple(regions), keys


@dataclass(frozen=True)
class Published:
    """What a camera's day was published from.

    Attributes:
        key: of the step; empty where nothing is published or it cannot be read.
        lacking: heads whose files were not there then, in order; the day is published again when they are.
    """

    key: str = ""
    lacking: tuple[str, ...] = ()


def published(workspace: Workspace, place: Place) -> Published:
    """What the present publication of a camera's day was made from."""
    folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
    try:
        told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return Published(str(told["key"]), tuple(told.get("lacking", ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Published()
