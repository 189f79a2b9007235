"""The Models page: kinds, names and versions, cards in words, the sweep with its slider, service."""

import json
import re
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from dashboards.model_cards import sections_of
from dashboards.model_charts import (
    IN_USE,
    STEPS,
    TRIED,
    Place,
    confusion_table,
    cost_chart,
    precision_recall_chart,
    roc_chart,
    spread,
    threshold_steps,
    threshold_text,
    thresholds_chart,
)
from dashboards.model_queries import read_model
from infra.site import Site
from lake.operating_points import OperatingPoint, operating_points_now, say_operating_point
from lake.promotions import in_service, promote
from lake.registry import Registry
from models.sweep import F2, Confusion, sweep
from tests.dashboards.alarmed_site import (
    ACTIONS,
    FIGHTS,
    NEW,
    OLD,
    ONLY,
    find_alarms,
    keep_classifiers,
    set_alarms,
)
from tests.dashboards.judged_site import keep_reasons
from tests.dashboards.small_site import CAMERA, OTHER, Workspace
from tests.dashboards.test_anomalies_page import figure, press
from tests.dashboards.test_dashboard_pages import APP, words
from tests.workspace.made_segments import fit as fit_segments
from tests.workspace.signed import signed
from workspace.classifiers import find_classifier, recommended, sweep_of
from workspace.opened import Workspace as Opened
from workspace.segment_parts import Parts
from workspace.segment_scores import sweep_on_test
from workspace.serving import versions_in_service

Show = Callable[[Workspace], None]
POINT = (FIGHTS, OLD, "fight")
UNVALIDATED: Parts = {"a": "train", "b": "train", "c": "train", "d": "train", "e": "test", "f": "test"}


@pytest.fixture
def kept(empty_site: Workspace, shown: Show) -> Workspace:
    """Classifiers in the registry, their alarms in the settings; nothing has run."""
    st.cache_data.clear()
    workspace = set_alarms(empty_site)
    keep_classifiers(workspace)
    shown(workspace)
    return workspace


