"""After the last page people are told; what keeps them from it is told in the report, and never fails the night."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tasks.notify
from tasks.forecast import forecast, idle_night
from tasks.report import new_report
from tasks.telling import tell
from tests.tasks.nights import configure, new_site
from tests.tasks.planned import EVERYTHING
from tests.workspace.alarmed_site import alarmed_site, put_events
from workspace.notifications import sending
from workspace.notifications.sending import NotifyOutcome
from workspace.opened import Workspace

CHANNEL = {"notifications": {"webhook": [{"name": "desk", "url": "http://127.0.0.1:9/"}]}}


class Telling:
    """In place of what sends: remembers how it was called, and answers, or raises."""

    def __init__(self, answer: NotifyOutcome | Exception) -> None:
        self.answer, self.calls = answer, list[tuple[str, str]]()

    def task(self, root: str) -> NotifyOutcome:
        return self._called("task", root)

    def function(self, workspace: Workspace) -> NotifyOutcome:
        return self._called("function", str(workspace.site.root))

    def _called(self, how: str, root: str) -> NotifyOutcome:
        self.calls.append((how, root))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return new_site(tmp_path / "site", changes=CHANNEL)


def put(monkeypatch: pytest.MonkeyPatch, answer: NotifyOutcome | Exception) -> Telling:
    stand_in = Telling(answer)
    monkeypatch.setattr(tasks.notify, "notify", stand_in.task)
    monkeypatch.setattr(sending, "send_pending", stand_in.function)
    return stand_in


@pytest.mark.parametrize(("in_flow", "how"), [(True, "task"), (False, "function")])
def test_every_channels_failure_is_told(
    site: Workspace, monkeypatch: pytest.MonkeyPatch, in_flow: bool, how: str
) -> None:
    called = put(monkeypatch, NotifyOutcome(sent=2, failed=("desk: refused", "mail: refused")))
    assert tell(site, in_flow=in_flow) == ["desk: refused", "mail: refused"]
    assert called.calls == [(how, str(site.site.root))]


@pytest.mark.parametrize("in_flow", [True, False])
def test_an_error_is_told_and_not_raised(site: Workspace, monkeypatch: pytest.MonkeyPatch, in_flow: bool) -> None:
    put(monkeypatch, RuntimeError("no more"))
    (line,) = tell(site, in_flow=in_flow)
    assert line == "notifications: RuntimeError: no more; the next run tells what was not told"


def test_a_library_that_is_not_there_is_told_too(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tasks.notify", None)
    (line,) = tell(site, in_flow=True)
    assert line.startswith("notifications: ") and "tasks.notify" in line


def test_outside_a_flow_nothing_of_the_orchestrator_is_loaded(tmp_path: Path) -> None:
    site = alarmed_site(tmp_path / "site", 'retries = 0\n[[notifications.webhook]]\nurl = "http://127.0.0.1:9/"')
    put_events(site, [(10.0, 15.0)])
    code = (
        "import sys; from pathlib import Path; from tasks.telling import tell; from workspace.opened import Workspace; "
        f"(line,) = tell(Workspace(Path({str(site.site.root)!r})), in_flow=False); "
        "print(line, sorted({'prefect', 'dask', 'distributed', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("channel webhook: http://127.0.0.1:9") and done.stdout.strip().endswith("[]")


def test_without_a_channel_nothing_is_called(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    called = put(monkeypatch, RuntimeError())
    assert tell(configure(site.site.root), in_flow=True) == []
    assert called.calls == []


@pytest.mark.parametrize("notify", [True, False])
def test_an_idle_night_tells_what_is_left_to_tell_and_an_idle_backfill_nobody(
    site: Workspace, monkeypatch: pytest.MonkeyPatch, notify: bool
) -> None:
    called = put(monkeypatch, NotifyOutcome(failed=("desk: refused",)))
    options: dict[str, Any] = {"notify": True} if notify else {}
    told = idle_night(site, forecast(site, EVERYTHING, 1), EVERYTHING, new_report(), **options)
    assert told.attention == (["desk: refused"] if notify else [])
    assert told.status == "complete", "what was found stands"
    assert len(called.calls) == notify
