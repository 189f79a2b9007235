"""The synthetic campaign is what its truth says it is, file by file and span by span."""

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from footage.synthetic.campaign import render_campaign, shots
from footage.synthetic.geometry import Brush, View
from footage.synthetic.hall import CAMERAS, HATCH_M, LENGTH_M
from footage.synthetic.plan import (
    CampaignSettings,
    DayPlan,
    PlannedDefect,
    PlannedIncident,
    Track,
    in_forbidden,
    small_campaign,
    state_at,
)
from footage.synthetic.render import render
from footage.synthetic.schedule import plan_day
from footage.synthetic.truth import CameraTruth, CampaignTruth, DefectTruth, EventTruth, RecordingTruth, read_truth
from infra.errors import ConfigurationError, FootageError

SETTINGS = small_campaign()


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campaign")
    render_campaign(folder, SETTINGS, workers=1)
    return folder


@pytest.fixture(scope="module")
def truth(campaign: Path) -> CampaignTruth:
    return read_truth(campaign)


@cache
def decoded(path: Path) -> tuple[NDArray[np.int64], NDArray[np.uint8], int]:
    """Times (N,) in microseconds, grey pictures (N, H, W) and the number of packets that could not be decoded."""
    times, pictures, failures = [], [], 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                for frame in packet.decode():
                    assert frame.time is not None
                    times.append(round(frame.time * 1_000_000))
                    pictures.append(frame.to_ndarray(format="gray"))
            except av.FFmpegError:
                failures += 1
    return np.array(times), np.stack(pictures), failures


def defective(truth: CampaignTruth, kind: str) -> tuple[CameraTruth, RecordingTruth]:
    return next((c, r) for c in truth.cameras for r in c.recordings if r.defect == kind)


def spans(truth: CampaignTruth, kind: str) -> list[DefectTruth]:
    return [span for camera in truth.cameras for span in camera.defects if span.kind == kind]


def recordings(truth: CampaignTruth) -> Iterator[tuple[CameraTruth, RecordingTruth]]:
    return ((camera, recording) for camera in truth.cameras for recording in camera.recordings)


