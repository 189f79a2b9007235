"""The Alarms page: the newest night first, filters, verdicts, who was told, and links of messages."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.alarm_charts import Raised, probability_chart
from dashboards.alarm_queries import alarm_events, alarm_remarks, probabilities, scored_alarms
from dashboards.clock import Clock
from dashboards.snapshot import LakeReader
from lake.deliveries import Delivery, ToldEvent, say_deliveries
from lake.labels import labels_now
from lake.ledger import RunRow
from lake.operating_points import OperatingPoint, say_operating_point
from tests.dashboards.alarmed_site import (
    EARLIER,
    FIGHTS,
    FOUND,
    NEW,
    OLD,
    ORDER,
    THRESHOLD,
    Alarm,
    find_alarms,
    keep_classifiers,
    set_alarms,
)
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, OTHER, RUN, Workspace, at
from tests.dashboards.test_anomalies_page import press
from tests.dashboards.test_dashboard_pages import APP, words

Show = Callable[[Workspace], None]
HEADS = ("fight", "fall")


@pytest.fixture
def alarmed(full_site: Workspace, shown: Show) -> Workspace:
    """A night has looked for two alarms."""
    st.cache_data.clear()
    workspace = set_alarms(full_site)
    keep_classifiers(workspace)
    find_alarms(workspace)
    shown(workspace)
    return workspace


def page(**params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page("app_pages/alarms.py")
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def listed(app: AppTest) -> list[str]:
    """Ids of the events in the list, in its order."""
    prefix = "alarms_go_"
    return [str(one.key).removeprefix(prefix) for one in app.button if str(one.key).startswith(prefix)]


def shown_event(app: AppTest) -> str:
    (chosen,) = [one for one in app.button if str(one.key).startswith("alarms_go_") and one.proto.type == "primary"]
    return str(chosen.key).removeprefix("alarms_go_")


def said(workspace: Workspace) -> list[tuple[str, str, bool]]:
    return [(one.use_case.name, one.recording_id, one.relevant) for one in labels_now(workspace.ledger)]


def test_the_newest_night_comes_first_and_within_it_the_most_probable(alarmed: Workspace) -> None:
    app = page()
    assert tuple(listed(app)) == ORDER
    assert shown_event(app) == "fight-high"
    told = words(app)
    assert "**5 alarms** in 2 nights" in told
    assert "probability 0.91" in told
    assert "Threshold: 0.40" in told


def test_filters_by_alarm_camera_night_and_verdict(alarmed: Workspace) -> None:
    assert listed(page(alarm="fall")) == ["fall-other"]
    assert listed(page(camera=CAMERA)) == ["fight-high", "fight-low", "fight-earlier"]
    assert listed(page(nights=EARLIER.isoformat())) == ["fight-earlier"]
    press(page(event="fight-low"), "Dismiss")
    assert listed(page(verdict="Dismissed")) == ["fight-low"]
    assert "fight-low" not in listed(page(verdict="Open"))
    assert "Nothing is left within these filters" in words(page(verdict="Confirmed"))


def test_verdicts_are_kept_under_the_alarms_name_and_taken_back(alarmed: Workspace) -> None:
    app = page()
    press(app, "Confirm")
    assert shown_event(app) == "fall-other"
    press(app, "Dismiss")
    assert sorted(said(alarmed)) == [("fall", f"{OTHER}-0", False), ("fight", f"{CAMERA}-0", True)]
    assert "1 confirmed · 1 dismissed · 3 open" in words(app)
    assert f"Confirmed by {app.session_state['author']}" in words(page(event="fight-high")).replace("\\", "")
    press(app, "Undo")
    assert shown_event(app) == "fall-other"
    press(app, "Undo")
    assert said(alarmed) == []


def test_a_verdict_on_an_alarm_says_nothing_of_another_alarm_at_the_same_time(alarmed: Workspace) -> None:
    together = (Alarm("fight-there", OTHER, 330.0, 0.6), *FOUND)
    find_alarms(alarmed, together)
    press(page(event="fall-other"), "Dismiss")
    st.cache_resource.clear()
    assert listed(page(verdict="Dismissed")) == ["fall-other"]


def test_without_an_author_nothing_can_be_said(alarmed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError

    monkeypatch.setattr("getpass.getuser", nobody)
    app = page()
    assert all(one.disabled for one in app.button if one.label in ("Confirm", "Dismiss", "Undo"))
    assert "Say who you are first" in words(app)


# Who was told.


def told(one: Alarm) -> ToldEvent:
    began, ended = (at(one.peak_s + shift) + (one.day - DAY) for shift in (-4, 4))
    return ToldEvent(one.event_id, one.head, CAMPAIGN, one.camera, "frame", began, ended)


def test_an_event_says_which_channel_was_told_and_when(alarmed: Workspace) -> None:
    one = next(alarm for alarm in FOUND if alarm.event_id == "fight-high")
    say_deliveries(alarmed.ledger, [Delivery("guards", told(one), "m", DAY, digest=True, said_at=NIGHT)])
    text = words(page(event="fight-high"))
    assert "**guards** was told Tue 3 Mar 2026, 02:00, in one message with others" in text
    assert "Nobody was told" not in text
    assert "Not told" not in text, "no other channel is left"
    assert "the next night tells guards, or now: `afterwatch notify --site" in words(page(event="fight-low"))


def test_an_event_that_somebody_settled_says_who(alarmed: Workspace) -> None:
    one = next(alarm for alarm in FOUND if alarm.event_id == "fight-high")
    settled = Delivery("guards", told(one), "", DAY, "settled", attempts=0, author="bob", said_at=NIGHT)
    say_deliveries(alarmed.ledger, [settled])
    assert "**guards** is not told of it, as bob chose Tue 3 Mar 2026, 02:00" in words(page(event="fight-high"))


def test_what_was_dismissed_before_it_was_sent_is_told_to_nobody(alarmed: Workspace) -> None:
    press(page(event="fight-low"), "Dismiss")
    assert "Nobody was told: it was dismissed" in words(page(event="fight-low"))


def test_without_a_channel_it_says_so(full_site: Workspace, shown: Show) -> None:
    settings = full_site.root / "afterwatch.toml"
    lines = '\n[[alarms]]\nname = "fight"\nclassifier = "fights"\n'
    settings.write_text(settings.read_text(encoding="utf-8") + lines, encoding="utf-8")
    find_alarms(full_site, FOUND[:1])
    shown(full_site)
    assert "no channel of notifications is set up" in words(page())


def test_the_link_of_a_message_opens_its_event(alarmed: Workspace) -> None:
    app = page(event="fight-earlier")
    assert shown_event(app) == "fight-earlier"
    assert not app.warning
    assert not app.info


def test_the_link_of_an_event_that_was_judged_again_shows_what_became_of_it(alarmed: Workspace) -> None:
    one = next(alarm for alarm in FOUND if alarm.event_id == "fight-other")
    before = ToldEvent("fight-before", "fight", CAMPAIGN, OTHER, "frame", at(one.peak_s - 9), at(one.peak_s - 1))
    say_deliveries(alarmed.ledger, [Delivery("guards", before, "m", DAY, said_at=NIGHT)])
    app = page(event="fight-before")
    assert shown_event(app) == "fight-other"
    assert "same moment as it stands now" in words(app)
    assert "**guards** was told" in words(app)


def test_the_link_of_an_event_is_followed_over_a_correction_of_the_cameras_clock(alarmed: Workspace) -> None:
    one = next(alarm for alarm in FOUND if alarm.event_id == "fight-other")
    hour = timedelta(hours=1)
    before = replace(
        told(one), event_id="fight-before", started_at=told(one).started_at + hour, ended_at=at(one.peak_s) + hour
    )
    remembered = before.recorded_in(f"{OTHER}-0", at(0) + hour)
    say_deliveries(alarmed.ledger, [Delivery("guards", remembered, "m", DAY, said_at=NIGHT)])
    app = page(event="fight-before")
    assert shown_event(app) == "fight-other"
    assert "**guards** was told" in words(app)


def test_the_link_of_an_event_that_is_gone_says_so_and_shows_the_others(alarmed: Workspace) -> None:
    app = page(event="nonsense")
    assert "counts no more" in words(app)
    assert tuple(listed(app)) == ORDER
    assert not [one for one in app.button if one.label in ("Confirm", "Dismiss")], "no other is judged for it"
    assert not [one for one in app.button if str(one.key).startswith("alarms_go_") and one.proto.type == "primary"]
    (second,) = [one for one in app.button if str(one.key) == f"alarms_go_{ORDER[1]}"]
    second.click().run()
    assert shown_event(app) == ORDER[1]
    assert "counts no more" not in words(app)


def test_the_link_to_its_threshold_names_the_version_that_the_alarm_names(alarmed: Workspace) -> None:
    settings = alarmed.root / "afterwatch.toml"
    told = settings.read_text(encoding="utf-8")
    settings.write_text(told.replace(f'classifier = "{FIGHTS}"', f'classifier = "{FIGHTS}/{NEW}"'), encoding="utf-8")
    links = [one.proto for one in page(event="fight-high").get("page_link")]
    (link,) = [one for one in links if one.label == "Threshold of its classifier"]
    assert f"version={NEW}" in link.query_string


# What raises an alarm, and states in which there is nothing.


def test_rules_tell_threshold_who_chose_it_and_what_keeps_an_alarm_from_running(alarmed: Workspace) -> None:
    text = words(page())
    assert "above probability 0.70, as `afterwatch.toml` says" in text
    assert "as the model’s card recommends" in text
    say_operating_point(alarmed.ledger, OperatingPoint(FIGHTS, OLD, "fight", 0.6, "recall 0.8", "bob"))
    later = NIGHT + timedelta(hours=1)
    why = "suspended: its encoder is not among the settings"
    alarmed.ledger.record(
        [RunRow(RUN, "classify", CAMPAIGN, OTHER, DAY, "fall", "k", "skipped", later, later, message=why)]
    )
    st.cache_resource.clear()
    text = words(page()).replace("\\", "")
    assert "above probability 0.60, as bob chose" in text
    assert f"{OTHER}, Mon 2 Mar 2026: {why}" in text


def test_a_card_that_cannot_be_used_is_told_in_words(alarmed: Workspace) -> None:
    card = alarmed.site.models_folder / "classifier" / FIGHTS / OLD / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text(encoding="utf-8")) | {"frame_rate_hz": 5.0}), encoding="utf-8")
    text = words(page()).replace("\\", "")
    assert f"classifier {FIGHTS} {OLD} cannot be used" in text
    assert "only frame encoders have a frame_rate_hz, got 5 and none among handcrafted/motion; fit it again" in text


def test_an_alarm_whose_classifier_is_gone_is_told_by_its_rule(full_site: Workspace, shown: Show) -> None:
    workspace = set_alarms(full_site)
    find_alarms(workspace)
    shown(workspace)
    text = words(page()).replace("\\", "")
    assert "unknown classifier" in text.lower()


def test_without_alarms_it_says_how_to_set_one_up(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    text = words(page())
    assert "No alarm is set up" in text
    assert "afterwatch fit classifier --data CLIPS --name fights --site" in text
    assert "[[alarms]]" in text


def test_alarms_that_no_night_has_looked_for_say_which_command_to_run(empty_site: Workspace, shown: Show) -> None:
    workspace = set_alarms(empty_site)
    keep_classifiers(workspace)
    shown(workspace)
    text = words(page())
    assert "Not looked for yet" in text
    assert "afterwatch run --site" in text


def test_nights_below_the_threshold_are_good_news(full_site: Workspace, shown: Show) -> None:
    workspace = set_alarms(full_site)
    find_alarms(workspace, tables=("scores",))
    shown(workspace)
    assert "No alarm: 2 nights of 2 cameras stayed below the thresholds" in words(page())


# Queries and the chart.


def test_queries_tell_what_was_looked_at(alarmed: Workspace) -> None:
    lake = LakeReader(alarmed.store)
    looked = {row["alarm"]: row for row in scored_alarms(lake, HEADS).to_dict("records")}
    assert (looked["fight"]["cameras"], looked["fight"]["nights"]) == (2, 2)
    assert pd.Timestamp(looked["fight"]["newest"]).date() == DAY
    assert [one.event_id for one in alarm_events(lake, ("fall",))] == ["fall-other"]
    assert alarm_events(lake, ()) == []
    assert alarm_remarks(lake, HEADS).empty
    first = alarm_events(lake, ("fight",))[0]
    curve = probabilities(lake, first.event, timedelta(seconds=10))
    assert curve["taken_at"].min() > first.event.started_at - timedelta(seconds=12)
    assert curve["taken_at"].max() < first.event.ended_at + timedelta(seconds=10)
    assert curve["probability"].max() == pytest.approx(0.91, abs=1e-6)


def test_the_chart_marks_what_is_above_the_threshold_and_the_peak() -> None:
    moments = pd.to_datetime([at(second) for second in (0, 2, 4, 30, 32)], utc=True)
    curve = pd.DataFrame(
        {"recording_id": "r", "taken_at": moments, "seconds": 2.0, "probability": [0.1, 0.9, 0.6, 0.2, 0.1]}
    )
    raised = Raised(curve, (at(2), at(6)), at(3), THRESHOLD)
    clock = Clock(ZoneInfo("Europe/Rome"), at(-10), at(60))
    drawn = probability_chart(raised, clock).to_dict()
    rows = [row for rows in drawn["datasets"].values() for row in rows if "size" in row]
    assert [row["size"] for row in rows] == [22, 90, 22, 22, 22]
    assert len({row["colour"] for row in rows[1:3]}) == 1
    assert rows[0]["colour"] != rows[1]["colour"]
    assert [row["piece"] for row in rows] == [0, 0, 0, 1, 1], "no line over the gap"
    assert rows[1]["at"] == "09:00:03", "in the middle of what it is about, on the site's clock"
    assert "threshold 0.40" in json.dumps(drawn)
    without = probability_chart(Raised(curve, raised.span, raised.peak_at, None), clock).to_dict()
    assert "threshold" not in json.dumps(without)
