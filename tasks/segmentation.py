"""Where a camera's day is cut into segments: at equal lengths, where what the camera sees changes, and at cuts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from footage.cuts import changed_spans, find_cuts
from infra.settings import SummaryTable
from models.summary.change_points import change_points
from models.summary.segments import Bound, Segments, cut_segments
from tasks.day_material import DayMaterial, Times
from workspace.footage_files import refuse_replaced
from workspace.indexes import load_index
from workspace.opened import Workspace

LEAST_BLOCK = 500
"""Pictures among which change points are looked for together; see `change_points`."""


@dataclass(frozen=True, eq=False)
class Cutting:
    """A day, cut.

    Attributes:
        segments: what was recorded, in order of true time, then of recording; their times are on the day's axis. Where
            few pictures are sampled, some hold none.
        in_true_time: the same, in microseconds since 1970, UTC.
        decoded_s: seconds of footage decoded.
        told: what there is to know of cuts; empty where nothing is.
    """

    segments: Segments
    in_true_time: Segments
    decoded_s: float
    told: str


def cut_day(
    workspace: Workspace,
    camera: str,
    material: DayMaterial,
    decode_threads: int,
    known: Mapping[str, Sequence[int]] | None = None,
) -> Cutting:
    """Cut a day into segments.

    Args:
        workspace: the site.
        camera: whose day it is.
        material: of the day.
        decode_threads: threads that decode a recording, where the camera's recordings have cuts.
        known: where the day was cut before: by recording, times in it in microseconds. Cuts of a recording that is gone
            are taken from there. None: it was not, and they are put at sampled pictures.

    Raises:
        DecodeError: a recording is not what it was when it was embedded.
    """
    summary, axis = workspace.settings.summary, material.axis
    cuts, decoded_us, told = _cuts(workspace, camera, material, decode_threads, known)
    spans = _spans(material)
    bounds: list[list[tuple[int, Bound]]] = [[(at, "cut") for at in own] for own in cuts]
    if summary.segmentation == "change_points":
        for number, own in enumerate(bounds):
            own += [(at, "change") for at in _changes(summary, material, number, cuts[number])]
    by_change = summary.segmentation == "change_points"
    length_us = round((summary.longest_s if by_change else summary.segment_s) * 1e6)
    segments = cut_segments(spans, length_us, bounds=bounds, evenly=by_change)
    off_us = axis.starts_us[segments.recording] - axis.bases_us[segments.recording]
    names = np.array([recording.recording_id for recording in axis.recordings], dtype=np.str_)
    order = np.lexsort((names[segments.recording], segments.from_us + off_us))
    segments, off_us = segments.take(order), off_us[order]
    in_true_time = Segments(
        segments.recording, segments.index, segments.from_us + off_us, segments.to_us + off_us, segments.begins_at
    )
    return Cutting(segments, in_true_time, decoded_us / 1e6, told)


def _spans(material: DayMaterial) -> list[tuple[int, int]]:
    """Of each recording, what is known of it: from its begin to one sampling step after its last picture, or to the end of
    its last embedding or score; nothing of one that nothing is known of."""
    axis, pictures = material.axis, material.pictures
    known_us = axis.bases_us.copy()
    for part in (material.looks, material.scores):
        np.maximum.at(known_us, part.owners, part.to_us)
    steps = np.diff(pictures.at_us)[np.diff(pictures.owners) == 0]
    step_us = int(np.median(steps)) if len(steps) else None
    spans = []
    for number, recording in enumerate(axis.recordings):
        base, rows = int(axis.bases_us[number]), pictures.of(number)
        length_us = min(int(known_us[number]) - base, recording.duration_us)
        if rows.stop > rows.start:
            last_us = int(pictures.at_us[rows.stop - 1]) - base
            after_us = recording.duration_us if step_us is None else min(last_us + step_us, recording.duration_us)
            length_us = max(length_us, after_us, last_us + 1)
        spans.append((base, base + length_us))
    return spans


def _cuts(
    workspace: Workspace,
    camera: str,
    material: DayMaterial,
    decode_threads: int,
    known: Mapping[str, Sequence[int]] | None,
) -> tuple[list[list[int]], int, str]:
    """The cuts of each recording, on the axis; how much was decoded, and what there is to know."""
    axis, pictures = material.axis, material.pictures
    cuts: list[list[int]] = [[] for _ in axis.recordings]
    if not workspace.settings.summary.has_cuts(camera):
        return cuts, 0, ""
    motion, decoded_us = pictures.motion, 0
    gone = []
    for number, recording in enumerate(axis.recordings):
        rows, base = pictures.of(number), int(axis.bases_us[number])
        if known is not None and not recording.there:
            cuts[number] = [base + at for at in known.get(recording.recording_id, ())]
            continue
        spans = changed_spans(pictures.at_us[rows] - base, motion[rows])
        if not spans:
            continue
        if recording.there:
            index = load_index(workspace.store, recording.recording_id)
            path = workspace.site.footage_root / recording.path
            found = find_cuts(path, index, spans, threads=decode_threads).tolist()
            refuse_replaced(workspace, recording.path, recording.recording_id)
            decoded_us += sum(to_us - from_us for from_us, to_us in spans)
        else:
            found = [to_us for _, to_us in spans]
            gone.append(recording.path)
        cuts[number] = [base + at for at in found]
    told = f"cuts are put at sampled pictures where the recording is gone: {', '.join(gone)}" if gone else ""
    return cuts, decoded_us, told


def _changes(summary: SummaryTable, material: DayMaterial, number: int, cuts: Sequence[int]) -> list[int]:
    """Where what a recording shows changes: the first picture of each new stretch, on the axis.

    Between cuts, each for itself: what a cut changes is no change of its own.
    """
    looks = material.looks
    mine = looks.owners == number
    from_us, vectors = looks.from_us[mine], looks.vectors[mine]
    shortest_us = summary.segment_s * 1e6
    found: list[int] = []
    edges = np.searchsorted(from_us, cuts)
    for rows in np.split(np.arange(len(from_us)), edges):
        times: Times = from_us[rows]
        if len(times) < 2:
            continue
        step_us = float(np.median(np.diff(times)))
        most = int((times[-1] + step_us - times[0]) // shortest_us) - 1
        minimum = max(1, int(np.ceil(shortest_us / step_us)))
        if most > 0:
            block = max(LEAST_BLOCK, 4 * minimum)
            found += times[change_points(vectors[rows], most=most, minimum=minimum, block=block)].tolist()
    return found
