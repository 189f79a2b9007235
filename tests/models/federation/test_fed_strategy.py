"""FedAvg beside a plain weighted mean; what is refused is named, left out and never hangs a round."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from threading import Event

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from models.federation.base import FederationError, LocalUpdate, SiteError, Tensors
from models.federation.local_grid import Client, LocalGrid, SiteClient, node_id
from models.federation.messages import TRAIN, train_reply
from models.federation.receipts import Receipt
from models.federation.reports import RoundReport
from models.federation.rounds import run_rounds
from models.federation.strategy import LATE, MOST_FRUITLESS, Limits
from tests.models.federation.made_sites import FixedSite, LineSite, made_plan, made_tensors, threads

ONE_ROUND = made_plan(rounds=1)


def one_round(
    clients: dict[str, Client],
    *,
    clients_at_least: int = 1,
    round_s: float = 30,
    wait_s: float = 0,
    on_receipt: Callable[[Receipt], None] | None = None,
) -> RoundReport:
    with threads() as pool:
        found = run_rounds(
            ONE_ROUND,
            made_tensors(ONE_ROUND, 99),
            LocalGrid(clients, pool),
            clients_at_least=clients_at_least,
            round_s=round_s,
            wait_s=wait_s,
            on_receipt=on_receipt,
        )
    return found.best


def plain_mean(tensors: Iterable[Tensors], samples: Iterable[int]) -> Tensors:
    told = list(zip(tensors, samples, strict=True))
    total = sum(count for _, count in told)
    return {
        name: np.sum([value[name].astype(np.float64) * (count / total) for value, count in told], axis=0)
        for name in told[0][0]
    }


updates = st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 10**6)), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25)
@given(updates)
def test_the_mean_is_weighted_by_samples(told: list[tuple[int, int]]) -> None:
    tensors = [made_tensors(ONE_ROUND, seed) for seed, _ in told]
    counts = [count for _, count in told]
    sites = [FixedSite(shared, count) for shared, count in zip(tensors, counts, strict=True)]
    report = one_round({f"site {number}": SiteClient(site) for number, site in enumerate(sites)})
    expected = plain_mean(tensors, counts)
    for name, value in report.shared.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
    assert report.samples == sum(counts) and [client.samples for client in report.clients] == counts


def test_weights_are_of_samples_and_not_of_clients() -> None:
    zero, one = (
        {name: np.full_like(value, fill) for name, value in made_tensors(ONE_ROUND).items()} for fill in (0, 1)
    )
    report = one_round({"large": SiteClient(FixedSite(one, 300, 2.0)), "small": SiteClient(FixedSite(zero, 100, 1.0))})
    assert all((value == 0.75).all() for value in report.shared.values())
    assert report.loss == 1.75


def test_one_client_is_its_own_mean_to_the_last_bit() -> None:
    tensors = made_tensors(ONE_ROUND)
    report = one_round({"only": SiteClient(FixedSite(tensors, 17))})
    assert all(report.shared[name].tobytes() == value.tobytes() for name, value in tensors.items())


def raw(update: LocalUpdate) -> Client:
    """A site whose own gate is open: what the server must catch."""

    def answered(message: Message) -> RecordDict:
        if message.metadata.message_type != TRAIN:
            return SiteClient(LineSite(0))(message)
        reply = train_reply(LocalUpdate(made_tensors(ONE_ROUND), 5, 0.5, b""), ONE_ROUND)
        arrays = {name: Array(np.asarray(value)) for name, value in update.shared.items()}
        reply["arrays"] = ArrayRecord(arrays)
        reply["metrics"] = MetricRecord({"num-examples": update.samples, "loss": update.loss})
        return reply

    return answered


TENSORS = made_tensors(ONE_ROUND)
NAN = np.array([0, np.nan, np.nan, 1], np.float32)
FAULTS: dict[str, tuple[LocalUpdate, str]] = {
    "nan": (
        LocalUpdate(TENSORS | {"layer.weight": NAN}, 5, 0.5, b""),
        "tensor layer.weight: 2 of 4 values are not finite",
    ),
    "shape": (LocalUpdate(TENSORS | {"layer.weight": np.zeros((2, 2), np.float32)}, 5, 0.5, b""), "shape (2, 2)"),
    "dtype": (LocalUpdate(TENSORS | {"layer.weight": np.zeros(4, np.int64)}, 5, 0.5, b""), "type int64"),
    "missing": (LocalUpdate({"layer.bias": TENSORS["layer.bias"]}, 5, 0.5, b""), "layer.weight: it is missing"),
    "unknown": (LocalUpdate(TENSORS | {"mean": np.zeros(4)}, 5, 0.5, b""), "mean: it is not in the plan"),
    "beyond all bounds": (
        LocalUpdate(TENSORS | {"layer.bias": np.asarray(1e30, np.float32)}, 5, 0.5, b""),
        "layer.bias: 1 of 1 values are beyond",
    ),
    "too far": (LocalUpdate(TENSORS | {"layer.bias": np.asarray(1e5, np.float32)}, 5, 0.5, b""), "it changed by"),
    "many samples": (LocalUpdate(TENSORS, 10**9, 0.5, b""), "1000000000 samples"),
    "no samples": (LocalUpdate(TENSORS, 0, 0.5, b""), "0 samples"),
    "loss": (LocalUpdate(TENSORS, 5, float("inf"), b""), "a loss of inf"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_update_is_named_and_left_out(fault: str) -> None:
    update, told = FAULTS[fault]
    good = made_tensors(ONE_ROUND, 5)
    report = one_round({"bad": raw(update), "good": SiteClient(FixedSite(good, 3))})
    (refused,) = report.refused
    assert refused.client == "bad" and told in refused.refused and refused.samples == 0
    assert [client.client for client in report.used] == ["good"]
    assert all(report.shared[name].tobytes() == value.tobytes() for name, value in good.items())


def test_words_of_sites_and_nothing_more_are_in_the_report() -> None:
    def few(_message: Message) -> RecordDict:
        raise SiteError("too-few-samples", "3 clips in /footage")

    def broken(_message: Message) -> RecordDict:
        raise OSError("/footage")

    report = one_round({"few": few, "broken": broken, "good": SiteClient(LineSite(0))})
    assert {client.client: client.refused for client in report.refused} == {
        "few": "too-few-samples",
        "broken": "failed",
    }
    assert "footage/" not in repr(report) and {client.not_evaluated for client in report.refused} == {
        "too-few-samples",
        "failed",
    }


def test_a_client_that_never_answers_does_not_hang_the_round() -> None:
    go = Event()

    def silent(_message: Message) -> RecordDict:
        go.wait(30)
        raise SiteError("failed", "")

    with threads() as pool:
        grid = LocalGrid({"good": SiteClient(LineSite(0)), "silent": silent}, pool)
        found = run_rounds(made_plan(rounds=2), made_tensors(ONE_ROUND), grid, round_s=1.5, wait_s=0.1)
        go.set()
    first, second = found.rounds
    assert [(client.client, client.refused) for client in first.clients] == [("good", ""), ("silent", LATE)]
    assert [client.client for client in second.clients] == ["good"] and second.held_out_loss is not None


class Moody(LocalGrid):
    """Sites that come and go.

    Args:
        clients: by name.
        executor: runs them.
        there: how many of them are there, given the number of the look, from 0.
    """

    def __init__(self, clients: dict[str, Client], executor: Executor, there: Callable[[int], int]) -> None:
        super().__init__(clients, executor)
        self._there, self.looks = there, 0

    def get_node_ids(self) -> list[int]:
        self.looks += 1
        return super().get_node_ids()[: self._there(self.looks - 1)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.federation.strategy.POLL_S", 0.01)


@pytest.mark.usefixtures("impatient")
def test_clients_are_waited_for_and_no_longer_than_said() -> None:
    clients: dict[str, Client] = {name: SiteClient(LineSite(0)) for name in ("a", "b")}
    with threads() as pool:
        coming = Moody(clients, pool, lambda look: look)
        found = run_rounds(ONE_ROUND, TENSORS, coming, clients_wanted=2, round_s=30, wait_s=30)
        # Nobody, one, two; and once more before they evaluate.
        assert len(found.rounds[0].clients) == 2 and coming.looks == 4

        one = Moody(clients, pool, lambda _look: 1)
        found = run_rounds(ONE_ROUND, TENSORS, one, clients_wanted=2, round_s=30, wait_s=0.1)
        assert len(found.rounds[0].clients) == 1

        few = Moody(clients, pool, lambda _look: 1)
        with pytest.raises(FederationError, match=r"1 clients came within 0\.1 s, round 1 needs at least 2; start"):
            run_rounds(ONE_ROUND, TENSORS, few, clients_at_least=2, round_s=30, wait_s=0.1)


@pytest.mark.usefixtures("impatient")
def test_a_client_that_went_is_waited_for_once() -> None:
    reports: list[RoundReport] = []
    looks = [0]

    def on_round(report: RoundReport) -> None:
        reports.append(report)
        looks.append(grid.looks)

    with threads() as pool:
        clients: dict[str, Client] = {name: SiteClient(LineSite(0)) for name in ("a", "b")}
        grid = Moody(clients, pool, lambda _look: 2 if len(reports) in (0, 3) else 1)
        run_rounds(made_plan(rounds=4), TENSORS, grid, round_s=30, wait_s=0.1, on_round=on_round)
    assert [len(report.clients) for report in reports] == [2, 1, 1, 2]
    first, second, third, fourth = np.diff(looks).tolist()
    assert (first, third, fourth) == (2, 2, 2) and second > 2


def test_a_message_lives_no_longer_than_its_round() -> None:
    class Noting(LocalGrid):
        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            noted.extend((message.metadata.ttl, message.metadata.group_id) for message in messages)
            return super().push_messages(messages)

    noted: list[tuple[float, str]] = []
    with threads() as pool:
        grid = Noting({"a": SiteClient(LineSite(0))}, pool)
        run_rounds(made_plan(rounds=3), TENSORS, grid, first_round=2, round_s=17, wait_s=0)
    assert noted == [(17, "2"), (17, "2"), (17, "3"), (17, "3")]


def test_three_rounds_without_an_update_end_it_and_keep_the_weights() -> None:
    plan, reports = made_plan(rounds=10), list[RoundReport]()

    def broken(_message: Message) -> RecordDict:
        raise SiteError("no-footage", "")

    with threads() as pool:
        grid = LocalGrid({"north": broken}, pool)
        with pytest.raises(FederationError, match=r"3 rounds in a row.*north: no-footage"):
            run_rounds(plan, TENSORS, grid, round_s=30, wait_s=0, on_round=reports.append)
    assert [report.number for report in reports] == list(range(1, MOST_FRUITLESS + 1))
    assert all(not report.used and report.loss is None for report in reports)
    assert all(reports[-1].shared[name].tobytes() == value.tobytes() for name, value in TENSORS.items())


def test_a_round_with_an_update_begins_the_count_anew() -> None:
    plan, calls = made_plan(rounds=6), iter(range(100))
    site = SiteClient(LineSite(0))

    def moody(message: Message) -> RecordDict:
        if message.metadata.message_type == TRAIN and next(calls) not in (2, 5):
            raise SiteError("failed", "")
        return site(message)

    with threads() as pool:
        found = run_rounds(plan, TENSORS, LocalGrid({"moody": moody}, pool), round_s=30, wait_s=0)
    assert [len(record.used) for record in found.rounds] == [0, 0, 1, 0, 0, 1]


def test_a_reply_in_anothers_name_and_stale_or_double_ones_are_not_used() -> None:
    class Forging(LocalGrid):
        def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
            replies = super().send_and_receive(messages, timeout=timeout)
            by_name = {self.name_of(reply.metadata.src_node_id): reply for reply in replies}
            if set(by_name) >= {"a", "b", "c"}:
                by_name["a"].metadata.__dict__["_src_node_id"] = node_id("b")
                by_name["c"].metadata.__dict__["_reply_to_message_id"] = "of yesterday"
                replies.append(by_name["b"])
            return replies

    with threads() as pool:
        grid = Forging({name: SiteClient(LineSite(0)) for name in ("a", "b", "c", "d")}, pool)
        report = run_rounds(ONE_ROUND, TENSORS, grid, round_s=30, wait_s=0).best
    told = {client.client: client.refused for client in report.clients}
    assert told == {"a": LATE, "b": "2 replies", "c": LATE, "d": ""}


def test_a_reply_whose_parts_are_nonsense_is_named_and_the_round_goes_on() -> None:
    class Garbling(LocalGrid):
        def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
            replies = super().send_and_receive(messages, timeout=timeout)
            for reply in replies:
                if self.name_of(reply.metadata.src_node_id) == "bad" and "arrays" in reply.content:
                    reply.content["arrays"]["layer.bias"].shape = 7  # type: ignore[union-attr]
            return replies

    receipts: list[Receipt] = []
    clients: dict[str, Client] = {name: SiteClient(LineSite(0)) for name in ("bad", "good")}
    with threads() as pool:
        grid = Garbling(clients, pool)
        found = run_rounds(ONE_ROUND, TENSORS, grid, round_s=30, wait_s=0, on_receipt=receipts.append)
    assert [(client.client, client.refused) for client in found.best.clients] == [
        ("bad", "unreadable (TypeError)"),
        ("good", ""),
    ]
    (receipt,) = [one for one in receipts if one.client == "bad" and one.refused]
    assert (receipt.direction, receipt.tensors) == ("received", ())


def test_receipts_are_of_all_that_is_sent_and_arrives() -> None:
    receipts: list[Receipt] = []

    def few(_message: Message) -> RecordDict:
        raise SiteError("too-few-samples", "")

    one_round({"few": few, "good": SiteClient(LineSite(0))}, on_receipt=receipts.append)
    told = [(made.stage, made.direction, made.client, made.refused) for made in receipts]
    assert told == [
        ("train", "sent", "few", ""),
        ("train", "sent", "good", ""),
        ("train", "received", "few", "too-few-samples"),
        ("train", "received", "good", ""),
        ("evaluate", "sent", "few", ""),
        ("evaluate", "sent", "good", ""),
        ("evaluate", "received", "few", "too-few-samples"),
        ("evaluate", "received", "good", ""),
    ]
    assert receipts[3].change is not None and receipts[3].change > 0 and receipts[3].samples == 20
    assert receipts[0].bytes == receipts[1].bytes > receipts[7].bytes > receipts[2].bytes == 0


@pytest.mark.parametrize(
    "limits", [(0, 1, 1.0, 1.0), (2, 1, 1.0, 1.0), (1, 1, 0.0, 1.0), (1, 1, 1.0, -1.0), (1, 1, float("inf"), 1.0)]
)
def test_limits_that_never_end_or_begin_are_refused(limits: tuple[int, int, float, float]) -> None:
    with pytest.raises(ConfigurationError):
        Limits(*limits)
