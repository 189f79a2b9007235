"""Fixtures of the steps' tests."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture
from tasks import embedding
from tests.tasks.nights import EAST, HATCH, Night, new_site, run, say_region
from tests.workspace.listeners import Hook, web_server
from workspace.opened import Workspace


@dataclass(frozen=True)
class Processed:
    """A site after its first night."""

    root: Path
    night: Night

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)


@pytest.fixture(scope="session")
def processed(tmp_path_factory: pytest.TempPathFactory, small_footage: Path) -> Processed:
    """The small campaign after one night, with a region on one camera. Treat it as read only."""
    workspace = new_site(tmp_path_factory.mktemp("tasks") / "site", small_footage)
    workspace = say_region(workspace, EAST, "hatch", HATCH)
    return Processed(workspace.site.root, run(workspace))


@pytest.fixture
def copied(processed: Processed, tmp_path: Path) -> Workspace:
    """The processed site, to do with as one likes; the footage is linked, not copied."""
    shutil.copytree(processed.root, tmp_path / "site", symlinks=True)
    return Workspace(tmp_path / "site")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the recordings that the embedding decodes, one for each pass over one."""
    calls: list[str] = []

    def counting(path: Path, index: FrameIndex, wanted: NDArray[np.int64], **options: Any) -> Iterator[Picture]:
        calls.append(path.name)
        return decode(path, index, wanted, **options)

    monkeypatch.setattr(embedding, "decode", counting)
    return calls


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_server() as server:
        yield server
