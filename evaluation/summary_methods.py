"""What our methods make of annotated videos, from their pictures or from the features that a file brings along."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from evaluation.datasets.summary_base import AnnotatedVideo, AnnotatedVideos
from evaluation.summary_choices import OWN, weighings
from evaluation.summary_columns import (
    Floats,
    Judged,
    feature_columns,
    judge_by_itself,
    measure_segments,
    usual_picture,
)
from evaluation.summary_sights import Encoders, LookSettings, film_of, look_at
from infra.errors import ConfigurationError
from models.summary.scores import Columns, combine, robust_scale
from models.summary.segments import Segments

Progress = Callable[[str, float, float], None]

MOST_MISSING = 0.02
"""Share of a video's frames by which the file may differ from the annotations: decoders disagree at its end."""


def score_shots(
    data: AnnotatedVideos,
    look: LookSettings,
    by: Encoders,
    cache: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> tuple[AnnotatedVideos, dict[str, dict[str, Floats]], tuple[str, ...]]:
    """Score the shots of those videos that can be looked at.

    Each is a camera's first day: nothing is known but itself. Where neither videos nor features are there, nothing is
    scored and all videos stay.

    Returns:
        The videos that are measured, by video id and method the value of each shot, and what is to be said of them.

    Raises:
        ConfigurationError: a video cannot be read, or is another than the annotated one.
    """
    seen = tuple(video for video in data.videos if video.source is not None)
    seen = seen or tuple(video for video in data.videos if video.features is not None)
    if not seen:
        return data, {}, ("No video and no features are there: nothing of ours is measured.",)
    told, how = {}, ""
    for number, video in enumerate(seen):

        def share(part: float, number: int = number) -> None:
            progress("look", number + part, len(seen))

        if video.source is not None:
            raw, how = (
                _from_pictures(video, look, by, cache, share),
                "pictures of the videos, each as a camera's first day",
            )
        elif video.features is not None:
            raw = {"": feature_columns(video.shots, video.features, video.seconds, look)}
            how = "the file's features: anomaly and entropy are not told by them"
        told[video.video_id] = _values(raw, look)
    progress("look", len(seen), len(seen))
    # What no video tells is no method.
    empty = {name for name in next(iter(told.values())) if not any(values[name].any() for values in told.values())}
    scores = {
        video_id: {name: values for name, values in by_method.items() if name not in empty}
        for video_id, by_method in told.items()
    }
    weighed = ", ".join(f"{one.name} {getattr(look.weights, one.name):g}" for one in fields(look.weights))
    remarks = [f"Ours: columns from {how}; `{OWN}`: {weighed}; the others one column each."]
    if len(seen) < len(data.videos):
        remarks.append(f"Measured: the {len(seen)} of {len(data.videos)} videos that can be looked at.")
    return replace(data, videos=seen), scores, tuple(remarks)


def _from_pictures(
    video: AnnotatedVideo, look: LookSettings, by: Encoders, cache: Path | None, progress: Callable[[float], None]
) -> Mapping[str, Columns]:
    """By head."""
    assert video.source is not None  # the caller's choice
    film = film_of(video.source)
    if abs(len(film.index) - video.frames) > max(2, MOST_MISSING * video.frames):
        raise ConfigurationError(
            f"{video.source.name} has {len(film.index)} frames, the annotations of it {video.frames}; it is another video"
        )
    sight = look_at(film, look, by, cache, progress)
    bounds_us = np.rint(video.shots * (film.index.extent_us / video.frames)).astype(np.int64)
    numbers = np.arange(len(video.lengths), dtype=np.int64)
    begins = np.where(numbers == 0, "recording", "length")
    segments = Segments(np.zeros_like(numbers), numbers, bounds_us[:-1], bounds_us[1:], begins)
    judged = Judged(sight, {head.spec.name: judge_by_itself([sight], look, head)[0] for head in by.heads})
    return measure_segments([judged], segments, look, usual_picture([sight])).raw


def _values(raw: Mapping[str, Columns], look: LookSettings) -> dict[str, Floats]:
    scaled = {head: robust_scale(columns) for head, columns in raw.items()}
    return {method: combine(scaled[one.head], one.weights) for method, one in weighings(look, list(raw)).items()}
