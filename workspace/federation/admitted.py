"""Who may take part: `federation/clients.jsonl` of the server's workspace, a line for each admission and each expulsion.

The last line about a name counts; nothing is taken out of the file.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives import serialization

from infra.errors import ConfigurationError, UnknownNameError
from infra.site import Site
from workspace.federation.keys import keys_folder, make_folder, public_key_of
from workspace.federation.private_files import locked, write_private

CLIENTS = "clients.jsonl"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_BYTES = 10_000
"""Of a file of a public key that are read."""


@dataclass(frozen=True)
class Admitted:
    """A client that may take part.

    Attributes:
        name: what it is called in reports and receipts.
        key: its public key, one line in OpenSSH's form without a comment.
        at: when it was admitted, ISO 8601 in UTC.
    """

    name: str
    key: str
    at: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key as bytes, in hexadecimal digits."""
        key = public_key_of(self.key)
        content = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class KnownKeys:
    """What the list says now.

    Attributes:
        admitted: who may take part, by name.
        expelled: with every key that may not come back: whoever holds it could have been the reason.
    """

    admitted: tuple[Admitted, ...]
    expelled: tuple[Admitted, ...]


def admit(site: Site, name: str, key_file: Path) -> Admitted:
    """Let a client take part; nothing changes where it already may.

    Args:
        site: the server's workspace.
        name: what it is called here.
        key_file: its public key, `client.pub`.

    Raises:
        ConfigurationError: the name cannot be one, or stands for another key; or the key is none, has another name, or was
            expelled.
    """
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" cannot name a client: begin with a letter or a digit, and go on with up to 63 letters, digits, '
            '".", "_" and "-"'
        )
    line = _line(key_file)
    with locked(make_folder(site)):
        known = known_keys(site)
        if any(client.key == line for client in known.expelled):
            raise ConfigurationError(
                f"{key_file}: this key was expelled, and does not come back; move federation/client.* of that site away, and "
                '"afterwatch federate key" makes another there'
            )
        for client in known.admitted:
            if (client.name, client.key) == (name, line):
                return client
            if client.name == name or client.key == line:
                other = "another key" if client.name == name else f'the name "{client.name}"'
                raise ConfigurationError(
                    f'"{name}": it is admitted with {other}; "afterwatch federate expel {client.name}" comes first'
                )
        admitted = Admitted(name, line, _now())
        _say(site, "admit", admitted)
    return admitted


def expel(site: Site, name: str) -> Admitted:
    """Let a client take part no more; a server that runs hears of it before its next round.

    Raises:
        UnknownNameError: none of that name is admitted.
    """
    with locked(make_folder(site)):
        known = {client.name: client for client in clients(site)}
        if name not in known:
            raise UnknownNameError("client", name, known)
        _say(site, "expel", Admitted(name, known[name].key, _now()))
    return known[name]


def clients(site: Site) -> tuple[Admitted, ...]:
    """Who may take part now, by name; raises as `known_keys` does."""
    return known_keys(site).admitted


def known_keys(site: Site) -> KnownKeys:
    """What the list says now.

    Raises:
        ConfigurationError: a line of it cannot be read.
    """
    admitted: dict[str, Admitted] = {}
    expelled: list[Admitted] = []
    path = keys_folder(site) / CLIENTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            said: dict[str, Any] = json.loads(line)
            what, client = said.pop("said"), Admitted(**said)
            public_key_of(client.key)
            if what not in ("admit", "expel") or not NAME.fullmatch(client.name):
                raise ValueError(f'"{what}" of "{client.name}"')
        except (ValueError, TypeError, KeyError, AttributeError, ConfigurationError) as error:
            raise ConfigurationError(f"{path}, line {number}, cannot be read ({error}); take the line out") from None
        if what == "admit":
            admitted[client.name] = client
        else:
            admitted.pop(client.name, None)
            expelled.append(client)
    return KnownKeys(tuple(admitted[name] for name in sorted(admitted)), tuple(expelled))


def _line(key_file: Path) -> str:
    """Type and value of a public key in a file; a comment is left out."""
    try:
        text = key_file.expanduser().read_bytes()[:MOST_BYTES].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{key_file} cannot be read as a public key ({error}); name a client's client.pub"
        ) from None
    line = " ".join(text.split()[:2])
    public_key_of(line)
    return line


def _say(site: Site, what: Literal["admit", "expel"], client: Admitted) -> None:
    """Add a line to the list; whoever calls holds its folder, so that nobody's line is lost."""
    path = keys_folder(site) / CLIENTS
    earlier = path.read_bytes() if path.is_file() else b""
    write_private(path, earlier + json.dumps({"said": what, **asdict(client)}).encode() + b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
