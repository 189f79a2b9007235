"""What is said of a classifier: how well it does, and what to write into the settings to use it."""

import json
import re
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import typer

from afterwatch.options import duration, print_table

if TYPE_CHECKING:
    from workspace.classifier_fitting import FittedClassifier
    from workspace.classifiers import FoundClassifier
    from workspace.opened import Workspace


def plain_name(said: str) -> str:
    """A name made of what there is."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", said).strip("-._") or "classifier"


def number(value: float | None) -> str:
    """A share as people read it; None is what is not defined."""
    return "undefined" if value is None else f"{value:.3f}"


def fitted_told(fitted: "FittedClassifier", embedding_s: float) -> dict[str, Any]:
    """What was made, for programs."""
    return {
        "classifier": fitted.name,
        "version": fitted.version,
        "in_service": fitted.serves,
        "embedding_s": round(embedding_s, 3),
        "seconds_per_epoch": round(fitted.seconds_per_epoch, 4),
        "card": fitted.card,
    }


def tell_fitted(workspace: "Workspace", fitted: "FittedClassifier", embedding_s: float) -> None:
    """What was made, how good it is, and what to write to use it."""
    card = fitted.card
    data = card["data"]
    clips = ", ".join(f"{some} {label}" for label, some in data["clips"].items())
    of_clips = data["windows_per_clip"]
    typer.echo(
        f"{clips}: {data['windows']} windows of {card['window_s']:g} s, {of_clips['fewest']} to {of_clips['most']} a clip, "
        f"{data['sources']} source videos; "
        f"embedded in {duration(embedding_s)}, then {fitted.seconds_per_epoch:.2f} s an epoch, {card['epochs']} epochs"
    )
    if data["left_out"]:
        more = f", and {len(data['left_out']) - 1} more" if len(data["left_out"]) > 1 else ""
        typer.echo(f"left out: {data['left_out'][0]}{more}")
    if card["remark"]:
        typer.echo(card["remark"])
    for class_name in card["classes"]:
        tell_metrics(card, class_name)
    state = "in service" if fitted.serves else f"a candidate; afterwatch models promote {fitted.name} {fitted.version}"
    typer.echo(f"\nclassifier {fitted.name} {fitted.version}: {state}\n")
    typer.echo("To let the night raise alarms, write into afterwatch.toml:\n")
    typer.echo(_toml(workspace, fitted))


def tell_metrics(card: dict[str, Any], class_name: str) -> None:
    """How well a class is told apart in what was held out, clips or segments of the test part, as a table."""
    from workspace.segment_scores import fold_part

    told, point = card["metrics"][class_name], card["thresholds"][class_name]
    recommended, segments = f"{point['threshold']:.3f}", fold_part(card) is not None
    inside = "recommended" if segments else "chosen inside each fold"
    rows = [
        (what, threshold, *(number(told[at][metric]) for metric in ("precision", "recall", "f1", "f2", "accuracy")))
        for what, threshold, at in (
            ("0.5", "0.500", "half"),
            (f"{point['criterion']}, {inside}", _spread(told["inside"]["thresholds"]), "inside"),
            (f"{point['criterion']}, chosen on these clips: recommended", recommended, "recommended"),
            ("the recommended one, above it in any window, as the night counts", recommended, "night"),
        )
        if at in told  # cards that were written before there was a row for the night stay readable
    ]
    where = "segments of the test part" if segments else "clips of other source videos"
    title = (
        f"\n{class_name}: AUC {number(told['auc'])}, average precision {number(told['average_precision'])}, in {where}"
    )
    print_table(("threshold by", "threshold", "precision", "recall", "F1", "F2", "accuracy"), rows, title)
    if "night" in told and told["night"]["normal_windows_above"] is not None:
        typer.echo(
            f"{100 * told['night']['normal_windows_above']:.1f} % of the windows of normal clips are above the recommended "
            "threshold"
        )


def tested_told(workspace: "Workspace", found: "FoundClassifier", class_name: str) -> dict[str, Any] | None:
    """What the threshold of a segment classifier comes to on its test part; None of any other classifier."""
    from workspace.classifier_fitting import confusion_told
    from workspace.classifiers import threshold_of
    from workspace.segment_scores import sweep_on_test

    swept = sweep_on_test(workspace, found, class_name)
    if swept is None:
        return None
    threshold = threshold_of(workspace, found, class_name).threshold
    return {"threshold": threshold, **confusion_told(swept.at(threshold))}


def shares_told(told: dict[str, Any]) -> str:
    """Precision and its like in one line."""
    named = {"precision": "precision", "recall": "recall", "f1": "F1", "f2": "F2", "accuracy": "accuracy"}
    return ", ".join(f"{label} {number(told[key])}" for key, label in named.items())


def _toml(workspace: "Workspace", fitted: "FittedClassifier") -> str:
    """Settings that are not there yet: encoders, sampling, alarms."""
    from infra.settings import AtRate

    card, settings = fitted.card, workspace.settings
    there = {planned.spec.space for planned in workspace.encoders}
    parts = [
        f"[[encoders]]\nname = {json.dumps(item['encoder'], ensure_ascii=False)}"
        for item in card["inputs"]
        if item["space"] not in there
    ]
    rate_hz, sampling = card["frame_rate_hz"], settings.sampling
    if rate_hz is not None and not (isinstance(sampling, AtRate) and sampling.rate_hz == rate_hz):
        parts.append(f'[sampling]\npolicy = "rate"\nrate_hz = {rate_hz:g}')
    taken = {settings.novelty.name, *(alarm.name for alarm in settings.alarms)}
    for class_name in card["classes"]:
        name = _alarm_name(fitted.name, class_name, taken)
        taken.add(name)
        lines = [f"name = {json.dumps(name, ensure_ascii=False)}", f"classifier = {json.dumps(fitted.name)}"]
        if len(card["classes"]) > 1:
            lines.append(f"class_name = {json.dumps(class_name, ensure_ascii=False)}")
        parts.append("\n".join(["[[alarms]]", *lines]))
    return "\n\n".join(parts)


def _alarm_name(classifier: str, class_name: str, taken: set[str]) -> str:
    """The class's name, with the classifier's before it or a number behind it where something is called so already."""
    plain = plain_name(class_name)
    longer = plain_name(f"{classifier}-{plain}")
    return next(
        name for name in chain((plain, longer), (f"{longer}-{number}" for number in count(2))) if name not in taken
    )


def _spread(values: list[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    return f"{known[0]:.3f} to {known[-1]:.3f}" if known else "none"
