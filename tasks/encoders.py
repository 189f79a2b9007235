"""Encoders brought to life once per process, however many tasks it runs."""

from infra.settings import ComputeTable
from models.encoders.base import Encoder
from models.encoders.build import build
from workspace.opened import PlannedEncoder

_LOADED: dict[tuple[str, str, str], Encoder] = {}


def load_encoder(planned: PlannedEncoder, compute: ComputeTable) -> Encoder:
    """The encoder, loaded at its first use in this process.

    Raises:
        WeightsError: its weights are absent, altered or do not fit.
        ConfigurationError: the device is not there.
    """
    key = (planned.spec.space, compute.device, compute.precision)
    if key not in _LOADED:
        _LOADED[key] = build(
            planned.spec,
            planned.weights,
            device=compute.device,
            precision=compute.precision,
            batch_size=compute.batch_size,
        )
    return _LOADED[key]
