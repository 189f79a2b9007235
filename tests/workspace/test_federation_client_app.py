"""A site's answers: numbers with a receipt written first, one of four words otherwise, and never what an error says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from afterwatch.workspace_files import make_workspace
from infra.errors import FootageError
from models.federation.base import WORDS, Evaluation, LocalUpdate, SiteError, Tensors
from models.federation.messages import EVALUATE, TRAIN, arrays_of, read_train_reply, request
from models.federation.plan import FederatedPlan, TensorSpec
from workspace.federation import client_app
from workspace.federation.client_app import Answered, Participant
from workspace.federation.folders import federation_folder
from workspace.federation.material import Material
from workspace.federation.memories import Memories
from workspace.federation.receipt_files import read_receipts
from workspace.opened import Workspace

PLAN = FederatedPlan("autoencoder", "hall", {}, {}, 2, 1, 0, (TensorSpec("weight", (3,), "float32"),))
SHARED: Tensors = {"weight": np.ones(3, np.float32)}
SECRET = "/home/somebody/footage/bank.mp4"
MEMORY = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"
"""The smallest safetensors file."""


class Doubling:
    """A training that doubles what it is given, and says what memory it was handed."""

    samples = 5

    def __init__(self) -> None:
        self.memories: list[bytes | None] = []

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        self.memories.append(memory)
        return LocalUpdate({name: 2 * value for name, value in shared.items()}, self.samples, 0.5, MEMORY)

    def evaluate(self, shared: Tensors) -> Evaluation:
        return Evaluation(2, 0.25)


class Site:
    """A participant with a stand-in for its footage."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workspace = Workspace(make_workspace(root / "site"))
        self.told: list[Answered] = []
        self.training: Any = Doubling()
        self.kept: list[Tensors] = []
        monkeypatch.setattr(client_app, "site_material", lambda *given, **named: SimpleNamespace(site=self.training))
        monkeypatch.setattr(client_app, "keep_model", self._keep)
        self.participant = Participant(self.workspace, Material(), "somebody", self.told.append)

    def _keep(self, _workspace: Workspace, _plan: FederatedPlan, _found: Any, shared: Tensors, *, author: str) -> Any:
        self.kept.append(shared)
        return SimpleNamespace(kind="autoencoder", name="hasan.hall", version=author)

    def answer(self, stage: str, round_number: int = 1, content: RecordDict | None = None) -> Message:
        record = request(PLAN, round_number, arrays_of(SHARED)) if content is None else content
        context = Context(1, 1, {}, RecordDict(), {})
        return self.participant.answer(Message(record, 1, stage), context)

    @property
    def receipts(self) -> list[tuple[int, str, str, str]]:
        found = read_receipts(federation_folder(self.workspace, "hall")).receipts
        return [(one.round, one.stage, one.direction, one.refused) for one in found]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def word_of(reply: Message) -> str:
    assert reply.has_error()
    return str(reply.error.reason)


def test_a_round_goes_from_memory_to_memory_with_receipts(site: Site) -> None:
    update = read_train_reply(site.answer(TRAIN, 1).content, PLAN)
    np.testing.assert_array_equal(update.shared["weight"], [2, 2, 2])
    assert (update.samples, update.loss) == (5, 0.5)
    site.answer(TRAIN, 2)
    assert site.training.memories == [None, MEMORY]
    site.answer(TRAIN, 2)
    assert site.training.memories[2] == MEMORY, "asked again, it begins where it began"
    assert site.receipts[:2] == [(1, TRAIN, "received", ""), (1, TRAIN, "sent", "")]
    assert [(one.samples, one.loss, one.word) for one in site.told] == [(5, 0.5, "")] * 3


def test_after_the_last_round_the_model_is_kept(site: Site) -> None:
    site.answer(EVALUATE, 1)
    assert site.kept == [] and not site.told[0].is_last
    reply = site.answer(EVALUATE, 2)
    assert not reply.has_error() and site.told[1].is_last
    assert site.told[1].kept == "autoencoder hasan.hall somebody"
    np.testing.assert_array_equal(site.kept[0]["weight"], SHARED["weight"])


def test_the_server_gets_its_numbers_where_the_model_cannot_be_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device", SECRET)

    monkeypatch.setattr(client_app, "keep_model", fails)
    reply = site.answer(EVALUATE, 2)
    assert not reply.has_error()
    assert "could not be kept" in site.told[0].why and SECRET in site.told[0].why


@pytest.mark.parametrize("stage", [TRAIN, EVALUATE])
@pytest.mark.parametrize(
    ("error", "word"),
    [
        (SiteError("no-footage", SECRET), "no-footage"),
        (SiteError("too-few-samples", SECRET), "too-few-samples"),
        (FootageError(SECRET), "failed"),
        (ValueError(SECRET), "failed"),
        (MemoryError(SECRET), "failed"),
    ],
)
def test_an_error_crosses_as_a_word(
    site: Site, monkeypatch: pytest.MonkeyPatch, stage: str, error: Exception, word: str
) -> None:
    def fails(*given: Any, **named: Any) -> None:
        raise error

    monkeypatch.setattr(client_app, "site_material", fails)
    reply = site.answer(stage)
    assert word_of(reply) == word
    assert SECRET not in repr(vars(reply))
    assert site.told[0].word == word and SECRET in site.told[0].why, "the site's own people are told"
    assert site.receipts[-1] == (1, stage, "sent", word)


def test_what_is_no_request_is_not_allowed(site: Site) -> None:
    full = request(PLAN, 1, arrays_of(SHARED))
    more = RecordDict({**full, "more": ConfigRecord({"code": "print()"})})
    for content in (RecordDict(), more):
        assert word_of(site.answer(TRAIN, content=content)) == "not-allowed"
    assert site.receipts == []


@pytest.mark.parametrize("stage", ["query", "train.other"])
def test_another_kind_of_message_is_answered_with_a_word(site: Site, stage: str) -> None:
    message = Message(request(PLAN, 1, arrays_of(SHARED)), 1, "train")
    message.metadata.__dict__["_message_type"] = stage
    reply = site.participant.answer(message, Context(1, 1, {}, RecordDict(), {}))
    assert word_of(reply) in WORDS


def test_nothing_leaves_where_its_receipt_cannot_be_written(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []

    def append(_folder: Path, receipt: Any) -> None:
        if receipt.direction == "sent":
            raise OSError(28, "No space left on device")
        written.append(receipt)

    monkeypatch.setattr(client_app, "append_receipt", append)
    reply = site.answer(TRAIN)
    assert word_of(reply) == "failed" and not reply.has_content()


def test_a_memory_is_kept_before_its_update_leaves(site: Site) -> None:
    site.answer(TRAIN, 1)
    folder = federation_folder(site.workspace, "hall")
    assert Memories(folder, PLAN.digest).before(2) == MEMORY
