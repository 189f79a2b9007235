"""Files spoilt by chance, and what nights make of them: `python -m benchmarks.fuzz --files 600`.

Recordings go through real nights, `afterwatch run` with its own workers, many to a night and sound ones among them. A night may
not crash; what it says of a spoilt recording has to be that it is broken, or the pictures that a plain decoding of the very file
shows; what it says of a sound one has to be what it says where nothing is spoilt. Settings are refused with words or honoured;
files of the lake are refused with words or say what they said.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from afterwatch.workspace_files import make_workspace
from benchmarks.chaos_house import environment, kill_tree, start_night
from benchmarks.chaos_nights import LONGEST_S, last_words
from benchmarks.fuzz_judging import wrong_in
from benchmarks.fuzz_lake import mutated_file
from benchmarks.fuzz_recordings import FILMS, MutatedRecording, film_bytes, mutated_recording
from benchmarks.fuzz_settings import mutated_settings
from benchmarks.workbench import embed_all, ingest_and_plan, shards_of
from infra.errors import AfterwatchError
from infra.settings import SETTINGS_FILE
from lake.catalogue import connect, select
from lake.current import current_outputs, recordings_now
from lake.schema import STATEMENTS, TABLES
from lake.store import Store
from tasks.forecast import forecast
from tasks.plan import Selection
from workspace.opened import Workspace

SEED = 7
PER_NIGHT = 300
PER_CAMERA = 50
CAMPAIGN = "fuzz"
BEGIN = datetime(2026, 3, 2, 8)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "fuzz.md"
SETTINGS = """
[novelty]
encoder = "handcrafted/motion"
neighbours = 3
minimum_reference = 10

[summary]
encoder = "handcrafted/motion"
segment_s = 2.0
budget_s = 12.0
keyframes = 4

[watch]
reserve_gb = 0

[cluster]
workers = 2

[[encoders]]
name = "handcrafted/appearance"

[[encoders]]
name = "handcrafted/motion"
stride_s = 0.5
"""


@dataclass
class Findings:
    """What became of the files of one kind.

    Attributes:
        what: kind of file.
        files: how many.
        ends: how often each end was met.
        wrong: what should not have been, a line each.
    """

    what: str
    files: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def met(self, end: str) -> None:
        self.files += 1
        self.ends[end] += 1


def sound_recording(number: int) -> bytes:
    """A whole recording; another number gives other bytes and the same pictures."""
    return film_bytes(FILMS[0]) + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")


def lay_out(root: Path, recordings: Sequence[MutatedRecording]) -> dict[str, MutatedRecording | None]:
    """Make a workspace whose cameras have some of the recordings each, and one sound one first.

    Returns:
        What lies at each path below the footage folder; None where it is sound.
    """
    make_workspace(root)
    (root / SETTINGS_FILE).write_text(SETTINGS, encoding="utf-8")
    placed: dict[str, MutatedRecording | None] = {}
    for camera in range(-(-len(recordings) // PER_CAMERA)):
        mine: list[MutatedRecording | None] = [None, *recordings[camera * PER_CAMERA : (camera + 1) * PER_CAMERA]]
        for hour, recording in enumerate(mine):
            started = BEGIN + timedelta(minutes=10 * hour)
            suffix = ".mp4" if recording is None else recording.film.suffix
            path = f"{CAMPAIGN}/camera-{camera}/{started:%Y-%m-%dT%H-%M-%S}{suffix}"
            file = root / "footage" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(sound_recording(camera) if recording is None else recording.content)
            placed[path] = recording
    return placed


def judge_night(root: Path, placed: Mapping[str, MutatedRecording | None], sound_only: Path, told: Findings) -> None:
    """Hold what a workspace says of its recordings against plain decodings and against a workspace without spoilt ones."""
    workspace = Workspace(root)
    rows = {row["path"]: row for row in recordings_now(workspace.ledger)}
    tables = {name: _by_recording(workspace, name) for name in ("frames", "coverage", "embeddings")}
    expected = {name: _by_recording(Workspace(sound_only), name) for name in ("frames", "embeddings")}
    for path, recording in placed.items():
        row = rows.get(path)
        if row is None:
            told.wrong.append(f"{path} was not entered")
            continue
        mine = {name: found.get(row["recording_id"], []) for name, found in tables.items()}
        if recording is None:
            alone = {name: found.get(row["recording_id"], []) for name, found in expected.items()}
            if any(_texts(mine[name]) != _texts(rows_alone) for name, rows_alone in alone.items()):
                told.wrong.append(f"{path} is sound, and its rows are not those of a workspace without spoilt ones")
            continue
        told.met(row["status"])
        file = workspace.site.footage_root / path
        found = wrong_in(workspace.store, file, row, {name: mine[name] for name in ("frames", "coverage")})
        told.wrong += [f"{recording.told}: {line}" for line in found]


def _by_recording(workspace: Workspace, table: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in select(connect(workspace.store), f"SELECT * FROM {table}").to_pylist():
        found.setdefault(row["recording_id"], []).append(row)
    return found


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows to be compared: a measure that is no number equals no other, and their order says nothing."""
    return sorted(map(repr, rows))


