"""Stored projections by name."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from infra.errors import UnknownNameError
from models.arrays import Arrays, array_text, text_array
from models.projections.base import Projection
from models.projections.linear import Linear, Unprojected
from models.projections.trained import TrainedProjection

PROJECTIONS: dict[str, type[Projection]] = {stored.kind: stored for stored in (Unprojected, Linear, TrainedProjection)}


def projection_arrays(projection: Projection) -> Arrays:
    """The arrays of a projection and its kind; raises UnknownNameError where the kind could not be read again."""
    if projection.kind not in PROJECTIONS:
        raise UnknownNameError("projection", projection.kind, PROJECTIONS)
    return projection.to_arrays() | {"kind": text_array(projection.kind)}


def projection_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Projection:
    """The projection whose `projection_arrays` these are."""
    kind = array_text(arrays["kind"])
    if kind not in PROJECTIONS:
        raise UnknownNameError("projection", kind, PROJECTIONS)
    return PROJECTIONS[kind].from_arrays(arrays)
