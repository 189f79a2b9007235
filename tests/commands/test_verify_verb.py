"""The verb `verify`, called as from a shell: what it says, to people and to programs, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from tests.footage.films import Film, make
from tests.tasks.nights import new_site, run

DAY = "2026-03-02"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One camera's day after a night. Tests put back what they alter."""
    workspace = new_site(tmp_path_factory.mktemp("verify-verb") / "site")
    path = workspace.site.footage_root / "demo" / "hall" / f"{DAY}T08-00-00.mp4"
    path.parent.mkdir(parents=True)
    make(path, Film(count=150))
    assert run(workspace).report.status == "complete"
    return workspace.site.root


@pytest.fixture
def altered(site: Path) -> Any:
    """The score of the first entry, altered in what is published."""
    path = site / "published" / "demo" / "hall" / DAY / "summary.json"
    before = path.read_bytes()
    told = json.loads(before)
    told["entries"][0]["score"] = 0.987
    path.write_text(json.dumps(told), encoding="utf-8")
    yield site
    path.write_bytes(before)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in ("verify", *arguments)])
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out, told.err


@pytest.mark.parametrize("day", [(DAY,), ("--day", DAY), (DAY, "--day", DAY), ()])
def test_a_day_that_is_as_it_was_made_is_told_with_what_was_compared(
    site: Path, capsys: pytest.CaptureFixture[str], day: tuple[str, ...]
) -> None:
    code, out, _ = call(capsys, *day, "--site", site)
    assert code == 0
    assert "3 pictures of 1 recordings decoded again" in out
    assert "entries of 1 summaries derived again" in out
    assert out.endswith("all is as it was made\n")


def test_a_difference_is_one_line_with_both_values_and_exit_code_1(
    altered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, DAY, "--camera", "hall", "--site", altered)
    (line,) = [line for line in out.splitlines() if line.startswith("differs: ")]
    assert code == 1
    assert line.startswith(f"differs: demo · hall · {DAY}: entry 1, demo/hall/{DAY}T08-00-00.mp4 ")
    assert "score is 0.987 in summary.json, " in line
    assert out.endswith("1 difference\n")


def test_a_program_reads_one_object(altered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, DAY, "--site", altered, "--json")
    told = json.loads(out)
    assert (code, err) == (1, "")
    assert set(told) == {
        "recordings",
        "compared",
        "summaries",
        "entries",
        "pictures",
        "vectors",
        "digests",
        "differences",
        "remarks",
    }
    entry, hashed, digest = told["differences"]
    assert "entry 1" in entry and "0.987" in entry
    assert hashed.startswith(f"digest demo · {DAY}: ") and "had the hash" in hashed
    assert digest.startswith(f"digest demo · {DAY}: entry 1, camera hall: score is ")


def test_recordings_alone_know_nothing_of_what_is_published(altered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, DAY, "--site", altered, "--no-summaries", "--frames", 1)
    assert (code, "summaries" in out) == (0, False)


def test_what_is_published_can_be_made_again(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--site", site, "--render")
    assert (code, out.splitlines()[-1]) == (0, "all is as it was made")


@pytest.mark.parametrize("arguments", [(), ("--no-summaries",)])
def test_where_nothing_was_compared_that_is_said_with_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    root = new_site(tmp_path / "site").site.root
    code, out, _ = call(capsys, "--site", root, *arguments)
    assert code == 1
    assert out.splitlines()[-1].startswith("nothing was compared: ")
    assert "as it was made" not in out
    code, out, _ = call(capsys, "--site", root, *arguments, "--json")
    told = json.loads(out)
    assert (code, told["recordings"], told["summaries"], told["digests"], told["differences"]) == (1, 0, 0, 0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((DAY, "--day", "2026-03-03"), "the day is said twice, as 2026-03-02 and as --day 2026-03-03"),
        (("2026-03-05",), 'unknown day "2026-03-05"'),
        (("yesterday",), '"yesterday" is no day; write it as 2026-03-02'),
        ((DAY, "--camera", "hal"), 'did you mean "hall"'),
        ((DAY, "--no-summaries", "--render"), "--render is of the published summaries"),
        ((DAY, "--frames", "0"), "'--frames': 0 is not in the range"),
    ],
)
def test_a_wrong_call_says_what_would_be_right(
    site: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = call(capsys, *arguments, "--site", site)
    assert (code, out) == (2, "")
    assert said in err
