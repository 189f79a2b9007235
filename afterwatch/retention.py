"""Verbs of retention: plan, run and report; and of holds: list, add, remove."""

import getpass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import (
    CameraOption,
    CampaignOption,
    JsonOption,
    SiteOption,
    print_json,
    print_table,
    progress_bars,
    size,
)
from infra.errors import ConfigurationError

if TYPE_CHECKING:
    from workspace.retention.files import Kept

MOST_KEPT = 20
"""Lines of what is kept that people are told; --json tells all."""

retention_app = typer.Typer(
    help="What is deleted, by the settings' [retention], and the proof of it.", no_args_is_help=True
)
holds_app = typer.Typer(help="Footage of which no retention may delete anything.", no_args_is_help=True)

AuthorOption = Annotated[str | None, typer.Option("--author", help="Who says so; default: you.")]
NameArgument = Annotated[str, typer.Argument(help="Name of the hold, such as a case's number.", metavar="NAME")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(retention_app, name="retention")
    app.add_typer(holds_app, name="holds")


@retention_app.command("plan", epilog="Example: afterwatch retention plan --site site")
def plan(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Say what retention would delete now, and what it keeps and why. Nothing is deleted."""
    from tasks.retained import needed_stills
    from workspace.opened import Workspace
    from workspace.retention.policies import plan_retention

    workspace = Workspace(site)
    found = plan_retention(workspace, datetime.now(UTC), needed_stills(workspace))
    if as_json:
        print_json(found.as_json())
        return
    rows = [
        (group.policy, str(group.place), len(group.files), size(sum(file.bytes for file in group.files)))
        for group in found.groups
    ]
    if rows:
        print_table(("policy", "camera day", "files", "size"), rows)
    total = sum(file.bytes for file in found.files)
    typer.echo(f"{len(found.files)} files ({size(total)}) would be deleted; nothing was" if rows else "nothing is due")
    _print_kept(found.kept)


@retention_app.command("run", epilog="Example: afterwatch retention run --site site")
def run(site: SiteOption = Path("."), author: AuthorOption = None, as_json: JsonOption = False) -> None:
    """Delete what the settings' [retention] names, enter each file with its hash, and see that it is gone."""
    from tasks.retained import needed_stills
    from workspace.opened import Workspace
    from workspace.retention.deleting import run_retention

    workspace = Workspace(site)
    with progress_bars(quiet=as_json) as progress:
        done = run_retention(
            workspace, author or getpass.getuser(), needed=lambda: needed_stills(workspace), progress=progress
        )
    if as_json:
        print_json(done.as_json())
    else:
        total = sum(entry.bytes for entry in done.deleted)
        typer.echo(f"{done.run}: {done.status}; {len(done.deleted)} files ({size(total)}) deleted, and seen to be gone")
        for line in done.failed:
            typer.echo(f"not deleted: {line}")
        if done.message:
            typer.echo(f"attention: {done.message}")
        _print_kept(done.kept)
    if done.status != "complete":
        raise typer.Exit(1)


@retention_app.command("report", epilog="Example: afterwatch retention report --out deleted.md --site site")
def report(
    site: SiteOption = Path("."),
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write, .md, .csv or .json; default: Markdown, printed.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Hold a report that was kept, as .json, against itself and the ledger."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove what was deleted: every file with its hash, in a chain that shows whether the report was altered."""
    from workspace.opened import Workspace
    from workspace.retention.proof import check_report, deletion_report

    workspace = Workspace(site)
    if check is not None:
        lines = check_report(workspace, _read(check))
        if as_json:
            print_json({"report": str(check), "differences": lines})
        else:
            for line in lines:
                typer.echo(f"differs: {line}")
            typer.echo(
                f"{len(lines)} differences" if lines else "the report is as it was written, and as the ledger says"
            )
        if lines:
            raise typer.Exit(1)
        return
    told = deletion_report(workspace)
    if out is not None:
        _write(out, told)
        typer.echo(f"{told['files']} files; last digest {told['digest']}", err=as_json)
    elif not as_json:
        from workspace.retention.proof import as_markdown

        typer.echo(as_markdown(told), nl=False)
    if as_json:
        print_json(told)


@holds_app.command("list", epilog="Example: afterwatch holds list --site site")
def list_holds(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the holds that count."""
    from workspace.opened import Workspace
    from workspace.retention.holds import holds_now

    holds = holds_now(Workspace(site).ledger)
    if as_json:
        print_json({"holds": [hold.as_json() for hold in holds]})
    elif holds:
        rows = [(hold.name, hold.told, hold.reason, hold.author, f"{hold.said_at:%Y-%m-%d %H:%M}") for hold in holds]
        print_table(("hold", "of", "reason", "by", "said at (UTC)"), rows)
    else:
        typer.echo("nothing is held")


@holds_app.command(
    "add",
    epilog='Example: afterwatch holds add case-17 --camera hall-east --from 2026-03-02 --to 2026-03-05 --reason "claim 17/26"',
)
def add(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it is held.")],
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First day, as 2026-03-02; default: the beginning.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day, as 2026-03-05; default: without an end.")] = None,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Hold footage, and all that was made of it: nothing of it is deleted from now on."""
    from lake.keys import Place
    from workspace.opened import Workspace
    from workspace.retention.holds import Hold, add_hold

    workspace = Workspace(site)
    hold = Hold(name, campaign, camera, _day(first), _day(last), reason, author or getpass.getuser())
    rows = workspace.ledger.rows("recordings").select(["campaign", "camera", "day"]).to_pylist()
    known = [Place(row["campaign"], row["camera"], row["day"]) for row in rows if row["camera"]]
    add_hold(workspace.ledger, workspace.site.state_folder, hold, known)
    held = sorted({place for place in known if hold.covers(place)})
    if as_json:
        print_json({**hold.as_json(), "camera_days": len(held)})
    else:
        typer.echo(f"held: {hold.told}; {len(held)} camera days that are known")


@holds_app.command(
    "remove", epilog='Example: afterwatch holds remove case-17 --reason "closed on 2026-09-01" --site site'
)
def remove(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it may go.")],
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Take a hold back; the next run of retention deletes what is due of it."""
    from workspace.opened import Workspace
    from workspace.retention.holds import remove_hold

    workspace = Workspace(site)
    remove_hold(workspace.ledger, workspace.site.state_folder, name, reason, author or getpass.getuser())
    if as_json:
        print_json({"removed": name, "reason": reason})
    else:
        typer.echo(f"{name} is held no more")


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f'"{text}" is no day; write it as 2026-03-02') from None


def _print_kept(kept: "tuple[Kept, ...] | list[Kept]") -> None:
    for item in kept[:MOST_KEPT]:
        typer.echo(f"kept ({item.policy}): {item.what} — {item.reason}")
    if len(kept) > MOST_KEPT:
        typer.echo(f"and {len(kept) - MOST_KEPT} more are kept; --json tells all")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _write(path: Path, told: dict[str, Any]) -> None:
    import json

    from workspace.output_files import write_files
    from workspace.retention.proof import as_csv, as_markdown

    if path.suffix not in (".md", ".csv", ".json"):
        raise ConfigurationError(f"{path.name} ends in neither .md, .csv nor .json; call it so")
    if path.suffix == ".json":
        text = json.dumps(told, indent=2) + "\n"
    else:
        text = as_csv(told) if path.suffix == ".csv" else as_markdown(told)
    write_files({path: text.encode()})
