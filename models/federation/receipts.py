"""Receipts: what crossed between a site and its server, tensor by tensor and value by value.

A receipt is made of the very record that is sent or has arrived, not of what was meant to be in it. It is of what messages
hold; what Flower sends about them is said in `messages`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from typing import Any, Literal

from flwr.app import ArrayRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from infra.errors import ConfigurationError
from models.federation.messages import LOSS, METRICS, SAMPLES, Stage
from models.federation.plan import FederatedPlan
from models.federation.updates import seen

Direction = Literal["sent", "received"]
LONGEST_NAME, MOST_DIMENSIONS, MORE_ENTRIES = 400, 8, 100
"""Characters of a name and lengths of a shape that a receipt repeats, and tensors or values that it names of a record beyond
those that the plan has: what arrives in the place of an update may hold anything, and as many as it likes."""
LONGEST_TEXT = 80
"""Characters of a value that a receipt repeats; of a longer one it holds the length and SHA-256."""


@dataclass(frozen=True)
class TensorReceipt:
    """One tensor that crossed.

    Attributes:
        name: of its record and its own, as in `arrays/decoder.0.weight`.
        dtype: of its values.
        shape: of them.
        bytes: as it crossed, numpy's header included.
        sha256: of these bytes, in hexadecimal.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ValueReceipt:
    """One number or text that crossed.

    Attributes:
        name: of its record and its own, as in `metrics/num-examples`.
        type: of the value.
        bytes: of its text.
        text: the value; of a longer one than `LONGEST_TEXT`, `sha256:` and its hash.
    """

    name: str
    type: str
    bytes: int
    text: str


@dataclass(frozen=True)
class Receipt:
    """One message of a federation, as seen by who wrote the receipt.

    Attributes:
        round: its number, from 1.
        stage: `train` or `evaluate`.
        direction: `sent` or `received`.
        client: name of the site that sent it or that it was sent to.
        kind: of the model.
        name: of the model.
        plan: digest of the plan.
        tensors: all that were in it, by name.
        values: all numbers and texts that were in it, by name.
        bytes: of the whole record as Flower stores and sends it, names included; frames of the network come on top.
        samples: told in it; None where none are.
        loss: likewise; None where it is not finite.
        change: of the tensors against those that came before them (see `drift`); None where nobody said, or it is not
            finite.
        refused: the word that was sent instead, or why what arrived is not used; empty where it is used.
        said_at: when the receipt was written, ISO 8601 in UTC.
    """

    round: int
    stage: Stage
    direction: Direction
    client: str
    kind: str
    name: str
    plan: str
    tensors: tuple[TensorReceipt, ...]
    values: tuple[ValueReceipt, ...]
    bytes: int
    samples: int | None
    loss: float | None
    change: float | None
    refused: str
    said_at: str

    def to_json(self) -> str:
        """The receipt as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "Receipt":
        """The receipt that `to_json` gave `line`.

        Raises:
            ConfigurationError: it is none.
        """
        try:
            told = json.loads(line)
            tensors = tuple(TensorReceipt(**{**one, "shape": tuple(one["shape"])}) for one in told["tensors"])
            values = tuple(ValueReceipt(**one) for one in told["values"])
            return cls(**{**told, "tensors": tensors, "values": values})
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(
                f"a line of receipts is none: {error!r}; receipts are written by Afterwatch alone — restore the file"
            ) from error


def receipt_of(
    record: RecordDict | None,
    plan: FederatedPlan,
    *,
    round_number: int,
    stage: Stage,
    direction: Direction,
    client: str,
    refused: str = "",
    change: float | None = None,
    said_at: datetime | None = None,
) -> Receipt:
    """The receipt of a record that is about to be sent or has arrived.

    Args:
        record: everything in it is told; None where a word went instead.
        plan: of the training.
        round_number: from 1.
        stage: of the round.
        direction: as seen from here.
        client: name of the site.
        refused: see `Receipt`.
        change: see `Receipt`.
        said_at: default: now.
    """
    values = list(_values(record))
    told = {value.name: value.text for value in values}
    samples, loss = told.get(f"{METRICS}/{SAMPLES}"), told.get(f"{METRICS}/{LOSS}")
    return Receipt(
        round=round_number,
        stage=stage,
        direction=direction,
        client=client,
        kind=plan.kind,
        name=plan.name,
        plan=plan.digest,
        tensors=_tensors_told(record, len(plan.shared) + MORE_ENTRIES),
        values=_values_told(values, MORE_ENTRIES),
        bytes=0 if record is None else serialised_bytes(record),
        samples=_read(int, samples),
        loss=_finite(_read(float, loss)),
        change=_finite(change),
        refused=refused,
        said_at=(said_at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
    )


def serialised_bytes(record: RecordDict) -> int:
    """Bytes of a record as Flower stores and sends it: each of its parts with its header, equal parts once."""
    return sum(len(part.deflate()) for part in get_all_nested_objects(record).values())


def _tensors(record: RecordDict | None) -> Iterator[TensorReceipt]:
    for name, part in (record or {}).items():
        if isinstance(part, ArrayRecord):
            for own, array in part.items():
                digest = sha256(array.data).hexdigest()
                shape = tuple(array.shape)[:MOST_DIMENSIONS]
                yield TensorReceipt(
                    seen(f"{name}/{own}", LONGEST_NAME), seen(array.dtype), shape, len(array.data), digest
                )


def _values(record: RecordDict | None) -> Iterator[ValueReceipt]:
    for name, part in (record or {}).items():
        if not isinstance(part, ArrayRecord):
            for own, value in part.items():
                text = value if isinstance(value, str) else repr(value)
                raw = text.encode(errors="backslashreplace")
                told = seen(text, LONGEST_NAME) if len(text) <= LONGEST_TEXT else f"sha256:{sha256(raw).hexdigest()}"
                yield ValueReceipt(seen(f"{name}/{own}", LONGEST_NAME), type(value).__name__, len(raw), told)


def _tensors_told(record: RecordDict | None, most: int) -> tuple[TensorReceipt, ...]:
    """Tensors by name; those beyond `most` in one entry, with all of their bytes and the SHA-256 of their hashes."""
    told = sorted(_tensors(record), key=lambda tensor: tensor.name)
    named, others = told[:most], told[most:]
    if not others:
        return tuple(named)
    digest = sha256("".join(one.sha256 for one in others).encode()).hexdigest()
    return (*named, TensorReceipt(f"{len(others)} others", "", (), sum(one.bytes for one in others), digest))


def _values_told(values: list[ValueReceipt], most: int) -> tuple[ValueReceipt, ...]:
    """Likewise."""
    told = sorted(values, key=lambda value: value.name)
    named, others = told[:most], told[most:]
    if not others:
        return tuple(named)
    digest = sha256("".join(one.text for one in others).encode()).hexdigest()
    return (*named, ValueReceipt(f"{len(others)} others", "", sum(one.bytes for one in others), f"sha256:{digest}"))


def _finite(value: float | None) -> float | None:
    """JSON has no other numbers; what arrived is among the values as it was."""
    return value if value is not None and isfinite(value) else None


def _read(number: type, text: str | None) -> Any:
    """The number of a text, None where it is none: what arrived may say anything."""
    try:
        return None if text is None else number(text)
    except ValueError:
        return None
