"""A workspace that people look at while it works: nights that are over, and footage for one that is not."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from afterwatch.workspace_files import make_workspace
from benchmarks.chaos_house import start_night
from footage.synthetic.campaign import render_campaign
from footage.synthetic.plan import SECOND_US, CampaignSettings, PlannedIncident
from footage.synthetic.truth import read_truth
from infra.errors import NightError
from infra.settings import SETTINGS_FILE
from lake.catalogue import connect, select
from lake.ledger import Statement
from workspace.opened import Workspace

CAMPAIGN = "demo"
BUILDINGS = 2
SLOTS, SLOT_S = 3, 30
LONGEST_NIGHT_S = 1200
SETTINGS = """
[sampling]
policy = "rate"
rate_hz = 4.0

[[encoders]]
name = "handcrafted/appearance"

[[encoders]]
name = "handcrafted/motion"

[novelty]
detector = "knn"
alarms_per_night = 3.0

[summary]
encoder = "handcrafted/motion"
budget_s = 20.0

[watch]
reserve_gb = 0

[cluster]
workers = 1
"""

Tour = Sequence[tuple[str, Mapping[str, str]]]


def render(folder: Path, days: int, seed: int) -> None:
    """Film the campaign: two cameras in each building, `SLOTS` recordings a camera and day."""
    for building in range(BUILDINGS):
        staged = [PlannedIncident("cask", day, day % SLOTS) for day in range(days)]
        staged += [PlannedIncident("intrusion", day, (day + 1) % SLOTS) for day in range(1, days)]
        campaign = CampaignSettings(
            seed=seed + building,
            days=days,
            slots=SLOTS,
            slot_us=SLOT_S * SECOND_US,
            width=320,
            height=180,
            rate_hz=8,
            keyframe_every=16,
            cask_s=(8.0, 10.0),
            incidents=tuple(staged),
            defects=(),
        )
        render_campaign(folder / str(building), campaign, workers=2)


def make_site(root: Path, footage: Path) -> Path:
    """A workspace without recordings, in which the regions of every camera are drawn."""
    make_workspace(root)
    (root / SETTINGS_FILE).write_text(f'[site]\nname = "Two buildings"\n{SETTINGS}', encoding="utf-8")
    said = []
    for building in range(BUILDINGS):
        for camera in read_truth(footage / str(building)).cameras:
            name = _camera(building, camera.name)
            said += [
                Statement(f"{name}/{region.name}", "demo", [list(point) for point in region.polygon], camera=name)
                for region in camera.regions
            ]
    Workspace(root).ledger.say("regions", said)
    return root


def link_days(root: Path, footage: Path, days: Sequence[int]) -> None:
    """Link the recordings of some days into the workspace, as an ingest from the recorders would bring them."""
    for building in range(BUILDINGS):
        for folder in (path for path in (footage / str(building)).iterdir() if path.is_dir()):
            files = sorted(folder.glob("*.mp4"))
            target = root / "footage" / CAMPAIGN / _camera(building, folder.name)
            target.mkdir(parents=True, exist_ok=True)
            for day in days:
                for file in files[day * SLOTS : (day + 1) * SLOTS]:
                    os.link(file, target / file.name)


def _camera(building: int, name: str) -> str:
    return f"{name}-{building + 1}"


def begin_night(root: Path, environment: dict[str, str]) -> Any:
    """Start `afterwatch run` on a workspace; what it says goes into a file beside the workspace."""
    return start_night(root, root.with_suffix(".log"), environment)


def end_of(night: Any, root: Path) -> None:
    """Wait for a night.

    Raises:
        NightError: it was not complete.
    """
    code = night.wait(timeout=LONGEST_NIGHT_S)
    if code != 0:
        raise NightError(f"the night ended with exit code {code}; {root.with_suffix('.log')} says why")


def copy_of(root: Path, target: Path) -> Path:
    """A copy of a workspace; its recordings are the same files, also to the second of their last change."""
    return Path(shutil.copytree(root, target, copy_function=_linked))


def _linked(source: str, target: str) -> None:
    """Recordings are only read; all else is the copy's own."""
    if source.endswith(".mp4") and f"{os.sep}footage{os.sep}" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def tours(root: Path) -> list[Tour]:
    """Ways through the pages, one for each event: every page under the address that a link to the event would give it."""
    sql = "SELECT DISTINCT campaign, camera, day, event_id FROM events ORDER BY ALL"
    found = select(connect(Workspace(root).store), sql).to_pylist()
    if not found:
        raise NightError("the past nights found no event, so there is nothing to look at; render more days")
    return [_tour(row["campaign"], row["camera"], row["day"].isoformat(), row["event_id"]) for row in found]


def _tour(campaign: str, camera: str, day: str, event_id: str) -> Tour:
    place, event = {"campaign": campaign, "camera": camera}, {"event": event_id}
    return (
        ("night", {}),
        ("day", {**place, "day": day, **event}),
        ("summaries", {**place, "day": day}),
        ("alarms", {}),
        ("anomalies", {"campaign": campaign, **event}),
        ("search", event),
        ("queue", {"campaign": campaign}),
        ("review", place),
        ("regions", {"camera": camera}),
        ("models", {}),
        ("runs", {}),
    )
