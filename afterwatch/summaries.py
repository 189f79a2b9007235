"""Verbs over summaries: what each camera's day shows and why, what other weights would show, and export."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch import summary_weights
from afterwatch.options import (
    CameraOption,
    CampaignOption,
    DayOption,
    JsonOption,
    SiteOption,
    print_json,
    print_table,
    progress_bars,
    size,
)
from afterwatch.summary_texts import (
    listed,
    lost_row,
    ranked_rows,
    tell_head,
    tell_ranked,
    told_place,
    told_segment,
    told_summary,
    why,
)
from afterwatch.summary_weights import COLUMNS

if TYPE_CHECKING:
    from lake.keys import Place
    from workspace.opened import Workspace
    from workspace.published_summaries import ShownSummary
    from workspace.summary_package import PackageEntry

summaries_app = typer.Typer(
    help="Summaries: list, show, rank by other weights, export; weight sets.", no_args_is_help=True
)

DayArgument = Annotated[str, typer.Argument(help="Day of the summary, as 2026-03-02.")]
OneCamera = Annotated[str | None, typer.Option("--camera", help="Camera; may be left out where the day has only one.")]
OneCampaign = Annotated[
    str | None, typer.Option("--campaign", help="Campaign; may be left out where the camera's day is of only one.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb, called, example in (
        (list_summaries, "list", "afterwatch summaries list --day 2026-03-02 --site site"),
        (show, "show", "afterwatch summaries show 2026-03-02 --camera hall-east --site site"),
        (rank, "rank", "afterwatch summaries rank 2026-03-02 --camera hall-east --weight dynamics=1 --site site"),
        (
            export,
            "export",
            "afterwatch summaries export 2026-03-02 --camera hall-east --output handed-over.zip --site site",
        ),
    ):
        summaries_app.command(called, epilog=f"Example: {example}")(verb)
    summary_weights.add_to(summaries_app)
    app.add_typer(summaries_app, name="summaries")


def list_summaries(
    day: DayOption = None,
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """List the camera days that have a summary: length, segments, events shown and left out, weights; and the digests."""
    from workspace.opened import Workspace
    from workspace.published_summaries import published_digests, published_places

    workspace = Workspace(site)
    chosen = _chosen(published_places(workspace.site), day, camera, campaign)
    found = [_read(workspace, place) for place in chosen]
    told = [told_summary(place, summary) for place, summary in zip(chosen, found, strict=True)]
    days = {(place.campaign, place.day) for place in chosen}
    digests = [each for each in published_digests(workspace.site) if each[:2] in days and camera is None]
    if as_json:
        rows = [{"campaign": name, "day": when.isoformat(), "video": str(video)} for name, when, video in digests]
        print_json({"summaries": told, "digests": rows})
        return
    columns = ("campaign", "camera", "day", "seconds", "segments", "events", "left out", "weights", "remark")
    print_table(columns, [listed(place, summary) for place, summary in zip(chosen, found, strict=True)])
    for name, when, video in digests:
        typer.echo(f"digest of all cameras, {name}, {when.isoformat()}: {video}")


def show(
    day: DayArgument,
    camera: OneCamera = None,
    campaign: OneCampaign = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Tell what a day's summary shows, segment by segment, and why each is in it."""
    from workspace.opened import Workspace
    from workspace.published_summaries import find_place, published_places, read_summary

    workspace = Workspace(site)
    summary = read_summary(workspace.site, find_place(published_places(workspace.site), day, camera, campaign))
    if as_json:
        segments = [told_segment(segment, summary) for segment in summary.segments]
        print_json({**told_summary(summary.place, summary), "entries": segments})
        return
    tell_head(summary)
    zone = workspace.settings.zone
    print_table(
        ("#", "begins", "seconds", "recording", "from_s", "score", *COLUMNS, "why"),
        [
            (
                segment.number,
                f"{segment.taken_at.astimezone(zone):%H:%M:%S}",
                (segment.to_us - segment.from_us) / 1e6,
                segment.recording,
                segment.from_us / 1e6,
                f"{segment.score:.3f}",
                *(f"{segment.columns[name]:.2f}" for name in COLUMNS),
                why(segment, summary),
            )
            for segment in summary.segments
        ],
    )


