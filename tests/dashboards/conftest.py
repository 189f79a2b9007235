"""Fixtures of the dashboards' tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner

from tests.dashboards.small_site import Workspace, fill, new_site, open_site


@pytest.fixture(scope="session", autouse=True)
def scanned_once() -> Iterator[None]:
    """Streamlit reads the metadata of every installed package for each app that is tested; once is enough."""
    found = manifest_scanner.scan_component_manifests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: found)
        yield


@pytest.fixture
def empty_site(tmp_path: Path) -> Workspace:
    """A workspace in which nothing has run; there is no lake."""
    return new_site(tmp_path / "site")


@pytest.fixture(scope="session")
def finished_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after one finished night, to copy from."""
    workspace = new_site(tmp_path_factory.mktemp("dashboards") / "site")
    fill(workspace)
    return workspace.root


@pytest.fixture
def full_site(finished_night: Path, tmp_path: Path) -> Workspace:
    """A workspace after one finished night, to do with as one likes."""
    shutil.copytree(finished_night, tmp_path / "site")
    return open_site(tmp_path / "site")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Names the workspace that the app opens."""
    st.cache_resource.clear()
    yield lambda workspace: monkeypatch.setenv("AFTERWATCH_SITE", str(workspace.root))
    st.cache_resource.clear()
