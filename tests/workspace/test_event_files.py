"""Events for other review software: exact times, and files that their own library reads back."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname
from zoneinfo import ZoneInfo

import opentimelineio as otio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ConfigurationError, UnknownNameError
from infra.settings import SETTINGS_FILE
from lake.ledger import RunRow
from lake.store import rows_of
from tests.workspace.labelled_site import (
    CAMPAIGN,
    DAY,
    EAST,
    EAST_ID,
    EAST_PATH,
    LATER_ID,
    LATER_PATH,
    NORTH,
    NORTH_ID,
    NORTH_PATH,
    SEEN,
    START,
    enter,
    labelled_site,
    recording_row,
)
from workspace.event_files import (
    COLUMNS,
    EventFilter,
    EventRow,
    Part,
    events_csv,
    events_json,
    parts_of,
    read_events,
    told_of,
)
from workspace.event_timelines import TimelineSettings, event_files, timeline_bytes, timelines
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace

ROME = ZoneInfo("Europe/Rome")


def at(seconds: float) -> datetime:
    return START + timedelta(microseconds=round(seconds * 1e6))


def event(begin_s: float, end_s: float, peak_s: float | None = None, **changes: Any) -> EventRow:
    """An event of the eastern camera, times in seconds after its first recording began."""
    told: dict[str, Any] = {
        "campaign": CAMPAIGN,
        "camera": EAST,
        "day": DAY,
        "head": "novelty",
        "region": "frame",
        "started_at": at(begin_s),
        "ended_at": at(end_s),
        "peak_at": at(begin_s if peak_s is None else peak_s),
    }
    return EventRow(**(told | changes))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The labelled site with events in its lake; treat it as read only."""
    workspace = labelled_site(tmp_path_factory.mktemp("events") / "site")
    rows = []
    for camera, recording_id, heads in ((EAST, EAST_ID, ("novelty", "opening")), (NORTH, NORTH_ID, ("novelty",))):
        path = f"events/{camera}.parquet"
        count = 2 * len(heads)
        workspace.store.write_table(
            path,
            rows_of(
                "events",
                {
                    "campaign": CAMPAIGN,
                    "camera": camera,
                    "day": DAY,
                    "head": [head for head in heads for _ in range(2)],
                    "version": "v1",
                    "region": "frame",
                    "event_id": [f"{camera}-{number}" for number in range(count)],
                    "rank": [number % 2 + 1 for number in range(count)],
                    "alarm": [number % 2 == 0 for number in range(count)],
                    "recording_id": recording_id,
                    "started_at": [at(10 + 5 * (count - number)) for number in range(count)],
                    "ended_at": [at(12.5 + 5 * (count - number)) for number in range(count)],
                    "peak_at": [at(11 + 5 * (count - number)) for number in range(count)],
                    "peak_us": [(11 + 5 * (count - number)) * 1_000_000 for number in range(count)],
                    "peak_score": [4.0, float("nan")] * len(heads),
                    "threshold": 2.5,
                    "deviations": [7.5, None] * len(heads),
                    "keyframe": [f"keyframes/{number}.jpg" for number in range(count)],
                    "clip": "",
                },
            ),
        )
        told: dict[str, Any] = {"run_id": "r", "step": "score", "scope": "", "key": camera, "status": "done"}
        place: dict[str, Any] = {"campaign": CAMPAIGN, "camera": camera, "day": DAY, "outputs": (path,)}
        rows.append(RunRow(**told, **place, started_at=SEEN, finished_at=SEEN))
    workspace.ledger.record(rows)
    return workspace


@pytest.fixture(scope="module")
def known(site: Workspace) -> KnownRecordings:
    return KnownRecordings(site.ledger)


def timeline_settings(site: Workspace, **changes: Any) -> TimelineSettings:
    told: dict[str, Any] = {"zone": ROME, "footage_root": site.site.footage_root} | changes
    return TimelineSettings(**told)


def read_back(content: bytes) -> Any:
    """A timeline as OpenTimelineIO reads it from a file."""
    return otio.adapters.read_from_string(content.decode(), adapter_name="otio_json")


# The rows


