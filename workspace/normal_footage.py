"""Normal footage as clips of small grey pictures: everything recorded but what people called an anomaly."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from footage.index import MICROSECONDS
from infra.errors import ConfigurationError, UnknownNameError
from lake.verdicts import stretches_now
from workspace.clips import IMAGES, VIDEOS, Grey, View, decoded, kept, source_clips, sources_of
from workspace.indexes import load_index
from workspace.known_recordings import KnownRecording, KnownRecordings, check_known
from workspace.opened import Workspace

Spans = list[tuple[int, int]]
Progress = Callable[[str, float, float], None]

PIECE_US = 60 * MICROSECONDS
HELD_OUT = 0.2
"""Share of recordings or clips that only tell when to stop training."""
GAP_S = 5.0
"""Left out between training and held-out footage where both are of one recording."""


@dataclass(frozen=True, eq=False)
class NormalFootage:
    """Clips of grey pictures, uint8 (F, H, W) each.

    Attributes:
        training, held_out: of different recordings or clips where there are two.
        sources: names of the recordings or clips, by the part they play.
        seconds: of footage that the clips show, both parts together.
        left_out_s: seconds left out because of labels.
    """

    training: tuple[Grey, ...]
    held_out: tuple[Grey, ...]
    sources: dict[str, list[str]]
    seconds: float
    left_out_s: float = 0.0


@dataclass(frozen=True)
class _Piece:
    """A span of a recording that becomes clips."""

    recording: KnownRecording
    from_us: int
    to_us: int


@dataclass
class _Parts:
    training: list[_Piece] = field(default_factory=list)
    held_out: list[_Piece] = field(default_factory=list)


def known_footage(
    workspace: Workspace,
    view: View,
    cache: Path,
    *,
    campaign: str | None = None,
    camera: str | None = None,
    most_s: float = 7200.0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> NormalFootage:
    """Normal footage of a workspace's recordings; see `footage_of`.

    Args:
        workspace: whose recordings.
        view, cache, most_s, progress: see `footage_of`.
        campaign, camera: only these.

    Raises:
        ConfigurationError: there is no normal footage, or (UnknownNameError) a name is not known.
    """
    recordings = trainable_recordings(workspace, campaign, camera)
    return footage_of(workspace, recordings, view, cache, most_s=most_s, progress=progress)


def footage_of(
    workspace: Workspace,
    recordings: Sequence[KnownRecording],
    view: View,
    cache: Path,
    *,
    most_s: float = 7200.0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> NormalFootage:
    """Normal footage of some recordings.

    What is labelled relevant in the use case of the novelty head, whatever its region, is left out. The last fifth of
    each camera's recordings is held out; of a single recording, its end.

    Args:
        workspace: whose recordings.
        recordings: some of `trainable_recordings`, in that order.
        view: size, rate and region of the pictures.
        cache: folder for the clips.
        most_s: seconds of training footage; of more, pieces of a minute are taken evenly.
        progress: called with `footage`, the pieces done and all of them.

    Raises:
        ConfigurationError: there is no normal footage.
    """
    bad = anomalies_of(workspace, recordings)
    parts, left_out = _Parts(), 0
    for name in sorted({recording.camera for recording in recordings}):
        mine = [recording for recording in recordings if recording.camera == name]
        normal = {recording.recording_id: normal_spans(recording, bad) for recording in mine}
        left_out += sum(recording.duration_us - span_length(normal[recording.recording_id]) for recording in mine)
        _divide(mine, normal, parts)
    parts.training = _thinned(parts.training, most_s)
    parts.held_out = _thinned(parts.held_out, most_s * HELD_OUT)
    clips: dict[str, list[Grey]] = {}
    done, total = 0, len(parts.training) + len(parts.held_out)
    for what, pieces in (("training", parts.training), ("held_out", parts.held_out)):
        clips[what] = []
        for piece in pieces:
            clips[what] += clips_of(workspace, piece.recording, (piece.from_us, piece.to_us), view, cache)
            done += 1
            progress("footage", done, total)
    sources = {
        what: sorted({piece.recording.path for piece in pieces})
        for what, pieces in (("training", parts.training), ("held_out", parts.held_out))
    }
    return _whole(clips["training"], clips["held_out"], sources, view, left_out / MICROSECONDS)


def trainable_recordings(workspace: Workspace, campaign: str | None, camera: str | None) -> list[KnownRecording]:
    """Recordings whose files are there, of cameras that are not skipped, in order of camera and time; at least one.

    Raises:
        ConfigurationError: there is none, or (UnknownNameError) a name is not known.
    """
    known = KnownRecordings(workspace.ledger)
    check_known("campaign", campaign, known.campaigns)
    check_known("camera", camera, known.cameras)
    found = [
        recording
        for each in known.campaigns
        for mine in known.cameras
        if campaign in (None, each) and camera in (None, mine) and not workspace.settings.skips(mine)
        for recording in known.of_camera(each, mine)
        if (workspace.site.footage_root / recording.path).is_file() and recording.duration_us
    ]
    if not found:
        raise ConfigurationError(
            'there is no ingested recording to train on; run "afterwatch run" first, or train on a folder with --data'
        )
    return sorted(found, key=lambda recording: (recording.camera, recording.started_at, recording.path))


def anomalies_of(workspace: Workspace, recordings: Sequence[KnownRecording]) -> dict[str, Spans]:
    """Spans of each recording that people confirmed to be unusual, in whatever region of the camera."""
    name, mine = workspace.settings.novelty.name, {recording.recording_id for recording in recordings}
    bad: dict[str, Spans] = {}
    for stretches in stretches_now(workspace.ledger, head=name).values():
        for one in stretches:
            if one.confirmed and one.recording_id in mine:
                bad.setdefault(one.recording_id, []).append((one.from_us, one.to_us))
    return bad


def normal_spans(recording: KnownRecording, bad: dict[str, Spans]) -> Spans:
    """What is left of a recording beside the spans of `anomalies_of`, in order."""
    left, at, duration_us = [], 0, recording.duration_us
    for begin, end in sorted(bad.get(recording.recording_id, [])):
        if begin > at:
            left.append((at, min(begin, duration_us)))
        at = max(at, end)
    if at < duration_us:
        left.append((at, duration_us))
    return [(begin, end) for begin, end in left if begin < end]


def span_length(spans: Spans) -> int:
    """Microseconds of spans that do not overlap."""
    return sum(end - begin for begin, end in spans)


def _divide(mine: Sequence[KnownRecording], normal: dict[str, Spans], parts: _Parts) -> None:
    """A camera's recordings into training and held-out ones, in order of time; a single one is cut in two."""
    whole = [recording for recording in mine if normal[recording.recording_id]]
    if len(whole) == 1:
        spans = normal[whole[0].recording_id]
        cut_us = spans[0][0] + round((spans[-1][1] - spans[0][0]) * (1 - HELD_OUT))
        gap_us = round(min(GAP_S * MICROSECONDS, (spans[-1][1] - cut_us) / 4))
        parts.training += _pieces(whole[0], [(begin, min(end, cut_us)) for begin, end in spans])
        parts.held_out += _pieces(whole[0], [(max(begin, cut_us + gap_us), end) for begin, end in spans])
        return
    first = len(whole) - _held_out(len(whole))
    for number, recording in enumerate(whole):
        pieces = _pieces(recording, normal[recording.recording_id])
        (parts.training if number < first else parts.held_out).extend(pieces)


