"""What the Models page asks of flip reports: those of a model, and which can be made."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.errors import LakeError, UnknownNameError
from infra.site import Site
from workspace.flip_files import made_at, read_report, report_ids
from workspace.flips import FlipReport
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace


@dataclass(frozen=True)
class FoundReport:
    """A report that is there.

    Attributes:
        report_id: of it.
        made_at: when it was made last.
        report: itself.
    """

    report_id: str
    made_at: datetime
    report: FlipReport


def reports_of(workspace: Workspace, kind: str, name: str) -> tuple[list[FoundReport], list[str]]:
    """Reports of a model, the newest first, and what is wrong with those that cannot be read."""
    found: list[FoundReport] = []
    problems: list[str] = []
    for report_id in report_ids(workspace):
        try:
            report = read_report(workspace, report_id)
            moment = made_at(workspace, report_id)
        except UnknownNameError:
            continue  # deleted since it was listed
        except LakeError as error:
            problems.append(str(error))
            continue
        if (report.kind, report.name) == (kind, name):
            found.append(FoundReport(report_id, moment.astimezone(UTC), report))
    return found, problems


def campaigns_of(workspace: Workspace) -> list[str]:
    """Campaigns of the lake, by name."""
    return KnownRecordings(workspace.ledger).campaigns


def compare_command(site: Site, kind: str, name: str, current: str, candidate: str, campaign: str) -> list[str]:
    """The command that makes a report."""
    versions = [f"{name}/{current}", f"{name}/{candidate}", "--kind", kind, "--campaign", campaign]
    return [sys.executable, "-m", "afterwatch", "models", "compare", *versions, "--site", str(site.root), "--json"]
