"""What people say of the events of the novelty head and of alarms: confirmed as what the head says, or dismissed.

A verdict is a label of the use case (camera, region, name of the head) on the recorded time of the event, one for each
recording it reaches over: `relevant` means confirmed. So it outlives the head's versions, and events that come and go with
them. Of two verdicts on one moment the newer counts. The next fit of a novelty head leaves confirmed stretches out of its
reference, and takes dismissed ones in even where they raised an alarm on their day. A verdict on an alarm of [[alarms]]
changes no head: it says what was there, and a dismissed alarm is told to nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches

from infra.errors import ConfigurationError, UnknownNameError
from lake.labels import Label, UseCase, labels_now, say_labels, take_back
from lake.verdicts import Stretch, stretches_now
from workspace.event_files import EventFilter, EventRow, parts_of, read_events
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace

NEAR = 8
"""Events that are told where one is not known."""


@dataclass(frozen=True)
class Verdict:
    """What counts of an event: the answer, whose it is, and when it was said."""

    confirmed: bool
    author: str
    said_at: datetime

    @property
    def word(self) -> str:
        return "confirmed" if self.confirmed else "dismissed"


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The verdicts that count at a moment.

    Attributes:
        stretches: by use case, in order of recording and time, disjoint.
        known: the recordings they are about.
    """

    stretches: Mapping[UseCase, tuple[Stretch, ...]]
    known: KnownRecordings

    def of(self, event: EventRow) -> Verdict | None:
        """The verdict on an event: that which covers at least half of its recorded time; None where none does."""
        parts = parts_of(event, self.known)
        covered = {True: 0, False: 0}
        newest: dict[bool, Stretch] = {}
        for stretch in self.stretches.get(UseCase(event.camera, event.region, event.head), ()):
            for part in parts:
                if part.recording.recording_id != stretch.recording_id:
                    continue
                both_us = min(part.to_us, stretch.to_us) - max(part.from_us, stretch.from_us)
                if both_us > 0:
                    covered[stretch.confirmed] += both_us
                    known = newest.get(stretch.confirmed)
                    if known is None or stretch.said_at > known.said_at:
                        newest[stretch.confirmed] = stretch
        whole_us = sum(part.to_us - part.from_us for part in parts)
        # Of two halves the newer word counts.
        enough = [newest[answer] for answer, us in covered.items() if us and 2 * us >= whole_us]
        counting = max(enough, key=lambda stretch: stretch.said_at, default=None)
        return None if counting is None else Verdict(counting.confirmed, counting.author, counting.said_at)


def say_verdict(workspace: Workspace, event: EventRow, confirmed: bool, author: str) -> list[Label]:
    """Confirm an event, or dismiss it; returns what was said, a label for each recording it reaches over.

    Raises:
        ConfigurationError: it is an event of neither the novelty head nor an alarm, nothing of it is recorded, or there is
            no author.
    """
    now = datetime.now(UTC)
    labels = [replace(label, relevant=confirmed, said_at=now) for label in _labels(workspace, event, author)]
    say_labels(workspace.ledger, labels)
    return labels


def take_verdict_back(workspace: Workspace, event: EventRow, author: str) -> list[Label]:
    """Say that nothing is said of an event any more; returns the labels that stood, none where nothing did.

    Every label that overlaps the event goes, also one of an earlier version of the head, which may be longer.

    Raises:
        ConfigurationError: as `say_verdict`.
    """
    mine = _labels(workspace, event, author)
    standing = [
        label
        for label in labels_now(workspace.ledger)
        if label.use_case == mine[0].use_case
        and any(
            label.recording_id == part.recording_id and label.from_us < part.to_us and label.to_us > part.from_us
            for part in mine
        )
    ]
    if standing:
        take_back(workspace.ledger, standing, author.strip())
    return standing


def verdicts_now(workspace: Workspace, camera: str | None = None) -> Verdicts:
    """The verdicts that count on events of the novelty head and of alarms; of one camera where one is named."""
    found: dict[UseCase, tuple[Stretch, ...]] = {}
    for head in judged_heads(workspace):
        found |= stretches_now(workspace.ledger, head=head, camera=camera)
    return Verdicts(found, KnownRecordings(workspace.ledger))


def judged_heads(workspace: Workspace) -> tuple[str, ...]:
    """Names of the heads whose events people confirm or dismiss: the novelty head's and those of [[alarms]]."""
    settings = workspace.settings
    return (settings.novelty.name, *(alarm.name for alarm in settings.alarms))


def find_event(workspace: Workspace, event_id: str) -> EventRow:
    """The event of the novelty head or of an alarm that is called so.

    Raises:
        UnknownNameError: there is none now; the message tells those with the most similar names.
    """
    heads = judged_heads(workspace)
    events = {event.event_id: event for event in read_events(workspace, EventFilter()) if event.head in heads}
    if event_id not in events:
        raise UnknownNameError("event", event_id, get_close_matches(event_id, events, n=NEAR, cutoff=0.0))
    return events[event_id]


def _labels(workspace: Workspace, event: EventRow, author: str) -> list[Label]:
    """The labels of an event, their answer still to be said; at least one."""
    heads = judged_heads(workspace)
    if event.head not in heads:
        raise ConfigurationError(
            f"a verdict is about an event of the novelty head or of an alarm ({', '.join(heads)}), and this is one of "
            f"{event.head}; label its moments on the review page"
        )
    known = KnownRecordings(workspace.ledger)
    parts = parts_of(event, known)
    if not parts:
        raise ConfigurationError(
            f"no recording of camera {event.camera} is known that holds {event.started_at} to {event.ended_at}; "
            'take it in with "afterwatch run"'
        )
    case = UseCase(event.camera, event.region, event.head)
    return [
        Label(
            case,
            part.recording.campaign,
            part.recording.day,
            part.recording.recording_id,
            part.from_us,
            part.to_us,
            relevant=True,
            author=author.strip(),
        )
        for part in parts
    ]
