"""Queue: what the night asks people to judge, one snippet at a time, and what their answers do."""

import streamlit as st

from dashboards.app_pages.address import ALL_CAMERAS, chosen
from dashboards.app_pages.queue_answers import go_to, note_shown, show_buttons, tell_taken_back
from dashboards.app_pages.queue_moment import prepare, show_video, show_why
from dashboards.app_pages.queue_rest import show_answered, show_next
from dashboards.app_pages.queue_words import (
    answered_text,
    counts_text,
    done_text,
    learning_text,
    next_text,
    question,
    where_text,
)
from dashboards.app_pages.review_parts import tell_problem
from dashboards.app_pages.shared import (
    DAY_PAGE,
    REVIEW_PAGE,
    Workspace,
    author,
    empty_state,
    link_to,
    opened,
    workspace,
)
from dashboards.queries import camera_days
from dashboards.queue_queries import answered_newest_first, item_called, judged, last_asked, narrowed, upcoming
from dashboards.wording import clock_text, day_text, moment_text, plain_text
from lake.keys import Place
from workspace.opened import Workspace as Opened
from workspace.queue_items import Queue, QueueItem, counts_of, read_queue

PAGE = "queue"
ALL_CAMPAIGNS, ALL_HEADS = "All campaigns", "All heads"
FILTERS = ("campaign", "camera", "head")
DOZEN = 12  # answers after which the page says what they will do
OFF = """[queue]
budget = 20                # snippets of a campaign that a night asks about"""


def main() -> None:
    shown = workspace()
    work = opened(shown)
    queue = read_queue(work)
    if not queue.items:
        _nothing(shown)
        return
    campaigns, cameras, heads = (
        sorted({getattr(item, name) for item in queue.items}) for name in ("campaign", "camera", "head")
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        campaign = chosen(PAGE, "Campaign", [ALL_CAMPAIGNS, *campaigns], "campaign", forget=("item",))
        camera = chosen(PAGE, "Camera", [ALL_CAMERAS, *cameras], "camera", forget=("item",))
        head = chosen(PAGE, "Head", [ALL_HEADS, *heads], "head", forget=("item",))
        st.space("stretch")
        who = author()
    _ask(
        shown,
        None if campaign == ALL_CAMPAIGNS else campaign,
        None if camera == ALL_CAMERAS else camera,
        None if head == ALL_HEADS else head,
        who,
    )


@st.fragment
def _ask(shown: Workspace, campaign: str | None, camera: str | None, head: str | None, who: str) -> None:
    """The snippet, its buttons and what is beside it: an answer runs this part of the page alone."""
    tell_problem()
    tell_taken_back()
    work = opened(shown)
    every = read_queue(work)
    queue = narrowed(every, campaign, camera, head)
    counts = counts_of(queue)
    asked, done = sum(one.asked for one in counts), sum(one.done for one in counts)
    by_head = f" &ensp; :gray[{counts_text(counts)}]" if len(counts) > 1 else ""
    st.progress(done / asked if asked else 1.0, text=done_text(counts) + by_head)
    item = _item(queue)
    if item is None:
        _all_done(shown, every)
        _tell_learning(shown, every)
        show_answered(work, answered_newest_first(queue), go_to)
        return
    after = upcoming(queue, item)
    left, right = st.columns([13, 9], gap="medium")
    with left:
        _snippet(shown, work, queue, item, after, who)
    with right:
        show_why(item)
        _tell_learning(shown, every)
        show_next(work, after, go_to)
        show_answered(work, answered_newest_first(queue), go_to)
    if after:
        # While this one is looked at.
        prepare(work, after[0])


def _item(queue: Queue) -> QueueItem | None:
    """What is shown: the one in the address, else the first that nobody answered."""
    asked = st.query_params.get("item", "")
    item = item_called(queue, asked)
    if item is not None:
        return item
    if asked:
        st.info(
            "The night asks about the snippet of this link no more. This is the next one.", icon=":material/update:"
        )
    return next(iter(queue.left), None)


def _snippet(
    shown: Workspace, work: Opened, queue: Queue, item: QueueItem, after: tuple[QueueItem, ...], who: str
) -> None:
    told = queue.answers.get(item.queue_id)
    clock, day = clock_text(item.taken_at, shown.zone), day_text(item.taken_at.astimezone(shown.zone).date())
    st.markdown(f"### {question(item)}" + (f" {answered_text(told)}" if told else ""))
    part = "" if item.region == "frame" else " · it is about the outlined region"
    st.caption(f"**{plain_text(where_text(item))}** · {day}, {clock} · {plain_text(item.campaign)}{part}")
    show_buttons(work, queue, item, after[0].queue_id if after else "", who)
    if told and told.elsewhere:
        st.caption("This was said of a longer or another span: on the Review, Alarms or Anomalies page.")
    show_video(work, item)
    note_shown(item)
    _links(item)


def _links(item: QueueItem) -> None:
    place = Place(item.campaign, item.camera, item.day)
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        st.page_link(DAY_PAGE, label="Its day", icon=":material/calendar_today:", query_params=link_to(place))
        if item.kind == "retrieval":
            review = {
                "campaign": item.campaign,
                "camera": item.camera,
                "region": item.region,
                "use_case": item.head,
                "at": item.taken_at.isoformat(),
            }
            st.page_link(REVIEW_PAGE, label="Its review", icon=":material/rate_review:", query_params=review)


def _tell_learning(shown: Workspace, queue: Queue) -> None:
    """What the answers will do, once there are a dozen, and when all is answered."""
    counts = judged(queue)
    answers = sum(one.relevant + one.irrelevant for one in counts)
    if answers >= DOZEN or (answers and not queue.left):
        unfold = answers == DOZEN or not queue.left
        with st.expander("What your answers do", icon=":material/school:", expanded=unfold):
            st.markdown(learning_text(counts, shown.site.settings, shown.command("refit")))


def _all_done(shown: Workspace, every: Queue) -> None:
    with st.container(border=True):
        if every.left:
            st.markdown("#### :material/filter_alt: All answered within these filters")
            st.markdown(f"{len(every.left)} of other campaigns, cameras or heads are left.")
            if st.button("Show them", icon=":material/filter_alt_off:", key="queue_all"):
                for name in (*FILTERS, "item"):
                    st.query_params.pop(name, None)
                st.rerun()  # the whole page: the filters stand above this part of it
        else:
            st.markdown("#### :material/done_all: All answered")
            st.markdown(next_text(shown.site.settings))


def _nothing(shown: Workspace) -> None:
    """Why nothing is asked, and when something will be."""
    settings = shown.site.settings
    if camera_days(shown.lake).empty:
        empty_state(
            ":material/video_library:",
            "No footage yet",
            "Nothing has been taken in. Put recordings below the footage folder and run the night.",
            shown.command("run"),
        )
    elif settings.queue.budget == 0:
        empty_state(
            ":material/notifications_off:",
            "The queue is switched off",
            "The settings let a night ask about no snippet (`budget = 0`). In `afterwatch.toml`:",
        )
        st.code(OFF, language="toml")
    elif (asked_at := last_asked(shown.lake)) is None:
        empty_state(
            ":material/hourglass_empty:",
            "Nothing was asked yet",
            "At its end the night chooses the snippets whose judgement would teach the heads most. "
            + next_text(settings),
            shown.command("run"),
        )
    else:
        empty_state(
            ":material/done_all:",
            "Nothing to ask",
            f"The night of {moment_text(asked_at, shown.zone)} found no snippet whose judgement would teach a head "
            "something new. " + next_text(settings),
        )


main()
