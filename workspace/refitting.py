"""What refits of every kind share: which model is in service, what is new to it, what is held out, what came of it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from infra.errors import ConfigurationError, LakeError
from lake.labels import Label
from workspace.flip_signing import comparing_command
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace

Outcome = Literal["candidate", "waiting", "left", "failed"]
Progress = Callable[[str, float, float], None]

NOT_MEASURABLE = (
    "left out of training, but not measurable: no label of the recordings that were held out is on embedded footage that the "
    "candidate has not learnt from"
)


class NotDueError(ConfigurationError):
    """A model is left as it is; the message says why, and what would change that."""


@dataclass(frozen=True)
class Subject:
    """A model in service.

    Attributes:
        kind, name, version: as the registry has it.
        cameras: that it looks at; None where it looks at whatever camera its settings name.
    """

    kind: str
    name: str
    version: str
    cameras: tuple[str, ...] | None

    def looks_at(self, camera: str) -> bool:
        return self.cameras is None or camera in self.cameras


@dataclass(frozen=True)
class Refitted:
    """What came of a model in service.

    Attributes:
        kind, name: of the model.
        current: the version in service.
        outcome: `candidate` (trained now), `waiting` (an earlier refit's candidate was made of the same; where other recordings
            or labels are held out by now, it was compared anew), `left` (too little is new to it, or it cannot be refitted), or
            `failed`.
        version: of the candidate; empty where there is none.
        message: why, or what there is to know.
        comparison, drift: as the candidate's card tells them.
    """

    kind: str
    name: str
    current: str
    outcome: Outcome
    version: str = ""
    message: str = ""
    comparison: dict[str, Any] | None = None
    drift: dict[str, Any] | None = None

    @property
    def promotion(self) -> str:
        """The command that puts the candidate into service; empty where there is none."""
        return f"afterwatch models promote {self.name} {self.version} --kind {self.kind}" if self.version else ""

    @property
    def review(self) -> str:
        """The command that makes the flip report which its promotion asks for; empty where there is none."""
        return comparing_command(self.kind, self.name, self.current, self.version) if self.version else ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "review": self.review, "promotion": self.promotion}


@dataclass(frozen=True)
class Known:
    """What a version knew when it was made, as its card tells.

    Attributes:
        until: labels said and recordings seen by then were known.
        held_out: contents of the recordings that were held out of its training, whether or not it could be measured on them.
    """

    until: datetime
    held_out: frozenset[str]

    @classmethod
    def of(cls, card: dict[str, Any]) -> "Known":
        """From any card; those of before refits say to the second when they were made, and held nothing out.

        Raises:
            LakeError: the card does not say when it was made.
        """
        comparison = card.get("comparison") or {}
        held = comparison.get("left_out") or (comparison.get("held_out") or {}).get("recording_ids") or ()
        with suppress(KeyError, TypeError, ValueError):
            if "known_until" in card:
                return cls(datetime.fromisoformat(card["known_until"]).astimezone(UTC), frozenset(held))
            made_at = datetime.fromisoformat(card["made_at"]).astimezone(UTC)
            return cls(made_at + timedelta(seconds=1), frozenset(held))
        raise LakeError("its card does not say when it was made, so nothing can be told to be new to it; fit it again")

    def has(self, label: Label) -> bool:
        """Whether a label was there to be trained on."""
        return label.said_at <= self.until and label.recording_id not in self.held_out


def moment_told(moment: datetime) -> str:
    """A moment as `Known` reads it from a card."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Division:
    """Labels parted for a refit.

    Attributes:
        training: to train the candidate on.
        held_out: that both versions are measured on.
        new: those that the version in service was not trained on.
        recordings: content of each recording that is held out, by its path.
        trained_on: contents of the recordings that the version in service was trained on.
        remark: why nothing is held out; empty where something is.
    """

    training: tuple[Label, ...]
    held_out: tuple[Label, ...]
    new: tuple[Label, ...]
    recordings: dict[str, str]
    trained_on: frozenset[str]
    remark: str = ""


def divide_labels(
    labels: Sequence[Label],
    knows: Callable[[Label], bool],
    recordings: KnownRecordings,
    share: float,
    least_new: int,
) -> Division:
    """Part labels into those that a candidate is trained on and those that both versions are measured on.

    Held out are the newest of the recordings that the version in service was trained on no label of: the share of them, at
    least one, and up to half of them where that takes in labels of both kinds. Nothing is held out where nothing new would
    be left to train on.

    Args:
        labels: all that count, of one question.
        knows: whether the version in service was trained on a label.
        recordings: of the lake.
        share: of the new recordings, above 0 and at most 0.5.
        least_new: labels that have to be new.

    Raises:
        NotDueError: fewer labels are new.
    """
    new = tuple(label for label in labels if not knows(label))
    if len(new) < least_new:
        raise NotDueError(
            f"{len(new)} labels are new to it, and [refit] least_new_labels asks for {least_new}; label more, or lower it"
        )
    trained_on = frozenset(label.recording_id for label in labels if knows(label))
    fresh = newest_first(recordings, {label.recording_id for label in new} - trained_on)
    count = max(1, round(len(fresh) * share)) if fresh else 0
    while count < len(fresh) / 2 and len({one.relevant for one in new if one.recording_id in fresh[:count]}) < 2:
        count += 1
    held = frozenset(fresh[:count])
    remark = ""
    if not fresh:
        remark = (
            "nothing could be held out: every new label is of a recording that the version in service was trained on"
        )
    elif all(label.recording_id in held for label in new):
        held, remark = frozenset(), "nothing could be held out: all that is new is of one recording, and is trained on"
    return Division(
        tuple(label for label in labels if label.recording_id not in held),
        tuple(label for label in labels if label.recording_id in held),
        new,
        {recordings.by_id(one).path: one for one in sorted(held)},
        trained_on,
        remark,
    )


