"""Options that many verbs share, and how verbs print."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from tasks.plan import Selection
    from workspace.opened import Workspace

SiteOption = Annotated[Path, typer.Option("--site", help="Folder of the workspace.", show_default="current folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
CampaignOption = Annotated[str | None, typer.Option("--campaign", help="Only this campaign.")]
CameraOption = Annotated[str | None, typer.Option("--camera", help="Only this camera.")]
DayOption = Annotated[str | None, typer.Option("--day", help="Only this day, as 2026-03-02.")]


def enter_start(workspace: "Workspace", what: str, selection: "Selection | None" = None) -> None:
    """Enter in the audit that somebody starts a run by hand; that of a page is entered where it is started.

    Args:
        workspace: the site.
        what: the verb.
        selection: what the run is limited to.

    Raises:
        AccessError: the role of who acts does not allow it.
        LakeError: it cannot be entered; the run is not begun then.
    """
    from lake.audit import About

    if workspace.guard.actor.via == "job":
        return
    of: dict[str, Any] = {}
    if selection is not None:
        told = {"campaign": selection.campaign, "camera": selection.camera, "day": selection.day}
        of = {name: value for name, value in told.items() if value is not None}
    workspace.guard.ask("start runs", About((what,), **of))


def select(workspace: "Workspace", campaign: str | None, camera: str | None, day: str | None) -> "Selection":
    """What a person asked for, checked against what there is.

    Raises:
        ConfigurationError: the day is no date, or nothing is known by a name.
    """
    from tasks.forecast import known_places
    from tasks.plan import Selection

    when = None
    if day is not None:
        try:
            when = date.fromisoformat(day)
        except ValueError:
            raise ConfigurationError(f'"{day}" is no day; write it as 2026-03-02') from None
    if (campaign, camera, when) == (None, None, None):
        return Selection()
    places = known_places(workspace)
    for what, name, known in (
        ("campaign", campaign, {place.campaign for place in places}),
        ("camera", camera, {place.camera for place in places}),
        ("day", None if when is None else when.isoformat(), {place.day.isoformat() for place in places}),
    ):
        if name is not None and name not in known:
            raise UnknownNameError(what, name, known)
    selection = Selection(campaign, camera, when)
    if not any(selection.takes(place) for place in places):
        raise ConfigurationError("each of these is known, but no recording is of all of them; widen the selection")
    return selection


def print_json(told: Any) -> None:
    """One JSON object on standard output."""
    json.dump(told, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Rows for people; numbers to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=None if title is None else Text(title),
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for position, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[position], int | float) for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # Names come from folders and files of others: brackets in them are no markup.
        table.add_row(*(Text(_plain(value)) for value in row))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)


def _plain(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Callable[[str, float, float], None]]:
    """A bar for each stage, on standard error; nothing where `quiet`."""
    if quiet:
        yield lambda _stage, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        bars: dict[str, Any] = {}

        def told(stage: str, done: float, total: float) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=max(total, 1e-9))
            progress.update(bars[stage], completed=done if total else 1e-9, total=max(total, 1e-9))

        yield told


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Bytes as a person would say them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def check_out(out: Path | None, name: str) -> None:
    """See before anything is decoded that what comes out can be kept.

    Raises:
        ConfigurationError: files cannot be called by the name, or the folder cannot be made.
    """
    from infra.table import NAME as PLAIN

    if not PLAIN.fullmatch(name):
        raise ConfigurationError(
            f'--name "{name}" cannot name files: begin with a letter or a digit and go on with letters, digits, space, '
            '".", "_" and "-", 64 at most'
        )
    if out is not None:
        if out.exists() and not out.is_dir():
            raise ConfigurationError(f"--out {out} is a file; name a folder")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--out {out} cannot be made ({error.strerror}); name another folder") from None
