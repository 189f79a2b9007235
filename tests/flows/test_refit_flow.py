"""The refit's flow and verb: what it reports, that it is not run twice at once, and that a night may run beside it."""

from pathlib import Path

import pytest

from afterwatch.__main__ import main
from infra.errors import NightError
from infra.lock import night_lock, refit_lock
from lake.promotions import promote
from tests.e2e.command import afterwatch
from workspace.opened import Workspace


@pytest.mark.serial
@pytest.mark.timeout(300)
def test_it_reports_every_model_also_while_a_night_runs(small_site: Path) -> None:
    workspace = Workspace(small_site)
    workspace.registry.save("retrieval", "hall.frame.busy", "v1", {"use_case": {"camera": "hall"}}, {})
    promote(workspace.ledger, "retrieval", "hall.frame.busy", "v1", "ada", "hall")
    with night_lock(workspace.site.state_folder):
        done = afterwatch("refit", "--site", small_site, "--json")
    assert done.code == 1, done.err
    assert done.json["status"] == "incomplete"
    (model,) = done.json["models"]
    assert (model["outcome"], model["version"], model["promotion"]) == ("failed", "", "")
    assert "train it again" in model["message"]
    (row,) = Workspace(small_site).ledger.rows("runs").to_pylist()
    assert (row["run_id"], row["step"], row["status"]) == (done.json["run"], "refit", "failed")


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
    small_site: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["refit", *arguments, "--site", str(small_site)])
    assert left.value.code == 2 and message in capsys.readouterr().err
    assert not (small_site / ".afterwatch" / "refit.lock").exists()
