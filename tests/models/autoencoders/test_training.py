"""Cuboids, and training that learns, stops, resumes and complains."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import AfterwatchError, ConfigurationError, WeightsError
from models.autoencoders import training as module
from models.autoencoders.checkpoint import settings_in
from models.autoencoders.cuboids import Cuboids, Grey, mean_picture
from models.autoencoders.settings import settings_of
from models.autoencoders.training import (
    Trained,
    TrainingSettings,
    cell_errors_of,
    scores_of,
    train_autoencoder,
    training_cuboids,
)

SETTINGS = settings_of("chong_tay", {"width": 0.06, "size_px": 48})
TRAINING = TrainingSettings(epochs=3, cuboids_per_epoch=8, batch_size=4, learning_rate=3e-3, validation_cuboids=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small wait for threads more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def walk(frames: int, speed: int = 1, seed: int = 0) -> Grey:
    """uint8 (frames, 48, 48): a bright block that walks across a fixed background."""
    rng = np.random.default_rng(seed)
    scene = np.tile(rng.integers(60, 90, (1, 48, 48), dtype=np.uint8), (frames, 1, 1))
    for frame in range(frames):
        left = (5 * seed + frame * speed) % 40
        scene[frame, 20:30, left : left + 8] = 200
    return scene


def same_scene(frames: int, seed: int) -> Grey:
    """The walk of `seed` before the background of seed 0."""
    moved, background = walk(frames, seed=seed), walk(1)[0]
    return np.where(moved == 200, moved, background).astype(np.uint8)


@pytest.fixture(scope="module")
def sources() -> tuple[Cuboids, Cuboids]:
    clips = tuple(same_scene(24, seed) for seed in range(3))
    return training_cuboids(clips, SETTINGS, TRAINING), Cuboids((same_scene(20, 3),), SETTINGS.cuboid_frames)


@pytest.fixture(scope="module")
def trained(sources: tuple[Cuboids, Cuboids]) -> Trained:
    return train_autoencoder(SETTINGS, *sources, TRAINING)


# Cuboids


def test_cuboids_are_every_run_at_every_stride() -> None:
    clips = (np.arange(6, dtype=np.uint8)[:, None, None], np.arange(10, 13, dtype=np.uint8)[:, None, None])
    cuboids = Cuboids(clips, frames=3, strides=(1, 2))
    found = [tuple(cuboid[:, 0, 0].tolist()) for cuboid in cuboids.batch(range(len(cuboids)))]
    assert found == [(0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 2, 4), (1, 3, 5), (10, 11, 12)]
    assert len(Cuboids(clips, frames=7)) == 0
    with pytest.raises(IndexError):
        cuboids.pictures(7)


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=4),
    st.integers(1, 5),
    st.sets(st.integers(1, 3), min_size=1),
    st.integers(1, 4),
)
def test_cuboids_are_those_of_a_plain_loop(lengths: list[int], frames: int, strides: set[int], step: int) -> None:
    clips = [np.zeros((length, 1, 1), np.uint8) for length in lengths]
    cuboids = Cuboids(clips, frames, tuple(sorted(strides)), step)
    plain = [
        (number, list(range(first, first + frames * stride, stride)))
        for number, length in enumerate(lengths)
        for stride in sorted(strides)
        for first in range(0, length, step)
        if first + (frames - 1) * stride < length
    ]
    assert [(clip, rows.tolist()) for clip, rows in map(cuboids.pictures, range(len(cuboids)))] == plain


def test_memory_mapped_clips_serve_as_well(tmp_path: object) -> None:
    clip = walk(20)
    np.save(f"{tmp_path}/clip.npy", clip)
    mapped = Cuboids((np.load(f"{tmp_path}/clip.npy", mmap_mode="r"),), 8)
    assert mapped.digest == Cuboids((clip,), 8).digest
    assert mapped.digest != Cuboids((clip,), 8, (2,)).digest
    assert (mapped.batch([3]) == clip[None, 3:11]).all()


def test_mean_picture_and_deviation_are_numpys() -> None:
    clips = [np.random.default_rng(seed).integers(0, 256, (n, 5, 5), dtype=np.uint8) for seed, n in ((0, 300), (1, 7))]
    mean, deviation = mean_picture(clips)
    unit = np.concatenate(clips) / 255
    np.testing.assert_allclose(mean, unit.mean(axis=0), atol=1e-6)
    assert deviation == pytest.approx((unit - unit.mean(axis=0)).std(), rel=1e-6)


# Training


def test_training_reconstructs_the_normal_better_than_the_mean_picture(
    sources: tuple[Cuboids, Cuboids], trained: Trained
) -> None:
    clips, held_out = sources
    longer = train_autoencoder(
        SETTINGS, clips, held_out, replace(TRAINING, epochs=6, cuboids_per_epoch=60, learning_rate=1e-2)
    )
    mean, _ = mean_picture(clips.clips)
    nothing = np.square(held_out.batch(range(len(held_out))) / 255 - mean).mean()
    assert longer.epochs[longer.best].validation < 0.7 * nothing
    assert longer.epochs[longer.best].validation < trained.epochs[0].validation


def test_the_same_seed_gives_the_same_weights(sources: tuple[Cuboids, Cuboids], trained: Trained) -> None:
    again = train_autoencoder(SETTINGS, *sources, TRAINING)
    other = train_autoencoder(SETTINGS, *sources, replace(TRAINING, seed=1))
    assert all(torch.equal(trained.state[name], again.state[name]) for name in trained.state)
    assert not torch.equal(trained.state["conv1.weight"], other.state["conv1.weight"])


class Killed(Exception):
    """Stands for a process that ends in the middle of an epoch."""


@pytest.mark.parametrize("whole_epochs", [0, 1, 2])
def test_a_training_that_was_killed_ends_as_an_undisturbed_one(
    sources: tuple[Cuboids, Cuboids], trained: Trained, whole_epochs: int
) -> None:
    kept: list[bytes] = []

    def killing(_stage: str, done: float, _total: float) -> None:
        if done > whole_epochs + 0.6:
            raise Killed

    with pytest.raises(Killed):
        train_autoencoder(SETTINGS, *sources, TRAINING, save_checkpoint=kept.append, progress=killing)
    assert len(kept) == whole_epochs
    resumed = train_autoencoder(SETTINGS, *sources, TRAINING, checkpoint=kept[-1] if kept else None)
    assert resumed.epochs == trained.epochs and resumed.best == trained.best
    assert all(torch.equal(trained.state[name], resumed.state[name]) for name in trained.state)


def test_a_finished_training_is_not_trained_again(sources: tuple[Cuboids, Cuboids], trained: Trained) -> None:
    kept: list[bytes] = []
    train_autoencoder(SETTINGS, *sources, TRAINING, save_checkpoint=kept.append)
    again = train_autoencoder(SETTINGS, *sources, TRAINING, checkpoint=kept[-1], save_checkpoint=kept.append)
    assert len(kept) == TRAINING.epochs and again.epochs == trained.epochs


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(sources: tuple[Cuboids, Cuboids]) -> None:
    clips, held_out = sources
    kept: list[bytes] = []
    train_autoencoder(SETTINGS, clips, held_out, replace(TRAINING, epochs=1), save_checkpoint=kept.append)
    with pytest.raises(ConfigurationError, match="training differ"):
        train_autoencoder(SETTINGS, clips, held_out, replace(TRAINING, seed=1), checkpoint=kept[0])
    with pytest.raises(ConfigurationError, match="footage differ"):
        train_autoencoder(SETTINGS, clips, Cuboids(clips.clips, 10), TRAINING, checkpoint=kept[0])
    for damaged in (kept[0][:-9], b"", b"nothing of the kind"):
        with pytest.raises(WeightsError, match="damaged"):
            train_autoencoder(SETTINGS, clips, held_out, TRAINING, checkpoint=damaged)


def test_training_stops_when_held_out_footage_gets_no_better(
    sources: tuple[Cuboids, Cuboids], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([0.3, 0.2, 0.25, 0.21, 0.1, 0.1])
    monkeypatch.setattr(module, "_validated", lambda *_: next(told))
    training = replace(TRAINING, epochs=6, patience=2, cuboids_per_epoch=4)
    stopped = train_autoencoder(SETTINGS, *sources, training)
    assert [epoch.validation for epoch in stopped.epochs] == [0.3, 0.2, 0.25, 0.21] and stopped.best == 1


def test_a_loss_that_is_not_finite_names_the_remedy(sources: tuple[Cuboids, Cuboids]) -> None:
    with pytest.raises(AfterwatchError, match="smaller learning rate than 1e\\+30"):
        train_autoencoder(SETTINGS, *sources, replace(TRAINING, learning_rate=1e30))


def test_footage_that_does_not_fit_is_refused(sources: tuple[Cuboids, Cuboids]) -> None:
    clips, held_out = sources
    with pytest.raises(ConfigurationError, match="no held-out cuboids"):
        train_autoencoder(SETTINGS, clips, Cuboids((walk(5),), 10), TRAINING)
    with pytest.raises(ConfigurationError, match="takes \\(10, 64, 64\\)"):
        train_autoencoder(settings_of("chong_tay", {"size_px": 64}), clips, held_out, TRAINING)
    with pytest.raises(ConfigurationError):
        TrainingSettings(epochs=0)


def test_weights_say_what_they_are_of(trained: Trained) -> None:
    content = trained.to_bytes()
    assert settings_in(content) == SETTINGS
    with pytest.raises(WeightsError, match="fit autoencoder"):
        settings_in(b"\x02" + b"\0" * 7 + b"{}")


def test_vectors_and_scores_of_cuboids_agree(sources: tuple[Cuboids, Cuboids], trained: Trained) -> None:
    _, held_out = sources
    cells = cell_errors_of(trained.network, SETTINGS, held_out, batch_size=3)
    np.testing.assert_allclose(np.linalg.norm(cells, axis=1), scores_of(trained.network, held_out), rtol=1e-5)
