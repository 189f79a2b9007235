"""Workers of a federated experiment: what a lost one leaves undone is done by another."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from evaluation.datasets.ucsd import read_ucsd_split
from evaluation.federated_data import read_cameras
from evaluation.protocols.federated import FederatedSettings, run_federated
from flows.runners import client_pool
from infra.settings import ClusterTable
from models.autoencoders.settings import HasanSettings
from tests.evaluation.made_squares import put_squares
from tests.forks import forked_workers

pytestmark = [pytest.mark.serial, pytest.mark.timeout(300)]


def die_once(flag: str) -> int:
    """Kills the worker that it runs in, the first time that it is called."""
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_a_federation_runs_on_workers_and_outlives_them(tmp_path: Path) -> None:
    data = read_ucsd_split(put_squares(tmp_path / "squares"))
    cameras = read_cameras([data], 48, 10.0, tmp_path / "pictures")
    settings = FederatedSettings(HasanSettings(width=0.02, size_px=48), rounds=2, seeds=1, step=5, score_step=3)
    with forked_workers(), client_pool(ClusterTable(workers=2), tmp_path) as pool:
        assert pool.submit(die_once, str(tmp_path / "flag")).result(timeout=200) != os.getpid()
        report = run_federated(cameras, settings, pool)
        assert not any(run.missing for run in report.runs)
        assert all(np.isfinite(run.errors).all() for run in report.runs)
