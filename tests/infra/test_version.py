"""Which code made something: version, commit of a checkout, and hash of the sources."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infra.version import ROOMS, code_version, commit_of, sources_of

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_running_code_says_version_and_sources() -> None:
    code_version.cache_clear()  # a commit may have been made since it was read
    told = code_version()
    root = Path(__file__).resolve().parents[2]
    assert told.version and len(told.sources) == 20
    assert told.commit == commit_of(root)
    card = told.to_card()
    assert card["version"] == told.version and card["sources"] == told.sources
    assert ("commit" in card) == bool(told.commit)


def test_the_commit_of_a_checkout_is_what_git_says() -> None:
    root = Path(__file__).resolve().parents[2]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        pytest.skip("git or the checkout is not there")
    command = [git, "-c", f"safe.directory={root}", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert commit_of(root) == done.stdout.strip()


def test_the_commit_is_found_wherever_git_keeps_it(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == "", "no checkout"
    git = tmp_path / ".git"
    write(git / "HEAD", "ref: refs/heads/main\n")
    assert commit_of(tmp_path) == "", "nothing was committed yet"
    write(git / "packed-refs", f"# pack-refs\n{OTHER} refs/heads/other\n{COMMIT} refs/heads/main\n^{OTHER}\n")
    assert commit_of(tmp_path) == COMMIT
    write(git / "refs/heads/main", f"{OTHER}\n")
    assert commit_of(tmp_path) == OTHER, "a loose one is newer than a packed one"
    write(git / "HEAD", f"{COMMIT}\n")
    assert commit_of(tmp_path) == COMMIT, "no branch is checked out"
    write(git / "HEAD", "junk")
    assert commit_of(tmp_path) == ""


def test_a_worktree_names_the_folder_of_its_own(tmp_path: Path) -> None:
    whole, tree = tmp_path / "whole/.git", tmp_path / "tree"
    write(whole / "refs/heads/side", f"{COMMIT}\n")
    write(whole / "worktrees/tree/HEAD", "ref: refs/heads/side\n")
    write(whole / "worktrees/tree/commondir", "../..\n")
    write(tree / ".git", f"gitdir: {whole / 'worktrees/tree'}\n")
    assert commit_of(tree) == COMMIT


def test_the_hash_of_the_sources_changes_with_them_and_with_nothing_else(tmp_path: Path) -> None:
    for room in ROOMS[:3]:
        write(tmp_path / room / "a.py", "x = 1\n")
    first = sources_of(tmp_path)
    write(tmp_path / ROOMS[0] / "notes.txt", "anything")
    write(tmp_path / "elsewhere/a.py", "x = 2\n")
    assert sources_of(tmp_path) == first
    write(tmp_path / ROOMS[0] / "a.py", "x = 2\n")
    changed = sources_of(tmp_path)
    write(tmp_path / ROOMS[0] / "a.py", "x = 1\n")
    (tmp_path / ROOMS[1] / "a.py").rename(tmp_path / ROOMS[1] / "b.py")
    assert len({first, changed, sources_of(tmp_path)}) == 3
