"""Where tasks run: an embedded local Dask cluster by default, an existing scheduler by its address."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, LocalCluster
from prefect.context import FlowRunContext
from prefect_dask import DaskTaskRunner

from flows.machine import worker_count
from flows.workers import Crew, Shared, attended, muster, token_in
from infra.errors import ConfigurationError, NightError
from infra.settings import ClusterTable

CONNECT_S = 10
NIGHT, BACKFILL = 0, -100
"""Priorities of runs on a scheduler that several share."""
AHEAD = 10

logging.getLogger("distributed").setLevel(logging.ERROR)  # workers come and go; what they fail at is in the report


def task_runner(cluster: ClusterTable, folder: Path) -> DaskTaskRunner:
    """The runner that the settings ask for.

    Args:
        cluster: the settings.
        folder: of the workspace, which the workers of an existing scheduler are to see as this process does.

    Raises:
        ConfigurationError: there is no scheduler at the address, or none of its workers may take tasks (`flows.workers`).
    """
    if cluster.address is not None:
        shared = Shared(folder, cluster.gpu_resource)
        with _connected(cluster.address) as client, token_in(folder) as token:
            muster(Crew(client, shared, token))
        return SharedRunner(cluster.address, shared)
    return DaskTaskRunner(cluster_class=start_embedded, cluster_kwargs=_embedded(cluster))


class SharedRunner(DaskTaskRunner):  # type: ignore[misc]  # its package is partly annotated
    """An existing scheduler: its workers that fit a workspace take the workspace's tasks, whenever they join."""

    def __init__(self, address: str, shared: Shared) -> None:
        super().__init__(address=address)
        self._shared = shared
        self._crew: Crew | None = None
        self._gave_up: str | None = None

    def duplicate(self) -> "SharedRunner":
        """One that is not started yet, as the flow engine asks for."""
        return SharedRunner(self.address, self._shared)

    def __enter__(self) -> "SharedRunner":
        super().__enter__()
        with ExitStack() as until_it_stands:
            until_it_stands.push(self._exit_stack.__exit__)
            client = self.client
            token = self._exit_stack.enter_context(token_in(self._shared.folder))
            self._crew = Crew(client, self._shared, token)
            muster(self._crew)
            self._exit_stack.enter_context(attended(self._crew, self._give_up))
            until_it_stands.pop_all()
        return self

    def submit(self, *arguments: Any, **named: Any) -> Any:
        """Submit a task, for workers that have the label."""
        wanted = {**dask.get_annotations().get("resources", {}), self._shared.label: 1}
        with dask.annotate(resources=wanted):
            return super().submit(*arguments, **named)

    def _give_up(self, why: str) -> None:
        self._gave_up = why
        _cancel_all(self.client)

    def told(self) -> list[str]:
        """What people are to know of the workers: who was refused and why, and that a run gave up on them."""
        gave_up = [] if self._gave_up is None else [self._gave_up]
        return gave_up + ([] if self._crew is None else self._crew.told())


def matters_of_workers() -> list[str]:
    """What the flow that runs here has to tell of its workers."""
    context = FlowRunContext.get()
    runner: Any = None if context is None else context.task_runner
    if isinstance(runner, SharedRunner):
        return runner.told()
    cluster = getattr(runner, "_cluster", None)
    return list(cluster.told) if isinstance(cluster, EmbeddedCluster) else []


def _cancel_all(client: Client) -> None:
    """Have whoever waits for a task of this client wait no longer."""
    client.cancel([Future(key, client) for key in list(client.futures)])


