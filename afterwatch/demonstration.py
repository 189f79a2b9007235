"""The demonstration: a campaign with known truth, or real footage, through the whole night."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import typer

from afterwatch.night import process
from afterwatch.options import duration, print_table
from afterwatch.workspace_files import link_footage, make_workspace
from footage.regions import WHOLE
from footage.synthetic.campaign import render_campaign
from footage.synthetic.plan import CampaignSettings, small_campaign
from footage.synthetic.truth import TRUTH_FILE, CampaignTruth, read_truth
from infra.settings import SETTINGS_FILE
from lake.catalogue import connect, select
from lake.current import recordings_now, statements_now
from lake.labels import Label, UseCase
from lake.ledger import Statement
from models.metrics import EventMatch, match_events
from tasks.plan import Selection
from tasks.report import NightReport
from workspace.known_recordings import KnownRecordings
from workspace.label_files.checking import Told
from workspace.label_files.transfer import say_what_is_new
from workspace.opened import Workspace

CAMPAIGN = "demo"
HATCH = "hatch"
STAGED = "staged"
"""Author of the truth labels."""
OVERLAP = 0.5
"""Share of a true event's time that alarms must cover for it to count as found, and the other way round."""


@dataclass(frozen=True)
class Findings:
    """What a demonstration found, held against the truth where there is one."""

    root: Path
    report: NightReport
    summaries: tuple[Path, ...]
    lines: tuple[dict[str, Any], ...]
    recall: float | None
    false_alarms: int | None

    def as_json(self) -> dict[str, Any]:
        return {
            "site": str(self.root),
            "report": self.report.as_json(),
            "summaries": [str(path) for path in self.summaries],
            "truth": list(self.lines),
            "event_recall_50": self.recall,
            "false_alarms": self.false_alarms,
            "dashboard": f"{_program()} dashboard --site {self.root}",
        }


def demonstrate(
    path: Path, footage: Path | None, progress: Callable[[str, float, float], None], *, small: bool = False
) -> Findings:
    """Make (or find) the demonstration's workspace, run the night, and hold it against the truth."""
    root = path.expanduser().resolve()
    if not (root / SETTINGS_FILE).exists():
        make_workspace(root)
    campaign = root / "footage" / CAMPAIGN
    if footage is not None:
        link_footage(root, footage, CAMPAIGN)
    elif not (campaign / TRUTH_FILE).exists():
        settings = small_campaign() if small else CampaignSettings()
        render_campaign(campaign, settings, progress=lambda share: progress("render", share, 1.0))
    workspace = Workspace(root)
    _draw_regions(workspace, campaign)
    report = process(workspace, Selection(), progress=progress)
    summaries = tuple(sorted(root.glob("published/*/*/*/summary.mp4")))
    if not (campaign / TRUTH_FILE).exists():
        return Findings(root, report, summaries, (), None, None)
    truth = read_truth(campaign)
    truth_labels(workspace, truth)
    lines, recall, false_alarms = _against_truth(workspace, truth)
    return Findings(root, report, summaries, tuple(lines), recall, false_alarms)


def _draw_regions(workspace: Workspace, campaign: Path) -> None:
    """Draw the transfer hatch, as an inspector would at the first look; only once."""
    if not (campaign / TRUTH_FILE).exists() or statements_now(workspace.ledger, "regions"):
        return
    drawn = [
        Statement(f"{camera.name}/{region.name}", "demo", [list(point) for point in region.polygon], camera=camera.name)
        for camera in read_truth(campaign).cameras
        for region in camera.regions
        if region.name == HATCH
    ]
    workspace.ledger.say("regions", drawn)


def truth_labels(workspace: Workspace, truth: CampaignTruth) -> list[Label]:
    """Say of the staged events that they are relevant, as truth that no head learns from; only once.

    Returns:
        All of them, a use case for each kind of event; events of recordings that cannot be used are left out.
    """
    known, now = KnownRecordings(workspace.ledger), datetime.now(UTC)
    labels = []
    for camera in truth.cameras:
        recordings = {recording.path: recording for recording in known.of_camera(CAMPAIGN, camera.name)}
        for event in camera.events:
            recording = recordings.get(f"{CAMPAIGN}/{event.file}")
            if recording is not None:
                labels.append(
                    Label(
                        use_case=UseCase(camera.name, WHOLE.name, event.kind),
                        campaign=CAMPAIGN,
                        day=recording.day,
                        recording_id=recording.recording_id,
                        from_us=event.from_us,
                        to_us=event.to_us,
                        relevant=True,
                        author=STAGED,
                        role="truth",
                        said_at=now,
                    )
                )
    say_what_is_new(workspace.ledger, [Told("", label, dated=False) for label in labels])
    return labels


