"""Verbs over heads and networks that were fitted: list, export."""

from pathlib import Path

import typer

from afterwatch import export
from afterwatch.options import JsonOption, SiteOption, print_json, print_table

models_app = typer.Typer(help="Heads and their versions: list, export.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    models_app.command("list", epilog="Example: afterwatch models list --site site")(list_models)
    export.add_to(models_app)
    app.add_typer(models_app, name="models")


def list_models(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the heads that were fitted, by kind, name and version."""
    from infra.site import Site
    from lake.registry import Registry

    registry = Registry(Site.open(site).models_folder)
    rows = []
    for kind, name, version in registry.versions():
        card = registry.card(kind, name, version)
        remark = card.get("remark") or ""
        rows.append(
            {"kind": kind, "name": name, "version": version, "usable": card.get("usable", True), "remark": remark}
        )
    if as_json:
        print_json({"models": rows})
    else:
        print_table(("kind", "name", "version", "usable", "remark"), [tuple(row.values()) for row in rows])
