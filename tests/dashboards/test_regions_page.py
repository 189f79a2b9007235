"""The page on which regions are drawn, by its fields and buttons; the canvas itself is tried in a browser."""

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards import jobs
from footage.probe import probe
from lake.store import Store
from tests.dashboards.small_site import CAMERA, CAMPAIGN, OTHER, Workspace, at, write_video
from tests.dashboards.test_dashboard_pages import APP, words
from tests.dashboards.test_regions_queries import embed_in
from workspace.indexes import save_index
from workspace.opened import Workspace as Opened
from workspace.regions import SaidRegion, region_versions, regions_now, say_region

Show = Callable[[Workspace], None]
BOX = ((0.1, 0.2), (0.4, 0.2), (0.4, 0.6), (0.1, 0.6))
TRIANGLE = ((0.2, 0.2), (0.6, 0.2), (0.4, 0.8))
PLACE_OF_BOX = {"left": 10.0, "top": 20.0, "width": 30.0, "height": 40.0}
NOT_A_NAME = '"frame" is the whole picture; use letters and digits, 64 at most'


def regions_page(**params: str) -> AppTest:
    """Run the page; it raises nothing."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page("app_pages/regions.py")
    for key, value in params.items():
        app.query_params[key] = value
    return again(app)


def again(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def click(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return again(app)


def type_place(app: AppTest, **percent: float) -> AppTest:
    for name, value in percent.items():
        app.number_input(key=f"regions_{name}").set_value(value)
    return again(app)


def type_name(app: AppTest, name: str) -> AppTest:
    app.text_input(key="regions_name").set_value(name)
    return again(app)


def canvas(app: AppTest) -> dict[str, Any]:
    """What the canvas is told."""
    (component,) = app.get("bidi_component")
    told: dict[str, Any] = json.loads(component.proto.json)
    return told


def now(workspace: Workspace, camera: str = CAMERA) -> list[SaidRegion]:
    return regions_now(workspace.ledger, camera)


def outlines(workspace: Workspace) -> dict[str, Any]:
    return {one.name: one.region.outline for one in now(workspace) if one.region is not None}


def bring_footage(workspace: Workspace) -> None:
    """The first 3 s of the camera's first recording, as a night would have taken it in."""
    path = workspace.site.footage_root / f"{CAMPAIGN}/{CAMERA}/{at(0):%Y-%m-%dT%H-%M-%S}.mp4"
    path.parent.mkdir(parents=True)
    write_video(path, 3.0, "gate")
    save_index(Store(workspace.site.lake_location), "gate-0", probe(path).index)


def test_without_a_lake_it_says_which_command_to_run(empty_site: Workspace, shown: Show) -> None:
    shown(empty_site)
    app = regions_page()
    assert not app.error
    assert "afterwatch run --site" in words(app)


