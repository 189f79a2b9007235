"""A review: labels in, a ranking out; one answer a slice; what is left; what may have been missed."""

from pathlib import Path

import numpy as np
import pytest

from infra.errors import ConfigurationError
from lake.labels import Label, UseCase, labels_now, say_labels
from models.heads.retrieval import RetrievalSettings
from tests.workspace.hall import AUTUMN, CASE, OPEN, ROWS, SPRING, START, make_hall, recording_of, review, truth
from workspace.opened import Workspace
from workspace.progress import audit_of, draw_audit, progress_of
from workspace.queue import ORDERS, next_rows
from workspace.session import Review
from workspace.training import BLOCK_US


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hall(tmp_path_factory.mktemp("hall") / "site").site.root


@pytest.fixture
def spring(tmp_path: Path) -> Review:
    return review(make_hall(tmp_path / "site"))


def teach(one: Review, rows: dict[int, bool], author: str = "ada") -> None:
    for row, relevant in rows.items():
        one.answer(row, relevant, author)


SOME = {110: True, 320: True, 10: False, 200: False, 400: False, 580: False}


def test_one_example_ranks_everything_by_likeness(spring: Review) -> None:
    assert spring.ranking().scores is None
    spring.answer(110, True, "ada")
    ranking = spring.ranking()
    assert ranking.threshold is None and ranking.scores is not None and ranking.events == ()
    best = np.argsort(-ranking.scores)[:40]
    assert truth(SPRING)[best].mean() > 0.9


def test_euclidean_likeness_is_a_choice(spring: Review) -> None:
    spring.answer(110, True, "ada")
    scores = spring.ranking(RetrievalSettings(similarity="euclidean")).scores
    assert scores is not None and (scores <= 0).all() and scores.argmax() == 110


def test_two_classes_find_every_moment(spring: Review) -> None:
    teach(spring, SOME)
    ranking = spring.ranking()
    assert ranking.threshold == 0.0
    began = [round((event.from_us / 1e6) - START[SPRING].timestamp()) for event in ranking.events]
    ended = [round((event.to_us / 1e6) - START[SPRING].timestamp()) for event in ranking.events]
    for first, end in OPEN[SPRING]:
        assert any(abs(b - first) <= 3 and abs(e - end) <= 3 for b, e in zip(began, ended, strict=True))
    assert len(ranking.events) == len(OPEN[SPRING])


def test_the_same_labels_give_the_same_ranking_in_whatever_order_they_were_said(tmp_path: Path) -> None:
    one, other = (review(make_hall(tmp_path / name)) for name in ("one", "other"))
    teach(one, SOME)
    teach(other, dict(reversed(SOME.items())))
    assert np.allclose(np.asarray(one.ranking().scores), np.asarray(other.ranking().scores), atol=1e-5)


def test_a_label_of_another_reviewer_counts_at_once(spring: Review, tmp_path: Path) -> None:
    teach(spring, SOME)
    before = np.asarray(spring.ranking().scores)
    elsewhere = review(Workspace(tmp_path / "site"))
    elsewhere.answer(505, True, "grace")
    assert not np.array_equal(before, np.asarray(spring.ranking().scores))
    assert {label.author for label in spring.labels()} == {"ada", "grace"}


def test_undo_restores_what_was_said_before(spring: Review) -> None:
    teach(spring, SOME)
    before = np.asarray(spring.ranking().scores)
    spring.answer(10, True, "ada")
    assert not np.array_equal(before, np.asarray(spring.ranking().scores))
    undone = spring.undo("ada")
    assert undone is not None and undone.relevant
    assert np.array_equal(before, np.asarray(spring.ranking().scores))
    assert spring.undo("grace") is None
    for _ in SOME:
        assert spring.undo("ada") is not None
    assert spring.labels() == [] and spring.undo("ada") is None
    assert spring.ranking().scores is None


def test_near_duplicates_count_once(spring: Review) -> None:
    number = spring.samples.slices[110]
    twins = np.flatnonzero(spring.samples.slices == number)
    assert len(twins) > 1
    teach(spring, {int(row): True for row in twins})
    assert len(spring.labels()) == len(twins)
    assert spring.ranking().marks.relevant.tolist() == [True]
    assert spring.ranking().marks.counted == len(twins)


