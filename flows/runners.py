"""Where tasks run: an embedded local Dask cluster by default, an existing scheduler by its address."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client
from prefect_dask import DaskTaskRunner

from flows.machine import worker_count
from infra.errors import ConfigurationError
from infra.settings import ClusterTable

CONNECT_S = 10

logging.getLogger("distributed").setLevel(logging.ERROR)  # workers come and go; what they fail at is in the report


def task_runner(cluster: ClusterTable) -> DaskTaskRunner:
    """The runner that the settings ask for.

    Raises:
        ConfigurationError: there is no scheduler at the address.
    """
    if cluster.address is not None:
        try:
            Client(cluster.address, timeout=CONNECT_S).close()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f'no Dask scheduler answers at cluster.address = "{cluster.address}" ({error}); start one with '
                '"dask scheduler", or leave the address out for an embedded cluster'
            ) from None
        return DaskTaskRunner(address=cluster.address)
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
    return DaskTaskRunner(
        cluster_kwargs={
            "n_workers": workers,
            "threads_per_worker": 1,
            "processes": True,
            "host": "127.0.0.1",
            "dashboard_address": "127.0.0.1:0",
        }
    )


@contextmanager
def embedding_resources(cluster: ClusterTable) -> Iterator[None]:
    """Tasks submitted here take a unit of the GPU resource, where the settings name one."""
    if cluster.gpu_resource is None:
        yield
        return
    with dask.annotate(resources={cluster.gpu_resource: 1}):
        yield


@contextmanager
def ahead() -> Iterator[None]:
    """Tasks submitted here go before those already waiting, so that a camera begun is a camera finished."""
    with dask.annotate(priority=10):
        yield
