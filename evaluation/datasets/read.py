"""From a folder to labelled data, whatever its layout."""

from pathlib import Path

from evaluation.datasets.base import LabelledData
from evaluation.datasets.campaign import camera_folders, read_campaign
from evaluation.datasets.synthetic import read_synthetic
from evaluation.datasets.ucsd import is_ucsd, read_ucsd
from footage.synthetic.truth import TRUTH_FILE
from infra.errors import ConfigurationError

LAYOUTS = (
    "recordings of a fixed camera with labels.json beside them, or a folder of such cameras",
    "UCSD Ped1 or Ped2: Test/Test001/001.tif … with labels.json, Test/UCSDped2.m or masks",
    "a rendered campaign with truth.json",
)


def read_data(folder: Path) -> LabelledData:
    """Read labelled footage; its layout is found out.

    Raises:
        ConfigurationError: the layout is not known (the message lists those that are), or the labels are wrong.
    """
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give the folder of the data set")
    if (folder / TRUTH_FILE).is_file():
        return read_synthetic(folder)
    if is_ucsd(folder):
        return read_ucsd(folder)
    if camera_folders(folder):
        return read_campaign(folder)
    raise ConfigurationError(f"{folder} has no layout that is understood: {'; '.join(LAYOUTS)}")
