"""What people say of events: on recorded time, so that it outlives the events it was said of."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError
from infra.settings import SETTINGS_FILE
from lake.labels import labels_now
from lake.verdicts import judged_stretches
from tests.workspace.labelled_site import CAMPAIGN, DAY, EAST, EAST_ID, LATER_ID, NORTH, START, labelled_site
from workspace.event_files import EventRow
from workspace.opened import Workspace
from workspace.verdicts import judged_heads, say_verdict, take_verdict_back, verdicts_now

SECOND = 1_000_000


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return labelled_site(tmp_path / "site")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(begin_s: float, end_s: float, **changes: Any) -> EventRow:
    """An event of the eastern camera, times in seconds after its first recording began; that lasts 60 s, and a second one
    of 30 s begins at 120."""
    told: dict[str, Any] = {"campaign": CAMPAIGN, "camera": EAST, "day": DAY, "head": "novelty", "region": "frame"}
    times = {"started_at": at(begin_s), "ended_at": at(end_s), "peak_at": at(begin_s)}
    return EventRow(**(told | times | changes))


def test_a_verdict_is_a_label_of_the_novelty_head_on_the_time_of_the_event(site: Workspace) -> None:
    (said,) = say_verdict(site, event(10, 15), True, " ann ")
    assert (said.use_case.camera, said.use_case.region, said.use_case.name) == (EAST, "frame", "novelty")
    assert (said.recording_id, said.from_us, said.to_us) == (EAST_ID, 10 * SECOND, 15 * SECOND)
    assert (said.relevant, said.author, said.role) == (True, "ann", "label")
    assert labels_now(site.ledger) == [said]
    found = verdicts_now(site).of(event(10, 15))
    assert found is not None
    assert (found.word, found.author, found.said_at) == ("confirmed", "ann", said.said_at)
    assert verdicts_now(site).of(event(30, 35)) is None
    assert verdicts_now(site).of(event(10, 15, region="hatch")) is None
    assert verdicts_now(site, NORTH).of(event(10, 15)) is None


def test_an_event_that_crosses_recordings_is_a_label_on_each(site: Workspace) -> None:
    long = event(50, 130)
    said = say_verdict(site, long, False, "ann")
    assert [(one.recording_id, one.from_us, one.to_us) for one in said] == [
        (EAST_ID, 50 * SECOND, 60 * SECOND),
        (LATER_ID, 0, 10 * SECOND),
    ]
    found = verdicts_now(site).of(long)
    assert found is not None and not found.confirmed
    assert len(take_verdict_back(site, long, "bob")) == 2
    assert verdicts_now(site).of(long) is None


def test_the_newer_word_counts_and_may_be_taken_back(site: Workspace) -> None:
    say_verdict(site, event(10, 15), True, "ann")
    say_verdict(site, event(10, 15), False, "bob")
    found = verdicts_now(site).of(event(10, 15))
    assert found is not None and (found.confirmed, found.author) == (False, "bob")
    assert len(take_verdict_back(site, event(10, 15), "bob")) == 1
    assert verdicts_now(site).of(event(10, 15)) is None
    assert take_verdict_back(site, event(10, 15), "bob") == []
    assert judged_stretches(site.ledger, camera=EAST, head="novelty") == {}


@pytest.mark.parametrize(
    ("begin_s", "end_s", "told"),
    [(10, 20, True), (11, 19, True), (5, 15, True), (15, 25, True), (16, 26, None), (0, 60, None), (20, 30, None)],
)
def test_a_verdict_counts_for_an_event_of_which_it_covers_at_least_half(
    site: Workspace, begin_s: float, end_s: float, told: bool | None
) -> None:
    say_verdict(site, event(10, 20), True, "ann")
    found = verdicts_now(site).of(event(begin_s, end_s, version="another", event_id="another"))
    assert (found and found.confirmed) == told


def test_what_was_said_of_a_part_later_leaves_the_rest_as_it_was(site: Workspace) -> None:
    say_verdict(site, event(10, 40), True, "ann")
    say_verdict(site, event(20, 25), False, "bob")
    (stretches,) = verdicts_now(site).stretches.values()
    assert [(one.from_us // SECOND, one.to_us // SECOND, one.confirmed) for one in stretches] == [
        (10, 20, True),
        (20, 25, False),
        (25, 40, True),
    ]
    found = {span: verdicts_now(site).of(event(*span)) for span in ((10, 40), (20, 25), (26, 30))}
    assert [told is not None and told.confirmed for told in found.values()] == [True, False, True]


def test_events_of_alarms_have_verdicts_of_their_own(site: Workspace) -> None:
    settings = site.site.root / SETTINGS_FILE
    settings.write_text('[[alarms]]\nname = "fight"\nclassifier = "fights"\n', encoding="utf-8")
    alarmed = Workspace(site.site.root)
    assert judged_heads(alarmed) == ("novelty", "fight")
    fight, unusual = event(10, 15, head="fight"), event(10, 15)
    (said,) = say_verdict(alarmed, fight, False, "ann")
    assert (said.use_case.camera, said.use_case.region, said.use_case.name) == (EAST, "frame", "fight")
    say_verdict(alarmed, unusual, True, "bob")
    found = [verdicts_now(alarmed).of(one) for one in (fight, unusual)]
    assert [(one.word, one.author) for one in found if one is not None] == [("dismissed", "ann"), ("confirmed", "bob")]
    assert set(judged_stretches(alarmed.ledger, camera=EAST, head="novelty")) == {"frame"}
    assert len(take_verdict_back(alarmed, fight, "ann")) == 1
    assert verdicts_now(alarmed).of(fight) is None
    assert verdicts_now(alarmed).of(unusual) is not None, "the other head's stands"
    assert verdicts_now(site).of(fight) is None, "where no alarm is called so, nobody asks"
    with pytest.raises(ConfigurationError, match=r"novelty head or of an alarm \(novelty, fight\).*one of opening"):
        say_verdict(alarmed, event(10, 15, head="opening"), True, "ann")


def test_only_events_of_the_novelty_head_on_known_footage_take_a_verdict(site: Workspace) -> None:
    for wrong, reason in (
        (event(10, 15, head="opening"), "label its moments on the review page"),
        (event(500, 510), "no recording of camera hall-east"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            say_verdict(site, wrong, True, "ann")
        with pytest.raises(ConfigurationError, match=reason):
            take_verdict_back(site, wrong, "ann")
    with pytest.raises(ConfigurationError, match="author"):
        say_verdict(site, event(10, 15), True, " ")
    assert labels_now(site.ledger) == []
