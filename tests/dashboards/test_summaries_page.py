"""The Summaries page: what is shown and why, other weights, weight sets, the package, and days of older nights."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards import jobs
from dashboards.app_pages.summaries_cards import TICKED
from dashboards.summary_queries import day_events
from infra.errors import ConfigurationError
from lake.guard import Guard
from lake.weight_sets import save_weight_set, use_weight_set, weight_set_in_use, weight_sets
from tests.dashboards.alarmed_site import ORDER, find_alarms, keep_classifiers, set_alarms
from tests.dashboards.judged_site import give_footage
from tests.dashboards.measured_site import (
    BY_MOTION,
    PLACES,
    SEGMENT_S,
    SETTINGS,
    chosen_by,
    measure,
    measured,
    measured_night,
)
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, OTHER, Workspace
from tests.dashboards.test_dashboard_pages import APP, words
from tests.dashboards.test_dashboard_queries import reader
from workspace.opened import Workspace as Opened
from workspace.published_summaries import SCORE
from workspace.verdicts import say_verdict

Show = Callable[[Workspace], None]
__all__ = ["measured", "measured_night"]  # fixtures
GATE = PLACES[CAMERA]


@pytest.fixture
def site(measured: Workspace, shown: Show) -> Workspace:
    """A workspace whose segments are measured and published, shown."""
    st.cache_data.clear()
    shown(measured)
    return measured


def page(**params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page("app_pages/summaries.py")
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def weights_page(**params: str) -> AppTest:
    return page(view="weights", **params)


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=f"summaries_{key}").click().run()
    assert not app.exception, app.exception
    return app


def move(app: AppTest, **weights: float) -> AppTest:
    for name, value in weights.items():
        (slider,) = [one for one in app.slider if str(one.key).startswith(f"summaries_weight_{name}_")]
        slider.set_value(value).run()
        assert not app.exception, app.exception
    return app


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def cards(app: AppTest, what: str = "story") -> list[str]:
    """Keys of the cards of a grid, in its order."""
    prefix = f"summaries_tick_{what}_"
    return [str(one.key).removeprefix(prefix) for one in app.checkbox if str(one.key).startswith(prefix)]


def video(app: AppTest) -> Any:
    (found,) = app.get("video")
    return found.proto


def rows_drawn(app: AppTest, having: str) -> list[dict[str, Any]]:
    """Rows of the timeline's data sets that have a column."""
    (chart,) = app.get("vega_lite_chart")
    datasets = json.loads(chart.proto.spec).get("datasets", {})
    if datasets:
        return [row for rows in datasets.values() for row in rows if having in row]
    return arrow_rows(chart, having)


def arrow_rows(chart: Any, having: str) -> list[dict[str, Any]]:
    import pyarrow as pa

    tables = [pa.ipc.open_stream(one.data.data).read_all() for one in chart.proto.datasets]
    return [row for table in tables if having in table.column_names for row in table.to_pylist()]


def page_links(app: AppTest) -> dict[str, str]:
    links = [one.proto for one in app.get("page_link")]
    return {link.label: f"{link.page}?{link.query_string}" for link in links}


# One camera's day.


def test_a_camera_shows_its_summary_and_why_its_segments_are_in(site: Workspace) -> None:
    day, ranked = chosen_by(site, GATE)
    app = page(camera=CAMERA)
    told = figures(app)
    assert told["Length"] == "24 s"
    assert told["For an event"] == str(sum(one.reason != SCORE for one in ranked.selection.choices)) == "3"
    assert told["For their score"] == "3"
    assert told["Weights"] == "settings"
    assert cards(app) == [f"{CAMERA}_{day.span(row)[0]}_{day.span(row)[1]}" for row in ranked.selection.indices]
    text = words(app).replace("\\", "")
    assert "In the summary **for its score, 76% of which is how unusual it is**" in text
    assert ":gray[motion] &ensp; 7.5 grey levels" in text
    assert len(app.get("video")) == 1
    assert "It comes with the next publication" not in text, "contact sheet and figure are there"


def test_a_segment_is_played_by_its_card_and_stands_in_the_address(site: Workspace) -> None:
    app = page(camera=CAMERA)
    assert not video(app).autoplay
    app.button(key=f"summaries_story_{cards(app)[3]}").click().run()
    assert app.query_params["segment"] == "4"
    assert (video(app).start_time, video(app).autoplay) == (3 * SEGMENT_S, True)
    assert "4 of 6" in words(app)
    assert "3 of 6" in words(page(camera=CAMERA, segment="3"))
    assert "1 of 6" in words(page(camera=CAMERA, segment="nonsense"))


