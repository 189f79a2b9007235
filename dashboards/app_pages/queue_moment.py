"""One snippet of the Queue page: its video, the part that is asked about, pictures of it, and why it is asked."""

from concurrent.futures import ThreadPoolExecutor

import streamlit as st

from dashboards.app_pages.moment_media import moment_clip, moment_pictures
from dashboards.app_pages.queue_words import REASONS, distance_text, doubt_bar
from dashboards.wording import duration_text
from lake.labels import Span
from workspace.opened import Workspace as Opened
from workspace.queue_items import QueueItem

MARGIN_US = 3_000_000
"""What the video shows before and after the snippet."""
STILLS, STILL_WIDTH, THUMB_WIDTH = 3, 240, 240
SHOWN_WIDTH = 118
"""Of a picture of the snippet, in pixels: three stand side by side on a telephone."""


AHEAD = ThreadPoolExecutor(1, thread_name_prefix="queue-ahead")
"""Makes videos before they are asked for, one at a time for all sessions of the server."""


def show_video(work: Opened, item: QueueItem) -> None:
    """The snippet with a margin, its region outlined, and pictures of it alone."""
    around = around_of(item)
    content = moment_clip(work, item.camera, item.region, around)
    if content is None:
        st.warning(
            "Its video cannot be made: the footage is gone, or damaged there. Skip it, or bring the footage back.",
            icon=":material/videocam_off:",
        )
        return
    st.video(content, autoplay=True, muted=True, loop=True, alt="The snippet, with what is around it")
    st.html(_part(item, around))
    stills, _ = moment_pictures(work, item.camera, item.region, item.recording_id, _times(item), STILL_WIDTH)
    with st.container(horizontal=True, gap="xsmall"):
        for still in stills:
            if still is not None:
                st.image(still, width=SHOWN_WIDTH, alt="Picture of the snippet")


def show_why(item: QueueItem) -> None:
    """Why the night asks about it."""
    st.markdown(REASONS[item.reason])
    bar = doubt_bar(item)
    if bar:
        st.html(bar)
    st.caption(distance_text(item))


def thumbnail(work: Opened, item: QueueItem) -> bytes | None:
    """A picture of the snippet's middle, its region only; none where it cannot be decoded."""
    middle_us = (item.from_us + item.to_us) // 2
    pictures, _ = moment_pictures(work, item.camera, item.region, item.recording_id, (middle_us,), THUMB_WIDTH)
    return pictures[0] if pictures else None


def prepare(work: Opened, item: QueueItem) -> None:
    """Begin to make the video of an item, so that it comes up at once; a page that is answered meanwhile does not wait."""
    AHEAD.submit(moment_clip, work, item.camera, item.region, around_of(item))


def around_of(item: QueueItem) -> Span:
    """What the video of a snippet shows."""
    return Span(item.recording_id, max(0, item.from_us - MARGIN_US), item.to_us + MARGIN_US)


def _times(item: QueueItem) -> tuple[int, ...]:
    """First, middle and last of the snippet; microseconds since the recording's first picture."""
    last = item.to_us - 1 - item.from_us
    return tuple(item.from_us + last * step // (STILLS - 1) for step in range(STILLS))


def _part(item: QueueItem, around: Span) -> str:
    """Where in the video the snippet is, as HTML."""
    whole_us = around.to_us - around.from_us
    begins, lasts = (100 * part / whole_us for part in (item.from_us - around.from_us, item.to_us - item.from_us))
    from_s, to_s = ((at - around.from_us) / 1e6 for at in (item.from_us, item.to_us))
    told = f"Asked about: {from_s:.1f} – {to_s:.1f} s of the video ({duration_text(item.seconds)})"
    return (
        '<div style="height:6px;border-radius:3px;background:rgba(138,146,156,.35);position:relative">'
        f'<div style="position:absolute;left:{begins:.1f}%;width:{lasts:.1f}%;height:6px;border-radius:3px;'
        f'background:#E69F00"></div></div><div style="font-size:.85rem;opacity:.8">{told}</div>'
    )
