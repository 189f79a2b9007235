"""From labelled clips to a fine-tuned network that is an encoder of the workspace: trained, kept under its hash, told on a card.

A fifth of the source videos tells when to stop, a fifth is held out, and the rest is learnt from; what was not held out was
seen, and no later classifier on this encoder is measured or trained on it (`unseen_part`), nor on one that is fine-tuned
from it in turn. Everything unfinished lies under `.afterwatch/finetuning/<architecture>-<name>/`: the decoded snippets, and
the checkpoint from which the same call goes on.
"""

import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from footage.index import MICROSECONDS
from footage.writing import write_bytes
from infra.errors import ConfigurationError
from infra.table import NAME
from infra.weights import WeightsFile, add_weights, file_sha256, read_weights
from lake.keys import short_hash
from lake.registry import Registry
from models.autoencoders.checkpoint import CheckpointError
from models.encoders.base import EncoderSpec, Pixels, Vectors
from models.encoders.specs import LOCAL, RANDOM, describe, normalisation, split_name
from models.finetuning import Finetuned, FinetuningSettings, Snippets, finetune, network_to_finetune
from models.heads.classifier_samples import check_classes, fold_numbers
from workspace.classifier_fitting import check_clips, unembedded
from workspace.clip_rows import ClipRows, clip_rows
from workspace.clip_sets.base import ClipSet, LabelledClip
from workspace.opened import Workspace

KIND = "network"
FOLDS = 5
STOPPED_BY, HELD_OUT = 3, 4
"""Fifths of the sources; the first three are learnt from."""
CHECKPOINT, PIXELS = "checkpoint.safetensors", "snippets.u8"
VERSION_DIGITS = 12
PLACES = 1024
"""A snippet's number as two digits to this base: vectors are rounded to half precision, which holds them exactly."""

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class FinetunedEncoder:
    """A fine-tuned network that is there to be used.

    Attributes:
        encoder: its name as an encoder.
        version: of its card in the registry, of kind `network`.
        card: what it is.
    """

    encoder: str
    version: str
    card: dict[str, Any]


def encoder_name(spec: EncoderSpec, name: str) -> str:
    """What a fine-tuned network is called as an encoder.

    Raises:
        ConfigurationError: the name cannot be one, or the encoder is no video network.
    """
    parts = split_name(spec.name)
    if spec.kind != "snippet" or parts.family in ("handcrafted", "autoencoder") or "+" in parts.architecture:
        raise ConfigurationError(
            f"{spec.name} is no video network with features; fine-tune one such as torchvision/r3d_18 or afterwatch/tsm_r50"
        )
    if not NAME.fullmatch(name) or name in (RANDOM, LOCAL) or " " in name:
        raise ConfigurationError(
            f'"{name}" cannot name fine-tuned weights: use letters, digits, ".", "_" and "-", 64 at most; "{RANDOM}" and "{LOCAL}" '
            "are taken"
        )
    return f"{parts.family}/{parts.architecture}/{name}"


