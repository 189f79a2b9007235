"""Classifiers of the registry: found, loaded; where their thresholds are and what each would come to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from infra.errors import ConfigurationError, UnknownNameError
from lake.operating_points import OperatingPoint, operating_points_now
from lake.promotions import in_service
from models.arrays import part
from models.heads.classifier import ClassifierHead
from models.sweep import Sweep, sweep
from workspace.opened import Workspace

KIND = "classifier"
EVERY_CAMERA = ""
"""Camera of a classifier in the ledger: it serves all that an alarm names."""


@dataclass(frozen=True)
class FoundClassifier:
    """A version of a classifier in the registry.

    Attributes:
        name, version: of it.
        card: what it is; see docs/classifiers.md.
    """

    name: str
    version: str
    card: dict[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Its alarm classes, in the order of its logits."""
        return tuple(self.card["classes"])

    def class_named(self, class_name: str | None) -> str:
        """That class, or the only one where none is named.

        Raises:
            ConfigurationError: there is none of that name (UnknownNameError), or several to choose from.
        """
        if class_name is None:
            if len(self.classes) > 1:
                raise ConfigurationError(
                    f"classifier {self.name} tells {len(self.classes)} classes apart: say which one is meant "
                    f"({', '.join(self.classes)})"
                )
            return self.classes[0]
        if class_name not in self.classes:
            raise UnknownNameError(f"class of classifier {self.name}", class_name, self.classes)
        return class_name


def find_classifier(workspace: Workspace, name: str, version: str | None = None) -> FoundClassifier:
    """A classifier of the registry, without its arrays.

    Args:
        workspace: whose registry.
        name: of the classifier.
        version: of it; None: the one in service.

    Raises:
        UnknownNameError: there is no classifier of that name, or no such version.
        ConfigurationError: none of its versions is in service.
        LakeError: its card is damaged.
    """
    known = versions_of(workspace, name)
    if version is None:
        version = in_service(workspace.ledger, KIND, EVERY_CAMERA).get(name)
        if version is None:
            raise ConfigurationError(
                f"no version of classifier {name} is in service; put one there with "
                f'"afterwatch models promote {name} {known[-1]}"'
            )
    if version not in known:
        raise UnknownNameError(f"version of classifier {name}", version, known)
    return FoundClassifier(name, version, workspace.registry.card(KIND, name, version))


def versions_of(workspace: Workspace, name: str) -> list[str]:
    """Versions of a classifier, oldest first.

    Raises:
        UnknownNameError: there is no classifier of that name.
    """
    known = [(called, version) for kind, called, version in workspace.registry.versions() if kind == KIND]
    mine = [version for called, version in known if called == name]
    if not mine:
        raise UnknownNameError("classifier", name, {called for called, _ in known})
    made = {version: str(workspace.registry.card(KIND, name, version).get("made_at", "")) for version in mine}
    return sorted(mine, key=lambda version: (made[version], version))


def load_head(workspace: Workspace, found: FoundClassifier) -> ClassifierHead:
    """The head of a classifier."""
    _, arrays = workspace.registry.load(KIND, found.name, found.version)
    return ClassifierHead.from_arrays(part("head", arrays))


def sweep_of(workspace: Workspace, found: FoundClassifier, class_name: str) -> Sweep:
    """What each threshold on a class comes to on the clips it was trained on, each scored by a head that had not seen it.

    Raises:
        UnknownNameError: it has no such class.
    """
    column = found.classes.index(found.class_named(class_name))
    _, arrays = workspace.registry.load(KIND, found.name, found.version)
    return sweep(arrays["fold.truth"][:, column].astype(np.bool_), arrays["fold.scores"][:, column])


def threshold_of(workspace: Workspace, found: FoundClassifier, class_name: str) -> OperatingPoint:
    """The operating point of a class: what a person said last, else what the card recommends, whose author is empty.

    Raises:
        UnknownNameError: it has no such class.
    """
    found.class_named(class_name)
    said = operating_points_now(workspace.ledger).get((found.name, found.version, class_name))
    return recommended(found, class_name) if said is None else said


def recommended(found: FoundClassifier, class_name: str) -> OperatingPoint:
    """What the card of a classifier recommends as threshold of a class."""
    told = found.card["thresholds"][class_name]
    made_at = datetime.fromisoformat(found.card["made_at"])
    return OperatingPoint(
        found.name, found.version, class_name, float(told["threshold"]), told["criterion"], "", made_at
    )
