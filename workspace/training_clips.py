"""Clips that a projection is trained on: of a folder with a folder for each class, or of a campaign's normal footage.

A sample is a window of a clip, half as long again as the encoder's snippet at most, so that a view of it may lie anywhere
in it and run faster or slower.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from footage.index import MICROSECONDS, FrameIndex
from footage.probe import content_hash, probe
from footage.regions import WHOLE, Region
from infra.errors import ConfigurationError, FootageError, UnknownNameError
from lake.verdicts import Stretch, judged_stretches
from models.encoders.base import EncoderSpec
from workspace.clip_sets.base import pattern_source, video_files, visible
from workspace.clip_sets.folders import below_class_source
from workspace.indexes import load_index
from workspace.known_recordings import KnownRecording, KnownRecordings, check_known
from workspace.opened import Workspace

Spans = tuple[tuple[int, int], ...]
Progress = Callable[[str, float, float], None]

WINDOW_SNIPPETS = 1.5
"""Length of a window in snippets: what a view at the fastest rate takes."""
FRAME_WINDOW_S = 2.0
"""Length of a window for encoders of single pictures."""
FEWEST_RECORDINGS = 5
"""Recordings of a camera below which each is cut into as many stretches, to hold some of them out."""
GAP_S = 5.0
"""Left out between two stretches of one recording."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A file, or a part of one, and what is to be looked at.

    Attributes:
        name: for the card: its path below the folder, or of the recording.
        path, index: the file and its pictures' times.
        content: hash of its bytes.
        source: what must not be parted into training and held-out samples: the source video.
        label: its class; empty where there are none.
        region: the part of the picture.
        windows: spans in microseconds since the first picture, one for each sample.
    """

    name: str
    path: Path
    index: FrameIndex
    content: str
    source: str
    label: str
    region: Region
    windows: Spans


def window_s(spec: EncoderSpec) -> float:
    """Length of an encoder's windows in seconds."""
    return FRAME_WINDOW_S if spec.kind == "frame" else WINDOW_SNIPPETS * spec.snippet_s


