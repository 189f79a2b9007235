"""What a published summary tells of its segments can be traced, and the figure shows it."""

import json
import shutil
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest

from footage.decode import decode
from footage.sheets import TRUTHS
from lake.current import recordings_now
from lake.keys import Place, short_hash
from tasks.plan import FRAMES_SCOPE, DayPlan, made
from tasks.publish import publish_day
from tasks.shown_segments import read_chosen
from tasks.step_plans import DaySteps, Said
from tasks.summary_steps import standing_segment, standing_summarise
from tasks.truth import Truth, truth_of
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, TUESDAY, table_of, tree
from tests.tasks.planned import plan, steps_of
from workspace.event_files import EventFilter, read_events
from workspace.indexes import load_index
from workspace.opened import Workspace
from workspace.verdicts import say_verdict, take_verdict_back

PLACE = Place("demo", EAST, TUESDAY)
NUMBERS = ("score", "anomaly", "memorability", "entropy", "dynamics")
RAW = ("surprise", "distinctiveness", "entropy_bits", "motion", "probability")


def day_of(workspace: Workspace) -> tuple[DayPlan, DaySteps]:
    days = {day.place: day for day in plan(workspace)}
    return days[PLACE], next(steps for steps in steps_of(workspace, list(days.values())) if steps.place == PLACE)


def folder_of(workspace: Workspace) -> Path:
    return workspace.site.published_folder / "demo" / EAST / TUESDAY.isoformat()


def told_of(workspace: Workspace) -> dict[str, Any]:
    return json.loads((folder_of(workspace) / "summary.json").read_text())  # type: ignore[no-any-return]  # our own file


def publish_again(workspace: Workspace) -> float:
    """Publish the day as if its key had changed; returns the seconds decoded."""
    day, steps = day_of(workspace)
    file = folder_of(workspace) / "summary.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "key": "earlier"}))
    receipt = publish_day(workspace, day, replace(steps, publish=replace(steps.publish, exists=False)), 1)
    assert receipt.status == "done", receipt.message
    return receipt.decoded_s


def test_entries_are_the_chosen_rows_of_the_lake(processed: Processed) -> None:
    workspace = processed.workspace
    _, steps = day_of(workspace)
    store, told = workspace.store, told_of(workspace)
    summaries = store.read_table(standing_summarise(store, steps).outputs[0]).to_pylist()
    segments = store.read_table(standing_segment(store, steps).outputs[0]).to_pylist()
    measured = {(row["recording_id"], row["segment"]): row for row in segments}
    assert len(told["entries"]) == len(summaries) > 0
    for entry, row in zip(told["entries"], sorted(summaries, key=lambda row: row["taken_at"]), strict=True):
        for name in ("recording_id", "segment", "from_us", "to_us", "reason", "event_id"):
            assert entry[name] == row[name]
        assert datetime.fromisoformat(entry["taken_at"]) == row["taken_at"]
        segment = measured[row["recording_id"], row["segment"]]
        assert (entry["begins_at"], entry["keyframe_us"]) == (segment["begins_at"], segment["keyframe_us"])
        assert entry["score"] == pytest.approx(row["score"], abs=1e-6)
        for name in (*NUMBERS[1:], *RAW):
            assert entry[name] == (None if segment[name] is None else pytest.approx(segment[name], abs=1e-6))
    assert {row["weights"] for row in summaries} == {told["weights"]["label"]} == {"settings"}
    assert told["weights"]["values"] == asdict(steps.summary.weights.weights)
    assert told["versions"]["segment"] == steps.segment.key


