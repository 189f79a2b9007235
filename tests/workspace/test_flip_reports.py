"""Flip reports: what of a head counted after two runs, people's verdicts on it, the file, its signature, its pictures."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError, LakeError, UnknownNameError
from lake.keys import Place
from lake.labels import Label, UseCase, say_labels
from lake.ledger import RunRow, Statement
from lake.store import rows_of
from models.flips import McNemar
from tests.workspace.labelled_site import CAMPAIGN, DAY, EAST, EAST_ID, LATER_ID, NORTH, NORTH_ID, START, labelled_site
from workspace.counted_events import counted_events
from workspace.flip_files import keep_report, read_report, report_ids, reports_folder
from workspace.flip_pictures import flip_picture
from workspace.flip_reports import Identity, make_report
from workspace.flip_sides import RunSides, VersionSides, find_sides
from workspace.flip_signing import TABLE, sign, signature_of, signed_report
from workspace.flips import (
    CameraCount,
    Compared,
    ComparedDay,
    Flip,
    FlipReport,
    FoundEvent,
    difference_words,
    judged_words,
)
from workspace.opened import Workspace
from workspace.trained_recordings import trained_recordings

OPENING = "opening"
FIRST, SECOND = "20260303T010000-aaaa", "20260304T010000-bbbb"
ENDED = {FIRST: datetime(2026, 3, 3, 1, 5, tzinfo=UTC), SECOND: datetime(2026, 3, 4, 1, 5, tzinfo=UTC)}
Times = Sequence[tuple[float, float]]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(
    begin_s: float, end_s: float, *, head: str = OPENING, region: str = "frame", recording: str = EAST_ID
) -> FoundEvent:
    """An event of the eastern camera's first recording, in seconds after it began."""
    name = f"{head}-{region}-{begin_s:g}-{end_s:g}"
    begin, end = at(begin_s), at(end_s)
    return FoundEvent(head, region, name, "v", recording, round(begin_s * 1e6), begin, end, begin, 0.5, 0.25)


def day(current: Times, candidate: Times, camera: str = EAST) -> ComparedDay:
    recording = {EAST: EAST_ID, NORTH: NORTH_ID}[camera]
    found = (tuple(event(*one, recording=recording) for one in times) for times in (current, candidate))
    return ComparedDay(Place(CAMPAIGN, camera, DAY), *found)


def report_of(
    workspace: Workspace, *days: ComparedDay, models: tuple[tuple[str, str, str], ...] = (), **told: Any
) -> FlipReport:
    identity = Identity(
        **{"kind": "classifier", "name": "fights", "current": "v1", "candidate": "v2", "campaign": CAMPAIGN} | told
    )
    return make_report(workspace, identity, Compared(days, (OPENING,), models, made_from=("b", "a")))


def say(
    workspace: Workspace, begin_s: float, end_s: float, relevant: bool, recording: str = EAST_ID, **changes: Any
) -> None:
    camera = {EAST_ID: EAST, NORTH_ID: NORTH, LATER_ID: EAST}[recording]
    case = UseCase(camera, "frame", OPENING)
    span = (round(begin_s * 1e6), round(end_s * 1e6))
    say_labels(workspace.ledger, [Label(case, CAMPAIGN, DAY, recording, *span, relevant, "ann", **changes)])


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return labelled_site(tmp_path / "site")


# The report


def test_a_report_tells_what_is_gained_lost_moved_and_kept_of_each_camera(site: Workspace) -> None:
    report = report_of(site, day([(0, 10), (20, 30)], [(1, 10), (26, 40), (50, 55)]), day([(5, 9)], [], NORTH))
    assert report.cameras == (
        CameraCount(EAST, days=1, current=2, candidate=3, kept=1, moved=1, lost=0, gained=1),
        CameraCount(NORTH, days=1, current=1, candidate=0, kept=0, moved=0, lost=1, gained=0),
    )
    assert [(flip.change, flip.camera, flip.shown.started_at) for flip in report.flips] == [
        ("moved", EAST, at(26)),
        ("gained", EAST, at(50)),
        ("lost", NORTH, at(5)),
    ]
    (moved,) = report.of("moved")
    assert moved.iou == 0.2 and moved.current is not None and moved.current.started_at == at(20)
    assert report.of("lost", EAST) == [] and len(report.of("lost", NORTH)) == 1
    assert report.total("current") == report.total("candidate") == 3


