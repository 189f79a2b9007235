"""A small but whole workspace: one night over two cameras, written as the tasks write it."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from infra.site import Site
from lake.keys import Place
from lake.ledger import Ledger, RunRow
from lake.store import Store, rows_of

CAMPAIGN, CAMERA, OTHER = "spring", "gate", "hall"
DAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
NIGHT = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
RUN = "run-20260303"
RECORDED_S, GAP_S = 600, 120
"""Each camera has two recordings of RECORDED_S seconds, GAP_S apart."""
THRESHOLD = 3.0
PEAKS_S = {CAMERA: (100.0, 400.0, 900.0), OTHER: (300.0,)}
"""Peaks of the events, in seconds after START; the first of a camera is an alarm."""
CLIP_S = 12.0
CLIP_PEAK_S = 4.0
"""Where in its proxy an event's peak is shown."""


def at(seconds: float) -> datetime:
    """`seconds` after the first recording begins."""
    return START + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Workspace:
    """The folder, and hands to write more into it."""

    root: Path
    site: Site
    store: Store
    ledger: Ledger

    def day_folder(self, camera: str = CAMERA) -> Path:
        return self.site.published_folder / CAMPAIGN / camera / DAY.isoformat()


def new_site(root: Path) -> Workspace:
    """A workspace in which nothing has run."""
    root.mkdir()
    (root / "afterwatch.toml").write_text('[site]\nname = "North gate"\ntime_zone = "Europe/Rome"\n', encoding="utf-8")
    return open_site(root)


def open_site(root: Path) -> Workspace:
    """The workspace in a folder."""
    site = Site.open(root)
    store = Store(site.lake_location)
    return Workspace(root, site, store, Ledger(store))


def fill(workspace: Workspace) -> None:
    """Write the night: recordings, coverage, scores, events, health, runs and the published days."""
    workspace.ledger.append_recordings(_recordings(), NIGHT)
    rows = [_row("ingest", "", "")]
    for camera in (CAMERA, OTHER):
        rows += _camera_day(workspace, camera)
        publish(workspace, camera)
    rows.append(_closing_row())
    workspace.ledger.record(rows)


def running_row(run_id: str, age: timedelta, **changes: Any) -> RunRow:
    """A row of a run that nothing has closed yet."""
    moment = datetime.now(UTC) - age
    told: dict[str, Any] = {"step": "embed", "status": "done", "message": "", "camera": CAMERA} | changes
    return RunRow(
        run_id=run_id,
        campaign=CAMPAIGN,
        day=DAY,
        scope="frames",
        key="0" * 20,
        started_at=moment - timedelta(seconds=20),
        finished_at=moment,
        **told,
    )


def _recordings() -> Any:
    cameras = [CAMERA, CAMERA, OTHER, OTHER]
    offsets = [0.0, RECORDED_S + GAP_S] * 2
    count = len(cameras) + 2
    return rows_of(
        "recordings",
        {
            "campaign": CAMPAIGN,
            "camera": [*cameras, CAMERA, CAMERA],
            "day": DAY,
            "recording_id": [
                *(_recording(camera, offset) for camera, offset in zip(cameras, offsets, strict=True)),
                "",
                "gate-0",
            ],
            "path": [
                *(
                    f"{CAMPAIGN}/{camera}/{at(offset):%Y-%m-%dT%H-%M-%S}.mp4"
                    for camera, offset in zip(cameras, offsets, strict=True)
                ),
                f"{CAMPAIGN}/{CAMERA}/2026-03-02T09-00-00.mp4",
                f"{CAMPAIGN}/{CAMERA}/copy of 2026-03-02T08-00-00.mp4",
            ],
            "status": ["ready", "partial", "ready", "ready", "quarantined", "duplicate"],
            "reason": ["", "cut short", "", "", "no video stream", "same bytes as 2026-03-02T08-00-00.mp4"],
            "started_at": [*(at(offset) for offset in offsets), at(3600), at(0)],
            "duration_us": [RECORDED_S * 1_000_000] * 4 + [None, RECORDED_S * 1_000_000],
            "frames": 15_000,
            "width": 320,
            "height": 240,
            "codec": "h264",
            "rate_hz": 25.0,
            "variable_rate": False,
            "bytes": 1_000_000,
            "mtime_ns": 0,
            "seen_at": [NIGHT] * count,
        },
    )


def _recording(camera: str, offset: float) -> str:
    return f"{camera}-{int(offset > 0)}"


