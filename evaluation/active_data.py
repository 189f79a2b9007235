"""Labelled footage for active learning: of fixed cameras, or clips in a folder for each class."""

from pathlib import Path

from evaluation.datasets.anomalies_read import read_footage
from evaluation.datasets.base import LabelledData, LabelledVideo
from infra.errors import ConfigurationError
from workspace.clip_sets.base import ClipSet
from workspace.clip_sets.read import read_clip_set
from workspace.clip_sets.sources import with_sources

NOT_FOOTAGE = "has no layout that is understood"
"""What `read_footage` says of a folder that may hold clips by class."""


def read_labelled(folder: Path, sources: Path | None = None) -> LabelledData:
    """Read labelled footage of cameras; of a folder without it, clips by class, relevant from beginning to end where theirs
    is not the normal class.

    Args:
        folder: of the data set.
        sources: CSV of rows clip,source: clips of one source are never parted. Of clips by class only.

    Raises:
        ConfigurationError: the folder is neither, or what it holds cannot be used.
    """
    folder = folder.expanduser().resolve()
    if sources is None:
        try:
            return read_footage(folder)
        except ConfigurationError as error:
            if NOT_FOOTAGE not in str(error) or not folder.is_dir():
                raise
            try:
                return _of_clips(folder, read_clip_set(folder))
            except ConfigurationError as other:
                raise ConfigurationError(f"{error}; nor is it clips in a folder for each class: {other}") from None
    return _of_clips(folder, with_sources(read_clip_set(folder), sources))


def _of_clips(folder: Path, clips: ClipSet) -> LabelledData:
    if clips.normal is None:
        raise ConfigurationError(
            f"{folder.name} has no normal class among {', '.join(clips.classes)}; what is asked needs a yes and a no: call the "
            "folder of the clips without an event normal"
        )
    classes = [name for name in clips.classes if name != clips.normal]
    ends_us: dict[str, int] = {}
    videos = []
    for clip in clips.clips:
        # Nothing is told of when a clip was taken; of one source they lie end to end.
        begin = ends_us.get(clip.source, 0)
        ends_us[clip.source] = begin + clip.index.extent_us
        videos.append(
            LabelledVideo(
                video_id=clip.name,
                campaign=folder.name,
                camera=clip.source,
                day="",
                unit=clip.name,
                source=clip.path,
                content=clip.content,
                index=clip.index,
                relevant=() if clip.label == clips.normal else ((0, len(clip.index)),),
                group=clip.source,
                starts_at_us=begin,
            )
        )
    layout = f"clips in a folder for each class, {len(ends_us)} sources"
    return LabelledData(
        folder.name, layout, " or ".join(classes), tuple(videos), dict.fromkeys(ends_us, ()), clips.left_out
    )
