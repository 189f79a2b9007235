"""Verbs over weight sets, and weights as people write them: `summaries weights list`, `save`, `use`."""

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, print_table

if TYPE_CHECKING:
    from workspace.opened import Workspace
    from workspace.weight_sets import NamedWeights

weights_app = typer.Typer(
    help="Weight sets: how much anomaly, memorability, entropy and dynamics count in a summary.", no_args_is_help=True
)
AuthorOption = Annotated[str | None, typer.Option("--author", help="Who says so; default: you.")]
COLUMNS = ("anomaly", "memorability", "entropy", "dynamics")


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb, called, example in (
        (list_sets, "list", "afterwatch summaries weights list --site site"),
        (save, "save", "afterwatch summaries weights save busy --dynamics 1 --site site"),
        (use, "use", "afterwatch summaries weights use busy --site site"),
    ):
        weights_app.command(called, epilog=f"Example: {example}")(verb)
    app.add_typer(weights_app, name="weights")


def list_sets(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the weight sets, every version, and which one is in use."""
    from lake.weight_sets import weight_sets
    from workspace.opened import Workspace
    from workspace.weight_sets import weights_in_use, weights_of_settings

    workspace = Workspace(site)
    in_use = weights_in_use(workspace).label
    rows: list[dict[str, Any]] = [{**told_weights(weights_of_settings(workspace)), "author": "", "said_at": None}]
    for _, versions in sorted(weight_sets(workspace.ledger).items()):
        for each in versions:
            said = {"author": each.author, "said_at": each.said_at.isoformat()}
            rows.append({"label": each.label, "values": each.weights, **said})
    rows = [{**row, "in_use": row["label"] == in_use} for row in rows]
    if as_json:
        print_json({"weight_sets": rows})
        return
    print_table(
        ("weights", *COLUMNS, "author", "said", "state"),
        [
            (
                row["label"],
                *(f"{row['values'][name]:g}" for name in COLUMNS),
                row["author"],
                (row["said_at"] or "")[:10],
                "in use" if row["in_use"] else "",
            )
            for row in rows
        ],
    )


def save(
    name: Annotated[str, typer.Argument(help="Of the set; a set that is there gets another version.")],
    anomaly: Annotated[float | None, typer.Option(help="Weight of how unlikely a segment's scores are.")] = None,
    memorability: Annotated[float | None, typer.Option(help="Weight of how unlike the camera's past it looks.")] = None,
    entropy: Annotated[float | None, typer.Option(help="Weight of how rich its pictures are.")] = None,
    dynamics: Annotated[float | None, typer.Option(help="Weight of how much moves.")] = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Save a weight set. What is not given is as in its newest version, or, of a new set, as in the weights in use."""
    from dataclasses import asdict

    from lake.weight_sets import save_weight_set, weight_sets
    from workspace.opened import Workspace
    from workspace.weight_sets import weights_in_use

    workspace = Workspace(site)
    known = weight_sets(workspace.ledger).get(name)
    before = known[-1].weights if known else asdict(weights_in_use(workspace).weights)
    given = {"anomaly": anomaly, "memorability": memorability, "entropy": entropy, "dynamics": dynamics}
    values = {each: before[each] if value is None else value for each, value in given.items()}
    saved = save_weight_set(workspace.ledger, name, **values, author=author or getpass.getuser())
    if as_json:
        print_json(
            {"label": saved.label, "values": values, "author": saved.author, "saved": saved not in (known or ())}
        )
        return
    remark = "was there already" if known and saved in known else "saved"
    typer.echo(
        f"{saved.label} {remark}: {_written(values)}; put it into service with: summaries weights use {saved.label}"
    )


def use(
    name: Annotated[str, typer.Argument(help="Set as NAME for its newest version, NAME/VERSION, or settings.")],
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Put a weight set into service: from the next run on, summaries are chosen by it. Nothing is measured again."""
    from lake.weight_sets import use_weight_set
    from workspace.opened import Workspace
    from workspace.weight_sets import weights_in_use

    workspace = Workspace(site)
    before = weights_in_use(workspace).label
    use_weight_set(workspace.ledger, name, author or getpass.getuser())
    now = weights_in_use(workspace)
    if as_json:
        print_json({**told_weights(now), "before": before})
    else:
        typer.echo(f"in use: {in_words(now)}; before: {before}. The next run chooses every summary anew by it")


def chosen_weights(workspace: "Workspace", name: str | None, changes: Sequence[str]) -> "NamedWeights":
    """The weights that a person names, by set and by single weights.

    Args:
        workspace: the site.
        name: a set as NAME or NAME/VERSION, or `settings`; None: the weights in use.
        changes: single weights in place of the set's, each as `dynamics=1`.

    Raises:
        ConfigurationError: there is no such set or weight, or the weights are none.
    """
    from dataclasses import asdict

    from lake.weight_sets import SETTINGS, find_weight_set
    from models.summary.scores import Weights
    from workspace.weight_sets import NamedWeights, named_weights, weights_in_use, weights_of_settings

    if name is None:
        base = weights_in_use(workspace)
    elif name == SETTINGS:
        base = weights_of_settings(workspace)
    else:
        base = named_weights(find_weight_set(workspace.ledger, name))
    if not changes:
        return base
    changed = dict(_parsed(change) for change in changes)
    told = ", ".join(f"{each} {value:g}" for each, value in changed.items())
    return NamedWeights(f"{base.label} with {told}", Weights(**{**asdict(base.weights), **changed}))


def told_weights(named: "NamedWeights") -> dict[str, Any]:
    """Weights for programs."""
    from dataclasses import asdict

    return {"label": named.label, "values": asdict(named.weights)}


def in_words(named: "NamedWeights") -> str:
    """Weights for people."""
    return f"{named.label} ({_written(told_weights(named)['values'])})"


def _parsed(change: str) -> tuple[str, float]:
    from infra.errors import ConfigurationError, UnknownNameError

    name, sign, value = change.partition("=")
    if not sign:
        raise ConfigurationError(f'"{change}" is no weight; write it as dynamics=1')
    if name not in COLUMNS:
        raise UnknownNameError("weight", name, COLUMNS)
    try:
        return name, float(value)
    except ValueError:
        raise ConfigurationError(f'"{change}": "{value}" is no number; write it as {name}=1') from None


def _written(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