def test_a_region_is_saved_through_number_fields(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = type_place(type_name(regions_page(), "hatch"), **PLACE_OF_BOX)
    assert canvas(app)["draft"] == [list(point) for point in BOX] and canvas(app)["naming"] == "hatch"
    app.text_input(key="author_field").set_value("anna")
    app = click(again(app), "regions_save")
    (said,) = now(full_site)
    assert said.region is not None
    assert (said.name, said.region.outline, said.author, said.drawn_on) == ("hatch", BOX, "anna", None)
    assert app.success[0].value.startswith("**hatch** is saved. The next night embeds it")
    assert "not embedded yet" in words(app)
    assert canvas(app)["draft"] is None and [one["name"] for one in canvas(app)["regions"]] == ["hatch"]
    assert all(app.number_input(key=f"regions_{name}").value is None for name in PLACE_OF_BOX)
    assert app.text_input(key="regions_name").value == ""


def test_where_the_footage_is_gone_it_says_so(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    told = canvas(regions_page())
    assert told["picture"] is None
    assert "footage is gone: spring/gate/2026-03-02T08-12-00.mp4" in told["word"]
    assert (told["width"], told["height"]) == (320, 240), "its shape is still that of the camera's picture"


def test_the_picture_is_of_the_moment_in_the_address(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    bring_footage(full_site)
    moment = at(1.5)
    app = regions_page(camera=CAMERA, at=moment.isoformat())
    assert canvas(app)["picture"].startswith("data:image/jpeg;base64,")
    first = canvas(app)["picture"]
    click(type_place(type_name(app, "hatch"), **PLACE_OF_BOX), "regions_save")
    assert now(full_site)[0].drawn_on == moment
    app = click(app, "regions_A second later")
    assert datetime.fromisoformat(str(app.query_params["at"])) == at(2.5)
    assert canvas(app)["picture"] not in (None, first)
    app = regions_page(camera=CAMERA, at=at(300).isoformat())
    assert canvas(app)["picture"] is None and "no picture here" in canvas(app)["word"]


def test_at_first_it_shows_the_middle_of_the_last_recording(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    slider = regions_page().select_slider(key="regions_at")
    assert datetime.fromisoformat(str(slider.value)) == at(720 + 300)


def test_the_slider_leaves_out_what_was_not_recorded(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = regions_page()
    slider = app.select_slider(key="regions_at")
    told = list(slider.options)
    assert told[0] == "09:00:00" and told[-1] == "09:21:59", "in the site's zone"
    assert "09:09:59" in told and "09:12:00" in told and "09:11:00" not in told
    app = regions_page(at=at(599.9).isoformat())
    app = click(app, "regions_A second later")
    assert datetime.fromisoformat(str(app.query_params["at"])) == at(720), "over the gap"


def test_a_link_to_what_is_not_there_falls_back(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = regions_page(campaign="../..", camera="nobody", day="1999-01-01", at="now")
    assert app.selectbox(key="regions_camera").value == CAMERA
    app = regions_page(at="1999-01-01T00:00:00")
    assert datetime.fromisoformat(str(app.select_slider(key="regions_at").value)) == at(0), (
        "the nearest recorded moment"
    )


def test_another_camera_has_its_own_regions_and_draft(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    say_region(full_site.ledger, CAMERA, "hatch", BOX, "anna")
    app = type_place(type_name(regions_page(at=at(5).isoformat()), "door"), **PLACE_OF_BOX)
    app.selectbox(key="regions_camera").select(OTHER)
    again(app)
    assert app.query_params["camera"] == OTHER and "at" not in app.query_params
    assert canvas(app)["regions"] == [] and canvas(app)["draft"] is None
    assert app.text_input(key="regions_name").value == ""
    assert "No regions of hall" in words(app)


@pytest.mark.parametrize("name", ["frame", "../door", "a/b", "türe"])
def test_a_bad_name_is_refused_as_the_command_line_does(name: str, full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = type_name(type_place(regions_page(), **PLACE_OF_BOX), name)
    assert [error.value for error in app.error] == [f'"{name}" cannot name a region: {NOT_A_NAME}']
    app = click(app, "regions_save")
    assert app.error[0].value.startswith(f'Not saved: "{name}" cannot name a region')
    assert now(full_site) == []
    assert canvas(app)["draft"] is not None, "what was drawn is still there"


def test_what_is_missing_is_said(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = click(regions_page(), "regions_save")
    assert "has no name" in app.error[0].value
    app = click(type_name(app, "hatch"), "regions_save")
    assert "nothing is drawn" in app.error[0].value
    app = type_place(app, left=80.0, top=10.0, width=30.0, height=10.0)
    assert "left + width is 110 %" in app.error[0].value
    app = click(app, "regions_save")
    assert "left + width is 110 %" in app.error[0].value
    assert now(full_site) == []
    click(type_place(app, width=20.0), "regions_save")
    assert outlines(full_site) == {"hatch": ((0.8, 0.1), (1.0, 0.1), (1.0, 0.2), (0.8, 0.2))}


def test_a_region_is_drawn_anew_and_numbers_keep_its_shape(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    say_region(full_site.ledger, CAMERA, "hatch", TRIANGLE, "anna")
    app = click(regions_page(), "redraw_hatch")
    assert app.text_input(key="regions_name").value == "hatch"
    assert app.number_input(key="regions_left").value == pytest.approx(20)
    assert "version 2 of hatch" in words(app)
    click(type_place(app, left=30.0), "regions_save")
    assert outlines(full_site) == {"hatch": ((0.3, 0.2), (0.7, 0.2), (0.5, 0.8))}
    assert len(region_versions(full_site.ledger, CAMERA)) == 2


def test_a_draft_is_discarded(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = click(type_place(type_name(regions_page(), "hatch"), **PLACE_OF_BOX), "regions_discard")
    assert canvas(app)["draft"] is None
    assert now(full_site) == []


def test_removed_and_restored_and_every_version_stays(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    first = say_region(full_site.ledger, CAMERA, "hatch", BOX, "anna", at(7))
    say_region(full_site.ledger, CAMERA, "hatch", TRIANGLE, "ben")
    app = click(regions_page(), "remove_hatch")
    assert now(full_site) == []
    assert app.success[0].value.startswith("**hatch** is removed")
    key = f"hatch@{first.said_at.isoformat()}"
    app = click(app, f"lay_{key}")
    ghost = canvas(app)["ghost"]
    assert ghost == {"name": "hatch · version 1", "outline": [list(point) for point in BOX]}
    app = click(app, f"restore_{key}")
    (said,) = now(full_site)
    assert said.region == first.region and said.drawn_on == at(7)
    assert canvas(app)["ghost"] is None
    assert [one.author for one in region_versions(full_site.ledger, CAMERA)][:2] == ["anna", "ben"]
    told = words(app)
    assert "**hatch** version 3" in told and ":gray[removed]" in told


def test_what_two_people_remove_is_told(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    say_region(full_site.ledger, CAMERA, "hatch", BOX, "anna")
    app, other = regions_page(), regions_page()
    click(other, "remove_hatch")
    app = click(app, "remove_hatch")
    assert "Not removed: unknown region of camera gate" in app.error[0].value


def test_names_are_shown_letter_by_letter(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    say_region(full_site.ledger, CAMERA, "hatch_a_b", BOX, "<b>anna</b>")
    told = words(regions_page())
    assert r"**hatch\_a\_b**" in told and "<b>" not in told


def test_who_draws_is_kept_for_the_session(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    app = regions_page()
    app.text_input(key="author_field").set_value(" anna ")
    again(app)
    app.switch_page("app_pages/day.py")
    again(app)
    app.switch_page("app_pages/regions.py")
    again(app)
    assert app.text_input(key="author_field").value == "anna"
    click(type_place(type_name(app, "hatch"), **PLACE_OF_BOX), "regions_save")
    assert now(full_site)[0].author == "anna"


def test_without_any_encoder_for_it_a_region_says_so(full_site: Workspace, shown: Show) -> None:
    settings = full_site.root / "afterwatch.toml"
    text = settings.read_text(encoding="utf-8")
    for name in ("handcrafted/appearance", "handcrafted/motion"):
        text += f'\n[[encoders]]\nname = "{name}"\nregions = ["frame", "door"]\n'
    settings.write_text(text, encoding="utf-8")
    shown(full_site)
    say_region(full_site.ledger, CAMERA, "hatch", BOX, "anna")
    app = regions_page()
    assert "no encoder of the settings embeds it" in words(app)
    assert not [button for button in app.button if button.key == "regions_embed"]


def test_a_region_is_embedded_now_in_the_background(
    full_site: Workspace, shown: Show, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown(full_site)
    go = tmp_path / "go"
    code = (
        "import os, sys, time\n"
        "print('embed 25 %', file=sys.stderr, flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    asked: list[str] = []

    def command(site: object, camera: str) -> list[str]:
        asked.append(camera)
        return [sys.executable, "-c", code]

    monkeypatch.setattr(jobs, "backfill_command", command)
    say_region(full_site.ledger, CAMERA, "hatch", BOX, "anna")
    app = click(regions_page(), "regions_embed")
    try:
        assert asked == [CAMERA]
        assert "**Embedding gate**" in words(app)
        assert not [button for button in app.button if button.key == "regions_embed"], "one at a time"
        assert "**Embedding gate**" in words(regions_page(camera=CAMERA)), "for everybody, after a reload too"
    finally:
        go.touch()
    _wait(full_site)
    told = words(regions_page(camera=CAMERA))
    assert "**gate was embedded**" in told and "**hatch** waits for the next night" in told


def test_a_failed_embedding_shows_what_it_said(
    full_site: Workspace, shown: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(full_site)
    failing = [sys.executable, "-c", "import sys; sys.exit('disk full; free space, then start again')"]
    monkeypatch.setattr(jobs, "backfill_command", lambda site, camera: failing)
    say_region(full_site.ledger, CAMERA, "hatch", BOX, "anna")
    click(regions_page(), "regions_embed")
    _wait(full_site)
    told = words(regions_page(camera=CAMERA))
    assert "Embedding gate failed" in told and "exit code 1" in told
    assert "disk full; free space, then start again" in told
    assert "waits for the next night" in told, "it can be started again"


def _wait(workspace: Workspace) -> None:
    for _ in range(1000):
        job = jobs.find_job(jobs.jobs_folder(workspace.site), jobs.BACKFILL)
        if job is not None and job.state != "running":
            return
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def test_what_is_embedded_is_told_and_reviewed(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    said = say_region(full_site.ledger, CAMERA, "hatch", BOX, "anna").said_at
    for encoder in Opened(full_site.root).encoders:
        embed_in(full_site, encoder.spec.space, "hatch", ["gate-0"], said + timedelta(hours=1), "partial")
    assert "1 of 2 recordings embedded" in words(regions_page())
    for encoder in Opened(full_site.root).encoders:
        embed_in(full_site, encoder.spec.space, "hatch", ["gate-0"], said + timedelta(hours=2), "done")
    st.cache_data.clear()  # a page believes for some seconds what it has counted,
    st.cache_resource.clear()  # and the lake as it saw it
    app = regions_page()
    assert "all 2 recordings embedded" in words(app)
    assert not [button for button in app.button if button.key == "regions_embed"]
