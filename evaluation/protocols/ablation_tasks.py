"""Experiments that an ablation repeats with other chains: frames of fixed cameras, and snippets of the thesis' protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledData
from evaluation.embedding import Embedded
from evaluation.frame_metrics import ScoredVideo
from evaluation.heads import BuiltHead
from evaluation.novelty import NormalRows, normal_spans, smoothed
from evaluation.protocols.anomaly import AnomalySettings, camera_of
from evaluation.protocols.thesis import SnippetSplit, ThesisSettings, splits
from evaluation.snippets import Snippets
from models.calibration import robust_spread
from models.detectors.build import detector_settings, fit_and_score
from models.encoders.base import EncoderSpec
from models.heads.neighbours import TimeExclusion
from models.layout import Layout
from models.metrics import frame_auc
from models.projections.linear import ProjectionSettings, fit_projection
from models.projections.scaling import Scaling, ScalingName
from models.projections.trained import silhouette

MOST_SILHOUETTE = 1000
"""Vectors of each class that a silhouette is reckoned of: its cost grows with their square."""

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


class Task(Protocol):
    """A fixed experiment, run once for each chain and seed."""

    @property
    def encoder(self) -> EncoderSpec: ...

    @property
    def metric(self) -> str: ...

    @property
    def fit(self) -> str:
        """Whose footage a head is fitted on, in words."""
        ...

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        ...

    @property
    def repeats(self) -> int:
        """Runs that differ even without a random projection."""
        ...

    def run(self, chain: "Chain", detectors: Sequence[str], seed: int) -> tuple[list[float], float]:
        """AUC by detector, and the silhouette."""
        ...


@dataclass(frozen=True)
class Chain:
    """What stands between vectors and detector, to be fitted on normal vectors."""

    scaling: ScalingName
    projection: ProjectionSettings
    neighbours: int

    def fitted(self, normal: Vectors) -> Callable[[Vectors], Vectors]:
        scaling = Scaling.fit(self.scaling, normal)
        projection = fit_projection(self.projection, scaling.apply(normal))
        return lambda vectors: projection.apply(scaling.apply(vectors))

    def layout(self, layout: Layout | None) -> Layout | None:
        """Of what the detector sees: a projection leaves none."""
        return layout if self.projection.name == "none" else None


class FrameTask:
    """Frame AUC, micro, of test videos, as `evaluation.protocols.anomaly` has it."""

    metric = "frame_auc"
    repeats = 1

    def __init__(
        self, data: LabelledData, head: BuiltHead, settings: AnomalySettings, vectors: Mapping[str, Embedded]
    ) -> None:
        self._data, self._settings, self._vectors = data, settings, vectors
        self.encoder = head.encoder.spec
        cameras = dict.fromkeys(camera_of(video, settings) for video in data.videos)
        self._normal = {
            camera: NormalRows.of(
                [(video, vectors[video.video_id]) for video in data.train if camera_of(video, settings) == camera],
                settings.curves.most_reference,
            )
            for camera in cameras
        }
        self.fit = "pooled" if settings.pooled else "per camera" if len(cameras) > 1 else "one camera"
        self.dimension = next(iter(self._normal.values())).vectors.shape[1]

    def run(self, chain: Chain, detectors: Sequence[str], seed: int) -> tuple[list[float], float]:
        """See `Task.run`."""
        parts = [self._camera(camera, chain, detectors, seed) for camera in self._normal]
        truth = np.concatenate([part.truth for part in parts])
        aucs = [
            frame_auc(truth, np.concatenate([part.curves[place] for part in parts])) for place in range(len(detectors))
        ]
        seen, anomalous = (np.concatenate([getattr(part, name) for part in parts]) for name in ("seen", "anomalous"))
        return aucs, _silhouette(seen, anomalous)

    def _camera(self, camera: str, chain: Chain, detectors: Sequence[str], seed: int) -> "_CameraScores":
        rows, smooth_s = self._normal[camera], self._settings.curves.smooth_s
        apply = chain.fitted(rows.vectors)
        normal = apply(rows.vectors)
        videos = [video for video in self._data.videos if camera_of(video, self._settings) == camera]
        embedded = [self._vectors[video.video_id] for video in videos]
        seen = apply(np.concatenate([one.vectors for one in embedded]))
        ends = np.cumsum([len(one.frames) for one in embedded])[:-1]
        truth = [ScoredVideo(video, np.zeros(len(video.index)), np.inf).truth for video in videos]
        anomalous = np.concatenate([flags[one.frames] for flags, one in zip(truth, embedded, strict=True)])
        curves = []
        for name in detectors:
            detector, scores = fit_and_score(
                detector_settings(name, chain.neighbours, seed),
                normal,
                TimeExclusion(rows.part, rows.part + 1, 0),
                chain.layout(self.encoder.layout),
            )
            middle, spread = 0.0, 1.0
            if len(self._normal) > 1:
                spans = normal_spans(rows, scores, smooth_s)
                middle, spread = robust_spread(np.concatenate([one.scores for one in spans]))
            # A video of which nothing could be decoded stands at the normal median.
            found = [
                smoothed(video, one.frames, part, smooth_s) if len(part) else np.full(len(video.index), middle)
                for video, one, part in zip(videos, embedded, np.split(detector.score(seen), ends), strict=True)
            ]
            curves.append((np.concatenate(found) - middle) / (spread or 1.0))
        return _CameraScores(np.concatenate(truth), curves, seen, anomalous)


@dataclass(frozen=True, eq=False)
class _CameraScores:
    """Truth and, by detector, scores of all frames; the vectors as detectors see them, and which are anomalous."""

    truth: NDArray[np.bool_]
    curves: list[NDArray[np.float64]]
    seen: Vectors
    anomalous: NDArray[np.bool_]


class SnippetTask:
    """AUC of snippets under one kind of the thesis' splits; run and projection have one seed."""

    metric = "auc"

    def __init__(
        self, snippets: Snippets, head: BuiltHead, kind: str, settings: ThesisSettings, *, by_video: bool = False
    ) -> None:
        """With `by_video` there is a head for each video, on the scale of its own normal scores, not one for all."""
        self._snippets, self._by_video = snippets, by_video
        self._splits: list[SnippetSplit] = list(splits(snippets, kind, settings))
        self.encoder = head.encoder.spec
        self.fit = f"thesis, {kind}{', a head for each video' if by_video else ''}"
        self.dimension = snippets.vectors.shape[1]

    @property
    def repeats(self) -> int:
        return len(self._splits)

    def run(self, chain: Chain, detectors: Sequence[str], seed: int) -> tuple[list[float], float]:
        """See `Task.run`."""
        split, video = self._splits[seed % len(self._splits)], self._snippets.video
        if not self._by_video:
            return self._run(chain, detectors, seed, [(split.train, split.test)])
        each = [
            (split.train[video[split.train] == one], split.test[video[split.test] == one]) for one in np.unique(video)
        ]
        return self._run(
            chain, detectors, seed, [(train, test) for train, test in each if len(train) > 1 and len(test)]
        )

    def _run(
        self, chain: Chain, detectors: Sequence[str], seed: int, parts: Sequence[tuple[Rows, Rows]]
    ) -> tuple[list[float], float]:
        scores: list[list[NDArray[np.float64]]] = [[] for _ in detectors]
        seen = []
        for train, test in parts:
            apply = chain.fitted(self._snippets.vectors[train])
            normal, tested = apply(self._snippets.vectors[train]), apply(self._snippets.vectors[test])
            seen.append(tested)
            for place, name in enumerate(detectors):
                settings, layout = detector_settings(name, chain.neighbours, seed), chain.layout(self.encoder.layout)
                detector, own = fit_and_score(settings, normal, None, layout)
                median, spread = robust_spread(own) if self._by_video else (0.0, 1.0)
                scores[place].append((detector.score(tested).astype(np.float64) - median) / (spread or 1.0))
        truth = np.concatenate([self._snippets.anomalous[test] for _, test in parts])
        # Projections of two heads are two spaces: nothing is near or far between them.
        apart = float("nan") if self._by_video else _silhouette(seen[0], truth)
        return [frame_auc(truth, np.concatenate(one)) for one in scores], apart


def _silhouette(vectors: Vectors, anomalous: NDArray[np.bool_]) -> float:
    """Of vectors spread evenly over both classes; nan where one has fewer than two."""
    chosen = []
    for answer in (False, True):
        rows = np.flatnonzero(anomalous == answer)
        if len(rows) < 2:
            return float("nan")
        chosen.append(rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST_SILHOUETTE, len(rows))).astype(np.int64))])
    both = np.concatenate(chosen)
    found = silhouette(vectors[both], anomalous[both].astype(np.int64))
    return float("nan") if found is None else found
