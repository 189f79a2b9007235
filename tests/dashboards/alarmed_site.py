"""The small workspace with classifiers in its registry and a night that has looked for their alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from lake.keys import Place
from lake.ledger import RunRow
from lake.promotions import promote
from lake.registry import Registry
from lake.schema import TABLES
from models.sweep import F2, sweep
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, OTHER, RUN, Workspace, at, open_site

FIGHTS, ACTIONS = "fights", "actions"
OLD, NEW, ONLY = "aaaa1111", "bbbb2222", "cccc3333"
"""Versions of the two classifiers; the old one of the first serves."""
EARLIER = DAY - timedelta(days=1)
THRESHOLD = 0.4
ALARMS = """
[[alarms]]
name = "fight"
classifier = "fights"

[[alarms]]
name = "fall"
classifier = "actions"
class_name = "falling"
cameras = ["hall"]
threshold = 0.7

[[notifications.email]]
name = "guards"
host = "localhost"
port = 2525
security = "none"
sender = "afterwatch@example.org"
recipients = ["guards@example.org"]
"""


@dataclass(frozen=True)
class Alarm:
    """An alarm event to write: its peak in seconds after the night's first recording begins."""

    event_id: str
    camera: str
    peak_s: float
    probability: float
    head: str = "fight"
    day: date = DAY


FOUND = (
    Alarm("fight-low", CAMERA, 100.0, 0.55),
    Alarm("fight-high", CAMERA, 400.0, 0.91),
    Alarm("fight-other", OTHER, 300.0, 0.75),
    Alarm("fall-other", OTHER, 330.0, 0.8, head="fall"),
    Alarm("fight-earlier", CAMERA, 200.0, 0.99, day=EARLIER),
)
BOTH = ("scores", "events")
ORDER = ("fight-high", "fall-other", "fight-other", "fight-low", "fight-earlier")
"""The newest night first; within a night, the most probable first."""


def set_alarms(workspace: Workspace, more: str = "") -> Workspace:
    """The workspace with alarms and a channel of notifications in its settings."""
    settings = workspace.root / "afterwatch.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + ALARMS + more, encoding="utf-8")
    return open_site(workspace.root)


def keep_classifiers(workspace: Workspace) -> None:
    """Two versions of a classifier with one class, the older in service; one of another with two classes."""
    _keep(workspace, FIGHTS, OLD, ("fight",), "2026-03-01T09:00:00+00:00", apart=1.5)
    _keep(workspace, FIGHTS, NEW, ("fight",), "2026-03-02T09:00:00+00:00", apart=2.5)
    _keep(workspace, ACTIONS, ONLY, ("running", "falling"), "2026-03-01T09:00:00+00:00", apart=2.0)
    promote(workspace.ledger, "classifier", FIGHTS, OLD, "ada", "")
    promote(workspace.ledger, "classifier", ACTIONS, ONLY, "ada", "")


def _keep(
    workspace: Workspace, name: str, version: str, classes: tuple[str, ...], made_at: str, *, apart: float
) -> None:
    rng = np.random.default_rng(11)
    truth = np.arange(60)[:, None] % (2 + np.arange(len(classes))) == 0
    scores = (1 / (1 + np.exp(-(rng.normal(size=truth.shape) + apart * (truth - 0.5))))).astype(np.float32)
    thresholds, metrics = {}, {}
    for column, class_name in enumerate(classes):
        swept = sweep(truth[:, column], scores[:, column])
        chosen = swept.choose(F2)
        thresholds[class_name] = {"threshold": chosen, "criterion": F2.words}
        metrics[class_name] = {"auc": round(swept.auc, 4), "inside": {"precision": 0.7, "recall": 0.8, "f1": 0.747}}
    card: dict[str, Any] = {
        "inputs": [{"encoder": "handcrafted/motion", "space": "m", "kind": "snippet", "pooling": "window"}],
        "window_s": 2.0,
        "stride_s": 2.0,
        "frame_rate_hz": None,
        "classes": list(classes),
        "normal": "calm",
        "settings": {"hidden": [512], "dropout": 0.5},
        "epochs": 10,
        "data": {
            "folder": "clips",
            "layout": "folders",
            "clips": {"fight": 30, "calm": 30},
            "sources": 20,
            "content": "c0ffee",
            "left_out": ["broken.mp4: no video stream"],
        },
        "clips": [f"clip-{number:02d}.mp4" for number in range(len(truth))],
        "metrics": metrics,
        "thresholds": thresholds,
        "author": "ada",
        "made_at": made_at,
        "code": "0.1.0",
        "torch": "2.15.0",
        "remark": "",
    }
    arrays = {"fold.truth": truth.astype(np.uint8), "fold.scores": scores}
    Registry(workspace.site.models_folder).save("classifier", name, version, card, arrays, author="ada")


