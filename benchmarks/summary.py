"""What a summary costs: beside embedding its day, and when a person weighs the segments of many cameras anew: `summary`."""

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afterwatch.workspace_files import make_workspace
from benchmarks.clips import clip_folder
from benchmarks.hall_hours import Hall, hall_recording, link
from benchmarks.timing import Ratio, Report, Run, take_turns
from benchmarks.workbench import CAMPAIGN, embed_all, ingest_and_plan
from infra.errors import AfterwatchError
from infra.settings import SETTINGS_FILE
from lake.current import recordings_now
from lake.schema import LOOK_VALUES
from models.summary.scores import Columns, Weights, combine
from models.summary.segments import Segments, cut_segments
from models.summary.selection import EventSpan, Selection, select_segments, wanted_of
from tasks.digest import digest_day
from tasks.encoders import load_encoder
from tasks.plan import DayPlan, Recording, ShardPlan, plan_days, recordings_of
from tasks.publish import ENTRIES, publish_day
from tasks.receipts import Receipt
from tasks.score import score_day
from tasks.segment import segment_day
from tasks.step_plans import DaySteps
from tasks.steps import plan_camera
from tasks.summarise import summarise_day
from workspace.opened import Workspace

CAMERA = "hall"
PIECE_S = 3600
HOURS = 8
EVENTS = 4
FLOOR_MAD = 10.0
"""So that a day's events are the casks of the hall: what is repeated is as unusual every time, and would be as many events."""
TARGET = 0.05
CAMERAS, SEGMENTS = 100, 21_600
"""A day of 24 hours has as many segments of 4 s."""
MADE = 4
"""Days of segments that are drawn; the cameras take them in turn."""
SEGMENT_US = 4_000_000
WANTED, BUDGET_S, MAXIMUM_COSINE = 10, 60.0, 0.9
SCENES, NOISE = 40, 0.2
ALLOWED_S, SELECTION_S = 1.0, 0.008


def run_summary(
    report: Report,
    hall: Hall | None = None,
    piece_s: int = PIECE_S,
    hours: int = HOURS,
    cameras: int = CAMERAS,
    segments: int = SEGMENTS,
    rounds: int = 3,
) -> list[Ratio]:
    """Five ratios: a day's summary ÷ embedding the day, in CPU and in wall time; its events' videos; re-ranking; a selection.

    The day has `hours` quiet recordings of `piece_s` and a third of one with events, and a quiet recording the day before
    as its reference. One quiet recording is embedded, and counted as often as it is there: the others show the same
    pictures at other times, and the lake's rows of it are copied for them.
    """
    return [
        *_of_a_day(report, hall or Hall(), piece_s, hours, rounds),
        *_weighed_anew(report, cameras, segments, rounds),
    ]


@dataclass(frozen=True, eq=False)
class _Clocks:
    """CPU and wall seconds of one piece of work."""

    cpu_s: float
    wall_s: float

    def times(self, count: int) -> "_Clocks":
        return _Clocks(self.cpu_s * count, self.wall_s * count)

    def plus(self, other: "_Clocks") -> "_Clocks":
        return _Clocks(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)

    @classmethod
    def of(cls, work: Run) -> "_Clocks":
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return cls(time.process_time() - cpu, time.perf_counter() - wall)


