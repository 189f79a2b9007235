"""`afterwatch audit`: who did what, and whether a row is gone."""

import json
from datetime import date
from pathlib import Path

import pytest

from afterwatch.__main__ import main
from afterwatch.options import enter_start
from flows.refit import RefitReport
from infra.access import Actor
from infra.errors import AccessError
from lake.thresholds import ThresholdChoice, say_threshold
from tasks.plan import Selection
from workspace.opened import Workspace


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "afterwatch.toml").write_text('[site]\nname = "N"\n', encoding="utf-8")
    choice = ThresholdChoice("gate", "frame", "novelty", 3.0, "whoever")
    for actor in (Actor("egon", "engineer", "dashboard", True), Actor("vera", "viewer", "dashboard", True), None):
        try:
            say_threshold(Workspace(tmp_path, actor).ledger, choice)
        except AccessError:
            assert actor is not None and actor.name == "vera"
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["audit", *words])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


def test_it_tells_who_did_what_and_what_was_refused(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "--site", str(site), "--json")
    rows = json.loads(told)["rows"]
    assert code == 0
    assert [(row["who"] == "egon", row["role"], row["via"], row["allowed"]) for row in rows] == [
        (True, "engineer", "dashboard", True),
        (False, "viewer", "dashboard", False),
        (False, "engineer", "command line", True),
    ]
    assert rows[0]["on"] and rows[0]["camera"] == "gate"
    assert len(json.loads(run(capsys, "--site", str(site), "--refused", "--json")[1])["rows"]) == 1
    assert len(json.loads(run(capsys, "--site", str(site), "--who", "egon", "--json")[1])["rows"]) == 1
    assert "REFUSED: set thresholds" in run(capsys, "--site", str(site))[1]
    assert "REFUSED" not in run(capsys, "--site", str(site), "--last", "1")[1]


def test_a_row_that_is_gone_is_told_and_ends_in_1(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "--site", str(site), "--verify")
    assert code == 0 and "3 rows, each as it was written" in told
    head = told.rsplit(": ", 1)[1].strip()
    assert run(capsys, "--site", str(site), "--verify", "--head", head)[0] == 0
    store = Workspace(site).store
    store.delete(store.names("audit")[1])
    code, told = run(capsys, "--site", str(site), "--verify")
    assert code == 1 and "is gone" in told
    code, told = run(capsys, "--site", str(site), "--verify", "--json")
    assert code == 1 and json.loads(told)["verify"]["problems"]
    assert "noted elsewhere" in run(capsys, "--site", str(site), "--verify", "--head", "0" * 64)[1]


def test_a_head_without_verify_is_refused(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "--site", str(site), "--head", "0" * 64)
    assert code == 2 and "--verify" in told


def test_where_nothing_was_done_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "afterwatch.toml").write_text("", encoding="utf-8")
    assert "Nothing has been done" in run(capsys, "--site", str(tmp_path))[1]
    assert run(capsys, "--site", str(tmp_path), "--verify")[0] == 0


def test_what_somebody_starts_by_hand_is_entered_and_what_a_page_started_is_not_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "afterwatch.toml").write_text("", encoding="utf-8")
    (tmp_path / "footage").mkdir()
    monkeypatch.setattr("flows.refit.run_refit", lambda *_, **__: RefitReport("r", ()))
    for verb in ("run", "backfill", "retry", "refit"):
        with pytest.raises(SystemExit) as left:
            main([verb, "--site", str(tmp_path), "--json"])
        assert left.value.code in (0, None)
    capsys.readouterr()
    rows = json.loads(run(capsys, "--site", str(tmp_path), "--json")[1])["rows"]
    found = [(row["action"], row["on"], row["via"]) for row in rows]
    assert found == [("start runs", [verb], "command line") for verb in ("run", "backfill", "retry", "refit")]
    for actor, entered in (
        (Actor("egon", "engineer", "job", True), 4),
        (Actor("egon", "engineer", "dashboard", True), 5),
    ):
        enter_start(Workspace(tmp_path, actor), "run", Selection("spring", "gate", date(2026, 3, 2)))
        rows = json.loads(run(capsys, "--site", str(tmp_path), "--json")[1])["rows"]
        assert len(rows) == entered
    assert [rows[-1][name] for name in ("who", "campaign", "camera", "day")] == ["egon", "spring", "gate", "2026-03-02"]