def test_events_of_the_lake_are_in_order_and_told_from_the_workspace_on(site: Workspace) -> None:
    rows = read_events(site, EventFilter())
    assert [(row.camera, row.started_at) for row in rows] == sorted((row.camera, row.started_at) for row in rows)
    assert len(rows) == 6
    assert {row.deviations for row in rows} == {7.5, None}
    assert {row.keyframe for row in rows if row.camera == NORTH} == {
        f"published/{CAMPAIGN}/{NORTH}/2026-03-02/keyframes/{number}.jpg" for number in range(2)
    }
    assert {row.clip for row in rows} == {""}
    assert {row.peak_score for row in rows} == {4.0, None}, "what is no number is left out"


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (EventFilter(camera=EAST), 4),
        (EventFilter(campaign="autumn"), 0),
        (EventFilter(day=DAY, head="novelty"), 4),
        (EventFilter(day=date(2026, 3, 3)), 0),
        (EventFilter(alarms_only=True), 3),
        (EventFilter(CAMPAIGN, EAST, DAY, "opening", True), 1),
    ],
)
def test_filters_narrow(site: Workspace, wanted: EventFilter, count: int) -> None:
    rows = read_events(site, wanted)
    assert len(rows) == count
    assert all(row.alarm for row in rows) or not wanted.alarms_only


def test_an_unknown_head_is_answered_with_the_known_ones(site: Workspace) -> None:
    with pytest.raises(UnknownNameError, match="known: novelty, opening"):
        read_events(site, EventFilter(head="noveltie"))


def test_an_alarm_that_has_found_nothing_is_a_known_head(tmp_path: Path) -> None:
    quiet = labelled_site(tmp_path / "quiet")
    (quiet.site.root / SETTINGS_FILE).write_text(
        '[[alarms]]\nname = "fight"\nclassifier = "fights"\n', encoding="utf-8"
    )
    alarmed = Workspace(quiet.site.root)
    assert read_events(alarmed, EventFilter(head="fight")) == []
    with pytest.raises(UnknownNameError, match=r"known: fight\)"):
        read_events(alarmed, EventFilter(head="fihgt"))


@pytest.mark.parametrize(
    "changes",
    [
        {"ended_at": at(0)},
        {"peak_at": at(99)},
        {"peak_at": at(-1)},
        {"started_at": datetime(2026, 3, 2, 8)},
        {"peak_score": float("nan")},
        {"threshold": float("inf")},
    ],
)
def test_a_row_that_is_no_event_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        event(0, 1, **changes)


# Where an event is to be seen


def test_an_event_over_two_recordings_has_a_part_in_each(known: KnownRecordings) -> None:
    parts = parts_of(event(58, 130.25), known)
    assert [(part.recording.path, part.from_us, part.to_us, part.started_at) for part in parts] == [
        (EAST_PATH, 58_000_000, 60_000_000, at(58)),
        (LATER_PATH, 0, 10_250_000, at(120)),
    ]
    assert parts_of(event(61, 119), known) == []


def test_recordings_that_overlap_show_no_moment_twice(tmp_path: Path) -> None:
    workspace = labelled_site(tmp_path / "site")
    enter(workspace, [recording_row(LATER_ID, started_at=at(50))], seen_at=SEEN + timedelta(days=1))
    parts = parts_of(event(40, 90), KnownRecordings(workspace.ledger))
    assert [(part.recording.recording_id, part.from_us, part.to_us) for part in parts] == [
        (EAST_ID, 40_000_000, 60_000_000),
        (LATER_ID, 10_000_000, 30_000_000),
    ]


# CSV and JSON


def test_csv_names_the_recording_of_the_peak(known: KnownRecordings) -> None:
    rows = [event(58, 130, 121, alarm=True, rank=1, peak_score=3.5), event(70, 80, head="=1+1")]
    first, second = csv.DictReader(io.StringIO(events_csv(rows, known).decode()))
    assert tuple(first) == COLUMNS
    assert (first["recording"], first["from_s"], first["to_s"]) == (LATER_PATH, "0.0", "10.0")
    assert (first["alarm"], first["rank"], first["peak_score"], first["threshold"]) == ("true", "1", "3.5", "")
    assert first["started_at"] == "2026-03-02T08:00:58+00:00"
    assert (second["recording"], second["from_s"]) == ("", "")


def test_json_holds_every_recording_that_shows_a_part(known: KnownRecordings) -> None:
    (told,) = json.loads(events_json([event(58, 130)], known))["events"]
    assert [part["recording"] for part in told["footage"]] == [EAST_PATH, LATER_PATH]
    assert set(told) == {*COLUMNS, "footage"}
    assert json.loads(events_json([], known)) == {"events": []}
    assert events_csv([], known).decode().splitlines() == [",".join(COLUMNS)]
    assert tuple(told_of(event(0, 1), known)) == COLUMNS


