"""Nights of a small site with alarms: what is applied, shown, counted, told, and what counts no more."""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lake.catalogue import connect, select
from lake.current import recordings_now
from lake.keys import Place
from lake.labels import Label, UseCase, say_labels
from lake.operating_points import OperatingPoint, say_operating_point
from lake.promotions import promote
from tasks import classify as classifying
from tasks.classify import classify_day
from tasks.encoders import load_encoder
from tasks.forecast import forecast, idle_night
from tasks.kept_files import Published, published
from tasks.plan import Selection
from tasks.receipts import Receipt
from tasks.report import new_report
from tasks.standing import suspended_alarms
from tasks.step_plans import AlarmPlan, DaySteps
from tests.tasks.alarmed import APPEARANCE, LIVELY, MOTION, flat, head_of, keep, lively, switch_on
from tests.tasks.conftest import Processed
from tests.tasks.heads import serve
from tests.tasks.nights import EAST, HATCH, MONDAY, NORTH, SETTINGS, TUESDAY, Night, run
from tests.tasks.planned import EVERYTHING, keys_of, plan, steps_of
from tests.tasks.views import turn_away
from workspace.classifiers import EVERY_CAMERA
from workspace.clip_sets.read import read_clip_set
from workspace.clip_vectors import clip_windows, inputs_of
from workspace.event_files import EventFilter, read_events
from workspace.opened import Workspace
from workspace.regions import say_region as draw
from workspace.verdicts import find_event, say_verdict, take_verdict_back, verdicts_now

ROOT = Path(__file__).resolve().parents[2]
ONLY_EAST = {"cameras": [EAST]}


@pytest.fixture
def alarmed(copied: Workspace) -> Workspace:
    """The processed site with a classifier in service and an alarm of one camera switched on, before its night."""
    return switch_on(lively(copied, EAST), ONLY_EAST)


def classified(night: Night) -> list[Receipt]:
    return [receipt for receipt in night.receipts if receipt.step == "classify"]


def found(workspace: Workspace, table: str, head: str = LIVELY) -> list[dict[str, Any]]:
    sql = f"SELECT * EXCLUDE (campaign) FROM {table} WHERE head = ? ORDER BY ALL"
    return list(select(connect(workspace.store), sql, [head]).to_pylist())


def steps_by_day(workspace: Workspace, camera: str = EAST) -> list[DaySteps]:
    return [steps for steps in steps_of(workspace, plan(workspace)) if steps.place.camera == camera]


def told_of(workspace: Workspace, steps: DaySteps) -> tuple[Path, dict[str, Any]]:
    place = steps.place
    folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
    return folder, json.loads((folder / "summary.json").read_text())


def test_without_alarms_nothing_is_planned_and_keys_are_as_before(copied: Workspace) -> None:
    before = keys_of(copied)
    alarmed = switch_on(lively(copied, EAST), ONLY_EAST)
    after = keys_of(alarmed)
    changed = {(name[0], name[2]) for name in after if before.get(name) != after[name]}
    assert changed == {(EAST, step) for step in ("classify", "summarise", "publish")}
    assert keys_of(switch_on(alarmed)) == before


def test_a_night_applies_an_alarm_decodes_only_what_it_shows_and_a_second_does_nothing(
    alarmed: Workspace, decoded: list[str]
) -> None:
    night = run(alarmed)
    assert decoded == []
    assert {(item.place.camera, item.scope, item.status, item.message) for item in classified(night)} == {
        (EAST, LIVELY, "done", "")
    }
    assert {step for _, _, step, _ in night.done()} == {"classify", "summarise", "publish"}
    events = found(alarmed, "events")
    assert events and all(event["alarm"] for event in events)
    assert {event["camera"] for event in events} == {EAST}
    report = night.report.as_json()
    assert report["status"] == "complete"
    assert [item["step"] for item in report["steps"]].count("classify") == 1
    assert report["alarms_by_head"][LIVELY] == len(events)
    assert sum(report["alarms_by_head"].values()) == report["alarms"]
    for steps in steps_by_day(alarmed):
        folder, told = told_of(alarmed, steps)
        assert published(alarmed, steps.place) == Published(steps.publish.key, steps.summarise.key)
        mine = [event for event in told["events"] if event["head"] == LIVELY]
        assert len(mine) == sum(event["day"] == steps.place.day for event in events)
        assert all((folder / event[name]).stat().st_size > 0 for event in mine for name in ("clip", "keyframe"))
        assert told["versions"]["classify"] == {LIVELY: steps.classifies[0].key}
        assert not told["partial"]
    assert forecast(Workspace(alarmed.site.root), EVERYTHING, 1).is_empty
    assert run(Workspace(alarmed.site.root)).done() == set()


