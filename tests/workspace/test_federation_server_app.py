"""The server's app: checkpoint after each round, going on after it, receipts, and what is kept at the end."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict

from afterwatch.workspace_files import make_workspace
from models.autoencoders.settings import settings_of
from models.autoencoders.training import TrainingSettings
from models.federation.base import Evaluation, LocalUpdate, SiteError, Tensors
from models.federation.local_grid import LocalGrid, SiteClient
from models.federation.plan import FederatedPlan
from models.federation.reports import FederatedResult, RoundReport
from models.federation.sites import autoencoder_plan
from tests.workspace.told_cards import says_everything
from workspace.federation.folders import federation_folder
from workspace.federation.memories import load_checkpoint
from workspace.federation.receipt_files import read_receipts
from workspace.federation.server_app import KIND, AdmittedGrid, Wanted, keep_federation, server_app
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
    """Run the app over two sites in this process; numbers of the rounds that it told, and of the one handed out."""
    told: list[int] = []
    handed: dict[str, str] = {}
    results: list[FederatedResult] = []

    def ended(report: RoundReport) -> None:
        told.append(report.number)
        if report.number == stop_after:
            raise KeyboardInterrupt

    app = server_app(workspace, plan, Wanted(2, 2), on_round=ended, on_result=results.append, on_handed=handed.update)
    with ThreadPoolExecutor(2) as pool:
        grid = LocalGrid({"north": SiteClient(Drifting(0.25, 1)), "south": SiteClient(Drifting(-0.5, 3))}, pool)
        if stop_after is None:
            app(grid, Context(1, 0, {}, RecordDict(), {}))
            assert len(results) == 1 and handed == {"north": "", "south": ""}
        else:
            with pytest.raises(KeyboardInterrupt):
                app(grid, Context(1, 0, {}, RecordDict(), {}))
    return told


def test_stopped_and_started_again_it_comes_to_the_same(tmp_path: Path, plan: FederatedPlan) -> None:
    broken, whole = opened(tmp_path / "broken"), opened(tmp_path / "whole")
    assert run(broken, plan, stop_after=2) == [1, 2]
    with pytest.raises(ValueError, match="not all of the 3 rounds"):
        keep_federation(broken, plan, "ada")
    assert run(broken, plan) == [3]
    assert run(whole, plan) == [1, 2, 3]
    kept = [keep_federation(workspace, plan, "ada") for workspace in (broken, whole)]
    assert kept[0][:2] == kept[1][:2], "the version is a hash of the tensors"
    assert keep_federation(whole, plan, "ada")[:2] == kept[1][:2]
    name, version, card = kept[0]
    assert [one["number"] for one in card["rounds"]] == [1, 2, 3]
    says_everything(KIND, card, "ada")
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
    assert [one.direction for one in found[-4:]] == ["sent", "sent", "received", "received"], "handed out at the end"
    assert sorted({(one.round, one.stage, one.direction, one.client) for one in found}) == sorted(
        (number, stage, direction, client)
        for number in (1, 2, 3)
        for stage in ("train", "evaluate")
        for direction in ("sent", "received")
        for client in ("north", "south")
    )


def test_given_again_it_hands_out_the_best_rounds_tensors_to_who_comes(tmp_path: Path, plan: FederatedPlan) -> None:
    workspace = opened(tmp_path / "site")
    assert run(workspace, plan) == [1, 2, 3]
    reached = load_checkpoint(federation_folder(workspace, "hall"), plan.digest)
    assert reached is not None and reached.best is not None
    given: list[Tensors] = []

    class Late(Drifting):
        def evaluate(self, shared: Tensors) -> Evaluation:
            given.append(shared)
            return super().evaluate(shared)

    def fails(_message: Message) -> RecordDict:
        raise SiteError("no-footage", "")

    handed: dict[str, str] = {}
    app = server_app(workspace, plan, Wanted(2, 1), on_handed=handed.update)
    with ThreadPoolExecutor(2) as pool:
        grid = LocalGrid({"late": SiteClient(Late(1.0, 1)), "empty": fails}, pool)
        app(grid, Context(1, 0, {}, RecordDict(), {}))
    assert handed == {"late": "", "empty": "no-footage"}
    assert len(given) == 1
    for name, value in reached.best.shared.items():
        np.testing.assert_array_equal(given[0][name], value)
    refused = [one.client for one in read_receipts(federation_folder(workspace, "hall")).receipts if one.refused]
    assert refused == ["empty"]


class Junk(AdmittedGrid):
    """A grid whose second client sends what Flower cannot read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        for number, message in enumerate(messages):
            message.metadata.__dict__["_message_id"] = str(number)
        self.asked = list(messages)
        return [message.metadata.message_id for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        (number,) = message_ids
        if number == "1":
            raise self._error
        return [Message(RecordDict(), reply_to=self.asked[int(number)])]


def test_a_reply_that_cannot_be_read_is_an_error_of_its_client_alone() -> None:
    asked = [Message(RecordDict(), node, "train") for node in (11, 12, 13)]
    replies = {one.metadata.src_node_id: one for one in Junk(KeyError("junk")).send_and_receive(asked, timeout=30)}
    assert sorted(replies) == [11, 12, 13]
    assert replies[12].has_error() and replies[12].metadata.reply_to_message_id == "1"
    assert not replies[11].has_error() and not replies[13].has_error()
    with pytest.raises(grpc.RpcError):  # SuperLink itself is gone: nobody can be blamed
        Junk(grpc.RpcError()).send_and_receive(asked, timeout=30)