def test_regions_and_heads_are_matched_each_for_itself(site: Workspace) -> None:
    place = Place(CAMPAIGN, EAST, DAY)
    current = (event(0, 10), event(20, 30, region="hatch"))
    candidate = (event(0, 10, region="hatch"), event(20, 30, head="other"))
    report = report_of(site, ComparedDay(place, current, candidate))
    assert [flip.change for flip in report.flips] == ["lost", "gained", "lost", "gained"]


def test_a_report_is_read_back_as_it_was_made_and_is_the_same_for_the_same_footage(site: Workspace) -> None:
    days = (day([(0, 10), (20, 30)], [(1, 10), (26, 40)]), day([(5, 9)], [], NORTH))
    report = report_of(site, *days)
    report_id = keep_report(site, report)
    assert read_report(site, report_id) == report
    assert keep_report(site, report_of(site, *days)) == report_id
    assert report_ids(site) == [report_id]
    content = (reports_folder(site) / f"{report_id}.json").read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith(report_id)
    assert site.registry.versions() == []  # a folder of reports is no kind of model
    assert keep_report(site, report_of(site, days[0])) != report_id


def test_few_camera_days_are_tested_by_recording_and_many_by_day(site: Workspace) -> None:
    few = report_of(site, day([(0, 10)], [(0, 10), (20, 30)]), day([(5, 9)], [], NORTH))
    # Both of the eastern camera's recordings count, the one without an event too; the broken one does not.
    assert (few.unit, few.difference.units, few.difference.differing) == ("recording", 3, 2)
    assert few.difference.difference == 0
    places = [Place(CAMPAIGN, f"camera-{number}", DAY) for number in range(7)]
    many = report_of(site, *(ComparedDay(place, (), (event(0, 10),)) for place in places))
    assert (many.unit, many.difference.units) == ("camera-day", 7)
    assert many.difference.p == pytest.approx(2 / 128)
    assert "7 events more than" in difference_words(many) and "too few" not in difference_words(many)
    assert "too few differ" in difference_words(few)


def test_without_a_day_there_is_no_report_and_the_reason_is_told(site: Workspace) -> None:
    compared = Compared((), (OPENING,), remarks=("not embedded yet (2 camera-days)",))
    with pytest.raises(ConfigurationError, match="not embedded yet"):
        make_report(site, Identity("classifier", "fights", "v1", "v2", CAMPAIGN), compared)


def test_events_and_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="gained"):
        Flip("gained", CAMPAIGN, EAST, DAY, event(0, 1), None)
    with pytest.raises(ValueError, match="add up"):
        CameraCount(EAST, 1, current=2, candidate=1, kept=1, moved=0, lost=0, gained=0)


# Verdicts


def test_verdicts_stand_beside_the_events_and_tell_which_version_is_right(site: Workspace) -> None:
    say(site, 0, 10, True)  # both find it
    say(site, 20, 30, True)  # only the candidate does
    say(site, 40, 50, False)  # only the version in service finds what is none
    say(site, 55, 58, True)  # neither finds it
    say(site, 12, 13, True, LATER_ID)  # another recording: 132 s after the first began; neither
    report = report_of(site, day([(0, 10), (42, 44)], [(0, 9), (20, 28)]))
    assert report.judged == McNemar(both=1, neither=2, only_current=0, only_candidate=2)
    assert {flip.change: flip.verdict for flip in report.flips} == {"lost": "dismissed", "gained": "confirmed"}
    assert "too few differ" in judged_words(report)
    say(site, 0, 10, False)  # the newer word counts
    assert report_of(site, day([(0, 10)], [])).judged.only_candidate >= 1


