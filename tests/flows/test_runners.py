"""Where tasks run: an embedded cluster, or an existing Dask scheduler by its address."""

from pathlib import Path

import pytest

from flows import runners
from flows.runners import task_runner
from infra.errors import ConfigurationError
from infra.settings import ClusterTable


def test_an_absent_scheduler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runners, "CONNECT_S", 1)
    with pytest.raises(ConfigurationError, match=r"tcp://127\.0\.0\.1:9"):
        task_runner(ClusterTable(address="tcp://127.0.0.1:9"), tmp_path)
