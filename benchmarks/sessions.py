"""Twenty people at the dashboards while a night writes: `python -m benchmarks.sessions --page docs/results/sessions.md`.

A campaign is filmed; its first days are processed night by night. Its last days are then processed twice, on two copies of the
workspace: alone, and while twenty tabs go through the pages and a checker reads the lake. Told is how long a run of a page
took, what went wrong, how much longer the night took, and whether both workspaces hold the same rows in the end.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psutil

from benchmarks.chaos_house import CHECKOUT, environment, free_port, kill_tree, start
from benchmarks.chaos_tables import Content, content_of, differences, row_count
from benchmarks.sessions_client import PageRun, Tab
from benchmarks.sessions_page import Outcome, Phase, page
from benchmarks.sessions_site import Tour, begin_night, copy_of, end_of, link_days, make_site, render, tours
from infra.errors import NightError

SEED = 7
FILMED_DAYS, PAST_DAYS, NEW_DAYS = 6, 4, 2
TRACE = "Traceback (most recent call last)"
START_S = 120.0
PAGE = CHECKOUT / "docs" / "results" / "sessions.md"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Crowd:
    """Who looks: how many, for how long each looks at a page (seconds, on average), and what decides their choices."""

    people: int
    think_s: float
    seed: int


@contextmanager
def dashboards(root: Path, folder: Path) -> Iterator[tuple[str, Any]]:
    """The dashboards of a workspace, as `afterwatch dashboard` serves them: their address and their process."""
    port = free_port()
    command = [sys.executable, "-m", "afterwatch", "dashboard", "--site", str(root), "--port", str(port)]
    log = folder / "dashboards.log"
    server = start(command, log, environment())
    try:
        address = f"http://127.0.0.1:{port}"
        _until_it_answers(address, server, log)
        yield address, server
    finally:
        kill_tree(server)


def _until_it_answers(address: str, server: Any, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/_stcore/health", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise NightError(f"the dashboards do not answer; {log} says why")


@contextmanager
def checker(root: Path) -> Iterator[dict[str, Any]]:
    """A process that reads the lake while the block runs; what it found stands in the dictionary afterwards."""
    command = [sys.executable, "-m", "benchmarks.sessions_checker", str(root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment(), text=True, **pipes)  # type: ignore[call-overload]
    found: dict[str, Any] = {}
    try:
        yield found
    finally:
        told, _ = process.communicate()
    if process.returncode != 0:
        raise NightError(f"the checker ended with exit code {process.returncode}; what it said stands above")
    found.update(json.loads(told))


async def look_around(address: str, ways: Sequence[Tour], crowd: Crowd, going_on: Callable[[], bool]) -> list[PageRun]:
    """Everybody goes through the pages, again and again, as long as it goes on."""
    people = [_person(number, address, ways, crowd, going_on) for number in range(crowd.people)]
    return [run for runs in await asyncio.gather(*people) for run in runs]


async def _person(
    number: int, address: str, ways: Sequence[Tour], crowd: Crowd, going_on: Callable[[], bool]
) -> list[PageRun]:
    random = Random(f"{crowd.seed}/{number}/way")
    runs: list[PageRun] = []
    await asyncio.sleep(random.uniform(0, 2 * crowd.think_s))  # nobody comes at the same moment
    async with Tab(number, address, crowd.seed) as tab:
        tour = list(random.choice(ways))
        turn = random.randrange(len(tour))
        tour = tour[turn:] + tour[:turn]
        while going_on():
            page_name, query = tour[0]
            tour.append(tour.pop(0))
            runs += await _look_at(tab, page_name, query, crowd.think_s, random)
    return runs


async def _look_at(tab: Tab, name: str, query: Any, think_s: float, random: Random) -> list[PageRun]:
    """Open a page, look at it, run it again, choose something else, look at that."""
    runs = [await tab.open(name, query), *await tab.wait(random.uniform(0.5, 1.5) * think_s), await tab.again()]
    chosen = await tab.choose()
    return [*runs, *([chosen] if chosen is not None else []), *await tab.wait(random.uniform(0.5, 1.5) * think_s)]


@dataclass(frozen=True)
class Nights:
    """The campaign's days: how many are processed before anybody looks, one a night, and how many in the night beside people."""

    past: int
    new: int
    seed: int

    def __post_init__(self) -> None:
        if self.past < 1 or self.new < 1 or self.past + self.new > FILMED_DAYS:
            raise NightError(
                f"{self.past} past days and {self.new} new ones; at least one of each, and {FILMED_DAYS} together at most"
            )


def prepare(folder: Path, nights: Nights, say: Say) -> Path:
    """The workspace after its past nights; one that was prepared in the folder before is taken as it is."""
    footage, root, prepared = folder / "footage", folder / "site", folder / f"prepared-{nights.past}-{nights.seed}"
    if prepared.exists():
        return root
    say("filming")
    render(footage, FILMED_DAYS, nights.seed)
    make_site(root, footage)
    for day in range(nights.past):
        link_days(root, footage, [day])
        end_of(begin_night(root, environment()), root)
        say(f"past night {day + 1} of {nights.past} is over")
    prepared.touch()
    return root


