"""Nights that are hurt, and what the workspace says in the end: `python -m benchmarks.chaos --nights 20`.

A small campaign is rendered and processed undisturbed once. Then one night after the other begins on a fresh workspace and loses
a process at a moment that the seed says: a Dask worker, the scheduler, the flow or the Prefect server, of a house that several
share or of the night's own. What a supervisor would start again is started again, `afterwatch run` is called until the night is
complete, and every row that counts, and every file that people look at, is held against the undisturbed workspace.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.chaos_faults import Fault, faults
from benchmarks.chaos_house import House
from benchmarks.chaos_nights import (
    BEFORE,
    KilledNight,
    chaos_campaign,
    chaos_site,
    files_made,
    killed_night,
    undisturbed,
)
from benchmarks.chaos_tables import row_count
from footage.synthetic.campaign import render_campaign

SEED = 7
TRIES, OTHER_SEED = 3, 1000
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "chaos.md"


def run_nights(folder: Path, nights: int, seed: int, say: Any) -> tuple[list[KilledNight], int]:
    """The killed nights, and how many rows and files each was held against."""
    footage = folder / "footage"
    render_campaign(footage, chaos_campaign(seed), workers=1)
    with House(folder / "house") as house:
        root = chaos_site(folder / "undisturbed", footage, house.address)
        expected, usual = undisturbed(root, house.environment), files_made(root)
        say(f"an undisturbed night: {row_count(expected)} rows and files")
        told = []
        for number in range(nights):
            for attempt in range(TRIES):  # a night that was over before anything was killed is none
                root = folder / f"night-{number}-{attempt}"
                night = killed_night(root, footage, number, seed + attempt * OTHER_SEED, expected, usual, house)
                if night.end != BEFORE:
                    break
            say(_line(night))
            told.append(night)
    return told, row_count(expected)


def _line(night: KilledNight) -> str:
    """A row of the page."""
    wrong = "equal" if not night.wrong else "; ".join(night.wrong).replace("|", "/")
    return (
        f"| {night.number + 1} | {night.victim} | {night.house} | {night.share:.2f} | {night.made} | {night.end} | "
        f"{night.runs} | {night.orphans} | {wrong} |"
    )


def page(nights: Sequence[KilledNight], rows: int, others: Sequence[Fault], seed: int) -> str:
    """The results page."""
    right = sum(night.is_right for night in nights)
    lines = [
        "# Nights that are hurt",
        "",
        f"Printed by `python -m benchmarks.chaos --nights {len(nights)} --seed {seed}`.",
        "",
        f"{right} of {len(nights)} nights in which a process was killed (SIGKILL) ended with the {rows} rows and files of an "
        "undisturbed workspace. The moment is a share of the files that an undisturbed night makes, and up to 1.5 s later; *made* "
        "is how many there were when it came; *runs* is how often `afterwatch run` was called afterwards until the night was complete; *left* is "
        "how many processes that the night had started were still there 20 s after its end.",
        "",
        "| night | killed | of | moment | made | the night itself | runs | left | rows |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_line, nights),
        "",
        "| fault | what the night said | afterwards |",
        "|---|---|---|",
        *(f"| {fault.name} | {fault.said} | {fault.afterwards} |" for fault in others),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=(__doc__ or "").split("\n")[0])
    options.add_argument("--nights", type=int, default=20, help="nights in which a process is killed")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--page", type=Path, help=f"write the results there, as {PAGE.name}")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="afterwatch-chaos-"))
    say = partial(print, file=sys.stderr, flush=True)
    try:
        nights, rows = run_nights(folder, given.nights, given.seed, say)
        others = faults(folder / "faults", folder / "footage", given.seed, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = page(nights, rows, others, given.seed)
    print(text)
    if given.page is not None:
        given.page.write_text(text, encoding="utf-8")
    return int(not all(night.is_right for night in nights) or not all(fault.is_right for fault in others))


if __name__ == "__main__":
    sys.exit(main())
