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
    waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
    room = threading.Semaphore(ahead)  # taken before an item is fetched, given back when it is read
    stopped = threading.Event()

    def fetch() -> None:
        source: Iterable[Item] = items
        try:
            source = iterator = iter(items)
            while room.acquire() and not stopped.is_set():
                item = next(iterator, done)
                waiting.put(item)
                if item is done:
                    break
        except BaseException as error:  # noqa: BLE001 — handed to the reader, whatever it is
            waiting.put(_Failure(error))
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
            room.release()
            yield item  # type: ignore[misc]  # the queue carries items, the end mark and failures; only items are left
    finally:
        stopped.set()
        room.release()
        thread.join()
