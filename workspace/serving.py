"""Versions of models put into service and out of it by name, whatever kind they are."""

from dataclasses import dataclass

from infra.errors import ConfigurationError, UnknownNameError
from lake.promotions import in_service, promote, retire
from workspace.classifiers import EVERY_CAMERA, versions_of
from workspace.classifiers import KIND as CLASSIFIER
from workspace.opened import Workspace
from workspace.training import KIND as RETRIEVAL

SERVING = (CLASSIFIER, RETRIEVAL)
"""Kinds of which a person says what version serves; the night makes novelty heads itself, settings name projections."""


@dataclass(frozen=True)
class NamedModel:
    """A name of the registry.

    Attributes:
        kind, name: of it.
        versions: oldest first, by when they were made.
        serving: the version in service; None where none is.
    """

    kind: str
    name: str
    versions: tuple[str, ...]
    serving: str | None


def model_named(workspace: Workspace, name: str, kind: str | None = None) -> NamedModel:
    """What the registry has by a name.

    Args:
        workspace: whose registry.
        name: of the model.
        kind: of it; needed where models of several kinds have the name.

    Raises:
        UnknownNameError: there is no such model.
        ConfigurationError: models of several kinds have the name.
    """
    known = workspace.registry.versions()
    kinds = sorted({found for found, called, _ in known if called == name and kind in (None, found)})
    if not kinds:
        what = "model" if kind is None else f"model of kind {kind}"
        raise UnknownNameError(what, name, {called for found, called, _ in known if kind in (None, found)})
    if len(kinds) > 1:
        raise ConfigurationError(f"there are models {name} of kinds {', '.join(kinds)}; say which with --kind")
    versions = versions_of(workspace, name, kinds[0])
    return NamedModel(kinds[0], name, tuple(versions), in_service(workspace.ledger, kinds[0]).get(name))


def put_into_service(workspace: Workspace, model: NamedModel, version: str, author: str) -> None:
    """Put a version into service in place of any other; it counts from the next night on.

    Raises:
        UnknownNameError: there is no such version.
        ConfigurationError: models of its kind are not put into service by hand, or nobody says so.
    """
    _check(model, author)
    if version not in model.versions:
        raise UnknownNameError(f"version of {model.kind} {model.name}", version, model.versions)
    camera = _camera(workspace, model, version)
    promote(workspace.ledger, model.kind, model.name, version, author.strip(), camera)


def take_out_of_service(workspace: Workspace, model: NamedModel, author: str) -> None:
    """Take the version in service out of it; its versions stay in the registry.

    Raises:
        ConfigurationError: none is in service, models of its kind are not put into service by hand, or nobody says so.
    """
    _check(model, author)
    if model.serving is None:
        raise ConfigurationError(f"no version of {model.kind} {model.name} is in service; there is nothing to retire")
    retire(workspace.ledger, model.kind, model.name, author.strip(), _camera(workspace, model, model.serving))


def _check(model: NamedModel, author: str) -> None:
    if model.kind not in SERVING:
        raise ConfigurationError(
            f"{model.name} is of kind {model.kind}, and only versions of {' and '.join(SERVING)} are put into service by "
            "hand: the night chooses novelty heads, and the settings name a projection or an encoder"
        )
    if not author.strip():
        raise ConfigurationError("a promotion has an author; say who you are")


def _camera(workspace: Workspace, model: NamedModel, version: str) -> str:
    if model.kind == CLASSIFIER:
        return EVERY_CAMERA
    return str(workspace.registry.card(model.kind, model.name, version)["use_case"]["camera"])