# Timelines


@settings(max_examples=40, deadline=None)
@given(
    spans=st.lists(
        st.tuples(st.integers(0, 150_000_000), st.integers(1, 30_000_000), st.integers(0, 30_000_000)),
        min_size=1,
        max_size=6,
    ),
    heads=st.lists(st.sampled_from(["novelty", "opening"]), min_size=6, max_size=6),
    rate_hz=st.sampled_from([1_000_000.0, 25.0, 29.97, 1000.0]),
)
def test_every_event_is_where_it_was(
    site: Workspace, known: KnownRecordings, spans: list[tuple[int, int, int]], heads: list[str], rate_hz: float
) -> None:
    rows = [
        event(begin / 1e6, (begin + length) / 1e6, (begin + min(peak, length)) / 1e6, head=head, event_id=str(number))
        for number, ((begin, length, peak), head) in enumerate(zip(spans, heads, strict=False))
    ]
    (timeline,) = timelines(rows, known, timeline_settings(site, rate_hz=rate_hz)).values()
    again = read_back(timeline_bytes(timeline))
    assert again.is_equivalent_to(timeline)
    origin = min(row.started_at for row in rows)
    tick_s = 0 if rate_hz == 1_000_000.0 else 1 / rate_hz
    slack_s = tick_s * (1 + len(rows)) + 1e-9
    by_id: dict[str, list[Any]] = {}
    for clip in again.find_clips():
        by_id.setdefault(clip.metadata["afterwatch"]["event_id"], []).append(clip)
    assert set(by_id) == {row.event_id for row in rows}
    for row in rows:
        parts: list[Part | None] = [*parts_of(row, known)] or [None]
        clips = by_id[row.event_id]
        assert len(clips) == len(parts)
        for part, clip in zip(parts, clips, strict=True):
            place = clip.transformed_time_range(clip.visible_range(), again.tracks)
            begins_at = row.started_at if part is None else part.started_at
            assert place.start_time.to_seconds() == pytest.approx((begins_at - origin).total_seconds(), abs=slack_s)
            if part is None:
                assert isinstance(clip.media_reference, otio.schema.MissingReference)
                continue
            assert clip.media_reference.target_url == part.recording.path
            available, shown = clip.available_range(), clip.source_range
            assert shown.start_time.to_seconds() == pytest.approx(part.from_us / 1e6, abs=slack_s)
            assert shown.duration.to_seconds() == pytest.approx((part.to_us - part.from_us) / 1e6, abs=slack_s)
            assert available.start_time <= shown.start_time
            assert shown.end_time_exclusive() <= available.end_time_exclusive()


def test_times_are_exact_at_a_million_ticks(site: Workspace, known: KnownRecordings) -> None:
    rows = [event(5.000001, 7.25, 6.123457, alarm=True), event(10.5, 11.000003, 10.75)]
    (timeline,) = timelines(rows, known, timeline_settings(site)).values()
    again = read_back(timeline_bytes(timeline))
    (track,) = again.tracks
    first, gap, second = track
    assert track.name == "novelty · frame"
    assert again.global_start_time.value == ((9 * 3600) + 5) * 1_000_000 + 1, "the time of day in Rome"
    assert (first.source_range.start_time.value, first.source_range.duration.value) == (5_000_001, 2_249_999)
    assert isinstance(gap, otio.schema.Gap) and gap.duration().value == 3_250_000
    assert (second.source_range.start_time.value, second.source_range.duration.value) == (10_500_000, 500_003)
    (marker,) = first.markers
    assert (marker.marked_range.start_time.value, marker.color) == (6_123_457, "RED")
    assert [marker.color for marker in second.markers] == ["YELLOW"]
    assert again.duration().value == 6_000_002


def test_coarse_ticks_show_nothing_beyond_the_recording(site: Workspace, known: KnownRecordings) -> None:
    (timeline,) = timelines([event(59.99, 60)], known, timeline_settings(site, rate_hz=25.0)).values()
    (clip,) = timeline.find_clips()
    assert (clip.source_range.start_time.value, clip.source_range.duration.value) == (1499, 1)
    assert clip.available_range().duration.value == 1500