def test_same_seed_gives_same_bytes_on_any_number_of_workers(campaign: Path, tmp_path: Path) -> None:
    finished: list[float] = []
    render_campaign(tmp_path, SETTINGS, progress=finished.append, workers=2)

    def digests(folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    assert digests(tmp_path) == digests(campaign)
    assert finished == sorted(finished)
    assert finished[-1] == 1


def test_folder_holds_the_listed_files_named_by_their_start_and_the_truth(campaign: Path, truth: CampaignTruth) -> None:
    listed = {recording.file for _, recording in recordings(truth)}
    found = {str(path.relative_to(campaign)) for path in campaign.rglob("*") if path.is_file()}
    assert found == listed | {"truth.json"}
    for camera, recording in recordings(truth):
        folder, name = recording.file.split("/")
        assert folder == camera.name
        started = datetime.strptime(name.split(".")[0], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
        assert started == recording.started_at


def test_files_are_h264_of_the_declared_length_and_frames(campaign: Path, truth: CampaignTruth) -> None:
    for _, recording in recordings(truth):
        with av.open(str(campaign / recording.file)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert (stream.width, stream.height) == (SETTINGS.width, SETTINGS.height)
            assert container.duration == recording.duration_us
        if recording.defect != "truncated":
            times, _, failures = decoded(campaign / recording.file)
            assert len(times) == recording.frames
            assert failures == 0


def test_spans_lie_inside_their_recordings_and_agree_with_the_clock(truth: CampaignTruth) -> None:
    for camera in truth.cameras:
        by_file = {recording.file: recording for recording in camera.recordings}
        listed: list[EventTruth | DefectTruth] = [*camera.events, *camera.defects]
        for span in listed:
            if span.file is None:
                continue
            recording = by_file[span.file]
            assert 0 <= span.from_us < span.to_us <= recording.duration_us
            assert span.began_at == recording.started_at + timedelta(microseconds=span.from_us)
            assert span.ended_at == recording.started_at + timedelta(microseconds=span.to_us)


def test_every_staged_incident_is_listed_but_for_the_absent_recording(truth: CampaignTruth) -> None:
    gaps = {(d.camera, d.day, d.slot) for d in SETTINGS.defects if d.kind == "gap"}
    for number, camera in enumerate(truth.cameras):
        staged = sorted(i.kind for i in SETTINGS.incidents if (number, i.day, i.slot) not in gaps)
        assert sorted(event.kind for event in camera.events) == staged


def test_recordings_of_a_day_join_but_at_the_gap(truth: CampaignTruth) -> None:
    (gap,) = spans(truth, "gap")
    holes = []
    for camera in truth.cameras:
        for before, after in zip(camera.recordings, camera.recordings[1:], strict=False):
            end = before.started_at + timedelta(microseconds=before.duration_us)
            if before.started_at.date() == after.started_at.date() and end != after.started_at:
                holes.append((camera.name, end, after.started_at))
    owner = next(camera.name for camera in truth.cameras if gap in camera.defects)
    assert gap.file is None
    assert holes == [(owner, gap.began_at, gap.ended_at)]


def test_truncated_file_opens_and_loses_exactly_the_listed_spans(campaign: Path, truth: CampaignTruth) -> None:
    _, recording = defective(truth, "truncated")
    times, _, failures = decoded(campaign / recording.file)
    (corrupt,), (missing,) = spans(truth, "corrupt"), spans(truth, "missing")
    lost = [(span.from_us, span.to_us) for span in (corrupt, missing)]
    nominal = [int(i * SETTINGS.interval_us()) for i in range(recording.frames)]
    assert times.tolist() == [t for t in nominal if not any(a <= t < b for a, b in lost)]
    assert failures > 0
    assert len(times) < recording.frames
    assert missing.to_us == recording.duration_us


def test_frozen_stretch_stands_still_while_time_runs(campaign: Path, truth: CampaignTruth) -> None:
    _, recording = defective(truth, "frozen")
    (frozen,) = spans(truth, "frozen")
    times, pictures, _ = decoded(campaign / recording.file)
    change = np.abs(np.diff(pictures.astype(int), axis=0)).mean(axis=(1, 2))
    # The encoder needs about a second to settle on a picture that stands still.
    still = (times[1:] > frozen.from_us + 1_200_000) & (times[1:] < frozen.to_us)
    living = (times[1:] <= frozen.from_us) | (times[1:] >= frozen.to_us)
    assert still.sum() >= 5
    assert np.median(change[still]) < 0.1 * np.median(change[living])
    assert change[still].max() < change[living].min()


def test_variable_rate_file_has_the_staged_times(campaign: Path, truth: CampaignTruth) -> None:
    _, recording = defective(truth, "variable_rate")
    times, _, _ = decoded(campaign / recording.file)
    steps = np.diff(times)
    nominal_us = float(SETTINGS.interval_us())
    assert steps.max() > 1.5 * nominal_us
    assert steps.min() < 0.8 * nominal_us
    assert times[-1] < recording.duration_us
    assert len(times) < recording.duration_us / nominal_us


def hatch_mask(camera: CameraTruth) -> NDArray[np.bool_]:
    region = next(region for region in camera.regions if region.name == "hatch")
    corners = np.array(region.polygon) * [SETTINGS.width - 1, SETTINGS.height - 1]
    mask = np.zeros((SETTINGS.height, SETTINGS.width), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask.astype(bool)


def test_casks_change_the_hatch_region_more_than_anything_usual(campaign: Path, truth: CampaignTruth) -> None:
    for camera in truth.cameras:
        mask = hatch_mask(camera)
        calm, busy = [], []
        for recording in camera.recordings:
            times, pictures, _ = decoded(campaign / recording.file)
            inside = np.zeros(len(times), bool)
            for event in camera.events:
                if event.file == recording.file:
                    shown = (times >= event.from_us) & (times < event.to_us)
                    inside |= shown
                    if event.kind == "cask":
                        busy.append(pictures[shown][:, mask])
            calm.append(pictures[~inside][:, mask])
        usual = np.concatenate(calm)
        empty = np.median(usual, axis=0)
        for pixels in busy:
            assert np.abs(pixels - empty).mean() > 1.5 * np.abs(usual - empty).mean()


def test_listed_spans_and_only_they_show_what_was_staged(campaign: Path, truth: CampaignTruth) -> None:
    """Each decoded picture is held against one rendered without casks, open hatch and intruders."""
    for camera, fixed in zip(truth.cameras, CAMERAS, strict=True):
        view = View(fixed, SETTINGS.width, SETTINGS.height)
        first = {day: SETTINGS.started_at(day, 0) for day in range(SETTINGS.days)}
        for recording in camera.recordings:
            if recording.defect == "frozen":
                continue
            day = next(d for d, start in first.items() if start.date() == recording.started_at.date())
            plan, begin = plan_day(SETTINGS, day), recording.started_at - first[day]
            spans = [(e.from_us, e.to_us) for e in camera.events if e.file == recording.file]
            times, pictures, _ = decoded(campaign / recording.file)
            for time_us, picture in list(zip(times.tolist(), pictures, strict=True))[::3]:
                state = state_at(plan, round(begin / timedelta(microseconds=1)) + time_us)
                usual = dataclasses.replace(
                    state,
                    hatch_open=0.0,
                    cask_foot_m=None,
                    load="none" if state.load == "cask" else state.load,
                    people=tuple(person for person in state.people if not in_forbidden(person.place_m)),
                )
                expected = cv2.cvtColor(render(view, usual, SETTINGS.seed, 0), cv2.COLOR_RGB2GRAY).astype(np.float64)
                changed = int((np.abs(cv2.blur(picture - expected, (3, 3))) > 10).sum())
                edge_us = 2 * float(SETTINGS.interval_us())
                if any(a <= time_us < b for a, b in spans):
                    assert changed > 20, (recording.file, time_us)
                elif not any(a - edge_us <= time_us < b + edge_us for a, b in spans):
                    assert changed < 10, (recording.file, time_us)


def test_a_cask_changes_much_of_the_hatch_and_wears_mostly_the_halls_own_colours() -> None:
    settings = SETTINGS
    plan = plan_day(settings, 1)
    cask = next(incident for incident in plan.incidents if incident.kind == "cask")
    view = View(CAMERAS[0], settings.width, settings.height)
    lifted = next(
        state
        for t in range(cask.from_us, cask.to_us, 50_000)
        if (state := state_at(plan, t)).cask_foot_m is not None and state.cask_foot_m > 0.2
    )
    without = dataclasses.replace(lifted, cask_foot_m=None, load="none", hatch_open=0.0)
    shown = render(view, lifted, settings.seed, 1).astype(int)
    hidden = render(view, without, settings.seed, 1).astype(int)
    changed = np.abs(shown - hidden).max(axis=2) > 12
    assert changed.mean() > 0.02
    own, hall = (np.unique((part // 16) @ [256, 16, 1]) for part in (shown[changed], hidden.reshape(-1, 3)))
    assert np.isin(own, hall).mean() > 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2))
def test_any_seed_gives_a_day_with_routine_in_every_recording(seed: int, day: int) -> None:
    asked = CampaignSettings(seed=seed)
    plan = plan_day(asked, day)
    assert plan == plan_day(asked, day)
    for slot in range(asked.slots):
        times = range(slot * asked.slot_us, (slot + 1) * asked.slot_us, 500_000)
        states = [state_at(plan, t) for t in times]
        assert any(state.people for state in states)
        places = np.array([state.crane_m for state in states])
        assert np.ptp(places[:, 0]) > 2
        assert np.ptp(places[:, 2]) > 0.5
    wanted = sorted(i.kind for i in asked.incidents if i.day == day)
    assert sorted(i.kind for i in plan.incidents) == wanted
    for incident in plan.incidents:
        assert incident.from_us // asked.slot_us == (incident.to_us - 1) // asked.slot_us
    assert not _strangers(plan, asked)


def _strangers(plan: DayPlan, asked: CampaignSettings) -> list[int]:
    """Times at which somebody stands in the marked square, or a cask is about, outside every incident."""
    found = []
    for t in range(0, asked.slots * asked.slot_us, 250_000):
        if any(incident.from_us <= t < incident.to_us for incident in plan.incidents):
            continue
        state = state_at(plan, t)
        if any(in_forbidden(p.place_m) for p in state.people) or state.hatch_open > 0 or state.cask_foot_m is not None:
            found.append(t)
    return found


def test_other_seeds_give_other_days() -> None:
    assert plan_day(CampaignSettings(seed=1), 0) != plan_day(CampaignSettings(seed=2), 0)
    assert plan_day(CampaignSettings(seed=1), 0) != plan_day(CampaignSettings(seed=1), 1)


@given(st.integers(0, 1000), st.integers(0, 2), st.sampled_from(["frozen", "variable_rate", "truncated", None]))
@settings(max_examples=30, deadline=None)
def test_frames_rise_inside_the_slot(number: int, slot: int, kind: str | None) -> None:
    defect = None if kind is None else PlannedDefect(kind, 0, 0, slot)  # type: ignore[arg-type]
    frames = shots(SETTINGS, defect, slot, number)
    times = [shot.time_us for shot in frames]
    assert times == sorted(set(times))
    assert times[0] == 0
    assert times[-1] < SETTINGS.slot_us
    for shot in frames:
        late_us = shot.time_us + slot * SETTINGS.slot_us - shot.scene_us
        assert late_us == 0 or (kind == "frozen" and 0 < late_us < SETTINGS.frozen_us)


def test_rendering_is_pure_and_noise_differs_from_shot_to_shot() -> None:
    view = View(CAMERAS[1], 192, 108)
    state = state_at(plan_day(SETTINGS, 0), 3_000_000)
    first = render(view, state, 7, 1)
    assert first.shape == (108, 192, 3)
    assert first.dtype == np.uint8
    assert (first == render(view, state, 7, 1)).all()
    apart = np.abs(first.astype(int) - render(view, state, 7, 2)).mean()
    assert 1 < apart < 6


def test_track_passes_its_values_and_holds_its_ends() -> None:
    track = Track((0, 100, 200), ((0.0,), (1.0,), (3.0,)))
    assert [track.at(t)[0] for t in (-5, 0, 50, 100, 150, 200, 999)] == [0, 0, 0.5, 1, 2, 3, 3]


@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(1, 30))
def test_a_point_on_a_pixels_ray_is_seen_at_that_pixel(u: float, v: float, depth: float) -> None:
    for camera in CAMERAS:
        view = View(camera, 64, 36)
        row, column = round((v + 0.5) * 35), round((u + 0.5) * 63)
        point = np.asarray(camera.position_m) + depth * view.rays()[row, column]
        assert np.allclose(view.project(point[None])[0], (column, row), atol=1e-6)
        assert np.allclose(view.turned(point[None])[0, 2], depth)


def test_target_is_in_the_middle_and_both_cameras_see_the_hatch() -> None:
    for camera in CAMERAS:
        view = View(camera, 320, 180)
        assert np.allclose(view.project(np.array([camera.target_m])), (159.5, 89.5))
        x, y = view.project(np.array([(*HATCH_M, 0.0)]))[0]
        assert 60 < x < 260
        assert 60 < y < 170


def test_shapes_through_the_near_plane_and_behind_the_camera_are_drawn_safely() -> None:
    camera = CAMERAS[0]
    picture = np.zeros((90, 160, 3), np.uint8)
    brush = Brush(picture, View(camera, 160, 90))
    behind = np.array(camera.position_m) - [0, 5, 0]
    brush.box(behind - 0.5, behind + 0.5, (255, 255, 255))
    assert picture.max() == 0
    brush.box(np.array([0, -3, -1.0]), np.array([LENGTH_M, 30, 0.0]), (200, 200, 200))
    assert picture[-1].min() > 0
    assert picture[0].max() == 0


def test_truth_survives_json_and_bad_json_is_refused(truth: CampaignTruth, tmp_path: Path) -> None:
    assert CampaignTruth.from_json(truth.to_json()) == truth
    with pytest.raises(FootageError, match="render the campaign again"):
        CampaignTruth.from_json('{"cameras": [{}]}')
    with pytest.raises(FootageError, match="does not exist"):
        read_truth(tmp_path)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="even"):
        CampaignSettings(width=641)
    with pytest.raises(ConfigurationError, match="outside 3 days"):
        CampaignSettings(incidents=(PlannedIncident("cask", 3, 0),))
    with pytest.raises(ConfigurationError, match="frozen or truncated"):
        CampaignSettings(incidents=(PlannedIncident("cask", 2, 1),))
    with pytest.raises(ConfigurationError, match="one recording each"):
        CampaignSettings(defects=(PlannedDefect("gap", 0, 0, 0), PlannedDefect("frozen", 0, 0, 0)))
    crowded = CampaignSettings(incidents=(PlannedIncident("cask", 0, 0),) * 5)
    with pytest.raises(ConfigurationError, match="fewer incidents"):
        plan_day(crowded, 0)
    with pytest.raises(ConfigurationError, match="workers"):
        render_campaign(Path("unused"), SETTINGS, workers=0)
