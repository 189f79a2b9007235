"""Whether an update may be used: checked by the server before anything of it reaches a mean."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import AfterwatchError
from models.federation.base import LocalUpdate
from models.federation.plan import MOST_SAMPLES, TensorSpec

MOST_VALUE = 1e6
"""Of a tensor's values, without sign: weights that learn stay far below it, and a mean of such values is finite."""
MOST_CHANGE = 100.0
"""Of an update, see `drift`: a hundred times as far as the weights are long is no training that went well."""
LEAST_LOSS, MOST_LOSS = -1e-3, 1e9
"""Losses of all kinds are errors or entropies: none is negative but by rounding, none so large where the weights are of use."""


class UpdateError(AfterwatchError):
    """An update, or what came in its place, is refused.

    Attributes:
        client: name of the site; empty where it is not known yet.
        tensor: name of the tensor; empty where the fault is of none.
        reason: in a few words, for reports.
    """

    def __init__(self, reason: str, *, tensor: str = "", client: str = "") -> None:
        self.client, self.tensor, self.reason = client, tensor, reason
        whose = f"the update of {client}" if client else "the update"
        super().__init__(
            f"{whose} is refused, {self.told}; the round goes on without it — look at that site's training"
        )

    @property
    def told(self) -> str:
        """Tensor and reason."""
        return f"tensor {self.tensor}: {self.reason}" if self.tensor else self.reason


def check_update(
    specs: Iterable[TensorSpec],
    update: LocalUpdate,
    client: str = "",
    *,
    before: Mapping[str, NDArray[Any]] | None = None,
    most_samples: int = MOST_SAMPLES,
) -> None:
    """Check that an update has the planned tensors, sane values and a sane number of samples.

    Args:
        specs: of the plan's shared tensors.
        update: of one site.
        client: its name, for the message.
        before: tensors that it began with; None: how far it went is not looked at.
        most_samples: see `FederatedPlan.most_samples`.

    Raises:
        UpdateError: naming client, tensor and reason.
    """
    check_tensors(specs, update.shared, client)
    check_values(update.shared, client)
    check_counts(update.samples, update.loss, client, most_samples=most_samples)
    if before is not None and (change := drift(before, update.shared)) > MOST_CHANGE:
        raise UpdateError(
            f"it changed by {change:.3g} times the weights' length, at most {MOST_CHANGE:g}", client=client
        )


def check_values(tensors: Mapping[str, NDArray[Any]], client: str = "") -> None:
    """Check that all values are finite and none is beyond `MOST_VALUE`.

    Raises:
        UpdateError: naming the first tensor, and how many of its values.
    """
    for name, value in sorted(tensors.items()):
        if bad := int(value.size - np.isfinite(value).sum()):
            raise UpdateError(f"{bad} of {value.size} values are not finite", tensor=name, client=client)
        if bad := int((np.abs(value) > MOST_VALUE).sum()):
            raise UpdateError(f"{bad} of {value.size} values are beyond ±{MOST_VALUE:g}", tensor=name, client=client)


def check_tensors(specs: Iterable[TensorSpec], tensors: Mapping[str, NDArray[Any]], client: str = "") -> None:
    """Check names, types and shapes of tensors, whatever their values.

    Raises:
        UpdateError: a tensor is missing, unknown, or of another type or shape than planned.
    """
    wanted = {spec.name: spec for spec in specs}
    check_names(wanted, tensors, client)
    for name, spec in wanted.items():
        value = tensors[name]
        if not isinstance(value, np.ndarray) or value.dtype != np.dtype(spec.dtype):
            raise UpdateError(f"type {_type(value)}, planned is {spec.dtype}", tensor=name, client=client)
        if value.shape != spec.shape:
            raise UpdateError(f"shape {value.shape}, planned is {spec.shape}", tensor=name, client=client)


def check_names(wanted: Iterable[str], given: Iterable[str], client: str = "") -> None:
    """Check that all of the wanted tensors are given, and no others.

    Raises:
        UpdateError: one is missing or unknown.
    """
    wanted, given = set(wanted), set(given)
    for what, names in (("missing", wanted - given), ("not in the plan", given - wanted)):
        if names:
            name = seen(min(names))
            more = f", as are {len(names) - 1} others" if len(names) > 1 else ""
            raise UpdateError(f"it is {what}{more}", tensor=name, client=client)


def check_counts(samples: object, loss: object, client: str = "", *, most_samples: int = MOST_SAMPLES) -> None:
    """Check a number of samples and a loss.

    Raises:
        UpdateError: the samples are no whole number from 1 to `most_samples`, or the loss is none from `LEAST_LOSS` to `MOST_LOSS`.
    """
    if not isinstance(samples, int) or isinstance(samples, bool) or not 1 <= samples <= most_samples:
        raise UpdateError(f"{samples!r} samples; it has to be a whole number from 1 to {most_samples}", client=client)
    if not isinstance(loss, float) or not isfinite(loss) or not LEAST_LOSS <= loss <= MOST_LOSS:
        raise UpdateError(f"a loss of {loss!r}; it has to be a number from 0 to {MOST_LOSS:g}", client=client)


def drift(before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> float:
    """How far tensors moved, as a share of how large they were: ‖after − before‖₂ / ‖before‖₂ over all values together.

    1 where all values were 0 and now are not, 0 where nothing moved.

    >>> drift({"weight": np.array([3.0, 4.0])}, {"weight": np.array([3.0, 4.5])})
    0.1
    """
    moved = sum(float(np.square(after[name].astype(np.float64) - value).sum()) for name, value in before.items())
    size = sum(float(np.square(value.astype(np.float64)).sum()) for value in before.values())
    if size == 0:
        return float(moved > 0)
    return float(np.sqrt(moved / size))


def seen(text: str, most: int = 100) -> str:
    """A text of another's making as it may be printed: it moves no cursor, and has at most so many characters."""
    return (text if text.isprintable() else ascii(text))[:most]


def _type(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__
