"""The queue as people meet it: what is asked, what an answer says, what is not asked any more, and taking back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.errors import ConfigurationError, UnknownNameError
from lake.labels import UseCase, labels_now, say_labels
from lake.ledger import Ledger, RunRow
from tests.workspace.labelled_site import CAMPAIGN, DAY, EAST, NORTH, label
from tests.workspace.queued_site import SECOND, put_queue, question, queued_site
from workspace.opened import Workspace
from workspace.queue_items import (
    QueueItem,
    answer,
    done_tonight,
    find_item,
    queue_files,
    queue_now,
    read_queue,
    skip,
    skips_now,
    take_back,
)
from workspace.verdicts import verdicts_now


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return queued_site(tmp_path / "site")


def asked(site: Workspace) -> list[tuple[str, float]]:
    return [(item.head, item.from_us / SECOND) for item in queue_now(site)]


def item_of(site: Workspace, head: str) -> QueueItem:
    return next(item for item in read_queue(site).items if item.head == head)


def test_the_last_nights_are_listed_by_campaign_and_rank(site: Workspace) -> None:
    assert asked(site) == [("novelty", 4), ("fight", 10), ("opening", 20), ("novelty", 30)]
    put_queue(site, [question(1, campaign="autumn", camera=NORTH)])
    assert [item.campaign for item in queue_now(site)] == ["autumn", *[CAMPAIGN] * 4]
    assert [item.from_us for item in queue_now(site, "autumn")] == [SECOND]
    assert [item.head for item in queue_now(site, camera=EAST, head="fight")] == ["fight"]
    assert queue_now(site, "winter") == ()
    (first, *_) = queue_now(site, CAMPAIGN)
    assert (first.seconds, first.use_case, first.span.to_us) == (2.0, UseCase(EAST, "frame", "novelty"), 6 * SECOND)


def test_a_new_night_asks_anew_and_of_two_days_the_newest_counts(site: Workspace) -> None:
    put_queue(site, [question(50)])
    assert asked(site) == [("novelty", 50)]
    put_queue(site, [question(60)], DAY + timedelta(days=9))
    put_queue(site, [question(55)], DAY + timedelta(days=1))
    assert asked(site) == [("novelty", 60)]
    now = datetime.now(UTC)
    over = [DAY + timedelta(days=9), DAY + timedelta(days=1), DAY]
    site.ledger.record([RunRow("run", "queue", CAMPAIGN, "", day, "", "key", "skipped", now, now) for day in over])
    assert (queue_files(site.ledger), queue_now(site)) == ({}, ())


def test_names_stay_as_long_as_the_same_is_asked(site: Workspace) -> None:
    item = item_of(site, "fight")
    assert item.queue_id == replace(item, rank=9, score=0.7, version="v2", reason="diverse").queue_id
    others = [replace(item, head="theft"), replace(item, region="hatch"), replace(item, to_us=13 * SECOND)]
    names = {one.queue_id for one in (item, *others, replace(item, camera=NORTH))}
    assert len(names) == 5
    assert find_item(site, item.queue_id) == item
    with pytest.raises(UnknownNameError, match="item of the queue"):
        find_item(site, "0" * 12)


@pytest.mark.parametrize("head", ["novelty", "fight", "opening"])
@pytest.mark.parametrize("relevant", [True, False])
def test_an_answer_is_a_label_of_the_head_on_the_snippet(site: Workspace, head: str, relevant: bool) -> None:
    item = item_of(site, head)
    said = answer(site, item, relevant, " ann ")
    assert labels_now(site.ledger) == [said]
    assert (said.use_case, said.span, said.relevant, said.author) == (item.use_case, item.span, relevant, "ann")
    assert (said.campaign, said.day, said.role) == (item.campaign, item.day, "label")
    left = read_queue(site)
    assert item not in left.left and len(left.left) == 3
    told = left.answers[item.queue_id]
    assert (told.word, told.author, told.elsewhere) == ("relevant" if relevant else "irrelevant", "ann", False)


def test_of_a_novelty_head_it_is_the_same_as_a_verdict(site: Workspace) -> None:
    item = item_of(site, "novelty")
    answer(site, item, True, "ann")
    (stretch,) = verdicts_now(site).stretches[item.use_case]
    assert (stretch.recording_id, stretch.from_us, stretch.to_us) == (item.recording_id, item.from_us, item.to_us)
    assert stretch.confirmed


def test_the_newest_answer_counts_and_taking_back_asks_again(site: Workspace) -> None:
    item = item_of(site, "fight")
    answer(site, item, True, "ann")
    answer(site, item, False, "bob")
    assert read_queue(site).answers[item.queue_id].word == "irrelevant"
    assert take_back(site, item, "ann") == "irrelevant"
    assert labels_now(site.ledger) == [] and item in queue_now(site)
    assert take_back(site, item, "ann") is None


def test_what_is_skipped_is_not_asked_until_it_is_taken_back_or_answered(site: Workspace) -> None:
    item = item_of(site, "opening")
    skip(site, item, "ann")
    assert item not in queue_now(site) and labels_now(site.ledger) == []
    (said,) = skips_now(Ledger(site.store))
    assert (said.use_case, said.span, said.campaign, said.day) == (item.use_case, item.span, CAMPAIGN, DAY)
    assert take_back(site, item, "bob") == "skipped"
    assert item in queue_now(site) and skips_now(site.ledger) == ()
    skip(site, item, "ann")
    answer(site, item, True, "ann")
    assert (read_queue(site).answers[item.queue_id].word, skips_now(site.ledger)) == ("relevant", ())
    assert take_back(site, item, "ann") == "relevant"


def test_what_is_answered_is_not_skipped(site: Workspace) -> None:
    item, other = item_of(site, "opening"), item_of(site, "fight")
    answer(site, item, True, "ann")
    with pytest.raises(ConfigurationError, match=rf"relevant by ann.*queue undo {item.queue_id}"):
        skip(site, item, "bob")
    say_labels(site.ledger, [replace(label(from_us=other.from_us, to_us=other.to_us + 1), use_case=other.use_case)])
    with pytest.raises(ConfigurationError, match=r"by inspector.*where it was said"):
        skip(site, other, "bob")
    assert skips_now(site.ledger) == () and len(labels_now(site.ledger)) == 2
    take_back(site, item, "ann")
    skip(site, item, "bob")
    skip(site, item, "ann")
    assert read_queue(site).answers[item.queue_id].word == "skipped"


def test_what_was_said_elsewhere_counts_and_is_not_taken_back_here(site: Workspace) -> None:
    item = item_of(site, "opening")
    beside = label(from_us=item.to_us, to_us=item.to_us + SECOND)
    other = label(from_us=item.from_us, to_us=item.to_us, name="closing")
    say_labels(site.ledger, [beside, other])
    assert item in queue_now(site), "neither the time beside it nor another use case"
    say_labels(site.ledger, [label(from_us=item.from_us - SECOND, to_us=item.from_us + 1, relevant=False)])
    told = read_queue(site).answers[item.queue_id]
    assert (told.word, told.author, told.elsewhere) == ("irrelevant", "inspector", True)
    assert take_back(site, item, "ann") is None
    assert len(labels_now(site.ledger)) == 3


def test_counts_are_by_head_and_add_up(site: Workspace) -> None:
    answer(site, item_of(site, "novelty"), True, "ann")
    answer(site, item_of(site, "fight"), False, "ann")
    skip(site, item_of(site, "opening"), "ann")
    counts = {
        count.head: (count.asked, count.relevant, count.irrelevant, count.skipped, count.left)
        for count in done_tonight(site)
    }
    assert counts == {"novelty": (2, 1, 0, 0, 1), "fight": (1, 0, 1, 0, 0), "opening": (1, 0, 0, 1, 0)}
    assert [count.done for count in done_tonight(site, CAMPAIGN)] == [1, 1, 1]
    assert done_tonight(site, "winter") == ()


def test_nothing_is_said_without_an_author(site: Workspace) -> None:
    item = item_of(site, "fight")
    for say in (lambda: answer(site, item, True, " "), lambda: skip(site, item, ""), lambda: take_back(site, item, "")):
        with pytest.raises(ConfigurationError, match="has an author"):
            say()
    assert len(queue_now(site)) == 4
