"""Signing in: what Streamlit's server is told of the provider, in a file that only we can read and that goes with the server."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from infra.access import ACTOR_VARIABLE, NOBODY
from infra.alarm_settings import LOOPBACK
from infra.errors import ConfigurationError
from infra.operation_settings import AccessTable
from infra.site import Site

SHORTEST_SECRET = 32
"""Characters of the secret that cookies are signed with."""
GUARDED = {
    "client.showErrorDetails": "none",  # what goes wrong inside is for the server's log
    "server.enableCORS": "true",
    # Nothing but the provider's cookie says who somebody is, whatever a configuration file or the environment says.
    "server.trustedUserHeaders": "{}",
    "server.enableAgentApi": "false",
    "server.enableStaticServing": "false",
    "global.developmentMode": "false",
}
"""Options of a server that people sign in to."""


def signs_in(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this server was started with sign-in; what it starts works for nobody who is not named."""
    return ACTOR_VARIABLE in environment


def server_environment(table: AccessTable) -> dict[str, str]:
    """What the server finds in its environment: without a name, whatever it does, it does for nobody."""
    return {} if table.sign_in == "none" else NOBODY.environment()


@contextmanager
def provider_file(site: Site, host: str, port: int) -> Iterator[list[str]]:
    """The server's options of sign-in, as long as it runs.

    Args:
        site: the workspace; its state folder holds the file with the provider's address and the secrets.
        host, port: of the server; of one address, one server runs at a time.

    Raises:
        ConfigurationError: a secret is absent or too short, or the file cannot be written.
    """
    table = site.settings.access
    if table.sign_in == "none":
        yield []
        return
    path = site.state_folder / "sign-in" / f"{''.join(sign if sign.isalnum() else '_' for sign in host)}-{port}.toml"
    try:
        _write_private(path, secrets_text(table, os.environ))
        yield [*(f"--{name}={value}" for name, value in GUARDED.items()), "--secrets.files", str(path)]
    finally:
        path.unlink(missing_ok=True)


def secrets_text(table: AccessTable, environment: Mapping[str, str]) -> str:
    """The file as Streamlit reads it (TOML).

    Args:
        table: `[access]` of the settings, with a provider.
        environment: holds the secrets.

    Raises:
        ConfigurationError: a secret is absent or too short.
    """
    cookie = _secret(environment, table.cookie_secret_env, "cookie_secret_env")
    if len(cookie) < SHORTEST_SECRET:
        raise ConfigurationError(
            f"{table.cookie_secret_env} holds {len(cookie)} characters; cookies are signed with at least {SHORTEST_SECRET}: "
            "make one with \"python -c 'import secrets; print(secrets.token_urlsafe(48))'\""
        )
    entries = {
        "redirect_uri": table.redirect_uri,
        "cookie_secret": cookie,
        "client_id": table.client_id,
        "client_secret": _secret(environment, table.client_secret_env, "client_secret_env"),
        "server_metadata_url": table.metadata_url,
    }
    lines = [f"{name} = {_quoted(str(value))}" for name, value in entries.items()]
    return "\n".join(["[auth]", *lines, "", "[auth.client_kwargs]", f"scope = {_quoted(table.scope)}", ""])


def addresses_told(table: AccessTable, host: str) -> str:
    """What an operator is told of who reaches the dashboards; empty where there is nothing to say."""
    if table.sign_in == "oidc":
        found = urlsplit(table.redirect_uri)
        return f"People sign in at {found.scheme}://{found.netloc}"
    if host in LOOPBACK:
        return ""
    return (
        f"Whoever reaches {host} may change everything on these dashboards: nobody signs in. Set sign_in of [access] in "
        "afterwatch.toml, or let only this machine reach them"
    )


def _secret(environment: Mapping[str, str], variable: str | None, setting: str) -> str:
    value = environment.get(variable or "", "")
    if not value:
        raise ConfigurationError(
            f"{variable} is not set, and [access] {setting} says that it holds the secret; set it before the dashboards start"
        )
    if not value.isprintable():
        raise ConfigurationError(
            f"{variable} holds signs that cannot be printed; a secret is a line of text: set it anew"
        )
    return value


def _quoted(value: str) -> str:
    """A printable text as TOML has it."""
    return json.dumps(value, ensure_ascii=False)


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else could read at any moment."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a server that was killed
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}; free space or grant access") from error
