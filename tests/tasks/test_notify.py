"""The night's last step: people are told, and what goes wrong there fails no night."""

from pathlib import Path

import pytest

from lake.deliveries import deliveries_now
from tasks.notify import notify
from tests.workspace.alarmed_site import alarmed_site, put_events
from tests.workspace.listeners import Hook, free_port
from workspace.notifications.sending import NotifyOutcome
from workspace.opened import Workspace

pytestmark = pytest.mark.usefixtures("no_proxy")


def told_to(hook: Hook, folder: Path) -> Workspace:
    site = alarmed_site(folder, f'retries = 0\n[[notifications.webhook]]\nurl = "{hook.url()}"')
    put_events(site, [(10.0, 15.0)])
    return site


def test_the_step_tells_what_is_pending_once(tmp_path: Path, hook: Hook) -> None:
    site = told_to(hook, tmp_path / "site")
    assert notify.fn(str(site.site.root)) == NotifyOutcome(sent=1)
    assert notify.fn(str(site.site.root)) == NotifyOutcome()
    assert len(hook.requests) == len(deliveries_now(site.ledger)) == 1


def test_the_step_tells_what_a_channel_fails_at(tmp_path: Path) -> None:
    site = told_to(Hook(free_port()), tmp_path / "site")
    outcome = notify.fn(str(site.site.root))
    assert outcome.sent == 0 and outcome.failed[0].startswith("channel webhook: http://127.0.0.1")
