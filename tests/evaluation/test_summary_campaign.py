"""What summaries of a campaign show: known footage, who judges whom, what labels may not change."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from afterwatch.__main__ import main
from evaluation.bootstrap import BootstrapSettings
from evaluation.datasets.anomalies_read import read_footage
from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.heads import build_heads, head_named
from evaluation.masks import Mask
from evaluation.protocols.summary_campaign import (
    CURVES,
    FOOTAGE,
    SHARES,
    CampaignReport,
    CampaignSettings,
    run_campaign,
)
from evaluation.summary_cameras import judge_cameras, look_at_all
from evaluation.summary_choices import (
    COLUMNS,
    ORACLE,
    OWN,
    RANDOM,
    UNIFORM,
    SegmentedCameras,
    choose,
    methods_of,
    weighings,
)
from evaluation.summary_columns import (
    FEWEST_SNIPPETS,
    Judged,
    NormalFootage,
    NormalScores,
    judge_by_itself,
    measure_segments,
    usual_picture,
)
from evaluation.summary_figures import lengths_figure
from evaluation.summary_sights import NIGHTLY, NOVELTY, Encoders, LookSettings, encoders, look_at
from evaluation.summary_tables import details_csv, to_csv, to_json, to_markdown
from infra.errors import ConfigurationError
from models.detectors.build import detector_settings
from models.summary.scores import Weights
from models.summary.segments import cut_segments

FRAMES = 240
STAGED = {"Test001": (80, 120), "Test002": (160, 200), "Test003": ()}
FEW = CampaignSettings(seeds=20, bootstrap=BootstrapSettings(resamples=50))
HEADS = ("knn-motion", "lof-motion")
METHODS = methods_of(LookSettings(), HEADS)


def pictures(seed: int, span: tuple[int, ...]) -> Sequence[NDArray[np.uint8]]:
    """A dark square goes slowly to and fro; during `span` a large bright one races through, from side to side in one clip,
    up and down in another."""
    random = np.random.default_rng(seed)
    shown = []
    for frame in range(FRAMES):
        picture = random.integers(80, 90, (48, 64), dtype=np.uint8)
        left = abs((frame + 7 * seed) % 80 - 40)
        picture[34:46, left : left + 14] = 40
        if span and span[0] <= frame < span[1]:
            fast = (9 * frame) % 32
            place = (slice(4, 30), slice(fast, fast + 16)) if seed % 2 else (slice(fast, fast + 16), slice(10, 54))
            picture[place] = 220
        shown.append(picture)
    return shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three normal clips and three to test on, 24 s each, in the layout of UCSD."""
    root = tmp_path_factory.mktemp("data") / "made"
    for name, span in {**STAGED, "Train001": (), "Train002": (), "Train003": ()}.items():
        clip = root / name[:-3] / name
        clip.mkdir(parents=True)
        for number, picture in enumerate(pictures(len(list(root.glob("*/*"))), span), 1):
            cv2.imwrite(str(clip / f"{number:03d}.png"), picture)
    labels = {name: [span[0] + 1, span[1]] if span else [] for name, span in STAGED.items()}
    (root / "labels.json").write_text(json.dumps({"anomalous": labels}), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def data(folder: Path) -> LabelledData:
    return read_footage(folder)


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors")


@pytest.fixture(scope="module")
def report(data: LabelledData, cache_folder: Path) -> CampaignReport:
    return run_campaign(data, replace(FEW, share=0.12), both(), cache_folder=cache_folder)


def both() -> Encoders:
    """Two heads of one encoder."""
    return encoders(build_heads([head_named(name) for name in HEADS], Path("nowhere")))


def space(by: Encoders) -> str:
    return by.heads[0].encoder.spec.space


def value(report: CampaignReport, name: str, metric: str) -> float:
    (found,) = [one.value for one in report.results if (one.name, one.metric) == (name, metric)]
    return found


def scenes(data: LabelledData) -> LabelledData:
    """The same test videos, each of a camera of its own, and nothing to train on."""
    videos = tuple(replace(video, camera=video.video_id, starts_at_us=0) for video in data.videos)
    return replace(data, videos=videos, regions={video.camera: () for video in videos}, train=())


def test_the_head_is_the_default_settings_own() -> None:
    assert NIGHTLY.detector == detector_settings(NOVELTY.detector, seed=NOVELTY.seed)
    assert (NIGHTLY.scaling, NIGHTLY.projection.name, NIGHTLY.encoder) == (
        "standardise",
        NOVELTY.projection,
        NOVELTY.encoder,
    )
    assert NOVELTY.neighbours == 20


def test_what_races_through_is_in_the_summary(report: CampaignReport) -> None:
    assert value(report, FOOTAGE, "anomalous_share") == pytest.approx(80 / (3 * FRAMES))
    assert report.segment_s == {"made": 4.0}
    # 12 % of 72 s are two segments, and two hold all that is anomalous.
    for name in (f"{OWN} knn-motion", f"{OWN} lof-motion", "anomaly knn-motion", "motion", ORACLE):
        assert value(report, name, "anomalous_share") == pytest.approx(1.0)
        assert value(report, name, "anomalous_recall") == pytest.approx(1.0)
    assert value(report, RANDOM, "anomalous_share") < 0.5
    assert value(report, RANDOM, "length_share") == pytest.approx(8 / 72)


def test_curves_reach_over_all_lengths(report: CampaignReport) -> None:
    assert list(report.curves) == list(METHODS) and len(METHODS) == len(set(METHODS)) == 10
    for method, curve in report.curves.items():
        assert curve.shape == (len(SHARES), len(CURVES))
        assert (curve[:, 1] <= report.curves[ORACLE][:, 1] + 1e-9).all(), method
    assert report.curves[RANDOM][-1, 1] > report.curves[RANDOM][0, 1]


def test_labels_change_no_choice(data: LabelledData, cache_folder: Path) -> None:
    shown = []
    for moved in (False, True):
        videos = tuple(replace(video, relevant=((0, 40),)) if moved else video for video in data.videos)
        told = replace(data, videos=videos)
        by, look = both(), FEW.look
        chosen = []
        for footage in (told, scenes(told)):
            sights = look_at_all(footage, look, by, cache_folder, lambda *_told: None)
            cameras, _ = judge_cameras(footage, sights, look, by)
            segments = SegmentedCameras(cameras, footage.videos, look).of_camera(0, 4_000_000)
            weighed = weighings(look, HEADS)
            chosen.append([choose(segments, name, weighed, 9_000_000, 0.9, (0, 0)).tolist() for name in METHODS])
        shown.append(chosen)
    for before, after in zip(*shown, strict=True):
        assert before[:-1] == after[:-1]
        assert before[-1] != after[-1]


def test_a_camera_without_a_past_is_judged_by_all_of_its_own_footage(data: LabelledData, cache_folder: Path) -> None:
    by, look = both(), FEW.look

    def judged(footage: LabelledData) -> tuple[list[list[Judged]], str, set[str]]:
        sights = look_at_all(footage, look, by, cache_folder, lambda *_told: None)
        cameras, how = judge_cameras(footage, sights, look, by)
        assert all(camera.past == () for camera in cameras)
        return [list(camera.judged) for camera in cameras], how, set(sights)

    (together,), how, _ = judged(replace(data, train=()))
    assert how.startswith("the camera's own test footage, as on its first day")
    sights = [one.sight for one in together]
    for head in by.heads:
        expected = judge_by_itself(sights, look, head)
        for one, told in zip(together, expected, strict=True):
            np.testing.assert_array_equal(one.by[head.spec.name].surprise, told.surprise)
    # Each of a camera of its own is compared with itself alone, and training videos of other cameras are not looked at.
    alone, how, seen = judged(replace(scenes(data), train=data.train))
    assert how.startswith("the camera's own test footage") and seen == set(STAGED)
    (expected_alone,) = judge_by_itself([alone[0][0].sight], look, by.heads[0])
    np.testing.assert_array_equal(alone[0][0].by["knn-motion"].surprise, expected_alone.surprise)
    assert (alone[0][0].by["knn-motion"].surprise != together[0].by["knn-motion"].surprise).any()


def test_cameras_with_a_past_and_without_stand_beside_each_other(data: LabelledData, cache_folder: Path) -> None:
    videos = (*data.videos[:2], replace(data.videos[2], camera="new"))
    mixed = replace(data, videos=videos, regions={**data.regions, "new": ()})
    by = encoders()
    sights = look_at_all(mixed, FEW.look, by, cache_folder, lambda *_told: None)
    (known, new), how = judge_cameras(mixed, sights, FEW.look, by)
    assert (len(known.past), len(new.past)) == (3, 0)
    assert how.startswith(
        "the camera's own training videos, which are its past, for 1 of 2 cameras; for the others the"
    )
    normal = NormalFootage.of([one.sight for one in known.past], by.heads[0])
    expected = normal.judge(known.judged[0].sight)
    np.testing.assert_array_equal(known.judged[0].by[NIGHTLY.name].surprise, expected.surprise)
    (itself,) = judge_by_itself([new.judged[0].sight], FEW.look, by.heads[0])
    np.testing.assert_array_equal(new.judged[0].by[NIGHTLY.name].surprise, itself.surprise)


def test_a_single_training_video_is_refused(data: LabelledData, cache_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least 2 are needed"):
        run_campaign(replace(data, train=data.train[:1]), FEW, encoders(), cache_folder=cache_folder)


def test_of_scores_beyond_the_rarest_the_farther_one_is_more_surprising() -> None:
    normal = np.random.default_rng(0).normal(10, 1, 500).astype(np.float32)
    told = NormalScores.of(normal).surprise(np.array([10, 12, 100, 200], dtype=np.float32))
    assert (np.diff(told) > 0).all() and told[1] < 7
    deviations = (np.array([100, 200]) - np.median(normal)) / (
        1.4826 * np.median(np.abs(normal.astype(np.float64) - np.median(normal)))
    )
    np.testing.assert_allclose(told[2:], 7 + np.log10(1 + deviations), rtol=1e-4)
    # Where all normal scores are equal, everything else is as far off as can be.
    same = NormalScores.of(np.full(20, 3, dtype=np.float32)).surprise(np.array([2, 3, 4], dtype=np.float32))
    assert same[0] == 0 and 0 < same[1] < 1 and same[2] == pytest.approx(16)


def test_heads_may_look_at_snippets_of_different_lengths(folder: Path, tmp_path: Path) -> None:
    for name in ("Train/Train001", "Test/Test003", "Test/Test001"):
        clip = tmp_path / "made" / name
        clip.mkdir(parents=True)
        for number in range(1, 41):
            shutil.copy(folder / name / f"{number:03d}.png", clip)
    (tmp_path / "made" / "labels.json").write_text('{"anomalous": {"Test001": [1, 9], "Test003": []}}')
    by = encoders(build_heads([head_named("own"), NIGHTLY], tmp_path))
    sight = look_at(read_footage(tmp_path / "made").videos[0], LookSettings(), by)
    own, nightly = (judge_by_itself([sight], LookSettings(exclusion_s=0.4), head)[0] for head in by.heads)
    assert [len(one) for one in sight.snippets.values()] == [10, 2]
    assert np.diff(own.from_us).tolist() == [400_000] * 9 and np.diff(nightly.from_us).tolist() == [2_000_000]
    assert np.isfinite(own.surprise).all() and np.isnan(nightly.surprise).all()
    judged = Judged(sight, {"own": own, NIGHTLY.name: nightly})
    found = measure_segments([judged], cut_segments([sight.span], 800_000), LookSettings(), usual_picture([sight]))
    expected = own.surprise.reshape(5, 2).max(axis=1)
    np.testing.assert_array_equal(found.raw["own"].anomaly, expected)
    assert np.isnan(found.raw[NIGHTLY.name].anomaly).all()
    np.testing.assert_array_equal(found.raw["own"].entropy, found.raw[NIGHTLY.name].entropy)


def test_little_footage_says_nothing(data: LabelledData, cache_folder: Path) -> None:
    by = encoders()
    sight = look_at(data.videos[0], LookSettings(), by, cache_folder)
    own = sight.snippets[space(by)]
    for count, told in ((FEWEST_SNIPPETS - 1, False), (FEWEST_SNIPPETS, True)):
        fewer = replace(own, **{name: getattr(own, name)[:count] for name in ("from_us", "to_us", "frames", "vectors")})
        (found,) = judge_by_itself([replace(sight, snippets={space(by): fewer})], LookSettings(), by.heads[0])
        assert found.surprise.shape == (count,)
        assert np.isfinite(found.surprise).all() == told


def test_cameras_are_pooled_and_a_digest_is_made_of_all(data: LabelledData, cache_folder: Path) -> None:
    told = run_campaign(scenes(data), FEW, encoders(), cache_folder=cache_folder)
    # A tenth of 24 s is shorter than the night's segment.
    assert set(told.segment_s.values()) == {2.4}
    assert value(told, f"{OWN} {NIGHTLY.name}", "length_share") == pytest.approx(0.1)
    # A tenth of 72 s holds one segment of the night's length, and there are two with an anomaly.
    assert value(told, f"{ORACLE} digest", "anomalous_recall") == pytest.approx(0.5)
    assert value(told, f"{OWN} {NIGHTLY.name} digest", "length_share") == pytest.approx(4 / 72)
    methods = methods_of(FEW.look, [NIGHTLY.name])
    assert set(methods) == {
        f"{OWN} knn-motion",
        "anomaly knn-motion",
        *(name for name in COLUMNS if name != "anomaly"),
        UNIFORM,
        RANDOM,
        ORACLE,
    }
    assert {one.name for one in told.results} == {FOOTAGE, *methods, *(f"{name} digest" for name in methods)}
    text = to_markdown(told, "afterwatch", {"a figure": "a.png"})
    assert (
        "One digest of all cameras, 10 %" in text
        and "here 2.4 s, 30 segments in all" in text
        and "- Judged by: the camera's own test footage, as on its first day" in text
        and text.endswith("![a figure](a.png)\n")
    )


def test_tables_tell_the_same_numbers(report: CampaignReport) -> None:
    told = to_json(report)
    assert (told["protocol"], told["data"], told["share"]) == ("summary-campaign", "made", 0.12)
    assert "smoke" not in told
    assert {one["metric"] for one in told["results"]} == {"anomalous_share", "anomalous_recall", "length_share"}
    assert to_csv(report).count("\n") == 1 + len(told["results"])
    assert details_csv(report).count("\n") == 1 + len(METHODS) * len(SHARES)
    text = to_markdown(report, "afterwatch evaluate summaries")
    assert "One digest" not in text
    for head in HEADS:
        assert f"| `afterwatch {head}` | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] | 0.111 |" in text
        assert f"- Head `{head}`: handcrafted/" in text


def test_the_verb_writes_what_it_measured(
    folder: Path, cache_folder: Path, tmp_path: Path, report: CampaignReport, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    call = ["evaluate", "summaries", "--data", str(folder), "--share", "0.12", "--seeds", "20", "--resamples", "50"]
    call += [part for name in HEADS for part in ("--head", name)]
    with pytest.raises(SystemExit) as left:
        main([*call, "--cache", str(cache_folder), "--out", str(out), "--name", "made", "--json"])
    assert left.value.code in (0, None)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(to_json(report)))
    assert sorted(path.name for path in out.iterdir()) == [
        "made-details.csv",
        "made.csv",
        "made.json",
        "made.md",
        "made.png",
    ]
    assert (out / "made.csv").read_text() == to_csv(report)
    assert (out / "made.png").read_bytes() == lengths_figure(report)
    text = (out / "made.md").read_text()
    assert (
        "--head knn-motion --head lof-motion --share 0.12 --seeds 20 --resamples 50" in text and "--cache" not in text
    )


def test_a_mistyped_head_is_answered_with_the_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "summaries", "--data", str(folder), "--head", "knn-motoin"])
    assert left.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "knn-motoin" in said and "knn-motion" in said and "own" in said