def class_clips(
    data: Path,
    spec: EncoderSpec,
    suffixes: Sequence[str],
    *,
    pattern: str | None = None,
    most: int = 2000,
    progress: Progress = lambda _stage, _done, _total: None,
) -> tuple[list[Clip], list[str]]:
    """Clips of a folder with a folder for each class, and what was left out, in words.

    Clips of one source video are kept together. The source is what `pattern` says; without one, the folder of the clip
    where the class has folders of its own (DCSASS), else its name without a last `_c01` (UCF101). Of clips with the same
    content the first is taken.

    Args:
        data: the folder.
        spec: of the encoder, which says how long samples are.
        suffixes: endings of videos.
        pattern: a regular expression, searched for in a clip's path below `data`; clips are of one source where its
            first group (without one, the whole match) is the same.
        most: samples of all clips together, about; every clip gives at least one.
        progress: called with `clips`, those that were read and all.

    Raises:
        ConfigurationError: there are not two classes, or the pattern does not fit.
    """
    files = _class_files(data, suffixes)
    clips: list[Clip] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    each = max(1, most // len(files))
    for number, (label, path) in enumerate(files, start=1):
        name = path.relative_to(data).as_posix()
        content = content_hash(path)
        if content in seen:
            problems.append(f"{name}: the same as {seen[content]}")
        else:
            seen[content] = name
            try:
                index = probe(path).index
            except FootageError as error:
                problems.append(f"{name}: {error}")
            else:
                source = _source(name, label, pattern)
                windows = _thinned(windows_of(((0, index.extent_us),), spec), each)
                clips.append(Clip(name, path, index, content, source, label, WHOLE, windows))
        progress("clips", number, len(files))
    return [clip for clip in clips if clip.windows], problems + [
        f"{clip.name}: shorter than half a snippet" for clip in clips if not clip.windows
    ]


def camera_clips(
    workspace: Workspace,
    spec: EncoderSpec,
    campaign: str,
    camera: str | None,
    region: str = WHOLE.name,
    *,
    most: int = 1000,
) -> list[Clip]:
    """The normal footage of a campaign's camera, or of all its cameras, as clips without labels.

    What somebody confirmed to be an anomaly is left out. Recordings are the sources; where a camera has fewer than five,
    each is cut into five stretches with a gap between them.

    Args:
        workspace: whose recordings.
        spec: of the encoder, which says how long samples are.
        campaign, camera: whose.
        region: the part of the picture; each camera has its own of that name.
        most: samples of all clips together, about, evenly spread; every stretch gives at least one.

    Raises:
        ConfigurationError: there is no such footage, or (UnknownNameError) a name is not known.
    """
    known = KnownRecordings(workspace.ledger)
    check_known("campaign", campaign, known.campaigns)
    check_known("camera", camera, known.cameras)
    cameras = [camera] if camera else [name for name in known.cameras if not workspace.settings.skips(name)]
    clips = [clip for name in cameras for clip in _of_camera(workspace, spec, known.of_camera(campaign, name), region)]
    if not clips:
        raise ConfigurationError(
            f"campaign {campaign} has no normal recording{f' of camera {camera}' if camera else ''} to train on; "
            'take it in with "afterwatch run", or train on a folder with --data'
        )
    total = max(most, sum(len(clip.windows) for clip in clips))
    return [replace(clip, windows=_thinned(clip.windows, max(1, most * len(clip.windows) // total))) for clip in clips]


def windows_of(spans: Spans, spec: EncoderSpec) -> Spans:
    """Windows spread evenly over each span; none in a span that is shorter than half a snippet."""
    length_us = round(window_s(spec) * MICROSECONDS)
    found = []
    for begin, end in spans:
        if end - begin < spec.snippet_s * MICROSECONDS / 2:
            continue
        count = max(1, (end - begin) // length_us)
        starts = [begin + (end - begin) * number // count for number in range(count)]
        found += [(start, min(start + length_us, end)) for start in starts]
    return tuple(found)


def _of_camera(
    workspace: Workspace, spec: EncoderSpec, recordings: Sequence[KnownRecording], region: str
) -> Iterator[Clip]:
    """All normal windows of a camera's recordings in a campaign, stretch by stretch."""
    root = workspace.site.footage_root
    there = [recording for recording in recordings if (root / recording.path).is_file() and recording.duration_us]
    if not there:
        return
    camera = there[0].camera
    regions = {each.name: each for each in workspace.regions(camera)}
    if region not in regions:
        raise UnknownNameError(f"region of camera {camera}", region, regions)
    judged = judged_stretches(workspace.ledger, camera=camera, head=workspace.settings.novelty.name)
    # What is an anomaly in one region is in the picture of every region that holds it.
    confirmed = [one for stretches in judged.values() for one in stretches if one.confirmed]
    parts = 1 if len(there) >= FEWEST_RECORDINGS else FEWEST_RECORDINGS
    for recording in there:
        index = load_index(workspace.store, recording.recording_id)
        mine = [one for one in confirmed if one.recording_id == recording.recording_id]
        for number, part in enumerate(_parts(index.extent_us, parts)):
            windows = windows_of(_normal(part, mine), spec)
            source = recording.path if parts == 1 else f"{recording.path}#{number}"
            if windows:
                yield Clip(
                    recording.path,
                    root / recording.path,
                    index,
                    recording.recording_id,
                    source,
                    "",
                    regions[region],
                    windows,
                )


def _class_files(data: Path, suffixes: Sequence[str]) -> list[tuple[str, Path]]:
    if not data.is_dir():
        raise ConfigurationError(f"there is no folder {data}; give one that holds a folder of videos for each class")
    folders = [path for path in visible(data) if path.is_dir()]
    files = [(folder.name, path) for folder in folders for path in video_files(folder, suffixes)]
    classes = sorted({label for label, _ in files})
    if len(classes) < 2:
        raise ConfigurationError(
            f"{data.name} holds videos of {len(classes)} classes ({', '.join(classes) or 'none'}); it needs a folder of "
            f"videos ({', '.join(suffixes)}) for each of at least 2"
        )
    return files


def _source(name: str, label: str, pattern: str | None) -> str:
    if pattern is None:
        return below_class_source(Path(name).relative_to(label), label)
    return pattern_source(name, pattern)


def _parts(extent_us: int, count: int) -> list[tuple[int, int]]:
    """A recording as stretches, with a gap before each but the first."""
    edges = [extent_us * number // count for number in range(count + 1)]
    gap_us = round(min(GAP_S * MICROSECONDS, extent_us / count / 4))
    return [(edges[at] + (gap_us if at else 0), edges[at + 1]) for at in range(count)]


def _normal(part: tuple[int, int], confirmed: Iterable[Stretch]) -> Spans:
    """What is left of a part beside what was confirmed to be an anomaly."""
    left, at = [], part[0]
    for stretch in sorted(confirmed, key=lambda stretch: stretch.from_us):
        left.append((at, min(stretch.from_us, part[1])))
        at = max(at, stretch.to_us)
    left.append((at, part[1]))
    return tuple((begin, end) for begin, end in left if begin < end)


def _thinned(windows: Spans, most: int) -> Spans:
    """At most so many, evenly spread."""
    if len(windows) <= most:
        return windows
    return tuple(windows[len(windows) * (2 * number + 1) // (2 * most)] for number in range(most))
