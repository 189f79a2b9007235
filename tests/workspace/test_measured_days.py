"""Choosing anew among measured segments: what is read, in which order events come, and what a selection differs in."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from infra.settings import Settings
from lake.keys import Place
from lake.ledger import RunRow
from models.summary.scores import Weights
from tests.workspace.labelled_site import DAY, EAST, EAST_ID, LATER_ID, NORTH, SEEN, START
from tests.workspace.summarised_site import (
    BLACK,
    BUDGET_S,
    COUNTS,
    PLACE,
    columns,
    enter,
    measured_site,
    owner,
    publish,
    segment_rows,
    start_s,
    summarised_site,
    summary_told,
)
from workspace.opened import Workspace
from workspace.published_summaries import find_place, main_part, published_places, read_summary
from workspace.summaries import (
    difference,
    event_spans,
    in_order,
    measured_day,
    measured_places,
    moment_of,
    rank_day,
    read_measured,
)

COUNT = sum(COUNTS.values())
SETTINGS = Settings.model_validate({"alarms": [{"name": "fight", "classifier": "fights"}]})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return summarised_site(tmp_path_factory.mktemp("summarised") / "site")


def test_a_day_is_read_as_it_was_measured(site: Workspace) -> None:
    day = read_measured(site, PLACE)
    assert len(day.segments) == COUNT
    for number in range(COUNT):
        recording_id, _, within = owner(number)
        assert day.span(number) == (recording_id, within * 4_000_000, (within + 1) * 4_000_000)
        assert moment_of(day, number) == START + timedelta(seconds=start_s(number))
    assert day.recordings == (EAST_ID, LATER_ID)
    for name, values in columns().items():
        np.testing.assert_array_equal(getattr(day.columns, name), values.astype(np.float32))
    assert np.flatnonzero(~day.clear).tolist() == [BLACK]
    assert day.looks.dtype == np.float32 and day.looks.shape == (COUNT, 64)
    np.testing.assert_array_equal(day.looks, np.eye(COUNT, 64))


def test_the_order_of_rows_in_a_file_decides_nothing(site: Workspace, tmp_path: Path) -> None:
    shuffled = measured_site(tmp_path / "site")
    rows = segment_rows().take(np.random.default_rng(3).permutation(COUNT))
    enter(shuffled, "segment", "", "segments", rows)
    days = [read_measured(one, PLACE) for one in (site, shuffled)]
    ranked = [rank_day(day, Weights(), 20.0, 0.9) for day in days]
    chosen = [one.selection for one in ranked]
    assert chosen[0].choices == chosen[1].choices
    assert [one.name for one in chosen[0].omitted] == [one.name for one in chosen[1].omitted]
    np.testing.assert_array_equal(ranked[0].scores, ranked[1].scores)
    assert [days[0].span(row) for row in range(COUNT)] == [days[1].span(row) for row in range(COUNT)]


def test_segments_of_before_they_were_weighed_later_count_as_absent(tmp_path: Path) -> None:
    workspace = measured_site(tmp_path / "site")
    north = replace(PLACE, camera=NORTH)
    old = segment_rows().select(["campaign", "camera", "day", "recording_id", "anomaly"])
    workspace.store.write_table("segments/old.parquet", old)
    told = (north.campaign, north.camera, north.day, "", "0" * 20, "done", SEEN, SEEN)
    workspace.ledger.record([RunRow("before", "summarise", *told, outputs=("segments/old.parquet",))])
    assert measured_places(workspace) == [PLACE]
    with pytest.raises(ConfigurationError, match=f"has no measured segments.*--camera {NORTH}"):
        read_measured(workspace, north)


def test_files_that_are_named_are_the_ones_that_are_read(site: Workspace) -> None:
    files = [f"segments/{PLACE.folder}/segment-all.parquet", f"events/{PLACE.folder}/score-novelty.parquet"]
    day = read_measured(site, PLACE, files)
    assert len(day.segments) == COUNT
    assert [event.event_id for event in day.events] == ["novelty-1", "novelty-2"]


def event(head: str, rank: int, *, alarm: bool, second: int) -> dict[str, Any]:
    begin = START + timedelta(seconds=second)
    return {
        "head": head,
        "rank": rank,
        "alarm": alarm,
        "event_id": f"{head}-{rank}",
        "recording_id": LATER_ID if second >= 80 else "gone",
        "started_at": begin,
        "ended_at": begin + timedelta(seconds=2),
        "peak_at": begin + timedelta(seconds=1),
    }


IN_ORDER = (
    event("novelty", 1, alarm=True, second=90),
    event("fight", 1, alarm=True, second=80),
    event("fight", 2, alarm=True, second=10),
    event("opening", 1, alarm=False, second=5),
    event("novelty", 2, alarm=False, second=70),
    event("closing", 2, alarm=False, second=3),
    event("opening", 2, alarm=False, second=4),
)


@given(st.permutations(IN_ORDER))
def test_events_come_in_order_of_priority(rows: list[dict[str, Any]]) -> None:
    spans = event_spans(rows, SETTINGS, (EAST_ID, LATER_ID))
    assert [span.name for span in spans] == [f"{row['head']} {row['rank']}" for row in IN_ORDER]
    first = spans[0]
    begin = int(pa.scalar(START + timedelta(seconds=90), pa.timestamp("us", tz="UTC")).value)
    assert (first.from_us, first.peak_us, first.to_us) == (begin, begin + 1_000_000, begin + 2_000_000)
    assert [span.recording for span in spans] == [1, 1, *(None for _ in IN_ORDER[2:])]


def twice_recorded(found_in: str) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The later recording's first seven segments at the moments of the earlier one's, and an event in one of the two."""
    rows = segment_rows()
    moments = [START + timedelta(seconds=4 * within) for within in (*range(COUNTS[EAST_ID]), *range(COUNTS[LATER_ID]))]
    taken_at = pa.array(moments).cast(rows.schema.field("taken_at").type)
    rows = rows.set_column(rows.schema.get_field_index("taken_at"), "taken_at", taken_at)
    return rows, [{**event("novelty", 1, alarm=True, second=9), "recording_id": found_in}]


