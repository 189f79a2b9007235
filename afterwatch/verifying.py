"""The verb `verify`: what the night made, derived again from the recordings."""

from pathlib import Path
from typing import Annotated

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

DayArgument = Annotated[
    str | None, typer.Argument(metavar="DAY", help="Only this day, as 2026-03-02.", show_default="all")
]

NOTHING = "nothing was compared: what is selected was not processed yet, or nothing tells of it any more; run the night"


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
