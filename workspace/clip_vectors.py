"""Windows of labelled clips, as a classifier is trained on them: what its encoders saw in each, joined to one vector."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from footage.index import FrameIndex
from infra.errors import ConfigurationError, UnknownNameError
from models.encoders.base import Encoder, EncoderSpec, Kind, Vectors
from models.heads.classifier_samples import ClassifierSamples
from models.windows import Pooling, Rows, Windows, grid_windows, joined
from workspace.clip_rows import FRAME_RATE_HZ, ClipRows, clip_rows
from workspace.clip_sets.base import ClipSet, LabelledClip

Progress = Callable[[str, float, float], None]

WINDOW_S = 2.0
"""Length of a window where every input is a frame encoder."""
MOST = 1000.0
"""Seconds of a window, or pictures of a second: no more than the settings take."""


@dataclass(frozen=True)
class ClassifierInput:
    """One encoder of a classifier.

    Attributes:
        encoder: its full name.
        space: of its vectors.
        kind: frame or snippet.
        pooling: what a window takes of its rows, see `models.windows.joined`.
    """

    encoder: str
    space: str
    kind: Kind
    pooling: Pooling

    def __post_init__(self) -> None:
        for what, said, known in (("kind", self.kind, get_args(Kind)), ("pooling", self.pooling, get_args(Pooling))):
            if said not in known:
                raise UnknownNameError(f"{what} of input {self.encoder}", str(said), known)


@dataclass(frozen=True)
class Inputs:
    """What a classifier looks at.

    Attributes:
        items: its encoders, in the order of the parts of a joined vector.
        window_s, stride_s: length of a window, and time from one window's start to the next's. Where there is an input
            with the pooling `window`, windows are its snippets, and snippets of other encoders follow one another without
            a gap or overlap.
        frame_rate_hz: pictures of a second that frame encoders see; None where there is no frame encoder.
    """

    items: tuple[ClassifierInput, ...]
    window_s: float
    stride_s: float
    frame_rate_hz: float | None

    def __post_init__(self) -> None:
        spaces = [item.space for item in self.items]
        if not spaces or len(set(spaces)) < len(spaces):
            raise ConfigurationError(f"a classifier has at least one input, each encoder once, got {spaces}")
        numbers = {"window_s": self.window_s, "stride_s": self.stride_s}
        if self.frame_rate_hz is not None:
            numbers["frame_rate_hz"] = self.frame_rate_hz
        for name, number in numbers.items():
            if not isinstance(number, int | float) or not 0 < number <= MOST:
                raise ConfigurationError(f"{name} is a number above 0 and at most {MOST:g}, got {number}")
        frames = [item.encoder for item in self.items if item.kind == "frame"]
        if self.frame_rate_hz is None and frames:
            raise ConfigurationError(f"frame encoders have a frame_rate_hz, and {', '.join(frames)} has none")
        if self.frame_rate_hz is not None and not frames:
            named = ", ".join(item.encoder for item in self.items)
            raise ConfigurationError(
                f"only frame encoders have a frame_rate_hz, got {self.frame_rate_hz:g} and none among {named}"
            )

    @property
    def window_item(self) -> ClassifierInput | None:
        """The input whose snippets are the windows; None where windows are a grid of their own."""
        return next((item for item in self.items if item.pooling == "window"), None)

    def to_card(self) -> dict[str, Any]:
        """`inputs`, `window_s`, `stride_s` and `frame_rate_hz`, as a card holds them."""
        return {
            "inputs": [asdict(item) for item in self.items],
            "window_s": self.window_s,
            "stride_s": self.stride_s,
            "frame_rate_hz": self.frame_rate_hz,
        }

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> "Inputs":
        """What `to_card` told, from a card that may hold more.

        Raises:
            ConfigurationError: the card does not say it.
        """
        try:
            items = tuple(ClassifierInput(**item) for item in card["inputs"])
            return cls(items, card["window_s"], card["stride_s"], card["frame_rate_hz"])
        except KeyError as error:
            why = f"it does not tell {error.args[0]}"
        except TypeError:
            why = "its inputs are a list, and each tells encoder, space, kind and pooling"
        except ConfigurationError as error:
            why = str(error)
        raise ConfigurationError(f"the card does not say what the classifier looks at: {why}; fit it again")


@dataclass(frozen=True, eq=False)
class ClipWindows:
    """Windows of clips, in order of clip and time.

    Attributes:
        clip_set: the clips that have windows; those without are told in its `left_out`.
        clip: int64 (M,), number of the clip in `clip_set.clips`.
        from_us, to_us: int64 (M,), span within the clip.
        vectors: float32 (M, D).
        lost: windows that were dropped because an input has no rows of them.
    """

    clip_set: ClipSet
    clip: NDArray[np.int64]
    from_us: NDArray[np.int64]
    to_us: NDArray[np.int64]
    vectors: Vectors
    lost: int

    def samples(self, classes: Sequence[str]) -> ClassifierSamples:
        """As a head is trained on them, with these alarm classes."""
        clips = self.clip_set.clips
        return ClassifierSamples(
            tuple(classes),
            self.vectors,
            self.clip,
            self.clip_set.targets(classes),
            tuple(clip.source for clip in clips),
            tuple(clip.content for clip in clips),
            tuple(clip.name for clip in clips),
        )


def inputs_of(
    specs: Sequence[EncoderSpec],
    *,
    window_s: float | None = None,
    stride_s: float | None = None,
    frame_rate_hz: float | None = None,
) -> Inputs:
    """What a classifier on these encoders looks at.

    Windows are the snippets of the first snippet encoder; other snippet encoders are averaged over a window, of frame
    encoders it takes the moments. Where there are frame encoders only, windows stand side by side.

    Args:
        specs: of the encoders, in order.
        window_s: length of a window, for frame encoders only; None: 2 s.
        stride_s: time from one window's start to the next's; None: the window's length.
        frame_rate_hz: pictures of a second that frame encoders see; None: 1.

    Raises:
        ConfigurationError: there is no encoder, one is named twice, a number is not positive, or `window_s` is said and
            snippets decide it.
    """
    leading = next((spec for spec in specs if spec.kind == "snippet"), None)
    if leading is not None and window_s is not None and not np.isclose(window_s, leading.snippet_s):
        raise ConfigurationError(
            f"a window is a snippet of {leading.name}, {leading.snippet_s:g} s long, got {window_s:g} s; leave the "
            "window out, or use frame encoders only"
        )
    length_s = leading.snippet_s if leading is not None else window_s or WINDOW_S
    items = tuple(ClassifierInput(spec.name, spec.space, spec.kind, _pooling(spec, leading)) for spec in specs)
    any_frames = any(spec.kind == "frame" for spec in specs)
    rate_hz = (FRAME_RATE_HZ if frame_rate_hz is None else frame_rate_hz) if any_frames else None
    return Inputs(items, length_s, length_s if stride_s is None else stride_s, rate_hz)


def _pooling(spec: EncoderSpec, leading: EncoderSpec | None) -> Pooling:
    if spec.kind == "frame":
        return "moments"
    return "window" if spec is leading else "mean"


def clip_windows(
    clip_set: ClipSet,
    encoders: Sequence[Encoder],
    inputs: Inputs,
    *,
    cache: Path | None = None,
    threads: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClipWindows:
    """Windows of every clip, joined over the inputs: `clip_rows`, then `join_rows`.

    Args:
        clip_set: the clips.
        encoders: brought to life, one for each input, in any order.
        inputs: what to make of them.
        cache, threads, progress: see `clip_rows`.

    Raises:
        ConfigurationError: no clip has a window.
    """
    own = inputs.window_item
    rows = clip_rows(
        clip_set,
        encoders,
        strides_s={} if own is None else {own.space: inputs.stride_s},
        frame_rate_hz=inputs.frame_rate_hz or FRAME_RATE_HZ,
        cache=cache,
        threads=threads,
        progress=progress,
    )
    return join_rows(rows, inputs)


def join_rows(rows: ClipRows, inputs: Inputs) -> ClipWindows:
    """Windows of every clip, joined over the inputs.

    Args:
        rows: of all encoders of the inputs, and maybe of others.
        inputs: what to make of them.

    Raises:
        ConfigurationError: an encoder's rows are not there, or fewer than two classes have a clip with a window.
    """
    clips: list[LabelledClip] = []
    problems, lost = [], 0
    columns: list[tuple[NDArray[np.int64], ...]] = []
    vectors: list[Vectors] = []
    for clip, told in zip(rows.clip_set.clips, rows.rows, strict=True):
        missing = [item.encoder for item in inputs.items if item.space not in told]
        if missing:
            raise ConfigurationError(f"the clips were not looked at with {missing[0]}; embed them with every input")
        windows = _windows(clip.index, told, inputs)
        picked, found = joined([(item.pooling, told[item.space]) for item in inputs.items], windows)
        lost += len(windows[0]) - len(picked)
        if not len(picked):
            problems.append(f"{clip.name}: no window of it could be decoded")
            continue
        columns.append((np.full(len(picked), len(clips), dtype=np.int64), windows[0][picked], windows[1][picked]))
        clips.append(clip)
        vectors.append(found)
    clip_set = rows.clip_set.narrowed(clips, problems)
    numbers, from_us, to_us = (np.concatenate(column) for column in zip(*columns, strict=True))
    return ClipWindows(clip_set, numbers, from_us, to_us, np.concatenate(vectors), lost)


def _windows(index: FrameIndex, told: Mapping[str, Rows], inputs: Inputs) -> Windows:
    own = inputs.window_item
    if own is None:
        return grid_windows(index.extent_us, inputs.window_s, inputs.stride_s)
    return told[own.space].from_us, told[own.space].to_us