def test_an_events_segment_links_to_its_page(site: Workspace) -> None:
    app = page(camera=CAMERA, segment="2")
    assert "for the event novelty 1" in words(app).replace("\\", "")
    links = page_links(app)
    assert links["Its event"] == f"anomalies?event={CAMERA}-event-0"
    assert links["Its day"] == f"day?campaign={CAMPAIGN}&camera={CAMERA}&day={DAY}&event={CAMERA}-event-0"
    assert "Its event" not in page_links(page(camera=CAMERA, segment="1"))


def test_an_alarms_segment_links_to_the_alarms(site: Workspace, shown: Show) -> None:
    workspace = set_alarms(site)
    keep_classifiers(workspace)
    find_alarms(workspace)
    file = workspace.day_folder() / "summary.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    alarm = next(one for one in day_events(reader(workspace), GATE) if one.event_id in ORDER)
    told["entries"][0] |= {"reason": f"{alarm.event.head} {alarm.event.rank}", "event_id": alarm.event_id}
    file.write_text(json.dumps(told), encoding="utf-8")
    shown(workspace)
    assert page_links(page(camera=CAMERA, segment="1"))["Its alarm"] == f"alarms?event={alarm.event_id}"


def test_the_timeline_draws_scores_choices_and_verdicts(site: Workspace) -> None:
    work, lake = Opened(site.root), reader(site)
    first = next(one for one in day_events(lake, GATE) if one.event_id == f"{CAMERA}-event-0")
    say_verdict(work, first.event, confirmed=True, author="ada")
    app = page(camera=CAMERA, segment="2")
    truths = [row["verdict"] for row in rows_drawn(app, "verdict")]
    assert truths == ["not judged", "not judged", "confirmed"], "what somebody said lies on top"
    marks = rows_drawn(app, "segment")
    assert [row["segment"] for row in marks] == [1, 2, 3, 4, 5, 6]
    assert [row["kind"] for row in marks].count("event") == 3
    assert [row["segment"] for row in marks if row["size"] > 100] == [2]
    curve = [row for row in rows_drawn(app, "piece") if row["score"] > 0]
    assert len({row["piece"] for row in curve}) == 2, "no line over the gap"
    assert "Judged: confirmed" in words(app)


def test_a_click_on_a_mark_plays_its_segment(site: Workspace) -> None:
    from dashboards.app_pages import summaries_watch

    app = page(camera=CAMERA)
    with pytest.MonkeyPatch.context() as patched:
        played: list[int] = []
        patched.setattr(summaries_watch, "play", played.append)
        patched.setattr(st, "session_state", {summaries_watch.CHART: {"selection": {"picked": [{"segment": 5}]}}})
        summaries_watch._picked_in_chart()
    assert played == [5]
    assert cards(app)


# All cameras of a day.


def test_all_cameras_show_the_digest_and_a_list_over_cameras(site: Workspace) -> None:
    app = page()
    told = figures(app)
    assert (told["Length"], told["Cameras"], told["Events left out"]) == ("20 s", "2 of 2", "1")
    assert len(cards(app, "digest")) == 5
    (listed,) = [frame.value for frame in app.dataframe]
    assert len(listed) == 12
    events = listed["shown for"] != SCORE
    assert list(events) == sorted(events, reverse=True), "what shows an event stands first"
    scores = listed[~events]["score"]
    assert list(scores) == sorted(scores, reverse=True)
    assert set(listed["camera"]) == {CAMERA, OTHER}


def test_from_the_digest_to_the_summary_of_its_camera(site: Workspace) -> None:
    app = page(segment="2")
    told = json.loads((site.site.digests_folder / CAMPAIGN / DAY.isoformat() / "summary.json").read_text())
    entry = told["entries"][1]
    press(app, "to_camera")
    assert app.query_params["camera"] == entry["camera"]
    published = json.loads((site.day_folder(entry["camera"]) / "summary.json").read_text())["entries"]
    mine = [(one["recording_id"], one["from_us"]) for one in published].index((entry["recording_id"], entry["from_us"]))
    assert app.query_params["segment"] == str(mine + 1)
    assert figures(app)["Weights"] == "settings"


def test_a_day_without_a_digest_says_so_and_lists_its_segments(site: Workspace) -> None:
    (site.site.digests_folder / CAMPAIGN / DAY.isoformat() / "summary.json").unlink()
    app = page()
    assert "The digest of this day is not made yet" in words(app)
    assert len(app.dataframe[0].value) == 12


