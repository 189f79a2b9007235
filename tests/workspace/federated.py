"""A workspace that takes part in a federation, and plans small enough to be trained in a moment."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterwatch.workspace_files import make_workspace
from lake.keys import Place
from lake.ledger import RunRow
from lake.store import rows_of
from models.autoencoders.settings import settings_of
from models.autoencoders.training import TrainingSettings
from models.encoders.base import EncoderSpec
from models.encoders.specs import describe
from models.federation.plan import FederatedPlan
from models.federation.sites import autoencoder_plan, classifier_plan, projection_plan
from models.heads.classifier import ClassifierSettings
from models.projections.trained import LossName, ProjectionTraining
from models.windows import joined_dimension
from tests.workspace.labelled_site import CAMPAIGN, DAY, PLACES, START
from workspace.clip_vectors import Inputs, inputs_of
from workspace.federation.plan_inputs import autoencoder_inputs, classifier_inputs, projection_inputs
from workspace.opened import Workspace
from workspace.viewed_clips import Viewing

APPEARANCE, MOTION = describe("handcrafted/appearance"), describe("handcrafted/motion")
DIMENSIONS = {APPEARANCE.name: 768, MOTION.name: 576}
CLASSES = ("fall", "fight")


def federated_site(folder: Path, table: str = "least_samples = 1") -> Workspace:
    """A new workspace whose settings hold these keys of [federation]."""
    return configured(make_workspace(folder), table)


def configured(root: Path, table: str = "least_samples = 1", more: str = "") -> Workspace:
    """A workspace of these keys of [federation], and of what stands after it."""
    with (root / "afterwatch.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[federation]\n{table}\n{more}")
    return Workspace(root)


def an_autoencoder(name: str = "yard", rate_hz: float = 5.0, rounds: int = 2, **changes: Any) -> FederatedPlan:
    training = TrainingSettings(cuboids_per_epoch=4, batch_size=4, validation_cuboids=4, strides=(1,), seed=3)
    shape = settings_of("hasan", {"width": 0.05, "size_px": 48})
    told: dict[str, Any] = {"inputs": autoencoder_inputs(rate_hz), "rounds": rounds, "local_epochs": 1} | changes
    return autoencoder_plan(name, shape, training, **told)


def a_classifier(
    name: str = "trouble", classes: Sequence[str] = CLASSES, inputs: Inputs | None = None, **changes: Any
) -> FederatedPlan:
    looked = inputs or inputs_of([APPEARANCE], window_s=0.1, frame_rate_hz=25.0)
    values = joined_dimension([(item.pooling, DIMENSIONS[item.encoder]) for item in looked.items])
    settings = ClassifierSettings(hidden=(4,), learning_rate=0.01, batch_size=8, members=1, seed=3)
    told: dict[str, Any] = {"inputs": classifier_inputs(looked), "rounds": 2, "local_epochs": 1} | changes
    return classifier_plan(name, settings, classes, values, **told)


def a_projection(
    name: str = "moves", loss: LossName = "self_supervised", classes: Sequence[str] = (), **changes: Any
) -> FederatedPlan:
    settings = ProjectionTraining(loss, dimension=4, batch_size=8, seed=3)
    told: dict[str, Any] = {"inputs": view_inputs(), "rounds": 2, "local_epochs": 1} | changes
    values = DIMENSIONS[told["inputs"]["encoder"]]
    return projection_plan(name, settings, classes, values, **told)


def view_inputs(spec: EncoderSpec = APPEARANCE, views: int = 2) -> dict[str, Any]:
    return projection_inputs(spec, Viewing(views, seed=3))


def embed(workspace: Workspace, spec: EncoderSpec, seen: Mapping[str, NDArray[np.float32]]) -> None:
    """What a night would have left of recordings of `labelled_site`: a vector a second, of the whole picture."""
    for camera in sorted({PLACES[recording_id][0] for recording_id in seen}):
        mine = {recording_id: vectors for recording_id, vectors in seen.items() if PLACES[recording_id][0] == camera}
        rows = [(recording_id, second) for recording_id, vectors in mine.items() for second in range(len(vectors))]
        made = np.concatenate(list(mine.values()))
        columns: dict[str, Any] = {
            "campaign": CAMPAIGN,
            "camera": camera,
            "day": DAY,
            "space": spec.space,
            "recording_id": [recording_id for recording_id, _ in rows],
            "region": "frame",
            "index": [second for _, second in rows],
            "from_us": [second * 1_000_000 for _, second in rows],
            "to_us": [second * 1_000_000 + 40_000 for _, second in rows],
            "taken_at": [START + timedelta(seconds=PLACES[recording_id][2] + second) for recording_id, second in rows],
            "digest": [f"{row:016x}" for row in range(len(rows))],
            "vector": made.astype(np.float16),
        }
        stored = f"embeddings/space={spec.space}/{Place(CAMPAIGN, camera, DAY).folder}/frame.parquet"
        workspace.store.write_table(stored, rows_of("embeddings", columns, made.shape[1]))
        now, scope = datetime.now(UTC), f"{spec.space}/frame"
        done = RunRow("run", "embed", CAMPAIGN, camera, DAY, scope, "frame", "done", now, now, outputs=(stored,))
        workspace.ledger.record([done])
