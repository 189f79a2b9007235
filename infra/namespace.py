"""A network of its own for a command and whatever it starts: the loopback device, and nothing else (Linux)."""

import fcntl
import shutil
import socket
import struct
import subprocess
from pathlib import Path

_COMMANDS = (("unshare", "--net", "--"), ("unshare", "--map-root-user", "--net", "--"))
"""As root, and as anybody else where the kernel lets people make namespaces of users."""
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP of <linux/if.h>
_LOOPBACK = b"lo"


def namespace_command() -> tuple[str, ...] | None:
    """What to put before a command so that it has such a network; None where this machine does not allow it."""
    for command in _COMMANDS:
        if shutil.which(command[0]) is None:
            return None
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return None


def bring_up_loopback() -> None:
    """Let a new network's processes reach one another; for a process within it.

    Raises:
        OSError: it is not this process's to change.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asked = fcntl.ioctl(asking, _GET_FLAGS, struct.pack("16sh14x", _LOOPBACK, 0))
        (flags,) = struct.unpack("16xh14x", asked)
        fcntl.ioctl(asking, _SET_FLAGS, struct.pack("16sh14x", _LOOPBACK, flags | _UP))


def packets_without_route() -> int:
    """How often the kernel found no way out for something sent in this process's network, by whatever code.

    In a network that is the loopback device alone, each is an attempt to reach what lies outside. Datagrams to a port of this
    machine that nobody listens on count too: questions to a resolver of the machine's, which in such a network is not there.
    """
    counted = _snmp("Ip", "OutNoRoutes") + _snmp("Udp", "NoPorts")
    for line in Path("/proc/self/net/snmp6").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name in ("Ip6OutNoRoutes", "Udp6NoPorts"):
            counted += int(value)
    return counted


def _snmp(protocol: str, counter: str) -> int:
    lines = Path("/proc/self/net/snmp").read_text(encoding="ascii").splitlines()
    names, values = (line.split() for line in lines if line.startswith(f"{protocol}:"))
    return int(values[names.index(counter)])
