"""What a worker does for a federated experiment: a site's part of a round, and the scores of what a round came to.

Functions of small arguments, so that any worker can do any site's part in any round: pictures lie in files, and what a site
needs to go on (its optimiser's state) comes with the call. A worker that dies takes nothing along.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evaluation.federated_data import ClipRows
from models.autoencoders.cuboids import Cuboids
from models.autoencoders.settings import AutoencoderSettings
from models.autoencoders.training import Trained, TrainingSettings, scores_of
from models.federation.autoencoder_site import AutoencoderSite
from models.federation.base import Evaluation, LocalUpdate, Tensors

Scores = NDArray[np.float32]
SITES_KEPT = 4
"""Sites that a worker keeps between calls: their mean pictures are costly to make anew."""


@dataclass(frozen=True)
class SiteWork:
    """A site as a worker is told of it.

    Attributes:
        model: shape of the autoencoder.
        training: how it is trained, with as many epochs as all rounds have together.
        rounds, local_epochs: of the federation.
        step: pictures from one training cuboid's first picture to the next one's.
        clips, held_out: the site's normal clips.
    """

    model: AutoencoderSettings
    training: TrainingSettings
    rounds: int
    local_epochs: int
    step: int
    clips: tuple[ClipRows, ...]
    held_out: tuple[ClipRows, ...]

    def cuboids(self, clips: Sequence[ClipRows], strides: tuple[int, ...] = (1,)) -> Cuboids:
        return Cuboids(tuple(clip.read() for clip in clips), self.model.cuboid_frames, strides, self.step)


@dataclass(frozen=True, eq=False)
class RoundScores:
    """What a round's model comes to at one site.

    Attributes:
        normal: float32, scores of the training cuboids.
        test: scores of the cuboids of each test clip, float32 (N,); cuboid n begins at picture n · step.
    """

    normal: Scores
    test: tuple[Scores, ...]


class PooledSite:
    """A site whose work is done by a pool of workers (`SiteTraining`); its memory stays with the caller.

    Args:
        work: what the workers are told.
        samples: training cuboids.
        pool: of workers that see the files.
        keeps_memory: False begins each round with a new optimiser.
    """

    def __init__(self, work: SiteWork, pool: Executor, *, keeps_memory: bool = True) -> None:
        self._work, self._pool, self._keeps_memory = work, pool, keeps_memory

    @property
    def samples(self) -> int:
        return len(self._work.cuboids(self._work.clips, self._work.training.strides))

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        """See `SiteTraining.train`."""
        kept = memory if self._keeps_memory else None
        return self._pool.submit(train_round, self._work, shared, round_number, kept).result()

    def evaluate(self, shared: Tensors) -> Evaluation:
        """See `SiteTraining.evaluate`."""
        return self._pool.submit(evaluate_round, self._work, shared).result()

    def finished(self, shared: Tensors) -> Trained:
        """See `SiteTraining.finished`."""
        return _site(self._work).finished(shared)


def train_round(work: SiteWork, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
    """A site's part in a round."""
    return _site(work).train(shared, round_number, memory)


def evaluate_round(work: SiteWork, shared: Tensors) -> Evaluation:
    """What shared tensors come to on a site's held-out cuboids."""
    return _site(work).evaluate(shared)


def score_round(work: SiteWork, shared: Tensors, test: tuple[ClipRows, ...], step: int) -> RoundScores:
    """Scores of a site's training footage and of its test clips by shared tensors with its own local ones.

    Args:
        work: the site.
        shared: tensors after a round.
        test: clips of its camera.
        step: pictures from one scored cuboid's first picture to the next one's.
    """
    trained = _site(work).finished(shared)
    return RoundScores(
        np.concatenate([_scores(trained, clip, step) for clip in work.clips]),
        tuple(_scores(trained, clip, step) for clip in test),
    )


def _scores(trained: Trained, clip: ClipRows, step: int) -> Scores:
    return scores_of(trained.network, Cuboids((clip.read(),), trained.settings.cuboid_frames, (1,), step))


@lru_cache(maxsize=SITES_KEPT)
def _site(work: SiteWork) -> AutoencoderSite:
    return AutoencoderSite(
        work.model,
        work.cuboids(work.clips, work.training.strides),
        work.cuboids(work.held_out),
        work.training,
        rounds=work.rounds,
        local_epochs=work.local_epochs,
    )
