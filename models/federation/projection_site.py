"""A site that trains a projection on views of samples of its own.

Offset and scale of the vectors are measured from the site's samples and stay there; the layer is shared, and so is the layer to
the classes that cross entropy trains along. The order of samples is drawn one epoch after the other, as central training
draws it: where the generator stands is in the site's memory, beside the optimiser's state. The rounds of a single site are,
on a CPU to the last bit, the epochs of `train_projection` without an early stop.
"""

from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

from torch import nn

from infra.errors import ConfigurationError
from models.federation.base import Evaluation, LocalUpdate, Progress, SiteError, Tensors
from models.federation.site_tensors import (
    TORCH_GENERATOR,
    Remembered,
    epochs_of_round,
    from_memory,
    given_out,
    take_in,
    to_memory,
)
from models.projections.losses import Loss
from models.projections.scaling import Scaling
from models.projections.trained import SELF_SUPERVISED, ProjectionTraining, TrainedProjection, ViewedVectors
from models.projections.training import RunningProjection, check_samples, scaling_of


class ProjectionSite:
    """See `SiteTraining`; a sample is one with all its views, and the loss is that of the settings, the mean over batches.

    Args:
        settings: loss, dimension and how it is trained; `epochs` and `patience` are not looked at: there are as many epochs as
            in all rounds, and no early stop.
        training: samples of this site; labels are numbers of the plan's classes, of which it needs two where the loss does.
        validation: samples of other source videos.
        classes: number of the plan's classes; 1 where there are none.
        rounds: in all.
        local_epochs: of each.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        progress: called with `training`, the epochs done and those of all rounds.

    Raises:
        SiteError: the samples are too few for the loss.
        ConfigurationError: a label is none of the classes.
    """

    def __init__(
        self,
        settings: ProjectionTraining,
        training: ViewedVectors,
        validation: ViewedVectors,
        classes: int,
        *,
        rounds: int,
        local_epochs: int,
        device: str = "cpu",
        progress: Progress = lambda _stage, _done, _total: None,
    ) -> None:
        try:
            check_samples(settings, training, validation)
        except ConfigurationError as error:
            raise SiteError("too-few-samples", str(error)) from None
        if settings.loss != SELF_SUPERVISED:
            most = max(int(one.labels.max()) for one in (training, validation) if one.labels is not None)
            if most >= classes:
                raise ConfigurationError(f"a sample is of class {most}, and the plan has classes 0 to {classes - 1}")
        self._settings = replace(settings, epochs=rounds * local_epochs)
        self._training, self._validation, self._classes = training, validation, classes
        self._rounds, self._local_epochs, self._device, self._progress = rounds, local_epochs, device, progress

    @property
    def samples(self) -> int:
        """Samples that the site has; each epoch draws all of them."""
        return len(self._training)

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        """See `SiteTraining.train`.

        Without memory in a later round the site draws as in the first one: it has not trained yet.
        """
        epochs = epochs_of_round(round_number, self._rounds, self._local_epochs)
        running = self._running(shared)
        if memory is not None:
            from_memory(memory, running.optimiser, self._about, round_number).restore(running.random)
        rows, losses = running.rows(self._training), []
        for number in epochs:
            losses.append(running.epoch(rows))
            self._progress("training", number + 1, self._settings.epochs)
        kept = to_memory(running.optimiser, self._about, round_number, Remembered(running.random.bit_generator.state))
        return LocalUpdate(given_out(_parameters(running)), self.samples, losses[-1], kept)

    def evaluate(self, shared: Tensors) -> Evaluation:
        """See `SiteTraining.evaluate`."""
        running = self._running(shared)
        return Evaluation(len(self._validation), running.loss_of(running.rows(self._validation)))

    def finished(self, shared: Tensors) -> TrainedProjection:
        """The projection for this site."""
        return self._running(shared).projection()

    def _running(self, shared: Tensors) -> RunningProjection:
        with TORCH_GENERATOR:
            running = RunningProjection(
                self._settings, self._scaling, self._training.views.shape[2], self._classes, self._device
            )
        take_in(_parameters(running), shared)
        return running

    @cached_property
    def _scaling(self) -> Scaling:
        return scaling_of(self._training)

    @cached_property
    def _about(self) -> dict[str, Any]:
        return {
            "classes": self._classes,
            "values": self._training.views.shape[2],
            "settings": asdict(replace(self._settings, patience=1)),
            "local_epochs": self._local_epochs,
        }


def shared_parameters(layer: nn.Linear, loss: Loss) -> dict[str, nn.Parameter]:
    """What is learnt, by the names under which it is shared."""
    return dict(nn.ModuleDict({"layer": layer, "loss": loss}).named_parameters())


def _parameters(running: RunningProjection) -> dict[str, nn.Parameter]:
    return shared_parameters(running.layer, running.loss)
