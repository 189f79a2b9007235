"""What is new to a model, and what is held out of its candidate."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from afterwatch.workspace_files import make_workspace
from infra.errors import LakeError
from lake.labels import Label, UseCase
from lake.ledger import RunRow
from lake.store import rows_of
from tests.workspace.labelled_site import CAMPAIGN, DAY, EAST, EAST_ID, SEEN, START, recording_row
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace
from workspace.refitting import Division, Known, NotDueError, chosen_by_scores, divide_labels

CASE = UseCase(EAST, "frame", "busy")
NOW = datetime(2026, 4, 1, tzinfo=UTC)
COUNT = 12
CONTENTS = [f"{number:04d}" * 16 for number in range(COUNT)]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> KnownRecordings:
    """A dozen recordings of a camera, in order of time."""
    workspace = Workspace(make_workspace(tmp_path_factory.mktemp("refitting") / "site"))
    rows = [
        recording_row(
            EAST_ID, recording_id=content, path=f"{CAMPAIGN}/{number}.mp4", started_at=START + timedelta(hours=number)
        )
        for number, content in enumerate(CONTENTS)
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    workspace.ledger.append_recordings(rows_of("recordings", columns), SEEN)
    return KnownRecordings(workspace.ledger)


def label(number: int, relevant: bool, *, at_s: int = 0, said_at: datetime = NOW) -> Label:
    span = (at_s * 1_000_000, at_s * 1_000_000 + 500_000)
    return Label(CASE, CAMPAIGN, DAY, CONTENTS[number], *span, relevant=relevant, author="ada", said_at=said_at)


def divided(
    recordings: KnownRecordings, labels: list[Label], known: set[Label], share: float = 0.2, least: int = 1
) -> Division:
    return divide_labels(labels, known.__contains__, recordings, share, least)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=some.lists(
        some.tuples(some.integers(0, COUNT - 1), some.booleans(), some.booleans()), min_size=1, max_size=30
    ),
    share=some.floats(0.01, 0.5),
)
def test_what_is_held_out_is_new_whole_and_no_more_than_half(
    recordings: KnownRecordings, said: list[tuple[int, bool, bool]], share: float
) -> None:
    labels = [label(number, relevant, at_s=at) for at, (number, relevant, _) in enumerate(said)]
    known = {one for one, (_, _, old) in zip(labels, said, strict=True) if old}
    if len(known) == len(labels):
        with pytest.raises(NotDueError, match="0 labels are new"):
            divided(recordings, labels, known, share)
        return
    found = divided(recordings, labels, known, share)
    assert sorted([*found.training, *found.held_out], key=labels.index) == labels, "every label is in one part"
    assert set(found.new) == set(labels) - known
    held = {one.recording_id for one in found.held_out}
    assert held.isdisjoint(found.trained_on) and held.isdisjoint(one.recording_id for one in found.training)
    assert any(one in found.new for one in found.training), "something new is learnt from"
    fresh = {one.recording_id for one in found.new} - found.trained_on
    assert len(held) <= max(1, round(share * len(fresh)), (len(fresh) + 1) // 2)
    assert sorted(held) == sorted(sorted(fresh)[len(fresh) - len(held) :]), "the newest are held out"
    assert sorted(found.recordings.values()) == sorted(held)
    assert bool(held) != bool(found.remark), "where nothing is held out, it is said why"


def test_more_are_held_out_where_that_takes_in_both_answers(recordings: KnownRecordings) -> None:
    labels = [label(number, relevant=number == 8) for number in range(COUNT)]
    found = divided(recordings, labels, set(), share=0.1)
    assert {one.recording_id for one in found.held_out} == set(CONTENTS[8:]), "1 of 12, and on to the relevant one"
    distant = [label(number, relevant=number == 2) for number in range(COUNT)]
    found = divided(recordings, distant, set(), share=0.1)
    assert len({one.recording_id for one in found.held_out}) == COUNT // 2, "and no more than half"


def test_too_few_new_labels_say_how_many_are_asked_for(recordings: KnownRecordings) -> None:
    with pytest.raises(NotDueError, match=r"2 labels are new to it, and \[refit\] least_new_labels asks for 3"):
        divided(recordings, [label(0, True), label(1, False)], set(), least=3)


def test_what_is_new_within_known_recordings_is_learnt_and_nothing_compared(recordings: KnownRecordings) -> None:
    old, new = label(3, True), label(3, False, at_s=9)
    found = divided(recordings, [old, new], {old})
    assert found.training == (old, new) and "was trained on" in found.remark


def test_a_card_says_what_its_version_knew() -> None:
    held = {"comparison": {"held_out": {"recording_ids": [CONTENTS[1]]}}}
    known = Known.of({**held, "known_until": NOW.isoformat(), "made_at": "2026-01-01T00:00:00+00:00"})
    assert known.has(label(0, True)) and not known.has(label(0, True, said_at=NOW + timedelta(microseconds=1)))
    assert not known.has(label(1, True)), "held out is not known"
    left_out = {"comparison": {"held_out": None, "left_out": [CONTENTS[2]]}}
    unmeasured = Known.of({**left_out, "known_until": NOW.isoformat()})
    assert not unmeasured.has(label(2, True)) and unmeasured.has(label(0, True)), "left out, though never measured on"
    older = Known.of({"made_at": NOW.isoformat(timespec="seconds")})
    assert older.has(label(0, True, said_at=NOW + timedelta(milliseconds=900))), "its second is all that is told"
    assert Known.of({"made_at": NOW.isoformat(), "comparison": {"held_out": None}}).held_out == frozenset()
    for card in ({}, {"made_at": None}, {"made_at": "noon"}, {"known_until": 3}):
        with pytest.raises(LakeError, match="does not say when it was made"):
            Known.of(card)


def test_what_the_queue_asked_because_of_scores_is_counted(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path / "site"))
    first, second, third = (label(0, True, at_s=at) for at in range(3))
    rows: list[dict[str, Any]] = [
        {
            "campaign": CAMPAIGN, "camera": EAST, "day": DAY, "region": "frame", "rank": rank, "kind": "retrieval",
            "head": "busy", "version": "v", "recording_id": one.recording_id, "from_us": one.from_us, "to_us": one.to_us,
            "taken_at": NOW, "slice": rank, "reason": reason, "score": 0.0, "threshold": 0.0, "distance": 0.0,
        }
        for rank, (one, reason) in enumerate([(first, "uncertain"), (second, "diverse")], 1)
    ]  # fmt: skip
    path = "queue/asked.parquet"
    workspace.store.write_table(path, rows_of("queue", {name: [row[name] for row in rows] for name in rows[0]}))
    workspace.ledger.record([RunRow("r", "queue", CAMPAIGN, "", DAY, "", "k", "done", NOW, NOW, outputs=(path,))])
    assert chosen_by_scores(workspace, [first, second, third], ["busy"]) == {first}
    assert not chosen_by_scores(workspace, [first], ["another"])
