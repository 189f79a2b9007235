"""Retention at work: locks, holds that are said meanwhile, kills between any two operations, and the proof of what went."""

import csv
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError, LakeError, NightError, UnknownNameError
from infra.lock import night_lock, refit_lock
from lake.current import current_outputs
from lake.keys import Place
from tests.workspace.kept_site import (
    CAMPAIGN,
    FIRST,
    HALL,
    NIGHT,
    POLICIES,
    SECOND,
    YARD,
    configured,
    copied_to,
    make_site,
    present,
    record,
    see,
)
from workspace.opened import Workspace
from workspace.retention import deleting, files
from workspace.retention.deleted import GONE, deleted_now, entries_now
from workspace.retention.deleting import GAVE_WAY, run_retention
from workspace.retention.holds import Hold, add_hold, holds_now, remove_hold
from workspace.retention.policies import plan_retention
from workspace.retention.proof import altered, as_csv, as_markdown, check_report, deletion_report

PLACES = [Place(CAMPAIGN, camera, day) for camera in (HALL, YARD) for day in (FIRST, SECOND)]
LATER = NIGHT + timedelta(days=400)


def clock() -> datetime:
    return LATER


def stopped_at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


class Killed(BaseException):
    """What a kill looks like from within: no handler of errors sees it."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_site(tmp_path_factory.mktemp("kept") / "site", **POLICIES)


@pytest.fixture
def site(made: Workspace, tmp_path: Path) -> Workspace:
    return copied_to(made, tmp_path / "site")


@pytest.fixture(scope="module")
def emptied(made: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The site after retention; treat it as read only."""
    site = copied_to(made, tmp_path_factory.mktemp("emptied") / "site")
    assert run_retention(site, "keeper", now=clock).status == "complete"
    return Workspace(site.site.root)


def test_each_file_is_entered_with_its_hash_and_seen_to_be_gone(made: Workspace, emptied: Workspace) -> None:
    entries = {entry.key: entry for entry in entries_now(emptied.ledger)}
    roots = {"lake": made.site.root / "lake", "workspace": made.site.root, "footage": made.site.footage_root}
    assert len(entries) == len(present(made)) - len(present(emptied)) == len(present(made)) - 0
    for entry in entries.values():
        path = roots[entry.where] / entry.path
        assert (entry.state, entry.author, entry.bytes) == (GONE, "keeper", path.stat().st_size)
        assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_nothing_that_reads_the_lake_looks_for_what_has_gone(emptied: Workspace) -> None:
    assert current_outputs(emptied.ledger) == []
    assert deleted_now(emptied.ledger).closed == {
        row["recording_id"] for row in emptied.ledger.rows("recordings").to_pylist()
    }
    rows = emptied.ledger.rows("recordings").to_pylist()
    assert {row["path"] for row in rows if row["status"] == "gone"} == {row["path"] for row in rows}


def test_a_second_run_has_nothing_to_do(emptied: Workspace, tmp_path: Path) -> None:
    site = copied_to(emptied, tmp_path / "site")
    before = len(site.ledger.rows("deletions"))
    done = run_retention(site, "keeper", now=clock)
    assert (done.status, done.deleted) == ("complete", [])
    assert len(Workspace(site.site.root).ledger.rows("deletions")) == before


# ——— kills ———

OPERATIONS = ("say", "record", "append_recordings", "unlink")


def _counting(monkeypatch: pytest.MonkeyPatch, site: Workspace, kill_before: int) -> list[str]:
    """Count what changes anything, and be killed before the operation of that number."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **told: Any) -> Any:
            if len(done) == kill_before:
                raise Killed
            done.append(name)
            return real(*arguments, **told)

        return operation

    for name in ("say", "record", "append_recordings"):
        monkeypatch.setattr(site.ledger, name, counted(name, getattr(site.ledger, name)))
    monkeypatch.setattr(deleting, "delete", counted("delete", files.delete))
    return done


def test_killed_before_any_operation_the_next_run_ends_as_if_nothing_had_been(
    made: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One camera's day alone, so that every place to be killed at can be tried."""
    small = copied_to(made, tmp_path / "small")
    _only(small, PLACES[0])
    whole = copied_to(small, tmp_path / "whole")
    with monkeypatch.context() as patch:
        operations = _counting(patch, whole, -1)
        assert run_retention(whole, "keeper", now=clock).status == "complete"
    wanted, proof = present(whole), _proof(whole)
    assert {"say", "record", "append_recordings", "delete"} == set(operations)
    assert len(operations) > 25
    for number in range(len(operations)):
        site = copied_to(small, tmp_path / f"killed-{number}")
        with monkeypatch.context() as patch:
            _counting(patch, site, number)
            with pytest.raises(Killed):
                run_retention(site, "keeper", now=clock)
        site = Workspace(site.site.root)
        entered = {entry.key for entry in entries_now(site.ledger)}
        assert {_key(name) for name in present(small) - present(site)} <= entered, "nothing goes before it is entered"
        assert run_retention(site, "keeper", now=lambda: LATER + timedelta(hours=1)).status == "complete"
        site = Workspace(site.site.root)
        assert present(site) == wanted, f"killed before operation {number}, {operations[number]}"
        assert _proof(site) == proof
        assert current_outputs(site.ledger) == []
        assert {row["status"] for row in _newest_rows(site)} == {"gone"}


