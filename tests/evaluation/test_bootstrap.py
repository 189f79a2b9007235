"""Intervals: reproducible, by video, and right where the answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.bootstrap import BootstrapSettings, Weights, draw, estimates
from infra.errors import ConfigurationError


@given(strata=st.lists(st.integers(0, 2), min_size=1, max_size=20), seed=st.integers(0, 5))
def test_each_stratum_keeps_its_number(strata: list[int], seed: int) -> None:
    weights = draw(strata, BootstrapSettings(resamples=20, seed=seed))
    held = np.array(strata)
    assert weights.shape == (20, len(strata)) and weights.min() >= 0
    for stratum in set(strata):
        assert (weights[:, held == stratum].sum(axis=1) == (held == stratum).sum()).all()


def test_the_interval_of_a_mean_is_the_known_one() -> None:
    values = np.random.default_rng(0).normal(5, 2, 200)

    def mean(weights: Weights) -> dict[str, float]:
        return {"mean": float(weights @ values / weights.sum())}

    found = estimates(mean, [0] * 200, BootstrapSettings(resamples=2000))["mean"]
    error = values.std() / math.sqrt(200)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_the_seed_decides() -> None:
    def first(weights: Weights) -> dict[str, float]:
        return {"first": float(weights[0])}

    one, same, other = (estimates(first, [0] * 9, BootstrapSettings(50, seed=seed)) for seed in (0, 0, 1))
    assert one == same and one != other


def test_one_video_has_no_interval_and_what_is_mostly_undefined_has_none() -> None:
    def undefined(weights: Weights) -> dict[str, float]:
        return {"known": 1.0, "rare": 0.5 if weights[0] > 2 else math.nan}

    alone = estimates(undefined, [0], BootstrapSettings(50))["known"]
    assert alone.value == 1.0 and math.isnan(alone.low)
    found = estimates(undefined, [0] * 5, BootstrapSettings(200))
    assert found["known"].low == found["known"].high == 1.0 and math.isnan(found["rare"].high)


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"level": 1.0}, {"seed": -1}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="got"):
        BootstrapSettings(**wrong)  # type: ignore[arg-type]
