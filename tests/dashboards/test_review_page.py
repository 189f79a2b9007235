"""The review page in its states: nothing named, one example, two classes, an audit, two reviewers, a saved head."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from infra.errors import LakeError
from infra.settings import SETTINGS_FILE
from lake.labels import Label, say_labels
from lake.promotions import history, in_service
from tests.dashboards.test_dashboard_pages import APP, words
from tests.workspace.hall import AUTUMN, CAMERA, CASE, OPEN, REGION, SPRING, START, make_hall, recording_of, review
from workspace.heads import save_review
from workspace.opened import Workspace
from workspace.progress import progress_of
from workspace.session import Review

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


def tab(app: AppTest, name: str) -> AppTest:
    app.session_state["review_tab"] = name
    app.run()
    assert not app.exception, app.exception
    return app


def label_some(hall: Workspace, author: str = "ada") -> Review:
    told = review(hall)
    for row, relevant in SOME.items():
        told.answer(row, relevant, author)
    return told


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
    assert progress_of(review(hall), review(hall).ranking()).looked == 1


def test_moments_audit_head(hall: Workspace) -> None:
    told = review(hall)
    for row, relevant in SOME.items():
        told.answer(row, relevant, "ada")
    app = review_page()
    assert f"Moments found: {len(OPEN[SPRING])}" in words(app)
    assert any("moments**" in str(one.value) for one in app.markdown)
    press(tab(app, "Audit"), "Draw a sample")
    app.selectbox(key="review_order").set_value("audit").run()
    press(app, "Not relevant")
    assert "Missed at most: ≤" in words(app)
    (missed,) = [one for one in app.metric if one.label == "Missed at most"]
    assert "of the slices that were not flagged" in missed.help
    assert "the head as it was then" in missed.help
    press(tab(app, "Head"), "Save and put into service")
    assert "is in service" in words(app)
    assert list(in_service(hall.ledger, "retrieval")) == ["hall-east.hatch.hatch open"]
    press(app, "Retire")
    assert in_service(hall.ledger, "retrieval") == {}
    assert "No version is in service" in words(app)
    assert not [one for one in app.button if one.label == "Put into service"], "retired versions are shown on demand"
    app.toggle(key="review_every_head").set_value(True).run()
    press(app, "Put into service")
    assert list(in_service(hall.ledger, "retrieval")) == ["hall-east.hatch.hatch open"]


def test_a_second_head_of_a_use_case_is_a_candidate(hall: Workspace) -> None:
    told = label_some(hall)
    save_review(told, told.ranking(), "ada")
    ((name, first),) = in_service(hall.ledger, "retrieval").items()
    told.answer(510, True, "ada")
    app = tab(review_page(), "Head")
    press(app, "Save as a candidate")
    assert in_service(hall.ledger, "retrieval") == {name: first}, "what serves stays there"
    assert "is kept, candidate" in words(app)
    assert not [one for one in app.button if one.label == "Put into service"]
    app.toggle(key="review_every_head").set_value(True).run()
    assert ":blue-badge[candidate]" in words(app)
    (button,) = [one for one in app.button if one.label == "Put into service"]
    assert button.disabled, "nobody has signed what it would change"
    (reason,) = [one for one in app.text_input if one.label == "Reason"]
    reason.set_value("the first was a draft").run()
    press(app, "Put into service unreviewed")
    assert in_service(hall.ledger, "retrieval")[name] != first
    assert history(hall.ledger, "retrieval", name)[-1].review.unreviewed == "the first was a draft"


def test_another_campaign_is_compared(hall: Workspace) -> None:
    told = review(hall)
    for row, relevant in SOME.items():
        told.answer(row, relevant, "ada")
    app = review_page(AUTUMN)
    press(tab(app, "Measures"), "Compare with the other campaigns")
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
    app = review_page()
    text = words(tab(app, "Reviewers"))
    assert "**ada** and **grace**: 6 moments labelled by both" in text
    assert "grace says relevant, ada says not" in text
    assert "of the true moments seen in" in words(tab(app, "Measures"))


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


def test_take_back_means_what_was_chosen(hall: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit as st

    told = review(hall)
    told.answer(110, True, "ada")
    # A browser chooses the first row.
    monkeypatch.setattr(st, "dataframe", lambda *_, **__: SimpleNamespace(selection={"rows": [0]}))
    app = tab(review_page(), "Labels")
    told.answer(200, False, "grace")
    press(app, "Take back")
    assert [(label.author, label.relevant) for label in told.labels()] == [("grace", False)]


def test_only_the_tab_that_is_open_is_computed(hall: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards.app_pages import review_head, review_measures

    asked: list[str] = []

    def listen(module: Any, name: str) -> None:
        right = getattr(module, name)

        def heard(*given: Any) -> Any:
            asked.append(name)
            return right(*given)

        monkeypatch.setattr(module, name, heard)

    listen(review_measures, "agreements")
    listen(review_measures, "own_curve")
    listen(review_head, "heads_of")
    label_some(hall)
    app = press(review_page(), "Relevant")
    assert asked == []
    tab(app, "Measures").run()
    assert asked == ["own_curve"]
    press(app, "Relevant")
    assert asked == ["own_curve"] * 2
    tab(tab(app, "Reviewers"), "Head")
    assert asked[2:] == ["agreements", "heads_of"]


def test_a_curve_of_no_points_says_why(hall: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards.app_pages import review_measures

    monkeypatch.setattr(review_measures, "own_curve", lambda *_: ([], None, ""))
    app = tab(review_page(), "Measures")
    assert any("too few labels" in one.value for one in app.caption)
    assert all(one.value for one in app.caption)


def test_what_was_looked_at_in_another_review_is_forgotten(hall: Workspace) -> None:
    app = press(review_page(), "Skip")
    skipped = list(app.session_state["review_skipped"])
    assert skipped
    assert app.session_state["review_visited"]
    app.run()
    assert app.session_state["review_skipped"] == skipped
    # A link changes the address, and no selector.
    app.query_params["campaign"] = AUTUMN
    app.run()
    assert app.session_state["review_skipped"] == []
    assert "review_visited" not in app.session_state


def test_a_link_of_the_same_moment_leads_there_in_another_review_too(hall: Workspace) -> None:
    at = (START[SPRING] + timedelta(seconds=120.5)).isoformat()
    app = page(campaign=SPRING, camera=CAMERA, region=REGION, use_case=CASE.name, at=at)
    press(app, "Skip")
    assert app.session_state["review_shown"] != 120
    app.query_params["use_case"] = "hatch ajar"
    app.run()
    assert app.session_state["review_shown"] == 120


@pytest.mark.parametrize(
    ("method", "button"), [("answer", "Relevant"), ("look", "Skip"), ("undo", "Undo")], ids=["answer", "skip", "undo"]
)
def test_what_cannot_be_saved_is_told(
    hall: Workspace, monkeypatch: pytest.MonkeyPatch, method: str, button: str
) -> None:
    app = review_page()
    shown = app.session_state["review_shown"]

    def fail(*_: object) -> None:
        raise LakeError("the disk is full")

    monkeypatch.setattr(Review, method, fail)
    press(app, button)
    assert "the disk is full" in app.error[0].value
    assert app.session_state["review_shown"] == shown
    app.run()
    assert not app.error


def test_without_a_name_nothing_is_said(hall: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards.app_pages import shared

    label_some(hall)
    monkeypatch.setattr(shared, "_login", lambda: "")
    app = review_page()
    assert "Say who you are" in app.error[0].value
    closed = {button.label for button in app.button if button.disabled}
    assert {"Relevant", "Not relevant", "Skip", "Undo"} <= closed
    assert {"Save and put into service"} <= {button.label for button in tab(app, "Head").button if button.disabled}
    assert {"Draw a sample"} <= {button.label for button in tab(app, "Audit").button if button.disabled}


def test_names_are_shown_letter_by_letter(hall: Workspace) -> None:
    told = label_some(hall, "ada*lovelace*")
    for row in SOME:
        told.answer(row, True, "grace")
    text = words(tab(review_page(), "Reviewers"))
    assert r"**ada\*lovelace\*** and **grace**" in text
    assert r"grace says relevant, ada\*lovelace\* says not" in text


def test_many_conflicts_are_counted(hall: Workspace) -> None:
    from dashboards.app_pages.review_measures import MOST_CONFLICTS

    told = review(hall)
    rows = [int(row) for row in range(5, 600, 18)]
    for row in rows:
        told.answer(row, True, "ada")
        told.answer(row, False, "grace")
    app = tab(review_page(), "Reviewers")
    shown = [button for button in app.button if str(button.key).startswith("review_conflict")]
    assert len(shown) == MOST_CONFLICTS
    assert "more on which they differ" in words(app)


def test_an_encoder_that_was_added_is_searched_by(hall: Workspace) -> None:
    link = {"camera": CAMERA, "region": REGION, "day": START[SPRING].date().isoformat(), "time": "08:01:50"}
    settings = hall.site.root / SETTINGS_FILE
    before = settings.read_text().replace("[novelty]", "[novelty]\nencoder = 'handcrafted/appearance'")
    table = '[[encoders]]\nname = "handcrafted/motion"\n'
    assert table in before
    settings.write_text(before.replace(table, ""))
    app = page("search", by="moment", **link)
    assert not app.error, app.error[0].value
    settings.write_text(before)
    app.run()
    app.selectbox(key="search_encoder").set_value("handcrafted/motion").run()
    (told,) = app.error
    # It is known, although nothing is embedded by it yet.
    assert "is in space handcrafted-motion" in told.value


def test_labels_whose_moment_is_not_embedded_are_told(hall: Workspace) -> None:
    gone = Label(CASE, SPRING, START[SPRING].date(), "another recording", 0, 1_000_000, True, "ada")
    say_labels(hall.ledger, [gone])
    app = tab(review_page(), "Labels")
    assert any("1 label of this campaign" in str(one.value) for one in app.warning)
