"""A site's side of a federation: Flower's ClientApp, which trains on footage of the site's own and lets numbers out alone.

A request is held against what the site allows before anything is built of it. Everything that leaves passes `train_reply` or
`evaluate_reply` and has its receipt on the disk before it goes. No exception's text leaves: it may hold paths and names; the
server is told one of four words, and the site's people the rest.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from infra.errors import AfterwatchError
from models.federation.base import SiteError, Word
from models.federation.messages import (
    EVALUATE,
    TRAIN,
    Request,
    Stage,
    evaluate_reply,
    read_request,
    refusal,
    train_reply,
)
from models.federation.plan import FederatedPlan
from models.federation.receipts import Direction, receipt_of
from models.federation.updates import drift
from workspace.federation.folders import federation_folder
from workspace.federation.material import Material, SiteMaterial, site_material
from workspace.federation.memories import Memories
from workspace.federation.receipt_files import append_receipt
from workspace.federation.results import keep_model
from workspace.opened import Workspace


@dataclass(frozen=True)
class Answered:
    """What a site answered to one message, for its people.

    Attributes:
        what: kind and name of the model; empty where the message did not say.
        stage: `train` or `evaluate`.
        round_number: from 1; 0 where the message did not say.
        rounds: of the plan, likewise.
        samples: trained or evaluated on; 0 where the site did not take part.
        loss: mean over them.
        word: told to the server instead; empty where the site took part.
        why: for the site's people only, with what an error says.
        kept: the model that was kept after the last round; empty before.
    """

    what: str
    stage: str
    round_number: int
    rounds: int
    samples: int = 0
    loss: float = 0.0
    word: Word | str = ""
    why: str = ""
    kept: str = ""

    @property
    def is_last(self) -> bool:
        """Whether it ends the federation for this site."""
        return self.stage == EVALUATE and 0 < self.rounds == self.round_number


class Participant:
    """What a site does with the messages of a server.

    Args:
        workspace: of the site.
        material: what it learns from.
        author: who lets it take part.
        told: given each answer when it is made.
    """

    def __init__(self, workspace: Workspace, material: Material, author: str, told: Callable[[Answered], None]) -> None:
        self._workspace, self._material, self._author, self._told = workspace, material, author, told
        self._found: tuple[str, SiteMaterial] | None = None
        self.app = self._app()

    def answer(self, message: Message, context: Context) -> Message:
        """The reply to a message; never an exception of anybody's."""
        try:
            reply: Message = self.app(message=message, context=context)
        except Exception as error:  # noqa: BLE001 — whatever it is, its text stays here
            self._told(Answered("", message.metadata.message_type, 0, 0, word="failed", why=_why(error)))
            return refusal(message, "failed")
        return reply

    def _app(self) -> ClientApp:
        app = ClientApp()

        @app.train()
        def train(message: Message, _context: Context) -> Message:
            return self._reply(message, TRAIN)

        @app.evaluate()
        def evaluate(message: Message, _context: Context) -> Message:
            return self._reply(message, EVALUATE)

        return app

    def _reply(self, message: Message, stage: Stage) -> Message:
        """Answer with numbers, or with a word."""
        asked: Request | None = None
        try:
            asked = read_request(message.content)
            self._receipt(message.content, asked, stage, "received")
            found = self._gathered(asked.plan, stage)
            record, answered = (self._train if stage == TRAIN else self._evaluate)(asked, found)
        except Exception as error:  # noqa: BLE001 — whatever it is, its text stays here
            word: Word = error.word if isinstance(error, SiteError) else "failed"
            plan = asked.plan if asked else None
            what = f"{plan.kind} {plan.name}" if plan else ""
            number, rounds = (asked.round_number, asked.plan.rounds) if asked else (0, 0)
            if asked is not None:
                self._receipt(None, asked, stage, "sent", refused=word)
            self._told(Answered(what, stage, number, rounds, word=word, why=_why(error)))
            return refusal(message, word)
        self._told(answered)
        return Message(record, reply_to=message)

    def _train(self, asked: Request, found: SiteMaterial) -> tuple[RecordDict, Answered]:
        plan, number = asked.plan, asked.round_number
        memories = Memories(federation_folder(self._workspace, plan.name), plan.digest)
        update = found.site.train(asked.shared, number, memories.before(number))
        record = train_reply(update, plan)
        memories.keep(number, update.memory)
        self._receipt(record, asked, TRAIN, "sent", change=drift(asked.shared, update.shared))
        return record, Answered(
            f"{plan.kind} {plan.name}", TRAIN, number, plan.rounds, samples=update.samples, loss=update.loss
        )

    def _evaluate(self, asked: Request, found: SiteMaterial) -> tuple[RecordDict, Answered]:
        plan, number = asked.plan, asked.round_number
        evaluation = found.site.evaluate(asked.shared)
        record = evaluate_reply(evaluation, plan)
        kept, why = "", ""
        if number == plan.rounds:
            try:
                result = keep_model(self._workspace, plan, found, asked.shared, author=self._author)
                kept = f"{result.kind} {result.name} {result.version}"
            except Exception as error:  # noqa: BLE001 — the server gets its numbers all the same
                why = f"the model could not be kept: {_why(error)}"
        self._receipt(record, asked, EVALUATE, "sent")
        return record, Answered(
            f"{plan.kind} {plan.name}",
            EVALUATE,
            number,
            plan.rounds,
            samples=evaluation.samples,
            loss=evaluation.loss,
            why=why,
            kept=kept,
        )

    def _gathered(self, plan: FederatedPlan, stage: Stage) -> SiteMaterial:
        """The material of a plan, gathered anew for each round's training: what is known by then counts."""
        if self._found is None or self._found[0] != plan.digest or stage == TRAIN:
            self._found = None  # the earlier plan's makes room
            self._found = (plan.digest, site_material(self._workspace, plan, self._material))
        return self._found[1]

    def _receipt(
        self,
        record: RecordDict | None,
        asked: Request,
        stage: Stage,
        direction: Direction,
        *,
        refused: str = "",
        change: float | None = None,
    ) -> None:
        receipt = receipt_of(
            record,
            asked.plan,
            round_number=asked.round_number,
            stage=stage,
            direction=direction,
            client=self._workspace.settings.site.name,
            refused=refused,
            change=change,
        )
        append_receipt(federation_folder(self._workspace, asked.plan.name), receipt)


def _why(error: Exception) -> str:
    """What an error says; of one that was not raised on purpose, where it came from as well."""
    return str(error) if isinstance(error, AfterwatchError) else "".join(traceback.format_exception(error)).strip()
