"""`afterwatch retention` and `afterwatch holds`, as a person calls them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from afterwatch.__main__ import app
from infra.errors import ConfigurationError
from tests.workspace.kept_site import CAMPAIGN, FIRST, HALL, POLICIES, copied_to, make_site, present
from workspace.opened import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_site(tmp_path_factory.mktemp("kept") / "site", **POLICIES)


@pytest.fixture
def site(made: Workspace, tmp_path: Path) -> Workspace:
    return copied_to(made, tmp_path / "site")


def call(site: Workspace, *arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--site", str(site.site.root), "--json"])
    if isinstance(done.exception, ConfigurationError):
        raise done.exception
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_a_plan_deletes_nothing_and_a_run_just_what_was_planned(site: Workspace) -> None:
    before = present(site)
    planned = call(site, "retention", "plan")
    assert present(site) == before
    assert planned["bytes"] == sum(file["bytes"] for file in planned["files"]) > 0
    done = call(site, "retention", "run", "--author", "keeper")
    assert (done["status"], done["files"], done["bytes"]) == ("complete", len(planned["files"]), planned["bytes"])
    report = call(site, "retention", "report")
    assert {(entry["where"], entry["path"]) for entry in report["entries"]} == {
        (file["where"], file["path"]) for file in planned["files"]
    }
    assert {entry["author"] for entry in report["entries"]} == {"keeper"}


def test_a_report_that_is_kept_can_be_checked_and_an_altered_one_is_told(site: Workspace, tmp_path: Path) -> None:
    call(site, "retention", "run")
    for name in ("deleted.md", "deleted.csv", "deleted.json"):
        call(site, "retention", "report", "--out", str(tmp_path / name))
    kept = tmp_path / "deleted.json"
    assert call(site, "retention", "report", "--check", str(kept))["differences"] == []
    kept.write_text(kept.read_text().replace(HALL, "hull", 1))
    assert call(site, "retention", "report", "--check", str(kept), code=1)["differences"]
    with pytest.raises(ConfigurationError, match=r"neither .md, .csv nor .json"):
        call(site, "retention", "report", "--out", str(tmp_path / "deleted.pdf"))


def test_holds_keep_what_they_cover_until_they_are_removed(site: Workspace) -> None:
    day = FIRST.isoformat()
    said = call(site, "holds", "add", "case", "--camera", HALL, "--from", day, "--to", day, "--reason", "claim")
    assert (said["camera_days"], said["camera"], said["from"]) == (1, HALL, day)
    assert [hold["name"] for hold in call(site, "holds", "list")["holds"]] == ["case"]
    call(site, "retention", "run")
    recording = site.site.footage_root / CAMPAIGN / HALL / f"{day}T08-00-00.mp4"
    assert recording.exists()
    call(site, "holds", "remove", "case", "--reason", "settled")
    call(site, "retention", "run")
    assert not recording.exists()


def test_a_hold_of_no_day_is_refused(site: Workspace) -> None:
    with pytest.raises(ConfigurationError, match="is no day"):
        call(site, "holds", "add", "case", "--from", "monday", "--reason", "claim")
