"""From a folder to labelled footage with what may be learned from: its layout is found out."""

from pathlib import Path

from evaluation.datasets.avenue import TEST, TRAIN, read_avenue
from evaluation.datasets.base import LabelledData
from evaluation.datasets.read import LAYOUTS, read_data
from evaluation.datasets.ucf_crime import ANNOTATION, read_ucf_crime
from evaluation.datasets.ucsd import is_ucsd, read_ucsd_split
from infra.errors import ConfigurationError

ALL_LAYOUTS = ("UCF-Crime: Temporal_Anomaly_Annotation*.txt and videos", "CUHK Avenue", *LAYOUTS)


def read_footage(folder: Path) -> LabelledData:
    """Read labelled footage, with the normal videos that a data set gives for training.

    Raises:
        ConfigurationError: the layout is not known (the message lists those that are), or the labels are wrong.
    """
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give the folder of the data set")
    if is_ucsd(folder) or any(path.is_dir() and is_ucsd(path) for path in sorted(folder.iterdir())):
        return read_ucsd_split(folder)
    if next(folder.rglob(ANNOTATION), None) is not None:
        return read_ucf_crime(folder)
    if any((folder / name).is_dir() for name in (*TRAIN, *TEST)):
        return read_avenue(folder)
    try:
        return read_data(folder)
    except ConfigurationError as error:
        if "has no layout that is understood" not in str(error):
            raise
        raise ConfigurationError(f"{folder} has no layout that is understood: {'; '.join(ALL_LAYOUTS)}") from None
