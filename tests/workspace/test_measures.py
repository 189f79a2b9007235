"""A review held against what is known: recall by minutes, two reviewers, another campaign."""

from pathlib import Path

import numpy as np
import pytest

from infra.errors import ConfigurationError
from lake.labels import Label, say_labels
from tests.workspace.hall import AUTUMN, CASE, OPEN, ROWS, SPRING, START, make_hall, recording_of, review, truth
from workspace.measures import agreements, own_curve, recall_curve, travel
from workspace.opened import Workspace
from workspace.session import Review


@pytest.fixture
def hall(tmp_path: Path) -> Workspace:
    return make_hall(tmp_path / "site")


def know(workspace: Workspace) -> None:
    day = START[SPRING].date()
    spans = [(first, end) for first, end in OPEN[SPRING]]
    labels = [
        Label(
            CASE,
            SPRING,
            day,
            recording_of(SPRING, first),
            first % 300 * 1_000_000,
            (first % 300 + end - first) * 1_000_000,
            True,
            "staged",
            role="truth",
        )
        for first, end in spans
    ]
    say_labels(workspace.ledger, labels)


def teach(one: Review, rows: list[int], author: str = "ada", but: tuple[int, ...] = ()) -> None:
    known = truth(one.campaign)
    for row in rows:
        one.answer(row, bool(known[row]) != (row in but), author)


def test_recall_rises_with_what_is_looked_at(hall: Workspace) -> None:
    know(hall)
    one = review(hall)
    assert recall_curve(one, CASE.name).recall.tolist() == [0.0]
    for row in (10, 110, 320):
        one.look(row, "ada", 2.0)
    curve = recall_curve(one, CASE.name)
    assert curve.recall == pytest.approx([0, 0, 1 / 3, 2 / 3])
    slices = [one.slice_span_us(row) for row in (10, 110, 320)]
    assert curve.minutes[-1] == pytest.approx(sum(end - begin for begin, end in slices) / 60e6)


def test_truth_that_no_vector_covers_counts_as_missed(hall: Workspace) -> None:
    know(hall)
    beyond = Label(
        CASE,
        SPRING,
        START[SPRING].date(),
        recording_of(SPRING, 0),
        400_000_000,
        410_000_000,
        True,
        "staged",
        role="truth",
    )
    say_labels(hall.ledger, [beyond])
    one = review(hall)
    for row in (110, 320, 510):
        one.look(row, "ada", 2.0)
    assert recall_curve(one, CASE.name).recall[-1] == pytest.approx(0.75)


def test_two_reviewers_are_held_against_each_other(hall: Workspace) -> None:
    one = review(hall)
    assert agreements(one) == []
    rows = [10, 110, 200, 320, 400, 510]
    teach(one, rows)
    teach(one, rows, "grace", but=(200,))
    (pair,) = agreements(one)
    assert (pair.first, pair.second, pair.moments) == ("ada", "grace", 6)
    assert pair.share == pytest.approx(5 / 6)
    # p_o = 5/6; ada says relevant to 3 of 6, grace to 4: p_e = (3 · 4 + 3 · 2) / 36.
    assert pair.kappa == pytest.approx((5 / 6 - 0.5) / 0.5)
    (conflict,) = pair.conflicts
    assert (conflict.row, conflict.relevant_by, conflict.irrelevant_by) == (200, "grace", "ada")


def test_a_head_travels_to_a_campaign_that_looks_alike(hall: Workspace) -> None:
    spring, autumn = review(hall), review(hall, AUTUMN)
    with pytest.raises(ConfigurationError, match="no other campaign"):
        travel(autumn)
    teach(spring, [*list(range(5, ROWS, 25)), 120, 310, 330, 515])
    told = travel(autumn)
    assert told.trained_on == (SPRING,) and told.checked == 0 and np.isnan(told.right)
    assert 0 <= told.drift.far_share <= 1 and 0 <= told.drift.statistic <= 1
    teach(autumn, [*list(range(3, ROWS, 30)), 70, 80, 420, 440])
    told = travel(autumn)
    assert told.checked > 10 and told.right > 0.9
    assert told.curve[0].budget == 0 and told.curve[0].average_precision > 0.9


def test_the_curve_says_how_many_labels_it_takes_or_why_it_cannot(hall: Workspace) -> None:
    one = review(hall)
    assert own_curve(one)[:2] == ([], None) and own_curve(one)[2]
    teach(one, list(range(5, ROWS, 12)))
    curve, needed, remark = own_curve(one)
    assert remark == "" and [point.budget for point in curve][:3] == [4, 8, 16]
    assert needed is None or needed in [point.budget for point in curve]
