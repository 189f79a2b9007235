"""What decides a camera's events beside its head: μ, a person's threshold, verdicts."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lake.keys import Place
from lake.labels import Label, UseCase, say_labels, take_back
from lake.thresholds import ThresholdChoice, say_threshold
from tasks.report import expected_alarms_of
from tasks.step_plans import DaySteps
from tasks.steps import plan_camera
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, NORTH, TUESDAY, configure, run
from tests.tasks.planned import keys_of, plan, steps_of
from tests.tasks.staged import HALL, SNIPPET_S, Staged, days, small, unusual, usual
from workspace.opened import Workspace

SECOND = 1_000_000
SNIPPET = round(SNIPPET_S * SECOND)
THURSDAY = MONDAY + timedelta(days=3)


def verdict(day: date, first: int, last: int, confirmed: bool, region: str = "frame") -> Label:
    """On snippets `first` to `last` of the first recording of a staged day."""
    case = UseCase(HALL, region, "novelty")
    return Label(case, "demo", day, f"{day.isoformat()}-0", first * SNIPPET, (last + 1) * SNIPPET, confirmed, "ann")


def choose(workspace: Workspace, deviations: float | None, camera: str = HALL, region: str = "frame") -> None:
    said_at = datetime.now(UTC)
    say_threshold(workspace.ledger, ThresholdChoice(camera, region, "novelty", deviations, "ann", said_at))


def staged(folder: Path, novelty: dict[str, Any] | None = None) -> Staged:
    """Two usual days, and one with five strange moments, each stranger than the one before."""
    site = Staged(folder / "site", novelty)
    site.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    site.add(TUESDAY, [(0.0, {"frame": usual(80, 2)})])
    site.add(days(3)[2], [(0.0, {"frame": unusual(usual(80, 3), 10, 25, 40, 55, 70)})])
    return site


def with_cask(vectors: NDArray[np.float32], at: int) -> NDArray[np.float32]:
    """The vectors with something that looks the same whenever it is there."""
    shown = vectors.copy()
    shown[at] = 40.0
    return shown


def fit_keys(steps: DaySteps) -> list[str]:
    return [fit.key for fit in steps.fits]


# Thresholds


def test_a_persons_threshold_alone_decides_and_fits_nothing(tmp_path: Path) -> None:
    site = staged(tmp_path)
    before = site.score()
    choose(site.workspace, 1.5)
    after = site.score()
    day = days(3)[2]
    for one in after:
        statuses = {receipt.step: receipt.status for receipt in after[one][1]}
        assert statuses["score"] == "done"
        assert statuses.get("fit", "skipped") == "skipped"
        assert fit_keys(before[one][0]) == fit_keys(after[one][0])
        assert before[one][0].unusual.path == after[one][0].unusual.path
    (standard,) = site.table(after[day][0], "standards")
    assert standard["source"] == "chosen"
    assert standard["threshold"] == pytest.approx(standard["median"] + 1.5 * standard["spread"])
    _, events = site.read(after[day][0])
    assert len(events) > 2 and all(row["alarm"] for row in events), "the budget of two only ranks"
    assert all(row["deviations"] > 1.5 for row in events)
    assert [row["deviations"] for row in events] == sorted((row["deviations"] for row in events), reverse=True)
    choose(site.workspace, None)
    back = site.score()
    assert all(receipt.status == "skipped" for _, receipts in back.values() for receipt in receipts)
    assert {one: steps.score.key for one, (steps, _) in back.items()} == {
        one: steps.score.key for one, (steps, _) in before.items()
    }


def test_a_threshold_above_everything_leaves_no_event_and_later_references_as_they_were(tmp_path: Path) -> None:
    site = staged(tmp_path)
    site.add(THURSDAY, [(0.0, {"frame": usual(60, 7)})])
    before = site.score()
    choose(site.workspace, 1e6)
    after = site.score()
    assert all(site.read(steps)[1] == [] for steps, _ in after.values())
    assert fit_keys(after[THURSDAY][0]) == fit_keys(before[THURSDAY][0])


def test_mu_replaces_the_budget_and_touches_no_fit(tmp_path: Path) -> None:
    site = staged(tmp_path)
    before = site.score()
    configured = configure(site.workspace.site.root, {"novelty": _novelty(site) | {"mu": 1.5}})
    site.workspace = small(configured)
    after = site.score()
    day = days(3)[2]
    assert fit_keys(after[day][0]) == fit_keys(before[day][0])
    assert after[day][0].score.key != before[day][0].score.key
    (standard,) = site.table(after[day][0], "standards")
    assert standard["source"] == "mu"
    width = standard["high"] - standard["low"]
    assert standard["threshold"] == pytest.approx(standard["low"] + 1.5 * width)
    scores, events = site.read(after[day][0])
    assert len(events) == 5 and all(row["alarm"] for row in events)
    flagged = [row["normalised"] for row in scores if row["flagged"]]
    assert max(flagged) > 1.5
    for row in scores:
        assert row["normalised"] == pytest.approx((row["score"] - standard["low"]) / width, abs=1e-3)
    choose(site.workspace, 1e6)
    assert site.read(site.score()[day][0])[1] == [], "a person goes before μ"


def _novelty(site: Staged) -> dict[str, Any]:
    told = site.workspace.settings.novelty.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in told.items() if name != "regions"}


def test_lambda_in_snippets_asks_for_so_many_in_a_row(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site", {"minimum_count": 4, "mu": 1.5})
    site.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    site.add(TUESDAY, [(0.0, {"frame": unusual(usual(80, 2), 10, 11, 12, 40, 41, 42, 43)})])
    _, events = site.read(site.score()[TUESDAY][0])
    assert [row["peak_us"] // SNIPPET for row in events] == [43]


# Verdicts


def test_what_was_dismissed_is_normal_from_then_on_though_it_was_an_alarm(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site", {"neighbours": 1})
    first, second, third = days(3)
    site.add(first, [(0.0, {"frame": usual(60, 5)})])
    site.add(second, [(0.0, {"frame": with_cask(usual(60, 1), 30)})])
    site.add(third, [(0.0, {"frame": with_cask(usual(60, 7), 10)})])
    told = site.score()
    _, events = site.read(told[second][0])
    assert events[0]["alarm"] and events[0]["peak_us"] // SNIPPET == 30
    assert site.read(told[third][0])[1][0]["peak_us"] // SNIPPET == 10
    say_labels(site.workspace.ledger, [verdict(second, 30, 30, False)])
    after = site.score()
    assert after[second][0].score == replace(told[second][0].score, exists=True), (
        "the day itself stays as it was judged"
    )
    assert all(row["peak_us"] // SNIPPET != 10 for row in site.read(after[third][0])[1])
    card, _ = site.workspace.registry.load("novelty", HALL, after[third][0].fits[0].key)
    assert card["verdicts"] == {"confirmed": 0, "dismissed": 1}


def test_what_was_confirmed_is_left_out_though_it_was_no_alarm(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site", {"neighbours": 1, "alarms_per_night": 1.0})
    first, second, third = days(3)
    site.add(first, [(0.0, {"frame": usual(60, 5)})])
    site.add(second, [(0.0, {"frame": unusual(with_cask(usual(60, 1), 30), 50, by=90.0)})])
    site.add(third, [(0.0, {"frame": with_cask(usual(60, 7), 10)})])
    told = site.score()
    _, events = site.read(told[second][0])
    assert [row["alarm"] for row in events if row["peak_us"] // SNIPPET == 30] == [False]
    assert all(row["peak_us"] // SNIPPET != 10 for row in site.read(told[third][0])[1])
    say_labels(site.workspace.ledger, [verdict(second, 30, 30, True)])
    assert site.read(site.score()[third][0])[1][0]["peak_us"] // SNIPPET == 10


def test_a_verdict_touches_the_fits_that_have_it_in_their_reference_and_what_follows(tmp_path: Path) -> None:
    site = staged(tmp_path, {"reference_days": 1})
    site.add(THURSDAY, [(0.0, {"frame": usual(60, 7)})])
    before = _keys(site)
    said = [verdict(TUESDAY, 3, 4, True)]
    say_labels(site.workspace.ledger, said)
    changed = {name for name, key in _keys(site).items() if before[name] != key}
    # Wednesday is fitted on Tuesday; Thursday on Wednesday, less what raised an alarm there.
    follows = ("fit", "score", "segment", "summarise", "publish")
    told = {(days(3)[1], "publish")}  # what was said stands in the figure of Tuesday itself
    assert changed == told | {(day, step) for day in (days(3)[2], THURSDAY) for step in follows}
    other = Label(UseCase(HALL, "hatch", "novelty"), "demo", MONDAY, f"{MONDAY.isoformat()}-0", 0, SNIPPET, True, "ann")
    now = _keys(site)
    say_labels(site.workspace.ledger, [other])
    changed = {name for name, key in _keys(site).items() if now[name] != key}
    assert changed == {(MONDAY, "publish")}, "nothing is fitted on that region; the figure tells it"
    take_back(site.workspace.ledger, said, "bob")
    assert {name for name, key in _keys(site).items() if before[name] != key} == {(MONDAY, "publish")}


def test_the_same_verdict_in_other_words_is_the_same(tmp_path: Path) -> None:
    site = staged(tmp_path)
    say_labels(site.workspace.ledger, [verdict(MONDAY, 3, 6, True)])
    before = _keys(site)
    later = datetime.now(UTC) + timedelta(seconds=1)
    say_labels(site.workspace.ledger, [replace(verdict(MONDAY, 4, 5, True), author="bob", said_at=later)])
    assert _keys(site) == before
    say_labels(site.workspace.ledger, [replace(verdict(MONDAY, 4, 4, False), said_at=later + timedelta(seconds=1))])
    assert _keys(site) != before


def _keys(site: Staged) -> dict[tuple[date, str], str]:
    planned = plan_camera(site.workspace, site.days, {item.place for item in site.days})
    return {(steps.place.day, step.name): step.key for steps in planned for step in steps.all}


def test_a_threshold_and_a_verdict_touch_their_camera_only_and_nothing_that_decodes(
    copied: Workspace, decoded: list[str]
) -> None:
    before = keys_of(copied)
    choose(copied, 4.0, EAST)
    after = keys_of(copied)
    changed = {name for name in before if before[name] != after[name]}
    assert {(camera, step) for camera, _, step, _ in changed} == {
        (EAST, step) for step in ("score", "summarise", "publish")
    }
    night = run(copied)
    assert decoded == []
    assert night.report.decoded_s == 0
    assert {step for _, _, step, _ in night.done()} == {"score", "summarise", "publish"}
    (monday,) = {
        shard.recording.recording_id
        for day in plan(copied)
        if day.place == Place("demo", EAST, MONDAY)
        for shard in day.shards[:1]
    }
    case = UseCase(EAST, "frame", "novelty")
    say_labels(copied.ledger, [Label(case, "demo", MONDAY, monday, 0, SECOND, True, "ann")])
    night = run(copied)
    assert decoded == []
    assert {(camera, step, scope) for camera, _, step, scope in night.done() if step in ("embed", "fit")} == {
        (EAST, "fit", "frame")
    }


# The report, and cameras that are not judged


def test_the_report_says_what_is_expected_in_a_normal_night(processed: Processed, copied: Workspace) -> None:
    lines = processed.night.report.expected_alarms
    assert [line["camera"] for line in lines] == [EAST, NORTH]
    assert processed.night.report.as_json()["expected_alarms"] == lines
    for line in lines:
        steps = next(
            item
            for item in steps_of(processed.workspace, plan(processed.workspace))
            if (item.place.camera, item.place.day) == (line["camera"], TUESDAY)
        )
        cards = {
            fit.scope: processed.workspace.registry.load("novelty", line["camera"], fit.key)[0] for fit in steps.fits
        }
        for region in line["regions"]:
            assert region["source"] == "budget"
            if not cards[region["region"]]["usable"]:
                assert region["nights"] == 1, "compared with itself"
                continue
            assert region["per_night"] == pytest.approx(cards[region["region"]]["expected_alarms_per_night"], abs=1e-3)
        assert line["per_night"] == pytest.approx(sum(region["per_night"] for region in line["regions"]), abs=1e-3)
        assert line["per_night"] <= 2.0, "the budget"
    choose(copied, 1e6, NORTH)
    told = {line["camera"]: line for line in run(copied).report.expected_alarms}
    assert {region["source"] for region in told[NORTH]["regions"]} == {"chosen"}
    assert told[NORTH]["per_night"] == 0 < lines[1]["per_night"]
    assert told[EAST] == lines[0]
    assert expected_alarms_of(copied, ()) == []


def test_a_camera_that_the_encoder_does_not_run_for_is_not_judged_and_its_receipt_says_so(copied: Workspace) -> None:
    before = keys_of(copied)
    encoders = [
        {"name": "handcrafted/appearance"},
        {"name": "handcrafted/motion", "stride_s": 0.5, "cameras": [EAST]},
    ]
    changed = configure(copied.site.root, {"encoders": encoders})
    after = keys_of(changed)
    assert {name: key for name, key in after.items() if name[0] == EAST} == {
        name: key for name, key in before.items() if name[0] == EAST
    }
    gone = {name for name in before if name not in after}
    assert {(name[0], "motion" in name[3]) for name in gone if name[2] == "embed"} == {(NORTH, True)}
    night = run(changed)
    assert night.failed() == []
    told = {(item.place.camera, item.message) for item in night.receipts if item.step == "score"}
    assert [message for camera, message in told if camera == EAST and "does not run" in message] == []
    (message,) = {message for camera, message in told if camera == NORTH}
    assert "handcrafted/motion does not run for camera hall-north" in message
    again = run(changed)
    assert {item.message for item in again.receipts if (item.step, item.place.camera) == ("score", NORTH)} == {message}
    assert [line["camera"] for line in again.report.expected_alarms] == [EAST]
