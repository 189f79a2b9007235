"""Weight sets: versions in the order they were said, one of them in use, and rows that are none are named."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from infra.errors import ConfigurationError, LakeError, UnknownNameError
from infra.settings import MOST_WEIGHT
from lake.catalogue import connect, select
from lake.ledger import Ledger, Statement
from lake.promotions import promote
from lake.store import Store
from lake.weight_sets import (
    COLUMNS,
    EVERY_CAMERA,
    KIND,
    SERVED,
    TABLE,
    find_weight_set,
    save_weight_set,
    use_weight_set,
    weight_set_in_use,
    weight_sets,
)
from models.summary.scores import Columns, Weights, combine

QUIET = {"anomaly": 1.0, "memorability": 0.5, "entropy": 0.0, "dynamics": 0.0}
BUSY = {"anomaly": 1.0, "memorability": 0.0, "entropy": 0.0, "dynamics": 2.0}
AHEAD = timedelta(days=1)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def say(ledger: Ledger, name: str, value: Any, after: timedelta = timedelta(), author: str = "ann") -> None:
    """A statement as another writer would append it."""
    ledger.say(TABLE, [Statement(name, author, value, said_at=datetime.now(UTC) + after)])


def test_each_save_is_a_version_and_the_same_weights_are_none(ledger: Ledger) -> None:
    assert weight_sets(ledger) == {}
    first = save_weight_set(ledger, "busy", **BUSY, author=" ann ")
    assert (first.label, first.version, first.author, first.weights) == ("busy/1", 1, "ann", BUSY)
    assert save_weight_set(ledger, "busy", **BUSY, author="bob") == first
    second = save_weight_set(ledger, "busy", **QUIET, author="bob")
    third = save_weight_set(ledger, "busy", **BUSY, author="bob")
    other = save_weight_set(ledger, "at night", **QUIET, author="bob")
    assert weight_sets(ledger) == {"at night": (other,), "busy": (first, second, third)}
    assert [version.version for version in weight_sets(ledger)["busy"]] == [1, 2, 3]
    assert ledger.rows(TABLE).num_rows == 4


def test_a_version_is_found_by_its_label_and_the_newest_by_name(ledger: Ledger) -> None:
    first = save_weight_set(ledger, "busy", **BUSY, author="ann")
    second = save_weight_set(ledger, "busy", **QUIET, author="ann")
    assert find_weight_set(ledger, "busy") == find_weight_set(ledger, "busy/2") == second
    assert find_weight_set(ledger, "busy/1") == first
    with pytest.raises(UnknownNameError, match=r'weight set "bussy" — did you mean "busy"'):
        find_weight_set(ledger, "bussy")
    for label in ("busy/3", "busy/", "busy/one", "busy/1/2"):
        with pytest.raises(UnknownNameError, match="busy/1, busy/2"):
            find_weight_set(ledger, label)


def test_two_writers_at_once_make_two_versions(ledger: Ledger, store: Store) -> None:
    say(ledger, "busy", BUSY)
    say(Ledger(store), "busy", QUIET, timedelta(microseconds=1), "bob")
    assert [(version.version, version.author) for version in weight_sets(ledger)["busy"]] == [(1, "ann"), (2, "bob")]
    say(ledger, "same", BUSY)
    say(Ledger(store), "same", BUSY, timedelta(microseconds=1), "bob")
    assert [version.author for version in weight_sets(ledger)["same"]] == ["ann"]


def test_a_clock_that_is_ahead_does_not_number_versions_anew(ledger: Ledger) -> None:
    say(ledger, "busy", BUSY, AHEAD)
    second = save_weight_set(ledger, "busy", **QUIET, author="bob")
    assert second.version == 2
    assert weight_sets(ledger)["busy"][1] == second


def test_versions_stand_when_the_ledger_is_merged(ledger: Ledger) -> None:
    for number in range(70):
        save_weight_set(ledger, "busy", **{**BUSY, "entropy": float(number)}, author="ann")
    before = weight_sets(ledger)
    ledger.compact(TABLE)
    assert weight_sets(ledger) == before
    assert len(before["busy"]) == 70


def test_a_set_is_put_into_use_and_the_settings_again(ledger: Ledger) -> None:
    assert weight_set_in_use(ledger) is None
    first = save_weight_set(ledger, "busy", **BUSY, author="ann")
    assert use_weight_set(ledger, "busy", "ann") == first
    save_weight_set(ledger, "busy", **QUIET, author="ann")
    assert weight_set_in_use(ledger) == first, "a newer version serves when somebody says so"
    assert use_weight_set(ledger, "busy", "ann") == weight_set_in_use(ledger) == find_weight_set(ledger, "busy/2")
    assert use_weight_set(ledger, None, "ann") is None
    assert weight_set_in_use(ledger) is None
    use_weight_set(ledger, "busy/1", "ann")
    assert use_weight_set(ledger, "settings", "ann") is None
    assert weight_set_in_use(ledger) is None
    with pytest.raises(UnknownNameError, match="busy"):
        use_weight_set(ledger, "quiet", "ann")
    with pytest.raises(ConfigurationError, match="author"):
        use_weight_set(ledger, "busy", " ")


@pytest.mark.parametrize("name", ["settings", "", "a/b", "/", " busy"])
def test_a_name_that_is_none_is_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(ConfigurationError, match="a weight set has a name"):
        save_weight_set(ledger, name, **BUSY, author="ann")
    assert ledger.rows(TABLE).num_rows == 0


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), 1.7e308, 1_000_001.0])
def test_weights_out_of_range_are_refused(ledger: Ledger, value: float) -> None:
    with pytest.raises(ConfigurationError, match="at least 0"):
        save_weight_set(ledger, "busy", **{**BUSY, "entropy": value}, author="ann")
    with pytest.raises(ConfigurationError, match="not all 0"):
        save_weight_set(ledger, "busy", **dict.fromkeys(BUSY, 0.0), author="ann")
    with pytest.raises(ConfigurationError, match="author"):
        save_weight_set(ledger, "busy", **BUSY, author="")
    assert ledger.rows(TABLE).num_rows == 0


def test_the_largest_weights_still_tell_segments_apart(ledger: Ledger) -> None:
    most = dict.fromkeys(BUSY, MOST_WEIGHT)
    saved = save_weight_set(ledger, "loud", **most, author="ann")
    ramp = np.linspace(0.0, 1.0, 5)
    np.testing.assert_allclose(combine(Columns(ramp, ramp, ramp, ramp), Weights(**saved.weights)), ramp)
    for column in COLUMNS:
        with pytest.raises(ConfigurationError, match="at most 1,000,000"):
            Weights(**{**most, column: 1.7e308})


@pytest.mark.parametrize("value", [None, "busy", {"anomaly": 1.0}, {**BUSY, "dynamics": -1}, {**BUSY, "more": 1.0}])
def test_a_row_that_is_no_set_is_named_and_mended_by_saving_again(ledger: Ledger, value: Any) -> None:
    first = save_weight_set(ledger, "busy", **BUSY, author="ann")
    say(ledger, "busy", value, AHEAD)
    for read in (lambda: weight_sets(ledger), lambda: find_weight_set(ledger, "busy")):
        with pytest.raises(LakeError, match=r"says .* of busy, which is no set of weights; save it again"):
            read()
    second = save_weight_set(ledger, "busy", **QUIET, author="ann")
    assert weight_sets(ledger) == {"busy": (first, second)}
    assert second.version == 2


def test_a_set_that_cannot_be_read_stops_nobody_who_uses_another(ledger: Ledger) -> None:
    busy = save_weight_set(ledger, "busy", **BUSY, author="ann")
    use_weight_set(ledger, "busy", "ann")
    say(ledger, "junk", {"anomaly": "much"}, AHEAD)
    assert weight_set_in_use(ledger) == find_weight_set(ledger, "busy") == busy
    with pytest.raises(LakeError, match="weights save junk"):
        find_weight_set(ledger, "junk")


def test_what_is_in_use_keeps_its_weights_when_a_late_statement_shifts_the_numbers(ledger: Ledger) -> None:
    save_weight_set(ledger, "busy", **BUSY, author="ann")
    second = save_weight_set(ledger, "busy", **QUIET, author="ann")
    assert use_weight_set(ledger, "busy/2", "ann") == second
    between = {**BUSY, "anomaly": 9.0}
    moment = second.said_at - timedelta(microseconds=1)
    ledger.say(TABLE, [Statement("busy", "bob", between, said_at=moment)])
    assert find_weight_set(ledger, "busy/2").weights == between, "the numbers did shift"
    in_use = weight_set_in_use(ledger)
    assert in_use is not None
    assert (in_use.weights, in_use.label) == (QUIET, "busy/3")


@pytest.mark.parametrize("version", ["busy/7", "gone/1", ""])
def test_a_promotion_of_what_is_no_set_is_named(ledger: Ledger, version: str) -> None:
    save_weight_set(ledger, "busy", **BUSY, author="ann")
    promote(ledger, KIND, SERVED, version, "ann", EVERY_CAMERA)
    with pytest.raises(LakeError, match=r"summaries' weights.*weights use NAME"):
        weight_set_in_use(ledger)
    use_weight_set(ledger, None, "ann")
    assert weight_set_in_use(ledger) is None


def test_the_table_can_be_asked(ledger: Ledger, store: Store) -> None:
    save_weight_set(ledger, "busy", **QUIET, author="ann")
    save_weight_set(ledger, "busy", **BUSY, author="bob")
    (row,) = select(connect(store), "SELECT key, author, value->>'dynamics' AS dynamics FROM weight_sets").to_pylist()
    assert row == {"key": "busy", "author": "bob", "dynamics": "2.0"}
