"""The segments of a campaign's cameras, measured, and what each method chooses among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledVideo
from evaluation.summary_cameras import Camera
from evaluation.summary_columns import measure_segments, past_pictures, usual_picture
from evaluation.summary_metrics import drawn_by_lot, evenly_spaced
from evaluation.summary_sights import LookSettings, Sight, Times
from models.summary.looks import looks_of
from models.summary.scores import Columns, Weights, combine, robust_scale
from models.summary.segments import cut_segments, overlaps
from models.summary.selection import select_segments

OWN, ORACLE, RANDOM, UNIFORM = "afterwatch", "oracle", "random", "uniform"
COLUMNS = {"anomaly": "anomaly", "memorability": "memorability", "entropy": "entropy", "motion": "dynamics"}
"""Methods of one column alone."""
OF_HEADS = (OWN, "anomaly")
"""Methods that a head decides; they are called by it too."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Weighing:
    """How a method weighs columns, and the head that anomaly is told by."""

    head: str
    weights: Weights


def named(method: str, head: str) -> str:
    """A method that a head decides, as results call it; without a head, as it is."""
    return f"{method} {head}" if head else method


def weighings(look: LookSettings, heads: Sequence[str]) -> dict[str, Weighing]:
    """The methods that weigh columns: by each head those that ask one, the others once."""
    alone = {
        method: Weights(**{one.name: float(one.name == column) for one in fields(Columns)})
        for method, column in COLUMNS.items()
    }
    told: dict[str, Weighing] = {}
    for method, weights in ({OWN: look.weights} | alone).items():
        if method in OF_HEADS:
            told |= {named(method, head): Weighing(head, weights) for head in heads}
        else:
            told[method] = Weighing(heads[0], weights)
    return told


def methods_of(look: LookSettings, heads: Sequence[str]) -> tuple[str, ...]:
    """All methods, as results call them."""
    return (*weighings(look, heads), UNIFORM, RANDOM, ORACLE)


@dataclass(frozen=True, eq=False)
class CampaignSegments:
    """Segments that are chosen among, of one camera or of several.

    Attributes:
        durations_us, anomalous_us, video: int64 (S,); `video` is the number of the test video.
        scaled: columns, by the head that their anomaly is told by.
        looks: float32 (S, 64); None where they cannot be compared.
        clear: bool (S,).
    """

    durations_us: Times
    anomalous_us: Times
    video: Times
    scaled: Mapping[str, Columns]
    looks: NDArray[np.float32] | None
    clear: Flags


class SegmentedCameras:
    """The cameras' segments of any length; measured once for each length."""

    def __init__(self, cameras: Sequence[Camera], videos: Sequence[LabelledVideo], look: LookSettings) -> None:
        self._cameras, self._look = cameras, look
        self._number = {video.video_id: number for number, video in enumerate(videos)}
        self.of_camera = cache(self._measured)

    def longest_us(self, length_us: int, share: float) -> int:
        """Longest segment: the night's, or all of the summary where that is shorter."""
        return max(1, min(round(self._look.segment_s * 1e6), int(length_us * share)))

    @property
    def lengths_us(self) -> list[int]:
        """Of the cameras' footage."""
        return [camera.length_us for camera in self._cameras]

    def _measured(self, place: int, longest_us: int) -> CampaignSegments:
        camera, look = self._cameras[place], self._look
        sights = [one.sight for one in camera.judged]
        earlier = [one.sight for one in camera.past]
        usual = usual_picture(earlier or sights)
        segments = cut_segments([sight.span for sight in sights], longest_us)
        pictures = past_pictures(earlier) if earlier else None
        own = measure_segments(camera.judged, segments, look, usual, pictures)
        past = self._past(camera, longest_us, usual)
        scaled = {head: robust_scale(raw, past.get(head)) for head, raw in own.raw.items()}
        at, span = overlaps(segments.from_us, segments.to_us, *_spans(sights).T)
        anomalous = np.bincount(
            at, _common(segments.from_us[at], segments.to_us[at], _spans(sights)[span]), len(segments)
        )
        numbers = np.array([self._number[sight.video.video_id] for sight in sights], dtype=np.int64)
        return CampaignSegments(
            segments.durations_us,
            anomalous.astype(np.int64),
            numbers[segments.recording],
            scaled,
            looks_of(own.vectors),
            own.clear,
        )

    def _past(self, camera: Camera, longest_us: int, usual: NDArray[np.float32]) -> Mapping[str, Columns]:
        """The camera's past, measured as its first day was, by head; empty where it has none."""
        if not camera.past:
            return {}
        segments = cut_segments([one.sight.span for one in camera.past], longest_us)
        return measure_segments(camera.past, segments, self._look, usual).raw

    def joined(self, longest_us: int) -> CampaignSegments:
        """The segments of all cameras; how they differ from different usual pictures is not compared."""
        parts = [self.of_camera(place, longest_us) for place in range(len(self._cameras))]
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("durations_us", "anomalous_us", "video", "clear")
        }
        scaled = {
            head: Columns(
                *(np.concatenate([getattr(part.scaled[head], one.name) for part in parts]) for one in fields(Columns))
            )
            for head in parts[0].scaled
        }
        return CampaignSegments(**joined, scaled=scaled, looks=None)


def choose(
    segments: CampaignSegments,
    method: str,
    weighed: Mapping[str, Weighing],
    budget_us: int,
    similarity_limit: float,
    seed: tuple[int, int],
) -> Flags:
    """The segments that a method shows, bool (S,); `seed` decides the lot."""
    durations = segments.durations_us
    if method == RANDOM:
        return drawn_by_lot(durations, budget_us, np.random.default_rng(seed))
    if method == UNIFORM:
        return evenly_spaced(durations, budget_us)
    knowing = method == ORACLE
    if knowing:
        scores = segments.anomalous_us.astype(np.float64)
    else:
        weighing = weighed[method]
        scores = combine(segments.scaled[weighing.head], weighing.weights)
    selection = select_segments(
        durations,
        np.arange(len(durations)),
        scores,
        clear=np.ones_like(segments.clear) if knowing else segments.clear,
        wanted=(),
        budget_s=budget_us / 1e6,
        looks=None if knowing else segments.looks,
        maximum_cosine=similarity_limit,
    )
    chosen = np.zeros(len(durations), dtype=np.bool_)
    chosen[list(selection.indices)] = True
    return chosen


def anomalous_us_of(video: LabelledVideo) -> int:
    """Anomalous time of a video."""
    spans = anomalous_spans(video)
    return int((spans[:, 1] - spans[:, 0]).sum())


def anomalous_spans(video: LabelledVideo) -> Times:
    """int64 (M, 2): anomalous spans of a video on the camera's clock."""
    told = [(video.at_us(first), video.at_us(last)) for first, last in video.relevant]
    return np.array(told, dtype=np.int64).reshape(-1, 2)


def _spans(sights: Sequence[Sight]) -> Times:
    """int64 (M, 2): anomalous spans on the camera's clock."""
    return np.concatenate([anomalous_spans(sight.video) for sight in sights])


def _common(from_us: Times, to_us: Times, spans: Times) -> Times:
    return np.asarray(np.minimum(to_us, spans[:, 1]) - np.maximum(from_us, spans[:, 0]), dtype=np.int64)
