"""A site joined to a server: SuperNode beside this process, and the installed app answering what comes.

SuperNode holds the connection and the key; the app sees footage and never the network.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.flower_processes import (
    FLOWER,
    FlowerProcess,
    FlowerProcessError,
    flower_process,
    free_ports,
    new_secret,
    one_at_a_time,
)
from flows.flower_tasks import POLL_S, TaskDesk
from infra.errors import ConfigurationError
from workspace.federation.client_app import Answered, Participant
from workspace.federation.keys import client_key
from workspace.federation.material import Material
from workspace.opened import Workspace

LOOK_S = 15.0
"""Time between two looks whether the server is still there."""
CONNECT_S = 5.0
RETRY_S = 1.0
NOT_KNOWN = (
    "No SuperNode found with the given public key",
    "StatusCode.UNAUTHENTICATED",
    "StatusCode.PERMISSION_DENIED",
)
"""What SuperNode writes when a server turns it away."""


def join(
    workspace: Workspace,
    server: str,
    certificate: Path,
    material: Material,
    *,
    author: str,
    once: bool,
    told: Callable[[Answered], None],
) -> None:
    """Take part in the federations of a server until stopped.

    Args:
        workspace: of the site.
        server: `host:port`.
        certificate: of the server's authority.
        material: what is learnt from.
        author: who lets the site take part.
        once: leave after the last round of a federation.
        told: given each answer.

    Raises:
        ConfigurationError: server, certificate or key cannot be used, or the server does not know the key.
        FlowerProcessError: the server is not there for longer than the settings wait, or a site is joined here already.
    """
    address = parse_server(server)
    check_authority(certificate)
    key, wait_s = client_key(workspace.site), workspace.settings.federation.wait_s
    folder = workspace.site.state_folder / FLOWER
    is_over = False

    def answered(answer: Answered) -> None:
        nonlocal is_over
        is_over = once and answer.is_last
        told(answer)

    participant = Participant(workspace, material, author, answered)
    with one_at_a_time(folder, "join"):
        wait_for_server(address, certificate, wait_s)
        with _supernode(folder, address, certificate, key) as (process, desk):
            lookout = Lookout(address, wait_s)
            while not is_over:
                if (token := desk.claim()) is not None:
                    desk.answer(token, participant.answer, lookout.look)
                    continue
                process.check()
                lookout.look()
                time.sleep(POLL_S)


class Lookout:
    """Looks now and then whether the server is still there: SuperNode would wait for it for ever.

    Args:
        server: host and port.
        wait_s: without it for so long, this site gives up.
    """

    def __init__(self, server: tuple[str, int], wait_s: float) -> None:
        self._server, self._wait_s = server, wait_s
        self._looked, self._gone_since = time.monotonic(), float("inf")

    def look(self) -> None:
        """Look, unless that was done a moment ago.

        Raises:
            FlowerProcessError: the server has not been there for too long.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        self._gone_since = float("inf") if is_there(self._server) else min(self._gone_since, now)
        if now - self._gone_since > self._wait_s:
            raise FlowerProcessError(_gone(written(*self._server), self._wait_s))


@contextmanager
def _supernode(
    folder: Path, server: tuple[str, int], certificate: Path, key: Path
) -> Iterator[tuple[FlowerProcess, TaskDesk]]:
    """A SuperNode that is connected to the server, and where it lays out what the server asks."""
    secret, secret_file = new_secret(folder)
    tasks = f"127.0.0.1:{free_ports(1)[0]}"
    arguments = [
        *("--superlink", written(*server), "--root-certificates", str(certificate.expanduser().resolve())),
        *("--auth-supernode-private-key", str(key), "--clientappio-api-address", tasks),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret_file)),
    ]
    try:
        with flower_process(folder, "supernode", arguments) as process:
            try:
                with TaskDesk(process, tasks, secret) as desk:
                    secret_file.unlink(missing_ok=True)
                    yield process, desk
            except FlowerProcessError:
                if any(sign in process.said() for sign in NOT_KNOWN):
                    raise ConfigurationError(
                        f"{written(*server)} does not know this site's key, or has expelled it: give federation/client.pub to "
                        'the server\'s people, who run "afterwatch federate admit NAME client.pub"; where they have, join again'
                    ) from None
                raise
    finally:
        secret_file.unlink(missing_ok=True)


def wait_for_server(server: tuple[str, int], certificate: Path, wait_s: float) -> None:
    """Wait until the server answers, and see that it is the one that the certificate's authority vouches for.

    SuperNode would go on trying for ever, and say nothing that helps.

    Raises:
        ConfigurationError: it answers, but is another's or goes by another name.
        FlowerProcessError: it does not answer in time.
    """
    context = ssl.create_default_context(cafile=str(certificate.expanduser()))
    context.set_alpn_protocols(["h2"])
    until = time.monotonic() + wait_s
    while True:
        try:
            with (
                socket.create_connection(server, CONNECT_S) as connection,
                context.wrap_socket(connection, server_hostname=server[0]),
            ):
                return
        except ssl.SSLCertVerificationError as error:
            raise ConfigurationError(
                f"{written(*server)} is not the server that {certificate} vouches for ({error.verify_message}); take the "
                "authority.pem of that server, or have its people make a certificate for this name: "
                f'"afterwatch federate certificate --host {server[0]}"'
            ) from None
        except OSError as error:
            if time.monotonic() > until:
                raise FlowerProcessError(f"{_gone(written(*server), wait_s)} ({error})") from None
            time.sleep(RETRY_S)


def is_there(server: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection(server, CONNECT_S):
            return True
    except OSError:
        return False


def check_authority(certificate: Path) -> None:
    """Raise ConfigurationError unless the file is a certificate."""
    try:
        ssl.create_default_context(cafile=str(certificate.expanduser()))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"--certificate {certificate} cannot be read as a certificate ({error}); name the server's authority.pem, which "
            '"afterwatch federate certificate" made there'
        ) from None


def parse_server(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[::1]:port`.

    Raises:
        ConfigurationError: it is none.
    """
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    bare_ipv6 = ":" in host and not text.startswith("[")
    if not host or bare_ipv6 or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise ConfigurationError(
            f'--server "{text}" is no host and port; write it as server.example:9092 or [::1]:9092'
        )
    return host, int(port)


def written(host: str, port: int) -> str:
    """As `parse_server` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _gone(server: str, wait_s: float) -> str:
    return (
        f"{server} did not answer for {wait_s:g} s ([federation] wait_s); see that it is served there and that nothing between "
        "keeps this site from it, and join again: the same command goes on"
    )