def _camera_day(workspace: Workspace, camera: str) -> list[RunRow]:
    here = {"campaign": CAMPAIGN, "camera": camera, "day": DAY}
    head = {"head": "novelty", "version": "v1", "region": "frame"}
    folder = Place(CAMPAIGN, camera, DAY).folder
    tables = {
        "coverage": rows_of("coverage", here | _coverage(camera)),
        "scores": rows_of("scores", here | head | _scores(camera)),
        "events": rows_of("events", here | head | _events(camera)),
        "health": rows_of("health", here | _health(camera)),
    }
    rows = []
    for step, names in (("embed", ["coverage"]), ("health", ["health"]), ("score", ["scores", "events"])):
        paths = [f"{name}/{folder}/{step}.parquet" for name in names]
        for name, path in zip(names, paths, strict=True):
            workspace.store.write_table(path, tables[name])
        rows.append(_row(step, CAMPAIGN, camera, outputs=tuple(paths), decoded_s=1200.0 if step == "embed" else 0.0))
    rows.append(_row("publish", CAMPAIGN, camera, status="skipped"))
    return rows


def _coverage(camera: str) -> dict[str, Any]:
    first, second = _recording(camera, 0), _recording(camera, 1)
    spans = [
        (first, 0, 300, "analysed", ""),
        (first, 300, 600, "analysed", ""),
        (second, 0, 480, "analysed", ""),
        (second, 480, 540, "corrupt" if camera == CAMERA else "skipped", "undecodable"),
        (second, 540, 600, "missing" if camera == CAMERA else "analysed", "cut short"),
    ]
    return {
        "recording_id": [span[0] for span in spans],
        "from_us": [span[1] * 1_000_000 for span in spans],
        "to_us": [span[2] * 1_000_000 for span in spans],
        "state": [span[3] for span in spans],
        "reason": [span[4] for span in spans],
    }


def _times() -> list[tuple[int, float]]:
    """(recording, seconds after START) of each score."""
    return [(0, float(t)) for t in range(RECORDED_S)] + [(1, float(t + RECORDED_S + GAP_S)) for t in range(480)]


def _scores(camera: str) -> dict[str, Any]:
    times = _times()
    t = np.array([moment for _, moment in times])
    base = 1.2 + 0.2 * np.sin(t / 37) + 0.1 * np.random.default_rng(7).standard_normal(len(t))
    for number, peak in enumerate(PEAKS_S[camera]):
        base = base + (5.0 - number) * np.exp(-(((t - peak) / 6) ** 2))
    from_us = np.array(
        [(moment - recording * (RECORDED_S + GAP_S)) * 1e6 for recording, moment in times], dtype=np.int64
    )
    return {
        "recording_id": [f"{camera}-{recording}" for recording, _ in times],
        "index": np.arange(len(t)),
        "from_us": from_us,
        "to_us": from_us + 1_000_000,
        "taken_at": [at(float(moment)) for moment in t],
        "score": base.astype(np.float32),
        "probability": np.clip(base / 7, 0, 1).astype(np.float32),
        "normalised": None,
        "flagged": base > THRESHOLD,
    }


def _events(camera: str) -> dict[str, Any]:
    peaks = PEAKS_S[camera]
    numbers = range(len(peaks))
    return {
        "event_id": [f"{camera}-event-{number}" for number in numbers],
        "rank": [number + 1 for number in numbers],
        "alarm": [number == 0 for number in numbers],
        "recording_id": [
            _recording(camera, peak - RECORDED_S) if peak > RECORDED_S else f"{camera}-0" for peak in peaks
        ],
        "started_at": [at(peak - 5) for peak in peaks],
        "ended_at": [at(peak + 5) for peak in peaks],
        "peak_at": [at(peak) for peak in peaks],
        "peak_us": [int(peak * 1e6) for peak in peaks],
        "peak_score": [6.2 - number for number in numbers],
        "threshold": THRESHOLD,
        "deviations": None,
        "keyframe": [f"keyframes/{camera}-event-{number}.jpg" for number in numbers],
        "clip": [f"events/{camera}-event-{number}.mp4" for number in numbers],
    }


def _health(camera: str) -> dict[str, Any]:
    spans = [("frozen", 200, 230), ("blurred", 500, 560)] if camera == CAMERA else []
    return {
        "recording_id": [f"{camera}-0" for _ in spans],
        "from_us": [start * 1_000_000 for _, start, _ in spans],
        "to_us": [end * 1_000_000 for _, _, end in spans],
        "started_at": [at(start) for _, start, _ in spans],
        "kind": [kind for kind, _, _ in spans],
        "value": [0.1 for _ in spans],
    }


def _row(step: str, campaign: str, camera: str, **changes: Any) -> RunRow:
    order = ("ingest", "embed", "health", "fit", "score", "summarise", "publish", "night").index(step)
    told: dict[str, Any] = {"status": "done", "seconds": 12.0} | changes
    return RunRow(
        run_id=RUN,
        step=step,
        campaign=campaign,
        camera=camera,
        day=DAY,
        scope="",
        key=f"{order:020d}",
        started_at=NIGHT + timedelta(minutes=order),
        finished_at=NIGHT + timedelta(minutes=order + 1),
        **told,
    )