@pytest.mark.parametrize(
    "encoders", [(MOTION,), (APPEARANCE, MOTION), (APPEARANCE,)], ids=["motion", "both", "pictures"]
)
def test_a_night_sees_of_a_recording_what_training_sees_of_it_as_a_clip(
    copied: Workspace, tmp_path: Path, encoders: Sequence[str]
) -> None:
    planned = [copied.encoder(name) for name in encoders]
    stride_s = 2.0 if MOTION not in encoders else copied.encoder(MOTION).stride_s
    inputs = inputs_of([one.spec for one in planned], stride_s=stride_s, frame_rate_hz=1.0)
    recordings = {row["recording_id"]: row["path"] for row in recordings_now(copied.ledger) if row["camera"] == EAST}
    files = [copied.site.footage_root / path for path in sorted(recordings.values())]
    for label, file in zip((LIVELY, "Normal"), (files[0], files[-1]), strict=True):
        (tmp_path / "clips" / label).mkdir(parents=True)
        (tmp_path / "clips" / label / file.name).symlink_to(file)
    clips = read_clip_set(tmp_path / "clips")
    seen = clip_windows(clips, [load_encoder(one, copied.settings.compute) for one in planned], inputs, threads=1)
    direction = np.random.default_rng(3).normal(0, 1, seen.vectors.shape[1]) / np.abs(seen.vectors).sum(axis=1).max()
    head = head_of(seen.vectors.mean(axis=0), direction)
    alarmed = switch_on(keep(copied, head, inputs), ONLY_EAST)
    run(alarmed)
    scores = found(alarmed, "scores")
    for number, clip in enumerate(seen.clip_set.clips):
        mine = seen.clip == number
        (recording_id,) = (name for name, path in recordings.items() if Path(path).name == clip.path.name)
        told = {(row["from_us"], row["to_us"]): row["score"] for row in scores if row["recording_id"] == recording_id}
        spans = list(zip(seen.from_us[mine].tolist(), seen.to_us[mine].tolist(), strict=True))
        wanted = dict(zip(spans, head.probabilities(seen.vectors[mine])[:, 0].tolist(), strict=True))
        both = sorted(told.keys() & wanted.keys())
        assert len(both) > 3
        np.testing.assert_allclose([told[span] for span in both], [wanted[span] for span in both], atol=1e-5)
        # At the very end a night cuts a window short where training moves one back.
        end_us = max(to_us for _, to_us in told)
        assert all(to_us == end_us for _, to_us in told.keys() ^ wanted.keys())


def test_a_moved_threshold_embeds_and_fits_nothing(alarmed: Workspace, decoded: list[str]) -> None:
    run(alarmed)
    before = found(alarmed, "scores")
    say_operating_point(alarmed.ledger, OperatingPoint(LIVELY, "v1", LIVELY, 0.9, "chosen", "ann"))
    night = run(Workspace(alarmed.site.root))
    assert decoded == []
    assert {step for _, _, step, _ in night.done()} == {"classify", "summarise", "publish"}
    after = found(alarmed, "scores")
    assert [row["score"] for row in after] == [row["score"] for row in before]
    assert sum(row["flagged"] for row in after) < sum(row["flagged"] for row in before)
    assert all(row["threshold"] == pytest.approx(0.9) for row in found(alarmed, "events"))


def test_a_moved_threshold_that_changes_no_event_decodes_nothing_for_the_pages(alarmed: Workspace) -> None:
    run(alarmed)
    spans = [(row["day"], row["started_at"], row["ended_at"]) for row in found(alarmed, "events")]
    night = run(switch_on(alarmed, {**ONLY_EAST, "threshold": 0.5001}))
    assert [(row["day"], row["started_at"], row["ended_at"]) for row in found(alarmed, "events")] == spans
    assert {step for _, _, step, _ in night.done()} == {"classify", "summarise", "publish"}
    assert night.report.shown_s == 0
    lengths_s = sorted((end - begin).total_seconds() for _, begin, end in spans)
    assert lengths_s[0] < lengths_s[-1]
    fewer = run(switch_on(alarmed, {**ONLY_EAST, "minimum_s": lengths_s[-1]}))
    assert 0 < len(found(alarmed, "events")) < len(spans)
    budgets_s = 2 * SETTINGS["summary"]["budget_s"]
    assert fewer.report.shown_s <= budgets_s, "what is left of the events is there; the summaries show other segments"
    for steps in steps_by_day(alarmed):
        folder, told = told_of(alarmed, steps)
        assert all((folder / event["keyframe"]).is_file() for event in told["events"])
        clips = {event["clip"] for event in told["events"]}
        assert {f"events/{path.name}" for path in (folder / "events").iterdir()} == clips, "what is not named is gone"


