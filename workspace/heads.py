"""Retrieval heads of use cases: saved from a review, listed, put into and out of service."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.regions import WHOLE
from footage.registration import is_telling
from infra.errors import ConfigurationError
from lake.current import current_outputs
from lake.labels import UseCase
from lake.promotions import history, in_service
from lake.stills import read_stills
from workspace.opened import Workspace
from workspace.regions import regions_now
from workspace.serving import State, state_of
from workspace.session import EPOCH, Ranking, Review
from workspace.training import KIND, cross_validated, save_head


@dataclass(frozen=True)
class SavedHead:
    """A version of a use case's head; `state` as `serving.NamedModel` has it."""

    version: str
    state: State
    encoder: str
    relevant: int
    irrelevant: int
    author: str
    made_at: datetime
    campaigns: tuple[str, ...]

    @property
    def in_service(self) -> bool:
        return self.state == "in service"


def save_review(review: Review, ranking: Ranking, author: str, *, candidate: bool = False) -> str:
    """Save what a review has trained, and put it into service where no head of the use case was yet; else it is a candidate.

    Args:
        review, ranking: whose.
        author: who wants it.
        candidate: whether it is one also where no head of the use case was in service.

    Returns:
        Its version.

    Raises:
        ConfigurationError: there is nothing that separates relevant from irrelevant yet.
    """
    if ranking.trained is None or ranking.threshold is None:
        raise ConfigurationError(
            "a head needs labels of both kinds: mark something relevant and something not relevant"
        )
    case, spec = review.use_case, review.encoder.spec
    drawn = next(
        (one.region for one in regions_now(review.workspace.ledger, case.camera) if one.name == case.region), None
    )
    known = next((one for one in review.workspace.regions(case.camera) if one.name == case.region), None)
    if case.region != WHOLE.name and (drawn is None or known is None or drawn.geometry != known.geometry):
        raise ConfigurationError(
            f"region {case.region} of camera {case.camera} was drawn anew since this review was opened: "
            "its vectors are of the old outline; embed the new one, open the review again and save"
        )
    return save_head(
        review.workspace,
        review.use_case,
        review.encoder.table.name,
        spec.space,
        ranking.trained,
        author,
        metrics_of(ranking),
        _reference(review),
        review.samples.rule,
        candidate=candidate,
    )


def heads_of(workspace: Workspace, use_case: UseCase) -> list[SavedHead]:
    """The versions of a use case's head, newest first."""
    name = use_case.head_name
    serving, words = in_service(workspace.ledger, KIND).get(name), history(workspace.ledger, KIND, name)
    found = []
    for kind, known, version in workspace.registry.versions():
        if (kind, known) == (KIND, name):
            card, _ = workspace.registry.load(kind, known, version)
            labels = card["labels"]
            if UseCase(**card["use_case"]) != use_case:
                continue
            found.append(
                SavedHead(
                    version,
                    state_of(KIND, version, serving, words),
                    card["encoder"],
                    labels["relevant"],
                    labels["irrelevant"],
                    card["author"],
                    datetime.fromisoformat(card["made_at"]),
                    tuple(labels["campaigns"]),
                )
            )
    return sorted(found, key=lambda head: head.made_at, reverse=True)


def first_to_serve(workspace: Workspace, use_case: UseCase) -> bool:
    """Whether no head of a use case was ever in service, so that a saved one is put there."""
    return not history(workspace.ledger, KIND, use_case.head_name)


def _reference(review: Review) -> NDArray[np.uint8]:
    """What the camera showed about the newest labelled moment: the nearest still of that day that shows enough.

    The night holds every later still against it: a head is of no use where the camera looks elsewhere.

    Raises:
        ConfigurationError: there is no such still.
    """
    campaign, moment = _newest_labelled(review)
    camera, day = review.use_case.camera, moment.astimezone(review.workspace.settings.zone).date()
    outputs = [
        output
        for output in current_outputs(review.workspace.ledger)
        if (output.table, output.campaign, output.camera) == ("stills", campaign, camera)
    ]
    # A recording belongs to the day it starts on: the moment may lie in one that began the day before.
    for days in ({day, day - timedelta(days=1)}, {output.day for output in outputs}):
        paths = [output.path for output in outputs if output.day in days]
        stills = [still for still in read_stills(review.workspace.store, paths) if is_telling(still.picture)]
        if stills:
            return min(
                stills, key=lambda still: (max(still.taken_at - moment, moment - still.until), still.taken_at)
            ).picture
    raise ConfigurationError(
        f"there is no still of camera {camera} in campaign {campaign} that would tell when it is moved later; "
        f'run "afterwatch backfill --campaign {campaign} --camera {camera}", then save again'
    )


def _newest_labelled(review: Review) -> tuple[str, datetime]:
    """Campaign and moment of the newest label of the use case that a vector is there for."""
    labels = review.labels()
    samples = {**review.others(labels), review.campaign: review.samples}
    for label in sorted(labels, key=lambda label: label.said_at, reverse=True):
        mine = samples.get(label.campaign)
        rows = np.empty(0, dtype=np.int64) if mine is None else mine.rows_within(label.span)
        if mine is not None and len(rows):
            return label.campaign, EPOCH + timedelta(microseconds=int(mine.block.from_us[rows[0]]))
    raise ConfigurationError("nothing is labelled yet; mark something relevant and something not relevant")


def metrics_of(ranking: Ranking) -> dict[str, Any]:
    """What cross-validation over temporal blocks says of the head, on its own labels."""
    return {} if ranking.trained is None else cross_validated(ranking.trained)
