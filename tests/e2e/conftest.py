"""A demonstration for all, whose night starts an orchestrator of its own, as a newcomer's does; and less footage than its."""

import shutil
from pathlib import Path

import pytest

from afterwatch.workspace_files import link_footage, make_workspace
from tests.e2e.command import afterwatch_anew

DEFECTS = ("gap", "corrupt", "missing", "variable_rate")
"""What a night must tell of; the small campaign's frozen stretch is too short to be told at one picture a second."""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after one undisturbed demonstration; treat it as read only."""
    site = tmp_path_factory.mktemp("finished") / "site"
    done = afterwatch_anew("demo", site, "--small", "--json")
    assert done.code == 0, done.err
    told = done.json
    assert told["report"]["status"] == "complete"
    assert [line for line in told["truth"] if line["what"] in DEFECTS and not line["found"]] == []
    return site


@pytest.fixture
def one_camera(small_footage: Path, tmp_path: Path) -> Path:
    """The small campaign of one camera, to do with as one likes: for what is the same with two."""
    shutil.copytree(small_footage / "hall-east", tmp_path / "footage" / "hall-east")
    return tmp_path / "footage"


@pytest.fixture
def one_camera_site(one_camera: Path, tmp_path: Path) -> Path:
    """A fresh workspace with that campaign linked in."""
    root = make_workspace(tmp_path / "site")
    link_footage(root, one_camera, "demo")
    return root
