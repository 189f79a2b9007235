"""The gate: what crosses is the planned tensors, two numbers, a plan and a round, down to the last byte."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from models.federation.base import WORDS, Evaluation, LocalUpdate, SiteError
from models.federation.messages import (
    EVALUATE,
    GONE,
    TRAIN,
    UNREADABLE,
    Stage,
    arrays_of,
    check_reply,
    evaluate_reply,
    read_evaluate_reply,
    read_request,
    read_train_reply,
    refusal,
    reply_to,
    request,
    train_reply,
    unreadable,
    word_of,
)
from models.federation.plan import FederatedPlan
from models.federation.updates import UpdateError
from tests.models.federation.made_sites import made_plan, made_tensors

PLAN = made_plan(shapes={"encoder.weight": (2, 3), "decoder.bias": (3,), "scale": ()})
TENSORS = made_tensors(PLAN)


def made_reply() -> RecordDict:
    return train_reply(LocalUpdate(TENSORS, 12, 0.25, b"momentum"), PLAN)


def made_request() -> RecordDict:
    return request(PLAN, 2, arrays_of(TENSORS))


def over_the_wire(record: RecordDict) -> RecordDict:
    """As Flower stores and sends it."""
    contents = {name: part.deflate() for name, part in get_all_nested_objects(record).items()}
    back = inflate_object_from_contents(record.object_id, contents)
    assert isinstance(back, RecordDict)
    return back


def test_a_reply_holds_tensors_and_two_numbers_and_comes_back() -> None:
    record = over_the_wire(made_reply())
    assert set(record) == {"arrays", "metrics"} and set(record["arrays"]) == set(TENSORS)
    assert dict(record["metrics"]) == {"num-examples": 12, "loss": 0.25}
    back = read_train_reply(record, PLAN)
    assert (back.samples, back.loss, back.memory) == (12, 0.25, b"")
    for name, value in TENSORS.items():
        assert back.shared[name].dtype == value.dtype and back.shared[name].tobytes() == value.tobytes()
        assert back.shared[name].shape == value.shape and back.shared[name].flags.writeable


def test_a_request_comes_back() -> None:
    back = read_request(over_the_wire(made_request()))
    assert back.plan == PLAN and back.round_number == 2
    assert all(np.array_equal(back.shared[name], value) for name, value in TENSORS.items())


def test_an_evaluation_comes_back() -> None:
    record = over_the_wire(evaluate_reply(Evaluation(5, 0.5), PLAN))
    assert set(record) == {"metrics"} and read_evaluate_reply(record, PLAN) == Evaluation(5, 0.5)


def test_tensors_in_any_order_of_memory_cross_in_one() -> None:
    turned = {name: np.require(value, requirements="F") for name, value in TENSORS.items()}
    back = read_train_reply(train_reply(LocalUpdate(turned, 1, 0.0, b""), PLAN), PLAN)
    assert all(np.array_equal(back.shared[name], value) for name, value in TENSORS.items())


def test_values_that_are_not_finite_pass_the_gate_for_the_server_to_name() -> None:
    wrong = TENSORS | {"decoder.bias": np.full(3, np.nan, np.float32)}
    back = read_train_reply(train_reply(LocalUpdate(wrong, 1, float("nan"), b""), PLAN), PLAN)
    assert np.isnan(back.shared["decoder.bias"]).all()


def put(record: RecordDict, name: str, value: Any) -> None:
    record[name] = value


def put_in(record: RecordDict, part: str, name: str, value: Any) -> None:
    record[part][name] = value


def with_data(change: Callable[[bytes], bytes]) -> Callable[[RecordDict], None]:
    def applied(record: RecordDict) -> None:
        record["arrays"]["decoder.bias"].data = change(record["arrays"]["decoder.bias"].data)  # type: ignore[union-attr]

    return applied


SMUGGLED: dict[str, Callable[[RecordDict], None]] = {
    "another record": lambda record: put(record, "about", ConfigRecord({"path": "/footage/yard"})),
    "another array record": lambda record: put(record, "pictures", ArrayRecord([np.zeros(3)])),
    "another tensor": lambda record: put_in(record, "arrays", "mean", Array(np.zeros(3, np.float32))),
    "another number": lambda record: put_in(record, "metrics", "people", 3),
    "a list of numbers": lambda record: put_in(record, "metrics", "loss", [0.1, 0.2]),
    "a whole number as loss": lambda record: put_in(record, "metrics", "loss", 7),
    "no whole number of samples": lambda record: put_in(record, "metrics", "num-examples", 1.5),
    "no tensors": lambda record: put(record, "arrays", ArrayRecord()),
    "another kind of record": lambda record: put(record, "metrics", ConfigRecord({"num-examples": 1, "loss": 0.1})),
    "another shape": lambda record: put_in(record, "arrays", "decoder.bias", Array(np.zeros(4, np.float32))),
    "another type": lambda record: put_in(record, "arrays", "decoder.bias", Array(np.zeros(3, np.float64))),
    "bytes behind the values": with_data(lambda data: data + b"footage"),
    "too few bytes": with_data(lambda data: data[:-4]),
    "text in the header": with_data(lambda data: data.replace(b"}    ", b"}CAM1", 1)),
    "a header of another shape": with_data(lambda data: data.replace(b"(3,)", b"(9,)")),
    "another serialisation": lambda record: setattr(record["arrays"]["decoder.bias"], "stype", "pickle"),
}


@pytest.mark.parametrize("what", SMUGGLED)
def test_nothing_else_leaves_a_site_or_is_taken_by_a_server(what: str) -> None:
    record = made_reply()
    SMUGGLED[what](record)
    with pytest.raises(UpdateError):
        check_reply(record, PLAN)
    with pytest.raises(UpdateError):
        read_train_reply(record, PLAN)


def test_what_a_site_learnt_beside_the_plan_does_not_leave_it() -> None:
    more = TENSORS | {"mean": np.zeros(3, np.float32)}
    with pytest.raises(UpdateError, match="mean"):
        train_reply(LocalUpdate(more, 1, 0.0, b""), PLAN)


def test_an_evaluation_may_not_hold_tensors() -> None:
    with pytest.raises(UpdateError, match="arrays"):
        check_reply(made_reply(), PLAN, EVALUATE)
    with pytest.raises(UpdateError, match="samples"):
        read_evaluate_reply(RecordDict({"metrics": MetricRecord({"num-examples": 0, "loss": 0.1})}), PLAN)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: put(record, "code", ConfigRecord({"run": "rm"})),
        lambda record: put_in(record, "config", "data", "/etc"),
        lambda record: put_in(record, "config", "server-round", 0),
        lambda record: put_in(record, "config", "server-round", PLAN.rounds + 1),
        lambda record: put_in(record, "config", "server-round", True),
        lambda record: put_in(record, "config", "plan", "{}"),
        lambda record: put_in(record, "config", "plan", b"{}"),
        lambda record: put_in(record, "arrays", "decoder.bias", Array(np.zeros(4, np.float32))),
        with_data(lambda data: data + b"x"),
    ],
)
def test_a_site_refuses_a_request_of_anything_else(change: Callable[[RecordDict], None]) -> None:
    record = made_request()
    change(record)
    with pytest.raises(SiteError) as refused:
        read_request(record)
    assert refused.value.word == "not-allowed"


def test_a_server_does_not_send_what_is_not_planned() -> None:
    with pytest.raises(UpdateError):
        request(PLAN, 1, arrays_of(TENSORS | {"decoder.bias": np.zeros(4, np.float32)}))


def test_a_refusal_is_one_word_and_no_other_text_is_repeated() -> None:
    asked = Message(RecordDict(), 7, TRAIN)
    for word in WORDS:
        reply = refusal(asked, word)
        assert reply.error.reason == word and word_of(reply.error) == word
    with pytest.raises(ValueError, match="/footage"):
        refusal(asked, "/footage/yard is empty")  # type: ignore[arg-type]
    assert word_of(Error(2, "<class 'OSError'>:<'/footage/yard'>")) == "failed"
    assert word_of(Error(5, "node unavailable")) == GONE
    assert word_of(unreadable(asked).error) == UNREADABLE


def test_a_reply_bears_the_time_of_its_request() -> None:
    asked = Message(RecordDict(), 7, TRAIN, ttl=60)
    asked.metadata.created_at -= 30
    for reply in (reply_to(asked, made_reply()), refusal(asked, "failed"), unreadable(asked)):
        assert (reply.metadata.created_at, reply.metadata.ttl) == (asked.metadata.created_at, 60)
        assert reply.metadata.src_node_id == 7


def test_a_plan_is_checked_before_its_tensors_are_looked_at() -> None:
    def check(plan: FederatedPlan) -> None:
        assert plan == PLAN
        raise SiteError("too-few-samples", "not for this site")

    record = made_request()
    put_in(record, "arrays", "decoder.bias", Array(np.zeros(4, np.float32)))
    with pytest.raises(SiteError, match="not for this site"):
        read_request(record, check)
    with pytest.raises(
        SiteError, match=r"what the server sent is refused: tensor decoder\.bias: shape \(4,\)"
    ) as refused:
        read_request(record)
    assert "update" not in str(refused.value)


def test_what_is_said_of_a_reply_is_short_and_moves_no_cursor() -> None:
    record = made_reply()
    record["arrays"]["decoder.bias"].dtype = "\x1b[2J"  # type: ignore[union-attr]
    many = RecordDict({f"\x1b{number}": MetricRecord() for number in range(1000)})
    for wrong in (record, many):
        with pytest.raises(UpdateError) as refused:
            check_reply(wrong, PLAN)
        assert str(refused.value).isprintable() and len(str(refused.value)) < 1000


def test_stages_are_flowers_types_of_messages() -> None:
    stages: tuple[Stage, Stage] = (TRAIN, EVALUATE)
    assert stages == (MessageType.TRAIN, MessageType.EVALUATE)


def test_importing_sends_nothing_and_keeps_flower_quiet(tmp_path: Path) -> None:
    script = """
import logging, os, socket, sys
def closed(*_args, **_more): raise AssertionError("something was sent")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = closed
levels = logging.getLogger().level, logging.getLogger().handlers[:]
import models.federation.rounds
from flwr.supercore import telemetry
from flwr.common import log
assert telemetry.create_event(telemetry.EventType.PING, None) == "disabled"
assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"
log(logging.INFO, "a line nobody asked for")
assert (logging.getLogger().level, logging.getLogger().handlers) == levels
assert not any(name.split(".")[0] == "torch" for name in sys.modules)
"""
    home = {"HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "1", "PYTHONPATH": "."}
    done = subprocess.run([sys.executable, "-c", script], env=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
