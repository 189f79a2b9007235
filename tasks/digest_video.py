"""The video of a digest: pictures of the cameras' published summaries, one after the other, at one size.

Time and camera are burnt in there already.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from footage.decode import decode
from footage.pictures import Size
from footage.writing import Chapter, Encoding, VideoWriter
from infra.settings import SummaryTable
from tasks.camera_summaries import CameraEntry, ShownVideo
from tasks.shown_pictures import letterboxed


class DigestVideo:
    """Writes the video of a digest; used as a context manager, as `VideoWriter` is.

    Args:
        path: of the video.
        size: height and width of its pictures; black beside those of another shape.
        settings: of summaries: rate and width.
        title: of the video.
        chapters: one for each segment; the last one's end is the video's.
        threads: of the decoder; 0 for one per core.
    """

    def __init__(
        self, path: Path, size: Size, settings: SummaryTable, title: str, chapters: Sequence[Chapter], threads: int
    ) -> None:
        rate = Fraction(settings.proxy_rate_hz).limit_denominator(1000)
        encoding = Encoding(crf=27, preset="superfast", keyframe_every=round(2 * rate), rate_hz=rate)
        self._writer = VideoWriter(path, encoding, title=title, chapters=chapters, end_us=chapters[-1].to_us)
        self._size, self._threads = size, threads

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return self._writer.__exit__(kind, error, trace)

    def show(self, video: ShownVideo, entry: CameraEntry, at_us: int) -> None:
        """Write an entry of a camera's summary at `at_us` of the digest."""
        for picture in decode(video.path, video.index, video.pictures(entry), threads=self._threads):
            since_us = int(video.t_us[picture.index]) - entry.at_us
            self._writer.write(letterboxed(picture, self._size), at_us + since_us)
