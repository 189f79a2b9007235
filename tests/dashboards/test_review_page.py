"""The review page in its states: nothing named, one example, two classes, an audit, two reviewers, a saved head."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lake.labels import Label, say_labels
from lake.promotions import in_service
from tests.dashboards.test_dashboard_pages import APP, words
from tests.workspace.hall import AUTUMN, CAMERA, CASE, OPEN, REGION, SPRING, START, make_hall, recording_of, review
from workspace.opened import Workspace

SOME = {110: True, 320: True, 10: False, 200: False, 400: False, 580: False}
Show = Callable[..., AppTest]


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    import streamlit as st

    st.cache_resource.clear()
    st.cache_data.clear()
    workspace = make_hall(tmp_path / "site")
    monkeypatch.setenv("AFTERWATCH_SITE", str(workspace.site.root))
    return workspace


def page(name: str = "review", **params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page(f"app_pages/{name}.py")
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def review_page(campaign: str = SPRING) -> AppTest:
    return page(campaign=campaign, camera=CAMERA, region=REGION, use_case=CASE.name)


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    button.click().run()
    assert not app.exception, app.exception
    return app


def test_it_asks_for_a_use_case_first(hall: Workspace) -> None:
    app = page(campaign=SPRING, camera=CAMERA)
    assert "What are you looking for?" in words(app)
    assert not app.metric
    # Typing a new name is what a browser does: see the browser test.
    assert "Labels: 0 relevant · 0 not" in words(review_page())


def test_a_name_that_cannot_be_kept_is_told(hall: Workspace) -> None:
    app = page(campaign=SPRING, camera=CAMERA, region=REGION, use_case="../../etc")
    assert "cannot name a use case" in app.error[0].value


def test_each_answer_ranks_again_and_goes_on(hall: Workspace) -> None:
    app = review_page()
    first = app.session_state["review_shown"]
    press(app, "Relevant")
    assert "Labels: 1 relevant · 0 not" in words(app)
    assert app.session_state["review_shown"] != first
    press(app, "Not relevant")
    assert "Labels: 1 relevant · 1 not" in words(app)
    press(app, "Undo")
    assert "Labels: 1 relevant · 0 not" in words(app)
    assert [label.author for label in review(hall).labels()] == [app.session_state["author"]]


def test_skip_is_no_answer_but_a_look(hall: Workspace) -> None:
    app = review_page()
    press(app, "Skip")
    assert "Labels: 0 relevant · 0 not" in words(app)
    assert review(hall).progress(review(hall).ranking()).looked == 1


def test_moments_audit_head(hall: Workspace) -> None:
    told = review(hall)
    for row, relevant in SOME.items():
        told.answer(row, relevant, "ada")
    app = review_page()
    assert f"Moments found: {len(OPEN[SPRING])}" in words(app)
    assert any("moments**" in str(one.value) for one in app.markdown)
    press(app, "Draw a sample")
    app.selectbox(key="review_order").set_value("audit").run()
    press(app, "Not relevant")
    assert "Missed at most: ≤" in words(app)
    press(app, "Save and put into service")
    assert "is in service" in words(app)
    assert list(in_service(hall.ledger, "retrieval")) == ["hall-east.hatch.hatch open"]
    press(app, "Take out of service")
    assert in_service(hall.ledger, "retrieval") == {}


def test_another_campaign_is_compared(hall: Workspace) -> None:
    told = review(hall)
    for row, relevant in SOME.items():
        told.answer(row, relevant, "ada")
    app = review_page(AUTUMN)
    press(app, "Compare with the other campaigns")
    assert "Trained on **spring**" in words(app)


def test_reviewers_and_truth(hall: Workspace) -> None:
    told = review(hall)
    for row, relevant in SOME.items():
        told.answer(row, relevant, "ada")
        told.answer(row, relevant or row == 10, "grace")
    first, end = OPEN[SPRING][0]
    known = Label(
        CASE,
        SPRING,
        START[SPRING].date(),
        recording_of(SPRING, first),
        first * 1_000_000,
        end * 1_000_000,
        True,
        "staged",
        role="truth",
    )
    say_labels(hall.ledger, [known])
    text = words(review_page())
    assert "**ada** and **grace**: 6 moments labelled by both" in text
    assert "grace says relevant, ada says not" in text
    assert "of the true moments seen in" in text


def test_pictures_that_are_gone_are_told_and_labels_still_work(hall: Workspace) -> None:
    app = review_page()
    assert app.warning
    press(app, "Relevant")
    assert len(review(hall).labels()) == 1


def test_a_link_opens_the_moment(hall: Workspace) -> None:
    moment = START[SPRING].replace(minute=2, second=0, microsecond=500_000)
    app = page(campaign=SPRING, camera=CAMERA, region=REGION, use_case=CASE.name, at=moment.isoformat())
    assert app.session_state["review_shown"] == 120


def test_search_by_a_moment_finds_the_others(hall: Workspace) -> None:
    app = page(
        "search", by="moment", camera=CAMERA, region=REGION, day=START[SPRING].date().isoformat(), time="08:01:50"
    )
    assert "the most alike first" in words(app)
    app.text_input(key="search_time").set_value("tomorrow").run()
    assert "is no time of day" in app.error[0].value


def test_search_by_words_says_what_it_needs(hall: Workspace) -> None:
    app = page("search", by="words")
    app.text_input(key="search_text").set_value("a cask").run()
    assert "no encoder of this site understands words" in app.error[0].value


def test_search_by_event_without_events(hall: Workspace) -> None:
    assert "There is no event yet." in words(page("search", by="event"))
