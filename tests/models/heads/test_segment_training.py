"""Segment heads: batches of runs, training with every loss, metrics by their names."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from infra.errors import AfterwatchError, ConfigurationError
from models.heads.classifier import ClassifierHead, ClassifierSettings
from models.heads.segment_metrics import segment_metrics, temporal_iou
from models.heads.segment_training import SEGMENT_HEAD, SegmentSamples, batches, losses_of, train_segments
from models.losses import KINDS, LOSSES, SegmentLossSettings

QUICK = ClassifierSettings(
    hidden=(8,),
    dropout=0.0,
    learning_rate=0.02,
    weight_decay=0.0,
    epochs=15,
    batch_size=16,
    class_weights="none",
    members=1,
)


def samples(videos: int = 12, length: int = 10, seed: int = 0, apart: float = 2.0) -> SegmentSamples:
    """Videos of segments; of every other the middle is anomalous, and its vectors lie `apart` from the others."""
    random = np.random.default_rng(seed)
    video = np.repeat(np.arange(videos), length)
    place = np.tile(np.arange(length), videos)
    positive = (video % 2 == 0) & (place >= length // 3) & (place < 2 * length // 3)
    vectors = random.normal(size=(len(video), 4)).astype(np.float32)
    vectors[positive, 0] += apart
    return SegmentSamples(vectors, video, place > 0, positive)


@st.composite
def any_samples(draw: st.DrawFn) -> SegmentSamples:
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    video = np.repeat(np.arange(len(lengths)), lengths)
    first = np.diff(video, prepend=-1) > 0
    holes = np.array(draw(st.lists(st.booleans(), min_size=len(video), max_size=len(video))))
    positive = np.array(draw(st.lists(st.booleans(), min_size=len(video), max_size=len(video))))
    return SegmentSamples(np.zeros((len(video), 2), np.float32), video, ~first & ~holes, positive)


@given(any_samples(), st.integers(1, 40), st.integers(0, 5))
def test_every_segment_is_in_one_batch_and_runs_keep_their_order(
    held: SegmentSamples, batch_size: int, seed: int
) -> None:
    found = batches(held, batch_size, np.random.default_rng(seed))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(held)))
    assert all(0 < len(rows) <= batch_size for rows in found)
    again = batches(held, batch_size, np.random.default_rng(seed))
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))
    for rows in found:
        # Where a batch leaves the order of the samples, a run has ended: at the end of its stretch, or at its full length.
        cuts = np.flatnonzero(np.diff(rows) != 1) + 1
        for run in np.split(rows, cuts):
            inside = run[1:]
            stretches = np.split(run, np.flatnonzero(~held.follows[inside]) + 1)
            assert all(len(set(held.video[stretch].tolist())) == 1 for stretch in stretches)


def test_a_batch_holds_anomalous_and_normal_runs_as_far_as_there_are() -> None:
    held = samples(videos=40, length=16)
    for seed in range(5):
        for rows in batches(held, 32, np.random.default_rng(seed))[:-1]:
            assert held.positive[rows].any()
            per_video = [held.positive[rows][held.video[rows] == video].any() for video in np.unique(held.video[rows])]
            assert not all(per_video), "a bag without an anomaly stands beside"


def test_cuts_and_order_move_from_epoch_to_epoch() -> None:
    random, held = np.random.default_rng(0), samples()
    first, second = batches(held, 16, random), batches(held, 16, random)
    assert [rows.tolist() for rows in first] != [rows.tolist() for rows in second]


@pytest.mark.parametrize("kind", KINDS)
def test_every_loss_learns_what_can_be_learnt(kind: str) -> None:
    training, test = samples(seed=1, apart=4.0), samples(seed=2, apart=4.0)
    # By its letter S3's term works against the cross entropy; light enough, the head still learns.
    loss = SegmentLossSettings("s3", 0.1, 0.1, 0.0) if kind == "s3" else LOSSES[kind]  # type: ignore[index]
    trained = train_segments(QUICK, loss, training, {"train": training, "test": test})
    auc = reference.roc_auc_score(test.positive, trained.head.probabilities(test.vectors)[:, 0])
    assert auc > 0.97
    curve = trained.curves["test"]
    assert len(curve.accuracy) == len(curve.loss) == QUICK.epochs
    right = (trained.head.probabilities(test.vectors)[:, 0] > 0.5) == test.positive
    assert curve.accuracy[-1] == pytest.approx(right.mean())
    assert curve.loss[-1] == pytest.approx(losses_of(loss, trained.head, test)[1], rel=1e-4)
    assert curve.accuracy[-1] > curve.accuracy[0] or curve.accuracy[0] > 0.95


def test_the_same_seed_gives_the_same_head_and_looking_changes_nothing() -> None:
    training, other = samples(seed=1), samples(seed=2)
    shape = ClassifierSettings(hidden=(6,), dropout=0.4, epochs=3, batch_size=8, members=2, learning_rate=0.01)
    one = train_segments(shape, LOSSES["mil"], training, {})
    two = train_segments(shape, LOSSES["mil"], training, {"test": other, "train": training})
    assert np.array_equal(one.head.logits(other.vectors), two.head.logits(other.vectors))
    assert one.curves == {}
    changed = train_segments(ClassifierSettings(**{**vars(shape), "seed": 1}), LOSSES["mil"], training, {})
    assert not np.array_equal(one.head.logits(other.vectors), changed.head.logits(other.vectors))


def test_smoothness_makes_neighbours_more_alike() -> None:
    training = samples(seed=3, apart=1.0)
    rough = train_segments(QUICK, SegmentLossSettings("mil", 1.0, 0.0, 0.0), training, {}).head
    smooth = train_segments(QUICK, SegmentLossSettings("mil", 1.0, 1.0, 0.0), training, {}).head

    def jumps(head: ClassifierHead) -> float:
        scores = head.probabilities(training.vectors)[:, 0]
        return float(np.abs(np.diff(scores))[training.follows[1:]].mean())

    assert jumps(smooth) < 0.8 * jumps(rough)


def test_weights_of_classes_raise_the_probability_of_the_rare_one() -> None:
    training = samples(apart=0.5)
    plain = train_segments(QUICK, LOSSES["bce"], training, {}).head
    balanced = train_segments(
        ClassifierSettings(**{**vars(QUICK), "class_weights": "balanced"}), LOSSES["bce"], training, {}
    ).head
    assert balanced.probabilities(training.vectors).mean() > plain.probabilities(training.vectors).mean() + 0.1


def test_what_cannot_be_trained_is_refused() -> None:
    held = samples()
    with pytest.raises(ConfigurationError, match="none of the 60 segments to learn from is anomalous"):
        train_segments(QUICK, LOSSES["mil"], held.of(np.arange(1, 12, 2)), {})
    whole = SegmentSamples(held.vectors, held.video, held.follows, np.ones(len(held), np.bool_))
    with pytest.raises(ConfigurationError, match="every one of the 120 segments"):
        train_segments(QUICK, LOSSES["mil"], whole, {})
    with pytest.raises(ConfigurationError, match="for all of its epochs"):
        train_segments(ClassifierSettings(patience=3), LOSSES["mil"], held, {})


def test_a_loss_that_is_not_finite_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.heads.segment_training.segment_loss", lambda *_: torch.tensor(math.nan))
    with pytest.raises(AfterwatchError, match=r"at a learning rate of 0\.02; give a smaller one"):
        train_segments(QUICK, LOSSES["mil"], samples(), {})


def test_samples_say_what_they_are() -> None:
    vectors, video = np.zeros((3, 2), np.float32), np.array([0, 0, 1])
    flags = np.zeros(3, np.bool_)
    with pytest.raises(ValueError, match="in order of video"):
        SegmentSamples(vectors, video[::-1].copy(), flags, flags)
    for follows in ([True, False, False], [False, True, True]):
        with pytest.raises(ValueError, match="the first one of a video follows none"):
            SegmentSamples(vectors, video, np.array(follows), flags)
    with pytest.raises(ValueError, match="each of 3 segments"):
        SegmentSamples(vectors, video[:2], flags, flags)
    kept = SegmentSamples(vectors, video, np.array([False, True, False]), flags).of(np.array([1]))
    assert kept.video.tolist() == [1] and kept.follows.tolist() == [False]


def test_the_defaults_are_the_published() -> None:
    assert (SEGMENT_HEAD.learning_rate, SEGMENT_HEAD.batch_size, SEGMENT_HEAD.epochs) == (1e-3, 32, 20)
    assert SEGMENT_HEAD.weight_decay == 0, "AdamW without decay is Adam"


# --- metrics -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=40))
def test_metrics_are_scikit_learns(told: list[tuple[bool, int]]) -> None:
    truth = np.array([one for one, _ in told])
    scores = np.array([value / 20 for _, value in told], dtype=np.float32)
    found = segment_metrics(truth, scores, temporal_iou=0.5, bce=0.1, loss=0.2)
    predicted = scores > 0.5
    assert (found.segments, found.anomalous) == (len(truth), truth.sum())
    assert found.accuracy == pytest.approx(reference.accuracy_score(truth, predicted))
    if truth.any():
        assert found.recall == pytest.approx(reference.recall_score(truth, predicted))
        assert found.average_precision == pytest.approx(reference.average_precision_score(truth, scores))
    if predicted.any():
        assert found.precision == pytest.approx(reference.precision_score(truth, predicted, zero_division=0.0))
    if truth.any() and not truth.all():
        # What S3 calls AUC: the area under the curve of hard labels.
        hard = reference.roc_auc_score(truth, predicted)
        assert found.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(truth, predicted))
        assert found.balanced_accuracy == pytest.approx(hard)
        assert found.auc == pytest.approx(reference.roc_auc_score(truth, scores))
        both = [
            reference.average_precision_score(t, s) for t, s in ((truth, scores), (~truth, 1 - scores.astype(float)))
        ]
        assert found.mean_average_precision == pytest.approx(np.mean(both))
    if not truth.any():
        assert math.isnan(found.f1) and math.isnan(found.recall), "not 0 for a false alarm: nothing could be found"
    elif predicted.any():
        assert found.f1 == pytest.approx(reference.f1_score(truth, predicted))
    if truth.all() or not truth.any():
        assert math.isnan(found.auc) and math.isnan(found.balanced_accuracy)
        assert found.to_card()["auc"] is None


def test_temporal_iou_is_pooled_over_videos_and_counts_time_once() -> None:
    empty = np.empty((0, 2), np.int64)
    truth = [np.array([[0, 10]]), np.array([[0, 4], [2, 6]]), empty]
    predicted = [np.array([[5, 8], [7, 15]]), empty, np.array([[0, 5]])]
    # 5 of 15; 0 of 6; 0 of 5.
    assert temporal_iou(truth, predicted) == pytest.approx(5 / 26)
    assert temporal_iou(truth, truth) == 1
    assert math.isnan(temporal_iou([empty], [empty]))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=6),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=6),
)
def test_temporal_iou_is_that_of_sets(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    spans = [np.array([[a, a + n] for a, n in held], dtype=np.int64).reshape(-1, 2) for held in (one, other)]
    sets = [{t for a, n in held for t in range(a, a + n)} for held in (one, other)]
    found = temporal_iou([spans[0]], [spans[1]])
    if sets[0] | sets[1]:
        assert found == pytest.approx(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
    else:
        assert math.isnan(found)
