"""The pictures of a published day: cut from its recordings, scaled, captioned and written as videos.

Each recording is decoded once for all that is shown of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture, Rgb, Size
from footage.regions import WHOLE
from footage.sheets import draw_caption
from footage.writing import Chapter, Encoding, VideoWriter
from infra.errors import AfterwatchError
from infra.settings import SummaryTable
from tasks.plan import Recording
from workspace.footage_files import refuse_replaced
from workspace.opened import Workspace

SUMMARY = "summary.mp4"


@dataclass(frozen=True)
class Cut:
    """A span of a recording that goes into a video; `at_us` is its place there."""

    video: str
    from_us: int
    to_us: int
    at_us: int = 0


class ShownPictures:
    """What of a day's recordings is shown.

    Args:
        workspace: the site.
        folder: of the published day.
        decode_threads: threads of the decoder.
    """

    def __init__(self, workspace: Workspace, folder: Path, decode_threads: int) -> None:
        self._workspace, self._folder, self._threads = workspace, folder, decode_threads
        self._settings: SummaryTable = workspace.settings.summary
        self._sizes: dict[str, Size] = {}
        self.stills: dict[str, Rgb] = {}

    def feed(
        self,
        recording: Recording,
        index: FrameIndex,
        cuts: Sequence[Cut],
        stills: Sequence[tuple[int, str]],
        videos: dict[str, VideoWriter],
    ) -> None:
        """Decode a recording once and write what its cuts show; pictures of `stills`, by time and name, are kept."""
        shown = {cut: set(self._pictures_of(cut, index).tolist()) for cut in cuts}
        at = {name: int(index.on_display(np.array([t_us]))[0]) for t_us, name in stills}
        wanted = np.array(sorted(set().union(*shown.values(), (i for i in at.values() if i >= 0))), dtype=np.int64)
        path = self._workspace.site.footage_root / recording.path
        for picture in decode(path, index, wanted, threads=self._threads):
            own_size = self._shown_size(picture)
            frame = self._captioned(picture, recording, own_size)
            for cut, indices in shown.items():
                if picture.index in indices:
                    size = self._sizes.setdefault(cut.video, own_size)
                    fitting = frame if size == own_size else self._captioned(picture, recording, size)
                    videos[cut.video].write(fitting, cut.at_us + max(0, picture.t_us - cut.from_us))
            self.stills |= {name: frame for name, wanted_index in at.items() if wanted_index == picture.index}
        refuse_replaced(self._workspace, recording.path, recording.recording_id)
        for cut in cuts:
            if videos[cut.video].frames == 0 and cut.video != SUMMARY:
                raise AfterwatchError(f"{recording.path}: no picture of {cut.video} can be decoded any more")

    def _pictures_of(self, cut: Cut, index: FrameIndex) -> NDArray[np.int64]:
        """Pictures of a cut, from the one on display at its beginning on, thinned to the proxies' rate."""
        first, last = np.searchsorted(index.t_us, [cut.from_us, cut.to_us])
        shown = int(index.on_display(np.array([cut.from_us]))[0])
        first = first if shown < 0 else min(int(first), shown)
        times = np.maximum(index.t_us[first:last] - cut.from_us, 0)
        cell = (times * self._settings.proxy_rate_hz / 1e6 + 1e-6).astype(np.int64)
        _, kept = np.unique(cell, return_index=True)
        return np.asarray(first + kept, dtype=np.int64)

    def _shown_size(self, picture: Picture) -> Size:
        height, width = picture.size
        scaled = max(2, min(self._settings.proxy_width, width) & ~1)
        return max(2, round(height * scaled / width) & ~1), scaled

    def _captioned(self, picture: Picture, recording: Recording, size: Size) -> Rgb:
        """The picture within `size`, black beside it where a camera's recordings differ in shape."""
        moment = recording.started_at + timedelta(microseconds=picture.t_us)
        local = moment.astimezone(self._workspace.settings.zone)
        return draw_caption(letterboxed(picture, size), f"{recording.place.camera}  {local:%Y-%m-%d %H:%M:%S}")

    def clock(self, moment: datetime) -> str:
        """Time of day in the site's zone."""
        return f"{moment.astimezone(self._workspace.settings.zone):%H:%M:%S}"

    def writer(self, name: str, title: str, chapters: Sequence[Chapter], end_us: int) -> VideoWriter:
        """A video of the day, still to be opened."""
        rate = Fraction(self._settings.proxy_rate_hz).limit_denominator(1000)
        encoding = Encoding(crf=27, preset="superfast", keyframe_every=round(2 * rate), rate_hz=rate)
        return VideoWriter(self._folder / name, encoding, title=title or None, chapters=chapters, end_us=end_us)


def letterboxed(picture: Picture, size: Size) -> Rgb:
    """uint8 (h, w, 3): the picture within `size`, black beside it where it has another shape."""
    height, width = picture.size
    scale = min(size[0] / height, size[1] / width)
    fits = abs(size[0] - height * scale) < 2 and abs(size[1] - width * scale) < 2
    inner = size if fits else (max(1, round(height * scale)), max(1, round(width * scale)))
    small = picture.view(WHOLE, inner)
    above, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    return np.pad(small, ((above, size[0] - inner[0] - above), (left, size[1] - inner[1] - left), (0, 0)))
