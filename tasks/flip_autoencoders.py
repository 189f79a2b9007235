"""Comparing two versions of an autoencoder before the other serves, by what the novelty head makes of their vectors.

Footage that is not embedded with a version yet is decoded and embedded for the comparison, by the steps of the night, in a lake
apart: see `workspace.flip_trial`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from infra.errors import AfterwatchError, NightError
from lake.current import recordings_now
from lake.keys import Place
from tasks.embed import embed_shards
from tasks.plan import FRAMES_SCOPE, DayPlan, Product, Recording, ShardPlan, made, plan_days, recordings_of
from tasks.score import score_day
from tasks.step_plans import DaySteps
from tasks.steps import plan_whole_camera
from workspace.autoencoder_readers import readers_of
from workspace.flip_sides import VersionSides
from workspace.flip_trial import TrialWorkspace, judges_by, trial_folder
from workspace.flips import Compared, ComparedDay, FoundEvent, events_in_order
from workspace.opened import Workspace

EMBED, SCORE = "embed", "compare"
GONE = "left out: the recordings are gone, and were never embedded with both versions"
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class _Judged:
    """What a version makes of a day.

    Attributes:
        events: that it finds.
        key: of the step.
        lacking: why nothing is judged; empty where something is.
    """

    events: tuple[FoundEvent, ...]
    key: str
    lacking: str


def compare_autoencoders(workspace: Workspace, sides: VersionSides, campaign: str, progress: Progress) -> Compared:
    """Hold what the novelty head finds by one version against what it finds by the other.

    The days of the campaign are compared. The days before them that count as their reference are embedded and judged likewise,
    as far as the recordings are there. What is not embedded for the night at all yet is left out.

    Raises:
        AccessError: the role of who acts does not allow it.
        AfterwatchError: a recording cannot be decoded, a model is damaged, or there is no room; what is done by then is kept for
            the next call.
    """
    workspace.guard.ask("compare models", enter=False)
    versions = (sides.current, sides.candidate)
    remarks: Counter[str] = Counter()
    days: list[ComparedDay] = []
    keys: set[str] = set()
    with trial_folder(workspace, sides.name, *versions) as folder:
        trials = tuple(TrialWorkspace(workspace, folder, sides.name, version) for version in versions)
        encoder = trials[0].trial.table
        for recordings in _cameras(workspace, campaign, encoder.runs_for):
            planned = plan_days(workspace, recordings)
            mine = {day.place for day in planned if day.place.campaign == campaign}
            chosen = {day.place for day in _counting(workspace, planned, mine)}
            remarks["not embedded yet"] += len(mine - chosen)
            judged = [_judge_camera(trial, recordings, chosen, progress) for trial in trials]
            for place in sorted(mine & chosen):
                current, candidate = (found.get(place) for found in judged)
                if current is None or candidate is None:
                    remarks[GONE] += 1
                elif current.lacking and candidate.lacking:
                    remarks[f"left out, by {sides.current}: {current.lacking}"] += 1
                else:
                    remarks.update(
                        f"{one}: {side.lacking}"
                        for one, side in zip(versions, (current, candidate), strict=True)
                        if side.lacking
                    )
                    days.append(ComparedDay(place, current.events, candidate.events))
                    keys.update((current.key, candidate.key))
        words = (*_words(workspace, trials[0], versions), *_readers(workspace, encoder.name))
    models = tuple((sides.kind, sides.name, version) for version in versions)
    told = (f"{why} ({count} camera-day{'s' if count > 1 else ''})" for why, count in sorted(remarks.items()) if count)
    return Compared(tuple(days), (workspace.settings.novelty.name,), models, words, tuple(told), tuple(sorted(keys)))


def _cameras(workspace: Workspace, campaign: str, runs_for: Callable[[str], bool]) -> list[list[Recording]]:
    """Of each camera of the campaign, in order, all recordings up to the campaign's last day."""
    known = [one for one in recordings_of(workspace, recordings_now(workspace.ledger)) if runs_for(one.place.camera)]
    last: dict[str, Place] = {}
    for one in known:
        if one.place.campaign == campaign:
            last[one.place.camera] = max(last.get(one.place.camera, one.place), one.place)
    return [
        [one for one in known if one.place.camera == camera and one.place.day <= last[camera].day]
        for camera in sorted(last)
    ]


def _counting(workspace: Workspace, days: Sequence[DayPlan], compared: set[Place]) -> list[DayPlan]:
    """The days that are compared and those before them that are their reference, as far as the night has looked at them."""
    first = min(place.day for place in compared)
    since = first - timedelta(days=workspace.settings.novelty.reference_days)
    return [day for day in days if day.place.day >= since and made(day, FRAMES_SCOPE)]


