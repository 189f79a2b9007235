"""From a plan to this site's part in it: what it may learn from is gathered, and a training is made of it.

It is gathered anew for each round; clips and vectors stay in a folder between them (`.afterwatch/federation/<name>/material-…`)
and are decoded once, also where the site is started anew. A round learns from what is known at its begin: a night in between may
add recordings, and what people call an anomaly meanwhile is left out.
"""

from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError, FootageError, LakeError
from models.federation.base import Progress, SiteError
from models.federation.plan import FederatedPlan
from workspace.federation.autoencoder_material import AutoencoderMaterial, gather_autoencoder
from workspace.federation.classifier_material import ClassifierMaterial, gather_classifier
from workspace.federation.folders import make_material_folder
from workspace.federation.policy import check_allowed
from workspace.federation.projection_material import ProjectionMaterial, gather_projection
from workspace.opened import Workspace

SiteMaterial = AutoencoderMaterial | ClassifierMaterial | ProjectionMaterial
"""What a site learns from; `.site` is its training (see `SiteTraining`)."""


@dataclass(frozen=True)
class Material:
    """What a site lets a federation learn from.

    Attributes:
        data: a folder of its own, as `fit autoencoder`, `fit classifier` and `fit projection` take it; None: its recordings.
        campaign: whose recordings and labels; None: all.
        camera: likewise; None: those of `[federation] cameras`.
        region: part of the picture; each camera has its own of that name.
    """

    data: Path | None = None
    campaign: str | None = None
    camera: str | None = None
    region: str = "frame"

    def __post_init__(self) -> None:
        if self.data is not None and (self.campaign, self.camera, self.region) != (None, None, "frame"):
            raise ConfigurationError(
                "a folder of clips has no campaign, camera or region; leave --data out, or the others"
            )


def site_material(
    workspace: Workspace,
    plan: FederatedPlan,
    material: Material,
    *,
    progress: Progress = lambda _stage, _done, _total: None,
) -> SiteMaterial:
    """Gather what a plan learns from at this site.

    What is kept of other plans' clips and vectors is taken away: a site takes part in one federation at a time.

    Args:
        workspace: of the site.
        plan: as it came from the server; it is held against the site's policy first.
        material: what may be learnt from.
        progress: called with a stage, what is done and all of it.

    Returns:
        What was gathered; its `site` trains by the plan.

    Raises:
        SiteError: this site takes no part: the plan is not allowed, there is no footage, or there are fewer samples than
            `[federation] least_samples`. Counted are samples of different pictures, however often a plan takes one.
    """
    check_allowed(plan, workspace.settings.federation)
    cameras = cameras_of(workspace, material)
    data = None if material.data is None else material.data.expanduser()
    campaign, region = material.campaign, material.region
    found: SiteMaterial
    make_material_folder(workspace, plan.name, plan.digest)
    try:
        match plan.kind:
            case "autoencoder":
                found = gather_autoencoder(
                    workspace, plan, data=data, campaign=campaign, cameras=cameras, region=region, progress=progress
                )
            case "classifier":
                found = gather_classifier(
                    workspace, plan, data=data, campaign=campaign, cameras=cameras, region=region, progress=progress
                )
            case "projection":
                found = gather_projection(
                    workspace, plan, data=data, campaign=campaign, cameras=cameras, region=region, progress=progress
                )
    except (ConfigurationError, FootageError, LakeError) as error:
        raise SiteError("no-footage", str(error)) from error
    least, count = workspace.settings.federation.least_samples, found.distinct
    if count < least:
        raise SiteError(
            "too-few-samples",
            f"there are {count} different samples to train on, and [federation] least_samples asks for {least}: weights that few "
            "pictures made say much of them; add footage, or lower it",
        )
    return found


def cameras_of(workspace: Workspace, material: Material) -> tuple[str, ...] | None:
    """Cameras that may be learnt from; None: all.

    Raises:
        SiteError: the camera of `material` is none of `[federation] cameras`.
    """
    allowed = workspace.settings.federation.cameras
    if material.camera is None:
        return None if allowed == "all" else allowed
    if allowed != "all" and material.camera not in allowed:
        raise SiteError(
            "not-allowed",
            f"camera {material.camera} is not learnt from here: [federation] cameras are {', '.join(allowed) or 'none'}",
        )
    return (material.camera,)