def finetune_encoder(
    workspace: Workspace,
    name: str,
    folder: str,
    clip_set: ClipSet,
    classes: Sequence[str],
    spec: EncoderSpec,
    weights: WeightsFile | None,
    settings: FinetuningSettings,
    *,
    device: str,
    author: str,
    head_folds: int | None = None,
    restart: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FinetunedEncoder:
    """Fine-tune a network on clips, or go on where an earlier call was broken off, and enter it in `weights.toml`.

    Args:
        workspace: where it is kept.
        name: third part of its name as an encoder. Where there is another of that name, that one stays as it is, for heads were
            fitted on its vectors, and the new one is called `NAME-HASH` by its weights.
        folder: name of the clips' folder, for the card.
        clip_set: labelled clips; what the network to begin with has seen of them takes no part.
        classes: alarm classes, one logit each.
        spec, weights: of the network to begin with.
        settings: how.
        device: torch's name of one.
        author: who wants it.
        head_folds: of the classifier that is to be fitted on the fifth held out, which has to have sources for them; None:
            none is.
        restart: forget an earlier call.
        progress: called with `vectors` (clips decoded), then `backbone`, what is done and all of it.

    Raises:
        ConfigurationError: the clips or the encoder do not do, which is said before a clip is decoded, or the checkpoint
            is of another training.
        AfterwatchError: the loss is not finite.
    """
    encoder = encoder_name(spec, name)
    unseen = unseen_part(workspace.registry, clip_set, [spec])
    try:
        _fifths(unseen, classes, settings.seed, head_folds)
    except ConfigurationError as error:
        if unseen is clip_set:
            raise
        raise ConfigurationError(f"{unseen.left_out[-1]}; of the others, {error}") from None
    place = workspace.site.state_folder / "finetuning" / f"{split_name(spec.name).architecture}-{name}"
    if restart:
        shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    rows, pixels = _snippets(workspace, unseen, spec, place, progress)
    fold = _fifths(rows.clip_set, classes, settings.seed, head_folds)
    training, held_out = _parts(rows, pixels, fold, classes)
    checkpoint = place / CHECKPOINT
    try:
        tuned = finetune(
            network_to_finetune(spec, weights, len(classes), settings.seed),
            normalisation(spec.name, weights),
            settings,
            training,
            held_out,
            begun_with={"network": spec.space, "weights": spec.weights, "classes": list(classes)},
            checkpoint=checkpoint.read_bytes() if checkpoint.is_file() else None,
            save_checkpoint=lambda content: write_bytes(checkpoint, content),
            progress=progress,
            device=device,
        )
    except CheckpointError as error:
        raise ConfigurationError(f"{error}: --restart deletes it") from None
    fitted = _kept(workspace, encoder, tuned, folder, rows.clip_set, fold, classes, spec, weights, settings, author)
    shutil.rmtree(place, ignore_errors=True)
    return fitted


def unseen_part(registry: Registry, clip_set: ClipSet, specs: Sequence[EncoderSpec]) -> ClipSet:
    """The clips whose source videos no fine-tuned network among the encoders has seen; all where none is fine-tuned.

    Raises:
        ConfigurationError: fewer than two classes are left.
    """
    seen = clips_of_seen_sources(clip_set, contents_seen(registry, specs))
    if not seen:
        return clip_set
    sources = {clip.source for clip in seen}
    told_out = f"{len(seen)} clips of {len(sources)} source videos: the fine-tuned network has seen them"
    return clip_set.narrowed([clip for clip in clip_set.clips if clip.source not in sources], [told_out])


def contents_seen(registry: Registry, specs: Sequence[EncoderSpec]) -> set[str]:
    """Hashes of the clips that fine-tuned networks among the encoders, and those they were fine-tuned from, have seen."""
    weights = {spec.weights.removeprefix("sha256:") for spec in specs}
    cards = (registry.card(*found) for found in registry.versions() if found[0] == KIND)
    return {content for card in cards if card["weights"] in weights for content in card["data"]["seen"]}


def clips_of_seen_sources(clip_set: ClipSet, contents: Collection[str]) -> tuple[LabelledClip, ...]:
    """The clips with one of these contents, and the others of their source videos."""
    sources = {clip.source for clip in clip_set.clips if clip.content in contents}
    return tuple(clip for clip in clip_set.clips if clip.source in sources)


def card_of(registry: Registry, spec: EncoderSpec) -> dict[str, Any] | None:
    """The card of the fine-tuned network that an encoder is; None where it is none."""
    cards = (registry.card(*found) for found in registry.versions() if found[0] == KIND)
    return next((card for card in cards if card["weights"] == spec.weights.removeprefix("sha256:")), None)


def _fifths(clip_set: ClipSet, classes: Sequence[str], seed: int, head_folds: int | None) -> NDArray[np.int64]:
    """int64 (C,): the fifth that each clip is in.

    Raises:
        ConfigurationError: there are too few sources for it, or too few are held out for the classifier.
    """
    samples = unembedded(clip_set, classes)
    fold = fold_numbers(samples, FOLDS, seed)
    check_classes(samples.of(np.flatnonzero(fold < STOPPED_BY)))
    if head_folds is not None:
        held_out = [clip for clip, number in zip(clip_set.clips, fold.tolist(), strict=True) if number == HELD_OUT]
        try:
            check_clips(clip_set.narrowed(held_out, ()), classes, head_folds, seed)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{len(held_out)} of {len(clip_set)} clips are held out from fine-tuning for the classifier: {error}"
            ) from None
    return fold


