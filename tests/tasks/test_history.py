"""What the ledger says of past nights."""

from tasks.history import failed_places, last_nights
from tasks.plan import Selection
from tasks.receipts import Receipt, record
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, NORTH, TUESDAY, run
from tests.tasks.planned import plan
from workspace.opened import Workspace


def test_a_site_without_a_night_has_neither_a_last_nor_a_running_one(small_site: object) -> None:
    assert last_nights(Workspace(str(small_site))) == {"last": None, "running": None}


def test_the_last_night_is_told_as_it_was_reported(processed: Processed) -> None:
    told = last_nights(processed.workspace)
    assert told == {"last": processed.night.report.as_json() | {"seconds": told["last"]["seconds"]}, "running": None}


def test_steps_of_a_night_that_has_not_closed_are_a_running_one(copied: Workspace) -> None:
    place = plan(copied)[0].place
    record(copied.ledger, "tonight", [Receipt(place, "embed", "frames", "k", "done")] * 2)
    told = last_nights(copied)
    assert (told["running"]["run"], told["running"]["steps"]) == ("tonight", 2)
    assert told["last"] is not None
    run(copied)
    assert last_nights(copied)["running"] is None, "it was killed: a later night has closed"


def test_failed_places_are_those_whose_newest_word_is_a_failure(copied: Workspace) -> None:
    assert failed_places(copied, ()) == set()
    places = {(day.place.camera, day.place.day): day.place for day in plan(copied)}
    east, north = places[EAST, MONDAY], places[NORTH, TUESDAY]
    record(copied.ledger, "one", [Receipt(east, "score", "novelty", "k", "failed", message="disk full")])
    record(copied.ledger, "one", [Receipt(north, "embed", "frames", "k", "partial")])
    assert failed_places(copied, ()) == {east, north}
    record(copied.ledger, "two", [Receipt(east, "score", "novelty", "k", "done")])
    assert failed_places(copied, ()) == {north}
    run(copied, Selection(camera=NORTH))
    assert failed_places(copied, ()) == set()


def test_files_out_of_quarantine_make_their_day_one_to_take_up(processed: Processed) -> None:
    row = processed.night.rows[0]
    places = failed_places(processed.workspace, [row, {**row, "status": "quarantined", "camera": "other"}])
    assert {(place.camera, place.day) for place in places} == {(row["camera"], row["day"])}
