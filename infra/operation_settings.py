"""The settings of operation: when runs begin by themselves, what is watched, what is deleted, who may see what."""

from datetime import time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from infra.alarm_settings import LOOPBACK, Address, Variable
from infra.cron import Cron
from infra.table import Seconds, Table

Days = Annotated[int, Field(ge=1)]
CALLBACK = "/oauth2callback"
"""Where the dashboards take people back from a provider."""


class ScheduleTable(Table):
    """When the night runs by itself."""

    cron: Cron = "0 1 * * *"
    until: time | None = None
    """Clock time, in the site's zone, at which no new shard starts."""
    backfill_cron: Cron | None = None
    """When what is missing of past days is made, as "0 9 * * *"; none: only by hand. It gives way to a night."""
    late_after_s: Seconds = 3600.0
    """Time after its start at which a night that has not begun is missed, which is told."""


class WatchTable(Table):
    """What an operator's monitoring sees, and when a run stops for want of room."""

    host: str = "127.0.0.1"
    """Address that metrics and health are served on."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9464
    reserve_gb: Annotated[float, Field(ge=0)] = 5.0
    """Free space, in 10⁹ bytes, below which a run starts nothing new, and says so."""
    dashboards: bool = True
    """Whether the dashboards are expected to answer, at `notifications.link`."""


class RetentionTable(Table):
    """How long what is kept is kept; without a number nothing is deleted."""

    superseded_days: Days | None = None
    """Days after which outputs that count no more, of former settings and versions, are deleted."""
    published_days: Days | None = None
    """Days after a recording's day at which its published videos and pictures are deleted. These days, and the next two, are
    counted from the day on which the recording was found where that is later."""
    results_days: Days | None = None
    """Days after a recording's day at which all that was made of it is deleted from the lake."""
    footage_days: Days | None = None
    """Days after a recording's day at which the recording itself is deleted: the only thing that ever touches footage."""
    idle_days: Days = 14
    """Longest pause in what the ledger says, in days. After a longer one the clock may have jumped, and nothing is deleted."""
    allow_outside: bool = False
    """Lets retention delete what lies outside the workspace, in an object store or behind a link, where another workspace may
    need it."""

    @model_validator(mode="after")
    def _in_order(self) -> "RetentionTable":
        if self.results_days and not self.published_days:
            raise ValueError(
                f"results_days = {self.results_days} needs published_days, at most as many: videos say what the results say"
            )
        if self.published_days and self.results_days and self.published_days > self.results_days:
            raise ValueError(
                f"published_days is at most results_days ({self.results_days}), got {self.published_days}: videos say what the "
                "results say"
            )
        return self

    @property
    def policies(self) -> dict[str, int]:
        """The policies that are set, in the order in which they are carried out, and their days."""
        told = {
            "superseded": self.superseded_days,
            "published": self.published_days,
            "results": self.results_days,
            "footage": self.footage_days,
        }
        return {name: days for name, days in told.items() if days is not None}


class AccessTable(Table):
    """Who may use the dashboards, and for what."""

    sign_in: Literal["none", "oidc"] = "none"
    """`oidc`: everybody signs in with an OpenID Connect provider, and has the role of the lists below."""
    metadata_url: Address | None = None
    """The provider's `…/.well-known/openid-configuration`."""
    client_id: str | None = None
    client_secret_env: Variable | None = None
    """Environment variable that holds the client's secret; never the secret itself."""
    cookie_secret_env: Variable | None = None
    """Environment variable that holds the key that the session's cookie is signed with, at least 32 characters."""
    redirect_uri: Address = "http://localhost:8501/oauth2callback"
    """Where the provider sends people back to: the address of the dashboards with `/oauth2callback`."""
    claim: str = "email"
    """Claim of the provider that names a person; its value is the author of what the person says."""
    groups_claim: str = "groups"
    """Claim that lists a person's groups."""
    scope: Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$")] = (
        "openid email profile"
    )
    """What the provider is asked for; `openid` is among it. Some give groups only where a scope of theirs is asked for."""
    signed_in_hours: Annotated[float, Field(gt=0, le=720)] = 12.0
    """Hours after which a person signs in anew; a change of their groups at the provider counts from then on at the latest."""
    viewers: tuple[str, ...] = ()
    """Persons, and groups as `group:NAME`, that may look; `*` is everybody whom the provider knows."""
    reviewers: tuple[str, ...] = ()
    """Those that may also label, judge events, draw regions and train heads from labels."""
    engineers: tuple[str, ...] = ()
    """Those that may also put models into service, set thresholds and weights, start runs, and hold footage."""

    @model_validator(mode="after")
    def _complete(self) -> "AccessTable":
        if self.sign_in == "none":
            return self
        needed = ("metadata_url", "client_id", "client_secret_env", "cookie_secret_env")
        absent = [name for name in needed if getattr(self, name) is None]
        if absent:
            raise ValueError(f'sign_in = "oidc" needs {", ".join(absent)}')
        if not (self.viewers or self.reviewers or self.engineers):
            raise ValueError("nobody could sign in: name somebody in viewers, reviewers or engineers")
        for name in ("metadata_url", "redirect_uri"):
            address = urlsplit(getattr(self, name))
            if address.scheme != "https" and address.hostname not in LOOPBACK:
                raise ValueError(
                    f"{name} begins with https:// unless it leads to this machine: sign-in is not to be read on the way"
                )
        if not self.redirect_uri.endswith(CALLBACK):
            raise ValueError(
                f"redirect_uri is the address of the dashboards with {CALLBACK}, got {self.redirect_uri!r}"
            )
        if "openid" not in self.scope.split():
            raise ValueError(f"scope has openid among its words, got {self.scope!r}")
        return self
