"""Where tasks run: an embedded local Dask cluster by default, an existing scheduler by its address."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask
from distributed import Client, LocalCluster
from prefect_dask import DaskTaskRunner

from flows.machine import worker_count
from infra.errors import ConfigurationError
from infra.settings import ClusterTable

CONNECT_S = 10
NIGHT, BACKFILL = 0, -100
"""Priorities of runs on a scheduler that several share."""
AHEAD = 10

logging.getLogger("distributed").setLevel(logging.ERROR)  # workers come and go; what they fail at is in the report


def task_runner(cluster: ClusterTable) -> DaskTaskRunner:
    """The runner that the settings ask for.

    Raises:
        ConfigurationError: there is no scheduler at the address.
    """
    if cluster.address is not None:
        _connected(cluster.address).close()
        return DaskTaskRunner(address=cluster.address)
    return DaskTaskRunner(cluster_kwargs=_embedded(cluster))


@contextmanager
def client_pool(cluster: ClusterTable) -> Iterator[Executor]:
    """Workers for the clients of a federated experiment: the embedded cluster, or an existing scheduler.

    What is submitted is done again elsewhere where its worker is lost, and fails where it loses several. Workers see the files
    that they are told of: an existing scheduler's need the same folders.

    Raises:
        ConfigurationError: there is no scheduler at the address.
    """
    if cluster.address is not None:
        with _connected(cluster.address) as client, client.get_executor(pure=False) as pool:
            yield pool
        return
    with LocalCluster(**_embedded(cluster)) as local, Client(local) as client, client.get_executor(pure=False) as pool:
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