def _of_a_day(report: Report, hall: Hall, piece_s: int, hours: int, rounds: int) -> list[Ratio]:
    report.say(f"summary, rendering a hall, {hall.width}×{hall.height}, {hall.rate_hz} pictures a second")
    root = _site(hall, piece_s, hours)
    before, today = ingest_and_plan(root)
    source, eventful = today.shards[0].recording, today.shards[-1].recording
    for encoder in Workspace(root).encoders:
        load_encoder(encoder, Workspace(root).settings.compute)
    measured = {
        recording.path: _Clocks.of(partial(embed_all, root, [s for s in today.shards if s.recording == recording], 1))
        for recording in (source, eventful)
    }
    _copy_rows(root, [*before.shards, *today.shards], source, eventful)
    embedding = measured[source.path].times(hours).plus(measured[eventful.path])
    report.say(f"  embedding {hours} × {piece_s} s: {embedding.cpu_s:.1f} s CPU time, {embedding.wall_s:.1f} s")
    workspace, planned = _planned(root)
    for day, steps in planned:
        _see_done(score_day(workspace, day, steps))
    _summarise(workspace, *planned[0])
    day, steps = planned[1]
    whole, alone = [], []
    for _ in range(rounds):
        _forget(workspace, day, steps)
        whole.append(_Clocks.of(partial(_summarise, workspace, day, steps)))
        _forget(workspace, day, steps, events=False)
        alone.append(_Clocks.of(partial(_summarise, workspace, day, steps)))
        report.say(f"  summary and digest: {alone[-1].cpu_s:.2f} s CPU, with events {whole[-1].cpu_s:.2f} s")
    name = f"summary and digest of a day of {hours} × {piece_s} s / embedding it"
    events = workspace.store.read_table(steps.score.outputs[1]).num_rows
    return [
        Ratio(f"{name}, CPU time", median(item.cpu_s for item in alone) / embedding.cpu_s, f"<= {TARGET:g}"),
        Ratio(f"{name}, wall time", median(item.wall_s for item in alone) / embedding.wall_s, f"<= {TARGET:g}"),
        Ratio(
            f"the same with the videos of {events} events, CPU time",
            median(item.cpu_s for item in whole) / embedding.cpu_s,
            f"<= {TARGET:g}",
        ),
    ]


