"""The verb `refit` as a person runs it: in a process of its own, by the orchestrator."""

from pathlib import Path

import pytest

from afterwatch.workspace_files import make_workspace
from lake.promotions import promote
from tests.e2e.command import afterwatch
from workspace.opened import Workspace


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("server")
def test_the_orchestrator_runs_every_model_and_the_command_tells_it(tmp_path: Path) -> None:
    site = make_workspace(tmp_path / "site")
    workspace = Workspace(site)
    workspace.registry.save("retrieval", "hall.frame.busy", "v1", {"use_case": {"camera": "hall"}}, {}, author="ada")
    promote(workspace.ledger, "retrieval", "hall.frame.busy", "v1", "ada", "hall")
    done = afterwatch("refit", "--site", site, "--json")
    assert done.code == 1, done.err
    (model,) = done.json["models"]
    assert (done.json["status"], model["outcome"]) == ("incomplete", "failed")
    assert Workspace(site).ledger.rows("runs").to_pylist()[0]["run_id"] == done.json["run"]
