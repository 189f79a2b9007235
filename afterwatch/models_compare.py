"""The verbs `models compare` and `models sign`: what an update changes, event by event, and that somebody has read it."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, print_table, progress_bars

if TYPE_CHECKING:
    from workspace.flips import FlipReport
    from workspace.opened import Workspace

MOST_TOLD = 20
"""Events of a kind that are told; the page shows, and the report holds, all of them."""
SIDE_HELP = "NAME/VERSION (NAME alone: the version in service), or HEAD@RUN, HEAD@now for what counts now."


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command(
        "compare", epilog="Example: afterwatch models compare fights fights/9b12 --campaign spring --site site"
    )(compare)
    app.command("sign", epilog="Example: afterwatch models sign 3f0c9a1b7d52e8846a10 --author ada --site site")(sign)


def compare(
    current: Annotated[str, typer.Argument(help=f"What is in service: {SIDE_HELP}")],
    candidate: Annotated[str, typer.Argument(help="What is to take its place, likewise.")],
    campaign: Annotated[str | None, typer.Option("--campaign", help="Whose footage; default: the only one.")] = None,
    kind: Annotated[str | None, typer.Option(help="Kind, where models of several kinds have the name.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Make the flip report of an update: events gained, lost and moved over a campaign, and whether that can be chance.

    Versions are applied by the rules of the night, and nothing that counts is changed. Heads and classifiers are applied to what
    is embedded. For a version of an autoencoder the campaign, and the days before that are its reference, are decoded and
    embedded apart, where they are not yet; broken off, the same call goes on.
    """
    from tasks.flips import compare as find_flips
    from workspace.flip_files import keep_report, reports_folder
    from workspace.flip_sides import find_sides
    from workspace.flip_signing import signature_of
    from workspace.opened import Workspace

    workspace = Workspace(site)
    sides = find_sides(workspace, current, candidate, kind)
    with progress_bars(quiet=as_json) as progress:
        report = find_flips(workspace, sides, campaign or _only_campaign(workspace), progress)
    report_id = keep_report(workspace, report)
    signed = signature_of(workspace, report_id)
    if as_json:
        told = {"report": report_id, "file": str(reports_folder(workspace) / f"{report_id}.json"), **report.to_json()}
        print_json({**told, "signed_by": None if signed is None else signed.author})
        return
    _tell(report, workspace.settings.zone)
    typer.echo(f"report {report_id}")
    if signed is not None:
        typer.echo(f"signed by {signed.author} on {signed.said_at:%Y-%m-%d}")
    else:
        typer.echo(f"once it is read, sign it: afterwatch models sign {report_id} --site {site}")


def sign(
    report: Annotated[str, typer.Argument(help="Id of the flip report, as `models compare` tells it.")],
    author: Annotated[str | None, typer.Option(help="Who has read it; default: you.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Say that you have read a flip report; a promotion asks for that. An altered report cannot be signed, and counts no more."""
    from dataclasses import asdict

    from workspace.flip_files import read_report
    from workspace.flip_signing import sign as sign_report
    from workspace.opened import Workspace

    workspace = Workspace(site)
    signed = sign_report(workspace, report, author or getpass.getuser())
    if as_json:
        print_json(asdict(signed))
        return
    found = read_report(workspace, report)
    typer.echo(
        f"{signed.author} signed report {report}: {found.name}, {found.current} → {found.candidate} over campaign "
        f"{found.campaign}: {_counts(found)}"
    )


def _only_campaign(workspace: "Workspace") -> str:
    """The campaign that is meant where none is named.

    Raises:
        ConfigurationError: there are several, or none.
    """
    from infra.errors import ConfigurationError
    from lake.current import recordings_now

    campaigns = sorted({str(row["campaign"]) for row in recordings_now(workspace.ledger)})
    if len(campaigns) != 1:
        raise ConfigurationError(
            f"say whose footage to compare on with --campaign ({', '.join(campaigns) or 'none yet'})"
        )
    return campaigns[0]


def _tell(report: "FlipReport", zone: ZoneInfo) -> None:
    from workspace.flips import CHANGES, difference_words, judged_words

    names = ("days", "current", "candidate", "kept", "moved", "lost", "gained")
    rows: list[tuple[Any, ...]] = [
        (camera.camera, *(getattr(camera, name) for name in names)) for camera in report.cameras
    ]
    if len(rows) > 1:
        rows.append(("all", *(report.total(name) for name in names)))
    print_table(
        ("camera", "days", "in service", "candidate", *names[3:]),
        rows,
        f"{report.name}: {report.current} → {report.candidate}, campaign {report.campaign}",
    )
    for line in report.applied:
        typer.echo(f"  {line}")
    for change in CHANGES:
        flips = report.of(change)
        if not flips:
            continue
        shown = flips[:MOST_TOLD]
        more = f", the first {len(shown)} of {len(flips)}" if len(flips) > len(shown) else ""
        print_table(
            ("camera", "head", "region", "from", "to", "peak", "IoU", "verdict"),
            [
                (
                    flip.camera,
                    flip.shown.head,
                    flip.shown.region,
                    f"{flip.shown.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
                    f"{flip.shown.ended_at.astimezone(zone):%H:%M:%S}",
                    f"{flip.shown.peak_score:.4f}",
                    f"{flip.iou:.2f}" if change == "moved" else "",
                    flip.verdict,
                )
                for flip in shown
            ],
            f"\n{change}{more}",
        )
    typer.echo("")
    for words in (difference_words(report), judged_words(report), *report.remarks):
        typer.echo(words)


def _counts(report: "FlipReport") -> str:
    return ", ".join(f"{report.total(name)} {name}" for name in ("gained", "lost", "moved", "kept"))
