"""SumMe (Gygli, Grabner, Riemenschneider and Van Gool, ECCV 2014): 25 user videos, 15 to 18 people's summaries of each.

`GT/<video>.mat` holds `user_score`, frames × people: above 0 where a frame is in the person's summary. `video_duration` and `FPS`
tell the length. A person's summary is what the person chose; nothing is made of it by knapsack. Shots are of 2 s: the data set
tells none, and change points come with the preprocessed features.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from evaluation.datasets.summary_base import AnnotatedVideo, AnnotatedVideos, even_shots, find_films
from infra.errors import ConfigurationError

LAYOUT = "SumMe"
FOLDER = "GT"
SHOT_S = 2.0


def summe_files(folder: Path) -> list[Path]:
    """Annotation files of a data set's folder, or of its `GT` itself."""
    if not folder.is_dir():
        return []
    within = folder if folder.name == FOLDER else folder / FOLDER
    return sorted(path for path in within.glob("*.mat") if not path.name.startswith(".")) if within.is_dir() else []


def read_summe(folder: Path, films: Path | None = None) -> AnnotatedVideos:
    """Read the people's summaries, and where the videos are, `<name>.mp4`.

    Raises:
        ConfigurationError: there is no annotation file, one is not of the published form, or no video is in `films`.
    """
    files = summe_files(folder)
    if not files:
        raise ConfigurationError(f"{folder.name} has no {FOLDER}/*.mat; give the folder of SumMe")
    there = find_films(films, [file.stem for file in files])
    videos = [_read(file, there.get(file.stem)) for file in files]
    notes = [f"Shots: {SHOT_S:g} s each; the data set tells none."]
    if films is not None:
        notes.append(f"Videos: {len(there)} of {len(videos)} are there.")
    name = folder.parent.name if folder.name == FOLDER else folder.name
    return AnnotatedVideos(name, LAYOUT, "max", tuple(videos), tuple(notes))


def _read(file: Path, source: Path | None) -> AnnotatedVideo:
    try:
        held: dict[str, Any] = loadmat(str(file), variable_names=["user_score", "video_duration", "FPS", "nFrames"])
        scores = np.asarray(held["user_score"], dtype=np.float32)
        frames = scores.shape[0]
        rate_hz = float(np.asarray(held["FPS"]).ravel()[0]) if "FPS" in held else 0.0
        seconds = float(np.asarray(held["video_duration"]).ravel()[0]) if "video_duration" in held else frames / rate_hz
        rate_hz = rate_hz or frames / seconds
    except (OSError, KeyError, ValueError, IndexError, ZeroDivisionError, NotImplementedError, MatReadError) as error:
        raise ConfigurationError(f"{file.name} is no annotation file of SumMe ({error}); get it again") from None
    summaries = scores.T > 0
    # Nobody is asked to summarise by choosing nothing: such a column is a person who did not take part.
    summaries = summaries[summaries.any(axis=1)]
    return AnnotatedVideo(file.stem, seconds, None, summaries, even_shots(frames, rate_hz, SHOT_S), source=source)
