"""Verbs of the night: plan, run, backfill, status, retry, coverage, verify, schedule."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import (
    CameraOption,
    CampaignOption,
    DayOption,
    JsonOption,
    SiteOption,
    duration,
    enter_start,
    print_json,
    print_table,
    progress_bars,
    select,
    size,
)
from afterwatch.verifying import verify

if TYPE_CHECKING:
    from tasks.plan import Selection
    from tasks.report import NightReport
    from workspace.opened import Workspace

UntilOption = Annotated[
    str | None, typer.Option("--until", help="Start nothing new after this time of day, as 06:00, in the site's zone.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command(epilog="Example: afterwatch plan --site site --camera hall-east")(plan)
    app.command(epilog="Example: afterwatch run --site site --campaign spring --until 06:00")(run)
    app.command(epilog="Example: afterwatch backfill --site site --camera hall-east")(backfill)
    app.command(epilog="Example: afterwatch status --site site --json")(status)
    app.command(epilog="Example: afterwatch retry --site site")(retry)
    app.command(epilog="Example: afterwatch coverage --site site --day 2026-03-02")(coverage)
    app.command(epilog="Example: afterwatch verify 2026-03-02 --site site --render")(verify)
    app.command(epilog="Example: afterwatch schedule --site site")(schedule)


def plan(
    site: SiteOption = Path("."),
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    day: DayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a run would do, and why: files, hours, shards, time and disk. Nothing is decoded."""
    from flows.machine import worker_count
    from tasks.forecast import forecast
    from workspace.opened import Workspace

    workspace = Workspace(site)
    found = forecast(workspace, select(workspace, campaign, camera, day), worker_count(workspace.settings.cluster))
    if as_json:
        print_json(found.as_json())
        return
    inventory = found.inventory
    typer.echo(
        f"{len(inventory.new)} new files ({size(found.new_bytes)}), {len(inventory.present)} present, "
        f"{len(inventory.gone)} gone; {duration(found.recorded_s)} of known footage"
    )
    for line in filter(None, (*found.suspended, found.short_of_room)):
        typer.echo(f"attention: {line}")
    if found.is_empty:
        typer.echo("nothing to do: every step's output is there")
        return
    rows = [(str(item.place), item.shards, item.seconds, item.told, item.why) for item in found.days]
    if rows:
        print_table(("camera day", "shards", "seconds", "steps", "why"), rows)
    basis = "measured on earlier runs" if found.measured else "a guess: nothing has run yet"
    typer.echo(f"about {duration(found.work_s)} of work and {size(found.disk_bytes)} of disk ({basis})")


