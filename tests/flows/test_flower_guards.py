"""What stands between this machine's own processes and others: whose port it is, how much a message may hold, who answers there."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afterwatch.workspace_files import make_workspace
from flows import flower_tasks, joining
from flows.federation import forget
from flows.flower_processes import MOST_CALL_BYTES, FlowerProcess, FlowerProcessError, _limit_calls, free_ports
from flows.flower_tasks import TaskDesk, _Bounded
from flows.joining import is_there, turned_away, wait_for_server
from infra.errors import ConfigurationError
from models.autoencoders.settings import settings_of
from models.autoencoders.training import TrainingSettings
from models.federation.plan import FederatedPlan
from models.federation.sites import autoencoder_plan, initial_shared
from workspace.federation.keys import make_certificate, server_certificate
from workspace.federation.memories import Checkpoint, load_checkpoint, save_checkpoint
from workspace.opened import Workspace

LISTENER = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def child(tmp_path: Path) -> Iterator[tuple[FlowerProcess, int]]:
    """A process that listens on a port."""
    (port,) = free_ports(1)
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield FlowerProcess("supernode", process, tmp_path / "log"), port
        process.kill()


def test_a_port_is_a_processs_own_or_anothers(child: tuple[FlowerProcess, int]) -> None:
    process, port = child
    assert process.listens(port)
    with (
        socket.create_server(("127.0.0.1", 0)) as mine,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        for stranger in (mine, six):
            assert not process.listens(stranger.getsockname()[1]), "another process listens there"
    assert not process.listens(free_ports(1)[0]), "nobody listens there"


def test_nothing_is_said_to_a_stranger_on_the_port(
    child: tuple[FlowerProcess, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child is alive, and somebody else was first to bind the port that was chosen for it."""
    process, _ = child
    monkeypatch.setattr(flower_tasks, "START_S", 0.5)
    monkeypatch.setattr(flower_tasks, "END_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.1)
        desk = TaskDesk(process, f"127.0.0.1:{stranger.getsockname()[1]}", b"secret")
        with pytest.raises(FlowerProcessError, match="did not answer"):
            desk.__enter__()
        with pytest.raises(FlowerProcessError, match="nothing is said there"):
            desk.claim()
        desk.__exit__()
        with pytest.raises(TimeoutError):
            stranger.accept()


def test_a_message_may_hold_so_much_and_no_more() -> None:
    stub = SimpleNamespace(PullObject=lambda request: SimpleNamespace(object_content=b"x" * request), other=7)
    bounded: Any = _Bounded(stub, 10)
    bounded.PullObject(6)
    bounded.PullObject(4)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        bounded.PullObject(1)
    assert bounded.other == 7


def test_junk_of_a_server_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def pulls(_stub: Any) -> None:
        raise AssertionError("what junk makes of a reader")

    monkeypatch.setattr(flower_tasks, "pull_task_input", pulls)
    with pytest.raises(FlowerProcessError, match="no message that is taken"):
        flower_tasks._pulled(None)


def test_flowers_own_limits_are_where_they_are_set() -> None:
    from flwr.server import app
    from flwr.supernode import start_client_internal

    for module in (app, start_client_internal):
        before = vars(module)["GRPC_MAX_MESSAGE_LENGTH"]
        try:
            _limit_calls(module)
            assert vars(module)["GRPC_MAX_MESSAGE_LENGTH"] == MOST_CALL_BYTES
        finally:
            vars(module)["GRPC_MAX_MESSAGE_LENGTH"] = before
    with pytest.raises(RuntimeError, match="elsewhere"):
        _limit_calls(socket)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("status = StatusCode.UNAUTHENTICATED details = Invalid timestamp", "clock"),
        ("status = StatusCode.UNAUTHENTICATED details = Invalid signature", "does not know this site's key"),
        ("No SuperNode found with the given public key", "does not know this site's key"),
        (
            "StatusCode.FAILED_PRECONDITION details = SuperNode with node ID 7 could not be activated.",
            "join again in a minute",
        ),
        ("ModuleNotFoundError", ""),
    ],
)
def test_a_wrong_clock_is_not_told_as_an_unknown_key(said: str, words: str) -> None:
    told = turned_away("a.example:9092", said)
    assert words in told and bool(told) == bool(words)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return make_certificate(Workspace(make_workspace(tmp_path / "server")).site, []).authority


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "RETRY_S", 0.01)


def test_a_host_that_nobody_knows_is_told_at_once(
    authority: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_given: Any, **_named: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigurationError, match="no address is known"):
        wait_for_server(("srever.example", 9092), authority, wait_s=600)


@pytest.fixture
def talker() -> Iterator[tuple[socket.socket, dict[str, bytes]]]:
    """A server that says something without TLS, or takes connections and drops them."""
    says: dict[str, bytes] = {"what": b""}
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(says["what"])

        threading.Thread(target=talk, daemon=True).start()
        yield listener, says
        listener.shutdown(socket.SHUT_RDWR)


def test_a_port_without_tls_is_told_at_once(
    talker: tuple[socket.socket, dict[str, bytes]], authority: Path, quick: None
) -> None:
    listener, says = talker
    says["what"] = b"SSH-2.0-OpenSSH_9.6\r\n"
    with pytest.raises(ConfigurationError, match="refuses TLS"):
        wait_for_server(("127.0.0.1", listener.getsockname()[1]), authority, wait_s=600)


def test_a_tunnel_without_its_server_is_waited_for_and_is_not_the_server(
    talker: tuple[socket.socket, dict[str, bytes]], authority: Path, quick: None
) -> None:
    server = ("127.0.0.1", talker[0].getsockname()[1])
    told: list[str] = []
    with pytest.raises(FlowerProcessError, match="did not answer"):
        wait_for_server(server, authority, wait_s=0.2, waiting=told.append)
    assert len(told) == 1 and "waiting for 127.0.0.1" in told[0]
    assert not is_there(server, authority)


def test_the_server_itself_is_there(tmp_path: Path, authority: Path) -> None:
    shown = server_certificate(Workspace(tmp_path / "server").site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            context.wrap_socket(listener.accept()[0], server_side=True).close()

        thread = threading.Thread(target=greet)
        thread.start()
        assert is_there(("127.0.0.1", listener.getsockname()[1]), authority)
        thread.join()


def test_the_very_plan_that_was_reached_does_not_begin_again(tmp_path: Path) -> None:
    def plan(seed: int) -> FederatedPlan:
        shape = settings_of("hasan", {"width": 0.125, "size_px": 48})
        return autoencoder_plan("hall", shape, TrainingSettings(seed=seed), rounds=3, local_epochs=1)

    first = plan(1)
    save_checkpoint(tmp_path, Checkpoint(first.digest, initial_shared(first)))
    with pytest.raises(ConfigurationError, match="another --seed"):
        forget(tmp_path, first)
    assert load_checkpoint(tmp_path) is not None
    forget(tmp_path, plan(2))
    assert load_checkpoint(tmp_path) is None
    forget(tmp_path, first)
