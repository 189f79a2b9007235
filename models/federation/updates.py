"""Whether an update may be used: checked by the server before anything of it reaches a mean."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import AfterwatchError
from models.federation.base import LocalUpdate
from models.federation.plan import TensorSpec

MOST_SAMPLES = 10**9
"""Of one site: one that tells more would be the whole mean, and there is no such footage."""


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


def check_update(specs: Iterable[TensorSpec], update: LocalUpdate, client: str = "") -> None:
    """Check that an update has the planned tensors, all finite, and a sane number of samples.

    Args:
        specs: of the plan's shared tensors.
        update: of one site.
        client: its name, for the message.

    Raises:
        UpdateError: naming client, tensor and reason.
    """
    check_tensors(specs, update.shared, client)
    for name, value in sorted(update.shared.items()):
        if bad := int(value.size - np.isfinite(value).sum()):
            raise UpdateError(f"{bad} of {value.size} values are not finite", tensor=name, client=client)
    check_counts(update.samples, update.loss, client)


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
            name = min(names)[:100]
            more = f", as are {len(names) - 1} others" if len(names) > 1 else ""
            raise UpdateError(f"it is {what}{more}", tensor=name if name.isprintable() else ascii(name), client=client)


def check_counts(samples: object, loss: object, client: str = "") -> None:
    """Check a number of samples and a loss.

    Raises:
        UpdateError: the samples are no whole number from 1 to `MOST_SAMPLES`, or the loss is not finite.
    """
    if not isinstance(samples, int) or isinstance(samples, bool) or not 1 <= samples <= MOST_SAMPLES:
        raise UpdateError(f"{samples!r} samples; it has to be a whole number from 1 to {MOST_SAMPLES}", client=client)
    if not isinstance(loss, float) or not isfinite(loss):
        raise UpdateError(f"a loss of {loss!r}; it has to be a finite number", client=client)


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


def _type(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__
