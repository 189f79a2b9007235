"""The verb `notify`, called as from a shell; one call is killed between acceptance and record."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from infra.lock import night_lock
from lake.deliveries import deliveries_now
from tests.workspace.alarmed_site import alarmed_site, put_events
from tests.workspace.listeners import Hook, Request, web_server
from workspace.opened import Workspace

SECRET, VARIABLE = "a key that nobody guesses", "AFTERWATCH_TEST_KEY"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(VARIABLE, SECRET)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_server() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, hook: Hook) -> Workspace:
    told = f'retries = 0\n[[notifications.webhook]]\nurl = "{hook.url()}"\nsecret_env = "{VARIABLE}"'
    return alarmed_site(tmp_path / "site", told)


@pytest.fixture
def call(site: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    def do(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as left:
            main(["notify", *arguments, "--site", str(site.site.root)])
        printed = capsys.readouterr()
        code = left.value.code
        done = Done(code if isinstance(code, int) else 1, printed.out, printed.err)
        assert SECRET not in done.out + done.err and "T0K3N" not in done.out + done.err
        return done

    return do


def test_what_is_pending_is_sent_once(site: Workspace, call: Call, hook: Hook) -> None:
    put_events(site, [(10.0, 15.0), (20.0, 25.0)])
    told = call("--json")
    assert (told.code, told.json) == (0, {"sent": 2, "digests": 0, "waiting": 0, "held": 0, "failed": []})
    assert call().out == "messages sent: 0\n"
    assert len(hook.requests) == 2


def test_a_dry_run_tells_what_would_be_sent_and_sends_nothing(site: Workspace, call: Call, hook: Hook) -> None:
    (event,) = put_events(site, [(10.0, 15.0)])
    (message,) = call("--dry-run", "--json").json["messages"]
    assert (message["channel"], message["kind"], message["events"]) == ("webhook", "event", [event.event_id])
    assert message["keyframe"] is True
    shown = call("--dry-run").out
    assert "Alarm fight: hall-east" in shown and "messages that would be sent now: 1" in shown
    assert hook.requests == [] and deliveries_now(site.ledger) == []
    call()
    assert hook.requests[0].headers["Idempotency-Key"] == message["id"]


def test_what_waits_for_its_picture_is_said(site: Workspace, call: Call, hook: Hook) -> None:
    put_events(site, [(10.0, 15.0)], picture=False)
    assert call("--dry-run", "--json").json == {"messages": [], "waiting": 0, "held": 1}
    assert call().out == "messages sent: 0; events that wait for their picture: 1\n"
    assert call().out == "messages sent: 1\n"
    assert json.loads(hook.requests[0].body)["keyframe"] is None


def test_a_test_message_tells_no_event(site: Workspace, call: Call, hook: Hook) -> None:
    put_events(site, [(10.0, 15.0)])
    assert call("--test").out == "test messages sent: 1\n"
    told = json.loads(hook.requests[0].body)
    assert (told["kind"], told["events"]) == ("test", [])
    assert deliveries_now(site.ledger) == []
    hook.replies = [(403, {})]
    failed = call("--test", "--json")
    assert failed.code == 1 and "403 Forbidden" in failed.json["failed"][0]


def test_a_failure_is_told_and_its_exit_code_is_1(
    site: Workspace, call: Call, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_events(site, [(10.0, 15.0)])
    monkeypatch.delenv(VARIABLE)
    done = call()
    assert done.code == 1 and f"environment variable {VARIABLE}" in done.out
    hook.replies = [(500, {})]
    monkeypatch.setenv(VARIABLE, SECRET)
    assert "500 Internal Server Error" in call("--json").json["failed"][0]
    assert call("--json").json["sent"] == 1


def test_settled_events_are_not_sent(site: Workspace, call: Call, hook: Hook) -> None:
    put_events(site, [(10.0, 15.0)])
    assert call("--settle", "--author", "ann").out == "events that count as told now: 1\n"
    assert call("--json").json["sent"] == 0
    assert [one.author for one in deliveries_now(site.ledger)] == ["ann"]


def test_a_wrong_call_is_answered_with_what_would_be_right(call: Call, site: Workspace) -> None:
    assert "webhook" in call("--channel", "pager").err
    assert call("--channel", "pager").code == 2
    assert call("--test", "--dry-run").code == 2
    file = site.site.root / "afterwatch.toml"
    file.write_text(file.read_text(encoding="utf-8").split("[notifications]")[0], encoding="utf-8")
    done = call("--json")
    assert done.code == 2 and "[[notifications.email]]" in done.json["error"]


def test_two_runs_side_by_side_tell_nobody_twice(site: Workspace, call: Call, hook: Hook) -> None:
    put_events(site, [(10.0, 15.0)])
    with night_lock(site.site.state_folder):
        done = call()
    assert done.code == 1 and "already running" in done.err
    assert hook.requests == []


def test_a_run_killed_between_acceptance_and_record_tells_once_more_under_the_same_name(
    site: Workspace, call: Call, hook: Hook
) -> None:
    put_events(site, [(10.0, 15.0)])
    command = [sys.executable, "-m", "afterwatch", "notify", "--site", str(site.site.root)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(request: Request) -> None:
        hook.before = None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    hook.before = kill
    assert process.wait(60) == -signal.SIGKILL
    assert deliveries_now(site.ledger) == []
    assert call("--json").json["sent"] == 1
    first, again = hook.requests
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
    assert first.body == again.body