def _held_out(count: int) -> int:
    return max(1, round(count * HELD_OUT))


def _pieces(recording: KnownRecording, spans: Iterable[tuple[int, int]]) -> list[_Piece]:
    return [
        _Piece(recording, at, min(at + PIECE_US, end)) for begin, end in spans for at in range(begin, end, PIECE_US)
    ]


def spread_pieces(spans: Spans, most_s: float) -> Spans:
    """Pieces of a minute at most, evenly spread over spans: `most_s` seconds of them at most, but at least one."""
    pieces = [(at, min(at + PIECE_US, end)) for begin, end in spans for at in range(begin, end, PIECE_US)]
    total = span_length(pieces)
    if total <= most_s * MICROSECONDS:
        return pieces
    count = max(1, int(len(pieces) * most_s * MICROSECONDS / total))
    return [pieces[int(at)] for at in np.linspace(0, len(pieces) - 1, count).round()]


def _thinned(pieces: list[_Piece], most_s: float) -> list[_Piece]:
    """Pieces spread evenly over all of them, `most_s` seconds of them at most but at least one."""
    total = sum(piece.to_us - piece.from_us for piece in pieces)
    if total <= most_s * MICROSECONDS:
        return pieces
    count = max(1, int(len(pieces) * most_s * MICROSECONDS / total))
    return [pieces[int(at)] for at in np.linspace(0, len(pieces) - 1, count).round()]