def find_alarms(workspace: Workspace, found: Sequence[Alarm] = FOUND, tables: Sequence[str] = BOTH) -> None:
    """A night that has looked for the alarms: scores and events of each camera's day, or scores alone."""
    rows = []
    for head, camera, day in sorted({(one.head, one.camera, one.day) for one in found}):
        mine = [one for one in found if (one.head, one.camera, one.day) == (head, camera, day)]
        folder = Place(CAMPAIGN, camera, day).folder
        version = OLD if head == "fight" else ONLY
        here = {"campaign": CAMPAIGN, "camera": camera, "day": day, "head": head, "version": version, "region": "frame"}
        columns = {"scores": here | _scores(mine), "events": here | _events(mine)}
        paths = [f"{name}/{folder}/{head}.parquet" for name in tables]
        for name, path in zip(tables, paths, strict=True):
            workspace.store.write_table(path, _table(name, columns[name]))
        rows.append(RunRow(RUN, "classify", CAMPAIGN, camera, day, head, "k", "done", NIGHT, NIGHT, (), tuple(paths)))
    workspace.ledger.record(rows)


def _table(name: str, columns: dict[str, Any]) -> pa.Table:
    rows = max(len(value) for value in columns.values() if isinstance(value, list))
    filled = {key: value if isinstance(value, list) else [value] * rows for key, value in columns.items()}
    return pa.table(filled, schema=TABLES[name].schema)


def _scores(found: list[Alarm]) -> dict[str, Any]:
    seconds = [number * 2.0 for number in range(240)]
    raised = {round(one.peak_s / 2): one.probability for one in found}
    probability = [raised.get(number, 0.1) for number in range(len(seconds))]
    shift = found[0].day - DAY
    return {
        "recording_id": f"{found[0].camera}-0",
        "index": list(range(len(seconds))),
        "from_us": [int(second * 1e6) for second in seconds],
        "to_us": [int((second + 2) * 1e6) for second in seconds],
        "taken_at": [at(second) + shift for second in seconds],
        "score": probability,
        "probability": probability,
        "normalised": None,
        "flagged": [value > THRESHOLD for value in probability],
    }


def _events(found: list[Alarm]) -> dict[str, Any]:
    return {
        "event_id": [one.event_id for one in found],
        "rank": list(range(1, len(found) + 1)),
        "alarm": True,
        "recording_id": [f"{one.camera}-0" for one in found],
        "started_at": [at(one.peak_s - 4) + (one.day - DAY) for one in found],
        "ended_at": [at(one.peak_s + 4) + (one.day - DAY) for one in found],
        "peak_at": [at(one.peak_s) + (one.day - DAY) for one in found],
        "peak_us": [int(one.peak_s * 1e6) for one in found],
        "peak_score": [one.probability for one in found],
        "threshold": THRESHOLD,
        "deviations": None,
        "keyframe": [f"keyframes/{one.camera}-event-0.jpg" for one in found],
        "clip": [f"events/{one.camera}-event-0.mp4" for one in found],
    }
