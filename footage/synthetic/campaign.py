"""Renders a synthetic campaign: real encoded files whose truth is known because it was staged.

Two fixed cameras watch one hall in which a bridge crane works and people walk; now and then a cask passes the transfer
hatch. One recording is cut short and corrupt, one is absent, one stands still for a while, one has a variable rate.
Layout: ``<folder>/<camera>/<start, UTC>.<mp4|mkv>``, and ``<folder>/truth.json``.
"""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from footage.synthetic.damage import Damage, cut_and_scramble
from footage.synthetic.geometry import NEAR_M, View
from footage.synthetic.hall import CAMERAS, region_polygons
from footage.synthetic.plan import (
    CASK_HEIGHT_M,
    CASK_RADIUS_M,
    SECOND_US,
    CampaignSettings,
    DayPlan,
    PlannedDefect,
    SceneState,
    Staged,
    in_forbidden,
    person_at,
    state_at,
)
from footage.synthetic.render import render
from footage.synthetic.schedule import plan_day
from footage.synthetic.truth import (
    TRUTH_FILE,
    CameraTruth,
    CampaignTruth,
    DefectTruth,
    EventTruth,
    RecordingTruth,
    RegionTruth,
    SpanKind,
)
from footage.writing import Encoding, VideoWriter, write_bytes
from infra.errors import ConfigurationError

VISIBLE_SHARE = 0.2
"""Share of a thing's measured points that must lie in the picture for it to count as seen."""


@dataclass(frozen=True)
class Shot:
    """One frame: its time in the file, the time of the scene it shows and the number of its noise."""

    time_us: int
    scene_us: int
    number: int


@dataclass(frozen=True)
class _Job:
    settings: CampaignSettings
    camera: int
    day: int
    slot: int
    folder: Path

    @property
    def defect(self) -> PlannedDefect | None:
        cell = (self.camera, self.day, self.slot)
        return next((d for d in self.settings.defects if (d.camera, d.day, d.slot) == cell), None)

    @property
    def file(self) -> str:
        kind = self.defect.kind if self.defect else None
        start = self.settings.started_at(self.day, self.slot)
        return f"{CAMERAS[self.camera].name}/{start:%Y-%m-%dT%H-%M-%S}.{'mkv' if kind == 'truncated' else 'mp4'}"


@dataclass(frozen=True)
class _Taken:
    recording: RecordingTruth | None
    events: tuple[EventTruth, ...]
    defects: tuple[DefectTruth, ...]


def render_campaign(
    folder: Path,
    settings: CampaignSettings,
    *,
    progress: Callable[[float], None] | None = None,
    workers: int = 2,
) -> CampaignTruth:
    """Stages, films and encodes a campaign; the same settings give the same bytes, whatever ``workers``.

    With more than one worker the recordings are spread over spawned processes, so a script that calls this needs the
    usual ``if __name__ == "__main__"``.

    Args:
        folder: The campaign's folder, made where absent; files of the same name are replaced, others left alone.
        settings: What to stage.
        progress: Called with the finished share, rising to 1.
        workers: Processes; 1 works in this one.

    Returns:
        The truth, also written to ``folder/truth.json`` when all recordings are there.

    Raises:
        ConfigurationError: ``workers`` is below 1, or a slot has no room for its incidents.
    """
    if workers < 1:
        raise ConfigurationError(f"workers {workers} must be at least 1")
    jobs = [
        _Job(settings, camera, day, slot, folder)
        for camera in range(len(CAMERAS))
        for day in range(settings.days)
        for slot in range(settings.slots)
    ]
    for camera in CAMERAS:
        (folder / camera.name).mkdir(parents=True, exist_ok=True)
    taken: dict[int, _Taken] = {}
    for index, result in _results(jobs, workers):
        taken[index] = result
        if progress is not None:
            progress(len(taken) / len(jobs))
    cameras = []
    for number, camera in enumerate(CAMERAS):
        parts = [taken[index] for index, job in enumerate(jobs) if job.camera == number]
        cameras.append(
            CameraTruth(
                name=camera.name,
                regions=tuple(RegionTruth(*item) for item in region_polygons(_view(settings, number)).items()),
                recordings=tuple(part.recording for part in parts if part.recording is not None),
                events=tuple(event for part in parts for event in part.events),
                defects=tuple(defect for part in parts for defect in part.defects),
            )
        )
    truth = CampaignTruth(settings.seed, settings.width, settings.height, settings.rate_hz, tuple(cameras))
    truth.write(folder / TRUTH_FILE)
    return truth