def test_a_digest_that_cannot_be_read_is_told_with_its_remedy(site: Workspace) -> None:
    (site.site.digests_folder / CAMPAIGN / DAY.isoformat() / "summary.json").write_text("{", encoding="utf-8")
    app = page()
    assert f'make the digest again with "afterwatch run --campaign {CAMPAIGN} --day {DAY}"' in words(app)
    assert len(app.dataframe[0].value) == 12


# Other weights.


def test_the_published_weights_change_nothing(site: Workspace) -> None:
    told = figures(weights_page(camera=CAMERA))
    assert (told["Comes in"], told["Goes out"], told["Stays"]) == ("0", "0", "6")


def test_a_slider_shows_what_comes_in_and_what_goes_out(site: Workspace) -> None:
    app = move(weights_page(camera=CAMERA), anomaly=0.0, memorability=0.0, entropy=0.0, dynamics=1.0)
    day, ranked = chosen_by(site, GATE, BY_MOTION)
    _, published = chosen_by(site, GATE, SETTINGS)
    came = sorted(set(ranked.selection.indices) - set(published.selection.indices))
    went = sorted(set(published.selection.indices) - set(ranked.selection.indices))
    assert came and went
    told = figures(app)
    assert (told["Comes in"], told["Goes out"]) == (str(len(came)), str(len(went)))
    assert cards(app, "in") == [f"{CAMERA}_{day.span(row)[0]}_{day.span(row)[1]}" for row in came]
    assert cards(app, "out") == [f"{CAMERA}_{day.span(row)[0]}_{day.span(row)[1]}" for row in went]
    kinds = [row["kind"] for row in rows_drawn(app, "segment")]
    assert (kinds.count("in"), kinds.count("out")) == (len(came), len(went))
    assert weight_set_in_use(site.ledger) is None, "moving a slider says nothing"


def test_the_length_is_tried_as_well(site: Workspace) -> None:
    app = weights_page(camera=CAMERA)
    (slider,) = [one for one in app.slider if str(one.key).startswith("summaries_budget_")]
    slider.set_value(40.0).run()
    assert figures(app)["Length"] == "40 s"
    assert (figures(app)["Comes in"], figures(app)["Goes out"]) == ("4", "0")


def test_weights_that_are_all_0_choose_nothing(site: Workspace) -> None:
    app = move(weights_page(camera=CAMERA), anomaly=0.0, memorability=0.0, entropy=0.0, dynamics=0.0)
    assert "At least one weight is above 0" in words(app)
    assert not app.metric


def test_stills_of_what_comes_in_are_decoded_from_its_recording(site: Workspace) -> None:
    def pictures(app: AppTest) -> int:
        return len(app.get("imgs"))

    told = {"anomaly": 0.0, "memorability": 1.0, "entropy": 0.0, "dynamics": 0.0}
    without = move(weights_page(camera=CAMERA), **told)
    recording = f"{CAMERA}-0"
    early = [key for key in cards(without, "in") if key.startswith(f"{CAMERA}_{recording}_")]
    near = [key for key in early if int(key.rsplit("_", 1)[1]) < 115_000_000]
    give_footage(site)
    st.cache_data.clear()
    app = move(weights_page(camera=CAMERA), **told)
    assert pictures(app) - pictures(without) == len(near)


def test_all_cameras_are_ranked_anew_together(site: Workspace) -> None:
    app = move(weights_page(), anomaly=0.0, memorability=0.0, entropy=0.0, dynamics=1.0)
    changed = {place.camera: chosen_by(site, place, BY_MOTION)[1].selection.indices for place in PLACES.values()}
    before = {place.camera: chosen_by(site, place)[1].selection.indices for place in PLACES.values()}
    by_camera, ranked = (frame.value for frame in app.dataframe)
    assert list(by_camera["camera"]) == [CAMERA, OTHER]
    assert list(by_camera["comes in"]) == [len(set(changed[name]) - set(before[name])) for name in (CAMERA, OTHER)]
    assert len(ranked) == sum(map(len, changed.values()))
    assert (ranked[""] == "▲ in").sum() == by_camera["comes in"].sum()
    told = figures(app)
    assert told["Comes in"] == str(by_camera["comes in"].sum())


# Weight sets.


