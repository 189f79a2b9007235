"""Serving: on this machine only, without telemetry, and refusing what cannot work."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dashboards.serve import serve, server_command
from infra.errors import ConfigurationError
from tests.dashboards.small_site import Workspace

ROOT = Path(__file__).resolve().parents[2]


def test_the_server_listens_on_this_machine_and_tells_nobody() -> None:
    command = server_command("127.0.0.1", 8600)
    for flag in (
        "--server.address=127.0.0.1",
        "--server.port=8600",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
        "--server.fileWatcherType=none",
        "--client.showErrorLinks=false",
    ):
        assert flag in command
    assert "--server.headless=false" in server_command("127.0.0.1", 8600, open_browser=True)


def test_a_port_in_use_is_refused(empty_site: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} cannot be listened on"):
            serve(empty_site.root, port=port)


def test_a_port_out_of_range_is_refused(empty_site: Workspace) -> None:
    with pytest.raises(ConfigurationError, match="1 to 65535"):
        serve(empty_site.root, port=70_000)


def test_a_folder_that_is_no_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no workspace"):
        serve(tmp_path)


def test_importing_it_does_not_load_streamlit() -> None:
    code = "import sys, dashboards.serve; sys.exit('streamlit' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
