"""Every page, in every state a person may find it in."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from lake.ledger import RunRow
from tests.dashboards.alarmed_site import set_alarms
from tests.dashboards.small_site import CAMERA, DAY, NIGHT, OTHER, RUN, Workspace, running_row

APP = Path(__file__).resolve().parents[2] / "dashboards" / "app.py"
PAGES = {"night": None, "day": "app_pages/day.py", "runs": "app_pages/runs.py"}

Show = Callable[[Workspace], None]


def page(name: str, **params: str) -> AppTest:
    """Run a page; a page that raises fails the test."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    if PAGES[name] is not None:
        app.switch_page(str(PAGES[name]))
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def words(app: AppTest) -> str:
    """All words of a page."""
    kinds = (app.title, app.markdown, app.caption, app.info, app.warning, app.success, app.error, app.code)
    metrics = [f"{metric.label}: {metric.value}" for metric in app.metric]
    return "\n".join([*(str(element.value) for kind in kinds for element in kind), *metrics])


@pytest.mark.parametrize("name", PAGES)
def test_without_a_lake_a_page_says_which_command_to_run(name: str, empty_site: Workspace, shown: Show) -> None:
    shown(empty_site)
    app = page(name)
    assert not app.error
    assert "afterwatch run --site" in words(app)


@pytest.mark.parametrize("name", PAGES)
def test_without_a_workspace_there_is_one_clear_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERWATCH_SITE", str(tmp_path / "nowhere"))
    app = page(name)
    (error,) = app.error
    assert error.value.endswith("or name another with --site")


def test_without_a_name_of_a_workspace_the_message_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFTERWATCH_SITE", raising=False)
    assert "afterwatch dashboard --site" in page("night").error[0].value


