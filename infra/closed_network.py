"""Refuses every connection that would leave the machine, and writes each down: a file that Python reads as it starts.

Copied as `sitecustomize.py` into a folder of `PYTHONPATH`, it watches the process and whatever Python it starts, by an audit
hook (PEP 578). So it is made of the standard library alone. Code that is not Python's passes it: `infra.namespace` is for that.
"""

import contextlib
import ipaddress
import json
import os
import socket
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD_VARIABLE = "AFTERWATCH_CONNECTIONS"
"""Environment variable that names the file that connections are written to, one JSON object to a line."""
WATCHED, LOOPBACK, REFUSED = "watched", "loopback", "refused"
"""What a line tells: a process is watched; it connected to this machine; it was kept from what lies outside."""
_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname"}
_CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_MOST_WORDS = 4


def is_inside(host: str) -> bool:
    """Whether a host's name or address is this machine's own, by its text alone: nothing is looked up.

    The unspecified address is: a connection to it is one to this machine.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.rstrip(".").lower() in ("", "localhost", "localhost.localdomain", "ip6-localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def watch(record: Path) -> None:
    """Watch this process until it ends; it cannot be undone. What is refused looks like a network that is not there."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CONNECTIONS:
            _connection(record, arguments[0], arguments[1])
        elif event in _LOOKUPS:
            _lookup(record, arguments)

    _write(record, {"kind": WATCHED})
    sys.addaudithook(hook)


def _connection(record: Path, opened: socket.socket, address: object) -> None:
    if opened.family not in _INTERNET or not isinstance(address, tuple):
        return
    host, port = _text(address[0]), address[1]
    if is_inside(host):
        _write(record, {"kind": LOOPBACK, "port": port})
        return
    _write(record, {"kind": REFUSED, "host": host, "port": port, "by": _caller()})
    raise ConnectionRefusedError(f"{host}:{port} is not this machine, and no connection may leave it")


def _lookup(record: Path, arguments: tuple[Any, ...]) -> None:
    host = _text(arguments[0])
    if is_inside(host) or _is_address(host):
        return
    port = arguments[1] if len(arguments) > 1 else None
    _write(record, {"kind": REFUSED, "host": host, "port": _text(port), "by": _caller()})
    raise socket.gaierror(socket.EAI_NONAME, f"{host} is not looked up: no question may leave this machine")


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host.partition("%")[0]))
    return False


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _caller() -> str:
    """The innermost code that is not Python's own library, which is what wanted to connect."""
    library = (sysconfig.get_path("stdlib"), __file__)
    frame = sys._getframe()  # a traceback would read every source file
    while frame is not None:
        file = frame.f_code.co_filename
        own = file.startswith(library) and "site-packages" not in file
        if not own and not file.startswith("<frozen"):
            return f"{Path(file).parent.name}/{Path(file).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]  # None ends it
    return ""


def _write(record: Path, told: Mapping[str, object]) -> None:
    command = " ".join([Path(sys.executable).name, *sys.orig_argv[1 : 1 + _MOST_WORDS]])
    line = json.dumps({"pid": os.getpid(), "command": command, **told}, default=str) + "\n"
    with contextlib.suppress(OSError):  # the folder is gone: the examination is over
        written = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(written, line.encode())
        finally:
            os.close(written)


if __name__ == "sitecustomize" and RECORD_VARIABLE in os.environ:
    watch(Path(os.environ[RECORD_VARIABLE]))
