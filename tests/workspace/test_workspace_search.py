"""Search finds what was seen: by words, by picture, by event, by example, within its limits, in one space at a time."""

import itertools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from footage.regions import Region
from infra.errors import ConfigurationError, LakeError, UnknownNameError
from models.encoders.build import build
from tests.workspace.searched import (
    APPEARANCE,
    AUTUMN,
    CAMERA_EVENT,
    CASK,
    CLIP,
    EVENT,
    FIRE,
    HALL,
    MOTION,
    ROWS,
    SPRING,
    TRUCK,
    YARD,
    at,
    configure,
    make_searched,
    picture,
    recording_of,
)
from workspace import query_vectors
from workspace.opened import Workspace
from workspace.queries import EventQuery, ExampleQuery, Filters, ImageQuery, Query, TextQuery, VectorQuery
from workspace.search import Found, Searcher, open_matrices


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_searched(tmp_path_factory.mktemp("searched") / "site").site.root


@pytest.fixture(scope="module")
def searcher(root: Path) -> Searcher:
    return Searcher(Workspace(root))


@pytest.fixture(scope="module")
def clip(root: Path) -> Any:
    """The encoder itself."""
    planned = Workspace(root).encoder(CLIP)
    return build(planned.spec, planned.weights, device="cpu")


def places(found: Found) -> list[tuple[str, str, str]]:
    return [(moment.campaign, moment.camera, moment.region) for moment in found.moments]


def spans(found: Found, campaign: str) -> list[tuple[float, float]]:
    """In seconds after the campaign's start."""
    began = at(campaign, 0)
    return [
        ((moment.started_at - began).total_seconds(), (moment.ended_at - began).total_seconds())
        for moment in found.moments
    ]


CASKS = [(SPRING, HALL, 10, 20), (SPRING, HALL, 45, 55), (AUTUMN, HALL, 100, 103)]


@pytest.mark.parametrize("encoder", [CLIP, APPEARANCE])
def test_a_picture_finds_the_moments_that_look_like_it(searcher: Searcher, encoder: str) -> None:
    found = searcher.search(ImageQuery(picture(CASK)), Filters(region="frame"), limit=3, encoder=encoder)
    assert found.encoder == encoder
    assert found.searched == 3 * ROWS
    assert sorted(places(found)) == sorted((campaign, camera, "frame") for campaign, camera, _, _ in CASKS)
    for moment in found.moments:
        own = [(first, end) for campaign, _, first, end in CASKS if campaign == moment.campaign]
        began = (moment.peak_at - at(moment.campaign, 0)).total_seconds()
        assert any(first <= began < end for first, end in own)
        assert moment.started_at <= moment.peak_at < moment.ended_at
        assert moment.score > 0.98
    scores = [moment.score for moment in found.moments]
    assert scores == sorted(scores, reverse=True)


def test_moments_are_as_many_as_asked_for_and_not_of_neighbouring_pictures(searcher: Searcher) -> None:
    found = searcher.search(ImageQuery(picture(TRUCK)), limit=6)
    assert len(found.moments) == 6
    ordered = sorted(
        found.moments, key=lambda moment: (moment.campaign, moment.camera, moment.region, moment.started_at)
    )
    for before, after in itertools.pairwise(ordered):
        same = (before.campaign, before.camera, before.region) == (after.campaign, after.camera, after.region)
        assert not same or (after.started_at - before.ended_at).total_seconds() > 5
    assert found.moments[0].hits > 1


def test_a_moment_over_two_recordings_is_one_and_told_in_the_better_ones_time(searcher: Searcher) -> None:
    limits = Filters(SPRING, HALL, "frame", at(SPRING, 25), at(SPRING, 90))
    found = searcher.search(ImageQuery(picture(CASK)), limits, encoder=APPEARANCE)
    moment = found.moments[0]
    assert moment.started_at <= at(SPRING, 45) and moment.ended_at >= at(SPRING, 54)
    first, second = recording_of(SPRING, HALL, 0), recording_of(SPRING, HALL, ROWS)
    assert moment.recording_id in (first, second)
    if moment.recording_id == first:
        assert (moment.from_us, moment.to_us) == (round(spans(found, SPRING)[0][0]) * 1_000_000, 49_040_000)
    else:
        assert moment.from_us == 0
    assert moment.from_us <= moment.peak_us < moment.to_us
    assert moment.day.isoformat() == "2026-03-02"