def test_pixels_are_told_by_the_digests_of_what_was_sampled(processed: Processed) -> None:
    workspace = processed.workspace
    day, _ = day_of(workspace)
    told = told_of(workspace)
    frames = table_of(workspace, [product.paths[0] for product in made(day, FRAMES_SCOPE)]).to_pylist()
    paths = {row["recording_id"]: row["path"] for row in recordings_now(workspace.ledger)}
    for entry in told["entries"]:
        mine = [row for row in frames if row["recording_id"] == entry["recording_id"]]
        sampled = sorted((r["t_us"], r["digest"]) for r in mine if entry["from_us"] <= r["t_us"] < entry["to_us"])
        assert sampled
        assert entry["digests"] == short_hash([digest for _, digest in sampled])
        assert entry["keyframe_digest"] == dict(sampled)[entry["keyframe_us"]]
    entry = told["entries"][0]
    index = load_index(workspace.store, entry["recording_id"])
    number = np.flatnonzero(index.t_us == entry["keyframe_us"])
    (picture,) = decode(workspace.site.footage_root / paths[entry["recording_id"]], index, number.astype(np.int64))
    assert picture.digest() == entry["keyframe_digest"]


def test_chapters_tell_time_and_reason(processed: Processed) -> None:
    told = told_of(processed.workspace)
    with av.open(str(folder_of(processed.workspace) / told["video"])) as container:
        titles = [chapter["metadata"]["title"] for chapter in container.chapters()]
    zone = processed.workspace.settings.zone
    moments = [datetime.fromisoformat(entry["taken_at"]).astimezone(zone) for entry in told["entries"]]
    assert titles == [f"{at:%H:%M:%S} {entry['reason']}" for at, entry in zip(moments, told["entries"], strict=True)]


def test_every_event_is_shown_or_told_to_be_omitted(processed: Processed) -> None:
    told = told_of(processed.workspace)
    omitted = {event["event_id"] for event in told["omitted"]}
    for event in told["events"]:
        begins, ends = (datetime.fromisoformat(event[name]).timestamp() for name in ("started_at", "ended_at"))
        spans = [
            (at := datetime.fromisoformat(entry["taken_at"]).timestamp(), at + entry["for_s"])
            for entry in told["entries"]
        ]
        shown = any(begin < ends and begins < end for begin, end in spans)
        assert shown != (event["event_id"] in omitted)


def seen(figure: Path, truth: str) -> bool:
    """Whether a truth is told in its colour somewhere."""
    picture = cv2.cvtColor(np.asarray(cv2.imread(str(figure))), cv2.COLOR_BGR2RGB).astype(int)
    return bool((np.abs(picture - TRUTHS[truth]).max(axis=2) < 60).sum() > 10)


def test_the_figure_shows_what_people_said_and_nothing_is_decoded_for_it(copied: Workspace) -> None:
    shown = {entry["event_id"] for entry in told_of(copied)["entries"] if entry["event_id"]}
    events = [event for event in read_events(copied, EventFilter(camera=EAST, day=TUESDAY)) if event.event_id in shown]
    before = tree(folder_of(copied))
    assert publish_again(copied) == 0
    assert tree(folder_of(copied))["segments.jpg"] == before["segments.jpg"]
    for confirmed, truth in ((True, "confirmed"), (False, "dismissed")):
        say_verdict(copied, events[0], confirmed, "ann")
        assert publish_again(copied) == 0
        told = told_of(copied)
        (entry,) = [entry for entry in told["entries"] if entry["event_id"] == events[0].event_id]
        assert entry["truth"] == truth
        assert seen(folder_of(copied) / told["figure"], truth)
        after = tree(folder_of(copied))
        assert {name for name in before if after[name] != before[name]} == {"segments.jpg", "summary.json"}
    take_verdict_back(copied, events[0], "ann")
    assert publish_again(copied) == 0
    assert tree(folder_of(copied))["segments.jpg"] == before["segments.jpg"]


