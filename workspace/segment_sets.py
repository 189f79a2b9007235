"""Videos of which it is known when they show an anomaly (row V1), and their segments with vectors and truth.

Two ways to tell:

- annotations, `{"video.mp4": [{"start": 3, "end": 13}]}`, seconds from a video's first picture; a video is named by its
  path below the folder, or by its file's name where that is one of a kind there. A video with an empty list is normal.
- a folder for each class, one of them the normal one: a clip of any other class is anomalous from end to end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from footage.index import MICROSECONDS
from footage.probe import content_hash, probe
from infra.errors import ConfigurationError, FootageError, UnknownNameError
from models.encoders.base import EncoderSpec
from models.heads.segment_training import SegmentSamples
from models.metrics import Spans, merge_spans
from workspace.clip_rows import FRAME_RATE_HZ
from workspace.clip_sets.base import ClipSet, LabelledClip, Progress, counted, pattern_source, video_files
from workspace.clip_sets.read import read_clip_set
from workspace.clip_sets.sources import with_sources
from workspace.clip_vectors import ClipWindows, Inputs, inputs_of
from workspace.clips import VIDEOS
from workspace.segment_annotations import Annotations, read_segment_annotations

Unlisted = Literal["left-out", "normal"]

FRAMES = 32
"""Pictures of a segment, at a video's own rate, where no snippet decides (S3)."""
MOST_FRAMES = 1024
SEEN = 4
"""Pictures of a segment that frame encoders see."""
OVERLAP = 0.5
ENDS_LATE_S = 0.5
"""By so much a span may reach over a video's end without a word: annotations are told in whole seconds."""
NEAR = 1.5
"""Strides between the starts of two segments below which they are neighbours."""


@dataclass(frozen=True, eq=False)
class SegmentVideos:
    """Videos, and when each of them shows an anomaly.

    Attributes:
        videos: in order of name; the label of each is its name.
        spans_us: of each, int64 (S, 2), half open, in order and disjoint, since its first picture; none: normal.
        layout: `annotations`, or what the data set's reader calls its layout.
        left_out: what could not be used, in words.
        folder: below which names are paths; None where they are none.
    """

    videos: tuple[LabelledClip, ...]
    spans_us: tuple[Spans, ...]
    layout: str
    left_out: tuple[str, ...] = ()
    folder: Path | None = None

    def __post_init__(self) -> None:
        names = [video.name for video in self.videos]
        if len(self.spans_us) != len(names) or len(set(names)) < len(names):
            raise ValueError(f"{len(names)} videos, each of another name, have spans each, got {len(self.spans_us)}")

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def anomalous(self) -> NDArray[np.bool_]:
        """bool (V,): which videos show an anomaly."""
        return np.array([len(spans) > 0 for spans in self.spans_us], dtype=np.bool_)

    def as_clips(self) -> ClipSet:
        """For what looks at clips: each video a class of its own, since encoders do not ask what is shown.

        Raises:
            ConfigurationError: there are fewer than two videos.
        """
        if len(self) < 2:
            first = f"; left out: {self.left_out[0]}" if self.left_out else ""
            raise ConfigurationError(f"{len(self)} videos can be used, and three parts need three at least{first}")
        clips = tuple(replace(video, label=video.name) for video in self.videos)
        names = tuple(clip.name for clip in clips)
        return ClipSet(clips, names, None, "folders", self.left_out, self.folder)

    def within(self, clip_set: ClipSet) -> "SegmentVideos":
        """Those that are still in what `as_clips` gave, with its sources, and all that was left out."""
        spans = {video.name: one for video, one in zip(self.videos, self.spans_us, strict=True)}
        found = tuple(spans[clip.name] for clip in clip_set.clips)
        return SegmentVideos(clip_set.clips, found, self.layout, clip_set.left_out, self.folder)

    def numbered(self, names: Iterable[str]) -> "SegmentVideos":
        """Some of them, by name, in order."""
        wanted = set(names)
        kept = [number for number, video in enumerate(self.videos) if video.name in wanted]
        videos, spans = tuple(self.videos[number] for number in kept), tuple(self.spans_us[number] for number in kept)
        return replace(self, videos=videos, spans_us=spans)

    def telling(self, left_out: Sequence[str]) -> "SegmentVideos":
        """The same videos, with more to tell of what is not among them."""
        return replace(self, left_out=(*self.left_out, *left_out))


@dataclass(frozen=True, eq=False)
class AnnotatedSegments:
    """Segments of videos, as a head is trained on them.

    Attributes:
        videos: those that have segments.
        samples: vectors and truth; `samples.video` numbers `videos`.
        from_us, to_us: int64 (M,), span of each segment within its video.
        lost: windows that were dropped because an encoder saw nothing there.
        short: annotated spans that lie in no anomalous segment, in words: their segments count as normal.
    """

    videos: SegmentVideos
    samples: SegmentSamples
    from_us: NDArray[np.int64]
    to_us: NDArray[np.int64]
    lost: int
    short: tuple[str, ...]


