"""The losses that projections are trained with; those of metric learning are pytorch-metric-learning's."""

import torch
from pytorch_metric_learning.losses import SupConLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor, nn

from models.projections.trained import ProjectionTraining


class Loss(nn.Module):
    """The loss of a batch of projected views; see `forward`."""

    def forward(self, projected: Tensor, classes: Tensor, samples: Tensor) -> Tensor:
        """Reckon the loss.

        Args:
            projected: float (B, d).
            classes: int64 (B,), the class of each row.
            samples: int64 (B,), the sample that each row is a view of.

        Returns:
            A scalar; 0, with gradients of 0, where the batch holds nothing to compare.
        """
        raise NotImplementedError


class CrossEntropy(Loss):
    """Cross entropy of a further linear layer, d to the classes, which trains along."""

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dimension, classes)

    def forward(self, projected: Tensor, classes: Tensor, samples: Tensor) -> Tensor:  # noqa: ARG002 — see Loss
        return nn.functional.cross_entropy(self.classifier(projected), classes)


class Triplet(Loss):
    """max(d(a, p) - d(a, n) + α, 0) of each row with its farthest positive and its nearest negative in the batch.

    d is the Euclidean distance of vectors of length 1; the mean is over the triplets whose loss is not 0 (FaceNet,
    Schroff et al. 2015; batch hard, Hermans et al. 2017).
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self._mine, self._loss = BatchHardMiner(), TripletMarginLoss(margin=margin)

    def forward(self, projected: Tensor, classes: Tensor, samples: Tensor) -> Tensor:  # noqa: ARG002 — see Loss
        loss: Tensor = self._loss(projected, classes, self._mine(projected, classes))
        return loss


class Contrastive(Loss):
    """-mean over i of mean over positives p of log(exp(z_i · z_p / τ) / sum over j ≠ i of exp(z_i · z_j / τ)).

    z are the rows brought to length 1. Positives are the other rows of the class (Khosla et al. 2020, L_out), or, where
    nothing is known but which rows are views of one sample, those (Chen et al. 2020, for more than two views).
    """

    def __init__(self, temperature: float, *, of_samples: bool) -> None:
        super().__init__()
        self._of_samples, self._loss = of_samples, SupConLoss(temperature=temperature)

    def forward(self, projected: Tensor, classes: Tensor, samples: Tensor) -> Tensor:
        loss: Tensor = self._loss(projected, samples if self._of_samples else classes)
        return loss


def build_loss(settings: ProjectionTraining, dimension: int, classes: int) -> Loss:
    """The loss of `settings`; a cross entropy's layer is drawn from torch's global generator."""
    match settings.loss:
        case "cross_entropy":
            return CrossEntropy(dimension, classes)
        case "triplet":
            return Triplet(settings.margin)
        case "supervised_contrastive":
            return Contrastive(settings.temperature, of_samples=False)
        case "self_supervised":
            return Contrastive(settings.temperature, of_samples=True)


def rows_of_views(views: Tensor, classes: Tensor, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Views (B, V, D) of samples as rows (B · V, D), each with the class and the number of its sample."""
    each = views.shape[1]
    return views.flatten(0, 1), classes.repeat_interleave(each), torch.as_tensor(samples).repeat_interleave(each)
