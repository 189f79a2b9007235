"""The novelty head as the settings ask for it: detector, scaling, projection, and how its scores become events."""

from infra.settings import NoveltyTable
from models.detectors.build import detector_settings
from models.events import EventRule
from models.heads.nightly import NightRule
from models.heads.novelty import NoveltySettings
from models.projections.base import Projection
from models.projections.build import projection_from_arrays
from models.projections.linear import ProjectionSettings
from tasks.projections import PROJECTION, ProjectionPlan
from workspace.opened import Workspace


def novelty_settings(table: NoveltyTable, trained: ProjectionPlan | None = None) -> NoveltySettings:
    """Scaling, projection and detector of the settings.

    Args:
        table: of the settings.
        trained: the trained projection that they name; it brings its own scaling, and is itself given to the fit beside
            these settings (`load_projection`).
    """
    detector = detector_settings(table.detector, table.neighbours, table.seed)
    scaling = table.scaling if trained is None else trained.scaling
    # The length of a vector is a reconstruction's error only as long as the vector is what the encoder made it.
    scaling = "none" if table.detector == "magnitude" else scaling
    match table.projection:
        case "pca" | "gaussian" | "sparse" as name:
            return NoveltySettings(detector, scaling, ProjectionSettings(name, table.dimension, table.seed))
        case _:
            return NoveltySettings(detector, scaling)


def night_rule(table: NoveltyTable, regions: int) -> NightRule:
    """How scores become events, in each of a camera's regions: the budget is the camera's, not the region's."""
    return NightRule(
        events=EventRule(
            threshold=0.0,
            minimum_count=table.minimum_count,
            minimum_s=table.minimum_s,
            merge_gap_s=table.merge_gap_s,
            smooth_s=table.smooth_s,
        ),
        alarms_per_night=table.alarms_per_night / regions,
        floor_deviations=table.floor_mad,
        hysteresis_deviations=table.hysteresis_mad,
        exclusion_us=round(table.exclusion_s * 1e6),
    )


def load_projection(workspace: Workspace, plan: ProjectionPlan | None) -> Projection | None:
    """The projection itself."""
    if plan is None:
        return None
    _, arrays = workspace.registry.load(PROJECTION, plan.name, plan.version)
    return projection_from_arrays(arrays)
