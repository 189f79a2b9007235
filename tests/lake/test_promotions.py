"""Every word on which version serves is kept; from them follows what serves, and what served before."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.ledger import Ledger, Statement
from lake.promotions import (
    NO_REVIEW,
    TABLE,
    Promotion,
    Review,
    history,
    in_service,
    promote,
    retire,
    served,
)
from lake.store import Store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def word(action: str, before: str | None, after: str | None) -> Promotion:
    return Promotion("classifier", "fights", action, before, after, "ada", NOON)  # type: ignore[arg-type]  # known words


def test_a_history_tells_who_when_from_what_to_what_and_why(ledger: Ledger) -> None:
    promote(ledger, "classifier", "fights", "a", "ada", "")
    promote(ledger, "classifier", "fights", "b", "bob", "", before="a", review=Review("r1", "grace"))
    promote(ledger, "classifier", "fights", "c", "cy", "", before="b", review=Review(unreviewed="urgent"))
    promote(ledger, "classifier", "fights", "b", "dan", "", before="c", rolled_back=True, reason="too loud")
    retire(ledger, "classifier", "fights", "eve", "", before="b", reason="not needed")
    promote(ledger, "classifier", "other", "z", "ada", "")
    words = history(ledger, "classifier", "fights")
    assert [(one.author, one.action, one.before, one.after) for one in words] == [
        ("ada", "promoted", None, "a"),
        ("bob", "promoted", "a", "b"),
        ("cy", "promoted", "b", "c"),
        ("dan", "rolled back", "c", "b"),
        ("eve", "retired", "b", None),
    ]
    assert [one.said_at for one in words] == sorted(one.said_at for one in words)
    assert [one.review for one in words[:3]] == [NO_REVIEW, Review("r1", "grace"), Review(unreviewed="urgent")]
    assert [one.reason for one in words[3:]] == ["too loud", "not needed"]
    assert in_service(ledger, "classifier") == {"other": "z"}
    assert served(words) == ["a", "b"], "c was rolled back"


def test_words_of_before_there_were_reviews_are_read(ledger: Ledger) -> None:
    old = (
        {"version": "a", "state": "promoted"},
        {"version": "b", "state": "promoted"},
        None,
        {"version": "a", "state": "promoted"},
        {"version": 3},
        "x",
    )
    ledger.say(
        TABLE,
        [
            Statement("classifier/fights", "ada", value, said_at=NOON + timedelta(minutes=number))
            for number, value in enumerate(old)
        ],
    )
    words = history(ledger, "classifier", "fights")
    assert [(one.action, one.before, one.after) for one in words] == [
        ("promoted", None, "a"),
        ("promoted", "a", "b"),
        ("retired", "b", None),
        ("promoted", None, "a"),
        ("unreadable", "a", None),
        ("unreadable", None, None),
    ]
    assert served(words) == ["a", "b", "a"]


def test_what_was_put_there_by_other_means_is_what_a_promotion_took_the_place_of() -> None:
    words = [word("promoted", "x", "b"), word("promoted", "y", "c")]
    assert served(words) == ["x", "b", "y", "c"]


def test_rolled_back_twice_it_goes_two_back() -> None:
    words = [word("promoted", None, "a"), word("promoted", "a", "b"), word("promoted", "b", "c")]
    words += [word("rolled back", "c", "b"), word("rolled back", "b", "a")]
    assert served(words) == ["a"]
    assert served([*words, word("promoted", "a", "c")]) == ["a", "c"]


def test_a_version_that_served_twice_is_gone_back_to_where_it_stood() -> None:
    words = [word("promoted", None, "a"), word("promoted", "a", "b"), word("promoted", "b", "a")]
    assert served(words) == ["a", "b", "a"]
    assert served([*words, word("rolled back", "a", "b")]) == ["a", "b"]


@given(st.lists(st.sampled_from(["a", "b", "c", "retire", "roll back"]), max_size=20))
def test_a_stack_says_the_same(steps: list[str]) -> None:
    """The reference: a stack of versions, retired or not; a roll-back puts a retired one back, or takes the last away."""
    words: list[Promotion] = []
    stack: list[str] = []
    serving: str | None = None
    for step in steps:
        if step == "retire":
            if serving is not None:
                words.append(word("retired", serving, None))
                serving = None
        elif step == "roll back":
            if serving is None and stack:
                words.append(word("rolled back", None, stack[-1]))
                serving = stack[-1]
            elif len(stack) > 1:
                words.append(word("rolled back", serving, stack[-2]))
                stack.pop()
                serving = stack[-1]
        elif step != serving:
            words.append(word("promoted", serving, step))
            if stack[-1:] != [step]:
                stack.append(step)
            serving = step
    assert served(words) == stack