def test_weights_are_saved_with_name_version_and_author(site: Workspace) -> None:
    app = move(weights_page(camera=CAMERA), dynamics=1.0)
    assert app.button(key="summaries_save").disabled, "without a name"
    app.text_input(key="summaries_name_settings").set_value("busy").run()
    press(app, "save")
    ((saved,),) = weight_sets(site.ledger).values()
    assert saved.label == "busy/1"
    assert saved.weights == {**asdict(SETTINGS), "dynamics": 1.0}
    assert saved.author == app.session_state["author"]
    assert app.query_params["weights"] == "busy/1"
    press(app, "save")
    assert [one.label for one in weight_sets(site.ledger)["busy"]] == ["busy/1"], "the same weights: no version"
    move(app, entropy=2.0)
    press(app, "save")
    assert [one.label for one in weight_sets(site.ledger)["busy"]] == ["busy/1", "busy/2"]
    assert weight_set_in_use(site.ledger) is None
    (versions,) = [frame.value for frame in app.dataframe]
    assert list(versions["set"]) == ["busy/2", "busy/1"]


def test_a_saved_set_is_put_into_use_and_taken_back(site: Workspace) -> None:
    save_weight_set(site.ledger, "busy", anomaly=0, memorability=0, entropy=0, dynamics=1, author="ada")
    app = weights_page(camera=CAMERA, weights="busy/1")
    move(app, entropy=0.5)
    assert app.button(key="summaries_use").disabled, "what was moved has no name yet"
    move(app, entropy=0.0)
    press(app, "use")
    in_use = weight_set_in_use(site.ledger)
    assert in_use is not None and in_use.label == "busy/1"
    assert "In use: **busy/1**" in words(app).replace("\\", "")
    press(app, "back")
    assert weight_set_in_use(site.ledger) is None


def test_a_name_that_is_none_is_told(site: Workspace) -> None:
    app = weights_page(camera=CAMERA)
    app.text_input(key="summaries_name_settings").set_value("settings").run()
    press(app, "save")
    assert "Not saved: a weight set has a name" in words(app)
    assert weight_sets(site.ledger) == {}


def test_without_an_author_nothing_can_be_said(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError

    monkeypatch.setattr("getpass.getuser", nobody)
    use_weight_set(
        site.ledger,
        save_weight_set(site.ledger, "b", anomaly=1, memorability=0, entropy=0, dynamics=0, author="ada").label,
        "ada",
    )
    app = weights_page(camera=CAMERA)
    assert all(app.button(key=f"summaries_{key}").disabled for key in ("save", "use", "back"))


def test_publishing_now_is_a_job_of_that_day_alone(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, str, list[str]]] = []

    def start(folder: Path, name: str, about: str, command: list[str], guard: Guard) -> None:
        started.append((name, about, command))

    monkeypatch.setattr(jobs, "start_job", start)
    press(weights_page(camera=CAMERA), "publish")
    press(weights_page(), "publish")
    (_, _, one), (_, about, every) = started
    assert one[3:] == [
        "backfill",
        "--site",
        str(site.site.root),
        "--campaign",
        CAMPAIGN,
        "--camera",
        CAMERA,
        "--day",
        str(DAY),
        "--json",
    ]
    assert "--camera" not in every and str(DAY) in every
    assert about == f"{CAMPAIGN} {DAY}"


