"""Verbs over events: list, confirm, dismiss, and export for other review software."""

import getpass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import (
    CameraOption,
    CampaignOption,
    DayOption,
    JsonOption,
    SiteOption,
    print_json,
    print_table,
    select,
)

if TYPE_CHECKING:
    from lake.labels import Label
    from workspace.event_files import EventRow, Format
    from workspace.opened import Workspace
    from workspace.verdicts import Verdict

events_app = typer.Typer(help="Events: list, confirm, dismiss, export for other review software.", no_args_is_help=True)

HeadOption = Annotated[str | None, typer.Option("--head", help="Only what this head found.")]
EventArgument = Annotated[str, typer.Argument(help="Name of the event, as events list prints it.")]
AuthorOption = Annotated[str | None, typer.Option("--author", help="Who says so; default: you.")]
AlarmsOption = Annotated[bool, typer.Option("--alarms", help="Only alarms.")]
ENDINGS: "dict[str, Format]" = {".csv": "csv", ".json": "json", ".otio": "otio", "": "otio"}


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(events_app, name="events")


@events_app.command("list", epilog="Example: afterwatch events list --camera hall-east --alarms --site site")
def list_events(
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    day: DayOption = None,
    head: HeadOption = None,
    alarms: AlarmsOption = False,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """List the events that the heads have found."""
    from workspace.event_files import told_of
    from workspace.known_recordings import KnownRecordings
    from workspace.opened import Workspace
    from workspace.verdicts import verdicts_now

    workspace = Workspace(site)
    known = KnownRecordings(workspace.ledger)
    events = _events(workspace, (campaign, camera, day), head, alarms)
    verdicts = verdicts_now(workspace, camera)
    told = [{**told_of(row, known), **_told_verdict(verdicts.of(row))} for row in events]
    if as_json:
        print_json({"events": told})
        return
    zone = workspace.settings.zone
    alarm_names = {alarm.name for alarm in workspace.settings.alarms}
    columns = (
        "event",
        "camera",
        "head",
        "region",
        "alarm",
        "begins",
        "seconds",
        "score",
        "recording",
        "from_s",
        "verdict",
    )
    rows = [
        (
            row.event_id,
            row.camera,
            row.head,
            row.region,
            "yes" if row.alarm else "no",
            f"{row.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
            plain["seconds"],
            _score(row, probabilities=row.head in alarm_names),
            plain["recording"],
            "" if plain["from_s"] is None else plain["from_s"],
            plain["verdict"] or "",
        )
        for row, plain in zip(events, told, strict=True)
    ]
    print_table(columns, rows)


def _score(row: "EventRow", *, probabilities: bool) -> float | str:
    """The peak as the table shows it; probabilities differ in their third digit."""
    if row.peak_score is None:
        return ""
    return f"{row.peak_score:.3f}" if probabilities else row.peak_score


def _told_verdict(verdict: "Verdict | None") -> dict[str, Any]:
    if verdict is None:
        return {"verdict": None, "verdict_author": None, "verdict_said_at": None}
    said_at = verdict.said_at.isoformat()
    return {"verdict": verdict.word, "verdict_author": verdict.author, "verdict_said_at": said_at}


@events_app.command("confirm", epilog="Example: afterwatch events confirm 3f9a0c12b7de --author inspector --site site")
def confirm_event(
    event: EventArgument, author: AuthorOption = None, site: SiteOption = Path("."), as_json: JsonOption = False
) -> None:
    """Confirm an event: it is unusual, or what its alarm says. The next fit leaves what is unusual out of what is normal."""
    _say(site, event, True, author, as_json)


@events_app.command("dismiss", epilog="Example: afterwatch events dismiss 3f9a0c12b7de --author inspector --site site")
def dismiss_event(
    event: EventArgument, author: AuthorOption = None, site: SiteOption = Path("."), as_json: JsonOption = False
) -> None:
    """Dismiss an event: it is usual, or not what its alarm says. The next fit takes what is usual for normal."""
    _say(site, event, False, author, as_json)


@events_app.command("undo", epilog="Example: afterwatch events undo 3f9a0c12b7de --site site")
def undo_verdict(
    event: EventArgument, author: AuthorOption = None, site: SiteOption = Path("."), as_json: JsonOption = False
) -> None:
    """Take back what was said of an event, whoever said it."""
    from workspace.opened import Workspace
    from workspace.verdicts import find_event, take_verdict_back

    workspace = Workspace(site)
    taken = take_verdict_back(workspace, find_event(workspace, event), author or getpass.getuser())
    if as_json:
        print_json({"event_id": event, "verdict": None, "labels": [_told_label(workspace, label) for label in taken]})
    elif taken:
        typer.echo(f"taken back: what was said of event {event}")
    else:
        typer.echo(f"nothing that stands was said of event {event}")


def _say(site: Path, event: str, confirmed: bool, author: str | None, as_json: bool) -> None:
    from workspace.opened import Workspace
    from workspace.verdicts import find_event, say_verdict

    workspace = Workspace(site)
    found = find_event(workspace, event)
    said = say_verdict(workspace, found, confirmed, author or getpass.getuser())
    verdict = "confirmed" if confirmed else "dismissed"
    if as_json:
        print_json({"event_id": event, "verdict": verdict, "labels": [_told_label(workspace, label) for label in said]})
        return
    begins = f"{found.started_at.astimezone(workspace.settings.zone):%Y-%m-%d %H:%M:%S}"
    moment = f"{found.camera} · {found.region} · {begins}"
    if found.head == workspace.settings.novelty.name:
        typer.echo(f"{verdict}: {moment}; the next run fits by it")
    else:
        typer.echo(f"{verdict}: {found.head} · {moment}")


def _told_label(workspace: "Workspace", label: "Label") -> dict[str, Any]:
    from workspace.known_recordings import KnownRecordings

    recording = KnownRecordings(workspace.ledger).name_of(label.recording_id)
    return {
        "recording": recording,
        "recording_id": label.recording_id,
        "from_s": label.from_us / 1e6,
        "to_s": label.to_us / 1e6,
        "author": label.author,
    }


@events_app.command("export", epilog="Example: afterwatch events export events.csv --alarms --site site")
def export_events(
    target: Annotated[
        Path, typer.Argument(help="A .csv, .json or .otio file; or a folder, a timeline for each camera.")
    ],
    kind: Annotated[str | None, typer.Option("--format", help="csv, json or otio; default: by the ending.")] = None,
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    day: DayOption = None,
    head: HeadOption = None,
    alarms: AlarmsOption = False,
    rate: Annotated[float, typer.Option(help="Ticks per second of a timeline; a million is exact.")] = 1_000_000.0,
    file_urls: Annotated[
        bool, typer.Option("--file-urls", help="A timeline names recordings by URLs on this machine.")
    ] = False,
    site: SiteOption = Path("."),
) -> None:
    """Write events for other review software: CSV, JSON, or OpenTimelineIO."""
    from infra.errors import ConfigurationError
    from lake.audit import About
    from workspace.event_timelines import TimelineSettings, event_files
    from workspace.known_recordings import KnownRecordings
    from workspace.opened import Workspace
    from workspace.output_files import write_files

    workspace = Workspace(site)
    settings = TimelineSettings(
        zone=workspace.settings.zone,
        footage_root=workspace.site.footage_root,
        urls="file" if file_urls else "relative",
        rate_hz=rate,
    )
    events = _events(workspace, (campaign, camera, day), head, alarms)
    if not events:
        raise ConfigurationError("there are no such events; widen the choice, or run the night first")
    workspace.guard.ask("take footage and results away", About(("events",), len(events)))
    files = event_files(events, KnownRecordings(workspace.ledger), target, _format(target, kind), settings)
    write_files(files)
    typer.echo(f"{len(events)} events in {target}" + (f", {len(files)} files" if len(files) > 1 else ""))


def _events(
    workspace: "Workspace", place: tuple[str | None, str | None, str | None], head: str | None, alarms: bool
) -> "list[EventRow]":
    from workspace.event_files import EventFilter, read_events

    campaign, camera, day = place
    select(workspace, campaign, camera, day)  # answers a name that is not known with the known ones
    when = None if day is None else date.fromisoformat(day)
    return read_events(workspace, EventFilter(campaign, camera, when, head, alarms))


def _format(target: Path, told: str | None) -> "Format":
    from infra.errors import ConfigurationError, UnknownNameError
    from workspace.event_files import FORMATS

    for name in FORMATS:
        if told == name:
            return name
    if told is not None:
        raise UnknownNameError("format of events", told, FORMATS)
    if target.is_dir():
        return "otio"
    if target.suffix.lower() not in ENDINGS:
        raise ConfigurationError(
            f'"{target.name}" does not tell its format by its ending; say --format {"|".join(FORMATS)}'
        )
    return ENDINGS[target.suffix.lower()]
