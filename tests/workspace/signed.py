"""Flip reports that somebody signed, without footage: what a promotion asks for."""

from typing import Literal

from models.flips import McNemar, SignFlip
from workspace.flip_files import keep_report
from workspace.flip_signing import SignOff, sign
from workspace.flips import CameraCount, FlipReport
from workspace.opened import Workspace


def signed(
    workspace: Workspace,
    name: str,
    current: str,
    candidate: str,
    *,
    kind: str = "classifier",
    author: str = "grace",
    days: Literal[0, 1] = 1,
) -> SignOff:
    """A signed report of two versions between which nothing changes, in the camera-days that they were compared on."""
    report = FlipReport(
        kind=kind,
        name=name,
        current=current,
        candidate=candidate,
        campaign="demo",
        applied=(),
        remarks=(),
        made_from="0" * 20,
        unit="camera-day",
        difference=SignFlip(0, 0, 0, 1.0, "exact"),
        judged=McNemar(0, 0, 0, 0),
        learnt=0,
        cameras=(CameraCount("hall-east", days=1, current=0, candidate=0, kept=0, moved=0, lost=0, gained=0),)[:days],
        flips=(),
    )
    return sign(workspace, keep_report(workspace, report), author)
