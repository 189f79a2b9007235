"""A federation served: SuperLink beside this process, and the installed server app working through the rounds.

Ctrl-C and a crash leave a checkpoint of the last finished round; the same command goes on with the round after it. Given once
more when all rounds are done, it hands the result to the sites that come.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.flower_processes import FLOWER, FlowerProcessError, one_at_a_time
from flows.flower_tasks import POLL_S, START_S
from flows.joining import written
from flows.superlink import SuperLink, superlink
from infra.errors import ConfigurationError
from models.federation.plan import FederatedPlan
from models.federation.reports import FederatedResult, RoundReport
from workspace.federation.admitted import clients
from workspace.federation.folders import federation_folder
from workspace.federation.keys import server_certificate
from workspace.federation.memories import forget_checkpoint, load_checkpoint
from workspace.federation.server_app import AdmittedGrid, Wanted, keep_federation, server_app
from workspace.opened import Workspace


@dataclass(frozen=True)
class Begun:
    """What is served, before anybody came.

    Attributes:
        address: where clients reach it.
        first_round: with which it goes on; the plan's last and 1 where all are done.
        clients: names of the admitted.
    """

    address: str
    first_round: int
    clients: tuple[str, ...]


@dataclass(frozen=True)
class Served:
    """What a federation came to.

    Attributes:
        name, version: in the registry, under the kind `federation`.
        card: with every round.
        handed: sites that were handed the best round's tensors at the end, by name: why one may have no model of them; empty
            where it has one.
    """

    name: str
    version: str
    card: Mapping[str, Any]
    handed: Mapping[str, str]


def serve(
    workspace: Workspace,
    plan: FederatedPlan,
    wanted: Wanted,
    *,
    host: str,
    port: int,
    author: str,
    restart: bool = False,
    begun: Callable[[Begun], None] = lambda _begun: None,
    on_round: Callable[[RoundReport], None] = lambda _report: None,
) -> Served:
    """Serve a federation to its end, or go on where an earlier call stopped.

    Args:
        workspace: of the server.
        plan: what is trained.
        wanted: whom to wait for.
        host, port: to listen on.
        author: who serves it, for the card of what comes of it.
        restart: forget what was reached of another plan.
        begun: told when clients can come.
        on_round: told each round, when its checkpoint is on the disk.

    Raises:
        ConfigurationError: there is no certificate, too few clients are admitted, or what was reached is of another plan.
        FederationError: too few clients came, or nothing of what they sent could be used.
        FlowerProcessError: SuperLink does not come up, or this workspace is served already.
    """
    certificate = server_certificate(workspace.site)
    admitted = clients(workspace.site)
    if len(admitted) < wanted.at_least:
        raise ConfigurationError(
            f"{len(admitted)} clients are admitted, a round needs {wanted.at_least}: "
            '"afterwatch federate admit NAME client.pub" lets one in'
        )
    folder = federation_folder(workspace, plan.name)
    with one_at_a_time(workspace.site.state_folder / FLOWER, "serve"):
        if restart:
            forget(folder, plan)
        reached = load_checkpoint(folder, plan.digest)
        first_round = 1 if reached is None else reached.next_round
        address = written(host, port)
        with superlink(workspace.site, certificate, address) as link, link.run() as run:
            link.names()
            begun(Begun(address, first_round, tuple(client.name for client in admitted)))
            return _rounds(workspace, plan, wanted, link, run, author, on_round)


def forget(folder: Path, plan: FederatedPlan) -> None:
    """Forget what was reached of another plan.

    Sites know a course of rounds by its plan: one that is away when the same plan begins again would go on with what its
    optimiser remembers of the earlier course.

    Raises:
        ConfigurationError: what was reached is of this very plan.
    """
    reached = load_checkpoint(folder)
    if reached is not None and reached.digest == plan.digest:
        raise ConfigurationError(
            f"{len(reached.rounds)} rounds of this very plan are done, and sites that are away would not know that it begins "
            "again: give --restart with another --seed, or another --name"
        )
    forget_checkpoint(folder)


def _rounds(
    workspace: Workspace,
    plan: FederatedPlan,
    wanted: Wanted,
    link: SuperLink,
    run: int,
    author: str,
    on_round: Callable[[RoundReport], None],
) -> Served:
    kept: list[tuple[str, str, Mapping[str, Any]]] = []
    handed: dict[str, str] = {}

    def ended(_result: FederatedResult) -> None:
        kept.append(keep_federation(workspace, plan, author))  # before anybody is waited for again

    app = server_app(workspace, plan, wanted, on_round=on_round, on_result=ended, on_handed=handed.update)
    token = _claimed(link, run)
    link.desk.run_server_app(token, app, lambda address, token: AdmittedGrid(address, token, link.names))
    if not kept:
        raise FlowerProcessError(f"the rounds ended without a result; {link.process.log} may say why")
    return Served(*kept[0], handed)


def _claimed(link: SuperLink, run: int) -> str:
    """Token of the run's task, which SuperLink lays out as soon as it has the run."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if (token := link.desk.claim(run)) is not None:
            return token
        time.sleep(POLL_S)
    raise FlowerProcessError(
        f"Flower's superlink did not begin the run within {START_S:.0f} s; {link.process.log} says why"
    )