def run(
    site: SiteOption = Path("."),
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    day: DayOption = None,
    until: UntilOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the night: process what is new and whatever depends on it, and nothing else."""
    from workspace.opened import Workspace

    workspace = Workspace(site)
    selection, deadline = select(workspace, campaign, camera, day), until_moment(workspace, until)
    enter_start(workspace, "run", selection)
    with progress_bars(quiet=as_json) as progress:
        report = process(workspace, selection, until=deadline, progress=progress)
    _finish(report, as_json)


def backfill(
    site: SiteOption = Path("."),
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    day: DayOption = None,
    until: UntilOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make what is missing of recordings that are known already, such as a new region's vectors; takes in no new files.

    It gives way to a night that begins, and ends partial then; say it again to go on.
    """
    from workspace.opened import Workspace

    workspace = Workspace(site)
    selection, deadline = select(workspace, campaign, camera, day), until_moment(workspace, until)
    enter_start(workspace, "backfill", selection)
    with progress_bars(quiet=as_json) as progress:
        report = process(workspace, selection, until=deadline, known_only=True, progress=progress)
    _finish(report, as_json)


def retry(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Take up what failed, and only that: quarantined files and the days of failed steps."""
    from tasks.plan import Selection
    from workspace.opened import Workspace

    workspace = Workspace(site)
    enter_start(workspace, "retry")
    with progress_bars(quiet=as_json) as progress:
        report = process(workspace, Selection(), retry=True, progress=progress)
    _finish(report, as_json)


def process(
    workspace: "Workspace",
    selection: "Selection",
    *,
    until: datetime | None = None,
    retry: bool = False,
    known_only: bool = False,
    progress: Callable[[str, float, float], None],
) -> "NightReport":
    """Run a night, or a backfill where `known_only`, in this process; where there is nothing to do, without starting
    an orchestrator.

    Raises:
        AlreadyRunningError: another run holds the workspace; a night asks a backfill to give way, and waits for it.
    """
    from flows.machine import worker_count
    from flows.server import orchestrator
    from infra.environment import prepare_orchestrator
    from infra.lock import backfill_lock, night_lock
    from tasks.forecast import forecast, idle_night
    from tasks.report import BACKFILL, FAILED_ONLY, NIGHT, new_report

    folder = workspace.site.state_folder
    with backfill_lock(folder) if known_only else night_lock(folder, asking=partial(typer.echo, err=True)):
        workers = worker_count(workspace.settings.cluster)
        found = forecast(workspace, selection, workers, retry=retry, known_only=known_only)
        if found.is_empty:
            told = new_report(BACKFILL if known_only else NIGHT)
            told.limited_to = FAILED_ONLY if retry else ""
            return idle_night(workspace, found, selection, told, notify=not known_only)
    prepare_orchestrator(workspace.site)
    # One server for the flow and its workers: without its address each of them would start one of its own.
    with orchestrator(workspace.site.state_folder / "prefect-server.log"):
        if known_only:
            from flows.backfill import run_backfill

            return run_backfill(workspace, selection, until=until, progress=progress)
        from flows.nightly import run_night

        return run_night(workspace, selection, until=until, retry=retry, progress=progress)


def until_moment(workspace: "Workspace", until: str | None) -> datetime | None:
    """The next time the clock of the site shows `until`."""
    from tasks.deadline import next_moment

    return None if until is None else next_moment(until, workspace.settings.zone, datetime.now(UTC))


def _finish(report: "NightReport", as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report.as_json())
    if report.status != "complete":
        raise typer.Exit(1)


def print_report(told: dict[str, Any]) -> None:
    """A night's report for people."""
    idle = not any(step["done"] or step["failed"] for step in told["steps"])
    rest = (
        "; nothing was to be done: nothing decoded, nothing inferred" if idle and told["status"] == "complete" else ""
    )
    kind = told.get("kind", "night")  # reports of older nights do not say
    of = f" of {told['limited_to']}" if told.get("limited_to") else ""
    typer.echo(f"{kind} {told['run']}{of}: {told['status']}, {duration(told['seconds'])}{rest}")
    rows = [(step["step"], step["done"], step["skipped"], step["failed"], step["seconds"]) for step in told["steps"]]
    print_table(("step", "done", "skipped", "failed", "seconds of work"), rows)
    _print_coverage(told["coverage"])
    decoded, shown = duration(told["decoded_s"]), duration(told["shown_s"])
    alarms = f"{told['alarms']} alarms" + _by_head(told.get("alarms_by_head", {}))
    typer.echo(f"decoded {decoded} of footage, {shown} again for videos; {told['events']} events, {alarms}")
    _print_expected(told.get("expected_alarms", []))
    if told.get("queued"):
        typer.echo(f"{told['queued']} snippets to judge next: the page Queue, or afterwatch queue list")
    for line in told["attention"]:
        typer.echo(f"attention: {line}")


def _by_head(alarms: dict[str, int]) -> str:
    """Which heads raised the alarms, where there are several; reports of older nights do not say."""
    told = ", ".join(f"{head} {count}" for head, count in alarms.items())
    return f" ({told})" if len(alarms) > 1 else ""


def _print_expected(lines: list[dict[str, Any]]) -> None:
    """What the thresholds would raise in a normal night; reports of older nights do not say."""
    words = {"mu": " (by mu)", "chosen": " (threshold chosen by hand)"}
    cameras = []
    for line in lines:
        sources = {region["source"] for region in line["regions"]}
        cameras.append(
            f"{line['camera']} {line['per_night']:g}" + "".join(words.get(name, "") for name in sorted(sources))
        )
    if cameras:
        typer.echo(f"alarms expected in a normal night: {', '.join(cameras)}")


def _print_coverage(lines: list[dict[str, Any]]) -> None:
    names = ("recorded_s", "analysed_s", "skipped_s", "corrupt_s", "missing_s")
    rows = [(line["campaign"], line["camera"], line["day"], *(float(line[name]) for name in names)) for line in lines]
    heads = ("campaign", "camera", "day", "recorded s", "analysed s", "skipped s", "corrupt s", "missing s")
    if rows:
        print_table(heads, rows)


def status(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Say how the last night went, whether one is running, and whether one was missed, which exits with 1."""
    from tasks.history import last_nights
    from tasks.nights_due import missed_now
    from workspace.opened import Workspace

    workspace = Workspace(site)
    missed = missed_now(workspace)
    told = {**last_nights(workspace), "missed": None if missed is None else missed.as_json()}
    if as_json:
        print_json(told)
    else:
        _print_status(told, site)
        if missed is not None:
            typer.echo(f"attention: {missed.words(workspace.settings.zone)}")
    if missed is not None:
        raise typer.Exit(1)


def _print_status(told: dict[str, Any], site: Path) -> None:
    if told["running"]:
        typer.echo(
            f"a night is running: {told['running']['steps']} steps so far, the last {told['running']['age']} ago"
        )
    if told["last"] is None:
        typer.echo(f"no night has been run here yet; start one with: afterwatch run --site {site}")
    else:
        print_report(told["last"])


def coverage(
    site: SiteOption = Path("."),
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    day: DayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Account for every recorded second: analysed, skipped, corrupt or missing."""
    from lake.current import recordings_now
    from lake.keys import Place
    from tasks.plan import plan_days, recordings_of
    from tasks.report import coverage_of, is_covered
    from workspace.opened import Workspace

    workspace = Workspace(site)
    selection = select(workspace, campaign, camera, day)
    rows = [
        row
        for row in recordings_now(workspace.ledger)
        if row["camera"] and selection.takes(Place(row["campaign"], row["camera"], row["day"]))
    ]
    days = [day for day in plan_days(workspace, recordings_of(workspace, rows)) if selection.takes(day.place)]
    lines = coverage_of(workspace, days, rows)
    complete = all(is_covered(line) for line in lines)
    if as_json:
        print_json({"coverage": lines, "complete": complete})
    else:
        _print_coverage(lines)
        typer.echo(
            "every recorded second is accounted for" if complete else "seconds are unaccounted for: run the night"
        )
    if not complete:
        raise typer.Exit(1)


def schedule(site: SiteOption = Path(".")) -> None:
    """Serve the night at the times of the settings' [schedule], until stopped."""
    from infra.environment import prepare_orchestrator
    from workspace.opened import Workspace

    workspace = Workspace(site)
    prepare_orchestrator(workspace.site)
    from flows.schedule import serve_nightly

    table = workspace.settings.schedule
    typer.echo(f'serving the night of {workspace.site.root} at "{table.cron}" ({workspace.settings.site.time_zone})')
    serve_nightly(workspace)
