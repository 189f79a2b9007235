"""Whole federations: the same bytes whoever answers first, and after going on in the middle."""

from dataclasses import replace
from threading import Event
from time import sleep

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from infra.errors import ConfigurationError
from models.federation.base import FederationError, SiteError, Tensors
from models.federation.local_grid import Client, LocalGrid, SiteClient
from models.federation.messages import EVALUATE, TRAIN
from models.federation.reports import ClientReport, FederatedResult, RoundRecord, RoundReport, better
from models.federation.rounds import run_rounds
from tests.models.federation.made_sites import LineSite, made_plan, made_tensors, threads

PLAN = made_plan(rounds=5)
SEEDS = {"north": 1, "south": 2, "east": 3}


def run(
    clients: dict[str, Client], *, workers: int = 3, initial: Tensors | None = None, **more: object
) -> FederatedResult:
    with threads(workers) as pool:
        grid = LocalGrid(clients, pool)
        return run_rounds(PLAN, initial or made_tensors(PLAN), grid, round_s=60, wait_s=5, **more)  # type: ignore[arg-type]


def same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def delayed(client: Client, seconds: float) -> Client:
    def answered(message: Message) -> RecordDict:
        sleep(seconds)
        return client(message)

    return answered


def sites(names: list[str]) -> dict[str, Client]:
    return {name: SiteClient(LineSite(SEEDS[name], 7 * SEEDS[name])) for name in names}


def test_the_order_of_arrival_and_of_naming_decides_nothing() -> None:
    names = list(SEEDS)
    first = run(sites(names))
    turned = run(sites(names[::-1]), workers=1)
    slow = run({name: delayed(client, 0.02 * SEEDS[name] % 0.05) for name, client in sites(names).items()})
    assert same(first.shared, turned.shared) and same(first.shared, slow.shared)
    assert [replace(record, seconds=0) for record in first.rounds] == [
        replace(record, seconds=0) for record in slow.rounds
    ]
    assert [client.client for client in first.rounds[0].clients] == sorted(names)


def test_rounds_learn() -> None:
    found = run(sites(list(SEEDS)))
    losses = [record.held_out_loss for record in found.rounds]
    assert losses[0] is not None and losses[-1] is not None and losses[-1] < losses[0]
    assert found.best.held_out_loss == min(loss for loss in losses if loss is not None)


def plain_rounds(names: list[str], rounds: int) -> Tensors:
    """The same federation without Flower, messages or threads."""
    shared = made_tensors(PLAN)
    made = {name: LineSite(SEEDS[name], 7 * SEEDS[name]) for name in sorted(names)}
    memories: dict[str, bytes | None] = dict.fromkeys(made)
    for number in range(1, rounds + 1):
        updates = {name: site.train(shared, number, memories[name]) for name, site in made.items()}
        memories = {name: update.memory for name, update in updates.items()}
        total = sum(update.samples for update in updates.values())
        shared = {
            name: np.asarray(
                sum(update.shared[name] * (update.samples / total) for update in updates.values()), np.float32
            )
            for name in shared
        }
    return shared


def test_rounds_beside_a_plain_loop() -> None:
    assert same(run(sites(list(SEEDS))).shared, plain_rounds(list(SEEDS), PLAN.rounds))


@pytest.mark.parametrize("stopped", [1, 3, 5])
def test_going_on_from_a_round_is_as_if_nothing_had_happened(stopped: int) -> None:
    whole = run(sites(list(SEEDS)))
    clients, reports = sites(list(SEEDS)), list[RoundReport]()

    class Killed(Exception):
        pass

    def kill(report: RoundReport) -> None:
        if report.number == stopped:
            raise Killed
        reports.append(report)

    # Killed as round `stopped` ends, before anything of it was kept: that round is asked for once more.
    with pytest.raises(Killed):
        run(clients, on_round=kill)
    initial, best = made_tensors(PLAN), None
    for report in reports:
        initial, best = report.shared, better(report, best)
    rest = run(clients, initial=initial, first_round=stopped, best=best)
    assert same(rest.shared, whole.shared) and [record.number for record in rest.rounds] == list(range(stopped, 6))
    assert (rest.best.number, rest.best.held_out_loss) == (whole.best.number, whole.best.held_out_loss)
    assert same(rest.best.shared, whole.best.shared)


def test_a_client_that_comes_back_takes_part_again() -> None:
    away, clients = Event(), sites(["north", "south"])
    answered = clients["south"]

    def south(message: Message) -> RecordDict:
        if away.is_set():
            raise OSError("the line is dead")
        return answered(message)

    def on_round(report: RoundReport) -> None:
        away.set() if report.number == 2 else away.clear()

    found = run({**clients, "south": south}, on_round=on_round)
    assert [len(record.used) for record in found.rounds] == [2, 2, 1, 2, 2]


def test_nothing_is_left_to_do() -> None:
    reports: list[RoundReport] = []
    run(sites(["north"]), on_round=reports.append)
    found = run(sites(["north"]), initial=reports[-1].shared, first_round=6, best=reports[-1])
    assert found.rounds == () and found.best is reports[-1] and same(found.shared, reports[-1].shared)


@pytest.mark.parametrize("first", [0, 6, 7])
def test_a_round_that_the_plan_has_not_is_refused(first: int) -> None:
    with pytest.raises(ConfigurationError, match=f"first round is {first}"):
        run(sites(["north"]), first_round=first)


