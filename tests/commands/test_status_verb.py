"""`status` says that a night was missed, and its exit code says so to a monitor."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from afterwatch.__main__ import app
from tasks.schedule_file import ScheduleFile, schedule_lock, write_schedule
from workspace.opened import Workspace


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A workspace whose hourly nights have been served for a week, and none has run."""
    (tmp_path / "afterwatch.toml").write_text('[schedule]\ncron = "0 * * * *"\nlate_after_s = 1\n', encoding="utf-8")
    site = Workspace(tmp_path)
    with schedule_lock(site.site.state_folder):
        since = datetime.now(UTC) - timedelta(days=7)
        write_schedule(site.site.state_folder, ScheduleFile(since, "0 * * * *", "UTC"))
    return tmp_path


def test_a_missed_night_is_told_and_exits_with_1(served: Path) -> None:
    said = CliRunner().invoke(app, ["status", "--site", str(served)])
    assert said.exit_code == 1
    assert "attention: the night of" in said.output and "has not begun" in said.output


def test_programs_read_when_it_was_due(served: Path) -> None:
    said = CliRunner().invoke(app, ["status", "--site", str(served), "--json"])
    assert said.exit_code == 1
    due_at = datetime.fromisoformat(json.loads(said.stdout)["missed"]["due_at"])
    assert timedelta(0) < datetime.now(UTC) - due_at < timedelta(hours=2)


def test_where_nobody_serves_nights_none_is_missed(tmp_path: Path) -> None:
    (tmp_path / "afterwatch.toml").write_text("", encoding="utf-8")
    said = CliRunner().invoke(app, ["status", "--site", str(tmp_path), "--json"])
    assert said.exit_code == 0
    assert json.loads(said.stdout) == {"last": None, "missed": None, "running": None}
