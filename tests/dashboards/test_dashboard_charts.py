"""Charts: the site's clock on a UTC scale, what stays visible from afar, and that specifications hold."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import charts, queries, runs
from dashboards.clock import Clock
from dashboards.snapshot import LakeReader
from dashboards.wording import count_text, duration_text, score_text, share_text, strength_text, zone_text
from lake.keys import Place
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, Workspace, at

ROME = ZoneInfo("Europe/Rome")


def test_a_chart_shows_the_clock_of_the_site() -> None:
    clock = Clock(ROME, datetime(2026, 3, 2, 8, tzinfo=UTC), datetime(2026, 3, 2, 9, tzinfo=UTC))
    moments = pd.Series(pd.to_datetime(["2026-03-02T08:30:00Z"]))
    assert str(clock.shifted(moments)[0]) == "2026-03-02 09:30:00"
    assert clock.domain_ms[0] == datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp() * 1000
    assert "datum.value," in clock.label_expression


def test_labels_after_a_change_of_clocks_tell_the_new_time() -> None:
    # At 01:00 UTC on 29 March 2026 Rome goes from 02:00 to 03:00.
    clock = Clock(ROME, datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 5, tzinfo=UTC))
    change_ms = round(datetime(2026, 3, 29, 2, tzinfo=UTC).timestamp() * 1000)
    told = clock.label_expression
    shown = int(told.split(">= ")[1].split(" ?")[0])
    assert abs(shown - change_ms) <= 1000
    assert "? 3600000 : 0" in told


def test_a_window_needs_a_length() -> None:
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="start < end"):
        Clock(ROME, moment, moment)


def _spans(states: list[str], seconds: float) -> pd.DataFrame:
    starts = [pd.Timestamp(at(number * seconds)) for number in range(len(states))]
    ends = [start + pd.Timedelta(seconds=seconds) for start in starts]
    return pd.DataFrame({"state": states, "reason": "", "started_at": starts, "ended_at": ends})


def test_from_afar_what_went_wrong_stays_visible() -> None:
    states = ["analysed", "skipped"] * 2000
    states[1777] = "corrupt"
    spans = _spans(states, 0.5)
    clock = Clock(ROME, at(0), at(2000))
    seen = charts.coarsened(spans, clock, maximum=100)
    assert len(seen) <= 100
    assert seen.loc[seen["state"] == "corrupt", "started_at"].iloc[0] <= spans["started_at"][1777]
    assert seen.loc[seen["state"] == "corrupt", "ended_at"].iloc[0] >= spans["ended_at"][1777]


@given(st.lists(st.sampled_from(["analysed", "skipped", "corrupt", "missing"]), min_size=21, max_size=80))
def test_from_afar_no_time_is_lost(states: list[str]) -> None:
    clock = Clock(ROME, at(0), at(len(states)))
    seen = charts.coarsened(_spans(states, 1.0), clock, maximum=20)
    told = (seen["ended_at"] - seen["started_at"]).dt.total_seconds().sum()
    assert told == pytest.approx(len(states), abs=0.01)
    assert {"corrupt"} & set(states) == {"corrupt"} & set(seen["state"])


def test_few_spans_are_shown_as_they_are() -> None:
    spans = _spans(["analysed", "skipped"], 5.0)
    pd.testing.assert_frame_equal(charts.coarsened(spans, Clock(ROME, at(0), at(10))), spans)


def test_the_timeline_is_a_valid_chart_with_and_without_data(full_site: Workspace) -> None:
    lake, place = LakeReader(full_site.store), Place(CAMPAIGN, CAMERA, DAY)
    empty = Place(CAMPAIGN, "nobody", DAY)
    clock = Clock(ROME, at(0), at(1320))
    (series,) = queries.score_series(lake, place)
    for here in (place, empty):
        data = charts.DayData(
            scores=queries.scores(lake, here, series),
            events=queries.events(lake, here),
            coverage=queries.coverage_spans(lake, here),
            gaps=queries.gaps(lake, 2.0, here),
            health=queries.health_spans(lake, [here]),
            threshold=3.0,
        )
        told = charts.timeline(data, clock, "gate-event-1").to_dict()
        picked = [param for param in told["params"] if param["name"] == charts.PICKED]
        assert picked[0]["select"]["fields"] == ["event_id"]


def test_no_line_is_drawn_over_a_gap(full_site: Workspace) -> None:
    lake, place = LakeReader(full_site.store), Place(CAMPAIGN, CAMERA, DAY)
    (series,) = queries.score_series(lake, place)
    data = charts.DayData(
        scores=queries.scores(lake, place, series),
        events=queries.events(lake, place),
        coverage=queries.coverage_spans(lake, place),
        gaps=queries.gaps(lake, 2.0, place),
        health=queries.health_spans(lake, [place]),
    )
    told = charts.timeline(data, Clock(ROME, at(0), at(1320))).to_dict()
    rows = told["datasets"][told["layer"][0]["data"]["name"]]
    assert {row["piece"] for row in rows} == {0, 1}


def test_bars_of_coverage_and_runs_are_valid_charts(full_site: Workspace) -> None:
    lake = LakeReader(full_site.store)
    night = runs.night(lake)
    assert night is not None
    told = charts.coverage_bars(runs.cameras_of(night.coverage)).to_dict()
    rows = told["datasets"][told["layer"][0]["data"]["name"]]
    assert sum(row["seconds"] for row in rows) == 2400.0
    assert {row["state"] for row in rows} == {"analysed", "corrupt", "missing", "skipped"}
    assert charts.run_bars(runs.run_history(lake), ROME).to_dict()["mark"]["type"] == "bar"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (0.4, "< 1 s"), (59.6, "1 min"), (750, "12 min 30 s"), (7500, "2 h 05 min"), (187_200, "2 d 4 h")],
)
def test_durations_are_told_in_two_units(seconds: float, told: str) -> None:
    assert duration_text(seconds) == told


def test_shares_say_all_or_nothing_only_where_it_is_so() -> None:
    assert share_text(1, 1) == "100 %"
    assert share_text(99_999, 100_000) == "99.9 %"
    assert share_text(0, 5) == "0 %"
    assert share_text(1e-3, 5) == "0.1 %"
    assert share_text(0, 0) == "–"


def test_scores_and_ratios_are_told_to_three_digits() -> None:
    assert [score_text(score) for score in (0.01234, 6.2, 653.4, 3018.4)] == ["0.0123", "6.2", "653", "3,020"]
    assert [strength_text(score, 1.0) for score in (1.43, 28.3, 4778.4)] == [
        "1.4× threshold",
        "28× threshold",
        "over 1,000× threshold",
    ]
    assert strength_text(5.0, 0.0) == "score 5"


def test_a_steep_day_is_drawn_on_a_logarithmic_scale(full_site: Workspace) -> None:
    lake, place = LakeReader(full_site.store), Place(CAMPAIGN, CAMERA, DAY)
    (series,) = queries.score_series(lake, place)
    curve = queries.scores(lake, place, series)
    kinds = []
    for factor in (1.0, 1000.0):
        raised = curve.assign(score=curve["score"].where(curve["score"] < 6, curve["score"] * factor))
        data = charts.DayData(
            scores=raised,
            events=queries.events(lake, place),
            coverage=queries.coverage_spans(lake, place),
            gaps=queries.gaps(lake, 2.0, place),
            health=queries.health_spans(lake, [place]),
            threshold=3.0,
        )
        told = charts.timeline(data, Clock(ROME, at(0), at(1320))).to_dict()
        kinds.append(told["layer"][0]["encoding"]["y"]["scale"].get("type", "linear"))
    assert kinds == ["linear", "log"]


def test_counts_and_zones_are_told() -> None:
    assert [count_text(n, "event") for n in (0, 1, 1200)] == ["no events", "1 event", "1,200 events"]
    winter = datetime(2026, 1, 1, tzinfo=UTC)
    assert zone_text(ROME, winter) == "Europe/Rome (UTC+01:00)"
    assert zone_text(ROME, winter + timedelta(days=180)) == "Europe/Rome (UTC+02:00)"
