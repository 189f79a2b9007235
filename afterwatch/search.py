"""The verb `search`: moments like what is described, shown or pointed at."""

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from afterwatch.options import (
    CameraOption,
    CampaignOption,
    JsonOption,
    SiteOption,
    print_json,
    print_table,
    progress_bars,
)
from infra.errors import ConfigurationError

if TYPE_CHECKING:
    from workspace.queries import Query
    from workspace.search import Found

EXAMPLE = 'Example: afterwatch search --text "a person at the hatch" --camera hall-east --site site'


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(epilog=EXAMPLE)(search)


def search(
    text: Annotated[str | None, typer.Option(help="What is to be seen, in words.")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture of what is looked for.")] = None,
    event: Annotated[str | None, typer.Option(help="An event that is like it, by its event_id.")] = None,
    at: Annotated[str | None, typer.Option(help='A camera\'s moment, as "CAMERA 2026-03-02T08:01:10".')] = None,
    region: Annotated[str | None, typer.Option(help="Only this region; with --at it is the example's too.")] = None,
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    since: Annotated[str | None, typer.Option("--from", help="Only from this moment or day on.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Only before this moment or day.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Moments at most.")] = 20,
    encoder: Annotated[str | None, typer.Option(help="One of the site's encoders.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Find the moments most like a text, a picture, an event or another moment: give one of the four."""
    from workspace.opened import Workspace
    from workspace.queries import Filters
    from workspace.search import Searcher

    if sum(given is not None for given in (text, image, event, at)) != 1:
        raise ConfigurationError("a search has one query: give one of --text, --image, --event and --at")
    workspace = Workspace(site)
    zone = workspace.settings.zone
    query = _query(text, image, event, at, region, zone)
    filters = Filters(
        campaign, camera, region, *(None if told is None else _moment(told, zone) for told in (since, until))
    )
    with progress_bars(quiet=as_json) as progress:
        found = Searcher(workspace).search(
            query,
            filters,
            limit=limit,
            encoder=encoder,
            progress=lambda done, rows: progress("vectors", done, rows),
        )
    if as_json:
        print_json({**asdict(found), "moments": [_plain(asdict(moment)) for moment in found.moments]})
    else:
        _print(found, zone)


def _query(
    text: str | None, image: Path | None, event: str | None, at: str | None, region: str | None, zone: ZoneInfo
) -> "Query":
    from workspace.queries import EventQuery, ExampleQuery, ImageQuery, TextQuery

    if text is not None:
        return TextQuery(text)
    if image is not None:
        return ImageQuery.read(image)
    if event is not None:
        return EventQuery(event)
    camera, _, moment = (at or "").strip().rpartition(" ")
    if not camera:
        raise ConfigurationError(f'"{at}" is no moment of a camera; write it as "CAMERA 2026-03-02T08:01:10"')
    return ExampleQuery(camera.strip(), region or "frame", _moment(moment, zone))


def _moment(told: str, zone: ZoneInfo) -> datetime:
    """A moment as a person writes it: in the site's zone unless it says another; a day begins at midnight."""
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        raise ConfigurationError(f'"{told}" is no moment; write it as 2026-03-02T08:01:10 or 2026-03-02') from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _plain(moment: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date | datetime) else value for name, value in moment.items()}


def _print(found: "Found", zone: ZoneInfo) -> None:
    if not found.moments:
        typer.echo(f"nothing found: no vector of {found.encoder or found.space} begins within these limits")
        return
    rows = []
    for moment in found.moments:
        begin, end = (at.astimezone(zone) for at in (moment.started_at, moment.ended_at))
        place = (moment.campaign, moment.camera, moment.region, moment.day.isoformat())
        rows.append((*place, f"{begin:%H:%M:%S}", f"{end:%H:%M:%S}", f"{moment.score:.3f}", moment.hits))
    columns = ("campaign", "camera", "region", "day", "from", "to", "score", "hits")
    print_table(columns, rows, f"{found.searched} vectors of {found.encoder or found.space} compared")
