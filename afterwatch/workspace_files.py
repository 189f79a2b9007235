"""The files of a new workspace."""

import os
from pathlib import Path

from infra.errors import ConfigurationError
from infra.settings import SETTINGS_FILE
from infra.table import NAME

TEMPLATE = """# Settings of this Afterwatch workspace; docs/settings.md explains every one of them.

# lake = "s3://bucket/prefix"   # an object store; keys without a table stand before the first one

[site]
name = "{name}"
time_zone = "UTC"

[footage]
root = "footage"                # recordings: footage/<campaign>/<camera>/<start, UTC: 2026-03-02T08-00-00>.mp4
pattern = "{{campaign}}/{{camera}}/{{start:%Y-%m-%dT%H-%M-%S}}"

[sampling]
policy = "rate"                 # or "every_nth" with n, or "key_frames"
rate_hz = 1.0

[[encoders]]
name = "handcrafted/appearance"

[[encoders]]
name = "handcrafted/motion"

# [[encoders]]
# name = "open_clip/ViT-B-32/laion2b_s34b_b79k"   # weights: afterwatch weights add --help

[novelty]
detector = "knn"                # distance to the nearest past; or "lof", the Local Outlier Factor
alarms_per_night = 3.0          # per camera

[summary]
budget_s = 60.0                 # per camera and day

[schedule]
cron = "0 1 * * *"
# until = 06:00:00

[cluster]
# address = "tcp://scheduler:8786"   # an existing Dask scheduler; without one, a local cluster is started
"""


def make_workspace(path: Path) -> Path:
    """Make a workspace.

    Raises:
        ConfigurationError: there is one already, or the folder cannot be made.
    """
    root = path.expanduser().resolve()
    if (root / SETTINGS_FILE).exists():
        raise ConfigurationError(f"{root} is a workspace already; edit {SETTINGS_FILE}, or name another folder")
    try:
        for folder in ("footage", "weights"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / SETTINGS_FILE).write_text(TEMPLATE.format(name=root.name.replace('"', "")), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{root} cannot be made: {error.strerror}") from None
    return root


def link_footage(root: Path, footage: Path, campaign: str) -> None:
    """Link a folder of recordings into a workspace as a campaign; the recordings stay where they are.

    Raises:
        ConfigurationError: there is no such folder, or the campaign's name is taken or unusable.
    """
    check_link(footage, campaign)
    link = root / "footage" / campaign
    if link.is_symlink() and link.resolve() == footage.resolve():
        return
    if link.exists() or link.is_symlink():
        raise ConfigurationError(f"{link} is there already and is not {footage}; choose another --campaign or folder")
    os.symlink(footage.resolve(), link, target_is_directory=True)


def check_link(footage: Path, campaign: str) -> None:
    """See that a folder can be linked in, before anything is made.

    Raises:
        ConfigurationError: there is no such folder, or the campaign's name is unusable.
    """
    if not footage.is_dir():
        raise ConfigurationError(f"there is no folder {footage}; --footage takes one with <camera>/<start>.mp4 in it")
    if not NAME.fullmatch(campaign):
        raise ConfigurationError(
            f'"{campaign}" cannot name a campaign: use letters, digits, space, ".", "_" and "-", 64 at most'
        )