@pytest.mark.parametrize("order", ORDERS)
def test_no_queue_shows_a_labelled_slice_or_two_of_one(spring: Review, order: str) -> None:
    teach(spring, SOME)
    ranking = spring.ranking()
    if order == "audit":
        draw_audit(spring, ranking, "ada", seed=3)
    rows = next_rows(spring, order, 20, ranking)  # type: ignore[arg-type]  # the names are those of Order
    slices = spring.samples.slices
    assert len(set(slices[rows])) == len(rows)
    if order != "disputed":
        assert rows and not set(slices[rows]) & set(slices[list(SOME)])
        left = next_rows(spring, order, 20, ranking, skipped=rows[:1])  # type: ignore[arg-type]  # likewise
        assert rows[0] not in left


def test_suggestions_ask_where_the_head_is_unsure(spring: Review) -> None:
    teach(spring, SOME)
    ranking = spring.ranking()
    assert ranking.scores is not None
    asked = next_rows(spring, "suggested", 10, ranking)
    assert np.abs(ranking.scores[asked]).mean() < np.abs(ranking.scores).mean()


def test_progress_adds_up(spring: Review) -> None:
    nothing = progress_of(spring, spring.ranking())
    assert (nothing.looked, nothing.looked_s, nothing.spent_s) == (0, 0.0, 0.0)
    assert nothing.recorded_s == ROWS
    teach(spring, SOME)
    spring.look(250, "ada", 4.0)
    told = progress_of(spring, spring.ranking())
    assert told.looked == len({*spring.samples.slices[[*SOME, 250]]})
    assert 0 < told.looked_s <= 70 and told.spent_s == 4.0
    assert told.slices == spring.samples.slice_count
    assert 0 < told.flagged_left < told.slices


def test_an_audit_bounds_what_was_missed(spring: Review) -> None:
    with pytest.raises(ConfigurationError, match="label"):
        draw_audit(spring, spring.ranking(), "ada", seed=1)
    teach(spring, SOME)
    ranking = spring.ranking()
    draw = draw_audit(spring, ranking, "ada", seed=1, count=20)
    assert draw.spans == draw_audit(spring, ranking, "ada", seed=1, count=20).spans
    audit = audit_of(spring)
    assert audit is not None and audit.answered == 0 and len(audit.left) == 20
    flagged = set(spring.samples.slices[np.flatnonzero(ranking.flagged)])
    assert not flagged & set(spring.samples.slices[list(audit.left)])
    bounds = []
    for row in audit.left:
        spring.answer(row, False, "ada")
        after = audit_of(spring)
        assert after is not None
        bounds.append(after.share)
    assert bounds == sorted(bounds, reverse=True)
    assert after is not None and after.relevant == 0 and after.answered == 20 and 0.05 < bounds[-1] < 0.14


def test_a_wrong_label_is_disputed(spring: Review) -> None:
    many = {row: bool(truth(SPRING)[row]) for row in range(5, ROWS, 15)} | {115: True, 125: True, 335: True, 515: True}
    teach(spring, many)
    spring.answer(325, False, "ada")
    assert next_rows(spring, "disputed", 5, spring.ranking())[:1] == [325]


def test_labels_of_another_campaign_train_too(tmp_path: Path) -> None:
    workspace = make_hall(tmp_path / "site")
    teach(review(workspace), SOME)
    autumn = review(workspace, AUTUMN)
    ranking = autumn.ranking()
    assert ranking.threshold == 0.0 and len(ranking.marks.rows) == 0
    assert ranking.scores is not None
    assert ((ranking.scores > 0) == truth(AUTUMN)).mean() > 0.97


def test_propagation_spreads_few_labels(spring: Review) -> None:
    teach(spring, {110: True, 10: False})
    plain, spread = spring.ranking(), spring.ranking(RetrievalSettings(propagate=True))
    assert spread.trained is not None and plain.trained is not None
    assert len(spread.trained.fitted.margins) == len(plain.trained.fitted.margins) == 2
    assert ((np.asarray(spread.scores) > 0) == truth(SPRING)).mean() > 0.9


