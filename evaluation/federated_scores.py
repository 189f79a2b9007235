"""Scores of test frames from those of cuboids, on a scale that normal footage sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.curves import Floats, fill, smooth
from evaluation.federated_data import GreyClip, SiteFootage
from evaluation.federated_work import RoundScores, Scores
from evaluation.leakage import Slice
from models.calibration import robust_spread
from models.metrics import frame_ap, frame_auc


@dataclass(frozen=True)
class Scoring:
    """How scores of cuboids become those of frames.

    Attributes:
        cuboid_frames: pictures in a cuboid; its score is that of the frame in its middle.
        step: pictures from one scored cuboid's first picture to the next one's.
        smooth_s: standard deviation of the smoothing window.
    """

    cuboid_frames: int
    step: int
    smooth_s: float


@dataclass(frozen=True, eq=False)
class SiteRound:
    """What a round's model comes to at one site.

    Attributes:
        site: name of the client.
        camera: that it scores.
        truth: bool (N,), anomalous test frames.
        scores: float64 (N,), of the same frames, in deviations above the median of the training cuboids' scores.
    """

    site: str
    camera: str
    truth: NDArray[np.bool_]
    scores: Floats

    @cached_property
    def auc(self) -> float:
        return frame_auc(self.truth, self.scores)

    @cached_property
    def ap(self) -> float:
        return frame_ap(self.truth, self.scores)


def site_round(site: SiteFootage, found: RoundScores, scoring: Scoring) -> SiteRound:
    """Scores of a site's test frames, from those of cuboids."""
    median, spread = robust_spread(found.normal)
    scale = spread if spread > 0 else 1.0
    truth, scores, at = [], [], 0
    for piece, clips in site.test:
        curve = frame_scores(piece, clips, found.test[at : at + len(clips)], scoring)
        at += len(clips)
        truth.append(truth_of(piece))
        # Where no cuboid fits in, nothing is known: the normal median.
        scores.append(np.zeros(len(truth[-1])) if curve is None else (curve - median) / scale)
    return SiteRound(
        site.name,
        site.camera,
        np.concatenate(truth),
        np.concatenate(scores),
    )


def frame_scores(piece: Slice, clips: Sequence[GreyClip], scores: Sequence[Scores], scoring: Scoring) -> Floats | None:
    """A score for every frame of a test slice: of the cuboid around it, linear between cuboids, smoothed.

    Args:
        piece: of a video.
        clips: its pictures.
        scores: of the cuboids of each clip.
        scoring: shape of the cuboids, and the smoothing.

    Returns:
        float64 (frames of the slice,); None where no clip has a cuboid.
    """
    middle = scoring.cuboid_frames // 2
    frames = [
        clip.frames[middle + scoring.step * np.arange(len(found))] for clip, found in zip(clips, scores, strict=True)
    ]
    if not sum(map(len, frames)):
        return None
    times = piece.video.index.t_us[piece.first : piece.last]
    filled = fill(times, np.concatenate(frames) - piece.first, np.concatenate(list(scores)))
    return smooth(times, filled, scoring.smooth_s)


def truth_of(piece: Slice) -> NDArray[np.bool_]:
    """bool (frames of the slice,): anomalous ones."""
    flags = np.zeros(len(piece.video.index), dtype=np.bool_)
    for first, last in piece.video.relevant:
        flags[first:last] = True
    return flags[piece.first : piece.last]
