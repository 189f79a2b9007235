"""What a camera's nights raise at another threshold, beside what the night itself makes of the same scores."""

from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.errors import LakeError
from infra.settings import NoveltyTable
from lake.registry import Registry
from models.calibration import NormalDistribution
from models.events import ScoredSpans
from models.heads.nightly import NightRule, NormalNights, judge, standard_of
from workspace.anomalies import (
    BUDGET,
    NightOutcome,
    ScoredNight,
    Standard,
    alarms_by_night,
    budget_threshold,
    event_rule,
    normal_scores,
    outcomes,
)

DAY, NEXT = date(2026, 3, 2), date(2026, 3, 3)
SETTINGS = NoveltyTable(smooth_s=0, minimum_s=0, merge_gap_s=1.0, hysteresis_mad=0)
S = 1_000_000


def standard(threshold: float = 5.0, source: str = BUDGET, median: float = 0.0, spread: float = 1.0) -> Standard:
    return Standard(event_rule(SETTINGS, threshold, hysteresis=0.0), median, spread, source)


def night(peaks: dict[int, float], held: Standard, day: date = DAY, region: str = "frame") -> ScoredNight:
    """A hundred seconds, a score of 1 each, but for the peaks (second: score)."""
    scores = np.ones(100, dtype=np.float32)
    for second, score in peaks.items():
        scores[second] = score
    starts = np.arange(100, dtype=np.int64) * S
    return ScoredNight.of(day, region, held, ScoredSpans(starts, starts + S, scores))


