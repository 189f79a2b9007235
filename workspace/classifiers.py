"""Classifiers of the registry: found, loaded; where their thresholds are and what each would come to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from infra.errors import ConfigurationError, LakeError, UnknownNameError
from lake.operating_points import OperatingPoint, operating_points_now
from lake.promotions import in_service
from models.arrays import part
from models.heads.classifier import ClassifierHead
from models.sweep import Sweep, sweep
from workspace.clip_vectors import Inputs
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
        LakeError: its card is damaged, or does not say what it looks at and for.
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
    found = FoundClassifier(name, version, workspace.registry.card(KIND, name, version))
    _check_card(found)
    return found


def _check_card(found: FoundClassifier) -> None:
    """Hold a card against what every reader takes for granted: one that was not written by a fit may lack it."""
    classes = found.card.get("classes")
    if not (isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes)):
        raise _unusable(found, "its card does not name its classes")
    try:
        Inputs.from_card(found.card)
    except ConfigurationError as error:
        raise _unusable(found, str(error)) from None


def _unusable(found: FoundClassifier, why: str) -> LakeError:
    again = "" if why.endswith("fit it again") else "; fit it again"
    return LakeError(f"classifier {found.name} {found.version} cannot be used: {why}{again}")


def versions_of(workspace: Workspace, name: str, kind: str = KIND) -> list[str]:
    """Versions of a classifier, or of a model of another kind, the oldest first, by when they were made.

    Raises:
        UnknownNameError: there is none of that name.
    """
    known = [(called, version) for found, called, version in workspace.registry.versions() if found == kind]
    mine = [version for called, version in known if called == name]
    if not mine:
        raise UnknownNameError(kind, name, {called for called, _ in known})
    made = {version: str(workspace.registry.card(kind, name, version).get("made_at", "")) for version in mine}
    return sorted(mine, key=lambda version: (made[version], version))


def load_head(workspace: Workspace, found: FoundClassifier) -> ClassifierHead:
    """The head of a classifier.

    Raises:
        LakeError: there is none, or its arrays are not those of a head.
    """
    _, arrays = workspace.registry.load(KIND, found.name, found.version)
    try:
        return ClassifierHead.from_arrays(part("head", arrays))
    except (KeyError, IndexError, ValueError) as error:
        raise LakeError(
            f"the arrays of classifier {found.name} {found.version} are damaged ({error!r}); fit it again"
        ) from None


def sweep_of(workspace: Workspace, found: FoundClassifier, class_name: str) -> Sweep:
    """What each threshold on a class comes to on the clips it was trained on, each scored by a head that had not seen it.

    Raises:
        UnknownNameError: it has no such class.
        LakeError: its out-of-fold scores are not there, or not those of its classes.
    """
    column = found.classes.index(found.class_named(class_name))
    _, arrays = workspace.registry.load(KIND, found.name, found.version)
    try:
        return sweep(arrays["fold.truth"][:, column].astype(np.bool_), arrays["fold.scores"][:, column])
    except (KeyError, IndexError, ValueError) as error:
        raise LakeError(
            f"the scores of classifier {found.name} {found.version} are damaged ({error!r}); fit it again"
        ) from None


def threshold_of(workspace: Workspace, found: FoundClassifier, class_name: str) -> OperatingPoint:
    """The operating point of a class: what a person said last, else what the card recommends, whose author is empty.

    Raises:
        UnknownNameError: it has no such class.
    """
    found.class_named(class_name)
    said = operating_points_now(workspace.ledger).get((found.name, found.version, class_name))
    return recommended(found, class_name) if said is None else said


def recommended(found: FoundClassifier, class_name: str) -> OperatingPoint:
    """What the card of a classifier recommends as threshold of a class.

    Raises:
        LakeError: it recommends none.
    """
    try:
        told = found.card["thresholds"][class_name]
        threshold, criterion = float(told["threshold"]), str(told["criterion"])
        made_at = datetime.fromisoformat(found.card["made_at"])
    except (KeyError, TypeError, ValueError):
        raise _unusable(found, f"its card tells no threshold of {class_name}, or not when it was made") from None
    return OperatingPoint(found.name, found.version, class_name, threshold, criterion, "", made_at)
