"""The server's SuperLink: started, told whom to let in, and given the run of a federation."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from flwr.cli.build import build_fab_from_files
from flwr.common.constant import Status
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.control_pb2_grpc import ControlStub
from flwr.supercore.fab import Fab
from flwr.supercore.grpc import create_channel
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from flows.flower_processes import (
    FLOWER,
    MOST_CALL_BYTES,
    FlowerProcess,
    FlowerProcessError,
    flower_process,
    free_ports,
    new_secret,
)
from flows.flower_tasks import END_S, TaskDesk, wait_for
from infra.site import Site
from workspace.federation.admitted import known_keys
from workspace.federation.keys import ServerCertificate, public_key_of

UNREGISTERED = "unregistered"
BUNDLE: dict[str, bytes | Path] = {
    "pyproject.toml": b"""[project]
name = "federation"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "afterwatch"

[tool.flwr.app.components]
serverapp = "installed:nothing"
clientapp = "installed:nothing"

[tool.flwr.app.config]
""",
    "installed.py": b'"""Nothing: server and clients run the app that is installed there, never one that was sent."""\n',
}
"""Flower wants an app to start a run; this one is empty. Clients receive it and read its manifest, and run nothing of it."""


class SuperLink:
    """A running SuperLink.

    Args:
        process: it.
        desk: where it lays out the server app's tasks.
        control: its control interface.
        site: the server's workspace, whose list of clients counts.
    """

    def __init__(self, process: FlowerProcess, desk: TaskDesk, control: Any, site: Site) -> None:
        self.process, self.desk = process, desk
        self._control, self._site, self._lock = control, site, threading.Lock()
        with self._refusals():
            listed = control.ListNodes(ListNodesRequest()).nodes_info
        self._online_until = {node.node_id: node.online_until for node in listed}

    def names(self) -> dict[int, str]:
        """Names of the admitted clients that were heard of, by node, after telling SuperLink who came and who went.

        SuperLink goes on believing what it knew before it was stopped: a node counts from its first heartbeat since, which a
        client that is there sends within half a minute. Asked earlier, it would be given up before it is connected again.

        Anyone on the server's machine who has the authority's certificate could register a node as well; such a node has no
        name here, and takes no part.

        Raises:
            FlowerProcessError: SuperLink has ended or refuses.
        """
        known = known_keys(self._site)
        wanted = {_bytes(client.key): client.name for client in known.admitted}
        with self._lock, self._refusals():
            listed = self._control.ListNodes(ListNodesRequest()).nodes_info
            nodes = {node.public_key: node.node_id for node in listed if node.status != UNREGISTERED}
            silent = {node.node_id for node in listed if self._online_until.get(node.node_id) == node.online_until}
            for key in nodes.keys() & {_bytes(client.key) for client in known.expelled}:
                self._control.UnregisterNode(UnregisterNodeRequest(node_id=nodes[key]))
            for key in wanted.keys() - nodes.keys():
                nodes[key] = self._control.RegisterNode(RegisterNodeRequest(public_key=key)).node_id
        return {nodes[key]: name for key, name in wanted.items() if nodes[key] not in silent}

    @contextmanager
    def run(self) -> Iterator[int]:
        """A run of Flower's, its number; stopped at the end, with whatever an earlier server left behind."""
        with self._refusals():
            self._stop_all()
            made, _ = build_fab_from_files(BUNDLE)
            number = int(self._control.StartRun(StartRunRequest(fab=fab_to_proto(Fab("", made, {})))).run_id)
        try:
            yield number
        finally:
            if self.process.is_running:
                with self._refusals():
                    self._stop_all()

    def _stop_all(self) -> None:
        """Messages and tensors of runs are deleted with them; asking for the runs deletes those of finished ones."""
        for number, run in self._control.ListRuns(ListRunsRequest()).run_dict.items():
            if run.status.status != Status.FINISHED:
                self._control.StopRun(StopRunRequest(run_id=number))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            self.process.check(END_S)
            raise FlowerProcessError(
                f"Flower's superlink refuses: {error.code().name}, {error.details()}; {self.process.log} says why"
            ) from None


def _bytes(line: str) -> bytes:
    content: bytes = public_key_to_bytes(public_key_of(line))
    return content


@contextmanager
def superlink(site: Site, certificate: ServerCertificate, address: str) -> Iterator[SuperLink]:
    """Run a SuperLink that clients reach at `address`, with TLS and their keys asked for.

    Its state, the ids of nodes above all, is kept: clients that are joined find their server again when it comes back.

    Args:
        site: the server's workspace.
        certificate: what it shows.
        address: `host:port` to listen on; the other interfaces listen on the loopback address only.

    Raises:
        FlowerProcessError: it does not come up, as where something else listens on the port.
    """
    folder = site.state_folder / FLOWER
    secret, secret_file = new_secret(folder)
    ports = free_ports(2)
    tasks, control = (f"127.0.0.1:{port}" for port in ports)
    arguments = [
        *("--ssl-certfile", str(certificate.certificate), "--ssl-keyfile", str(certificate.key)),
        *("--ssl-ca-certfile", str(certificate.authority)),
        *("--enable-supernode-auth", "--disable-runtime-dependency-installation"),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret_file)),
        *("--database", str(folder / "superlink.db")),
        *("--fleet-api-address", address, "--serverappio-api-address", tasks, "--control-api-address", control),
    ]
    channel = create_channel(
        control,
        insecure=False,
        root_certificates=certificate.authority.read_bytes(),
        max_message_length=MOST_CALL_BYTES,
    )
    try:
        with flower_process(folder, "superlink", arguments) as process:
            wait_for(channel, process, ports[1])
            secret_file.unlink(missing_ok=True)
            with TaskDesk(process, tasks, secret) as desk:
                yield SuperLink(process, desk, ControlStub(channel), site)
    finally:
        channel.close()
        secret_file.unlink(missing_ok=True)