def test_what_an_earlier_version_found_stays_where_the_recordings_are_gone(alarmed: Workspace) -> None:
    run(alarmed)
    rows = found(alarmed, "events")
    kept = [row for row in rows if row["day"] == MONDAY]
    assert kept and len(kept) < len(rows)
    link = alarmed.site.footage_root / "demo"
    source = link.resolve()
    link.unlink()
    for file in source.rglob("*.mp4"):
        if "2026-03-02" not in file.name:
            target = link / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    encoders = [{"name": APPEARANCE}, {"name": MOTION, "stride_s": 0.5}, {"name": "handcrafted/velocity"}]
    wider = switch_on(alarmed, ONLY_EAST, encoders=encoders)
    run(wider)
    velocity = wider.encoder("handcrafted/velocity")
    day = next(day for day in plan(wider) if day.place == Place("demo", EAST, TUESDAY))
    path = day.products(f"{velocity.spec.space}/frame")[0].paths[0]
    width = len(wider.store.read_table(path)["vector"][0])
    newer = flat(wider, [velocity.spec], [width], version="v2", threshold=0.4, inputs={"stride_s": velocity.stride_s})
    for _ in range(2):
        night = run(Workspace(newer.site.root))
        told = {(item.place.day, item.message) for item in classified(night)}
        gone = "kept as version v1 found it: its recordings are gone, and handcrafted/velocity has not embedded region"
        assert {message.startswith(gone) for day, message in told if day == MONDAY} == {True}
        assert [row for row in found(newer, "events") if row["day"] == MONDAY] == kept
        assert {row["version"] for row in found(newer, "events") if row["day"] == TUESDAY} == {"v2"}
        assert night.report.alarms_by_head[LIVELY] == len(found(newer, "events"))
        assert not any("suspended" in line for line in night.report.attention)
    promote(newer.ledger, "classifier", LIVELY, "v1", "tests", EVERY_CAMERA)
    back = run(Workspace(newer.site.root))
    assert {item.message for item in classified(back)} == {""}
    assert found(newer, "events") == rows
    flat(newer, [velocity.spec], [width], version="v3", name="other", inputs={"stride_s": velocity.stride_s})
    other = switch_on(newer, {**ONLY_EAST, "classifier": "other"}, encoders=encoders)
    run(other)
    assert not any(row["day"] == MONDAY for row in found(other, "events")), "another classifier found nothing there"


def test_a_drawn_region_is_not_judged_under_a_moved_view(alarmed: Workspace) -> None:
    both = switch_on(alarmed, {**ONLY_EAST, "regions": ["frame", "hatch"]})
    run(both)
    usual = {region: [row for row in found(both, "scores") if row["region"] == region] for region in ("frame", "hatch")}
    turn_away(both, EAST, 16.0, datetime(2026, 3, 3, 8, 0, tzinfo=UTC))
    before = {steps.place.day: steps.classifies[0] for steps in steps_by_day(both)}
    for path in before[TUESDAY].outputs:
        both.store.delete(path)
    night = run(Workspace(both.site.root))
    rows = found(both, "scores")
    assert [row for row in rows if row["region"] == "frame"] == usual["frame"]
    assert [row for row in rows if row["region"] == "hatch"] == [row for row in usual["hatch"] if row["day"] == MONDAY]
    (line,) = (line for line in night.report.attention if "suspended" in line)
    assert line.startswith(f"camera {EAST}: alarm {LIVELY} suspended for ")
    assert "stills of region hatch, from 08:00 on: the camera has moved by 5." in line
    draw(both.ledger, EAST, "hatch", HATCH, "tests", datetime(2026, 3, 3, 8, 0, 5, tzinfo=UTC))
    again = run(Workspace(both.site.root))
    assert not any("suspended" in line for line in again.report.attention)
    assert [row for row in found(both, "scores") if row["region"] == "hatch"] == usual["hatch"]


