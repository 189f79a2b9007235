"""What is beside the snippet on the Queue page: those that come next, and those that were answered."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboards.app_pages.queue_moment import thumbnail
from dashboards.app_pages.queue_words import answered_text, question, where_text
from dashboards.wording import clock_text, count_text, plain_text
from workspace.opened import Workspace as Opened
from workspace.queue_items import Answered, QueueItem

LISTED = 12
TILE = 150
"""Width of a tile, in pixels."""

Go = Callable[[str], None]


def show_next(work: Opened, left: Sequence[QueueItem], go_to: Go) -> None:
    """Tiles of the items that come next; a click shows one."""
    st.markdown(f"**Next** :small[:gray[{count_text(len(left), 'snippet')}]]")
    with st.container(horizontal=True, gap="small"):
        for item in left[:LISTED]:
            with st.container(width=TILE, gap="xxsmall"):
                picture = thumbnail(work, item)
                if picture is None:
                    st.caption(":material/image_not_supported: no picture")
                else:
                    st.image(picture, width="stretch", alt=f"{where_text(item)}, {item.head}")
                st.button(
                    f"{plain_text(item.head)} · {clock_text(item.taken_at, work.settings.zone)}",
                    key=f"queue_go_{item.queue_id}",
                    help=f"{where_text(item)}, {item.day.isoformat()}: show it",
                    type="tertiary",
                    on_click=go_to,
                    args=(item.queue_id,),
                )
    if len(left) > LISTED:
        st.caption(f"… and {len(left) - LISTED} more")


def show_answered(work: Opened, answered: Sequence[tuple[QueueItem, Answered]], go_to: Go) -> None:
    """The newest answers; a click shows one, to be changed or taken back."""
    if not answered:
        return
    with st.expander(f"Answered ({len(answered)})", icon=":material/checklist:"):
        for item, told in answered[:LISTED]:
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                st.button(
                    f"{plain_text(where_text(item))} · {clock_text(item.taken_at, work.settings.zone)}",
                    key=f"queue_again_{item.queue_id}",
                    help="Show it, to change the answer or to take it back",
                    type="tertiary",
                    on_click=go_to,
                    args=(item.queue_id,),
                )
                st.markdown(f":small[{question(item)}] {answered_text(told)}", width="content")
        if len(answered) > LISTED:
            st.caption(f"… and {len(answered) - LISTED} before them")
