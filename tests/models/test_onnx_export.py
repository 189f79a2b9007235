"""ONNX graphs: the same numbers as the classifier they were made of, for any number of windows."""

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infra.errors import ConfigurationError
from models.encoders.architectures import Normalisation
from models.heads.classifier import ClassifierHead
from models.onnx_export import (
    OUTPUTS,
    Graph,
    checked_difference,
    classifier_graph,
    head_graph,
    random_vectors,
    random_windows,
    unit_range,
)
from models.windows import Pooling, Rows, joined

Floats = NDArray[np.float32]

PIXELS = Normalisation((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
WINDOW = (8, 16, 16)
METADATA = {"classes": '["fight", "fall"]', "model": "classifier/hall/1"}


class Small3d(nn.Module):
    """Convolution, batch statistics and pooling over time and place: D = 6."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(3, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(2))

    def forward(self, frames: Tensor) -> Tensor:
        found: Tensor = self.body(frames).mean(dim=(2, 3, 4))
        return found


class Shifting(nn.Module):
    """A convolution on each picture, an eighth of the channels shifted each way in time: D = 16."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        count, _, time, height, width = frames.shape
        each = self.first(frames.transpose(1, 2).flatten(0, 1)).reshape(count, time, 16, height, width)
        shifted = torch.zeros_like(each)
        shifted[:, :-1, :2] = each[:, 1:, :2]
        shifted[:, 1:, 2:4] = each[:, :-1, 2:4]
        shifted[:, :, 4:] = each[:, :, 4:]
        found: Tensor = self.second(shifted.flatten(0, 1)).mean(dim=(2, 3))
        return found.reshape(count, time, 16).mean(dim=1)


class SmallFrame(nn.Module):
    """A network of single pictures: D = 5."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 5, 3, stride=2)

    def forward(self, frames: Tensor) -> Tensor:
        found: Tensor = self.body(frames).relu().mean(dim=(2, 3))
        return found


def a_head(dimension: int, members: int = 2, hidden: int = 7, seed: int = 3) -> ClassifierHead:
    random = np.random.default_rng(seed)

    def layer(into: int, out: int) -> tuple[Floats, Floats]:
        return (
            random.standard_normal((members, into, out)).astype(np.float32),
            random.standard_normal((members, out)).astype(np.float32),
        )

    offset = random.standard_normal(dimension, np.float32) / np.float32(10)
    scale = random.uniform(0.01, 0.3, dimension).astype(np.float32)
    return ClassifierHead(("fight", "fall"), offset, scale, (layer(dimension, hidden), layer(hidden, 2)))


def vectors_of(network: nn.Module, pixels: NDArray[np.uint8], pooling: Pooling) -> Floats:
    """As the encoders and the joining of windows make them."""
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1, 1) for values in (PIXELS.mean, PIXELS.std))
    normal = (torch.from_numpy(unit_range(pixels)) - mean) / std
    with torch.inference_mode():
        if pooling == "window":
            return np.asarray(network(normal).numpy(), np.float32)
        found = []
        for window in normal:
            vectors = network(window.transpose(0, 1)).numpy()
            starts = np.arange(len(vectors), dtype=np.int64)
            rows = Rows(starts, starts + 1, vectors)
            found.append(joined([(pooling, rows)], (np.array([0]), np.array([len(vectors)])))[1])
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("network", "pooling", "dimension"),
    [
        (Small3d(), "window", 6),
        (Shifting(), "window", 16),
        (SmallFrame(), "mean", 5),
        (SmallFrame(), "moments", 15),
    ],
    ids=["convolutions in time", "shift in time", "pictures, mean", "pictures, moments"],
)
def test_a_graph_gives_the_classifiers_numbers_for_any_number_of_windows(
    network: nn.Module, pooling: Pooling, dimension: int
) -> None:
    network.eval()
    head = a_head(dimension)
    graph = classifier_graph(network, PIXELS, pooling, head, WINDOW, METADATA)
    for count in (1, 2, 5):
        pixels = random_windows(count, WINDOW, seed=count)
        vectors = vectors_of(network, pixels, pooling)
        logits, probabilities = graph.run(unit_range(pixels))
        assert logits.shape == (count, 2)
        assert np.abs(logits).max() > 0.1
        np.testing.assert_allclose(logits, head.logits(vectors), atol=1e-4)
        np.testing.assert_allclose(probabilities, head.probabilities(vectors), atol=1e-5)
    assert checked_difference(graph, unit_range(pixels), head.logits(vectors), head.probabilities(vectors)) < 1e-4


def test_one_picture_in_a_window_has_no_spread_and_no_change() -> None:
    network, head, window = SmallFrame().eval(), a_head(15), (1, 16, 16)
    graph = classifier_graph(network, PIXELS, "moments", head, window, {})
    pixels = random_windows(3, window)
    np.testing.assert_allclose(
        graph.run(unit_range(pixels))[0], head.logits(vectors_of(network, pixels, "moments")), atol=1e-4
    )


@pytest.fixture(scope="module")
def alone() -> tuple[ClassifierHead, Graph]:
    head = a_head(4, members=3)
    return head, head_graph(head, METADATA)


def test_a_head_alone_takes_vectors_and_cuts_off_what_is_far_out(alone: tuple[ClassifierHead, Graph]) -> None:
    head, graph = alone
    vectors = 100 * random_vectors(6, 4)
    logits, probabilities = graph.run(vectors)
    np.testing.assert_allclose(logits, head.logits(vectors), atol=1e-4)
    np.testing.assert_allclose(probabilities, head.probabilities(vectors), atol=1e-6)


def test_the_file_says_what_it_is(alone: tuple[ClassifierHead, Graph]) -> None:
    proto = onnx.load_from_string(alone[1].content)
    assert {one.key: one.value for one in proto.metadata_props} == METADATA
    (taken,) = proto.graph.input
    assert taken.name == "vectors"
    assert [one.dim_param or one.dim_value for one in taken.type.tensor_type.shape.dim] == ["N", 4]
    assert [one.name for one in proto.graph.output] == list(OUTPUTS)


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_a_graph_that_differs_is_refused(alone: tuple[ClassifierHead, Graph], wrong: float) -> None:
    head, graph = alone
    vectors = random_vectors(3, 4)
    with pytest.raises(ConfigurationError, match="differs from the classifier"):
        checked_difference(graph, vectors, head.logits(vectors) + np.float32(wrong), head.probabilities(vectors))


def test_a_network_that_onnx_has_no_form_for_is_refused() -> None:
    class Deciding(nn.Module):
        """What it does hangs on what it sees: no graph holds that."""

        def forward(self, frames: Tensor) -> Tensor:
            return frames.mean(dim=(2, 3, 4)) if frames.sum() > 0 else frames.amax(dim=(2, 3, 4))

    with pytest.raises(ConfigurationError, match="cannot be written as ONNX"):
        classifier_graph(Deciding(), PIXELS, "window", a_head(3), WINDOW, {})


def test_random_inputs_are_the_same_for_a_seed() -> None:
    assert np.array_equal(random_windows(2, WINDOW, 7), random_windows(2, WINDOW, 7))
    assert not np.array_equal(random_windows(2, WINDOW, 7), random_windows(2, WINDOW, 8))
    assert random_vectors(2, 3).dtype == np.float32
