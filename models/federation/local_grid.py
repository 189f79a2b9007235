"""A federation in one place: sites are functions, run by an executor (Dask's, threads), instead of machines on a network.

What sites are told and what they answer crosses as bytes, as it does over a network, so that neither sees the other's objects.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import CancelledError, Executor, Future, wait
from hashlib import sha256
from typing import Any
from uuid import uuid4

from flwr.app import Message, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto
from flwr.serverapp import Grid
from flwr.supercore.run import Run

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from infra.errors import ConfigurationError
from models.federation.base import SiteError, SiteTraining, rounds_kept
from models.federation.messages import TRAIN, evaluate_reply, read_request, refusal, reply_to, train_reply, unreadable
from models.federation.updates import UpdateError

MORE_BYTES = 2**16
"""Of a reply than of its request, which holds the same tensors and more beside them: what is wrong by a little is read, so that
it can be said what is wrong."""
Client = Callable[[Message], RecordDict]
"""A site: takes a message, whose `content` is a request and whose `metadata.message_type` is the stage; gives the reply."""


class SiteClient:
    """A site of a local federation: reads what is asked, trains or evaluates, remembers.

    Args:
        site: its training.
        memories: of its rounds, by number; default: in the object, which does for executors of this process. An executor of
            other processes gives each call a copy of the client: give it a mapping that keeps what it is given elsewhere.

    Raises:
        ConfigurationError: when it is sent to another process and its memories would stay there, lost.
    """

    def __init__(self, site: SiteTraining, memories: MutableMapping[int, bytes] | None = None) -> None:
        self._site = site
        self._memories: MutableMapping[int, bytes] = {} if memories is None else memories

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self._memories, dict):
            raise ConfigurationError(
                "the memories of a site are in this process, and a copy's in another would be lost; give the site a mapping "
                "that keeps them on the disk, or run it in threads"
            )
        return self.__dict__

    def __call__(self, message: Message) -> RecordDict:
        asked = read_request(message.content)
        if message.metadata.message_type != TRAIN:
            return evaluate_reply(self._site.evaluate(asked.shared), asked.plan)
        number = asked.round_number
        update = self._site.train(asked.shared, number, memory_before(self._memories, number))
        self._memories[number] = update.memory
        for old in self._memories.keys() - rounds_kept(self._memories, number):
            del self._memories[old]
        return train_reply(update, asked.plan)


def memory_before(memories: Mapping[int, bytes], round_number: int) -> bytes | None:
    """The newest memory from before a round, None where there is none; a site that sat rounds out goes on from its last."""
    earlier = [number for number in memories if number < round_number]
    return memories[max(earlier)] if earlier else None


class LocalGrid(Grid):
    """Flower's grid for sites in one place.

    A site that raises is an error reply; one that is not done in time is no reply, and counts as away until it is done: it is
    not asked twice at once.

    Args:
        clients: by name; the names decide the ids of the nodes.
        executor: runs them; the caller's to shut down.

    Attributes:
        errors: what each site raised last, by its name: error replies hold a word only.
    """

    def __init__(self, clients: Mapping[str, Client], executor: Executor) -> None:
        self._clients = {node_id(name): client for name, client in clients.items()}
        if not clients or len(self._clients) < len(clients):
            raise ConfigurationError(
                f"{len(clients)} clients have {len(self._clients)} ids; name one at least, none twice"
            )
        self._names = {node_id(name): name for name in clients}
        self._executor = executor
        self._running: dict[int, Future[bytes]] = {}
        self._asked: dict[str, tuple[Message, Future[bytes]]] = {}
        self._run = Run.create_empty(0)
        self.errors: dict[str, BaseException] = {}

    def name_of(self, node: int) -> str:
        """Name of the client with that id."""
        return self._names[node]

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Ids of the sites that are not at work."""
        return [node for node in self._clients if node not in self._running or self._running[node].done()]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Ask sites; returns the ids of the messages."""
        given = []
        for message in messages:
            number, node = uuid4().hex, message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = number
            about = (message.metadata.message_type, node, number)
            asked = self._executor.submit(_answered, self._clients[node], _to_bytes(message.content), *about)
            self._running[node] = asked
            self._asked[number] = (message, asked)
            given.append(number)
        return given

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies that are there, each once."""
        done = [number for number in message_ids if number in self._asked and self._asked[number][1].done()]
        return [self._reply(*self._asked.pop(number)) for number in done]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask sites and wait for their replies, at most `timeout` seconds; who is late is left out and forgotten."""
        numbers = self.push_messages(messages)
        wait([self._asked[number][1] for number in numbers], timeout)
        replies = self.pull_messages(numbers)
        for number in numbers:
            if number in self._asked:
                self._asked.pop(number)[1].cancel()
        return replies

    def _reply(self, message: Message, asked: "Future[bytes]") -> Message:
        client = self._names[message.metadata.dst_node_id]
        error = CancelledError() if asked.cancelled() else asked.exception()
        if error is not None:
            self.errors[client] = error
            return refusal(message, error.word if isinstance(error, SiteError) else "failed")
        try:
            return reply_to(message, _read(asked.result(), message))
        except Exception as wrong:  # noqa: BLE001 — bytes of another's making: whatever they raise, the others' replies count
            self.errors[client] = wrong
            return unreadable(message)


def node_id(name: str) -> int:
    """Id of a client's node: a number of 63 bits that its name decides, never 0."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") >> 1 or 1


def _answered(client: Client, content: bytes, stage: str, node: int, _number: str) -> bytes:
    """Runs where the executor runs things; the number keeps Dask from answering with what an equal call gave before."""
    return _to_bytes(client(Message(_from_bytes(content), node, stage)))


def _read(raw: bytes, asked: Message) -> RecordDict:
    """A reply out of its bytes, which are looked at for their number first: it holds no more than its request."""
    most = len(_to_bytes(asked.content)) + MORE_BYTES
    if len(raw) > most:
        raise UpdateError(f"{len(raw)} bytes, the most is {most}")
    return recorddict_from_proto(RecordDictProto.FromString(raw))


def _to_bytes(record: RecordDict) -> bytes:
    raw: bytes = recorddict_to_proto(record).SerializeToString(deterministic=True)
    return raw


def _from_bytes(raw: bytes) -> RecordDict:
    return recorddict_from_proto(RecordDictProto.FromString(raw))