def test_initial_tensors_of_another_plan_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"layer\.bias"):
        run(sites(["north"]), initial={"layer.weight": np.zeros(4, np.float32)})


def test_what_is_said_of_the_tensors_is_in_the_report() -> None:
    def size(number: int, shared: Tensors) -> float:
        return number + float(np.abs(shared["layer.weight"]).sum())

    reports: list[RoundReport] = []
    found = run(sites(["north"]), evaluate=size, on_round=reports.append)
    assert [record.evaluated for record in found.rounds] == [size(report.number, report.shared) for report in reports]


def test_a_site_is_asked_to_train_and_evaluate_once_in_each_round_that_is_left() -> None:
    site, stages = LineSite(0), list[str]()
    answer = SiteClient(site)

    def counted(message: Message) -> RecordDict:
        stages.append(message.metadata.message_type)
        return answer(message)

    run({"only": counted}, first_round=4)
    assert site.asked == [(4, False), (5, True)] and stages == [TRAIN, EVALUATE] * 2


def made_report(number: int, *held_out: tuple[int, float | None]) -> RoundReport:
    clients = tuple(
        ClientReport(str(at), 1, 1.0, held_out_samples=samples, held_out_loss=loss)
        for at, (samples, loss) in enumerate(held_out)
    )
    return RoundReport(number, clients, 1.0, None, {})


def best_of(*reports: RoundReport) -> int:
    best: RoundReport | None = None
    for report in reports:
        best = better(report, best)
    assert best is not None
    return best.number


def test_the_best_round_is_that_of_the_least_held_out_loss() -> None:
    assert best_of(made_report(1, (10, 0.5)), made_report(2, (10, 0.2)), made_report(3, (10, 0.3))) == 2
    assert best_of(made_report(1, (10, 0.2)), made_report(2, (10, 0.2))) == 1
    assert best_of(made_report(1, (10, 0.1), (90, 0.3)), made_report(2, (10, 0.9), (90, 0.2))) == 2


def test_rounds_are_compared_over_the_clients_that_evaluated_both() -> None:
    both = made_report(1, (10, 0.5), (90, 0.7))
    assert best_of(both, made_report(2, (10, 0.4)), made_report(3, (10, 0.45))) == 2, "who left is not asked"
    assert best_of(both, made_report(2, (10, 0.6))) == 1, "the one that stayed finds it worse"
    assert best_of(made_report(1, (10, 0.1)), made_report(2, (10, 0.5), (10, 0.7))) == 2, "the second never saw round 1"
    assert best_of(both, made_report(2)) == 1 and best_of(made_report(1), made_report(2), made_report(3)) == 3


def test_a_number_of_held_out_samples_told_once_decides_nothing() -> None:
    liar, after = made_report(1, (10**7, 0.1), (90, 0.9)), made_report(2, (10, 0.2), (90, 0.3))
    assert best_of(liar, after) == 2 and best_of(after, replace(liar, number=3)) == 2
    shrunk = made_report(2, (10, 0.4), (1, 0.6))
    assert best_of(made_report(1, (10, 0.5), (90, 0.7)), shrunk) == 2, "held-out footage may become less"


def test_the_best_round_is_not_that_of_a_client_that_left_early() -> None:
    leaving = SiteClient(LineSite(2))

    def leaves(message: Message) -> RecordDict:
        if int(message.content["config"]["server-round"]) > 1:  # type: ignore[arg-type]
            raise SiteError("failed", "")
        return leaving(message)

    found = run({**sites(["north", "south"]), "leaves": leaves})
    assert len(found.rounds[0].used) == 3 and len(found.rounds[1].used) == 2
    losses = [record.held_out_loss for record in found.rounds]
    assert found.best.number > 1 and found.best.held_out_loss == min(loss for loss in losses[1:] if loss is not None)


def no_update(message: Message) -> RecordDict:
    if message.metadata.message_type == TRAIN:
        raise SiteError("no-footage", "")
    return SiteClient(LineSite(0))(message)


def test_a_federation_without_any_update_is_an_error_however_short() -> None:
    reports: list[RoundReport] = []
    with pytest.raises(FederationError, match="no update of any client could be used in 5 rounds"):
        run({"north": no_update}, first_round=4, on_round=reports.append, best=None)
    assert [report.number for report in reports] == [4, 5]
    with pytest.raises(FederationError, match="begin again with round 1"):
        run({"north": no_update}, first_round=6, best=reports[0])
    done: list[RoundReport] = []
    run(sites(["north"]), on_round=done.append)
    run({"north": no_update}, initial=done[3].shared, first_round=5, best=done[3])


def test_initial_tensors_beyond_all_bounds_are_refused() -> None:
    broken = made_tensors(PLAN) | {"layer.bias": np.asarray(1e30, np.float32)}
    with pytest.raises(ConfigurationError, match=r"layer\.bias: 1 of 1 values are beyond"):
        run(sites(["north"]), initial=broken)


def test_a_record_comes_back_from_its_values() -> None:
    found = run(sites(["north", "south"]))
    for record in found.rounds:
        assert RoundRecord.from_values(record.to_values()) == record
    with pytest.raises(ConfigurationError, match="round's record"):
        RoundRecord.from_values({"number": 1})
