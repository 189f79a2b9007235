"""A network behind its data flow: pictures of a clip in, a probability for each class out."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infra.errors import ConfigurationError, FootageError
from models.encoders.base import EncoderSpec
from models.encoders.torch_runner import choose_batch_size, choose_device
from models.networks.base import VideoNetwork
from models.recognition.flow import RecognitionFlow, Rgb, Times, pictures_at
from models.recognition.scoring import Scores, mean_probabilities


class ClipSample:
    """What a network is going to see of one clip: its pictures are added as they are decoded, scaled at once.

    Attributes:
        pictures: int64 (clips, T), which picture stands at each time of each view.
    """

    def __init__(self, flow: RecognitionFlow, pictures: Times) -> None:
        self.pictures = pictures
        self._flow = flow
        self._wanted = frozenset(int(picture) for picture in pictures.ravel())
        self._scaled: dict[int, Tensor] = {}

    @property
    def wanted(self) -> Times:
        """int64, indices of the pictures that take part, increasing."""
        return np.array(sorted(self._wanted), np.int64)

    @property
    def lost(self) -> int:
        """How many of the wanted pictures were not added."""
        return len(self._wanted) - len(self._scaled)

    def add(self, index: int, rgb: Rgb) -> None:
        """Take in a picture, uint8 (H, W, 3); one that is not wanted is let go."""
        if index in self._wanted:
            self._scaled[index] = self._flow.scaled(rgb)

    def views(self) -> Iterator[Tensor]:
        """float32 (crops, 3, T, s, s) for each view in time.

        For a picture that was not added, because it cannot be decoded, the one before it stands in, before the first the
        first.

        Raises:
            FootageError: none was added.
        """
        if not self._scaled:
            raise FootageError("none of the pictures that the network looks at can be decoded")
        there = np.array(sorted(self._scaled), np.int64)
        standing = there[pictures_at(there, self.pictures)]
        for row in standing:
            yield self._flow.cropped(torch.stack([self._scaled[int(index)] for index in row]))


class Recogniser:
    """A network that names the class of a clip.

    Attributes:
        name: of the network.
        flow: how clips reach it.
        classes: how many it tells apart.
    """

    def __init__(
        self, spec: EncoderSpec, network: VideoNetwork, flow: RecognitionFlow, *, device: str = "auto"
    ) -> None:
        """Move `network` to the device.

        Args:
            spec: of its encoder; it tells the name and bounds the batch.
            network: with a classifier layer.
            flow: how clips reach it.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.

        Raises:
            ConfigurationError: the network has no classifier layer, or the device is not there.
        """
        if network.classes is None:
            raise ConfigurationError(
                f"{spec.name} has no classifier layer, for its weights hold none: it names no classes. Add weights that "
                'were saved with their classifier, or fit one with "afterwatch fit classifier" and name it by --classifier'
            )
        self.name = spec.name
        self.flow = flow
        self.classes: int = network.classes
        self._device = choose_device(device)
        self._batch = choose_batch_size(spec, self._device, None)
        self._network = network.eval().requires_grad_(False).to(self._device)

    @property
    def device(self) -> str:
        return str(self._device)

    def sample(self, t_us: Times, duration_us: int) -> ClipSample:
        """What is to be seen of a clip whose pictures begin at `t_us`, int64 (P,), and that lasts `duration_us`."""
        return ClipSample(self.flow, pictures_at(t_us, self.flow.times_us(duration_us)))

    def probabilities(self, sample: ClipSample) -> Scores:
        """float32 (K,): the mean of the class probabilities over all views of a clip.

        Raises:
            FootageError: no picture of the clip was added.
        """
        return mean_probabilities(np.concatenate([self._logits(batch) for batch in self._batches(sample.views())]))

    def run_alone(self) -> None:
        """The network by itself on ready tensors of as many views as a clip has: what the rest is measured against."""
        side, flow = self.flow.crop_px, self.flow
        view = torch.rand(flow.crops, 3, flow.frames, side, side, generator=torch.Generator().manual_seed(0))
        for batch in self._batches(view for _ in range(flow.clips)):
            self._logits(batch)

    def _batches(self, views: Iterator[Tensor]) -> Iterator[Tensor]:
        """Views of one clip put together up to the batch size, so that memory is bounded however many there are."""
        held: list[Tensor] = []
        for view in views:
            for crop in view:
                held.append(crop)
                if len(held) == self._batch:
                    yield torch.stack(held)
                    held = []
        if held:
            yield torch.stack(held)

    def _logits(self, batch: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = self._network.logits(batch.to(self._device)).float().cpu().numpy()
            return found