def _results(jobs: list[_Job], workers: int) -> Iterator[tuple[int, _Taken]]:
    if workers == 1:
        for index, job in enumerate(jobs):
            yield index, _take(job)
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        futures = {pool.submit(_take, job): index for index, job in enumerate(jobs)}
        for future in as_completed(futures):
            yield futures[future], future.result()


def shots(settings: CampaignSettings, defect: PlannedDefect | None, slot: int, number: int) -> tuple[Shot, ...]:
    """The frames of one recording, in order.

    Args:
        settings: Rate, length of a slot, length of a frozen stretch.
        defect: The recording's defect: ``frozen`` and ``variable_rate`` change its frames, others do not.
        slot: Number of the slot in the day.
        number: A number of the recording's own; decides noise, jitter and drops.
    """
    begin_us, length_us = slot * settings.slot_us, settings.slot_us
    interval = settings.interval_us()
    times = [int(index * interval) for index in range(length_us // SECOND_US * settings.rate_hz)]
    if defect is not None and defect.kind == "variable_rate":
        rng = np.random.default_rng([settings.seed, number, 5])
        jitter = rng.uniform(-0.35, 0.35, len(times)) * float(interval)
        kept = rng.random(len(times)) > 0.08
        kept[0] = True
        jitter[0] = 0.0
        times = [t + round(float(off)) for t, off, stays in zip(times, jitter, kept, strict=True) if stays]
    frozen_us = _frozen_span(settings) if defect is not None and defect.kind == "frozen" else (0, 0)
    taken = []
    for index, time_us in enumerate(times):
        still = frozen_us[0] <= time_us < frozen_us[1]
        shown = frozen_us[0] if still else time_us
        first = next(i for i, t in enumerate(times) if t >= frozen_us[0]) if still else index
        taken.append(Shot(time_us, begin_us + shown, number * 1_000_000 + first))
    return tuple(taken)


def _frozen_span(settings: CampaignSettings) -> tuple[int, int]:
    start_us = settings.slot_us // 4 // SECOND_US * SECOND_US
    return start_us, start_us + settings.frozen_us


def _take(job: _Job) -> _Taken:
    """Films one recording; runs in a worker process."""
    settings, defect = job.settings, job.defect
    if defect is not None and defect.kind == "gap":
        return _Taken(None, (), (_span(job, "gap", 0, settings.slot_us),))
    plan, view = plan_day(settings, job.day), _view(settings, job.camera)
    number = (job.camera * settings.days + job.day) * settings.slots + job.slot
    frames = shots(settings, defect, job.slot, number)
    target = job.folder / job.file
    spans: list[DefectTruth] = []
    if defect is not None and defect.kind == "truncated":
        with tempfile.TemporaryDirectory() as whole:
            path = Path(whole) / target.name
            _encode(path, job, plan, view, frames)
            damage = cut_and_scramble(path, settings.seed)
        write_bytes(target, damage.content)
        spans = _damaged(job, damage)
    else:
        _encode(target, job, plan, view, frames)
        if defect is not None and defect.kind == "frozen":
            spans = [_span(job, "frozen", *_frozen_span(settings))]
        elif defect is not None:
            spans = [_span(job, "variable_rate", 0, settings.slot_us)]
    kind = defect.kind if defect is not None and defect.kind != "gap" else None
    start = settings.started_at(job.day, job.slot)
    recording = RecordingTruth(job.file, start, settings.slot_us, len(frames), kind)
    return _Taken(recording, _events(job, plan, view), tuple(spans))


def _encode(path: Path, job: _Job, plan: DayPlan, view: View, frames: tuple[Shot, ...]) -> None:
    settings = job.settings
    keyframe_every = settings.keyframe_every
    if job.defect is not None and job.defect.kind == "frozen":
        # A key frame codes even an unchanged picture anew, and the stretch would not stand still when decoded.
        keyframe_every = int(_frozen_span(settings)[1] / settings.interval_us())
    encoding = Encoding(
        crf=settings.crf,
        preset="superfast",
        keyframe_every=keyframe_every,
        rate_hz=Fraction(settings.rate_hz),
    )
    with VideoWriter(path, encoding, end_us=settings.slot_us) as video:
        for shot in frames:
            video.write(render(view, state_at(plan, shot.scene_us), settings.seed, shot.number), shot.time_us)


def _view(settings: CampaignSettings, camera: int) -> View:
    return View(CAMERAS[camera], settings.width, settings.height)


def _span(job: _Job, kind: SpanKind, from_us: int, to_us: int) -> DefectTruth:
    start = job.settings.started_at(job.day, job.slot)
    file = None if kind == "gap" else job.file
    return DefectTruth(
        kind, file, from_us, to_us, start + timedelta(microseconds=from_us), start + timedelta(microseconds=to_us)
    )


def _damaged(job: _Job, damage: Damage) -> list[DefectTruth]:
    return [
        _span(job, "corrupt", *damage.corrupt_us),
        _span(job, "missing", damage.missing_from_us, job.settings.slot_us),
    ]


def _events(job: _Job, plan: DayPlan, view: View) -> tuple[EventTruth, ...]:
    """The slot's incidents as this camera sees them: from the first frame that shows something to the last."""
    settings, start = job.settings, job.settings.started_at(job.day, job.slot)
    begin_us, interval = job.slot * settings.slot_us, settings.interval_us()
    grid = [int(index * interval) for index in range(settings.slot_us // SECOND_US * settings.rate_hz + 1)]
    found = []
    for incident in plan.incidents:
        if not begin_us <= incident.from_us < begin_us + settings.slot_us:
            continue
        seen = [
            index
            for index, t_us in enumerate(grid[:-1])
            if incident.from_us <= begin_us + t_us < incident.to_us
            and is_seen(view, incident, state_at(plan, begin_us + t_us), begin_us + t_us)
        ]
        if seen:
            from_us, to_us = grid[seen[0]], grid[seen[-1] + 1]
            began, ended = start + timedelta(microseconds=from_us), start + timedelta(microseconds=to_us)
            found.append(EventTruth(incident.kind, job.file, from_us, to_us, began, ended))
    return tuple(found)


def is_seen(view: View, incident: Staged, state: SceneState, t_us: int) -> bool:
    """Whether a camera sees an incident at time ``t_us`` of the day.

    A cask counts from the hatch's first movement to its last, and while the cask hangs in the picture; a person inside
    the marked square; a runner in the picture.
    """
    if incident.kind == "cask":
        if state.hatch_open > 0:
            return True
        if state.cask_foot_m is None or state.cask_foot_m < -CASK_HEIGHT_M:
            return False
        x, y, _ = state.crane_m
        low, high = state.cask_foot_m, state.cask_foot_m + CASK_HEIGHT_M
        offsets = (-CASK_RADIUS_M, 0.0, CASK_RADIUS_M)
        return _inside(
            view, [(x + dx, y + dy, z) for dx in offsets for dy in offsets for z in np.linspace(low, high, 4)]
        )
    person = person_at(incident.walk, t_us) if incident.walk is not None else None
    if person is None:
        return False
    if incident.kind == "intrusion":
        return in_forbidden(person.place_m)
    return _inside(view, [(*person.place_m, z) for z in np.linspace(0.1, 1.7, 6)])


def _inside(view: View, points: list[tuple[float, float, float]]) -> bool:
    turned = view.turned(np.array(points))
    pixels = view.flat(turned[turned[:, 2] > NEAR_M])
    within = ((pixels >= 0) & (pixels < [view.width, view.height])).all(axis=1)
    return bool(within.sum() >= VISIBLE_SHARE * len(points))