def told(outcome: NightOutcome) -> list[tuple[str, int, bool]]:
    """(region, second of the peak, alarm) of each event, the most unusual first."""
    return [(one.region, one.event.peak_us // S, one.alarm) for one in outcome.events]


def test_the_budget_lasts_for_the_most_unusual() -> None:
    one = night({10: 9.0, 30: 7.0, 50: 8.0, 70: 4.0}, standard())
    (found,) = outcomes([one], alarms_per_night=2.0)
    assert told(found) == [("frame", 10, True), ("frame", 50, True), ("frame", 30, False)]
    assert found.alarms == 2
    assert outcomes([one], alarms_per_night=1.2)[0].alarms == 2, "a fraction is rounded up, as the night does"


def test_above_a_line_of_ones_own_every_event_is_an_alarm() -> None:
    one = night({10: 9.0, 30: 7.0, 50: 8.0, 70: 4.0}, standard())
    (found,) = outcomes([one.at(3.5)], alarms_per_night=2.0)
    assert [second for _, second, alarm in told(found) if alarm] == [10, 50, 30, 70]
    assert outcomes([one.at(8.5)], 2.0)[0].alarms == 1


def test_what_two_regions_see_of_one_moment_spends_the_budget_once() -> None:
    frame = night({10: 9.0, 40: 6.0}, standard())
    hatch = night({10: 18.0, 70: 11.0}, standard(threshold=10.0, spread=2.0), region="hatch")
    (found,) = outcomes([frame, hatch], alarms_per_night=3.0)
    assert told(found) == [("frame", 10, True), ("hatch", 10, False), ("frame", 40, True), ("hatch", 70, True)]
    # A person's line makes an alarm of it all the same, and leaves the budget to the others.
    (found,) = outcomes([frame, hatch.at(5.0)], alarms_per_night=1.0)
    assert told(found) == [("frame", 10, True), ("hatch", 10, True), ("frame", 40, False), ("hatch", 70, True)]


def test_means_are_over_all_nights_also_the_quiet_ones() -> None:
    nights = [night({10: 9.0, 30: 7.0}, standard(), NEXT), night({}, standard(), DAY)]
    found = outcomes(nights, 3.0)
    assert [one.day for one in found] == [DAY, NEXT]
    assert alarms_by_night(found) == 1.0
    assert alarms_by_night([]) == 0.0
    assert found[1].raises("frame", 30 * S, 31 * S)
    assert not found[1].raises("frame", 31 * S, 40 * S), "spans are half open"
    assert not found[1].raises("hatch", 30 * S, 31 * S)


def test_without_a_spread_a_score_is_normal_or_infinitely_far_off() -> None:
    held = standard(median=1.0, spread=0.0)
    assert held.deviations(1.0) == 0.0
    assert held.deviations(1.1) == np.inf
    one = night({20: 2.0}, held)
    assert one.deviations[20] == np.inf
    assert one.deviations[19] == 0.0
    assert [event.peak_us // S for event in one.at(3.0).events()] == [20], "rounding is not above the line"


@given(
    seed=st.integers(0, 2**16),
    deviations=st.floats(0, 30),
    smooth_s=st.sampled_from([0.0, 3.0]),
    minimum_count=st.integers(1, 3),
)
def test_events_are_those_of_the_night_itself(
    seed: int, deviations: float, smooth_s: float, minimum_count: int
) -> None:
    settings = NoveltyTable(smooth_s=smooth_s, minimum_count=minimum_count)
    rule = NightRule(
        events=event_rule(settings, 0.0, 0.0),
        alarms_per_night=2.0,
        floor_deviations=settings.floor_mad,
        hysteresis_deviations=settings.hysteresis_mad,
        exclusion_us=0,
    )
    starts = np.arange(200, dtype=np.int64) * 2 * S
    random = np.random.default_rng(seed)
    usual, later = (random.gamma(2.0, 1.0, 200).astype(np.float32) for _ in range(2))
    later[random.integers(0, 200, 5)] += 20
    theirs = standard_of(NormalNights(usual, starts, starts + 2 * S, np.zeros(200, dtype=np.int64)), rule)
    ours = Standard(event_rule(settings, theirs.rule.threshold, theirs.rule.hysteresis), theirs.median, theirs.spread)
    one = ScoredNight.of(DAY, "frame", ours, ScoredSpans(starts, starts + 2 * S, later))
    assert tuple(one.events()) == judge(theirs, later, starts, starts + 2 * S).events
    assert tuple(one.at(deviations).events()) == judge(theirs.chosen(deviations), later, starts, starts + 2 * S).events


@given(low=st.floats(0, 20), more=st.floats(0, 20), seed=st.integers(0, 2**16))
def test_a_higher_line_finds_no_new_moment(low: float, more: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    one = night({int(second): float(random.exponential(8)) for second in random.integers(0, 100, 12)}, standard())
    below, above = outcomes([one.at(low)], 3.0), outcomes([one.at(low + more)], 3.0)
    assert all(below[0].raises("frame", found.event.from_us, found.event.to_us) for found in above[0].events)


def saved(registry: Registry, version: str, usable: bool = True) -> NDArray[np.float64]:
    scores = np.random.default_rng(1).normal(5.0, 1.0, 500)
    arrays = {
        f"normal.distribution.{name}": value for name, value in NormalDistribution.fit(scores).to_arrays().items()
    }
    rule = asdict(event_rule(SETTINGS, 8.5, hysteresis=1.0))
    card = {"usable": usable, **({"rule": rule} if usable else {})}
    registry.save(
        "novelty", "gate", version, card, {**arrays, "head.reference": np.zeros((3, 2), dtype=np.float32)}, author="ada"
    )
    return scores


def test_a_head_tells_its_budget_and_its_normal_scores(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    scores = saved(registry, "v1")
    assert budget_threshold(registry, "gate", "v1") == 8.5
    known = normal_scores(registry, "gate", "v1")
    assert known is not None
    probe = np.linspace(2, 9, 20)
    assert np.allclose(known.fraction_below(probe), NormalDistribution.fit(scores).fraction_below(probe))


def test_a_day_compared_with_itself_has_no_head(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert budget_threshold(registry, "gate", "self") is None
    assert normal_scores(registry, "gate", "self") is None
    saved(registry, "unused", usable=False)
    assert budget_threshold(registry, "gate", "unused") is None


def test_a_damaged_head_is_told_with_its_remedy(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    saved(registry, "v1")
    folder = registry.folder("novelty", "gate", "v1")
    (folder / "card.json").write_text('{"usable": true}', encoding="utf-8")
    (folder / "head.safetensors").write_bytes(b"cut")
    for read in (budget_threshold, normal_scores):
        with pytest.raises(LakeError, match=r"is damaged .* delete its folder and run again"):
            read(registry, "gate", "v1")
