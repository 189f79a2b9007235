"""A federation's classifier learns from what people judged here: the right windows, with the right classes, of no other camera."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lake.labels import Label, UseCase, say_labels
from models.federation.base import SiteError
from models.federation.sites import initial_shared
from tests.workspace.federated import APPEARANCE, DIMENSIONS, a_classifier, configured, embed
from tests.workspace.labelled_site import (
    CAMPAIGN,
    DAY,
    EAST,
    EAST_ID,
    LATER_ID,
    NORTH,
    NORTH_ID,
    labelled_site,
)
from workspace.clip_vectors import inputs_of
from workspace.federation.classifier_material import ClassifierMaterial, part_by_source
from workspace.federation.material import Material, site_material
from workspace.opened import Workspace

ALARM = '[[alarms]]\nname = "a fight"\nclassifier = "trouble"\nclass_name = "fight"\n'
SECOND = 1_000_000
EVERYTHING = Material()
PLAN = a_classifier(inputs=inputs_of([APPEARANCE], window_s=2.0, frame_rate_hz=1.0))


def vectors_of(seed: int, count: int = 30) -> NDArray[np.float32]:
    made = np.random.default_rng(seed).normal(size=(count, DIMENSIONS[APPEARANCE.name]))
    return made.astype(np.float16).astype(np.float32)


EMBEDDED = {EAST_ID: vectors_of(1), LATER_ID: vectors_of(2), NORTH_ID: vectors_of(3)}
CAMERAS = {EAST_ID: EAST, LATER_ID: EAST, NORTH_ID: NORTH}


def said(recording_id: str, name: str, from_s: int, to_s: int, relevant: bool) -> Label:
    case = UseCase(CAMERAS[recording_id], "frame", name)
    return Label(case, CAMPAIGN, DAY, recording_id, from_s * SECOND, to_s * SECOND, relevant=relevant, author="ada")


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    """Three recordings, embedded; judged are alarms of fights, and moments of the use case `fall`."""
    workspace = configured(labelled_site(tmp_path / "site").site.root, more=ALARM)
    embed(workspace, APPEARANCE, EMBEDDED)
    say_labels(
        workspace.ledger,
        [
            said(EAST_ID, "a fight", 4, 8, relevant=True),
            said(EAST_ID, "a fight", 10, 14, relevant=False),
            said(EAST_ID, "fall", 20, 22, relevant=True),
            said(LATER_ID, "fall", 2, 6, relevant=False),
            said(NORTH_ID, "a fight", 6, 10, relevant=True),
            said(NORTH_ID, "a visitor", 12, 16, relevant=True),
        ],
    )
    return Workspace(workspace.site.root)


def gathered(workspace: Workspace, material: Material = EVERYTHING) -> ClassifierMaterial:
    found = site_material(workspace, PLAN, material)
    assert isinstance(found, ClassifierMaterial)
    return found


def moments(vectors: NDArray[np.float32], second: int) -> NDArray[np.float64]:
    """What a frame encoder gives a window of two pictures: mean, deviation and mean absolute difference."""
    pair = vectors[second : second + 2].astype(np.float64)
    return np.concatenate([pair.mean(0), pair.std(0), np.abs(np.diff(pair, axis=0)).mean(0)])


def test_windows_are_the_lakes_and_show_what_people_said(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workspace.federation.classifier_material.part_by_source", _all_to_both)
    monkeypatch.setattr("models.federation.classifier_site.check_apart", lambda *_: None)
    samples = gathered(site).training
    wanted = [
        (EAST_ID, (4, 6), [False, True]),
        (EAST_ID, (10, 12), [False, False]),
        (EAST_ID, (20,), [True, False]),
        (LATER_ID, (2, 4), [False, False]),
        (NORTH_ID, (6, 8), [False, True]),
    ]
    assert samples.sources == tuple(recording_id for recording_id, _, _ in wanted)
    assert samples.targets.tolist() == [target for _, _, target in wanted]
    assert np.bincount(samples.clip).tolist() == [len(seconds) for _, seconds, _ in wanted]
    expected = [moments(EMBEDDED[recording_id], at) for recording_id, seconds, _ in wanted for at in seconds]
    assert np.allclose(samples.vectors, expected, atol=1e-5)


def _all_to_both(samples: object, _seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    count = len(samples)  # type: ignore[arg-type]  # any sized thing
    return np.arange(count), np.arange(count)


def test_three_recordings_are_too_few_to_hold_two_out(site: Workspace) -> None:
    with pytest.raises(SiteError, match="of 3 source videos: at least 4") as refused:
        gathered(site)
    assert refused.value.word == "too-few-samples"


def test_only_what_was_asked_for_is_learnt_from(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workspace.federation.classifier_material.part_by_source", _all_to_both)
    monkeypatch.setattr("models.federation.classifier_site.check_apart", lambda *_: None)
    assert set(gathered(site, Material(camera=EAST)).training.sources) == {EAST_ID, LATER_ID}
    with pytest.raises(SiteError, match=r"0 moments are judged for fall, fight in region hatch") as refused:
        gathered(site, Material(region="hatch"))
    assert refused.value.word == "no-footage"
    with pytest.raises(SiteError, match=r"0 moments are judged"):
        gathered(site, Material(campaign="autumn"))


def test_what_is_judged_and_not_embedded_is_told(tmp_path: Path) -> None:
    workspace = configured(labelled_site(tmp_path / "site").site.root, more=ALARM)
    say_labels(workspace.ledger, [said(EAST_ID, "a fight", 4, 8, relevant=True)])
    with pytest.raises(SiteError, match=r"1 moments are judged .* for none of them; .* let a night embed them"):
        gathered(Workspace(workspace.site.root))


def test_what_is_held_out_is_two_sources_at_least_and_a_fifth_of_each_kind() -> None:
    from models.heads.classifier_samples import ClassifierSamples

    def samples(kinds: list[int]) -> ClassifierSamples:
        """A clip of a source each; kinds are numbers of the two classes' sets."""
        targets = np.array([[kind & 1, kind & 2] for kind in kinds], np.bool_)
        names = tuple(f"{number:02}" for number in range(len(kinds)))
        return ClassifierSamples(
            ("fall", "fight"),
            np.zeros((len(kinds), 1), np.float32),
            np.arange(len(kinds)),
            targets,
            names,
            names,
            names,
        )

    for kinds, wanted in (
        ([0] * 10 + [1] * 10 + [2] * 5, {0: 2, 1: 2, 2: 1}),
        ([0] * 10 + [1] * 2, {0: 2}),
        ([0] * 4 + [1] * 2, {0: 2}),
        ([0, 0, 1, 1], {0: 1, 1: 1}),
    ):
        for seed in range(5):
            learnt, held = part_by_source(samples(kinds), seed)
            assert sorted([*learnt.tolist(), *held.tolist()]) == list(range(len(kinds)))
            told = [kinds[clip] for clip in held.tolist()]
            assert {kind: told.count(kind) for kind in set(told)} == wanted, (kinds, seed)
    first, second = (part_by_source(samples([0] * 20), seed)[1].tolist() for seed in (0, 1))
    assert first != second and first == part_by_source(samples([0] * 20), 0)[1].tolist()


def test_a_site_trains_on_what_people_judged(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workspace.federation.classifier_material.LEAST_SOURCES", 3)
    monkeypatch.setattr("workspace.federation.classifier_material.LEAST_HELD", 1)
    found = gathered(site)
    update = found.site.train(initial_shared(PLAN), 1, None)
    assert update.samples == len(found.training.vectors) and np.isfinite(update.loss)
    assert found.data["judged"] and len(found.training) + len(found.held_out) == 5