def test_painted_over_is_unseen(data: LabelledData) -> None:
    by, video = encoders(), data.videos[0]
    cover = replace(FEW.look, masks=(Mask(0, 0, 1, 0.65, False),))
    seen, covered = (look_at(video, look, by) for look in (FEW.look, cover))
    own = seen.snippets[space(by)]
    raced = (own.from_us >= 80 * 100_000) & (own.to_us <= 120 * 100_000)
    assert raced.any()
    motion, unseen = (np.linalg.norm(sight.snippets[space(by)].vectors, axis=1) for sight in (seen, covered))
    assert motion[raced].min() > motion[~raced].max()
    assert unseen[raced].max() < motion[raced].min()


def test_measures_of_still_footage_are_plain(data: LabelledData, cache_folder: Path) -> None:
    by = encoders()
    sight = look_at(data.train[0], LookSettings(), by, cache_folder)
    assert len(sight.at_us) == len(sight.look_us) == 24
    assert sight.measures[0].motion == 0
    assert np.diff(sight.at_us).tolist() == [1_000_000] * 23
    assert sight.span == (data.train[0].starts_at_us, data.train[0].starts_at_us + 24_000_000)
    assert len(sight.snippets[space(by)]) == 12
    (told,) = judge_by_itself([sight], LookSettings(), by.heads[0])
    judged = Judged(sight, {NIGHTLY.name: told})
    segments = cut_segments([sight.span], 4_000_000)
    found = measure_segments([judged], segments, LookSettings(), usual_picture([sight]))
    # The first picture has none before it, and so no motion.
    expected = [np.mean([one.motion for one in sight.measures[max(1, at) : at + 4]]) for at in range(0, 24, 4)]
    np.testing.assert_allclose(found.raw[NIGHTLY.name].dynamics, expected)
    assert found.clear.all()


