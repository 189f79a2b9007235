"""Verbs over heads and networks that were fitted, each in a module of its own; here they are listed."""

from pathlib import Path

import typer

from afterwatch import export, models_compare, models_serving, models_show, models_threshold
from afterwatch.options import JsonOption, SiteOption, print_json, print_table

models_app = typer.Typer(
    help="Heads and their versions: list, show, compare, sign, promote, retire, rollback, history, threshold, export.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    models_app.command("list", epilog="Example: afterwatch models list --site site")(list_models)
    models_show.add_to(models_app)
    models_compare.add_to(models_app)
    models_serving.add_to(models_app)
    models_threshold.add_to(models_app)
    export.add_to(models_app)
    app.add_typer(models_app, name="models")


def list_models(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the heads that were fitted, by kind, name and version, and which of them serve."""
    from infra.errors import LakeError
    from lake.promotions import history
    from workspace.opened import Workspace
    from workspace.serving import SERVING, state_of, versions_in_service

    workspace = Workspace(site)
    serving = {kind: versions_in_service(workspace, kind) for kind in SERVING}
    rows = []
    for kind, name, version in workspace.registry.versions():
        try:
            card = workspace.registry.card(kind, name, version)
        except LakeError as error:  # the others are to be seen all the same
            card = {"usable": False, "remark": str(error)}
        state = ""
        if kind in SERVING:
            state = state_of(kind, version, serving[kind].get(name), history(workspace.ledger, kind, name))
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
