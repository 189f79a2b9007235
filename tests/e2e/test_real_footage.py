"""The main job on real cameras."""

from pathlib import Path

import pytest

from tests.e2e.command import afterwatch

pytestmark = [pytest.mark.serial, pytest.mark.usefixtures("server")]


@pytest.mark.timeout(600)
def test_the_demonstration_processes_four_real_cameras(real_data: Path, tmp_path: Path) -> None:
    done = afterwatch("demo", tmp_path / "site", "--footage", real_data / "footage", "--json")
    assert done.code == 0, done.err
    coverage = done.json["report"]["coverage"]
    assert [line["camera"] for line in coverage] == ["hall", "lobby", "traffic", "walkway"]
    assert all(line["analysed_s"] == line["recorded_s"] for line in coverage)
    assert len(done.json["summaries"]) == 4


@pytest.mark.timeout(600)
def test_so_does_a_workspace_with_linked_footage(real_data: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert afterwatch("init", site, "--footage", real_data / "footage", "--campaign", "real").code == 0
    assert afterwatch("plan", "--site", site, "--json").json["files"]["new"] == 4
    done = afterwatch("run", "--site", site, "--camera", "traffic", "--json")
    assert done.code == 0, done.err
    assert [line["camera"] for line in done.json["coverage"]] == ["traffic"]
