"""Run an iterator in a thread of its own, a bounded number of items ahead of its reader."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    """Yield `items` in order while a thread fetches up to `ahead` of them in advance.

    An exception of the iterable is raised here, where it is read. When the reader stops early, the thread ends at its
    next item and the iterable is closed.

    Raises:
        ValueError: `ahead` is below 1.
    """
    if ahead < 1:
        raise ValueError(f"ahead is at least 1, got {ahead}")
    done = object()
    waiting: queue.Queue[object] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def offer(item: object) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def fetch() -> None:
        source = iter(items)
        try:
            for item in source:
                if not offer(item):
                    break
            else:
                offer(done)
        except BaseException as error:  # handed to the reader, whatever it is
            offer(_Failure(error))
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=fetch, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if item is done:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]  # the queue carries items, the end mark and failures; only items are left
    finally:
        stopped.set()
        thread.join()
