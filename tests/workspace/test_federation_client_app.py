"""A site's answers: numbers with a receipt written first, one of four words otherwise, and never what an error says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError, FootageError, LakeError
from models.federation.base import Evaluation, LocalUpdate, SiteError, Tensors
from models.federation.messages import EVALUATE, TRAIN, arrays_of, read_train_reply, request
from models.federation.plan import FederatedPlan, TensorSpec
from workspace.federation import client_app
from workspace.federation.client_app import Answered, NoReplyError, Participant, check_material
from workspace.federation.folders import all_federations_folder, federation_folder
from workspace.federation.handing_out import FINISH
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
        monkeypatch.setattr(client_app, "check_allowed", lambda *given: None)
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


def test_at_the_end_the_model_is_kept_of_what_is_handed_out_then(site: Site) -> None:
    for number in (1, 2):
        site.answer(EVALUATE, number)
    assert site.kept == [] and not any(one.is_last for one in site.told)
    reply = site.answer(FINISH, 1)
    assert not reply.has_error() and site.told[2].is_last
    assert site.told[2].kept == "autoencoder hasan.hall somebody"
    np.testing.assert_array_equal(site.kept[0]["weight"], SHARED["weight"])
    assert site.receipts[-1] == (1, EVALUATE, "sent", "")


def test_the_server_is_told_where_the_model_cannot_be_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device", SECRET)

    monkeypatch.setattr(client_app, "keep_model", fails)
    assert word_of(site.answer(FINISH, 2)) == "failed"
    assert site.told[0].is_last and SECRET in site.told[0].why


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


def test_what_is_no_request_is_not_answered(site: Site) -> None:
    full = request(PLAN, 1, arrays_of(SHARED))
    more = RecordDict({**full, "more": ConfigRecord({"code": "print()"})})
    for content in (RecordDict(), more):
        with pytest.raises(NoReplyError, match="not answered"):
            site.answer(TRAIN, content=content)
    assert site.receipts == [] and site.told == []


@pytest.mark.parametrize("stage", ["query", "train.other", "evaluate.other"])
def test_another_kind_of_message_is_not_answered(site: Site, stage: str) -> None:
    message = Message(request(PLAN, 1, arrays_of(SHARED)), 1, "train")
    message.metadata.__dict__["_message_type"] = stage
    with pytest.raises(NoReplyError, match="not answered"):
        site.participant.answer(message, Context(1, 1, {}, RecordDict(), {}))


def test_a_plan_that_is_not_allowed_makes_no_folder(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*given: Any) -> None:
        raise SiteError("not-allowed", SECRET)

    monkeypatch.setattr(client_app, "check_allowed", refuses)
    assert word_of(site.answer(TRAIN, 2)) == "not-allowed"
    assert (site.told[0].round_number, site.told[0].why) == (2, SECRET)
    assert not federation_folder(site.workspace, "hall").exists()
    found = read_receipts(all_federations_folder(site.workspace)).receipts
    assert [(one.direction, one.refused) for one in found] == [("received", ""), ("sent", "not-allowed")]


@pytest.mark.parametrize("failing", ["sent", "received"])
@pytest.mark.parametrize("is_refused", [False, True])
def test_nothing_leaves_where_its_receipt_cannot_be_written(
    site: Site, monkeypatch: pytest.MonkeyPatch, failing: str, is_refused: bool
) -> None:
    def append(_folder: Path, receipt: Any) -> None:
        if receipt.direction == failing:
            raise LakeError("No space left on device")

    monkeypatch.setattr(client_app, "append_receipt", append)
    if is_refused:
        monkeypatch.setattr(client_app, "site_material", lambda *given: (_ for _ in ()).throw(ValueError(SECRET)))
    with pytest.raises(NoReplyError, match="No space left"):
        site.answer(TRAIN)
    assert site.told == []


def test_a_memory_is_kept_before_its_update_leaves(site: Site) -> None:
    site.answer(TRAIN, 1)
    folder = federation_folder(site.workspace, "hall")
    assert Memories(folder, PLAN.digest).before(2) == MEMORY


@pytest.mark.parametrize(
    ("material", "words"),
    [
        (Material(Path("/nowhere/at/all")), "is no folder"),
        (Material(camera="esat"), "camera"),
        (Material(campaign="sumer"), "campaign"),
    ],
)
def test_mistyped_material_is_told(site: Site, material: Material, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        check_material(site.workspace, material)
    check_material(site.workspace, Material())
