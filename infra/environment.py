"""The environment of what is started: no telemetry; the orchestrator's state inside the workspace, quiet unless something is wrong.

Set before Prefect is imported; what the person who runs it has set already stays.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from infra.site import Site

SERVER_START_S = 120


@dataclass(frozen=True)
class Telemetry:
    """A setting by which a library is kept from calling its makers; `off` are the values that do."""

    library: str
    variable: str
    off: tuple[str, ...]

    def is_off(self, environment: Mapping[str, str]) -> bool:
        return environment.get(self.variable, "").strip().lower() in self.off


_NO, _YES = ("false", "0", "no", "off"), ("1", "true", "yes", "on")
TELEMETRY = (
    Telemetry("Prefect", "PREFECT_SERVER_ANALYTICS_ENABLED", _NO),
    Telemetry("Streamlit", "STREAMLIT_BROWSER_GATHER_USAGE_STATS", _NO),
    Telemetry("Flower", "FLWR_TELEMETRY_ENABLED", ("0",)),
    Telemetry("Flower's look for newer versions", "FLWR_DISABLE_UPDATE_CHECK", _YES),
    Telemetry("Hugging Face", "HF_HUB_DISABLE_TELEMETRY", _YES),
    Telemetry("whatever heeds it", "DO_NOT_TRACK", _YES),
)


def switch_off_telemetry() -> None:
    """Keep libraries from calling their makers, in this process and in those that it starts."""
    for setting in TELEMETRY:
        os.environ.setdefault(setting.variable, setting.off[0])


def prepare_orchestrator(site: Site) -> None:
    """Point Prefect at the workspace and switch off everything that would call out."""
    switch_off_telemetry()
    home = site.state_folder / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    defaults = {
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(SERVER_START_S),
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_CLI_PROMPT": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