def test_an_alarm_that_is_called_as_a_use_case_is_suspended(alarmed: Workspace) -> None:
    row = next(row for row in recordings_now(alarmed.ledger) if (row["camera"], row["day"]) == (EAST, TUESDAY))
    case = UseCase(EAST, "hatch", LIVELY)
    say_labels(alarmed.ledger, [Label(case, "demo", TUESDAY, row["recording_id"], 0, 10, False, "ann")])
    night = run(Workspace(alarmed.site.root))
    (line,) = (line for line in night.report.attention if "suspended" in line)
    assert f"alarm {LIVELY} suspended: a use case of the camera is called {LIVELY} too" in line
    assert found(alarmed, "events") == []
    renamed = switch_on(alarmed, {**ONLY_EAST, "name": "brisk"})
    run(renamed)
    event = next(event for event in read_events(renamed, EventFilter(head="brisk")))
    say_verdict(renamed, event, True, "ann")
    assert not any("suspended" in line for line in run(Workspace(renamed.site.root)).report.attention), (
        "a verdict is none"
    )
    served = serve(renamed, EAST, name="brisk")
    assert any("alarm brisk suspended: a use case" in line for line in run(served).report.attention)


def test_a_suspended_alarm_is_not_counted_as_one_that_found_nothing(alarmed: Workspace) -> None:
    quiet = switch_on(alarmed, {**ONLY_EAST, "minimum_s": 10_000.0}, {"name": "lost", "classifier": "livly"})
    for _ in range(2):
        counted = run(Workspace(quiet.site.root)).report.alarms_by_head
        assert counted.get(LIVELY) == 0
        assert "lost" not in counted


def test_an_alarm_that_is_switched_off_counts_no_more_until_it_is_switched_on_again(alarmed: Workspace) -> None:
    run(alarmed)
    rows = found(alarmed, "events")
    night = run(switch_on(alarmed))
    assert {(item.scope, item.outputs, item.message) for item in classified(night)} == {
        (LIVELY, (), "switched off in the settings")
    }
    assert found(alarmed, "scores") == found(alarmed, "events") == []
    assert {step for _, _, step, _ in night.done()} == {"publish"}
    assert not any("classify" in told_of(alarmed, steps)[1]["versions"] for steps in steps_by_day(alarmed))
    assert classified(run(Workspace(alarmed.site.root))) == [], "it is said once"
    again = run(switch_on(alarmed, {"cameras": [EAST, NORTH]}))
    assert {item.status for item in classified(again) if item.place.camera == EAST} == {"skipped"}
    assert [row for row in found(alarmed, "events") if row["camera"] == EAST] == rows


def test_heads_and_alarms_are_applied_beside_one_another(alarmed: Workspace) -> None:
    served = serve(alarmed, EAST)
    night = run(served)
    assert {step for _, _, step, _ in night.done()} == {"retrieve", "classify", "summarise", "publish"}
    heads = {event["head"] for steps in steps_by_day(served) for event in told_of(served, steps)[1]["events"]}
    assert heads == {LIVELY, "busy", "novelty"}
    off = run(switch_on(served))
    assert {(item.step, item.status) for item in off.receipts if item.step in ("retrieve", "classify")} == {
        ("retrieve", "skipped"),
        ("classify", "skipped"),
    }
    assert found(served, "events") == [] and found(served, "events", "busy")


def test_a_suspended_alarm_is_told_every_night_and_stops_nothing(alarmed: Workspace) -> None:
    off = switch_on(alarmed, {"cameras": [EAST], "classifier": "livly"}, {"name": "both", "regions": ["gate"]})
    shown = forecast(off, EVERYTHING, 1)
    assert any("alarm lively suspended: unknown classifier" in line for line in shown.suspended)
    for _ in range(2):
        night = run(Workspace(off.site.root))
        assert night.report.status == "complete"
        both, lively_too = (line for line in night.report.attention if "suspended" in line)
        assert both.startswith(f"cameras {EAST}, {NORTH}: alarm both suspended: the camera has no region gate")
        assert lively_too.startswith(f"camera {EAST}: alarm lively suspended: unknown classifier")
    assert found(off, "events") == found(off, "events", "both") == []


def test_one_reason_of_several_cameras_is_one_line_and_older_days_are_left_out() -> None:
    told = (
        ("yard", 2, "suspended: because"),
        ("hall", 2, "suspended: because"),
        ("gate", 1, "suspended: because"),
        ("gate", 2, ""),
    )
    receipts = [
        Receipt(Place("demo", camera, date(2026, 3, day)), "classify", "fall", "key", "skipped", message=message)
        for camera, day, message in told
    ]
    assert suspended_alarms(receipts) == ["cameras hall, yard: alarm fall suspended: because"]


