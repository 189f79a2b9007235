"""The preprocessed form of TVSum and SumMe that most published methods are measured on (Zhang, Chao, Sha and Grauman, ECCV
2016; files `eccv16_dataset_tvsum_google_pool5.h5`, `eccv16_dataset_summe_google_pool5.h5`).

Each video is a group: `features` (P, D) of the frames `picks`, `n_frames`, `change_points` (S, 2) by kernel temporal segmentation
(first and last frame, both included), `user_summary` (A, N) of 0 and 1, and often `video_name`. People's summaries of TVSum were made
there from their scores by knapsack over these segments; the scores themselves are not in the file. Where TVSum's own annotation
file is beside it, scores come from there and shots and features from here.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from evaluation.datasets.summary_base import (
    AnnotatedVideo,
    AnnotatedVideos,
    Features,
    Reduction,
    find_films,
    shots_between,
)
from infra.errors import ConfigurationError

LAYOUT = "preprocessed features and change points"
FIELDS = ("features", "picks", "n_frames", "change_points", "user_summary")
SUMME = "summe"
RATE_HZ = 30.0


def feature_file(folder: Path) -> Path | None:
    """A file of this form: the path itself, or the one in the folder at any depth; raises where there are several."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.h5"))
    held = [file for file in files if _is_ours(file)]
    if len(held) > 1:
        raise ConfigurationError(f"{folder.name} holds {', '.join(file.name for file in held)}; give one of the files")
    return held[0] if held else None


def read_features(file: Path, beside: AnnotatedVideos | None = None, films: Path | None = None) -> AnnotatedVideos:
    """Read the videos; with the annotations of TVSum `beside` it, people's scores from those.

    Raises:
        ConfigurationError: the file is not of this form, or its videos are not the annotated ones.
    """
    reduction: Reduction = "max" if SUMME in file.name.lower() else "mean"
    try:
        with h5py.File(file) as held:
            names = sorted(held, key=lambda name: (len(name), name))
            videos = [_read(held[name], name) for name in names]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ConfigurationError(f"{file.name} is not of the preprocessed form ({error}); get it again") from None
    notes = [
        f"Shots: the file's change points. F1 against several people: their {reduction}, by the file's name.",
        f"Lengths: the file tells no times; {RATE_HZ:g} frames a second are assumed.",
    ]
    if beside is not None:
        videos = [_merged(video, beside) for video in videos]
        notes = [
            notes[0],
            "People's scores and lengths: the annotation file's; videos are matched by their number of frames.",
        ]
    there = find_films(films, [video.video_id for video in videos])
    videos = [replace(video, source=there.get(video.video_id)) for video in videos]
    return AnnotatedVideos(file.stem, LAYOUT, reduction, tuple(videos), tuple(notes))


def _is_ours(file: Path) -> bool:
    if not file.is_file() or not h5py.is_hdf5(file):
        return False
    try:
        with h5py.File(file) as held:
            first = next(iter(held.values()), None)
            return isinstance(first, h5py.Group) and all(field in first for field in FIELDS)
    except (OSError, RuntimeError, KeyError):  # cut short, or locked
        return False


def _read(group: Any, key: str) -> AnnotatedVideo:
    frames = int(np.asarray(group["n_frames"]).ravel()[0])
    name = key
    if "video_name" in group:
        told = group["video_name"][()]
        name = told.decode("utf-8") if isinstance(told, bytes) else str(told)
    summaries = np.asarray(group["user_summary"]) > 0
    if summaries.ndim != 2 or summaries.shape[1] != frames:
        raise ValueError(f"{key} has {frames} frames and summaries of {summaries.shape}")
    picks = np.asarray(group["picks"], dtype=np.int64).ravel()
    features = Features(picks, np.asarray(group["features"], dtype=np.float32))
    shots = shots_between(np.asarray(group["change_points"], dtype=np.int64), frames, key)
    return AnnotatedVideo(name, frames / RATE_HZ, None, summaries, shots, features)


def _merged(video: AnnotatedVideo, beside: AnnotatedVideos) -> AnnotatedVideo:
    same = [one for one in beside.videos if one.frames == video.frames]
    if len(same) != 1:
        raise ConfigurationError(
            f"{video.video_id} has {video.frames} frames, as {len(same)} videos of {beside.name} have; keep the files in two "
            "folders if they are of different videos"
        )
    (one,) = same
    # Summaries are made again from the scores, over these shots: each person's tie is broken in the same way.
    return replace(video, video_id=one.video_id, seconds=one.seconds, importance=one.importance, summaries=None)
