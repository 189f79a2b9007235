"""A backfill's tasks go last on a scheduler that several workspaces share."""

import threading
import time

from distributed import Client, LocalCluster

from flows.runners import BACKFILL, NIGHT, in_order

_GATE = threading.Event()
_DONE: list[str] = []


def _wait() -> bool:
    return _GATE.wait(60)


def _note(name: str) -> None:
    """The worker is a thread of this process, so what it does here is seen here."""
    _DONE.append(name)


def test_tasks_of_a_night_go_before_those_of_a_backfill_that_wait_already() -> None:
    _GATE.clear()
    _DONE.clear()
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local,
        Client(local) as client,
    ):
        futures = [client.submit(_wait, pure=False)]
        for name, priority, ahead in (
            ("backfill", BACKFILL, False),
            ("backfill ahead", BACKFILL, True),
            ("night", NIGHT, False),
            ("night ahead", NIGHT, True),
        ):
            with in_order(priority, ahead=ahead):
                futures.append(client.submit(_note, name, key=name))  # names apart: they are no group of tasks
        while len(local.workers[0].state.tasks) < len(futures):  # they have reached the worker, which is busy
            time.sleep(0.01)
        _GATE.set()
        client.gather(futures)
    assert _DONE == ["night ahead", "night", "backfill ahead", "backfill"]
