"""Nights of a small campaign in which one process is killed, and what the workspace says when they have been completed."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import time as Clock
from pathlib import Path
from typing import Any

import psutil

from afterwatch.workspace_files import link_footage, make_workspace
from benchmarks.chaos_house import FLOW, SCHEDULER, SERVER, WORKER, House, OwnHouse, kill_tree, start_night
from benchmarks.chaos_tables import AUDIT, Content, content_of, differences
from footage.synthetic.plan import SECOND_US, CampaignSettings, PlannedDefect, PlannedIncident
from infra.errors import NightError
from infra.settings import SETTINGS_FILE

CAMPAIGN = "demo"
LONGEST_S = 900.0
"""A night that has not ended by then hangs."""
ORPHANS_S = 20.0
"""Time in which what a night had started has to end after it."""
MOST_RUNS = 3
SHARED, OWN = "a scheduler and a server that several share", "processes of its own"
_SHARED = tuple((SHARED, victim) for victim in (WORKER, SCHEDULER, FLOW, SERVER))
PLAN = (*_SHARED, (OWN, FLOW), *_SHARED, (OWN, WORKER), (OWN, SERVER))
"""Who is killed where, night after night: a workspace that names no scheduler starts all its processes itself."""
LATEST = 0.95
"""The largest share of an undisturbed night's files at which something is killed."""
LATER_S = 1.5
"""Longest time after that at which it is: some work writes nothing for a while."""
LOOK_S = 0.02
BEFORE = "ended before"
MADE = ("lake", "published", "digests")
SETTINGS = """
[summary]
encoder = "handcrafted/motion"
segment_s = 2.0
budget_s = 12.0
keyframes = 4

[watch]
reserve_gb = 0
"""

Say = Callable[[str], None]


def chaos_campaign(seed: int) -> CampaignSettings:
    """Two cameras, two days of two recordings of 8 s, one of them cut short and one of a variable rate."""
    return CampaignSettings(
        seed=seed,
        days=2,
        slots=2,
        begins_at=Clock(8),
        slot_us=8 * SECOND_US,
        width=192,
        height=108,
        cask_s=(4.6, 5.4),
        frozen_us=3 * SECOND_US,
        rate_hz=8,
        keyframe_every=8,
        incidents=(PlannedIncident("cask", 0, 1), PlannedIncident("cask", 1, 0)),
        defects=(PlannedDefect("variable_rate", 0, 0, 0), PlannedDefect("truncated", 0, 1, 1)),
    )


@dataclass(frozen=True)
class KilledNight:
    """A night in which a process was killed.

    Attributes:
        number: of the night.
        house: how it was run.
        victim: what was killed.
        share: of the files that an undisturbed night makes, at which.
        made: files that there were then.
        end: how the night ended.
        orphans: processes of it that were left behind.
        runs: undisturbed runs until the night was complete.
        wrong: where the tables differ from those of an undisturbed site in the end.
    """

    number: int
    house: str
    victim: str
    share: float
    made: int
    end: str
    orphans: int
    runs: int
    wrong: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return self.runs <= MOST_RUNS and not self.wrong and self.end != BEFORE and "hang" not in self.end


def chaos_site(root: Path, footage: Path, address: str | None) -> Path:
    """A fresh workspace with the campaign linked in, whose nights run where `address` says."""
    make_workspace(root)
    link_footage(root, footage, CAMPAIGN)
    file = root / SETTINGS_FILE
    told = file.read_text(encoding="utf-8")
    told = told[: told.index("[summary]")] + SETTINGS
    cluster = "workers = 2\n" if address is None else f'address = "{address}"\n'
    file.write_text(f"{told}\n[cluster]\n{cluster}", encoding="utf-8")
    return root


