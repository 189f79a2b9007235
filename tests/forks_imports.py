"""What the process imports that the tests' forks come from: all that commands, flows and workers use."""

import os
import tempfile
from pathlib import Path

HOME = Path(tempfile.gettempdir()) / f"afterwatch-tests-{os.getuid()}"
"""Of an orchestrator that is never started there: what a fork runs has its own, but the settings are read at the import."""

os.environ |= {
    "PREFECT_HOME": str(HOME),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "DO_NOT_TRACK": "1",
}

import flows.backfill  # noqa: E402
import flows.federation  # noqa: E402
import flows.joining  # noqa: E402
import flows.nightly  # noqa: E402
import flows.refit  # noqa: E402, F401
import tests.flows.federation_sites  # noqa: E402, F401
