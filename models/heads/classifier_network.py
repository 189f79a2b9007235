"""The head of an alarm as a torch network, all its members at once: what is trained."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.heads.classifier import LIMIT, ClassifierHead, ClassifierSettings


class HeadNetwork(nn.Module):
    """Standardise, then the layers of every member at once; called, it gives logits averaged over members.

    Args:
        offset, scale: float32 (D,), of the standardisation; see `ClassifierHead`.
        widths: values of each layer, from D to K.
        members: heads beside one another.
        dropout: after each hidden layer, while it trains.
    """

    def __init__(self, offset: Tensor, scale: Tensor, widths: tuple[int, ...], members: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList([torch.empty(members, into, out) for into, out in pairs])
        self.biases = nn.ParameterList([torch.empty(members, 1, out) for _, out in pairs])
        self.dropout = dropout
        for weight, bias in zip(self.weights, self.biases, strict=True):
            # As torch's own linear layer begins: uniform within ±1 / √in.
            bound = 1 / math.sqrt(weight.shape[1])
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    @classmethod
    def begun(cls, settings: ClassifierSettings, offset: Tensor, scale: Tensor, classes: int) -> "HeadNetwork":
        """A network to train; its first weights are torch's next random numbers."""
        return cls(offset, scale, (len(offset), *settings.hidden, classes), settings.members, settings.dropout)

    def head(self, classes: tuple[str, ...]) -> ClassifierHead:
        """What was trained, as arrays of its own."""
        layers = tuple(
            (weight.detach().numpy().copy(), bias.detach().numpy()[:, 0].copy())
            for weight, bias in zip(self.weights, self.biases, strict=True)
        )
        return ClassifierHead(classes, self._buffer("offset").numpy(), self._buffer("scale").numpy(), layers)

    def standardised(self, vectors: Tensor) -> Tensor:
        """(N, D) → (N, D)."""
        return torch.clamp((vectors - self._buffer("offset")) / self._buffer("scale"), -LIMIT, LIMIT)

    def member_logits(self, standardised: Tensor) -> Tensor:
        """(N, D) → (members, N, K)."""
        last = len(self.weights) - 1
        values = standardised.unsqueeze(0)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.matmul(values, weight) + bias
            if number < last:
                values = functional.dropout(torch.relu(values), self.dropout, self.training)
        return values

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, D) → (N, K)."""
        return self.member_logits(self.standardised(vectors)).mean(dim=0)

    def _buffer(self, name: str) -> Tensor:
        return self.get_buffer(name)
