"""Alarms over staged vectors: scores, windows and events are those of the classifier, the window rule and the settings."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from footage.index import FrameIndex
from footage.regions import WHOLE
from lake.operating_points import OperatingPoint, say_operating_point, take_back_operating_point
from lake.store import rows_of
from models.encoders.base import EncoderSpec
from models.events import EventRule, find_events
from tasks.classify import classify_day
from tasks.plan import DayPlan, Product
from tasks.receipts import Receipt
from tasks.step_plans import AlarmPlan, DaySteps
from tasks.steps import plan_camera
from tests.tasks.alarmed import APPEARANCE, LIVELY, MOTION, flat, head_of, keep, motion_inputs, switch_on
from tests.tasks.nights import HATCH, MONDAY, say_region
from tests.tasks.staged import HALL, SNIPPET_S, Staged, small
from workspace.clip_vectors import inputs_of
from workspace.indexes import save_index

SECOND = 1_000_000
BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
AXIS = np.array([1.0, 0.0, 0.0], np.float32)


class AlarmedHall(Staged):
    """A staged camera whose encoders embed what the test gives them; a classifier looks along the first value."""

    def configured(self, *entries: dict[str, Any], **changes: Any) -> "AlarmedHall":
        motion = {"name": MOTION, "stride_s": SNIPPET_S}
        told = {"encoders": [{"name": APPEARANCE}, motion], "sampling": {"policy": "rate", "rate_hz": 1.0}, **changes}
        self.workspace = small(switch_on(self.workspace, *entries, **told))
        return self

    def with_region(self, name: str) -> "AlarmedHall":
        self.workspace = small(say_region(self.workspace, HALL, name, HATCH))
        return self

    def fitted(self, **options: Any) -> "AlarmedHall":
        keep(self.workspace, head_of(np.zeros(3), AXIS), motion_inputs(self.workspace), **options)
        return self

    def opened(self) -> "AlarmedHall":
        """With the ledgers read anew."""
        self.workspace = small(type(self.workspace)(self.workspace.site.root))
        return self

    def planned(self) -> tuple[DayPlan, DaySteps]:
        (steps,) = plan_camera(self.workspace, self.days, {self.days[-1].place})
        return self.days[-1], steps

    def alarm(self) -> AlarmPlan:
        (plan,) = self.planned()[1].alarms
        return plan

    def threshold(self) -> float | None:
        rule = self.alarm().rule
        return None if rule is None else rule.threshold

    def classified(self) -> tuple[Receipt, list[dict[str, Any]], list[dict[str, Any]]]:
        """Receipt, scores in order of time, and events in order of rank, of the only alarm."""
        day, steps = self.planned()
        (receipt,) = classify_day(self.workspace, day, steps)
        assert receipt.status in ("done", "skipped"), receipt.message
        scores, events = (self.workspace.store.read_table(path).to_pylist() for path in receipt.outputs)
        return receipt, scores, sorted(events, key=lambda row: row["rank"])


@pytest.fixture
def hall(tmp_path: Path) -> AlarmedHall:
    return AlarmedHall(tmp_path / "site").configured({})


def along(*values: float) -> NDArray[np.float32]:
    """Vectors that lie on the axis."""
    return np.outer(np.array(values, np.float32), AXIS).astype(np.float32)


def sigmoid(values: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.asarray(values, np.float64))))


# Scores and events


def test_scores_are_the_probabilities_of_the_class(hall: AlarmedHall) -> None:
    first, second = [-2.0, 0.5, 3.0, -1.0], [-4.0, 1.0]
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(*first)}), (60.0, {"frame": along(*second)})])
    receipt, scores, _ = hall.classified()
    assert (receipt.step, receipt.scope, receipt.rows, receipt.message) == ("classify", LIVELY, 6, "")
    told = [row["probability"] for row in scores]
    np.testing.assert_allclose(told, sigmoid([*first, *second]), rtol=1e-6)
    assert [row["score"] for row in scores] == told
    assert [row["flagged"] for row in scores] == [value > 0 for value in [*first, *second]]
    assert {(row["head"], row["version"], row["region"], row["normalised"]) for row in scores} == {
        (LIVELY, "v1", "frame", None)
    }
    assert [row["taken_at"] for row in scores] == [
        BEGIN + timedelta(seconds=at) for at in (0.0, 2.0, 4.0, 6.0, 60.0, 62.0)
    ]
    assert [(row["from_us"], row["to_us"]) for row in scores][4:] == [(0, 2 * SECOND), (2 * SECOND, 4 * SECOND)]


def test_events_are_those_of_the_rule_and_all_are_alarms_the_most_probable_first(hall: AlarmedHall) -> None:
    values = [3.0, -2.0, -2.0, 1.0, 2.0, -3.0, -3.0, 4.0, -1.0]
    hall.configured({"smooth_s": 2.0, "minimum_s": 3.0, "merge_gap_s": 1.5}).fitted()
    hall.add(MONDAY, [(0.0, {"frame": along(*values)})])
    _, scores, events = hall.classified()
    begins = np.arange(len(values), dtype=np.int64) * 2 * SECOND
    told = np.array([row["score"] for row in scores], np.float32)
    expected = find_events(
        begins, begins + 2 * SECOND, told, EventRule(0.5, minimum_s=3.0, merge_gap_s=1.5, smooth_s=2.0)
    )
    assert 0 < len(expected) < 3, "the rule matters here"
    ranked = sorted(expected, key=lambda event: -event.peak_score)
    assert [((row["started_at"] - BEGIN).total_seconds(), row["peak_us"]) for row in events] == [
        (event.from_us / SECOND, event.peak_us) for event in ranked
    ]
    assert [row["rank"] for row in events] == list(range(1, len(events) + 1))
    assert all(row["alarm"] and row["deviations"] is None and row["threshold"] == 0.5 for row in events)
    np.testing.assert_allclose([row["peak_score"] for row in events], [event.peak_score for event in ranked], rtol=1e-6)


def test_the_peak_is_told_in_the_recording_that_shows_it(hall: AlarmedHall) -> None:
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(-2, -2)}), (100.0, {"frame": along(-2, 3, -2)})])
    _, _, (event,) = hall.classified()
    assert (event["recording_id"], event["peak_us"]) == ("2026-03-02-1", 3 * SECOND)
    assert event["started_at"] == BEGIN + timedelta(seconds=102)


def test_a_day_in_which_nothing_is_found_is_done(hall: AlarmedHall) -> None:
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(-2, -2)})])
    receipt, scores, events = hall.classified()
    assert (receipt.status, len(scores), events) == ("done", 2, [])
    assert hall.alarm().step.exists
    assert hall.classified()[0].status == "skipped"


def test_regions_of_an_alarm_are_one_step_and_ranked_together(hall: AlarmedHall) -> None:
    hall.with_region("hatch").configured({"regions": ["frame", "hatch"]}).fitted()
    hall.add(MONDAY, [(0.0, {"frame": along(-2, 1, -2, -2), "hatch": along(-2, -2, -2, 4)})])
    receipt, scores, events = hall.classified()
    assert receipt.rows == len(scores) == 8
    assert [(event["region"], event["rank"]) for event in events] == [("hatch", 1), ("frame", 2)]
    assert len({event["event_id"] for event in events}) == 2


# Windows of several encoders


class Pictures(AlarmedHall):
    """A hall whose pictures are embedded too, one a second, by an encoder of two values."""

    def add_pictures(self, vectors: NDArray[np.float32], seconds: float) -> None:
        day = self.days[-1]
        (shard,) = day.shards
        space = self.workspace.encoder(APPEARANCE).spec.space
        starts = [number * SECOND for number in range(len(vectors))]
        columns = {
            **self._place(shard.recording),
            "space": space,
            "region": "frame",
            "index": [10 * number for number in range(len(vectors))],
            "from_us": starts,
            "to_us": [start + 40_000 for start in starts],
            "taken_at": [shard.recording.started_at + timedelta(microseconds=start) for start in starts],
            "digest": "",
            "vector": vectors.astype(np.float16),
        }
        path = f"embeddings/{space}.parquet"
        self.workspace.store.write_table(path, rows_of("embeddings", columns, vectors.shape[1]))
        product = Product(f"{space}/frame", "pictures", (path,), True, self.workspace.encoder(APPEARANCE), WHOLE)
        self.days[-1] = replace(day, shards=(replace(shard, products=(*shard.products, product)),))
        pts = np.arange(round(seconds * 10), dtype=np.int64)
        index = FrameIndex(pts, pts == 0, Fraction(1, 10))
        save_index(self.workspace.store, shard.recording.recording_id, index)

    @property
    def specs(self) -> tuple[EncoderSpec, EncoderSpec]:
        motion, appearance = (self.workspace.encoder(name).spec for name in (MOTION, APPEARANCE))
        return motion, appearance


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    hall = Pictures(tmp_path / "site")
    hall.configured({})
    return hall


def test_a_window_is_the_snippet_and_the_moments_of_its_pictures(pictures: Pictures) -> None:
    shown = np.array([[0, 0], [2, 1], [5, 0], [5, 4]], np.float32)
    inputs = inputs_of(pictures.specs, stride_s=SNIPPET_S, frame_rate_hz=1.0)
    direction = np.array([1, 0, 0, *range(1, 7)], np.float32) / 10
    keep(pictures.workspace, head_of(np.zeros(9), direction), inputs)
    pictures.add(MONDAY, [(0.0, {"frame": along(3, -4)})])
    pictures.add_pictures(shown, 4.0)
    _, scores, _ = pictures.classified()
    expected = []
    for value, pair in ((3.0, shown[:2]), (-4.0, shown[2:])):
        joined = [value, 0, 0, *pair.mean(axis=0), *pair.std(axis=0), *np.abs(pair[1] - pair[0])]
        expected.append(float(np.dot(joined, direction)))
    np.testing.assert_allclose([row["probability"] for row in scores], sigmoid(expected), rtol=1e-5)


def test_windows_that_lack_a_vector_of_some_encoder_are_left_out_and_told(pictures: Pictures) -> None:
    flat(pictures.workspace, pictures.specs, (3, 2), inputs={"stride_s": SNIPPET_S, "frame_rate_hz": 1.0})
    pictures.add(MONDAY, [(0.0, {"frame": along(1, 1, 1)})])
    pictures.add_pictures(np.zeros((2, 2), np.float32), 6.0)
    receipt, scores, _ = pictures.classified()
    assert [row["from_us"] for row in scores] == [0]
    assert receipt.message == "region frame: 2 of 3 windows lack a vector of some encoder"


def test_recordings_that_are_not_embedded_are_told(hall: AlarmedHall) -> None:
    hall.fitted().add(MONDAY, [(at, {"frame": along(-2, 1)}) for at in (0.0, 60.0, 120.0)])
    day = hall.days[-1]
    first, *others = day.shards
    absent = tuple(replace(one, exists=one.scope == "frames") for one in first.products)
    hall.days[-1] = replace(day, shards=(replace(first, products=absent), *others))
    receipt, scores, _ = hall.classified()
    assert {row["recording_id"] for row in scores} == {"2026-03-02-1", "2026-03-02-2"}
    assert receipt.message == f"region frame: 1 of 3 recordings are not embedded, or not whole, by {MOTION}"


def test_without_a_snippet_encoder_windows_stand_side_by_side_in_each_recording(pictures: Pictures) -> None:
    flat(pictures.workspace, pictures.specs[1:], (2,), inputs={"window_s": 2.0, "frame_rate_hz": 1.0}, threshold=0.4)
    pictures.add(MONDAY, [(30.0, {"frame": along(1, 1, 1)})])
    pictures.add_pictures(np.zeros((5, 2), np.float32), 5.0)
    _, scores, (event,) = pictures.classified()
    assert [(row["from_us"], row["to_us"], row["index"]) for row in scores] == [
        (0, 2 * SECOND, 0),
        (2 * SECOND, 4 * SECOND, 20),
        (4 * SECOND, 5 * SECOND, 40),
    ]
    assert [row["taken_at"] for row in scores] == [BEGIN + timedelta(seconds=30 + at) for at in (0, 2, 4)]
    assert {row["probability"] for row in scores} == {0.5}
    assert (event["started_at"], event["ended_at"]) == (BEGIN + timedelta(seconds=30), BEGIN + timedelta(seconds=35))


def test_a_head_of_another_dimension_fails_and_says_why(hall: AlarmedHall) -> None:
    keep(hall.workspace, head_of(np.zeros(5), np.zeros(5)), motion_inputs(hall.workspace))
    hall.add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    day, steps = hall.planned()
    (receipt,) = classify_day(hall.workspace, day, steps)
    assert (receipt.status, receipt.outputs) == ("failed", ())
    assert "have 3 values, and the classifier takes 5" in receipt.message


# Thresholds


def test_the_threshold_is_the_settings_or_a_persons_or_the_cards(hall: AlarmedHall) -> None:
    hall.fitted(threshold=0.6).add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    assert hall.threshold() == 0.6
    card_key = hall.alarm().step.key
    say_operating_point(hall.workspace.ledger, OperatingPoint(LIVELY, "v1", LIVELY, 0.8, "chosen", "ann"))
    assert hall.opened().threshold() == 0.8
    assert hall.alarm().step.key != card_key
    assert hall.configured({"threshold": 0.9}).threshold() == 0.9
    take_back_operating_point(hall.workspace.ledger, LIVELY, "v1", LIVELY, "ann")
    assert hall.configured({}).alarm().step.key == card_key


def test_a_moved_threshold_scores_again_and_gives_the_same_scores(hall: AlarmedHall) -> None:
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(-2, 1, -2, 3)})])
    _, before, events = hall.classified()
    say_operating_point(hall.workspace.ledger, OperatingPoint(LIVELY, "v1", LIVELY, 0.9, "recall 0.8", "ann"))
    _, after, fewer = hall.opened().classified()
    assert [row["score"] for row in after] == [row["score"] for row in before]
    assert [row["flagged"] for row in before] == [False, True, False, True]
    assert [row["flagged"] for row in after] == [False, False, False, True]
    assert (len(events), len(fewer)) == (2, 1)
    assert fewer[0]["threshold"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"notify": False}, True),
        ({"cameras": [HALL]}, True),
        ({"threshold": 0.5}, True),
        ({"threshold": 0.51}, False),
        ({"smooth_s": 1.0}, False),
        ({"minimum_s": 1.0}, False),
        ({"merge_gap_s": 2.0}, False),
        ({"name": "other"}, False),
    ],
)
def test_the_key_is_of_what_decides_the_events(hall: AlarmedHall, changes: dict[str, Any], same: bool) -> None:
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    key = hall.alarm().step.key
    assert (hall.configured(changes).alarm().step.key == key) is same


def test_another_version_or_class_or_vector_is_another_step(hall: AlarmedHall) -> None:
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    keys = {hall.alarm().step.key}
    hall.fitted(version="v2")
    assert hall.opened().alarm().version == "v2"
    keys.add(hall.alarm().step.key)
    assert hall.configured({"classifier": f"{LIVELY}/v1"}).alarm().step.key in keys, "as before v2 was put into service"
    hall.days.clear()
    hall.add(MONDAY, [(0.0, {"frame": along(1, 2.5)})])
    keys.add(hall.alarm().step.key)
    assert len(keys) == 3


def test_a_day_is_judged_by_the_rule_that_it_was_planned_with(hall: AlarmedHall) -> None:
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(-2, 1, -2, 3)})])
    day, steps = hall.planned()
    hall.configured({"minimum_s": 10_000.0})
    (receipt,) = classify_day(hall.workspace, day, steps)
    assert (receipt.status, receipt.message) == ("done", "")
    assert hall.workspace.store.read_table(receipt.outputs[1]).num_rows == 2
    day, steps = hall.configured({}).planned()
    (alarm,) = steps.alarms
    assert alarm.step.exists and alarm.step.key == receipt.key
    for path in receipt.outputs:
        hall.workspace.store.delete(path)
    hall.configured()
    day, steps = day, replace(steps, alarms=(replace(alarm, step=replace(alarm.step, exists=False)),))
    assert classify_day(hall.workspace, day, steps)[0].status == "done", (
        "also where the alarm is gone from the settings"
    )


# What does not fit is suspended


def no_classifier(hall: AlarmedHall) -> None:
    hall.fitted()
    hall.configured({"classifier": "livly"})


def not_serving(hall: AlarmedHall) -> None:
    hall.fitted(serving=False)


def no_version(hall: AlarmedHall) -> None:
    hall.fitted()
    hall.configured({"classifier": f"{LIVELY}/v7"})


def no_class(hall: AlarmedHall) -> None:
    hall.fitted()
    hall.configured({"class_name": "livley"})


def damaged(hall: AlarmedHall) -> None:
    hall.fitted(inputs=[{"encoder": MOTION}])


def no_threshold(hall: AlarmedHall) -> None:
    hall.fitted(thresholds={})


def another_encoder(hall: AlarmedHall) -> None:
    inputs = motion_inputs(hall.workspace)
    other = replace(inputs, items=(replace(inputs.items[0], space="elsewhere-0000", encoder="timm/other"),))
    keep(hall.workspace, head_of(np.zeros(3), AXIS), other)


def another_stride(hall: AlarmedHall) -> None:
    keep(hall.workspace, head_of(np.zeros(3), AXIS), motion_inputs(hall.workspace, stride_s=1.0))


def not_this_camera(hall: AlarmedHall) -> None:
    hall.fitted()
    motion = {"name": MOTION, "stride_s": SNIPPET_S, "cameras": ["yard"]}
    hall.configured({}, encoders=[{"name": APPEARANCE}, motion])


def not_this_region(hall: AlarmedHall) -> None:
    hall.fitted()
    motion = {"name": MOTION, "stride_s": SNIPPET_S, "regions": ["hatch"]}
    hall.configured({}, encoders=[{"name": APPEARANCE}, motion])


def no_region(hall: AlarmedHall) -> None:
    hall.fitted()
    hall.configured({"regions": ["hatch"]})


def of_pictures(hall: AlarmedHall) -> None:
    spec = hall.workspace.encoder(APPEARANCE).spec
    flat(hall.workspace, [spec], (2,), inputs={"frame_rate_hz": 2.0})


def of_pictures_at_key_frames(hall: AlarmedHall) -> None:
    of_pictures(hall)
    hall.configured({}, cameras={HALL: {"sampling": {"policy": "key_frames"}}})


def gone(hall: AlarmedHall) -> None:
    spec = hall.workspace.encoder(APPEARANCE).spec
    flat(hall.workspace, [spec], (2,), inputs={"frame_rate_hz": 1.0})


SUSPENDED = {
    no_classifier: 'unknown classifier "livly" — did you mean "lively"?',
    not_serving: "no version of classifier lively is in service",
    no_version: 'unknown version of classifier lively "v7"',
    no_class: 'unknown class of classifier lively "livley"',
    damaged: "fit it again",
    no_threshold: "fit it again",
    another_encoder: "its encoder timm/other is not among [[encoders]] as it was when the classifier was fitted",
    another_stride: "takes a snippet every 2 s, and the classifier was fitted on one every 1 s; set stride_s = 1",
    not_this_camera: "its encoder handcrafted/motion does not run for the camera; name the camera under that [[encoders]]",
    not_this_region: "its encoder handcrafted/motion does not embed region frame; name the region under that [[encoders]]",
    no_region: "the camera has no region hatch; draw it, or leave the camera out",
    of_pictures: "is sampled at 1 Hz, and the classifier was fitted on pictures at 2 Hz; set the sampling to "
    '{ policy = "rate", rate_hz = 2 }',
    of_pictures_at_key_frames: "is sampled at key frames",
    gone: "its recordings are gone, and handcrafted/appearance has not embedded region frame of them",
}


@pytest.mark.parametrize(("break_it", "why"), SUSPENDED.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_an_alarm_that_does_not_fit_is_suspended_and_says_why(hall: AlarmedHall, break_it: Any, why: str) -> None:
    break_it(hall)
    hall.add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    plan = hall.opened().alarm()
    assert plan.suspended.startswith("suspended: ")
    assert why in plan.suspended
    receipt, scores, events = hall.classified()
    assert (receipt.status, receipt.message, scores, events) == ("done", plan.suspended, [], [])
    assert hall.alarm().step.remark == plan.suspended, "it is said again on every later night"


def test_what_fits_again_takes_up_where_it_was(hall: AlarmedHall) -> None:
    hall.fitted().add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    hall.classified()
    key = hall.alarm().step.key
    not_this_camera(hall)
    assert not hall.alarm().step.exists
    assert hall.configured({}).alarm().step.key == key
    assert hall.alarm().step.exists


def test_a_region_that_is_not_there_does_not_stop_the_others(hall: AlarmedHall) -> None:
    hall.configured({"regions": ["frame", "hatch"]}).fitted().add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    receipt, scores, events = hall.classified()
    assert receipt.message == (
        "suspended for region hatch, as the camera has no region hatch; draw it, or leave the camera out of the "
        "alarm's cameras"
    )
    assert (len(scores), len(events)) == (2, 1)


def test_several_classes_need_a_name_and_each_has_its_own_scores(hall: AlarmedHall) -> None:
    lively = head_of(np.zeros(3), AXIS)
    ((weight, bias),) = lively.layers
    both = replace(
        lively,
        classes=(LIVELY, "calm"),
        layers=((np.concatenate([weight, -weight], axis=2), np.concatenate([bias, bias], axis=1)),),
    )
    keep(hall.workspace, both, motion_inputs(hall.workspace))
    hall.add(MONDAY, [(0.0, {"frame": along(1, -2)})])
    assert "tells 2 classes apart: say which one is meant (lively, calm)" in hall.opened().alarm().suspended
    hall.configured({"class_name": "calm", "name": "quiet"})
    _, scores, _ = hall.classified()
    np.testing.assert_allclose([row["score"] for row in scores], sigmoid([-1, 2]), rtol=1e-6)
    assert {row["head"] for row in scores} == {"quiet"}


def test_only_the_named_cameras_have_the_alarm(hall: AlarmedHall) -> None:
    hall.fitted().configured({"cameras": ["yard"]}).add(MONDAY, [(0.0, {"frame": along(1, 2)})])
    day, steps = hall.planned()
    assert steps.alarms == ()
    assert classify_day(hall.workspace, day, steps) == []
