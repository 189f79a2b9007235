"""The end of a federation: every site is handed the tensors of the best round, and makes its model of them.

A site that was away then is handed them when it comes: the server, started again, goes through this once more.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flwr.app import Message

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from models.federation.messages import EVALUATE, UNREADABLE, arrays_of, read_evaluate_reply, request, word_of
from models.federation.plan import FederatedPlan
from models.federation.receipts import Direction, Receipt, receipt_of
from models.federation.reports import RoundReport
from models.federation.strategy import LATE
from models.federation.updates import UpdateError

if TYPE_CHECKING:
    from flwr.serverapp import Grid

FINISH = "evaluate.finish"
"""Flower's type of the last message of a federation: a request to evaluate whose tensors the site is to keep a model of."""
POLL_S = 0.5


class HandingOut:
    """Hands a finished federation's tensors to its sites.

    Args:
        plan: of the federation.
        best: its best round.
        grid: to the sites.
        names: of the sites by node.
        on_receipt: given what is sent and what arrives.
    """

    def __init__(
        self,
        plan: FederatedPlan,
        best: RoundReport,
        grid: "Grid",
        *,
        names: Callable[[int], str],
        on_receipt: Callable[[Receipt], None],
    ) -> None:
        self._plan, self._best, self._grid, self._names, self._on_receipt = plan, best, grid, names, on_receipt

    def run(self, sites: int, *, round_s: float, wait_s: float) -> dict[str, str]:
        """Hand the tensors to the sites that are there and to those that come, each once.

        Args:
            sites: so many are waited for.
            round_s: time for a site to answer, s.
            wait_s: the longest wait for sites to come, s.

        Returns:
            By name of each site that was asked: why it may have no model; empty where it has one.
        """
        told: dict[str, str] = {}
        asked: set[int] = set()
        until = time.monotonic() + wait_s
        while True:
            new = sorted((node for node in self._grid.get_node_ids() if node not in asked), key=self._names)
            asked.update(new)
            told |= self._hand(new, round_s) if new else {}
            if len(asked) >= sites or (left := until - time.monotonic()) <= 0:
                return told
            time.sleep(min(POLL_S, left))

    def _hand(self, nodes: Sequence[int], round_s: float) -> dict[str, str]:
        record = request(self._plan, self._best.number, arrays_of(self._best.shared))
        group = str(self._best.number)
        messages = [Message(record, node, FINISH, ttl=round_s, group_id=group) for node in nodes]
        for message in messages:
            self._receipt(message, message.metadata.dst_node_id, "sent")
        replies = {
            reply.metadata.reply_to_message_id: reply
            for reply in self._grid.send_and_receive(messages, timeout=round_s)
        }
        told = {}
        for message in messages:
            node, reply = message.metadata.dst_node_id, replies.get(message.metadata.message_id)
            refused = self._refused(node, reply)
            if reply is not None:
                self._receipt(reply, node, "received", refused)
            told[self._names(node)] = refused
        return told

    def _refused(self, node: int, reply: Message | None) -> str:
        if reply is None:
            return LATE
        if reply.has_error():
            return word_of(reply.error)
        if reply.metadata.src_node_id != node:
            return UNREADABLE
        try:
            read_evaluate_reply(reply.content, self._plan)
        except UpdateError as error:
            return error.told
        except Exception:  # noqa: BLE001 — its parts are of another's making
            return UNREADABLE
        return ""

    def _receipt(self, message: Message, node: int, direction: Direction, refused: str = "") -> None:
        # Of a reply that is refused nothing is read any more: what was made to be unreadable is so for a receipt too.
        made = receipt_of(
            message.content if message.has_content() and not refused else None,
            self._plan,
            round_number=self._best.number,
            stage=EVALUATE,
            direction=direction,
            client=self._names(node),
            refused=refused,
        )
        self._on_receipt(made)
