"""What a Dask scheduler says of itself when it is asked."""

from distributed import LocalCluster

from flows.runners import SchedulerState, scheduler_state


def test_workers_and_threads_are_counted() -> None:
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        assert scheduler_state(cluster.scheduler_address) == SchedulerState(1, 2, 0, 0)
