"""Verdicts are labels of time: of two on one moment the newer counts."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.labels import Label, UseCase, say_labels, take_back
from lake.ledger import Ledger
from lake.store import Store
from lake.verdicts import judged_stretches, newest_of_each_moment, stretches_now

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
CASE = UseCase("hall", "frame", "novelty")


def label(begin: int, end: int, confirmed: bool, after_s: int = 0, recording: str = "a", case: UseCase = CASE) -> Label:
    said_at = NOW + timedelta(seconds=after_s)
    return Label(case, "c", date(2026, 3, 2), recording, begin, end, confirmed, "ann", said_at=said_at)


words = st.lists(st.tuples(st.integers(0, 19), st.integers(1, 8), st.booleans(), st.sampled_from("ab")), max_size=12)


@given(words)
def test_stretches_are_disjoint_and_each_moment_has_its_newest_word(told: list[tuple[int, int, bool, str]]) -> None:
    labels = [label(at, at + length, yes, number, name) for number, (at, length, yes, name) in enumerate(told)]
    painted = {name: np.zeros(40, dtype=np.int64) for name in "ab"}
    for one in labels:
        painted[one.recording_id][one.from_us : one.to_us] = 1 if one.relevant else -1
    found = {name: np.zeros(40, dtype=np.int64) for name in "ab"}
    stretches = newest_of_each_moment(list(reversed(labels)))
    for stretch in stretches:
        part = found[stretch.recording_id][stretch.from_us : stretch.to_us]
        assert not part.any()
        part[:] = 1 if stretch.confirmed else -1
    assert all(np.array_equal(painted[name], found[name]) for name in "ab")
    assert list(stretches) == sorted(stretches, key=lambda stretch: (stretch.recording_id, stretch.from_us))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path / "lake")))


def test_verdicts_are_those_of_the_novelty_head_by_camera_and_region(ledger: Ledger) -> None:
    hatch, yard, other = (
        UseCase("hall", "hatch", "novelty"),
        UseCase("yard", "frame", "novelty"),
        UseCase("hall", "frame", "x"),
    )
    said = [label(0, 5, True), *(label(0, 5, False, case=case) for case in (hatch, yard, other))]
    say_labels(ledger, said)
    assert set(stretches_now(ledger, head="novelty")) == {CASE, hatch, yard}
    assert set(stretches_now(ledger, head="novelty", camera="hall")) == {CASE, hatch}
    told = judged_stretches(ledger, camera="hall", head="novelty")
    assert {region: [one.confirmed for one in found] for region, found in told.items()} == {
        "frame": [True],
        "hatch": [False],
    }
    take_back(ledger, said[:1], "bob")
    assert set(judged_stretches(ledger, camera="hall", head="novelty")) == {"hatch"}


def test_truth_is_no_verdict(ledger: Ledger) -> None:
    truth = Label(CASE, "c", date(2026, 3, 2), "a", 0, 5, True, "ann", role="truth")
    say_labels(ledger, [truth])
    assert judged_stretches(ledger, camera="hall", head="novelty") == {}
