"""Training and cross-validating the head of an alarm on cached vectors.

One procedure makes a head that is measured (`fit_head`): an inner cross-validation over source videos tells how many epochs
it is to have (the median of the best ones) and what its clips score where a head has not seen them, and a head of that many
epochs is then trained on all it was given. `cross_validate` does this in each fold for what is not held out, so that nothing
of a held-out clip decides how long its head was trained, nor where its threshold is.

On one machine the same samples, settings and seeds give the same head to the last bit. It is trained on the CPU: batches are
small, and a GPU would wait for its kernels.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from infra.errors import AfterwatchError
from models.heads.base import Vectors
from models.heads.classifier import ClassifierHead, ClassifierSettings
from models.heads.classifier_network import HeadNetwork
from models.heads.classifier_samples import ClassifierSamples, check_apart, check_classes, fewest_sources, fold_numbers

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]
Progress = Callable[[str, float, float], None]

FOLDS, INNER_FOLDS = 5, 3
HALF_STEP = 2.0**-11
"""Half a step of float16, as a share of a value: what the lake rounds away."""


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A head and how long it was trained.

    Attributes:
        head: of the best epoch.
        epochs: number of that epoch, from 1.
        trained: epochs that were run.
        losses: of the held-out clips after each epoch; empty where there were none to stop by.
    """

    head: ClassifierHead
    epochs: int
    trained: int
    losses: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head, and what the inner cross-validation said on the way.

    Attributes:
        head: trained on every clip.
        epochs: of it.
        trained: epochs that were run in all.
        scores: float32 (C, K), probability of each class in each clip by a head of an inner fold that has not seen the
            clip's source: what a threshold may be chosen on.
    """

    head: ClassifierHead
    epochs: int
    trained: int
    scores: Scores


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What heads say of clips that they have not seen.

    Attributes:
        scores: float32 (C, K), probability of each class in each clip: the mean over its windows.
        window_scores: float32 (M, K), probability of each class in each window, in the samples' order.
        fold: int64 (C,), in which each clip was held out.
        epochs: of each fold's head.
        inner: float32 (folds, C, K): in each fold, what the clips of its training part scored in its inner
            cross-validation, to choose a threshold inside it; nan for the clips held out.
        seconds_per_epoch: mean over all epochs that were run.
    """

    scores: Scores
    window_scores: Scores
    fold: Rows
    epochs: tuple[int, ...]
    inner: Scores
    seconds_per_epoch: float

    @property
    def median_epochs(self) -> int:
        """Of the folds' heads: how long a head is trained on all clips."""
        return round(median(self.epochs))


