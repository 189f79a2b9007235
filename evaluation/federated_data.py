"""Footage of the sites of a federated experiment: small grey pictures in files, in parts that no two sites share.

Of one camera, the normal clips are dealt to the clients (experiment 1 of S1); of several cameras, each is a client of its own
(experiment 2). A client's last clips are held out: they are trained on by nobody, and say how well a round reconstructs.

Pictures lie in `.npy` files that a worker maps into its memory: a round sends it their names only.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledData, LabelledVideo, image_files
from evaluation.embedding import sampled_frames
from evaluation.leakage import Slice, check_official_split, check_split
from evaluation.splitting import split_in_time
from footage.decode import decode
from footage.images import cut, read_image
from footage.index import MICROSECONDS
from footage.pictures import Rgb
from footage.regions import WHOLE
from footage.sampling import Indices
from footage.writing import write_bytes
from infra.errors import ConfigurationError
from workspace.clips import mapped_pictures

Grey = NDArray[np.uint8]
Progress = Callable[[str, float, float], None]

HELD_OUT = 0.2
"""Share of a client's clips that are trained on by nobody, at least one; as `fit autoencoder` has it."""
MARGIN_S = 1.0
"""Left out on both sides of what is relevant where normal footage is cut out of labelled recordings."""
CACHE_VERSION = 1


@dataclass(frozen=True, eq=False)
class GreyClip:
    """Pictures of a video that follow one another at an even rate, as rows of a file.

    Attributes:
        piece: of a video, that they are of.
        frames: int64 (F,), their numbers in the video, rising.
        file: `.npy`, uint8 (rows, H, W).
        first: row of the first of them.
    """

    piece: Slice
    frames: Indices
    file: Path
    first: int

    @property
    def name(self) -> str:
        """Of the piece: its video, and its frames where it is not whole."""
        video, first, last = self.piece.video, self.piece.first, self.piece.last
        return video.video_id if (first, last) == (0, len(video.index)) else f"{video.video_id} [{first}, {last})"

    @property
    def rows(self) -> "ClipRows":
        """What a worker needs to read them."""
        return ClipRows(str(self.file), self.first, self.first + len(self.frames))


@dataclass(frozen=True)
class ClipRows:
    """Rows [first, last) of a file of pictures."""

    file: str
    first: int
    last: int

    def read(self) -> Grey:
        """uint8 (F, H, W), mapped into memory."""
        return mapped_pictures(Path(self.file))[self.first : self.last]


@dataclass(frozen=True, eq=False)
class SiteFootage:
    """What one site has, and what its model is tested on.

    Attributes:
        name: of the client.
        camera: that it is of.
        training, held_out: normal clips; no other client has one of them.
        test: clips of each test slice of the camera, by slice.
    """

    name: str
    camera: str
    training: tuple[GreyClip, ...]
    held_out: tuple[GreyClip, ...]
    test: tuple[tuple[Slice, tuple[GreyClip, ...]], ...]


@dataclass(frozen=True, eq=False)
class CameraFootage:
    """One camera of a data set.

    Attributes:
        data: the data set.
        camera: its name, with the data set's where two data sets have a camera of that name.
        normal: normal stretches, each with its clips; a stretch is dealt to one client whole.
        test: test stretches with theirs.
    """

    data: LabelledData
    camera: str
    normal: tuple[tuple[Slice, tuple[GreyClip, ...]], ...]
    test: tuple[tuple[Slice, tuple[GreyClip, ...]], ...]


def read_cameras(
    sets: Sequence[LabelledData],
    size_px: int,
    rate_hz: float,
    folder: Path,
    progress: Progress = lambda _stage, _done, _total: None,
) -> tuple[CameraFootage, ...]:
    """Cameras of data sets with their pictures, which are kept below `folder`.

    A data set's own training videos are its normal footage; where it names none, it is split in time (`split_in_time`), and
    what is not relevant in the earlier part is normal.

    Raises:
        ConfigurationError: a split leaks, or two data sets are one.
    """
    if len({data.name for data in sets}) < len(sets):
        raise ConfigurationError(
            f"two data sets are called {', '.join(sorted(data.name for data in sets))}; give each once, or rename one"
        )
    parts = [(data, *normal_and_test(data)) for data in sets]
    slices = [one for _, normal, test in parts for one in (*normal, *test)]
    names = [video.camera for data in sets for video in _one_for_each_camera(data)]
    kept: dict[int, tuple[GreyClip, ...]] = {}
    for number, one in enumerate(slices):
        progress("pictures", number, len(slices))
        kept[id(one)] = grey_clips(one, size_px, rate_hz, folder)
    progress("pictures", len(slices), len(slices))
    cameras = []
    for data, normal, test in parts:
        for camera in dict.fromkeys(video.camera for video in data.videos):
            cameras.append(
                CameraFootage(
                    data,
                    camera if names.count(camera) == 1 else f"{data.name}/{camera}",
                    tuple((one, kept[id(one)]) for one in normal if one.video.camera == camera),
                    tuple((one, kept[id(one)]) for one in test if one.video.camera == camera),
                )
            )
    return tuple(cameras)


def normal_and_test(data: LabelledData) -> tuple[tuple[Slice, ...], tuple[Slice, ...]]:
    """Normal stretches to learn from and stretches to test on, of one data set; nothing relevant is in the former.

    Raises:
        ConfigurationError: they share something, or there is nothing to learn from or to test on.
    """
    if data.train:
        check_official_split(data.train, data.videos)
        return tuple(map(Slice.whole, data.train)), tuple(map(Slice.whole, data.videos))
    split = split_in_time(data.videos)
    check_split(split.train, split.test)
    normal = tuple(piece for one in split.train for piece in _without_relevant(one))
    if not normal:
        raise ConfigurationError(f"{data.name} has no normal footage in its earlier part ({split.how}); add some")
    return normal, split.test


