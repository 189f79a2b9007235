"""Retrieval heads of use cases: saved from a review, listed, put into and out of service."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from lake.current import current_outputs
from lake.labels import UseCase
from lake.promotions import in_service, promote, retire
from lake.stills import read_stills
from workspace.opened import Workspace
from workspace.session import EPOCH, Ranking, Review
from workspace.training import KIND, head_name, save_head


@dataclass(frozen=True)
class SavedHead:
    """A version of a use case's head."""

    version: str
    in_service: bool
    encoder: str
    relevant: int
    irrelevant: int
    author: str
    made_at: datetime
    campaigns: tuple[str, ...]


def save_review(review: Review, ranking: Ranking, author: str) -> str:
    """Save what a review has trained and put it into service.

    Raises:
        ConfigurationError: there is nothing that separates relevant from irrelevant yet.
    """
    if ranking.trained is None or ranking.threshold is None:
        raise ConfigurationError(
            "a head needs labels of both kinds: mark something relevant and something not relevant"
        )
    spec = review.encoder.spec
    return save_head(
        review.workspace,
        review.use_case,
        review.encoder.table.name,
        spec.space,
        ranking.trained,
        author,
        metrics_of(ranking),
        _reference(review, ranking),
    )


def heads_of(workspace: Workspace, use_case: UseCase) -> list[SavedHead]:
    """The versions of a use case's head, newest first."""
    name = head_name(use_case)
    serving = in_service(workspace.ledger, KIND).get(name)
    found = []
    for kind, known, version in workspace.registry.versions():
        if (kind, known) == (KIND, name):
            card, _ = workspace.registry.load(kind, known, version)
            labels = card["labels"]
            found.append(
                SavedHead(
                    version,
                    version == serving,
                    card["encoder"],
                    labels["relevant"],
                    labels["irrelevant"],
                    card["author"],
                    datetime.fromisoformat(card["made_at"]),
                    tuple(labels["campaigns"]),
                )
            )
    return sorted(found, key=lambda head: head.made_at, reverse=True)


def put_into_service(workspace: Workspace, use_case: UseCase, version: str | None, author: str) -> None:
    """Put a version into service, or the one that serves out of it."""
    name = head_name(use_case)
    if version is None:
        retire(workspace.ledger, KIND, name, author, use_case.camera)
    else:
        promote(workspace.ledger, KIND, name, version, author, use_case.camera)


def _reference(review: Review, ranking: Ranking) -> NDArray[np.uint8]:
    """What the camera showed about the newest labelled moment: the nearest still of that campaign.

    The night holds every later still against it: a head is of no use where the camera looks elsewhere.

    Raises:
        ConfigurationError: there is no still of that campaign.
    """
    campaign, at_us = max(_labelled(review, ranking), key=lambda labelled: labelled[1])
    camera = review.use_case.camera
    paths = [
        output.path
        for output in current_outputs(review.workspace.ledger)
        if (output.table, output.campaign, output.camera) == ("stills", campaign, camera)
    ]
    moment = EPOCH + timedelta(microseconds=at_us)
    stills = list(read_stills(review.workspace.store, paths))
    if not stills:
        raise ConfigurationError(
            f"there is no still of camera {camera} in campaign {campaign} that tells whether it is moved later; "
            f'run "afterwatch backfill --campaign {campaign} --camera {camera}", then save again'
        )
    return min(stills, key=lambda still: (max(still.taken_at - moment, moment - still.until), still.taken_at)).picture


def _labelled(review: Review, ranking: Ranking) -> list[tuple[str, int]]:
    """Campaign and time, microseconds since 1970, of the newest row of each campaign that trained the head."""
    if ranking.trained is None:
        return []
    samples = {**review.others(review.labels()), review.campaign: review.samples}
    marks = ranking.trained.marks
    return [(name, int(samples[name].block.from_us[marks[name].rows[-1]])) for name in ranking.trained.campaigns]


def metrics_of(ranking: Ranking) -> dict[str, Any]:
    """What cross-validation over temporal blocks says of the head, on its own labels."""
    trained = ranking.trained
    if trained is None:
        return {}
    answers = np.concatenate([trained.marks[name].relevant for name in trained.campaigns])
    margins = trained.fitted.margins
    known = np.isfinite(margins)
    if not known.any():
        return {}
    right = (margins[known] > 0) == answers[known]
    return {
        "cross_validated": int(known.sum()),
        "accuracy": round(float(right.mean()), 4),
        "recall": _share(right[answers[known]]),
        "specificity": _share(right[~answers[known]]),
    }


def _share(right: Any) -> float | None:
    return round(float(right.mean()), 4) if len(right) else None
