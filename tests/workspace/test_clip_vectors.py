"""Vectors of clips: the pictures they are made of, one decode pass, the cache, and windows joined over encoders."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workspace.clip_rows
from footage.decode import decode
from footage.index import FrameIndex
from footage.probe import probe
from footage.regions import WHOLE
from footage.sampling import snippets
from infra.errors import ConfigurationError
from models.encoders.specs import describe
from tests.footage.films import Film
from tests.workspace.looking import Means, frame_means, snippet_means
from tests.workspace.made_clips import put_clip
from workspace.clip_rows import clip_rows, clip_snippets
from workspace.clip_sets.base import ClipSet
from workspace.clip_sets.read import read_clip_set
from workspace.clip_vectors import ClassifierInput, Inputs, clip_windows, inputs_of, join_rows

S = 1_000_000
LONG = Film(count=60, height=32, width=48)  # 2.4 s at 25 Hz


def even(seconds: float, rate: int = 25) -> FrameIndex:
    count = round(seconds * rate)
    return FrameIndex(np.arange(count), np.arange(count) % 12 == 0, Fraction(1, rate))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of a class and one of another, 2.4 s, 1.2 s and 0.24 s long; treat it as read only."""
    folder = tmp_path_factory.mktemp("classes")
    for seed, (name, count) in enumerate({"fight/a.mp4": 60, "fight/b.mp4": 30, "normal/c.mp4": 6}.items()):
        put_clip(folder / name, seed, LONG.but(count=count))
    return folder