@contextmanager
def client_pool(cluster: ClusterTable, folder: Path) -> Iterator[Executor]:
    """Workers for the clients of a federated experiment: the embedded cluster, or an existing scheduler.

    What is submitted is done again elsewhere where its worker is lost, and fails where it loses several, or where no worker that
    fits has been there for long (`flows.workers`).

    Args:
        cluster: embedded, or the address.
        folder: of the files that workers are told of; an existing scheduler's are to see it as this process does.

    Raises:
        ConfigurationError: there is no scheduler at the address, or none of its workers may take tasks.
    """
    if cluster.address is not None:
        shared = Shared(folder)
        with (
            _connected(cluster.address) as client,
            token_in(folder) as token,
            client.get_executor(pure=False, resources={shared.label: 1}) as pool,
        ):
            crew = Crew(client, shared, token)
            muster(crew)
            with attended(crew, lambda _why: _cancel_all(client)):
                yield pool
        return
    with (
        start_embedded(**_embedded(cluster)) as local,
        Client(local) as client,
        client.get_executor(pure=False) as pool,
    ):
        yield pool


@dataclass(frozen=True)
class SchedulerState:
    """What an existing scheduler says of itself: its workers, their threads, and the tasks that they have and that wait."""

    workers: int
    threads: int
    processing: int
    waiting: int


def scheduler_state(address: str) -> SchedulerState:
    """Ask the scheduler at an address.

    Raises:
        ConfigurationError: none answers.
    """
    with _connected(address) as client:
        threads = client.nthreads()
        processing = sum(len(tasks) for tasks in client.processing().values())
        queued = client.run_on_scheduler(_count_waiting)
    return SchedulerState(len(threads), sum(threads.values()), processing, queued)


def _count_waiting(dask_scheduler: Any) -> int:
    return len(dask_scheduler.queued) + len(dask_scheduler.unrunnable)


def _connected(address: str) -> Client:
    try:
        return Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f'no Dask scheduler answers at cluster.address = "{address}" ({error}); start one with '
            '"dask scheduler", or leave the address out for an embedded cluster'
        ) from None


class EmbeddedCluster(LocalCluster):  # type: ignore[misc]  # its package is partly annotated
    """Workers of this process's own; `told` is what there is to know of how they started."""

    told: tuple[str, ...] = ()


def start_embedded(**settings: Any) -> EmbeddedCluster:
    """Start an embedded cluster; once more, where a worker is lost before all of them answer.

    Raises:
        NightError: one was lost again.
    """
    try:
        return EmbeddedCluster(**settings)
    except (OSError, RuntimeError) as error:
        first = str(error)
    try:
        cluster = EmbeddedCluster(**settings)
    except (OSError, RuntimeError) as error:
        raise NightError(
            f"workers ended while they started, twice ({error}), which is what running out of memory looks like from outside; lower "
            "cluster.workers, or free memory, then run again"
        ) from error
    cluster.told = (f"a worker ended while the embedded cluster started ({first}); it was started once more",)
    return cluster


def _embedded(cluster: ClusterTable) -> dict[str, Any]:
    """What an embedded cluster is started with."""
    workers = worker_count(cluster)
    threads = max(1, (os.cpu_count() or 1) // workers)
    # Each worker is a process with one task at a time; networks in it use its share of the cores.
    environment = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    dask.config.set(
        {
            "distributed.nanny.pre-spawn-environ": environment,
            "distributed.comm.timeouts.connect": "30s",
            "logging.distributed": "error",
        }
    )
    return {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": True,
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
    }


@contextmanager
def embedding_resources(cluster: ClusterTable) -> Iterator[None]:
    """Tasks submitted here take a unit of the GPU resource, where the settings name one."""
    if cluster.gpu_resource is None:
        yield
        return
    with dask.annotate(resources={cluster.gpu_resource: 1}):
        yield


@contextmanager
def in_order(priority: int, *, ahead: bool = False) -> Iterator[None]:
    """Tasks submitted here wait until none of a higher priority does, on whatever workspace's behalf.

    Args:
        priority: `NIGHT` or `BACKFILL`.
        ahead: go before those of the same run that already wait, so that a camera begun is a camera finished.
    """
    with dask.annotate(priority=priority + (AHEAD if ahead else 0)):
        yield
