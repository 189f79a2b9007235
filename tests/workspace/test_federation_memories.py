"""Memories by round, and the server's checkpoint: whole or not there, of this plan or refused."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError, UnknownNameError, WeightsError
from models.federation.local_grid import memory_before
from models.federation.reports import ClientReport, RoundReport
from workspace.federation.folders import federation_folder, make_material_folder, material_folder
from workspace.federation.memories import (
    CHECKPOINT,
    ROUNDS,
    Checkpoint,
    Memories,
    forget_checkpoint,
    forget_federation,
    load_checkpoint,
    save_checkpoint,
)
from workspace.federation.private_files import write_private
from workspace.federation.receipt_files import RECEIPTS
from workspace.opened import Workspace

DIGEST, OTHER = "ab" * 32, "cd" * 32


def memory(number: float) -> bytes:
    return save({"momentum": np.array([number, 2 * number], np.float32)})


def report(number: int, held_out_loss: float | None, refused: str = "") -> RoundReport:
    client = ClientReport("yard", 0 if refused else 10, None if refused else 0.5, refused)
    if held_out_loss is not None:
        client = ClientReport("yard", 10, 0.5, refused, 4, held_out_loss)
    shared = {"layer.weight": np.full((2, 3), number, np.float32), "layer.bias": np.array(number, np.float32)}
    return RoundReport(number, (client, ClientReport("hall", refused="late")), 1.5, None, shared)


def after(*reports: RoundReport) -> Checkpoint:
    found = Checkpoint(DIGEST, {"layer.weight": np.zeros((2, 3), np.float32), "layer.bias": np.array(0, np.float32)})
    for one in reports:
        found = found.after(one)
    return found


def test_a_round_begins_with_the_memory_from_before_it_however_often_it_is_asked_for(tmp_path: Path) -> None:
    memories = Memories(tmp_path, DIGEST)
    assert memories.before(1) is None
    memories.keep(1, memory(1))
    memories.keep(2, memory(2))
    assert memories.before(3) == memory(2)
    # The server was killed while round 2 was under way, and asks for it again.
    assert memories.before(2) == memory(1)
    memories.keep(2, memory(2.5))
    assert memories.before(3) == memory(2.5) and memories.before(1) is None


def test_a_client_that_sat_rounds_out_goes_on_from_its_last(tmp_path: Path) -> None:
    memories = Memories(tmp_path, DIGEST)
    memories.keep(2, memory(2))
    assert memories.before(7) == memory(2)


def test_two_memories_are_kept_and_those_of_a_history_that_began_again_are_not(tmp_path: Path) -> None:
    memories = Memories(tmp_path, DIGEST)
    for number in range(1, 6):
        memories.keep(number, memory(number))
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    memories.keep(1, memory(1.5))
    assert [path.stem for path in tmp_path.rglob("*.safetensors")] == ["000001"]
    assert memories.before(9) == memory(1.5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=12), st.integers(1, 9))
def test_every_order_of_rounds_is_that_of_a_client_that_keeps_all_it_may(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[int], asked: int
) -> None:
    """Beside the memories of a client in one place (`SiteClient`), which forgets what is older than the round before."""
    memories = Memories(tmp_path_factory.mktemp("site"), DIGEST)
    known: dict[int, bytes] = {}
    for place, number in enumerate(rounds):
        memories.keep(number, memory(place))
        known = {old: kept for old, kept in known.items() if old < number}
        known = dict(sorted(known.items())[-1:]) | {number: memory(place)}
    assert memories.before(asked) == memory_before(known, asked)


def test_a_new_plan_of_the_same_name_ends_the_older_ones_memories(tmp_path: Path) -> None:
    Memories(tmp_path, DIGEST).keep(1, memory(1))
    other = Memories(tmp_path, OTHER)
    assert other.before(5) is None, "a memory is of one plan"
    assert Memories(tmp_path, DIGEST).before(2) == memory(1), "nothing is lost by asking"
    other.keep(1, memory(7))
    assert Memories(tmp_path, DIGEST).before(2) is None and other.before(2) == memory(7)


def test_what_is_no_safetensors_file_is_neither_kept_nor_read(tmp_path: Path) -> None:
    memories = Memories(tmp_path, DIGEST)
    with pytest.raises(ValueError, match="safetensors"):
        memories.keep(1, b"cos\nsystem\n(S'true'\ntR.")
    memories.keep(1, memory(1))
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WeightsError, match=r"000001\.safetensors is damaged; delete it"):
        memories.before(2)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, DIGEST) is None
    wanted = after(report(1, 0.9), report(2, 0.4), report(3, 0.6))
    save_checkpoint(tmp_path / "yard", wanted)
    found = load_checkpoint(tmp_path / "yard", DIGEST)
    assert found is not None and found.next_round == 4
    assert found.rounds == wanted.rounds and found.rounds[0].clients[1].refused == "late"
    assert found.best is not None and found.best.number == 2
    assert np.array_equal(found.best.shared["layer.weight"], np.full((2, 3), 2, np.float32))
    assert found.shared["layer.bias"].shape == () and found.shared["layer.bias"] == 3
    told = json.loads((tmp_path / "yard" / ROUNDS).read_text(encoding="utf-8"))
    assert [one["number"] for one in told["rounds"]] == [1, 2, 3] and told["best"] == 2


def test_the_checkpoint_after_each_round_is_that_of_all_rounds_at_once(tmp_path: Path) -> None:
    """Broken off after any round and read back, the rest comes to the same best round and tensors."""
    reports = [report(1, 0.9), report(2, None), report(3, 0.4), report(4, 0.4), report(5, 0.7)]
    whole = after(*reports)
    for cut in range(len(reports) + 1):
        save_checkpoint(tmp_path, after(*reports[:cut]))
        found = load_checkpoint(tmp_path, DIGEST)
        assert found is not None and found.next_round == cut + 1
        for one in reports[cut:]:
            found = found.after(one)
        assert found.rounds == whole.rounds and found.best is not None and found.best.number == 3
        assert np.array_equal(found.shared["layer.weight"], whole.shared["layer.weight"])


def test_another_plan_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, after(report(1, 0.5)))
    with pytest.raises(ConfigurationError, match=r"of another plan \(abababababababab, not cdcdcdcdcdcdcdcd\)"):
        load_checkpoint(tmp_path, OTHER)
    assert load_checkpoint(tmp_path) is not None, "to be told of, whatever plan it is"
    forget_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path, OTHER) is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [0, 5, 40, 400])
def test_a_damaged_checkpoint_says_so(tmp_path: Path, length: int) -> None:
    save_checkpoint(tmp_path, after(report(1, 0.5)))
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match="is damaged"):
        load_checkpoint(tmp_path, DIGEST)


def test_a_safetensors_file_of_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(
        save(load(memory(1)), {"afterwatch": '{"digest": "ab", "rounds": [1], "best": null}'})
    )
    with pytest.raises(WeightsError, match="is damaged"):
        load_checkpoint(tmp_path)


def test_what_is_forgotten_begins_without_a_memory_of_the_old_course(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, after(report(1, 0.5)))
    Memories(tmp_path, DIGEST).keep(1, memory(1))
    forget_checkpoint(tmp_path)
    assert Memories(tmp_path, DIGEST).before(2) is None


def test_a_federation_is_forgotten_but_for_its_receipts(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path / "site"))
    with pytest.raises(UnknownNameError, match='unknown federation "yard"'):
        forget_federation(workspace, "yard")
    for name in ("yard", "hall"):
        Memories(federation_folder(workspace, name), DIGEST).keep(1, memory(1))
    make_material_folder(workspace, "yard", DIGEST)
    (material_folder(workspace, "yard", DIGEST) / "clip.npy").write_bytes(b"pictures")
    receipts = federation_folder(workspace, "yard") / RECEIPTS
    receipts.write_bytes(b"")
    forget_federation(workspace, "yard")
    assert list(federation_folder(workspace, "yard").iterdir()) == [receipts]
    assert Memories(federation_folder(workspace, "hall"), DIGEST).before(2) == memory(1)
    forget_federation(workspace, "hall")
    assert not federation_folder(workspace, "hall").exists(), "nothing is left to keep"


def test_memories_and_checkpoint_are_their_owners_only_also_where_a_folder_was_open(tmp_path: Path) -> None:
    folder = tmp_path / "federation" / "yard"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        path.chmod(0o755)
    Memories(folder, DIGEST).keep(1, memory(1))
    save_checkpoint(folder, after(report(1, 0.5)))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, *folder.parent.rglob("*")) if path.is_dir()}
    assert modes == {0o700}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 3 and {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        done.append("folder" if path.is_dir() else path.name.split(".")[1])
        sync(descriptor)

    def replaced(old: Path, new: Path) -> None:
        done.append("replaced")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    save_checkpoint(tmp_path, after(report(1, 0.5)))
    assert done == ["checkpoint", "replaced", "folder", "rounds", "replaced", "folder"]


def test_a_file_that_cannot_be_written_leaves_the_older_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(tmp_path / "kept", b"older")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "kept", b"newer")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("kept", b"older")]