def test_a_picture_that_cannot_be_read_is_lost(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "made")
    (tmp_path / "made" / "Test" / "Test003" / "021.png").write_bytes(b"no picture")
    video = read_footage(tmp_path / "made").videos[2]
    sight = look_at(video, LookSettings(), encoders())
    assert len(sight.at_us) == len(sight.look_us) == 23
    assert sight.measures[2].motion == 0
    assert video.at_us(20) not in sight.at_us


def test_weights_are_the_settings_own() -> None:
    assert LookSettings().weights == Weights(1.0, 0.3, 0.1, 0.3)
    weighed = weighings(LookSettings(), HEADS)
    assert weighed["motion"].weights == Weights(0.0, 0.0, 0.0, 1.0)
    assert [weighed[f"{OWN} {head}"].head for head in HEADS] == list(HEADS)
    assert weighed[f"{OWN} lof-motion"].weights == weighed[f"{OWN} knn-motion"].weights == LookSettings().weights


def test_what_cannot_be_measured_is_refused(data: LabelledData, tmp_path: Path) -> None:
    unlabelled = replace(data, videos=tuple(replace(video, relevant=()) for video in data.videos))
    with pytest.raises(ConfigurationError, match="nothing in made is labelled"):
        run_campaign(unlabelled, FEW, encoders())
    with pytest.raises(ConfigurationError, match="similarity limit in"):
        LookSettings(similarity_limit=0.0)
    with pytest.raises(ConfigurationError, match="share is between 0 and 1"):
        CampaignSettings(share=0.0)
    with pytest.raises(ConfigurationError, match="no layout that is understood: UCF-Crime"):
        read_footage(tmp_path)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        read_footage(tmp_path / "nowhere")


def test_layouts_are_found_out(campaigns: tuple[Path, Path]) -> None:
    told: Sequence[LabelledVideo] = read_footage(campaigns[0]).videos
    assert [video.camera for video in told] == ["hall", "hall"]


def test_the_real_ped2_is_read_with_its_training_clips(real_data: Path) -> None:
    if not (real_data / "UCSDped2").is_dir():
        pytest.skip("no UCSD Ped2 (../shared/data/UCSDped2) on this machine")
    told = read_footage(real_data / "UCSDped2")
    assert (len(told.train), len(told.videos)) == (16, 12)
