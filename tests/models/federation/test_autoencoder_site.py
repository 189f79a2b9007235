"""A federation of one site is central training, to the last bit; what is measured from footage stays at its site."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import load

from infra.errors import ConfigurationError, WeightsError
from models.autoencoders.checkpoint import CheckpointError
from models.autoencoders.cuboids import Cuboids, Grey, mean_picture
from models.autoencoders.settings import settings_of
from models.autoencoders.training import Trained, TrainingSettings, train_autoencoder, training_cuboids
from models.federation.autoencoder_site import AutoencoderSite
from models.federation.base import SiteError, Tensors
from models.federation.plan import FederatedPlan
from models.federation.site_tensors import epochs_of_round, take_in
from models.federation.sites import autoencoder_plan, autoencoder_site, initial_shared
from tests.models.federation.one_place import far, federated, same

SETTINGS = settings_of("hasan", {"width": 0.03, "size_px": 48})
TRAINING = TrainingSettings(
    cuboids_per_epoch=12, batch_size=4, learning_rate=3e-3, validation_cuboids=5, patience=100, seed=7
)

CUBOIDS = 13 + 4 + 7
"""Of clips of 22 and 16 pictures: 10 in a cuboid, at strides 1 and 2."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small wait for threads more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clip(frames: int, scene: int, seed: int) -> Grey:
    """uint8 (frames, 48, 48): a bright block walks across the background of a scene; it goes down in every other scene."""
    background = np.random.default_rng(scene).integers(40, 90 + 10 * scene, (1, 48, 48), dtype=np.uint8)
    pictures = np.tile(background, (frames, 1, 1))
    for frame in range(frames):
        left = (5 * seed + 2 * frame) % 40
        pictures[frame, 20:30, left : left + 8] = 200
    return np.ascontiguousarray(pictures.mT) if scene % 2 else pictures


def planned(rounds: int, local_epochs: int) -> FederatedPlan:
    return autoencoder_plan("gate", SETTINGS, TRAINING, rounds=rounds, local_epochs=local_epochs)


def footage(scene: int) -> tuple[list[Grey], list[Grey]]:
    """Clips to train on and to hold out."""
    return [clip(22, scene, 0), clip(16, scene, 1)], [clip(20, scene, 2)]


def site(plan: FederatedPlan, scene: int = 0) -> AutoencoderSite:
    return autoencoder_site(plan, *footage(scene))


@cache
def central(epochs: int) -> tuple[Trained, list[bytes]]:
    """A training on the footage of site 0, and its checkpoints."""
    kept: list[bytes] = []
    clips, held_out = footage(0)
    trained = train_autoencoder(
        SETTINGS,
        training_cuboids(tuple(clips), SETTINGS, TRAINING),
        Cuboids(tuple(held_out), SETTINGS.cuboid_frames),
        replace(TRAINING, epochs=epochs),
        save_checkpoint=kept.append,
    )
    return trained, kept


def network_in(checkpoint: bytes) -> Tensors:
    """What is learnt, as a central training had it after the epoch of a checkpoint."""
    tensors = {name.removeprefix("network."): value.numpy() for name, value in load(checkpoint).items()}
    return {name: tensors[name] for name in initial_shared(planned(1, 1))}


@pytest.mark.parametrize(("rounds", "local_epochs"), [(4, 1), (2, 2), (1, 4)])
def test_one_site_is_central_training_to_the_last_bit(rounds: int, local_epochs: int) -> None:
    trained, kept = central(4)
    plan = planned(rounds, local_epochs)
    alone = site(plan)
    result, reports = federated(plan, {"only": alone})
    for report in reports:
        epoch = report.number * local_epochs - 1
        assert same(report.shared, network_in(kept[epoch]))
        assert report.held_out_loss == trained.epochs[epoch].validation
        assert report.loss == trained.epochs[epoch].training
    assert same(result.shared, network_in(kept[-1]))


