"""Receipts on disk: there before the message leaves, however many processes write, whatever a killed one left behind."""

import multiprocessing
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from afterwatch.workspace_files import make_workspace
from infra.errors import LakeError, UnknownNameError
from models.federation.base import LocalUpdate
from models.federation.messages import TRAIN, train_reply
from models.federation.receipts import Receipt, receipt_of
from tests.models.federation.made_sites import made_plan, made_tensors
from workspace.federation.folders import all_federations_folder, federation_folder, federations
from workspace.federation.receipt_files import (
    RECEIPTS,
    REFUSED,
    ReceiptError,
    append_receipt,
    chosen,
    read_receipts,
    receipts_of,
    totals_of,
)
from workspace.opened import Workspace

PLAN = made_plan(shapes={"layer.weight": (3, 2), "layer.bias": (2,)})


def reply() -> RecordDict:
    return train_reply(LocalUpdate(made_tensors(PLAN), 12, 0.25, b""), PLAN)


def receipt(number: int = 1, client: str = "yard") -> Receipt:
    return receipt_of(reply(), PLAN, round_number=number, stage=TRAIN, direction="sent", client=client)


def refusal(number: int = 1) -> Receipt:
    return receipt_of(
        None, PLAN, round_number=number, stage=TRAIN, direction="sent", client="yard", refused="too-few-samples"
    )


def test_receipts_come_back_in_order_and_a_file_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert read_receipts(tmp_path / "yard").receipts == ()
    written = [receipt(1), refusal(2), receipt(3)]
    for one in written:
        append_receipt(tmp_path / "yard", one)
    found = read_receipts(tmp_path / "yard")
    assert list(found.receipts) == written and found.broken_off == ()
    assert (tmp_path / "yard" / RECEIPTS).read_bytes().count(b"\n") == 3


def test_a_receipt_is_on_the_disk_when_appending_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int]] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.name, path.stat().st_size if path.is_file() else -1))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    append_receipt(tmp_path / "yard", receipt())
    # The name of the new folder, the line, and the name of the new file.
    assert synced == [(tmp_path.name, -1), (RECEIPTS, (tmp_path / "yard" / RECEIPTS).stat().st_size), ("yard", -1)]
    append_receipt(tmp_path / "yard", receipt(2))
    assert synced[3:] == [(RECEIPTS, (tmp_path / "yard" / RECEIPTS).stat().st_size)]


def test_what_cannot_be_written_is_an_error_so_that_nothing_leaves(tmp_path: Path) -> None:
    (tmp_path / "yard").write_bytes(b"")
    with pytest.raises(ReceiptError, match="nothing leaves without its receipt"):
        append_receipt(tmp_path / "yard", receipt())


@pytest.mark.parametrize("cut", [1, 30, -2, -1])
def test_a_line_that_a_killed_process_left_unfinished_spoils_no_other(tmp_path: Path, cut: int) -> None:
    append_receipt(tmp_path, receipt(1))
    path = tmp_path / RECEIPTS
    with path.open("ab") as file:
        file.write(receipt(2).to_json().encode()[:cut])
    append_receipt(tmp_path, receipt(3))
    found = read_receipts(tmp_path)
    assert [one.round for one in found.receipts] == [1, 3] and found.broken_off == (2,)


def test_a_whole_line_that_is_no_receipt_is_an_error_that_names_it(tmp_path: Path) -> None:
    append_receipt(tmp_path, receipt(1))
    with (tmp_path / RECEIPTS).open("ab") as file:
        file.write(b'{"round": 2}\n')
    with pytest.raises(LakeError, match=r"receipts\.jsonl, line 2: a line of receipts is none"):
        read_receipts(tmp_path)


def _write(folder: Path, client: str) -> None:
    for number in range(1, 21):
        append_receipt(folder, receipt(number, client))


def test_processes_that_write_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path, f"client-{number}")) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    found = read_receipts(tmp_path)
    assert found.broken_off == () and len(found.receipts) == 60
    for number in range(3):
        mine = chosen(found.receipts, client=f"client-{number}")
        assert [one.round for one in mine] == list(range(1, 21))


def test_receipts_are_chosen_by_direction_round_and_client() -> None:
    sent = [receipt(1), receipt(2, "hall"), refusal(3)]
    received = [replace(receipt(2), direction="received")]
    every = [*sent, *received]
    assert chosen(every) == tuple(every)
    assert chosen(every, direction="received") == tuple(received)
    assert chosen(every, direction="sent", round_number=2) == (sent[1],)
    assert chosen(every, client="hall") == (sent[1],)


def test_totals_are_the_sums_of_what_stands_in_the_receipts() -> None:
    found = totals_of([receipt(1), receipt(2), receipt(2, "hall"), refusal(3)])
    one = receipt()
    assert (found.messages, found.rounds, found.refused) == (4, 3, 1)
    assert found.tensors == 6 and found.tensor_bytes == 3 * sum(tensor.bytes for tensor in one.tensors)
    assert found.message_bytes == 3 * one.bytes
    # Numpy's header of each tensor is 128 bytes; the rest are values and names.
    values = sum(np.dtype("float32").itemsize * spec.bytes // 4 for spec in PLAN.shared)
    assert found.tensor_bytes == 3 * (values + 2 * 128) < found.message_bytes
    assert totals_of([]).messages == 0


def test_receipts_of_a_workspace_by_federation(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path / "site"))
    assert federations(workspace) == () and receipts_of(workspace) == {}
    append_receipt(federation_folder(workspace, "yard"), receipt())
    append_receipt(federation_folder(workspace, "hall gate"), receipt(4))
    assert federations(workspace) == ("hall gate", "yard")
    assert {name: [one.round for one in found.receipts] for name, found in receipts_of(workspace).items()} == {
        "hall gate": [4],
        "yard": [1],
    }
    assert list(receipts_of(workspace, "yard")) == ["yard"]
    with pytest.raises(UnknownNameError, match='unknown federation "yrd" — did you mean "yard"'):
        receipts_of(workspace, "yrd")


def test_receipts_of_what_was_refused_before_a_folder_was_made_have_a_place_of_their_own(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path / "site"))
    append_receipt(all_federations_folder(workspace), refusal())
    assert federations(workspace) == () and not federation_folder(workspace, "yard").exists()
    append_receipt(federation_folder(workspace, "yard"), receipt(4))
    found = receipts_of(workspace)
    assert list(found) == [REFUSED, "yard"]
    assert [one.refused for one in found[REFUSED].receipts] == ["too-few-samples"]
    assert list(receipts_of(workspace, REFUSED)) == [REFUSED]


def test_receipts_are_their_owners_only_also_those_that_were_open(tmp_path: Path) -> None:
    folder = tmp_path / "federation" / "yard"
    append_receipt(folder, receipt())
    path = folder / RECEIPTS
    for mode in (0o600, 0o644):
        path.chmod(mode)
        folder.chmod(0o755)
        append_receipt(folder, receipt())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {stat.S_IMODE(one.stat().st_mode) for one in (folder, folder.parent)} == {0o700}
    assert len(read_receipts(folder).receipts) == 3