def test_a_job_that_cannot_start_is_told(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        raise ConfigurationError("a publication for gate is running already")

    monkeypatch.setattr(jobs, "start_job", start)
    app = press(weights_page(camera=CAMERA), "publish")
    assert "Not started: a publication for gate is running already" in words(app)


# The package.


def test_ticked_segments_become_a_package(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    give_footage(site)
    # The small workspace calls its recordings by short names.
    monkeypatch.setattr("workspace.summary_package.content_hash", lambda path: f"{CAMERA}-0")
    app = page(camera=CAMERA)
    for key in cards(app)[:2]:
        app.checkbox(key=f"summaries_tick_story_{key}").check().run()
    assert "2 segments ticked" in words(app)
    offered: list[Any] = []
    download_button = st.download_button

    def offer(*args: Any, **told: Any) -> bool:
        offered.append(told["data"])
        return download_button(*args, **told)

    monkeypatch.setattr(st, "download_button", offer)
    press(app, "make")
    assert "Not made" not in words(app), words(app)
    (button,) = app.get("download_button")
    assert button.proto.label.startswith("Download ")
    (package,) = (site.site.state_folder / "packages").glob("*.zip")
    assert callable(offered[-1]), "the package is read when it is downloaded, not whenever the page is drawn"
    assert offered[-1]() == package.read_bytes()
    with zipfile.ZipFile(io.BytesIO(package.read_bytes())) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert {name.split("/")[0] for name in archive.namelist()} >= {
            "clips",
            "keyframes",
            "manifest.json",
            "SHA256SUMS",
        }
    assert [entry["reason"] for entry in manifest["entries"]] == [SCORE, "novelty 1"]
    assert {entry["weights"] for entry in manifest["entries"]} == {"settings"}
    assert manifest["entries"][0]["numbers"]["motion"] == 7.5


def test_what_is_ticked_outlives_the_view_and_is_unticked_at_once(site: Workspace) -> None:
    app = page(camera=CAMERA)
    first = cards(app)[0]
    app.checkbox(key=f"summaries_tick_story_{first}").check().run()
    app.query_params["camera"] = OTHER
    app.run()
    app.checkbox(key=f"summaries_tick_story_{cards(app)[0]}").check().run()
    assert {one.place.camera for one in app.session_state[TICKED].values()} == {CAMERA, OTHER}
    app.query_params["camera"] = CAMERA
    app.run()
    assert app.checkbox(key=f"summaries_tick_story_{first}").value
    press(app, "untick")
    assert "no segments ticked" in words(app)
    assert not app.checkbox(key=f"summaries_tick_story_{first}").value


def test_footage_that_is_gone_makes_no_package(site: Workspace) -> None:
    app = page(camera=CAMERA)
    app.checkbox(key=f"summaries_tick_story_{cards(app)[0]}").check().run()
    press(app, "make")
    assert "Not made: footage is gone" in words(app)
    assert not list((site.site.state_folder / "packages").iterdir())


# Days of older nights, and states in which there is nothing.


def test_a_day_published_by_an_older_night_is_still_seen(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = page(camera=CAMERA)
    told = figures(app)
    assert (told["Length"], told["Weights"]) == ("24 s", "not told")
    assert len(cards(app)) == 6
    assert "before nights kept the scores of every segment" in words(app)
    assert words(app).count("It comes with the next publication") == 1, "the figure; its contact sheet is there"
    assert len(page().dataframe[0].value) == 12
    assert "Not measured yet" in words(weights_page(camera=CAMERA))
    assert "afterwatch run --campaign" in words(weights_page())


def test_a_camera_that_nobody_has_measured_is_left_out_of_the_ranking(full_site: Workspace, shown: Show) -> None:
    measure(full_site, OTHER)
    shown(full_site)
    app = weights_page()
    assert list(app.dataframe[0].value["camera"]) == [OTHER]
    assert "1 camera is not measured yet" in words(app)


def test_a_day_that_is_not_published_says_which_command_to_run(site: Workspace) -> None:
    for place in PLACES.values():
        (site.day_folder(place.camera) / "summary.json").unlink()
    assert "Not published yet" in words(page(camera=CAMERA))
    assert "Nothing is published of this day yet" in words(page())
    told = words(weights_page(camera=CAMERA))
    assert "Nothing is published to compare it with" in told
    assert "Comes in: 6" in told


def test_a_summary_that_cannot_be_read_is_told(site: Workspace) -> None:
    (site.day_folder() / "summary.json").write_text("{", encoding="utf-8")
    assert "cannot be read" in words(page(camera=CAMERA))
    app = page()
    assert "cannot be read" in words(app)
    assert set(app.dataframe[0].value["camera"]) == {OTHER}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"weights": {"label": "x", "values": {"speed": 1.0}}}, "weights are those of anomaly"),
        ({"surprise": "boo"}, "surprise is a number, got 'boo'"),
        ({"score": float("nan"), "anomaly": float("nan")}, "score is finite"),
    ],
    ids=["weights of another name", "text for a number", "nan"],
)
def test_a_summary_that_is_not_quite_right_is_told_in_every_view(
    site: Workspace, wrong: dict[str, Any], told: str
) -> None:
    file = site.day_folder() / "summary.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["entries"] = [entry | wrong for entry in content["entries"]]
    file.write_text(json.dumps(content | wrong), encoding="utf-8")
    for app in (page(camera=CAMERA), page(), weights_page(camera=CAMERA)):
        text = words(app).replace("\\", "")
        assert "cannot be read" in text and told in text
        assert f"--camera {CAMERA} --day {DAY}" in text


def test_a_weight_set_written_by_hand_is_told(site: Workspace) -> None:
    from lake.ledger import Statement

    site.ledger.say("weight_sets", [Statement("busy", "ada", {"anomaly": -1})])
    assert "which is no set of weights" in words(weights_page(camera=CAMERA))


def test_without_footage_it_says_which_command_to_run(empty_site: Workspace, shown: Show) -> None:
    shown(empty_site)
    assert "afterwatch run --site" in words(page())


def test_the_day_links_to_its_summary(site: Workspace) -> None:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page("app_pages/day.py")
    app.query_params["camera"] = CAMERA
    app.run()
    expected = f"summaries?campaign={CAMPAIGN}&camera={CAMERA}&day={DAY}"
    assert page_links(app)["Why these, and other weights"] == expected