def sound_site(root: Path, cameras: int) -> Path:
    """A workspace with the sound recordings alone, embedded in this process."""
    lay_out(root, ())
    for camera in range(cameras):
        file = root / "footage" / CAMPAIGN / f"camera-{camera}" / f"{BEGIN:%Y-%m-%dT%H-%M-%S}.mp4"
        file.parent.mkdir(parents=True)
        file.write_bytes(sound_recording(camera))
    days = ingest_and_plan(root)
    embed_all(root, shards_of(days), 1)
    workspace = Workspace(root)
    _enter_embedding(workspace)
    return root


def _enter_embedding(workspace: Workspace) -> None:
    """Enter what was embedded without an orchestrator, so that it counts."""
    from tasks.camera import embed_receipts
    from tasks.plan import plan_days, recordings_of
    from tasks.receipts import record

    days = plan_days(workspace, recordings_of(workspace, recordings_now(workspace.ledger)))
    record(workspace.ledger, "sound", [receipt for day in days for receipt in embed_receipts(day, day, ())])


def fuzz_recordings(folder: Path, count: int, seed: int, say: "partial[None] | Any") -> tuple[Findings, Path]:
    """Nights over spoilt recordings; what became of them, and the workspace of the last night."""
    told, root = Findings("recordings"), folder
    cameras = -(-min(count, PER_NIGHT) // PER_CAMERA)
    sound_only = sound_site(folder / "sound", cameras)
    for number, first in enumerate(range(0, count, PER_NIGHT)):
        root = folder / f"night-{number}"
        spoilt = [mutated_recording(seed, at) for at in range(first, min(count, first + PER_NIGHT))]
        placed = lay_out(root, spoilt)
        began, log = time.monotonic(), root.with_suffix(".log")
        night = start_night(root, log, environment())
        try:
            code = night.wait(timeout=LONGEST_S)
        except Exception as error:  # a night must not outlive this, whatever ended the waiting
            kill_tree(night)
            if type(error).__name__ != "TimeoutExpired":
                raise
            told.wrong.append(f"night {number} hangs")
            continue
        report = last_words(log)
        if not report or "Traceback" in log.read_text(encoding="utf-8", errors="replace"):
            told.wrong.append(f"night {number} ended with {code} and without a report")
            continue
        say(f"night {number}: {len(spoilt)} recordings, {report['status']}, {time.monotonic() - began:.0f} s")
        for line in report["attention"]:
            if "failed" in line:
                told.wrong.append(f"night {number}: {line}")
        judge_night(root, placed, sound_only, told)
    return told, root


def fuzz_settings(root: Path, count: int, seed: int) -> Findings:
    """Open a workspace with each of the settings, and plan its night."""
    told, file = Findings("settings files"), root / SETTINGS_FILE
    lake = root / "lake"
    for number in range(count):
        spoilt = mutated_settings(seed, number)
        file.write_bytes(spoilt.content)
        try:
            workspace = Workspace(root)
            _ = workspace.pattern, workspace.encoders, workspace.settings.zone
            if workspace.site.lake_location == str(lake):
                forecast(workspace, Selection(), 1)
        except AfterwatchError as error:
            told.met(f"refused ({type(error).__name__})")
            if not str(error).strip():
                told.wrong.append(f"{spoilt.told}: refused without a word")
        except Exception:  # noqa: BLE001 — which error it is, is what is asked for
            told.met("crashed")
            told.wrong.append(f"{spoilt.told}: {traceback.format_exc(limit=-1).strip()}")
        else:
            told.met("honoured")
    return told


def lake_files(root: Path) -> list[tuple[str, bytes]]:
    """Files of the ledgers, and the first of each other table that counts."""
    store = Workspace(root).store
    paths = [name for table in ("runs", "recordings", *STATEMENTS) for name in store.names(table)]
    firsts: dict[str, str] = {}
    for output in current_outputs(Workspace(root).ledger):
        firsts.setdefault(output.table, output.path)
    wanted = [*paths[:40], *(path for table, path in firsts.items() if table in TABLES)]
    return [(path, store.read_bytes(path)) for path in wanted]


def fuzz_lake(root: Path, count: int, seed: int) -> Findings:
    """Read spoilt files of a lake: each is refused with words, or says what it said."""
    told = Findings("files of the lake")
    files = lake_files(root)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(scratch)
        for number in range(count):
            spoilt = mutated_file(seed, number, files)
            store.write_bytes(spoilt.path, dict(files)[spoilt.path])
            whole = store.read_table(spoilt.path)
            store.write_bytes(spoilt.path, spoilt.content)
            try:
                read = store.read_table(spoilt.path)
            except AfterwatchError:
                told.met("refused")
            except Exception:  # noqa: BLE001 — as above
                told.met("crashed")
                told.wrong.append(f"{spoilt.told}: {traceback.format_exc(limit=-1).strip()}")
            else:
                told.met("says what it said" if read.equals(whole) else "says something else")
                if not read.equals(whole):
                    told.wrong.append(f"{spoilt.told}: it says something else")
    return told


def page(found: Iterable[Findings], seed: int) -> str:
    """The results page."""
    found = list(found)
    lines = [
        "# Spoilt files",
        "",
        f"Printed by `python -m benchmarks.fuzz --files {found[0].files} --seed {seed}`, which also says how each file was spoilt "
        "where anything is wrong with what became of it.",
        "",
        "| files | how many | what became of them | wrong |",
        "|---|---|---|---|",
    ]
    for told in found:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(told.ends.items()))
        lines.append(f"| {told.what} | {told.files} | {ends} | {len(told.wrong)} |")
    wrong = [line for told in found for line in told.wrong]
    lines += ["", *(f"- {line}" for line in wrong)] if wrong else ["", "Nothing was wrong."]
    return "\n".join(lines) + "\n"


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=(__doc__ or "").split("\n")[0])
    options.add_argument(
        "--files", type=int, default=600, help="spoilt recordings; settings and lake files are half as many each"
    )
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--page", type=Path, help=f"write the results there, as {PAGE.name}")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="afterwatch-fuzz-"))
    say = partial(print, file=sys.stderr, flush=True)
    try:
        recordings, root = fuzz_recordings(folder, given.files, given.seed, say)
        found = [recordings, fuzz_lake(root, given.files // 2, given.seed)]
        found.append(fuzz_settings(root, given.files // 2, given.seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = page(found, given.seed)
    print(text)
    if given.page is not None:
        given.page.write_text(text, encoding="utf-8")
    return int(any(told.wrong for told in found))


if __name__ == "__main__":
    sys.exit(main())
