"""The environment of the orchestrator: its state inside the workspace, no telemetry, quiet unless something is wrong.

Set before Prefect is imported; what the person who runs it has set already stays.
"""

import os

from infra.site import Site

SERVER_START_S = 120


def prepare_orchestrator(site: Site) -> None:
    """Point Prefect at the workspace and switch off everything that would call out."""
    home = site.state_folder / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    defaults = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(SERVER_START_S),
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_CLI_PROMPT": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
