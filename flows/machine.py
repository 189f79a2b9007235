"""This machine's share of the work; light enough for verbs that start no orchestrator."""

import os

from infra.settings import ClusterTable


def worker_count(cluster: ClusterTable) -> int:
    """Workers of the embedded cluster."""
    return cluster.workers or os.cpu_count() or 1


def decode_threads(cluster: ClusterTable, configured: int) -> int:
    """Threads that decode one recording, so that the workers together use the machine's cores once."""
    if configured:
        return configured
    return max(1, (os.cpu_count() or 1) // worker_count(cluster)) if cluster.address is None else 1
