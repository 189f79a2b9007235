"""What is told, and the Protocol of the channels that tell it."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from infra.errors import AfterwatchError
from workspace.event_files import EventRow

Kind = Literal["event", "digest", "night", "test"]
LONGEST_NAME = 120
"""Characters of a name or of a server's answer that are told."""


class DeliveryError(AfterwatchError):
    """A channel did not accept a message.

    Args:
        message: what went wrong and what to do; it never holds a secret.
        passing: it may go well when it is tried again.
        whole_channel: every other message would fail in the same way.
        after_s: seconds that the server asks to wait before the next attempt.
    """

    def __init__(
        self, message: str, *, passing: bool = False, whole_channel: bool = False, after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.passing = passing
        self.whole_channel = whole_channel
        self.after_s = after_s


@dataclass(frozen=True)
class ShownEvent:
    """An event in words.

    Attributes:
        event: of the lake.
        facts: (what, how it is), in the order in which people read them; one line each, without control characters.
        line: all that matters in one line.
        link: address of its page.
        told: the same for programs: values that JSON can hold.
    """

    event: EventRow
    facts: tuple[tuple[str, str], ...]
    line: str
    link: str
    told: dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One message, before a channel gives it its form.

    Attributes:
        message_id: hexadecimal digits; the same message sent again has the same.
        kind: of one event, of several (a digest), of a night, or a test.
        site: name of the workspace.
        subject: one line.
        intro: what the message is about, in a sentence or two.
        events: what it tells, each in words; none of a night and of a test.
        picture: JPEG of the event; None of all that are not of one event, and where there is none.
        more: events of a digest that it tells by their number only.
        pages: (how many of them, address of the page that lists them), one for each page.
        remark: what else there is to know, in a sentence; empty as a rule.
        lines: of a night: what there is to know of it, a line for each matter, without control characters.
        night: of a night: the same for programs, values that JSON can hold; None of the others.
    """

    message_id: str
    kind: Kind
    site: str
    subject: str
    intro: str
    events: tuple[ShownEvent, ...] = ()
    picture: bytes | None = None
    more: tuple[EventRow, ...] = ()
    pages: tuple[tuple[str, str], ...] = ()
    remark: str = ""
    lines: tuple[str, ...] = ()
    night: Mapping[str, Any] | None = None

    @property
    def told(self) -> tuple[EventRow, ...]:
        """Every event that the message tells, in words or by number."""
        return (*(shown.event for shown in self.events), *self.more)


class Channel(Protocol):
    """A way to tell people; it reads its secret from the environment, and only when it sends."""

    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> tuple[str, ...]:
        """Send a message once; returns what went wrong although it was accepted, as a rule nothing.

        Raises:
            DeliveryError: it was not accepted, or nobody knows whether it was.
        """
        ...


def plain(text: str, longest: int = LONGEST_NAME) -> str:
    """A name as one line that can stand in a header: control, direction and line characters become spaces.

    Names of cameras are those of folders, which may hold any character; a line break would begin a header of its own.
    """
    shown = "".join(" " if unicodedata.category(one)[0] == "C" or one in "\u2028\u2029" else one for one in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
