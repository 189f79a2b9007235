"""People are told of scheduled nights: of their reports, and of those that were missed. What is not accepted is tried again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.errors import AfterwatchError
from tasks.nights_due import missed_now
from tasks.schedule_file import PendingNews, read_schedule, schedule_lock, write_schedule
from workspace.notifications.nights import NightNews, failure_news, missed_news, report_news
from workspace.opened import Workspace

AGAIN = timedelta(minutes=10)
"""Before a channel that did not accept news is tried again."""
PATIENCE_S = 60.0
"""A night that seems to be missed is looked for again after this: one that is late because the clock or the machine was stopped
begins in the meantime."""


def tell_report(workspace: Workspace, report: Mapping[str, Any]) -> list[str]:
    """Tell a scheduled night's report, where the settings want that.

    Args:
        workspace: the site.
        report: as `NightReport.as_json` gives it.

    Returns:
        What kept people from being told, a line for each matter.
    """
    wanted = workspace.settings.notifications.nights
    if wanted == "never" or (wanted == "trouble" and report["status"] == "complete"):
        return []
    _enter(workspace, report_news(workspace.site, report))
    return send_news(workspace)


def tell_failure(workspace: Workspace, began_at: datetime, reason: str) -> list[str]:
    """Tell that a scheduled night ended without a report; returns what `tell_report` does."""
    if workspace.settings.notifications.nights == "never":
        return []
    _enter(workspace, failure_news(workspace.site, began_at, reason))
    return send_news(workspace)


def tell_missed(workspace: Workspace, sleep: Callable[[float], object] = time.sleep) -> list[str]:
    """Tell a night that is missed, once, and what is still to be told of earlier ones; returns what `tell_report` does.

    Args:
        workspace: the site.
        sleep: waits before the second look, in seconds.
    """
    folder = workspace.site.state_folder
    missed, served = missed_now(workspace), read_schedule(folder)
    wanted = workspace.settings.notifications.nights != "never"
    if wanted and missed is not None and served is not None and missed.due_at not in served.told:
        sleep(PATIENCE_S)
        missed = missed_now(workspace)
        if missed is not None:
            words = missed.words(workspace.settings.zone)
            _enter(workspace, missed_news(workspace.site, missed.due_at, words, missed.as_json()), missed.due_at)
    return send_news(workspace)


def send_news(workspace: Workspace, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Send what is pending of nights by the channels of the settings; returns what `tell_report` does.

    A run that is killed between acceptance and record sends that message once more, with the same name.
    """
    folder = workspace.site.state_folder
    known = read_schedule(folder)
    if known is None or not known.pending:
        return []
    failed: list[str] = []
    with schedule_lock(folder):
        known = read_schedule(folder)
        for one in () if known is None else known.pending:
            if one.tried_at is None or not one.tried_at <= datetime.now(UTC) < one.tried_at + AGAIN:
                failed += _send(workspace, one, sleep)
    return list(dict.fromkeys(failed))


def _enter(workspace: Workspace, news: NightNews, due_at: datetime | None = None) -> None:
    """Make news pending on every channel; of a missed night, once."""
    folder, notifications = workspace.site.state_folder, workspace.settings.notifications
    channels = (*(table.name for table in notifications.email), *(table.name for table in notifications.webhook))
    with schedule_lock(folder):
        known = read_schedule(folder)
        if known is None:
            return  # it was deleted: nights are not expected any more
        if due_at is not None:
            if due_at in known.told:
                return  # another process was first
            known = known.with_missed(due_at)
        write_schedule(folder, known.with_news(news, channels))


def _send(workspace: Workspace, pending: PendingNews, sleep: Callable[[float], None]) -> list[str]:
    """Send one piece of news, recording each acceptance at once; the caller holds the file's lock."""
    from workspace.notifications.channels import open_channels  # with what sends, which only a site with news needs
    from workspace.notifications.nights import night_message
    from workspace.notifications.sending import deliver

    settings, failed = workspace.settings.notifications, []
    channels = {channel.name: channel for channel in open_channels(settings)}
    left = tuple(name for name in pending.channels if name in channels)
    _replace(workspace, pending, now := replace(pending, channels=left, tried_at=datetime.now(UTC)))
    for name in left:
        message = night_message(workspace.site, name, pending.news)
        try:
            _, refused = deliver(channels[name], message, settings.retries, sleep)
        except AfterwatchError as error:
            failed.append(f'channel {name}: {error} ("{message.subject}"; it is tried again until it is accepted)')
            continue
        except Exception as error:  # noqa: BLE001 — whatever a channel meets, the others are told; its words may hold what was sent
            failed.append(f"channel {name}: {type(error).__name__}")
            continue
        failed += [f"channel {name}: {line}" for line in refused]
        _replace(workspace, now, now := replace(now, channels=tuple(one for one in now.channels if one != name)))
    return failed


def _replace(workspace: Workspace, before: PendingNews, after: PendingNews) -> None:
    folder = workspace.site.state_folder
    known = read_schedule(folder)
    if known is not None:
        kept = (after if one == before else one for one in known.pending)
        write_schedule(folder, replace(known, pending=tuple(one for one in kept if one.channels)))
