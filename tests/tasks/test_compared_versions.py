"""Comparing versions of heads on a small site: what a night finds is what a comparison finds, and nothing is changed by it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from infra.errors import ConfigurationError, UnknownNameError
from lake.catalogue import connect, select
from lake.labels import UseCase
from lake.promotions import promote
from tasks.flips import compare
from tasks.heads import KIND as RETRIEVAL
from tests.tasks.alarmed import LIVELY, lively, switch_on
from tests.tasks.heads import RULE, serve
from tests.tasks.nights import EAST, NORTH, SETTINGS, Night, configure, run
from workspace.classifiers import EVERY_CAMERA, KIND
from workspace.flip_pictures import flip_picture
from workspace.flip_sides import find_sides
from workspace.flips import CHANGES, FlipReport
from workspace.opened import Workspace

ONLY_EAST = {"cameras": [EAST]}
BUSY = UseCase(EAST, "frame", "busy").head_name
Told = set[tuple[Any, ...]]


def flips_of(workspace: Workspace, current: str, candidate: str) -> FlipReport:
    return compare(workspace, find_sides(workspace, current, candidate), "demo")


def files_of(workspace: Workspace) -> dict[str, str]:
    """Hash of every file of the lake and of the registry."""
    root = workspace.site.root
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("lake", "models")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


def counting(workspace: Workspace, head: str) -> Told:
    """Events of a head that count."""
    sql = "SELECT camera, day, event_id, started_at, ended_at, peak_us, peak_score FROM events WHERE head = ?"
    return {tuple(row.values()) for row in select(connect(workspace.store), sql, [head]).to_pylist()}


def changed(before: Told, after: Told, change: str) -> set[str]:
    """Names of events that are there only before, or only after, judged by their spans alone."""
    spans = [{(row[0], row[3], row[4]) for row in rows} for rows in (before, after)]
    mine, other = (before, spans[1]) if change == "lost" else (after, spans[0])
    return {row[2] for row in mine if (row[0], row[3], row[4]) not in other}


@pytest.fixture
def two_versions(copied: Workspace) -> Workspace:
    """A classifier of two versions, the stricter second one a candidate; the night has looked for the first one's alarm."""
    workspace = switch_on(lively(copied, EAST), ONLY_EAST)
    workspace = lively(workspace, EAST, 0.93, version="v2", serving=False)
    run(workspace)
    return Workspace(workspace.site.root)


def test_a_comparison_finds_what_the_nights_of_both_versions_find_and_changes_nothing(two_versions: Workspace) -> None:
    before = counting(two_versions, LIVELY)
    files = files_of(two_versions)
    report = flips_of(two_versions, LIVELY, f"{LIVELY}/v2")
    assert files_of(two_versions) == files
    assert (report.kind, report.current, report.candidate, report.remarks) == (KIND, "v1", "v2", ())
    assert {camera.camera: camera.current for camera in report.cameras} == {EAST: len(before)}
    assert f"alarm {LIVELY}" in report.applied[0] and "0.5000 of v2" in report.applied[0]

    promote(two_versions.ledger, KIND, LIVELY, "v2", "tests", EVERY_CAMERA)
    run(Workspace(two_versions.site.root))
    after = counting(Workspace(two_versions.site.root), LIVELY)
    assert report.total("candidate") == len(after) and before and after and before != after
    told = {change: {flip.shown.event_id for flip in report.of(change)} for change in CHANGES}
    assert told["lost"] <= {row[2] for row in before} and told["gained"] <= {row[2] for row in after}
    stays = {row[3:5] for row in before} & {row[3:5] for row in after}
    assert report.total("kept") >= len(stays)
    for flip in report.flips:  # whatever the comparison tells of an event is what the night wrote of it
        for found, rows in ((flip.current, before), (flip.candidate, after)):
            if found is not None:
                row = (flip.camera, flip.day, found.event_id, found.started_at, found.ended_at, found.peak_us)
                assert (*row, found.peak_score) in rows

    # What counted after each night is still in the lake, and gives the same flips.
    workspace = Workspace(two_versions.site.root)
    runs = sorted({row["run_id"] for row in workspace.ledger.rows("runs").to_pylist() if row["scope"] == LIVELY})
    assert len(runs) == 2
    counted = flips_of(workspace, f"{LIVELY}@{runs[0]}", f"{LIVELY}@now")
    assert counted.kind == "counted" and counted.candidate == runs[1]
    assert (counted.flips, counted.cameras) == (report.flips, report.cameras)
    assert counted.difference == report.difference


def test_without_an_alarm_every_class_is_looked_for_in_the_whole_picture_of_every_camera(copied: Workspace) -> None:
    workspace = lively(lively(copied, EAST), EAST, 0.93, version="v2", serving=False)
    report = flips_of(workspace, f"{LIVELY}/v1", f"{LIVELY}/v2")
    assert {camera.camera for camera in report.cameras} == {EAST, NORTH}
    assert {flip.shown.head for flip in report.flips} == {f"{LIVELY}.{LIVELY}"}
    pinned = switch_on(workspace, {**ONLY_EAST, "classifier": f"{LIVELY}/v1"})
    # A promotion does not reach an alarm that names its version.
    assert {camera.camera for camera in flips_of(pinned, f"{LIVELY}/v1", f"{LIVELY}/v2").cameras} == {EAST, NORTH}


