"""The columns of footage that lies outside a workspace, by the night's own arithmetic (`models.summary`).

What is unusual is told by normal footage of the camera; where it has none, its footage is compared with itself, the surroundings of
each snippet left out, as the night does with a camera's first day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.summary_base import Features
from evaluation.embedding import Embedded
from evaluation.heads import BuiltHead
from evaluation.novelty import NormalRows
from evaluation.summary_sights import NOVELTY, LookSettings, Sight, Times, Vectors, VideoSnippets
from infra.errors import ConfigurationError, TooLittleFootageError
from models.calibration import NormalDistribution, robust_spread
from models.heads.neighbours import TimeExclusion, unit_length
from models.heads.nightly import LARGEST_SHARE
from models.heads.novelty import NoveltyHead, fit_and_score
from models.summary.keyframes import choose_keyframes, least_sharpness
from models.summary.scores import (
    Columns,
    anomaly,
    mean_over_frames,
    memorability,
    memorability_within,
    segment_vectors,
    surprise,
)
from models.summary.segments import Segments

Floats = NDArray[np.float64]

FEWEST_SNIPPETS = 8
"""Below this a first day says nothing about what is unusual in it, as at night."""
MOST_NORMALS = 5000
"""Pictures of the past that memorability is measured against, spread evenly."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a head says of a video's snippets.

    Attributes:
        from_us, to_us: int64 (N,), on the camera's clock.
        surprise: float64 (N,); nan where nothing tells it.
    """

    from_us: Times
    to_us: Times
    surprise: Floats

    @classmethod
    def of(cls, snippets: VideoSnippets, surprise: Floats) -> "Judgement":
        return cls(snippets.from_us, snippets.to_us, surprise)


@dataclass(frozen=True, eq=False)
class Judged:
    """A video as heads judge it, by their names."""

    sight: Sight
    by: Mapping[str, Judgement]


@dataclass(frozen=True, eq=False)
class Measured:
    """Segments of a camera and what is known of them.

    Attributes:
        segments: S of them; `recording` is the place of the video among those given.
        raw: their columns, by the head that their anomaly is told by.
        vectors: float32 (S, D), how each differs from the camera's usual picture; nan where nothing was embedded.
        clear: bool (S,), has a picture that is neither black nor blurred.
    """

    segments: Segments
    raw: Mapping[str, Columns]
    vectors: Vectors
    clear: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class NormalScores:
    """How a head's normal scores are spread.

    Attributes:
        distribution: of them.
        median, spread: see `robust_spread`.
    """

    distribution: NormalDistribution
    median: float
    spread: float

    @classmethod
    def of(cls, scores: NDArray[np.float32]) -> "NormalScores":
        """Of normal scores (M,), M ≥ 1."""
        return cls(NormalDistribution.fit(scores), *robust_spread(scores))

    def surprise(self, scores: NDArray[np.float32]) -> Floats:
        """float64 (N,) of scores (N,)."""
        off = scores.astype(np.float64) - self.median
        deviations = off / self.spread if self.spread > 0 else np.where(off == 0, 0.0, np.copysign(np.inf, off))
        return surprise(self.distribution.fraction_below(scores), deviations)


@dataclass(frozen=True, eq=False)
class NormalFootage:
    """A novelty head fitted on normal videos; each of them was scored by the others.

    Attributes:
        space: of its vectors.
        head: fitted on all of it.
        rows, scores: what it was fitted on, and the normal scores.
        normal: how those are spread.
    """

    space: str
    head: NoveltyHead
    rows: NormalRows
    scores: NDArray[np.float32]
    normal: NormalScores

    @classmethod
    def of(cls, sights: Sequence[Sight], head: BuiltHead) -> "NormalFootage":
        """Fit on normal videos.

        Raises:
            ConfigurationError: fewer than two have a snippet.
        """
        spec = head.encoder.spec
        held = [(sight.video, sight.snippets[spec.space]) for sight in sights]
        rows = NormalRows.of(
            [(video, Embedded(own.frames, own.vectors)) for video, own in held], NOVELTY.maximum_reference
        )
        exclusion = TimeExclusion(rows.part, rows.part + 1, 0)
        fitted, scores = fit_and_score(head.spec.settings, rows.vectors, exclusion, layout=spec.layout)
        return cls(spec.space, fitted, rows, scores, NormalScores.of(scores))

    def judge(self, sight: Sight) -> Judgement:
        """A video that is none of the reference."""
        snippets = sight.snippets[self.space]
        if not len(snippets):
            return Judgement.of(snippets, np.empty(0))
        return Judgement.of(snippets, self.normal.surprise(self.head.score(snippets.vectors)))

    def judge_own(self, sight: Sight) -> Judgement:
        """A video of the reference, by what the others taught; nan for snippets that the reference left out."""
        snippets = sight.snippets[self.space]
        told = np.full(len(snippets), np.nan)
        for number, video in enumerate(self.rows.videos):
            if video is sight.video:
                mine = self.rows.part == number
                places = np.searchsorted(snippets.frames, self.rows.frame[mine])
                told[places] = self.normal.surprise(self.scores[mine])
        return Judgement.of(snippets, told)


def judge_by_itself(sights: Sequence[Sight], settings: LookSettings, head: BuiltHead) -> list[Judgement]:
    """Videos of one camera as its first day: each snippet against all others that are not near in time.

    nan where there are fewer than `FEWEST_SNIPPETS`, or none that is not near.
    """
    spec = head.encoder.spec
    own = [sight.snippets[spec.space] for sight in sights]
    from_us, to_us = (np.concatenate([getattr(one, name) for one in own]) for name in ("from_us", "to_us"))
    told = np.full(len(from_us), np.nan)
    if len(told) >= FEWEST_SNIPPETS:
        longest_us = int(to_us.max() - from_us.min()) // LARGEST_SHARE
        exclusion = TimeExclusion(from_us, to_us, min(round(settings.exclusion_s * 1e6), longest_us))
        vectors = np.concatenate([one.vectors for one in own])
        try:
            _, scores = fit_and_score(head.spec.settings, vectors, exclusion, layout=spec.layout)
            told = NormalScores.of(scores).surprise(scores)
        except TooLittleFootageError:
            pass  # they lie so close in time that none is left to compare another with
    ends = np.cumsum([len(one) for one in own])[:-1]
    return [Judgement.of(one, part) for one, part in zip(own, np.split(told, ends), strict=True)]


def usual_picture(sights: Sequence[Sight]) -> NDArray[np.float32]:
    """float32 (D,): the mean of a camera's pictures; what tells them apart is how they differ from it.

    Raises:
        ConfigurationError: none could be decoded.
    """
    looks = np.concatenate([sight.looks for sight in sights])
    if not len(looks):
        names = ", ".join(sight.video.video_id for sight in sights)
        raise ConfigurationError(f"no picture of {names} can be decoded; replace the files or take them away")
    return np.asarray(looks.mean(axis=0, dtype=np.float64), dtype=np.float32)


def past_pictures(sights: Sequence[Sight]) -> Vectors:
    """float32 (M, D): pictures of a camera's past, of many those spread evenly."""
    looks = np.concatenate([sight.looks for sight in sights])
    spread = np.linspace(0, len(looks) - 1, min(len(looks), MOST_NORMALS)).round().astype(np.int64)
    return looks[spread]