def clips_of(
    workspace: Workspace, recording: KnownRecording, span: tuple[int, int], view: View, cache: Path
) -> list[Grey]:
    """Clips of a span of a recording, from the cache or made now.

    Raises:
        UnknownNameError: its camera has no region of the view's name.
    """
    regions = {region.name: region for region in workspace.regions(recording.camera)}
    if view.region not in regions:
        raise UnknownNameError(f"region of camera {recording.camera}", view.region, regions)
    region = regions[view.region]
    return kept(
        cache,
        [recording.recording_id, region.geometry, *span, view.size_px, view.rate_hz],
        lambda: decoded(
            workspace.site.footage_root / recording.path,
            load_index(workspace.store, recording.recording_id),
            span,
            view,
            region,
        ),
    )


# A folder of its own.


def folder_footage(
    data: Path, view: View, cache: Path, progress: Progress = lambda _stage, _done, _total: None
) -> NormalFootage:
    """Normal footage of a folder: UCSD's layout (its `Train` alone is read), or videos and folders of images.

    The last fifth of the clips, in order of their names, is held out; of a single one, its end. Images are taken as they
    are, one after another, whatever the rate.

    Raises:
        ConfigurationError: the folder holds no clip.
        FootageError: a video cannot be read.
    """
    folder = data / "Train" if (data / "Train").is_dir() else data
    sources = sources_of(folder) if folder.is_dir() else []
    if not sources:
        raise ConfigurationError(
            f"{data} holds neither videos ({', '.join(VIDEOS)}) nor folders of images ({', '.join(IMAGES)}); "
            "give a folder of normal clips, or of UCSD's layout"
        )
    clips = []
    for number, source in enumerate(sources):
        clips.append(source_clips(source, view, cache))
        progress("footage", number + 1, len(sources))
    names = [source.name for source in sources]
    if len(sources) == 1:
        told = {"training": names, "held_out": names}
        return _whole(*_cut(clips[0], names[0], round(GAP_S * view.rate_hz)), told, view)
    first = len(sources) - _held_out(len(sources))
    training, held_out = ([clip for part in parts for clip in part] for parts in (clips[:first], clips[first:]))
    return _whole(training, held_out, {"training": names[:first], "held_out": names[first:]}, view)


def _cut(clips: Sequence[Grey], name: str, most_gap: int) -> tuple[list[Grey], list[Grey]]:
    """Clips of one source, divided in time with a gap; pictures on both sides of a hole stay apart."""
    total = sum(len(clip) for clip in clips)
    if not total:
        raise ConfigurationError(f"no picture of {name} can be decoded; give other footage")
    cut_at = round(total * (1 - HELD_OUT))
    begin = cut_at + min(most_gap, round(total * 0.05))
    before, after, at = [], [], 0
    for clip in clips:
        before.append(clip[: max(0, cut_at - at)])
        after.append(clip[max(0, begin - at) :])
        at += len(clip)
    return [clip for clip in before if len(clip)], [clip for clip in after if len(clip)]


def _whole(
    training: Sequence[Grey], held_out: Sequence[Grey], sources: dict[str, list[str]], view: View, left_out_s: float = 0
) -> NormalFootage:
    pictures = sum(len(clip) for clip in (*training, *held_out))
    return NormalFootage(tuple(training), tuple(held_out), sources, pictures / view.rate_hz, left_out_s)
