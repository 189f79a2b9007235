"""Labelled clips in windows, as the head of an alarm is trained on them, and how they are parted without leaking."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.heads.base import Vectors, check_vectors

Rows = NDArray[np.int64]

LEAST_SOURCES = 3
"""Of each class: to hold one out, and of the rest one to stop by."""
NAMED = 3


@dataclass(frozen=True, eq=False)
class ClassifierSamples:
    """Clips in windows, as a head is trained on them.

    Attributes:
        classes: alarm classes, in the order of the head's logits.
        vectors: float32 (M, D), of a window each.
        clip: int64 (M,), number of the clip of each window; every clip has at least one.
        targets: bool (C, K), which alarm classes each clip shows; none: a normal clip.
        sources: source video of each clip, which is never parted.
        contents: hash of each clip's bytes; two clips of the same bytes are never parted either.
        names: of the clips, for messages.
    """

    classes: tuple[str, ...]
    vectors: Vectors
    clip: Rows
    targets: NDArray[np.bool_]
    sources: tuple[str, ...]
    contents: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        check_vectors(self.vectors)
        count = len(self.names)
        if self.targets.shape != (count, len(self.classes)) or self.targets.dtype != np.bool_:
            raise ValueError(f"targets are bool ({count}, {len(self.classes)}), got {self.targets.shape}")
        if not len(self.sources) == len(self.contents) == count:
            raise ValueError(f"each of {count} clips has a source and a content")
        if self.clip.shape != (len(self.vectors),) or not np.array_equal(np.unique(self.clip), np.arange(count)):
            raise ValueError(f"clip numbers the {count} clips, one for each of {len(self.vectors)} windows")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (C,): a number for each set of classes that clips show."""
        return np.unique(self.targets, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def of(self, clips: Rows) -> "ClassifierSamples":
        """Some of the clips, by number, in that order."""
        place = np.full(len(self), -1, dtype=np.int64)
        place[clips] = np.arange(len(clips))
        rows = np.flatnonzero(place[self.clip] >= 0)
        sources, contents, names = (
            tuple(values[clip] for clip in clips.tolist()) for values in (self.sources, self.contents, self.names)
        )
        return ClassifierSamples(
            self.classes, self.vectors[rows], place[self.clip[rows]], self.targets[clips], sources, contents, names
        )


def fold_numbers(samples: ClassifierSamples, folds: int, seed: int) -> Rows:
    """int64 (C,): the fold of each clip; a source is in one only, and the classes are spread evenly.

    Raises:
        ConfigurationError: there are fewer than two folds, a class has fewer sources than folds, or clips of the same
            bytes are of two sources.
    """
    if folds < 2:
        raise ConfigurationError(f"{folds} folds hold nothing out; give at least 2")
    _check_contents(samples)
    few = {name: len(sources) for name, sources in _sources_of(samples).items() if len(sources) < folds}
    if few:
        told = ", ".join(f"{count} of {name}" for name, count in few.items())
        raise ConfigurationError(
            f"too few source videos ({told}): {folds} folds need {folds} of each class; add clips, give fewer folds, or "
            "tell with --source which clips are of one video"
        )
    from sklearn.model_selection import StratifiedGroupKFold  # a second; nights that only apply a head go without

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(samples), dtype=np.int64)
    for number, (_, held) in enumerate(splitter.split(np.zeros(len(samples)), samples.labels, samples.sources)):
        fold[held] = number
    return fold


def check_apart(training: ClassifierSamples, held_out: ClassifierSamples) -> None:
    """Refuse held-out clips of a source that is trained on, or with the bytes of a clip that is.

    Raises:
        ConfigurationError: there are such; the message names some.
    """
    for what, known, others in (
        ("source video", training.sources, held_out.sources),
        ("content", training.contents, held_out.contents),
    ):
        shared = sorted(set(known) & set(others))
        if shared:
            one, other = training.names[known.index(shared[0])], held_out.names[others.index(shared[0])]
            raise ConfigurationError(
                f"the split leaks: {one} is trained on, {other} is held out, and they are of one {what} "
                f"({', '.join(shared[:NAMED])}{', …' if len(shared) > NAMED else ''}); split by source video"
            )


def _check_contents(samples: ClassifierSamples) -> None:
    first: dict[str, int] = {}
    for number, content in enumerate(samples.contents):
        known = first.setdefault(content, number)
        if samples.sources[known] != samples.sources[number]:
            raise ConfigurationError(
                f"{samples.names[known]} and {samples.names[number]} are the same file but of two source videos, so one "
                "might be trained on and the other held out; take one of them away"
            )


def check_classes(samples: ClassifierSamples) -> None:
    """Raise ConfigurationError where a class is in no clip, or in all of them."""
    for name, shown in zip(samples.classes, samples.targets.T, strict=True):
        if shown.all() or not shown.any():
            raise ConfigurationError(
                f"{name} is in {'every' if shown.any() else 'no'} clip to train on, and a head learns from clips with it "
                "and without; add others"
            )


def _sources_of(samples: ClassifierSamples) -> dict[str, set[str]]:
    """Sources with clips of each alarm class, and with clips of none of them."""
    found = {
        name: {samples.sources[clip] for clip in np.flatnonzero(shown).tolist()}
        for name, shown in zip(samples.classes, samples.targets.T, strict=True)
    }
    rest = {samples.sources[clip] for clip in np.flatnonzero(~samples.targets.any(axis=1)).tolist()}
    return found | ({"no alarm class": rest} if rest or len(samples.classes) == 1 else {})


def fewest_sources(samples: ClassifierSamples) -> int:
    """Sources of the class that has the fewest; raises ConfigurationError where none could be held out."""
    fewest = min(len(sources) for sources in _sources_of(samples).values())
    if fewest < LEAST_SOURCES - 1:
        raise ConfigurationError(
            f"each class needs clips of at least {LEAST_SOURCES} source videos, to hold some out and to stop by others; "
            "add clips"
        )
    return fewest
