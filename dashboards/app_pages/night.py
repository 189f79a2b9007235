"""Night: the last run at a glance: what it covered, what it found, what needs attention."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import (
    ALARMS_PAGE,
    DAY_PAGE,
    LOOKS,
    RUNS_PAGE,
    Workspace,
    empty_state,
    event_picture,
    facts,
    link_to,
    show_picture,
    workspace,
)
from dashboards.charts import coverage_bars
from dashboards.queries import event_counts, health_spans, top_events
from dashboards.runs import Night, OpenRun, cameras_of, night, open_run
from dashboards.snapshot import records
from dashboards.wording import (
    age_text,
    clock_text,
    count_text,
    day_text,
    duration_text,
    moment_text,
    plain_text,
    share_text,
    strength_text,
)
from lake.keys import Place

TOP_EVENTS, MOST_EVENTS = 8, 48
LINES = 6
WORDS = {
    "complete": "Every recorded second is accounted for and every step is done.",
    "partial": "The night stopped before everything was done; what is here is right, but not all.",
    "incomplete": "Some recorded time or some steps are not accounted for.",
    "failed": "The night could not do its work.",
}


def main() -> None:
    shown = workspace()
    going = open_run(shown.lake)
    if going is not None:
        _going(shown, going)
    asked = st.query_params.get("run")
    last = night(shown.lake, asked)
    if last is None and asked:
        empty_state(
            ":material/search_off:", "No such night", f"No finished run is called `{asked}`. Pick one under *Runs*."
        )
        return
    if last is None:
        if going is None:
            empty_state(
                ":material/bedtime:",
                "No night has run yet",
                "Put recordings below the footage folder, then run the night once by hand, or let the schedule do it.",
                shown.command("run"),
            )
        return
    _verdict(shown, last, earlier=bool(asked))
    _alarms(shown, last)
    _attention(last)
    _top_events(shown, last)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _coverage(last)
    with right:
        _ingest(shown, last)
        _health(shown, last)


def _going(shown: Workspace, going: OpenRun) -> None:
    if going.is_silent():
        st.warning(
            f"Run `{going.run_id}` is not closed and its last word, *{going.step}*, was {age_text(going.newest_at)}: "
            f"it was killed, or is on a long step. If killed, run again, finished work is kept: "
            f"`{shown.command('run')}`",
            icon=":material/sync_problem:",
        )
        return
    _progress()


@st.fragment(run_every="5s")
def _progress() -> None:
    """Follows a run that is going on, without redrawing the page around it."""
    shown = workspace()
    going = open_run(shown.lake)
    if going is None:
        st.rerun()
        return
    failed = f", **{going.failed} failed**" if going.failed else ""
    st.info(
        f"**A night is running**, since {moment_text(going.started_at, shown.zone)}: at *{going.step}*, "
        f"{going.done} done, {going.skipped} already there{failed}. Last word {age_text(going.newest_at)}. "
        "Finished results are shown as they come.",
        icon=":material/sync:",
    )


def _verdict(shown: Workspace, last: Night, *, earlier: bool) -> None:
    icon, colour, word = LOOKS.get(last.status, (":material/help:", "gray", last.status))
    events, alarms = event_counts(shown.lake, last.places)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f"## :{colour}[{icon} {word}]", width="content")
        when = f"{moment_text(last.started_at, shown.zone)} – {clock_text(last.finished_at, shown.zone)[:5]}"
        st.markdown(
            f"{'**An earlier night**, ' if earlier else ''}{when}, {duration_text(last.duration_s)}  \n"
            f":gray[{WORDS.get(last.status, '')}]",
            width="content",
        )
        if earlier:
            st.page_link("app_pages/night.py", label="Last night", icon=":material/last_page:")
    if not last.readable:
        st.warning(
            f"The closing row of run `{last.run_id}` cannot be read, so its coverage is not known here. "
            f"See the run under *Runs*, or check it: `{shown.command('status')}`",
            icon=":material/data_alert:",
        )
    recorded, analysed = (float(last.coverage[name].sum()) for name in ("recorded_s", "analysed_s"))
    cameras = last.coverage.groupby(["campaign", "camera"]).ngroups if len(last.coverage) else 0
    facts(
        (
            "Recorded",
            duration_text(recorded),
            f"{count_text(cameras, 'camera')}, {count_text(len(last.coverage), 'day')}",
        ),
        ("Analysed", share_text(analysed, recorded), duration_text(analysed)),
        (
            "Decoded tonight",
            duration_text(last.decoded_s),
            "Footage that this run decoded; what was done before is kept",
        ),
        ("Alarms", f"{alarms:,}", "Events within the night's alarm budget, and the alarms of classifiers"),
        ("Events", f"{events:,}", "Alarms among them"),
        ("To look at", f"{len(last.attention):,}", "Lines under *Needs attention*"),
    )


def _alarms(shown: Workspace, last: Night) -> None:
    """How often each alarm of the settings was raised, as a link to its events."""
    raised = [(alarm.name, last.alarms_by_head.get(alarm.name, 0)) for alarm in shown.site.settings.alarms]
    if not any(count for _, count in raised):
        return
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        for name, count in raised:
            if count:
                st.page_link(
                    ALARMS_PAGE,
                    label=f"**{plain_text(name)}** {count_text(count, 'alarm')}",
                    icon=":material/notifications_active:",
                    query_params={"alarm": name},
                )


def _attention(last: Night) -> None:
    if not last.readable:
        return
    if not last.attention:
        st.success("Nothing needs attention.", icon=":material/done_all:")
        return
    with st.container(border=True):
        st.markdown("### :material/notification_important: Needs attention")
        first, rest = last.attention[:LINES], last.attention[LINES:]
        st.markdown(_bullets(first))
        if rest:
            with st.expander(f"{len(rest)} more"):
                st.markdown(_bullets(rest))


def _bullets(lines: Sequence[str]) -> str:
    escaped = (re.sub(r"([\\`*_\[\]$~<>#:])", r"\\\1", line) for line in lines)
    return "\n".join(f"- {line}" for line in escaped)


def _top_events(shown: Workspace, last: Night) -> None:
    events, _ = event_counts(shown.lake, last.places)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown("### Worth a look", width="content")
        listed = min(events, MOST_EVENTS)
        every = events > TOP_EVENTS and st.toggle("All events" if listed == events else f"The first {listed}")
    found = top_events(shown.lake, last.places, listed if every else TOP_EVENTS)
    if found.empty:
        st.caption("No event rose above its camera's threshold. The days themselves are under *Day*.")
        return
    for start in range(0, len(found), 4):
        for column, row in zip(st.columns(4), found[start : start + 4].to_dict("records"), strict=False):
            with column, st.container(border=True, gap="xsmall"):
                _card(shown, row)


def _card(shown: Workspace, row: Mapping[Any, Any]) -> None:
    event = pd.Series(row)
    place = Place(event["campaign"], event["camera"], event["day"])
    link = link_to(place, str(event["event_id"]))
    clock = clock_text(event["peak_at"], shown.zone)
    show_picture(event_picture(shown.site, place, event["keyframe"]), alt=f"{place.camera} at {clock}")
    word = ":orange-badge[alarm]" if event["alarm"] else ":blue-badge[event]"
    where = "" if event["region"] == "frame" else f" · {event['region']}"
    st.markdown(f"{word} **{place.camera}**{where} · {place.campaign}  \n{day_text(place.day)}, **{clock}**")
    above = strength_text(event["peak_score"], event["threshold"])
    lasted = duration_text((event["ended_at"] - event["started_at"]).total_seconds())
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{above} · {lasted}", width="content")
        st.page_link(DAY_PAGE, label="Open", icon=":material/play_circle:", query_params=link)


def _coverage(last: Night) -> None:
    st.markdown("### Coverage")
    if last.coverage.empty:
        st.caption("The run accounts for no recorded time.")
        return
    cameras = cameras_of(last.coverage)
    st.altair_chart(coverage_bars(cameras), width="stretch", alt="Share of recorded time analysed, by camera")
    unaccounted = cameras["recorded_s"] - cameras[["analysed_s", "skipped_s", "corrupt_s", "missing_s"]].sum(axis=1)
    if (unaccounted.abs() > 0.001).any():
        st.error(
            f"{duration_text(float(unaccounted.abs().sum()))} of recorded time are in no state; the sums must match."
        )
    days = last.coverage.sort_values(["day", "campaign", "camera"], ascending=[False, True, True])
    with st.expander(f"{count_text(len(days), 'camera’s day', 'camera’s days')} in numbers"):
        numbers = {
            name.removesuffix("_s"): [duration_text(value) if value else "–" for value in days[name]]
            for name in days.columns
            if name.endswith("_s")
        }
        st.dataframe(days[["day", "campaign", "camera"]].assign(**numbers), hide_index=True)


def _ingest(shown: Workspace, last: Night) -> None:
    st.markdown("### Recordings")
    counts = " &nbsp;·&nbsp; ".join(_counted(name, count) for name, count in last.ingest.items() if count)
    st.markdown(counts or ":gray[Nothing was taken in.]")
    if len(last.problems):
        st.dataframe(
            last.problems,
            hide_index=True,
            column_config={
                "path": st.column_config.TextColumn("Recording", width="medium"),
                "status": st.column_config.TextColumn("Status", width="small"),
                "reason": st.column_config.TextColumn("Why", width="large"),
            },
        )
        if "quarantined" in set(last.problems["status"]):
            st.caption(f"Quarantined files are left where they are. Replace them, then: `{shown.command('retry')}`")
    st.page_link(RUNS_PAGE, label="Steps of this run", icon=":material/history:", query_params={"run": last.run_id})


def _counted(name: str, count: int) -> str:
    return f"**{count:,}** {name.removesuffix('s') if count == 1 else name}"


def _health(shown: Workspace, last: Night) -> None:
    st.markdown("### Camera health")
    spans = health_spans(shown.lake, last.places)
    if spans.empty:
        st.caption("No camera was black, frozen or blurred.")
        return
    summed = spans.groupby(["campaign", "camera", "day", "kind"], as_index=False).agg(
        {"seconds": ["sum", "count"], "started_at": "min"}
    )
    summed.columns = pd.Index(["campaign", "camera", "day", "kind", "seconds", "spans", "first"])
    summed = summed.sort_values("seconds", ascending=False)
    for row in records(summed.head(8)):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            first = clock_text(row.first, shown.zone)
            spans_told = f", {row.spans} times" if row.spans > 1 else ""
            st.markdown(
                f"**{row.camera}** {row.kind} for {duration_text(row.seconds)}{spans_told} "
                f":gray[from {first}, {day_text(row.day)}]",
                width="content",
            )
            link = link_to(Place(row.campaign, row.camera, row.day))
            st.page_link(DAY_PAGE, label="Day", icon=":material/calendar_today:", query_params=link)
    if len(summed) > 8:
        st.caption(f"… and {len(summed) - 8} more")


main()
