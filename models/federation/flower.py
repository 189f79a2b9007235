"""Flower kept quiet: importing this module switches off what it would send and what it would print.

Every module here that imports `flwr` imports this one too. Flower reads the variables where a process of its own starts, so
`ENVIRONMENT` also belongs to each of those; in this process, where it may have been imported before, its telemetry is
switched off where it is asked before anything is sent.
"""

import logging
import os

from flwr.supercore import telemetry

ENVIRONMENT = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_LOG_LEVEL": "WARNING"}
"""Of every process of Flower's: nothing is sent to its makers, and only warnings are printed."""

os.environ.update(ENVIRONMENT)
telemetry.FLWR_TELEMETRY_ENABLED = "0"
logging.getLogger("flwr").setLevel(logging.WARNING)
