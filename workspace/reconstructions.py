"""What an autoencoder makes of a moment: the snippet that the night embedded, its reconstruction and the error."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from footage.decode import decode
from footage.regions import Region
from footage.sampling import snippets
from infra.errors import FootageError
from models.encoders.build import build
from workspace.indexes import load_index
from workspace.moments import Source
from workspace.opened import PlannedEncoder, Workspace

if TYPE_CHECKING:
    from models.encoders.autoencoder import AutoencoderEncoder

FAMILY = "autoencoder"

Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ReconstructedMoment:
    """The picture of a snippet that is reconstructed worst.

    Attributes:
        t_us: its time in the recording.
        original, reconstruction, error: uint8 (H, W), grey; the error is their absolute difference.
        score: of the whole snippet.
    """

    t_us: int
    original: Grey
    reconstruction: Grey
    error: Grey
    score: float


def reconstructs(planned: PlannedEncoder) -> bool:
    """Whether an encoder is an autoencoder."""
    return planned.spec.family == FAMILY


def reconstructed(
    workspace: Workspace, planned: PlannedEncoder, source: Source, at_us: int, region: Region
) -> ReconstructedMoment:
    """Reconstruct the snippet that shows a moment, as the night embedded it.

    Args:
        workspace: the site.
        planned: an autoencoder; see `reconstructs`.
        source: the recording.
        at_us: time in the recording.
        region: what of the picture was embedded.

    Raises:
        FootageError: no whole snippet shows that moment, or it cannot be decoded.
        WeightsError: the autoencoder's weights are absent or altered.
    """
    index, spec = load_index(workspace.store, source.recording_id), planned.spec
    runs = snippets(index, frames=spec.snippet_frames, rate_hz=spec.snippet_rate_hz or 1.0, stride_s=planned.stride_s)
    around = np.flatnonzero((runs.from_us <= at_us) & (at_us < runs.to_us))
    if not len(around):
        raise FootageError(f"{source.relative}: no snippet shows {at_us / 1e6:.1f} s; it was not embedded there")
    # Snippets may overlap: the one that has the moment nearest its middle.
    middles = (runs.from_us[around] + runs.to_us[around]) // 2
    frames = runs.frames[int(around[np.argmin(np.abs(middles - at_us))])]
    views = {
        picture.index: picture.view(region, spec.input_size)
        for picture in decode(source.path, index, np.unique(frames), threads=1)
    }
    if any(int(number) not in views for number in frames):
        raise FootageError(f"{source.relative}: the snippet at {at_us / 1e6:.1f} s cannot be decoded")
    made = _loaded(planned, workspace.settings.compute.device).reconstruct(np.stack([views[int(n)] for n in frames]))
    worst = int(made.error.reshape(len(made.error), -1).sum(axis=1, dtype=np.int64).argmax())
    return ReconstructedMoment(
        int(index.t_us[frames[worst]]), made.original[worst], made.reconstruction[worst], made.error[worst], made.score
    )


@lru_cache(maxsize=2)
def _loaded(planned: PlannedEncoder, device: str) -> "AutoencoderEncoder":
    from models.encoders.autoencoder import AutoencoderEncoder  # torch takes seconds to import, and few sites need it

    encoder = build(planned.spec, planned.weights, device=device, precision="fp32", batch_size=1)
    if not isinstance(encoder, AutoencoderEncoder):
        raise TypeError(f"{planned.spec.name} reconstructs nothing")
    return encoder
