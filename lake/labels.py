"""Labels: what people say of spans of recordings, for a use case. Append-only; the newest word counts.

A label is about recorded time, not about a vector: it stays true when the encoder changes, when a region is drawn anew,
and in whatever space a head is trained next.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa

from infra.errors import ConfigurationError, LakeError, UnknownNameError
from infra.table import NAME
from lake.keys import short_hash
from lake.ledger import Ledger, Statement

Role = Literal["label", "truth"]
ROLES = ("label", "truth")
TABLE = "labels"
UNDONE = "undone"
"""Mark of a statement that takes its author's newest word back; its value is what stands then, whoever said it."""


@dataclass(frozen=True, order=True)
class UseCase:
    """A binary question about a region of a camera: is this moment relevant or not.

    Attributes:
        camera: whose pictures.
        region: region of the camera; `frame` is the whole picture.
        name: what is looked for, as people call it; it may stand for several cameras and regions.
    """

    camera: str
    region: str
    name: str

    def __post_init__(self) -> None:
        for what, value in (("camera", self.camera), ("region", self.region), ("use case", self.name)):
            if not NAME.fullmatch(value):
                raise ConfigurationError(
                    f'"{value}" cannot name a {what}: begin with a letter or a digit, '
                    'and go on with letters, digits, space, ".", "_" and "-", 64 at most'
                )

    @property
    def head_name(self) -> str:
        """Name of its head in the registry; two use cases never share one."""
        parts = (self.camera, self.region, self.name)
        plain = ".".join(parts)
        return f"{plain}.{short_hash(parts)[:8]}" if any("." in part for part in parts) else plain

    def __str__(self) -> str:
        return f"{self.name} · {self.camera} · {self.region}"


@dataclass(frozen=True, order=True)
class Span:
    """`[from_us, to_us)` of a recording, microseconds since its first picture."""

    recording_id: str
    from_us: int
    to_us: int


@dataclass(frozen=True)
class Label:
    """One person's word on the span `[from_us, to_us)` of a recording.

    Attributes:
        use_case: what it is about.
        campaign, day: where the recording belongs.
        recording_id: hash of the recording's content.
        from_us, to_us: microseconds since the recording's first picture; a single picture's span is what it stands for.
        relevant: the answer.
        author: who says so.
        role: `label` trains heads; `truth` is only held against what they find.
        said_at: when.
    """

    use_case: UseCase
    campaign: str
    day: date
    recording_id: str
    from_us: int
    to_us: int
    relevant: bool
    author: str
    role: Role = "label"
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if not 0 <= self.from_us < self.to_us:
            raise ConfigurationError(
                f"a label's span is not empty and begins at 0 or later, got {self.from_us} to {self.to_us} µs"
            )
        if self.role not in ROLES:
            raise UnknownNameError("role of a label", self.role, ROLES)
        if not self.author:
            raise ConfigurationError("a label has an author; name one")

    @property
    def span(self) -> Span:
        return Span(self.recording_id, self.from_us, self.to_us)

    @property
    def key(self) -> str:
        """What the label is about: of two with one key, the newer counts."""
        case = self.use_case
        return f"{self.role}/{case.name}/{case.region}/{self.recording_id}/{self.from_us}-{self.to_us}"


def say_labels(ledger: Ledger, labels: Sequence[Label]) -> None:
    """Append labels, all at once."""
    ledger.say(TABLE, [_statement(label) for label in labels])


def labels_now(ledger: Ledger, *, role: Role = "label", each_author: bool = False) -> list[Label]:
    """The labels that count, in order of campaign, camera, key and author.

    Args:
        ledger: of the lake.
        role: which ones.
        each_author: the newest standing word of every author; else of all authors together the newest.
    """
    found: list[Label] = []
    for words in _standing(ledger).values():
        newest = {label.author: label for label in words} if each_author else {"": words[-1]}
        found += [newest[author] for author in sorted(newest) if newest[author].role == role]
    return found


def undo_label(ledger: Ledger, author: str, use_case: UseCase) -> Label | None:
    """Take back the newest standing word of `author` on a use case: what was said of the span before counts again.

    Returns:
        The label that was taken back; None where there is nothing left to take back.
    """
    own = [
        (label, words)
        for words in _standing(ledger).values()
        for label in words
        if (label.author, label.use_case, label.role) == (author, use_case, "label")
    ]
    if not own:
        return None
    last, words = max(own, key=lambda item: item[0].said_at)
    left = [label for label in words if label is not last]
    value = {**_value(left[-1]), UNDONE: True} if left else None
    ledger.say(TABLE, [replace(_statement(last), value=value, said_at=datetime.now(UTC))])
    return last


def take_back(ledger: Ledger, labels: Sequence[Label], author: str) -> None:
    """Say of each of `labels` that nothing is said of it any more."""
    now = datetime.now(UTC)
    ledger.say(TABLE, [replace(_statement(label), author=author, value=None, said_at=now) for label in labels])


def _standing(ledger: Ledger) -> dict[tuple[str, str, str], list[Label]]:
    """What stands of each campaign, camera and key, oldest first: every word less those that were taken back."""
    standing: dict[tuple[str, str, str], list[Label]] = ledger.derived(TABLE, _replayed)
    return standing


def _replayed(rows: pa.Table) -> dict[tuple[str, str, str], list[Label]]:
    words: dict[tuple[str, str, str], list[Label]] = {}
    for row in sorted(rows.to_pylist(), key=lambda row: row["said_at"]):
        said = words.setdefault((row["campaign"], row["camera"], row["key"]), [])
        value = json.loads(row["value"])
        if value is None:
            said.clear()
        elif value.get(UNDONE):
            own = [place for place, label in enumerate(said) if label.author == row["author"]]
            if own:
                del said[own[-1]]
        else:
            said.append(_label({**row, "value": value}))
    return {key: words[key] for key in sorted(words) if words[key]}


def _statement(label: Label) -> Statement:
    return Statement(
        key=label.key,
        author=label.author,
        value=_value(label),
        campaign=label.campaign,
        camera=label.use_case.camera,
        day=label.day,
        said_at=label.said_at,
    )


def _value(label: Label) -> dict[str, Any]:
    return {
        "role": label.role,
        "use_case": label.use_case.name,
        "region": label.use_case.region,
        "recording_id": label.recording_id,
        "from_us": label.from_us,
        "to_us": label.to_us,
        "relevant": label.relevant,
    }


def _label(row: Mapping[str, Any]) -> Label:
    value = row["value"]
    try:
        return Label(
            use_case=UseCase(row["camera"], value["region"], value["use_case"]),
            campaign=row["campaign"],
            day=row["day"],
            recording_id=value["recording_id"],
            from_us=value["from_us"],
            to_us=value["to_us"],
            relevant=value["relevant"],
            author=row["author"],
            role=value["role"],
            said_at=row["said_at"],
        )
    except (KeyError, TypeError) as error:
        raise LakeError(
            f"the label {row['key']} that {row['author']} gave is none ({error}); labels are given on the page Review, or "
            'imported with "afterwatch labels import"'
        ) from None