def test_the_best_round_of_one_site_is_central_trainings_best_epoch() -> None:
    trained, _ = central(4)
    plan = planned(4, 1)
    alone = site(plan)
    result, _ = federated(plan, {"only": alone})
    assert result.best.number == trained.best + 1
    finished = alone.finished(result.best.shared)
    assert list(finished.state) == list(trained.state)
    assert all(torch.equal(finished.state[name], value) for name, value in trained.state.items())
    assert finished.epochs[0].validation == trained.epochs[trained.best].validation
    assert finished.to_bytes() == trained.to_bytes()


@pytest.mark.parametrize("name", ["chong_tay", "istl"])
def test_so_it_is_for_every_architecture(name: str) -> None:
    settings, clips, held_out = settings_of(name, {"width": 0.03, "size_px": 48}), [clip(18, 0, 0)], [clip(16, 0, 2)]
    training = replace(TRAINING, cuboids_per_epoch=6, validation_cuboids=2)
    plan = autoencoder_plan("gate", settings, training, rounds=2, local_epochs=1)
    alone = autoencoder_site(plan, clips, held_out)
    result, _ = federated(plan, {"only": alone})
    trained = train_autoencoder(
        settings,
        training_cuboids(tuple(clips), settings, training),
        Cuboids(tuple(held_out), settings.cuboid_frames),
        replace(training, epochs=2),
    )
    assert alone.finished(result.best.shared).to_bytes() == trained.to_bytes()


def test_what_is_measured_from_footage_does_not_cross() -> None:
    plan = planned(2, 1)
    sites = {"gate": site(plan, 0), "yard": site(plan, 3)}
    result, reports = federated(plan, sites)
    assert {"mean", "deviation"}.isdisjoint(result.shared) and {"mean", "deviation"}.isdisjoint(reports[0].shared)
    for scene, one in ((0, sites["gate"]), (3, sites["yard"])):
        mean, deviation = mean_picture(footage(scene)[0])
        state = one.finished(result.shared).state
        assert np.array_equal(state["mean"].numpy(), mean) and float(state["deviation"]) == np.float32(deviation)
    gate, yard = (one.finished(result.shared).state for one in sites.values())
    assert not torch.equal(gate["mean"], yard["mean"]) and torch.equal(gate["conv1.weight"], yard["conv1.weight"])


def test_sites_learn_from_one_another() -> None:
    """On the footage of one site, the federation's tensors do better than those of the other site alone."""
    longer = replace(TRAINING, cuboids_per_epoch=CUBOIDS, learning_rate=1e-2)
    plan = autoencoder_plan("gate", SETTINGS, longer, rounds=2, local_epochs=5)
    sites = {"gate": site(plan, 0), "yard": site(plan, 3)}
    together, _ = federated(plan, sites)
    alone, _ = federated(plan, {"yard": sites["yard"]})
    began, by_other, by_both = (
        sites["gate"].evaluate(shared).loss for shared in (initial_shared(plan), alone.shared, together.shared)
    )
    assert by_both < by_other and by_both < 0.9 * began


def test_a_round_asked_for_again_gives_the_same_and_leaves_the_tensors_alone() -> None:
    plan = planned(3, 1)
    one, shared = site(plan), initial_shared(plan)
    before = {name: value.copy() for name, value in shared.items()}
    first = one.train(shared, 1, None)
    assert same(shared, before)
    second, again = (site(plan).train(first.shared, 2, first.memory) for _ in range(2))
    assert same(second.shared, again.shared) and second.memory == again.memory
    assert (second.samples, second.loss) == (again.samples, again.loss)
    assert one.samples == CUBOIDS and second.samples == TRAINING.cuboids_per_epoch, "those it was trained on"


def test_samples_that_are_told_are_the_different_cuboids_of_all_epochs_of_the_round() -> None:
    plan = planned(2, 2)
    drawn = [
        set(np.random.default_rng((TRAINING.seed, epoch)).permutation(CUBOIDS)[: TRAINING.cuboids_per_epoch].tolist())
        for epoch in (2, 3)
    ]
    told = site(plan).train(initial_shared(plan), 2, None).samples
    assert told == len(drawn[0] | drawn[1]) and 12 < told < CUBOIDS
    assert told <= plan.most_samples and plan.drawn_samples == TRAINING.cuboids_per_epoch


