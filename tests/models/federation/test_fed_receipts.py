"""Receipts hold everything that is in a record, and come back from a line of JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from models.federation.base import LocalUpdate
from models.federation.messages import arrays_of, request, train_reply
from models.federation.receipts import (
    LONGEST_TEXT,
    MORE_ENTRIES,
    Receipt,
    TensorReceipt,
    ValueReceipt,
    receipt_of,
    serialised_bytes,
)
from tests.models.federation.made_sites import made_plan, made_tensors

PLAN = made_plan()
TENSORS = made_tensors(PLAN)


def made_receipt(record: RecordDict | None, **more: Any) -> Receipt:
    return receipt_of(record, PLAN, round_number=2, stage="train", direction="sent", client="north", **more)


def metric_record(values: dict[str, Any]) -> MetricRecord:
    return MetricRecord(values)


def config_record(values: dict[str, Any]) -> ConfigRecord:
    return ConfigRecord(values)


names = st.text(min_size=1, max_size=8)
numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False)
texts = st.text(max_size=200) | st.binary(max_size=200) | st.booleans()
arrays = st.lists(st.integers(0, 4), max_size=3).map(lambda shape: Array(np.ones(shape, np.float32)))
records = st.dictionaries(
    names,
    st.dictionaries(names, arrays, max_size=3).map(ArrayRecord)
    | st.dictionaries(names, numbers | st.lists(st.floats(allow_nan=False), min_size=1, max_size=3), max_size=3).map(
        metric_record
    )
    | st.dictionaries(names, numbers | texts, max_size=3).map(config_record),
    max_size=4,
).map(RecordDict)


def printed(text: str) -> str:
    return text if text.isprintable() else ascii(text)


@settings(max_examples=50, deadline=None)
@given(records)
def test_everything_in_a_record_is_in_its_receipt(record: RecordDict) -> None:
    receipt = made_receipt(record)
    tensors, values = [], []
    for name, part in record.items():
        inside: Mapping[str, Any] = part
        for own, value in inside.items():
            if isinstance(value, Array):
                digest = sha256(value.data).hexdigest()
                told = f"{name}/{own}"
                tensors.append(TensorReceipt(printed(told), "float32", value.shape, len(value.data), digest))
            else:
                text = value if isinstance(value, str) else repr(value)
                told = printed(text) if len(text) <= LONGEST_TEXT else f"sha256:{sha256(text.encode()).hexdigest()}"
                values.append(ValueReceipt(printed(f"{name}/{own}"), type(value).__name__, len(text.encode()), told))
    assert sorted(receipt.tensors, key=repr) == sorted(tensors, key=repr)
    assert sorted(receipt.values, key=repr) == sorted(values, key=repr)
    line = receipt.to_json()
    assert Receipt.from_json(line) == receipt and len(line.splitlines()) == 1


def test_bytes_are_all_that_flower_stores_of_a_record() -> None:
    record = request(PLAN, 1, arrays_of(TENSORS))
    raw = sum(value.nbytes for value in TENSORS.values())
    parts = get_all_nested_objects(record).values()
    assert serialised_bytes(record) == sum(len(part.deflate()) for part in parts)
    assert serialised_bytes(record) > raw + len(PLAN.to_json())


def test_a_reply_is_told_with_samples_loss_and_change() -> None:
    record = train_reply(LocalUpdate(TENSORS, 12, 0.25, b"momentum"), PLAN)
    when = datetime(2026, 3, 2, 8, tzinfo=UTC)
    receipt = made_receipt(record, change=0.125, said_at=when)
    assert (receipt.samples, receipt.loss, receipt.change, receipt.refused) == (12, 0.25, 0.125, "")
    assert (receipt.kind, receipt.name, receipt.plan, receipt.client) == ("autoencoder", "yard", PLAN.digest, "north")
    assert (receipt.round, receipt.stage, receipt.direction) == (2, "train", "sent")
    assert receipt.said_at == "2026-03-02T08:00:00+00:00"
    assert [tensor.name for tensor in receipt.tensors] == ["arrays/layer.bias", "arrays/layer.weight"]
    assert [(tensor.shape, tensor.dtype) for tensor in receipt.tensors] == [((), "float32"), ((4,), "float32")]


def test_a_word_instead_of_a_record_is_told() -> None:
    receipt = made_receipt(None, refused="too-few-samples")
    assert (receipt.tensors, receipt.values, receipt.bytes, receipt.samples) == ((), (), 0, None)
    assert receipt.refused == "too-few-samples" and Receipt.from_json(receipt.to_json()) == receipt


def test_numbers_that_json_has_not_are_told_as_text() -> None:
    broken = {name: np.full_like(value, np.nan) for name, value in TENSORS.items()}
    record = train_reply(LocalUpdate(broken, 12, float("nan"), b""), PLAN)
    receipt = made_receipt(record, change=float("nan"))
    assert (receipt.samples, receipt.loss, receipt.change) == (12, None, None)
    assert [value.text for value in receipt.values] == ["nan", "12"] and "NaN" not in receipt.to_json()


def test_what_arrived_may_say_anything() -> None:
    told = made_receipt(RecordDict({"metrics": MetricRecord({"num-examples": 1.5, "loss": [0.5, 1.0]})}))
    assert (told.samples, told.loss) == (None, None)
    assert [value.text for value in told.values] == ["[0.5, 1.0]", "1.5"]


def test_what_arrived_moves_no_cursor_and_fills_no_disk() -> None:
    one = Array(np.zeros(1, np.float32))
    arrays = ArrayRecord({f"\x1b]0;x\x07{'n' * 9000}{number}": one for number in range(300)})
    values = {f"n{number}": number for number in range(300)} | {"\x1b": 1}
    receipt = made_receipt(RecordDict({"arrays": arrays, "metrics": metric_record(values)}), refused="unreadable")
    assert len(receipt.tensors) == len(PLAN.shared) + MORE_ENTRIES + 1 and len(receipt.values) == MORE_ENTRIES + 1
    assert receipt.tensors[-1].name == "198 others" and sum(one.bytes for one in receipt.tensors) == 300 * len(one.data)
    assert all(
        name.isprintable() for name in [one.name for one in receipt.tensors] + [one.name for one in receipt.values]
    )
    assert len(receipt.to_json()) < 100_000 and Receipt.from_json(receipt.to_json()) == receipt


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", '{"tensors": 1}', made_receipt(None).to_json().replace("plan", "plane")]
)
def test_a_line_of_anything_else_is_refused(line: str) -> None:
    with pytest.raises(ConfigurationError, match="receipts"):
        Receipt.from_json(line)
