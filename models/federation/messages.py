"""What crosses between server and sites, as Flower's records; and the gate that lets nothing else through.

A request is `arrays` (the shared tensors) and `config` (the plan as JSON, the number of the round); the reply to a training
request is `arrays` and `metrics` (number of samples, loss); the reply to an evaluation request is `metrics` alone. Both sides
check both directions, down to the bytes: a tensor is its header as numpy writes it and its values, nothing before, between or
after them.

Beside what a message holds, Flower sends metadata of each, which this gate does not make: ids of run, message and node, the
stage, the round (as a group), when the request was made and how long it lives. A reply made here bears the request's time
and not its own, so that the site's clock does not cross with it. Flower's SuperNode adds, at sending, for how many
seconds the site worked on the reply (`clientapp_runtime_list`), which tells of the amount of footage and the machine; its
heartbeats and polls tell when a site is on, and what it signs them with is the time by its clock. None of this is on receipts,
which are of what messages hold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode, SType
from numpy.typing import NDArray

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from infra.errors import ConfigurationError
from models.federation.base import WORDS, Evaluation, LocalUpdate, SiteError, Tensors, Word
from models.federation.plan import FederatedPlan, TensorSpec
from models.federation.updates import UpdateError, check_counts, check_names, check_tensors, seen

ARRAYS, METRICS, CONFIG = "arrays", "metrics", "config"
SAMPLES, LOSS = "num-examples", "loss"
PLAN, ROUND = "plan", "server-round"
"""Names of the records and of what is in them; those that Flower's own strategies use, where they have one."""

Stage = Literal["train", "evaluate"]
"""Of a round; Flower's types of messages."""
TRAIN: Stage = "train"
EVALUATE: Stage = "evaluate"
GONE, UNREADABLE = "gone", "unreadable"
"""Said by the server of a site that was asked and went away, and of one whose reply is none; a site's own words are `WORDS`."""


@dataclass(frozen=True, eq=False)
class Request:
    """What a server asks.

    Attributes:
        plan: of the training.
        round_number: from 1 to the plan's last.
        shared: tensors as the server has them.
    """

    plan: FederatedPlan
    round_number: int
    shared: Tensors


def request(plan: FederatedPlan, round_number: int, arrays: ArrayRecord) -> RecordDict:
    """What the server sends to train or to evaluate; `arrays` are those of `arrays_of`.

    Raises:
        UpdateError: the tensors are not the plan's.
    """
    _check_arrays(arrays, plan.shared)
    return RecordDict({ARRAYS: arrays, CONFIG: ConfigRecord({PLAN: plan.to_json(), ROUND: round_number})})


def read_request(record: RecordDict, check: Callable[[FederatedPlan], None] = lambda _plan: None) -> Request:
    """A request as a site reads it.

    Args:
        record: as it came.
        check: is given the plan before a tensor is copied, and raises where the site does not train by it.

    Raises:
        SiteError: with the word `not-allowed`, where it is no request or holds anything else.
    """
    try:
        arrays, config = _parts(record, {ARRAYS: ArrayRecord, CONFIG: ConfigRecord})
        _check_keys(CONFIG, config, {PLAN: str, ROUND: int})
        plan = FederatedPlan.from_json(config[PLAN])
        if not 1 <= config[ROUND] <= plan.rounds:
            raise ConfigurationError(f"round {config[ROUND]} is asked for; the plan has rounds 1 to {plan.rounds}")
        check(plan)
        return Request(plan, config[ROUND], tensors_of(arrays, plan.shared))
    except (ConfigurationError, UpdateError) as error:
        why = error.told if isinstance(error, UpdateError) else str(error)
        raise SiteError("not-allowed", f"what the server sent is refused: {why}; tell its people") from error


def train_reply(update: LocalUpdate, plan: FederatedPlan) -> RecordDict:
    """The reply of a site that has trained: planned tensors, number of samples, loss; its memory stays.

    Values that are not finite pass: refusing them, by name, is the server's part (see `check_update`).

    Raises:
        UpdateError: the tensors are not the plan's.
    """
    check_tensors(plan.shared, update.shared)
    metrics = MetricRecord({SAMPLES: int(update.samples), LOSS: float(update.loss)})
    made = RecordDict({ARRAYS: arrays_of(update.shared), METRICS: metrics})
    check_reply(made, plan, TRAIN)
    return made


def evaluate_reply(evaluation: Evaluation, plan: FederatedPlan) -> RecordDict:
    """The reply of a site that has evaluated: number of samples, loss."""
    made = RecordDict({METRICS: MetricRecord({SAMPLES: int(evaluation.samples), LOSS: float(evaluation.loss)})})
    check_reply(made, plan, EVALUATE)
    return made


def check_reply(record: RecordDict, plan: FederatedPlan, stage: Stage = TRAIN) -> None:
    """Check that a reply is made of what it may hold and nothing else.

    Raises:
        UpdateError: naming what it lacks or has too much.
    """
    if stage == EVALUATE:
        (metrics,) = _parts(record, {METRICS: MetricRecord})
    else:
        arrays, metrics = _parts(record, {ARRAYS: ArrayRecord, METRICS: MetricRecord})
        _check_arrays(arrays, plan.shared)
    _check_keys(METRICS, metrics, {SAMPLES: int, LOSS: float})


