"""What people and files may hand to the command line: names with brackets, pipes, rows and cards written by hand, Ctrl-C."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterwatch.__main__ import main
from afterwatch.options import print_table
from afterwatch.workspace_files import make_workspace
from footage.writing import VideoWriter
from infra.errors import LakeError
from lake.ledger import Statement
from lake.operating_points import operating_points_now
from lake.promotions import in_service
from workspace.clip_sets.read import read_clip_set
from workspace.opened import Workspace

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    make_workspace(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(words))
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return call


def test_brackets_in_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("[red]", "b"), [("fight [red]", "[/x]/../../e")], title="[/t]")
    told = capsys.readouterr().out
    assert "fight [red]" in told and "[/x]/../../e" in told and "[/t]" in told


def test_a_damaged_card_does_not_hide_the_other_models(said: Said, site: Path) -> None:
    for name, content in (("good", "{}"), ("bad", "[" * 100_000)):
        folder = site / "models" / "classifier" / name / "v1"
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(content, encoding="utf-8")
    code, out, _ = said("models", "list", "--json", "--site", str(site))
    assert code == 0
    models = {row["name"]: row for row in json.loads(out)["models"]}
    assert models["good"]["usable"] is True
    assert models["bad"]["usable"] is False and "damaged" in models["bad"]["remark"]


@pytest.mark.parametrize("value", [{"state": "promoted"}, "x", {"version": 3, "state": "promoted"}])
def test_a_promotion_that_is_none_is_named(site: Path, value: Any) -> None:
    ledger = Workspace(site).ledger
    ledger.say("promotions", [Statement("classifier/base", "ada", value)])
    with pytest.raises(LakeError, match="classifier/base, which names no version"):
        in_service(ledger, "classifier")


@pytest.mark.parametrize("value", [{"threshold": "x", "criterion": "c"}, [], {"threshold": 5, "criterion": "c"}, "x"])
def test_an_operating_point_that_is_none_is_named(site: Path, value: Any) -> None:
    ledger = Workspace(site).ledger
    ledger.say("operating_points", [Statement("junk", "ada", {}), Statement("//", "ada", {})])
    assert operating_points_now(ledger) == {}
    ledger.say("operating_points", [Statement("base/v1/fight", "ada", value)])
    with pytest.raises(LakeError, match="base/v1/fight, which is no threshold"):
        operating_points_now(ledger)


def test_a_pipe_among_clips_is_left_out_and_not_waited_for(tmp_path: Path) -> None:
    for number, label in enumerate(("fight", "none")):
        (tmp_path / label).mkdir()
        with VideoWriter(tmp_path / label / "a.mp4") as video:
            for frame in range(5):
                video.write(np.full((48, 64, 3), 60 + 90 * number, np.uint8), frame * 40_000)
    os.mkfifo(tmp_path / "fight" / "p.mp4")
    found = read_clip_set(tmp_path)
    assert [clip.name for clip in found.clips] == ["fight/a.mp4", "none/a.mp4"]
    assert found.left_out == ("fight/p.mp4: no file that can be read",)


@pytest.mark.parametrize("name", ["../../evil", "", "a\nb", ".hidden"])
def test_the_name_of_what_is_written_stays_in_its_folder(said: Said, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    words = ("evaluate", "classifier", "--data", str(tmp_path), "--out", str(out), "--name", name)
    code, _, err = said(*words, "--site", str(tmp_path))
    assert code == 2 and "cannot name files" in err
    assert not out.exists()


def test_a_file_in_place_of_the_folder_is_told_before_anything_is_decoded(said: Said, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("", encoding="utf-8")
    words = ("evaluate", "classifier", "--data", str(tmp_path), "--out", str(taken), "--site", str(tmp_path))
    code, _, err = said(*words)
    assert code == 2 and "is a file; name a folder" in err


def test_ctrl_c_says_what_became_of_the_work(said: Said, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: object) -> None:  # not by a signal: a shell's background job is deaf to SIGINT
        raise KeyboardInterrupt

    monkeypatch.setattr("lake.registry.Registry.versions", stopped)
    code, _, err = said("models", "list", "--site", str(site))
    assert code == 130 and "what was finished is kept" in err


def test_a_file_that_cannot_be_written_is_told_without_a_traceback(
    said: Said, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device", "cache/x")

    monkeypatch.setattr("lake.registry.Registry.versions", full)
    code, _, err = said("models", "list", "--site", str(site))
    assert code == 1 and "cache/x: No space left on device" in err
