"""Verbs over labels: list, import, export, undo."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import CameraOption, CampaignOption, JsonOption, SiteOption, print_json, print_table

if TYPE_CHECKING:
    from lake.labels import Label, Role
    from workspace.known_recordings import KnownRecordings
    from workspace.label_files.transfer import Choice, Imported

labels_app = typer.Typer(help="Labels: list, import, export, undo.", no_args_is_help=True)

UseCaseOption = Annotated[str | None, typer.Option("--use-case", help="Only this use case.")]
RoleOption = Annotated[str | None, typer.Option("--role", help="Only label, or only truth.")]
FormatOption = Annotated[str | None, typer.Option("--format", help="csv, coco or cvat; default: by the ending.")]
MOST_LISTED = 40
"""Problems that are printed for people; programs get all of them."""


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(labels_app, name="labels")


@labels_app.command("list", epilog="Example: afterwatch labels list --camera hall-east --use-case hatch --site site")
def list_labels(
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    use_case: UseCaseOption = None,
    role: RoleOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """List what people have said: each author's newest word on each span."""
    from workspace.known_recordings import KnownRecordings
    from workspace.label_files.transfer import chosen_labels
    from workspace.opened import Workspace

    workspace = Workspace(site)
    known = KnownRecordings(workspace.ledger)
    rows = [_told(label, known) for label in chosen_labels(workspace, known, _choice(campaign, camera, use_case, role))]
    if as_json:
        print_json({"labels": rows})
        return
    columns = ("use_case", "region", "recording", "from_s", "to_s", "relevant", "author", "role", "said_at")
    plain = [{**row, "said_at": row["said_at"][:19], "relevant": "yes" if row["relevant"] else "no"} for row in rows]
    print_table(columns, [tuple(row[name] for name in columns) for row in plain])


@labels_app.command("import", epilog="Example: afterwatch labels import hatch.csv --author inspector --site site")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, COCO-style JSON, or CVAT for video (XML, or its ZIP).")],
    kind: FormatOption = None,
    role: Annotated[
        str | None, typer.Option(help="label or truth, for every row; default: as the file says, else label.")
    ] = None,
    author: Annotated[str | None, typer.Option(help="Who says what has no author in the file; default: you.")] = None,
    region: Annotated[str, typer.Option(help="Region of what names none.")] = "frame",
    recording: Annotated[str, typer.Option(help="Recording of what names none; of a CVAT file, its video.")] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Take the sound rows although others are not.")] = False,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Say the labels of a file; what was said before is not said again.

    Where any row is wrong, nothing is said and the exit code is 2; with --skip-bad the sound rows are said, and it is 1.
    """
    from workspace.label_files.transfer import ImportSettings, format_of, import_labels
    from workspace.opened import Workspace

    settings = ImportSettings(
        author=author or getpass.getuser(),
        format=format_of(file, kind),
        role=_role(role),
        region=region,
        recording=recording,
        skip_bad=skip_bad,
    )
    imported = import_labels(Workspace(site), file, settings)
    if as_json:
        problems = [vars(problem) for problem in imported.problems]
        counts = {"said": len(imported.said), "known": imported.known}
        print_json({**counts, "problems": problems, "remarks": list(imported.remarks)})
    else:
        _print_imported(imported, skip_bad)
    if imported.problems:
        raise typer.Exit(1 if skip_bad else 2)


def _print_imported(imported: "Imported", skip_bad: bool) -> None:
    for problem in imported.problems[:MOST_LISTED]:
        typer.echo(f"{problem.where}: {problem.message}", err=True)
    if len(imported.problems) > MOST_LISTED:
        typer.echo(f"… and {len(imported.problems) - MOST_LISTED} more; --json lists all", err=True)
    for remark in imported.remarks:
        typer.echo(remark)
    if imported.problems and not skip_bad:
        typer.echo(f"nothing was said: {len(imported.problems)} problems; mend them, or take the rest with --skip-bad")
    else:
        left = f"; {len(imported.problems)} problems" if imported.problems else ""
        typer.echo(f"{len(imported.said)} labels said, {imported.known} were known{left}")


@labels_app.command("export", epilog="Example: afterwatch labels export labels.csv --site site")
def export_file(
    target: Annotated[Path, typer.Argument(help="A .csv or .json file; for CVAT a folder, a file for each recording.")],
    kind: FormatOption = None,
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    use_case: UseCaseOption = None,
    role: RoleOption = None,
    site: SiteOption = Path("."),
) -> None:
    """Write labels to files: each author's newest word on each span."""
    from workspace.label_files.transfer import export_labels, format_of
    from workspace.opened import Workspace

    choice = _choice(campaign, camera, use_case, role)
    count, files = export_labels(Workspace(site), target, choice, format_of(target, kind))
    typer.echo(f"{count} labels in {target}" + (f", {len(files)} files" if len(files) > 1 else ""))


@labels_app.command("undo", epilog="Example: afterwatch labels undo hall-east hatch --region hatch --site site")
def undo(
    camera: Annotated[str, typer.Argument(help="Camera of the use case.")],
    use_case: Annotated[str, typer.Argument(help="The use case.")],
    region: Annotated[str, typer.Option(help="Region of the use case.")] = "frame",
    author: Annotated[str | None, typer.Option(help="Whose word; default: yours.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Take back an author's newest word on a use case; what they said of the span before counts again."""
    from lake.labels import UseCase, undo_label
    from workspace.known_recordings import KnownRecordings
    from workspace.opened import Workspace

    workspace = Workspace(site)
    undone = undo_label(workspace.ledger, author or getpass.getuser(), UseCase(camera, region, use_case))
    told = None if undone is None else _told(undone, KnownRecordings(workspace.ledger))
    if as_json:
        print_json({"undone": told})
    elif told is None:
        typer.echo(f"{author or getpass.getuser()} has said nothing of {use_case} · {camera} · {region} that stands")
    else:
        answer = "relevant" if told["relevant"] else "not relevant"
        typer.echo(f"taken back: {told['recording']} {told['from_s']:.3f} to {told['to_s']:.3f} s, {answer}")


def _choice(campaign: str | None, camera: str | None, use_case: str | None, role: str | None) -> "Choice":
    from workspace.label_files.transfer import Choice

    return Choice(campaign=campaign, camera=camera, use_case=use_case, role=_role(role))


def _role(text: str | None) -> "Role | None":
    from workspace.label_files.checking import role_of

    return None if text is None else role_of(text)


def _told(label: "Label", known: "KnownRecordings") -> dict[str, Any]:
    return {
        "campaign": label.campaign,
        "camera": label.use_case.camera,
        "region": label.use_case.region,
        "use_case": label.use_case.name,
        "day": label.day.isoformat(),
        "recording": known.name_of(label.recording_id),
        "recording_id": label.recording_id,
        "from_s": label.from_us / 1e6,
        "to_s": label.to_us / 1e6,
        "relevant": label.relevant,
        "author": label.author,
        "role": label.role,
        "said_at": label.said_at.isoformat(),
    }
