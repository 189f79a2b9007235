"""Action-recognition networks side by side on labelled clips: what they name rightly, and how long they take (row T3).

1. Every clip is decoded once for all networks. Each network's data flow says which pictures it sees
   (`models.recognition.flow`): one view of a clip for speed, 10 × 3 for the published figures.
2. A clip's class probabilities are the mean over its views; it counts for top-k where its class is among the k highest.
3. Seconds per sample hold the network's whole work on one clip but for the decoding, which all share: scaling, cropping and
   the network on all views. They are also told as a multiple of the bare network's time on ready tensors of as many views,
   which is taken right behind each of the first clips.
4. Clips per second hold the decoding as well: the first clips are decoded once more for each network, its own pictures only,
   so that no network is charged with what another beside it looks at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.class_index import indices_of
from evaluation.results import Result
from footage.decode import decode
from infra.errors import ConfigurationError, FootageError
from models.recognition.recogniser import Recogniser
from models.recognition.scoring import Scores, hits_at, wilson
from workspace.clip_sets.base import ClipSet, LabelledClip

PROTOCOL = "action-recognition"
TOP: Final = (1, 5)
PAIRED_CLIPS: Final = 5
"""Clips behind which the bare network, and the decoding for one network, are timed as well; what else runs on the machine
then touches all alike."""

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Entry:
    """What is said of a network beside its results.

    Attributes:
        name: of it.
        classes: names of its classes, in the order of its scores.
        look: how it looks at a clip, in words.
        device: that it ran on.
        views: of a clip.
        parameters: how many weights it has.
        multiply_adds: of one view; nan where they are not counted.
    """

    name: str
    classes: tuple[str, ...]
    look: str
    device: str
    views: int
    parameters: int
    multiply_adds: float


@dataclass(frozen=True, eq=False)
class Contender:
    """A network to be measured.

    Attributes:
        recogniser: the network behind its data flow.
        classes, parameters, multiply_adds: see `Entry`.

    Raises:
        ConfigurationError: there are not as many names as classes.
    """

    recogniser: Recogniser
    classes: tuple[str, ...]
    parameters: int
    multiply_adds: int

    def __post_init__(self) -> None:
        if len(self.classes) != self.recogniser.classes:
            raise ConfigurationError(
                f"{self.recogniser.name} tells {self.recogniser.classes} classes apart and {len(self.classes)} are named; "
                "give the names of its classes, in its order, with --classes FILE"
            )

    @property
    def entry(self) -> Entry:
        flow, own = self.recogniser.flow, self.recogniser
        return Entry(
            own.name, self.classes, flow.words, own.device, flow.views, self.parameters, float(self.multiply_adds)
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """What came of one network.

    Attributes:
        entry: which.
        clips: that it was measured on, in order.
        truth: int64 (C,), index of each clip's class.
        scores: float32 (C, K), of each class; probabilities.
        sample_s: its own time on a clip, in seconds, on average.
        elapsed_s: the same with the decoding of its own pictures.
        times_bare: its own time as a multiple of the bare network's on ready tensors; nan where that was not timed.
    """

    entry: Entry
    clips: tuple[LabelledClip, ...]
    truth: NDArray[np.int64]
    scores: Scores
    sample_s: float
    elapsed_s: float
    times_bare: float

    @property
    def results(self) -> tuple[Result, ...]:
        """As every table has them; `top5` is undefined where there are no more than five classes."""
        name, count, classes = self.entry.name, len(self.clips), len(self.entry.classes)
        found = []
        for k in TOP:
            hits = int(hits_at(self.scores, self.truth, k).sum()) if k < classes else 0
            found.append(Result(name, f"top{k}", *wilson(hits, count if k < classes else 0), count))
        plain = {
            "seconds_per_sample": self.sample_s,
            "times_bare_network": self.times_bare,
            "clips_per_second": 1 / self.elapsed_s,
            "parameters": float(self.entry.parameters),
            "multiply_adds": self.entry.multiply_adds * self.entry.views,
        }
        return (*found, *(Result(name, metric, value, np.nan, np.nan, count) for metric, value in plain.items()))

    def result(self, metric: str) -> Result:
        """The result of that name."""
        (found,) = [one for one in self.results if one.metric == metric]
        return found


@dataclass(frozen=True, eq=False)
class RecognitionReport:
    """The comparison and what came out of it.

    Attributes:
        data: name of the folder.
        clip_set: what it holds.
        networks: in the order they were named.
        left_out: clips that were not measured, and why.
        notes: what a reader should know.
    """

    data: str
    clip_set: ClipSet
    networks: tuple[Measured, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def results(self) -> list[Result]:
        return [result for network in self.networks for result in network.results]


def run_action_recognition(
    data: str,
    clip_set: ClipSet,
    contenders: Sequence[Contender],
    *,
    threads: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> RecognitionReport:
    """Measure every network on every clip.

    Args:
        data: name of the data, for the report.
        clip_set: labelled clips; of an official split the test side is measured.
        contenders: the networks, each of another name.
        threads: of the decoder; 0 for one per core.
        progress: called with `measure`, the clips that are finished and all.

    Raises:
        ConfigurationError: no network is named or one twice, a label is none of a network's classes, or no clip can be
            decoded.
    """
    names = [one.recogniser.name for one in contenders]
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"name each network once, and one at least, got {', '.join(names) or 'none'}")
    tested = tested_clips(clip_set)
    labels = sorted({clip.label for clip in tested})
    indices = [indices_of(labels, one.classes) for one in contenders]
    recognisers = [one.recogniser for one in contenders]
    for recogniser in recognisers:
        recogniser.run_alone()  # the first run of a network is a slow one
    seen: list[LabelledClip] = []
    outcomes: list[_Outcome] = []
    left_out, lost = list(clip_set.left_out), []
    for number, clip in enumerate(tested, start=1):
        try:
            outcome = _look(clip, recognisers, threads, paired=len(seen) < PAIRED_CLIPS)
        except FootageError as error:
            left_out.append(f"{clip.name}: {error}")
        else:
            seen.append(clip)
            outcomes.append(outcome)
            if outcome.lost:
                lost.append(clip.name)
        progress("measure", number, len(tested))
    if not seen:
        raise ConfigurationError(f"none of the {len(tested)} clips can be decoded; the last: {left_out[-1]}")
    networks = tuple(
        _measured(contender.entry, seen, [found[clip.label] for clip in seen], [one.of[at] for one in outcomes])
        for at, (contender, found) in enumerate(zip(contenders, indices, strict=True))
    )
    return RecognitionReport(data, clip_set, networks, tuple(left_out), _notes(clip_set, seen, lost))


def tested_clips(clip_set: ClipSet) -> tuple[LabelledClip, ...]:
    """The test side of an official split; all clips where there is none."""
    return tuple(clip for clip in clip_set.clips if clip.split == "test") or clip_set.clips


@dataclass(frozen=True, eq=False)
class _Looked:
    """Of one clip and network: class probabilities, own seconds; those of the bare network and of decoding its own pictures,
    nan where they were not timed."""

    scores: Scores
    own_s: float
    bare_s: float
    decode_s: float


@dataclass(frozen=True, eq=False)
class _Outcome:
    """Of one clip: what came of each network, and most pictures that could not be decoded."""

    of: list[_Looked]
    lost: int


def _look(clip: LabelledClip, recognisers: Sequence[Recogniser], threads: int, *, paired: bool) -> _Outcome:
    """One decode pass feeds every network; each one's own work is timed apart."""
    samples = [recogniser.sample(clip.index.t_us, clip.index.extent_us) for recogniser in recognisers]
    wanted = np.unique(np.concatenate([sample.wanted for sample in samples]))
    own_s = [0.0] * len(samples)
    for picture in decode(clip.path, clip.index, wanted, threads=threads):
        rgb = picture.rgb()
        for at, sample in enumerate(samples):
            before = perf_counter()
            sample.add(picture.index, rgb)
            own_s[at] += perf_counter() - before
    found = []
    for recogniser, sample, scaled_s in zip(recognisers, samples, own_s, strict=True):
        before = perf_counter()
        scores = recogniser.probabilities(sample)
        after = perf_counter()
        if paired:
            recogniser.run_alone()
        bare_s = perf_counter() - after if paired else np.nan
        decode_s = _decode_s(clip, sample.wanted, threads) if paired else np.nan
        found.append(_Looked(scores, scaled_s + after - before, bare_s, decode_s))
    return _Outcome(found, max(sample.lost for sample in samples))


