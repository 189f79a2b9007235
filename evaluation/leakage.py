"""The guard against leaking splits: what a test part must not share with what a model was trained on.

A fixed camera shows one moment much like the next, so a model that has seen a frame has as good as seen its neighbours,
and what it says of them measures memory. A split is refused where

- a group (a day, a clip) that its data set says is one has slices on both sides,
- the same recording, known by its bytes whatever it is called, has slices on both sides that overlap or are nearer than
  the gap,
- two slices of one camera are nearer than the gap on the camera's clock, in whatever recordings,
- a relevant span reaches from one side to the other,
- the gap itself is shorter than what two snippets can have in common.

One recording may be split in time, between two visits, if the gap lies between the sides. The default gap of 10 s is the
longest temporal slice (`models.labelling.temporal_slices`): nearer frames may stand for one moment. It cannot make an
empty room in the morning differ from the same room at noon: results on one recording say less than those on other days.

A data set's own split (`check_official_split`) is not ours to widen: clips may follow one another at once, as far as it
tells. What it may not share is a recording, a group, or a single picture.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from evaluation.datasets.base import LabelledVideo, image_files
from infra.errors import ConfigurationError

GAP_S = 10.0


@dataclass(frozen=True)
class Slice:
    """Frames [first, last) of a labelled video."""

    video: LabelledVideo
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last <= len(self.video.index):
            raise ValueError(
                f"a slice holds frames of {self.video.video_id}: 0 <= first < last <= {len(self.video.index)}, "
                f"got [{self.first}, {self.last})"
            )

    @classmethod
    def whole(cls, video: LabelledVideo) -> "Slice":
        return cls(video, 0, len(video.index))

    @property
    def from_us(self) -> int:
        """Its start on the camera's clock, in microseconds."""
        return self.video.at_us(self.first)

    @property
    def to_us(self) -> int:
        """Its end on the camera's clock, exclusive."""
        return self.video.at_us(self.last)

    @property
    def relevant(self) -> tuple[tuple[int, int], ...]:
        """The parts of relevant spans that lie in it, in frames of the video."""
        cut = [(max(a, self.first), min(b, self.last)) for a, b in self.video.relevant]
        return tuple((a, b) for a, b in cut if a < b)

    def __str__(self) -> str:
        return f"{self.video.video_id} [{self.first}, {self.last})"


def check_split(train: Sequence[Slice], test: Sequence[Slice], *, gap_s: float = GAP_S, reach_s: float = 0.0) -> None:
    """Refuse a split that leaks.

    Args:
        train, test: slices of videos.
        gap_s: seconds that must lie between the sides.
        reach_s: seconds before and after its own frame that a vector sees; half a snippet's length, 0 for a frame.

    Raises:
        ConfigurationError: it leaks; the message says what the sides share.
    """
    if gap_s < 2 * reach_s:
        raise ConfigurationError(
            f"a gap of {gap_s:g} s lets snippets of {2 * reach_s:g} s on both sides see the same frames; "
            f"it is at least {2 * reach_s:g} s"
        )
    for one, other in product(train, test):
        reason = _shared(one, other, round(gap_s * 1e6))
        if reason:
            raise ConfigurationError(
                f"the split leaks: {one} is trained on, {other} is tested on, and {reason}; "
                "leave one of them out, or split by day, clip or visit"
            )


def check_official_split(train: Sequence[LabelledVideo], test: Sequence[LabelledVideo]) -> None:
    """Refuse a data set's own split where both sides share a recording, a group, or an image of the same bytes.

    Raises:
        ConfigurationError: they do; the message says what.
    """
    check_split([Slice.whole(video) for video in train], [Slice.whole(video) for video in test], gap_s=0.0)
    known = {digest: name for video in train for name, digest in _images(video)}
    for video in test:
        for name, digest in _images(video):
            if digest in known:
                raise ConfigurationError(
                    f"the split leaks: {known[digest]} is trained on, {name} is tested on, and they are the same picture; "
                    "unpack the data set again"
                )


def _images(video: LabelledVideo) -> Iterator[tuple[str, bytes]]:
    if video.source.is_dir():
        for path in image_files(video.source):
            yield f"{video.video_id}/{path.name}", hashlib.blake2b(path.read_bytes(), digest_size=16).digest()


def _shared(train: Slice, test: Slice, gap_us: int) -> str:
    """What two slices share, in words; empty where it is nothing."""
    one, other = train.video, test.video
    rule = f"at least {gap_us / 1e6:g} s must lie between"
    if one.group is not None and (one.campaign, one.group) == (other.campaign, other.group):
        return f"both are of {one.group}, which is not split"
    if one.content == other.content:
        apart_us = _apart_us(
            (train.from_us - one.starts_at_us, train.to_us - one.starts_at_us),
            (test.from_us - other.starts_at_us, test.to_us - other.starts_at_us),
        )
        if apart_us < gap_us:
            return f"they are slices of one recording, {_distance(apart_us)}: {rule}"
        # Both number the same frames, under whatever names.
        for a, b in one.relevant:
            if max(a, train.first) < min(b, train.last) and max(a, test.first) < min(b, test.last):
                return f"the relevant frames [{a}, {b}) reach from one to the other"
    if (one.campaign, one.camera) == (other.campaign, other.camera):
        apart_us = _apart_us((train.from_us, train.to_us), (test.from_us, test.to_us))
        if apart_us < gap_us:
            return f"the camera recorded them {_distance(apart_us)}: {rule}"
    return ""


def _apart_us(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Microseconds between two half-open spans; negative where they overlap."""
    return max(one[0], other[0]) - min(one[1], other[1])


def _distance(apart_us: int) -> str:
    return f"{apart_us / 1e6:.1f} s apart" if apart_us > 0 else "side by side" if apart_us == 0 else "overlapping"
