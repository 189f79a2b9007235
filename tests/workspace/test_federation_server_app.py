"""The server's app: checkpoint after each round, going on after it, receipts, and what is kept at the end."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, RecordDict

from afterwatch.workspace_files import make_workspace
from models.autoencoders.settings import settings_of
from models.autoencoders.training import TrainingSettings
from models.federation.base import Evaluation, LocalUpdate, Tensors
from models.federation.local_grid import LocalGrid, SiteClient
from models.federation.plan import FederatedPlan
from models.federation.reports import FederatedResult, RoundReport
from models.federation.sites import autoencoder_plan
from workspace.federation.folders import federation_folder
from workspace.federation.memories import load_checkpoint
from workspace.federation.receipt_files import read_receipts
from workspace.federation.server_app import KIND, Wanted, keep_federation, server_app
from workspace.opened import Workspace


class Drifting:
    """A training that moves every tensor by what it is given, and remembers how often it was asked."""

    def __init__(self, step: float, samples: int) -> None:
        self.step, self.samples = step, samples

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        moved = {name: (value + np.float32(self.step * round_number)) for name, value in shared.items()}
        return LocalUpdate(moved, self.samples, 1.0 / round_number, b"memory")

    def evaluate(self, shared: Tensors) -> Evaluation:
        return Evaluation(3, float(abs(next(iter(shared.values())).flat[0])))

    def finished(self, shared: Tensors) -> Tensors:
        return shared


@pytest.fixture
def plan() -> FederatedPlan:
    shape = settings_of("hasan", {"width": 0.125, "size_px": 48})
    return autoencoder_plan("hall", shape, TrainingSettings(), rounds=3, local_epochs=1)


def opened(root: Path) -> Workspace:
    site = make_workspace(root)
    settings = site / "afterwatch.toml"
    settings.write_text(f"{settings.read_text(encoding='utf-8')}\n[federation]\nwait_s = 1\n", encoding="utf-8")
    return Workspace(site)


def run(workspace: Workspace, plan: FederatedPlan, stop_after: int | None = None) -> list[int]:
    """Run the app over two sites in this process; numbers of the rounds that it told."""
    told: list[int] = []
    results: list[FederatedResult] = []

    def ended(report: RoundReport) -> None:
        told.append(report.number)
        if report.number == stop_after:
            raise KeyboardInterrupt

    app = server_app(workspace, plan, Wanted(2, 2), on_round=ended, on_result=results.append)
    with ThreadPoolExecutor(2) as pool:
        grid = LocalGrid({"north": SiteClient(Drifting(0.25, 1)), "south": SiteClient(Drifting(-0.5, 3))}, pool)
        if stop_after is None:
            app(grid, Context(1, 0, {}, RecordDict(), {}))
            assert len(results) == 1
        else:
            with pytest.raises(KeyboardInterrupt):
                app(grid, Context(1, 0, {}, RecordDict(), {}))
    return told


def test_stopped_and_started_again_it_comes_to_the_same(tmp_path: Path, plan: FederatedPlan) -> None:
    broken, whole = opened(tmp_path / "broken"), opened(tmp_path / "whole")
    assert run(broken, plan, stop_after=2) == [1, 2]
    with pytest.raises(ValueError, match="not all of the 3 rounds"):
        keep_federation(broken, plan)
    assert run(broken, plan) == [3]
    assert run(whole, plan) == [1, 2, 3]
    kept = [keep_federation(workspace, plan) for workspace in (broken, whole)]
    assert kept[0][:2] == kept[1][:2], "the version is a hash of the tensors"
    assert keep_federation(whole, plan)[:2] == kept[1][:2]
    name, version, card = kept[0]
    assert [one["number"] for one in card["rounds"]] == [1, 2, 3]
    assert (card["clients"], card["plan"]["digest"]) == (["north", "south"], plan.digest)
    _, arrays = broken.registry.load(KIND, name, version)
    reached = load_checkpoint(federation_folder(broken, "hall"), plan.digest)
    assert reached is not None and reached.best is not None
    for tensor, value in reached.best.shared.items():
        np.testing.assert_array_equal(arrays[f"best.{tensor}"], value)
    if card["best_round"] != plan.rounds:
        for tensor, value in reached.shared.items():
            np.testing.assert_array_equal(arrays[f"last.{tensor}"], value)


def test_all_that_was_sent_and_came_has_a_receipt(tmp_path: Path, plan: FederatedPlan) -> None:
    workspace = opened(tmp_path / "site")
    run(workspace, plan)
    found = read_receipts(federation_folder(workspace, "hall")).receipts
    assert sorted({(one.round, one.stage, one.direction, one.client) for one in found}) == sorted(
        (number, stage, direction, client)
        for number in (1, 2, 3)
        for stage in ("train", "evaluate")
        for direction in ("sent", "received")
        for client in ("north", "south")
    )
