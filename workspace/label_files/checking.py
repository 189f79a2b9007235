"""Rows of a label file against what the workspace knows: labels come out, or what is wrong, value by value."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import ParamSpec, TypeVar

from footage.regions import WHOLE
from infra.errors import ConfigurationError, UnknownNameError
from lake.labels import ROLES, Label, Role, UseCase
from workspace.known_recordings import KnownRecording, KnownRecordings
from workspace.label_files.base import Content, Problem, Row
from workspace.label_files.pictures import Frames, frames_of, times_of
from workspace.opened import Workspace

ANSWERS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
SPANS = (("from_s", "to_s"), ("from_us", "to_us"), ("frame",), ("from_frame", "to_frame"))
LONGEST_AUTHOR = 200
LONGEST_TEXT = 1000
"""Characters above which no value of a row is looked at any further."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_SLACK = timedelta(minutes=10)
"""How far clocks of two machines may differ: what is said later than that would outlive every later word."""

Inputs = ParamSpec("Inputs")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Defaults:
    """What counts where a row says nothing.

    Attributes:
        author: who says so.
        region: region that is meant.
        said_at: the moment of the import.
        role: the role of every row whatever it says; None: what the row says, else `label`.
        recording: the recording of rows that name none; empty where there is none.
    """

    author: str
    region: str
    said_at: datetime
    role: Role | None = None
    recording: str = ""


@dataclass(frozen=True)
class Told:
    """A row that is sound: its label, and whether the file itself said when it was said."""

    where: str
    label: Label
    dated: bool


class Checker:
    """Checks rows against one workspace.

    Args:
        workspace: whose regions and frame indexes count.
        known: its recordings.
        defaults: what counts where a row says nothing.
    """

    def __init__(self, workspace: Workspace, known: KnownRecordings, defaults: Defaults) -> None:
        self._known, self._defaults = known, defaults
        self._names = {"campaign": known.campaigns, "camera": known.cameras}
        self._frames = Frames(workspace)
        self._regions = {
            camera: {region.name for region in workspace.regions(camera)} | {WHOLE.name} for camera in known.cameras
        }

    def check(self, content: Content) -> tuple[list[Told], list[Problem]]:
        """Sound rows, and everything that is wrong with the others."""
        told: list[Told] = []
        problems = list(content.problems)
        for row in content.rows:
            wrong: list[str] = []
            label = self._label(row, wrong)
            if label is None:
                problems += [Problem(row.where, message) for message in wrong]
            else:
                told.append(Told(row.where, label, bool(row.text("said_at"))))
        agreed, contradictions = _without_contradictions(told)
        return agreed, problems + contradictions

    def _label(self, row: Row, wrong: list[str]) -> Label | None:
        for name, text in row.told.items():
            if len(text) > LONGEST_TEXT:
                wrong.append(f"{name} has {len(text)} characters, and may have {LONGEST_TEXT}; shorten it")
                return None
        recording = _tried(wrong, self._recording, row)
        span = None if recording is None else _tried(wrong, self._span, row, recording)
        use_case = None if recording is None else _tried(wrong, self._use_case, row, recording)
        relevant = _tried(wrong, answer_of, row.text("relevant"))
        author = _tried(wrong, author_of, row.text("author") or self._defaults.author)
        said_at = _tried(wrong, self._said_at, row.text("said_at"))
        role = _tried(wrong, role_of, self._defaults.role or row.text("role") or "label")
        if recording is None or span is None or use_case is None or relevant is None:
            return None
        if author is None or said_at is None or role is None:
            return None
        return Label(
            use_case=use_case,
            campaign=recording.campaign,
            day=recording.day,
            recording_id=recording.recording_id,
            from_us=span[0],
            to_us=span[1],
            relevant=relevant,
            author=author,
            role=role,
            said_at=said_at,
        )

    def _recording(self, row: Row) -> KnownRecording:
        for what, names in self._names.items():
            if row.text(what) and row.text(what) not in names:
                raise UnknownNameError(what, row.text(what), names)
        name = row.text("recording") or self._defaults.recording
        if not name:
            raise ConfigurationError("no recording is named; give its path below the footage folder")
        return self._known.find(name, row.text("campaign"), row.text("camera"))

    def _use_case(self, row: Row, recording: KnownRecording) -> UseCase:
        region = row.text("region") or self._defaults.region
        if region not in self._regions[recording.camera]:
            raise UnknownNameError(f"region of camera {recording.camera}", region, self._regions[recording.camera])
        return UseCase(recording.camera, region, row.text("use_case"))

    def _said_at(self, text: str) -> datetime:
        if not text:
            return self._defaults.said_at
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ConfigurationError(
                f'said_at "{text[:80]}" is no moment with its zone; write 2026-03-02T08:00:00+00:00'
            )
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ConfigurationError(f'said_at "{text}" is out of the calendar; correct it') from None
        if moment < EPOCH:
            raise ConfigurationError(f"said_at {text} is before 1970; correct it")
        if moment > self._defaults.said_at + CLOCK_SLACK:
            raise ConfigurationError(
                f"said_at {text} is later than now, and would outlive every later word; correct it"
            )
        return moment

    def _span(self, row: Row, recording: KnownRecording) -> tuple[int, int]:
        given = [names for names in SPANS if any(row.text(name) for name in names)]
        for names in given:
            if not all(row.text(name) for name in names):
                raise ConfigurationError(f"{' and '.join(names)} go together; give both")
        if not given:
            raise ConfigurationError("no time is told; give from_s and to_s, or frame, or from_frame and to_frame")
        if given == [SPANS[1], SPANS[3]]:
            return self._drawn_span(row, recording)
        if len(given) > 1:
            raise ConfigurationError(f"time is told twice, by {given[0][0]} and by {given[1][0]}; leave one empty")
        names = given[0]
        if names == SPANS[0]:
            from_us, to_us = (_microseconds(name, row.text(name)) for name in names)
        elif names == SPANS[1]:
            from_us, to_us = (_whole(name, row.text(name)) for name in names)
        else:
            return self._frame_span(row, names, recording)
        if not from_us < to_us:
            raise ConfigurationError(
                f"the span {from_us / 1e6:.6f} to {to_us / 1e6:.6f} s is empty; the end comes after"
            )
        if to_us > recording.duration_us:
            raise ConfigurationError(
                f"the span ends at {to_us / 1e6:.6f} s, but {recording.path} lasts {recording.duration_us / 1e6:.6f} s; "
                "times count from the recording's first picture"
            )
        return from_us, to_us

    def _frame_span(self, row: Row, names: Sequence[str], recording: KnownRecording) -> tuple[int, int]:
        index = self._frames.of(recording)
        numbers = [_whole(name, row.text(name)) for name in names]
        first, end = (numbers[0], numbers[0] + 1) if len(numbers) == 1 else numbers
        if not first < end:
            raise ConfigurationError(f"the pictures {first} to {end} are none; to_frame is the one after the last")
        if end > len(index):
            raise ConfigurationError(
                f"picture {end - 1} is beyond {recording.path}, which has {len(index)}; numbers begin at 0"
            )
        return times_of(index, first, end)

    def _drawn_span(self, row: Row, recording: KnownRecording) -> tuple[int, int]:
        """Exact times where they are still those of the pictures; a track that was moved since counts as drawn."""
        drawn = self._frame_span(row, SPANS[3], recording)
        from_us, to_us = (_whole(name, row.text(name)) for name in SPANS[1])
        pictures = tuple(_whole(name, row.text(name)) for name in SPANS[3])
        is_theirs = 0 <= from_us < to_us <= recording.duration_us
        if is_theirs and frames_of(self._frames.of(recording), from_us, to_us) == pictures:
            return from_us, to_us
        return drawn


