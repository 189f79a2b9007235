import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from infra.errors import ConfigurationError
from models.heads.neighbours import unit_length
from models.heads.retrieval import RetrievalSettings
from models.transfer import BudgetPoint, drift, label_budget_curve, labels_needed

Vectors = NDArray[np.float32]


def days(rows: int, seed: int, offset: float = 0.0, dimension: int = 6) -> tuple[Vectors, NDArray[np.int64]]:
    """Vectors of ten days, each with a mean of its own and rows that follow one another."""
    random = np.random.default_rng(seed)
    of_day = np.repeat(np.arange(10, dtype=np.int64), rows // 10)
    mean = 3 + 0.3 * random.standard_normal((10, dimension))
    return unit_length(mean[of_day] + random.standard_normal((len(of_day), dimension)) + offset), of_day


def classes(rows: int = 200, gap: float = 1.0, seed: int = 0) -> tuple[Vectors, NDArray[np.bool_], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    relevant = random.random(rows) < 0.3
    vectors = random.standard_normal((rows, 8))
    vectors[:, 0] += gap * (2 * relevant - 1)
    return unit_length(vectors), relevant, np.arange(rows, dtype=np.int64) // 10


def test_a_like_campaign_has_not_drifted() -> None:
    told = drift(*days(1000, 0), *days(1000, 1))
    assert told.far_share == pytest.approx(0.05, abs=0.03)
    assert told.expected_share == pytest.approx(0.05, abs=0.002)
    assert math.isnan(told.statistic)


def test_a_new_sight_is_counted_and_shown() -> None:
    (old, old_days), (new, new_days) = days(1000, 0), days(1000, 1)
    new[300:400] = unit_length(new[300:400] * np.array([-1, 1, 1, 1, 1, 1]) - 4)
    told = drift(old, old_days, new, new_days)
    assert told.far_share == pytest.approx(0.145, abs=0.04)  # a tenth is new, and 5 % of the rest
    assert 300 <= told.farthest[0] < 400
    assert len(set(new_days[told.farthest])) == len(told.farthest)


def test_the_distances_are_those_to_other_days() -> None:
    (old, old_days), (new, new_days) = days(200, 0), days(100, 1)
    told = drift(old, old_days, new, new_days, expected_share=0.2)
    among = cdist(old, old)
    among[old_days[:, None] == old_days] = np.inf
    limit = np.sort(among.min(axis=1))[round(0.8 * 200)]
    assert told.limit == pytest.approx(limit, abs=1e-6)
    assert told.far_share == pytest.approx((cdist(new, old).min(axis=1) > limit).mean())


def test_the_statistic_is_scipys_and_its_p_value_tells_a_shift_from_none() -> None:
    (old, old_days), (new, new_days) = days(400, 0), days(400, 1)
    random = np.random.default_rng(0)
    scores = random.standard_normal(400), random.standard_normal(400)
    same = drift(old, old_days, new, new_days, scores)
    assert same.statistic == pytest.approx(ks_2samp(*scores).statistic)
    assert same.p_value > 0.05
    moved = drift(old, old_days, new, new_days, (scores[0], scores[1] + 1))
    assert moved.p_value < 0.02


def test_rows_of_a_block_are_not_taken_for_many() -> None:
    # Each day has its own level: rows in thousands, but only ten days a side. The textbook's test cries drift.
    (old, of_day), (new, _) = days(1000, 0), days(1000, 1)
    p_values, textbook = [], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        scores = [random.standard_normal(10).repeat(100) + 0.1 * random.standard_normal(1000) for _ in ("old", "new")]
        p_values.append(
            drift(old[::50], of_day[::50], new[::50], of_day[::50], (scores[0][::50], scores[1][::50])).p_value
        )
        textbook.append(ks_2samp(*scores).pvalue)
    assert np.mean(np.array(p_values) < 0.05) <= 0.15
    assert np.mean(np.array(textbook) < 0.05) > 0.8


def test_one_day_says_nothing_of_another() -> None:
    old, new = days(100, 0)[0], days(100, 1)[0]
    one_day = np.zeros(100, np.int64)
    with pytest.raises(ConfigurationError, match="two blocks of the old campaign"):
        drift(old, one_day, new, one_day)
    with pytest.raises(ConfigurationError, match="a row of the new one"):
        drift(old, np.arange(100), new[:0], one_day[:0])


def test_more_labels_make_a_better_head() -> None:
    curve = label_budget_curve(*classes(), [4, 16, 64], runs=6)
    assert [point.budget for point in curve] == [4, 16, 64]
    assert [(point.relevant, point.irrelevant) for point in curve[:2]] == [(2, 2), (8, 8)]
    values = [point.average_precision for point in curve]
    assert values[0] < values[2]
    assert all(0 <= point.average_precision_sd < 0.5 for point in curve)
    assert curve == label_budget_curve(*classes(), [64, 4, 16, 16], runs=6)


def test_where_a_class_runs_short_the_other_fills_up_and_what_cannot_be_filled_is_left_out() -> None:
    vectors, relevant, blocks = classes(60)
    relevant[:] = False
    relevant[[5, 15, 25, 35]] = True  # two in each half
    curve = label_budget_curve(vectors, relevant, blocks, [4, 12, 50], runs=3)
    assert [(point.budget, point.relevant, point.irrelevant) for point in curve] == [(4, 2, 2), (12, 2, 10)]


def test_parted_classes_are_learned_at_once() -> None:
    curve = label_budget_curve(*classes(gap=30), [8], runs=3)
    assert curve[0].average_precision == 1
    assert curve[0].balanced_accuracy == 1
    assert curve[0].balanced_accuracy_sd == 0


def test_known_labels_help_from_the_beginning() -> None:
    old, old_relevant, _ = classes(seed=1)
    vectors, relevant, blocks = classes(seed=2)
    alone = label_budget_curve(vectors, relevant, blocks, [4], runs=5)
    helped = label_budget_curve(vectors, relevant, blocks, [0, 4], runs=5, known=(old, old_relevant))
    assert [point.budget for point in helped] == [0, 4]
    assert helped[1].average_precision > alone[0].average_precision
    with pytest.raises(ConfigurationError, match="at least 2 labels"):
        label_budget_curve(vectors, relevant, blocks, [0, 4])


def test_the_head_is_judged_on_blocks_it_has_not_seen() -> None:
    # Every block has a direction of its own and answers by chance: only a block's own labels could tell.
    random = np.random.default_rng(0)
    blocks = np.repeat(np.arange(20, dtype=np.int64), 10)
    vectors = unit_length(np.eye(20)[blocks] + 1e-3 * random.standard_normal((200, 20)))
    relevant = (random.random(20) < 0.5)[blocks]
    (point,) = label_budget_curve(vectors, relevant, blocks, [60], runs=9)
    assert point.balanced_accuracy == pytest.approx(0.5, abs=0.15)


def test_the_measures_are_scikit_learns() -> None:
    # Two blocks are the two halves, and a label of each class makes a machine of two support vectors of equal weight.
    vectors, relevant, _ = classes(40)
    blocks = np.arange(40, dtype=np.int64) // 20
    (point,) = label_budget_curve(vectors, relevant, blocks, [2], runs=1, settings=RetrievalSettings(gamma=1.0))
    found = []
    for half in (blocks == 0, blocks == 1):
        truth, kernel = relevant[~half], np.exp(-cdist(vectors[~half], vectors, "sqeuclidean"))
        for one in np.flatnonzero(half & relevant):
            for other in np.flatnonzero(half & ~relevant):
                scores = kernel[:, one] - kernel[:, other]
                found.append((balanced_accuracy_score(truth, scores > 0), average_precision_score(truth, scores)))
    off = np.abs(np.array(found) - [point.balanced_accuracy, point.average_precision]).max(axis=1)
    assert off.min() < 1e-6
    assert (off < 1e-6).mean() < 0.1  # not any pair would do


def test_a_class_in_one_block_only_gives_no_curve() -> None:
    vectors, relevant, blocks = classes(40)
    relevant[:] = blocks == 1
    with pytest.raises(ConfigurationError, match="two stretches of time each"):
        label_budget_curve(vectors, relevant, blocks, [4])


def curve_of(*values: float) -> list[BudgetPoint]:
    return [BudgetPoint(4 * 2**n, 0, 0, value, 0, value / 2, 0, 9) for n, value in enumerate(values)]


def test_enough_labels_are_those_after_which_more_do_not_help() -> None:
    assert labels_needed(curve_of(0.5, 0.9, 0.91, 0.905), tolerance=0.02) == 8
    assert labels_needed(curve_of(0.9, 0.5, 0.9, 0.91), tolerance=0.02) == 16  # the first was luck
    assert labels_needed(curve_of(0.5, 0.7, 0.9), tolerance=0.02) is None  # still rising
    assert labels_needed([]) is None
    assert labels_needed(curve_of(0.5, 0.9, 0.91), tolerance=0.02, by="balanced_accuracy") == 8


def test_a_goal_may_be_reached_at_the_end_or_never() -> None:
    assert labels_needed(curve_of(0.5, 0.7, 0.9), goal=0.9) == 16
    assert labels_needed(curve_of(0.5, 0.7, 0.9), goal=0.6) == 8
    assert labels_needed(curve_of(0.5, 0.7, 0.9), goal=0.95) is None