@pytest.fixture(scope="module")
def clip_set(folder: Path) -> ClipSet:
    return read_clip_set(folder)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the clips that are decoded, once for each pass."""
    names: list[str] = []

    def counted(path: Path, *arguments: Any, **named: Any) -> Any:
        names.append(path.name)
        return decode(path, *arguments, **named)

    monkeypatch.setattr(workspace.clip_rows, "decode", counted)
    return iter([names])


# --- where snippets lie ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, [(0, 0.2)]),  # the last picture stands for the rest
        (0.8, [(0, 0.8)]),
        (1.0, [(0, 0.8)]),  # a rest of a quarter
        (1.2, [(0, 0.8), (0.4, 1.2)]),  # a rest of half: one more, moved back inside
        (1.6, [(0, 0.8), (0.8, 1.6)]),
        (2.4, [(0, 0.8), (0.8, 1.6), (1.6, 2.4)]),
    ],
)
def test_snippets_lie_inside_a_clip(seconds: float, expected: list[tuple[float, float]]) -> None:
    frames, (begins, ends) = clip_snippets(even(seconds), frames=4, rate_hz=5.0, stride_s=0.8)
    assert list(zip((begins / S).tolist(), (ends / S).tolist(), strict=True)) == expected
    assert frames.shape == (len(expected), 4)
    if seconds >= 0.8:
        assert all(len(set(row)) == 4 for row in frames.tolist())
    else:
        assert frames.tolist() == [[0, 4, 4, 4]]


def test_a_clip_a_little_shorter_than_a_snippet_has_every_picture_of_it() -> None:
    # 16 pictures at 8 Hz: the last one is at 1.875 s.
    frames, (begins, ends) = clip_snippets(even(1.92), frames=16, rate_hz=8.0, stride_s=2.0)
    assert (begins.tolist(), ends.tolist()) == ([0], [1_920_000])
    assert len(set(frames[0].tolist())) == 16


def test_a_snippet_with_a_hole_in_it_is_left_out() -> None:
    numbers = np.concatenate([np.arange(25), 100 + np.arange(50)])  # 1 s, nothing for 3 s, 2 s
    index = FrameIndex(numbers, np.ones(75, np.bool_), Fraction(1, 25))
    frames, (begins, _) = clip_snippets(index, frames=2, rate_hz=2.0, stride_s=1.0)
    assert (begins // S).tolist() == [0, 1, 2, 4, 5]  # a picture stands for two seconds; at 3.5 s none is on display
    assert (frames >= 0).all()


@given(st.integers(5, 400), st.sampled_from([(4, 5.0), (16, 8.0), (8, 7.5)]), st.sampled_from([0.5, 1.0]))
def test_whole_snippets_are_those_of_the_night(count: int, snippet: tuple[int, float], share: float) -> None:
    index, (frames, rate_hz) = even(count / 25), snippet
    stride_s = share * frames / rate_hz
    ours, (begins, ends) = clip_snippets(index, frames=frames, rate_hz=rate_hz, stride_s=stride_s)
    theirs = snippets(index, frames=frames, rate_hz=rate_hz, stride_s=stride_s)
    last = theirs.from_us + round((frames - 1) / rate_hz * S)
    whole = last < index.extent_us
    night = {
        start: row.tolist() for start, row in zip(theirs.from_us[whole].tolist(), theirs.frames[whole], strict=True)
    }
    found = dict(zip(begins.tolist(), ours.tolist(), strict=True))
    assert night.items() <= found.items()
    # Beyond those there is one at most: the one moved back from the end, or the only one of a short clip.
    assert len(found) - len(night) <= 1
    assert (ends <= index.extent_us).all()
    assert len(begins) >= 1 and (np.diff(begins) > 0).all()


# --- what classifiers look at ------------------------------------------------------------------------------------------


def test_the_first_snippet_encoder_makes_the_windows() -> None:
    motion, velocity, appearance = (describe(f"handcrafted/{name}") for name in ("motion", "velocity", "appearance"))
    inputs = inputs_of([appearance, motion, velocity], frame_rate_hz=4.0)
    assert [(item.encoder, item.pooling) for item in inputs.items] == [
        ("handcrafted/appearance", "moments"),
        ("handcrafted/motion", "window"),
        ("handcrafted/velocity", "mean"),
    ]
    assert (inputs.window_s, inputs.stride_s, inputs.frame_rate_hz) == (2.0, 2.0, 4.0)
    assert inputs.window_item == ClassifierInput("handcrafted/motion", motion.space, "snippet", "window")
    assert inputs_of([velocity], stride_s=0.2).stride_s == 0.2
    assert inputs_of([motion]).frame_rate_hz is None
    alone = inputs_of([appearance], window_s=3.0)
    assert (alone.window_s, alone.stride_s, alone.frame_rate_hz, alone.window_item) == (3.0, 3.0, 1.0, None)


def test_inputs_are_kept_on_a_card() -> None:
    inputs = inputs_of([describe("handcrafted/motion"), describe("handcrafted/appearance")])
    assert Inputs.from_card({"author": "somebody", **inputs.to_card()}) == inputs
    with pytest.raises(ConfigurationError, match="does not say what the classifier looks at"):
        Inputs.from_card({"inputs": inputs.to_card()["inputs"]})
    with pytest.raises(ConfigurationError, match="does not say what the classifier looks at"):
        Inputs.from_card(inputs.to_card() | {"inputs": [{"encoder": "handcrafted/motion"}]})


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"frame_rate_hz": 5.0}, "only frame encoders have a frame_rate_hz, got 5 and none among handcrafted/motion"),
        ({"window_s": "2"}, "window_s is a number above 0 and at most 1000, got 2"),
        ({"stride_s": 0}, "stride_s is a number above 0 and at most 1000, got 0"),
        ({"inputs": "handcrafted/motion"}, "its inputs are a list, and each tells encoder, space, kind and pooling"),
        ({"inputs": None}, "its inputs are a list"),
        ({"inputs": []}, "at least one input"),
    ],
)
def test_a_card_that_tells_inputs_that_make_no_sense_is_refused_in_words(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match="does not say what the classifier looks at") as refused:
        Inputs.from_card(inputs_of([describe("handcrafted/motion")]).to_card() | wrong)
    assert why in str(refused.value)
    assert str(refused.value).endswith("fit it again")
    assert "ClassifierInput(" not in str(refused.value)


@pytest.mark.parametrize("field", ["kind", "pooling"])
def test_a_card_with_an_unknown_kind_or_pooling_is_refused(field: str) -> None:
    card = inputs_of([describe("handcrafted/motion")]).to_card()
    card["inputs"][0][field] = "sideways"
    with pytest.raises(ConfigurationError, match=f'unknown {field} of input handcrafted/motion "sideways"'):
        Inputs.from_card(card)


def test_inputs_that_make_no_sense_are_refused() -> None:
    motion, appearance = describe("handcrafted/motion"), describe("handcrafted/appearance")
    with pytest.raises(ConfigurationError, match="at least one input"):
        inputs_of([])
    with pytest.raises(ConfigurationError, match="each encoder once"):
        inputs_of([motion, motion])
    with pytest.raises(ConfigurationError, match="a window is a snippet of handcrafted/motion, 2 s long, got 3 s"):
        inputs_of([motion], window_s=3.0)
    with pytest.raises(ConfigurationError, match="above 0"):
        inputs_of([appearance], frame_rate_hz=-1.0)
    with pytest.raises(
        ConfigurationError, match="only frame encoders have a frame_rate_hz, got 1 and none among handcrafted/motion"
    ):
        dataclasses.replace(inputs_of([motion]), frame_rate_hz=1.0)


# --- vectors -----------------------------------------------------------------------------------------------------------


def test_vectors_are_those_of_the_decoded_pictures(clip_set: ClipSet) -> None:
    frame, snippet = frame_means(), snippet_means(size_px=16)
    rows = clip_rows(clip_set, [frame, snippet], frame_rate_hz=2.5)
    for clip, told in zip(clip_set.clips, rows.rows, strict=True):
        index = probe(clip.path).index
        small = [picture.view(WHOLE, (8, 8)) for picture in decode(clip.path, index, np.arange(len(index)))]
        large = [picture.view(WHOLE, (16, 16)) for picture in decode(clip.path, index, np.arange(len(index)))]
        shown = np.arange(0, len(index), 10)  # 2.5 Hz of 25
        seen = told[frame.spec.space]
        assert seen.from_us.tolist() == (40_000 * shown).tolist()
        assert (seen.to_us - seen.from_us == 40_000).all()
        expected = frame.encode(np.stack([small[number] for number in shown]))
        np.testing.assert_array_equal(seen.vectors, expected.astype(np.float16).astype(np.float32))
        taken, spans = clip_snippets(index, frames=4, rate_hz=5.0, stride_s=0.8)
        seen = told[snippet.spec.space]
        assert (seen.from_us.tolist(), seen.to_us.tolist()) == (spans[0].tolist(), spans[1].tolist())
        expected = snippet.encode(np.stack([np.stack([large[number] for number in run]) for run in taken.tolist()]))
        np.testing.assert_array_equal(seen.vectors, expected.astype(np.float16).astype(np.float32))


def test_one_decode_pass_feeds_every_encoder(clip_set: ClipSet, decoded: Iterator[list[str]]) -> None:
    names = next(decoded)
    rows = clip_rows(clip_set, [frame_means(), snippet_means(), snippet_means("means/other", frames=2)])
    assert names == ["a.mp4", "b.mp4", "c.mp4"]
    assert rows.decoded == 3


def test_what_was_made_is_kept_by_content(
    folder: Path, clip_set: ClipSet, tmp_path: Path, decoded: Iterator[list[str]]
) -> None:
    names, cache = next(decoded), tmp_path / "cache"
    frame, snippet = frame_means(), snippet_means()
    first = clip_rows(clip_set, [frame, snippet], cache=cache)
    frame.seen.clear()
    again = clip_rows(clip_set, [snippet, frame], cache=cache)
    assert (names, again.decoded, frame.seen) == (["a.mp4", "b.mp4", "c.mp4"], 0, [])
    for one, other in zip(first.rows, again.rows, strict=True):
        for space in one:
            np.testing.assert_array_equal(one[space].vectors, other[space].vectors)
            assert one[space].from_us.tolist() == other[space].from_us.tolist()
    # A further encoder, a stride and a rate are another question; only what is new is embedded.
    names.clear()
    frame.seen.clear()
    clip_rows(clip_set, [frame, snippet_means("means/other", frames=2)], cache=cache)
    assert (len(names), frame.seen) == (3, [])
    assert clip_rows(clip_set, [frame], frame_rate_hz=5.0, cache=cache).decoded == 3
    assert clip_rows(clip_set, [snippet], strides_s={snippet.spec.space: 0.4}, cache=cache).decoded == 3
    assert clip_rows(clip_set, [snippet], cache=cache).decoded == 0


def test_a_damaged_cache_is_made_again(clip_set: ClipSet, tmp_path: Path) -> None:
    first = clip_rows(clip_set, [snippet_means()], cache=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"damaged")
    again = clip_rows(clip_set, [snippet_means()], cache=tmp_path)
    assert again.decoded == 3
    (ours,), (theirs,) = first.rows[0].values(), again.rows[0].values()
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)


def test_a_clip_has_the_same_vectors_whatever_else_is_embedded(clip_set: ClipSet) -> None:
    motion = next(iter(clip_rows(clip_set, [snippet_means()]).rows[1].values()))
    alone = clip_set.narrowed(clip_set.clips[1:], [])
    np.testing.assert_array_equal(
        [*clip_rows(alone, [frame_means(), snippet_means()]).rows[0].values()][1].vectors, motion.vectors
    )


def test_clips_that_cannot_be_decoded_are_left_out(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.mp4"):
        target = tmp_path / path.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    found = read_clip_set(tmp_path)
    (tmp_path / "fight/a.mp4").unlink()
    rows = clip_rows(found, [snippet_means()], cache=tmp_path / "cache")
    assert [clip.name for clip in rows.clip_set.clips] == ["fight/b.mp4", "normal/c.mp4"]
    assert rows.clip_set.left_out[0].startswith("fight/a.mp4: ")
    assert len(rows.rows) == 2
    (tmp_path / "fight/b.mp4").unlink()
    with pytest.raises(ConfigurationError, match="1 classes are left"):
        clip_rows(found, [frame_means()])


def test_progress_counts_clips(clip_set: ClipSet) -> None:
    seen: list[tuple[str, float, float]] = []
    clip_rows(clip_set, [frame_means()], progress=lambda *told: seen.append(told))
    assert seen == [("vectors", number, 3) for number in (1, 2, 3)]


# --- windows -----------------------------------------------------------------------------------------------------------


def windows_of(clip_set: ClipSet, encoders: list[Means], **how: Any) -> Any:
    return clip_windows(clip_set, encoders, inputs_of([encoder.spec for encoder in encoders], **how))


def test_windows_are_joined_over_the_inputs(clip_set: ClipSet) -> None:
    snippet, frame = snippet_means(), frame_means()
    found = windows_of(clip_set, [snippet, frame], frame_rate_hz=5.0)
    assert found.clip.tolist() == [0, 0, 0, 1, 1, 2]
    assert found.from_us.tolist() == [0, 800_000, 1_600_000, 0, 400_000, 0]
    assert found.vectors.shape == (6, 12 + 9) and found.vectors.dtype == np.float32
    assert found.lost == 0
    # The four pictures of a snippet are those that the frame encoder sees at the same rate.
    means = found.vectors[:3, :12].reshape(3, 4, 3).mean(axis=1)
    np.testing.assert_allclose(found.vectors[:3, 12:15], means, rtol=1e-3)


def test_frame_encoders_alone_have_windows_side_by_side(clip_set: ClipSet) -> None:
    found = windows_of(clip_set, [frame_means()], window_s=1.0)
    assert found.clip.tolist() == [0, 0, 1, 2]
    assert (found.from_us.tolist(), found.to_us.tolist()) == ([0, S, 0, 0], [S, 2 * S, S, 240_000])
    assert found.vectors.shape == (4, 9)


def test_windows_without_an_input_are_lost_and_clips_without_windows_are_told(clip_set: ClipSet) -> None:
    brief = snippet_means(frames=2, rate_hz=10.0)  # 0.2 s; a picture in a second lies in one of five of them
    found = windows_of(clip_set, [brief, frame_means()], frame_rate_hz=1.0)
    assert found.from_us.tolist() == [0, S, 2 * S, 0, S, 0]
    assert found.lost == (12 + 6 + 1) - 6
    late = snippet_means(frames=2, rate_hz=10.0)
    rows = clip_rows(clip_set, [late, frame_means()], frame_rate_hz=1.0)
    told = [dict(one) for one in rows.rows]
    space = frame_means().spec.space
    seen = told[0][space]
    told[0][space] = dataclasses.replace(seen, from_us=seen.from_us + 9 * S, to_us=seen.to_us + 9 * S)
    joined = join_rows(dataclasses.replace(rows, rows=tuple(told)), inputs_of([late.spec, frame_means().spec]))
    assert [clip.name for clip in joined.clip_set.clips] == ["fight/b.mp4", "normal/c.mp4"]
    assert joined.clip_set.left_out[-1] == "fight/a.mp4: no window of it could be decoded"
    assert joined.clip.tolist() == [0, 0, 1]


def test_rows_of_another_encoder_do_not_do(clip_set: ClipSet) -> None:
    rows = clip_rows(clip_set, [frame_means()])
    with pytest.raises(ConfigurationError, match="not looked at with means/snippet"):
        join_rows(rows, inputs_of([snippet_means().spec]))


def test_samples_are_what_a_head_is_trained_on(clip_set: ClipSet) -> None:
    samples = windows_of(clip_set, [snippet_means()]).samples(("fight",))
    assert samples.targets.tolist() == [[True], [True], [False]]
    assert samples.names == ("fight/a.mp4", "fight/b.mp4", "normal/c.mp4")
    assert samples.sources == clip_set.sources
    assert len(samples.vectors) == len(samples.clip) == 6


def test_real_dcsass_clips_have_the_windows_of_their_length(real_data: Path) -> None:
    if not (real_data / "dcsass").is_dir():
        pytest.skip("no DCSASS clips (../shared/data/dcsass) on this machine")
    found = windows_of(read_clip_set(real_data / "dcsass"), [snippet_means(frames=16, rate_hz=8.0)])
    seconds = [clip.index.extent_us // S for clip in found.clip_set.clips]
    assert seconds == [2, 4, 4, 3, 1, 4, 2, 2]
    assert np.bincount(found.clip).tolist() == [1, 2, 2, 2, 1, 2, 1, 1]
    assert found.from_us[found.clip == 3].tolist() == [0, S]
    assert found.to_us[found.clip == 4].tolist() == [S]
