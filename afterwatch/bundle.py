"""Verbs of `bundle`: all that a machine without a network needs, packed and checked."""

from pathlib import Path
from typing import Annotated

import typer

from afterwatch.options import JsonOption, print_json, progress_bars, size

bundle_app = typer.Typer(help="Pack Afterwatch for a machine without a network; check what was packed.")
DIGEST_HELP = "Digest that was noted where the bundle was made; another one is refused."


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(bundle_app, name="bundle")


@bundle_app.command("make", epilog="Example: afterwatch bundle make afterwatch-bundle.zip --weights site/weights")
def make(
    path: Annotated[Path, typer.Argument(help="Folder to make it in, or a file that ends in .zip.")],
    weights: Annotated[Path | None, typer.Option(help="Folder with a weights.toml: what it names is packed.")] = None,
    wheels: Annotated[Path | None, typer.Option(help="Take the wheels from this folder; nothing is fetched.")] = None,
    built: Annotated[
        list[str] | None,
        typer.Option(
            help="Package whose wheel in --wheels was built, so that no lock file knows its hash; repeatable."
        ),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="Checkout of Afterwatch to pack.", show_default="the one that runs")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Pack wheels, weights, documents and a self-test, with an installer that needs no network."""
    from dataclasses import asdict

    from infra import version
    from workspace.bundle.making import BundleParts, make_bundle

    project = Path(version.__file__).parents[1] if source is None else source
    with progress_bars(quiet=as_json) as progress:
        made = make_bundle(BundleParts(project, wheels, tuple(built or ()), weights), path, progress)
    if as_json:
        print_json(asdict(made))
        return
    typer.echo(f"made {made.path}: {made.files} files, {size(made.bytes)}, {made.wheels} wheels among them")
    for name, licence in made.weights.items():
        typer.echo(f"weights of {name}: {licence or 'nobody said under which licence'}")
    if made.unlocked:
        typer.echo(f"built here or given, so not known to the lock file: {', '.join(made.unlocked)}")
    typer.echo(f"to be noted elsewhere: digest {made.digest}")
    typer.echo(f"                       SHA-256 of install.py {made.installer}")


@bundle_app.command("check", epilog="Example: afterwatch bundle check afterwatch-bundle.zip --digest 5b0c…")
def check(
    path: Annotated[Path, typer.Argument(help="The folder, or the zip.")],
    digest: Annotated[str, typer.Option(help=DIGEST_HELP)] = "",
    as_json: JsonOption = False,
) -> None:
    """Hold every file of a bundle against its manifest; 1 if one was altered, is missing or is surplus."""
    from workspace.bundle.checking import check_bundle

    report = check_bundle(path, digest)
    if as_json:
        problems = [{"file": name, "problem": problem} for name, problem in report.problems.items()]
        told = {"bundle": report.path, "digest": report.digest, "files": report.files, "bytes": report.bytes}
        print_json({**told, "for": report.place, "problems": problems})
    else:
        for name, problem in report.problems.items():
            typer.echo(f"{name} {problem}")
        state = f"{len(report.problems)} problems" if report.problems else "all as they were packed"
        typer.echo(f"{report.files} files, {size(report.bytes)}: {state}; digest {report.digest}")
    if report.problems:
        raise typer.Exit(1)
