"""What follows the embedding of a camera's day, as it is planned: its steps, and what each is made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lake.keys import Place
from models.events import EventRule
from tasks.projections import ProjectionPlan

if TYPE_CHECKING:  # SciPy comes with the arithmetic of summaries
    from workspace.weight_sets import NamedWeights


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
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What decides it beside its inputs, where that is told (see `tasks.decisions`)."""


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