@pytest.mark.parametrize("found_in", [EAST_ID, LATER_ID])
def test_an_event_is_shown_by_the_recording_it_was_found_in(found_in: str) -> None:
    rows, events = twice_recorded(found_in)
    found = set()
    for seed in range(4):
        mixed = in_order(rows.take(np.random.default_rng(seed).permutation(COUNT)))
        day = measured_day(PLACE, mixed, events, SETTINGS)
        assert (np.diff(day.segments.from_us) >= 0).all()
        ranked = rank_day(day, Weights(), BUDGET_S, 0.9)
        chosen = {choice.reason: day.span(choice.index) for choice in ranked.selection.choices}
        assert chosen["novelty 1"] == (found_in, 8_000_000, 12_000_000)
        found.add(tuple((day.span(choice.index), choice.reason) for choice in ranked.selection.choices))
    assert len(found) == 1


def test_what_a_selection_differs_in(site: Workspace) -> None:
    day, shown = read_measured(site, PLACE), read_summary(site.site, PLACE).segments
    same = rank_day(day, Weights(1.0, 0.3, 0.1, 0.3), BUDGET_S, 0.9)
    assert difference(day, same, shown).gained == () and difference(day, same, shown).lost == ()
    moving = rank_day(day, Weights(0.0, 0.0, 0.0, 1.0), BUDGET_S, 0.9)
    found = difference(day, moving, shown)
    assert found.gained == (5,)
    assert [segment.number for segment in found.lost] == [3]
    assert difference(day, same, ()).gained == (3, 10, 17)


def test_what_makes_most_of_a_score(site: Workspace) -> None:
    segment = read_summary(site.site, PLACE).segments[0]
    assert segment.columns["anomaly"] == 0.9
    name, share = main_part(segment, {"anomaly": 0.1, "dynamics": 1.0}) or ("", 0.0)
    assert name == "dynamics" and share == pytest.approx(0.1 / 0.19)
    assert main_part(segment, {"memorability": 1.0, "entropy": 1.0}) == ("memorability", 0.5)
    assert main_part(segment, {}) is None


def test_a_day_without_segments_is_read_and_shows_nothing(tmp_path: Path) -> None:
    workspace = measured_site(tmp_path / "site")
    enter(workspace, "segment", "", "segments", segment_rows().slice(0, 0))
    day = read_measured(workspace, PLACE)
    assert len(day.segments) == 0 and day.looks.shape == (0, 64)
    ranked = rank_day(day, Weights(), BUDGET_S, 0.9)
    assert ranked.selection.choices == ()
    assert [wanted.name for wanted in ranked.selection.omitted] == ["novelty 1", "opening 1", "novelty 2"]


def test_only_folders_of_camera_days_are_summaries(tmp_path: Path) -> None:
    workspace = summarised_site(tmp_path / "site")
    publish(workspace, summary_told(), Place("spring", EAST, DAY + timedelta(days=1)))
    other = workspace.site.published_folder / "spring" / EAST / "old"
    other.mkdir()
    (other / "summary.json").write_text("{}", encoding="utf-8")
    assert published_places(workspace.site) == [PLACE, Place("spring", EAST, DAY + timedelta(days=1))]


def test_a_summary_outside_the_published_folder_is_none(tmp_path: Path) -> None:
    workspace = summarised_site(tmp_path / "site")
    published = workspace.site.published_folder / "spring" / EAST
    published.rename(tmp_path / "elsewhere")
    published.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="has no published summary"):
        read_summary(workspace.site, PLACE)


def test_a_camera_of_another_campaign_is_told() -> None:
    places = [Place("spring", EAST, DAY), Place("winter", NORTH, DAY)]
    assert find_place(places, DAY.isoformat(), EAST) == places[0]
    with pytest.raises(ConfigurationError, match="not in campaign winter"):
        find_place(places, DAY.isoformat(), EAST, "winter")
