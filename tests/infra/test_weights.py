"""Weights are entered with their hash, survive their file format, and stay in their folder."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError, WeightsError
from infra.weights import WEIGHTS_FILE, WeightsFile, add_weights, file_sha256, read_weights

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "download.safetensors").write_bytes(CONTENT)
    return tmp_path / "download.safetensors"


def test_a_hash_is_sha256_of_the_file(file: Path) -> None:
    assert file_sha256(file) == SHA256


def test_no_weights_are_no_entries(tmp_path: Path) -> None:
    assert read_weights(tmp_path / "weights") == {}


def test_what_is_added_is_read_back(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "weights"
    options = {"pad": "same", "deep": True, "n": 3, "x": 0.5}
    details: dict[str, Any] = {
        "licence": 'MIT "x"',
        "options": options,
        "mean": (0.5, 0.25, 1.0),
        "std": (1.0, 1.0, 1e-5),
    }
    added = add_weights(folder, "timm/resnet50/local", file, details)
    assert added.sha256 == SHA256
    assert added.path.parent == folder
    assert added.path.read_bytes() == CONTENT
    assert read_weights(folder) == {"timm/resnet50/local": added}
    assert read_weights(folder)["timm/resnet50/local"].options == options


def test_a_later_entry_replaces_and_others_stay(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "weights"
    first = add_weights(folder, "a/b/c", file, {})
    other = add_weights(folder, "d/e/f", file, {})
    file.write_bytes(b"newer")
    second = add_weights(folder, "a/b/c", file, {})
    assert read_weights(folder) == {"a/b/c": second, "d/e/f": other}
    assert first.path.read_bytes() == CONTENT
    assert second.path != first.path
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_adding_again_repairs_a_damaged_copy(tmp_path: Path, file: Path) -> None:
    added = add_weights(tmp_path / "weights", "a/b/c", file, {})
    added.path.write_bytes(b"damaged")
    assert add_weights(tmp_path / "weights", "a/b/c", file, {}).path.read_bytes() == CONTENT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(name=st.text(min_size=1, max_size=20), licence=st.text(max_size=20), key=st.text(min_size=1, max_size=8))
def test_any_text_survives_the_file(tmp_path: Path, file: Path, name: str, licence: str, key: str) -> None:
    folder = tmp_path / hashlib.sha256(f"{name}\0{licence}\0{key}".encode(errors="replace")).hexdigest()
    added = add_weights(folder, name, file, {"licence": licence, "options": {key: licence}})
    assert tomllib.loads((folder / WEIGHTS_FILE).read_text(encoding="utf-8")).keys() == {name}
    assert read_weights(folder) == {name: added}
    assert added.path.parent == folder


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pt", tmp_path):
        with pytest.raises(WeightsError, match="no weights file"):
            add_weights(tmp_path / "weights", "a/b/c", path, {})
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("details", [{"licens": "MIT"}, {"mean": (1.0, 2.0)}, {"options": {"a": [1]}}])
def test_details_that_fit_nothing_are_refused(details: dict[str, Any], tmp_path: Path, file: Path) -> None:
    with pytest.raises(ConfigurationError, match='weights of "a/b/c"'):
        add_weights(tmp_path / "weights", "a/b/c", file, details)
    assert read_weights(tmp_path / "weights") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('["a/b/c"]\nsha256 = "' + SHA256 + '"', "path: missing"),
        ('["a/b/c"]\npath = "x.pt"', "sha256"),
        ('["a/b/c"]\npath = "x.pt"\nsha256 = "abc"', "sha256"),
        ('["a/b/c"]\npath = "x.pt"\nsha256 = "' + SHA256.upper() + '"', "sha256"),
        ('["a/b/c"]\npath = "x.pt"\nsha256 = "' + SHA256 + '"\nlicense = "MIT"', "license"),
        ('["a/b/c"]\npath = "../x.pt"\nsha256 = "' + SHA256 + '"', "leaves the folder"),
        ('["a/b/c"]\npath = "/etc/x.pt"\nsha256 = "' + SHA256 + '"', "leaves the folder"),
        ('"a/b/c" = 1', "path"),
        ("[", "not TOML"),
    ],
)
def test_entries_that_are_wrong_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=reason):
        read_weights(tmp_path)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "x.pt").symlink_to(file)
    (folder / WEIGHTS_FILE).write_text(f'["a/b/c"]\npath = "x.pt"\nsha256 = "{SHA256}"', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="leaves the folder"):
        read_weights(folder)


def test_a_weights_file_checks_its_hash() -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        WeightsFile(Path("x"), "abc")
