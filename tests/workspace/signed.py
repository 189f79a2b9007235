"""Flip reports that somebody signed, without footage: what a promotion asks for."""

from models.flips import McNemar, SignFlip
from workspace.flip_files import keep_report
from workspace.flip_signing import SignOff, sign
from workspace.flips import FlipReport
from workspace.opened import Workspace


def signed(
    workspace: Workspace, name: str, current: str, candidate: str, *, kind: str = "classifier", author: str = "grace"
) -> SignOff:
    """A signed report of two versions between which nothing changes."""
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
        cameras=(),
        flips=(),
    )
    return sign(workspace, keep_report(workspace, report), author)
