"""Versions of heads are put in place whole, kept inside their folder and read without running anything."""

import json
import os
import pickle
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from infra.errors import LakeError
from infra.version import code_version
from lake.registry import ARRAYS, CARD, Registry

ARRAY = {"vectors": np.arange(12, dtype=np.float32).reshape(3, 4), "count": np.array([7])}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def test_what_is_saved_is_loaded(registry: Registry, tmp_path: Path) -> None:
    path = registry.save("novelty", "hall a", "v1.0", {"k": 20}, ARRAY, author="ada")
    assert path == tmp_path / "models/novelty/hall a/v1.0"
    assert registry.exists("novelty", "hall a", "v1.0")
    card, arrays = registry.load("novelty", "hall a", "v1.0")
    assert card["k"] == 20
    assert set(arrays) == set(ARRAY)
    assert all(np.array_equal(arrays[name], ARRAY[name]) and arrays[name].dtype == ARRAY[name].dtype for name in ARRAY)
    assert sorted(os.listdir(path)) == sorted([CARD, ARRAYS])


def test_every_card_says_who_made_it_when_and_by_what_code(registry: Registry) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    registry.save("novelty", "a", "1", {"k": 20, "author": "nobody"}, ARRAY, author=" ada ")
    card = registry.card("novelty", "a", "1")
    assert (card["author"], card["code"]) == ("ada", code_version().to_card())
    assert before <= datetime.fromisoformat(card["made_at"]) <= datetime.now(UTC)
    registry.save("novelty", "a", "2", {"made_at": "2026-03-02T08:00:00+00:00"}, ARRAY, author="ada")
    assert registry.card("novelty", "a", "2")["made_at"] == "2026-03-02T08:00:00+00:00", "what is said already stays"
    with pytest.raises(LakeError, match="no author"):
        registry.save("novelty", "a", "3", {}, ARRAY, author=" ")
    assert not registry.exists("novelty", "a", "3")


def test_what_was_measured_anew_is_said_and_who_made_it_stays(registry: Registry) -> None:
    folder = registry.save("novelty", "a", "1", {"auc": 0.5, "k": 20}, ARRAY, author="ada")
    before = registry.card("novelty", "a", "1")
    told = registry.revise("novelty", "a", "1", {"auc": 0.75, "author": "bob", "made_at": "now", "code": {}})
    assert told == registry.card("novelty", "a", "1") == {**before, "auc": 0.75}
    assert sorted(os.listdir(folder)) == sorted([CARD, ARRAYS])
    with pytest.raises(LakeError, match="there is no"):
        registry.revise("novelty", "a", "2", {"auc": 1.0})


def test_arrays_that_are_views_are_kept_as_they_look(registry: Registry) -> None:
    turned = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    registry.save("novelty", "a", "1", {}, {"x": turned}, author="ada")
    assert np.array_equal(registry.load("novelty", "a", "1")[1]["x"], turned)


def test_a_version_that_is_there_stays_as_it_is(registry: Registry) -> None:
    registry.save("novelty", "a", "1", {"first": True}, ARRAY, author="ada")
    registry.save("novelty", "a", "1", {"first": False}, {"x": np.zeros(1)}, author="ada")
    assert registry.load("novelty", "a", "1")[0]["first"] is True


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../a", "/etc", "a\\b", ".hidden", "a\n", "ä", "a\0b", "-a"])
def test_names_that_leave_the_folder_are_refused(name: str, registry: Registry, tmp_path: Path) -> None:
    for parts in ((name, "a", "1"), ("novelty", name, "1"), ("novelty", "a", name)):
        with pytest.raises(LakeError, match="cannot name a model"):
            registry.exists(*parts)
        with pytest.raises(LakeError, match="cannot name a model"):
            registry.load(*parts)
        with pytest.raises(LakeError, match="cannot name a model"):
            registry.save(*parts, {}, ARRAY, author="ada")
    assert not (tmp_path / "models").exists()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("planted", [ARRAYS, CARD])
def test_a_planted_pickle_is_not_run(planted: str, registry: Registry, tmp_path: Path) -> None:
    folder = registry.save("novelty", "a", "1", {}, ARRAY, author="ada")
    (folder / planted).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(LakeError, match="damaged"):
        registry.load("novelty", "a", "1")
    assert not (tmp_path / "ran").exists()


def test_object_arrays_are_not_written(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"."):
        registry.save("novelty", "a", "1", {}, {"x": np.array([object()])}, author="ada")
    assert not registry.exists("novelty", "a", "1")
    assert os.listdir(tmp_path / "models/novelty/a") == []


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "long header"])
def test_damaged_arrays_are_a_lake_error(damage: str, registry: Registry) -> None:
    folder = registry.save("novelty", "a", "1", {}, ARRAY, author="ada")
    content = (folder / ARRAYS).read_bytes()
    changed = {
        "cut": content[:-5],
        "empty": b"",
        "noise": os.urandom(len(content)),
        "long header": b"\xff" * 8 + content[8:],
    }
    (folder / ARRAYS).write_bytes(changed[damage])
    with pytest.raises(LakeError, match="damaged"):
        registry.load("novelty", "a", "1")


def test_a_damaged_card_is_a_lake_error(registry: Registry) -> None:
    folder = registry.save("novelty", "a", "1", {}, ARRAY, author="ada")
    for content in (b"{", b"\xff\xfe", b""):
        (folder / CARD).write_bytes(content)
        with pytest.raises(LakeError, match="damaged"):
            registry.load("novelty", "a", "1")


def test_an_absent_version_is_told_with_what_to_do(registry: Registry) -> None:
    assert not registry.exists("novelty", "a", "1")
    with pytest.raises(LakeError, match="models list"):
        registry.load("novelty", "a", "1")


def test_a_full_disk_leaves_nothing(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(LakeError, match="No space left"):
            registry.save("novelty", "a", "1", {}, ARRAY, author="ada")
    assert not registry.exists("novelty", "a", "1")
    assert os.listdir(tmp_path / "models/novelty/a") == []
    assert registry.versions() == []


def test_two_workers_may_save_the_same_version(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Registry(registry._folder)
    rename = Path.rename

    def quicker(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        other.save("novelty", "a", "1", {"same": 1}, ARRAY, author="ada")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", quicker)
    path = registry.save("novelty", "a", "1", {"same": 1}, ARRAY, author="ada")
    assert registry.load("novelty", "a", "1")[0]["same"] == 1
    assert os.listdir(path.parent) == ["1"]


def test_versions_are_listed_in_order_without_unfinished_ones(registry: Registry, tmp_path: Path) -> None:
    assert registry.versions() == []
    for name, version in (("b", "1"), ("a", "2"), ("a", "1")):
        registry.save("novelty", name, version, {}, ARRAY, author="ada")
    unfinished = tmp_path / "models/novelty/a/.3.12-ab"
    unfinished.mkdir()
    (unfinished / CARD).write_text(json.dumps({}))
    (tmp_path / "models/novelty/a/4").mkdir()
    assert registry.versions() == [("novelty", "a", "1"), ("novelty", "a", "2"), ("novelty", "b", "1")]
