"""Who acts, and what each role may do.

A person has one role; a role may do what the roles below it may. Whoever runs a command or a flow on this machine is
an engineer, for they may change the files themselves. In a process that others reach, such as the dashboards' server,
`acts_by` says who acts at that moment, and whoever asks `acting` is told: nothing that is kept carries a role.
"""

import getpass
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from infra.errors import AccessError, ConfigurationError
from infra.operation_settings import AccessTable

Role = Literal["none", "viewer", "reviewer", "engineer"]
Action = Literal[
    "look at the dashboards",
    "label and judge",
    "draw regions",
    "train models",
    "sign flip reports",
    "compare models",
    "take footage and results away",
    "put models into service",
    "set thresholds",
    "set weights",
    "start runs",
    "write results",
    "hold footage",
    "delete",
    "tell of alarms",
]
Via = Literal["command line", "dashboard", "job"]

ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most."""
LEAST: Mapping[Action, Role] = {
    "look at the dashboards": "viewer",
    "label and judge": "reviewer",
    "draw regions": "reviewer",
    "train models": "reviewer",
    "sign flip reports": "reviewer",
    "compare models": "reviewer",
    "take footage and results away": "reviewer",
    "put models into service": "engineer",
    "set thresholds": "engineer",
    "set weights": "engineer",
    "start runs": "engineer",
    "write results": "engineer",
    "hold footage": "engineer",
    "delete": "engineer",
    "tell of alarms": "engineer",
}
"""The least role that may do something."""
ACTOR_VARIABLE = "AFTERWATCH_ACTOR"
"""Environment variable that tells a command for whom it works; a server that people sign in to names nobody there."""
GROUP = "group:"
EVERYBODY = "*"
LONGEST_NAME = 200
EMAIL = "email"


@dataclass(frozen=True)
class Actor:
    """Who does something.

    Attributes:
        name: of the person; empty of nobody.
        role: what they may do.
        via: `command line` (flows too), `dashboard`, or `job` of a command that a page started.
        signed_in: whether a provider answers for the name; then it is the author of what is said, whatever a form tells.
    """

    name: str
    role: Role
    via: Via
    signed_in: bool = False

    def __post_init__(self) -> None:
        if self.role not in ROLES or self.via not in get_args(Via):
            raise ValueError(
                f"an actor has one of the roles {ROLES} and acts by {get_args(Via)}, got {self.role}, {self.via}"
            )
        if not self.name and self.role != "none":
            raise ValueError(f"an actor with the role {self.role} has a name")

    def may(self, action: Action) -> bool:
        """Whether the role allows it; what a job that was started may write, it may."""
        if self.via == "job" and action == "write results":
            return self.role != "none"
        return ROLES.index(self.role) >= ROLES.index(LEAST[action])

    def require(self, action: Action) -> None:
        """Refuse what the role does not allow.

        Raises:
            AccessError: it does not.
        """
        if self.may(action):
            return
        if self.role == "none":
            raise AccessError(f"nobody is signed in who may {action}; sign in on the dashboards, then do it again")
        raise AccessError(
            f"{self.name} has the role {self.role}, which may not {action}; that takes the role {LEAST[action]}: ask who keeps "
            "[access] of afterwatch.toml for it"
        )

    def environment(self) -> dict[str, str]:
        """What a command that is started for this actor finds in its environment."""
        told = {"name": self.name, "role": self.role, "signed_in": self.signed_in}
        return {ACTOR_VARIABLE: json.dumps(told)}


NOBODY = Actor("", "none", "dashboard")


def environment_actor() -> Actor:
    """For whom this process works: as `ACTOR_VARIABLE` tells, else the operating system's user, as an engineer.

    Raises:
        ConfigurationError: the variable does not say who.
    """
    told = os.environ.get(ACTOR_VARIABLE)
    if told is None:
        return Actor(system_user(), "engineer", "command line")
    try:
        value = json.loads(told)
        return Actor(str(value["name"]), value["role"], "job", bool(value["signed_in"]))
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"{ACTOR_VARIABLE} does not say for whom this works; it is set by the dashboards alone: unset it"
        ) from None


def system_user() -> str:
    """The operating system's name of who runs this process; its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"user {os.getuid()}"


_acting: Callable[[], Actor] = environment_actor


def acting() -> Actor:
    """Who acts now."""
    return _acting()


def acts_by(who: Callable[[], Actor]) -> None:
    """From now on `who` says who acts in this process, each time that it is asked."""
    global _acting
    _acting = who


@dataclass(frozen=True)
class SignedIn:
    """What a provider's word comes to.

    Attributes:
        actor: the person with their role; nobody where they have none.
        name: whom the provider names; empty where it names nobody whom we can take at its word.
        remark: why there is no role; empty where there is one.
    """

    actor: Actor
    name: str = ""
    remark: str = ""


def signed_in(claims: Mapping[str, Any], table: AccessTable, now: datetime) -> SignedIn:
    """Whom a provider's claims name, and the role that the settings give them.

    Args:
        claims: of the identity token, with `is_logged_in`; empty where nobody has signed in.
        table: `[access]` of the settings.
        now: as the server's clock has it.
    """
    if claims.get("is_logged_in") is not True:
        return SignedIn(NOBODY)
    issued = claims.get("iat")
    if not isinstance(issued, int | float) or isinstance(issued, bool):
        return SignedIn(NOBODY, "", "The provider does not say when it was asked, so nobody is taken to be signed in.")
    if now - datetime.fromtimestamp(issued, UTC) > timedelta(hours=table.signed_in_hours):
        return SignedIn(NOBODY, "", f"You signed in more than {table.signed_in_hours:g} hours ago. Sign in again.")
    name = _name(claims, table.claim)
    if not name:
        return SignedIn(NOBODY, "", f"The provider says nothing of you under “{table.claim}”, which is to name you.")
    if table.claim == EMAIL and claims.get("email_verified") is False:
        return SignedIn(NOBODY, name, "The provider has not verified your address.")
    role = role_of(name, groups_of(claims, table.groups_claim), table)
    if role == "none":
        return SignedIn(NOBODY, name, "You have no role here. Ask who keeps [access] of afterwatch.toml for one.")
    return SignedIn(Actor(name, role, "dashboard", signed_in=True), name)


def role_of(name: str, groups: frozenset[str], table: AccessTable) -> Role:
    """The highest role of the settings' lists that a person, or a group of theirs, stands in."""
    told = {name.casefold() if table.claim == EMAIL else name, *(f"{GROUP}{group}" for group in groups)}
    lists: dict[Role, tuple[str, ...]] = {
        "engineer": table.engineers,
        "reviewer": table.reviewers,
        "viewer": table.viewers,
    }
    for role, entries in lists.items():
        for entry in entries:
            known = entry if entry.startswith(GROUP) or table.claim != EMAIL else entry.casefold()
            if known == EVERYBODY or known in told:
                return role
    return "none"


def groups_of(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """A person's groups; a provider may give a single one as a text."""
    value = claims.get(claim)
    found = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return frozenset(one for one in found if isinstance(one, str) and one)


def _name(claims: Mapping[str, Any], claim: str) -> str:
    """Whom a claim names; empty where it names nobody: what reads as a group, or as everybody, is no person."""
    value = claims.get(claim)
    if not isinstance(value, str) or not value.isprintable() or len(value) > LONGEST_NAME:
        return ""
    name = value.strip().casefold() if claim == EMAIL else value.strip()
    return "" if name.startswith(GROUP) or name == EVERYBODY else name