def _proof(site: Workspace) -> set[tuple[str, str]]:
    return {(entry["path"], entry["sha256"]) for entry in deletion_report(site)["entries"]}


def _key(name: str) -> str:
    return name if name.split("/", 1)[0] in ("lake", "footage") else f"workspace/{name}"


def _newest_rows(site: Workspace) -> list[dict[str, Any]]:
    from lake.current import recordings_now

    return recordings_now(site.ledger)


def _only(site: Workspace, place: Place) -> None:
    """Leave one camera's day of a site, and what the ledger says of it."""
    import shutil

    for table in ("runs", "recordings"):
        rows = site.ledger.rows(table)
        mine = [row for row in rows.to_pylist() if Place(row["campaign"], row["camera"], row["day"]) == place]
        names = site.store.names(table)
        for name in names:
            site.store.delete(name)
        site.store.write_table(names[0], rows.from_pylist(mine, schema=rows.schema))
    for path in sorted(site.site.root.rglob("*")):
        name = path.as_posix()
        other = place.camera not in name or place.day.isoformat() not in name
        if path.is_file() and other and any(part in name for part in ("/published/", "/footage/", "day=", "/digests/")):
            path.unlink()
    shutil.rmtree(site.site.digests_folder)


def test_files_of_an_object_store_go_likewise(site: Workspace) -> None:
    lake = Path(site.store.location)
    (site.site.root / "afterwatch.toml").write_text(
        'lake = "memory://retained"\n[retention]\nidle_days = 1000\nallow_outside = true\nsuperseded_days = 30\n'
        "published_days = 30\nresults_days = 60\n"
    )
    opened = Workspace(site.site.root)
    for path in lake.rglob("*.parquet"):
        opened.store.filesystem.pipe_file(opened.store.url(path.relative_to(lake).as_posix()), path.read_bytes())
    done = run_retention(opened, "keeper", now=clock)
    assert done.status == "complete"
    assert {entry.policy for entry in done.deleted} == {"superseded", "published", "results"}
    names = [name for name in opened.store.filesystem.find("/retained") if "/day=" in name]
    assert names == []
    assert deletion_report(opened)["there_again"] == []


# ——— others at work ———


def test_while_a_night_or_a_refit_runs_nothing_is_deleted(site: Workspace) -> None:
    before = present(site)
    with night_lock(site.site.state_folder), pytest.raises(NightError, match="a night is already running"):
        run_retention(site, "keeper", now=clock)
    with refit_lock(site.site.state_folder), pytest.raises(NightError, match="a refit is already running"):
        run_retention(site, "keeper", now=clock)
    assert present(site) == before


