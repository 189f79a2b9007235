"""Flip reports on the Models page: which versions are compared, what the report shows, and that it is signed there."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards import jobs
from dashboards.flip_queries import compare_command, reports_of
from dashboards.wording import plain_text
from infra.site import Site
from lake.keys import Place
from tests.dashboards.alarmed_site import ACTIONS, FIGHTS, NEW, OLD, keep_classifiers, set_alarms
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, OTHER, Workspace, at
from tests.dashboards.test_anomalies_page import figure, press
from tests.dashboards.test_dashboard_pages import words
from tests.dashboards.test_models_page import page
from workspace.classifiers import KIND
from workspace.flip_files import keep_report, reports_folder
from workspace.flip_reports import Identity, make_report
from workspace.flip_signing import signed_report
from workspace.flips import Compared, ComparedDay, FoundEvent
from workspace.opened import Workspace as Opened
from workspace.serving import model_named, versions_in_service

Show = Callable[[Workspace], None]


@pytest.fixture
def compared(full_site: Workspace, shown: Show) -> tuple[Workspace, str]:
    """Two versions of a classifier, and the report of what the newer would change; the footage is gone."""
    st.cache_data.clear()
    workspace = set_alarms(full_site)
    keep_classifiers(workspace)
    shown(workspace)
    work = Opened(workspace.root)
    found = [_event(seconds) for seconds in range(10, 310, 20)]
    days = (
        ComparedDay(Place(CAMPAIGN, CAMERA, DAY), (found[0], found[1]), (found[0], *found[2:])),
        ComparedDay(Place(CAMPAIGN, OTHER, DAY), (_event(40, 20),), (_event(55, 20),)),
    )
    made = Compared(
        days, ("fight",), applied=("alarm fight: *class* fight",), remarks=("not embedded yet (2 camera-days)",)
    )
    return workspace, keep_report(work, make_report(work, Identity(KIND, FIGHTS, OLD, NEW, CAMPAIGN), made))


def _event(seconds: float, length: float = 8) -> FoundEvent:
    begin = at(seconds)
    told = ("fight", "frame", f"fight-{seconds}", "v", "gone", 0)
    return FoundEvent(*told, begin, begin + timedelta(seconds=length), begin, 0.91, 0.4)


def options(app: AppTest, label: str) -> list[str]:
    return next([str(option) for option in one.options] for one in app.selectbox if one.label == label)


def test_the_report_of_a_candidate_against_what_serves_is_shown(compared: tuple[Workspace, str]) -> None:
    _, report_id = compared
    app = page(kind=KIND, name=FIGHTS, version=NEW)
    assert [figure(app, name) for name in ("Gained", "Lost", "Moved", "Kept")] == ["13", "1", "1", "1"]
    assert options(app, "From")[0] == f"{OLD}, in service" and options(app, "To")[0] == NEW
    told = words(app)
    assert "The candidate finds 12 events more than the version in service" in told
    assert "too few differ to tell it from chance" in told
    assert plain_text("not embedded yet (2 camera-days)") in told
    assert report_id in told and plain_text("alarm fight: *class* fight") in told  # names of others are no markup
    assert told.count("no picture yet") == 12
    app = press(app, "Show more: 1 are left")
    assert words(app).count("no picture yet") == 13


def test_the_events_of_each_kind_and_camera_are_shown_on_demand(compared: tuple[Workspace, str]) -> None:
    _, report_id = compared
    app = page(kind=KIND, name=FIGHTS, version=NEW)
    control = app.segmented_control(key=f"models_flips_{report_id}")
    assert [str(option) for option in control.options] == ["Gained (13)", "Lost (1)", "Moved (1)"]
    control.set_value("Moved (1)").run()
    assert not app.exception
    assert plain_text("IoU 0.14") in words(app)
    app.selectbox(key=f"models_flips_camera_{report_id}").set_value(CAMERA).run()
    assert "Nothing of the kind on this camera." in words(app)


def test_a_report_is_signed_there_and_the_candidate_may_serve(compared: tuple[Workspace, str]) -> None:
    workspace, report_id = compared
    work = Opened(workspace.root)
    assert signed_report(work, KIND, FIGHTS, OLD, NEW) is None
    app = page(kind=KIND, name=FIGHTS, version=NEW)
    app = press(app, "I have read it: sign")
    signed = signed_report(work, KIND, FIGHTS, OLD, NEW)
    assert signed is not None and signed.report_id == report_id and signed.author
    assert f"Signed by {signed.author}" in words(app)
    app = press(app, "Put into service")
    assert versions_in_service(Opened(workspace.root), KIND)[FIGHTS] == NEW


def test_an_altered_report_is_told_and_not_shown(compared: tuple[Workspace, str]) -> None:
    workspace, report_id = compared
    path = reports_folder(Opened(workspace.root)) / f"{report_id}.json"
    path.write_text(path.read_text().replace('"lost": 1', '"lost": 0'))
    app = page(kind=KIND, name=FIGHTS, version=NEW)
    assert "was altered since it was made" in words(app)
    assert not [button for button in app.button if button.label == "I have read it: sign"]
    found, problems = reports_of(Opened(workspace.root), KIND, FIGHTS)
    assert found == [] and len(problems) == 1


def test_comparing_starts_the_verb_in_the_background(
    compared: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = compared
    started: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jobs, "start_job", lambda *arguments: started.append(arguments))
    app = press(page(kind=KIND, name=FIGHTS, version=NEW), "Compare")
    ((_, name, about, command, _),) = started
    assert (name, about) == ("comparison", f"{FIGHTS} {OLD} → {NEW} over {CAMPAIGN}")
    assert command == compare_command(Site.open(workspace.root), KIND, FIGHTS, OLD, NEW, CAMPAIGN)
    assert command[2:7] == ["afterwatch", "models", "compare", f"{FIGHTS}/{OLD}", f"{FIGHTS}/{NEW}"]
    app.selectbox(key="models_from").set_value(NEW).run()
    assert "No report of these two versions over this campaign yet." in words(app)
    assert options(app, "To") == [f"{OLD}, in service"]  # nothing is compared with itself


def test_a_name_with_one_version_has_nothing_to_compare(compared: tuple[Workspace, str]) -> None:
    workspace, _ = compared
    named = model_named(Opened(workspace.root), ACTIONS)
    assert len(named.versions) == 1 and dataclasses.is_dataclass(named)
    app = page(kind=KIND, name=ACTIONS, version=named.versions[0])
    assert "What an update changes" not in words(app)
