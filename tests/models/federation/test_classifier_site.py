"""A federation of one site is central training of a head, to the last bit; classes that a site lacks are taught by others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from infra.errors import ConfigurationError, WeightsError
from models.autoencoders.checkpoint import CheckpointError
from models.federation.base import SiteError
from models.federation.classifier_site import ClassifierSite
from models.federation.plan import FederatedPlan
from models.federation.sites import classifier_plan, classifier_site, initial_shared
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples
from models.heads.classifier_training import score_clips, standardisation, train_classifier
from tests.models.federation.one_place import far, federated, same

CLASSES = ("fall", "fight")
VALUES = 12
SETTINGS = ClassifierSettings(hidden=(9, 5), learning_rate=0.02, batch_size=7, patience=3, members=2, seed=5)


def clips(kinds: list[int], seed: int, gap: float = 3.0) -> ClassifierSamples:
    """Clips in two windows: 0 is normal, 1 a fall, 2 a fight; each moves a value of its own. A seed has clips of its own."""
    random, kind = np.random.default_rng(seed), np.array(kinds)
    clip = np.repeat(np.arange(len(kind)), 2)
    vectors = random.normal(size=(len(clip), VALUES)) + seed
    vectors[np.arange(len(clip)), kind[clip]] += gap
    names = tuple(f"{seed}-{number}.mp4" for number in range(len(kind)))
    targets = kind[:, None] == np.array([1, 2])
    return ClassifierSamples(CLASSES, vectors.astype(np.float32), clip, targets, names, names, names)


EVERY_KIND = [0, 1, 2] * 8


def planned(rounds: int, local_epochs: int, settings: ClassifierSettings = SETTINGS) -> FederatedPlan:
    return classifier_plan("alarms", settings, CLASSES, VALUES, rounds=rounds, local_epochs=local_epochs)


def site(plan: FederatedPlan) -> ClassifierSite:
    return classifier_site(plan, clips(EVERY_KIND, 1), clips(EVERY_KIND, 2))


@pytest.mark.parametrize(("rounds", "local_epochs"), [(6, 1), (3, 2), (1, 6)])
@pytest.mark.parametrize(
    "changed", [{}, {"hidden": (), "members": 1}, {"class_weights": "none", "dropout": 0.2, "batch_size": 100}]
)
def test_one_site_is_central_training_to_the_last_bit(
    rounds: int, local_epochs: int, changed: dict[str, object]
) -> None:
    settings = replace(SETTINGS, **changed)  # type: ignore[arg-type]
    plan = planned(rounds, local_epochs, settings)
    alone = site(plan)
    result, reports = federated(plan, {"only": alone})
    watched = train_classifier(replace(settings, epochs=6, patience=6), clips(EVERY_KIND, 1), clips(EVERY_KIND, 2))
    assert [report.held_out_loss for report in reports] == list(watched.losses[local_epochs - 1 :: local_epochs])
    for report in reports:
        epochs = report.number * local_epochs
        trained = train_classifier(replace(settings, epochs=epochs, patience=None), clips(EVERY_KIND, 1))
        assert same(alone.finished(report.shared).to_arrays(), trained.head.to_arrays())
    assert same(alone.finished(result.shared).to_arrays(), trained.head.to_arrays())


def test_the_best_round_of_one_site_is_central_trainings_best_epoch() -> None:
    plan = planned(25, 1)
    alone = site(plan)
    result, _ = federated(plan, {"only": alone})
    stopped = train_classifier(replace(SETTINGS, epochs=25, patience=25), clips(EVERY_KIND, 1), clips(EVERY_KIND, 2))
    assert result.best.number == stopped.epochs < 25
    assert same(alone.finished(result.best.shared).to_arrays(), stopped.head.to_arrays())


def test_offset_and_scale_do_not_cross() -> None:
    plan = planned(2, 1)
    kinds, samples = ("gate", "yard"), (clips(EVERY_KIND, 1), clips(EVERY_KIND, 4))
    sites = {name: classifier_site(plan, own, None) for name, own in zip(kinds, samples, strict=True)}
    result, reports = federated(plan, sites)
    assert sorted(result.shared) == ["biases.0", "biases.1", "biases.2", "weights.0", "weights.1", "weights.2"]
    assert reports[0].held_out_loss is None and {one.not_evaluated for one in reports[0].clients} == {"too-few-samples"}
    heads = [one.finished(result.shared) for one in sites.values()]
    for head, own in zip(heads, samples, strict=True):
        offset, scale = standardisation(own.vectors)
        assert np.array_equal(head.offset, offset) and np.array_equal(head.scale, scale)
    assert abs(heads[0].offset - heads[1].offset).min() > 1
    assert np.array_equal(heads[0].layers[0][0], heads[1].layers[0][0])


def test_a_site_learns_a_class_of_which_it_has_no_clip() -> None:
    plan = planned(8, 2, replace(SETTINGS, members=1))
    poor = classifier_site(plan, clips([0, 1] * 10, 1), None)
    rich = classifier_site(plan, clips(EVERY_KIND, 4), None)
    assert poor.remarks == ("fight is in no clip of this site: it is not learnt here",) and rich.remarks == ()
    result, _ = federated(plan, {"poor": poor, "rich": rich})
    # The same camera later: some of what it now sees it has not been trained on.
    later = clips(EVERY_KIND, 1)
    together, alone = (
        score_clips(poor.finished(shared), later)[:, 1]
        for shared in (result.shared, federated(plan, {"poor": poor})[0].shared)
    )
    fights = later.targets[:, 1]
    apart = np.subtract.outer(together[fights], together[~fights])
    assert (apart > 0).mean() > 0.95
    assert (np.subtract.outer(alone[fights], alone[~fights]) > 0).mean() < 0.8


def test_what_a_site_lacks_stays_finite_whatever_the_weights() -> None:
    for weights in ("balanced", "none"):
        plan = planned(1, 3, replace(SETTINGS, class_weights=weights))
        for kinds in ([0, 1] * 6, [1, 2] * 6 + [1], [1] * 6 + [0] * 2):
            update = classifier_site(plan, clips(kinds, 3), None).train(initial_shared(plan), 1, None)
            assert np.isfinite(update.loss) and all(np.isfinite(value).all() for value in update.shared.values())
    told = classifier_site(planned(1, 1, replace(SETTINGS, class_weights="none")), clips([0, 1], 3), None).remarks
    assert told == ("fight is in no clip of this site: it is learnt here from one side only",)


@pytest.mark.parametrize("kinds", [[0] * 6, [1] * 6, [2] * 3])
def test_clips_that_teach_nothing_are_told_by_a_word(kinds: list[int]) -> None:
    with pytest.raises(SiteError, match="none of the classes fall, fight is in some") as raised:
        classifier_site(planned(1, 1), clips(kinds, 1), None)
    assert raised.value.word == "too-few-samples"


def test_sites_in_threads_do_not_draw_from_one_anothers_generator() -> None:
    plan = planned(3, 2)
    sites = {str(seed): classifier_site(plan, clips(EVERY_KIND * 2, seed), None) for seed in range(4)}
    assert same(federated(plan, sites, threads=4)[0].shared, federated(plan, sites, threads=1)[0].shared)


def test_torchs_own_generator_is_left_alone() -> None:
    plan = planned(2, 1)
    before = torch.random.get_rng_state()
    one, shared = site(plan), initial_shared(plan)
    update = one.train(shared, 1, None)
    one.evaluate(update.shared)
    one.finished(update.shared)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_round_asked_for_again_gives_the_same_and_leaves_the_tensors_alone() -> None:
    plan = planned(3, 1)
    one, shared = site(plan), initial_shared(plan)
    before = {name: value.copy() for name, value in shared.items()}
    first = one.train(shared, 1, None)
    assert same(shared, before)
    second, again = (site(plan).train(first.shared, 2, first.memory) for _ in range(2))
    assert same(second.shared, again.shared) and second.memory == again.memory
    assert (second.samples, second.loss) == (again.samples, again.loss) and second.samples == 48
    assert far(second.shared, one.train(first.shared, 2, None).shared) > 1e-4


def test_memory_that_is_none_is_refused() -> None:
    plan = planned(3, 1)
    one, shared = site(plan), initial_shared(plan)
    memory = one.train(shared, 1, None).memory
    with pytest.raises(CheckpointError, match="another training"):
        site(planned(3, 1, replace(SETTINGS, seed=6))).train(shared, 2, memory)
    with pytest.raises(CheckpointError, match="give that of round 0"):
        one.train(shared, 1, memory)
    with pytest.raises(WeightsError, match="damaged"):
        one.train(shared, 2, memory[:-1])
    length = int.from_bytes(memory[:8], "little")
    wrong = memory[:8] + memory[8 : 8 + length].replace(b"PCG64", b"PCG46") + memory[8 + length :]
    with pytest.raises(WeightsError, match="damaged"):
        one.train(shared, 2, wrong)


def test_memory_is_tensors_and_text() -> None:
    tensors = load(site(planned(1, 1)).train(initial_shared(planned(1, 1)), 1, None).memory)
    assert {name.split(".")[0] for name in tensors} == {"optimiser", "generator"}
    assert len(save(tensors)) < 20_000


def test_samples_of_another_plan_or_of_one_source_are_refused() -> None:
    plan = planned(1, 1)
    with pytest.raises(ConfigurationError, match="12 values and the classes fall, fight, the samples have 12 and a, b"):
        classifier_site(plan, replace(clips(EVERY_KIND, 1), classes=("a", "b")), None)
    with pytest.raises(ConfigurationError, match="the split leaks"):
        classifier_site(plan, clips(EVERY_KIND, 1), clips(EVERY_KIND, 1))
    with pytest.raises(ConfigurationError, match="the same classes and lengths"):
        classifier_site(plan, clips(EVERY_KIND, 1), replace(clips(EVERY_KIND, 2), classes=("a", "b")))