def rank(
    day: DayArgument,
    camera: OneCamera = None,
    campaign: OneCampaign = None,
    weights: Annotated[
        str | None, typer.Option(help="Weight set, as NAME or NAME/VERSION, or settings. Default: the one in use.")
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(help="One weight, as dynamics=1, in place of the set's; repeatable.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Longest summary in seconds; default: that of the settings.")
    ] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Say what a summary with other weights or another length would show, against the published one. Nothing is changed."""
    from workspace.opened import Workspace
    from workspace.published_summaries import find_place, published_places, read_summary
    from workspace.summaries import difference, measured_places, rank_day, read_measured

    workspace = Workspace(site)
    chosen = summary_weights.chosen_weights(workspace, weights, weight or ())
    place = find_place(measured_places(workspace), day, camera, campaign, "measured segments")
    summary = workspace.settings.summary
    measured = read_measured(workspace, place)
    budget_s = summary.budget_s if budget is None else budget
    ranked = rank_day(measured, chosen.weights, budget_s, summary.similarity_limit)
    published = read_summary(workspace.site, place) if place in published_places(workspace.site) else None
    against = difference(measured, ranked, published.segments if published else ())
    rows = ranked_rows(workspace, measured, ranked, set(against.gained))
    lost = [lost_row(segment) for segment in against.lost]
    if as_json:
        print_json(
            {
                **told_place(place),
                "weights": summary_weights.told_weights(chosen),
                "budget_s": budget_s,
                "duration_s": ranked.selection.duration_us / 1e6,
                "entries": rows,
                "lost": lost,
                "omitted": [wanted.name for wanted in ranked.selection.omitted],
            }
        )
        return
    tell_ranked(workspace, chosen, ranked, sorted([*rows, *lost], key=lambda row: row["taken_at"]), published)


def export(
    day: DayArgument,
    output: Annotated[Path, typer.Option(help="Folder to make, or a file ending in .zip; refused where it is there.")],
    camera: OneCamera = None,
    campaign: OneCampaign = None,
    segment: Annotated[
        list[int] | None,
        typer.Option(help="Number of a segment, as summaries show prints it; repeatable. Default: all."),
    ] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Write segments of a summary as a package: untouched clips of the recordings, keyframes, a manifest, checksums."""
    from workspace.opened import Workspace
    from workspace.published_summaries import find_place, published_places, read_summary
    from workspace.summary_package import write_package

    workspace = Workspace(site)
    summary = read_summary(workspace.site, find_place(published_places(workspace.site), day, camera, campaign))
    entries = _package_entries(summary, set(segment or ()))
    with progress_bars(as_json) as told:
        report = write_package(workspace, entries, output, progress=lambda done, of: told("export", done, of))
    if as_json:
        written = {"output": str(output), "segments": report.entries, "files": report.files, "bytes": report.bytes}
        print_json({**told_place(summary.place), **written})
        return
    typer.echo(f"{output}: {report.entries} segments, {report.files} files, {size(report.bytes)}")
    typer.echo("check it where it is unpacked with: sha256sum -c SHA256SUMS")


def _package_entries(summary: "ShownSummary", numbers: set[int]) -> "list[PackageEntry]":
    """Entries of a package: the segments of these numbers, or all where none is named."""
    from infra.errors import ConfigurationError, LakeError
    from workspace.summary_package import package_entry

    unknown = sorted(numbers - {each.number for each in summary.segments})
    if not summary.segments:
        raise ConfigurationError(f"the summary of {summary.place} shows nothing; there is nothing to export")
    if unknown:
        raise ConfigurationError(
            f"segment {unknown[0]} is not in this summary, which has 1 to {len(summary.segments)}; summaries show lists them"
        )
    try:
        return [
            package_entry(summary.place, each.told, weights=summary.label, versions=summary.versions)
            for each in summary.segments
            if not numbers or each.number in numbers
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise LakeError(
            f"{summary.folder / 'summary.json'} cannot be read ({type(error).__name__}: {error}); delete it and publish the "
            "day again"
        ) from None


def _chosen(places: "Sequence[Place]", day: str | None, camera: str | None, campaign: str | None) -> "list[Place]":
    """Those of the places that were asked for; a name that is not known is answered with the known ones."""
    from datetime import date

    from infra.errors import ConfigurationError
    from workspace.known_recordings import check_known

    try:
        when = None if day is None else date.fromisoformat(day)
    except ValueError:
        raise ConfigurationError(f'"{day}" is no day; write it as 2026-03-02') from None
    check_known("campaign with a summary", campaign, (place.campaign for place in places))
    check_known("camera with a summary", camera, (place.camera for place in places))
    told = None if when is None else when.isoformat()
    check_known("day with a summary", told, (place.day.isoformat() for place in places))
    return [
        place
        for place in places
        if when in (None, place.day) and camera in (None, place.camera) and campaign in (None, place.campaign)
    ]


def _read(workspace: "Workspace", place: "Place") -> "ShownSummary | str":
    """A day's summary, or what is wrong with it: the others are to be seen all the same."""
    from infra.errors import AfterwatchError
    from workspace.published_summaries import read_summary

    try:
        return read_summary(workspace.site, place)
    except AfterwatchError as error:
        return str(error)
