"""Annotated videos: what a file may say, which video it means, segments with their truth, and parts that do not leak."""

import json
import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.index import FrameIndex
from infra.errors import ConfigurationError, UnknownNameError
from models.encoders.base import EncoderSpec
from tests.footage.films import Film
from tests.workspace.looking import frame_means, snippet_means
from tests.workspace.made_clips import put_clip
from workspace import segment_annotations
from workspace.clip_sets.base import LabelledClip
from workspace.clip_vectors import clip_windows
from workspace.segment_annotations import read_segment_annotations
from workspace.segment_parts import PARTS, check_parts, part_numbers, read_split, split_videos
from workspace.segment_sets import SegmentVideos, annotated_segments, read_segment_videos, segment_inputs, span_shares

S = 1_000_000
LONG = Film(count=60, height=32, width=48)  # 2.4 s at 25 Hz


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of 2.4 s, two of one name; treat it as read only."""
    folder = tmp_path_factory.mktemp("videos")
    for seed, name in enumerate(("gate/a.mp4", "hall/a.mp4", "hall/b.mp4", "c.mp4")):
        put_clip(folder / name, seed, LONG)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def written(path: Path, told: Any) -> Path:
    path.write_text(told if isinstance(told, str) else json.dumps(told), encoding="utf-8")
    return path


def span(start: float, end: float) -> dict[str, float]:
    return {"start": start, "end": end}


# --- what a file may say -----------------------------------------------------------------------------------------------


def test_the_form_of_the_issue_is_read(tmp_path: Path) -> None:
    told = read_segment_annotations(
        written(tmp_path / "a.json", '{"video.mp4": [{"start": 3, "end": 13}], "b.mp4": []}')
    )
    assert told == {"video.mp4": ((3.0, 13.0),), "b.mp4": ()}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "names no video"),
        ("{}", "names no video"),
        ({"a.mp4": {"start": 1, "end": 2}}, "a.mp4 has no list of spans"),
        ({"a.mp4": [[1, 2]]}, 'write {"start": 3, "end": 13}'),
        ({"a.mp4": [{"start": 1}]}, 'write {"start": 3, "end": 13}'),
        ({"a.mp4": [{"start": "1", "end": 2}]}, 'write {"start": 3, "end": 13}'),
        ({"a.mp4": [{"start": True, "end": 2}]}, 'write {"start": 3, "end": 13}'),
        ({"a.mp4": [span(2, 2)]}, "goes from 2 to 2 s"),
        ({"a.mp4": [span(-1, 2)]}, "begins at 0 or later"),
        ('{"a.mp4": [{"start": NaN, "end": 2}]}', "goes from nan to 2 s"),
        ('{"a.mp4": [{"start": 0, "end": Infinity}]}', "goes from 0 to inf s"),
        ('{"a.mp4": [{"start": 0, "end": 1' + "0" * 400 + "}]}", "goes from 0 to 1000"),
        ('{"a.mp4": [], "a.mp4": []}', '"a.mp4" is there twice'),
        ("[" * 200_000, "cannot be read as JSON"),
        ('{"a.mp4": ' + "[" * 200_000 + "]" * 200_000 + "}", "cannot be read as JSON"),
    ],
)
def test_what_is_no_annotation_is_refused(tmp_path: Path, told: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_segment_annotations(written(tmp_path / "a.json", told))
    assert words in str(refused.value)


def test_names_are_held_against_each_other_once(tmp_path: Path) -> None:
    class Name(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    count = 2000
    told = segment_annotations._unique(tmp_path / "a.json", [(Name(f"{n}.mp4"), []) for n in range(count)])
    assert len(told) == count and Name.compared < 10 * count


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read as JSON"):
        read_segment_annotations(tmp_path / "nowhere.json")


# --- which video it means ----------------------------------------------------------------------------------------------


def test_videos_are_named_by_path_or_by_a_name_of_their_own(folder: Path, tmp_path: Path) -> None:
    told = {"gate/a.mp4": [span(0.4, 1), span(0.8, 1.2), span(2, 2.4)], "b.mp4": [], "c.mp4": [span(1, 2)]}
    found = read_segment_videos(folder, written(tmp_path / "a.json", told | {"d.mp4": []}))
    assert [video.name for video in found.videos] == ["c.mp4", "gate/a.mp4", "hall/b.mp4"]
    assert [spans.tolist() for spans in found.spans_us] == [
        [[S, 2 * S]],
        [[400_000, 1_200_000], [2 * S, 2_400_000]],
        [],
    ]
    assert found.anomalous.tolist() == [True, True, False]
    assert found.left_out == (
        "1 annotated videos that are not in the folder: d.mp4",
        "2 videos that the annotations do not name: broken.mp4, hall/a.mp4",
    )
    assert [video.source for video in found.videos] == [video.name for video in found.videos]


def test_unlisted_videos_are_normal_only_where_that_is_said(folder: Path, tmp_path: Path) -> None:
    annotations = written(tmp_path / "a.json", {"c.mp4": [span(1, 2)]})
    found = read_segment_videos(folder, annotations, unlisted="normal")
    assert [video.name for video in found.videos] == ["c.mp4", "gate/a.mp4", "hall/a.mp4", "hall/b.mp4"]
    assert found.anomalous.tolist() == [True, False, False, False]
    assert len(found.left_out) == 1 and found.left_out[0].startswith("broken.mp4: ")
    with pytest.raises(UnknownNameError, match="--unlisted"):
        read_segment_videos(folder, annotations, unlisted="abnormal")
    with pytest.raises(ConfigurationError, match="1 videos can be used"):
        read_segment_videos(folder, annotations)


def test_spans_beyond_the_end_are_cut_off_and_told(folder: Path, tmp_path: Path) -> None:
    told = {"c.mp4": [span(1, 9), span(5, 6)], "b.mp4": [span(2, 2.8)]}
    found = read_segment_videos(folder, written(tmp_path / "a.json", told))
    assert [spans.tolist() for spans in found.spans_us] == [[[S, 2_400_000]], [[2 * S, 2_400_000]]]
    assert [line for line in found.left_out if "end" in line] == [
        "c.mp4: 1 to 9 s is cut off at its end, it is 2.4 s long",
        "c.mp4: 5 to 6 s is beyond its end, it is 2.4 s long",
    ], "half a second too long is nothing to speak of"


def test_a_name_of_several_videos_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"2 videos are called a\.mp4 \(gate/a\.mp4, hall/a\.mp4"):
        read_segment_videos(folder, written(tmp_path / "a.json", {"a.mp4": []}))
    with pytest.raises(ConfigurationError, match=r"hall/b\.mp4 is annotated twice"):
        read_segment_videos(folder, written(tmp_path / "a.json", {"hall/b.mp4": [], "b.mp4": []}))


def test_copies_are_taken_once(folder: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes((folder / ("c.mp4" if name == "c.mp4" else "hall/b.mp4")).read_bytes())
    annotations = written(tmp_path / "said.json", {name: [span(1, 2)] for name in ("a.mp4", "b.mp4", "c.mp4")})
    found = read_segment_videos(tmp_path, annotations)
    assert [video.name for video in found.videos] == ["a.mp4", "c.mp4"]
    assert found.left_out == ("b.mp4: the same bytes as a.mp4",)


def test_sources_are_said_by_an_expression_or_a_file(folder: Path, tmp_path: Path) -> None:
    annotations = written(tmp_path / "a.json", {"hall/a.mp4": [span(1, 2)], "b.mp4": [], "c.mp4": []})
    found = read_segment_videos(folder, annotations, source=r"^(hall|c)")
    assert [video.source for video in found.videos] == ["c", "hall", "hall"]
    sources = written(tmp_path / "sources.csv", "clip,source\nc.mp4,street\nhall/a.mp4,street\n")
    found = read_segment_videos(folder, annotations, sources=sources)
    assert [video.source for video in found.videos] == ["street", "street", "hall/b.mp4"]


def test_folders_of_classes_are_anomalous_from_end_to_end(tmp_path: Path) -> None:
    for seed, name in enumerate(("anomaly/a.mp4", "normal/b.mp4", "anomaly/c.mp4")):
        put_clip(tmp_path / name, seed, LONG)
    found = read_segment_videos(tmp_path)
    assert [spans.tolist() for spans in found.spans_us] == [[[0, 2_400_000]], [[0, 2_400_000]], []]
    assert found.layout == "folders, normal is normal"
    (tmp_path / "normal").rename(tmp_path / "quiet")
    with pytest.raises(ConfigurationError, match="none of the classes anomaly, quiet is the normal one"):
        read_segment_videos(tmp_path)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        read_segment_videos(tmp_path / "nowhere")


# --- segments and their truth ------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=5),
)
def test_shares_are_those_of_sets_of_moments(segments: list[tuple[int, int]], annotated: list[tuple[int, int]]) -> None:
    moments = sorted({t for start, length in annotated for t in range(start, start + length)})
    spans = np.array([[t, t + 1] for t in moments], dtype=np.int64).reshape(-1, 2)
    starts = np.array([start for start, _ in segments])
    ends = starts + np.array([length for _, length in segments])
    expected = [np.isin(np.arange(a, b), moments).mean() for a, b in zip(starts, ends, strict=True)]
    assert span_shares(starts, ends, spans) == pytest.approx(expected)


def test_many_spans_of_many_segments_take_no_more_room_than_both() -> None:
    starts, begins = np.arange(3000) * 700, np.arange(4000) * 500
    tracemalloc.start()
    try:
        shares = span_shares(starts, starts + 700, np.stack([begins, begins + 100], axis=1))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20
    assert shares.sum() == pytest.approx(4000 * 100 / 700), "every span lies in some segments"


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        # Segments of 0.8 s; annotated is 0.4 to 1.2 s of one video, and nothing of the other.
        (0.5, [True, True, False, False, False, False]),
        (0.6, [False] * 6),
        (0.1, [True, True, False, False, False, False]),
    ],
)
def test_a_segment_is_anomalous_by_its_overlap(
    folder: Path, tmp_path: Path, overlap: float, expected: list[bool]
) -> None:
    annotations = written(tmp_path / "a.json", {"hall/a.mp4": [span(0.4, 1.2)], "hall/b.mp4": []})
    videos = read_segment_videos(folder, annotations)
    encoder = snippet_means()
    inputs = segment_inputs(videos, [encoder.spec])
    segments = annotated_segments(videos, clip_windows(videos.as_clips(), [encoder], inputs), inputs, overlap)
    assert segments.samples.positive.tolist() == expected
    assert segments.from_us.tolist() == [0, 800_000, 1_600_000] * 2
    assert segments.samples.video.tolist() == [0, 0, 0, 1, 1, 1]
    assert segments.samples.follows.tolist() == [False, True, True] * 2
    assert segments.videos.spans_us[0].tolist() == [[400_000, 1_200_000]]
    with pytest.raises(ConfigurationError, match="the overlap is a share"):
        annotated_segments(videos, clip_windows(videos.as_clips(), [encoder], inputs), inputs, 0)


def test_a_span_that_makes_no_segment_anomalous_is_told(folder: Path, tmp_path: Path) -> None:
    # Segments of 0.8 s: the first span fills half of one, the others of none.
    told = {"hall/a.mp4": [span(0.4, 0.8), span(1, 1.2), span(1.7, 1.9)], "hall/b.mp4": []}
    videos = read_segment_videos(folder, written(tmp_path / "a.json", told))
    encoder = snippet_means()
    inputs = segment_inputs(videos, [encoder.spec])
    windows = clip_windows(videos.as_clips(), [encoder], inputs)
    segments = annotated_segments(videos, windows, inputs)
    assert segments.short == ("hall/a.mp4 1 to 1.2 s", "hall/a.mp4 1.7 to 1.9 s")
    assert segments.videos.left_out[-1].startswith(
        "2 annotated spans that fill 50 % of no segment and count as normal: "
    )
    assert annotated_segments(videos, windows, inputs, 0.2).short == ()


def test_a_video_that_cannot_be_decoded_takes_its_truth_with_it(folder: Path, tmp_path: Path) -> None:
    annotations = written(tmp_path / "a.json", {"gate/a.mp4": [], "hall/a.mp4": [span(0, 2)], "hall/b.mp4": []})
    videos = read_segment_videos(folder, annotations)
    gone = videos.as_clips().narrowed([*videos.videos[1:]], ["gate/a.mp4: gone"])
    encoder = snippet_means()
    inputs = segment_inputs(videos, [encoder.spec])
    segments = annotated_segments(videos, clip_windows(gone, [encoder], inputs), inputs)
    assert [video.name for video in segments.videos.videos] == ["hall/a.mp4", "hall/b.mp4"]
    assert segments.samples.positive.tolist() == [True, True, True, False, False, False]
    assert "gate/a.mp4: gone" in segments.videos.left_out


def test_a_hole_between_segments_parts_neighbours(folder: Path, tmp_path: Path) -> None:
    annotations = written(tmp_path / "a.json", {"hall/a.mp4": [span(0, 2)], "hall/b.mp4": []})
    videos = read_segment_videos(folder, annotations)
    encoder = snippet_means()
    inputs = segment_inputs(videos, [encoder.spec])
    windows = clip_windows(videos.as_clips(), [encoder], inputs)
    kept = np.array([0, 2, 3, 4])  # the second segment of the first video was lost
    fewer = type(windows)(
        windows.clip_set, windows.clip[kept], windows.from_us[kept], windows.to_us[kept], windows.vectors[kept], 1
    )
    assert annotated_segments(videos, fewer, inputs).samples.follows.tolist() == [False, False, False, True]


def test_frame_encoders_look_at_thirty_two_pictures(folder: Path, tmp_path: Path) -> None:
    annotations = written(tmp_path / "a.json", {"hall/a.mp4": [span(0, 2)], "hall/b.mp4": []})
    videos, spec = read_segment_videos(folder, annotations), frame_means().spec
    inputs = segment_inputs(videos, [spec])
    assert (inputs.window_s, inputs.stride_s, inputs.frame_rate_hz) == (1.28, 1.28, 3.125)
    inputs = segment_inputs(videos, [spec], frames=50, stride_s=0.5, frame_rate_hz=2.0)
    assert (inputs.window_s, inputs.stride_s, inputs.frame_rate_hz) == (2.0, 0.5, 2.0)
    assert segment_inputs(videos, [spec], frames=200).frame_rate_hz == 1.0
    snippet = snippet_means().spec
    inputs = segment_inputs(videos, [spec, snippet])
    assert inputs.window_s == pytest.approx(0.8), "a segment is a snippet"
    assert inputs.frame_rate_hz == 3.125
    for frames in (0, 2000):
        with pytest.raises(ConfigurationError, match="1 to 1024 pictures"):
            segment_inputs(videos, [spec], frames=frames)


def test_the_encoder_decides_the_segment_and_not_the_frames(folder: Path, tmp_path: Path) -> None:
    annotations = written(tmp_path / "a.json", {"hall/a.mp4": [span(0, 2)], "hall/b.mp4": []})
    spec = EncoderSpec("afterwatch/c3d/x", "snippet", (64, 64), "random:0", "", 32, 30.0)
    assert segment_inputs(read_segment_videos(folder, annotations), [spec], frames=8).window_s == pytest.approx(32 / 30)


# --- parts -------------------------------------------------------------------------------------------------------------


def made(sources: Sequence[str], anomalous: Sequence[bool], sides: Sequence[Any] | None = None) -> SegmentVideos:
    """Videos that are nowhere, with and without an anomaly."""
    index = FrameIndex(np.arange(50), np.ones(50, np.bool_), Fraction(1, 25))
    videos = tuple(
        LabelledClip(f"{n:03d}.mp4", Path(f"{n}"), f"{n:03d}.mp4", source, f"{n:032x}", index, side)
        for n, (source, side) in enumerate(zip(sources, sides or [None] * len(sources), strict=True))
    )
    spans = tuple(np.array([[0, S]] if shown else [], dtype=np.int64).reshape(-1, 2) for shown in anomalous)
    return SegmentVideos(videos, spans, "annotations")


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=3, max_size=60), st.integers(0, 9))
def test_sources_are_never_parted(told: list[tuple[int, bool]], seed: int) -> None:
    videos = made([str(source) for source, _ in told], [shown for _, shown in told])
    parts = split_videos(videos, seed)
    assert parts == split_videos(videos, seed)
    sides: dict[str, set[str]] = {}
    for video in videos.videos:
        sides.setdefault(video.source, set()).add(parts[video.name])
    assert all(len(held) == 1 for held in sides.values())
    for kind in (True, False):
        shown = {
            source: any(a for v, a in zip(videos.videos, videos.anomalous, strict=True) if v.source == source)
            for source in sides
        }
        mine = [sides[source] for source, found in shown.items() if found == kind]
        if len(mine) >= 3:
            assert set().union(*mine) == set(PARTS)


def test_shares_are_seventy_fifteen_and_fifteen() -> None:
    videos = made([str(n) for n in range(100)], [n % 5 == 0 for n in range(100)])
    parts = split_videos(videos, 0)
    counts = {part: part_numbers(videos, parts, part) for part in PARTS}
    assert [len(counts[part]) for part in PARTS] == [70, 15, 15]
    assert [int(videos.anomalous[counts[part]].sum()) for part in PARTS] == [14, 3, 3]
    assert parts != split_videos(videos, 1)


def test_an_official_test_side_is_kept() -> None:
    sides = ["test" if n % 4 == 0 else "train" for n in range(24)]
    videos = made([str(n) for n in range(24)], [n % 2 == 0 for n in range(24)], sides)
    parts = split_videos(videos, 0)
    assert [parts[video.name] == "test" for video in videos.videos] == [side == "test" for side in sides]
    assert "validation" in parts.values()
    with pytest.raises(ConfigurationError, match="the split leaks: same is on the training side"):
        split_videos(made(["same", "same", "b"], [True, True, False], ["train", "test", "train"]), 0)


def test_a_split_that_leaks_or_tells_nothing_is_refused() -> None:
    videos = made(["a", "a", "b", "c"], [True, True, True, False])
    names = [video.name for video in videos.videos]
    with pytest.raises(ConfigurationError, match=r"the split leaks: 000\.mp4 is trained on, 001\.mp4 is held out"):
        check_parts(videos, dict(zip(names, ["train", "test", "train", "train"], strict=True)))
    with pytest.raises(ConfigurationError, match=r"1 of 4 videos are in the test part and none of them shows"):
        check_parts(videos, dict(zip(names, ["train", "train", "train", "test"], strict=True)))
    with pytest.raises(ConfigurationError, match=r"in the train part and none"):
        check_parts(videos, dict.fromkeys(names, "test"))
    check_parts(videos, dict(zip(names, ["train", "train", "test", "validation"], strict=True)))


def test_a_file_says_the_parts(tmp_path: Path) -> None:
    videos = made(["a", "b", "c", "d"], [True, True, True, False])
    rows = "video,part\n000.mp4,train\n001.mp4,test\n002.mp4,validation\nnowhere.mp4,test\n"
    kept, parts = read_split(written(tmp_path / "parts.csv", rows), videos)
    assert [(video.name, parts[video.name]) for video in kept.videos] == [
        ("000.mp4", "train"),
        ("001.mp4", "test"),
        ("002.mp4", "validation"),
    ]
    assert kept.left_out == (
        "1 videos of the split that are not there: nowhere.mp4",
        "1 videos that the split does not name: 003.mp4",
    )
    for text, words in (
        ("video,side\n", 'does not begin with the header "video,part"'),
        ("video,part\n000.mp4\n", "row 2: 1 cells"),
        ("video,part\n000.mp4,val\n", 'unknown part in parts.csv, row 2 "val"'),
        ("video,part\n000.mp4,test\n000.mp4,train\n", "row 3: 000.mp4 was named before"),
        ("video,part\nx.mp4,test\n", "names none of the 4 videos"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            read_split(written(tmp_path / "parts.csv", text), videos)
        assert words in str(refused.value)