def read_segment_videos(
    folder: Path,
    annotations: Path | None = None,
    *,
    unlisted: str = "left-out",
    suffixes: Sequence[str] = VIDEOS,
    layout: str | None = None,
    source: str | None = None,
    sources: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> SegmentVideos:
    """Read a folder of videos.

    Args:
        folder: it.
        annotations: when its videos show an anomaly; None: a folder for each class.
        unlisted: what becomes of videos that the annotations do not name: `left-out`, or `normal`.
        suffixes: endings of videos, in lower case.
        layout: of folders of classes, see `read_clip_set`; None: found out.
        source: a regular expression that says a video's source; without annotations see `read_clip_set`. A video is its
            own source otherwise.
        sources: CSV of rows clip,source; see `with_sources`.
        progress: called with `clips`, those that were opened and all.

    Raises:
        ConfigurationError: there is no such folder, or no normal class, the annotations do not do, or fewer than two
            videos can be used.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give one that holds videos")
    if unlisted not in get_args(Unlisted):
        raise UnknownNameError("--unlisted", unlisted, get_args(Unlisted))
    if annotations is None:
        found = _of_classes(read_clip_set(folder, layout, suffixes=suffixes, source=source, progress=progress))
    elif layout is not None:
        raise ConfigurationError(f"--layout {layout} is of folders of classes; leave it out beside --annotations")
    else:
        told = read_segment_annotations(annotations)
        found = _annotated(folder, told, unlisted == "normal", suffixes, source, progress)
    clip_set = found.as_clips()
    return found if sources is None else found.within(with_sources(clip_set, sources))


def annotated_segments(
    videos: SegmentVideos, windows: ClipWindows, inputs: Inputs, overlap: float = OVERLAP
) -> AnnotatedSegments:
    """Windows of videos with their truth: a segment is anomalous where at least `overlap` of it lies in annotated spans.

    A span that is too short to make any segment anomalous is told in `short`, and in `left_out` of the videos.

    Args:
        videos: as `windows` were made of them.
        windows: of `videos.as_clips()`, or of some of them.
        inputs: what a window's vector is made of.
        overlap: share, above 0 and at most 1.

    Raises:
        ConfigurationError: the share is none.
    """
    if not 0 < overlap <= 1:
        raise ConfigurationError(f"the overlap is a share above 0 and at most 1, got {overlap:g}; correct it")
    kept = videos.within(windows.clip_set)
    shares = np.empty(len(windows.clip))
    short: list[str] = []
    first = np.searchsorted(windows.clip, np.arange(len(kept) + 1))
    for number, spans in enumerate(kept.spans_us):
        rows = slice(first[number], first[number + 1])
        shares[rows] = span_shares(windows.from_us[rows], windows.to_us[rows], spans)
        anomalous = np.stack([windows.from_us[rows], windows.to_us[rows]], axis=1)[shares[rows] >= overlap]
        alone = span_shares(spans[:, 0], spans[:, 1], merge_spans(anomalous)) == 0
        short += [
            f"{kept.videos[number].name} {begin / MICROSECONDS:g} to {end / MICROSECONDS:g} s"
            for begin, end in spans[alone].tolist()
        ]
    kept = kept.telling(
        counted(f"annotated spans that fill {100 * overlap:g} % of no segment and count as normal", short)
    )
    near = np.diff(windows.from_us) <= NEAR * inputs.stride_s * MICROSECONDS
    follows = np.append(False, (np.diff(windows.clip) == 0) & near)
    samples = SegmentSamples(windows.vectors, windows.clip, follows, shares >= overlap)
    return AnnotatedSegments(kept, samples, windows.from_us, windows.to_us, windows.lost, tuple(short))


def span_shares(from_us: NDArray[np.int64], to_us: NDArray[np.int64], spans: Spans) -> NDArray[np.float64]:
    """float64 (M,): the share of each segment, int64 (M,) starts and ends, that lies in disjoint spans (S, 2) in order.

    >>> span_shares(np.array([0, 4]), np.array([4, 8]), np.array([[3, 5], [6, 8]])).tolist()
    [0.25, 0.75]
    """
    common = _time_before(to_us, spans) - _time_before(from_us, spans)
    return np.asarray(common / (to_us - from_us), dtype=np.float64)


def _time_before(moments: NDArray[np.int64], spans: Spans) -> NDArray[np.int64]:
    """int64 (M,): the time of disjoint spans in order, int64 (S, 2), that lies before each moment."""
    begun = np.searchsorted(spans[:, 0], moments, side="right")
    whole = np.append(0, np.cumsum(spans[:, 1] - spans[:, 0]))[begun]
    # The last span that has begun may go on beyond the moment; of none that has, there is nothing to take off.
    ends = np.append(0, spans[:, 1])[begun]
    return np.asarray(whole - np.where(begun > 0, np.maximum(ends - moments, 0), 0), dtype=np.int64)


def segment_inputs(
    videos: SegmentVideos,
    specs: Sequence[EncoderSpec],
    *,
    frames: int = FRAMES,
    stride_s: float | None = None,
    frame_rate_hz: float | None = None,
) -> Inputs:
    """What a segment classifier looks at: see `inputs_of`, with segments of `frames` pictures where no snippet decides.

    Args:
        videos: whose rate counts, the median of theirs.
        specs: of the encoders, in order.
        frames: pictures of a segment at that rate; of snippet encoders a segment is a snippet.
        stride_s: time from one segment's start to the next's; None: a segment's length.
        frame_rate_hz: pictures of a second that frame encoders see; None: four of a segment of `frames`, or one a second
            where that is more.

    Raises:
        ConfigurationError: a number is out of its range, or the encoders do not do.
    """
    if not 1 <= frames <= MOST_FRAMES:
        raise ConfigurationError(f"a segment has 1 to {MOST_FRAMES} pictures, got {frames}; correct --frames")
    length_s = round(frames / float(np.median([video.index.rate_hz for video in videos.videos])), 6)
    rate_hz = max(FRAME_RATE_HZ, round(SEEN / length_s, 3)) if frame_rate_hz is None else frame_rate_hz
    of_frames = all(spec.kind == "frame" for spec in specs)
    return inputs_of(specs, window_s=length_s if of_frames else None, stride_s=stride_s, frame_rate_hz=rate_hz)


def _of_classes(clip_set: ClipSet) -> SegmentVideos:
    """Clips in folders of classes: anomalous from end to end but for those of the normal class."""
    if clip_set.normal is None:
        raise ConfigurationError(
            f"none of the classes {', '.join(clip_set.classes)} is the normal one; call its folder normal, or say with "
            "--annotations when videos show an anomaly"
        )
    spans = tuple(
        np.empty((0, 2), np.int64) if clip.label == clip_set.normal else np.array([[0, clip.index.extent_us]], np.int64)
        for clip in clip_set.clips
    )
    layout = f"{clip_set.layout}, {clip_set.normal} is normal"
    return SegmentVideos(clip_set.clips, spans, layout, clip_set.left_out, clip_set.folder)


def _annotated(
    folder: Path,
    annotations: Annotations,
    others_are_normal: bool,
    suffixes: Sequence[str],
    source: str | None,
    progress: Progress,
) -> SegmentVideos:
    files = {path.relative_to(folder).as_posix(): path for path in video_files(folder, suffixes)}
    named, problems = _named(files, annotations)
    wanted = sorted(files if others_are_normal else named)
    problems += counted("videos that the annotations do not name", sorted(set(files) - set(wanted)))
    videos: list[LabelledClip] = []
    spans: list[Spans] = []
    first: dict[str, str] = {}
    for number, name in enumerate(wanted, start=1):
        try:
            clip = _opened(name, files[name], source)
        except (OSError, FootageError) as error:
            problems.append(f"{name}: {getattr(error, 'strerror', None) or error}")
        else:
            told, cut = _within(name, annotations.get(named.get(name, ""), ()), clip.index.extent_us)
            problems += cut
            if clip.content in first:
                problems.append(f"{name}: the same bytes as {first[clip.content]}")
            else:
                first[clip.content] = name
                videos.append(clip)
                spans.append(told)
        progress("clips", number, len(wanted))
    return SegmentVideos(tuple(videos), tuple(spans), "annotations", tuple(problems), folder)


def _opened(name: str, path: Path, source: str | None) -> LabelledClip:
    said = name if source is None else pattern_source(name, source)
    return LabelledClip(name, path, name, said, content_hash(path), probe(path).index)


def _named(files: Mapping[str, Path], annotations: Annotations) -> tuple[dict[str, str], list[str]]:
    """By a video's path below the folder what the annotations call it, and those that are of no video."""
    paths: dict[str, list[str]] = {}
    for path in files:
        paths.setdefault(PurePosixPath(path).name, []).append(path)
    named: dict[str, str] = {}
    unknown = []
    for said in annotations:
        fitting = [said] if said in files else paths.get(said, [])
        if len(fitting) > 1:
            raise ConfigurationError(
                f"{len(fitting)} videos are called {said} ({', '.join(fitting[:2])}, …); name each by its path below the folder"
            )
        if not fitting:
            unknown.append(said)
        elif fitting[0] in named:
            raise ConfigurationError(f"{fitting[0]} is annotated twice, as {named[fitting[0]]} and {said}; keep one")
        else:
            named[fitting[0]] = said
    return named, counted("annotated videos that are not in the folder", unknown)


def _within(name: str, told: Sequence[tuple[float, float]], extent_us: int) -> tuple[Spans, list[str]]:
    """Spans of a video in microseconds, cut off at its end, and what was cut off."""
    problems, kept = [], []
    for start, end in told:
        length_s = extent_us / MICROSECONDS
        if start * MICROSECONDS >= extent_us:
            problems.append(f"{name}: {start:g} to {end:g} s is beyond its end, it is {length_s:.1f} s long")
            continue
        if end > length_s + ENDS_LATE_S:
            problems.append(f"{name}: {start:g} to {end:g} s is cut off at its end, it is {length_s:.1f} s long")
        begin_us, end_us = round(start * MICROSECONDS), min(round(end * MICROSECONDS), extent_us)
        if begin_us < end_us:
            kept.append((begin_us, end_us))
    return merge_spans(np.array(kept, dtype=np.int64).reshape(-1, 2)), problems