def last_words(log: Path) -> dict[str, Any]:
    """The report that a night has printed; empty where it has not come to it."""
    text = log.read_text(encoding="utf-8", errors="replace")
    at = text.rfind('\n{\n  "run"') + 1 if '\n{\n  "run"' in text else text.find('{\n  "run"')
    if at < 0:
        return {}
    try:
        told, _ = json.JSONDecoder().raw_decode(text[at:])
    except ValueError:
        return {}
    return dict(told)


def undisturbed(root: Path, told: dict[str, str]) -> Content:
    """Run a night to its end; what the workspace says then.

    Raises:
        NightError: it was not complete.
    """
    log = root.with_suffix(".log")
    code = _wait(start_night(root, log, told))
    if code != 0:
        raise NightError(f"an undisturbed night ended with {code}; {log} says why")
    return content_of(root)


def files_made(root: Path) -> int:
    """Files that nights have made in a workspace so far, which rise from its beginning to its end; who started them is no file of theirs."""
    files = [file for name in MADE for file in (root / name).rglob("*") if file.is_file()]
    return sum(file.parent != root / "lake" / AUDIT for file in files)


def _wait(night: Any) -> int | None:
    """Its exit code; None where it hung, and was killed for it."""
    try:
        return int(night.wait(timeout=LONGEST_S))
    except Exception as error:  # a night must not outlive its test, whatever ended the waiting
        kill_tree(night)
        if type(error).__name__ == "TimeoutExpired":
            return None
        raise


def killed_night(
    root: Path, footage: Path, number: int, seed: int, expected: Content, usual: int, shared: House
) -> KilledNight:
    """One night: begun on a fresh site, hurt at a moment that the seed says, repaired, and run again until complete.

    Args:
        root: of the site to make.
        footage: the campaign's.
        number, seed: which say who is killed and when.
        expected: what an undisturbed site says.
        usual: files that an undisturbed night makes.
        shared: the processes that it uses, unless it is to start its own.
    """
    chance = random.Random(f"{seed}/{number}")
    kind, victim = PLAN[number % len(PLAN)]
    house = shared if kind == SHARED else None
    share, later_s = chance.uniform(0, LATEST), chance.uniform(0, LATER_S)
    chaos_site(root, footage, None if house is None else house.address)
    told, log = (OwnHouse() if house is None else house).environment, root.with_suffix(".log")
    night = start_night(root, log, told)
    while files_made(root) < share * usual and night.poll() is None:
        time.sleep(LOOK_S)
    time.sleep(later_s)
    made = files_made(root)
    ended_before = night.poll() is not None
    family = [] if ended_before else psutil.Process(night.pid).children(recursive=True)
    if not ended_before:
        _kill(victim, night, house, chance)
    if house is not None:
        time.sleep(chance.uniform(0.5, 3.0))
        house.repair()
    code = _wait(night)
    end = BEFORE if ended_before else _told(victim, code, last_words(log))
    with _left_behind(family) as orphans:
        runs = 0
        while runs < MOST_RUNS + 1:
            runs += 1
            if _wait(start_night(root, log, told)) == 0:
                break
    wrong = differences(expected, content_of(root))
    return KilledNight(number, kind, victim, share, made, end, orphans, runs, tuple(wrong))


def _kill(victim: str, night: Any, house: House | None, chance: random.Random) -> None:
    if victim == FLOW:
        night.kill()
    elif house is None:
        OwnHouse().kill(victim, night, chance)
    else:
        house.kill(victim, chance)


def _told(victim: str, code: int | None, report: dict[str, Any]) -> str:
    if code is None:
        return f"hangs for {LONGEST_S:g} s"
    if victim == FLOW:
        return "killed"
    return str(report.get("status") or f"stopped, exit code {code}")


@contextmanager
def _left_behind(family: list[Any]) -> Iterator[int]:
    """How many processes of a night that has ended are there still; they are while the block lasts, and then ended."""
    _, alive = psutil.wait_procs(family, timeout=ORPHANS_S)
    yield len(alive)
    for process in alive:
        with_children = [process, *process.children(recursive=True)] if process.is_running() else []
        for member in with_children:
            if member.is_running():
                member.kill()
