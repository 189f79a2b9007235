"""FedAvg (McMahan et al. 2017, arXiv:1602.05629) by Flower, with everything that arrives checked first.

Flower's `FedAvg` gives the mean of the sites' tensors, weighted by their samples; here are the waiting with an end, the
refusals, the numbers of rounds that go on where an earlier server stopped, and an order of sites that does not depend on who
answers first, so that the same updates give the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from time import monotonic, sleep
from typing import TypedDict

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from infra.errors import ConfigurationError
from models.federation.base import FederationError, Tensors
from models.federation.messages import (
    ARRAYS,
    CONFIG,
    EVALUATE,
    SAMPLES,
    TRAIN,
    UNREADABLE,
    Stage,
    read_evaluate_reply,
    read_train_reply,
    request,
    tensors_of,
    word_of,
)
from models.federation.plan import FederatedPlan
from models.federation.receipts import Direction, Receipt, receipt_of
from models.federation.reports import ClientReport, RoundReport
from models.federation.updates import UpdateError, check_update, drift

MOST_FRUITLESS = 3
"""Rounds without a single usable update in a row that end a federation."""
LATE = "late"
POLL_S = 0.5


@dataclass(frozen=True)
class Limits:
    """How many clients a round needs and how long anything may take.

    Attributes:
        clients_at_least: without so many there is no round.
        clients_wanted: waited for, at least as many; later rounds wait for those that were there in the one before.
        round_s: time for the clients to train, and again to evaluate; who is late is left out.
        wait_s: the longest time to wait for clients before a round.
    """

    clients_at_least: int
    clients_wanted: int
    round_s: float
    wait_s: float

    def __post_init__(self) -> None:
        if self.clients_at_least < 1 or self.clients_wanted < self.clients_at_least:
            raise ConfigurationError(
                f"at least {self.clients_at_least} clients and {self.clients_wanted} wanted; the first is 1 or more, the "
                "second not below it"
            )
        if not (isfinite(self.round_s) and self.round_s > 0 and isfinite(self.wait_s) and self.wait_s >= 0):
            raise ConfigurationError(
                f"a round of {self.round_s} s and a wait of {self.wait_s} s; the first is above 0, the second not below, both "
                "finite"
            )


@dataclass(frozen=True)
class Listeners:
    """Who is told what, as it happens.

    Attributes:
        names: of the clients, by the ids of their nodes.
        on_round: is given each round's report.
        on_receipt: is given what is sent and what arrives; None: no receipts are written.
        evaluate: says something of the tensors after a round: number, tensors; None: nobody does.
    """

    names: Callable[[int], str]
    on_round: Callable[[RoundReport], None]
    on_receipt: Callable[[Receipt], None] | None
    evaluate: Callable[[int, Tensors], float] | None


class CheckedFedAvg(FedAvg):
    """Flower's FedAvg over the updates that pass `check_update`.

    Args:
        plan: of the training.
        limits: of clients and times.
        listeners: told what happens.
        first_round: number of the first round; above 1 where an earlier server did those before.

    Raises:
        FederationError: by `start`: too few clients came in time, or `MOST_FRUITLESS` rounds in a row had no usable update.
    """

    def __init__(self, plan: FederatedPlan, limits: Limits, listeners: Listeners, first_round: int = 1) -> None:
        super().__init__(weighted_by_key=SAMPLES, arrayrecord_key=ARRAYS, configrecord_key=CONFIG)
        self._plan, self._limits, self._listeners, self._before_first = plan, limits, listeners, first_round - 1
        self._wanted = limits.clients_wanted
        self._fruitless = 0
        self._began = monotonic()
        self._arrays = ArrayRecord()
        self._asked: list[Message] = []
        self._told: dict[int, ClientReport] = {}

    def configure_train(
        self,
        server_round: int,
        arrays: ArrayRecord,
        config: ConfigRecord,  # noqa: ARG002  # Flower's signature
        grid: Grid,
    ) -> list[Message]:
        """Requests to all clients that are there; `server_round` counts from 1 in every call of `start`."""
        self._began, self._arrays, self._told = monotonic(), arrays, {}
        nodes = self._there(grid, self._wanted)
        if len(nodes) < self._limits.clients_at_least:
            raise FederationError(
                f"{len(nodes)} clients came within {self._limits.wait_s:g} s, round {server_round + self._before_first} needs "
                f"at least {self._limits.clients_at_least}; start the others (afterwatch federate join) or ask for fewer, and "
                "give the same command again: it goes on at this round"
            )
        self._wanted = max(len(nodes), self._limits.clients_at_least)
        return self._requests(TRAIN, server_round, nodes)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The weighted mean of what passes, None where nothing does."""
        passed = []
        before = tensors_of(self._arrays, self._plan.shared)
        for node, name, own in self._replies(replies):
            refused, change = "", None
            try:
                with _named_if_malformed():
                    update = read_train_reply(_only(own).content, self._plan)
                    check_update(self._plan.shared, update, name, before=before, most_samples=self._plan.most_samples)
                self._told[node] = ClientReport(name, update.samples, update.loss)
                change = drift(before, update.shared)
                passed += own
            except UpdateError as error:
                refused = error.told
                self._told[node] = ClientReport(name, refused=refused)
            self._receipts(own, TRAIN, server_round, "received", name, refused, change)
        self._fruitless = 0 if passed else self._fruitless + 1
        arrays, metrics = super().aggregate_train(server_round, passed)
        self._arrays = self._arrays if arrays is None else arrays
        return arrays, metrics

    def configure_evaluate(
        self,
        server_round: int,
        arrays: ArrayRecord,  # noqa: ARG002  # those that the mean came to, which are at hand
        config: ConfigRecord,  # noqa: ARG002  # Flower's signature
        grid: Grid,
    ) -> list[Message]:
        """Requests to all clients that are there, once as many are as have answered in this round; never an error."""
        answered = sum(not client.refused for client in self._told.values())
        return self._requests(EVALUATE, server_round, self._there(grid, answered))

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """The weighted mean of the held-out losses; ends the round and tells of it."""
        passed = []
        for node, name, own in self._replies(replies):
            refused, before = "", self._told.get(node, ClientReport(name))
            try:
                with _named_if_malformed():
                    found = read_evaluate_reply(_only(own).content, self._plan)
                self._told[node] = replace(before, held_out_samples=found.samples, held_out_loss=found.loss)
                passed += own
            except UpdateError as error:
                refused = error.told
                self._told[node] = replace(before, not_evaluated=refused)
            self._receipts(own, EVALUATE, server_round, "received", name, refused)
        metrics = super().aggregate_evaluate(server_round, passed)
        self._finish(server_round + self._before_first)
        return metrics

    def _finish(self, number: int) -> None:
        shared = tensors_of(self._arrays, self._plan.shared)
        evaluated = self._listeners.evaluate and self._listeners.evaluate(number, shared)
        clients = tuple(self._told[node] for node in sorted(self._told, key=self._order))
        self._listeners.on_round(RoundReport(number, clients, monotonic() - self._began, evaluated, shared))
        if self._fruitless == MOST_FRUITLESS:
            why = "; ".join(f"{client.client}: {client.refused}" for client in clients)
            raise FederationError(
                f"no update could be used in {self._fruitless} rounds in a row, the last one being {number} ({why}); the "
                "weights are as they were before them — put the clients right and give the same command again"
            )

    def _there(self, grid: Grid, wanted: int) -> list[int]:
        """Clients that are there, in order, once there are as many as wanted or the wait is over."""
        until = monotonic() + self._limits.wait_s
        while len(nodes := list(grid.get_node_ids())) < wanted and (left := until - monotonic()) > 0:
            sleep(min(POLL_S, left))
        return sorted(nodes, key=self._order)

    def _order(self, node: int) -> tuple[str, int]:
        return self._listeners.names(node), node

    def _requests(self, stage: Stage, server_round: int, nodes: list[int]) -> list[Message]:
        record = request(self._plan, server_round + self._before_first, self._arrays)
        # A client that comes back later is not to work on what nobody waits for any more.
        ttl, group = self._limits.round_s, str(server_round + self._before_first)
        self._asked = [Message(record, node, stage, ttl=ttl, group_id=group) for node in nodes]
        for message in self._asked:
            self._receipts([message], stage, server_round, "sent", self._listeners.names(message.metadata.dst_node_id))
        return self._asked

    def _replies(self, replies: Iterable[Message]) -> Iterator[tuple[int, str, list[Message]]]:
        """Node, name and replies of every client that was asked, in order."""
        found: dict[str, list[Message]] = {}
        for reply in replies:
            found.setdefault(reply.metadata.reply_to_message_id, []).append(reply)
        for message in self._asked:
            node, mine = message.metadata.dst_node_id, found.get(message.metadata.message_id, [])
            own = [reply for reply in mine if reply.has_error() or reply.metadata.src_node_id == node]
            yield node, self._listeners.names(node), own
        self._asked = []

    def _receipts(
        self,
        messages: list[Message],
        stage: Stage,
        server_round: int,
        direction: Direction,
        client: str,
        refused: str = "",
        change: float | None = None,
    ) -> None:
        if self._listeners.on_receipt is None:
            return
        number = server_round + self._before_first
        about: _About = {"round_number": number, "stage": stage, "direction": direction, "client": client}
        for message in messages:
            try:
                record = message.content if message.has_content() else None
                made = receipt_of(record, self._plan, **about, refused=refused, change=change)
            except Exception:
                if direction == "sent":
                    raise
                # What arrived cannot even be listed; that it arrived can be told.
                made = receipt_of(None, self._plan, **about, refused=refused or UNREADABLE)
            self._listeners.on_receipt(made)


class _About(TypedDict):
    round_number: int
    stage: Stage
    direction: Direction
    client: str


@contextmanager
def _named_if_malformed() -> Iterator[None]:
    """Anything that reading a reply raises is a refusal of that reply: its parts are of another's making."""
    try:
        yield
    except UpdateError:
        raise
    except Exception as error:
        raise UpdateError(f"{UNREADABLE} ({type(error).__name__})") from error


def _only(replies: list[Message]) -> Message:
    """The one reply of a client, where it holds anything.

    Raises:
        UpdateError: there is none, or more than one, or it is an error.
    """
    if len(replies) != 1:
        raise UpdateError(f"{len(replies)} replies" if replies else LATE)
    if replies[0].has_error():
        raise UpdateError(word_of(replies[0].error))
    return replies[0]
