"""Yes, no, skip, take back: how the Queue page takes what people say of a snippet."""

import time

import streamlit as st

from dashboards.app_pages.queue_words import WORDS
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt
from dashboards.queue_queries import item_called
from workspace.opened import Workspace as Opened
from workspace.queue_items import Queue, QueueItem, Word, answer, read_queue, skip, take_back

GLANCE_S = 0.5
"""Time for which a snippet is on the page before it can be answered: nobody has looked at it sooner."""


def show_buttons(work: Opened, queue: Queue, item: QueueItem, following: str, who: str) -> None:
    """The buttons below the question, and their keys on the keyboard.

    Args:
        work: the workspace.
        queue: what the filters leave.
        item: what is shown.
        following: id of the item that comes next; empty where none is left.
        who: the author; empty where nobody said.
    """
    hint = None if who else NO_AUTHOR
    # What was answered is not skipped any more: one goes on, and the answer stands.
    third = "Next" if item.queue_id in queue.answers else "Skip"
    with st.container(horizontal=True, gap="small"):
        # Each snippet has buttons of its own: a press that comes late is never taken for the next one's.
        said: tuple[tuple[str, str, str, Word | None], ...] = (
            ("Yes", ":material/thumb_up:", "Y", "relevant"),
            ("No", ":material/thumb_down:", "N", "irrelevant"),
            (third, ":material/skip_next:", "S", "skipped" if third == "Skip" else None),
        )
        for label, icon, key, word in said:
            st.button(
                label,
                icon=icon,
                key=f"queue_{label}_{item.queue_id}",
                shortcut=key,
                type="primary" if label == "Yes" else "secondary",
                on_click=_say,
                args=(work, item, word, who, following),
                disabled=not who,
                help=hint,
            )
        st.button(
            "Take back",
            icon=":material/undo:",
            key=f"queue_back_{item.queue_id}",
            shortcut="U",
            on_click=_take_back,
            args=(work, queue, item, who),
            disabled=not who or _to_take_back(queue, item) is None,
            help=hint or "Takes back what was said of this snippet, or else your last word",
        )
    if hint:
        st.caption(f":material/person: {hint}")


def note_shown(item: QueueItem) -> None:
    """Say that an item is on the page, its video too: from now on it can be answered."""
    if st.session_state.get("queue_shown") != item.queue_id:
        st.session_state["queue_shown"], st.session_state["queue_since"] = item.queue_id, time.monotonic()


def _is_shown(item: QueueItem) -> bool:
    """Whether an item is the one on the page: while one follows another, a key may reach the buttons of both."""
    return st.session_state.get("queue_shown") == item.queue_id


def _looked_at(item: QueueItem) -> bool:
    """Whether an item was on the page for so long that a press can mean it, and is no second one on the item before."""
    return _is_shown(item) and time.monotonic() - float(st.session_state["queue_since"]) >= GLANCE_S


def _to_take_back(queue: Queue, item: QueueItem) -> QueueItem | None:
    """The item whose answer *Take back* takes: the one shown, else the last of this session that still has one."""
    said: list[str] = st.session_state.get("queue_said") or []
    for name in (item.queue_id, *reversed(said)):
        told = queue.answers.get(name)
        if told is not None and not told.elsewhere:
            return item_called(queue, name)
    return None


def go_to(queue_id: str) -> None:
    """Show another item, which the address then names; with an empty id, the first that is left."""
    if queue_id:
        st.query_params["item"] = queue_id
    else:
        st.query_params.pop("item", None)


def _say(work: Opened, item: QueueItem, word: Word | None, who: str, following: str) -> None:
    if not _looked_at(item):
        return
    with attempt("Not saved"):
        if word == "skipped":
            skip(work, item, who)
        elif word is not None:
            answer(work, item, word == "relevant", who)
        if word is not None:
            st.session_state.setdefault("queue_said", []).append(item.queue_id)
        go_to(following)


def _take_back(work: Opened, queue: Queue, item: QueueItem, who: str) -> None:
    if not _is_shown(item):
        return
    with attempt("Not taken back"):
        # What stands now: others may have answered since the button was drawn.
        back = _to_take_back(Queue(queue.items, read_queue(work).answers), item)
        word = None if back is None else take_back(work, back, who)
        if back is not None:
            said: list[str] = st.session_state.get("queue_said") or []
            st.session_state["queue_said"] = [name for name in said if name != back.queue_id]
            go_to(back.queue_id)
        st.session_state["queue_told"] = (
            "Nothing stands that could be taken back." if word is None else f"Taken back: {WORDS[word]}"
        )


def tell_taken_back() -> None:
    """What was taken back; a callback of a fragment may show nothing itself."""
    told = st.session_state.pop("queue_told", None)
    if told:
        st.toast(str(told), icon=":material/undo:")
