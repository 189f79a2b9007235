"""Keys depend on what decides an output and on nothing else."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake import keys
from lake.keys import KEY_DIGITS, Place, short_hash, step_key

SIMPLE = st.one_of(
    st.integers(), st.text(max_size=5), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
)


def test_a_key_is_the_same_tomorrow() -> None:
    # Changing this answer makes every workspace compute everything again.
    assert short_hash({"a": 1, "b": [True, None, "é"]}) == "b71874349daac02154f7"


@given(st.dictionaries(st.text(max_size=5), SIMPLE, max_size=5), st.lists(st.text(max_size=5), max_size=5))
def test_order_does_not_count(parameters: dict[str, object], inputs: list[str]) -> None:
    key = step_key("embed", parameters, inputs)
    assert key == step_key("embed", dict(reversed(parameters.items())), reversed(inputs))
    assert len(key) == KEY_DIGITS
    assert set(key) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("step", "parameters", "inputs"),
    [
        ("score", {"a": 1}, ["x"]),
        ("embed", {"a": 2}, ["x"]),
        ("embed", {"a": 1}, ["y"]),
        ("embed", {"a": 1}, ["x", "x"]),
    ],
)
def test_every_part_counts(step: str, parameters: dict[str, object], inputs: list[str]) -> None:
    assert step_key(step, parameters, inputs) != step_key("embed", {"a": 1}, ["x"])


def test_a_raised_version_makes_a_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = step_key("embed", {}, [])
    monkeypatch.setitem(keys.VERSIONS, "embed", keys.VERSIONS["embed"] + 1)
    assert step_key("embed", {}, []) != before


def test_what_has_no_canonical_text_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        short_hash({"a": float("nan")})
    with pytest.raises(TypeError):
        short_hash({"a": {1, 2}})
    with pytest.raises(KeyError):
        step_key("embroider", {}, [])


def test_a_place_is_a_folder_whatever_its_names() -> None:
    place = Place("c/1 ü", "..", date(2026, 3, 2))
    assert place.folder == "campaign=c%2F1%20%C3%BC/camera=../day=2026-03-02"
    assert place.folder.count("/") == 2
    assert str(Place("c1", "hall", date(2026, 3, 2))) == "c1 · hall · 2026-03-02"
    assert Place("a", "b", date(2026, 3, 1)) < Place("a", "b", date(2026, 3, 2)) < Place("b", "a", date(2026, 3, 1))
