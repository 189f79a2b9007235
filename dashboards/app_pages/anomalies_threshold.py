"""Thresholds: where a camera's alarms begin, and what another line would have raised on its recent nights."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards.anomaly_charts import nights_chart
from dashboards.anomaly_queries import scored_regions
from dashboards.app_pages.anomalies_job import judge_again, show_job
from dashboards.app_pages.anomalies_nights import Outcomes, RegionNights, drawn_nights, read_nights, still_above
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt
from dashboards.app_pages.shared import Workspace, author, empty_state, facts, may
from dashboards.charts import ALARM, EVENT, THRESHOLD
from dashboards.wording import count_text, moment_text, plain_text
from lake.thresholds import ThresholdChoice, say_threshold, thresholds_now
from workspace.anomalies import CHOSEN, alarms_by_night
from workspace.opened import Workspace as Opened

FIELD_WIDTH = 180
LOWEST, FINE_TO = 1.0, 10.0
DEVIATIONS = (
    "Alarms begin this many deviations above the camera’s normal. One deviation is how far its scores usually stray "
    "from their middle (their robust standard deviation); it is measured anew every night."
)


def show_thresholds(shown: Workspace, work: Opened, campaign: str, bar: DeltaGenerator) -> None:
    """The view of one region of a camera; `bar` takes its selectors."""
    scored = scored_regions(shown.lake, shown.site.settings.novelty.name, campaign)
    with bar:
        camera = _select("Camera", list(dict.fromkeys(scored["camera"])), "camera")
        region = _select("Region", [str(name) for name in scored[scored["camera"] == camera]["region"]], "region")
        st.space("stretch")
        who = author("set thresholds")
    data = read_nights(shown, work, campaign, camera, region)
    if data is None:
        empty_state(
            ":material/tune:",
            "No threshold to move yet",
            "The nights of this camera did not keep what their scores were held against. The next run does; "
            "for this camera it can be done now:",
            shown.command(f'backfill --campaign "{campaign}" --camera "{camera}"'),
        )
        return
    show_job(shown, camera)
    st.fragment(_panel)(data, who)


def _select(label: str, options: Sequence[str], name: str) -> str:
    asked = st.query_params.get(name)
    key = f"anomalies_threshold_{name}"
    st.session_state[key] = asked if asked in options else options[0]
    return str(st.selectbox(label, options, key=key, on_change=_remember, args=(name,), width=FIELD_WIDTH))


def _remember(name: str) -> None:
    st.query_params[name] = str(st.session_state[f"anomalies_threshold_{name}"])
    if name == "camera":
        st.query_params.pop("region", None)


def _panel(data: RegionNights, who: str) -> None:
    choice = thresholds_now(data.work.ledger).get((data.camera, data.region, data.head))
    put = None if choice is None else choice.deviations
    now = data.line_now if put is None else put
    tried = _slider(data, now, choice)
    line = tried if put is not None or tried != now else None
    before = data.at(None)
    # Where the nights were judged with this very line, there is nothing to compare.
    moved = line is not None and not data.is_at(line)
    after = data.at(line) if moved else before
    _figures(data, before, after, moved=moved)
    st.altair_chart(
        nights_chart(drawn_nights(data, before, after, line)),
        width="stretch",
        alt="Scores of recent nights with the threshold",
    )
    _legend(line, moved=moved)
    _actions(data, tried, now, choice, who)


def _slider(data: RegionNights, now: float, choice: ThresholdChoice | None) -> float:
    top = max([float(night.deviations.max()) for night in data.mine] + [now, FINE_TO])
    # What was tried is forgotten where somebody has said something new, or the nights were judged again.
    said = "" if choice is None else choice.said_at.isoformat()
    return float(
        st.select_slider(
            "Alarms begin at … deviations above the camera’s normal",
            _steps(top, now),
            value=now,
            key=f"anomalies_slider_{data.camera}_{data.region}_{now:.4f}_{said}",
            format_func=lambda value: f"{value:.1f}" if value < 100 else f"{value:,.0f}",
            help=DEVIATIONS,
        )
    )


def _steps(top: float, now: float) -> list[float]:
    """What the slider offers: quarters up to ten, then steps of a twentieth; the present value is one of them."""
    steps = [LOWEST + number / 4 for number in range(int((FINE_TO - LOWEST) * 4) + 1)]
    while steps[-1] < top:
        following = steps[-1] * 1.05
        steps.append(round(following, 1 if following < 100 else 0))
    # A step that reads as the present value would be the same to a person.
    return sorted({*(step for step in steps if abs(step - now) > 0.05), now})


def _figures(data: RegionNights, before: Outcomes, after: Outcomes, *, moved: bool) -> None:
    def told(was: float, will: float) -> str:
        return f"{was:.1f} → {will:.1f}" if moved else f"{was:.1f}"

    confirmed, dismissed = still_above(data, after)
    budget = data.shown.site.settings.novelty.alarms_per_night
    facts(
        (
            "Camera’s alarms per night",
            told(alarms_by_night(before), alarms_by_night(after)),
            f"All regions of {data.camera} together, over its newest {count_text(len(before), 'night')}: before → after. "
            f"Where the budget sets the line, at most {budget:g} a night are alarms; above a line of your own, every "
            "event is one.",
        ),
        (
            "Region’s events per night",
            told(_events(data, before), _events(data, after)),
            f"Stretches of {data.region} above the line.",
        ),
        ("Confirmed, still above", confirmed, "Events that somebody confirmed and that this line still finds."),
        ("Dismissed, still above", dismissed, "Events that somebody dismissed and that this line still finds."),
    )


def _events(data: RegionNights, nights: Outcomes) -> float:
    return sum(one.region == data.region for night in nights for one in night.events) / max(1, len(nights))


def _legend(line: float | None, *, moved: bool) -> None:
    def mark(colour: str, sign: str, word: str) -> str:
        return f'<span style="white-space:nowrap"><span style="color:{colour}">{sign}</span> {word}</span>'

    words = [
        *([] if line is None else [mark(ALARM, "━", "this line")]),
        mark(THRESHOLD, "┅", "where the alarm budget puts it, night by night"),
        mark(ALARM, "●", "alarm"),
        mark(EVENT, "●", "event"),
        "under each night its alarms, before → after" if moved else "under each night its alarms",
    ]
    st.markdown(f'<span style="font-size:0.8rem;opacity:0.85">{" &ensp; ".join(words)}</span>', unsafe_allow_html=True)


def _actions(data: RegionNights, tried: float, now: float, choice: ThresholdChoice | None, who: str) -> None:
    # No callbacks: what they show would replace the top of the page, of which this is a fragment.
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        save = st.button(
            f"Save {tried:.1f}",
            icon=":material/save:",
            type="primary",
            key="anomalies_save",
            disabled=not who or tried == now,
            help=NO_AUTHOR if not who else "Move the slider first" if tried == now else None,
        )
        give_back = st.button(
            "Back to the budget",
            icon=":material/settings_backup_restore:",
            key="anomalies_budget",
            disabled=not who or choice is None,
            help="Lets the alarm budget of the settings set this line again",
        )
        again = st.button(
            "Judge again now",
            icon=":material/play_arrow:",
            key="anomalies_rejudge",
            help=f"Holds the stored scores of {data.camera} against what is saved, in the background: for a threshold "
            "nothing is decoded or fitted anew. You can leave this page",
            disabled=not may("start runs"),
        )
    _tell_choice(data, choice)
    if save or give_back:
        with attempt("Not saved"):
            deviations = tried if save else None
            say_threshold(data.work.ledger, ThresholdChoice(data.camera, data.region, data.head, deviations, who))
        st.rerun()
    if again:
        with attempt("Not started"):
            judge_again(data.shown, data.camera)
        st.rerun()


def _tell_choice(data: RegionNights, choice: ThresholdChoice | None) -> None:
    if choice is not None:
        at = moment_text(choice.said_at, data.shown.zone)
        st.caption(
            f"{plain_text(choice.author)} put it at {choice.deviations:.1f} deviations on {at}. It counts from the next "
            "run on, for all days of the camera."
        )
    elif data.mine[-1].standard.source == CHOSEN:
        st.caption(
            "Given back to the alarm budget, which sets it from the next run on. Until then the nights stand as they "
            "were judged."
        )
    else:
        st.caption(
            "The alarm budget sets this line, anew every night. Move the slider to try another; once saved, it counts "
            "from the next run on, for all days of the camera."
        )
