"""Retrieval heads for tests of the night: trained on a site's own vectors, kept and put into service."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.current import current_outputs
from lake.promotions import promote
from lake.vectors import Embeddings, read_embeddings
from models.events import EventRule
from models.heads.retrieval import Fitted, RetrievalSettings, fit_retrieval
from tasks.heads import KIND
from workspace.opened import Workspace

ENCODER = "handcrafted/motion"
RULE = EventRule(threshold=0.0, minimum_s=0.5, merge_gap_s=1.0)


def vectors_of(workspace: Workspace, camera: str, region: str = "frame") -> Embeddings:
    """What is embedded of a camera's region, all days."""
    scope = f"{workspace.encoder(ENCODER).spec.space}/{region}"
    outputs = current_outputs(workspace.ledger)
    return read_embeddings(
        workspace.store, [item.path for item in outputs if (item.camera, item.scope) == (camera, scope)]
    )


def relevant_of(snippets: Embeddings) -> NDArray[np.bool_]:
    """An answer for each snippet that a head can learn: whether more happens in it than in most."""
    lengths = np.linalg.norm(snippets.vectors - np.median(snippets.vectors, axis=0), axis=1)
    return np.asarray(lengths > np.quantile(lengths, 0.7))


def trained(snippets: Embeddings) -> Fitted:
    blocks = snippets.from_us // 4_000_000
    return fit_retrieval(RetrievalSettings(), snippets.vectors, relevant_of(snippets), blocks)


def serve(
    workspace: Workspace,
    camera: str,
    region: str = "frame",
    *,
    name: str = "busy",
    version: str = "v1",
    reference: NDArray[np.uint8] | None = None,
    **changes: Any,
) -> Workspace:
    """Train a head on a camera's region, keep it and put it into service; returns the workspace opened anew.

    `changes` are entries of the card as they are to be instead.
    """
    fitted = trained(vectors_of(workspace, camera, region))
    outline = next(item for item in workspace.regions(camera) if item.name == region)
    card = {
        "kind": fitted.head.kind,
        "use_case": {"camera": camera, "region": region, "name": name},
        "space": workspace.encoder(ENCODER).spec.space,
        "encoder": ENCODER,
        "geometry": outline.geometry,
        "rule": asdict(RULE),
        **changes,
    }
    arrays = {f"head.{key}": value for key, value in fitted.head.to_arrays().items()}
    if fitted.calibration is not None:
        arrays |= {f"calibration.{key}": value for key, value in fitted.calibration.to_arrays().items()}
    if reference is not None:
        arrays["reference"] = reference
    head = f"{camera}.{region}.{name}"
    workspace.registry.save(KIND, head, version, card, arrays, author="ada")
    promote(workspace.ledger, KIND, head, version, "tests", camera)
    return Workspace(workspace.site.root)