def test_a_night_that_begins_is_given_way_to(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    night = threading.Thread(target=lambda: _night(site, asked))
    real, count = files.delete, [0]

    def delete(*arguments: Any) -> None:
        count[0] += 1
        if count[0] == 3:
            night.start()
            while not asked:
                pass
        real(*arguments)

    monkeypatch.setattr(deleting, "delete", delete)
    done = run_retention(site, "keeper", now=clock)
    night.join(timeout=30)
    assert (done.status, done.message) == ("partial", GAVE_WAY)
    assert asked[-1] == "ran"
    assert len(done.deleted) == 3
    monkeypatch.undo()
    assert run_retention(Workspace(site.site.root), "keeper", now=clock).status == "complete"


def _night(site: Workspace, asked: list[str]) -> None:
    with night_lock(site.site.state_folder, asking=asked.append):
        asked.append("ran")


def test_a_hold_that_is_said_while_files_go_keeps_the_rest(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said by another process: the run sees it before its next file."""
    real, left = files.delete, [0]
    other = Workspace(site.site.root)

    def delete(workspace: Workspace, where: Any, path: str) -> None:
        real(workspace, where, path)
        left[0] += 1
        if left[0] == 2:
            monkeypatch.setattr(deleting, "deletion_lock", _unlocked)  # held by this very thread
            value = {"campaign": None, "camera": None, "from": None, "to": None, "reason": "claim"}
            from lake.ledger import Statement

            other.ledger.say("holds", [Statement("case", "lawyer", value)])

    monkeypatch.setattr(deleting, "delete", delete)
    before = present(site)
    done = run_retention(site, "keeper", now=clock)
    assert len(before - present(site)) == 2
    assert len(done.deleted) == 2
    assert any(item.reason == "hold case: claim" for item in done.kept)
    entered = [entry for entry in entries_now(Workspace(site.site.root).ledger) if entry.state != GONE]
    assert entered, "what was entered and then held is told as not deleted"
    assert deletion_report(site)["entered"] == [entry.key for entry in entered]


def _unlocked(_folder: Path) -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_a_hold_waits_for_the_file_in_hand_and_holds_from_then_on(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When `holds add` has come back, nothing more of it goes."""
    real = files.delete
    there: list[set[str]] = []
    hold = Hold("case", None, None, None, None, "claim", "lawyer")

    def say() -> None:
        add_hold(Workspace(site.site.root).ledger, site.site.state_folder, hold, PLACES)
        there.append(present(site))

    adding = threading.Thread(target=say)

    def delete(*arguments: Any) -> None:
        if not adding.ident:
            adding.start()
        real(*arguments)

    monkeypatch.setattr(deleting, "delete", delete)
    run_retention(site, "keeper", now=clock)
    adding.join(timeout=30)
    assert there == [present(site)]
    assert there[0], "not all was gone before it was said"


def test_a_file_that_changes_while_it_is_entered_is_kept(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    path = site.site.footage_root / f"{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4"
    real = files.sha256_of

    def sha256_of(workspace: Workspace, where: Any, name: str) -> str:
        found = real(workspace, where, name)
        if name.endswith(path.name) and HALL in name:
            path.write_text("written anew by the recorder")
        return found

    monkeypatch.setattr(deleting, "sha256_of", sha256_of)
    done = run_retention(configured(site, idle_days=1000, footage_days=90), "keeper", now=clock)
    assert path.read_text() == "written anew by the recorder"
    assert done.failed == [
        f"footage/{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4: it changed while it was about to be deleted"
    ]


def test_a_file_that_cannot_be_deleted_is_told_and_the_others_go(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.delete

    def delete(workspace: Workspace, where: Any, path: str) -> None:
        if path.endswith("summary.mp4"):
            raise PermissionError(13, "Permission denied")
        real(workspace, where, path)

    monkeypatch.setattr(deleting, "delete", delete)
    done = run_retention(site, "keeper", now=clock)
    assert done.status == "partial"
    assert {line.rsplit(": ", 1)[1] for line in done.failed} == {"Permission denied"}
    assert all("summary.mp4" in name for name in present(site))
    assert not any(entry["path"].endswith("summary.mp4") for entry in deletion_report(site)["entries"])


# ——— the clock ———


@pytest.mark.parametrize(
    ("days", "why"),
    [
        (-2.0, "nothing is deleted by a clock that is behind"),
        (16.0, "the clock may have jumped ahead"),
        (3650.0, "the clock may have jumped ahead"),
    ],
)
def test_a_clock_that_the_ledger_belies_deletes_nothing(site: Workspace, days: float, why: str) -> None:
    opened = configured(site, **dict.fromkeys(POLICIES, 1))
    before = present(site)
    with pytest.raises(ConfigurationError, match=why):
        run_retention(opened, "keeper", now=lambda: NIGHT + timedelta(days=1 + days))
    assert present(site) == before


def test_a_night_under_the_wrong_clock_does_not_vouch_for_it(site: Workspace) -> None:
    """The clock is set years ahead, the night runs, then retention: the pause between two nights shows it."""
    opened = configured(site, **dict.fromkeys(POLICIES, 1))
    jumped = NIGHT + timedelta(days=1000)
    see(opened, [record(opened, Place(CAMPAIGN, YARD, jumped.date()))], jumped)
    for days in (0.1, 5, 13.9):
        with pytest.raises(ConfigurationError, match="nothing ran from"):
            run_retention(Workspace(site.site.root), "keeper", now=stopped_at(jumped + timedelta(days=days)))
    assert plan_retention(Workspace(site.site.root), jumped + timedelta(days=14)).files, "it was right after all"


def test_a_recording_of_the_future_stops_retention(site: Workspace) -> None:
    opened = configured(site, **dict.fromkeys(POLICIES, 1))
    late = Place(CAMPAIGN, YARD, (NIGHT + timedelta(days=40)).date())
    see(opened, [record(opened, late)], NIGHT + timedelta(days=2))
    with pytest.raises(ConfigurationError, match="one of the two clocks is wrong"):
        run_retention(Workspace(site.site.root), "keeper", now=lambda: NIGHT + timedelta(days=3))


def test_a_workspace_without_a_night_has_nothing_to_delete(tmp_path: Path) -> None:
    from afterwatch.workspace_files import make_workspace

    site = configured(Workspace(make_workspace(tmp_path / "new")), superseded_days=1)
    with pytest.raises(ConfigurationError, match="nothing was ever run"):
        run_retention(site, "keeper")


# ——— the proof ———


def test_the_report_is_a_chain_that_any_change_breaks(emptied: Workspace) -> None:
    told = deletion_report(emptied)
    entries, digest = told["entries"], told["digest"]
    assert altered(entries, digest) == []
    assert told["there_again"] == told["entered"] == []
    assert [*altered(entries[:-1], digest)] != []
    assert altered([*entries[:3], *entries[4:]], digest) != []
    assert altered([entries[1], entries[0], *entries[2:]], digest) != []
    for name in ("path", "sha256", "bytes", "author", "deleted_at", "policy"):
        changed = [dict(entry) for entry in entries]
        changed[5][name] = "0"
        assert altered(changed, digest) == [
            f"entry 6 ({changed[5]['path']}) does not follow from what stands before it"
        ]


def test_a_report_that_was_kept_is_held_against_the_ledger(emptied: Workspace, site: Workspace) -> None:
    text = json.dumps(deletion_report(emptied))
    assert check_report(emptied, text) == []
    lines = check_report(site, text)
    assert len(lines) == len(json.loads(text)["entries"]), "of another workspace: not a word of it stands there"
    with pytest.raises(LakeError, match="no deletion report"):
        check_report(emptied, "[]")


def test_a_file_that_is_put_back_is_told(emptied: Workspace, tmp_path: Path) -> None:
    site = copied_to(emptied, tmp_path / "site")
    record(site, PLACES[0])
    assert deletion_report(site)["there_again"] == [f"footage/{CAMPAIGN}/{HALL}/{FIRST}T08-00-00.mp4"]


def test_the_report_as_a_table_and_for_people_tells_every_file(emptied: Workspace) -> None:
    told = deletion_report(emptied)
    rows = list(csv.DictReader(io.StringIO(as_csv(told))))
    assert [row["sha256"] for row in rows] == [entry["sha256"] for entry in told["entries"]]
    assert rows[-1]["digest"] == told["digest"]
    text = as_markdown(told)
    assert all(entry["sha256"] in text and entry["path"] in text for entry in told["entries"])


# ——— holds ———


def test_holds_are_said_and_taken_back_with_a_reason(site: Workspace) -> None:
    state = site.site.state_folder
    hold = Hold("case 17", CAMPAIGN, HALL, FIRST, SECOND, "claim", "lawyer")
    add_hold(site.ledger, state, hold, PLACES)
    assert holds_now(site.ledger) == [hold]
    with pytest.raises(ConfigurationError, match="there is a hold case 17 already"):
        add_hold(site.ledger, state, hold, PLACES)
    with pytest.raises(UnknownNameError, match='unknown hold "case 18"'):
        remove_hold(site.ledger, state, "case 18", "settled", "lawyer")
    with pytest.raises(ConfigurationError, match="say with --reason"):
        remove_hold(site.ledger, state, "case 17", " ", "lawyer")
    remove_hold(site.ledger, state, "case 17", "settled", "lawyer")
    assert holds_now(site.ledger) == []
    said = [json.loads(row["value"]) for row in site.ledger.rows("holds").to_pylist()]
    assert said[-1] == {"removed": "settled"}


@pytest.mark.parametrize("what", [{"camera": "hal"}, {"campaign": "sprnig"}])
def test_a_hold_on_nothing_that_is_known_is_refused(site: Workspace, what: dict[str, str]) -> None:
    """It would hold nothing, and everybody would think it did."""
    given: dict[str, Any] = {"campaign": None, "camera": None} | what
    with pytest.raises(UnknownNameError, match="did you mean"):
        add_hold(
            site.ledger,
            site.site.state_folder,
            Hold("case", **given, from_day=None, to_day=None, reason="r", author="a"),
            PLACES,
        )


def test_a_hold_that_was_said_under_a_clock_ahead_is_taken_back_all_the_same(site: Workspace) -> None:
    ahead = Hold("case", None, None, None, None, "claim", "lawyer", datetime.now(UTC) + timedelta(days=9))
    add_hold(site.ledger, site.site.state_folder, ahead, PLACES)
    assert holds_now(site.ledger) == [ahead]
    remove_hold(site.ledger, site.site.state_folder, "case", "settled", "lawyer")
    assert holds_now(site.ledger) == []


@pytest.fixture(autouse=True)
def _no_hold_is_left(emptied: Workspace) -> Iterator[None]:
    yield
    assert holds_now(emptied.ledger) == [], "the shared site is read only"
