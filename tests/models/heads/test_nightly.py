"""A night held against a standard: where its threshold is, who put it there, and what is expected of it."""

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.events import EventRule, find_events
from models.heads.nightly import NightRule, NormalNights, Standard, fit_camera, judge, standard_of
from models.heads.novelty import NoveltySettings

SECOND = 1_000_000
RULE = NightRule(EventRule(0.0, merge_gap_s=2.0), 2.0, 3.0, 1.0, 10 * SECOND)


def nights_of(scores: NDArray[np.float32], count: int = 3) -> NormalNights:
    begins = np.arange(len(scores), dtype=np.int64) * SECOND
    return NormalNights(scores, begins, begins + SECOND, np.arange(len(scores), dtype=np.int64) * count // len(scores))


def normal(seed: int = 0, rows: int = 900) -> NDArray[np.float32]:
    return (10 + np.random.default_rng(seed).standard_normal(rows)).astype(np.float32)


def spans(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    begins = np.arange(rows, dtype=np.int64) * SECOND
    return begins, begins + SECOND


def test_a_person_puts_the_threshold_at_so_many_deviations_and_it_alone_decides() -> None:
    standard = standard_of(nights_of(normal()), RULE)
    chosen = standard.chosen(1.5)
    assert chosen.source == "chosen" and standard.source == "budget"
    assert chosen.rule.threshold == pytest.approx(standard.median + 1.5 * standard.spread)
    assert chosen.rule.hysteresis == pytest.approx(standard.spread)
    assert chosen.excess(chosen.rule.threshold) == pytest.approx(1.5)
    scores = normal(1)
    found = judge(chosen, scores, *spans(len(scores)))
    assert found.events == tuple(find_events(*spans(len(scores)), scores, chosen.rule))
    assert len(found.events) > len(judge(standard, scores, *spans(len(scores))).events)
    assert all(event.peak_score > chosen.rule.threshold for event in found.events)


def test_mu_is_a_threshold_on_the_normalised_scores() -> None:
    standard = standard_of(nights_of(normal()), RULE)
    by_mu = standard.with_mu(0.8)
    assert by_mu.source == "mu"
    scores = normal(2)
    found = judge(by_mu, scores, *spans(len(scores)))
    assert {event.peak_index for event in found.events} <= set(np.flatnonzero(found.normalised > 0.8).tolist())
    assert len(found.events) > 0
    assert standard.with_mu(1e6).expected_alarms == 0


def test_expected_alarms_are_those_of_the_threshold_in_use() -> None:
    standard = standard_of(nights_of(normal()), RULE)
    assert standard.expected_alarms <= 2
    for deviations in (0.5, 2.0, 30.0):
        chosen = standard.chosen(deviations)
        nights = standard.nights.each()
        counted = [len(find_events(one.from_us, one.to_us, one.scores, chosen.rule)) for one in nights]
        assert chosen.expected_alarms == sum(counted) / len(counted)
    assert standard.chosen(30.0).expected_alarms == 0
    assert standard.nights.count == len(standard.nights.each()) == 3


def test_normal_scores_that_are_all_equal_raise_no_alarm_wherever_the_threshold_is() -> None:
    flat = np.full(200, 3.25, dtype=np.float32)
    standard = standard_of(nights_of(flat), RULE)
    for one in (standard, standard.chosen(0.0), standard.chosen(5.0), standard.with_mu(0.5)):
        assert one.expected_alarms == 0
        assert judge(one, flat, *spans(len(flat))).events == ()
    assert standard.excess(3.25) == 0
    assert standard.excess(3.5) == math.inf


def test_without_a_normal_score_there_is_no_standard() -> None:
    with pytest.raises(ConfigurationError, match="no normal score"):
        standard_of(nights_of(np.empty(0, dtype=np.float32)), RULE)


def test_a_standard_comes_back_from_card_and_arrays_as_it_was() -> None:
    standard = standard_of(nights_of(normal()), RULE)
    card = json.loads(json.dumps(standard.to_card()))
    again = Standard.from_card(card, standard.to_arrays())
    scores = normal(3)
    for one, other in (
        (standard, again),
        (standard.chosen(2.0), again.chosen(2.0)),
        (standard.with_mu(1.0), again.with_mu(1.0)),
    ):
        assert (one.rule, one.source, one.expected_alarms) == (other.rule, other.source, other.expected_alarms)
        ours, theirs = (judge(item, scores, *spans(len(scores))) for item in (one, other))
        assert ours.events == theirs.events
        assert np.array_equal(ours.normalised, theirs.normalised)
        assert np.array_equal(ours.probabilities, theirs.probabilities)


def test_a_camera_is_fitted_with_its_surroundings_left_out() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((120, 4)).astype(np.float32)
    vectors[60:63] += 30  # a slow event: its neighbours in time are its only look-alikes
    begins, ends = spans(120)
    settings = NoveltySettings(NearestNeighboursSettings(1))
    head, standard = fit_camera(settings, vectors, begins, ends, np.zeros(120, dtype=np.int64), RULE)
    assert set(np.argsort(standard.nights.scores)[-3:].tolist()) == {60, 61, 62}
    assert len(head.reference) == 120
