"""Heads that can be evaluated by name, and the encoders they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.errors import ConfigurationError, UnknownNameError, WeightsError
from infra.weights import WeightsFile, file_sha256, read_weights
from models.detectors.build import SETTINGS, DetectorSettings, detector_settings
from models.detectors.cells import Cells, CellsSettings
from models.detectors.isolation_forest import IsolationForestSettings
from models.detectors.local_outlier_factor import LocalOutlierFactorSettings
from models.detectors.magnitude import Magnitude, MagnitudeSettings
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.detectors.one_class_svm import OneClassSvmSettings
from models.encoders.base import Encoder
from models.encoders.build import build
from models.encoders.lookup import find_weights
from models.encoders.specs import describe
from models.heads.novelty import NoveltySettings
from models.projections.linear import ProjectionSettings
from models.projections.scaling import ScalingName

MOTION = "handcrafted/motion"
AUTOENCODER = "autoencoder"
BOUND_TO_LAYOUT = (Magnitude.kind, Cells.kind)
"""Detectors for which a value stands for an error or a place: a projection leaves neither."""


@dataclass(frozen=True)
class HeadSpec:
    """A head by name: what its vectors are, and what is made of them.

    Attributes:
        name: how results call it.
        encoder: `family/architecture/weights`.
        detector: its settings.
        scaling, projection: of the vectors before it.
    """

    name: str
    encoder: str
    detector: DetectorSettings
    scaling: ScalingName = "standardise"
    projection: ProjectionSettings = field(default_factory=ProjectionSettings)

    @property
    def settings(self) -> NoveltySettings:
        """Of `models.heads.novelty.fit_and_score`."""
        return NoveltySettings(self.detector, self.scaling, self.projection)

    @property
    def composition(self) -> str:
        """Everything but the encoder, in words."""
        projection = self.projection
        told = "none"
        if projection.name != "none":
            seed = f", seed {projection.seed}" if projection.name in ("gaussian", "sparse") else ""
            told = f"{projection.name} to {projection.dimension}{seed}"
        return f"{self.detector}; scaling {self.scaling}; projection {told}"


@dataclass(frozen=True, eq=False)
class BuiltHead:
    """A head whose encoder is at hand."""

    spec: HeadSpec
    encoder: Encoder

    @property
    def name(self) -> str:
        """Head and encoder, as results name them."""
        return f"{self.spec.name} {self.encoder.spec.name}"


HEADS: dict[str, HeadSpec] = {
    spec.name: spec
    for spec in (
        HeadSpec("own", "handcrafted/velocity", CellsSettings(), "none"),
        HeadSpec("knn-motion", MOTION, NearestNeighboursSettings()),
        HeadSpec("lof-motion", MOTION, LocalOutlierFactorSettings()),
        HeadSpec("forest-motion", MOTION, IsolationForestSettings()),
        HeadSpec("svm-motion", MOTION, OneClassSvmSettings()),
        HeadSpec("hasan", f"{AUTOENCODER}/hasan", MagnitudeSettings(), "none"),
        HeadSpec("chong-tay", f"{AUTOENCODER}/chong_tay", MagnitudeSettings(), "none"),
        HeadSpec("istl", f"{AUTOENCODER}/istl", MagnitudeSettings(), "none"),
    )
}
"""By name; nothing of them was chosen by looking at test footage."""

DEFAULT_HEADS = ("knn-motion",)


def head_named(name: str) -> HeadSpec:
    """The head of a name; raises UnknownNameError, which lists them, where there is none."""
    if name not in HEADS:
        raise UnknownNameError("head", name, HEADS)
    return HEADS[name]


def composed(encoder: str, detector: str, scaling: ScalingName, projection: ProjectionSettings, seed: int) -> HeadSpec:
    """A head put together freely, called by its parts.

    Raises:
        UnknownNameError: there is no such detector.
    """
    parts = [detector, scaling]
    if projection.name != "none":
        parts.append(f"{projection.name}{projection.dimension}")
    return HeadSpec("-".join(parts), encoder, detector_settings(detector, seed=seed), scaling, projection)


def detectors_to_vary(heads: Sequence[BuiltHead]) -> tuple[str, ...]:
    """Names of the heads' detectors, each once, of those that take vectors of any projection.

    Raises:
        ConfigurationError: none is left.
    """
    names = {settings: name for name, settings in SETTINGS.items()}
    found = dict.fromkeys(names[type(head.spec.detector)] for head in heads)
    told = tuple(name for name in found if name not in BOUND_TO_LAYOUT)
    if not told:
        raise ConfigurationError("no head has a detector that can be varied; add one, as --head knn-motion")
    return told


def build_heads(specs: Sequence[HeadSpec], weights_folder: Path, given: Sequence[str] = ()) -> tuple[BuiltHead, ...]:
    """Bring the encoders of heads to life, each once.

    Args:
        specs: different names.
        weights_folder: a workspace's `weights/`; may be absent.
        given: weights files for this call, `FILE` where one head needs weights, else `HEAD=FILE`.

    Raises:
        ConfigurationError: two heads have one name, or it is not clear whose a file is.
        WeightsError: weights are absent or do not fit.
    """
    names = [spec.name for spec in specs]
    if not specs or len(set(names)) < len(names):
        raise ConfigurationError(f"heads have different names and there is at least one, got {names}")
    files = _given(specs, given)
    kept = read_weights(weights_folder)
    encoders: dict[str, Encoder] = {}
    built = []
    for spec in specs:
        weights = files.get(spec.name) or find_weights(kept, spec.encoder)
        described = describe(spec.encoder, weights)
        if described.space not in encoders:
            encoders[described.space] = build(described, weights)
        built.append(BuiltHead(replace(spec, encoder=described.name), encoders[described.space]))
    return tuple(built)


def _given(specs: Sequence[HeadSpec], given: Sequence[str]) -> Mapping[str, WeightsFile]:
    waiting = [spec.name for spec in specs if spec.encoder.split("/")[0] != "handcrafted"]
    files = {}
    for text in given:
        name, _, path = text.rpartition("=")
        if not name:
            if len(waiting) != 1:
                raise ConfigurationError(
                    f'--weights "{text}": {len(waiting)} of the heads take weights; say whose it is, as hasan={text}'
                )
            name = waiting[0]
        if name not in waiting:
            raise UnknownNameError("head that takes weights", name, waiting)
        spec = next(spec for spec in specs if spec.name == name)
        files[name] = _weights_file(spec, Path(path))
    return files


def _weights_file(spec: HeadSpec, path: Path) -> WeightsFile:
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}; give the path of one")
    if not spec.encoder.startswith(f"{AUTOENCODER}/"):
        return WeightsFile(path, file_sha256(path))
    from models.autoencoders.checkpoint import settings_in

    settings = settings_in(path.read_bytes())
    wanted = spec.encoder.split("/")[1]
    if settings.architecture != wanted:
        raise WeightsError(f"{path.name} is of {settings.architecture}, the head {spec.name} takes one of {wanted}")
    return WeightsFile(path, file_sha256(path), options=settings.as_options())
