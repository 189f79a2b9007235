"""What an autoencoder of a federation is trained on at this site: normal footage of its recordings, or of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.autoencoders.cuboids import Cuboids
from models.autoencoders.training import TrainingSettings, training_cuboids
from models.encoders.torch_runner import choose_device
from models.federation.autoencoder_site import AutoencoderSite
from models.federation.base import Progress, SiteError
from models.federation.plan import FederatedPlan
from models.federation.plan_settings import autoencoder_settings
from workspace.clips import View
from workspace.federation.folders import material_folder
from workspace.federation.plan_inputs import rate_of
from workspace.normal_footage import NormalFootage, folder_footage, footage_of, trainable_recordings
from workspace.opened import Workspace


@dataclass(frozen=True, eq=False)
class AutoencoderMaterial:
    """A site's normal footage and the training made of it.

    Attributes:
        site: the training.
        footage: clips, training and held-out ones.
        view: how their pictures were looked at.
        settings: of the training.
        cuboids, held_out: cut from the clips.
    """

    site: AutoencoderSite
    footage: NormalFootage
    view: View
    settings: TrainingSettings
    cuboids: Cuboids
    held_out: Cuboids

    @property
    def distinct(self) -> int:
        """Training cuboids of one stride: those of the others are of the same pictures."""
        return len(Cuboids(self.cuboids.clips, self.cuboids.frames, (min(self.cuboids.strides),)))


def gather_autoencoder(
    workspace: Workspace,
    plan: FederatedPlan,
    *,
    data: Path | None,
    campaign: str | None,
    cameras: Sequence[str] | None,
    region: str,
    progress: Progress,
) -> AutoencoderMaterial:
    """Normal footage of a folder, or of cameras of the workspace, and the training made of it.

    Args:
        workspace: whose recordings.
        plan: of an autoencoder.
        data: a folder of normal clips instead.
        campaign, cameras: only these; None: all.
        region: the part of the picture; each camera has its own of that name.
        progress: called with a stage, what is done and all of it.

    Raises:
        SiteError: there are too few pictures, or no camera that may be used.
        ConfigurationError: there is no footage.
        FootageError: a video cannot be read.
    """
    shape, settings = autoencoder_settings(plan)
    view, cache = View(shape.size_px, rate_of(plan), region), material_folder(workspace, plan.name, plan.digest)
    if data is not None:
        footage = folder_footage(data, view, cache, progress)
    else:
        recordings = trainable_recordings(workspace, campaign, None)
        mine = [recording for recording in recordings if cameras is None or recording.camera in cameras]
        if not mine:
            raise SiteError(
                "no-footage", f"none of {len(recordings)} recordings is of a camera that may be used: {cameras}"
            )
        footage = footage_of(workspace, mine, view, cache, progress=progress)
    device = str(choose_device(workspace.settings.compute.device))
    cuboids = training_cuboids(footage.training, shape, settings)
    held_out = Cuboids(footage.held_out, shape.cuboid_frames)
    rounds, epochs = plan.rounds, plan.local_epochs
    site = AutoencoderSite(
        shape, cuboids, held_out, settings, rounds=rounds, local_epochs=epochs, device=device, progress=progress
    )
    return AutoencoderMaterial(site, footage, view, settings, cuboids, held_out)
