"""What a projection of a federation is trained on at this site: a folder of classes, or a campaign's normal footage."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.encoders.base import EncoderSpec
from models.federation.base import Progress, SiteError
from models.federation.plan import FederatedPlan
from models.federation.plan_settings import classes_of, projection_settings
from models.federation.projection_site import ProjectionSite
from models.federation.sites import projection_site
from models.projections.trained import ProjectionTraining, ViewedVectors
from workspace.federation.encoders import encoder_of
from workspace.federation.folders import material_folder
from workspace.federation.plan_inputs import ProjectionInputs, views_of
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace
from workspace.projections import PARTS, check_clips, split_by_source
from workspace.training_clips import Clip, camera_clips, class_clips
from workspace.viewed_clips import embed_clips

MOST_SAMPLES = 1000
"""Of a campaign's footage, about."""


@dataclass(frozen=True, eq=False)
class ProjectionMaterial:
    """A site's samples in views and the training made of them.

    Attributes:
        site: the training.
        inputs: encoder and views.
        spec: of the encoder.
        settings: of the training.
        held_out: samples of source videos that nothing is decided by.
        data: where they come from, for the card.
    """

    site: ProjectionSite
    inputs: ProjectionInputs
    spec: EncoderSpec
    settings: ProjectionTraining
    held_out: ViewedVectors
    data: dict[str, Any]

    @property
    def distinct(self) -> int:
        """Samples that are trained on; views of one are no further ones."""
        return self.site.samples


def gather_projection(
    workspace: Workspace,
    plan: FederatedPlan,
    *,
    data: Path | None,
    campaign: str | None,
    cameras: Sequence[str] | None,
    region: str,
    progress: Progress,
) -> ProjectionMaterial:
    """Samples of a folder with a folder for each class, or of a campaign, and the training made of them.

    Args:
        workspace: whose recordings and encoders.
        plan: of a projection.
        data: the folder; without one the samples are a campaign's, and have no classes.
        campaign, cameras: whose footage; None: all.
        region: the part of the picture.
        progress: called with a stage, what is done and all of it.

    Raises:
        SiteError: there are too few samples, or the encoder is not here.
        ConfigurationError: there is no footage.
    """
    inputs, settings = views_of(plan), projection_settings(plan)
    encoder = encoder_of(workspace, inputs.encoder, inputs.space)
    classes = classes_of(plan)
    told: dict[str, Any]
    if data is not None:
        clips, problems = _of_folder(workspace, encoder.spec, classes, data, progress)
        told = {"folder": data.resolve().name, "left_out": problems}
    else:
        clips = _of_cameras(workspace, encoder.spec, campaign, cameras, region)
        told = {"campaign": campaign, "cameras": None if cameras is None else list(cameras), "region": region}
    check_clips(clips, inputs.viewing, settings)
    samples = embed_clips(
        clips,
        encoder,
        inputs.viewing,
        cache=material_folder(workspace, plan.name, plan.digest),
        threads=workspace.settings.compute.decode_threads,
        progress=progress,
    )
    labels = [clips[at].label for at in samples.clip.tolist()]
    sources = [clips[at].source for at in samples.clip.tolist()]
    split = split_by_source(sources, labels, plan.seed)
    numbers = np.array([classes.index(label) for label in labels], np.int64) if classes else None
    parts = {
        part: ViewedVectors(samples.plain[rows], samples.views[rows], None if numbers is None else numbers[rows])
        for part, rows in split.items()
    }
    told |= {
        "sources": {part: sorted({sources[row] for row in split[part].tolist()}) for part in PARTS},
        "samples": {part: len(split[part]) for part in PARTS},
        "windows_lost": samples.lost,
    }
    device = workspace.settings.compute.device
    site = projection_site(plan, parts["training"], parts["validation"], device=device, progress=progress)
    return ProjectionMaterial(site, inputs, encoder.spec, settings, parts["held_out"], told)


def _of_folder(
    workspace: Workspace, spec: EncoderSpec, classes: tuple[str, ...], data: Path, progress: Progress
) -> tuple[list[Clip], list[str]]:
    """Clips of the plan's classes; a plan without classes takes all, as if nothing were known of them."""
    found, problems = class_clips(data, spec, workspace.settings.footage.suffixes, progress=progress)
    clips = [clip for clip in found if not classes or clip.label in classes]
    if not clips:
        raise SiteError(
            "no-footage",
            f"{data} holds clips of {', '.join(sorted({clip.label for clip in found}))}, and the plan is about "
            f"{', '.join(classes)}; call the folders of its classes so",
        )
    return clips, problems + [
        f"{clip.name}: {clip.label} is no class of the plan" for clip in found if clip not in clips
    ]


def _of_cameras(
    workspace: Workspace, spec: EncoderSpec, campaign: str | None, cameras: Sequence[str] | None, region: str
) -> list[Clip]:
    """Normal footage of the cameras, campaign by campaign; the samples are shared out evenly."""
    known = KnownRecordings(workspace.ledger)
    there = {
        (name, camera)
        for name in (known.campaigns if campaign is None else (campaign,))
        for camera in known.cameras
        if (cameras is None or camera in cameras) and not workspace.settings.skips(camera)
        if known.of_camera(name, camera)
    }
    if not there:
        raise SiteError(
            "no-footage",
            f"there is no recording of campaign {campaign or 'any'} and cameras {cameras or 'any'}; take some in with "
            '"afterwatch run", or give --data',
        )
    each = max(1, MOST_SAMPLES // len(there))
    return [
        clip
        for name, camera in sorted(there)
        for clip in camera_clips(workspace, spec, name, camera, region, most=each)
    ]
