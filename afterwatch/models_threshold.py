"""The verb `models threshold`: where a class of a classifier begins, and who put it there."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.classifier_texts import shares_told, tested_told
from afterwatch.model_options import AuthorOption
from afterwatch.options import JsonOption, SiteOption, print_json

if TYPE_CHECKING:
    from lake.operating_points import OperatingPoint
    from models.sweep import Sweep
    from workspace.classifiers import FoundClassifier


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: afterwatch models threshold fights --by recall=0.8 --site site")(threshold)


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
    tested = tested_told(workspace, found, chosen)
    if tested is not None:
        told["test"] = tested
    if as_json:
        print_json(told)
        return
    who = f"chosen by {point.author} on {point.said_at:%Y-%m-%d}" if point.author else "recommended by its card"
    where = fold_words(found.card)
    typer.echo(
        f"{name} {found.version}, {chosen}: {point.threshold:.4f} ({point.criterion}), {who}\n"
        f"of {'held-out clips' if where is None else f'segments of {where}'}: {shares_told(told)}"
    )
    if tested is not None and fold_part(found.card) != "test":
        typer.echo(f"of segments of the test part: {shares_told(tested)}")


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
