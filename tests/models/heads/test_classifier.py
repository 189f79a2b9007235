"""The head of an alarm: its arithmetic beside torch's, its training beside a plain loop, and splits that do not leak."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from infra.errors import AfterwatchError, ConfigurationError
from models.heads.classifier import LIMIT, PUBLISHED, ClassifierHead, ClassifierSettings, ClassWeights
from models.heads.classifier_network import HeadNetwork
from models.heads.classifier_samples import ClassifierSamples, check_apart, fold_numbers
from models.heads.classifier_training import cross_validate, fit_head, score_clips, train_classifier

QUICK = ClassifierSettings(hidden=(8,), learning_rate=0.02, epochs=12, patience=3, batch_size=20)


def made_head(
    classes: int = 2, dimension: int = 5, members: int = 3, hidden: tuple[int, ...] = (7, 4)
) -> ClassifierHead:
    random = np.random.default_rng(0)
    widths = (dimension, *hidden, classes)
    layers = tuple(
        (
            random.normal(size=(members, into, out)).astype(np.float32),
            random.normal(size=(members, out)).astype(np.float32),
        )
        for into, out in pairwise(widths)
    )
    offset, scale = random.normal(size=dimension), random.uniform(0.5, 2, dimension)
    names = tuple(f"class {number}" for number in range(classes))
    return ClassifierHead(names, offset.astype(np.float32), scale.astype(np.float32), layers)


def made_samples(
    clips: int = 30, windows: int = 2, dimension: int = 6, classes: int = 1, gap: float = 2.0, seed: int = 0
) -> ClassifierSamples:
    """Clips of each class in turn and of none, two to a source; a class moves the values of its own number."""
    random = np.random.default_rng(seed)
    kind = np.arange(clips) // 2 % (classes + 1)
    clip = np.repeat(np.arange(clips), windows)
    vectors = random.normal(size=(len(clip), dimension))
    for number in range(classes):
        vectors[kind[clip] == number, number] += gap
    names = tuple(f"clip{number}.mp4" for number in range(clips))
    return ClassifierSamples(
        tuple(f"class {number}" for number in range(classes)),
        vectors.astype(np.float32),
        clip,
        kind[:, None] == np.arange(classes),
        tuple(f"source{number // 2}" for number in range(clips)),
        tuple(f"content{number}" for number in range(clips)),
        names,
    )


def reference(head: ClassifierHead, member: int) -> nn.Sequential:
    """A member as torch's own layers."""
    layers: list[nn.Module] = []
    for weight, bias in head.layers:
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight[member].T))
            linear.bias.copy_(torch.from_numpy(bias[member]))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# The head.


def test_a_head_computes_what_torch_layers_do() -> None:
    head = made_head()
    vectors = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32) * 30
    scaled = torch.from_numpy(np.clip((vectors - head.offset) / head.scale, -LIMIT, LIMIT))
    with torch.no_grad():
        wanted = torch.stack([reference(head, member)(scaled) for member in range(3)]).mean(dim=0).numpy()
    assert head.logits(vectors) == pytest.approx(wanted, rel=1e-5, abs=1e-4)
    assert head.probabilities(vectors) == pytest.approx(1 / (1 + np.exp(-wanted.astype(np.float64))), abs=1e-6)


def test_classes_do_not_compete() -> None:
    """Each has a sigmoid of its own: both may be sure, or neither."""
    zero = np.zeros((1, 1, 2), np.float32)
    sure = np.full((1, 2), 9, np.float32)
    head = ClassifierHead(("a", "b"), np.zeros(1, np.float32), np.ones(1, np.float32), ((zero, sure),))
    assert (head.probabilities(np.zeros((1, 1), np.float32)) > 0.99).all()


@pytest.mark.parametrize("hidden", [(), (7,), (7, 4)])
def test_a_head_survives_its_arrays_to_the_last_bit(hidden: tuple[int, ...]) -> None:
    head = made_head(hidden=hidden)
    again = ClassifierHead.from_arrays(head.to_arrays())
    vectors = np.random.default_rng(2).normal(size=(20, 5)).astype(np.float32)
    assert again.classes == head.classes and again.members == 3 and again.dimension == 5
    assert np.array_equal(again.logits(vectors), head.logits(vectors))


def test_no_window_gives_no_score() -> None:
    assert made_head().probabilities(np.empty((0, 5), np.float32)).shape == (0, 2)


@pytest.mark.parametrize(
    "vectors", [np.zeros((2, 4), np.float32), np.zeros((2, 5)), np.full((1, 5), np.nan, np.float32)]
)
def test_vectors_that_do_not_fit_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="vectors"):
        made_head().logits(vectors)