def measure_segments(
    judged: Sequence[Judged],
    segments: Segments,
    settings: LookSettings,
    usual: NDArray[np.float32],
    past: Vectors | None = None,
) -> Measured:
    """Raw columns of one camera's segments, by head.

    Args:
        judged: its videos, on one clock.
        segments: cut from their spans, in their order.
        settings: how long surroundings are no reference.
        usual: float32 (D,), the camera's usual picture.
        past: float32 (M, D), pictures of its past; None: memorability is told among the segments themselves.
    """
    sights = [one.sight for one in judged]
    at_us, look_us = (np.concatenate([getattr(sight, name) for sight in sights]) for name in ("at_us", "look_us"))
    looks = np.concatenate([sight.looks for sight in sights]) - usual
    told = [measures for sight in sights for measures in sight.measures]
    entropy, motion = (
        np.array([getattr(one, name) for one in told], dtype=np.float64) for name in ("entropy_bits", "motion")
    )
    # The first picture of a recording has none before it.
    counts = np.array([len(sight.measures) for sight in sights])
    motion[(np.cumsum(counts) - counts)[counts > 0]] = np.nan
    vectors = segment_vectors(segments, look_us, look_us + 1, looks)
    if past is None:
        distinct = memorability_within(vectors, segments, round(settings.exclusion_s * 1e6))
    else:
        distinct = memorability(vectors, past - usual)
    entropies, motions = (mean_over_frames(segments, at_us, values) for values in (entropy, motion))
    raw = {
        head: Columns(_highest(segments, [one.by[head] for one in judged]), distinct, entropies, motions)
        for head in judged[0].by
    }
    return Measured(segments, raw, vectors, _clear(segments, at_us, sights))


