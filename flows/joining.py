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
from workspace.federation.client_app import Answered, Participant, check_material
from workspace.federation.keys import client_key
from workspace.federation.material import Material
from workspace.opened import Workspace

LOOK_S = 15.0
"""Time between two looks whether the server is still there."""
CONNECT_S = 5.0
RETRY_S = 1.0
GOODBYE_S = 5.0
"""From the last answer to leaving: SuperLink does not hand the server app what came from a node that has left meanwhile."""
TOLD_AFTER = 2
"""Tries after which a person is told that the server is waited for."""
WRONG_CLOCK = "Invalid timestamp"
STILL_THERE = "could not be activated"
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
    waiting: Callable[[str], None] = lambda _why: None,
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
        waiting: told where the server is waited for.

    Raises:
        ConfigurationError: server, certificate, key or material cannot be used, or the server turns the key away.
        FlowerProcessError: the server is not there for longer than the settings wait, a site is joined here already, or with
            `once` the federation ended without a model.
        NoReplyError: what the server asked could not be answered.
    """
    address = parse_server(server)
    check_authority(certificate)
    check_material(workspace, material)
    key, wait_s = client_key(workspace.site), workspace.settings.federation.wait_s
    folder = workspace.site.state_folder / FLOWER
    ended: Answered | None = None

    def answered(answer: Answered) -> None:
        nonlocal ended
        ended = answer if once and answer.is_last else None
        told(answer)

    participant = Participant(workspace, material, author, answered)
    with one_at_a_time(folder, "join"):
        wait_for_server(address, certificate, wait_s, waiting)
        with _supernode(folder, address, certificate, key) as (process, desk):
            lookout = Lookout(address, certificate, wait_s)
            while ended is None:
                if (token := desk.claim()) is not None:
                    desk.answer(token, participant.answer, lookout.look)
                    continue
                process.check()
                lookout.look()
                time.sleep(POLL_S)
            time.sleep(GOODBYE_S)
    if ended.word:
        raise FlowerProcessError(
            f'this site has no model of {ended.what}: the server was told "{ended.word}". When what was said above is mended, '
            "join again, and have the server's people give their command again: it hands the tensors out once more"
        )


class Lookout:
    """Looks now and then whether the server is still there: SuperNode would wait for it for ever.

    Args:
        server: host and port.
        certificate: of its authority.
        wait_s: without it for so long, this site gives up.
    """

    def __init__(self, server: tuple[str, int], certificate: Path, wait_s: float) -> None:
        self._server, self._certificate, self._wait_s = server, certificate, wait_s
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
        self._gone_since = float("inf") if is_there(self._server, self._certificate) else min(self._gone_since, now)
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
                if why := turned_away(written(*server), process.said()):
                    raise ConfigurationError(why) from None
                raise
    finally:
        secret_file.unlink(missing_ok=True)


def turned_away(server: str, said: str) -> str:
    """Why a server does not let a site in, by what SuperNode wrote; empty where it wrote of something else."""
    if WRONG_CLOCK in said:
        return (
            f"{server} refuses this site's signature for its time: the clock here is more than 5 s ahead of the server's, or "
            "more than 5 minutes behind; set both clocks, as by NTP, and join again"
        )
    if STILL_THERE in said:
        return (
            f"{server} takes this site for joined: it ended without a goodbye less than a minute ago, or is joined with a copy of its "
            "key elsewhere; join again in a minute"
        )
    if any(sign in said for sign in NOT_KNOWN):
        return (
            f"{server} does not know this site's key, or has expelled it: give federation/client.pub to the server's people, "
            'who run "afterwatch federate admit NAME client.pub"; where they have, join again'
        )
    return ""


def wait_for_server(
    server: tuple[str, int],
    certificate: Path,
    wait_s: float,
    waiting: Callable[[str], None] = lambda _why: None,
) -> None:
    """Wait until the server answers, and see that it is the one that the certificate's authority vouches for.

    SuperNode would go on trying for ever, and say nothing that helps.

    Args:
        server: host and port.
        certificate: of its authority.
        wait_s: the longest wait, s.
        waiting: told once why there is one.

    Raises:
        ConfigurationError: its name is not known or it speaks no TLS, twice in a row; or it is another's or goes by another
            name.
        FlowerProcessError: it does not answer in time.
    """
    context = _trusting(certificate)
    until = time.monotonic() + wait_s
    mistaken = tries = 0
    while True:
        try:
            return _greet(server, context)
        except ssl.SSLCertVerificationError as error:
            raise ConfigurationError(
                f"{written(*server)} is not the server that {certificate} vouches for ({error.verify_message}); take the "
                "authority.pem of that server, or have its people make a certificate for this name: "
                f'"afterwatch federate certificate --host {server[0]}"'
            ) from None
        except OSError as error:
            wrong = _mistake(server, error)
            mistaken = mistaken + 1 if wrong else 0
            if mistaken > 1:
                raise ConfigurationError(f"{wrong} ({error}); correct --server") from None
            if time.monotonic() > until:
                raise FlowerProcessError(f"{_gone(written(*server), wait_s)} ({error})") from None
            if (tries := tries + 1) == TOLD_AFTER:
                waiting(f"waiting for {written(*server)}, {wait_s:g} s at most ({error})")
            time.sleep(RETRY_S)


def _mistake(server: tuple[str, int], error: OSError) -> str:
    """What a person has mistyped; empty where the server may only be late."""
    if isinstance(error, socket.gaierror):
        return f'no address is known of the host "{server[0]}"'
    # A connection that is cut in the handshake is of a server that goes down, or of a proxy whose server is not up.
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return f"what answers at {written(*server)} is no server of a federation: it refuses TLS"
    return ""


def is_there(server: tuple[str, int], certificate: Path) -> bool:
    """Whether the server itself answers there; a tunnel takes connections without it."""
    try:
        _greet(server, _trusting(certificate))
        return True
    except OSError:
        return False


def _trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate.expanduser()))
    context.set_alpn_protocols(["h2"])
    return context


def _greet(server: tuple[str, int], context: ssl.SSLContext) -> None:
    """Connect and shake hands; raises OSError, of which ssl's errors are some."""
    with (
        socket.create_connection(server, CONNECT_S) as connection,
        context.wrap_socket(connection, server_hostname=server[0]),
    ):
        return


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