def test_layers_that_do_not_fit_are_refused() -> None:
    head = made_head()
    with pytest.raises(ValueError, match="layers lead from 5 values to 2 classes"):
        replace(head, layers=head.layers[:-1])
    with pytest.raises(ValueError, match="another name"):
        replace(head, classes=("a", "a"))
    with pytest.raises(ValueError, match="scale is above 0"):
        replace(head, scale=np.zeros(5, np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": (0,)},
        {"epochs": 0},
        {"members": 0},
        {"patience": 0},
        {"dropout": 1.0},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"class_weights": "many"},
        {"seed": -1},
        {"seed": 2**32},
        {"hidden": (99_999_999_999,)},
        {"members": 1_000_000},
        {"learning_rate": 1e30},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        ClassifierSettings(**wrong)  # type: ignore[arg-type]


def test_the_published_settings_are_those_of_the_lab() -> None:
    assert (PUBLISHED.dropout, PUBLISHED.learning_rate, PUBLISHED.epochs, PUBLISHED.batch_size) == (0.5, 1e-4, 10, 10)
    assert (PUBLISHED.class_weights, PUBLISHED.weight_decay, PUBLISHED.members) == ("none", 0.0, 1)


# Training.


def test_training_is_that_of_a_plain_loop() -> None:
    """The same first weights and order, torch's own Adam and loss, without dropout: the same head."""
    told = replace(PUBLISHED, hidden=(6,), dropout=0.0, epochs=3, seed=4)
    samples = made_samples()
    head = train_classifier(told, samples).head

    deviation = np.hypot(samples.vectors.std(axis=0), np.abs(samples.vectors).max(axis=0) / 2048)
    scaled = torch.from_numpy(((samples.vectors - samples.vectors.mean(axis=0)) / deviation).astype(np.float32))
    targets = torch.from_numpy(samples.targets[samples.clip].astype(np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(4)
        begun = HeadNetwork.begun(told, torch.from_numpy(head.offset), torch.from_numpy(head.scale), 1)
    network = reference(begun.head(("fight",)), 0)
    optimiser, criterion = torch.optim.Adam(network.parameters(), lr=1e-4), nn.BCEWithLogitsLoss()
    random = np.random.default_rng(4)
    for _ in range(3):
        for rows in torch.split(torch.from_numpy(random.permutation(len(targets))), 10):
            optimiser.zero_grad()
            criterion(network(scaled[rows]), targets[rows]).backward()
            optimiser.step()
    with torch.no_grad():
        assert head.logits(samples.vectors) == pytest.approx(network(scaled).numpy(), abs=1e-5)
        assert begun.eval()(torch.from_numpy(samples.vectors)).numpy() != pytest.approx(
            network(scaled).numpy(), abs=1e-4
        )


def test_members_learn_as_if_they_were_alone() -> None:
    """Summed losses: two members that begin alike end where one alone does."""
    samples, alone = made_samples(), replace(QUICK, patience=None, dropout=0.0, epochs=2, members=1)
    one = train_classifier(alone, samples).head
    with pytest.MonkeyPatch.context() as patch:

        def twice(cls: type[HeadNetwork], told: ClassifierSettings, *rest: Any) -> HeadNetwork:
            single = begun(replace(told, members=1), *rest)
            pair = begun(told, *rest)
            with torch.no_grad():
                for mine, theirs in zip(pair.parameters(), single.parameters(), strict=True):
                    mine.copy_(theirs.expand_as(mine))
            return pair

        begun = HeadNetwork.begun
        patch.setattr(HeadNetwork, "begun", classmethod(twice))
        both = train_classifier(replace(alone, members=2), samples).head
    assert both.members == 2
    for (weight, bias), (own_weight, own_bias) in zip(both.layers, one.layers, strict=True):
        for member in (0, 1):
            assert weight[member] == pytest.approx(own_weight[0], abs=1e-4)
            assert bias[member] == pytest.approx(own_bias[0], abs=1e-4)


def test_the_same_seed_gives_the_same_head_to_the_last_bit_and_another_does_not() -> None:
    samples = made_samples()
    heads = [train_classifier(replace(QUICK, seed=seed), samples).head.to_arrays() for seed in (0, 0, 1)]
    torch.rand(3)
    assert all(np.array_equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert not np.array_equal(heads[0]["layer0.weight"], heads[2]["layer0.weight"])


def test_the_number_of_threads_decides_nothing_and_is_left_as_it_was() -> None:
    samples, before = made_samples(), torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(train_classifier(QUICK, samples).head.to_arrays())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(made[0][name], made[1][name]) for name in made[0])


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    train_classifier(QUICK, made_samples())
    assert torch.equal(torch.rand(1), wanted)


def test_training_stops_by_what_is_held_out_and_keeps_its_best_epoch() -> None:
    samples, other = made_samples(gap=0.0), made_samples(gap=0.0, seed=1)
    other = replace(
        other,
        sources=tuple(f"other {source}" for source in other.sources),
        contents=tuple(f"other {content}" for content in other.contents),
    )
    told = replace(QUICK, epochs=60, patience=4, learning_rate=0.03)
    trained = train_classifier(told, samples, other)
    assert trained.trained < 60 and trained.trained == trained.epochs + 4
    assert trained.losses[trained.epochs - 1] == min(trained.losses)
    again = train_classifier(replace(told, epochs=trained.epochs, patience=None), samples)
    assert np.array_equal(again.head.logits(samples.vectors), trained.head.logits(samples.vectors))


def test_balanced_weights_bring_a_rare_class_up() -> None:
    samples = made_samples(clips=60, gap=0.5)
    rare = samples.of(np.flatnonzero(~samples.targets[:, 0] | (np.arange(60) < 10)))
    kinds: tuple[ClassWeights, ...] = ("balanced", "none")
    mean = {
        weights: score_clips(
            train_classifier(replace(QUICK, patience=None, class_weights=weights), rare).head, rare
        ).mean()
        for weights in kinds
    }
    assert rare.targets.mean() < 0.2
    assert mean["none"] < 0.3 < mean["balanced"]


def test_a_value_that_never_moved_does_not_decide() -> None:
    samples = made_samples()
    vectors = samples.vectors.copy()
    vectors[:, 5] = 0.3
    head = train_classifier(QUICK, replace(samples, vectors=vectors)).head
    nudged = vectors.copy()
    nudged[:, 5] = np.float32(0.3).astype(np.float16).astype(np.float32)
    assert head.probabilities(nudged) == pytest.approx(head.probabilities(vectors), abs=0.1)
    nudged[:, 5] = 1e4
    assert np.isfinite(head.logits(nudged)).all()


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(AfterwatchError, match="give a smaller one"):
        train_classifier(replace(QUICK, learning_rate=1e6, epochs=30), made_samples())


# Cross-validation.


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 5), st.integers(0, 3), st.integers(1, 2))
def test_folds_keep_sources_whole_and_classes_even(folds: int, seed: int, classes: int) -> None:
    samples = made_samples(clips=60, classes=classes)
    fold = fold_numbers(samples, folds, seed)
    assert set(fold.tolist()) == set(range(folds))
    sides = {
        source: {number for number, one in zip(fold.tolist(), samples.sources, strict=True) if one == source}
        for source in samples.sources
    }
    assert all(len(side) == 1 for side in sides.values())
    for name in range(classes):
        counts = np.bincount(fold[samples.targets[:, name]], minlength=folds)
        assert counts.max() - counts.min() <= 2


def test_cross_validation_scores_every_clip_by_a_head_that_has_not_seen_it() -> None:
    samples = made_samples(clips=40, gap=3.0)
    out = cross_validate(QUICK, samples, folds=4, seed=1)
    assert out.scores.shape == (40, 1) and np.isfinite(out.scores).all()
    truth = samples.targets[:, 0]
    assert out.scores[truth, 0].mean() > 0.7 > 0.3 > out.scores[~truth, 0].mean()
    assert len(out.epochs) == 4 and all(1 <= count <= QUICK.epochs for count in out.epochs)
    for number in range(4):
        held = out.fold == number
        assert np.isnan(out.inner[number, held]).all() and np.isfinite(out.inner[number, ~held]).all()
    # By hand: the head of a fold is that of its training part.
    held, kept = np.flatnonzero(out.fold == 0), np.flatnonzero(out.fold != 0)
    by_hand = fit_head(QUICK, samples.of(kept), seed=1)
    assert np.array_equal(score_clips(by_hand.head, samples.of(held)), out.scores[held])
    assert np.array_equal(by_hand.scores, out.inner[0, kept])
    of_held = np.isin(samples.clip, held)
    assert np.array_equal(by_hand.head.probabilities(samples.vectors[of_held]), out.window_scores[of_held])


def test_the_windows_of_a_clip_are_scored_by_its_fold_and_its_score_is_their_mean() -> None:
    samples = made_samples(clips=24, windows=3, classes=2)
    order = np.random.default_rng(1).permutation(len(samples.clip))  # windows of a clip need not stand together
    mixed = replace(samples, vectors=samples.vectors[order], clip=samples.clip[order])
    out = cross_validate(QUICK, mixed, folds=3)
    assert out.window_scores.shape == (72, 2) and out.window_scores.dtype == np.float32
    means = [out.window_scores[mixed.clip == number].mean(axis=0) for number in range(24)]
    assert out.scores == pytest.approx(np.array(means), abs=1e-6)


def test_labels_without_a_reason_are_not_told_apart_in_held_out_clips() -> None:
    """Chance: nothing of a held-out clip reaches its head, however well the head learns its own."""
    areas = []
    for seed in range(4):
        samples = made_samples(clips=60, gap=0.0, dimension=40, seed=seed)
        out = cross_validate(replace(QUICK, hidden=(32,), batch_size=60), samples, folds=3, seed=seed)
        above = out.scores[samples.targets[:, 0]][:, None, 0] > out.scores[~samples.targets[:, 0]][None, :, 0]
        areas.append(above.mean())
    assert 0.35 < np.mean(areas) < 0.65


def test_cross_validation_is_the_same_twice() -> None:
    first, second = (cross_validate(QUICK, made_samples(), folds=3) for _ in range(2))
    assert np.array_equal(first.scores, second.scores) and first.epochs == second.epochs


def test_without_patience_every_epoch_is_run() -> None:
    out = cross_validate(replace(QUICK, patience=None), made_samples(), folds=3)
    assert out.epochs == (QUICK.epochs,) * 3 and out.median_epochs == QUICK.epochs


def test_a_clip_scores_the_mean_of_its_windows() -> None:
    head, samples = made_head(classes=1, dimension=6), made_samples(windows=3)
    by_window = head.probabilities(samples.vectors).reshape(30, 3, 1)
    assert score_clips(head, samples) == pytest.approx(by_window.mean(axis=1), abs=1e-6)


def test_some_clips_are_taken_with_their_windows() -> None:
    samples = made_samples(windows=2)
    some = samples.of(np.array([7, 2]))
    assert some.names == ("clip7.mp4", "clip2.mp4") and some.sources == ("source3", "source1")
    assert np.array_equal(some.vectors[some.clip == 0], samples.vectors[samples.clip == 7])
    assert np.array_equal(some.targets, samples.targets[[7, 2]])


# What leaks or does not do is refused.


def test_a_source_on_both_sides_is_refused_by_name() -> None:
    samples = made_samples()
    with pytest.raises(ConfigurationError, match=r"clip0\.mp4 is trained on, clip1\.mp4 is held out.*source0"):
        check_apart(samples.of(np.array([0, 4])), samples.of(np.array([1, 8])))
    with pytest.raises(ConfigurationError, match="the split leaks"):
        train_classifier(QUICK, samples, samples.of(np.array([1])))


def test_the_same_bytes_on_both_sides_are_refused_by_name() -> None:
    samples = made_samples()
    twice = replace(samples, contents=("content9", *samples.contents[1:]))
    with pytest.raises(ConfigurationError, match=r"clip0\.mp4.*clip9\.mp4.*content9"):
        check_apart(twice.of(np.array([0])), twice.of(np.array([9])))
    with pytest.raises(ConfigurationError, match=r"clip0\.mp4 and clip9\.mp4 are the same file"):
        cross_validate(QUICK, twice, folds=3)


def test_too_few_sources_are_refused_with_their_number() -> None:
    with pytest.raises(ConfigurationError, match=r"1 of class 0.*5 folds need 5 of each class"):
        cross_validate(QUICK, made_samples(clips=12).of(np.array([0, 1, 2, 3, 6, 7, 10, 11])), folds=5)
    with pytest.raises(ConfigurationError, match="hold nothing out"):
        fold_numbers(made_samples(), 1, 0)
    with pytest.raises(ConfigurationError, match="at least 3 source videos"):
        cross_validate(QUICK, made_samples(clips=8), folds=2)


def test_a_class_in_no_clip_or_in_every_one_is_refused() -> None:
    samples = made_samples()
    with pytest.raises(ConfigurationError, match="class 0 is in every clip"):
        train_classifier(QUICK, samples.of(np.flatnonzero(samples.targets[:, 0])))
    with pytest.raises(ConfigurationError, match="class 0 is in no clip"):
        train_classifier(QUICK, samples.of(np.flatnonzero(~samples.targets[:, 0])))


def test_samples_that_do_not_fit_together_are_refused() -> None:
    samples = made_samples()
    with pytest.raises(ValueError, match="targets are bool"):
        replace(samples, targets=samples.targets.astype(np.float32))
    with pytest.raises(ValueError, match="clip numbers"):
        replace(samples, clip=samples.clip + 1)
    with pytest.raises(ValueError, match="source and a content"):
        replace(samples, sources=samples.sources[1:])
