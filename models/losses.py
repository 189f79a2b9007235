"""Losses of a segment classifier (row V2): binary cross entropy, and what S3 and the literature add to it.

All are functions of a batch of segments. A *score* is a segment's probability of an anomaly, the logistic function of its
logit. A *bag* is what a batch holds of one video, in the words of multiple-instance learning.

S3 gives its ranking and smoothness terms in formulas that do not do what its text says: its "ranking" pulls the scores of
normal segments up as well, and its smoothness is taken off the loss, which rewards scores that jump. Both are here by their
letter, as the ablation `s3`; the terms of Sultani et al. (CVPR 2018), whom S3 sets out to improve, are the default.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from infra.errors import ConfigurationError, UnknownNameError

LossKind = Literal["mil", "pairwise", "s3", "bce"]
KINDS: tuple[LossKind, ...] = get_args(LossKind)

MOST_WEIGHT = 1000.0
"""Beyond this a weight is a slip of the hand."""
PUBLISHED_WEIGHT = 8e-5
"""Of smoothness and of sparsity (Sultani et al. 2018, section 4.1)."""


@dataclass(frozen=True)
class SegmentLossSettings:
    """What is added to binary cross entropy.

    Attributes:
        kind: `mil`: `mil_ranking` over bags, smoothness and sparsity; `pairwise`: `pairwise_hinge` over segments, and
            smoothness; `s3`: S3's formulas by their letter, the smoothness subtracted; `bce`: nothing.
        ranking_weight: w_r.
        smoothness_weight: w_s.
        sparsity_weight: of `mil` only.
    """

    kind: LossKind = "mil"
    ranking_weight: float = 1.0
    smoothness_weight: float = PUBLISHED_WEIGHT
    sparsity_weight: float = PUBLISHED_WEIGHT

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("loss", self.kind, KINDS)
        weights = {
            "ranking_weight": self.ranking_weight,
            "smoothness_weight": self.smoothness_weight,
            "sparsity_weight": self.sparsity_weight,
        }
        for name, value in weights.items():
            if not (math.isfinite(value) and 0 <= value <= MOST_WEIGHT):
                raise ConfigurationError(f"{name} is a number from 0 to {MOST_WEIGHT:g}, got {value}; correct it")
        unused = {"bce": tuple(weights), "mil": ()}.get(self.kind, ("sparsity_weight",))
        for name in unused:
            if weights[name]:
                raise ConfigurationError(f"the loss {self.kind} has no {name}, got {weights[name]:g}; leave it out")


LOSSES: dict[LossKind, SegmentLossSettings] = {
    "mil": SegmentLossSettings(),
    "pairwise": SegmentLossSettings("pairwise", sparsity_weight=0.0),
    # S3 does not say its weights.
    "s3": SegmentLossSettings("s3", smoothness_weight=1.0, sparsity_weight=0.0),
    "bce": SegmentLossSettings("bce", 0.0, 0.0, 0.0),
}
"""Each kind with its default weights."""


def segment_loss(
    settings: SegmentLossSettings,
    logits: Tensor,
    targets: Tensor,
    bags: Tensor,
    neighbours: Tensor,
    positive_weight: Tensor | None = None,
) -> Tensor:
    """The whole loss of a batch: binary cross entropy, and the terms of `settings`.

    Smoothness and sparsity are sums over a bag, as published, and are averaged over bags: their weight does not depend on
    how many videos a batch holds.

    Args:
        settings: which terms.
        logits: float (B,), of segments; the order counts for `s3` only.
        targets: float (B,), 1 for an anomalous segment, 0 for a normal one.
        bags: int64 (B,), the bag of each segment, numbered from 0 without a gap. A bag with an anomalous segment is
            anomalous.
        neighbours: int64 (P, 2), rows of segments that follow one another in one video.
        positive_weight: float scalar, how often an anomalous segment counts in the cross entropy; None: once.

    Returns:
        A scalar; a term is 0, with gradients of 0, where the batch holds nothing that it speaks of.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=positive_weight)
    scores = torch.sigmoid(logits)
    match settings.kind:
        case "mil":
            anomalous = bag_largest(targets, bags) > 0
            smooth = temporal_smoothness(scores, neighbours) / len(anomalous)
            sparse = sparsity(scores, anomalous[bags]) / anomalous.sum().clamp(min=1)
            return (
                loss
                + settings.ranking_weight * mil_ranking(scores, bags, anomalous)
                + settings.smoothness_weight * smooth
                + settings.sparsity_weight * sparse
            )
        case "pairwise":
            smooth = temporal_smoothness(scores, neighbours) / (bags.max() + 1)
            ranking = pairwise_hinge(scores, targets)
            return loss + settings.ranking_weight * ranking + settings.smoothness_weight * smooth
        case "s3":
            ranking = s3_contrastive(scores, targets)
            return loss + settings.ranking_weight * ranking - settings.smoothness_weight * s3_smoothness(scores)
        case "bce":
            return loss


