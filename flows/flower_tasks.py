"""Where SuperLink and SuperNode lay out what their apps have to do, on this machine only.

Flower's way is a process for every task that unpacks the app which the server sent and runs it. Here the installed app
takes the task itself: no code that came over the network runs. A client's SuperNode receives the bundle all the same, and
reads its manifest (`pyproject.toml`) for settings that nothing here asks for; it may use so much memory and no more.

Whoever listens on the loopback port would be believed what it says, and handed what was learnt. So that the port's listener is
the very process that was started is looked up in the kernel's tables before anything is said there.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from flwr.app import Context, Message
from flwr.common.constant import SubStatus
from flwr.common.serde import context_from_proto, run_from_proto
from flwr.proto.appio_pb2 import (
    ClaimTaskRequest,
    PullPendingTasksRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
)
from flwr.proto.clientappio_pb2_grpc import ClientAppIoStub
from flwr.proto.message_pb2 import PullObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.serverappio_pb2_grpc import ServerAppIoStub
from flwr.serverapp import ServerApp
from flwr.supercore.grpc import create_channel
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_grpc
from flwr.supercore.interceptors import (
    AppIoTokenClientInterceptor,
    RuntimeVersionClientInterceptor,
    SuperExecAuthClientInterceptor,
)
from flwr.supercore.interceptors.superexec_auth_interceptor import (
    CLIENTAPPIO_SUPEREXEC_METHODS,
    SERVERAPPIO_SUPEREXEC_METHODS,
)
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from flows.flower_processes import MOST_CALL_BYTES, FlowerProcess, FlowerProcessError
from workspace.federation.policy import MOST_BYTES

if TYPE_CHECKING:  # it brings a database along, which a client has no need of
    from flwr.superlink.grid import GrpcGrid

POLL_S = 0.25
START_S = 120.0
"""Time that one of Flower's processes is given to come up; a busy machine imports slowly."""

MOST_MESSAGE_BYTES = MOST_BYTES + 16 * 2**20
"""Of a message from a server: the tensors of the largest plan, their names and the plan."""
END_S = 3.0
"""Time in which a process that no longer answers is seen to have ended."""

MakeGrid = Callable[[str, str], "GrpcGrid"]
"""Makes a grid of an address and the token of the task."""


class TaskDesk:
    """The loopback interface of a SuperLink or a SuperNode; only who knows its secret may claim a task.

    Args:
        process: which one.
        address: of the interface.
        secret: that the process was started with.
    """

    def __init__(self, process: FlowerProcess, address: str, secret: bytes) -> None:
        self._process, self._address, self._port = process, address, int(address.rpartition(":")[2])
        server = process.program == "superlink"
        self._stub_class: type[Any] = ServerAppIoStub if server else ClientAppIoStub
        methods = SERVERAPPIO_SUPEREXEC_METHODS if server else CLIENTAPPIO_SUPEREXEC_METHODS
        signer = SuperExecAuthClientInterceptor(master_secret=secret, protected_methods=methods)
        self._channel = create_channel(
            address, insecure=True, max_message_length=MOST_CALL_BYTES, interceptors=[_version(), signer]
        )
        self._stub = self._stub_class(self._channel)

    def __enter__(self) -> "TaskDesk":
        wait_for(self._channel, self._process, self._port)
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def claim(self, run: int | None = None) -> str | None:
        """Claim a pending task, of one run or of any; its token, or None where nothing is to do.

        Raises:
            FlowerProcessError: the process has ended.
        """
        self._check()
        try:
            for task in self._stub.PullPendingTasks(PullPendingTasksRequest()).tasks:
                if run is None or task.run_id == run:
                    token: str = self._stub.ClaimTask(ClaimTaskRequest(task_id=task.task_id)).token
                    return token or None
        except grpc.RpcError as error:
            self._process.check(END_S)
            raise FlowerProcessError(
                f"Flower's {self._process.program} refuses: {error}; see {self._process.log}"
            ) from None
        return None

    def run_server_app(self, token: str, app: ServerApp, make_grid: MakeGrid) -> None:
        """Run a server's app to its end, on a claimed task."""
        grid = make_grid(self._address, token)
        stub: Any = grid._stub
        try:
            with _beating(stub):
                given = stub.PullTaskInput(PullTaskInputRequest())
                grid.set_run(run_from_proto(given.run))
                status = SubStatus.FAILED
                try:
                    app(grid=grid, context=context_from_proto(given.context))
                    status = SubStatus.COMPLETED
                finally:
                    if self._process.is_running:
                        stub.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=""))
        finally:
            grid.close()

    def answer(self, token: str, app: Callable[[Message, Context], Message], while_sending: Callable[[], None]) -> None:
        """Answer the message of a claimed task with what `app` says; returns when the answer has left this machine.

        Args:
            token: of the task.
            app: where it raises, nothing is answered.
            while_sending: called again and again until the answer has left; may raise to give up.

        Raises:
            FlowerProcessError: the process has ended, or what the server sent is no message or is too large.
        """
        with self._task_channel(token) as channel:
            stub: Any = ClientAppIoStub(channel)
            with _beating(stub):
                message, context = _pulled(stub)
                reply = app(message, context)
                self._check()
                push_message(stub, reply, context)
                self._wait_until_sent(stub, reply, context, while_sending)
                stub.PushTaskOutput(PushTaskOutputRequest(sub_status=SubStatus.COMPLETED, details=""))

    def _wait_until_sent(self, stub: Any, reply: Message, context: Context, while_sending: Callable[[], None]) -> None:
        """SuperNode deletes a reply when it has handed it to the server, or has been told that it came too late."""
        ask = PullObjectRequest(node=Node(node_id=context.node_id), run_id=context.run_id, object_id=reply.object_id)
        while stub.PullObject(ask).object_found:
            self._process.check()
            while_sending()
            time.sleep(POLL_S)

    def _check(self) -> None:
        """Raise FlowerProcessError unless the process is there and its port is its own."""
        self._process.check()
        if not self._process.listens(self._port):
            self._process.check(END_S)
            raise FlowerProcessError(_not_ours(self._process, self._port))

    @contextmanager
    def _task_channel(self, token: str) -> Iterator[grpc.Channel]:
        channel = create_channel(
            self._address,
            insecure=True,
            max_message_length=MOST_CALL_BYTES,
            interceptors=[_version(), AppIoTokenClientInterceptor(token)],
        )
        try:
            yield channel
        except grpc.RpcError as error:
            self._process.check(END_S)
            raise FlowerProcessError(
                f"Flower's {self._process.program} refuses: {error}; see {self._process.log}"
            ) from None
        finally:
            channel.close()


