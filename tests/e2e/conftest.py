"""One Prefect server for all nights but the first, which starts its own as a newcomer's would."""

from collections.abc import Iterator

import pytest

from flows.server import orchestrator


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """API address of a server that the commands under test use."""
    folder = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(folder))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        with orchestrator(folder / "server.log") as address:
            yield address
