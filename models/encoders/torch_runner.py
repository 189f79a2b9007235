"""Runs a torch network over pictures: device, precision, normalisation, micro-batches, shrinking on lack of memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from infra.errors import AfterwatchError, ConfigurationError
from models.encoders.architectures import Normalisation
from models.encoders.base import EncoderSpec, Pixels, Vectors, check_pixels

Precision = Literal["auto", "fp32", "fp16", "bf16"]
PRECISIONS = ("auto", "fp32", "fp16", "bf16")

# Pixels put through a network at once, and the largest batch: larger ones cost memory and gain little speed.
CPU_PIXELS, CPU_BATCH = 4_000_000, 32
CUDA_PIXELS, CUDA_BATCH = 64_000_000, 256

Made = TypeVar("Made")


def choose_device(device: str) -> torch.device:
    """`auto` is a GPU where there is one; else `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigurationError: another word, or a GPU that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdecimal())):
        raise ConfigurationError(f'device "{device}" is not one of auto, cpu, cuda, cuda:N; correct the setting')
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(
            f'device "{device}" is not there: {torch.cuda.device_count()} GPUs are visible; set device to "auto" or "cpu"'
        )
    return torch.device(device)


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """`auto` is fp16 on a GPU (vectors are stored as float16, and bf16 is coarser) and fp32 on a CPU.

    Raises:
        ConfigurationError: another word, or fp16 on a CPU.
    """
    match precision, device.type:
        case "auto", kind:
            return torch.float32 if kind == "cpu" else torch.float16
        case "fp32", _:
            return torch.float32
        case "bf16", _:
            return torch.bfloat16
        case "fp16", "cuda":
            return torch.float16
        case "fp16", _:
            raise ConfigurationError('precision "fp16" needs a GPU; set it to "auto", "fp32" or "bf16"')
        case _:
            raise ConfigurationError(
                f'precision "{precision}" is not one of {", ".join(PRECISIONS)}; correct the setting'
            )


def choose_batch_size(spec: EncoderSpec, device: torch.device, batch_size: int | None) -> int:
    """The given batch size, or one that keeps a batch's pixels within the device's bound."""
    if batch_size is not None:
        if batch_size < 1:
            raise ConfigurationError(f"batch_size is at least 1, got {batch_size}; correct the setting")
        return batch_size
    pixels, most = (CPU_PIXELS, CPU_BATCH) if device.type == "cpu" else (CUDA_PIXELS, CUDA_BATCH)
    height, width = spec.input_size
    return max(1, min(most, pixels // (spec.snippet_frames * height * width)))


@contextmanager
def seeded(spec: EncoderSpec) -> Iterator[None]:
    """Make a network's first weights from the spec's seed (0 where they are replaced), and leave the global one be."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(spec.weights.removeprefix("random:")) if spec.weights.startswith("random:") else 0)
        yield


class TorchEncoder:
    """A network as an `Encoder`.

    A batch that does not fit the GPU's memory is halved and tried again; the smaller size stays. In evaluation mode a
    picture's vector does not depend on its batch mates beyond rounding.
    """

    def __init__(
        self,
        module: nn.Module,
        spec: EncoderSpec,
        normalisation: Normalisation,
        dimension: int,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        """Move `module` to the device.

        Args:
            module: takes float32 (N, 3, H, W) for a frame encoder or (N, 3, T, H, W) for a snippet encoder, normalised,
                and returns (N, `dimension`).
            spec: what the encoder is.
            normalisation: per RGB channel, in the unit range.
            dimension: length of a vector.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `fp32`, `fp16` or `bf16`; below fp32 by autocast.
            batch_size: pictures or snippets at once; by default a bound on pixels decides.
        """
        self._device = choose_device(device)
        self._dtype = choose_precision(precision, self._device)
        self._batch_size = choose_batch_size(spec, self._device, batch_size)
        self._module = module.eval().requires_grad_(False).to(self._device)
        self._spec = spec
        self._normalisation = normalisation
        self._dimension = dimension
        channels = (1, 3, *(1,) * (3 if spec.kind == "snippet" else 2))
        self._mean = torch.tensor(normalisation.mean, device=self._device).reshape(channels) * 255
        self._scale = 1 / (torch.tensor(normalisation.std, device=self._device).reshape(channels) * 255)

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def module(self) -> nn.Module:
        """What is run: normalised pictures in, vectors out."""
        return self._module

    @property
    def normalisation(self) -> Normalisation:
        """What comes before it, for each RGB channel in the unit range."""
        return self._normalisation

    @property
    def parameters(self) -> int:
        """How many values the network has learned."""
        return sum(parameter.numel() for parameter in self._module.parameters())

    @property
    def batch_size(self) -> int:
        """Pictures or snippets at once; smaller than asked for once memory ran out."""
        return self._batch_size

    def encode(self, pixels: Pixels) -> Vectors:
        """See `Encoder.encode`."""
        check_pixels(pixels, self._spec)
        return self._in_batches(len(pixels), lambda start, stop: self._module(self._input(pixels[start:stop])))

    def _input(self, pixels: Pixels) -> Tensor:
        # torch shares memory with what it wraps and wants it writable; a memory-mapped shard is not.
        raw = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(self._device)
        last_to_second = (0, 4, 1, 2, 3) if raw.ndim == 5 else (0, 3, 1, 2)
        return (raw.permute(last_to_second).float() - self._mean) * self._scale

    def _in_batches(self, count: int, forward: Callable[[int, int], Tensor]) -> Vectors:
        vectors = np.empty((count, self._dimension), np.float32)
        start = 0
        while start < count:
            stop = min(start + self._batch_size, count)
            found = self._within_memory(stop - start, partial(self._forward, forward, start, stop))
            if found is not None:
                self._check(found, stop - start)
                vectors[start:stop] = found
                start = stop
        return vectors

    def _forward(self, forward: Callable[[int, int], Tensor], start: int, stop: int) -> Vectors:
        with torch.inference_mode(), self._autocast():
            found: Vectors = forward(start, stop).float().cpu().numpy()
            return found

    def _within_memory(self, count: int, compute: Callable[[], Made]) -> Made | None:
        """The result for `count` inputs, or None after halving the batch size for want of memory."""
        try:
            return compute()
        except torch.cuda.OutOfMemoryError as error:
            if count == 1:
                raise ConfigurationError(
                    f"{self._spec.name}: not even one input of {self._spec.snippet_frames} x {self._spec.input_size} "
                    f'fits the memory of {self._device}; free the GPU, choose a smaller encoder or set device to "cpu"'
                ) from error
        # Outside the handler: the error holds on to the tensors that did not fit.
        self._batch_size = count // 2
        torch.cuda.empty_cache()
        return None

    def _autocast(self) -> AbstractContextManager[object]:
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=self._dtype)

    def _check(self, vectors: Vectors, count: int) -> None:
        if vectors.shape != (count, self._dimension):
            raise AfterwatchError(
                f"{self._spec.name} gave vectors of shape {vectors.shape}, expected {(count, self._dimension)}; "
                "the network's output is not the feature vector this encoder promises"
            )
        if not np.isfinite(vectors).all():
            raise AfterwatchError(
                f"{self._spec.name} gave values that are not finite in {self._dtype}; "
                'set precision to "bf16" or "fp32", and check the weights'
            )
