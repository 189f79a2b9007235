"""Fixtures that every room's tests may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from afterwatch.workspace_files import link_footage, make_workspace
from footage.synthetic.campaign import render_campaign
from footage.synthetic.plan import small_campaign

# Machines differ, and are shared: no property is false because it is slow.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real footage, labels and weights, kept beside the checkout; its tests are skipped where it is absent."""
    folder = (ROOT / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip("real footage (../shared/data) is not on this machine")
    return folder


@pytest.fixture(scope="session")
def small_footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic campaign, rendered once: two cameras, two days, every kind of defect. Treat it as read only."""
    folder = tmp_path_factory.mktemp("footage") / "demo"
    render_campaign(folder, small_campaign(), workers=1)
    return folder


@pytest.fixture(scope="session")
def server_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """API address of a Prefect server; to start one takes longer than a night of the tests."""
    from flows.server import API_URL, orchestrator

    folder = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(API_URL, raising=False)
        patch.setenv("PREFECT_HOME", str(folder))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        with orchestrator(folder / "server.log") as address:
            os.environ.pop(API_URL)  # modules that want it ask for it
            patch.undo()
            yield address


@pytest.fixture(scope="module")
def server(server_of_all: str) -> Iterator[str]:
    """API address of that server, which the commands of a test module use from now on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", server_of_all)
        yield server_of_all


@pytest.fixture
def small_site(tmp_path: Path, small_footage: Path) -> Path:
    """A fresh workspace with the small campaign linked in."""
    root = make_workspace(tmp_path / "site")
    link_footage(root, small_footage, "demo")
    return root
