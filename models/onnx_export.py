"""A classifier as one ONNX graph: pictures or vectors in, logits and probabilities out, checked against the original.

The graph of a whole classifier holds the normalisation of the pixels, the network, the pooling over time where the network
looks at single pictures, and the head with its standardisation. The number N of windows is free; everything else is fixed.
"""

import contextlib
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infra.errors import ConfigurationError
from models.encoders.architectures import Normalisation
from models.heads.base import Vectors
from models.heads.classifier import LIMIT, ClassifierHead
from models.windows import Pooling

Inputs = NDArray[np.float32]

OPSET: Final = 18
TOLERANCE: Final = 1e-3
"""Largest difference, of a logit or a probability, between the graph and the original with which it is given out."""
WINDOWS: Final = 2
"""Windows of the example that is traced: with one, its number would be taken for a constant."""
OUTPUTS: Final = ("logits", "probabilities")


class HeadGraph(nn.Module):
    """A `ClassifierHead` in torch: vectors to logits and probabilities."""

    offset: Tensor
    scale: Tensor

    def __init__(self, head: ClassifierHead) -> None:
        super().__init__()
        self.register_buffer("offset", torch.from_numpy(head.offset.copy()))
        self.register_buffer("scale", torch.from_numpy(head.scale.copy()))
        self.weights = _constants([weight for weight, _ in head.layers])
        self.biases = _constants([bias[:, None] for _, bias in head.layers])

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, D) → logits and probabilities, (N, K) each."""
        values = ((vectors - self.offset) / self.scale).clamp(-LIMIT, LIMIT)[None]
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            # Members side by side: (members, N, values).
            values = (values.relu() if number else values) @ weight + bias
        logits = values.mean(dim=0)
        return logits, logits.sigmoid()


class ClassifierGraph(nn.Module):
    """Pictures to logits and probabilities: normalisation, network, pooling, head."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, normalisation: Normalisation, pooling: Pooling, head: ClassifierHead
    ) -> None:
        """Put the parts together.

        Args:
            network: what an encoder runs: (N, 3, T, H, W) → (N, D) for pooling `window`, else (N, 3, H, W) → (N, D).
            normalisation: that the network expects.
            pooling: `window`, the vector is the network's; `mean` or `moments` over a window's pictures, see
                `models.windows.joined`.
            head: on the pooled vectors.
        """
        super().__init__()
        self.network = network
        self.pooling = pooling
        self.head = HeadGraph(head)
        self.register_buffer("mean", torch.tensor(normalisation.mean).reshape(1, 3, 1, 1, 1))
        self.register_buffer("std", torch.tensor(normalisation.std).reshape(1, 3, 1, 1, 1))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 3, T, H, W) in the unit range, RGB → logits and probabilities, (N, K) each."""
        normal = (frames - self.mean) / self.std
        if self.pooling == "window":
            return self._scored(self.network(normal))
        vectors = self.network(normal.transpose(1, 2).flatten(0, 1))
        rows = vectors.reshape(-1, frames.shape[2], vectors.shape[-1])
        mean = rows.mean(dim=1)
        if self.pooling == "mean":
            return self._scored(mean)
        spread = (rows - mean[:, None]).square().mean(dim=1).sqrt()
        change = (rows[:, 1:] - rows[:, :-1]).abs().mean(dim=1) if rows.shape[1] > 1 else torch.zeros_like(mean)
        return self._scored(torch.cat([mean, spread, change], dim=1))

    def _scored(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        logits, probabilities = self.head(vectors)
        return logits, probabilities


@dataclass(frozen=True, eq=False)
class Graph:
    """An ONNX model.

    Attributes:
        content: the file's bytes.
        input_name: `frames` or `vectors`.
        input_shape: of one window: (3, T, H, W), or (D,).
        metadata: what the file says of itself, by key.
    """

    content: bytes
    input_name: Literal["frames", "vectors"]
    input_shape: tuple[int, ...]
    metadata: Mapping[str, str]

    def run(self, inputs: Inputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits and probabilities by onnxruntime on the CPU, float32 (N, K) each."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])
        logits, probabilities = session.run(list(OUTPUTS), {self.input_name: inputs})
        return np.asarray(logits, np.float32), np.asarray(probabilities, np.float32)


def classifier_graph(
    network: nn.Module,
    normalisation: Normalisation,
    pooling: Pooling,
    head: ClassifierHead,
    window: tuple[int, int, int],
    metadata: Mapping[str, str],
) -> Graph:
    """The graph of network and head.

    Args:
        network, normalisation, pooling, head: see `ClassifierGraph`; the network lies on the CPU.
        window: pictures, height and width of a window.
        metadata: to be written into the file.

    Raises:
        ConfigurationError: the network has an operation that ONNX has no form for, or the file would be too large.
    """
    module = ClassifierGraph(network, normalisation, pooling, head)
    return _traced(module, "frames", (3, *window), metadata)


def head_graph(head: ClassifierHead, metadata: Mapping[str, str]) -> Graph:
    """The graph of a head alone, its input the joined vector of a window, float32 (N, D)."""
    return _traced(HeadGraph(head), "vectors", (head.dimension,), metadata)


def checked_difference(
    graph: Graph, inputs: Inputs, logits: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> float:
    """The largest difference between the graph's outputs and the original's on the same inputs.

    Args:
        graph: to be checked.
        inputs: float32 (N, *input_shape), with another N than was traced, so that a fixed one shows.
        logits, probabilities: float32 (N, K), the original's.

    Raises:
        ConfigurationError: it is above `TOLERANCE`, or an output is not finite.
    """
    found = graph.run(inputs)
    difference = max(
        float(np.abs(mine - other).max()) for mine, other in zip(found, (logits, probabilities), strict=True)
    )
    # Also where one side is not a number, which no comparison holds for.
    if not difference <= TOLERANCE:
        raise ConfigurationError(
            f"the ONNX graph differs from the classifier by up to {difference:.2g}, more than {TOLERANCE:g} is refused; "
            "nothing was written. Export the head alone with --head-only and run the encoder as it is"
        )
    return difference


def _constants(arrays: list[NDArray[np.float32]]) -> nn.ParameterList:
    return nn.ParameterList([nn.Parameter(torch.from_numpy(array.copy()), requires_grad=False) for array in arrays])


def _traced(
    module: nn.Module, name: Literal["frames", "vectors"], shape: tuple[int, ...], metadata: Mapping[str, str]
) -> Graph:
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(WINDOWS, *shape, generator=generator)
    try:
        # The exporter talks of every step and warns of its own internals: what matters is checked afterwards.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[name],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("N")},),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"this network cannot be written as ONNX ({str(error).strip().splitlines()[0]}); "
            "export the head alone with --head-only and run the encoder as it is"
        ) from error
    assert program is not None
    proto = program.model_proto
    proto.producer_name = "afterwatch"
    for key, value in metadata.items():
        proto.metadata_props.append(onnx.StringStringEntryProto(key=key, value=value))
    try:
        onnx.checker.check_model(proto)
        content = proto.SerializeToString()
    except ValueError as error:
        raise ConfigurationError(
            f"the graph does not fit into one ONNX file ({error}); export the head alone with --head-only"
        ) from error
    return Graph(content, name, shape, dict(metadata))


def unit_range(pixels: NDArray[np.uint8]) -> Inputs:
    """uint8 (N, T, H, W, 3) → the graph's `frames`, float32 (N, 3, T, H, W) in the unit range."""
    return np.ascontiguousarray(pixels.transpose(0, 4, 1, 2, 3), np.float32) / np.float32(255)


def random_windows(count: int, window: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (N, T, H, W, 3): windows of random pixels, the same for a seed."""
    frames, height, width = window
    return np.random.default_rng(seed).integers(0, 256, (count, frames, height, width, 3), np.uint8)


def random_vectors(count: int, dimension: int, seed: int = 0) -> Vectors:
    """float32 (N, D): random vectors, the same for a seed."""
    return np.random.default_rng(seed).standard_normal((count, dimension), np.float32)
