"""What counts of what people say: the newest word, until it is taken back."""

from datetime import date
from typing import Any

import pytest

from infra.errors import ConfigurationError
from lake.labels import Label, UseCase, labels_now, say_labels, take_back, undo_label
from lake.ledger import Ledger
from lake.store import Store

CASE = UseCase("hall", "hatch", "hatch open")


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def say(ledger: Ledger, author: str, relevant: bool, at: int = 0, **told: Any) -> Label:
    given: dict[str, Any] = {"use_case": CASE, "campaign": "spring", "day": date(2026, 3, 2), "recording_id": "r"}
    label = Label(**{**given, **told}, from_us=at, to_us=at + 1, relevant=relevant, author=author)
    say_labels(ledger, [label])
    return label


def answers(ledger: Ledger, **asked: Any) -> list[tuple[str, int, bool]]:
    return [(label.author, label.from_us, label.relevant) for label in labels_now(ledger, **asked)]


def test_the_newest_word_counts_and_each_author_keeps_theirs(ledger: Ledger) -> None:
    say(ledger, "ada", True)
    say(ledger, "grace", False)
    assert answers(ledger) == [("grace", 0, False)]
    assert answers(ledger, each_author=True) == [("ada", 0, True), ("grace", 0, False)]


def test_undo_takes_back_ones_own_word_only(ledger: Ledger) -> None:
    say(ledger, "ada", True)
    say(ledger, "grace", False)
    undone = undo_label(ledger, "ada", CASE)
    assert undone is not None and undone.author == "ada"
    assert answers(ledger) == answers(ledger, each_author=True) == [("grace", 0, False)]
    assert undo_label(ledger, "ada", CASE) is None


def test_after_an_undo_the_colleagues_word_counts_again(ledger: Ledger) -> None:
    say(ledger, "grace", False)
    say(ledger, "ada", True)
    undo_label(ledger, "ada", CASE)
    assert answers(ledger) == [("grace", 0, False)]


def test_undo_goes_back_step_by_step_in_the_order_of_saying(ledger: Ledger) -> None:
    say(ledger, "ada", True, 0)
    say(ledger, "ada", True, 5)
    say(ledger, "ada", False, 0)
    seen = []
    while undo_label(ledger, "ada", CASE):
        seen.append(answers(ledger))
    assert seen == [[("ada", 0, True), ("ada", 5, True)], [("ada", 0, True)], []]


def test_what_was_taken_back_is_not_revived_by_an_undo(ledger: Ledger) -> None:
    say(ledger, "ada", True)
    said = say(ledger, "ada", False)
    take_back(ledger, [said], "grace")
    assert answers(ledger) == [] and undo_label(ledger, "ada", CASE) is None
    say(ledger, "ada", True)
    undo_label(ledger, "ada", CASE)
    assert answers(ledger) == []


def test_truth_is_apart_and_is_not_undone(ledger: Ledger) -> None:
    say(ledger, "ada", True, role="truth")
    assert answers(ledger) == [] and answers(ledger, role="truth") == [("ada", 0, True)]
    assert undo_label(ledger, "ada", CASE) is None


def test_campaigns_cameras_and_use_cases_are_apart(ledger: Ledger) -> None:
    say(ledger, "ada", True)
    say(ledger, "ada", False, campaign="autumn")
    say(ledger, "ada", False, use_case=UseCase("gate", "hatch", "hatch open"))
    say(ledger, "ada", False, use_case=UseCase("hall", "door", "hatch open"))
    assert len(labels_now(ledger)) == 4
    undone = undo_label(ledger, "ada", CASE)
    assert undone is not None and undone.campaign == "autumn"


def test_another_process_sees_what_was_said(store: Store, ledger: Ledger) -> None:
    assert labels_now(ledger) == []
    say(Ledger(store), "grace", True)
    assert len(labels_now(ledger)) == 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", "a\nb"])
def test_names_that_cannot_be_kept_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name"):
        UseCase("hall", "hatch", name)


@pytest.mark.parametrize(
    ("told", "message"), [({"author": ""}, "author"), ({"to_us": 0}, "span"), ({"role": "x"}, "role")]
)
def test_labels_check_themselves(told: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "use_case": CASE,
        "campaign": "spring",
        "day": date(2026, 3, 2),
        "recording_id": "r",
        "from_us": 0,
        "to_us": 1,
        "relevant": True,
        "author": "ada",
    }
    with pytest.raises(ConfigurationError, match=message):
        Label(**{**given, **told})
