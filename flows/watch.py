"""Who watches a flow that runs in this process: a progress bar, and the place where its report is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tasks.report import NightReport

Progress = Callable[[str, float, float], None]
"""Told the stage, what is done of it and what it has in all (files, seconds of footage, cameras)."""


def silent(_stage: str, _done: float, _total: float) -> None:
    """Progress that nobody watches."""


@dataclass
class Watch:
    """A watcher, and the report of the night it watched."""

    progress: Progress = silent
    report: NightReport | None = None


_WATCH: ContextVar[Watch] = ContextVar("watch")


def current_watch() -> Watch:
    """Who watches this flow; nobody, where a schedule or a worker started it."""
    return _WATCH.get(Watch())


@contextmanager
def watching(progress: Progress) -> Iterator[Watch]:
    """Watch the flow that is called inside the block."""
    watch = Watch(progress)
    token = _WATCH.set(watch)
    try:
        yield watch
    finally:
        _WATCH.reset(token)