def _tried(
    wrong: list[str], read: Callable[Inputs, Value], *args: Inputs.args, **kwargs: Inputs.kwargs
) -> Value | None:
    """What `read` returns; where it refuses, the reason is added to `wrong`."""
    try:
        return read(*args, **kwargs)
    except ConfigurationError as error:
        wrong.append(str(error))
        return None


def answer_of(text: str) -> bool:
    """Relevant or not.

    Raises:
        ConfigurationError: the text says neither.
    """
    if text.lower() not in ANSWERS:
        raise ConfigurationError(f'relevant is "{text[:80]}"; write true or false (or 1, 0, yes, no)')
    return ANSWERS[text.lower()]


def author_of(text: str) -> str:
    """A name that every format can hold.

    Raises:
        ConfigurationError: it is empty, too long or not printable.
    """
    if not text or len(text) > LONGEST_AUTHOR or not text.isprintable():
        raise ConfigurationError(
            f"author {text[:80]!r} is no name; write at most {LONGEST_AUTHOR} printable characters on one line"
        )
    return text


def role_of(text: str) -> Role:
    """`label` or `truth`.

    Raises:
        UnknownNameError: it is neither.
    """
    if text == "label":
        return "label"
    if text == "truth":
        return "truth"
    raise UnknownNameError("role of a label", text[:80], ROLES)


def _microseconds(name: str, text: str) -> int:
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        seconds = Decimal("NaN")
    if not (seconds.is_finite() and 0 <= seconds < 10**9):
        raise ConfigurationError(f'{name} is "{text[:80]}"; write seconds since the first picture, as 12.5')
    return round(seconds * 10**6)


def _whole(name: str, text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})(\.0*)?", text)
    if found is None:
        raise ConfigurationError(f'{name} is "{text[:80]}"; write a whole number, at least 0')
    return int(found[1])


def _without_contradictions(told: Sequence[Told]) -> tuple[list[Told], list[Problem]]:
    """One row of each label; two rows in which one author says both of one span at one moment are wrong, both."""
    first: dict[tuple[object, ...], Told] = {}
    wrong: dict[str, Problem] = {}
    for row in told:
        label = row.label
        about = (label.campaign, label.use_case, label.key, label.author, label.said_at)
        known = first.setdefault(about, row)
        if known.label.relevant != label.relevant:
            message = (
                f"{label.author} says both of one span: {known.where} and {row.where} contradict each other; keep one"
            )
            wrong[row.where] = Problem(row.where, message)
            wrong.setdefault(known.where, Problem(known.where, message))
    return [row for row in first.values() if row.where not in wrong], list(wrong.values())