def deal(camera: CameraFootage, clients: int, seed: int) -> tuple[SiteFootage, ...]:
    """Deal a camera's normal stretches to clients, each to one: in an order by lot, in turn.

    Raises:
        ConfigurationError: a client would have fewer than two: one to train on, one held out.
    """
    if len(camera.normal) < 2 * clients:
        raise ConfigurationError(
            f"{camera.camera} has {len(camera.normal)} normal clips; {clients} clients need at least {2 * clients}, for each "
            "trains on one and holds one out: add clips, or take fewer clients"
        )
    order = np.random.default_rng(seed).permutation(len(camera.normal))
    return tuple(_site(f"client {n + 1}", camera, order[n::clients].tolist()) for n in range(clients))


def each_its_own(cameras: Sequence[CameraFootage], seed: int) -> tuple[SiteFootage, ...]:
    """Each camera is a client; which of its stretches are held out is decided by lot.

    Raises:
        ConfigurationError: a camera has fewer than two normal stretches.
    """
    return tuple(
        _site(f"client {number}", camera, np.random.default_rng(seed).permutation(len(camera.normal)).tolist())
        for number, camera in enumerate(cameras, 1)
    )


def together(name: str, sites: Sequence[SiteFootage]) -> SiteFootage:
    """All that several sites of one camera have, as one site: what they hold out is held out still."""
    cameras = {site.camera for site in sites}
    if len(cameras) != 1:
        raise ValueError(f"sites of several cameras are not one: {sorted(cameras)}")
    return SiteFootage(
        name,
        sites[0].camera,
        tuple(clip for site in sites for clip in site.training),
        tuple(clip for site in sites for clip in site.held_out),
        sites[0].test,
    )


def _site(name: str, camera: CameraFootage, order: Sequence[int]) -> SiteFootage:
    if len(order) < 2:
        raise ConfigurationError(
            f"{camera.camera} has {len(order)} normal clips; at least 2 are needed, one to train on and one to hold out"
        )
    held = max(1, round(len(order) * HELD_OUT))
    return SiteFootage(
        name,
        camera.camera,
        tuple(clip for place in sorted(order[:-held]) for clip in camera.normal[place][1]),
        tuple(clip for place in sorted(order[-held:]) for clip in camera.normal[place][1]),
        camera.test,
    )


def _one_for_each_camera(data: LabelledData) -> list[LabelledVideo]:
    return list({video.camera: video for video in data.videos}.values())


def _without_relevant(one: Slice) -> Iterator[Slice]:
    """What is left of a slice without relevant frames and a margin around them."""
    times, margin_us = one.video.index.t_us, round(MARGIN_S * MICROSECONDS)
    normal = np.zeros(len(times), dtype=np.bool_)
    normal[one.first : one.last] = True
    for first, last in one.video.relevant:
        begin, end = times[first] - margin_us, times[last - 1] + margin_us
        normal &= (times < begin) | (times > end)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], normal, [False]])))
    for first, last in edges.reshape(-1, 2).tolist():
        yield Slice(one.video, first, last)


# Pictures.


def grey_clips(one: Slice, size_px: int, rate_hz: float, folder: Path) -> tuple[GreyClip, ...]:
    """Pictures of a slice at up to `rate_hz`, squashed to a square and grey; where one is lost, a new clip begins.

    Args:
        one: what of which video.
        size_px: height and width.
        rate_hz: most pictures of a second.
        folder: the file is put there, named by what it holds; one that is there is not made again.
    """
    sampled = sampled_frames(one.video.index, rate_hz)
    wanted = sampled[(sampled >= one.first) & (sampled < one.last)]
    told = [CACHE_VERSION, one.video.content, wanted.tolist(), size_px]
    stem = hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest()
    pixels, seen = folder / f"{stem}.npy", folder / f"{stem}.json"
    if not seen.is_file():
        frames, pictures = _pictures(one.video, wanted, size_px)
        folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, pictures)
        write_bytes(pixels, content.getvalue())
        # Written last: where it lies, the pictures do.
        write_bytes(seen, json.dumps(frames.tolist()).encode())
    frames = np.array(json.loads(seen.read_text(encoding="utf-8")), dtype=np.int64)
    places = np.searchsorted(wanted, frames)
    starts = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    bounds = [*starts.tolist(), len(frames)]
    return tuple(GreyClip(one, frames[begin:end], pixels, begin) for begin, end in pairwise(bounds))


def _pictures(video: LabelledVideo, wanted: Indices, size_px: int) -> tuple[Indices, Grey]:
    """int64 (F,) of the wanted frames that can be read, and uint8 (F, size, size)."""
    frames, pictures = [], []
    for number, rgb in _views(video, wanted, (size_px, size_px)):
        frames.append(number)
        pictures.append(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8))
    stacked = np.stack(pictures) if pictures else np.empty((0, size_px, size_px), np.uint8)
    return np.array(frames, dtype=np.int64), stacked


def _views(video: LabelledVideo, wanted: Indices, size: tuple[int, int]) -> Iterator[tuple[int, Rgb]]:
    if video.source.is_file():
        for picture in decode(video.source, video.index, wanted):
            yield picture.index, picture.view(WHOLE, size)
        return
    files = image_files(video.source)
    for number in wanted.tolist():
        try:
            image = read_image(files[number])
        except ConfigurationError:
            continue  # lost, as a picture of a film is that cannot be decoded
        yield number, cut(image, size)
