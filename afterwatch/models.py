"""Verbs over heads and networks that were fitted: list, show, promote, retire, threshold, export."""

import getpass
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch import export
from afterwatch.classifier_texts import number, tell_metrics
from afterwatch.options import JsonOption, SiteOption, print_json, print_table
from afterwatch.refit import tell_comparison

if TYPE_CHECKING:
    from lake.operating_points import OperatingPoint
    from models.sweep import Sweep
    from workspace.classifiers import FoundClassifier

models_app = typer.Typer(
    help="Heads and their versions: list, show, promote, retire, threshold, export.", no_args_is_help=True
)
KindOption = Annotated[str | None, typer.Option(help="Kind, where models of several kinds have the name.")]
AuthorOption = Annotated[str | None, typer.Option(help="Who says so; default: you.")]

RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Where a sweep is told in words: at the most precise threshold with at least this recall."""


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb, called, example in (
        (list_models, "list", "afterwatch models list --site site"),
        (show, "show", "afterwatch models show fights --site site"),
        (promote, "promote", "afterwatch models promote fights 0f3a9d21c4b8e7765a10 --site site"),
        (retire, "retire", "afterwatch models retire fights --site site"),
        (threshold, "threshold", "afterwatch models threshold fights --by recall=0.8 --site site"),
    ):
        models_app.command(called, epilog=f"Example: {example}")(verb)
    export.add_to(models_app)
    app.add_typer(models_app, name="models")


def list_models(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the heads that were fitted, by kind, name and version."""
    from infra.errors import LakeError
    from workspace.opened import Workspace
    from workspace.serving import SERVING, versions_in_service

    workspace = Workspace(site)
    serving = {kind: versions_in_service(workspace, kind) for kind in SERVING}
    rows = []
    for kind, name, version in workspace.registry.versions():
        try:
            card = workspace.registry.card(kind, name, version)
        except LakeError as error:  # the others are to be seen all the same
            card = {"usable": False, "remark": str(error)}
        state = "" if kind not in SERVING else "in service" if serving[kind].get(name) == version else "candidate"
        rows.append(
            {
                "kind": kind,
                "name": name,
                "version": version,
                "state": state,
                "usable": card.get("usable", True),
                "remark": card.get("remark") or "",
            }
        )
    if as_json:
        print_json({"models": rows})
    else:
        print_table(("kind", "name", "version", "state", "usable", "remark"), [tuple(row.values()) for row in rows])


