"""The verb `models show`: what a model is, how well it does, and where it comes from."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.classifier_texts import number, shares_told, tell_metrics, tested_told
from afterwatch.model_options import KindOption, ModelArgument
from afterwatch.options import JsonOption, SiteOption, print_json, print_table
from afterwatch.refit import tell_comparison

if TYPE_CHECKING:
    from workspace.classifiers import FoundClassifier

RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Where a sweep is told in words: at the most precise threshold with at least this recall."""
LONG = ("metrics", "thresholds", "clips", "clip_sources", "fold_clips", "comparison", "drift")
"""Parts of a card that have a table of their own, or are too long for one line."""


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: afterwatch models show fights --site site")(show)


def show(
    name: ModelArgument,
    version: Annotated[str | None, typer.Option(help="Of it; default: the one in service, or else the newest.")] = None,
    kind: KindOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Tell what a model is: its card, how well it does, where it comes from, and, of a classifier, what each threshold comes to."""
    from infra.errors import LakeError, UnknownNameError
    from workspace.card_parts import parts_of
    from workspace.classifiers import KIND, FoundClassifier
    from workspace.lineage import lineage_of
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
        "state": model.state(chosen),
        "in_service": model.serving,
        "versions": list(model.versions),
        "lineage": asdict(lineage_of(workspace, model, chosen)),
        "parts": asdict(parts_of(model.kind, card)),
        "card": card,
    }
    if model.kind == KIND:
        try:
            found = FoundClassifier(name, chosen, card)
            told["classes"] = _swept(workspace, found)
            if fold_part(card) is not None:
                told["test"] = {class_name: tested_told(workspace, found, class_name) for class_name in found.classes}
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise LakeError(f"classifier {name} {chosen} is damaged ({error!r}); fit it again") from None
    if as_json:
        print_json(told)
        return
    serves = "" if model.serving == chosen else f"; in service: {model.serving or 'no version'}"
    typer.echo(f"{model.kind} {name} {chosen}, one of {len(model.versions)}, {model.state(chosen)}{serves}")
    for line in lineage_of(workspace, model, chosen).words:
        typer.echo(line)
    print_table(("", ""), [(key, _brief(value)) for key, value in card.items() if key not in LONG])
    if card.get("comparison"):
        tell_comparison(card["comparison"], card.get("drift"), "trained anew")
    for class_name, rows in told.get("classes", {}).items():
        _tell_class(card, class_name, rows, told.get("test", {}).get(class_name))


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
        typer.echo(f"in use, {tested['threshold']:.4f}, on the test part: {shares_told(tested)}")
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
