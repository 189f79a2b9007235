"""Serves the dashboards: Streamlit in a process of its own, quiet, on this machine only unless told otherwise."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dashboards.sign_in import addresses_told, provider_file, server_environment
from infra.access import ACTOR_VARIABLE
from infra.errors import AfterwatchError, ConfigurationError
from infra.operation_settings import AccessTable
from infra.site import Site

SITE_VARIABLE = "AFTERWATCH_SITE"
"""Environment variable that tells the app its workspace."""
APP = Path(__file__).with_name("app.py")
OPTIONS = {
    "browser.gatherUsageStats": "false",
    "client.showErrorLinks": "false",  # they lead to search engines
    "client.toolbarMode": "minimal",
    "runner.magicEnabled": "false",
    "server.enableXsrfProtection": "true",
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "theme.baseRadius": "6px",
    "theme.headingFontSizes": "1.6rem,1.25rem,1.05rem",
    "theme.metricValueFontSize": "1.45rem",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
}
_PATIENCE_S = 10


def serve(site_root: Path, host: str = "127.0.0.1", port: int = 8501, *, open_browser: bool = False) -> None:
    """Serve the dashboards of a workspace until interrupted or terminated.

    Args:
        site_root: the workspace.
        host: address to listen on; the default is reached from this machine only.
        port: TCP port.
        open_browser: opens a browser window on it.

    Raises:
        ConfigurationError: there is no workspace, or the port is taken or not allowed.
        AfterwatchError: the server ended by itself.
    """
    site = Site.open(site_root)
    _require_free(host, port)
    table = site.settings.access
    told = addresses_told(table, host)
    if told:
        sys.stderr.write(f"afterwatch: {told}\n")
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        with provider_file(site, host, port) as options:
            code = _run([*server_command(host, port, open_browser=open_browser), *options], _environment(site, table))
    finally:
        signal.signal(signal.SIGTERM, before)
    if code != 0:
        raise AfterwatchError(f"the dashboard's server ended with exit code {code}; what it said stands above")


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(process)


def _environment(site: Site, table: AccessTable) -> dict[str, str]:
    """The server's: it knows its workspace, and of the secrets of sign-in only the file."""
    secrets = {table.client_secret_env, table.cookie_secret_env}
    known = {name: value for name, value in os.environ.items() if name not in secrets and name != ACTOR_VARIABLE}
    return {**known, SITE_VARIABLE: str(site.root), "PYTHONPATH": _python_path(), **server_environment(table)}


def server_command(host: str, port: int, *, open_browser: bool = False) -> list[str]:
    """The command line that runs the server."""
    options = {
        **OPTIONS,
        "server.address": host,
        "server.port": str(port),
        "server.headless": "false" if open_browser else "true",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags]


def _require_free(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise ConfigurationError(f"port {port} is out of range; use one from 1 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server does: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); "
            f"stop what uses it or choose another with --port"
        ) from None


def _python_path() -> str:
    """Lets the server import the rooms from where this one was imported."""
    known = os.environ.get("PYTHONPATH")
    root = str(APP.parent.parent)
    return f"{root}{os.pathsep}{known}" if known else root


def _leave(signum: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
