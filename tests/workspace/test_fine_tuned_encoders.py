"""From clips to a fine-tuned encoder: which clips it sees, what its card tells of them, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from afterwatch.workspace_files import make_workspace
from footage.writing import VideoWriter
from infra.errors import ConfigurationError
from infra.weights import WeightsFile, read_weights
from models.autoencoders.checkpoint import Epoch
from models.encoders.base import EncoderSpec
from models.encoders.specs import describe
from models.finetuning import Finetuned, FinetuningSettings, Snippets
from models.networks.base import VideoNetwork
from tests.workspace.told_cards import says_everything
from workspace.clip_sets.base import ClipSet
from workspace.clip_sets.read import read_clip_set
from workspace.finetuning import KIND, FinetunedEncoder, finetune_encoder, unseen_part
from workspace.opened import Workspace

BASE = "pytorchvideo/x3d_xs/random"
SOURCES = 6
"""Of each class, two clips each."""
SETTINGS = FinetuningSettings(epochs=2, batch_size=8)


def level_of(source: int, clip: int) -> int:
    """Grey level of a clip's pictures, by which its snippets are known again."""
    return 10 + 9 * (2 * source + clip)


def read_levels(folder: Path, size_px: int = 32) -> ClipSet:
    """Clips of one grey level each, long enough for two snippets."""
    for source in range(2 * SOURCES):
        label = "fight" if source % 2 else "normal"
        (folder / label).mkdir(parents=True, exist_ok=True)
        for clip in range(2):
            with VideoWriter(folder / label / f"s{source:02}-{clip}.mp4") as video:
                for frame in range(36):
                    picture = np.full((size_px, size_px, 3), level_of(source, clip), np.uint8)
                    video.write(picture, frame * 100_000)
    return read_clip_set(folder, source=r"s\d+")


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    return read_levels(tmp_path_factory.mktemp("levels"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    """The like, but no clip has the bytes of any in `levels`."""
    return read_levels(tmp_path_factory.mktemp("others"), 48)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path / "site"))


@dataclass
class Shown:
    """What fine-tuning was given, call by call; it is done in no time."""

    calls: list[tuple[Snippets, Snippets]] = field(default_factory=list)

    def finetune(
        self, _network: object, _pixels: object, _settings: object, *sides: Snippets, **_: object
    ) -> Finetuned:
        training, held_out = sides
        self.calls.append((training, held_out))
        return Finetuned({"a": torch.full((1,), float(len(self.calls)))}, (Epoch(1.0, 1.0),), 0)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    made = Shown()
    monkeypatch.setattr("workspace.finetuning.network_to_finetune", lambda *_: None)
    monkeypatch.setattr("workspace.finetuning.finetune", made.finetune)
    return made


def tune(workspace: Workspace, name: str, clip_set: ClipSet, base: str = BASE, **options: object) -> FinetunedEncoder:
    weights = read_weights(workspace.site.weights_folder).get(base)
    told = {"settings": SETTINGS, "device": "cpu", "author": "ada", **options}
    return finetune_encoder(workspace, name, "levels", clip_set, ("fight",), describe(base, weights), weights, **told)  # type: ignore[arg-type]


def spec_of(workspace: Workspace, encoder: str) -> EncoderSpec:
    return describe(encoder, read_weights(workspace.site.weights_folder)[encoder])


def names_in(snippets: Snippets, clip_set: ClipSet) -> set[str]:
    """Clips that snippets are of, by their grey level; each snippet's target is held against its clip's label."""
    by_level = {level_of(int(clip.source[1:]), int(clip.name[-5])): clip for clip in clip_set.clips}
    found = set()
    for row, (target,) in zip(snippets.rows.tolist(), snippets.targets.tolist(), strict=True):
        mean = float(snippets.pixels[row].mean())
        level = min(by_level, key=lambda known: abs(known - mean))
        assert abs(level - mean) < 3
        assert target == (by_level[level].label == "fight")
        found.add(by_level[level].name)
    return found


def test_what_is_learnt_from_what_stops_and_what_is_held_out_share_no_clip_and_no_source(
    workspace: Workspace, levels: ClipSet, shown: Shown
) -> None:
    card = tune(workspace, "one", levels).card
    says_everything("network", card, card["author"])
    ((training, stopping),) = shown.calls
    parts = [names_in(training, levels), names_in(stopping, levels)]
    assert len(training) == 2 * len(parts[0]) and len(stopping) == 2 * len(parts[1]), "both snippets of each clip"
    unseen = unseen_part(workspace.registry, levels, [spec_of(workspace, "pytorchvideo/x3d_xs/one")])
    parts.append({clip.name for clip in unseen.clips})
    assert all(parts) and sum(map(len, parts)) == len(levels) and set.union(*parts) == {c.name for c in levels.clips}
    for what in ("source", "content"):
        told = [{getattr(clip, what) for clip in levels.clips if clip.name in part} for part in parts]
        assert len(set.union(*told)) == sum(map(len, told)), f"a {what} is on two sides"
    assert set(card["data"]["seen"]) == {clip.content for clip in levels.clips if clip.name in parts[0] | parts[1]}
    assert card["data"]["parts"] == dict(zip(("training", "stopped_by", "held_out"), map(len, parts), strict=True))
    assert (card["classes"], card["normal"]) == (["fight"], "normal")