def page(**params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page("app_pages/models.py")
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def button(app: AppTest, label: str) -> Any:
    (found,) = [one for one in app.button if one.label == label]
    return found


def serve_unreviewed(app: AppTest, reason: str = "a test") -> AppTest:
    """Put the version that is looked at into service without a flip report."""
    app.text_input(key="models_reason").set_value(reason).run()
    return press(app, "Put into service unreviewed")


def options(app: AppTest, label: str) -> list[str]:
    (found,) = [one for one in app.selectbox if one.label == label]
    return [str(option) for option in found.options]


def tried(app: AppTest) -> float:
    (slider,) = app.select_slider
    return float(str(slider.value))


def move(app: AppTest, threshold: float) -> AppTest:
    (slider,) = app.select_slider
    slider.set_value(min(map(float, slider.options), key=lambda step: abs(step - threshold))).run()
    assert not app.exception, app.exception
    return app


def swept(workspace: Workspace, name: str = FIGHTS, version: str = OLD, class_name: str = "fight") -> Any:
    work = Opened(workspace.root)
    return sweep_of(work, find_classifier(work, name, version), class_name)


# What there is.


def test_every_kind_name_and_version_is_there_the_one_in_service_first(kept: Workspace) -> None:
    registry = Registry(kept.site.models_folder)
    registry.save(
        "novelty",
        CAMERA,
        "n1",
        {"camera": CAMERA, "region": "frame", "usable": True, "detector": "knn"},
        {},
        author="ada",
    )
    registry.save("guess", "new kind", "g1", {"anything": 1}, {}, author="ada")
    app = page(name=FIGHTS)
    assert options(app, "Version") == [one for one in options(app, "Version") if one.startswith(OLD)]
    app.toggle(key="models_every").set_value(True).run()
    assert options(app, "Kind") == ["Classifiers (2)", "Novelty heads (1)", "guess (1)"]
    assert options(app, "Name") == [ACTIONS, FIGHTS]
    first, second = options(app, "Version")
    assert first.startswith(OLD)
    assert first.endswith("in service")
    assert second.startswith(NEW), "older versions after newer ones, but for the one that serves"
    app = page(kind="novelty")
    assert "detector &ensp; knn" in words(app).replace("]", "").replace(":gray[", "")
    assert not app.select_slider
    assert not [one for one in app.button if one.label in ("Put into service", "Retire")]
    assert "new kind" in words(page(kind="guess"))


def test_a_card_is_told_in_words(kept: Workspace) -> None:
    text = re.sub(r":gray\[([^]]*)\] &ensp; ", r"\1: ", words(page(name=FIGHTS)).replace("\\", ""))
    for line in (
        "clips: 30 calm, 30 fight",
        "source videos: 20",
        "left out: 1 file",
        "handcrafted/motion: snippets, as they are",
        "finds: fight",
        "beside: calm (normal)",
        "hidden: 512",
        "epochs run: 10",
        "who: ada",
        "when: Sun 1 Mar 2026, 10:00",
        "torch: 2.15.0",
    ):
        assert line in text, line


def test_cards_of_every_kind_are_told_without_what_they_lack(kept: Workspace) -> None:
    cards: dict[str, dict[str, Any]] = {
        "retrieval": {
            "use_case": {"camera": CAMERA, "region": "hatch", "name": "hatch open"},
            "labels": {"relevant": 4, "irrelevant": 6, "said": 12, "campaigns": ["spring"]},
            "metrics": {"accuracy": 0.91234, "note": "cross-validated", "by_day": {"a": 1}},
            "author": "ada",
        },
        "novelty": {"usable": False, "remark": "too few snippets"},
        "projection": {
            "data": {"classes": {"run": 3, "fall": 2}, "sources": {"training": ["a", "b"], "held_out": ["c"]}},
            "metrics": {"silhouette": {"classes": {"raw": 0.1, "trained": 0.53}, "views": {"raw": None}}},
            "epochs": [{}, {}],
            "best_epoch": 1,
        },
        "autoencoder": {
            "architecture": "hasan",
            "is_the_papers_size": False,
            "footage": {"seconds": 3720.0, "sources": 2, "cuboids": 1200, "held_out_cuboids": 40},
            "held_out_scores": {"0.5": 1.25},
        },
    }
    told = {}
    registry = Registry(kept.site.models_folder)
    for kind, card in cards.items():
        registry.save(kind, "one", "v1", card, {}, author="ada")
        model = read_model(registry, kind, "one", "v1")
        told[kind] = {label: text for part in sections_of(model, kept.site.settings.zone) for label, text in part.lines}
        assert "when" in told[kind], "as written, where the card does not say"
        page(kind=kind)
    assert told["retrieval"]["slices"] == "4 relevant, 6 irrelevant"
    assert told["retrieval"]["looks for"] == "hatch open"
    assert told["retrieval"]["accuracy"] == "0.9123"
    assert "by day" not in told["retrieval"]
    assert told["novelty"]["usable"] == "no"
    assert told["novelty"]["remark"] == "too few snippets"
    assert told["projection"]["sources"] == "1 held out, 2 training"
    assert told["projection"]["silhouette by classes"] == "raw 0.100, trained 0.530"
    assert "silhouette by views" not in told["projection"]
    assert told["projection"]["epochs run"] == "2, the best was number 1"
    assert told["autoencoder"]["architecture"] == "hasan, smaller than the paper’s"
    assert told["autoencoder"]["footage"] == "1 h 02 min"


def test_a_version_tells_the_nights_that_it_has_scored(full_site: Workspace, shown: Show) -> None:
    keep_reasons(full_site)  # registers the head that scored both cameras
    workspace = set_alarms(full_site)
    keep_classifiers(workspace)
    find_alarms(workspace)
    shown(workspace)
    assert "Its scores count for 3 nights of cameras, the newest Mon 2 Mar 2026" in words(page(name=FIGHTS))
    assert "Its scores count for 2 nights of cameras" in words(page(kind="novelty"))
    assert "Its scores count" not in words(page(name=FIGHTS, version=NEW))


def test_an_empty_registry_says_how_models_come_about(empty_site: Workspace, shown: Show) -> None:
    shown(empty_site)
    assert "afterwatch fit classifier --data CLIPS --name fights --site" in words(page())


# Service.


def test_a_candidate_is_put_into_service_and_retired(kept: Workspace) -> None:
    app = page(name=FIGHTS, version=NEW)
    assert ":blue-badge[candidate]" in words(app)
    assert button(app, "Put into service").disabled
    assert "sign a flip report between the two first" in button(app, "Put into service").help
    serve_unreviewed(app, "nobody had time")
    assert in_service(kept.ledger, "classifier", "")[FIGHTS] == NEW
    assert ":green-badge[in service]" in words(app)
    assert kept.ledger.rows("promotions").to_pylist()[-1]["author"] == app.session_state["author"]
    press(app, "Retire")
    assert FIGHTS not in in_service(kept.ledger, "classifier", "")
    assert "No version is in service" in words(app)


def test_a_retrieval_head_is_served_for_its_camera(kept: Workspace) -> None:
    registry, case = Registry(kept.site.models_folder), {"camera": CAMERA, "region": "frame", "name": "busy"}
    for version in ("v1", "v2"):
        registry.save("retrieval", f"{CAMERA}.frame.busy", version, {"use_case": case}, {}, author="ada")
    promote(kept.ledger, "retrieval", f"{CAMERA}.frame.busy", "v1", "ada", CAMERA)
    serve_unreviewed(page(kind="retrieval", version="v2"))
    assert in_service(kept.ledger, "retrieval", CAMERA) == {f"{CAMERA}.frame.busy": "v2"}
    assert versions_in_service(Opened(kept.root), "novelty") == {}


def test_retiring_is_said_for_the_camera_of_the_version_that_serves(kept: Workspace) -> None:
    registry = Registry(kept.site.models_folder)
    for version, camera in (("v1", CAMERA), ("v2", OTHER)):
        registry.save("retrieval", "busy", version, {"use_case": {"camera": camera, "name": "busy"}}, {}, author="ada")
    promote(kept.ledger, "retrieval", "busy", "v1", "ada", CAMERA)
    press(page(kind="retrieval", version="v2"), "Retire")
    said = kept.ledger.rows("promotions").to_pylist()[-1]
    assert (said["key"], said["camera"]) == ("retrieval/busy", CAMERA)
    assert in_service(kept.ledger, "retrieval") == {}


def test_a_version_that_is_gone_meanwhile_is_not_put_into_service(kept: Workspace) -> None:
    app = page(name=FIGHTS, version=NEW)
    app.text_input(key="models_reason").set_value("a test").run()
    shutil.rmtree(kept.site.models_folder / "classifier" / FIGHTS / NEW)
    press(app, "Put into service unreviewed")
    assert in_service(kept.ledger, "classifier", "")[FIGHTS] == OLD
    assert f'unknown version of classifier {FIGHTS} "{NEW}"' in words(app).replace("\\", "")


def test_what_serves_is_shown_and_the_rest_on_demand(kept: Workspace) -> None:
    registry = Registry(kept.site.models_folder)
    registry.save("classifier", "waiting", "v1", registry.card("classifier", FIGHTS, OLD), {}, author="ada")
    app = page()
    assert options(app, "Name") == [ACTIONS, FIGHTS], "of what never served nothing is shown"
    app.toggle(key="models_every").set_value(True).run()
    assert options(app, "Name") == [ACTIONS, FIGHTS, "waiting"]
    app = page(name=FIGHTS, version=NEW)
    assert app.toggle(key="models_every").value, "a link to a candidate shows it"
    assert options(app, "Version")[1].endswith("candidate")
    app.toggle(key="models_every").set_value(False).run()
    assert not app.exception and len(options(app, "Version")) == 1
    assert ":green-badge[in service]" in words(app)


def test_where_nothing_serves_it_is_said_how_to_see_the_rest(empty_site: Workspace, shown: Show) -> None:
    st.cache_data.clear()
    Registry(empty_site.site.models_folder).save("autoencoder", "hasan.hall", "v1", {}, {}, author="ada")
    shown(empty_site)
    assert "Nothing is in service" in words(page())


def test_a_signed_report_lets_a_candidate_through_and_the_history_tells(kept: Workspace) -> None:
    work = Opened(kept.root)
    signature = signed(work, FIGHTS, OLD, NEW)
    app = page(name=FIGHTS, version=NEW)
    assert not [one for one in app.button if one.label == "Put into service unreviewed"]
    assert button(app, "Put into service").help == "grace has signed its flip report"
    press(app, "Put into service")
    assert in_service(kept.ledger, "classifier", "")[FIGHTS] == NEW
    (table,) = [one.value for one in app.dataframe if "signed by" in one.value.columns]
    assert table["signed by"].tolist() == ["grace", "–"]
    assert table["why"].tolist()[0] == f"flip report {signature.report_id}"
    press(app, f"Roll back to {OLD[:12]}")
    assert in_service(kept.ledger, "classifier", "")[FIGHTS] == OLD
    assert ":green-badge[in service]" in words(app)
    assert [one for one in app.button if one.label.startswith("Roll back")] == [], "nothing served before it"


def test_somebody_else_was_quicker_to_roll_back(kept: Workspace) -> None:
    promote(kept.ledger, "classifier", FIGHTS, NEW, "ada", "", before=OLD)
    app = page(name=FIGHTS)
    promote(kept.ledger, "classifier", FIGHTS, OLD, "bob", "", before=NEW, rolled_back=True)
    press(app, f"Roll back to {OLD[:12]}")
    assert in_service(kept.ledger, "classifier", "")[FIGHTS] == OLD
    assert len(kept.ledger.rows("promotions").to_pylist()) == 4
    assert "meanwhile somebody else" in words(app)


# The sweep.


def test_one_begins_at_the_threshold_in_use(kept: Workspace) -> None:
    app = page(name=FIGHTS)
    work = Opened(kept.root)
    point = recommended(find_classifier(work, FIGHTS, OLD), "fight")
    assert tried(app) == point.threshold
    confusion = swept(kept).at(point.threshold)
    assert figure(app, "Recall") == f"{confusion.recall:.3f}"
    assert figure(app, "Precision") == f"{confusion.precision:.3f}"
    assert figure(app, "F2") == f"{confusion.f_beta(2):.3f}"
    assert figure(app, "Cost") == f"{confusion.false_positives + 5 * confusion.false_negatives}"
    assert "as the model’s card recommends" in words(app)
    assert "it counts for all days of fight" in words(app)


@pytest.mark.parametrize("lacking", ["fold.truth", "fold.scores"])
def test_one_without_scores_says_so_and_the_rest_of_the_page_is_there(kept: Workspace, lacking: str) -> None:
    registry = Registry(kept.site.models_folder)
    card, arrays = registry.load("classifier", FIGHTS, OLD)
    left = {name: value for name, value in arrays.items() if name != lacking}
    registry.save("classifier", "bare", "v1", card, left, author="ada")
    told = words(page(kind="classifier", name="bare", version="v1")).replace("\\", "")
    assert "There is no sweep: the scores of classifier bare v1 are damaged" in told and "fit it again" in told
    assert "clip-" not in told and "handcrafted/motion" in told


def test_the_threshold_of_a_candidate_is_in_use_nowhere(kept: Workspace) -> None:
    app = move(page(name=FIGHTS, version=NEW), 0.9)
    text = words(app).replace("\\", "")
    assert "Of this version: **" in text
    assert "A candidate: it counts for fight once this version is in service" in text
    assert "the candidate’s own" in text
    assert "in use" not in text.lower()
    serve_unreviewed(app)
    text = words(move(app, 0.9)).replace("\\", "")
    assert "In use: **" in text
    assert "it counts for all days of fight" in text
    assert "candidate" not in text


def test_an_alarm_that_names_a_version_goes_by_it_in_service_or_not(kept: Workspace) -> None:
    settings = kept.root / "afterwatch.toml"
    told = settings.read_text(encoding="utf-8")
    settings.write_text(told.replace(f'classifier = "{FIGHTS}"', f'classifier = "{FIGHTS}/{NEW}"'), encoding="utf-8")
    text = words(page(name=FIGHTS, version=NEW)).replace("\\", "")
    assert "In use: **" in text
    assert "it counts for all days of fight" in text
    assert "No [[alarms]] of the settings looks for it yet" in words(page(name=FIGHTS)).replace("\\", "")


def test_an_alarm_that_leaves_open_which_class_it_means_is_claimed_by_none(kept: Workspace) -> None:
    settings = kept.root / "afterwatch.toml"
    told = settings.read_text(encoding="utf-8")
    settings.write_text(told.replace('class_name = "falling"\n', ""), encoding="utf-8")
    for class_name in ("running", "falling"):
        text = words(page(name=ACTIONS, **{"class": class_name})).replace("\\", "")
        assert "No [[alarms]] of the settings looks for it yet" in text


def test_what_a_moved_threshold_costs_is_told_as_it_is(kept: Workspace) -> None:
    text = words(page(name=FIGHTS))
    assert "reads the stored vectors again and applies the head to them" in text
    assert "stored scores" not in text


def test_moving_the_slider_tells_before_and_after(kept: Workspace) -> None:
    app = page(name=FIGHTS)
    before = tried(app)
    after = tried(move(app, 0.9))
    was, will = figure(app, "Recall").split(" → ")
    assert float(will) < float(was)
    assert [was, will] == [f"{swept(kept).at(at).recall:.3f}" for at in (before, after)]
    table = "".join(str(one.proto.body) for one in app.get("html"))
    assert f'{swept(kept).at(after).false_negatives}</span><span style="font-size:0.8rem;opacity:0.85">missed' in table
    assert operating_points_now(kept.ledger) == {}


def test_criteria_put_the_slider_where_they_say(kept: Workspace) -> None:
    app = page(name=FIGHTS)
    press(app, "Recall at least 0.8")
    assert float(figure(app, "Recall").split(" → ")[-1]) >= 0.8
    app.number_input(key="models_false").set_value(100.0).run()
    press(app, "Least cost")
    assert swept(kept).at(tried(app)).false_positives == 0
    app.number_input(key="models_beta").set_value(0.5).run()
    press(app, "Best F0.5")
    best = max(value for value in swept(kept).f_beta(0.5).tolist() if value == value)
    assert float(figure(app, "F0.5").split(" → ")[-1]) == pytest.approx(best, abs=5e-4)
    for field in ("models_false", "models_missed"):
        app.number_input(key=field).set_value(0.0).run()
    (least,) = [one for one in app.button if one.label == "Least cost"]
    assert least.disabled


def test_a_threshold_is_kept_with_who_chose_it_and_by_what(kept: Workspace) -> None:
    app = page(name=FIGHTS)
    press(app, "Recall at least 0.8")
    chosen = tried(app)
    press(app, f"Use {threshold_text(chosen)}")
    point = operating_points_now(kept.ledger)[POINT]
    assert point.threshold == chosen
    assert point.criterion == "recall 0.8"
    assert point.author == app.session_state["author"]
    assert "the most precise with a recall of at least 0.8, said by" in words(app).replace("\\", "")
    move(app, 0.75)
    press(app, f"Use {threshold_text(tried(app))}")
    assert operating_points_now(kept.ledger)[POINT].criterion == "chosen"
    assert "put there by hand" in words(app)
    press(app, "Back to the recommendation")
    assert operating_points_now(kept.ledger) == {}
    assert "nobody has chosen another" in words(app)


def test_a_recommendation_can_be_taken_over_as_it_is(kept: Workspace) -> None:
    app = page(name=FIGHTS)
    press(app, f"Use {threshold_text(tried(app))}")
    assert operating_points_now(kept.ledger)[POINT].criterion == F2.words


def test_a_point_that_somebody_said_meanwhile_is_where_one_begins(kept: Workspace) -> None:
    app = move(page(name=FIGHTS), 0.9)
    say_operating_point(kept.ledger, OperatingPoint(*POINT, 0.123456, "chosen", "bob"))
    app.run()
    assert tried(app) == 0.123456
    assert "said by bob" in words(app)


def test_each_class_has_a_threshold_of_its_own(kept: Workspace) -> None:
    app = page(name=ACTIONS, **{"class": "falling"})
    assert "fall (0.7) has a threshold of its own" in words(app).replace("\\", "")
    move(app, 0.8)
    press(app, f"Use {threshold_text(tried(app))}")
    assert set(operating_points_now(kept.ledger)) == {(ACTIONS, ONLY, "falling")}
    assert "No [[alarms]] of the settings looks for it yet" in words(page(name=ACTIONS)).replace("\\", "")


def test_what_is_told_wrong_is_named(kept: Workspace) -> None:
    app = move(page(name=FIGHTS), 0.9)
    missed = swept(kept).at(tried(app)).false_negatives
    frames = [frame.value for frame in app.dataframe if list(frame.value) == ["clip", "probability"]]
    assert len(frames[0]) == missed
    assert frames[0]["probability"].is_monotonic_increasing
    assert (frames[0]["probability"] <= tried(app)).all()


def test_without_an_author_nothing_is_changed(kept: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError

    monkeypatch.setattr("getpass.getuser", nobody)
    app = move(page(name=FIGHTS, version=NEW), 0.9)
    buttons = [one for one in app.button if one.label.startswith(("Use", "Put into", "Retire", "Back to"))]
    assert len(buttons) == 5
    assert all(one.disabled for one in buttons)


# Segment classifiers.


def test_a_segment_classifier_is_swept_on_validation_and_told_on_the_test_part(kept: Workspace) -> None:
    work = Opened(kept.root)
    fitted = fit_segments(work)
    found = find_classifier(work, fitted.name, fitted.version)
    app = page(name="trouble")
    text = words(app).replace("\\", "")
    assert "on 12 segments of the validation part, 2 of the class" in text
    tested = sweep_on_test(work, found, "anomaly")
    assert tested is not None
    told = tested.at(0.5)
    assert f"At 0.5 on the test part, 12 segments of other videos: precision {told.precision:.3f}, " in text
    assert "Test part" in text and "Out of fold" not in text
    move(app, 0.99)
    assert "At 0.5 on the test part" in words(app), "what is only tried is not told there"
    confusion = sweep_of(work, found, "anomaly").at(tried(app))
    assert f"{confusion.false_negatives} missed segments" in "".join(one.label for one in app.expander)
    frames = [frame.value for frame in app.dataframe if list(frame.value) == ["clip", "probability"]]
    assert set(frames[0]["clip"]) <= {"c from 0.00 s", "c from 3.00 s"}
    press(app, f"Use {threshold_text(tried(app))}")
    assert f"At {threshold_text(tried(app))} on the test part" in words(app)


def test_a_segment_classifier_without_validation_says_what_it_is_swept_on(kept: Workspace) -> None:
    fit_segments(Opened(kept.root), parts=UNVALIDATED)
    text = words(page(name="trouble"))
    assert "of the test part, for there is no validation part" in text
    assert "At 0.5 on the test part" not in text


# Charts.


@given(
    scores=some.lists(some.floats(0, 1, width=32), min_size=1, max_size=60),
    also=some.floats(0.001, 0.999),
)
def test_steps_rise_read_differently_and_hold_what_is_asked(scores: list[float], also: float) -> None:
    truth = np.arange(len(scores)) % 2 == 0
    steps = threshold_steps(sweep(truth, np.array(scores)), (also,))
    assert also in steps
    assert all(0 < step < 1 for step in steps)
    assert steps == sorted(steps)
    assert len({threshold_text(step) for step in steps}) == len(steps)


def test_of_many_thresholds_some_are_offered() -> None:
    rng = np.random.default_rng(0)
    steps = threshold_steps(sweep(rng.random(20_000) < 0.5, rng.random(20_000)), (0.5,))
    assert len(steps) <= STEPS + 20
    assert spread(7, 10).tolist() == list(range(7))
    assert spread(1000, 5).tolist() == [0, 250, 500, 749, 999]


def charts() -> tuple[Any, list[Place]]:
    truth, scores = np.array([1, 1, 0, 0], dtype=bool), np.array([0.9, 0.4, 0.6, 0.1])
    mine = sweep(truth, scores)
    return mine, [Place(0.5, IN_USE, mine.at(0.5)), Place(0.3, TRIED, mine.at(0.3))]


def test_charts_hold_the_curves_and_the_points_on_them() -> None:
    mine, places = charts()
    drawn = precision_recall_chart(mine, places).to_dict()
    rows = [row for rows in drawn["datasets"].values() for row in rows]
    curve = sorted((row["order"], row["x"], row["y"]) for row in rows if "order" in row)
    assert [(x, y) for _, x, y in curve] == [(0.5, 1.0), (0.5, 0.5), (1.0, pytest.approx(2 / 3)), (1.0, 0.5)]
    told = {row["told"]: (row["x"], row["y"]) for row in rows if "told" in row}
    assert told == {"in use 0.5": (0.5, 0.5), "this threshold 0.3": (1.0, pytest.approx(2 / 3))}
    roc = [row for rows in roc_chart(mine, places).to_dict()["datasets"].values() for row in rows]
    assert {row["told"]: (row["x"], row["y"]) for row in roc if "told" in row} == {
        "in use 0.5": (0.5, 0.5),
        "this threshold 0.3": (0.5, 1.0),
    }
    lines = [row for rows in thresholds_chart(mine, places, 2.0).to_dict()["datasets"].values() for row in rows]
    assert {row["what"] for row in lines if "what" in row} == {"precision", "recall", "F2"}
    costs = [row for rows in cost_chart(mine, places, 1.0, 5.0).to_dict()["datasets"].values() for row in rows]
    assert min(row["cost"] for row in costs if "cost" in row) == 1.0
    assert max(row["cost"] for row in costs if "cost" in row) == 10.0


def test_a_point_without_a_precision_is_left_out() -> None:
    mine, _ = charts()
    nothing = Place(0.99, TRIED, mine.at(0.99))
    assert "this threshold" not in json.dumps(precision_recall_chart(mine, [nothing]).to_dict())


def test_the_confusion_matrix_is_text_and_nothing_else() -> None:
    table = confusion_table(Confusion(3, 1, 0, 6), "<b>fight</b>")
    assert "&lt;b&gt;fight&lt;/b&gt;" in table
    assert "<b>" not in table
    assert "found: 3, 100% of its row" in table
    assert "false alarms: 1, 14% of its row" in table
    assert "missed: 0, 0% of its row" in table


def test_the_page_stands_on_a_class_without_a_clip(kept: Workspace) -> None:
    registry = Registry(Site.open(kept.root).models_folder)
    card = dict(registry.card("classifier", FIGHTS, OLD)) | {"classes": ["none"], "metrics": {}}
    card["thresholds"] = {"none": {"threshold": 0.5, "criterion": "cost 1 5"}}
    arrays: dict[str, Any] = {
        "fold.truth": np.zeros((60, 1), np.uint8),
        "fold.scores": np.linspace(0, 1, 60, dtype=np.float32)[:, None],
    }
    registry.save("classifier", "empty", "v1", card, arrays, author="ada")
    app = page(name="empty")
    assert figure(app, "Recall") == "–"
    assert "All clips are of one kind" in words(app)
    press(app, "Best F2")
    assert "no clip is of the class" in words(app)
