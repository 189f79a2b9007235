"""From clips to a projection in the registry: embedded in views, split by source video, trained, held out, told on a card."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as distribution_version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from infra.errors import ConfigurationError
from infra.settings import LINEAR_PROJECTIONS
from infra.table import NAME
from lake.keys import short_hash
from models.encoders.base import EncoderSpec
from models.projections.build import projection_arrays
from models.projections.trained import (
    SELF_SUPERVISED,
    Alike,
    ProjectionTraining,
    TrainedProjection,
    ViewedVectors,
    silhouette_of,
)
from workspace.opened import Workspace
from workspace.training_clips import Clip
from workspace.viewed_clips import Samples, Viewing

KIND = "projection"
PARTS = ("training", "validation", "held_out")
FOLDS = 5
"""A fifth of the source videos tells when to stop, a fifth is held out, the rest is trained on."""
TAKES = "none"
"""Scaling of the vectors that a trained projection takes: they are the encoder's own."""

CANDIDATE = "candidate"
"""Key of a card: where it is true, the version is used where the settings name it, and is never the newest of its name."""

Rows = NDArray[np.int64]
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class FittedProjection:
    """A projection that is there to be used: its name and version in the registry, and its card."""

    name: str
    version: str
    card: dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """Where clips come from, for the card.

    Attributes:
        told: name of the folder, or campaign, camera and region.
        left_out: clips that could not be used, and why.
    """

    told: dict[str, str | None]
    left_out: tuple[str, ...] = ()


def check_name(name: str) -> None:
    """Raise ConfigurationError unless a trained projection can be called so in the settings."""
    if not NAME.fullmatch(name) or name in LINEAR_PROJECTIONS:
        raise ConfigurationError(
            f'"{name}" cannot name a trained projection: begin with a letter or a digit and go on with letters, digits, '
            f'space, ".", "_" and "-", 64 at most; {", ".join(LINEAR_PROJECTIONS)} are taken'
        )


def check_clips(clips: Sequence[Clip], viewing: Viewing, settings: ProjectionTraining) -> None:
    """Raise ConfigurationError where clips do not do for a loss, before they are embedded for nothing."""
    labels = [clip.label for clip in clips]
    if settings.loss == SELF_SUPERVISED:
        if viewing.views < 2:
            raise ConfigurationError("the self-supervised loss compares views of one sample: make at least 2 of each")
    elif not any(labels):
        raise ConfigurationError(
            f'the loss {settings.loss} needs classes, and a campaign\'s footage has none; use "{SELF_SUPERVISED}", or '
            "train on a folder of classes with --data"
        )
    split_by_source([clip.source for clip in clips], labels, settings.seed)


def split_by_source(sources: Sequence[str], labels: Sequence[str], seed: int) -> dict[str, Rows]:
    """Rows of each of `PARTS`: a source is in one of them only, and the classes are spread evenly.

    Args:
        sources: of each row.
        labels: class of each row; all the same where there are none.
        seed: decides which.

    Returns:
        int64 rows by part, rising.

    Raises:
        ConfigurationError: there are not enough sources, of some class or in all.
    """
    groups = {label: {source for source, own in zip(sources, labels, strict=True) if own == label} for label in labels}
    few = {label: len(own) for label, own in groups.items() if len(own) < FOLDS}
    if few:
        told = ", ".join(f"{count} of {label}" if label else str(count) for label, count in sorted(few.items()))
        raise ConfigurationError(
            f"too few source videos ({told}): {FOLDS} are needed{' of each class' if len(groups) > 1 else ''} to train "
            "on some and hold others out; give more footage, or tell with --source which clips are of one video"
        )
    if len(groups) > 1:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    else:
        folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    parts = [np.sort(held).astype(np.int64) for _, held in folds.split(np.zeros(len(sources)), labels, sources)]
    return {"training": np.sort(np.concatenate(parts[2:])), "validation": parts[0], "held_out": parts[1]}


