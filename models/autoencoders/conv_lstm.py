"""A convolutional LSTM layer: what a picture's features become in the light of those before it."""

import torch
from torch import Tensor, nn


class ConvLstm(nn.Module):
    """Shi et al. 2015 (arXiv:1506.04214), equation 3, without peepholes; states begin at zero.

    ::

        i, f, o = σ(W_x * x_t + W_h * h_{t-1} + b)     g = tanh(…)
        c_t = f ∘ c_{t-1} + i ∘ g                       h_t = o ∘ tanh(c_t)

    Args:
        channels: of the input.
        hidden: of the output.
        kernel: side of the kernels, odd; the size of the maps stays.
    """

    def __init__(self, channels: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel is odd, got {kernel}")
        self.inputs = nn.Conv2d(channels, 4 * hidden, kernel, padding=kernel // 2)
        self.recurrent = nn.Conv2d(hidden, 4 * hidden, kernel, padding=kernel // 2, bias=False)
        self._hidden = hidden
        with torch.no_grad():
            assert self.inputs.bias is not None
            self.inputs.bias.zero_()
            # Remembering is the beginning (Jozefowicz et al. 2015).
            self.inputs.bias[hidden : 2 * hidden] = 1.0

    def forward(self, sequence: Tensor) -> Tensor:
        """(N, T, C, H, W) → (N, T, hidden, H, W)."""
        count, frames, _, height, width = sequence.shape
        driven = self.inputs(sequence.flatten(0, 1)).reshape(count, frames, -1, height, width)
        hidden = cell = sequence.new_zeros(count, self._hidden, height, width)
        told = []
        for step in range(frames):
            gates = driven[:, step] if step == 0 else driven[:, step] + self.recurrent(hidden)
            write, keep, show, new = gates.chunk(4, dim=1)
            cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
            hidden = show.sigmoid() * cell.tanh()
            told.append(hidden)
        return torch.stack(told, dim=1)
