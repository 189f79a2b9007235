"""A workspace's places stay inside it unless its settings say otherwise."""

from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from infra.settings import SETTINGS_FILE
from infra.site import Site


def workspace(root: Path, text: str = "") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / SETTINGS_FILE).write_text(text, encoding="utf-8")
    return root


def test_places_of_a_workspace(tmp_path: Path) -> None:
    site = Site.open(workspace(tmp_path / "site"))
    root = tmp_path / "site"
    assert site.footage_root == root / "footage"
    assert site.lake_location == str(root / "lake")
    assert site.weights_folder == root / "weights"
    assert site.models_folder == root / "models"
    assert site.published_folder == root / "published"
    assert site.digests_folder == root / "digests"
    assert site.state_folder.is_relative_to(root)


def test_a_workspace_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    assert Site.open(Path("site")).root == tmp_path / "site"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Site.open(Path("~/site")).root == tmp_path / "site"
    (tmp_path / "link").symlink_to(tmp_path / "site")
    assert Site.open(tmp_path / "link").root == tmp_path / "site"


@pytest.mark.parametrize("path", ["../elsewhere", "/elsewhere", "a/../../elsewhere", "..", "/", "../site-secret"])
def test_paths_that_leave_the_workspace_are_refused_on_opening(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"footage\.root.*leaves the workspace.*allow_outside"):
        Site.open(workspace(tmp_path / "site", f'[footage]\nroot = "{path}"'))
    with pytest.raises(ConfigurationError, match=r"lake.*leaves the workspace"):
        Site.open(workspace(tmp_path / "site", f'lake = "{path}"'))


@pytest.mark.parametrize("path", ["x", "./x", "a/../x", "a/b/../../x"])
def test_paths_that_stay_inside_are_taken_as_written(path: str, tmp_path: Path) -> None:
    site = Site.open(workspace(tmp_path / "site", f'lake = "{path}"'))
    assert site.lake_location == str(tmp_path / "site/x")


def test_a_link_inside_may_point_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    root = workspace(tmp_path / "site")
    (root / "footage").symlink_to(tmp_path / "disk")
    assert Site.open(root).footage_root == root / "footage"


def test_footage_may_lie_outside_where_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, expected in (("/mnt/recorder", "/mnt/recorder"), ("../disk", f"{tmp_path}/site/../disk")):
        site = Site.open(workspace(tmp_path / "site", f'[footage]\nroot = "{path}"\nallow_outside = true'))
        assert str(site.footage_root) == expected
    monkeypatch.setenv("HOME", "/home/ann")
    site = Site.open(workspace(tmp_path / "site", '[footage]\nroot = "~/disk"\nallow_outside = true'))
    assert str(site.footage_root) == "/home/ann/disk"


def test_a_lake_may_be_an_object_store(tmp_path: Path) -> None:
    site = Site.open(workspace(tmp_path / "site", 'lake = "s3://bucket/prefix"'))
    assert site.lake_location == "s3://bucket/prefix"


def test_a_folder_that_is_no_workspace_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="afterwatch init"):
        Site.open(tmp_path)
