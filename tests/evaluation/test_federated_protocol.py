"""Federated against central and single training: who has which clips, scores of frames, numbers, tables and figure."""

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evaluation.federated_work
from evaluation.datasets.base import LabelledData
from evaluation.datasets.read import read_data
from evaluation.datasets.ucsd import read_ucsd_split
from evaluation.federated_data import (
    MARGIN_S,
    CameraFootage,
    GreyClip,
    deal,
    each_its_own,
    grey_clips,
    normal_and_test,
    read_cameras,
    together,
)
from evaluation.federated_figures import figures_of
from evaluation.federated_results import results, series_of
from evaluation.federated_scores import Scoring, SiteRound, frame_scores, truth_of
from evaluation.federated_tables import rounds_csv, to_csv, to_json, to_markdown
from evaluation.leakage import Slice
from evaluation.protocols.federated import (
    FederatedReport,
    FederatedSettings,
    Run,
    run_federated,
)
from infra.errors import AfterwatchError, ConfigurationError
from models.autoencoders.settings import HasanSettings
from models.autoencoders.training import train_autoencoder
from models.federation.base import LocalUpdate, Tensors
from models.metrics import frame_auc
from tests.evaluation.made_squares import FRAMES, SPAN, put_squares

MODEL = HasanSettings(width=0.02, size_px=48)
TINY = FederatedSettings(MODEL, rounds=2, seeds=1, step=5, score_step=3, smooth_s=0.1)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five normal clips and two test clips; treat it as read only."""
    return put_squares(tmp_path_factory.mktemp("data") / "squares", train=5)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def camera(squares: Path, cache: Path) -> CameraFootage:
    (read,) = read_cameras([read_ucsd_split(squares)], 48, 10.0, cache)
    return read


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture(scope="module")
def report(camera: CameraFootage, pool: Executor) -> FederatedReport:
    return run_federated([camera], replace(TINY, seeds=2), pool)


def names(clips: tuple[GreyClip, ...]) -> list[str]:
    return [clip.name for clip in clips]


# Who has which clips.


def made_camera(clips: int, data: LabelledData) -> CameraFootage:
    """A camera of `clips` normal stretches of one picture each, of no file."""
    video = data.train[0]
    normal = []
    for number in range(clips):
        piece = Slice(video, number, number + 1)
        normal.append((piece, (GreyClip(piece, np.array([number]), Path("absent"), 0),)))
    return CameraFootage(data, "hall", tuple(normal), ())


@given(clients=st.integers(2, 4), clips=st.integers(8, FRAMES), seed=st.integers(0, 99))
def test_every_clip_is_at_one_client(squares: Path, clients: int, clips: int, seed: int) -> None:
    camera = made_camera(clips, read_ucsd_split(squares))
    sites = deal(camera, clients, seed)
    held = [name for site in sites for name in (*names(site.training), *names(site.held_out))]
    assert sorted(held) == sorted(clip.name for _, one in camera.normal for clip in one)
    sizes = [len(site.training) + len(site.held_out) for site in sites]
    assert max(sizes) - min(sizes) <= 1 and all(site.training and site.held_out for site in sites)
    assert [site.name for site in sites] == [f"client {number}" for number in range(1, clients + 1)]
    again = deal(camera, clients, seed)
    assert [names(site.training) for site in again] == [names(site.training) for site in sites]
    whole = together("central", sites)
    assert {*names(whole.training), *names(whole.held_out)} == set(held)
    assert not {*names(whole.training)} & {*names(whole.held_out)}


def test_another_seed_deals_otherwise(squares: Path) -> None:
    camera = made_camera(16, read_ucsd_split(squares))
    dealt = {tuple(names(deal(camera, 2, seed)[0].training)) for seed in range(5)}
    assert len(dealt) > 1


def test_too_few_clips_are_refused(squares: Path) -> None:
    data = read_ucsd_split(squares)
    with pytest.raises(ConfigurationError, match="hall has 3 normal clips; 2 clients need at least 4"):
        deal(made_camera(3, data), 2, 0)
    with pytest.raises(ConfigurationError, match="hall has 1 normal clips; at least 2"):
        each_its_own([made_camera(1, data), made_camera(2, data)], 0)
    sites = each_its_own([made_camera(4, data), replace(made_camera(4, data), camera="gate")], 0)
    with pytest.raises(ValueError, match="gate"):
        together("central", sites)


def test_normal_footage_of_labelled_recordings_is_far_from_what_is_relevant(clips: Path) -> None:
    data = read_data(clips)
    assert not data.train
    normal, test = normal_and_test(data)
    assert {one.video.video_id for one in normal}.isdisjoint(one.video.video_id for one in test)
    # What begins less than 10 s before the test part is left out as well.
    assert len(normal) == 5
    for one in normal:
        times = one.video.index.t_us / 1e6
        for first, last in one.video.relevant:
            assert times[one.last - 1] < times[first] - MARGIN_S or times[one.first] > times[last - 1] + MARGIN_S
    assert all(truth_of(one).any() for one in test)


def test_a_picture_that_is_lost_begins_a_new_clip(tmp_path: Path) -> None:
    folder = put_squares(tmp_path / "damaged", train=2)
    (folder / "Train/Train001/005.png").write_bytes(b"no picture")
    (folder / "Train/Train001/006.png").write_bytes(b"")
    video = read_ucsd_split(folder).train[0]
    clips = grey_clips(Slice.whole(video), 48, 10.0, tmp_path / "pictures")
    assert [clip.frames.tolist() for clip in clips] == [list(range(4)), list(range(6, FRAMES))]
    assert names(clips) == ["Train001", "Train001"]
    part = grey_clips(Slice(video, 2, 9), 48, 10.0, tmp_path / "pictures")
    assert [clip.frames.tolist() for clip in part] == [[2, 3], [6, 7, 8]] and part[0].name == "Train001 [2, 9)"
    for clip in (*clips, *part):
        for frame, picture in zip(clip.frames.tolist(), clip.rows.read(), strict=True):
            known = cv2.imread(str(folder / f"Train/Train001/{frame + 1:03d}.png"), cv2.IMREAD_GRAYSCALE)
            assert known is not None and picture.shape == (48, 48)
            assert abs(float(picture.mean()) - float(known.mean())) < 1
    before = sorted((tmp_path / "pictures").iterdir())
    (folder / "Train/Train001/001.png").unlink()
    again = grey_clips(Slice.whole(video), 48, 10.0, tmp_path / "pictures")
    assert [clip.frames.tolist() for clip in again] == [clip.frames.tolist() for clip in clips]
    assert sorted((tmp_path / "pictures").iterdir()) == before


def test_two_data_sets_of_one_name_are_refused(squares: Path, tmp_path: Path) -> None:
    data = read_ucsd_split(squares)
    with pytest.raises(ConfigurationError, match="two data sets are called squares, squares"):
        read_cameras([data, data], 48, 10.0, tmp_path)


# Scores of frames.


def test_a_frame_is_scored_by_the_cuboid_around_it(squares: Path) -> None:
    piece = Slice(read_ucsd_split(squares).videos[0], 5, 25)
    clip = GreyClip(piece, np.arange(5, 25), Path("absent"), 0)
    scoring = Scoring(cuboid_frames=10, step=4, smooth_s=0.0)
    # Cuboids of 10 pictures begin at frames 5, 9 and 13: the frames in their middle are 10, 14 and 18.
    found = frame_scores(piece, [clip], [np.array([2.0, 4.0, 0.0], np.float32)], scoring)
    assert found is not None and found.shape == (20,)
    assert found[[0, 5, 7, 9, 13, 19]].tolist() == [2.0, 2.0, 3.0, 4.0, 0.0, 0.0]
    constant = frame_scores(piece, [clip], [np.full(3, 7.0, np.float32)], replace(scoring, smooth_s=0.5))
    assert constant == pytest.approx(np.full(20, 7.0))
    assert frame_scores(piece, [clip], [np.empty(0, np.float32)], scoring) is None


# The experiment.


def test_every_kind_of_model_is_trained_and_measured(report: FederatedReport) -> None:
    assert report.methods == ("federated", "central", "client 1", "client 2") and not report.several
    for run in report.runs:
        assert len(run.rounds) == len(run.errors) == 2 and not run.missing
        assert [one.site for one in run.rounds[0]] == (
            ["client 1", "client 2", "federated"] if run.method == "federated" else [run.method]
        )
        for row in run.rounds:
            for one in row:
                assert one.truth.sum() == 2 * (SPAN[1] - SPAN[0]) and len(one.truth) == 2 * FRAMES
                assert np.isfinite(one.scores).all()
    federated, central = report.of("federated")[0], report.of("central")[0]
    # What crosses is known: the same tensors, to and from twice as many clients.
    assert 1.9 < federated.received / central.received < 2.1 and federated.received < federated.sent
    assert report.of("federated")[0].errors != report.of("federated")[1].errors


def test_a_bright_square_is_found_by_all(report: FederatedReport) -> None:
    for name, one in series_of(report).items():
        assert one.auc.shape == (2, 2)
        assert one.auc.min() > 0.8, name


def test_central_training_is_central_training(report: FederatedReport, camera: CameraFootage) -> None:
    """The federation of one client is `train_autoencoder` with as many epochs and no early stop, to the last bit."""
    from models.autoencoders.cuboids import Cuboids

    for seed, sites in enumerate(report.sites):
        whole = together("central", sites)
        clips, held_out = (
            Cuboids(tuple(clip.rows.read() for clip in part), MODEL.cuboid_frames, (1,), TINY.step)
            for part in (whole.training, whole.held_out)
        )
        trained = train_autoencoder(MODEL, clips, held_out, TINY.training(seed))
        run = report.of("central")[seed]
        assert run.errors == tuple(epoch.validation for epoch in trained.epochs)
        assert run.best == trained.best


def test_the_same_again_is_the_same(report: FederatedReport, camera: CameraFootage, pool: Executor) -> None:
    again = run_federated([camera], TINY, pool)
    for run in again.runs:
        (known,) = [one for one in report.runs if (one.method, one.seed) == (run.method, run.seed)]
        assert run.errors == known.errors
        for row, known_row in zip(run.rounds, known.rounds, strict=True):
            assert all(np.array_equal(a.scores, b.scores) for a, b in zip(row, known_row, strict=True))


def test_a_reset_optimiser_trains_otherwise_from_the_second_round_on(
    report: FederatedReport, camera: CameraFootage, pool: Executor
) -> None:
    reset = run_federated([camera], replace(TINY, optimiser="reset"), pool).of("federated")[0]
    kept = report.of("federated")[0]
    assert reset.errors[0] == kept.errors[0] and reset.errors[1] != kept.errors[1]


def test_several_cameras_are_a_client_each(squares: Path, camera: CameraFootage, cache: Path, pool: Executor) -> None:
    other = put_squares(cache / "other" / "gate", train=3, seed=1)
    for path in other.rglob("*.png"):
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.imwrite(str(path), 255 - picture)
    cameras = read_cameras([read_ucsd_split(squares), read_ucsd_split(other)], 48, 10.0, cache)
    report = run_federated(cameras, TINY, pool)
    assert report.several and report.methods == ("federated", "client 1", "client 2")
    told = series_of(report)
    assert list(told) == [
        "federated",
        "single",
        "federated client 1",
        "client 1",
        "federated client 2",
        "client 2",
    ]
    assert told["federated client 2"].camera == told["client 2"].camera == "gate"
    (federated,) = report.of("federated")
    rows = federated.rounds[federated.best]
    pooled = frame_auc(np.concatenate([one.truth for one in rows]), np.concatenate([one.scores for one in rows]))
    assert told["federated"].chosen_auc[0] == pooled
    assert told["federated client 1"].auc[0].tolist() == [row[0].auc for row in federated.rounds]
    text = to_markdown(report, "afterwatch …")
    assert "`federated` less `single`" in text and "`client 2` (gate) 2 + 1" in text
    assert to_json(report)["experiment"] == 2 and to_json(report)["data"] == ["squares", "gate"]
    figures_of(report, "cameras")


def test_test_frames_of_one_kind_are_refused(camera: CameraFootage, pool: Executor) -> None:
    ((piece, clips), *_) = camera.test
    early = Slice(piece.video, 0, SPAN[0])
    with pytest.raises(ConfigurationError, match="all 12 test frames of squares are of one kind"):
        run_federated([replace(camera, test=((early, clips),))], TINY, pool)


@pytest.mark.parametrize("change", [{"rounds": 0}, {"clients": 1}, {"smooth_s": -1.0}, {"rate_hz": 0}, {"strides": ()}])
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        replace(TINY, **change)


# Who is missing.


def test_a_client_that_fails_in_a_round_is_named_and_the_rest_goes_on(
    camera: CameraFootage, pool: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = evaluation.federated_work.train_round
    asked: list[int] = []

    def lost(work: Any, shared: Tensors, number: int, memory: bytes | None) -> LocalUpdate:
        asked.append(number)
        if len(asked) == 3:
            raise RuntimeError("the worker died")
        return train(work, shared, number, memory)

    monkeypatch.setattr(evaluation.federated_work, "train_round", lost)
    report = run_federated([camera], TINY, pool)
    (federated,) = report.of("federated")
    (told,) = federated.missing
    assert told.startswith("federated, seed 0, round 2: client") and "(failed)" in told
    assert f"- Missing: {told}." in to_markdown(report, "afterwatch …") and to_json(report)["missing"] == [told]


def test_where_nobody_can_train_the_reason_is_told(
    camera: CameraFootage, pool: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> LocalUpdate:
        raise RuntimeError("no room on the disk")

    monkeypatch.setattr(evaluation.federated_work, "train_round", broken)
    with pytest.raises(AfterwatchError, match=r"round 1: no client could train.*no room on the disk"):
        run_federated([camera], TINY, pool)


# Numbers.


GOOD, BAD, HALF = [0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0], [0.0, 2.0, 1.0, 3.0]
"""Scores of four test frames, the last two of them anomalous: frame AUC 1, 0 and 0.75."""


def made_run(method: str, seed: int, rounds: list[list[list[float]]], errors: tuple[float, ...]) -> Run:
    """A training by the scores of each round at each of its sites."""
    truth = np.array([False, False, True, True])
    told = tuple(tuple(SiteRound("", "hall", truth, np.array(scores)) for scores in row) for row in rounds)
    return Run(method, seed, told, errors, 10, 10, ())


def test_the_round_is_chosen_by_the_held_out_error(report: FederatedReport) -> None:
    central = [made_run("central", seed, [[HALF], [GOOD]], (3.0, 2.0)) for seed in (0, 1)]
    alone = [made_run(name, seed, [[BAD], [BAD]], (1.0, 1.0)) for name in report.clients for seed in (0, 1)]
    # By its two clients, and last with the mean picture of both.
    first = made_run("federated", 0, [[GOOD, BAD, GOOD], [GOOD, HALF, BAD]], (2.0, 1.0))
    other = made_run("federated", 1, [[GOOD, BAD, GOOD], [GOOD, HALF, HALF]], (1.0, 1.0))
    made = replace(report, runs=(first, other, *central, *alone))
    told = series_of(made)
    assert list(told)[:3] == ["federated", "central", "federated client 1"]
    assert told["federated"].chosen_auc.tolist() == [0.0, 1.0] and told["federated"].rounds.tolist() == [2, 1]
    assert told["federated"].auc.tolist() == [[1.0, 0.0], [1.0, 0.75]]
    assert told["federated client 2"].chosen_auc.tolist() == [0.75, 0.0]
    found = {(one.name, one.metric): one for one in results(made, told)}
    auc = found["federated", "frame_auc"]
    assert (auc.value, auc.n) == (0.5, 2) and auc.high - auc.value == pytest.approx(np.std([0, 1], ddof=1))
    assert found["federated", "frame_auc_last_round"].value == 0.375
    assert found["federated", "frame_auc_above_central"].value == -0.5
    # Seed 0: the mean of 1 and 0.75, seed 1: of 1 and 0.
    assert found["federated clients", "frame_auc_above_central"].value == pytest.approx((-0.125 - 0.5) / 2)
    text = to_markdown(made, "afterwatch …")
    assert "**-50.00 ± 70.71 points** of frame AUC. It is not within 1 point" in text
    assert "the mean over the clients: -31.25 ± 26.52 points." in text
    fine = [made_run("federated", seed, [[BAD] * 3, [GOOD] * 3], (3.0, 2.0)) for seed in (0, 1)]
    better = replace(made, runs=(*fine, *central, *alone))
    assert "**+0.00 ± 0.00 points** of frame AUC. It is within 1 point" in to_markdown(better, "afterwatch …")


def test_numbers_are_the_same_in_every_form(report: FederatedReport) -> None:
    told = json.loads(json.dumps(to_json(report), allow_nan=False))
    assert (told["protocol"], told["experiment"], told["data"]) == ("federated", 1, ["squares"])
    clients = {"client 1", "client 2", "federated client 1", "federated client 2"}
    assert {one["name"] for one in told["results"]} == clients | {"federated", "central", "federated clients"}
    assert told["settings"]["model"] == {"architecture": "hasan", "width": 0.02, "size_px": 48}
    for one, site in zip(told["clients"], [site for sites in report.sites for site in sites], strict=True):
        assert one["training"] == names(site.training) and one["held_out"] == names(site.held_out)
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    for row, one in zip(rows, told["results"], strict=True):
        assert (row["name"], row["metric"], row["value"]) == (one["name"], one["metric"], f"{one['value']:.6f}")
    by_round = list(csv.DictReader(io.StringIO(rounds_csv(report))))
    assert len(by_round) == 6 * 2 * 2 and sum(int(row["chosen"]) for row in by_round) == 6 * 2
    chosen = [float(row["frame_auc"]) for row in by_round if row["name"] == "central" and row["chosen"] == "1"]
    (mean,) = [one["value"] for one in told["results"] if (one["name"], one["metric"]) == ("central", "frame_auc")]
    assert np.mean(chosen) == pytest.approx(mean, abs=1e-5)
    text = to_markdown(report, "afterwatch evaluate federated --data squares", {"By round": "a.png"})
    assert "afterwatch evaluate federated --data squares" in text and "![By round](a.png)" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables}) == 2 and f"| {mean:.3f} ± " in text


def test_one_seed_has_no_deviation(report: FederatedReport) -> None:
    made = replace(report, runs=tuple(run for run in report.runs if run.seed == 0), sites=report.sites[:1])
    made = replace(made, settings=TINY)
    told = json.loads(json.dumps(to_json(made), allow_nan=False))
    assert all(one["low"] is None and one["value"] is not None for one in told["results"])
    assert " ± " not in "".join(line for line in to_markdown(made, "").splitlines() if line.startswith("|"))


def test_the_figure_is_the_same_from_the_same_numbers(report: FederatedReport) -> None:
    (one,), (other,) = figures_of(report, "squares"), figures_of(report, "squares")
    assert one.png == other.png and one.png.startswith(b"\x89PNG") and one.file == "squares-rounds.png"
