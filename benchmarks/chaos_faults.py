"""The other faults of a night: a full disk, a lake that cannot be written, a clock that jumps, too little memory."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.chaos_house import House, environment, start_night
from benchmarks.chaos_nights import LONGEST_S, MOST_RUNS, chaos_site, last_words, undisturbed
from benchmarks.chaos_tables import Content, content_of, differences

SMALL_LAKE = "size=256k"
LARGE_LAKE = "size=64m"
YEAR_S = 365 * 86_400
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static const long off = OFFSET;
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, t);
    if (id == CLOCK_REALTIME) t->tv_sec += off;
    return code;
}
int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    int code = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    if (t) { t->tv_sec = now.tv_sec; t->tv_usec = now.tv_nsec / 1000; }
    return code;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""
"""Loaded before the C library, it sets the clock of a process and of all that it starts."""
MEMORY = "140MiB"
"""What a worker may use in the night that runs out of memory: less than it takes to begin a task."""


@dataclass(frozen=True)
class Fault:
    """A night under a fault.

    Attributes:
        name: of the fault.
        said: how the night ended, and the line that names the cause.
        afterwards: what the workspace says when the fault is gone and the night was completed.
        is_right: whether the cause was named, and the rows are those of an undisturbed workspace in the end.
    """

    name: str
    said: str
    afterwards: str
    is_right: bool


class NotHereError(Exception):
    """A fault that cannot be made on this machine; the message says why."""


Attempt = Callable[[Path, Path, Content], Fault]


def faults(folder: Path, footage: Path, seed: int, say: Any) -> list[Fault]:
    """Try every fault on a workspace of its own, processes of its own; those that cannot be made here are told as such."""
    del seed  # nothing is drawn by chance here
    attempts: dict[str, Attempt] = {
        "disk full": disk_full,
        "lake read only": read_only,
        "clock set back by a year": partial(clock_jump, name="clock set back by a year", offset_s=-YEAR_S),
        "clock set ahead by a year": partial(clock_jump, name="clock set ahead by a year", offset_s=YEAR_S),
        "out of memory": out_of_memory,
    }
    folder.mkdir(parents=True)
    expected = undisturbed(chaos_site(folder / "expected", footage, None), environment())
    told = []
    for number, (name, attempt) in enumerate(attempts.items()):
        try:
            fault = attempt(folder / f"fault-{number}", footage, expected)
        except NotHereError as error:
            fault = Fault(name, f"not tried: {error}", "", True)
        say(f"{fault.name}: {fault.said}; {fault.afterwards}")
        told.append(fault)
    return told


def disk_full(root: Path, footage: Path, expected: Content) -> Fault:
    """The lake's disk has room for the first files only."""
    chaos_site(root, footage, None)
    with _mounted(root / "lake", SMALL_LAKE):
        said, named = _night(root, environment(), "No space left on device")
        _call("mount", "-o", f"remount,{LARGE_LAKE}", str(root / "lake"))
        return _completed("disk full", root, said, named, expected)


def read_only(root: Path, footage: Path, expected: Content) -> Fault:
    """The lake's disk has gone over to read only, as disks do when they fail."""
    chaos_site(root, footage, None)
    with _mounted(root / "lake", LARGE_LAKE):
        _call("mount", "-o", "remount,ro", str(root / "lake"))
        said, named = _night(root, environment(), "Read-only file system")
        _call("mount", "-o", "remount,rw", str(root / "lake"))
        return _completed("lake read only", root, said, named, expected)


def clock_jump(root: Path, footage: Path, expected: Content, *, name: str, offset_s: int) -> Fault:
    """A night by a clock that is off, in all its processes, over half of the footage; then one by the right clock."""
    chaos_site(root, footage, None)
    library = _clock(root, offset_s)
    said, named = _night(root, environment(LD_PRELOAD=str(library)), "complete")
    return _completed(name, root, said, named, expected)


def out_of_memory(root: Path, footage: Path, expected: Content) -> Fault:
    """Workers that are killed for using more memory than they may."""
    with House(root.with_name(f"{root.name}-house"), ("--memory-limit", MEMORY)) as house:
        chaos_site(root, footage, house.address)
        said, named = _night(root, house.environment, "memory")
    shutil.rmtree(root / "lake", ignore_errors=True)
    with House(root.with_name(f"{root.name}-roomy")) as house:
        settings = root / "afterwatch.toml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(
            text[: text.index("[cluster]")] + f'[cluster]\naddress = "{house.address}"\n', encoding="utf-8"
        )
        return _completed("out of memory", root, said, named, expected, house.environment)


def _night(root: Path, told: dict[str, str], words: str) -> tuple[str, bool]:
    """A night under the fault: what it said, and whether the cause was named."""
    log = root.with_suffix(".log")
    night = start_night(root, log, told)
    code = night.wait(timeout=LONGEST_S)
    text, report = log.read_text(encoding="utf-8", errors="replace"), last_words(log)
    lines = [report.get("status", ""), *report.get("attention", []), *text.splitlines()]
    named = next((line.strip() for line in lines if words in line), "").replace(f"{root}/", "")
    # Prefect prints where an error came from; a night that ends on purpose says so in a line of its own.
    crashed = not report and "\nafterwatch: " not in text
    told_words = f"{report.get('status', 'no report')}, exit code {code}: {named[:200] or 'the cause is not named'}"
    return told_words.replace("|", "/") + (" — and it crashed" if crashed else ""), bool(named) and not crashed


def _completed(
    name: str, root: Path, said: str, named: bool, expected: Content, told: dict[str, str] | None = None
) -> Fault:
    runs, code = 0, None
    while code != 0 and runs < MOST_RUNS:
        runs += 1
        code = start_night(root, root.with_suffix(".log"), told or environment()).wait(timeout=LONGEST_S)
    wrong = differences(expected, content_of(root))
    afterwards = f"complete after {runs} runs, " + ("rows equal" if not wrong else "; ".join(wrong))
    return Fault(name, said, afterwards if code == 0 else "not complete", named and code == 0 and not wrong)


@contextmanager
def _mounted(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    _call("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder))
    try:
        yield
    finally:
        for _ in range(20):
            if subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.5)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHereError(f"{' '.join(command[:3])}: {done.stderr.strip()}")


def _clock(root: Path, offset_s: int) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotHereError("there is no C compiler, which makes the other clock")
    source, library = root / "clock.c", root / "clock.so"
    source.write_text(CLOCK.replace("OFFSET", str(offset_s)), encoding="ascii")
    _call(compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl")
    return library