def _decode_s(clip: LabelledClip, wanted: NDArray[np.int64], threads: int) -> float:
    """Seconds that it takes to decode these pictures of a clip, and no others."""
    start = perf_counter()
    for picture in decode(clip.path, clip.index, wanted, threads=threads):
        picture.rgb()
    return perf_counter() - start


def _measured(entry: Entry, clips: Sequence[LabelledClip], truth: Sequence[int], looked: Sequence[_Looked]) -> Measured:
    own_s = float(np.mean([one.own_s for one in looked]))
    decode_s = float(np.nanmean([one.decode_s for one in looked]))
    return Measured(
        entry,
        tuple(clips),
        np.array(truth, np.int64),
        np.stack([one.scores for one in looked]),
        own_s,
        own_s + decode_s,
        float(np.nanmedian([one.own_s / one.bare_s for one in looked])),
    )


def _notes(clip_set: ClipSet, seen: Sequence[LabelledClip], lost: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if any(clip.split == "test" for clip in clip_set.clips):
        notes.append("Of the data's own split the test side was measured.")
    sources = {(clip.label, clip.source) for clip in seen}
    if len(sources) < len(seen):
        notes.append(
            f"The {len(seen)} clips were cut from {len(sources)} source videos, and the intervals take each clip for a "
            "trial of its own: they are too narrow."
        )
    if lost:
        notes.append(
            f"In {len(lost)} clips some pictures could not be decoded; the one before stood in: {', '.join(lost)}."
        )
    return tuple(notes)
