"""Events that an update gains, loses and moves, as cards with a picture of their peak."""

from collections.abc import Sequence

import streamlit as st

from dashboards.app_pages.shared import DAY_PAGE, Workspace, event_picture, link_to, show_picture
from dashboards.wording import clock_text, day_text, duration_text, plain_text
from workspace.flip_pictures import flip_picture
from workspace.flips import CHANGES, Change, Flip, FlipReport, FoundEvent
from workspace.opened import Workspace as Opened

COLUMNS = 6
AT_ONCE = 12
"""Cards before a person asks for more: each is a picture to decode the first time."""
TITLES = {"gained": "Gained", "lost": "Lost", "moved": "Moved"}
VERDICTS = {"confirmed": ":green-badge[confirmed]", "dismissed": ":red-badge[dismissed]", "": ""}
ALL = "All cameras"


def show_events(shown: Workspace, work: Opened, report_id: str, report: FlipReport) -> None:
    """What changes, kind by kind, of all cameras or of one; the pictures are decoded as they are looked at."""
    if not report.flips:
        st.caption("Both find the same events: nothing is gained, lost or moved.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        counts = {f"{TITLES[change]} ({len(report.of(change))})": change for change in CHANGES if report.of(change)}
        label = st.segmented_control(
            "Events", list(counts), default=next(iter(counts)), key=f"models_flips_{report_id}", required=True
        )
        cameras = sorted({flip.camera for flip in report.flips})
        camera = st.selectbox("Camera", [ALL, *cameras], key=f"models_flips_camera_{report_id}", width=200)
    change = counts[str(label)]
    flips = report.of(change, None if camera == ALL else str(camera))
    key = f"models_flips_shown_{report_id}_{change}_{camera}"
    count = int(st.session_state.get(key, AT_ONCE))
    _cards(shown, work, change, flips[:count])
    if not flips:
        st.caption("Nothing of the kind on this camera.")
    if len(flips) > count:
        st.button(
            f"Show more: {len(flips) - count:,} are left",
            key=f"{key}_more",
            on_click=lambda: st.session_state.update({key: count + AT_ONCE}),
        )


def _cards(shown: Workspace, work: Opened, change: Change, flips: Sequence[Flip]) -> None:
    for start in range(0, len(flips), COLUMNS):
        for column, flip in zip(st.columns(COLUMNS, gap="small"), flips[start : start + COLUMNS], strict=False):
            with column, st.container(border=True, gap="xsmall"):
                _card(shown, work, change, flip)


def _card(shown: Workspace, work: Opened, change: Change, flip: Flip) -> None:
    event = flip.shown
    clock = clock_text(event.peak_at, shown.zone)
    content = flip_picture(work, flip.camera, event)
    if content is None and flip.current is not None:  # the recording may be gone, and what was published of it not
        content = event_picture(shown.site, flip.place, f"keyframes/{flip.current.event_id}.jpg")
    show_picture(content, alt=f"{change}: {flip.camera} on {day_text(flip.day)} at {clock}")
    where = "" if event.region == "frame" else f" · {event.region}"
    st.markdown(f"**{plain_text(clock)}** {VERDICTS[flip.verdict]}")
    st.caption(plain_text(f"{flip.camera}{where} · {day_text(flip.day)}"))
    st.caption(plain_text(_told(shown, change, flip, event)))
    if flip.current is not None:
        st.page_link(
            DAY_PAGE,
            label="In its day",
            icon=":material/calendar_today:",
            query_params=link_to(flip.place, flip.current.event_id),
        )


def _told(shown: Workspace, change: Change, flip: Flip, event: FoundEvent) -> str:
    """The score against its threshold; of an event that moved, the span before and now."""
    if change == "moved" and flip.current is not None:
        before, now = (
            f"{clock_text(one.started_at, shown.zone)} to {clock_text(one.ended_at, shown.zone)}"
            for one in (flip.current, event)
        )
        return f"{before}, now {now}; IoU {flip.iou:.2f}"
    lasts = duration_text((event.ended_at - event.started_at).total_seconds())
    threshold = "" if event.threshold is None else f" above {event.threshold:.3f}"
    return f"{event.head}: {event.peak_score:.3f}{threshold}, {lasts}"