def newest_first(recordings: KnownRecordings, contents: Iterable[str]) -> list[str]:
    """Contents of recordings, the one that began last first; those that nobody has ingested are left out."""
    known = []
    for one in contents:
        with suppress(ConfigurationError):
            known.append(recordings.by_id(one))
    return [one.recording_id for one in sorted(known, key=lambda one: (one.started_at, one.path), reverse=True)]


def waiting_candidate(workspace: Workspace, subject: Subject, key: str) -> Refitted | None:
    """The candidate that an earlier refit of the same version made and compared of the same; None where there is none."""
    version = version_with(workspace, subject, "key", key)
    if version is None:
        return None
    card = workspace.registry.card(subject.kind, subject.name, version)
    return refitted(subject, "waiting", version, card, "unchanged: made of the same by an earlier refit")


def version_with(workspace: Workspace, subject: Subject, entry: str, value: str) -> str | None:
    """Another version of a subject whose card says so of its refit; None where there is none."""
    for kind, name, version in workspace.registry.versions():
        if (kind, name) != (subject.kind, subject.name) or version == subject.version:
            continue
        with suppress(LakeError):
            if (workspace.registry.card(kind, name, version).get("refit") or {}).get(entry) == value:
                return version
    return None


def known_versions(workspace: Workspace, subject: Subject) -> set[str]:
    """The versions of a subject that are there already."""
    return {
        version for kind, name, version in workspace.registry.versions() if (kind, name) == (subject.kind, subject.name)
    }


def compared_anew(workspace: Workspace, subject: Subject, version: str, about: Mapping[str, Any]) -> Refitted:
    """Let the card of a candidate that is there already say what a refit measured now, and what it was told.

    Args:
        workspace, subject: whose candidate.
        version: of it.
        about: entries of its card, `comparison`, `refit` and `drift` among them.

    Raises:
        LakeError: its card is damaged, or cannot be written.
    """
    card = workspace.registry.revise(subject.kind, subject.name, version, about)
    message = "unchanged by training, compared anew: other recordings or labels are held out than before"
    return refitted(subject, "waiting", version, card, message)


def chosen_by_scores(workspace: Workspace, labels: Collection[Label], heads: Collection[str]) -> frozenset[Label]:
    """Labels of which scores of the model in service, or of one before it, decided that they were asked for.

    Those are of what the queue asked about as `uncertain` in any night, and of events that a head found and a person judged.
    What people found themselves, imported, or were asked about because it was unlike the rest is not among them.

    Args:
        workspace: whose queue and events.
        labels: of use cases whose names are those of heads.
        heads: names of what was asked about: of the use case, or of the alarms.
    """
    asked: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for row in _asked_for(workspace):
        if row["head"] in heads:
            asked.setdefault((row["head"], row["camera"], row["region"], row["recording_id"]), []).append(
                (row["from_us"], row["to_us"])
            )
    return frozenset(
        label
        for label in labels
        for begin, end in asked.get(
            (label.use_case.name, label.use_case.camera, label.use_case.region, label.recording_id), ()
        )
        if label.from_us < end and begin < label.to_us
    )


def _asked_for(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Spans that heads' scores put before people, of all nights whose files are there; of an event its peak stands for it."""
    for run in workspace.ledger.rows("runs").to_pylist():
        for path in run["outputs"] or ():
            table = path.partition("/")[0]
            if table not in ("queue", "events") or not workspace.store.exists(path):
                continue
            for row in workspace.store.read_table(path).to_pylist():
                if table == "events":
                    yield {**row, "camera": run["camera"], "from_us": row["peak_us"], "to_us": row["peak_us"] + 1}
                elif row["reason"] == "uncertain":
                    yield row


def refitted(
    subject: Subject, outcome: Outcome, version: str = "", card: dict[str, Any] | None = None, message: str = ""
) -> Refitted:
    """What came of a subject; comparison and drift are those of the candidate's card."""
    told = card or {}
    return Refitted(
        subject.kind,
        subject.name,
        subject.version,
        outcome,
        version,
        message,
        told.get("comparison"),
        told.get("drift"),
    )