def _site(hall: Hall, piece_s: int, hours: int) -> Path:
    """A workspace with two days of a camera, the first a single quiet recording."""
    root = make_workspace(Path(tempfile.mkdtemp(dir=clip_folder())) / "site")
    settings = root / SETTINGS_FILE
    settings.write_text(
        settings.read_text(encoding="utf-8").replace("[novelty]\n", f"[novelty]\nfloor_mad = {FLOOR_MAD}\n"),
        encoding="utf-8",
    )
    link(root, CAMPAIGN, CAMERA, hall_recording(hall, piece_s, 0, seed=0, number=hours), timedelta(0))
    for hour in range(hours):
        recording = hall_recording(hall, piece_s, 0, seed=0, number=hour)
        link(root, CAMPAIGN, CAMERA, recording, timedelta(days=1, seconds=hour * piece_s))
    eventful = hall_recording(hall, piece_s // 3, EVENTS, seed=1)
    link(root, CAMPAIGN, CAMERA, eventful, timedelta(days=1, seconds=hours * piece_s))
    return root


def _copy_rows(root: Path, shards: Sequence[ShardPlan], source: Recording, eventful: Recording) -> None:
    """Give recordings with the pictures of `source` what was embedded of it, at their own times."""
    store = Workspace(root).store
    made = {
        (shard.shard, product.scope): product.paths
        for shard in shards
        if shard.recording == source
        for product in shard.products
    }
    for shard in (shard for shard in shards if shard.recording not in (source, eventful)):
        mine = shard.recording
        for product in shard.products:
            for old, new in zip(made[shard.shard, product.scope], product.paths, strict=True):
                store.write_table(new, _moved(store.read_table(old), mine, mine.started_at - source.started_at))


def _moved(rows: pa.Table, recording: Recording, by: timedelta) -> pa.Table:
    """Rows of another recording as those of `recording`, which began `by` later."""
    columns = {name: rows[name] for name in rows.schema.names}
    columns["recording_id"] = pa.array([recording.recording_id] * len(rows), pa.string())
    columns["day"] = pa.array([recording.place.day] * len(rows), pa.date32())
    if "taken_at" in columns:
        columns["taken_at"] = pc.add(columns["taken_at"], pa.scalar(by, pa.duration("us")))
    return pa.table(columns, schema=rows.schema)


def _planned(root: Path) -> tuple[Workspace, list[tuple[DayPlan, DaySteps]]]:
    """The embedded days and what is to follow, in order of day."""
    workspace = Workspace(root)
    days = plan_days(workspace, recordings_of(workspace, recordings_now(workspace.ledger)))
    now = {day.place: day for day in days}
    return workspace, [(now[steps.place], steps) for steps in plan_camera(workspace, days, set(now))]


def _summarise(workspace: Workspace, day: DayPlan, steps: DaySteps) -> None:
    """What a night does of a day whose scores are there, the digest included."""
    _see_done(
        [
            segment_day(workspace, day, steps),
            summarise_day(workspace, day, steps),
            publish_day(workspace, day, steps, 1),
            digest_day(workspace, day.place.campaign, day.place.day, 1),
        ]
    )


def _forget(workspace: Workspace, day: DayPlan, steps: DaySteps, *, events: bool = True) -> None:
    """Remove what `_summarise` made of a day; the videos of its events only where asked to."""
    for path in (*steps.segment.outputs, *steps.summarise.outputs):
        if workspace.store.exists(path):
            workspace.store.delete(path)
    place, site = day.place, workspace.site
    shutil.rmtree(site.digests_folder / place.campaign / place.day.isoformat(), ignore_errors=True)
    published = site.published_folder / place.campaign / place.camera / place.day.isoformat()
    if events:
        shutil.rmtree(published, ignore_errors=True)
        return
    told = json.loads((published / ENTRIES).read_text(encoding="utf-8"))
    shown = [told[name] for name in ("video", "contact", "figure")]
    for name in filter(None, [*shown, *(entry["keyframe"] for entry in told["entries"])]):
        (published / name).unlink()  # a part of which a file is lacking is made anew
    (published / ENTRIES).write_text(json.dumps({**told, "key": ""}), encoding="utf-8")


def _see_done(receipts: Sequence[Receipt]) -> None:
    """See that everything was made: a benchmark of work left undone would flatter."""
    failed = [f"{receipt.step}: {receipt.status} {receipt.message}" for receipt in receipts if receipt.status != "done"]
    if failed:
        raise AfterwatchError(f"the benchmark's own day could not be summarised: {failed[0]}; see the tests of tasks/")


@dataclass(frozen=True, eq=False)
class _CameraDay:
    """A camera's day as the page that weighs anew holds it in memory."""

    segments: Segments
    columns: Columns
    clear: NDArray[np.bool_]
    looks: NDArray[np.float32]
    events: tuple[EventSpan, ...]

    def selected(self, scores: NDArray[np.float64]) -> Selection:
        return select_segments(
            self.segments.durations_us,
            self.segments.from_us,
            scores,
            clear=self.clear,
            wanted=wanted_of(self.segments, scores, self.events),
            budget_s=BUDGET_S,
            looks=self.looks,
            maximum_cosine=MAXIMUM_COSINE,
        )


def _weighed_anew(report: Report, cameras: int, segments: int, rounds: int) -> list[Ratio]:
    days = [_camera_day(segments, seed) for seed in range(min(MADE, cameras))]
    weights = Weights(0.5, 1.0, 0.2, 0.7)

    def weigh() -> None:
        for number in range(cameras):
            day = days[number % len(days)]
            day.selected(combine(day.columns, weights))

    scores = combine(days[0].columns, weights)
    report.say(f"summary, {cameras} cameras × {segments} segments weighed anew, and one day selected")
    times = take_turns({"weigh": weigh, "select": partial(days[0].selected, scores)}, rounds, report)
    return [
        Ratio(
            f"re-ranking {cameras} cameras × {segments} segments / {ALLOWED_S:g} s",
            median(times["weigh"]) / ALLOWED_S,
            "<= 1",
        ),
        Ratio(
            f"selection among {segments} segments / {SELECTION_S * 1000:g} ms",
            median(times["select"]) / SELECTION_S,
            "<= 1",
        ),
    ]


def _camera_day(count: int, seed: int) -> _CameraDay:
    """Segments of 4 s with drawn columns, each of one of 40 scenes that look alike; one in ten has no clear picture."""
    random = np.random.default_rng(seed)
    segments = cut_segments([(0, count * SEGMENT_US)], SEGMENT_US)
    scenes = random.standard_normal((SCENES, LOOK_VALUES), dtype=np.float32)
    looks = scenes[random.integers(0, SCENES, count)]
    looks += NOISE * random.standard_normal(looks.shape, dtype=np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    peaks = np.sort(random.choice(count, min(WANTED, count), replace=False)) * SEGMENT_US
    events = tuple(
        EventSpan(f"novelty {rank}", f"{rank:012x}", int(at), int(at) + 3 * SEGMENT_US, int(at) + SEGMENT_US // 2)
        for rank, at in enumerate(peaks, start=1)
    )
    columns = Columns(*random.random((4, count)))
    return _CameraDay(segments, columns, random.random(count) > 0.1, looks, events)
