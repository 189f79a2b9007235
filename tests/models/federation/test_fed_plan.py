"""Plans of federated trainings: what they may hold, and that they come back from JSON as they were."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from models.federation.plan import KINDS, MOST_SAMPLES, MOST_TEXT, FederatedPlan, TensorSpec
from tests.models.federation.made_sites import made_plan

texts = st.text('aé字 ."\\', max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
specs = st.builds(
    TensorSpec,
    st.from_regex(r"[a-z_][a-z0-9_.]{0,20}", fullmatch=True),
    st.lists(st.integers(1, 50), max_size=4).map(tuple),
    st.sampled_from(["float32", "float64"]),
)
plans = st.builds(
    FederatedPlan,
    st.sampled_from(KINDS),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,20}", fullmatch=True),
    st.dictionaries(texts, values, max_size=3),
    st.dictionaries(texts, values, max_size=3),
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.integers(0, 2**63 - 1),
    st.lists(specs, min_size=1, max_size=4, unique_by=lambda spec: spec.name).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(plans)
def test_a_plan_comes_back_from_json(plan: FederatedPlan) -> None:
    back = FederatedPlan.from_json(plan.to_json())
    assert back == plan and back.digest == plan.digest and back.to_json() == plan.to_json()


def test_the_digest_is_of_all_that_is_in_it() -> None:
    plan = made_plan()
    others = [
        replace(plan, kind="projection"),
        replace(plan, name="gate"),
        replace(plan, model={"width": 0.25}),
        replace(plan, training={}),
        replace(plan, rounds=4),
        replace(plan, local_epochs=3),
        replace(plan, seed=1),
        replace(plan, shared=plan.shared[:1]),
    ]
    assert len({made.digest for made in (plan, *others)}) == 9
    assert made_plan().digest == plan.digest


def test_tuples_and_order_of_settings_do_not_make_another_plan() -> None:
    plan = made_plan()
    one, other = (
        replace(plan, model={"strides": (1, 2), "size": 3}),
        replace(plan, model={"size": 3, "strides": [1, 2]}),
    )
    assert one == other and one.digest == other.digest


def test_bytes_are_those_of_the_values() -> None:
    shared = (TensorSpec("a", (3, 2), "float32"), TensorSpec("b", (), "float64"))
    assert replace(made_plan(), shared=shared).bytes == 3 * 2 * 4 + 8


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": "detector"}, "detector"),
        ({"name": "../yard"}, "../yard"),
        ({"name": "y" * 101}, "no name"),
        ({"rounds": 0}, "rounds is 0"),
        ({"rounds": True}, "rounds is True"),
        ({"rounds": 2.0}, "rounds is 2.0"),
        ({"local_epochs": -1}, "local_epochs is -1"),
        ({"seed": 2**63}, "seed is"),
        ({"model": [1]}, "model is"),
        ({"model": {"rate": float("nan")}}, "model has a value"),
        ({"training": {"when": object()}}, "training has a value"),
        ({"training": {"note": "x" * MOST_TEXT}}, "characters"),
        ({"shared": ()}, "0 tensors"),
        ({"shared": (TensorSpec("w", (1,), "float32"),) * 2}, "one name"),
        ({"shared": (TensorSpec("w", (2**20, 2**20), "float32"),)}, "bytes"),
        ({"shared": [TensorSpec("w", (1,), "float32")]}, "tuple"),
        ({"model": {"classes": ["fall", "\x1b]0;x\x07"]}}, "printable"),
        ({"training": {"inner": {"a\nb": 1}}}, "printable"),
    ],
)
def test_a_wrong_value_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told.replace(".", r"\.")):
        replace(made_plan(), **changed)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("", (1,), "float32"),
        ("a/b", (1,), "float32"),
        ("w", (0,), "float32"),
        ("w", [1], "float32"),
        ("w", (1.0,), "float32"),
        ("w", (1,) * 9, "float32"),
        ("w", (1,), "int64"),
        ("w", (1,), "object"),
    ],
)
def test_a_wrong_tensor_is_refused(name: str, shape: Any, dtype: str) -> None:
    with pytest.raises(ConfigurationError):
        TensorSpec(name, shape, dtype)


@pytest.mark.parametrize("changed", [{"kind": "\x1b[2J"}, {"dtype": "\x1b[2J"}, {"\x1b[2J": 1}, {"name": "\x1b[2J"}])
def test_what_is_said_of_a_plan_moves_no_cursor(changed: dict[str, Any]) -> None:
    text = changed_json(**changed) if "dtype" not in changed else made_plan().to_json().replace("float32", r"\u001b[2J")
    with pytest.raises(ConfigurationError) as refused:
        FederatedPlan.from_json(text)
    assert str(refused.value).isprintable()


def test_samples_that_an_epoch_draws_are_told_by_a_plan() -> None:
    assert made_plan().drawn_samples is None and made_plan().most_samples == MOST_SAMPLES
    plan = replace(made_plan(), training={"cuboids_per_epoch": 12}, local_epochs=3)
    assert (plan.drawn_samples, plan.most_samples) == (12, 36)
    assert replace(plan, training={"cuboids_per_epoch": 10**9}).most_samples == MOST_SAMPLES
    assert replace(plan, kind="projection").drawn_samples is None


def changed_json(**changed: Any) -> str:
    return json.dumps(json.loads(made_plan().to_json()) | changed)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "is list"),
        (changed_json(path="/footage"), "path"),
        (changed_json(version=2), "another version"),
        (changed_json(model=None), "mapping"),
        (changed_json(shared={}), "list of tensors"),
        (changed_json(shared=[{"name": "w", "shape": [1]}]), "dtype"),
        (changed_json(shared=[{"name": "w", "shape": 1, "dtype": "float32"}]), "no list"),
        (made_plan().to_json().replace("0.5", "NaN"), "NaN"),
        (" " * (MOST_TEXT + 1), "characters"),
        ('{"version": 1}', "missing keys"),
    ],
)
def test_json_of_anything_else_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        FederatedPlan.from_json(text)
