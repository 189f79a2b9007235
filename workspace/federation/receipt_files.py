"""Receipts on disk: a line for each message of a federation, written before the message leaves.

`.afterwatch/federation/<name>/receipts.jsonl` only ever grows. A line is on the disk (`fsync`) before its message is handed
to the network: what left without a line does not exist, and a line without its message means that the process ended in
between. Requests that were refused before a folder was made for them have theirs in `.afterwatch/federation/receipts.jsonl`.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError, LakeError
from models.federation.receipts import Direction, Receipt
from workspace.federation.folders import (
    all_federations_folder,
    check_federation,
    federation_folder,
    federations,
    make_federation_folder,
)
from workspace.federation.private_files import OTHERS, OWNERS_FILE, sync_folder
from workspace.opened import Workspace

RECEIPTS = "receipts.jsonl"
REFUSED = "(refused)"
"""In place of a federation's name, which never is in brackets: requests that were refused before anything was made for them."""


class ReceiptError(LakeError):
    """A receipt cannot be written: its message must not leave, nor any other."""


@dataclass(frozen=True)
class ReadReceipts:
    """What a file of receipts says.

    Attributes:
        receipts: in the order in which they were written.
        broken_off: numbers, from 1, of lines that cannot be read: a killed process left them unfinished, and their messages
            never left.
    """

    receipts: tuple[Receipt, ...]
    broken_off: tuple[int, ...] = ()


@dataclass(frozen=True)
class Totals:
    """What receipts of one direction come to.

    Attributes:
        messages: how many there are.
        rounds: different rounds among them.
        tensors, tensor_bytes: tensors in the messages, and their bytes alone.
        message_bytes: bytes of the messages, serialised whole.
        refused: messages that were refused by whom they reached.
    """

    messages: int
    rounds: int
    tensors: int
    tensor_bytes: int
    message_bytes: int
    refused: int


def append_receipt(folder: Path, receipt: Receipt) -> None:
    """Write a receipt behind those that are there; when this returns it is on the disk.

    Args:
        folder: of the federation, see `federation_folder`; of what is refused before anything is made, that of all of them.
        receipt: of a message that has not left yet, or that has just arrived.

    Raises:
        ReceiptError: it cannot be written; the message must not leave then.
    """
    path = folder / RECEIPTS
    line = receipt.to_json().encode() + b"\n"
    try:
        make_federation_folder(folder)
        is_new = not path.exists()
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, OWNERS_FILE), "r+b", buffering=0) as file:
            if os.fstat(file.fileno()).st_mode & OTHERS:
                os.fchmod(file.fileno(), OWNERS_FILE)
            # Another process may write: a workspace can be a federation's server and one of its clients.
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
                line = b"\n" + line  # a killed process left half a line; it stays alone
            written = file.write(line)
            if written != len(line):
                raise OSError(f"{written} of {len(line)} bytes were written")
            os.fsync(file.fileno())
        if is_new:
            sync_folder(folder)
    except OSError as error:
        raise ReceiptError(
            f"{path} cannot be written ({error.strerror or error}); nothing leaves without its receipt: free space or grant "
            "access"
        ) from error


def read_receipts(folder: Path) -> ReadReceipts:
    """All receipts of a federation, or none.

    Raises:
        LakeError: a line is whole and no receipt.
    """
    path = folder / RECEIPTS
    if not path.is_file():
        return ReadReceipts(())
    receipts, broken_off = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        try:
            json.loads(line)
        except ValueError:  # a part of a line never is JSON
            broken_off.append(number)
            continue
        try:
            receipts.append(Receipt.from_json(line.decode()))
        except ConfigurationError as error:
            raise LakeError(f"{path}, line {number}: {error}") from None
    return ReadReceipts(tuple(receipts), tuple(broken_off))


def receipts_of(workspace: Workspace, name: str | None = None) -> dict[str, ReadReceipts]:
    """Receipts of one federation, or of all that a workspace keeps some of, by name; `REFUSED` is one where there are such.

    Raises:
        ConfigurationError: the name cannot be one, or (UnknownNameError) nothing is kept of it.
        LakeError: see `read_receipts`.
    """
    every = all_federations_folder(workspace)
    folders = {REFUSED: every} if (every / RECEIPTS).is_file() else {}
    folders |= {each: federation_folder(workspace, each) for each in federations(workspace)}
    if name is not None and name not in folders:
        check_federation(workspace, name)
    return {each: read_receipts(folder) for each, folder in folders.items() if name in (None, each)}


def chosen(
    receipts: Iterable[Receipt],
    *,
    direction: Direction | None = None,
    round_number: int | None = None,
    client: str | None = None,
) -> tuple[Receipt, ...]:
    """Receipts of one direction (`sent` or `received`), round or client; None takes all."""
    return tuple(
        receipt
        for receipt in receipts
        if direction in (None, receipt.direction)
        and round_number in (None, receipt.round)
        and client in (None, receipt.client)
    )


def totals_of(receipts: Sequence[Receipt]) -> Totals:
    """What receipts come to; those of one direction, as a rule."""
    tensors = [tensor for receipt in receipts for tensor in receipt.tensors]
    return Totals(
        messages=len(receipts),
        rounds=len({receipt.round for receipt in receipts}),
        tensors=len(tensors),
        tensor_bytes=sum(tensor.bytes for tensor in tensors),
        message_bytes=sum(receipt.bytes for receipt in receipts),
        refused=sum(bool(receipt.refused) for receipt in receipts),
    )
