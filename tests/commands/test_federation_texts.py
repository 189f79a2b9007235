"""What is printed of federations says all that crossed, whose update was left out and why, and adds up."""

from dataclasses import replace

import numpy as np
import pytest

from afterwatch.federation_texts import receipts_told, status_told, tell_receipts, tell_status
from models.federation.base import Evaluation, LocalUpdate
from models.federation.messages import EVALUATE, TRAIN, evaluate_reply, train_reply
from models.federation.receipts import Receipt, receipt_of
from models.federation.reports import ClientReport, RoundReport
from tests.models.federation.made_sites import made_plan, made_tensors
from workspace.federation.memories import Checkpoint
from workspace.federation.receipt_files import ReadReceipts

PLAN = made_plan(shapes={"layer.weight": (300, 200), "layer.bias": (2,)})


def receipts() -> tuple[Receipt, ...]:
    update = train_reply(LocalUpdate(made_tensors(PLAN), 12, 0.25, b""), PLAN)
    evaluated = evaluate_reply(Evaluation(5, 0.5), PLAN)

    def told(record: object, number: int, stage: object, refused: str = "") -> Receipt:
        return receipt_of(
            record,  # type: ignore[arg-type]  # a record or none
            PLAN,
            round_number=number,
            stage=stage,  # type: ignore[arg-type]  # one of the two
            direction="sent",
            client="yard",
            refused=refused,
            change=0.0125 if record is update else None,
        )

    return (told(update, 1, TRAIN), told(evaluated, 1, EVALUATE), told(None, 2, TRAIN, "too-few-samples"))


def checkpoint() -> Checkpoint:
    clients = (ClientReport("yard", 12, 0.25, "", 5, 0.5), ClientReport("hall", refused="late"))
    first = RoundReport(1, clients, 2.5, None, {"layer.weight": np.zeros(3, np.float32)})
    second = replace(first, number=2, clients=(ClientReport("yard", 12, 0.125, "", 5, 0.75), clients[1]))
    return Checkpoint("ab" * 32, first.shared).after(first).after(second)


def test_receipts_for_people_say_what_crossed_and_what_was_said_instead(capsys: pytest.CaptureFixture[str]) -> None:
    every = receipts()
    tell_receipts("yard", ReadReceipts(every, (4,)), every)
    out = capsys.readouterr().out
    assert "yard: 3 messages" in out and "too-few-samples" in out and "1.25 %" in out
    tensors = sum(tensor.bytes for tensor in every[0].tensors)
    assert tensors == 300 * 200 * 4 + 2 * 4 + 2 * 128
    assert f"sent: 3 messages of 2 rounds, 1 of them not used or refused; 2 tensors of {tensors / 1000:.1f} kB" in out
    assert "of 2 tensors (arrays/layer.bias, arrays/layer.weight) and 2 values" in out
    assert "unfinished lines, whose messages were not sent or were not looked at: 4" in out
    tell_receipts("yard", ReadReceipts(()), ())
    assert "nothing else was in the messages" not in capsys.readouterr().out


def test_receipts_for_programs_hold_every_hash_and_add_up() -> None:
    every = receipts()
    told = receipts_told("yard", ReadReceipts(every), every)
    assert [len(one["tensors"]) for one in told["receipts"]] == [2, 0, 0]
    assert all(len(tensor["sha256"]) == 64 for one in told["receipts"] for tensor in one["tensors"])
    assert told["totals"]["sent"]["message_bytes"] == sum(receipt.bytes for receipt in every)
    assert told["totals"]["received"]["messages"] == 0 and told["unfinished_lines"] == []


def test_a_servers_status_names_the_best_round_and_who_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    told = status_told("yard", checkpoint(), receipts())
    assert (told["role"], told["best_round"], told["plan"]) == ("server", 1, "ab" * 32)
    assert [one["loss"] for one in told["rounds"]] == [0.25, 0.125]
    assert [one["held_out_loss"] for one in told["rounds"]] == [0.5, 0.75]
    tell_status("yard", checkpoint(), receipts())
    out = capsys.readouterr().out
    assert "2 rounds finished at this server" in out and "hall: late" in out
    assert "least loss on held-out samples: 0.5, in round 1" in out


def test_a_clients_status_is_its_last_message(capsys: pytest.CaptureFixture[str]) -> None:
    told = status_told("yard", None, receipts())
    assert (told["role"], told["last_round"], told["rounds"]) == ("client", 2, [])
    assert told["plan"] == PLAN.digest
    tell_status("yard", None, receipts())
    assert "last message was of round 2" in capsys.readouterr().out
    tell_status("yard", None, ())
    assert "nothing has crossed yet" in capsys.readouterr().out
