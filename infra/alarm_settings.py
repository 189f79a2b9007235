"""The settings of alarms: which classes raise one, and who is told."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from infra.table import NAME, Seconds, Table

LOOPBACK = ("localhost", "127.0.0.1", "::1")
Name = Annotated[str, Field(pattern=f"^(?:{NAME.pattern})$")]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")]
SECRETIVE = ("url", "password_env", "secret_env")
"""Settings of a channel that are as good as a password, or where people put one by mistake."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _names_a_variable(value: str) -> str:
    if not VARIABLE.fullmatch(value):
        raise ValueError(
            "names the environment variable that holds the secret (letters, digits and _, no digit first); the secret itself "
            "does not stand here"
        )
    return value


Variable = Annotated[str, AfterValidator(_names_a_variable)]


def may_hold_secret(location: Sequence[int | str]) -> bool:
    """Whether what is written at a place of the settings may be a secret, which no error repeats.

    Args:
        location: names and numbers of the tables and the setting, from the outermost on.
    """
    if tuple(location[:1]) == ("access",):
        return tuple(location[1:]) in (("client_secret_env",), ("cookie_secret_env",))
    if tuple(location[:1]) != ("notifications",) or tuple(location[1:2]) not in ((), ("email",), ("webhook",)):
        return False
    return len(location) <= len(("notifications", "webhook", 0)) or location[3] in SECRETIVE


class AlarmTable(Table):
    """A class of a classifier that raises an alarm wherever the night finds it."""

    name: Name
    """What scores, events, pages and messages call it."""
    classifier: str
    """Of the registry, as `NAME` (the version in service) or `NAME/VERSION`."""
    class_name: str | None = None
    """Class of the classifier that it is about; none: its only one."""
    cameras: Literal["all"] | tuple[str, ...] = "all"
    """Cameras that it is switched on for."""
    regions: Annotated[tuple[str, ...], Field(min_length=1)] = ("frame",)
    """Regions that are looked at; the whole picture is the region `frame`."""
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Probability above which a snippet counts; none: what a person chose beside the model, or else what the model's card
    recommends."""
    smooth_s: Annotated[float, Field(ge=0)] = 0.0
    minimum_s: Annotated[float, Field(ge=0)] = 0.0
    """How long an event lasts at least."""
    merge_gap_s: Annotated[float, Field(ge=0)] = 10.0
    notify: bool = True
    """Whether its events are told by the channels of [notifications]."""

    @field_validator("classifier")
    @classmethod
    def _named(cls, value: str) -> str:
        if not all(NAME.fullmatch(part) for part in value.split("/", 1)):
            raise ValueError("is a classifier of the registry, as NAME or NAME/VERSION")
        return value

    @property
    def classifier_version(self) -> tuple[str, str | None]:
        """Name and version of the classifier; no version where none is said."""
        name, _, version = self.classifier.partition("/")
        return name, version or None

    def runs_for(self, camera: str) -> bool:
        return self.cameras == "all" or camera in self.cameras


class EmailTable(Table):
    """A channel of notifications: e-mail by SMTP."""

    name: Name = "email"
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`tls` from the first byte (port 465, as a rule); `none` only to this machine, or without a password."""
    user: str | None = None
    password_env: Variable | None = None
    """Environment variable that holds the password; never the password itself."""
    sender: str
    recipients: Annotated[tuple[str, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _secret_is_kept(self) -> "EmailTable":
        if (self.user is None) != (self.password_env is None):
            raise ValueError("user and password_env come together or not at all")
        if self.security == "none" and self.user is not None and self.host not in LOOPBACK:
            raise ValueError(
                f'security "none" would send the password to {self.host} in the clear; use "starttls" or "tls"'
            )
        return self


class WebhookTable(Table):
    """A channel of notifications: JSON posted to an address."""

    name: Name = "webhook"
    url: Address
    secret_env: Variable | None = None
    """Environment variable with the key that the body is signed with (HMAC-SHA256, header `X-Afterwatch-Signature`)."""


class NotificationsTable(Table):
    """Who is told of alarms, and how. Without a channel nothing leaves the machine."""

    email: tuple[EmailTable, ...] = ()
    webhook: tuple[WebhookTable, ...] = ()
    novelty: bool = False
    """Whether alarms of [novelty] are told as well."""
    nights: Literal["never", "trouble", "always"] = "trouble"
    """Scheduled nights that are told of, with their report: those that were missed or are not complete, all, or none."""
    link: Address = "http://127.0.0.1:8501"
    """Address of the dashboards, for the link to an event."""
    keyframes: bool = True
    """Whether a message carries the event's keyframe."""
    most_per_hour: Annotated[int, Field(ge=1)] = 20
    """Messages of a channel in any hour; the events beyond it go together in the last of them."""
    retries: Annotated[int, Field(ge=0)] = 3
    """Times that a message is sent again in one run when its channel fails; what still fails is sent by the next run."""
    timeout_s: Seconds = 10.0

    @model_validator(mode="after")
    def _names_differ(self) -> "NotificationsTable":
        names = [*(channel.name for channel in self.email), *(channel.name for channel in self.webhook)]
        if len(set(names)) < len(names):
            raise ValueError(f"each channel has a name of its own, got {', '.join(names)}")
        return self
