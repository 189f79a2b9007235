"""A site's side of a federation: Flower's ClientApp, which trains on footage of the site's own and lets numbers out alone.

A request has arrived whole, of a bounded size, when its plan is held against what the site allows; nothing is built of it and no
file made for it before. Everything that leaves passes `train_reply` or `evaluate_reply` and has its receipt on the disk before it goes; what can
have no receipt is not answered. No exception's text leaves: it may hold paths and names; the server is told one of four words,
and the site's people the rest.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

import models.federation.flower  # noqa: F401  # keeps Flower quiet
from infra.errors import AfterwatchError, ConfigurationError, LakeError, NightError
from models.federation.base import SiteError, Word
from models.federation.messages import (
    CONFIG,
    EVALUATE,
    ROUND,
    TRAIN,
    Request,
    Stage,
    evaluate_reply,
    read_request,
    refusal,
    reply_to,
    train_reply,
)
from models.federation.plan import FederatedPlan
from models.federation.receipts import Direction, receipt_of
from models.federation.updates import drift
from workspace.federation.folders import all_federations_folder, federation_folder
from workspace.federation.handing_out import FINISH
from workspace.federation.material import Material, SiteMaterial, cameras_of, site_material
from workspace.federation.memories import Memories
from workspace.federation.policy import check_allowed
from workspace.federation.receipt_files import append_receipt
from workspace.federation.results import keep_model
from workspace.known_recordings import KnownRecordings, check_known
from workspace.opened import Workspace

LAST = "finish"
"""What people are told of the message that ends a federation, see `FINISH`."""


class NoReplyError(NightError):
    """A message was not answered: nothing leaves without a receipt."""


@dataclass(frozen=True)
class Answered:
    """What a site answered to one message, for its people.

    Attributes:
        what: kind and name of the model.
        stage: `train`, `evaluate`, or `finish`: the tensors of the best round were handed out.
        round_number: from 1; of `finish`, of the best round.
        rounds: of the plan.
        samples: trained or evaluated on; 0 where the site did not take part.
        loss: mean over them.
        word: told to the server instead; empty where the site took part.
        why: for the site's people only, with what an error says.
        kept: the model that was kept at the end; empty before.
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
        return self.stage == LAST


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
        """The reply to a message, whose receipt is on the disk.

        Raises:
            NoReplyError: nothing is to leave: what came is no request, or no receipt can be written.
        """
        try:
            reply: Message = self.app(message=message, context=context)
        except NoReplyError:
            raise
        except Exception as error:
            raise NoReplyError(
                f"the server sent what is no request of a federation ({error}), and was not answered; it may be of another "
                "version — join again when it is right"
            ) from error
        return reply

    def _app(self) -> ClientApp:
        app = ClientApp()

        @app.train()
        def train(message: Message, _context: Context) -> Message:
            return self._reply(message, TRAIN, TRAIN, self._train)

        @app.evaluate()
        def evaluate(message: Message, _context: Context) -> Message:
            return self._reply(message, EVALUATE, EVALUATE, self._evaluate)

        @app.evaluate(FINISH.partition(".")[2])
        def finish(message: Message, _context: Context) -> Message:
            return self._reply(message, EVALUATE, LAST, self._finish)

        return app

    def _reply(self, message: Message, stage: Stage, told_stage: str, work: "Work") -> Message:
        """Answer with numbers, or with a word."""
        plans: list[FederatedPlan] = []

        def check(plan: FederatedPlan) -> None:
            plans.append(plan)
            check_allowed(plan, self._workspace.settings.federation)

        try:
            asked = read_request(message.content, check)
        except SiteError as error:
            if not plans:
                raise
            # Names of plans are the server's: what is refused makes no folder of its own.
            folder = all_federations_folder(self._workspace)
            asked = Request(plans[0], cast(int, message.content.config_records[CONFIG][ROUND]), {})
            self._receipt(folder, message.content, asked, stage, "received")
            return self._refused(message, asked, stage, folder, told_stage, error)
        plan, number = asked.plan, asked.round_number
        folder = federation_folder(self._workspace, plan.name)
        self._receipt(folder, message.content, asked, stage, "received")
        try:
            done = work(asked, self._gathered(plan, stage))
        except Exception as error:  # noqa: BLE001 — whatever it is, its text stays here
            return self._refused(message, asked, stage, folder, told_stage, error)
        self._receipt(folder, done.record, asked, stage, "sent", change=done.change)
        told = Answered(f"{plan.kind} {plan.name}", told_stage, number, plan.rounds, done.samples, done.loss)
        self._told(replace(told, kept=done.kept))
        return reply_to(message, done.record)

    def _refused(
        self, message: Message, asked: Request, stage: Stage, folder: Path, told_stage: str, error: Exception
    ) -> Message:
        word: Word = error.word if isinstance(error, SiteError) else "failed"
        self._receipt(folder, None, asked, stage, "sent", refused=word)
        what, rounds = f"{asked.plan.kind} {asked.plan.name}", asked.plan.rounds
        self._told(Answered(what, told_stage, asked.round_number, rounds, word=word, why=_why(error)))
        return refusal(message, word)

    def _train(self, asked: Request, found: SiteMaterial) -> "Done":
        plan, number = asked.plan, asked.round_number
        memories = Memories(federation_folder(self._workspace, plan.name), plan.digest)
        update = found.site.train(asked.shared, number, memories.before(number))
        record = train_reply(update, plan)
        memories.keep(number, update.memory)
        return Done(record, update.samples, update.loss, change=drift(asked.shared, update.shared))

    def _evaluate(self, asked: Request, found: SiteMaterial) -> "Done":
        evaluation = found.site.evaluate(asked.shared)
        return Done(evaluate_reply(evaluation, asked.plan), evaluation.samples, evaluation.loss)

    def _finish(self, asked: Request, found: SiteMaterial) -> "Done":
        """Evaluate once more, and keep the model; where that fails the server is told so, and may hand it out again."""
        done = self._evaluate(asked, found)
        result = keep_model(self._workspace, asked.plan, found, asked.shared, author=self._author)
        return replace(done, kept=f"{result.kind} {result.name} {result.version}")

    def _gathered(self, plan: FederatedPlan, stage: Stage) -> SiteMaterial:
        """The material of a plan, gathered anew for each round's training: what is known by then counts."""
        if self._found is None or self._found[0] != plan.digest or stage == TRAIN:
            self._found = None  # the earlier plan's makes room
            self._found = (plan.digest, site_material(self._workspace, plan, self._material))
        return self._found[1]

    def _receipt(
        self,
        folder: Path,
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
        try:
            append_receipt(folder, receipt)
        except (LakeError, OSError) as error:
            raise NoReplyError(f"the server was not answered: {error}") from error


@dataclass(frozen=True)
class Done:
    """What was done of what a server asked.

    Attributes:
        record: of the reply.
        samples, loss: see `Answered`.
        change: of the tensors, by training (see `drift`).
        kept: see `Answered`.
    """

    record: RecordDict
    samples: int
    loss: float
    change: float | None = None
    kept: str = ""


Work = Callable[[Request, SiteMaterial], Done]


def check_material(workspace: Workspace, material: Material) -> None:
    """See that what a site is to learn from is there, before it joins anything.

    Raises:
        ConfigurationError: the folder is none, a name is not known, or the camera may not be learnt from.
    """
    if material.data is not None and not material.data.is_dir():
        raise ConfigurationError(f"--data {material.data} is no folder; name the folder that this site learns from")
    known = KnownRecordings(workspace.ledger)
    check_known("campaign", material.campaign, known.campaigns)
    check_known("camera", material.camera, known.cameras)
    try:
        cameras_of(workspace, material)
    except SiteError as error:
        raise ConfigurationError(str(error)) from None


def _why(error: Exception) -> str:
    """What an error says; of one that was not raised on purpose, where it came from as well."""
    return str(error) if isinstance(error, AfterwatchError) else "".join(traceback.format_exception(error)).strip()
