"""Fine-tuning a whole network: it learns, stops, resumes to the last bit, and its file builds the network again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from infra.errors import AfterwatchError, ConfigurationError
from infra.weights import WeightsFile, file_sha256
from models.autoencoders.checkpoint import CheckpointError
from models.encoders.architectures import Normalisation
from models.encoders.specs import describe
from models.finetuning import (
    Finetuned,
    FinetuningSettings,
    Snippets,
    finetune,
    finetuning_device,
    network_to_finetune,
)
from models.networks.base import VideoNetwork
from models.networks.build import build_network

GREY = Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
BEGUN = {"network": "small-1234", "weights": "random:0", "classes": ["fight"]}
TOLD = FinetuningSettings(epochs=4, batch_size=4, learning_rate=0.01, patience=4)


class Small(VideoNetwork):
    """A network of a second: one convolution, a batch norm, a linear layer."""

    def __init__(self) -> None:
        super().__init__(4, 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.convolution, self.norm = nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4)
            self.classifier = nn.Linear(4, 1)

    def features(self, frames: Tensor) -> Tensor:
        return torch.relu(self.norm(self.convolution(frames))).mean(dim=(2, 3, 4))

    def logits(self, frames: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(frames))
        return scores


def snippets(count: int = 12, seed: int = 0, digest: str = "clips") -> Snippets:
    """Every other snippet is of the class: brighter, and redder to the left."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 120, (count, 4, 8, 8, 3), dtype=np.uint8)
    shown = np.arange(count) % 2 == 0
    pixels[shown, :, :, :4, 0] += 120
    return Snippets(pixels, np.arange(count), shown[:, None], digest)


def run(told: FinetuningSettings, **options: object) -> Finetuned:
    told_of = {"begun_with": BEGUN, **options}
    return finetune(Small(), GREY, told, snippets(), snippets(8, 1, "others"), **told_of)  # type: ignore[arg-type]


def same(one: Finetuned, other: Finetuned) -> bool:
    return one.epochs == other.epochs and all(torch.equal(one.state[name], other.state[name]) for name in one.state)


def test_a_network_learns_what_it_is_shown() -> None:
    tuned = run(replace(TOLD, epochs=12, patience=12, learning_rate=0.03))
    assert tuned.epochs[tuned.best].validation < 0.5 * tuned.epochs[0].training
    network = Small()
    network.load_state_dict(tuned.state)
    other = snippets(8, 2)
    frames = (torch.from_numpy(other.pixels).permute(0, 4, 1, 2, 3).float() / 255 - 0.5) / 0.25
    with torch.inference_mode():
        assert ((network.eval().logits(frames)[:, 0] > 0).numpy() == other.targets[:, 0]).all()


def test_a_training_that_was_broken_off_goes_on_to_the_last_bit() -> None:
    undisturbed = run(TOLD)
    kept: list[bytes] = []
    run(replace(TOLD, epochs=2), save_checkpoint=kept.append)
    assert len(kept) == 2
    resumed = run(TOLD, checkpoint=kept[-1])
    assert len(resumed.epochs) == 4 and same(resumed, undisturbed) and same(run(TOLD), undisturbed)
    assert not same(run(replace(TOLD, seed=1)), undisturbed)


def test_a_checkpoint_of_another_training_is_refused() -> None:
    kept: list[bytes] = []
    run(replace(TOLD, epochs=1), save_checkpoint=kept.append)
    with pytest.raises(CheckpointError, match="another training: training"):
        run(replace(TOLD, learning_rate=0.02), checkpoint=kept[0])
    others = snippets(8, 1, "others")
    with pytest.raises(CheckpointError, match="clips"):
        finetune(Small(), GREY, TOLD, snippets(digest="new"), others, begun_with=BEGUN, checkpoint=kept[0])


@pytest.mark.parametrize(("name", "other"), [("network", "small-5678"), ("weights", "sha256:0"), ("classes", ["fall"])])
def test_a_checkpoint_of_another_beginning_is_refused(name: str, other: object) -> None:
    kept: list[bytes] = []
    run(replace(TOLD, epochs=1), save_checkpoint=kept.append)
    with pytest.raises(CheckpointError, match=f"another training: {name} differ"):
        run(TOLD, checkpoint=kept[0], begun_with={**BEGUN, name: other})


def test_training_stops_when_held_out_sources_are_told_no_better() -> None:
    noise = snippets(8, 1, "others")
    noise = replace(noise, targets=~noise.targets)  # whatever is learnt is wrong here
    tuned = finetune(Small(), GREY, replace(TOLD, epochs=30, patience=2), snippets(), noise, begun_with=BEGUN)
    assert len(tuned.epochs) < 30 and len(tuned.epochs) == tuned.best + 3


@pytest.mark.parametrize("frozen", [True, False])
def test_statistics_of_batch_normalisation_stay_where_they_are_frozen(frozen: bool) -> None:
    tuned = run(replace(TOLD, epochs=1, frozen_statistics=frozen))
    assert torch.equal(tuned.state["norm.running_mean"], torch.zeros(4)) == frozen
    assert not torch.equal(tuned.state["norm.weight"], torch.ones(4)), "scale and shift are learnt either way"


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(AfterwatchError, match="give a smaller one"):
        run(replace(TOLD, learning_rate=1e30))


def test_a_tuned_file_builds_the_network_again(tmp_path: Path) -> None:
    spec = describe("pytorchvideo/x3d_xs/random")
    network = network_to_finetune(spec, None, 2, seed=0)
    untouched = build_network(spec)
    assert network.classes == 2
    frames = torch.randn(1, 3, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(network.features(frames), untouched.features(frames)), "the backbone is as it was"
    file = tmp_path / "tuned.safetensors"
    file.write_bytes(Finetuned({name: value.clone() for name, value in network.state_dict().items()}, (), 0).to_bytes())
    weights = WeightsFile(file, file_sha256(file))
    again = build_network(describe("pytorchvideo/x3d_xs/tuned", weights), weights)
    assert again.classes == 2 and torch.equal(
        again.state_dict()["blocks.5.proj.weight"], network.state_dict()["blocks.5.proj.weight"]
    )
    # Without its classifier the file still serves: a new layer of any number of classes is put on.
    bare = {name: value.clone() for name, value in network.state_dict().items() if not name.startswith("blocks.5.")}
    file.write_bytes(Finetuned(bare, (), 0).to_bytes())
    weights = WeightsFile(file, file_sha256(file))
    put_on = network_to_finetune(describe("pytorchvideo/x3d_xs/bare", weights), weights, 3, seed=0)
    assert put_on.classes == 3
    assert all(torch.equal(put_on.state_dict()[name], value) for name, value in bare.items())


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": 0}, {"patience": 0}, {"learning_rate": 0.0}, {"weight_decay": -1.0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        FinetuningSettings(**wrong)  # type: ignore[arg-type]


def test_snippets_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        replace(snippets(), targets=np.zeros((3, 1), np.bool_))


def test_without_a_gpu_the_cpu_has_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="--device cpu"):
        finetuning_device(None)
    assert finetuning_device("cpu") == "cpu"
    with pytest.raises(ConfigurationError, match="device"):
        finetuning_device("tpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU on this machine")
def test_a_gpu_tunes_as_the_cpu_does() -> None:
    told = replace(TOLD, epochs=2)
    on_cpu, on_gpu = run(told), run(told, device="cuda")
    for one, other in zip(on_cpu.epochs, on_gpu.epochs, strict=True):
        assert one.training == pytest.approx(other.training, rel=0.05)
        assert one.validation == pytest.approx(other.validation, rel=0.05)