def fit_projection(
    workspace: Workspace,
    name: str,
    encoder: str,
    spec: EncoderSpec,
    clips: Sequence[Clip],
    samples: Samples,
    viewing: Viewing,
    settings: ProjectionTraining,
    origin: Origin,
    *,
    author: str,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FittedProjection:
    """Train a projection on samples, hold it against those of other source videos, and keep it in the registry.

    Args:
        workspace: where it is kept; its settings say on which device it is trained.
        name: of the projection; versions of a name stand beside one another.
        encoder, spec: what the samples were embedded with.
        clips, samples: as `embed_clips` made them with `viewing`.
        viewing, settings: how.
        origin: where the clips come from.
        author: who wants it.
        progress: called with `epochs`, those done and the most there are.

    Raises:
        ConfigurationError: the samples do not do for the loss, or the name cannot be one.
        AfterwatchError: the loss is not finite.
    """
    from models.projections.training import train_projection

    check_name(name)
    check_clips(clips, viewing, settings)
    labels = [clips[at].label for at in samples.clip.tolist()]
    sources = [clips[at].source for at in samples.clip.tolist()]
    split = split_by_source(sources, labels, settings.seed)
    classes, numbers = np.unique(labels, return_inverse=True)
    parts = {
        part: ViewedVectors(samples.plain[rows], samples.views[rows], numbers[rows] if len(classes) > 1 else None)
        for part, rows in split.items()
    }
    result = train_projection(
        settings,
        parts["training"],
        parts["validation"],
        progress=lambda epoch: progress("epochs", epoch.number, settings.epochs),
        device=workspace.settings.compute.device,
    )
    progress("epochs", settings.epochs, settings.epochs)
    card: dict[str, Any] = {
        "encoder": encoder,
        "space": spec.space,
        "scaling": TAKES,
        "settings": asdict(settings) | {"dimension": result.projection.dimension},
        "viewing": asdict(viewing),
        "data": origin.told
        | {
            "classes": {str(label): labels.count(str(label)) for label in classes if label},
            "sources": {part: sorted({sources[row] for row in rows.tolist()}) for part, rows in split.items()},
            "samples": {part: len(rows) for part, rows in split.items()},
            "content": short_hash([[clip.content, clip.label, *clip.windows] for clip in clips]),
            "left_out": list(origin.left_out),
            "windows_lost": samples.lost,
        },
        "metrics": {"silhouette": _silhouettes(parts["held_out"], result.untrained, result.projection)},
        "epochs": [asdict(epoch) for epoch in result.epochs],
        "best_epoch": result.best,
        "torch": distribution_version("torch"),
        "remark": result.remark,
    }
    version = save_projection(workspace, name, result.projection, card, author)
    return FittedProjection(name, version, workspace.registry.card(KIND, name, version))


def save_projection(
    workspace: Workspace, name: str, projection: TrainedProjection, card: dict[str, Any], author: str
) -> str:
    """Keep a projection under the hash of what it is and what it is for; returns that version."""
    arrays = projection_arrays(projection)
    digest = {key: [str(value.dtype), list(value.shape), value.tobytes().hex()] for key, value in arrays.items()}
    told = {key: card[key] for key in ("space", "scaling", "settings", "viewing", "data")}
    version = short_hash([told, digest])
    workspace.registry.save(KIND, name, version, card, arrays, author=author)
    return version


def part_sizes(card: dict[str, Any]) -> str:
    """How many samples of how many sources each part has, in words."""
    data = card["data"]
    sizes = Counter({part: len(data["sources"][part]) for part in PARTS})
    return ", ".join(
        f"{data['samples'][part]} samples of {sizes[part]} sources {words}"
        for part, words in zip(PARTS, ("to train on", "to stop by", "held out"), strict=True)
    )


def _silhouettes(
    held_out: ViewedVectors, untrained: TrainedProjection, trained: TrainedProjection
) -> dict[str, dict[str, float | None]]:
    """Of the encoder's vectors, of a random projection of the same shape, and of the trained one."""
    of: tuple[Alike, ...] = ("classes", "views")
    chain = {"raw": None, "untrained": untrained, "trained": trained}
    return {
        alike: {name: _rounded(silhouette_of(held_out, alike, projection)) for name, projection in chain.items()}
        for alike in of
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