def mil_ranking(scores: Tensor, bags: Tensor, anomalous: Tensor) -> Tensor:
    """Mean over pairs of an anomalous bag a and a normal bag n of max(0, 1 - max of a + max of n).

    The ranking loss of multiple-instance learning, equation 5 of Sultani, Chen and Shah (CVPR 2018): the highest score of
    an anomalous video is to be above the highest one of a normal video.

    Args:
        scores: float (B,).
        bags: int64 (B,), the bag of each score, from 0 to G - 1, none empty.
        anomalous: bool (G,).

    >>> scores, bags = torch.tensor([0.75, 0.25, 0.5]), torch.tensor([0, 0, 1])
    >>> mil_ranking(scores, bags, torch.tensor([True, False])).item()
    0.75
    """
    largest = bag_largest(scores, bags)
    return _mean_hinge(largest[anomalous], largest[~anomalous])


def pairwise_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    """Mean over pairs of an anomalous segment a and a normal segment n of a batch of max(0, 1 - s_a + s_n).

    The ranking hinge of Herbrich, Graepel and Obermayer (1999), which an area under the ROC curve of 1 brings to the least.

    Args:
        scores: float (B,).
        targets: float (B,), 1 or 0.
    """
    return _mean_hinge(scores[targets > 0], scores[targets <= 0])


def temporal_smoothness(scores: Tensor, neighbours: Tensor) -> Tensor:
    """Σ (s_i - s_j)² over pairs of neighbours, the second term of equation 7 of Sultani et al. (2018); it is added.

    Args:
        scores: float (B,).
        neighbours: int64 (P, 2), rows of segments that follow one another in one video.

    >>> temporal_smoothness(torch.tensor([0.0, 0.5, 0.5, 1.0]), torch.tensor([[0, 1], [2, 3]])).item()
    0.5
    """
    return (scores[neighbours[:, 0]] - scores[neighbours[:, 1]]).square().sum()


def sparsity(scores: Tensor, in_anomalous_bag: Tensor) -> Tensor:
    """Σ s_i over the segments of anomalous bags, the third term of equation 7 of Sultani et al. (2018).

    Args:
        scores: float (B,).
        in_anomalous_bag: bool (B,).
    """
    return scores[in_anomalous_bag].sum()


def s3_contrastive(scores: Tensor, targets: Tensor, margin: float = 1.0) -> Tensor:
    """Mean of y (y - s)² + (1 - y) max(0, m - (y - s)²), S3's "ranking loss" by its letter (its section 3.3.1).

    For a normal segment (y = 0) this is max(0, m - s²), which is least where the score is highest: it works against the
    cross entropy beside it. S3 does not say its margin m.

    Args:
        scores: float (B,).
        targets: float (B,), 1 or 0.
        margin: m.
    """
    apart = (targets - scores).square()
    return (targets * apart + (1 - targets) * torch.relu(margin - apart)).mean()


def s3_smoothness(scores: Tensor) -> Tensor:
    """Mean of |s_(i+1) - s_i| along a batch, whatever videos its segments are of: S3's section 3.3.2 by its letter.

    S3 subtracts it, and so rewards scores that jump. 0 where there is one score.
    """
    return (scores[1:] - scores[:-1]).abs().sum() / max(1, len(scores) - 1)


def bag_largest(values: Tensor, bags: Tensor) -> Tensor:
    """float (G,): the largest of the values (B,) of each bag; see `mil_ranking`."""
    start = torch.full((int(bags.max()) + 1,), -torch.inf, dtype=values.dtype)
    return start.scatter_reduce(0, bags, values, "amax")


def _mean_hinge(above: Tensor, below: Tensor) -> Tensor:
    """Mean over pairs of max(0, 1 - a + b); 0 with gradients of 0 where there is no pair."""
    pairs = torch.relu(1 - above[:, None] + below[None, :])
    return pairs.sum() / max(1, pairs.numel())
