"""The settings of operation: when runs begin by themselves, what is watched, what is deleted, who may see what."""

from datetime import time
from typing import Annotated, Literal

from pydantic import Field, model_validator

from infra.alarm_settings import Address, Variable
from infra.table import Seconds, Table

Days = Annotated[int, Field(ge=1)]


class ScheduleTable(Table):
    """When the night runs by itself."""

    cron: str = "0 1 * * *"
    until: time | None = None
    """Clock time, in the site's zone, at which no new shard starts."""
    backfill_cron: str | None = None
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


class RetentionTable(Table):
    """How long what is kept is kept; without a number nothing is deleted."""

    superseded_days: Days | None = None
    """Days after which outputs that count no more, of former settings and versions, are deleted."""
    published_days: Days | None = None
    """Days after a recording's day at which its published videos and pictures are deleted."""
    results_days: Days | None = None
    """Days after a recording's day at which all that was made of it is deleted from the lake."""
    footage_days: Days | None = None
    """Days after a recording's day at which the recording itself is deleted: the only thing that ever touches footage."""

    @model_validator(mode="after")
    def _in_order(self) -> "RetentionTable":
        if self.published_days and self.results_days and self.published_days > self.results_days:
            raise ValueError(
                f"published_days is at most results_days ({self.results_days}), got {self.published_days}: videos say what the "
                "results say"
            )
        return self


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
        return self
