"""What a night costs in which nothing is new: `idle`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from afterwatch.workspace_files import make_workspace
from benchmarks.clips import clip_folder
from benchmarks.timing import Ratio, Report, seconds
from footage.synthetic.campaign import render_campaign
from footage.synthetic.plan import CampaignSettings, small_campaign
from infra.errors import NightError

CHECKOUT = Path(__file__).resolve().parents[1]
SHARE, FREE_S = 0.03, 5.0
"""A night with nothing to do may take this share of the first one or this many seconds, whichever is more."""


def run_idle(report: Report, campaign: CampaignSettings | None = None) -> list[Ratio]:
    """Two nights over a synthetic campaign, each `afterwatch run` in a process of its own, everything included."""
    root = make_workspace(Path(tempfile.mkdtemp(dir=clip_folder())) / "site")
    report.say("idle, rendering a campaign")
    render_campaign(root / "footage" / "campaign", campaign or small_campaign(), workers=1)
    first_s = seconds(lambda: _night(root))
    report.say(f"  first night: {first_s:.1f} s")
    idle_s = sorted(seconds(lambda: _night(root)) for _ in range(3))
    report.say(f"  nights with nothing to do: {', '.join(f'{value:.1f}' for value in idle_s)} s")
    allowed_s = max(SHARE * first_s, FREE_S)
    name = f"night with nothing to do / allowed time (the more of {SHARE:.0%} of the first night and {FREE_S:g} s)"
    return [
        Ratio(name, idle_s[1] / allowed_s, "<= 1"),
        Ratio("night with nothing to do / first night", idle_s[1] / first_s, f"<= {SHARE:g}, or {FREE_S:g} s"),
    ]


def _night(root: Path) -> None:
    called = [sys.executable, "-m", "afterwatch", "run", "--site", str(root), "--json"]
    # The checkout's own folder leads the way, whether or not Afterwatch is installed.
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(called, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NightError(f"the night failed ({done.returncode}): {done.stderr[-2000:] or done.stdout[-2000:]}")