def test_a_truth_reaches_as_far_as_its_verdict(copied: Workspace) -> None:
    (event, *_) = read_events(copied, EventFilter(camera=EAST, day=TUESDAY))
    assert Truth(copied, EAST).told([event.recording_id]) == ()
    label, *_ = say_verdict(copied, event, False, "ann")
    truth = Truth(copied, EAST)
    span = label.recording_id, label.from_us, label.to_us
    assert truth.told([label.recording_id, "another"]) == (Said(*span, False),)
    assert truth.told(["another"]) == ()
    assert Truth(copied, "another").told([label.recording_id]) == ()
    said = truth.told([label.recording_id])
    assert truth_of(said, *span) == "dismissed"
    assert truth_of(said, label.recording_id, label.to_us - 1, label.to_us + 1) == "dismissed"
    assert truth_of(said, label.recording_id, label.to_us, label.to_us + 1) == ""
    assert truth_of(said, "another", label.from_us, label.to_us) == ""
    assert truth_of([*said, Said(*span, True)], *span) == "confirmed"


def test_what_is_told_to_be_true_is_what_the_key_was_made_of(copied: Workspace) -> None:
    day, steps = day_of(copied)
    shown = {entry["event_id"] for entry in told_of(copied)["entries"] if entry["event_id"]}
    (event, *_) = (
        event for event in read_events(copied, EventFilter(camera=EAST, day=TUESDAY)) if event.event_id in shown
    )
    shutil.rmtree(folder_of(copied))
    steps = replace(steps, publish=replace(steps.publish, exists=False))
    say_verdict(copied, event, True, "ann")
    assert publish_day(copied, day, steps, 1).status == "done"
    assert {entry["truth"] for entry in told_of(copied)["entries"]} == {""}, "it was said after that was planned"
    day, steps = day_of(copied)
    assert {item.confirmed for item in steps.truth} == {True}
    assert publish_day(copied, day, steps, 1).status == "done"
    assert "confirmed" in {entry["truth"] for entry in told_of(copied)["entries"]}


def without_keyframes(workspace: Workspace, keep: int) -> None:
    """Alter the lake: of the chosen segments all but the first `keep` have no clear picture."""
    _, steps = day_of(workspace)
    chosen = {(row["recording_id"], row["segment"]) for row in read_chosen(workspace.store, steps)[keep:]}
    rows = workspace.store.read_table(steps.segment.outputs[0])
    keys = zip(rows["recording_id"].to_pylist(), rows["segment"].to_pylist(), strict=True)
    kept = [None if key in chosen else at for key, at in zip(keys, rows["keyframe_us"].to_pylist(), strict=True)]
    at = rows.schema.get_field_index("keyframe_us")
    changed = rows.set_column(at, rows.schema.field(at), pa.array(kept, pa.int64()))
    workspace.store.write_table(steps.segment.outputs[0], changed)


@pytest.mark.parametrize("keep", [1, 0])
def test_a_segment_without_a_clear_picture_has_no_still(copied: Workspace, keep: int) -> None:
    without_keyframes(copied, keep)
    publish_again(copied)
    told = told_of(copied)
    assert len(told["entries"]) > 1
    stills = [entry["keyframe"] for entry in told["entries"]]
    assert [bool(still) for still in stills] == [number < keep for number in range(len(stills))]
    assert all((entry["keyframe_us"], entry["keyframe_digest"]) == (None, "") for entry in told["entries"][keep:])
    assert (told["contact"], told["figure"]) == (("contact.jpg", "segments.jpg") if keep else ("", ""))
    named = {"summary.json", told["video"], told["contact"], told["figure"], *stills}
    named |= {event[name] for event in told["events"] for name in ("clip", "keyframe")}
    assert set(tree(folder_of(copied))) == named - {""}
    if keep:
        sheet = cv2.imread(str(folder_of(copied) / told["contact"]))
        assert sheet is not None
        assert (sheet[:, 330:] < 40).all(), "one cell only"


def test_two_publications_of_the_same_day_are_the_same_bytes(processed: Processed, copied: Workspace) -> None:
    shutil.rmtree(folder_of(copied))
    day, steps = day_of(copied)
    assert publish_day(copied, day, steps, 2).status == "done"
    assert tree(folder_of(copied)) == tree(folder_of(processed.workspace))
