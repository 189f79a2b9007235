"""The rounds of a federated training, the same for sites in one place and over a network."""

from collections.abc import Callable

from flwr.serverapp import Grid

from infra.errors import ConfigurationError
from models.federation.base import FederationError, Tensors
from models.federation.local_grid import LocalGrid
from models.federation.messages import arrays_of
from models.federation.plan import FederatedPlan
from models.federation.receipts import Receipt
from models.federation.reports import FederatedResult, RoundRecord, RoundReport, better
from models.federation.strategy import CheckedFedAvg, Limits, Listeners
from models.federation.updates import UpdateError, check_tensors, check_values


def run_rounds(
    plan: FederatedPlan,
    initial: Tensors,
    grid: Grid,
    *,
    first_round: int = 1,
    clients_at_least: int = 1,
    clients_wanted: int | None = None,
    round_s: float,
    wait_s: float,
    on_round: Callable[[RoundReport], None] = lambda _report: None,
    on_receipt: Callable[[Receipt], None] | None = None,
    evaluate: Callable[[int, Tensors], float] | None = None,
    names: Callable[[int], str] | None = None,
    best: RoundReport | None = None,
) -> FederatedResult:
    """Train a model at several sites together, round after round.

    In each round the clients train from the same tensors, the mean of what they made of them, weighted by samples, is the next
    round's beginning, and they evaluate it on what they hold out. The same plan, tensors and clients give the same bytes,
    whoever answers first; a run that goes on from round k with the tensors after round k − 1, and clients that kept their
    memories, gives those of an undisturbed one.

    Args:
        plan: what is trained.
        initial: tensors before `first_round`.
        grid: to the clients.
        first_round: above 1 to go on; the plan's last and 1 where all is done: `best` is needed then.
        clients_at_least: fewer clients are no round.
        clients_wanted: waited for in the first round, `wait_s` at most; default: `clients_at_least`. A later round waits for
            as many as took part in the one before.
        round_s: time for a round's training, and for its evaluation, s; who is late is left out.
        wait_s: the longest wait for clients before a round, s.
        on_round: given each round's report as soon as it is over.
        on_receipt: given what is sent and what arrives, as it does; default: no receipts are written.
        evaluate: what to say of the tensors after a round, given its number and them; goes into its report.
        names: of clients by node; default: those of a `LocalGrid`, the node's number elsewhere. Clients are taken in the order
            of their names.
        best: of the rounds before `first_round`.

    Raises:
        ConfigurationError: the tensors are not the plan's, or hold a value that no update may, or a number is out of its range.
        FederationError: too few clients came in time, three rounds in a row had no usable update, or none of all rounds had.
            Nothing that a client sends is raised: it is refused, the client named, and the round goes on.
    """
    last_done = first_round == plan.rounds + 1 and best is not None
    if not (1 <= first_round <= plan.rounds or last_done):
        raise ConfigurationError(
            f"the first round is {first_round}; the plan has {plan.rounds}: begin at 1, or at the round after the last one done"
        )
    try:
        check_tensors(plan.shared, initial)
        check_values(initial)
    except UpdateError as error:
        raise ConfigurationError(
            f"the initial tensors are not to be trained on: {error.told}; take those of this plan"
        ) from error
    limits = Limits(clients_at_least, clients_wanted or clients_at_least, round_s, wait_s)
    records: list[RoundRecord] = []
    shared = initial
    # Whether any update was used before this call: the best round says so, or that the tensors went on from it.
    trained = best is not None and (
        bool(best.used) or any((best.shared[name] != initial[name]).any() for name in initial)
    )

    def ended(report: RoundReport) -> None:
        nonlocal best, shared, trained
        records.append(report.record)
        trained = trained or bool(report.used)
        best, shared = better(report, best), report.shared
        on_round(report)

    if names is None:
        names = grid.name_of if isinstance(grid, LocalGrid) else str
    strategy = CheckedFedAvg(plan, limits, Listeners(names, ended, on_receipt, evaluate), first_round)
    rounds = plan.rounds + 1 - first_round
    if rounds:
        strategy.start(grid, arrays_of(initial), rounds, timeout=round_s)
    assert best is not None  # every round ends with a report
    if not trained:
        raise FederationError(
            f"no update of any client could be used in {plan.rounds} rounds, and the weights are those that training begins with; "
            "put the clients right, and begin again with round 1"
        )
    return FederatedResult(shared, tuple(records), best)
