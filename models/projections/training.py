"""Training a projection: a linear layer, one of the losses of S4, stopped early by samples of other source videos.

What tells when to stop is the silhouette of the validation samples, of classes or, without labels, of views: a loss may
fall while vectors merely draw together (batch-hard triplets), or while margins of what is right already grow (cross
entropy). A silhouette to publish is that of third samples, for these chose the epoch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infra.errors import AfterwatchError, ConfigurationError
from models.encoders.torch_runner import choose_device
from models.projections.losses import Loss, build_loss, rows_of_views
from models.projections.scaling import Scaling
from models.projections.trained import (
    SELF_SUPERVISED,
    ProjectionTraining,
    TrainedProjection,
    ViewedVectors,
    silhouette_of,
)


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; epoch 0 is the layer before training.

    Attributes:
        number: from 0.
        training_loss: mean over the epoch's samples, while it trained; None before training.
        validation_loss: of the validation samples, after it.
        silhouette: of the validation samples, after it, of what the loss brings together (see `silhouette_of`).
    """

    number: int
    training_loss: float | None
    validation_loss: float
    silhouette: float


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained projection and how it came about.

    Attributes:
        projection: of the epoch with the greatest silhouette.
        untrained: the layer as it was drawn: a random projection of the same shape.
        epochs: in order, from epoch 0.
        best: number of the projection's epoch.
        remark: what a person should know of it, for the card; empty where nothing.
    """

    projection: TrainedProjection
    untrained: TrainedProjection
    epochs: tuple[Epoch, ...]
    best: int
    remark: str


def train_projection(
    settings: ProjectionTraining,
    training: ViewedVectors,
    validation: ViewedVectors,
    progress: Callable[[Epoch], None] = lambda _: None,
    device: str = "auto",
) -> TrainingResult:
    """Train a linear layer on augmented views of samples.

    The values are standardised by the training samples first (see `Scaling`), which the projection holds within it. The
    same samples, settings and device give the same projection.

    Args:
        settings: loss, dimension and how long.
        training: the samples to learn from, in views.
        validation: samples of other source videos, which tell when to stop.
        progress: called after each epoch.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigurationError: the samples do not do for the loss.
        AfterwatchError: the loss is not finite.
    """
    classes = _check(settings, training, validation)
    running = RunningProjection(settings, scaling_of(training), training.views.shape[2], classes, device)
    learnt, held = running.rows(training), running.rows(validation)

    epochs: list[Epoch] = []
    untrained = best = running.projection()
    at = 0
    for number in range(settings.epochs + 1):
        trained = running.epoch(learnt) if number else None
        now = running.projection()
        epochs.append(Epoch(number, trained, running.loss_of(held), _reached(settings, validation, now)))
        progress(epochs[-1])
        if epochs[-1].silhouette > epochs[at].silhouette:
            best, at = now, number
        elif number - at >= settings.patience:
            break
    return TrainingResult(best, untrained, tuple(epochs), at, _remark(at, settings.epochs))


def _reached(settings: ProjectionTraining, validation: ViewedVectors, projection: TrainedProjection) -> float:
    found = silhouette_of(validation, settings.brings_together, projection)
    if found is None:
        raise ConfigurationError(
            f"no two of {len(validation)} validation samples are of one class; give more clips of each class"
        )
    return found


def _remark(best: int, most: int) -> str:
    if best == 0:
        return "training never raised the silhouette of the validation samples: the layer is as it was drawn"
    if best == most:
        return f"the silhouette of the validation samples was still rising after {most} epochs: more may do better"
    return ""


@dataclass(frozen=True)
class Rows:
    """Samples on a device: scaled views (N, V, D), classes (N,)."""

    views: Tensor
    classes: Tensor


def scaling_of(training: ViewedVectors) -> Scaling:
    """How the values of samples are standardised: by all of their views."""
    return Scaling.fit("standardise", training.views.reshape(-1, training.views.shape[2]))


def first_layers(settings: ProjectionTraining, source: int, classes: int) -> tuple[nn.Linear, Loss]:
    """The layer and the loss that a training begins with, on the CPU; torch's own generator is left alone.

    Args:
        settings: loss, dimension and seed.
        source: D, values of a vector.
        classes: number of classes.
    """
    target = min(settings.dimension, source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return nn.Linear(source, target), build_loss(settings, target, classes)


class RunningProjection:
    """A layer and its loss on their way, on samples of one place: what central training and a site of a federation both run.

    Args:
        settings: loss, dimension and how it is trained.
        scaling: of the vectors, see `scaling_of`.
        source: D, values of a vector.
        classes: number of classes.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
    """

    def __init__(self, settings: ProjectionTraining, scaling: Scaling, source: int, classes: int, device: str) -> None:
        self._settings, self._scaling, self._device = settings, scaling, choose_device(device)
        layer, loss = first_layers(settings, source, classes)
        self.layer, self.loss = layer.to(self._device), loss.to(self._device)
        parameters = [*self.layer.parameters(), *self.loss.parameters()]
        self.optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.random = np.random.default_rng(settings.seed)

    def rows(self, samples: ViewedVectors) -> Rows:
        """Samples as they are trained on."""
        count, each, dimension = samples.views.shape
        scaled = self._scaling.apply(samples.views.reshape(-1, dimension)).reshape(count, each, dimension)
        classes = np.zeros(count, np.int64) if samples.labels is None else samples.labels
        return Rows(torch.from_numpy(scaled).to(self._device), torch.from_numpy(classes).to(self._device))

    def epoch(self, rows: Rows) -> float:
        """Train on all samples once, in a new order; the mean loss."""
        total = 0.0
        for batch in self._batches(self.random.permutation(len(rows.views))):
            loss = self._of(rows, batch)
            if not bool(torch.isfinite(loss)):
                raise AfterwatchError(
                    f"the loss is {loss.item()} at a learning rate of {self._settings.learning_rate:g}; "
                    "train with a smaller one"
                )
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own is not annotated
            self.optimiser.step()
            total += loss.item() * len(batch)
        return total / len(rows.views)

    @torch.no_grad()
    def loss_of(self, rows: Rows) -> float:
        """The mean loss of samples, always in the same batches; classes are mixed in them."""
        order = np.random.default_rng(0).permutation(len(rows.views))
        return sum(self._of(rows, batch).item() * len(batch) for batch in self._batches(order)) / len(order)

    def projection(self) -> TrainedProjection:
        """The layer with the scaling of its input, as arrays."""
        weight, bias = (value.detach().cpu().double().numpy() for value in (self.layer.weight, self.layer.bias))
        scaling = self._scaling
        matrix = np.ascontiguousarray(weight.T / scaling.scale.astype(np.float64)[:, None])
        return TrainedProjection(scaling.offset.astype(np.float64), matrix, bias.copy(), self._settings.to_unit_length)

    def _of(self, rows: Rows, batch: NDArray[np.int64]) -> Tensor:
        chosen = torch.from_numpy(batch).to(self._device)
        views, classes, samples = rows_of_views(rows.views[chosen], rows.classes[chosen], chosen)
        loss: Tensor = self.loss(self.layer(views), classes, samples)
        return loss

    def _batches(self, order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Batches of about one size: a last one of a few samples would hold nothing to compare."""
        yield from np.array_split(order, max(1, round(len(order) / self._settings.batch_size)))