def test_what_nobody_judged_is_told_so(site: Workspace) -> None:
    report = report_of(site, day([(0, 10)], []))
    assert report.judged.judged == 0 and report.flips[0].verdict == ""
    assert judged_words(report) == "people's verdicts tell nothing of which is right; there are none"


def test_verdicts_on_what_a_version_was_trained_on_do_not_count(site: Workspace) -> None:
    say(site, 0, 10, True)
    say(site, 0, 10, True, NORTH_ID)
    say(site, 12, 13, True, LATER_ID)
    card = {"contents": [f"recording:{EAST_ID}/0-10/frame/fight", "c11b" * 16]}
    site.registry.save("classifier", "fights", "v2", card, {}, author="ann")
    models = (("classifier", "fights", "v2"),)
    report = report_of(site, day([(0, 10)], []), day([(0, 10)], [], NORTH), models=models)
    assert report.judged == McNemar(both=0, neither=1, only_current=1, only_candidate=0)
    assert report.learnt == 1
    assert "1 of recordings that a version may have been trained on are left out" in judged_words(report)


def test_a_card_that_names_no_contents_was_trained_on_what_was_labelled_by_then(site: Workspace) -> None:
    said_at = datetime(2026, 3, 10, tzinfo=UTC)
    labels = [
        Label(
            UseCase(EAST, "frame", OPENING),
            CAMPAIGN,
            DAY,
            name,
            0,
            9,
            True,
            "ann",
            said_at=said_at + timedelta(days=late),
        )
        for name, late in ((EAST_ID, 0), (LATER_ID, 0), (NORTH_ID, 2))
    ]
    known = {"known_until": (said_at + timedelta(days=1)).isoformat(), "comparison": {"left_out": [LATER_ID]}}
    site.registry.save("retrieval", "x", "v1", known, {}, author="ann")
    assert trained_recordings(site, "retrieval", "x", "v1", labels) == {EAST_ID}
    assert trained_recordings(site, "retrieval", "x", "gone", labels) == {EAST_ID, LATER_ID, NORTH_ID}


# Signing


def test_a_signed_report_is_found_for_its_two_versions_only(site: Workspace) -> None:
    report_id = keep_report(site, report_of(site, day([(0, 10)], [])))
    assert signed_report(site, "classifier", "fights", "v1", "v2") is None
    signed = sign(site, report_id, " ada ")
    assert (signed.author, signed.report_id, signed.campaign) == ("ada", report_id, CAMPAIGN)
    assert signed_report(site, "classifier", "fights", "v1", "v2") == signed == signature_of(site, report_id)
    for other in (
        ("retrieval", "fights", "v1", "v2"),
        ("classifier", "falls", "v1", "v2"),
        ("classifier", "fights", "v2", "v1"),
        ("classifier", "fights", "v1", "v3"),
    ):
        assert signed_report(site, *other) is None
    again = sign(site, report_id, "ben")
    assert signed_report(site, "classifier", "fights", "v1", "v2") == again
    assert again.author == "ben"


def test_a_report_that_was_altered_cannot_be_signed_and_its_signature_counts_no_more(site: Workspace) -> None:
    report_id = keep_report(site, report_of(site, day([(0, 10)], [(0, 10)])))
    path = reports_folder(site) / f"{report_id}.json"
    whole = path.read_text()
    sign(site, report_id, "ada")
    path.write_text(whole.replace('"kept": 1', '"kept": 2'))
    assert path.read_text() != whole
    assert signed_report(site, "classifier", "fights", "v1", "v2") is None
    with pytest.raises(LakeError, match="altered"):
        sign(site, report_id, "ada")
    with pytest.raises(LakeError, match="altered"):
        read_report(site, report_id)
    path.write_text(whole)
    assert signed_report(site, "classifier", "fights", "v1", "v2") is not None
    path.unlink()
    assert signed_report(site, "classifier", "fights", "v1", "v2") is None
    with pytest.raises(UnknownNameError, match="flip report"):
        sign(site, report_id, "ada")