def _highest(segments: Segments, judgements: Sequence[Judgement]) -> Floats:
    """float64 (S,): the highest surprise in each segment."""
    from_us, to_us, scores = (
        np.concatenate([getattr(one, name) for one in judgements]) for name in ("from_us", "to_us", "surprise")
    )
    known = np.isfinite(scores)
    return anomaly(segments, from_us[known], to_us[known], scores[known])


def feature_columns(shots: Times, features: Features, seconds: float, settings: LookSettings) -> Columns:
    """Raw columns of a video's shots from vectors of its pictures alone: memorability, and as dynamics the mean change
    1 - cosine from one picture to the next. Anomaly and entropy are not told by them: nan.

    Args:
        shots: int64 (S + 1,), frames at which shots begin.
        features: of the pictures.
        seconds: length of the video.
        settings: how long surroundings are no reference.
    """
    bounds_us, picks_us = (
        np.rint(frames * (seconds * 1e6 / shots[-1])).astype(np.int64) for frames in (shots, features.picks)
    )
    count = len(shots) - 1
    segments = Segments(
        np.zeros(count, dtype=np.int64),
        np.arange(count, dtype=np.int64),
        bounds_us[:-1],
        bounds_us[1:],
        np.where(np.arange(count) == 0, "recording", "change"),
    )
    unit = unit_length(features.vectors)
    changes = np.concatenate([[np.nan], 1 - (unit[1:] * unit[:-1]).sum(axis=1, dtype=np.float64)])
    vectors = segment_vectors(segments, picks_us, picks_us + 1, features.vectors - features.vectors.mean(axis=0))
    unknown = np.full(count, np.nan)
    return Columns(
        anomaly=unknown,
        memorability=memorability_within(vectors, segments, round(settings.exclusion_s * 1e6)),
        entropy=unknown,
        dynamics=mean_over_frames(segments, picks_us, changes),
    )


def _clear(segments: Segments, at_us: Times, sights: Sequence[Sight]) -> NDArray[np.bool_]:
    told = [measures for sight in sights for measures in sight.measures]
    sharpness, luminance = (np.array([getattr(one, name) for one in told]) for name in ("sharpness", "luminance"))
    firsts, lasts = np.searchsorted(at_us, [segments.from_us, segments.to_us])
    least, unscored = least_sharpness(sharpness, luminance), np.zeros(len(at_us))
    chosen = choose_keyframes(at_us, sharpness, luminance, unscored, firsts, lasts, least_sharpness=least)
    return np.asarray(chosen >= 0)
