"""The steps `segment` and `summarise` of a camera's day: what they are made from, and what of it is there.

A head that failed is no reason to be without a summary: the steps are then made of what is there, under the keys of just
that. The full ones stay undone, so the next night takes them up.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from lake.keys import Place
from lake.store import Store
from tasks.camera_runs import CameraRuns
from tasks.day_steps import day_key, day_step
from tasks.step_plans import AlarmPlan, DaySteps, Measured, Step, SummaryPlan
from workspace.opened import Workspace
from workspace.weight_sets import NamedWeights

SEGMENT, SUMMARISE = "segment", "summarise"


@dataclass(frozen=True)
class MadeFrom:
    """Keys that a day's segments are made from.

    Attributes:
        frames: of its sampled pictures.
        looks: of their embeddings in the summary's space.
        normals: of those of the earlier days.
        scores: of what decides the novelty head's scores, whatever the threshold.
    """

    frames: Sequence[str]
    looks: Sequence[str]
    normals: Sequence[str]
    scores: str

    def keys(self, *, with_novelty: bool) -> tuple[str, ...]:
        """All of them, those of the scores where they count."""
        return (*self.frames, *self.looks, *self.normals, *([self.scores] if with_novelty else []))


def plan_summary(
    workspace: Workspace, place: Place, made_from: MadeFrom, past: Sequence[Measured], weights: NamedWeights
) -> SummaryPlan:
    """What decides the segments and the summary of a camera's day, by the settings as they are."""
    settings = workspace.settings
    summary, novelty = settings.summary, settings.novelty
    anomaly = summary.anomaly or (novelty.name,)
    alarms = tuple(alarm.name for alarm in settings.alarms if alarm.name in anomaly and alarm.runs_for(place.camera))
    with_novelty = novelty.name in anomaly
    # How long the longest is counts where change points do.
    names = {"segmentation", "segment_s", "encoder", *(["longest_s"] if summary.segmentation != "fixed" else [])}
    measured_by = {
        **summary.model_dump(mode="json", include=names),
        "cuts": summary.has_cuts(place.camera),
        "anomaly": [*([novelty.name] if with_novelty else []), *alarms],
        "exclusion_s": novelty.exclusion_s,
    }
    keys = made_from.keys(with_novelty=with_novelty)
    chosen_by = {
        **summary.model_dump(mode="json", include={"budget_s", "similarity_limit"}),
        "weights": [weights.label, asdict(weights.weights)],
    }
    return SummaryPlan(measured_by, keys, alarms, with_novelty, tuple(past), chosen_by, weights)


def segment_step(
    store: Store, place: Place, plan: SummaryPlan, alarms: Sequence[Step], past: Sequence[Measured]
) -> Step:
    """The step `segment` made from some alarms' steps and some of the past."""
    inputs = (*plan.made_from, *(step.key for step in alarms), *(item.key for item in past))
    return day_step(store, SEGMENT, "", place, plan.measured_by, inputs, ("segments",))


def measured(segment: Step, place: Place, plan: SummaryPlan, alarms: Sequence[Step]) -> Measured:
    """What later days take of a day's segments."""
    inputs = (*plan.made_from, *(step.key for step in alarms))
    return Measured(day_key(SEGMENT, place, plan.measured_by, inputs), segment.outputs[0], segment.exists)


def summarise_step(store: Store, place: Place, plan: SummaryPlan, made_from: Sequence[Step]) -> Step:
    """The step `summarise` made from that of the segments, the novelty head's, and some of heads and alarms."""
    inputs = tuple(step.key for step in made_from)
    return day_step(store, SUMMARISE, "", place, plan.chosen_by, inputs, ("summaries",))


def anomaly_steps(plan: SummaryPlan, alarms: Sequence[AlarmPlan]) -> tuple[Step, ...]:
    """Steps of the alarms whose probabilities make a segment anomalous."""
    return tuple(alarm.step for alarm in alarms if alarm.step.scope in plan.alarms)


def standing_segment(store: Store, steps: DaySteps) -> Step:
    """The step `segment` of what is there: the full one, unless an alarm it needs failed, or a past day is lacking."""
    if is_there(store, steps.segment):
        return replace(steps.segment, exists=True)
    alarms = [step for step in anomaly_steps(steps.summary, steps.alarms) if is_there(store, step)]
    return segment_step(store, steps.place, steps.summary, alarms, standing_past(store, steps))


def left_out_of_segments(store: Store, steps: DaySteps) -> str:
    """What of the full step `segment` is not there, in words; empty where nothing is lacking."""
    failed = [step.scope for step in anomaly_steps(steps.summary, steps.alarms) if not is_there(store, step)]
    lacking = len(steps.summary.past) - len(standing_past(store, steps))
    told = [f"alarm {name} failed, and counts for nothing" for name in failed]
    told += [f"the segments of {lacking} earlier days are not there, and not in the scales"] if lacking else []
    return "; ".join(told)


def standing_past(store: Store, steps: DaySteps) -> tuple[Measured, ...]:
    """The earlier days' segments that are there."""
    return tuple(item for item in steps.summary.past if item.exists or store.exists(item.path))


def standing_summarise(store: Store, steps: DaySteps) -> Step:
    """The step `summarise` of what is there: the full one, unless a head or an alarm failed."""
    if is_there(store, steps.summarise):
        return replace(steps.summarise, exists=True)
    made_from = (standing_segment(store, steps), steps.score, *standing_applied(store, steps))
    return summarise_step(store, steps.place, steps.summary, made_from)


def left_out_of_summary(store: Store, steps: DaySteps) -> str:
    """What of the full step `summarise` is not there, in words; empty where nothing is lacking."""
    failed = [step.scope for step in (*steps.retrieves, *steps.classifies) if not is_there(store, step)]
    return f"without the events of {', '.join(failed)}, which failed" if failed else ""


def standing_applied(store: Store, steps: DaySteps) -> tuple[Step, ...]:
    """Steps of the heads and alarms whose files are there."""
    return tuple(step for step in (*steps.retrieves, *steps.classifies) if is_there(store, step))


def is_there(store: Store, step: Step) -> bool:
    """Whether a step came to its end."""
    return step.exists or all(map(store.exists, step.outputs))


def told_again(workspace: Workspace, place: Place, step: Step, full: Step, left_out: str) -> str:
    """What is to be told of a step that was there: what was told when it was made, and what is left out of it now.

    It may have been made when nothing was lacking: before a head that failed since was in service.

    Args:
        workspace: the site.
        place: the camera's day.
        step: that was there.
        full: as it was planned, of everything.
        left_out: what of that is not there.
    """
    of_another = step.key != full.key
    said = CameraRuns(workspace, place.camera).said(step.name, step.key) if of_another else full.remark
    return said if left_out in said else "; ".join(filter(None, (left_out, said)))
