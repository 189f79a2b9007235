"""Where people put a classifier's threshold: the newest word on a class counts, and one may be taken back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from lake.catalogue import connect, select
from lake.ledger import Ledger
from lake.operating_points import (
    OperatingPoint,
    operating_points_now,
    say_operating_point,
    take_back_operating_point,
)
from lake.store import Store

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path / "lake")))


def point(threshold: float, after_s: float = 0.0, version: str = "v1", class_name: str = "fight") -> OperatingPoint:
    return OperatingPoint("fights", version, class_name, threshold, "f_beta 2", "ann", NOW + timedelta(seconds=after_s))


def test_the_newest_word_on_a_class_of_a_version_counts(ledger: Ledger) -> None:
    assert operating_points_now(ledger) == {}
    for said in (point(0.5, 10), point(0.4, 5), point(0.3, version="v2"), point(0.2, class_name="fall / slip")):
        say_operating_point(ledger, said)
    found = operating_points_now(ledger)
    assert {key: said.threshold for key, said in found.items()} == {
        ("fights", "v1", "fight"): 0.5,
        ("fights", "v2", "fight"): 0.3,
        ("fights", "v1", "fall / slip"): 0.2,
    }
    assert found["fights", "v1", "fight"] == point(0.5, 10)


def test_a_point_is_taken_back(ledger: Ledger) -> None:
    say_operating_point(ledger, point(0.5))
    take_back_operating_point(ledger, "fights", "v1", "fight", "ann")
    assert operating_points_now(ledger) == {}


def test_the_table_can_be_asked(ledger: Ledger, tmp_path: Path) -> None:
    say_operating_point(ledger, point(0.5))
    (row,) = select(
        connect(Store(str(tmp_path / "lake"))), "SELECT key, author, value FROM operating_points"
    ).to_pylist()
    assert row == {
        "key": "fights/v1/fight",
        "author": "ann",
        "value": '{"criterion": "f_beta 2", "threshold": 0.5}',
    }


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_a_threshold_that_no_probability_can_be_above_or_below_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match="lies between 0 and 1"):
        point(threshold)


def test_a_point_says_who_chose_it_of_what_and_by_what(ledger: Ledger) -> None:
    nobody = OperatingPoint("fights", "v1", "fight", 0.5, "chosen", " ")
    with pytest.raises(ConfigurationError, match="author"):
        say_operating_point(ledger, nobody)
    with pytest.raises(ConfigurationError, match="author"):
        take_back_operating_point(ledger, "fights", "v1", "fight", "")
    with pytest.raises(ConfigurationError, match="classifier"):
        OperatingPoint("a/b", "v1", "fight", 0.5, "chosen", "ann")
    with pytest.raises(ConfigurationError, match="class"):
        OperatingPoint("fights", "v1", " ", 0.5, "chosen", "ann")
    with pytest.raises(ConfigurationError, match="chosen by"):
        OperatingPoint("fights", "v1", "fight", 0.5, "", "ann")
    assert operating_points_now(ledger) == {}