def read_train_reply(record: RecordDict, plan: FederatedPlan) -> LocalUpdate:
    """An update as the server reads it, without memory; its values are not checked yet (see `check_update`).

    Raises:
        UpdateError: it is made of anything but the planned tensors and two numbers.
    """
    check_reply(record, plan, TRAIN)
    metrics = record.metric_records[METRICS]
    shared = tensors_of(record.array_records[ARRAYS], plan.shared)
    return LocalUpdate(shared, *_counts(metrics), b"")


def read_evaluate_reply(record: RecordDict, plan: FederatedPlan) -> Evaluation:
    """An evaluation as the server reads it.

    Raises:
        UpdateError: it is made of anything but two numbers, or they are out of range.
    """
    check_reply(record, plan, EVALUATE)
    metrics = record.metric_records[METRICS]
    check_counts(*_counts(metrics))
    return Evaluation(*_counts(metrics))


def refusal(message: Message, word: Word) -> Message:
    """The reply of a site that does not take part: one of `WORDS`, and nothing else."""
    if word not in WORDS:
        raise ValueError(f"{word!r} is no word that a site may say: {WORDS}")
    return reply_to(message, Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, word))


def unreadable(message: Message) -> Message:
    """What a server puts in the place of a reply that cannot be read: an error of that client."""
    return reply_to(message, Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, UNREADABLE))


def reply_to(message: Message, answer: RecordDict | Error) -> Message:
    """The reply to a message, which bears the time of the request instead of this machine's, and expires with it."""
    reply = Message(answer, reply_to=message)
    reply.metadata.created_at, reply.metadata.ttl = message.metadata.created_at, message.metadata.ttl
    return reply


def word_of(error: Error) -> str:
    """What an error reply comes to: one of `WORDS`, `UNREADABLE` or `GONE`; any other text is not repeated."""
    if error.reason in (*WORDS, UNREADABLE):
        return str(error.reason)
    lost = (ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, ErrorCode.NODE_UNAVAILABLE)
    return GONE if error.code in lost else "failed"


def arrays_of(shared: Tensors) -> ArrayRecord:
    """Tensors as Flower sends them: each with numpy's header, in C order."""
    return ArrayRecord({name: Array(np.require(value, requirements="C")) for name, value in shared.items()})


def tensors_of(arrays: ArrayRecord, specs: tuple[TensorSpec, ...]) -> Tensors:
    """The tensors of a record in the order of the plan, as arrays of their own.

    Raises:
        UpdateError: they are not the planned ones.
    """
    _check_arrays(arrays, specs)
    return {spec.name: _values(arrays[spec.name], spec) for spec in specs}


def _counts(metrics: MetricRecord) -> tuple[int, float]:
    return cast(int, metrics[SAMPLES]), cast(float, metrics[LOSS])


def _values(array: Array, spec: TensorSpec) -> NDArray[Any]:
    # Not numpy's own reader: it makes room for what a header claims before it looks at what is there.
    return np.frombuffer(array.data, np.dtype(spec.dtype), offset=len(_header(spec))).reshape(spec.shape).copy()


def _check_arrays(arrays: ArrayRecord, specs: tuple[TensorSpec, ...]) -> None:
    check_names({spec.name for spec in specs}, arrays)
    for spec in specs:
        array, header = arrays[spec.name], _header(spec)
        if array.dtype != spec.dtype:
            raise UpdateError(f"type {seen(array.dtype, 40)}, planned is {spec.dtype}", tensor=spec.name)
        if tuple(array.shape) != spec.shape:
            raise UpdateError(f"shape {tuple(array.shape)[:20]}, planned is {spec.shape}", tensor=spec.name)
        if len(array.data) != len(header) + spec.bytes:
            reason = f"{len(array.data)} bytes, its values and numpy's header are {len(header) + spec.bytes}"
            raise UpdateError(reason, tensor=spec.name)
        if array.stype != SType.NUMPY or not array.data.startswith(header):
            raise UpdateError("its header is not numpy's for that type and shape", tensor=spec.name)


def _header(spec: TensorSpec) -> bytes:
    written = BytesIO()
    about = {"descr": np.dtype(spec.dtype).str, "fortran_order": False, "shape": spec.shape}
    np.lib.format.write_array_header_1_0(written, about)
    return written.getvalue()


def _parts(record: RecordDict, wanted: dict[str, type]) -> tuple[Any, ...]:
    if set(record) != set(wanted) or any(type(record[name]) is not kind for name, kind in wanted.items()):
        given = {name[:40]: type(value).__name__ for name, value in sorted(record.items())}
        raise UpdateError(
            f"it holds {str(given)[:300]}, and may hold { ({name: kind.__name__ for name, kind in wanted.items()}) }"
        )
    return tuple(record[name] for name in wanted)


def _check_keys(what: str, values: ConfigRecord | MetricRecord, wanted: dict[str, type]) -> None:
    if set(values) != set(wanted) or any(type(values[name]) is not kind for name, kind in wanted.items()):
        given = {name[:40]: type(value).__name__ for name, value in sorted(values.items())}
        named = {name: kind.__name__ for name, kind in wanted.items()}
        raise UpdateError(f"its {what} are {str(given)[:300]}, and may be {named}")
