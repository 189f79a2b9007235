"""The Anomalies page: ranked events, why, verdicts that go on to the next event, thresholds with before and after."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards import jobs
from dashboards.anomaly_charts import (
    NightsData,
    error_picture,
    film,
    highest_of_bins,
    marked,
    nights_chart,
    normal_chart,
    parts_bars,
)
from dashboards.anomaly_queries import Reason, ranked_events, reason_of, standards
from dashboards.snapshot import LakeReader
from infra.site import Site
from lake.deliveries import Delivery, ToldEvent, say_deliveries
from lake.guard import Guard
from lake.labels import labels_now
from lake.ledger import RunRow
from lake.store import rows_of
from lake.thresholds import ThresholdChoice, say_threshold, thresholds_now
from models.calibration import NormalDistribution
from tests.dashboards.judged_site import PLACE, give_footage, keep_reasons
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, OTHER, RUN, Workspace, at
from tests.dashboards.test_dashboard_pages import APP, words

Show = Callable[[Workspace], None]
FIRST, SECOND, THIRD = (f"{CAMERA}-event-{number}" for number in range(3))
LINE = (CAMERA, "frame", "novelty")


@pytest.fixture
def judged(full_site: Workspace, shown: Show) -> Workspace:
    """Both cameras keep why; `gate` was judged again after `hall`."""
    st.cache_data.clear()
    for camera in (CAMERA, OTHER):
        keep_reasons(full_site, camera)
    shown(full_site)
    return full_site


def page(**params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page("app_pages/anomalies.py")
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    button.click().run()
    assert not app.exception, app.exception
    return app


def listed(app: AppTest) -> list[str]:
    """Ids of the events in the list, in its order."""
    prefix = "anomalies_go_"
    return [str(one.key).removeprefix(prefix) for one in app.button if str(one.key).startswith(prefix)]


def shown_event(app: AppTest) -> str:
    (chosen,) = [one for one in app.button if str(one.key).startswith("anomalies_go_") and one.proto.type == "primary"]
    return str(chosen.key).removeprefix("anomalies_go_")


def said(workspace: Workspace) -> list[tuple[str, int, int, bool]]:
    return [(one.recording_id, one.from_us, one.to_us, one.relevant) for one in labels_now(workspace.ledger)]


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]


def test_events_of_all_cameras_are_ranked_by_how_unusual_they_are(judged: Workspace) -> None:
    app = page()
    assert listed(app) == [FIRST, f"{OTHER}-event-0", SECOND, THIRD]
    assert "**4 events** · 2 alarms" in words(app)
    assert "25 deviations" in words(app), "(6.2 − 1.2) / 0.2"
    assert listed(page(camera=OTHER)) == [f"{OTHER}-event-0"]
    app.toggle(key="anomalies_alarms").set_value(True).run()
    assert listed(app) == [FIRST, f"{OTHER}-event-0"]


def test_why_is_told_in_parts_place_normal_and_nearest(judged: Workspace) -> None:
    give_footage(judged)
    app = page(event=FIRST)
    told = words(app)
    assert "Mostly speed of motion: 70%" in told
    assert "The box marks where it differs most" in told
    assert "Higher than every usual score." in told
    assert "**Normal**, Mon 2 Mar 2026, 09:00:20 :gray[· distance 2.7]" in told, "in the site's zone"
    assert len(charts(app)) == 2
    assert "broken_image" not in told


def test_footage_that_is_gone_leaves_the_rest_of_the_panel(judged: Workspace) -> None:
    told = words(page(event=FIRST))
    assert "footage is gone" in told
    assert "Mostly speed of motion" in told


def test_an_event_without_a_place_shows_none(judged: Workspace) -> None:
    assert "The box marks" not in words(page(event=THIRD))


def test_a_lake_without_reasons_says_so_and_how_to_get_them(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page()
    assert listed(app)[0] == FIRST, "ranked by how far above the threshold"
    assert "2.1× threshold" in words(app)
    assert "No reasons kept" in words(app)
    assert f'backfill --campaign "{CAMPAIGN}" --camera "{CAMERA}"' in words(app)
    assert "No threshold to move yet" in words(page(view="thresholds"))


def test_a_site_without_scores_says_which_command_to_run(empty_site: Workspace, shown: Show) -> None:
    shown(empty_site)
    assert "afterwatch run --site" in words(page())


def test_each_verdict_is_kept_and_the_next_event_follows(judged: Workspace) -> None:
    app = page()
    press(app, "Confirm")
    assert shown_event(app) == f"{OTHER}-event-0"
    press(app, "Dismiss")
    assert shown_event(app) == SECOND
    assert said(judged) == [
        (f"{CAMERA}-0", 95_000_000, 105_000_000, True),
        (f"{OTHER}-0", 295_000_000, 305_000_000, False),
    ]
    assert "1 confirmed · 1 dismissed · 2 open" in words(app)
    assert {label.author for label in labels_now(judged.ledger)} == {app.session_state["author"]}
    press(app, "Undo")
    assert shown_event(app) == f"{OTHER}-event-0"
    assert len(said(judged)) == 1
    press(app, "Undo")
    assert said(judged) == []


def test_not_judged_yet_leaves_what_is_open(judged: Workspace) -> None:
    app = page()
    app.toggle(key="anomalies_open").set_value(True).run()
    for left in (3, 2, 1):
        press(app, "Dismiss")
        assert len(listed(app)) == left
    press(app, "Dismiss")
    assert shown_event(app) == THIRD, "what one has just judged stays, for a second thought"
    assert not [one for one in app.success if "judged" in str(one.value)]
    app.query_params.pop("event")
    app.run()
    assert "every event within these filters is judged" in words(app)


def test_a_verdict_stands_on_the_event_of_a_later_version(judged: Workspace) -> None:
    press(page(event=SECOND), "Dismiss")
    path = "events/later.parquet"
    found = reader(judged).rows(f"SELECT * FROM events WHERE event_id = '{SECOND}'")
    later = found.assign(event_id="another", version="v2", started_at=found["started_at"] + timedelta(seconds=1))
    judged.store.write_table(path, rows_of("events", {str(name): list(later[name]) for name in later}))
    now = NIGHT + timedelta(hours=2)
    judged.ledger.record([RunRow(RUN, "score", CAMPAIGN, CAMERA, DAY, "", "2" * 20, "done", now, now, outputs=(path,))])
    st.cache_resource.clear()  # a snapshot of the lake is believed for two seconds
    assert "0 confirmed · 1 dismissed · 1 open" in words(page())


# Links of messages.

LATER = "summer"


@pytest.fixture
def two_campaigns(judged: Workspace) -> Workspace:
    """A later campaign, which the page opens with: one event of `gate`."""
    day, shift = DAY + timedelta(days=90), timedelta(days=90)
    paths = []
    for table in ("scores", "events"):
        rows = reader(judged).rows(f"SELECT * FROM {table} WHERE camera = '{CAMERA}' AND head = 'novelty'")
        moments = {
            name: rows[name] + shift for name in ("taken_at", "started_at", "ended_at", "peak_at") if name in rows
        }
        rows = rows.assign(campaign=LATER, day=day, **moments)
        if table == "events":
            rows = rows[rows["event_id"] == FIRST].assign(event_id="summers")
        paths.append(f"{table}/summer.parquet")
        judged.store.write_table(paths[-1], rows_of(table, {str(name): list(rows[name]) for name in rows}))
    row = RunRow(RUN, "score", LATER, CAMERA, day, "", "3" * 20, "done", NIGHT, NIGHT, outputs=tuple(paths))
    judged.ledger.record([row])
    st.cache_resource.clear()
    return judged


def deliver(workspace: Workspace, event_id: str, from_s: float, to_s: float, camera: str = CAMERA) -> None:
    told = ToldEvent(event_id, "novelty", CAMPAIGN, camera, "frame", at(from_s), at(to_s))
    say_deliveries(workspace.ledger, [Delivery("guards", told, "m", DAY, said_at=NIGHT)])


def verdict_buttons(app: AppTest) -> list[str]:
    return [one.label for one in app.button if one.label in ("Confirm", "Dismiss")]


@pytest.mark.parametrize("campaign", [{}, {"campaign": CAMPAIGN}, {"campaign": LATER}])
def test_the_link_of_a_message_opens_its_event_whatever_its_campaign(
    two_campaigns: Workspace, campaign: dict[str, str]
) -> None:
    assert listed(page()) == ["summers"]
    app = page(event=SECOND, **campaign)
    assert shown_event(app) == SECOND
    assert app.selectbox(key="anomalies_campaign").value == CAMPAIGN
    assert not app.warning
    assert not app.info


def test_the_link_of_an_event_that_was_judged_again_shows_what_became_of_it(two_campaigns: Workspace) -> None:
    deliver(two_campaigns, "before", 393, 397)  # the second event of the camera is around 400 s
    app = page(event="before")
    assert shown_event(app) == SECOND
    assert "same moment as it stands now" in words(app)
    press(app, "Dismiss")
    assert said(two_campaigns) == [(f"{CAMERA}-0", 395_000_000, 405_000_000, False)]


def test_the_link_of_an_event_that_is_gone_opens_no_other(two_campaigns: Workspace) -> None:
    deliver(two_campaigns, "before", 10, 20)
    for event_id, every in (("nonsense", ["summers"]), ("before", [FIRST, f"{OTHER}-event-0", SECOND, THIRD])):
        app = page(event=event_id)
        assert "The event of this link counts no more" in words(app)
        assert listed(app) == every
        assert verdict_buttons(app) == []
    (second,) = [one for one in app.button if str(one.key) == f"anomalies_go_{SECOND}"]
    second.click().run()
    assert shown_event(app) == SECOND
    assert verdict_buttons(app) == ["Confirm", "Dismiss"]
    assert "counts no more" not in words(app)


# Thresholds.


def thresholds(**params: str) -> AppTest:
    return page(view="thresholds", camera=CAMERA, region="frame", **params)


def figure(app: AppTest, label: str) -> str:
    (found,) = [str(one.value) for one in app.metric if one.label == label]
    return found


def move(app: AppTest, value: float) -> AppTest:
    (slider,) = app.select_slider
    nearest = min(slider.options, key=lambda option: abs(float(option) - value))
    slider.set_value(float(nearest)).run()
    assert not app.exception, app.exception
    return app


def test_the_budgets_line_is_where_one_begins(judged: Workspace) -> None:
    app = thresholds()
    assert app.select_slider[0].value == pytest.approx(9.0, abs=1e-4), "(3.0 − 1.2) / 0.2"
    assert figure(app, "Camera’s alarms per night") == "3.0"
    assert "The alarm budget sets this line" in words(app)
    save = next(one for one in app.button if one.label.startswith("Save"))
    assert save.disabled


def test_another_line_tells_before_and_after_and_is_saved_with_its_author(judged: Workspace) -> None:
    app = move(thresholds(), 15.0)
    was, will = figure(app, "Camera’s alarms per night").split(" → ")
    assert float(was) == 3.0
    assert float(will) < 3.0
    assert thresholds_now(judged.ledger) == {}
    tried = app.select_slider[0].value
    press(app, f"Save {tried:.1f}")
    choice = thresholds_now(judged.ledger)[LINE]
    assert choice.deviations == pytest.approx(tried)
    assert choice.author == app.session_state["author"]
    assert f"put it at {tried:.1f} deviations" in words(app)
    press(app, "Back to the budget")
    assert thresholds_now(judged.ledger) == {}
    assert "The alarm budget sets this line" in words(app)


def test_it_counts_what_people_judged(judged: Workspace) -> None:
    press(page(event=FIRST), "Confirm")
    press(page(event=THIRD), "Dismiss")
    app = thresholds()
    assert figure(app, "Confirmed, still above") == "1 of 1"
    assert figure(app, "Dismissed, still above") == "1 of 1"
    app = move(app, 17.0)
    assert figure(app, "Confirmed, still above") == "1 of 1"
    assert figure(app, "Dismissed, still above") == "0 of 1"


def test_a_saved_line_that_no_night_was_judged_with_shows_what_it_will_change(judged: Workspace) -> None:
    say_threshold(judged.ledger, ThresholdChoice(*LINE, 17.0, "ada"))
    app = thresholds()
    assert app.select_slider[0].value == 17.0
    assert " → " in figure(app, "Camera’s alarms per night")
    assert "ada put it at 17.0 deviations" in words(app)


def test_judging_again_is_one_job_in_the_background(judged: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, list[str]]] = []

    def start(folder: Path, name: str, about: str, command: list[str], guard: Guard) -> None:
        asked.append((name, about, command))

    monkeypatch.setattr(jobs, "start_job", start)
    press(thresholds(), "Judge again now")
    ((name, about, command),) = asked
    assert (name, about) == ("rejudge", CAMERA)
    assert command[2:] == ["afterwatch", "backfill", "--site", str(judged.root), "--camera", CAMERA, "--json"]


def test_how_judging_again_ended_is_told(judged: Workspace) -> None:
    folder = jobs.jobs_folder(Site.open(judged.root))
    job = jobs.start_job(folder, "rejudge", CAMERA, ["/bin/sh", "-c", "echo no such camera >&2; exit 2"])
    while jobs.find_job(folder, job.name).state == "running":  # type: ignore[union-attr]  # it was started
        pass
    assert f"Judging {CAMERA} again failed (exit code 2)" in words(thresholds())
    assert "no such camera" in words(thresholds())


# Queries, charts and pictures.


def reader(workspace: Workspace) -> LakeReader:
    return LakeReader(workspace.store)


def test_queries_tell_reasons_and_standards(judged: Workspace) -> None:
    lake = reader(judged)
    events = ranked_events(lake, "novelty", CAMPAIGN)
    assert [one.event_id for one in events][:2] == [FIRST, f"{OTHER}-event-0"]
    reason = reason_of(lake, events[0].event)
    assert isinstance(reason, Reason)
    assert [name for name, _ in reason.parts] == ["speed", "direction"]
    assert reason.place == pytest.approx(PLACE)
    assert [(one.from_us, one.taken_at) for one in reason.nearest] == [(20_000_000, at(20)), (50_000_000, at(50))]
    (held,) = standards(lake, "novelty", CAMPAIGN, CAMERA, 14).to_dict("records")
    assert (held["source"], held["threshold"]) == ("budget", 3.0)
    assert standards(lake, "novelty", "another", CAMERA, 14).empty


def test_the_place_is_a_box_in_the_picture() -> None:
    picture = np.zeros((100, 200, 3), dtype=np.uint8)
    shown = marked(picture, (0.5, 0.2, 0.25, 0.5), None)
    ys, xs = np.nonzero(shown.any(axis=2))
    assert abs(int(xs.min()) - 100) <= 4
    assert abs(int(xs.max()) - 150) <= 4
    assert abs(int(ys.min()) - 20) <= 4
    assert abs(int(ys.max()) - 70) <= 4
    assert not shown[40:50, 110:140].any(), "what is inside stays to be seen"
    assert not picture.any(), "the picture given is left alone"


def test_a_strip_keeps_the_place_of_a_picture_that_is_missing() -> None:
    one = np.full((10, 20, 3), 7, dtype=np.uint8)
    row = film([one, None, one])
    assert row is not None
    assert row.shape == (10, 68, 3)
    assert (row[:, 24:44] == 128).all()
    assert film([None, None]) is None


def test_a_faint_error_stays_dark() -> None:
    faint, strong = (np.full((8, 8), level, dtype=np.uint8) for level in (4, 200))
    light = [cv2.cvtColor(error_picture(one, (8, 8)), cv2.COLOR_RGB2GRAY).mean() for one in (faint, strong)]
    assert light[0] < 30
    assert light[1] > 200


def test_binning_keeps_the_peaks() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    values[[17, 4321, 9999]] = 50
    kept = highest_of_bins(values, 300)
    assert len(kept) <= 300
    assert {17, 4321, 9999} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert highest_of_bins(values[:5], 300).tolist() == [0, 1, 2, 3, 4]


def test_charts_hold_what_they_were_given() -> None:
    bars = parts_bars([("error", 0.6), ("our own", 0.4)]).to_dict()
    rows = next(iter(bars["datasets"].values()))
    assert [(row["part"], row["told"]) for row in rows] == [
        ("what could not be reconstructed", "60%"),
        ("our own", "40%"),
    ]
    usual = NormalDistribution.fit(np.random.default_rng(0).normal(10.0, 2.0, 1000))
    drawn = normal_chart(usual, 10.0, 2.0, peak=30.0, threshold=18.0).to_dict()
    values = [row for rows in drawn["datasets"].values() for row in rows]
    assert sum(row["share"] for row in values if "share" in row) == pytest.approx(1.0, abs=0.01)
    assert {"this event 10.0", "threshold 4.0"} <= {row["word"] for row in values if "word" in row}
    curve = pd.DataFrame({"night": [0], "piece": ["0.1"], "at": [0.5], "when": ["08:00:00"], "deviations": [3.0]})
    nothing = pd.DataFrame({"night": [], "at": [], "when": [], "deviations": [], "kind": []})
    budget = pd.DataFrame({"night": [0], "deviations": [5.0], "told": ["the budget’s line: 5.0"]})
    with_line, without = (
        nights_chart(NightsData(("Mon",), curve, nothing, budget, line)).to_dict() for line in (7.0, None)
    )
    assert "this line: 7.0" in json.dumps(with_line)
    assert "this line" not in json.dumps(without)
