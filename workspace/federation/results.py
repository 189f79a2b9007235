"""What a site keeps when a federation's last round is over: a model of its own, shared and local tensors together, as a candidate.

Nothing is put into service: a person promotes it, as any other version. Its card tells the federation's plan and how many of
this site's samples went into it; what other sites have is not known here.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as distribution_version
from typing import Any

import numpy as np

from infra.errors import ConfigurationError
from lake.keys import short_hash
from models.arrays import prefixed
from models.federation.base import Tensors
from models.federation.plan import FederatedPlan
from models.federation.plan_settings import classifier_settings
from models.federation.sites import initial_shared
from models.heads.classifier import ClassifierHead
from models.heads.classifier_samples import ClassifierSamples
from models.heads.classifier_training import OutOfFold, clip_means
from models.projections.trained import Alike, TrainedProjection, silhouette_of
from models.sweep import F2, sweep
from workspace import autoencoders, classifiers, projections
from workspace.classifier_fitting import HALF, head_version, metrics_of
from workspace.federation.autoencoder_material import AutoencoderMaterial
from workspace.federation.classifier_material import ClassifierMaterial
from workspace.federation.folders import material_folder
from workspace.federation.material import SiteMaterial
from workspace.federation.projection_material import ProjectionMaterial
from workspace.opened import Workspace
from workspace.segment_scores import FOLD_CLIPS

FOLDS = 5
"""Groups of held-out sources, at most: the threshold that a group is told by is chosen on the others."""
NONE_HELD_OUT = "none held out"
"""Said in place of a criterion where no held-out clip is of a class: its threshold is a half then."""


@dataclass(frozen=True)
class KeptModel:
    """A model that a site keeps.

    Attributes:
        kind, name, version: of it in the registry.
        card: what it is.
    """

    kind: str
    name: str
    version: str
    card: dict[str, Any]


def keep_model(
    workspace: Workspace,
    plan: FederatedPlan,
    material: SiteMaterial,
    shared: Tensors,
    *,
    author: str,
    clients: int | None = None,
) -> KeptModel:
    """Keep this site's model as a candidate, and take the clips and vectors away that it was made of.

    The same tensors, plan and footage are the same version: called again, nothing is added.

    Args:
        workspace: where it is kept.
        plan: of the federation.
        material: what the site learnt from.
        shared: tensors that the server handed out: those of the best round.
        author: who let the site take part.
        clients: that took part, where it is known; a server tells its clients nothing of one another.

    Raises:
        ConfigurationError: the author is not named, or the tensors are not the plan's.
    """
    if not author.strip():
        raise ConfigurationError("a model has an author; say who you are")
    about = _federation(plan, material, clients)
    try:
        match material:
            case AutoencoderMaterial():
                return _autoencoder(workspace, plan, material, shared, about, author.strip())
            case ClassifierMaterial():
                return _classifier(workspace, plan, material, shared, about, author.strip())
            case ProjectionMaterial():
                return _projection(workspace, plan, material, shared, about, author.strip())
    finally:
        # Also where the model cannot be kept: a disk may be full of them, and they can be made again.
        shutil.rmtree(material_folder(workspace, plan.name, plan.digest), ignore_errors=True)


def _federation(plan: FederatedPlan, material: SiteMaterial, clients: int | None) -> dict[str, Any]:
    """What every card tells of the federation."""
    return {
        "plan": plan.digest,
        "rounds": plan.rounds,
        "local_epochs": plan.local_epochs,
        "seed": plan.seed,
        "clients": clients,
        "samples": material.site.samples,
    }


def _autoencoder(
    workspace: Workspace,
    plan: FederatedPlan,
    material: AutoencoderMaterial,
    shared: Tensors,
    federation: Mapping[str, Any],
    author: str,
) -> KeptModel:
    trained = material.site.finished(shared)
    told, arrays = autoencoders.told_of(
        trained, material.footage, material.view, material.settings, material.cuboids, material.held_out
    )
    about = {**told, "federation": dict(federation)}
    kept = autoencoders.keep_autoencoder(
        workspace, trained, plan.name, about, author=author, candidate=True, arrays=arrays
    )
    return _read(workspace, autoencoders.KIND, f"{trained.settings.architecture}.{plan.name}", kept.version)


def _classifier(
    workspace: Workspace,
    plan: FederatedPlan,
    material: ClassifierMaterial,
    shared: Tensors,
    federation: Mapping[str, Any],
    author: str,
) -> KeptModel:
    head, held, learnt = material.site.finished(shared), material.held_out, material.training
    out = _held_out(head, held, plan.rounds * plan.local_epochs)
    thresholds = _thresholds(held, out)
    unheld = [name for name, told in thresholds.items() if told["criterion"] == NONE_HELD_OUT]
    remarks = [*material.site.remarks, *(f"no held-out clip is of {name}: its threshold is {HALF}" for name in unheld)]
    card: dict[str, Any] = {
        **material.inputs.to_card(),
        "classes": list(held.classes),
        "normal": None,
        "settings": asdict(classifier_settings(plan)),
        "epochs": plan.rounds * plan.local_epochs,
        "data": {**material.data, **_sizes(learnt, held)},
        "clips": [*learnt.names, *held.names],
        "contents": [*learnt.contents, *held.contents],
        FOLD_CLIPS: list(held.names),
        "metrics": metrics_of(held, out, F2, thresholds),
        "thresholds": thresholds,
        "torch": distribution_version("torch"),
        "remark": "; ".join(remarks),
        "federation": dict(federation),
    }
    arrays = {
        **prefixed("head", head.to_arrays()),
        "fold.scores": out.scores,
        "fold.truth": held.targets.astype(np.uint8),
        "fold.number": out.fold,
        "fold.windows": out.window_scores,
        "fold.clip": held.clip,
    }
    # Not by `keep_classifier`, which puts the first of a name into service: others had a part in this one.
    version = head_version(card, arrays)
    workspace.registry.save(classifiers.KIND, plan.name, version, card, arrays, author=author)
    return _read(workspace, classifiers.KIND, plan.name, version)


def _held_out(head: ClassifierHead, held: ClassifierSamples, epochs: int) -> OutOfFold:
    """What the head says of held-out clips, in groups of sources.

    It was trained on none of them, so what it says of the other groups is what a threshold for a group may be chosen by.
    """
    window_scores = head.probabilities(held.vectors)
    scores = clip_means(window_scores, held)
    sources = sorted(set(held.sources))
    folds = min(FOLDS, len(sources))
    fold = np.array([sources.index(source) % folds for source in held.sources], np.int64)
    return OutOfFold(scores, window_scores, fold, (epochs,), np.stack([scores] * folds), 0.0)


def _thresholds(held: ClassifierSamples, out: OutOfFold) -> dict[str, dict[str, Any]]:
    """Recommended thresholds, chosen on the held-out clips; a half where none of them is of the class."""
    told: dict[str, dict[str, Any]] = {}
    for name, truth, scores in zip(held.classes, held.targets.T, out.scores.T, strict=True):
        if truth.any():
            told[name] = {"threshold": sweep(truth, scores).choose(F2), "criterion": F2.words}
        else:
            told[name] = {"threshold": HALF, "criterion": NONE_HELD_OUT}
    return told


def _sizes(learnt: ClassifierSamples, held: ClassifierSamples) -> dict[str, Any]:
    """Counts of clips, sources and windows, as cards of classifiers tell them."""
    of_clips = np.concatenate([np.bincount(one.clip) for one in (learnt, held)])
    every = sorted(
        [content, *map(bool, target), source]
        for one in (learnt, held)
        for content, target, source in zip(one.contents, one.targets.tolist(), one.sources, strict=True)
    )
    return {
        "sources": len(set(learnt.sources) | set(held.sources)),
        "held_out_sources": sorted(set(held.sources)),
        "windows": len(learnt.vectors) + len(held.vectors),
        "windows_per_clip": {
            "fewest": int(of_clips.min()),
            "mean": round(float(of_clips.mean()), 2),
            "most": int(of_clips.max()),
        },
        "content": short_hash(every),
    }


def _projection(
    workspace: Workspace,
    plan: FederatedPlan,
    material: ProjectionMaterial,
    shared: Tensors,
    federation: Mapping[str, Any],
    author: str,
) -> KeptModel:
    projection = material.site.finished(shared)
    untrained = material.site.finished(initial_shared(plan))
    card: dict[str, Any] = {
        "encoder": material.inputs.encoder,
        "space": material.spec.space,
        "scaling": projections.TAKES,
        "settings": asdict(material.settings) | {"dimension": projection.dimension},
        "viewing": asdict(material.inputs.viewing),
        "data": material.data,
        "metrics": {"silhouette": _silhouettes(material, untrained, projection)},
        "epochs": plan.rounds * plan.local_epochs,
        "torch": distribution_version("torch"),
        "remark": "",
        projections.CANDIDATE: True,  # others had a part in it: a name alone in the settings does not mean this version
        "federation": dict(federation),
    }
    version = projections.save_projection(workspace, plan.name, projection, card, author)
    return _read(workspace, projections.KIND, plan.name, version)


def _silhouettes(
    material: ProjectionMaterial, untrained: TrainedProjection, trained: TrainedProjection
) -> dict[str, dict[str, float | None]]:
    """Of held-out samples: as the encoder gives them, and by the layer before and after the federation."""
    of: tuple[Alike, ...] = ("classes", "views")
    chain = {"raw": None, "untrained": untrained, "trained": trained}
    found = {
        alike: {name: silhouette_of(material.held_out, alike, layer) for name, layer in chain.items()} for alike in of
    }
    return {
        alike: {name: None if value is None else round(value, 4) for name, value in told.items()}
        for alike, told in found.items()
    }


def _read(workspace: Workspace, kind: str, name: str, version: str) -> KeptModel:
    """As the registry has it: of a version that was there already, the card it was kept with."""
    return KeptModel(kind, name, version, workspace.registry.card(kind, name, version))