def test_an_altered_report_under_the_name_of_its_own_hash_is_not_what_was_signed(site: Workspace) -> None:
    report_id = keep_report(site, report_of(site, day([(0, 10)], [])))
    sign(site, report_id, "ada")
    path = reports_folder(site) / f"{report_id}.json"
    other = path.read_text().replace('"lost": 1', '"lost": 9').encode()
    shutil.move(path, path.with_name(f"{hashlib.sha256(other).hexdigest()[:20]}.json"))
    path.with_name(f"{hashlib.sha256(other).hexdigest()[:20]}.json").write_bytes(other)
    assert signed_report(site, "classifier", "fights", "v1", "v2") is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 20, "0" * 19, "0" * 20 + "/x", "0" * 20 + "\n"])
def test_what_is_no_id_opens_no_file(site: Workspace, name: str) -> None:
    with pytest.raises(UnknownNameError):
        sign(site, name, "ada")


def test_a_signature_has_an_author_and_rows_by_hand_are_passed_over(site: Workspace) -> None:
    report_id = keep_report(site, report_of(site, day([(0, 10)], [])))
    with pytest.raises(ConfigurationError, match="who you are"):
        sign(site, report_id, "  ")
    for value in ("yes", {"sha256": 7}, {"sha256": report_id}, {"sha256": "f" * 64}):
        site.ledger.say(TABLE, [Statement(report_id, "eve", value)])
        assert signature_of(site, report_id) is None


def test_a_file_that_is_no_report_is_told(site: Workspace) -> None:
    content = json.dumps({"format": 99}).encode()
    name = hashlib.sha256(content).hexdigest()[:20]
    reports_folder(site).mkdir(parents=True)
    (reports_folder(site) / f"{name}.json").write_bytes(content)
    with pytest.raises(LakeError, match="no report"):
        read_report(site, name)


# Runs of the ledger


def counted(
    workspace: Workspace, run: str, times: Times, *, head: str = "novelty", step: str = "score", **changes: Any
) -> str:
    """A step of a run over the eastern camera's day; returns the file of its events."""
    found = [event(*one, head=head) for one in times]
    path = f"events/{Place(CAMPAIGN, EAST, DAY).folder}/{run}-{head}.parquet"
    told = {
        "campaign": CAMPAIGN,
        "camera": EAST,
        "day": DAY,
        "head": head,
        "version": "v",
        "region": "frame",
        "event_id": [one.event_id for one in found],
        "rank": list(range(1, len(found) + 1)),
        "alarm": True,
        "recording_id": EAST_ID,
        "started_at": [one.started_at for one in found],
        "ended_at": [one.ended_at for one in found],
        "peak_at": [one.peak_at for one in found],
        "peak_us": [one.peak_us for one in found],
        "peak_score": 0.5,
        "threshold": 0.25,
        "deviations": None,
        "keyframe": "",
        "clip": "",
    }
    workspace.store.write_table(path, rows_of("events", told))
    row = {"key": f"{run}-{head}", "status": "done", "outputs": (path,), **changes}
    ended = ENDED[run]
    workspace.ledger.record(
        [
            RunRow(
                run, step, CAMPAIGN, EAST, DAY, head, started_at=ended - timedelta(minutes=2), finished_at=ended, **row
            )
        ]
    )
    return path


def sides(workspace: Workspace, head: str = "novelty", current: str = FIRST, candidate: str = "now") -> RunSides:
    found = find_sides(workspace, f"{head}@{current}", f"{head}@{candidate}")
    assert isinstance(found, RunSides)
    return found


