"""Versions of models put into service and out of it by name, whatever kind they are.

A version is a candidate until it is promoted, in service until another takes its place, and retired from then on. Whoever
promotes one has read what it changes: a flip report between the version in service and the new one, signed, or says why not.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from infra.errors import ConfigurationError, UnknownNameError
from infra.weights import read_weights
from lake.promotions import NO_REVIEW, Promotion, Review, history, in_service, promote, retire, served
from workspace.classifiers import EVERY_CAMERA, versions_of
from workspace.classifiers import KIND as CLASSIFIER
from workspace.flip_signing import comparing_command, signed_report
from workspace.opened import Workspace
from workspace.training import KIND as RETRIEVAL

AUTOENCODER = "autoencoder"
SERVING = (CLASSIFIER, RETRIEVAL, AUTOENCODER)
"""Kinds of which a person says what version serves; the night makes novelty heads itself, settings name projections."""
VERSION_DIGITS = 12
"""Of the hash of an autoencoder's weights, which are its version."""

State = Literal["in service", "candidate", "retired", "kept"]


@dataclass(frozen=True)
class NamedModel:
    """A name of the registry.

    Attributes:
        kind, name: of it.
        versions: oldest first, by when they were made.
        serving: the version in service; None where none is.
        words: everything that was said of which version serves, oldest first.
    """

    kind: str
    name: str
    versions: tuple[str, ...]
    serving: str | None
    words: tuple[Promotion, ...]

    @property
    def last(self) -> str | None:
        """The version in service, or the one that served last; None where none ever did."""
        return self.serving or next(reversed(served(self.words)), None)

    @property
    def before(self) -> str | None:
        """The version that a roll-back puts into service; None where none served before."""
        versions = served(self.words)
        if self.serving is not None and versions[-1:] == [self.serving]:
            versions.pop()
        return versions[-1] if versions else None

    def state(self, version: str) -> State:
        """`in service`, `retired` of one that was, or `candidate`; `kept` of a kind that people put into no service."""
        return state_of(self.kind, version, self.serving, self.words)


def state_of(kind: str, version: str, serving: str | None, words: Collection[Promotion]) -> State:
    """What a version is: see `NamedModel.state`."""
    if kind not in SERVING:
        return "kept"
    if version == serving:
        return "in service"
    return "retired" if any(version in (word.before, word.after) for word in words) else "candidate"


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
    serving = versions_in_service(workspace, kinds[0]).get(name)
    return NamedModel(kinds[0], name, tuple(versions), serving, tuple(history(workspace.ledger, kinds[0], name)))


def review_asked_for(model: NamedModel, version: str) -> str | None:
    """The version that a flip report has to hold a version against before it is promoted.

    None is asked for the first version of a name to serve, nor for putting back the one that served last.
    """
    return None if model.last in (None, version) else model.last


def review_of(workspace: Workspace, model: NamedModel, version: str) -> Review | None:
    """The signed flip report that lets a version be promoted; None where one is asked for and there is none."""
    current = review_asked_for(model, version)
    if current is None:
        return NO_REVIEW
    signed = signed_report(workspace, model.kind, model.name, current, version)
    return None if signed is None else Review(signed.report_id, signed.author)


def review_words(model: NamedModel, version: str) -> str:
    """What to write so that a version may be promoted in the place of the one that serves, or served last."""
    current = review_asked_for(model, version) or ""
    return (
        f'make one with "{comparing_command(model.kind, model.name, current, version)}", read it, and sign it with '
        '"afterwatch models sign REPORT"'
    )


def put_into_service(
    workspace: Workspace, model: NamedModel, version: str, author: str, *, unreviewed: str = ""
) -> Review:
    """Put a version into service in place of any other; it counts from the next night on.

    Where it serves already, nothing is said.

    Args:
        workspace: whose.
        model: of which name.
        version: of it.
        author: who says so.
        unreviewed: why it is to serve although nobody has signed a flip report; kept with the promotion.

    Returns:
        What it rests on.

    Raises:
        UnknownNameError: there is no such version.
        ConfigurationError: models of its kind are not put into service by hand, nobody says so, or a flip report between the
            version that it takes the place of and this one is not signed.
        LakeError: the weights of an autoencoder are gone.
    """
    _check(model, author)
    if version not in model.versions:
        raise UnknownNameError(f"version of {model.kind} {model.name}", version, model.versions)
    review = review_of(workspace, model, version)
    if review is None:
        if not unreviewed.strip():
            raise ConfigurationError(
                f"version {version} of {model.kind} {model.name} would take the place of {review_asked_for(model, version)}, and "
                f"nobody has signed a flip report of what that changes; {review_words(model, version)}. Or say why it is to "
                'serve without one, which its history keeps: --unreviewed "REASON"'
            )
        review = Review(unreviewed=unreviewed.strip())
    if version != model.serving:
        _serve(workspace, model, version, author.strip(), review)
    return review