def test_words_are_compared_with_pictures(root: Path, searcher: Searcher, clip: Any) -> None:
    found = searcher.search(TextQuery("a yellow cask"), Filters(region="frame"), limit=4)
    assert (found.encoder, len(found.moments)) == (CLIP, 4)
    workspace = Workspace(root)
    words = clip.encode_text(["a yellow cask"])[0]
    best = max(
        (float(score), block.camera, int(block.from_us[row]))
        for block in open_matrices(workspace).blocks(workspace.encoder(CLIP).spec.space, region="frame")
        for row, score in enumerate(block.vectors @ words)
    )
    assert found.moments[0].score == pytest.approx(best[0], abs=1e-5)
    other = searcher.search(TextQuery("rain"), Filters(region="frame"), limit=1)
    assert other.moments[0].score != found.moments[0].score


def test_an_event_is_the_mean_of_its_unit_vectors(root: Path, searcher: Searcher) -> None:
    block = open_matrices(Workspace(root)).block(
        searcher.queries.vector(EventQuery(EVENT)).space, SPRING, HALL, "frame"
    )
    vector = searcher.queries.vector(EventQuery(EVENT)).vector
    np.testing.assert_allclose(vector, block.vectors[10:20].mean(axis=0), atol=1e-6)
    found = searcher.search(EventQuery(EVENT), Filters(region="frame"), limit=3)
    assert found.encoder == CLIP
    assert sorted((moment.campaign, moment.camera) for moment in found.moments) == [
        (AUTUMN, HALL),
        (SPRING, HALL),
        (SPRING, HALL),
    ]


def test_an_event_is_searched_by_the_encoder_that_saw_its_region(searcher: Searcher) -> None:
    found = searcher.search(EventQuery(CAMERA_EVENT), limit=1)
    assert found.encoder == MOTION
    (moment,) = found.moments
    assert moment.region == "gate"
    assert at(SPRING, 70) <= moment.peak_at < at(SPRING, 75)


@pytest.mark.parametrize(
    "query",
    [
        ExampleQuery(YARD, at=at(SPRING, 65.5)),
        ExampleQuery(YARD, recording_id=recording_of(SPRING, YARD, 65), at_us=15_000_000),
        ExampleQuery(YARD, recording_id=recording_of(SPRING, YARD, 65), at_us=15_900_000, campaign=SPRING),
    ],
    ids=str,
)
def test_an_example_finds_its_like(searcher: Searcher, query: ExampleQuery) -> None:
    found = searcher.search(query, Filters(region="frame"), limit=2, encoder=APPEARANCE)
    assert sorted(places(found)) == [(SPRING, HALL, "frame"), (SPRING, YARD, "frame")]
    assert found.moments[0].score == pytest.approx(1, abs=1e-5)


def test_an_example_of_a_region_is_of_that_region(root: Path, searcher: Searcher) -> None:
    vector = searcher.queries.vector(ExampleQuery(HALL, "hatch", at(SPRING, 3)), APPEARANCE)
    block = open_matrices(Workspace(root)).block(vector.space, SPRING, HALL, "hatch")
    assert np.array_equal(vector.vector, block.vectors[3])


def test_the_picture_next_in_time_stands_for_a_moment_between_two(root: Path, searcher: Searcher) -> None:
    block = open_matrices(Workspace(root)).block(Workspace(root).encoder(APPEARANCE).spec.space, SPRING, HALL, "frame")
    for second, row in ((9.3, 9), (9.9, 10), (-1.5, 0), (ROWS + 0.8, ROWS - 1)):
        vector = searcher.queries.vector(ExampleQuery(HALL, at=at(SPRING, second)), APPEARANCE).vector
        assert np.array_equal(vector, block.vectors[row])
    with pytest.raises(
        LakeError, match=r"nothing is embedded within 2 s of the example \(hall-east · frame at .*afterwatch query"
    ):
        searcher.search(ExampleQuery(HALL, at=at(SPRING, ROWS + 3)))