def test_the_night_at_a_glance(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page("night")
    told = words(app)
    assert "Incomplete" in told
    assert "02:00 – 02:08" in told, "in the site's zone, not in UTC"
    assert "Recorded: 40 min" in told
    assert "Analysed: 92.5 %" in told
    assert "Alarms: 2" in told
    assert "gate: 1 min of 20 min is corrupt" in told.replace("\\", "")
    assert "09:01:40" in told, "the top event"
    assert "blurred for 1 min" in told
    problems = next(frame.value for frame in app.dataframe if "status" in frame.value)
    assert list(problems["reason"]) == ["no video stream", "same bytes"]


def test_the_night_links_to_the_alarms_that_it_raised(full_site: Workspace, shown: Show) -> None:
    workspace = set_alarms(full_site)
    shown(workspace)
    assert not alarm_links(page("night")), "older nights do not say which head raised what"
    told = {"run": "later", "status": "complete", "alarms_by_head": {"novelty": 2, "fight": 4, "fall": 0, "gone": 1}}
    now = NIGHT + timedelta(days=1)
    row = RunRow("later", "night", "", "", DAY, "", "k", "done", now, now, message=json.dumps(told))
    workspace.ledger.record([row])
    st.cache_resource.clear()  # a snapshot of the lake is believed for two seconds
    assert alarm_links(page("night")) == [("**fight** 4 alarms", "alarm=fight")]


def alarm_links(app: AppTest) -> list[tuple[str, str]]:
    links = [one.proto for one in app.get("page_link")]
    return [(link.label, link.query_string) for link in links if link.page == "alarms"]


def test_an_earlier_night_is_asked_for_by_name(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    assert "An earlier night" in words(page("night", run=RUN))
    assert "No such night" in words(page("night", run="nonsense"))


def test_a_day_shows_its_events_and_figures(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page("day")
    told = words(app)
    assert "Recorded: 20 min" in told
    assert "Gaps: 1 · 2 min" in told
    assert "Unwell: 1 min 30 s" in told
    assert "### 09:01:40" in told, "the alarm is the event that opens"
    assert [button.key for button in app.button if str(button.key).startswith("play_")] == [
        f"play_{CAMERA}-event-{number}" for number in range(3)
    ]
    assert len([button for button in app.button if str(button.key).startswith("segment_")]) == 6


def test_an_event_is_played_by_its_button_and_stands_in_the_address(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page("day")
    app.button(key=f"play_{CAMERA}-event-2").click().run()
    assert not app.exception
    assert app.query_params["event"] == f"{CAMERA}-event-2"
    assert "### 09:15:00" in words(app)
    app.button(key="day_Previous").click().run()
    assert "### 09:06:40" in words(app)


def test_a_link_opens_the_same_view(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page("day", campaign="spring", camera=OTHER, day=DAY.isoformat(), event=f"{OTHER}-event-0")
    assert app.selectbox(key="day_camera").value == OTHER
    assert "### 09:05:00" in words(app)


def test_a_link_to_what_is_not_there_falls_back(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page("day", campaign="../..", camera="nobody", day="1999-01-01", event="nothing")
    assert app.selectbox(key="day_camera").value == CAMERA
    assert "### 09:01:40" in words(app)


def test_choosing_another_camera_changes_the_address(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page("day", event=f"{CAMERA}-event-1")
    app.selectbox(key="day_camera").select(OTHER).run()
    assert not app.exception
    assert app.query_params["camera"] == OTHER
    assert "event" not in app.query_params
    assert "### 09:05:00" in words(app)


@pytest.mark.parametrize("window", ["1 h", "10 min", "1 min"])
def test_a_narrower_window_holds_around_the_event(window: str, full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page("day")
    app.button_group(key="day_window").set_value(window).run()
    assert not app.exception


def test_a_day_that_is_not_published_yet_says_so(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    shutil.rmtree(full_site.site.published_folder)
    told = words(page("day"))
    assert "not published yet" in told
    assert '--camera "gate" --day 2026-03-02' in told
    assert "3 events" in told, "events are known before their pictures are there"


def test_a_summary_that_cannot_be_read_does_not_hide_the_events(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    (full_site.day_folder() / "summary.json").write_text('{"entries": [', encoding="utf-8")
    told = words(page("day"))
    assert "cannot be read" in told
    assert "3 events" in told


def test_files_that_went_missing_leave_quiet_gaps(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    for name in ("summary.mp4", "contact.jpg", "keyframes/segment-0.jpg", f"events/{CAMERA}-event-0.mp4"):
        (full_site.day_folder() / name).unlink()
    told = words(page("day"))
    assert "proxy of this event is not published yet" in told
    assert "summary video is not there yet" in told


def test_a_run_that_goes_on_is_announced_everywhere(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    full_site.ledger.record([running_row("now", timedelta(seconds=5)), running_row("now", timedelta(seconds=4))])
    told = words(page("night"))
    assert "A night is running" in told
    assert "Incomplete" in told, "the last finished night is still shown"
    assert "Nothing has closed this run" in words(page("runs", run="now"))
    page("day")


def test_the_first_night_while_it_runs(empty_site: Workspace, shown: Show) -> None:
    shown(empty_site)
    empty_site.ledger.record([running_row("now", timedelta(seconds=5))])
    assert "A night is running" in words(page("night"))
    assert "No footage yet" in words(page("day"))


def test_a_run_without_a_word_for_long_may_have_been_killed(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    full_site.ledger.record([running_row("dead", timedelta(hours=3))])
    told = words(page("night"))
    assert "it was killed" in told
    assert "3 h 00 min ago" in told


def test_runs_show_failures_with_their_messages(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    failed = running_row("now", timedelta(seconds=5), status="failed", message="disk full; free space, then run again")
    full_site.ledger.record([failed])
    told = words(page("runs"))
    assert "1 failure" in told
    assert "disk full; free space, then run again" in told


def test_a_run_is_chosen_by_the_address(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    full_site.ledger.record([running_row("now", timedelta(seconds=5))])
    app = page("runs", run=RUN)
    assert app.selectbox(key="runs_chosen").value == RUN
    assert "Took: 8 min" in words(app)
    app.selectbox(key="runs_chosen").select("now").run()
    assert not app.exception
    assert app.query_params["run"] == "now"


def test_a_lake_that_names_a_lost_file_is_told_without_a_traceback(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    for path in (full_site.root / "lake" / "events").rglob("*.parquet"):
        path.unlink()
    app = page("day")
    assert len(app.error) == 1
    assert "cannot be read" in app.error[0].value
