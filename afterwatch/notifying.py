"""The verb `notify`: tell what is still to be told of alarms."""

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, print_table
from infra.errors import ConfigurationError

if TYPE_CHECKING:
    from workspace.notifications.base import Channel, Message
    from workspace.opened import Workspace

CHANNEL_HELP = "Only this channel; default: all of the settings."
TEST_HELP = "Send a test message instead, once and without a second attempt; it tells no event."
DRY_HELP = "Only say what would be sent."
SETTLE_HELP = "Send nothing, and count what is pending as told: after the first night with alarms of a long past, say."


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(epilog="Example: afterwatch notify --dry-run --site site")(notify)


def notify(
    site: SiteOption = Path("."),
    channel: Annotated[str | None, typer.Option("--channel", help=CHANNEL_HELP)] = None,
    test: Annotated[bool, typer.Option("--test", help=TEST_HELP)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=DRY_HELP)] = False,
    settle: Annotated[bool, typer.Option("--settle", help=SETTLE_HELP)] = False,
    author: Annotated[str | None, typer.Option("--author", help="Who settles; default: you.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what is still to be told of alarms, by the channels of the settings."""
    from infra.lock import night_lock
    from workspace.notifications.channels import choose_channels
    from workspace.notifications.sending import NotifyOutcome, send_pending
    from workspace.notifications.sending import settle as settle_pending
    from workspace.opened import Workspace

    if test + dry_run + settle > 1:
        raise ConfigurationError("--test, --dry-run and --settle each do another thing; say one of them")
    workspace = Workspace(site)
    channels = choose_channels(workspace.settings.notifications, channel)
    if dry_run:
        _tell_plan(workspace, channels, as_json)
        return
    if test:
        _finish(_send_tests(workspace, channels), as_json, "test messages")
        return
    with night_lock(workspace.site.state_folder):
        if settle:
            count = settle_pending(workspace, channels, author or getpass.getuser())
            if as_json:
                print_json({"settled": count})
            else:
                typer.echo(f"events that count as told now: {count}")
            return
        outcome: NotifyOutcome = send_pending(workspace, channels)
    told = {"sent": outcome.sent, "digests": outcome.digests, "waiting": outcome.waiting, "held": outcome.held}
    _finish({**told, "failed": list(outcome.failed)}, as_json, "messages")


def _send_tests(workspace: "Workspace", channels: "Sequence[Channel]") -> dict[str, Any]:
    from workspace.notifications.base import DeliveryError
    from workspace.notifications.messages import test_message

    sent, failed = 0, []
    for channel in channels:
        try:
            refused = channel.send(test_message(workspace.settings, channel.name))
        except DeliveryError as error:
            failed.append(f"channel {channel.name}: {error}")
        else:
            sent += 1
            failed += [f"channel {channel.name}: {line}" for line in refused]
    return {"sent": sent, "failed": failed}


def _tell_plan(workspace: "Workspace", channels: "Sequence[Channel]", as_json: bool) -> None:
    from workspace.known_recordings import KnownRecordings
    from workspace.notifications.pending import events_to_tell
    from workspace.notifications.sending import planned_messages

    events, known = events_to_tell(workspace), KnownRecordings(workspace.ledger)
    messages, waiting, held = [], 0, 0
    for channel in channels:
        plan = planned_messages(workspace, channel.name, events, known)
        messages += [_told_message(channel.name, message) for message in plan.messages]
        waiting += plan.waiting
        held += len(plan.held)
    if as_json:
        print_json({"messages": messages, "waiting": waiting, "held": held})
        return
    rows = [
        (one["channel"], len(one["events"]), "yes" if one["keyframe"] else "no", one["subject"]) for one in messages
    ]
    if rows:
        print_table(("channel", "events", "keyframe", "subject"), rows)
    typer.echo(f"messages that would be sent now: {len(rows)}{_left(waiting, held)}")


def _told_message(channel: str, message: "Message") -> dict[str, Any]:
    return {
        "channel": channel,
        "id": message.message_id,
        "kind": message.kind,
        "subject": message.subject,
        "keyframe": message.picture is not None,
        "events": [event.event_id for event in message.told],
    }


def _left(waiting: int, held: int) -> str:
    parts = (("events that wait for the next hour", waiting), ("events that wait for their picture", held))
    return "".join(f"; {what}: {events}" for what, events in parts if events)


def _finish(told: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        print_json(told)
    else:
        typer.echo(f"{what} sent: {told['sent']}{_left(told.get('waiting', 0), told.get('held', 0))}")
        for line in told["failed"]:
            typer.echo(f"failed: {line}")
    if told["failed"]:
        raise typer.Exit(1)
