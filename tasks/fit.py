"""Fit: make a novelty head of what a region of a camera usually looks like, and what its scores are held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.errors import TooLittleFootageError
from lake.vectors import Embeddings, read_embeddings
from models.arrays import Arrays, part, prefixed
from models.heads.nightly import Standard, fit_camera
from models.heads.novelty import NoveltyHead, head_from_arrays
from tasks.normal_snippets import ReferenceRows, distinct, nights_of, normal_only, thinned
from tasks.novelty import load_projection, night_rule, novelty_settings
from tasks.plan import NOVELTY, SELF
from tasks.projections import ProjectionPlan
from tasks.step_plans import RegionPlan, Step
from workspace.opened import Workspace

AUTHOR = "night"
"""Of novelty heads, on their cards: nobody asks for one."""
FEWEST_SNIPPETS = 8
"""Below this a day without earlier footage says nothing about what is unusual in it."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A head, as a day of a region is judged by it.

    Attributes:
        version: key of the fit; `SELF` where the day is compared with itself.
        head: the head.
        standard: its threshold being the alarm budget's.
        reference: who the rows of its reference are.
    """

    version: str
    head: NoveltyHead
    standard: Standard
    reference: ReferenceRows


def make_head(workspace: Workspace, plan: RegionPlan, step: Step, projection: ProjectionPlan | None) -> tuple[int, str]:
    """Fit the head of a region on its camera's past and keep it; returns the rows of its reference, and what to know."""
    novelty = workspace.settings.novelty
    earlier = normal_only(workspace.store, read_embeddings(workspace.store, plan.reference), plan.unusual, plan.said)
    reference = distinct(thinned(earlier, novelty.maximum_reference))
    card: dict[str, Any] = {
        "kind": NOVELTY,
        "camera": plan.camera,
        "region": plan.region,
        "made_from": list(step.inputs),
        "settings": novelty.model_dump(mode="json"),
    }
    if len(reference) < novelty.minimum_reference:
        remark = f"{len(reference)} different earlier snippets are too few; the day is compared with itself"
        _keep(workspace, plan.camera, step, {**card, "usable": False, "remark": remark}, {})
        return 0, remark
    try:
        fitted = fit_on(workspace, reference, step.key, plan.judged_with, projection)
    except TooLittleFootageError as error:
        remark = f"the earlier footage cannot serve as reference ({error}); the day is compared with itself"
        _keep(workspace, plan.camera, step, {**card, "usable": False, "remark": remark}, {})
        return 0, remark
    said = {answer: sum(item.confirmed == answer for item in plan.said) for answer in (True, False)}
    card |= {
        "usable": True,
        "detector": novelty.detector,
        "space": reference.rows["space"][0].as_py(),
        "projection": None if projection is None else f"{projection.name}/{projection.version}",
        "reference": {"snippets": len(reference), "nights": fitted.standard.nights.count},
        "verdicts": {"confirmed": said[True], "dismissed": said[False]},
        "recordings": fitted.reference.to_card(),
        **fitted.standard.to_card(),
        "remark": fitted.head.remark,
    }
    arrays = prefixed("head", fitted.head.to_arrays())
    arrays |= prefixed("normal", fitted.standard.to_arrays())
    arrays |= prefixed("reference", fitted.reference.to_arrays())
    _keep(workspace, plan.camera, step, card, arrays)
    return len(reference), fitted.head.remark


def _keep(workspace: Workspace, camera: str, step: Step, card: dict[str, Any], arrays: Arrays) -> None:
    workspace.registry.save(NOVELTY, camera, step.key, card, arrays, author=AUTHOR)


def fit_on(
    workspace: Workspace,
    reference: Embeddings,
    version: str,
    judged_with: Sequence[str],
    projection: ProjectionPlan | None,
) -> Fitted:
    """Fit on normal snippets.

    Args:
        workspace: the site; its settings name the head.
        reference: what is normal.
        version: what the head is called.
        judged_with: all regions of the camera that are judged; they share the alarm budget.
        projection: the trained one that the settings name.

    Raises:
        TooLittleFootageError: they cannot serve.
    """
    novelty = workspace.settings.novelty
    head, standard = fit_camera(
        novelty_settings(novelty, projection),
        reference.vectors,
        reference.from_us,
        reference.to_us,
        nights_of(reference),
        night_rule(novelty, len(judged_with)),
        layout=workspace.encoder(novelty.encoder).spec.layout,
        projection=load_projection(workspace, projection),
    )
    return Fitted(version, head, standard, ReferenceRows.of(reference))


def head_for(
    workspace: Workspace, plan: RegionPlan, snippets: Embeddings, projection: ProjectionPlan | None
) -> Fitted | None:
    """What a day's snippets of a region are judged by: the head of the camera's past, else one of the day itself.

    None where there is too little to compare.
    """
    if plan.fit is not None:
        card, arrays = workspace.registry.load(NOVELTY, plan.camera, plan.fit.key)
        if card["usable"]:
            return Fitted(
                plan.fit.key,
                head_from_arrays(part("head", arrays)),
                Standard.from_card(card, part("normal", arrays)),
                ReferenceRows.from_card(card["recordings"], part("reference", arrays)),
            )
    if len(snippets) < FEWEST_SNIPPETS:
        return None
    try:
        return fit_on(workspace, snippets, SELF, plan.judged_with, projection)
    except TooLittleFootageError:
        return None  # the snippets lie so close in time that none is left to compare another with


def scores_of(fitted: Fitted, snippets: Embeddings) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """float32 (N,): the scores of a day's snippets."""
    if fitted.version == SELF:
        return fitted.standard.nights.scores
    return fitted.head.score(snippets.vectors) if len(snippets) else np.empty(0, dtype=np.float32)
