"""The verb `refit`: models in service trained anew as candidates, on what people have said and recorded since."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import CameraOption, JsonOption, SiteOption, enter_start, print_json, print_table, progress_bars

if TYPE_CHECKING:
    from flows.refit import RefitReport
    from workspace.refitting import Refitted

SHOWN = {"auc": "AUC", "average_precision": "average precision", "mean_error": "mean error"}
"""Metrics whose names are no plain words."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(epilog="Example: afterwatch refit --kind retrieval --camera hall-east --site site")(refit)


def refit(
    kind: Annotated[
        str | None, typer.Option(help="autoencoder, retrieval or classifier; default: the kinds of [refit].")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only the model of this name, as `models list` gives it.")] = None,
    camera: CameraOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Train candidates for the models in service from all labels and footage so far, and compare them on what is new.

    Nothing is put into service: the report says how a candidate does beside the model in service, and what to write to
    promote it.
    """
    from infra.environment import prepare_orchestrator
    from workspace.opened import Workspace

    workspace = Workspace(site)
    enter_start(workspace, "refit")
    prepare_orchestrator(workspace.site)
    from flows.refit import run_refit

    with progress_bars(quiet=as_json) as progress:
        report = run_refit(workspace, kind, name, camera, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        _tell(report)
    if report.status != "complete":
        raise typer.Exit(1)


def _tell(report: "RefitReport") -> None:
    if not report.models:
        typer.echo("no model of these kinds is in service; there is nothing to refit")
        return
    print_table(
        ("kind", "name", "in service", "outcome", "candidate", ""),
        [(one.kind, one.name, one.current, one.outcome, one.version, one.message) for one in report.models],
    )
    for one in report.models:
        if one.version:
            _tell_candidate(one)


def _tell_candidate(one: "Refitted") -> None:
    tell_comparison(one.comparison or {}, one.drift, f"{one.kind} {one.name} {one.version}")
    if one.review:
        typer.echo(f"to see what it would change: {one.review}")
    typer.echo(f"to put it into service: {one.promotion}")


def tell_comparison(comparison: dict[str, Any], drift: dict[str, Any] | None, title: str) -> None:
    """How a candidate does beside the version it was made to replace, and how far footage has drifted from that one."""
    from workspace.comparisons import chosen_words, threshold_words, verdict

    metrics, held = comparison.get("metrics") or [], comparison.get("held_out") or {}
    typer.echo(f"\n{title} beside {comparison.get('against', '?')}")
    if metrics:
        recordings = held.get("recordings") or []
        typer.echo(
            f"on {held.get('samples', 0)} held-out samples of {len(recordings)} recordings ({_some(recordings)}), which neither "
            "was trained on"
        )
        print_table(
            ("metric", "in service", "candidate", "difference", "95 % of it", "better", "candidate is"),
            [
                (
                    metric_words(str(one["name"])),
                    _number(one["current"]),
                    _number(one["candidate"]),
                    _number(one["difference"], signed=True),
                    interval_words(one),
                    one["better"],
                    verdict(one, comparison),
                )
                for one in metrics
            ],
        )
    for words in (chosen_words(comparison), threshold_words(comparison), comparison.get("remark")):
        if words:
            typer.echo(words)
    if drift:
        typer.echo(drift["words"])


def metric_words(name: str) -> str:
    """A metric's name for people; a class may stand before it."""
    of, _, last = name.rpartition(" ")
    return f"{of} {SHOWN.get(last, last)}".strip()


def interval_words(metric: dict[str, Any]) -> str:
    """The interval of a difference; a dash where there are too few recordings for one."""
    low, high = metric.get("low"), metric.get("high")
    return "–" if low is None or high is None else f"{low:+.3f} … {high:+.3f}"


def _number(value: float | None, *, signed: bool = False) -> str:
    return "–" if value is None else f"{value:+.3f}" if signed else f"{value:.3f}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
