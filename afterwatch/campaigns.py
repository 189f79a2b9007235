"""Verbs that make a workspace and look at the machine: init, demo, doctor."""

from pathlib import Path
from typing import Annotated, Any

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, print_table, progress_bars


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command(epilog="Example: afterwatch init site")(init)
    app.command(epilog="Example: afterwatch demo demo-site --footage /mnt/recordings")(demo)
    app.command(epilog="Example: afterwatch doctor --site site")(doctor)


def init(
    path: Annotated[Path, typer.Argument(help="Folder to make the workspace in.")],
    footage: Annotated[
        Path | None, typer.Option(help="Folder of recordings, <camera>/<start>.mp4, to link in as a campaign.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Name of that campaign; default: the folder's name.")] = None,
) -> None:
    """Make a workspace: settings to edit, and folders for footage and weights."""
    from afterwatch.workspace_files import check_link, link_footage, make_workspace

    if footage is not None:
        check_link(footage, campaign or footage.resolve().name)
    root = make_workspace(path)
    if footage is not None:
        link_footage(root, footage, campaign or footage.resolve().name)
    recordings = f"{root / 'footage'}/<campaign>/<camera>/"
    there = f"{footage} is linked in" if footage is not None else f"put recordings into {recordings}"
    typer.echo(f"made {root / 'afterwatch.toml'}; {there}; then run")
    typer.echo(f"  afterwatch run --site {path}")


def demo(
    path: Annotated[Path, typer.Argument(help="Folder for the demonstration's workspace.")] = Path("demo-site"),
    footage: Annotated[
        Path | None, typer.Option(help="Real recordings, <camera>/<start>.mp4, instead of synthetic ones.")
    ] = None,
    small: Annotated[bool, typer.Option("--small", help="A smaller synthetic campaign, done sooner.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Process a small campaign with known truth (or your footage), and say what was found.

    The workspace is kept: a second call finds everything done.
    """
    from afterwatch.demonstration import demonstrate, print_findings

    with progress_bars(quiet=as_json) as progress:
        findings = demonstrate(path, footage, progress, small=small)
    if as_json:
        print_json(findings.as_json())
    else:
        print_findings(findings)
    if findings.report.status != "complete":
        raise typer.Exit(1)


def doctor(
    site: SiteOption = Path("."),
    air_gap: Annotated[
        bool,
        typer.Option(
            "--air-gap",
            help="Instead, run a small night elsewhere with the network closed, and say who tried to leave.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check machine, settings, weights and disk; say what is missing and how to mend it."""
    if air_gap:
        from afterwatch.air_gap_telling import examine_air_gap

        good = examine_air_gap(site, as_json)
    else:
        good = _examine(site, as_json)
    if not good:
        raise typer.Exit(1)


def _examine(site: Path, as_json: bool) -> bool:
    from afterwatch.examination import examine_machine

    checks = examine_machine(site)
    if as_json:
        told: dict[str, Any] = {"checks": [vars(check) for check in checks]}
        print_json(told)
    else:
        print_table(("", "what", "found"), [(check.mark, check.what, check.found) for check in checks])
    return all(check.good for check in checks)