def test_a_peak_is_marked_on_the_part_that_shows_it(site: Workspace, known: KnownRecordings) -> None:
    (timeline,) = timelines([event(58, 130, 125.5)], known, timeline_settings(site)).values()
    (track,) = timeline.tracks
    first, gap, second = track
    assert gap.duration().value == 60_000_000
    assert not list(first.markers)
    assert [marker.marked_range.start_time.value for marker in second.markers] == [5_500_000]


def test_events_that_overlap_lie_on_tracks_of_their_own(site: Workspace, known: KnownRecordings) -> None:
    rows = [event(0, 10), event(5, 15), event(10, 20), event(0, 3, head="opening"), event(0, 3, region="hatch")]
    (timeline,) = timelines(rows, known, timeline_settings(site)).values()
    lanes = {track.name: len(list(track.find_clips())) for track in timeline.tracks}
    assert lanes == {"novelty · frame": 2, "novelty · frame (2)": 1, "novelty · hatch": 1, "opening · frame": 1}


def test_urls_find_the_recordings_whatever_they_are_called(tmp_path: Path) -> None:
    workspace = labelled_site(tmp_path / "a site #1")
    strange = f"{CAMPAIGN}/{EAST}/50% of #1 & ?.mp4"
    enter(workspace, [recording_row(LATER_ID, path=strange)], seen_at=SEEN + timedelta(days=1))
    known = KnownRecordings(workspace.ledger)
    urls = []
    for kind in ("relative", "file"):
        made = timelines([event(121, 122)], known, timeline_settings(workspace, urls=kind))
        (clip,) = next(iter(made.values())).find_clips()
        urls.append(clip.media_reference.target_url)
    assert unquote(urls[0]) == strange and not set("#? ") & set(urls[0])
    parsed = urlparse(urls[1])
    assert parsed.scheme == "file"
    assert Path(url2pathname(parsed.path)) == workspace.site.footage_root / strange


def test_a_timeline_for_each_camera(site: Workspace, known: KnownRecordings, tmp_path: Path) -> None:
    rows = read_events(site, EventFilter())
    told = timeline_settings(site, rate_hz=25.0)
    files = event_files(rows, known, tmp_path / "timelines", "otio", told)
    assert list(files) == [tmp_path / "timelines" / CAMPAIGN / f"{camera}.otio" for camera in (EAST, NORTH)]
    assert files == event_files(rows[::-1], known, tmp_path / "timelines", "otio", told), "rows in any order"
    north = read_back(files[tmp_path / "timelines" / CAMPAIGN / f"{NORTH}.otio"])
    assert {clip.media_reference.target_url for clip in north.find_clips()} == {NORTH_PATH}
    assert north.metadata["afterwatch"]["camera"] == NORTH
    with pytest.raises(ConfigurationError, match="--camera"):
        event_files(rows, known, tmp_path / "all.otio", "otio", told)
    mine = [row for row in rows if row.camera == NORTH]
    assert list(event_files(mine, known, tmp_path / "one.otio", "otio", told)) == [tmp_path / "one.otio"]


def test_names_cannot_lead_out_of_the_folder(site: Workspace, known: KnownRecordings, tmp_path: Path) -> None:
    rows = [event(0, 1, campaign="../..", camera="/etc/x")]
    (path,) = event_files(rows, known, tmp_path / "timelines", "otio", timeline_settings(site))
    assert path.resolve().is_relative_to(tmp_path / "timelines")


@pytest.mark.parametrize("rate_hz", [0.0, 0.0001, -25.0, float("nan"), float("inf"), 1e9])
def test_a_rate_that_is_none_is_refused(site: Workspace, rate_hz: float) -> None:
    with pytest.raises(ConfigurationError, match="rate"):
        timeline_settings(site, rate_hz=rate_hz)


def test_the_time_of_day_is_right_on_the_day_the_clocks_change(site: Workspace, known: KnownRecordings) -> None:
    after = datetime(2026, 3, 29, 2, 30, tzinfo=UTC)  # 04:30 in Rome, two and a half hours after midnight UTC
    row = event(0, 1, started_at=after, peak_at=after, ended_at=after + timedelta(seconds=1))
    (timeline,) = timelines([row], known, timeline_settings(site)).values()
    assert timeline.global_start_time.to_seconds() == 4.5 * 3600
