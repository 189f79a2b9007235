"""The tree of errors: exit codes, and messages that help."""

import ast
from pathlib import Path

import pytest

import infra.errors
from infra.errors import (
    AfterwatchError,
    ConfigurationError,
    DecodeError,
    FootageError,
    LakeError,
    NightError,
    UnknownNameError,
    WeightsError,
)


@pytest.mark.parametrize(
    ("error", "parent", "exit_code"),
    [
        (ConfigurationError, AfterwatchError, 2),
        (UnknownNameError, ConfigurationError, 2),
        (FootageError, AfterwatchError, 1),
        (DecodeError, FootageError, 1),
        (WeightsError, AfterwatchError, 2),
        (LakeError, AfterwatchError, 1),
        (NightError, AfterwatchError, 1),
    ],
)
def test_errors_stand_in_their_tree(error: type[AfterwatchError], parent: type[Exception], exit_code: int) -> None:
    assert issubclass(error, parent)
    assert error.exit_code == exit_code


def test_the_tree_is_drawn_in_the_docstring() -> None:
    classes = [
        node.name for node in ast.parse(Path(infra.errors.__file__).read_text()).body if isinstance(node, ast.ClassDef)
    ]
    assert all(name in (infra.errors.__doc__ or "") for name in classes)


def test_an_unknown_name_lists_the_known_and_guesses() -> None:
    error = UnknownNameError("encoder", "clipp", {"slow": 1, "clip": 2})
    assert str(error) == 'unknown encoder "clipp" — did you mean "clip"? (known: clip, slow)'
    assert error.name == "clipp"
    assert error.known == ("clip", "slow")
    assert "did you mean" not in str(UnknownNameError("encoder", "zzz", ["clip"]))
    assert str(UnknownNameError("encoder", "x", [])) == 'unknown encoder "x" (known: none)'
