"""Where people put a threshold: the newest word on a region counts, and one may be taken back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from lake.catalogue import connect, select
from lake.ledger import Ledger
from lake.store import Store
from lake.thresholds import ThresholdChoice, say_threshold, thresholds_now

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path / "lake")))


def choice(
    deviations: float | None, after_s: float = 0.0, camera: str = "hall", region: str = "frame"
) -> ThresholdChoice:
    return ThresholdChoice(camera, region, "novelty", deviations, "ann", NOW + timedelta(seconds=after_s))


def test_the_newest_word_on_a_region_counts(ledger: Ledger) -> None:
    assert thresholds_now(ledger) == {}
    say_threshold(ledger, choice(5.0, 10))
    say_threshold(ledger, choice(4.0, 5))
    say_threshold(ledger, choice(2.5, 0, region="hatch"))
    say_threshold(ledger, choice(1.0, 0, camera="yard"))
    found = thresholds_now(ledger)
    assert {key: said.deviations for key, said in found.items()} == {
        ("hall", "frame", "novelty"): 5.0,
        ("hall", "hatch", "novelty"): 2.5,
        ("yard", "frame", "novelty"): 1.0,
    }
    assert found["hall", "frame", "novelty"] == choice(5.0, 10)


def test_a_choice_is_taken_back_with_nothing(ledger: Ledger) -> None:
    say_threshold(ledger, choice(5.0))
    say_threshold(ledger, choice(None, 1))
    assert thresholds_now(ledger) == {}
    say_threshold(ledger, choice(0.0, 2))
    assert thresholds_now(ledger)["hall", "frame", "novelty"].deviations == 0.0


def test_the_table_can_be_asked(ledger: Ledger, tmp_path: Path) -> None:
    say_threshold(ledger, choice(5.0))
    (row,) = select(connect(Store(str(tmp_path / "lake"))), "SELECT camera, key, value FROM thresholds").to_pylist()
    assert row == {"camera": "hall", "key": "hall/frame/novelty", "value": '{"deviations": 5.0}'}


@pytest.mark.parametrize("deviations", [-0.1, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(deviations: float) -> None:
    with pytest.raises(ConfigurationError, match="at least 0 deviations"):
        choice(deviations)


def test_a_threshold_has_an_author_and_names_what_it_is_of() -> None:
    with pytest.raises(ConfigurationError, match="author"):
        ThresholdChoice("hall", "frame", "novelty", 1.0, " ")
    with pytest.raises(ConfigurationError, match="region"):
        ThresholdChoice("hall", "a/b", "novelty", 1.0, "ann")