def _judge_camera(
    trial: TrialWorkspace, recordings: Sequence[Recording], chosen: set[Place], progress: Progress
) -> dict[Place, _Judged]:
    """What a version finds in each of the chosen days that is, or can be, embedded with it."""
    space = trial.trial.spec.space
    _embed(trial, recordings, chosen, progress)
    planned = plan_days(trial, recordings)
    whole = {day.place for day in planned if not any(_lacks(shard, space) for shard in day.shards)}
    found = {}
    pairs = [pair for pair in plan_whole_camera(trial, planned, chosen) if pair[0].place in chosen]
    for number, (day, steps) in enumerate(pairs):
        progress(SCORE, number, len(pairs))
        judged = _judge_day(trial, day, steps)
        if day.place in whole:
            found[day.place] = judged
    progress(SCORE, len(pairs), len(pairs))
    return found


def _lacks(shard: ShardPlan, space: str) -> bool:
    """Whether the night has looked at a shard, and it is not embedded in a space."""
    mine = [product for product in shard.products if _of(product, space)]
    looked_at = any(product.exists and product.scope == FRAMES_SCOPE for product in shard.products)
    return looked_at and (not all(product.exists for product in mine) or not (mine or shard.recording.there))


def _of(product: Product, space: str) -> bool:
    return product.scope.startswith(f"{space}/")


def _embed(trial: TrialWorkspace, recordings: Sequence[Recording], chosen: set[Place], progress: Progress) -> None:
    """Embed with the version what the night has looked at.

    Raises:
        NightError: a shard could not be embedded, or there is no room for it.
    """
    space, threads = trial.trial.spec.space, trial.settings.compute.decode_threads or 1
    todo = [
        replace(shard, products=tuple(product for product in shard.products if _of(product, space)))
        for day in plan_days(trial, recordings)
        if day.place in chosen
        for shard in day.shards
        if shard.recording.there and _lacks(shard, space)
    ]
    total, done = sum(shard.seconds for shard in todo), 0.0
    for shard in todo:
        progress(EMBED, done, total)
        (outcome,) = embed_shards(trial, [shard], threads)
        if outcome.status != "done":
            raise NightError(
                f"{shard.recording.path} cannot be embedded with {trial.trial.table.name} for the comparison: {outcome.message}; "
                "what is embedded by now is kept, see to it and compare again"
            )
        done += shard.seconds
        progress(EMBED, done, total)


def _judge_day(trial: TrialWorkspace, day: DayPlan, steps: DaySteps) -> _Judged:
    """Judge a day as the night does.

    Raises:
        AfterwatchError: it fails.
    """
    for receipt in score_day(trial, day, steps):
        if receipt.status == "failed":
            raise AfterwatchError(f"{day.place}: {receipt.step} failed: {receipt.message}")
    path = next(path for path in steps.score.outputs if path.startswith("events/"))
    rows = trial.store.read_table(path).to_pylist()
    judged = any(made(day, f"{trial.trial.spec.space}/{region.region}") for region in steps.regions)
    lacking = "" if judged else steps.score.remark or "nothing is embedded with it"
    return _Judged(events_in_order(FoundEvent.of(row) for row in rows), steps.score.key, lacking)


def _words(workspace: Workspace, trial: TrialWorkspace, versions: tuple[str, str]) -> tuple[str, ...]:
    """How they were applied."""
    novelty, name = trial.settings.novelty, trial.trial.table.name
    regions = "every region" if novelty.regions == "all" else f"region {', '.join(novelty.regions)}"
    threshold = (
        f"at most {novelty.alarms_per_night:g} alarms a camera and night" if novelty.mu is None else f"μ {novelty.mu:g}"
    )
    told = [
        f"head {novelty.name}: detector {novelty.detector}, scaling {novelty.scaling}, projection {novelty.projection}, "
        f"{regions}, {threshold}; vectors of {name} {versions[0]} and {versions[1]}, references embedded with each, of "
        f"{novelty.reference_days} days before"
    ]
    if not judges_by(workspace, name):
        told.append(
            f"[novelty] names {workspace.settings.novelty.encoder}, so both versions judge as they would if it named {name}"
        )
    return tuple(told)


def _readers(workspace: Workspace, encoder: str) -> tuple[str, ...]:
    """What finds nothing any more once another version serves: of that the events say nothing."""
    readers = readers_of(workspace, encoder)
    if not readers:
        return ()
    return (
        f"not compared: what reads vectors of the version in service, until it is trained anew: {', '.join(readers)}",
    )
