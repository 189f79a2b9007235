"""Verbs that say which version of a model serves: promote, retire, rollback; and what was said so far: history."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.model_options import AuthorOption, KindOption, ModelArgument, ReasonOption
from afterwatch.options import JsonOption, SiteOption, print_json, print_table

if TYPE_CHECKING:
    from lake.promotions import Promotion
    from workspace.opened import Workspace
    from workspace.serving import NamedModel


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb, example in (
        (promote, "afterwatch models promote fights 0f3a9d21c4b8e7765a10 --site site"),
        (retire, "afterwatch models retire fights --site site"),
        (rollback, "afterwatch models rollback fights --site site"),
        (history, "afterwatch models history fights --site site"),
    ):
        app.command(epilog=f"Example: {example}")(verb)


def promote(
    name: ModelArgument,
    version: Annotated[str, typer.Argument(help="Version to put into service.")],
    unreviewed: Annotated[
        str, typer.Option(metavar="REASON", help="Why it is to serve although nobody signed its flip report.")
    ] = "",
    kind: KindOption = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Put a version of a classifier, a retrieval head or an autoencoder into service, in place of any other.

    It counts from the next night on. Where another version serves, a flip report between the two has to be signed first: see
    `models compare` and `models sign`. `models rollback` puts the other back.
    """
    from workspace.opened import Workspace
    from workspace.serving import AUTOENCODER, model_named, put_into_service

    workspace = Workspace(site)
    model = model_named(workspace, name, kind)
    # Before anything changes: what reads the vectors of an autoencoder reads those of the version that is replaced.
    suspends, words = _suspended(workspace, model, version)
    if words and not as_json:
        typer.echo(words)
    review = put_into_service(workspace, model, version, author or getpass.getuser(), unreviewed=unreviewed)
    told = {"kind": model.kind, "name": name, "in_service": version, "before": model.serving, **review.to_value()}
    if as_json:
        print_json(told | ({"suspends": suspends} if model.kind == AUTOENCODER else {}))
        return
    if model.serving == version:
        typer.echo(f"{model.kind} {name} {version} is in service already; nothing was said")
        return
    signed = f", its flip report {review.report} signed by {review.signed_by}" if review.report else ""
    typer.echo(f"{model.kind} {name} {version} is in service{signed}; before: {model.serving or 'none'}")


def retire(
    name: ModelArgument,
    reason: ReasonOption = "",
    kind: KindOption = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Take a classifier or a retrieval head out of service; its versions stay, and rollback puts the last one back."""
    from workspace.opened import Workspace
    from workspace.serving import model_named, take_out_of_service

    workspace = Workspace(site)
    model = model_named(workspace, name, kind)
    take_out_of_service(workspace, model, author or getpass.getuser(), reason=reason)
    if as_json:
        print_json({"kind": model.kind, "name": name, "in_service": None, "before": model.serving})
    else:
        typer.echo(f"{model.kind} {name} is out of service; before: {model.serving}")


def rollback(
    name: ModelArgument,
    reason: ReasonOption = "",
    kind: KindOption = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Put the version back into service that served before, autoencoders too; where the last one was retired, that one.

    It counts from the next night on, and needs no flip report. Said again, it goes one further back.
    """
    from workspace.opened import Workspace
    from workspace.serving import AUTOENCODER, model_named, roll_back

    workspace = Workspace(site)
    model = model_named(workspace, name, kind)
    suspends, words = _suspended(workspace, model, model.before or "")
    version = roll_back(workspace, model, author or getpass.getuser(), reason=reason)
    if as_json:
        told = {"kind": model.kind, "name": name, "in_service": version, "before": model.serving}
        print_json(told | ({"suspends": suspends} if model.kind == AUTOENCODER else {}))
        return
    if words:
        typer.echo(words)
    further = model_named(workspace, name, model.kind).before
    typer.echo(
        f"{model.kind} {name} {version} is in service again, as before {model.serving or 'it was retired'}; "
        f"{f'rolled back once more, {further} would be' if further else 'nothing served before it'}"
    )


def history(
    name: ModelArgument,
    kind: KindOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Tell which versions of a model served: who said so and when, from what to what, why, and who signed the flip report."""
    from workspace.opened import Workspace
    from workspace.serving import model_named

    model = model_named(Workspace(site), name, kind)
    if as_json:
        words = [_word_told(word) for word in model.words]
        print_json({"kind": model.kind, "name": name, "in_service": model.serving, "history": words})
        return
    typer.echo(f"{model.kind} {name}: {model.serving or 'no version'} in service")
    rows = [
        (
            f"{word.said_at:%Y-%m-%d %H:%M} UTC",
            word.author,
            word.action,
            word.before or "–",
            word.after or "–",
            _why(word),
            word.review.signed_by or "–",
        )
        for word in model.words
    ]
    print_table(("when", "who", "what", "from", "to", "why", "signed by"), rows)
    stands = model.words[-1].after if model.words else None
    if stands != model.serving:
        typer.echo(
            f"what serves was entered in weights.toml by other means than a promotion: {model.serving or 'nothing'}"
        )


def _suspended(workspace: "Workspace", model: "NamedModel", version: str) -> tuple[list[str], str]:
    """What another version of an autoencoder leaves without vectors, and that in words; nothing of other kinds."""
    from workspace.serving import AUTOENCODER

    if model.kind != AUTOENCODER or model.serving == version:
        return [], ""
    from workspace.autoencoder_readers import promotion_words, readers_of

    return readers_of(workspace, f"{model.kind}/{model.name.replace('.', '/', 1)}"), promotion_words(
        workspace, model.name
    )


def _why(word: "Promotion") -> str:
    if word.review.unreviewed:
        return f"unreviewed: {word.review.unreviewed}"
    return f"flip report {word.review.report}" if word.review.report else word.reason


def _word_told(word: "Promotion") -> dict[str, Any]:
    return {
        "said_at": word.said_at.isoformat(),
        "author": word.author,
        "action": word.action,
        "from": word.before,
        "to": word.after,
        "reason": word.reason,
        "unreviewed": word.review.unreviewed,
        "report": word.review.report,
        "signed_by": word.review.signed_by,
    }