def test_a_span_is_one_label_however_long(spring: Review) -> None:
    day = START[SPRING].date()
    span = Label(CASE, SPRING, day, recording_of(SPRING, 100), 100_000_000, 130_000_000, True, "ada")
    say_labels(spring.workspace.ledger, [span])
    marks = spring.ranking().marks
    assert marks.counted == 1 and marks.relevant.all() and set(marks.rows) <= set(range(100, 130))
    gone = Label(CASE, SPRING, day, "another recording", 0, 1_000_000, True, "ada")
    say_labels(spring.workspace.ledger, [gone])
    assert [label.recording_id for label in spring.ranking().marks.lost] == ["another recording"]


def test_truth_is_shown_and_never_trains(spring: Review) -> None:
    day = START[SPRING].date()
    known = Label(CASE, SPRING, day, recording_of(SPRING, 100), 100_000_000, 130_000_000, True, "staged", role="truth")
    say_labels(spring.workspace.ledger, [known])
    assert spring.ranking().scores is None and spring.labels() == []
    assert [label.span for label in spring.truth("hatch open")] == [known.span]
    began_us = round(START[SPRING].timestamp() * 1e6)
    assert spring.clock_span_us(known.span) == (began_us + 100_000_000, began_us + 130_000_000)


def test_a_region_that_is_not_embedded_names_the_command(hall: Path) -> None:
    workspace = Workspace(hall)
    with pytest.raises(ConfigurationError, match="backfill"):
        review(workspace, "no such campaign")


def test_names_that_cannot_be_kept_are_refused(spring: Review) -> None:
    assert CASE.head_name == "hall-east.hatch.hatch open"
    assert BLOCK_US > 0 and labels_now(spring.workspace.ledger) == []


def test_a_label_between_two_samples_speaks_of_the_one_before(spring: Review) -> None:
    day = START[SPRING].date()
    between = Label(CASE, SPRING, day, recording_of(SPRING, 110), 110_520_000, 110_560_000, True, "ada")
    say_labels(spring.workspace.ledger, [between])
    assert spring.ranking().marks.rows.tolist() == [110]


@pytest.mark.parametrize("every", [2, 4, 10])
def test_sparse_samples_make_moments_too(tmp_path: Path, every: int) -> None:
    one = review(make_hall(tmp_path / "site", every=every))
    teach(one, {round(row / every): answer for row, answer in SOME.items()})
    ranking = one.ranking()
    assert len(ranking.events) == len(OPEN[SPRING])
    assert progress_of(one, ranking).recorded_s == pytest.approx(ROWS / every * min(every, 2), abs=2)


def test_an_audit_counts_answers_wherever_in_the_slice_and_in_the_order_drawn(spring: Review) -> None:
    teach(spring, SOME)
    draw_audit(spring, spring.ranking(), "ada", seed=1, count=20)
    audit = audit_of(spring)
    assert audit is not None and list(audit.left) != sorted(audit.left)
    spring.answer(audit.left[3], True, "ada")
    out_of_turn = audit_of(spring)
    assert out_of_turn is not None and (out_of_turn.answered, out_of_turn.relevant) == (0, 0)
    first = audit.left[0]
    twin = next(
        int(row) for row in np.flatnonzero(spring.samples.slices == spring.samples.slices[first]) if int(row) != first
    )
    spring.answer(twin, False, "ada")
    spring.look(audit.left[1], "ada", 1.0)
    spring.answer(audit.left[2], False, "ada")
    told = audit_of(spring)
    assert told is not None
    # The second was skipped, which counts as relevant; the fourth was answered before.
    assert (told.answered, told.relevant) == (4, 2)


def test_the_newest_answer_of_a_slice_counts(spring: Review) -> None:
    twins = np.flatnonzero(spring.samples.slices == spring.samples.slices[110]).tolist()
    spring.answer(twins[0], True, "ada")
    spring.answer(twins[1], False, "ada")
    assert spring.ranking().marks.relevant.tolist() == [False]


def test_heads_of_two_use_cases_never_share_a_name() -> None:
    assert UseCase("hall", "door", "a.b").head_name != UseCase("hall", "door.a", "b").head_name


def test_two_switches_do_not_mix(spring: Review) -> None:
    spring.answer(110, True, "ada")
    plain, other = spring.ranking(), spring.ranking(RetrievalSettings(similarity="euclidean"))
    assert plain.scores is not None and other.scores is not None and plain.scores.max() > 0 >= other.scores.max()
