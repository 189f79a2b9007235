"""Training the head of a segment classifier (row V2): the head of an alarm, with losses that know of videos and neighbours.

The head is `models.heads.classifier`'s, and everything that uses one uses this one. What differs is the batch: it holds
runs of segments that follow one another in one video, anomalous and normal ones side by side as far as there are, so that
bags can be ranked and neighbours smoothed. Every segment is in one batch of an epoch.

How long is trained is said and not found out: accuracy and loss of other parts are looked at after each epoch, and decide
nothing. On one machine the same samples, settings and seed give the same head to the last bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from infra.errors import AfterwatchError, ConfigurationError
from models.heads.base import Vectors, check_vectors
from models.heads.classifier import ClassifierHead, ClassifierSettings
from models.heads.classifier_network import HeadNetwork
from models.heads.classifier_training import one_thread, standardisation
from models.losses import SegmentLossSettings, segment_loss

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

CLASS = "anomaly"
"""The only class of such a head."""
HALF = 0.5
RUNS = 4
"""Runs in a batch: as many bags to be ranked, and neighbours enough in each."""

SEGMENT_HEAD = ClassifierSettings(
    hidden=(512, 32),
    dropout=0.6,
    learning_rate=1e-3,
    weight_decay=0.0,
    epochs=20,
    batch_size=32,
    patience=None,
    class_weights="none",
    members=1,
)
"""Adam at 0.001, batches of 32 and 20 epochs as S3 says (its table 2); the layers, of which it does not tell, and their dropout
are those of Sultani et al. (2018)."""


@dataclass(frozen=True, eq=False)
class SegmentSamples:
    """Segments of videos, in order of video and time.

    Attributes:
        vectors: float32 (M, D).
        video: int64 (M,), number of the video of each segment, not decreasing.
        follows: bool (M,), whether a segment comes right after the one before it, in the same video.
        positive: bool (M,), whether it is anomalous.
    """

    vectors: Vectors
    video: Rows
    follows: Flags
    positive: Flags

    def __post_init__(self) -> None:
        check_vectors(self.vectors)
        shapes = {self.video.shape, self.follows.shape, self.positive.shape}
        if shapes != {(len(self.vectors),)}:
            raise ValueError(f"each of {len(self.vectors)} segments has a video, follows and positive, got {shapes}")
        steps = np.diff(self.video)
        if np.any(steps < 0) or np.any(self.follows[1:] & (steps > 0)) or self.follows[:1].any():
            raise ValueError("segments are in order of video, and the first one of a video follows none")

    def __len__(self) -> int:
        return len(self.video)

    def of(self, videos: Rows) -> "SegmentSamples":
        """The segments of some videos, by number."""
        rows = np.isin(self.video, videos)
        return SegmentSamples(self.vectors[rows], self.video[rows], self.follows[rows], self.positive[rows])


@dataclass(frozen=True)
class Curve:
    """A part after each epoch: share of its segments told right at a probability of 0.5, and the loss."""

    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class TrainedSegments:
    """A head, and how it became one.

    Attributes:
        head: of the last epoch.
        curves: by part.
        seconds_per_epoch: of training, without the looks at the parts.
    """

    head: ClassifierHead
    curves: Mapping[str, Curve]
    seconds_per_epoch: float


def train_segments(
    settings: ClassifierSettings,
    loss: SegmentLossSettings,
    training: SegmentSamples,
    parts: Mapping[str, SegmentSamples],
    progress: Callable[[float], None] = lambda _share: None,
) -> TrainedSegments:
    """Train a head.

    Args:
        settings: shape of the head, and how long; without `patience`.
        loss: see `models.losses`.
        training: segments to learn from.
        parts: what is looked at after each epoch, by name; the training part may be among them.
        progress: called with the finished share of the epochs.

    Raises:
        ConfigurationError: every segment to learn from is anomalous, or none is, or there is a patience.
        AfterwatchError: the loss is not finite.
    """
    if settings.patience is not None:
        raise ConfigurationError(f"a segment classifier is trained for all of its epochs, got {settings.patience=}")
    if training.positive.all() or not training.positive.any():
        raise ConfigurationError(
            f"{'every one' if training.positive.any() else 'none'} of the {len(training)} segments to learn from is "
            "anomalous, and a head learns from both; add videos, or correct the annotations"
        )
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(settings.seed)
        offset, scale = standardisation(training.vectors)
        network = HeadNetwork.begun(settings, torch.from_numpy(offset), torch.from_numpy(scale), 1)
        running = _Training(settings, loss, network, training)
        looked_at = {name: _Segments.of(network, part) for name, part in parts.items() if len(part)}
        told: dict[str, list[tuple[float, float]]] = {name: [] for name in looked_at}
        seconds = 0.0
        for epoch in range(settings.epochs):
            began = perf_counter()
            running.epoch()
            seconds += perf_counter() - began
            for name, part in looked_at.items():
                told[name].append(running.measured(part))
            progress((epoch + 1) / settings.epochs)
        curves = {name: Curve(*zip(*values, strict=True)) for name, values in told.items()}
        return TrainedSegments(network.head((CLASS,)), curves, seconds / settings.epochs)


def losses_of(loss: SegmentLossSettings, head: ClassifierHead, samples: SegmentSamples) -> tuple[float, float]:
    """Mean binary cross entropy of segments, and the whole loss with whole videos as bags; nan of none.

    Each segment counts once in both, also where training gave the anomalous ones more weight.

    Args:
        loss: what the head was trained on.
        head: that was trained.
        samples: segments.
    """
    if not len(samples):
        return float("nan"), float("nan")
    logits = torch.from_numpy(head.logits(samples.vectors)[:, 0])
    targets = torch.from_numpy(samples.positive.astype(np.float32))
    plain = functional.binary_cross_entropy_with_logits(logits, targets)
    whole = segment_loss(loss, logits, targets, _numbered(samples.video), _neighbours(samples.follows))
    return float(plain), float(whole)


def batches(samples: SegmentSamples, batch_size: int, random: np.random.Generator) -> list[Rows]:
    """Rows of each batch of an epoch, every segment in one of them.

    Stretches of neighbours are cut into runs of at most a fourth of a batch, at other places each time. Runs with an
    anomalous segment and runs without are shuffled and spread evenly over the epoch.

    Args:
        samples: segments.
        batch_size: most segments of a batch.
        random: decides cuts and order.

    Returns:
        int64 rows of each batch; those of a run stand together, in order of time.
    """
    longest = max(1, batch_size // RUNS)
    runs: list[Rows] = []
    for stretch in np.split(np.arange(len(samples)), np.flatnonzero(~samples.follows)[1:]):
        first = int(random.integers(1, longest + 1))
        runs += [run for run in np.split(stretch, np.arange(first, len(stretch), longest)) if len(run)]
    anomalous = [bool(samples.positive[run].any()) for run in runs]
    places = np.empty(len(runs))
    for kind in (True, False):
        mine = np.flatnonzero(np.array(anomalous) == kind)
        places[mine] = (random.permutation(len(mine)) + 0.5) / max(1, len(mine))
    filled: list[list[Rows]] = [[]]
    for number in np.argsort(places, kind="stable").tolist():
        if filled[-1] and sum(map(len, filled[-1])) + len(runs[number]) > batch_size:
            filled.append([])
        filled[-1].append(runs[number])
    return [np.concatenate(one) for one in filled if one]


@dataclass(frozen=True)
class _Segments:
    """Standardised segments (M, D), what they show (M,), bags (M,) and neighbours (P, 2): whole videos."""

    vectors: Tensor
    targets: Tensor
    bags: Tensor
    neighbours: Tensor

    @classmethod
    def of(cls, network: HeadNetwork, samples: SegmentSamples) -> "_Segments":
        return cls(
            network.standardised(torch.from_numpy(samples.vectors)),
            torch.from_numpy(samples.positive.astype(np.float32)),
            _numbered(samples.video),
            _neighbours(samples.follows),
        )


class _Training:
    """A network on its way."""

    def __init__(
        self, settings: ClassifierSettings, loss: SegmentLossSettings, network: HeadNetwork, samples: SegmentSamples
    ) -> None:
        self._settings, self._loss, self.network, self._samples = settings, loss, network, samples
        self._segments = _Segments.of(network, samples)
        shown = int(samples.positive.sum())
        balanced = settings.class_weights == "balanced"
        self._positive_weight = torch.tensor((len(samples) - shown) / shown) if balanced else None
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self._random = np.random.default_rng(settings.seed)

    def epoch(self) -> None:
        """Train on all segments once, in new batches."""
        self.network.train()
        for rows in batches(self._samples, self._settings.batch_size, self._random):
            self._optimiser.zero_grad(set_to_none=True)
            # A run that goes on in the next batch is two bags, for no batch sees the other.
            follows = self._samples.follows[rows] & (np.diff(rows, prepend=-2) == 1)
            targets = self._segments.targets[rows]
            logits = self.network.member_logits(self._segments.vectors[rows])[..., 0]
            bags, neighbours = _numbered(self._samples.video[rows]), _neighbours(follows)
            # Summed over members: each learns as if it were alone.
            parts = [
                segment_loss(self._loss, own, targets, bags, neighbours, self._positive_weight)
                for own in logits.unbind()
            ]
            loss = torch.stack(parts).sum()
            if not bool(torch.isfinite(loss)):
                raise AfterwatchError(
                    f"the loss is {loss.item()} at a learning rate of {self._settings.learning_rate:g}; give a smaller one"
                )
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self._optimiser.step()
        self.network.eval()

    def measured(self, part: _Segments) -> tuple[float, float]:
        """Accuracy at a probability of 0.5, and the loss, of a part that is not learnt from."""
        with torch.inference_mode():
            logits = self.network.member_logits(part.vectors).mean(dim=0)[:, 0]
            right = (torch.sigmoid(logits) > HALF) == (part.targets > 0)
            loss = segment_loss(self._loss, logits, part.targets, part.bags, part.neighbours)
            return float(right.float().mean()), float(loss)


def _numbered(videos: Rows) -> Tensor:
    """int64 (M,): videos numbered from 0 without a gap."""
    return torch.from_numpy(np.unique(videos, return_inverse=True)[1].reshape(-1).astype(np.int64))


def _neighbours(follows: Flags) -> Tensor:
    """int64 (P, 2): rows of segments and of those right before them."""
    second = np.flatnonzero(follows)
    return torch.from_numpy(np.stack([second - 1, second], axis=1).astype(np.int64))
