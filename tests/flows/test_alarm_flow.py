"""From the command line: a night applies an alarm and tells it once; a dead channel spoils nothing; a backfill tells nobody."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from afterwatch.__main__ import main
from tests.e2e.command import afterwatch
from tests.tasks.alarmed import LIVELY, lively, switch_on
from tests.tasks.nights import EAST
from workspace.event_files import EventFilter, read_events
from workspace.opened import Workspace

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600), pytest.mark.usefixtures("server")]


@pytest.fixture
def desk() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a webhook on this machine, and what it was sent."""
    posted: list[dict[str, Any]] = []

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the tests' standard error."""

    with HTTPServer(("127.0.0.1", 0), Desk) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", posted
        server.shutdown()


def alarms_of(site: Path, head: str) -> set[str]:
    return {event.event_id for event in read_events(Workspace(site), EventFilter(head=head))}


def told(posted: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for message in posted for event in message["events"]]


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a verb prints that starts nothing: called in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        main([*map(str, arguments)])
    assert not leaving.value.code
    return capsys.readouterr().out


def test_a_night_tells_its_alarms_once_and_a_backfill_tells_nobody(
    copied: Workspace,
    desk: tuple[str, list[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    address, posted = desk
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        dead = f"http://127.0.0.1:{closed.server_port}/"
    channels = [{"name": "desk", "url": address}, {"name": "dead", "url": dead}]
    changes = {"notifications": {"webhook": channels, "retries": 0, "most_per_hour": 1000}}
    switch_on(lively(copied, EAST), {"cameras": [EAST]}, **changes)
    site = copied.site.root

    assert f"classify {LIVELY}, summarise, publish" in call(capsys, "plan", "--site", site)
    first = afterwatch("run", "--site", site, "--json")
    assert first.code == 0, first.err
    assert first.json["status"] == "complete", "a channel that fails fails no night"
    steps = {step["step"]: step for step in first.json["steps"]}
    assert (steps["classify"]["done"], steps["embed"]["done"], first.json["decoded_s"]) == (2, 0, 0)
    events = alarms_of(site, LIVELY)
    assert sorted(told(posted)) == sorted(events), "each is told once"
    assert len(events) > 1
    assert first.json["alarms_by_head"][LIVELY] == len(events)
    assert any("dead" in line for line in first.json["attention"])
    assert f"{LIVELY} {len(events)}" in call(capsys, "status", "--site", site)

    again = json.loads(call(capsys, "run", "--site", site, "--json"))
    assert all(step["done"] == step["failed"] == 0 for step in again["steps"])
    assert len(told(posted)) == len(events)
    assert any("dead" in line for line in again["attention"]), "an idle night tries again"

    switch_on(copied, {"cameras": [EAST], "name": "brisk"}, **changes)
    filled = afterwatch("backfill", "--site", site, "--json")
    assert filled.code == 0, filled.err
    brisk = sorted(alarms_of(site, "brisk"))
    assert len(brisk) == len(events)
    assert len(told(posted)) == len(events)
    assert f"dismissed: brisk · {EAST} · frame · " in call(capsys, "events", "dismiss", brisk[0], "--site", site)
    assert json.loads(call(capsys, "run", "--site", site, "--json"))["decoded_s"] == 0
    assert set(told(posted)) == events | set(brisk[1:]), "what was dismissed is told to nobody"
