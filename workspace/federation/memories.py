"""What a federation's rounds go on from after a process ended: a client's memories, and the server's checkpoint.

A memory is a client's optimiser state after a round. It stays at the client, under the hash of the plan it belongs to. The
last two are kept: where the server is killed while a round is under way, it asks for that round again, and the client begins
it with the memory from before, so that the round comes out as it would have.

Every file is a safetensors file, written whole or not at all, also where the power is cut; nothing is pickled.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import load, save

from infra.errors import ConfigurationError, WeightsError
from models.autoencoders.checkpoint import header_of
from models.federation.base import Tensors, rounds_kept
from models.federation.reports import RoundRecord, RoundReport, better
from workspace.federation.folders import DIGITS, MATERIAL, check_federation, federation_folder, make_federation_folder
from workspace.federation.private_files import make_private, write_private
from workspace.opened import Workspace

CHECKPOINT = "checkpoint.safetensors"
ROUNDS = "rounds.json"
FOLDER = "memories-"
SHARED, BEST = "shared.", "best."
ABOUT = "afterwatch"


class Memories:
    """A client's memories of one plan.

    Args:
        folder: of the federation, see `federation_folder`.
        digest: the plan's hash.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder / f"{FOLDER}{digest[:DIGITS]}"

    def before(self, round_number: int) -> bytes | None:
        """The memory that a round begins with: that of the newest earlier round this client took part in.

        Args:
            round_number: from 1.

        Returns:
            What `keep` was given; None where the client has not taken part before.

        Raises:
            WeightsError: the file is damaged.
        """
        earlier = [number for number in self._rounds() if number < round_number]
        if not earlier:
            return None
        path = self._path(max(earlier))
        content = path.read_bytes()
        if not _is_safetensors(content):
            raise WeightsError(f"{path} is damaged; delete it to go on without what this site learnt of its optimiser")
        return content

    def keep(self, round_number: int, memory: bytes) -> None:
        """Keep the memory after a round, before the round's update leaves.

        Memories of later rounds go: a server that asks for an earlier round has begun again, and they are of what was. So do
        those of an older plan of the federation, with the first memory of this one.

        Raises:
            ValueError: the memory is no safetensors file.
        """
        if not _is_safetensors(memory):
            raise ValueError("a memory is a safetensors file")
        if not self._folder.is_dir():
            forget_memories(self._folder.parent)
        make_federation_folder(self._folder.parent)
        make_private(self._folder)
        write_private(self._path(round_number), memory)
        rounds = self._rounds()
        for number in set(rounds) - rounds_kept(rounds, round_number):
            self._path(number).unlink(missing_ok=True)

    def _rounds(self) -> list[int]:
        names = [path.stem for path in self._folder.glob("*.safetensors")] if self._folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def _path(self, round_number: int) -> Path:
        return self._folder / f"{round_number:06}.safetensors"


def forget_memories(folder: Path) -> None:
    """Take the memories of every plan of a federation away.

    Args:
        folder: of the federation, see `federation_folder`.
    """
    for path in folder.glob(f"{FOLDER}*"):
        shutil.rmtree(path)


def forget_federation(workspace: Workspace, name: str) -> None:
    """Take away what a client goes on with in a federation: memories, clips and vectors.

    Receipts stay, and so does the checkpoint of a server (see `forget_checkpoint`). Does the federation ask again, footage is
    decoded anew, and the optimiser begins anew.

    Args:
        workspace: of the client; it must not take part while this is called.
        name: of the federation.

    Raises:
        ConfigurationError: the name cannot be one, or (UnknownNameError) nothing is kept of it.
    """
    folder = federation_folder(workspace, name)
    check_federation(workspace, name)
    forget_memories(folder)
    for path in folder.glob(f"{MATERIAL}*"):
        shutil.rmtree(path)
    if not any(folder.iterdir()):
        folder.rmdir()


# The server's side.


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """How far a server has come with a plan.

    Attributes:
        digest: the plan's hash.
        shared: shared tensors after the last finished round.
        rounds: what each finished round came to, in order.
        best: the best of them so far, see `FederatedResult.best`; None before the first.
    """

    digest: str
    shared: Tensors
    rounds: tuple[RoundRecord, ...] = ()
    best: RoundReport | None = None

    @property
    def next_round(self) -> int:
        """Number of the round to go on with, from 1."""
        return self.rounds[-1].number + 1 if self.rounds else 1

    def after(self, report: RoundReport) -> "Checkpoint":
        """The checkpoint after one more round."""
        return Checkpoint(self.digest, report.shared, (*self.rounds, report.record), better(report, self.best))


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in place of the older one, and what its rounds came to beside it for people (`rounds.json`).

    The checkpoint itself is one file, so that tensors and rounds are always of one moment.
    """
    tensors = {f"{SHARED}{name}": np.require(value, requirements="C") for name, value in checkpoint.shared.items()}
    best = checkpoint.best
    if best is not None:
        tensors |= {f"{BEST}{name}": np.require(value, requirements="C") for name, value in best.shared.items()}
    about = {
        "digest": checkpoint.digest,
        "rounds": [one.to_values() for one in checkpoint.rounds],
        "best": None if best is None else best.to_values(),
    }
    make_federation_folder(folder)
    write_private(folder / CHECKPOINT, save(tensors, {ABOUT: json.dumps(about, allow_nan=False)}))
    told = {"plan": checkpoint.digest, "rounds": about["rounds"], "best": None if best is None else best.number}
    write_private(folder / ROUNDS, (json.dumps(told, indent=2) + "\n").encode())


def load_checkpoint(folder: Path, digest: str | None = None) -> Checkpoint | None:
    """The checkpoint of a federation; None where there is none.

    Args:
        folder: of the federation.
        digest: hash of the plan that is to go on; None: whatever plan it is of.

    Raises:
        ConfigurationError: it is of another plan.
        WeightsError: the file is damaged.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    content = path.read_bytes()
    try:
        about = json.loads(header_of(content)[ABOUT])
        tensors = load(content)
        rounds = tuple(RoundRecord.from_values(one) for one in about["rounds"])
        best = None if about["best"] is None else _report(about["best"], _under(tensors, BEST))
        found = Checkpoint(str(about["digest"]), _under(tensors, SHARED), rounds, best)
    except (SafetensorError, ConfigurationError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is damaged ({error}); delete it to begin with round 1 again") from None
    if digest is not None and found.digest != digest:
        raise ConfigurationError(
            f"{path} is of another plan ({found.digest[:DIGITS]}, not {digest[:DIGITS]}): its settings differ; give the "
            "federation another name, or delete the file to begin with round 1 again"
        )
    return found


def _report(values: Mapping[str, Any], shared: Tensors) -> RoundReport:
    record = RoundRecord.from_values(values)
    return RoundReport(record.number, record.clients, record.seconds, record.evaluated, shared)


def forget_checkpoint(folder: Path) -> None:
    """Take a federation's checkpoint away, so that it begins with round 1 again; its receipts stay.

    Memories go as well: where the server's workspace is a client too, they are of the course that is forgotten.
    """
    forget_memories(folder)
    for name in (CHECKPOINT, ROUNDS):
        (folder / name).unlink(missing_ok=True)


def _under(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _is_safetensors(content: bytes) -> bool:
    try:
        deserialize(content)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    except SafetensorError:
        return False
    return True
