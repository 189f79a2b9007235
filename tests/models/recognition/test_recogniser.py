"""A network behind its data flow."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from infra.errors import ConfigurationError, FootageError
from models.encoders.base import EncoderSpec
from models.networks.base import VideoNetwork, classified, classifier_layer
from models.recognition.flow import RecognitionFlow
from models.recognition.recogniser import Recogniser

SPEC = EncoderSpec("test/brightness/random", "snippet", (8, 8), "random:0", "test", 4, 10.0)
FLOW = RecognitionFlow(short_side_px=8, crop_px=8, frames=4, stride=1, rate_hz=10, clips=3, crops=3)


class Brightness(VideoNetwork):
    """Features: mean of each channel; keeps the sizes of the batches it was given."""

    def __init__(self, classes: int | None) -> None:
        super().__init__(3, classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.layer = classifier_layer(3, classes)
        self.batches: list[int] = []

    def features(self, frames: Tensor) -> Tensor:
        self.batches.append(len(frames))
        return frames.mean(dim=(2, 3, 4))

    def logits(self, frames: Tensor) -> Tensor:
        return classified(self.layer, self.features(frames))


def pictures(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (count, 8, 12, 3), np.uint8)


def recogniser(flow: RecognitionFlow = FLOW) -> tuple[Recogniser, Brightness]:
    network = Brightness(4)
    return Recogniser(SPEC, network, flow, device="cpu"), network


T_US = (np.arange(20) * 100_000).astype(np.int64)


def test_probabilities_are_the_mean_over_all_views() -> None:
    made, network = recogniser()
    sample = made.sample(T_US, 2_000_000)
    shown = pictures(20)
    for index in sample.wanted:
        sample.add(int(index), shown[index])
    assert sample.lost == 0
    found = made.probabilities(sample)
    views = torch.cat([FLOW.view(shown[row]) for row in sample.pictures])
    assert len(views) == 9
    with torch.inference_mode():
        logits = network.logits(views).numpy()
    np.testing.assert_allclose(found, softmax(logits, axis=1).mean(axis=0), atol=1e-6)


def test_views_are_put_through_in_bounded_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.recognition.recogniser.choose_batch_size", lambda *_: 4)
    made, network = recogniser()
    sample = made.sample(T_US, 2_000_000)
    for index, picture in enumerate(pictures(20)):
        sample.add(index, picture)
    made.probabilities(sample)
    assert network.batches == [4, 4, 1]
    made.run_alone()
    assert network.batches == [4, 4, 1] * 2


def test_for_a_lost_picture_the_one_before_it_stands() -> None:
    made, _ = recogniser(RecognitionFlow(short_side_px=8, crop_px=8, frames=4, stride=1, rate_hz=10))
    shown = pictures(20)
    whole, damaged, repeated = (made.sample(T_US[:4], 400_000) for _ in range(3))
    assert whole.wanted.tolist() == [0, 1, 2, 3]
    for index in range(4):
        whole.add(index, shown[index])
        repeated.add(index, shown[[1, 1, 1, 3][index]])
        if index not in (0, 2):
            damaged.add(index, shown[index])
    assert damaged.lost == 2
    assert np.array_equal(made.probabilities(damaged), made.probabilities(repeated))
    assert not np.array_equal(made.probabilities(damaged), made.probabilities(whole))


def test_a_clip_without_a_picture_is_an_error() -> None:
    made, _ = recogniser()
    sample = made.sample(T_US, 2_000_000)
    sample.add(999, pictures(1)[0])
    with pytest.raises(FootageError, match="none of the pictures"):
        made.probabilities(sample)


def test_a_network_without_a_classifier_names_nothing() -> None:
    with pytest.raises(ConfigurationError, match="no classifier layer"):
        Recogniser(SPEC, Brightness(None), FLOW, device="cpu")
