"""A site that trains an autoencoder on normal footage of its own.

The mean picture and the deviation are measured from the site's clips and stay there; weights and biases are shared. Order
of cuboids and learning rate follow seed and number of the epoch among those of all rounds, and the optimiser's state is the
site's memory: the rounds of a single site are, on a CPU to the last bit, the epochs of `train_autoencoder` without an early
stop.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from models.autoencoders.checkpoint import Epoch, copied
from models.autoencoders.cuboids import Cuboids, Grey, Rows, mean_picture
from models.autoencoders.settings import AutoencoderSettings
from models.autoencoders.training import RunningAutoencoder, Trained, TrainingSettings, check_sources, measured
from models.federation.base import Evaluation, LocalUpdate, Progress, SiteError, Tensors
from models.federation.site_tensors import (
    TORCH_GENERATOR,
    epochs_of_round,
    from_memory,
    given_out,
    take_in,
    to_memory,
)


class AutoencoderSite:
    """See `SiteTraining`; a sample is a cuboid, and the loss is the mean squared error of a pixel, grey in [0, 1].

    Args:
        settings: shape of the autoencoder.
        clips: normal cuboids of this site, cut by `training_cuboids`.
        validation: normal cuboids of its other recordings or clips.
        training: how; `epochs` and `patience` are not looked at: there are as many epochs as in all rounds, and no early stop.
        rounds: in all.
        local_epochs: of each.
        device: torch's name of one.
        progress: called with `training`, the epochs done and those of all rounds.

    Raises:
        SiteError: there are no cuboids to train on, or none to hold out.
        ConfigurationError: they do not fit the autoencoder.
    """

    def __init__(
        self,
        settings: AutoencoderSettings,
        clips: Cuboids,
        validation: Cuboids,
        training: TrainingSettings,
        *,
        rounds: int,
        local_epochs: int,
        device: str = "cpu",
        progress: Progress = lambda _stage, _done, _total: None,
    ) -> None:
        if not len(clips) or not len(validation):
            raise SiteError(
                "too-few-samples",
                f"there are {len(clips)} cuboids to train on and {len(validation)} to hold out, and at least one of each is "
                "needed; add normal footage",
            )
        check_sources(settings, clips, validation)
        self._settings, self._clips, self._validation = settings, clips, validation
        self._rounds, self._local_epochs = rounds, local_epochs
        self._training = replace(training, epochs=rounds * local_epochs)
        self._device, self._progress = device, progress

    @property
    def samples(self) -> int:
        """Cuboids that the site has, also where an epoch draws fewer of them: an update tells those that were drawn."""
        return len(self._clips)

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        """See `SiteTraining.train`."""
        epochs = epochs_of_round(round_number, self._rounds, self._local_epochs)
        running = self._running(shared)
        if memory is not None:
            from_memory(memory, running.optimiser, self._about, round_number)
        clips = self._clips
        drawn = _DrawnCuboids(clips.clips, clips.frames, clips.strides, clips.step)
        losses = [running.epoch(drawn, number, self._progress) for number in epochs]
        kept = to_memory(running.optimiser, self._about, round_number)
        return LocalUpdate(given_out(_parameters(running)), len(drawn.drawn), losses[-1], kept)

    def evaluate(self, shared: Tensors) -> Evaluation:
        """See `SiteTraining.evaluate`; over the held-out cuboids that central training looks at too."""
        count = len(measured(self._validation, self._training))
        return Evaluation(count, self._running(shared).error(self._validation))

    def finished(self, shared: Tensors) -> Trained:
        """The autoencoder for this site; its one epoch is what it comes to on the site's cuboids, evenly spread."""
        running = self._running(shared)
        reached = Epoch(running.error(self._clips), running.error(self._validation))
        return Trained(self._settings, copied(running.network), (reached,), 0)

    def _running(self, shared: Tensors) -> RunningAutoencoder:
        with TORCH_GENERATOR:
            running = RunningAutoencoder(self._settings, self._training, self._normalisation, self._device)
        take_in(_parameters(running), shared)
        running.network.eval()
        return running

    @cached_property
    def _normalisation(self) -> tuple[NDArray[np.float32], float]:
        return mean_picture(self._clips.clips)

    @cached_property
    def _about(self) -> dict[str, Any]:
        return {
            "architecture": self._settings.architecture,
            "settings": asdict(self._settings),
            "training": asdict(replace(self._training, patience=1)),
            "local_epochs": self._local_epochs,
        }


@dataclass(frozen=True, eq=False)
class _DrawnCuboids(Cuboids):
    """Cuboids that hold which of them were asked for.

    Attributes:
        drawn: their numbers, each once.
    """

    drawn: set[int] = field(default_factory=set)

    def batch(self, numbers: Sequence[int] | Rows) -> Grey:
        self.drawn.update(int(number) for number in numbers)
        return super().batch(numbers)


def _parameters(running: RunningAutoencoder) -> dict[str, nn.Parameter]:
    return dict(running.network.named_parameters())
