"""TVSum (Song, Vallmitjana, Stent and Jaimes, CVPR 2015): 50 videos of YouTube, 20 people's importance of every 2 seconds.

`ydata-tvsum50.mat` (MATLAB 7.3) holds for each video its name, length in seconds, number of frames, and the importance from
1 to 5 that each person gave each frame. People were shown shots of 2 s: scores change only where a shot begins, and those are
the shots here. The rate that shots are counted in is the one of the usual rates, or frames by length, that leaves the fewest
changes of a score inside a shot.
"""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.summary_base import AnnotatedVideo, AnnotatedVideos, Bounds, even_shots, find_films
from infra.errors import ConfigurationError

FILE = "ydata-tvsum50.mat"
LAYOUT = "TVSum"
TABLE = "tvsum50"
FIELDS = ("video", "length", "nframes", "user_anno")
SHOT_S = 2.0
RATES_HZ = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0)
LEAST, MOST = 1, 5
"""What a person may have said."""


def tvsum_file(folder: Path) -> Path | None:
    """The annotation file: the path itself, or in the folder at any depth."""
    if folder.is_file():
        return folder if folder.suffix == ".mat" and h5py.is_hdf5(folder) else None
    return next(iter(sorted(folder.rglob(FILE))), None)


def read_tvsum(file: Path, films: Path | None = None) -> AnnotatedVideos:
    """Read the annotations, and where the videos are, `<name>.mp4`.

    Raises:
        ConfigurationError: the file is not of the published form, or no video is in `films`.
    """
    try:
        with h5py.File(file) as held:
            told = [_told(held, number) for number in range(len(held[TABLE]["video"]))]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise ConfigurationError(f"{file.name} is no annotation file of TVSum ({error}); get {FILE} again") from None
    there = find_films(films, [name for name, _, _ in told])
    videos, off = [], 0
    for name, seconds, importance in told:
        shots, beside = shown_shots(importance, seconds)
        off += beside
        videos.append(AnnotatedVideo(name, seconds, importance, None, shots, source=there.get(name)))
    changes = sum(len(changes_of(video.importance)) for video in videos if video.importance is not None)
    notes = [
        f"Shots: the {SHOT_S:g} s that people were shown; of {changes} places where somebody's score changes, {off} lie "
        "inside such a shot."
    ]
    if films is not None:
        notes.append(f"Videos: {len(there)} of {len(videos)} are there.")
    return AnnotatedVideos(file.parent.name, LAYOUT, "mean", tuple(videos), tuple(notes))


def shown_shots(importance: NDArray[np.float32], seconds: float) -> tuple[Bounds, int]:
    """The shots that people were shown, and how many changes of a score lie inside one."""
    frames, changes = importance.shape[1], changes_of(importance)
    tried = []
    for rate_hz in (*RATES_HZ, frames / seconds):
        shots = even_shots(frames, rate_hz, SHOT_S)
        tried.append((int(np.count_nonzero(~np.isin(changes, shots))), abs(rate_hz - frames / seconds), shots))
    off, _, shots = min(tried, key=lambda one: one[:2])
    return shots, off


def changes_of(importance: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 (C,): frames at which somebody's score is another than at the frame before."""
    return np.flatnonzero((np.diff(importance, axis=1) != 0).any(axis=0)) + 1


def _told(held: Any, number: int) -> tuple[str, float, NDArray[np.float32]]:
    """Name, seconds and importance (A, N) of one video."""
    name, length, frames, annotated = (np.asarray(held[held[TABLE][field][number, 0]]) for field in FIELDS)
    video_id, count = "".join(map(chr, name.ravel().tolist())), int(frames.ravel()[0])
    if annotated.ndim != 2 or annotated.shape[1] != count:
        raise ValueError(f"{video_id} has {count} frames and scores of {annotated.shape}")
    if not (annotated.min() >= LEAST and annotated.max() <= MOST):
        raise ValueError(f"{video_id} has scores outside of {LEAST} to {MOST}")
    seconds = float(length.ravel()[0])
    if not 0 < seconds < math.inf:
        raise ValueError(f"{video_id} lasts {seconds:g} s; a video lasts longer than 0 s")
    return video_id, seconds, annotated.astype(np.float32)