def measure(folder: Path, nights: Nights, crowd: Crowd, quiet_s: float, say: Say) -> Outcome:
    """The night alone, people alone, and both."""
    root = prepare(folder, nights, say)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        alone, beside = (copy_of(root, Path(scratch) / name) for name in ("alone", "beside"))
        for copy in (alone, beside):
            link_days(copy, folder / "footage", range(nights.past, nights.past + nights.new))
        return _measured(Path(scratch), alone, beside, crowd, quiet_s, say)


def _measured(folder: Path, alone: Path, beside: Path, crowd: Crowd, quiet_s: float, say: Say) -> Outcome:
    alone_s = _seconds(lambda: end_of(begin_night(alone, environment()), alone))
    say(f"the night alone: {alone_s:.0f} s")
    ways = tours(beside)
    with dashboards(beside, folder) as (address, server):
        first = asyncio.run(_first_visit(address, ways[0], crowd))
        began, used_s = time.monotonic(), _cpu_s(server)
        quiet = asyncio.run(look_around(address, ways, crowd, lambda: time.monotonic() < began + quiet_s))
        quiet_cpu_s = _cpu_s(server) - used_s
        say(f"{crowd.people} people without a night: {len(quiet)} runs of pages")
        with checker(beside) as checked:
            night, used_s = begin_night(beside, environment()), _cpu_s(server)
            busy, beside_s = asyncio.run(_beside(night, address, ways, crowd))
            busy_cpu_s = _cpu_s(server) - used_s
            end_of(night, beside)
        say(f"{crowd.people} people beside a night of {beside_s:.0f} s: {len(busy)} runs of pages")
    expected, found = (_less_audit(content_of(root)) for root in (alone, beside))
    return Outcome(
        people=crowd.people,
        think_s=crowd.think_s,
        first=first,
        quiet=Phase(quiet, quiet_cpu_s),
        busy=Phase(busy, busy_cpu_s),
        alone_s=alone_s,
        beside_s=beside_s,
        checked=checked,
        rows=row_count(expected),
        wrong=tuple(differences(expected, found)),
        traces=(folder / "dashboards.log").read_text(encoding="utf-8", errors="replace").count(TRACE),
    )


def _less_audit(content: Content) -> Content:
    """Without the audit: it says when runs were started, and each of its rows holds the one before by its hash."""
    return {name: lines for name, lines in content.items() if name != "audit"}


def _cpu_s(server: Any) -> float:
    """Processor time that a process and those it started have used so far."""
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    return float(sum(sum(member.cpu_times()[:2]) for member in family))


async def _first_visit(address: str, way: Tour, crowd: Crowd) -> list[PageRun]:
    """One person goes through every page once, on a server that has loaded nothing yet."""
    async with Tab(-1, address, crowd.seed) as tab:
        return [await tab.open(name, query) for name, query in way]


async def _beside(night: Any, address: str, ways: Sequence[Tour], crowd: Crowd) -> tuple[list[PageRun], float]:
    """Everybody looks until the night is over; how long that took."""
    began = time.monotonic()
    looking = asyncio.create_task(look_around(address, ways, crowd, lambda: night.poll() is None))
    while night.poll() is None:
        await asyncio.sleep(0.2)
    night_s = time.monotonic() - began
    return await looking, night_s


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=(__doc__ or "").split("\n")[0])
    options.add_argument("--people", type=int, default=20, help="tabs that are open at the same time")
    options.add_argument("--think", type=float, default=10.0, help="seconds that one looks at a page, on average")
    options.add_argument("--quiet", type=float, default=90.0, help="seconds to look while no night is at work")
    options.add_argument("--past", type=int, default=PAST_DAYS, help="days that are processed before, one a night")
    options.add_argument("--new", type=int, default=NEW_DAYS, help="days that the night beside people processes")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--folder", type=Path, help="prepare there, and keep what was prepared for the next time")
    options.add_argument("--page", type=Path, help=f"write the results there, as {PAGE.name}")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="afterwatch-sessions-")) if given.folder is None else given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    nights, crowd = Nights(given.past, given.new, given.seed), Crowd(given.people, given.think, given.seed)
    try:
        outcome = measure(folder, nights, crowd, given.quiet, partial(print, file=sys.stderr, flush=True))
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    told = (
        f"--past {given.past} --new {given.new} --people {given.people} --think {given.think:g} --quiet {given.quiet:g}"
    )
    text = page(outcome, f"python -m benchmarks.sessions {told}", os.getloadavg())
    print(text)
    if given.page is not None:
        given.page.write_text(text, encoding="utf-8")
    return int(not outcome.is_right)


if __name__ == "__main__":
    sys.exit(main())