def show(
    name: Annotated[str, typer.Argument(help="Of the model, as `models list` gives it.")],
    version: Annotated[str | None, typer.Option(help="Of it; default: the one in service, or else the newest.")] = None,
    kind: KindOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Tell what a model is: its card, how well it does, and, of a classifier, what each threshold comes to."""
    from infra.errors import LakeError, UnknownNameError
    from workspace.classifiers import KIND, FoundClassifier
    from workspace.opened import Workspace
    from workspace.segment_scores import fold_part
    from workspace.serving import model_named

    workspace = Workspace(site)
    model = model_named(workspace, name, kind)
    chosen = version or model.serving or model.versions[-1]
    if chosen not in model.versions:
        raise UnknownNameError(f"version of {model.kind} {name}", chosen, model.versions)
    card = workspace.registry.card(model.kind, name, chosen)
    told: dict[str, Any] = {
        "kind": model.kind,
        "name": name,
        "version": chosen,
        "in_service": model.serving,
        "versions": list(model.versions),
        "card": card,
    }
    if model.kind == KIND:
        try:
            found = FoundClassifier(name, chosen, card)
            told["classes"] = _swept(workspace, found)
            if fold_part(card) is not None:
                told["test"] = {class_name: _tested(workspace, found, class_name) for class_name in found.classes}
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise LakeError(f"classifier {name} {chosen} is damaged ({error!r}); fit it again") from None
    if as_json:
        print_json(told)
        return
    serves = "in service" if model.serving == chosen else f"in service: {model.serving or 'no version'}"
    typer.echo(f"{model.kind} {name} {chosen}, one of {len(model.versions)}; {serves}")
    print_table(("", ""), [(key, _brief(value)) for key, value in card.items() if key not in LONG])
    if card.get("comparison"):
        tell_comparison(card["comparison"], card.get("drift"), "trained anew")
    for class_name, rows in told.get("classes", {}).items():
        _tell_class(card, class_name, rows, told.get("test", {}).get(class_name))


def promote(
    name: Annotated[str, typer.Argument(help="Of the model, as `models list` gives it.")],
    version: Annotated[str, typer.Argument(help="Version to put into service.")],
    kind: KindOption = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Put a version of a classifier, a retrieval head or an autoencoder into service, in place of any other.

    It counts from the next night on. Any earlier version can be put back in the same way.
    """
    from workspace.opened import Workspace
    from workspace.serving import AUTOENCODER, model_named, put_into_service

    workspace = Workspace(site)
    model = model_named(workspace, name, kind)
    suspends = []
    if model.kind == AUTOENCODER and model.serving != version:
        from workspace.autoencoders import promotion_words, readers_of

        suspends = readers_of(workspace, f"{model.kind}/{name.replace('.', '/', 1)}")
        if not as_json:
            typer.echo(promotion_words(workspace, name))
    put_into_service(workspace, model, version, author or getpass.getuser())
    if as_json:
        told = {"kind": model.kind, "name": name, "in_service": version, "before": model.serving}
        print_json({**told, "suspends": suspends} if model.kind == AUTOENCODER else told)
    else:
        typer.echo(f"{model.kind} {name} {version} is in service; before: {model.serving or 'none'}")


def retire(
    name: Annotated[str, typer.Argument(help="Of the model, as `models list` gives it.")],
    kind: KindOption = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Take a classifier or a retrieval head out of service; its versions stay, and promote puts one back."""
    from workspace.opened import Workspace
    from workspace.serving import model_named, take_out_of_service

    workspace = Workspace(site)
    model = model_named(workspace, name, kind)
    take_out_of_service(workspace, model, author or getpass.getuser())
    if as_json:
        print_json({"kind": model.kind, "name": name, "in_service": None, "before": model.serving})
    else:
        typer.echo(f"{model.kind} {name} is out of service; before: {model.serving}")


def threshold(
    name: Annotated[str, typer.Argument(help="Of the classifier.")],
    class_name: Annotated[str | None, typer.Option("--class", help="Class; default: its only one.")] = None,
    by: Annotated[
        str | None, typer.Option(help="What to choose it by: f2, recall=0.8, precision=0.9, or cost=1,5.")
    ] = None,
    at: Annotated[float | None, typer.Option(help="The threshold itself, between 0 and 1.")] = None,
    recommended: Annotated[
        bool, typer.Option("--recommended", help="Leave it to the recommendation of the model's card again.")
    ] = False,
    version: Annotated[str | None, typer.Option(help="Of the classifier; default: the one in service.")] = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Put the threshold of a class, or say where it is and who put it there. The next night counts by it."""
    from infra.errors import ConfigurationError
    from workspace.classifiers import find_classifier, sweep_of, threshold_of
    from workspace.opened import Workspace
    from workspace.segment_scores import fold_part, fold_words

    if sum((by is not None, at is not None, recommended)) > 1:
        raise ConfigurationError("--by, --at and --recommended each say where the threshold is to be; give one")
    workspace = Workspace(site)
    found = find_classifier(workspace, name, version)
    chosen = found.class_named(class_name)
    swept = sweep_of(workspace, found, chosen)
    if by is not None or at is not None or recommended:
        _say(workspace, found, chosen, swept, by, at, author or getpass.getuser())
    point = threshold_of(workspace, found, chosen)
    told = _point_told(point, swept)
    tested = _tested(workspace, found, chosen)
    if tested is not None:
        told["test"] = tested
    if as_json:
        print_json(told)
        return
    who = f"chosen by {point.author} on {point.said_at:%Y-%m-%d}" if point.author else "recommended by its card"
    where = fold_words(found.card)
    typer.echo(
        f"{name} {found.version}, {chosen}: {point.threshold:.4f} ({point.criterion}), {who}\n"
        f"of {'held-out clips' if where is None else f'segments of {where}'}: {_shares_told(told)}"
    )
    if tested is not None and fold_part(found.card) != "test":
        typer.echo(f"of segments of the test part: {_shares_told(tested)}")


def _say(
    workspace: Any,
    found: "FoundClassifier",
    class_name: str,
    swept: "Sweep",
    by: str | None,
    at: float | None,
    author: str,
) -> None:
    from lake.operating_points import OperatingPoint, say_operating_point, take_back_operating_point
    from models.sweep import Criterion

    if by is not None:
        criterion = Criterion.parse(by)
        point = OperatingPoint(found.name, found.version, class_name, swept.choose(criterion), criterion.words, author)
    elif at is not None:
        point = OperatingPoint(found.name, found.version, class_name, at, "chosen", author)
    else:
        take_back_operating_point(workspace.ledger, found.name, found.version, class_name, author)
        return
    say_operating_point(workspace.ledger, point)


def _tested(workspace: Any, found: "FoundClassifier", class_name: str) -> dict[str, Any] | None:
    """What the threshold of a segment classifier comes to on its test part; None of any other classifier."""
    from workspace.classifier_fitting import confusion_told
    from workspace.classifiers import threshold_of
    from workspace.segment_scores import sweep_on_test

    swept = sweep_on_test(workspace, found, class_name)
    if swept is None:
        return None
    threshold = threshold_of(workspace, found, class_name).threshold
    return {"threshold": threshold, **confusion_told(swept.at(threshold))}


def _shares_told(told: dict[str, Any]) -> str:
    """Precision and its like in one line."""
    named = {"precision": "precision", "recall": "recall", "f1": "F1", "f2": "F2", "accuracy": "accuracy"}
    return ", ".join(f"{label} {number(told[key])}" for key, label in named.items())


def _point_told(point: "OperatingPoint", swept: "Sweep") -> dict[str, Any]:
    from workspace.classifier_fitting import confusion_told

    return {
        "classifier": point.classifier,
        "version": point.version,
        "class": point.class_name,
        "threshold": point.threshold,
        "criterion": point.criterion,
        "author": point.author,
        "said_at": point.said_at.isoformat(),
        **confusion_told(swept.at(point.threshold)),
    }


LONG = ("metrics", "thresholds", "clips", "clip_sources", "fold_clips", "comparison", "drift")
"""Parts of a card that have a table of their own, or are too long for one line."""


def _swept(workspace: Any, found: "FoundClassifier") -> dict[str, list[dict[str, Any]]]:
    """By class, what thresholds come to: the one in use first, then the most precise of each recall that one reaches."""
    from infra.errors import ConfigurationError
    from models.sweep import Criterion
    from workspace.classifier_fitting import confusion_told
    from workspace.classifiers import sweep_of, threshold_of

    told = {}
    for class_name in found.classes:
        swept, point = sweep_of(workspace, found, class_name), threshold_of(workspace, found, class_name)
        who = point.author or "recommended"
        rows = [(f"in use: {point.criterion} ({who})", point.threshold)]
        for recall in RECALLS:
            criterion = Criterion("recall", (recall,))
            # Nothing may be of the class in a small validation part, or score 0 where it is.
            with suppress(ConfigurationError):
                rows.append((criterion.words, swept.choose(criterion)))
        told[class_name] = [{"by": by, "threshold": value, **confusion_told(swept.at(value))} for by, value in rows]
    return told


def _tell_class(
    card: dict[str, Any], class_name: str, rows: list[dict[str, Any]], tested: dict[str, Any] | None
) -> None:
    from workspace.segment_scores import fold_part, fold_words

    tell_metrics(card, class_name)
    if tested is not None and fold_part(card) != "test":
        typer.echo(f"in use, {tested['threshold']:.4f}, on the test part: {_shares_told(tested)}")
    where = fold_words(card)
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    shares = ("precision", "recall", "f1", "f2", "accuracy")
    print_table(
        ("threshold by", "threshold", "right alarms", "false alarms", "missed", "rest", *shares),
        [
            (
                row["by"],
                f"{row['threshold']:.4f}",
                *(str(row[count]) for count in counts),
                *(number(row[share]) for share in shares),
            )
            for row in rows
        ],
        f"\nsweep of {class_name} over {'the same clips' if where is None else f'segments of {where}'}",
    )
    if all(row["true_positives"] + row["false_negatives"] == 0 for row in rows):
        typer.echo(f"nothing there is of the class {class_name}, so no threshold has a recall")


def _brief(value: Any) -> str:
    """A part of a card in one line."""
    import json

    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= 300 else f"{said[:300]} …"
