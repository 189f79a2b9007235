"""A damaged ledger: the night refuses it by name, a verb moves it out of the way, and the next night finds out what it said."""

from pathlib import Path

import pytest

from afterwatch.__main__ import main
from benchmarks.chaos_tables import content_of, differences
from infra.errors import LakeError
from infra.lock import night_lock
from tests.chaos.sites import small
from tests.tasks.nights import run
from workspace.opened import Workspace
from workspace.retention.policies import check_ledgers


def damage(file: Path) -> bytes:
    """Change one byte in the middle; returns what it was."""
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    return content


@pytest.mark.parametrize("again", [False, True], ids=["left aside", "put back whole"])
def test_what_a_damaged_ledger_said_is_found_out_again_and_nothing_is_decoded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], again: bool
) -> None:
    site = small(tmp_path / "site")
    run(site)
    root, lake = site.site.root, site.site.root / "lake"
    expected = content_of(root)
    files = [file for table in ("runs", "recordings") for file in sorted((lake / table).iterdir())]
    whole = {file: damage(file) for file in files}
    spoilt = {file: file.read_bytes() for file in files}
    with pytest.raises(LakeError, match=r"move it away and run again .*verify --set-aside"):
        run(Workspace(root))

    with pytest.raises(SystemExit) as ended:
        main(["verify", "--set-aside", "--site", str(root)])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for file in files:
        aside = lake / "damaged" / file.relative_to(lake)
        assert aside.read_bytes() == spoilt[file] and not file.exists()
        assert f"{file} is damaged: moved to {aside}" in said
    assert "retention deletes nothing" in said
    with pytest.raises(LakeError, match=r"damaged/runs/.* was set aside as damaged, .* so nothing is deleted"):
        check_ledgers(Workspace(root))
    if again:
        for file, content in whole.items():
            file.write_bytes(content)

    night = run(Workspace(root))
    assert night.report.status == "complete", night.report.attention
    assert night.done() == set(), "nothing is made again"
    assert differences(expected, content_of(root)) == []


def test_ledgers_that_are_whole_stay_and_a_night_at_work_is_not_disturbed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = small(tmp_path / "site", 1)
    run(site)
    names = {table: site.store.names(table) for table in ("runs", "recordings")}
    with pytest.raises(SystemExit):
        main(["verify", "--set-aside", "--site", str(site.site.root), "--json"])
    assert '"moved": {}' in capsys.readouterr().out
    assert {table: site.store.names(table) for table in ("runs", "recordings")} == names
    with night_lock(site.site.state_folder), pytest.raises(SystemExit) as ended:
        main(["verify", "--set-aside", "--site", str(site.site.root)])
    assert ended.value.code == 1
    assert "already running" in capsys.readouterr().err
