"""Detectors by name and by settings."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from infra.errors import TooLittleFootageError, UnknownNameError
from models.arrays import Arrays, array_text, text_array
from models.detectors.base import MINIMUM_REFERENCE, Detector, Scores, Vectors
from models.detectors.cells import Cells, CellsSettings
from models.detectors.isolation_forest import IsolationForest, IsolationForestSettings
from models.detectors.local_outlier_factor import LocalOutlierFactor, LocalOutlierFactorSettings
from models.detectors.magnitude import Magnitude, MagnitudeSettings
from models.detectors.nearest_neighbours import NearestNeighbours, NearestNeighboursSettings
from models.detectors.one_class_svm import OneClassSvm, OneClassSvmSettings
from models.heads.neighbours import TimeExclusion
from models.layout import Layout

DetectorSettings = (
    LocalOutlierFactorSettings
    | NearestNeighboursSettings
    | IsolationForestSettings
    | OneClassSvmSettings
    | MagnitudeSettings
    | CellsSettings
)

SETTINGS: dict[str, type[DetectorSettings]] = {
    LocalOutlierFactor.kind: LocalOutlierFactorSettings,
    NearestNeighbours.kind: NearestNeighboursSettings,
    IsolationForest.kind: IsolationForestSettings,
    OneClassSvm.kind: OneClassSvmSettings,
    Magnitude.kind: MagnitudeSettings,
    Cells.kind: CellsSettings,
}
DETECTORS: dict[str, type[Detector]] = {
    detector.kind: detector
    for detector in (LocalOutlierFactor, NearestNeighbours, IsolationForest, OneClassSvm, Magnitude, Cells)
}


def detector_settings(name: str, neighbours: int = 20, seed: int = 0) -> DetectorSettings:
    """The settings of a detector, by its name; `neighbours` and `seed` count where the detector has them.

    Raises:
        UnknownNameError: there is no such detector.
    """
    if name not in SETTINGS:
        raise UnknownNameError("detector", name, SETTINGS)
    match SETTINGS[name]():
        case LocalOutlierFactorSettings():
            return LocalOutlierFactorSettings(neighbours)
        case NearestNeighboursSettings():
            return NearestNeighboursSettings(neighbours)
        case IsolationForestSettings():
            return IsolationForestSettings(seed=seed)
        case OneClassSvmSettings():
            return OneClassSvmSettings(seed=seed)
        case CellsSettings():
            return CellsSettings(neighbours)
        case settings:
            return settings


def fit_and_score(
    settings: DetectorSettings,
    vectors: Vectors,
    exclusion: TimeExclusion | None = None,
    layout: Layout | None = None,
) -> tuple[Detector, Scores]:
    """Fit a detector on normal vectors and score each of them against the others.

    Args:
        settings: names the detector.
        vectors: float32 (M, d), finite, the reference, M ≥ 2.
        exclusion: rows that may not speak for one another; without one, a row excludes itself only.
        layout: what the values of a vector stand for, where that is known.

    Returns:
        The detector, and float32 (M,): the normal scores, which see of the reference what the exclusion leaves.

    Raises:
        TooLittleFootageError: too few rows, or none that the exclusion leaves to some row.
    """
    check_reference(len(vectors), exclusion)
    exclusion = exclusion or TimeExclusion.of_itself(len(vectors))
    match settings:
        case LocalOutlierFactorSettings():
            return LocalOutlierFactor.fit(settings, vectors, exclusion)
        case NearestNeighboursSettings():
            return NearestNeighbours.fit(settings, vectors, exclusion)
        case IsolationForestSettings():
            return IsolationForest.fit(settings, vectors, exclusion)
        case OneClassSvmSettings():
            return OneClassSvm.fit(settings, vectors, exclusion)
        case MagnitudeSettings():
            return (length := Magnitude()), length.score(vectors)
        case CellsSettings():
            return Cells.fit(settings, vectors, exclusion, layout)
        case _:
            raise UnknownNameError(
                "detector settings", type(settings).__name__, (s.__name__ for s in SETTINGS.values())
            )


def check_reference(rows: int, exclusion: TimeExclusion | None) -> None:
    """Raise TooLittleFootageError where a reference of that many rows is too small, or leaves some row no other."""
    if rows < MINIMUM_REFERENCE:
        raise TooLittleFootageError(
            f"{rows} reference snippets are too few: novelty needs at least {MINIMUM_REFERENCE}"
            " — gather more normal footage of this camera"
        )
    if exclusion is not None and exclusion.admissible().min() < 1:
        raise TooLittleFootageError(
            f"an exclusion of {exclusion.exclusion_us} us leaves some snippet without any neighbour among"
            f" {rows} — shorten the exclusion or gather more footage"
        )


def detector_arrays(detector: Detector) -> Arrays:
    """The arrays of a detector and its kind."""
    return detector.to_arrays() | {"kind": text_array(detector.kind)}


def detector_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Detector:
    """The detector whose `detector_arrays` these are; raises UnknownNameError where its kind is not known."""
    kind = array_text(arrays["kind"])
    if kind not in DETECTORS:
        raise UnknownNameError("detector", kind, DETECTORS)
    return DETECTORS[kind].from_arrays(arrays)