class _Bounded:
    """A stub that hands out so many bytes of objects and no more.

    Args:
        stub: of a task.
        most: bytes.
    """

    def __init__(self, stub: Any, most: int) -> None:
        self._stub, self._most, self._bytes, self._lock = stub, most, 0, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)

    def PullObject(self, request: PullObjectRequest) -> Any:
        response = self._stub.PullObject(request)
        with self._lock:  # several threads pull
            self._bytes += len(response.object_content)
            if self._bytes > self._most:
                raise ValueError(f"it has more than {self._most} bytes")
        return response


def _pulled(stub: Any) -> tuple[Message, Context]:
    """The message of a task, as far as it is not too large."""
    bounded: Any = _Bounded(stub, MOST_MESSAGE_BYTES)
    try:
        message, context, _run, _bundle = pull_task_input(bounded)
    except grpc.RpcError:
        raise
    except Exception as error:  # noqa: BLE001 — whatever junk makes of Flower's reader
        raise FlowerProcessError(
            f"what the server sent is no message that is taken ({error!r}); it may be of another version — join again when it is "
            "right"
        ) from None
    return message, context


def wait_for(channel: grpc.Channel, process: FlowerProcess, port: int) -> None:
    """Wait until a process listens on its port and answers on a channel to it.

    Raises:
        FlowerProcessError: it has ended, or does not answer within `START_S`.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        process.check()
        if not process.listens(port):
            time.sleep(POLL_S)
            continue
        try:
            grpc.channel_ready_future(channel).result(timeout=POLL_S)
        except grpc.FutureTimeoutError:
            continue
        return
    raise FlowerProcessError(
        f"Flower's {process.program} did not answer within {START_S:.0f} s; {process.log} says why"
    )


def _not_ours(process: FlowerProcess, port: int) -> str:
    return f"port {port} of 127.0.0.1 is not Flower's {process.program}'s any more; nothing is said there — start again"


@contextmanager
def _beating(stub: Any) -> Iterator[None]:
    """Tell the process that the task is being worked on; where nobody does, it is given up."""
    sender = HeartbeatSender(make_task_heartbeat_fn_grpc(stub))
    sender.start()
    try:
        yield
    finally:
        if sender.is_running:
            sender.stop()


def _version() -> RuntimeVersionClientInterceptor:
    return RuntimeVersionClientInterceptor(component_name="afterwatch")
