"""The server's side of a federation: Flower's ServerApp over the rounds, going on where an earlier one stopped.

What it learns of its clients is what `run_rounds` lets through. After each round the checkpoint is replaced, so that the
next start goes on with the round after it; after the last one the tensors go into the registry, with every round on the card,
and those of the best round to the sites.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version as distribution_version
from threading import Event, Thread
from typing import Any

import grpc
from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.superlink.grid import GrpcGrid
from safetensors.numpy import save

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from models.federation.local_grid import LocalGrid
from models.federation.messages import unreadable
from models.federation.plan import FederatedPlan
from models.federation.receipts import Receipt
from models.federation.reports import FederatedResult, RoundReport
from models.federation.rounds import run_rounds
from models.federation.sites import initial_shared
from workspace.federation.folders import federation_folder
from workspace.federation.handing_out import HandingOut
from workspace.federation.memories import Checkpoint, load_checkpoint, save_checkpoint
from workspace.federation.receipt_files import append_receipt
from workspace.opened import Workspace

KIND = "federation"
POLL_S = 0.25
LINK_S = 10.0
"""Time for which the link to SuperLink, a process beside this one, may be down before it is an error."""
BEST, LAST = "best.", "last."
"""Prefixes of the tensors in the registry: of the best round, and of the last where that is another."""


OnRound = Callable[[RoundReport], None]


@dataclass(frozen=True)
class Wanted:
    """Whom a server waits for, and how long.

    Attributes:
        clients: waited for before the first round.
        at_least: fewer are no round.
    """

    clients: int
    at_least: int


class AdmittedGrid(GrpcGrid):
    """Flower's way to the clients, for those of a list only; a client that stops answering holds nobody up.

    Args:
        address: of SuperLink's interface for server apps.
        token: of the task.
        names: of the admitted by node, asked whenever clients are looked for.
    """

    def __init__(self, address: str, token: str, names: Callable[[], Mapping[int, str]]) -> None:
        super().__init__(address, insecure=True, token=token)
        self._retry_invoker.max_time = LINK_S
        self._names = names
        self._known: dict[int, str] = {}

    def name_of(self, node: int) -> str:
        """Name of a client that was admitted when it was asked."""
        return self._known[node]

    def get_node_ids(self) -> list[int]:
        """Nodes of the admitted clients that are there."""
        admitted = self._names()
        self._known |= admitted
        return [node for node in super().get_node_ids() if node in admitted]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask and wait for the replies, at most `timeout` seconds; who has not sent all of its reply by then is left out.

        Flower waits for up to two hours for the tensors of a reply that is announced: whose client went away in between
        would hold up the round. So each reply is awaited by a thread of its own, and given up together. One that cannot be read
        is an error of the client that sent it, and of nobody else.
        """
        asked = list(messages)
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        replies: list[Message] = []
        errors: list[Exception] = []
        over = Event()

        def await_reply(message: Message, number: str) -> None:
            try:
                while not over.is_set() and not (came := list(self.pull_messages([number]))):
                    over.wait(POLL_S)
                if not over.is_set():
                    replies.extend(came)
            except grpc.RpcError as error:  # told by the thread that waits
                errors.append(error)
            except Exception:  # noqa: BLE001 — whatever junk makes of Flower's reader
                replies.append(unreadable(message))

        numbers = self.push_messages(asked)
        pairs = [(message, number) for message, number in zip(asked, numbers, strict=True) if number]
        threads = [Thread(target=await_reply, args=pair, daemon=True) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not errors and (left := until - time.monotonic()) > 0:
                thread.join(min(left, 1.0))
        over.set()
        if errors:
            raise errors[0]
        return list(replies)


def server_app(
    workspace: Workspace,
    plan: FederatedPlan,
    wanted: Wanted,
    *,
    on_round: OnRound = lambda _report: None,
    on_result: Callable[[FederatedResult], None] = lambda _result: None,
    on_handed: Callable[[Mapping[str, str]], None] = lambda _told: None,
) -> ServerApp:
    """Flower's ServerApp of a plan.

    Args:
        workspace: keeps checkpoint and receipts, and says how long is waited (`[federation]`).
        plan: what is trained; a checkpoint of the same plan is gone on with.
        wanted: whom to wait for.
        on_round: given each report when its checkpoint is on the disk.
        on_result: given what all rounds came to.
        on_handed: given who was handed the best round's tensors, see `HandingOut.run`. Sites that took part in the last round
            are waited for; where all rounds were done before, as many as `wanted` says.
    """
    folder, settings = federation_folder(workspace, plan.name), workspace.settings.federation
    app = ServerApp()

    @app.main()
    def main(grid: Grid, _context: Context) -> None:
        reached = load_checkpoint(folder, plan.digest) or Checkpoint(plan.digest, initial_shared(plan))

        def ended(report: RoundReport) -> None:
            nonlocal reached
            reached = reached.after(report)
            save_checkpoint(folder, reached)
            on_round(report)

        def receipt(made: Receipt) -> None:
            append_receipt(folder, made)

        names = grid.name_of if isinstance(grid, AdmittedGrid | LocalGrid) else str
        result = run_rounds(
            plan,
            reached.shared,
            grid,
            first_round=reached.next_round,
            clients_at_least=wanted.at_least,
            clients_wanted=max(wanted.clients, wanted.at_least),
            round_s=settings.round_s,
            wait_s=settings.wait_s,
            on_round=ended,
            on_receipt=receipt,
            names=names,
            best=reached.best,
        )
        on_result(result)
        sites = len(result.rounds[-1].used) if result.rounds else wanted.clients
        end = HandingOut(plan, result.best, grid, names=names, on_receipt=receipt)
        on_handed(end.run(sites, round_s=settings.round_s, wait_s=settings.wait_s))

    return app


def keep_federation(workspace: Workspace, plan: FederatedPlan, author: str) -> tuple[str, str, dict[str, Any]]:
    """Put what a finished federation came to into the registry: its tensors, and a card with every round.

    Returns:
        Name and version in the registry under the kind `federation`, and the card.

    Raises:
        ValueError: not all rounds are done.
    """
    reached = load_checkpoint(federation_folder(workspace, plan.name), plan.digest)
    if reached is None or reached.best is None or reached.next_round <= plan.rounds:
        raise ValueError(f"not all of the {plan.rounds} rounds are done")
    best = reached.best
    arrays = {f"{BEST}{name}": value for name, value in best.shared.items()}
    if best.number != plan.rounds:
        arrays |= {f"{LAST}{name}": value for name, value in reached.shared.items()}
    card = {
        "plan": {"digest": plan.digest, "kind": plan.kind, "name": plan.name, "rounds": plan.rounds}
        | {"local_epochs": plan.local_epochs, "seed": plan.seed, "model": plan.model, "training": plan.training},
        "tensors": len(plan.shared),
        "bytes": plan.bytes,
        "best_round": best.number,
        "clients": sorted({client.client for record in reached.rounds for client in record.used}),
        "rounds": [record.to_values() for record in reached.rounds],
        "flower": distribution_version("flwr"),
    }
    name, version = f"{plan.kind}.{plan.name}", sha256(save(arrays)).hexdigest()[:12]
    workspace.registry.save(KIND, name, version, card, arrays, author=author)
    return name, version, workspace.registry.card(KIND, name, version)