def _against_truth(workspace: Workspace, truth: CampaignTruth) -> tuple[list[dict[str, Any]], float, int]:
    connection = connect(workspace.store)
    lines: list[dict[str, Any]] = []
    found = wanted = false = 0
    for camera in truth.cameras:
        sql = "SELECT started_at, ended_at FROM events WHERE camera = ? AND alarm ORDER BY started_at"
        alarms = [(row["started_at"], row["ended_at"]) for row in select(connection, sql, [camera.name]).to_pylist()]
        filmed = {item.file for item in camera.recordings}
        staged = [event for event in camera.events if event.file in filmed]
        match = _match([(event.began_at, event.ended_at) for event in staged], alarms)
        found, wanted, false = (
            found + int(match.found.sum()),
            wanted + len(staged),
            false + int(match.false_positive.sum()),
        )
        for event, is_found in zip(staged, match.found, strict=True):
            lines.append(_line(camera.name, event.kind, event.began_at, event.ended_at, bool(is_found)))
        for defect in camera.defects:
            is_told = _defect_told(workspace, connection, camera.name, defect.kind, defect.file, defect.began_at)
            lines.append(_line(camera.name, defect.kind, defect.began_at, defect.ended_at, is_told))
    return sorted(lines, key=lambda line: (line["camera"], line["from"])), found / max(1, wanted), false


def _match(truth: list[tuple[datetime, datetime]], predicted: list[tuple[datetime, datetime]]) -> EventMatch:
    def spans(moments: list[tuple[datetime, datetime]]) -> "np.ndarray[Any, np.dtype[np.int64]]":
        told = [[round(moment.timestamp() * 1e6) for moment in span] for span in moments]
        return np.array(told, dtype=np.int64).reshape(-1, 2)

    return match_events(spans(truth), spans(predicted), OVERLAP)


def _line(camera: str, kind: str, start: datetime, end: datetime, found: bool) -> dict[str, Any]:
    return {"camera": camera, "what": kind, "from": start.isoformat(), "to": end.isoformat(), "found": found}


def _defect_told(
    workspace: Workspace, connection: Any, camera: str, kind: str, file: str | None, began_at: datetime
) -> bool:
    """Whether the night's report, coverage or health tells of a staged defect."""
    if kind == "gap":
        rows = [row for row in recordings_now(workspace.ledger) if row["camera"] == camera]
        ends = [row["started_at"] + timedelta(microseconds=row["duration_us"]) for row in rows]
        return any(abs((end - began_at).total_seconds()) < 2 for end in ends)
    path = f"{CAMPAIGN}/{file}"
    if kind == "variable_rate":
        sql = "SELECT count(*) AS n FROM recordings WHERE path = ? AND variable_rate"
        return bool(select(connection, sql, [path])["n"][0].as_py())
    table, column = ("health", "kind") if kind == "frozen" else ("coverage", "state")
    sql = f"SELECT count(*) AS n FROM {table} JOIN recordings USING (recording_id) WHERE path = ? AND {column} = ?"
    return bool(select(connection, sql, [path, kind])["n"][0].as_py())


def print_findings(findings: Findings) -> None:
    """Say what was found, where it lies, and what to do next."""
    report = findings.report
    recorded_s = sum(line["recorded_s"] for line in report.coverage)
    typer.echo(
        f"\nThe night is {report.status}: {duration(recorded_s)} of footage in {duration(report.seconds)}, "
        f"{duration(report.decoded_s)} decoded, {duration(report.shown_s)} again for videos; "
        f"{report.events} events, {report.alarms} of them alarms."
    )
    if findings.lines:
        rows = [
            (
                line["camera"],
                line["what"],
                line["from"][:10],
                line["from"][11:19],
                line["to"][11:19],
                _mark(line["found"]),
            )
            for line in findings.lines
        ]
        print_table(("camera", "staged", "day", "from", "to", "found"), rows, title="\nAgainst the known truth")
        typer.echo(
            f"\nalarms cover {findings.recall:.0%} of the staged events (temporal overlap {OVERLAP:.0%}); "
            f"{findings.false_alarms} alarms are of something else"
        )
        typer.echo(f"staged events as labels: {_program()} labels list --role truth --site {findings.root}")
    for line in report.attention[:8]:
        typer.echo(f"attention: {line}")
    for path in findings.summaries:
        typer.echo(f"summary: {path}")
    typer.echo(f"\nOpen the dashboard:\n  {_program()} dashboard --site {findings.root}")


def _program() -> str:
    """The command line as it can be called from here: by name where it is on the path, else by its file."""
    if shutil.which("afterwatch") is not None:
        return "afterwatch"
    installed = Path(sys.executable).with_name("afterwatch")
    return str(installed.relative_to(Path.cwd()) if installed.is_relative_to(Path.cwd()) else installed)


def _mark(found: bool) -> str:
    return "yes" if found else "no"
