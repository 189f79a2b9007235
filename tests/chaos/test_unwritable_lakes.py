"""A disk that is full or gone over to read only: the night says so, and the next one goes on to the same rows."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.chaos_tables import content_of, differences
from infra.errors import LakeError
from lake import store as stores
from tests.chaos.sites import small
from tests.tasks.nights import run
from workspace.opened import Workspace

LIMIT = 16_000
"""Bytes: more than the ledgers take, less than a still of the camera does."""


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes, as on a disk that is full by then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_that_fills_up_costs_what_did_not_fit_and_nothing_else(tmp_path: Path) -> None:
    expected, site = small(tmp_path / "expected"), small(tmp_path / "site")
    run(expected)
    with largest_file(LIMIT):
        night = run(Workspace(site.site.root))
    assert night.report.status == "incomplete"
    assert any("cannot be written" in line and "free space" in line for line in night.report.attention)
    assert list((site.site.root / "lake").rglob("*.tmp")) == []
    night = run(Workspace(site.site.root))
    assert night.report.status == "complete", night.report.attention
    assert differences(content_of(expected.site.root), content_of(site.site.root)) == []


def test_a_lake_that_is_read_only_is_told_before_anything_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    site = small(tmp_path / "site", 1)
    with monkeypatch.context() as patch:
        patch.setattr(stores, "_write_local", refused)
        with pytest.raises(LakeError, match="cannot be written: Read-only file system"):
            run(site)
    assert run(Workspace(site.site.root)).report.status == "complete"
