"""From a path to annotated videos, whatever their layout."""

from pathlib import Path

from evaluation.datasets.summary_base import AnnotatedVideos
from evaluation.datasets.summary_features import feature_file, read_features
from evaluation.datasets.summe import read_summe, summe_files
from evaluation.datasets.tvsum import read_tvsum, tvsum_file
from infra.errors import ConfigurationError

LAYOUTS = (
    "TVSum: ydata-tvsum50.mat",
    "SumMe: GT/*.mat",
    "preprocessed features: eccv16_dataset_tvsum_google_pool5.h5, eccv16_dataset_summe_google_pool5.h5",
)


def is_annotated(path: Path) -> bool:
    """Whether people's summaries are there."""
    path = path.expanduser().resolve()
    return path.exists() and bool(tvsum_file(path) or summe_files(path) or feature_file(path))


def read_annotated(path: Path, films: Path | None = None) -> AnnotatedVideos:
    """Read people's summaries; the layout is found out.

    Args:
        path: a folder, or one of the files.
        films: folder of the videos themselves; None: annotations alone.

    Raises:
        ConfigurationError: the layout is not known (the message lists those that are), or a file is wrong.
    """
    path = path.expanduser().resolve()
    films = None if films is None else films.expanduser().resolve()
    if not path.exists():
        raise ConfigurationError(f"there is no {path}; give the folder of the data set")
    features, scores = feature_file(path), tvsum_file(path)
    if features is not None:
        beside = None if scores is None else read_tvsum(scores)
        return read_features(features, beside, films)
    if scores is not None:
        return read_tvsum(scores, films)
    if summe_files(path):
        return read_summe(path, films)
    raise ConfigurationError(f"{path} has no layout that is understood: {'; '.join(LAYOUTS)}")
