"""Updates are refused by name and reason; how far tensors moved."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.federation.base import LocalUpdate, Tensors
from models.federation.plan import MOST_SAMPLES
from models.federation.updates import MOST_CHANGE, MOST_LOSS, MOST_VALUE, UpdateError, check_update, drift
from tests.models.federation.made_sites import made_plan, made_tensors

PLAN = made_plan(shapes={"encoder.weight": (2, 3), "decoder.bias": (3,)})


def made_update(**tensors: Any) -> LocalUpdate:
    shared = made_tensors(PLAN) | tensors
    return LocalUpdate({name: value for name, value in shared.items() if value is not None}, 7, 0.5, b"")


NOT_WHOLE: dict[str, Any] = {"samples": 2.5}


def test_a_whole_update_passes() -> None:
    check_update(PLAN.shared, made_update())


@pytest.mark.parametrize(
    ("update", "tensor", "reason"),
    [
        (made_update(**{"decoder.bias": None}), "decoder.bias", "missing"),
        (made_update(mean=np.zeros(3, np.float32)), "mean", "not in the plan"),
        (
            made_update(**{"decoder.bias": np.zeros((3, 1), np.float32)}),
            "decoder.bias",
            "shape (3, 1), planned is (3,)",
        ),
        (made_update(**{"decoder.bias": np.zeros(3, np.float64)}), "decoder.bias", "type float64, planned is float32"),
        (made_update(**{"decoder.bias": np.zeros(3, ">f4")}), "decoder.bias", "planned is float32"),
        (made_update(**{"decoder.bias": [0.0, 0.0, 0.0]}), "decoder.bias", "type list"),
        (
            made_update(**{"encoder.weight": np.array([[1, np.nan, np.inf], [-np.inf, 0, 0]], np.float32)}),
            "encoder.weight",
            "3 of 6 values are not finite",
        ),
        (made_update(**{"decoder.bias": np.array([0, -1e30, 1.1 * MOST_VALUE], np.float32)}), "decoder.bias", "2 of 3"),
        (replace(made_update(), samples=0), "", "0 samples"),
        (replace(made_update(), samples=-5), "", "-5 samples"),
        (replace(made_update(), **NOT_WHOLE), "", "2.5 samples"),
        (replace(made_update(), samples=True), "", "True samples"),
        (replace(made_update(), samples=MOST_SAMPLES + 1), "", "whole number from 1"),
        (replace(made_update(), loss=float("nan")), "", "a loss of nan"),
        (replace(made_update(), loss=-0.5), "", "a loss of -0.5"),
        (replace(made_update(), loss=2 * MOST_LOSS), "", "a loss of 2000000000.0"),
    ],
)
def test_a_faulty_update_is_refused_by_name(update: LocalUpdate, tensor: str, reason: str) -> None:
    with pytest.raises(UpdateError) as refused:
        check_update(PLAN.shared, update, "north")
    assert refused.value.client == "north" and refused.value.tensor == tensor and reason in refused.value.reason
    assert "north" in str(refused.value) and tensor in str(refused.value) and reason in str(refused.value)


def test_an_update_that_goes_too_far_or_tells_too_many_samples_is_refused() -> None:
    before, update = made_tensors(PLAN, 1), made_update()
    check_update(PLAN.shared, update, before=before, most_samples=7)
    with pytest.raises(UpdateError, match="7 samples; it has to be a whole number from 1 to 6"):
        check_update(PLAN.shared, update, before=before, most_samples=6)
    near, far = (
        {name: np.asarray(value * (1 + share * MOST_CHANGE), np.float32) for name, value in before.items()}
        for share in (0.99, 1.01)
    )
    check_update(PLAN.shared, replace(update, shared=near), before=before)
    with pytest.raises(UpdateError, match="it changed by 101 times"):
        check_update(PLAN.shared, replace(update, shared=far), before=before)


def test_a_tensors_name_cannot_move_the_cursor() -> None:
    with pytest.raises(UpdateError) as refused:
        check_update(PLAN.shared, made_update(**{"a\x1b[2J": np.zeros(1, np.float32)}))
    assert "\x1b" not in str(refused.value)


def plain_drift(before: Tensors, after: Tensors) -> float:
    old = np.concatenate([before[name].ravel() for name in sorted(before)]).astype(np.float64)
    new = np.concatenate([after[name].ravel() for name in sorted(before)]).astype(np.float64)
    return float(np.linalg.norm(new - old) / np.linalg.norm(old))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_drift_is_the_relative_change_of_all_values_together(one: int, other: int) -> None:
    before, after = made_tensors(PLAN, one), made_tensors(PLAN, other)
    assert drift(before, after) == pytest.approx(plain_drift(before, after))
    assert drift(before, before) == 0


def test_drift_from_nothing() -> None:
    zero, one = {"w": np.zeros(3, np.float32)}, {"w": np.ones(3, np.float32)}
    assert drift(zero, one) == 1 and drift(zero, zero) == 0
