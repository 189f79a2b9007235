"""The verb `verify`: what the night made, derived again from the recordings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.options import (
    CameraOption,
    CampaignOption,
    DayOption,
    JsonOption,
    SiteOption,
    print_json,
    progress_bars,
    select,
)
from infra.errors import ConfigurationError

if TYPE_CHECKING:
    from workspace.opened import Workspace

DayArgument = Annotated[
    str | None, typer.Argument(metavar="DAY", help="Only this day, as 2026-03-02.", show_default="all")
]

NOTHING = "nothing was compared: what is selected was not processed yet, or nothing tells of it any more; run the night"

ASIDE_WORDS = (
    "the next night finds out again what they said of recordings that are still in the footage folder, and decodes nothing for it; what "
    "they said of others, and how earlier nights went, counts again when the files are put back whole. While one lies "
    "there, retention deletes nothing"
)


def verify(
    day: DayArgument = None,
    site: SiteOption = Path("."),
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    day_option: DayOption = None,
    frames: Annotated[int, typer.Option(min=1, help="Pictures to decode again of each recording.")] = 3,
    summaries: Annotated[
        bool, typer.Option("--summaries/--no-summaries", help="Derive every entry of the published summaries again.")
    ] = True,
    render: Annotated[
        bool, typer.Option("--render", help="Write the published files again, elsewhere, and compare their bytes.")
    ] = False,
    set_aside: Annotated[
        bool,
        typer.Option("--set-aside", help="Only move damaged files of the ledgers runs and recordings out of the way."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Derive what was made of days from their recordings again, and name all that differs."""
    from flows.machine import decode_threads
    from tasks.verify import verify as verify_days
    from workspace.opened import Workspace

    if None not in (day, day_option) and day != day_option:
        raise ConfigurationError(f"the day is said twice, as {day} and as --day {day_option}; say it once")
    if render and not summaries:
        raise ConfigurationError("--render is of the published summaries; leave --no-summaries out")
    workspace = Workspace(site)
    if set_aside:
        _set_aside(workspace, as_json=as_json)
        return
    selection = select(workspace, campaign, camera, day or day_option)
    threads = decode_threads(workspace.settings.cluster, workspace.settings.compute.decode_threads)
    with progress_bars(quiet=as_json) as progress:
        result = verify_days(
            workspace, selection, frames=frames, summaries=summaries, render=render, threads=threads, progress=progress
        )
    if as_json:
        print_json(result.as_json())
    else:
        typer.echo(f"{result.compared} pictures of {result.recordings} recordings decoded again")
        if summaries:
            typer.echo(
                f"{result.entries} entries of {result.summaries} summaries derived again, from {result.pictures} pictures "
                f"and {result.vectors} vectors; {result.digests} digests compared"
            )
        for line in result.remarks:
            typer.echo(f"not compared: {line}")
        for line in result.differences:
            typer.echo(f"differs: {line}")
        count = len(result.differences)
        if count:
            typer.echo(f"{count} difference{'s' if count > 1 else ''}")
        else:
            typer.echo(NOTHING if result.nothing else "all is as it was made")
    if result.differences or result.nothing:
        raise typer.Exit(1)


def _set_aside(workspace: "Workspace", *, as_json: bool) -> None:
    """Move damaged ledgers out of the way of the next night, and say what that costs."""
    from infra.lock import night_lock

    with night_lock(workspace.site.state_folder):
        moved = workspace.ledger.set_aside()
    if as_json:
        print_json({"moved": moved})
        return
    for path, target in moved.items():
        typer.echo(f"{workspace.store.url(path)} is damaged: moved to {workspace.store.url(target)}")
    typer.echo(ASIDE_WORDS if moved else "no file of the ledgers runs and recordings is damaged")
