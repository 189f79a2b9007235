"""Verbs over the queue, what people should judge next: list, answer, skip, undo."""

import getpass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import CameraOption, CampaignOption, JsonOption, SiteOption, print_json, print_table

if TYPE_CHECKING:
    from workspace.known_recordings import KnownRecordings
    from workspace.queue_items import Queue, QueueItem

queue_app = typer.Typer(help="What people should judge next: list, answer, skip, undo.", no_args_is_help=True)

HeadOption = Annotated[str | None, typer.Option("--head", help="Only what this head asks.")]
ItemArgument = Annotated[str, typer.Argument(help="Name of the snippet, as queue list prints it.", metavar="ITEM")]
AuthorOption = Annotated[str | None, typer.Option("--author", help="Who says so; default: you.")]


class Answer(StrEnum):
    """What may be said of a snippet."""

    RELEVANT = "relevant"
    NORMAL = "normal"


AnswerArgument = Annotated[
    Answer, typer.Argument(help="relevant: yes, it is unusual, or what the alarm or the use case is about; normal: no.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(queue_app, name="queue")


@queue_app.command("list", epilog="Example: afterwatch queue list --campaign spring --site site")
def list_queue(
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    head: HeadOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """List the snippets that the last night asks about and nobody has judged yet, the most useful first."""
    from workspace.known_recordings import KnownRecordings, check_known
    from workspace.opened import Workspace
    from workspace.queue_items import counts_of, read_queue

    workspace = Workspace(site)
    whole = read_queue(workspace)
    for what, name, names in (
        ("campaign with a queue", campaign, [item.campaign for item in whole.items]),
        ("camera with a queue", camera, [item.camera for item in whole.items]),
        ("head with a queue", head, [item.head for item in whole.items]),
    ):
        check_known(what, name, names)
    queue = read_queue(workspace, campaign, camera, head)
    if as_json:
        known = KnownRecordings(workspace.ledger)
        counts = [{**vars(count), "left": count.left} for count in counts_of(queue)]
        print_json({"queue": [_told(item, known) for item in queue.left], "heads": counts})
        return
    _print(workspace, queue)


def _print(workspace: Any, queue: "Queue") -> None:
    zone = workspace.settings.zone
    columns = ("item", "camera", "head", "region", "begins", "seconds", "why", "score", "threshold")
    rows = [
        (
            item.queue_id,
            item.camera,
            item.head,
            item.region,
            f"{item.taken_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
            item.seconds,
            item.reason,
            f"{item.score:.3g}",
            "" if item.threshold is None else f"{item.threshold:.3g}",
        )
        for item in queue.left
    ]
    if rows:
        print_table(columns, rows)
    done = len(queue.items) - len(rows)
    if not queue.items:
        budget = workspace.settings.queue.budget
        typer.echo(
            'nothing is asked: run the night with "afterwatch run"'
            if budget
            else "nothing is asked: the settings have [queue] budget = 0"
        )
    else:
        typer.echo(f"{done} of {len(queue.items)} judged or skipped; the next night asks anew")


@queue_app.command(
    "answer", epilog="Example: afterwatch queue answer 3f9a0c12b7de relevant --author inspector --site site"
)
def answer_item(
    item: ItemArgument,
    answer: AnswerArgument,
    author: AuthorOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Judge a snippet: relevant or normal. What learns from labels learns from it, the next night or refit."""
    from workspace.opened import Workspace
    from workspace.queue_items import answer as say
    from workspace.queue_items import find_item

    workspace = Workspace(site)
    found = find_item(workspace, item)
    label = say(workspace, found, answer is Answer.RELEVANT, author or getpass.getuser())
    told = {"item": item, "answer": answer.value, "use_case": str(label.use_case), "author": label.author}
    _say(as_json, told, f"{answer.value}: {label.use_case}")


@queue_app.command("skip", epilog="Example: afterwatch queue skip 3f9a0c12b7de --site site")
def skip_item(
    item: ItemArgument, author: AuthorOption = None, site: SiteOption = Path("."), as_json: JsonOption = False
) -> None:
    """Leave a snippet out that cannot be judged: neither it nor what is like it around it is asked again."""
    from workspace.opened import Workspace
    from workspace.queue_items import find_item, skip

    workspace = Workspace(site)
    found = find_item(workspace, item)
    skip(workspace, found, author or getpass.getuser())
    _say(as_json, {"item": item, "answer": "skipped", "use_case": str(found.use_case)}, f"skipped: {found.use_case}")


@queue_app.command("undo", epilog="Example: afterwatch queue undo 3f9a0c12b7de --site site")
def undo_item(
    item: ItemArgument, author: AuthorOption = None, site: SiteOption = Path("."), as_json: JsonOption = False
) -> None:
    """Take back what was said of a snippet, whoever said it: it is asked again."""
    from workspace.opened import Workspace
    from workspace.queue_items import find_item, take_back

    workspace = Workspace(site)
    found = find_item(workspace, item)
    word = take_back(workspace, found, author or getpass.getuser())
    plain = f"nothing was said of {item} here" if word is None else f"taken back: {word}, {found.use_case}"
    _say(as_json, {"item": item, "taken_back": word}, plain)


def _say(as_json: bool, told: dict[str, Any], plain: str) -> None:
    if as_json:
        print_json(told)
    else:
        typer.echo(plain)


def _told(item: "QueueItem", known: "KnownRecordings") -> dict[str, Any]:
    return {
        "item": item.queue_id,
        "rank": item.rank,
        "kind": item.kind,
        "head": item.head,
        "version": item.version,
        "campaign": item.campaign,
        "camera": item.camera,
        "day": item.day.isoformat(),
        "region": item.region,
        "recording": known.name_of(item.recording_id),
        "recording_id": item.recording_id,
        "from_s": item.from_us / 1e6,
        "to_s": item.to_us / 1e6,
        "taken_at": item.taken_at.isoformat(),
        "reason": item.reason,
        "score": item.score,
        "threshold": item.threshold,
        "distance": item.distance,
    }