def test_what_the_network_to_begin_with_has_seen_counts_as_seen(
    workspace: Workspace, levels: ClipSet, others: ClipSet, shown: Shown
) -> None:
    one = spec_of(workspace, tune(workspace, "one", levels).encoder)
    two = spec_of(workspace, tune(workspace, "two", others, one.name).encoder)
    three = spec_of(workspace, tune(workspace, "three", read_other_sources(others), two.name).encoder)
    left = unseen_part(workspace.registry, levels, [one]).clips
    assert 0 < len(left) < len(levels)
    for spec in (two, three):
        assert unseen_part(workspace.registry, levels, [spec]).clips == left
    assert len(unseen_part(workspace.registry, others, [one])) == len(others)
    assert len(unseen_part(workspace.registry, others, [two])) < len(others)
    assert len(shown.calls) == 3


def read_other_sources(clip_set: ClipSet) -> ClipSet:
    """The same files as if their bytes were others."""
    return replace(clip_set, clips=tuple(replace(clip, content=f"new {clip.content}") for clip in clip_set.clips))


def test_clips_that_the_network_to_begin_with_has_seen_are_not_held_out_by_another_seed(
    workspace: Workspace, levels: ClipSet, shown: Shown
) -> None:
    encoder = tune(workspace, "one", levels).encoder
    with pytest.raises(ConfigurationError, match="has seen them; of the others, too few source videos"):
        tune(workspace, "two", levels, encoder, settings=replace(SETTINGS, seed=1))
    # With clips enough that it has not seen, only those take part.
    whole = replace(
        levels,
        clips=(
            *levels.clips,
            *(replace(clip, content=f"new {clip.name}", source=f"new {clip.source}") for clip in levels.clips),
        ),
    )
    card = tune(workspace, "two", whole, encoder, settings=replace(SETTINGS, seed=1)).card
    left = unseen_part(workspace.registry, levels, [spec_of(workspace, encoder)])
    assert sum(card["data"]["parts"].values()) == len(levels) + len(left)


def test_too_few_held_out_for_the_classifier_is_said_before_a_clip_is_decoded(
    workspace: Workspace, levels: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object, **__: object) -> None:
        raise AssertionError("a clip was decoded")

    monkeypatch.setattr("workspace.finetuning.clip_rows", decode)
    with pytest.raises(
        ConfigurationError, match="of 24 clips are held out from fine-tuning for the classifier: too few"
    ):
        tune(workspace, "one", levels, head_folds=3)
    with pytest.raises(AssertionError, match="decoded"):
        tune(workspace, "one", levels)


class Small(VideoNetwork):
    """A network of a moment."""

    def __init__(self) -> None:
        super().__init__(3, 1)
        self.classifier = nn.Linear(3, 1)

    def features(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=(2, 3, 4))

    def logits(self, frames: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(frames))
        return scores


def broken_off(stage: str, done: float, _total: float) -> None:
    if stage == "backbone" and done > 1:
        raise KeyboardInterrupt


def test_a_training_that_began_with_other_weights_is_not_gone_on_with(
    workspace: Workspace, levels: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.finetuning.network_to_finetune", lambda *_: Small())
    with pytest.raises(KeyboardInterrupt):
        tune(workspace, "one", levels, progress=broken_off)
    other = WeightsFile(tmp_path / "other.safetensors", "0" * 64)
    spec = describe("pytorchvideo/x3d_xs/other", other)
    with pytest.raises(ConfigurationError, match=r"another training: network, weights differ.*--restart"):
        finetune_encoder(
            workspace, "one", "levels", levels, ("fight",), spec, other, SETTINGS, device="cpu", author="ada"
        )
    assert tune(workspace, "one", levels).card["from"]["weights"] == "random:0", "its own goes on"


def test_no_encoder_is_entered_before_the_card_that_says_what_it_has_seen(
    workspace: Workspace, levels: ClipSet, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> Callable[..., None]:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("lake.registry.Registry.save", crash)
        with pytest.raises(KeyboardInterrupt):
            tune(workspace, "one", levels)
    assert read_weights(workspace.site.weights_folder) == {}
    tuned = tune(workspace, "one", levels)
    ((_, name, version),) = (found for found in workspace.registry.versions() if found[0] == KIND)
    assert (name, version) == ("x3d_xs.one", tuned.version)
    spec = spec_of(workspace, tuned.encoder)
    assert (tuned.card["space"], f"sha256:{tuned.card['weights']}") == (spec.space, spec.weights)


def test_another_of_the_name_lies_beside_the_older_one_which_heads_go_on_finding(
    workspace: Workspace, levels: ClipSet, shown: Shown
) -> None:
    first = tune(workspace, "one", levels)
    spec, file = spec_of(workspace, first.encoder), read_weights(workspace.site.weights_folder)[first.encoder]
    second = tune(workspace, "one", levels)
    assert (first.encoder, second.encoder) == ("pytorchvideo/x3d_xs/one", f"pytorchvideo/x3d_xs/one-{second.version}")
    assert spec_of(workspace, first.encoder) == spec and file.path.is_file()
    assert spec_of(workspace, second.encoder).space == second.card["space"] != spec.space
    assert second.card["encoder"] == second.encoder
    versions = [found for found in workspace.registry.versions() if found[0] == KIND]
    assert versions == sorted((KIND, "x3d_xs.one", one.version) for one in (first, second))
    shown.calls.pop()
    assert tune(workspace, "one", levels).encoder == second.encoder, "the same training again is the same encoder"
