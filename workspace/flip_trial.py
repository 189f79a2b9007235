"""A workspace as it would be if another version of an autoencoder served: what is made in it lies apart, and counts nowhere.

It reads the lake and the registry of the workspace, so that what is there already is not made again, and writes into a folder
below `.afterwatch/compare`. Keys tell versions apart, as they do in a lake: nothing made with one is taken for another's.
"""

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from infra.errors import ConfigurationError
from infra.settings import EncoderTable, NoveltyTable, Settings
from infra.weights import WeightsFile, read_weights
from lake.registry import Registry
from lake.store import Store
from workspace.autoencoders import version_weights
from workspace.flip_files import COMPARISONS
from workspace.opened import PlannedEncoder, Workspace

MAGNITUDE = {"detector": "magnitude", "scaling": "none", "projection": "none"}
"""How the length of an autoencoder's vectors is judged, which is its reconstruction error."""


class LayeredStore(Store):
    """Files of a lake, and before them those of a folder; everything is written into the folder.

    Args:
        folder: absolute.
        lake: is only read.
    """

    def __init__(self, folder: Path, lake: Store) -> None:
        super().__init__(str(folder))
        self._lake = lake

    def exists(self, path: str) -> bool:
        return super().exists(path) or self._lake.exists(path)

    def names(self, folder: str) -> list[str]:
        return sorted({*super().names(folder), *self._lake.names(folder)})

    def read_bytes(self, path: str) -> bytes:
        return super().read_bytes(path) if super().exists(path) else self._lake.read_bytes(path)


class LayeredRegistry(Registry):
    """Models of a registry, and beside them those of a folder; new ones are saved into the folder.

    Args:
        folder: of the new ones.
        models: the registry, which is only read.
    """

    def __init__(self, folder: Path, models: Registry) -> None:
        super().__init__(folder)
        self._models = models

    def folder(self, kind: str, name: str, version: str) -> Path:
        there = self._models.exists(kind, name, version)
        return self._models.folder(kind, name, version) if there else super().folder(kind, name, version)

    def versions(self) -> list[tuple[str, str, str]]:
        return sorted({*super().versions(), *self._models.versions()})


class TrialWorkspace(Workspace):
    """A workspace in which a version of an autoencoder serves, and judges.

    Args:
        of: the workspace.
        folder: for what is made.
        name, version: of the autoencoder, as the registry has it.

    Attributes:
        trial: the autoencoder.

    Raises:
        LakeError: there is no such version, its card is damaged, or its weights are gone.
        ConfigurationError: the settings do not go with its encoder.
    """

    def __init__(self, of: Workspace, folder: Path, name: str, version: str) -> None:
        super().__init__(of.site.root)
        self._served = read_weights(of.site.weights_folder)
        self._encoder, weights = version_weights(of, name, version)
        serving = self._served.get(self._encoder)
        # In service it may have been entered by hand, with more to it than the card says.
        self._weights = serving if serving is not None and serving.sha256 == weights.sha256 else weights
        self.settings = _judging_by(of.settings, self._encoder)
        self.site = replace(of.site, settings=self.settings)
        self.store = LayeredStore(folder / "lake", of.store)
        self.registry = LayeredRegistry(folder / "models", of.registry)

    @property
    def weights(self) -> Mapping[str, WeightsFile]:
        return {**self._served, self._encoder: self._weights}

    @property
    def trial(self) -> PlannedEncoder:
        return self.encoder(self._encoder)


@contextmanager
def trial_folder(workspace: Workspace, name: str, current: str, candidate: str) -> Iterator[Path]:
    """The folder of a comparison, taken away when it is through; of one that was broken off it stays, and the next goes on.

    Raises:
        ConfigurationError: another process makes the same comparison.
    """
    folder = workspace.site.state_folder / COMPARISONS / name / f"{current}-{candidate}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another process compares {current} and {candidate} of {name} already; wait for its report"
            ) from None
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def judges_by(workspace: Workspace, encoder: str) -> bool:
    """Whether the novelty head of the settings reads vectors of an encoder."""
    return workspace.settings.novelty.encoder == encoder


def _judging_by(settings: Settings, encoder: str) -> Settings:
    """The settings with the encoder among the others, and in the novelty head where that reads another."""
    encoders = settings.encoders
    if encoder not in {table.name for table in encoders}:
        encoders = (*encoders, EncoderTable(name=encoder))
    novelty = settings.novelty
    if novelty.encoder != encoder:
        novelty = NoveltyTable.model_validate({**novelty.model_dump(), **MAGNITUDE, "encoder": encoder})
    return settings.model_copy(update={"encoders": encoders, "novelty": novelty})