def test_a_part_of_a_picture_can_be_looked_for(searcher: Searcher) -> None:
    sheet = np.concatenate([picture(FIRE), picture(TRUCK)], axis=1)
    right = Region.box("right", 0.5, 0, 0.5, 1)
    found = searcher.search(ImageQuery(sheet, right), Filters(region="frame"), limit=2, encoder=APPEARANCE)
    assert sorted(places(found)) == [(SPRING, HALL, "frame"), (SPRING, YARD, "frame")]


def test_files_and_bytes_are_pictures(tmp_path: Path, searcher: Searcher) -> None:
    file = tmp_path / "cask.png"
    cv2.imwrite(str(file), cv2.cvtColor(picture(CASK), cv2.COLOR_RGB2BGR))
    expected = searcher.queries.vector(ImageQuery(picture(CASK)), APPEARANCE).vector
    for source in (file, file.read_bytes()):
        assert np.array_equal(searcher.queries.vector(ImageQuery.read(source), APPEARANCE).vector, expected)


LIMITS: Sequence[tuple[Filters, int]] = [
    (Filters(), 4 * ROWS),
    (Filters(campaign=AUTUMN), ROWS),
    (Filters(camera=HALL), 3 * ROWS),
    (Filters(camera=HALL, region="hatch"), ROWS),
    (Filters(SPRING, HALL, "frame", at(SPRING, 20), at(SPRING, 30)), 10),
    (Filters(camera=HALL, start=at(SPRING, 100)), 20 * 2 + ROWS),
    (Filters(end=at(SPRING, 7)), 7 * 3),
    (Filters(start=at(AUTUMN, 500)), 0),
]


@pytest.mark.parametrize(("filters", "searched"), LIMITS)
def test_filters_limit_what_is_searched(searcher: Searcher, filters: Filters, searched: int) -> None:
    found = searcher.search(ImageQuery(picture(FIRE)), filters, limit=100, encoder=APPEARANCE)
    assert found.searched == searched
    assert bool(found.moments) == bool(searched)
    for moment in found.moments:
        assert filters.campaign in (None, moment.campaign)
        assert filters.camera in (None, moment.camera)
        assert filters.region in (None, moment.region)
        assert filters.start is None or moment.started_at >= filters.start
        assert filters.end is None or moment.peak_at < filters.end


def test_names_that_nobody_knows_are_answered_with_the_known(searcher: Searcher) -> None:
    image = ImageQuery(picture(CASK))
    for query, filters, encoder, known in (
        (image, Filters(camera="hall-west"), None, r'camera .*"hall-west" — did you mean "hall-east"\?'),
        (image, Filters(campaign="winter"), None, "campaign .*known: autumn, spring"),
        (image, Filters(region="hatsch"), None, 'did you mean "hatch"'),
        (image, Filters(), "open_clip/ViT-B-32", "encoder among"),
        (ExampleQuery("hall", at=at(SPRING, 1)), Filters(), None, 'camera with vectors "hall"'),
        (ExampleQuery(YARD, "hatch", at(SPRING, 1)), Filters(), None, 'region of camera yard with vectors "hatch"'),
        (ExampleQuery(YARD, at=at(SPRING, 1), campaign=AUTUMN), Filters(), None, 'campaign of camera yard .*"autumn"'),
    ):
        with pytest.raises(UnknownNameError, match=known):
            searcher.search(query, filters, encoder=encoder)
    with pytest.raises(ConfigurationError, match="nothing of all of them is embedded"):
        searcher.search(image, Filters(campaign=AUTUMN, camera=YARD))
    with pytest.raises(ConfigurationError, match=r'no event "ffff"; list them with: afterwatch query'):
        searcher.search(EventQuery("ffff"))


def test_spaces_never_meet(root: Path, searcher: Searcher) -> None:
    workspace = Workspace(root)
    clip, hog, motion = (workspace.encoder(name).spec.space for name in (CLIP, APPEARANCE, MOTION))
    kept = searcher.queries.vector(ImageQuery(picture(CASK)), CLIP)
    assert searcher.search(kept, limit=2).encoder == CLIP
    with pytest.raises(LakeError, match=f"space {clip}, and there are vectors of {hog}"):
        searcher.search(kept, encoder=APPEARANCE)
    with pytest.raises(LakeError, match=f"space gone-1, and there are vectors of .*{clip}"):
        searcher.search(VectorQuery("gone-1", kept.vector))
    with pytest.raises(LakeError, match=f"event {CAMERA_EVENT} .* in space {clip}, and there are vectors of {motion}"):
        searcher.search(EventQuery(CAMERA_EVENT), encoder=CLIP)
    with pytest.raises(LakeError, match=f"example .* in space {motion}, and there are vectors of .*{hog}"):
        searcher.search(ExampleQuery(YARD, at=at(SPRING, 1)), encoder=MOTION)


