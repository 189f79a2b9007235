"""A site that trains the head of an alarm on windows of its own.

Offset and scale of the vectors are measured from the site's windows and stay there; the layers are shared. The order of
windows and what dropout leaves out are drawn one epoch after the other, as central training draws them: where the
generators stand is in the site's memory, beside the optimiser's state. The rounds of a single site are, to the last bit, the
epochs of `train_classifier` without an early stop.
"""

from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
from models.heads.classifier import ClassifierHead, ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples, check_apart
from models.heads.classifier_training import RunningClassifier, Windows, one_thread, standardisation


class ClassifierSite:
    """See `SiteTraining`; a sample is a window, and the loss is the binary cross entropy, the mean over classes.

    A class that no clip of this site shows, or that all of them show, cannot be balanced here: with balanced class weights the
    site leaves it out of its loss, and the other sites teach it. What is left out is in `remarks`.

    Args:
        settings: shape of the head, and how it is trained; `epochs` and `patience` are not looked at: there are as many epochs
            as in all rounds, and no early stop.
        samples: clips in windows to learn from, with the classes of the plan.
        validation: clips of other sources; None where nothing is held out.
        rounds: in all.
        local_epochs: of each.
        progress: called with `training`, the epochs done and those of all rounds.

    Raises:
        SiteError: no class is in some of the clips and not in others.
        ConfigurationError: the two share a source or the bytes of a clip, or are of other classes or lengths.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        samples: ClassifierSamples,
        validation: ClassifierSamples | None = None,
        *,
        rounds: int,
        local_epochs: int,
        progress: Progress = lambda _stage, _done, _total: None,
    ) -> None:
        if validation is not None:
            check_apart(samples, validation)
            kinds = [(one.classes, one.vectors.shape[1]) for one in (samples, validation)]
            if kinds[0] != kinds[1]:
                raise ConfigurationError(
                    f"clips to learn from and held-out ones have the same classes and lengths, got {kinds}"
                )
        shown = samples.targets.sum(axis=0)
        self._one_sided = [
            (name, count == 0)
            for name, count in zip(samples.classes, shown.tolist(), strict=True)
            if count in (0, len(samples))
        ]
        if len(self._one_sided) == len(samples.classes):
            raise SiteError(
                "too-few-samples",
                f"none of the classes {', '.join(samples.classes)} is in some of the {len(samples)} clips and not in others, and "
                "a head learns from clips with a class and without; add clips",
            )
        self._settings = replace(settings, epochs=rounds * local_epochs, patience=None)
        self._samples, self._validation = samples, validation
        self._rounds, self._local_epochs, self._progress = rounds, local_epochs, progress

    @property
    def samples(self) -> int:
        """Windows that the site has; each epoch draws all of them."""
        return len(self._samples.vectors)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of the site's clips."""
        does = (
            "is not learnt here" if self._settings.class_weights == "balanced" else "is learnt here from one side only"
        )
        return tuple(
            f"{name} is in {'no clip' if absent else 'every clip'} of this site: it {does}"
            for name, absent in self._one_sided
        )

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        """See `SiteTraining.train`.

        Without memory in a later round the site draws as in the first one: it has not trained yet.
        """
        epochs = epochs_of_round(round_number, self._rounds, self._local_epochs)
        # `one_thread` and the seeds are those of the process: one site at a time.
        with TORCH_GENERATOR, torch.random.fork_rng(devices=[]), one_thread():
            running = self._running(shared)
            if memory is not None:
                from_memory(memory, running.optimiser, self._about, round_number).restore(running.random)
            losses = []
            for number in epochs:
                losses.append(running.epoch())
                self._progress("training", number + 1, self._settings.epochs)
            remembered = Remembered(running.random.bit_generator.state, torch.random.get_rng_state())
            kept = to_memory(running.optimiser, self._about, round_number, remembered)
            return LocalUpdate(given_out(_parameters(running)), self.samples, losses[-1], kept)

    def evaluate(self, shared: Tensors) -> Evaluation:
        """See `SiteTraining.evaluate`; raises SiteError where nothing is held out."""
        if self._validation is None:
            raise SiteError(
                "too-few-samples", "no clip is held out at this site, so it cannot say how well the head does"
            )
        with TORCH_GENERATOR, torch.random.fork_rng(devices=[]), one_thread():
            running = self._running(shared)
            loss = running.loss_of(Windows.of(running.network, self._validation))
        return Evaluation(len(self._validation.vectors), loss)

    def finished(self, shared: Tensors) -> ClassifierHead:
        """The head for this site."""
        with TORCH_GENERATOR, torch.random.fork_rng(devices=[]):
            return self._running(shared).network.head(self._samples.classes)

    def _running(self, shared: Tensors) -> RunningClassifier:
        running = RunningClassifier(self._settings, self._samples, self._standardisation)
        take_in(_parameters(running), shared)
        running.network.eval()
        return running

    @cached_property
    def _standardisation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return standardisation(self._samples.vectors)

    @cached_property
    def _about(self) -> dict[str, Any]:
        return {
            "classes": self._samples.classes,
            "values": self._samples.vectors.shape[1],
            "settings": asdict(self._settings),
            "local_epochs": self._local_epochs,
        }


def _parameters(running: RunningClassifier) -> dict[str, nn.Parameter]:
    return dict(running.network.named_parameters())
