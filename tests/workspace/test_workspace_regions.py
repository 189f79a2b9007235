"""What people say of regions: rules, versions, and both forms of a statement's value."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from footage.regions import Region
from infra.errors import ConfigurationError, LakeError, UnknownNameError
from lake.ledger import Ledger, Statement
from lake.store import Store
from workspace.regions import (
    check_name,
    drawn_anew,
    drawn_region,
    outline_said,
    region_versions,
    regions_now,
    remove_region,
    say_region,
)

BOX = ((0.1, 0.2), (0.5, 0.2), (0.5, 0.6), (0.1, 0.6))
TRIANGLE = ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9))
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path / "lake")))


def test_what_is_said_is_read_back(ledger: Ledger) -> None:
    rome = timezone(timedelta(hours=1))
    said = say_region(ledger, "gate", "hatch", BOX, "anna", NOON.astimezone(rome))
    (now,) = regions_now(ledger, "gate")
    assert now == said
    assert (now.camera, now.name, now.author, now.drawn_on) == ("gate", "hatch", "anna", NOON)
    assert now.region == Region("hatch", BOX)
    (row,) = ledger.rows("regions").to_pylist()
    assert row["key"] == "gate/hatch" and row["camera"] == "gate"
    assert json.loads(row["value"]) == {"outline": [list(p) for p in BOX], "drawn_on": "2026-03-02T12:00:00+00:00"}


def test_the_newest_of_a_name_counts_and_all_are_kept(ledger: Ledger) -> None:
    say_region(ledger, "gate", "hatch", BOX, "anna")
    say_region(ledger, "gate", "door", BOX, "anna")
    say_region(ledger, "hall", "hatch", BOX, "anna")
    say_region(ledger, "gate", "hatch", TRIANGLE, "ben")
    remove_region(ledger, "gate", "door", "ben")
    assert [(one.camera, one.name, one.author) for one in regions_now(ledger)] == [
        ("gate", "hatch", "ben"),
        ("hall", "hatch", "anna"),
    ]
    told = [(one.name, one.region is not None) for one in region_versions(ledger, "gate")]
    assert told == [("hatch", True), ("door", True), ("hatch", True), ("door", False)]


def test_a_region_is_drawn_anew_when_its_outline_changes(ledger: Ledger) -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)

    def said(day: int, outline: object, camera: str = "east") -> None:
        moment = begin + timedelta(days=day)
        ledger.say("regions", [Statement(f"{camera}/hatch", "a", outline, camera=camera, said_at=moment)])

    said(0, BOX)
    said(0, BOX, "west")
    said(1, BOX)
    said(2, None)
    said(3, BOX)
    assert drawn_anew(ledger) == {}, "it never was another"
    said(4, TRIANGLE)
    said(5, None)
    said(6, TRIANGLE)
    assert drawn_anew(ledger) == {("east", "hatch"): begin + timedelta(days=4)}
    said(7, BOX)
    assert drawn_anew(ledger) == {("east", "hatch"): begin + timedelta(days=7)}, "also where it is drawn back"


def test_an_outline_as_it_was_said_before_moments_is_read(ledger: Ledger) -> None:
    ledger.say("regions", [Statement("gate/hatch", "anna", [list(p) for p in TRIANGLE], camera="gate")])
    (now,) = regions_now(ledger, "gate")
    assert now.region == Region("hatch", TRIANGLE) and now.drawn_on is None
    assert outline_said([list(p) for p in TRIANGLE]) == (TRIANGLE, None)
    assert outline_said({"outline": TRIANGLE, "drawn_on": NOON.isoformat()}) == (TRIANGLE, NOON)


@pytest.mark.parametrize("value", ["hatch", {"corners": []}, [[0.1], [0.2]], {"outline": BOX, "drawn_on": "noon"}, 7])
def test_a_value_that_is_no_outline_is_told(value: object) -> None:
    with pytest.raises(LakeError, match="draw it again"):
        outline_said(value)


@pytest.mark.parametrize("name", ["frame", "", "../door", "a/b", " door", "-door", "türe"])
def test_what_cannot_be_a_name_is_refused(name: str, ledger: Ledger) -> None:
    for refuse in (check_name, lambda told: say_region(ledger, "gate", told, BOX, "anna")):
        with pytest.raises(ConfigurationError) as caught:
            refuse(name)
        assert str(caught.value).startswith(f'"{name}" cannot name a region: "frame" is the whole picture')
    assert regions_now(ledger) == []


@pytest.mark.parametrize("outline", [BOX[:2], ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3)), ((0, 0), (1.2, 0), (1, 1))])
def test_what_is_no_outline_is_refused(outline: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigurationError, match=r'region "hatch".*fractions of the picture'):
        drawn_region("hatch", outline)


def test_a_region_has_an_author(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="say who you are"):
        say_region(ledger, "gate", "hatch", BOX, "  ")


def test_only_what_is_there_is_removed(ledger: Ledger) -> None:
    say_region(ledger, "gate", "hatch", BOX, "anna")
    with pytest.raises(UnknownNameError, match="hatch"):
        remove_region(ledger, "gate", "hutch", "anna")
    remove_region(ledger, "gate", "hatch", "anna")
    with pytest.raises(UnknownNameError, match="none"):
        remove_region(ledger, "gate", "hatch", "anna")
