"""The refit's flow and verb: what it reports, that it is not run twice at once, and that a night may run beside it."""

import json
from pathlib import Path

import pytest

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from flows import refit as flow_module
from infra.errors import NightError
from infra.lock import night_lock, refit_lock
from lake.promotions import promote
from tasks.refit import refit_model
from workspace.opened import Workspace

REFIT = flow_module.refit.fn
"""The flow's function, without the engine."""


def test_it_reports_every_model_also_while_a_night_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verb, the flow's and the task's own code; that the orchestrator runs them is shown with the tests' server."""
    site = make_workspace(tmp_path / "site")
    workspace = Workspace(site)
    workspace.registry.save("retrieval", "hall.frame.busy", "v1", {"use_case": {"camera": "hall"}}, {}, author="ada")
    promote(workspace.ledger, "retrieval", "hall.frame.busy", "v1", "ada", "hall")
    monkeypatch.setattr(flow_module, "refit_model", refit_model.fn)
    monkeypatch.setattr(flow_module, "refit", lambda *arguments, return_state: REFIT(*arguments))
    with night_lock(workspace.site.state_folder), pytest.raises(SystemExit) as left:
        main(["refit", "--site", str(site), "--json"])
    assert left.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "incomplete"
    (model,) = told["models"]
    assert (model["outcome"], model["version"], model["promotion"]) == ("failed", "", "")
    assert "train it again" in model["message"]
    (row,) = Workspace(site).ledger.rows("runs").to_pylist()
    assert (row["run_id"], row["step"], row["status"]) == (told["run"], "refit", "failed")


def test_one_refit_at_a_time_and_beside_a_night(tmp_path: Path) -> None:
    again = refit_lock(tmp_path)
    with refit_lock(tmp_path), night_lock(tmp_path), pytest.raises(NightError, match="a refit is already running"):
        again.__enter__()
    with refit_lock(tmp_path):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "novelty"), "autoencoder"),
        (("--name", "busy"), "unknown model in service"),
        (("--camera", "hall"), "unknown camera"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    site = make_workspace(tmp_path / "site")
    with pytest.raises(SystemExit) as left:
        main(["refit", *arguments, "--site", str(site)])
    assert left.value.code == 2 and message in capsys.readouterr().err
    assert not (site / ".afterwatch" / "refit.lock").exists()
