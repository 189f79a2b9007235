"""Between times and pictures, and between regions and their outlines: what formats of pictures need to know."""

import numpy as np

from footage.index import FrameIndex
from footage.regions import WHOLE, Point
from infra.errors import ConfigurationError
from lake.labels import UseCase
from lake.ledger import Ledger
from workspace.indexes import load_index
from workspace.known_recordings import KnownRecording
from workspace.opened import Workspace
from workspace.regions import region_versions


class Frames:
    """Frame indexes of recordings, each read once."""

    def __init__(self, workspace: Workspace) -> None:
        self._store = workspace.store
        self._read: dict[str, FrameIndex] = {}

    def of(self, recording: KnownRecording) -> FrameIndex:
        """The frame index of a recording.

        Raises:
            ConfigurationError: the lake holds none.
        """
        if recording.recording_id not in self._read:
            try:
                self._read[recording.recording_id] = load_index(self._store, recording.recording_id)
            except FileNotFoundError:
                raise ConfigurationError(
                    f'the lake has no frame index of {recording.path}; run "afterwatch run", or use CSV with seconds'
                ) from None
        return self._read[recording.recording_id]


def frames_of(index: FrameIndex, from_us: int, to_us: int) -> tuple[int, int]:
    """First picture on display in `[from_us, to_us)`, and the one after the last."""
    first, last = np.searchsorted(index.t_us, [from_us, to_us - 1], side="right") - 1
    return int(first), int(last) + 1


def times_of(index: FrameIndex, first: int, end: int) -> tuple[int, int]:
    """When the pictures `[first, end)` are on display: from the first's time to the end of the last one's."""
    last_us = int(index.t_us[end - 1])
    next_us = int(index.t_us[end]) if end < len(index) else index.extent_us
    return int(index.t_us[first]), min(next_us, last_us + index.hold_us)


class Outlines:
    """The newest outline that was ever said of a region; one that was taken back still has labels."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._cameras: dict[str, dict[str, tuple[Point, ...]]] = {}

    def of(self, use_case: UseCase) -> tuple[Point, ...]:
        """Corners in fractions of the picture; the whole picture where nobody ever drew the region."""
        if use_case.camera not in self._cameras:
            said = region_versions(self._ledger, use_case.camera)
            self._cameras[use_case.camera] = {
                version.name: version.region.outline for version in said if version.region is not None
            }
        return self._cameras[use_case.camera].get(use_case.region, WHOLE.outline)