def _closing_row() -> RunRow:
    def covered(camera: str, corrupt: float, missing: float, skipped: float) -> dict[str, Any]:
        told = {"recorded_s": 1200.0, "skipped_s": skipped, "corrupt_s": corrupt, "missing_s": missing}
        told["analysed_s"] = told["recorded_s"] - corrupt - missing - skipped
        return {"campaign": CAMPAIGN, "camera": camera, "day": DAY.isoformat(), **told}

    message = {
        "run": RUN,
        "status": "incomplete",
        "steps": [{"step": "embed", "done": 2, "skipped": 0, "failed": 0, "seconds": 24.0}],
        "decoded_s": 2400.0,
        "coverage": [covered(CAMERA, 60.0, 60.0, 0.0), covered(OTHER, 0.0, 0.0, 60.0)],
        "ingest": {
            "new": 4,
            "present": 0,
            "duplicate": 1,
            "broken": 1,
            "gone": 0,
            "gaps": 2,
            "overlaps": 0,
            "problems": [
                {"path": "spring/gate/2026-03-02T09-00-00.mp4", "status": "quarantined", "reason": "no video stream"},
                {"path": "spring/gate/copy of 2026-03-02T08-00-00.mp4", "status": "duplicate", "reason": "same bytes"},
            ],
        },
        "attention": ["gate: 1 min of 20 min is corrupt", "1 recording is quarantined: replace it, then retry"],
    }
    return _row("night", "", "", status="partial", message=json.dumps(message))


def publish(workspace: Workspace, camera: str) -> None:
    """Write a published day: videos that play and pictures that show."""
    folder = workspace.day_folder(camera)
    for below in ("keyframes", "events"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    write_video(folder / "summary.mp4", 24.0, "summary")
    entries, clips = [], []
    for number in range(6):
        keyframe = f"keyframes/segment-{number}.jpg"
        write_picture(folder / keyframe, f"segment {number}", number)
        entries.append(_entry(camera, number, keyframe))
    for number, peak in enumerate(PEAKS_S[camera]):
        event_id = f"{camera}-event-{number}"
        write_picture(folder / f"keyframes/{event_id}.jpg", event_id, number)
        write_video(folder / f"events/{event_id}.mp4", CLIP_S, event_id)
        clips.append(_clip(camera, number, peak))
    write_picture(folder / "contact.jpg", "contact sheet", 3, size=(480, 960))
    summary = {
        "key": "k",
        "campaign": CAMPAIGN,
        "camera": camera,
        "day": DAY.isoformat(),
        "partial": False,
        "video": "summary.mp4",
        "contact": "contact.jpg",
        "duration_s": 24.0,
        "entries": entries,
        "events": clips,
        "versions": {"head": "novelty v1", "encoder": "handcrafted/motion"},
    }
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def _entry(camera: str, number: int, keyframe: str) -> dict[str, Any]:
    return {
        "at_s": number * 4.0,
        "for_s": 4.0,
        "recording": f"{CAMPAIGN}/{camera}/2026-03-02T08-00-00.mp4",
        "recording_id": f"{camera}-0",
        "from_us": number * 90_000_000,
        "to_us": number * 90_000_000 + 4_000_000,
        "taken_at": at(number * 90.0).isoformat(),
        "score": 0.9 - number / 10,
        "anomaly": 0.8,
        "memorability": 0.4,
        "entropy": 0.3,
        "dynamics": 0.6,
        "reason": "unlike its own past",
        "keyframe": keyframe,
    }


def _clip(camera: str, number: int, peak: float) -> dict[str, Any]:
    event_id = f"{camera}-event-{number}"
    return {
        "event_id": event_id,
        "rank": number + 1,
        "alarm": number == 0,
        "head": "novelty",
        "started_at": at(peak - 5).isoformat(),
        "ended_at": at(peak + 5).isoformat(),
        "peak_at": at(peak).isoformat(),
        "peak_score": 6.2 - number,
        "threshold": THRESHOLD,
        "keyframe": f"keyframes/{event_id}.jpg",
        "recording": f"{CAMPAIGN}/{camera}/2026-03-02T08-00-00.mp4",
        "clip": f"events/{event_id}.mp4",
        "clip_started_at": at(peak - CLIP_PEAK_S).isoformat(),
        "clip_s": CLIP_S,
    }


def drawn(words: str, number: int, size: tuple[int, int] = (180, 320)) -> Any:
    """A picture that says what it is: uint8 BGR, shape (*size, 3)."""
    height, width = size
    picture = np.full((height, width, 3), (90 + 10 * number, 80, 60), dtype=np.uint8)
    cv2.circle(picture, (width // 2 + 20 * number % width, height // 2), height // 6, (60, 160, 230), -1)
    cv2.putText(picture, words, (12, height - 16), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (240, 240, 240), 1, cv2.LINE_AA)
    return picture


def write_picture(path: Path, words: str, number: int, size: tuple[int, int] = (180, 320)) -> None:
    assert cv2.imwrite(str(path), drawn(words, number, size))


def write_video(path: Path, duration_s: float, words: str, rate: int = 10) -> None:
    """H.264 in which the clock runs, so that one sees whether it plays."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": str(rate)})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(int(duration_s * rate)):
            picture = drawn(f"{words} {number / rate:.1f} s", number % 16)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
