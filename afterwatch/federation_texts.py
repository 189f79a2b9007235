"""What the verbs over federations print, for people and for programs: what crossed, and how far each federation has come."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from afterwatch.options import print_table, size

if TYPE_CHECKING:
    from models.federation.receipts import Direction, Receipt
    from models.federation.reports import RoundRecord
    from workspace.federation.memories import Checkpoint
    from workspace.federation.receipt_files import ReadReceipts

DIRECTIONS: "tuple[Direction, ...]" = ("sent", "received")


def receipts_told(name: str, found: "ReadReceipts", receipts: Sequence["Receipt"]) -> dict[str, Any]:
    """Receipts of a federation for programs.

    Args:
        name: of the federation.
        found: all that its file says.
        receipts: those of them that were asked for.
    """
    from workspace.federation.receipt_files import chosen, totals_of

    return {
        "federation": name,
        "receipts": [asdict(receipt) for receipt in receipts],
        "totals": {way: asdict(totals_of(chosen(receipts, direction=way))) for way in DIRECTIONS},
        "unfinished_lines": list(found.broken_off),
    }


def tell_receipts(name: str, found: "ReadReceipts", receipts: Sequence["Receipt"]) -> None:
    """Receipts of a federation for people: a line for each message, then what they come to in each direction."""
    from workspace.federation.receipt_files import chosen, totals_of

    columns = (
        "round",
        "stage",
        "way",
        "client",
        "samples",
        "loss",
        "tensors",
        "bytes",
        "change",
        "not used, or said instead",
    )
    print_table(columns, [_line(receipt) for receipt in receipts], f"\n{name}: {len(receipts)} messages")
    for way in DIRECTIONS:
        totals = totals_of(chosen(receipts, direction=way))
        if totals.messages:
            refused = f", {totals.refused} of them not used or refused" if totals.refused else ""
            typer.echo(
                f"{way}: {totals.messages} messages of {totals.rounds} rounds{refused}; {totals.tensors} tensors of "
                f"{size(totals.tensor_bytes)}, {size(totals.message_bytes)} with their names and numbers"
            )
    values = sorted({value.name for receipt in receipts for value in receipt.values})
    tensors = sorted({tensor.name for receipt in receipts for tensor in receipt.tensors})
    if receipts:
        typer.echo(
            f"of {len(tensors)} tensors ({_few(tensors)}) and {len(values)} values ({_few(values)}); nothing else was in the messages"
        )
    if found.broken_off:
        lines = ", ".join(map(str, found.broken_off))
        typer.echo(f"unfinished lines, whose messages were not sent or were not looked at: {lines}")


def status_told(name: str, checkpoint: "Checkpoint | None", receipts: Sequence["Receipt"]) -> dict[str, Any]:
    """How far a federation has come, for programs.

    Args:
        name: of the federation.
        checkpoint: of a server; None at a client.
        receipts: all there are.
    """
    return {
        "federation": name,
        "role": "client" if checkpoint is None else "server",
        "plan": checkpoint.digest if checkpoint is not None else receipts[-1].plan if receipts else None,
        "rounds": [
            {
                **one.to_values(),
                "loss": one.loss,
                "held_out_loss": one.held_out_loss,
                "samples": one.samples,
            }
            for one in (checkpoint.rounds if checkpoint is not None else ())
        ],
        "best_round": checkpoint.best.number if checkpoint is not None and checkpoint.best is not None else None,
        "last_round": max((receipt.round for receipt in receipts), default=None),
        "last_said_at": receipts[-1].said_at if receipts else None,
    }


def tell_status(name: str, checkpoint: "Checkpoint | None", receipts: Sequence["Receipt"]) -> None:
    """How far a federation has come, for people; the arguments are those of `status_told`."""
    if checkpoint is not None:
        columns = ("round", "clients", "samples", "loss", "held out", "seconds", "left out")
        title = f"\n{name}: {len(checkpoint.rounds)} rounds finished at this server"
        print_table(columns, [_round(one) for one in checkpoint.rounds], title)
        if checkpoint.best is not None and checkpoint.best.held_out_loss is not None:
            typer.echo(
                f"least loss on held-out samples: {checkpoint.best.held_out_loss:.6g}, in round {checkpoint.best.number}"
            )
    elif receipts:
        last = receipts[-1]
        said = f'; said "{last.refused}"' if last.refused else ""
        typer.echo(f"\n{name}: {last.kind}, this site's last message was of round {last.round}, {last.said_at}{said}")
    else:
        typer.echo(f"\n{name}: nothing has crossed yet")


def _line(receipt: "Receipt") -> tuple[str, ...]:
    return (
        str(receipt.round),
        receipt.stage,
        receipt.direction,
        receipt.client,
        "" if receipt.samples is None else str(receipt.samples),
        "" if receipt.loss is None else f"{receipt.loss:.6g}",
        str(len(receipt.tensors)),
        str(receipt.bytes),
        "" if receipt.change is None else f"{100 * receipt.change:.3g} %",
        receipt.refused,
    )


def _round(one: "RoundRecord") -> tuple[str, ...]:
    return (
        str(one.number),
        ", ".join(client.client for client in one.used) or "none",
        str(one.samples),
        "" if one.loss is None else f"{one.loss:.6g}",
        "" if one.held_out_loss is None else f"{one.held_out_loss:.6g}",
        f"{one.seconds:.1f}",
        "; ".join(f"{client.client}: {client.refused}" for client in one.refused),
    )


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown}, …" if len(names) > 3 else shown or "none"