def test_an_encoder_without_vectors_names_the_spaces_that_there_are(tmp_path: Path) -> None:
    workspace = make_searched(tmp_path / "site", (APPEARANCE,))
    new = "open_clip/ViT-B-32"
    both = configure(workspace.site.root, (APPEARANCE, new))
    mine, there = both.encoder(new).spec.space, both.encoder(APPEARANCE).spec.space
    with pytest.raises(LakeError, match=f'space {mine}, and there are vectors of {there}.*"afterwatch run"'):
        Searcher(both).search(TextQuery("a cask"))
    assert Searcher(both).search(ImageQuery(picture(CASK)), limit=1).encoder == APPEARANCE
    empty = Workspace(make_searched_empty(tmp_path / "empty"))
    with pytest.raises(LakeError, match="there are vectors of no space"):
        Searcher(empty).search(ImageQuery(picture(CASK)))


def make_searched_empty(root: Path) -> Path:
    root.mkdir()
    return configure(root, (APPEARANCE,)).site.root


def test_a_site_without_words_is_told_how_to_get_them(tmp_path: Path, searcher: Searcher) -> None:
    site = Searcher(Workspace(make_searched_empty(tmp_path / "site")))
    with pytest.raises(ConfigurationError) as raised:
        site.search(TextQuery("a cask"))
    told = str(raised.value)
    assert 'name = "open_clip/ViT-B-32/laion2b_s34b_b79k"' in told and "[[encoders]]" in told
    assert "afterwatch weights add open_clip/ViT-B-32/laion2b_s34b_b79k FILE" in told
    with pytest.raises(ConfigurationError, match=f"appearance does not understand words; choose {CLIP}"):
        searcher.search(TextQuery("a cask"), encoder=APPEARANCE)


def test_a_snippet_encoder_takes_no_single_picture(searcher: Searcher) -> None:
    with pytest.raises(ConfigurationError, match=f"sees snippets.*choose {CLIP} or {APPEARANCE}"):
        searcher.search(ImageQuery(picture(CASK)), encoder=MOTION)


def test_an_encoder_is_loaded_once_and_only_if_needed(root: Path, clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def counting(spec: Any, *arguments: Any, **told: Any) -> Any:
        built.append(spec.name)
        return clip

    monkeypatch.setattr(query_vectors, "build", counting)
    searcher = Searcher(Workspace(root))
    searcher.search(EventQuery(EVENT), limit=1)
    searcher.search(ExampleQuery(HALL, at=at(SPRING, 1)), limit=1)
    assert built == []
    queries: list[Query] = [TextQuery("a"), TextQuery("b"), ImageQuery(picture(CASK))]
    for query in queries:
        searcher.search(query, limit=1)
    assert built == [f"{CLIP}/local"]


def test_the_same_search_gives_the_same(searcher: Searcher, root: Path) -> None:
    query = ImageQuery(picture(CASK, seed=9))
    first, second = (one.search(query, limit=9, encoder=APPEARANCE) for one in (searcher, Searcher(Workspace(root))))
    assert first == second


def test_what_makes_no_sense_is_refused() -> None:
    naive = datetime(2026, 3, 2, 8)
    for make in (
        lambda: TextQuery("  "),
        lambda: ImageQuery(np.zeros((4, 4), np.uint8)),
        lambda: ExampleQuery(HALL),
        lambda: ExampleQuery(HALL, at=at(SPRING, 0), recording_id="r", at_us=0),
        lambda: ExampleQuery(HALL, recording_id="r"),
        lambda: ExampleQuery(HALL, at=naive),
        lambda: Filters(start=naive),
        lambda: Filters(start=at(SPRING, 1), end=at(SPRING, 1)),
    ):
        with pytest.raises(ConfigurationError):
            make()
