"""Versions of models put into service and out of it by name, whatever kind they are."""

from dataclasses import dataclass

from infra.errors import ConfigurationError, UnknownNameError
from infra.weights import read_weights
from lake.promotions import in_service, promote, retire
from workspace.classifiers import EVERY_CAMERA, versions_of
from workspace.classifiers import KIND as CLASSIFIER
from workspace.opened import Workspace
from workspace.training import KIND as RETRIEVAL

AUTOENCODER = "autoencoder"
SERVING = (CLASSIFIER, RETRIEVAL, AUTOENCODER)
"""Kinds of which a person says what version serves; the night makes novelty heads itself, settings name projections."""
VERSION_DIGITS = 12
"""Of the hash of an autoencoder's weights, which are its version."""


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


def versions_in_service(workspace: Workspace, kind: str) -> dict[str, str]:
    """Version in service of each name of a kind; none of a kind that is not put into service by hand.

    Of classifiers and retrieval heads the ledger says it. Of autoencoders it is the one whose weights `weights.toml` names,
    whoever entered them there.
    """
    if kind != AUTOENCODER:
        return in_service(workspace.ledger, kind) if kind in SERVING else {}
    serving = {}
    for encoder, weights in read_weights(workspace.site.weights_folder).items():
        family, _, rest = encoder.partition("/")
        name, version = rest.replace("/", "."), weights.sha256[:VERSION_DIGITS]
        if family == AUTOENCODER and workspace.registry.exists(AUTOENCODER, name, version):
            serving[name] = version
    return serving


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
    return NamedModel(kinds[0], name, tuple(versions), versions_in_service(workspace, kinds[0]).get(name))


def put_into_service(workspace: Workspace, model: NamedModel, version: str, author: str) -> None:
    """Put a version into service in place of any other; it counts from the next night on.

    Raises:
        UnknownNameError: there is no such version.
        ConfigurationError: models of its kind are not put into service by hand, or nobody says so.
        LakeError: the weights of an autoencoder are gone.
    """
    _check(model, author)
    if version not in model.versions:
        raise UnknownNameError(f"version of {model.kind} {model.name}", version, model.versions)
    if model.kind == AUTOENCODER:
        from workspace import autoencoders  # torch takes seconds to import, and every page asks what serves

        autoencoders.put_into_service(workspace, model.name, version, author.strip())
        return
    camera = _camera(workspace, model, version)
    promote(workspace.ledger, model.kind, model.name, version, author.strip(), camera)


def take_out_of_service(workspace: Workspace, model: NamedModel, author: str) -> None:
    """Take the version in service out of it; its versions stay in the registry.

    Raises:
        ConfigurationError: none is in service, models of its kind are not put into service by hand, or nobody says so.
    """
    _check(model, author)
    if model.kind == AUTOENCODER:
        raise ConfigurationError(
            f"which autoencoders the night uses is said by the settings: to go without {model.name}, take its [[encoders]] out "
            'of afterwatch.toml; to use another version of it, "afterwatch models promote" that one'
        )
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