def check_samples(settings: ProjectionTraining, training: ViewedVectors, validation: ViewedVectors) -> None:
    """Raise ConfigurationError where the samples of one place do not do for the loss."""
    if min(len(training), len(validation)) < 2:
        raise ConfigurationError(
            f"a projection is trained on at least 2 samples and stopped by as many others, got {len(training)} and "
            f"{len(validation)}; give more footage"
        )
    if training.views.shape[2] != validation.views.shape[2]:
        raise ConfigurationError(
            f"vectors of {training.views.shape[2]} and of {validation.views.shape[2]} values are of two encoders; use one"
        )
    if settings.loss == SELF_SUPERVISED:
        if min(training.views.shape[1], validation.views.shape[1]) < 2:
            raise ConfigurationError("the self-supervised loss compares views of one sample: make at least 2 of each")
        return
    if training.labels is None or validation.labels is None:
        raise ConfigurationError(
            f'the loss {settings.loss} needs labels; give footage in folders of classes, or use "{SELF_SUPERVISED}"'
        )
    learnt, held = len(np.unique(training.labels)), len(np.unique(validation.labels))
    if min(learnt, held) < 2:
        raise ConfigurationError(
            f"the loss {settings.loss} tells classes apart: there are {learnt} in training and {held} in validation; "
            "give footage of at least 2 to both"
        )


def _check(settings: ProjectionTraining, training: ViewedVectors, validation: ViewedVectors) -> int:
    """Number of classes; raises ConfigurationError where the samples do not do for the loss."""
    check_samples(settings, training, validation)
    if settings.loss == SELF_SUPERVISED or training.labels is None or validation.labels is None:
        return 1
    if unknown := set(validation.labels.tolist()) - set(training.labels.tolist()):
        raise ConfigurationError(
            f"{len(unknown)} classes are in validation but not in training; give clips of them to both"
        )
    return int(training.labels.max()) + 1