class _Keeper:
    """Takes the place of an encoder: writes the snippets it is given into a file, and gives their numbers as vectors."""

    def __init__(self, spec: EncoderSpec, file: BinaryIO) -> None:
        self._spec, self._file, self._count = spec, file, 0

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def dimension(self) -> int:
        return 2

    def encode(self, pixels: Pixels) -> Vectors:
        self._file.write(pixels.tobytes())
        numbers = np.arange(self._count, self._count + len(pixels))
        self._count += len(pixels)
        return np.stack([numbers // PLACES, numbers % PLACES], axis=1).astype(np.float32)


def _snippets(
    workspace: Workspace, clip_set: ClipSet, spec: EncoderSpec, place: Path, progress: Progress
) -> tuple[ClipRows, Pixels]:
    """Every clip decoded once, its snippets in a file mapped into memory; what rows have for vectors are their numbers."""
    _check_space(clip_set, spec, place)
    unfinished = place / f".{PIXELS}"
    with unfinished.open("wb") as file:
        rows = clip_rows(
            clip_set,
            [_Keeper(spec, file)],
            threads=workspace.settings.compute.decode_threads,
            progress=progress,
        )
    unfinished.replace(place / PIXELS)
    shape = (-1, spec.snippet_frames, *spec.input_size, 3)
    return rows, np.memmap(place / PIXELS, dtype=np.uint8, mode="r").reshape(shape)


def _check_space(clip_set: ClipSet, spec: EncoderSpec, place: Path) -> None:
    """Raise ConfigurationError where the snippets would not fit the disk."""
    snippets = sum(max(1, round(clip.index.extent_us / MICROSECONDS / spec.snippet_s)) for clip in clip_set.clips)
    needed = snippets * spec.snippet_frames * spec.input_size[0] * spec.input_size[1] * 3
    free = shutil.disk_usage(place).free
    if needed > free:
        raise ConfigurationError(
            f"{snippets} snippets for {spec.name} take about {needed / 1e9:.1f} GB while it is fine-tuned, and {place} has "
            f"{free / 1e9:.1f} GB left; free some, or give fewer clips"
        )


def _parts(
    rows: ClipRows, pixels: Pixels, fold: NDArray[np.int64], classes: Sequence[str]
) -> tuple[Snippets, Snippets]:
    """What is learnt from and what tells when to stop."""
    targets = rows.clip_set.targets(classes)
    (space,) = rows.rows[0]
    made = []
    for chosen in (np.flatnonzero(fold < STOPPED_BY), np.flatnonzero(fold == STOPPED_BY)):
        vectors = [rows.rows[clip][space].vectors for clip in chosen.tolist()]
        digits = np.concatenate(vectors).astype(np.int64)
        repeated = np.repeat(chosen, [len(mine) for mine in vectors])
        digest = short_hash([[rows.clip_set.clips[clip].content, targets[clip].tolist()] for clip in chosen.tolist()])
        made.append(Snippets(pixels, digits[:, 0] * PLACES + digits[:, 1], targets[repeated], digest))
    return made[0], made[1]


def _kept(
    workspace: Workspace,
    encoder: str,
    tuned: Finetuned,
    folder: str,
    clip_set: ClipSet,
    fold: NDArray[np.int64],
    classes: Sequence[str],
    spec: EncoderSpec,
    weights: WeightsFile | None,
    settings: FinetuningSettings,
    author: str,
) -> FinetunedEncoder:
    pixels = normalisation(spec.name, weights)
    unfinished = workspace.site.state_folder / "finetuning" / f"{encoder.replace('/', '-')}.safetensors"
    write_bytes(unfinished, tuned.to_bytes())
    options = {} if weights is None else weights.options
    made = WeightsFile(unfinished, file_sha256(unfinished), options=options, mean=pixels.mean, std=pixels.std)
    version, name = made.sha256[:VERSION_DIGITS], f"{split_name(encoder).architecture}.{split_name(encoder).label}"
    older = read_weights(workspace.site.weights_folder).get(encoder)
    if older is not None and older.sha256 != made.sha256:
        encoder = f"{encoder}-{version}"
    seen = {clip_set.clips[clip].content for clip in np.flatnonzero(fold != HELD_OUT).tolist()}
    parts = {"training": fold < STOPPED_BY, "stopped_by": fold == STOPPED_BY, "held_out": fold == HELD_OUT}
    card = {
        "encoder": encoder,
        "space": describe(encoder, made).space,
        "weights": made.sha256,
        "from": {"encoder": spec.name, "weights": spec.weights},
        "classes": list(classes),
        "normal": clip_set.normal,
        "settings": asdict(settings),
        "epochs": [asdict(epoch) for epoch in tuned.epochs],
        "best_epoch": tuned.best + 1,
        "data": {
            "folder": folder,
            "layout": clip_set.layout,
            "clips": dict(clip_set.counts),
            "parts": {part: int(mine.sum()) for part, mine in parts.items()},
            "seen": sorted(seen | contents_seen(workspace.registry, [spec])),
            "left_out": list(clip_set.left_out),
        },
        "torch": distribution_version("torch"),
    }
    arrays = {
        "training_loss": np.array([epoch.training for epoch in tuned.epochs], np.float32),
        "held_out_loss": np.array([epoch.validation for epoch in tuned.epochs], np.float32),
    }
    # The card goes first: an encoder without one would pass for a network that has seen nothing.
    workspace.registry.save(KIND, name, version, card, arrays, author=author)
    details = {"options": options, "mean": pixels.mean, "std": pixels.std}
    add_weights(workspace.site.weights_folder, encoder, unfinished, details)
    unfinished.unlink()
    return FinetunedEncoder(encoder, version, workspace.registry.card(KIND, name, version))