def roll_back(workspace: Workspace, model: NamedModel, author: str, *, reason: str = "") -> str:
    """Put the version into service that served before; where the last one was retired, that one.

    It was read or accounted for when it was promoted: no flip report is asked for.

    Returns:
        The version that serves now.

    Raises:
        ConfigurationError: none served before, its files are gone, models of its kind are not put into service by hand, or
            nobody says so.
        LakeError: the weights of an autoencoder are gone.
    """
    _check(model, author)
    version = model.before
    if version is None:
        now = f"{model.serving} is the first" if model.serving else "none was ever in service"
        raise ConfigurationError(
            f"no version of {model.kind} {model.name} served before, {now}; "
            f'"afterwatch models promote {model.name} VERSION" puts one into service'
        )
    if version not in model.versions:
        raise ConfigurationError(
            f"version {version} of {model.kind} {model.name} served before, and is not in the registry any more; put its folder "
            f"back from a copy, or promote another: {', '.join(model.versions)}"
        )
    _serve(workspace, model, version, author.strip(), NO_REVIEW, rolled_back=True, reason=reason.strip())
    return version


def take_out_of_service(workspace: Workspace, model: NamedModel, author: str, *, reason: str = "") -> None:
    """Take the version in service out of it; its versions stay in the registry.

    Raises:
        ConfigurationError: none is in service, models of its kind are not put into service by hand, or nobody says so.
    """
    _check(model, author)
    if model.kind == AUTOENCODER:
        raise ConfigurationError(_autoencoder_words(model))
    if model.serving is None:
        raise ConfigurationError(f"no version of {model.kind} {model.name} is in service; there is nothing to retire")
    camera = _camera(workspace, model, model.serving)
    retire(
        workspace.ledger,
        model.kind,
        model.name,
        author.strip(),
        camera,
        before=model.serving,
        reason=reason.strip(),
    )


def _autoencoder_words(model: NamedModel) -> str:
    """Why an autoencoder is not retired, and what does what was wanted."""
    encoder = f"{AUTOENCODER}/{model.name.replace('.', '/', 1)}"
    back = (
        f'to go back to {model.before}, which served before, "afterwatch models rollback {model.name}"'
        if model.before
        else f'to use another version, "afterwatch models promote {model.name} VERSION" (no other served before)'
    )
    return (
        f"an autoencoder is used by the cameras whose settings name it, and is not retired: {back}; to go without it, take "
        f'the [[encoders]] named "{encoder}" out of afterwatch.toml, and name another under [novelty] where that says it'
    )


def _serve(
    workspace: Workspace,
    model: NamedModel,
    version: str,
    author: str,
    review: Review,
    *,
    rolled_back: bool = False,
    reason: str = "",
) -> None:
    camera = _camera(workspace, model, version)

    def say() -> None:
        promote(
            workspace.ledger,
            model.kind,
            model.name,
            version,
            author,
            camera,
            before=model.serving,
            review=review,
            rolled_back=rolled_back,
            reason=reason,
        )

    if model.kind == AUTOENCODER:
        from workspace import autoencoders  # torch takes seconds to import, and every page asks what serves

        autoencoders.enter_weights(workspace, model.name, version, say)
    else:
        say()


def _check(model: NamedModel, author: str) -> None:
    if model.kind not in SERVING:
        raise ConfigurationError(
            f"{model.name} is of kind {model.kind}, and only versions of {' and '.join(SERVING)} are put into service by "
            "hand: the night chooses novelty heads, and the settings name a projection or an encoder"
        )
    if not author.strip():
        raise ConfigurationError("a promotion has an author; say who you are")


def _camera(workspace: Workspace, model: NamedModel, version: str) -> str:
    if model.kind in (CLASSIFIER, AUTOENCODER):
        return EVERY_CAMERA
    return str(workspace.registry.card(model.kind, model.name, version)["use_case"]["camera"])