def test_memory_and_the_number_of_the_round_count() -> None:
    plan = planned(3, 1)
    one = site(plan)
    first = one.train(initial_shared(plan), 1, None)
    kept = one.train(first.shared, 2, first.memory).shared
    assert far(kept, one.train(first.shared, 2, None).shared) > 1e-5
    assert far(kept, one.train(first.shared, 3, first.memory).shared) > 1e-5


def test_memory_of_another_training_or_a_later_round_is_refused() -> None:
    plan = planned(3, 1)
    one, shared = site(plan), initial_shared(plan)
    memory = one.train(shared, 2, None).memory
    with pytest.raises(
        CheckpointError, match="is of round 2, and round 2 goes on from an earlier one: give that of round 1"
    ):
        one.train(shared, 2, memory)
    other = autoencoder_plan("gate", SETTINGS, replace(TRAINING, seed=8), rounds=3, local_epochs=1)
    with pytest.raises(CheckpointError, match="another training"):
        site(other).train(shared, 3, memory)
    for damaged in (memory[:-9], b"", b"nothing of the kind"):
        with pytest.raises(WeightsError, match="damaged"):
            one.train(shared, 3, damaged)


@pytest.mark.parametrize("number", [0, 4])
def test_a_round_that_the_plan_does_not_have_is_refused(number: int) -> None:
    with pytest.raises(ConfigurationError, match="they are 1 to 3"):
        site(planned(3, 1)).train(initial_shared(planned(3, 1)), number, None)
    assert list(epochs_of_round(2, 3, 4)) == [4, 5, 6, 7]


def test_tensors_of_another_model_are_refused() -> None:
    plan = planned(1, 1)
    one, shared = site(plan), initial_shared(plan)
    with pytest.raises(ConfigurationError, match=r"conv1\.bias absent or unknown"):
        one.evaluate({name: value for name, value in shared.items() if name != "conv1.bias"})
    with pytest.raises(ConfigurationError, match=r"conv1\.bias is float64"):
        one.evaluate({**shared, "conv1.bias": shared["conv1.bias"].astype(np.float64)})
    with pytest.raises(ConfigurationError, match=r"this model's is float32 \(15,\)"):
        one.evaluate({**shared, "conv1.bias": shared["conv1.bias"][:1]})


def test_what_cannot_be_written_is_read_all_the_same() -> None:
    plan = planned(1, 1)
    shared = initial_shared(plan)
    for value in shared.values():
        value.setflags(write=False)
    assert site(plan).evaluate(shared).samples == TRAINING.validation_cuboids
    parameter = torch.nn.Parameter(torch.zeros(2))
    take_in({"one": parameter}, {"one": np.frombuffer(np.ones(2, np.float32).tobytes(), np.float32)})
    assert parameter.tolist() == [1, 1]


def test_too_little_footage_is_told_by_a_word() -> None:
    plan = planned(1, 1)
    with pytest.raises(SiteError, match="0 cuboids to train on and 11 to hold out") as raised:
        autoencoder_site(plan, [clip(5, 0, 0)], footage(0)[1])
    assert raised.value.word == "too-few-samples"
    with pytest.raises(ConfigurationError, match=r"takes \(10, 48, 48\)"):
        autoencoder_site(plan, [np.zeros((20, 32, 32), np.uint8)], footage(0)[1])


def test_progress_is_told_over_all_rounds() -> None:
    told: list[tuple[str, float, float]] = []
    plan = planned(2, 1)
    one = autoencoder_site(plan, *footage(0), progress=lambda *done: told.append(done))
    one.train(initial_shared(plan), 2, None)
    assert told[-1] == ("training", 2, 2) and all(1 < done <= 2 for _, done, _ in told)