def test_what_counted_after_each_of_two_runs_is_held_against_each_other(site: Workspace) -> None:
    counted(site, FIRST, [(0, 10), (20, 30)])
    counted(site, SECOND, [(0, 10), (50, 55)])
    compared = counted_events(site, sides(site), CAMPAIGN)
    (only,) = compared.days
    assert [one.started_at for one in only.current] == [at(0), at(20)]
    assert [one.started_at for one in only.candidate] == [at(0), at(50)]
    assert compared.made_from == (f"{FIRST}-novelty", f"{SECOND}-novelty")
    back = counted_events(site, sides(site, current=SECOND, candidate=FIRST[:15]), CAMPAIGN)
    assert back.days[0].current == only.candidate


def test_a_head_that_was_retired_between_loses_its_events_and_one_that_came_gains_them(site: Workspace) -> None:
    counted(site, FIRST, [(0, 10)], head="lively", step="classify", inputs=("classifier/fights/v1/fight", "k"))
    counted(site, SECOND, [], head="lively", step="classify", outputs=())
    compared = counted_events(site, sides(site, "lively", candidate=SECOND), CAMPAIGN)
    assert [len(one.current) - len(one.candidate) for one in compared.days] == [1]
    assert compared.models == (("classifier", "fights", "v1"),)


def test_superseded_events_that_were_deleted_are_told_and_left_out(site: Workspace) -> None:
    path = counted(site, FIRST, [(0, 10)])
    counted(site, SECOND, [(0, 10)])
    site.store.delete(path)
    compared = counted_events(site, sides(site), CAMPAIGN)
    assert compared.days == ()
    assert EAST in compared.remarks[0] and "retention did not delete them" in compared.remarks[0]
    entry = {
        "where": "lake",
        "path": path,
        "policy": "results",
        "days": 90,
        "reason": "old",
        "bytes": 1,
        "sha256": "0" * 64,
    }
    gone = {**entry, "run": "r", "state": "gone"}
    site.ledger.say("deletions", [Statement(f"lake/{path}", "keeper", gone, CAMPAIGN, EAST, DAY)])
    told = counted_events(site, sides(site), CAMPAIGN)
    with pytest.raises(ConfigurationError, match=r"no camera-day .* retention deleted the events .*retention report"):
        make_report(site, Identity("counted", "novelty", FIRST, SECOND, CAMPAIGN), told)


def test_names_that_stand_for_nothing_are_refused_with_what_would_be_right(site: Workspace) -> None:
    counted(site, FIRST, [(0, 10)])
    counted(site, SECOND, [(0, 10)])
    for version in ("a1", "a2", "b1"):
        site.registry.save("classifier", "fights", version, {"made_at": version}, {}, author="ann")
    site.registry.save("projection", "scenes", "v1", {}, {}, author="ann")
    for current, candidate, words in (
        ("novelty@x", "novelty@now", 'unknown run "x"'),
        ("novelty@", "novelty@now", "unknown run"),
        ("nobody@now", "nobody@now", 'unknown head with events "nobody"'),
        ("novelty@now", "lively@now", "not of one head"),
        ("novelty@now", f"novelty@{SECOND}", "same run"),
        ("novelty@now", "fights/a1", "NAME/VERSION"),
        ("fights/a1", "falls/a1", "not of one model"),
        ("fights/a1", "fights/a1", "same version"),
        ("fights/a1", "fights/c", 'unknown version of classifier fights "c"'),
        ("fights/a", "fights/b1", 'unknown version of classifier fights "a"'),
        ("fights", "fights/a1", "no version of classifier fights is in service"),
        ("scenes/v1", "scenes/v2", "HEAD@RUN"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            find_sides(site, current, candidate)
    assert find_sides(site, "fights/a1", "fights/b") == VersionSides("classifier", "fights", "a1", "b1")


def test_a_picture_of_what_is_gone_is_none_and_leaves_nothing(site: Workspace) -> None:
    assert flip_picture(site, EAST, event(0, 10)) is None
    assert not (site.site.state_folder / "flips").exists()