def test_a_day_is_published_without_an_alarm_that_failed_and_again_when_it_comes(
    alarmed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = switch_on(alarmed, ONLY_EAST, {"name": "other", **ONLY_EAST})
    apply = classifying._apply

    def broken(workspace: Workspace, day: Any, steps: DaySteps, plan: AlarmPlan) -> Any:
        if plan.step.scope == "other":
            raise MemoryError
        return apply(workspace, day, steps, plan)

    def shown() -> set[str]:
        return {event["head"] for steps in steps_by_day(both) for event in told_of(both, steps)[1]["events"]}

    with monkeypatch.context() as patched:
        patched.setattr(classifying, "_apply", broken)
        night = run(both)
        assert {(item.step, item.scope) for item in night.failed()} == {("classify", "other")}
        assert night.report.status == "incomplete"
        assert shown() == {LIVELY, "novelty"}
        assert all(told_of(both, steps)[1]["lacking"] == ["other"] for steps in steps_by_day(both))
    made = {("classify", "other"), ("summarise", ""), ("publish", "")}
    assert {(step, scope) for _, _, step, scope in run(both).done()} == made
    assert shown() == {LIVELY, "other", "novelty"}


def test_the_plan_names_the_alarms_also_of_days_that_are_not_embedded(alarmed: Workspace) -> None:
    shown = forecast(alarmed, Selection(camera=EAST), 1)
    assert {day.told for day in shown.days} == {f"classify {LIVELY}, summarise, publish"}
    assert {day.steps for day in shown.days} == {("classify", "summarise", "publish")}
    again = switch_on(
        alarmed, ONLY_EAST, encoders=[{"name": "handcrafted/appearance"}, {"name": MOTION, "stride_s": 0.8}]
    )
    shown = forecast(again, Selection(camera=EAST), 1)
    assert all(f"classify {LIVELY}" in day.told and day.shards for day in shown.days)
    assert shown.as_json()["suspended"] == shown.suspended
    assert "every 0.8 s, and the classifier was fitted on one every 0.5 s" in shown.suspended[0]


def test_an_idle_night_with_alarms_imports_neither_networks_nor_an_orchestrator(alarmed: Workspace) -> None:
    run(alarmed)
    script = (
        "import sys\nfrom tasks.forecast import forecast, idle_night\nfrom tasks.plan import Selection\n"
        "from tasks.report import new_report\nfrom workspace.opened import Workspace\n"
        "workspace = Workspace(sys.argv[1])\nfound = forecast(workspace, Selection(), 1)\nassert found.is_empty\n"
        "print(idle_night(workspace, found, Selection(), new_report(), notify=True).status)\n"
        "print(sorted({'torch', 'prefect', 'dask', 'distributed', 'streamlit'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(alarmed.site.root)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ["complete", "[]"]), done.stderr


def test_an_idle_night_enters_what_counts_of_alarms(alarmed: Workspace) -> None:
    run(alarmed)
    rows = found(alarmed, "events")
    workspace = Workspace(alarmed.site.root)
    told = idle_night(workspace, forecast(workspace, EVERYTHING, 1), EVERYTHING, new_report())
    assert told.alarms_by_head[LIVELY] == len(rows) > 0
    assert {step["skipped"] for step in told.steps if step["step"] == "classify"} == {2}
    assert found(alarmed, "events") == rows


def test_an_alarm_is_confirmed_dismissed_and_undone_like_an_anomaly(alarmed: Workspace, processed: Processed) -> None:
    run(alarmed)
    workspace = Workspace(alarmed.site.root)
    event = next(event for event in read_events(workspace, EventFilter(head=LIVELY)))
    keys = keys_of(workspace)
    say_verdict(workspace, find_event(workspace, event.event_id), False, "ann")
    verdict = verdicts_now(workspace, EAST).of(event)
    assert verdict is not None and (verdict.word, verdict.author) == ("dismissed", "ann")
    now = keys_of(Workspace(alarmed.site.root))
    changed = {name[2] for name in keys if now[name] != keys[name]}
    assert (now.keys(), changed) == (keys.keys(), {"publish"}), "it fits nothing; the published figure tells it"
    assert take_verdict_back(workspace, event, "ann")
    assert verdicts_now(workspace).of(event) is None


def test_receipts_of_what_was_there_say_what_was_said_then(alarmed: Workspace) -> None:
    suspended = switch_on(alarmed, {"regions": ["gate"], **ONLY_EAST})
    run(suspended)
    workspace = Workspace(suspended.site.root)
    for day in plan(workspace):
        for steps in steps_of(workspace, [day]):
            receipts = classify_day(workspace, day, steps)
            assert {item.status for item in receipts} <= {"skipped"}
            assert all("has no region gate" in item.message for item in receipts)
