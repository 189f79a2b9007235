"""People are told of scheduled nights: what the settings want, once on each channel, and again until it is accepted."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tasks.night_telling
from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError
from tasks.night_telling import send_news, tell_failure, tell_missed, tell_report
from tasks.report import new_report
from tasks.schedule_file import (
    FILE,
    MOST_PENDING,
    ScheduleFile,
    expect_nights,
    read_schedule,
    schedule_lock,
    turn,
    write_schedule,
)
from tests.tasks.test_nights_due import run
from tests.workspace.listeners import Hook, free_port, mail_server, web_server
from workspace.notifications.nights import NightNews
from workspace.notifications.webhook import IDEMPOTENCY
from workspace.opened import Workspace

NOW = datetime.now(UTC)


pytestmark = pytest.mark.usefixtures("no_proxy")


def told_to(folder: Path, *ports: int, nights: str = "trouble", since: timedelta = timedelta(days=9)) -> Workspace:
    """A site that tells web servers on these ports, and whose nights are expected for some days."""
    root = make_workspace(folder / "site")
    hooks = "".join(
        f'[[notifications.webhook]]\nname = "hook-{number}"\nurl = "http://127.0.0.1:{port}/"\n'
        for number, port in enumerate(ports)
    )
    file = root / "afterwatch.toml"
    link = 'link = "https://review.example.org/"'
    file.write_text(f'{file.read_text()}\n[notifications]\nretries = 0\n{link}\nnights = "{nights}"\n{hooks}')
    site = Workspace(root)
    schedule = site.settings.schedule
    with schedule_lock(site.site.state_folder):
        write_schedule(site.site.state_folder, ScheduleFile(NOW - since, schedule.cron, "UTC"))
    return site


def report(status: str = "complete", **changes: Any) -> dict[str, Any]:
    line = {"campaign": "spring", "camera": "hall", "day": "2026-03-02", "recorded_s": 7200.0, "analysed_s": 7000.0}
    told = new_report().as_json() | {
        "status": status,
        "steps": [{"step": "embed", "done": 3, "skipped": 1, "failed": 1, "seconds": 9.0}],
        "coverage": [line | {"skipped_s": 150.0, "corrupt_s": 50.0, "missing_s": 0.0}] * 2,
        "attention": ["hall: embed failed — out of memory", "a name\nwith a line"],
        "events": 7,
        "alarms": 2,
    }
    return told | changes


def pending(site: Workspace) -> list[tuple[str, ...]]:
    known = read_schedule(site.site.state_folder)
    assert known is not None
    return [one.channels for one in known.pending]


def body(hook: Hook, number: int = -1) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(hook.requests[number].body)
    return told


@pytest.mark.parametrize(
    ("nights", "status", "told"),
    [
        ("never", "incomplete", 0),
        ("trouble", "complete", 0),
        ("trouble", "partial", 1),
        ("trouble", "incomplete", 1),
        ("always", "complete", 1),
    ],
)
def test_which_nights_are_told_is_a_setting(tmp_path: Path, hook: Hook, nights: str, status: str, told: int) -> None:
    site = told_to(tmp_path, hook.port, nights=nights)
    assert tell_report(site, report(status)) == []
    assert len(hook.requests) == told
    assert pending(site) == []


def test_a_report_tells_counts_coverage_attention_and_where_to_look(tmp_path: Path, hook: Hook) -> None:
    site = told_to(tmp_path, hook.port)
    tell_report(site, night := report("incomplete"))
    told = body(hook)
    assert (told["kind"], told["events"], told["keyframe"]) == ("night", [], None)
    assert told["id"] == hook.requests[0].headers[IDEMPOTENCY]
    lines = told["text"].splitlines()
    assert lines[0].startswith("Night incomplete: site, ") and lines[0].endswith("2 matters want attention")
    assert "Steps: embed 3 done and 1 failed." in lines
    assert (
        "Footage: 4 h 00 min recorded: 3 h 53 min analysed, 5 min 00 s skipped, 1 min 40 s corrupt, 0 s missing."
        in lines
    )
    assert "Events: 7, alarms: 2." in lines
    assert "Attention: hall: embed failed — out of memory" in lines and "Attention: a name with a line" in lines
    assert lines[-1].endswith("https://review.example.org/night")
    assert told["night"] == {
        **{name: night[name] for name in ("run", "status", "started_at", "seconds", "events", "alarms")},
        "coverage": {"recorded_s": 14400, "analysed_s": 14000, "skipped_s": 300, "corrupt_s": 100, "missing_s": 0},
        "attention": night["attention"],
        "attention_count": 2,
    }


def test_a_long_list_of_matters_is_cut(tmp_path: Path, hook: Hook) -> None:
    site = told_to(tmp_path, hook.port)
    tell_report(site, report("incomplete", attention=[f"matter {number}" for number in range(50)]))
    text = body(hook)["text"]
    assert "matter 19" in text and "matter 20" not in text and "And 30 more matters." in text
    assert body(hook)["night"]["attention_count"] == 50


def test_a_mail_has_the_same_in_text_and_html(tmp_path: Path) -> None:
    with mail_server() as box:
        site = told_to(tmp_path)
        file = site.site.root / "afterwatch.toml"
        mail = f'[[notifications.email]]\nhost = "127.0.0.1"\nport = {box.port}\nsecurity = "none"\n'
        file.write_text(f'{file.read_text()}{mail}sender = "a@example.org"\nrecipients = ["b@example.org"]\n')
        assert tell_report(Workspace(site.site.root), report("incomplete", attention=["<b>hall</b>"])) == []
    (mail_sent,) = box.mails
    assert "Night incomplete: site" in mail_sent["Subject"]
    text, html = mail_sent.get_body(("plain",)), mail_sent.get_body(("html",))
    assert text is not None and "Attention: <b>hall</b>" in text.get_content()
    assert "https://review.example.org/night" in text.get_content()
    assert html is not None and "&lt;b&gt;hall&lt;/b&gt;" in html.get_content()
    assert 'href="https://review.example.org/night"' in html.get_content()


def test_a_channel_that_fails_is_tried_again_and_the_others_are_told_once(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.replies = [(503, {})]
    with web_server() as other:
        site = told_to(tmp_path, hook.port, other.port)
        (line,) = tell_report(site, report("incomplete"))
        assert line.startswith("channel hook-0: http://127.0.0.1") and "tried again" in line
        assert (len(hook.requests), len(other.requests), pending(site)) == (1, 1, [("hook-0",)])
        assert send_news(site) == [] and len(hook.requests) == 1, "not at once"
        monkeypatch.setattr(tasks.night_telling, "AGAIN", timedelta(0))
        assert send_news(site) == []
        assert (len(hook.requests), len(other.requests), pending(site)) == (2, 1, [])
    assert body(hook, 0)["id"] == body(hook, 1)["id"], "the receiver can tell that it is the same"


def test_a_channel_that_is_taken_out_of_the_settings_is_told_no_more(tmp_path: Path) -> None:
    site = told_to(tmp_path, free_port())
    assert tell_report(site, report("incomplete")) != []
    file = site.site.root / "afterwatch.toml"
    file.write_text(file.read_text().split("[[notifications.webhook]]")[0])
    known = read_schedule(site.site.state_folder)
    assert known is not None and known.pending[0].tried_at is not None
    tasks.night_telling._send(Workspace(site.site.root), known.pending[0], lambda _seconds: None)
    assert pending(site) == []


def test_a_channel_that_stays_silent_is_left_the_newest_news() -> None:
    schedule = ScheduleFile(NOW, "0 1 * * *", "UTC")
    for number in range(MOST_PENDING + 2):
        schedule = schedule.with_news(NightNews(str(number), "night", "a night"), ("desk",))
    assert [one.news.news_id for one in schedule.pending] == [str(number) for number in range(2, MOST_PENDING + 2)]
    assert schedule.with_news(schedule.pending[0].news, ("desk",)) == schedule, "the same is pending once"
    assert schedule.with_news(NightNews("new", "night", "a night"), ()) == schedule, "there is nobody to tell"


def test_a_missed_night_is_told_once(tmp_path: Path, hook: Hook) -> None:
    site = told_to(tmp_path, hook.port)
    waited: list[float] = []
    for _ in range(3):
        assert tell_missed(site, waited.append) == []
    assert len(hook.requests) == 1 and waited == [60.0], "it looks twice before it tells"
    told = body(hook)
    assert told["text"].startswith("Night missed: site, ") and told["night"]["status"] == "missed"
    assert "afterwatch run" in told["text"]


def test_a_night_that_begins_while_it_is_looked_for_is_not_missed(tmp_path: Path, hook: Hook) -> None:
    """After the machine slept, or its clock was put forward, the scheduler is about to begin what is late."""
    site = told_to(tmp_path, hook.port)
    assert tell_missed(site, lambda _seconds: run(site, "late", "night", datetime.now(UTC))) == []
    assert hook.requests == []


def test_of_nights_that_are_not_expected_nothing_is_told(tmp_path: Path, hook: Hook) -> None:
    site = told_to(tmp_path, hook.port, nights="never")
    assert tell_missed(site, lambda _seconds: None) == []
    (site.site.state_folder / FILE).unlink()
    assert tell_missed(site, lambda _seconds: None) == [] == tell_report(site, report("incomplete"))
    assert hook.requests == []


def test_a_night_that_ended_without_a_report_is_told(tmp_path: Path, hook: Hook) -> None:
    site = told_to(tmp_path, hook.port)
    assert tell_failure(site, NOW, "no Dask scheduler answers at tcp://nowhere:1") == []
    told = body(hook)
    assert "no Dask scheduler answers" in told["text"] and told["night"]["status"] == "failed"


def test_what_is_pending_outlives_the_process(tmp_path: Path) -> None:
    site = told_to(tmp_path, free_port())
    tell_report(site, night := report("incomplete"))
    known = read_schedule(site.site.state_folder)
    assert known is not None
    (one,) = known.pending
    assert one.news.told["run"] == night["run"] and one.news.lines
    write_schedule(site.site.state_folder, known)
    assert read_schedule(site.site.state_folder) == known


@pytest.mark.parametrize("text", ["", "{", "[]", '{"since": "yesterday"}', '{"since": "2026-11-22T01:00:00+00:00"}'])
def test_a_damaged_file_is_told_and_kept(tmp_path: Path, text: str) -> None:
    site = told_to(tmp_path)
    (site.site.state_folder / FILE).write_text(text)
    with pytest.raises(ConfigurationError, match=r"schedule\.json is damaged .*delete it"):
        read_schedule(site.site.state_folder)
    with pytest.raises(ConfigurationError):
        expect_nights(site.site.state_folder, site.settings)
    assert (site.site.state_folder / FILE).read_text() == text


def test_one_schedule_at_a_time_has_its_turn(tmp_path: Path) -> None:
    with turn(tmp_path, "night") as mine, turn(tmp_path, "night") as other, turn(tmp_path, "refit") as refit:
        assert (mine, other, refit) == (True, False, True)
    with turn(tmp_path, "night") as mine:
        assert mine