def test_a_candidate_that_cannot_be_applied_loses_every_event_and_the_report_says_why(two_versions: Workspace) -> None:
    workspace = two_versions
    card, arrays = workspace.registry.load(KIND, LIVELY, "v2")
    workspace.registry.save(KIND, LIVELY, "v3", {**card, "classes": ["other"]}, arrays, author="tests")
    strange = {**card, "inputs": [{**item, "space": "0" * 20} for item in card["inputs"]]}
    workspace.registry.save(KIND, LIVELY, "v4", strange, arrays, author="tests")
    report = flips_of(workspace, f"{LIVELY}/v1", f"{LIVELY}/v4")
    assert report.total("lost") == report.total("current") > 0 and report.total("candidate") == 0
    assert any("v4" in remark and "its encoder" in remark and "camera-day" in remark for remark in report.remarks)
    named = switch_on(workspace, {**ONLY_EAST, "class_name": LIVELY})
    report = flips_of(named, f"{LIVELY}/v1", f"{LIVELY}/v3")
    assert report.total("candidate") == 0 and any('"lively"' in remark for remark in report.remarks)


def test_retrieval_heads_are_compared_over_their_own_camera(copied: Workspace) -> None:
    served = serve(copied, EAST)
    run(served)
    card, arrays = served.registry.load(RETRIEVAL, BUSY, "v1")
    rule = {**card["rule"], "threshold": 1.0, "minimum_s": RULE.minimum_s + 0.5}
    served.registry.save(RETRIEVAL, BUSY, "v2", {**card, "rule": rule}, arrays, author="tests")
    before = counting(served, "busy")
    report = flips_of(Workspace(served.site.root), BUSY, f"{BUSY}/v2")
    assert (report.kind, report.total("current")) == (RETRIEVAL, len(before))
    promote(served.ledger, RETRIEVAL, BUSY, "v2", "tests", EAST)
    run(Workspace(served.site.root))
    after = counting(served, "busy")
    assert report.total("candidate") == len(after) and after != before
    assert {flip.shown.event_id for flip in report.of("lost")} <= changed(before, after, "lost")
    counted = flips_of(Workspace(served.site.root), f"{BUSY}@{_first_run(served, BUSY)}", f"{BUSY}@now")
    assert counted.flips == report.flips


def _first_run(workspace: Workspace, scope: str) -> str:
    return min(str(row["run_id"]) for row in workspace.ledger.rows("runs").to_pylist() if row["scope"] == scope)


def test_a_change_of_settings_shows_in_what_the_novelty_head_counted(copied: Workspace) -> None:
    before = counting(copied, "novelty")
    changes = {"novelty": {**SETTINGS["novelty"], "floor_mad": 30.0}}
    night: Night = run(configure(copied.site.root, changes))
    assert {step for _, _, step, _ in night.done()} >= {"score"}
    workspace = Workspace(copied.site.root)
    after = counting(workspace, "novelty")
    report = flips_of(workspace, f"novelty@{_first_run(workspace, 'novelty')}", "novelty@now")
    assert (report.total("current"), report.total("candidate")) == (len(before), len(after))
    assert {camera.camera for camera in report.cameras} == {EAST, NORTH}
    flip = report.flips[0]
    content = flip_picture(workspace, flip.camera, flip.shown)
    assert content is not None and content.startswith(b"\xff\xd8")
    (kept,) = (workspace.site.state_folder / "flips").glob("*.jpg")
    kept.write_bytes(b"kept")  # decoded once: what is kept is shown
    assert flip_picture(workspace, flip.camera, flip.shown) == b"kept"


def test_the_verbs_compare_and_sign(two_versions: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def called(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leaving:
            main(["models", *arguments, "--site", str(two_versions.site.root)])
        told = capsys.readouterr()
        return int(leaving.value.code or 0), told.out, told.err

    versions = (LIVELY, f"{LIVELY}/v2")
    code, out, _ = called("compare", *versions, "--campaign", "demo", "--json")
    told = json.loads(out)
    assert (code, told["name"], told["signed_by"]) == (0, LIVELY, None)
    assert Path(told["file"]).is_file()
    code, out, _ = called("promote", LIVELY, "v2")
    assert code == 2
    code, out, _ = called("sign", told["report"], "--author", "ada")
    assert code == 0 and "ada signed" in out and "v1 → v2" in out
    code, out, _ = called("compare", *versions)  # the only campaign is meant
    assert code == 0 and "signed by ada" in out and told["report"] in out and "sign-flip test" in out
    assert called("promote", LIVELY, "v2", "--author", "ada")[0] == 0
    assert called("sign", "0" * 20)[0] == 2
    code, _, err = called("compare", f"{LIVELY}/v1", f"{LIVELY}/v2", "--campaign", "spring")
    assert code == 2 and "spring" in err and "demo" in err


def test_a_campaign_nobody_knows_is_refused(two_versions: Workspace) -> None:
    sides = find_sides(two_versions, f"{LIVELY}/v1", f"{LIVELY}/v2")
    with pytest.raises(UnknownNameError, match="demo"):
        compare(two_versions, sides, "spring")
    nowhere = switch_on(two_versions, {"cameras": ["nowhere"]})
    with pytest.raises(ConfigurationError, match="no camera-day"):
        compare(nowhere, sides, "demo")