def cross_validate(
    settings: ClassifierSettings,
    samples: ClassifierSamples,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> OutOfFold:
    """Fit a head (see `fit_head`) on all folds but one, in turn, and score the clips of that one.

    Args:
        settings: of the heads.
        samples: clips in windows.
        folds: parts of about as many clips and the same share of each class; a source is in one of them only.
        seed: decides the folds; the heads have that of `settings`.
        progress: called with `folds`, those done and all.

    Raises:
        ConfigurationError: a class has too few sources, or clips of the same bytes are of two sources.
        AfterwatchError: the loss is not finite.
    """
    fold = fold_numbers(samples, folds, seed)
    scores = np.empty((len(samples), len(samples.classes)), np.float32)
    window_scores = np.empty((len(samples.vectors), len(samples.classes)), np.float32)
    inner = np.full((folds, *scores.shape), np.nan, np.float32)
    epochs, trained, began = [], 0, perf_counter()
    for number in range(folds):
        held, kept = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        training, held_out = samples.of(kept), samples.of(held)
        check_apart(training, held_out)
        fitted = fit_head(settings, training, seed=seed)
        probabilities = fitted.head.probabilities(held_out.vectors)
        window_scores[fold[samples.clip] == number] = probabilities
        scores[held], inner[number, kept] = clip_means(probabilities, held_out), fitted.scores
        epochs.append(fitted.epochs)
        trained += fitted.trained
        progress("folds", number + 1, folds)
    return OutOfFold(scores, window_scores, fold, tuple(epochs), inner, (perf_counter() - began) / trained)


def fit_head(
    settings: ClassifierSettings, samples: ClassifierSamples, *, folds: int = INNER_FOLDS, seed: int = 0
) -> FittedHead:
    """Train a head on every clip, for as many epochs as an inner cross-validation says where there is `patience`.

    Args:
        settings: of the head.
        samples: clips in windows.
        folds: of the inner cross-validation; fewer where a class has fewer sources.
        seed: decides them.

    Raises:
        ConfigurationError: a class has fewer than two sources.
        AfterwatchError: the loss is not finite.
    """
    fold = fold_numbers(samples, min(folds, fewest_sources(samples)), seed)
    scores = np.empty((len(samples), len(samples.classes)), np.float32)
    best, trained = [], 0
    for number in range(int(fold.max()) + 1):
        held = np.flatnonzero(fold == number)
        held_out = samples.of(held)
        one = train_classifier(settings, samples.of(np.flatnonzero(fold != number)), held_out)
        scores[held] = score_clips(one.head, held_out)
        best.append(one.epochs)
        trained += one.trained
    epochs = round(median(best))
    final = train_classifier(replace(settings, epochs=epochs), samples)
    return FittedHead(final.head, epochs, trained + final.trained, scores)


def train_classifier(
    settings: ClassifierSettings, samples: ClassifierSamples, validation: ClassifierSamples | None = None
) -> TrainedHead:
    """Train a head.

    Args:
        settings: shape of the head, and how long.
        samples: to learn from.
        validation: clips of other sources, which tell when to stop where `patience` is set; else every epoch is run.

    Raises:
        ConfigurationError: a class is in no clip or in all of them, or the two share a source or the bytes of a clip.
        AfterwatchError: the loss is not finite.
    """
    check_classes(samples)
    if validation is not None:
        check_apart(samples, validation)
    with torch.random.fork_rng(devices=[]), one_thread():
        running = RunningClassifier(settings, samples, standardisation(samples.vectors))
        if validation is None or settings.patience is None:
            for _ in range(settings.epochs):
                running.epoch()
            return TrainedHead(running.network.head(samples.classes), settings.epochs, settings.epochs, ())
        return _stopped_early(settings, running, Windows.of(running.network, validation), samples.classes)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch for a while: steps of ten windows are too small to share: on a busy machine threads that wait for one another take ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def score_clips(head: ClassifierHead, samples: ClassifierSamples) -> Scores:
    """float32 (C, K): probability of each class in each clip, the mean over its windows."""
    return clip_means(head.probabilities(samples.vectors), samples)


def clip_means(probabilities: Scores, samples: ClassifierSamples) -> Scores:
    """float32 (C, K): the mean over each clip's windows of what they score, float32 (M, K)."""
    totals = np.zeros((len(samples), probabilities.shape[1]))
    np.add.at(totals, samples.clip, probabilities)
    counts = np.bincount(samples.clip, minlength=len(samples))
    return (totals / counts[:, None]).astype(np.float32)


def standardisation(vectors: Vectors) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Offset and scale (D,) of each value over the training windows.

    The night reads vectors that the lake keeps in float16: what moves less than they are rounded is noise, and the scale
    is no smaller than that. A value that is always 0 has scale 1.
    """
    deviation = vectors.std(axis=0, dtype=np.float64)
    scale = np.hypot(deviation, np.abs(vectors).max(axis=0) * HALF_STEP)
    return vectors.mean(axis=0, dtype=np.float64).astype(np.float32), np.where(scale > 0, scale, 1).astype(np.float32)


@dataclass(frozen=True)
class Windows:
    """Standardised windows (M, D) and what they show (M, K)."""

    vectors: Tensor
    targets: Tensor

    @classmethod
    def of(cls, network: HeadNetwork, samples: ClassifierSamples) -> "Windows":
        targets = torch.from_numpy(samples.targets[samples.clip].astype(np.float32))
        return cls(network.standardised(torch.from_numpy(samples.vectors)), targets)


class RunningClassifier:
    """A network on its way, on the windows of one place: what central training and a site of a federation both run.

    It seeds torch's own generator and goes on drawing from it, so whoever makes one holds a fork of it.

    Args:
        settings: shape of the head, and how it is trained.
        samples: to learn from. With balanced weights, a class that no clip shows, or every one, is left out of the loss:
            there is nothing to balance it by.
        standardised_by: offset and scale of the windows, see `standardisation`.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        samples: ClassifierSamples,
        standardised_by: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> None:
        torch.manual_seed(settings.seed)
        offset, scale = (torch.from_numpy(values) for values in standardised_by)
        self._settings, self.network = settings, HeadNetwork.begun(settings, offset, scale, len(samples.classes))
        self._windows = Windows.of(self.network, samples)
        self._positive_weight, self._class_weight = _weights(settings, self._windows.targets)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.random = np.random.default_rng(settings.seed)

    def epoch(self) -> float:
        """Train on all windows once, in a new order; the mean loss of a member while it trained."""
        self.network.train()
        order = torch.from_numpy(self.random.permutation(len(self._windows.targets)))
        total = 0.0
        for rows in torch.split(order, self._settings.batch_size):
            self.optimiser.zero_grad(set_to_none=True)
            logits = self.network.member_logits(self._windows.vectors[rows])
            # Summed over members: each learns as if it were alone.
            loss = self._loss(logits, self._windows.targets[rows].expand_as(logits)) * self._settings.members
            if not math.isfinite(reached := loss.item()):
                raise AfterwatchError(
                    f"the loss is {reached} at a learning rate of {self._settings.learning_rate:g}; give a smaller one"
                )
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.optimiser.step()
            total += reached * len(rows)
        self.network.eval()
        return total / (len(order) * self._settings.members)

    def loss_of(self, windows: Windows) -> float:
        """Mean loss of windows that are not learnt from."""
        with torch.inference_mode():
            return float(self._loss(self.network.member_logits(windows.vectors).mean(dim=0), windows.targets))

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            logits, targets, weight=self._class_weight, pos_weight=self._positive_weight
        )


def _weights(settings: ClassifierSettings, targets: Tensor) -> tuple[Tensor, Tensor | None]:
    """What a positive window of each class counts, (K,), and what the class itself does; None where each counts as one."""
    shown = targets.sum(dim=0)
    if settings.class_weights != "balanced":
        return torch.ones_like(shown), None
    both = (shown > 0) & (shown < len(targets))
    positive = (len(targets) - shown) / torch.where(both, shown, len(targets))
    return positive, None if bool(both.all()) else both.float()


def _stopped_early(
    settings: ClassifierSettings, running: RunningClassifier, held_out: Windows, classes: tuple[str, ...]
) -> TrainedHead:
    """Train until the loss of what is held out has not fallen for `patience` epochs; the best epoch's head."""
    best, losses, at = None, list[float](), 0
    for number in range(1, settings.epochs + 1):
        running.epoch()
        losses.append(running.loss_of(held_out))
        if best is None or losses[-1] < losses[at - 1]:
            best, at = running.network.head(classes), number
        elif settings.patience is not None and number - at >= settings.patience:
            break
    assert best is not None
    return TrainedHead(best, at, len(losses), tuple(losses))
