"""The head of a review: saved as a version, put into service and taken out of it."""

import streamlit as st

from dashboards.app_pages.promotion import PROMOTE, leave_controls, serve_controls
from dashboards.app_pages.review_parts import NO_AUTHOR
from dashboards.app_pages.shared import MODELS_PAGE, Workspace, may
from dashboards.wording import moment_text, plain_text
from infra.errors import AfterwatchError
from workspace.heads import SavedHead, first_to_serve, heads_of, save_review
from workspace.serving import NamedModel, model_named
from workspace.session import Ranking, Review
from workspace.training import KIND

BADGES = {
    "in service": ":green-badge[in service]",
    "candidate": ":blue-badge[candidate]",
    "retired": ":gray-badge[retired]",
}


def show_head(shown: Workspace, review: Review, ranking: Ranking, who: str) -> None:
    """What is trained now, to be saved; and the version in service, with the others where they are asked for."""
    st.markdown(
        "The head in service is applied by every night to new recordings of this camera. More labels make a new version, which "
        "is a candidate: somebody reads what it would change before it takes the place of the other."
    )
    if ranking.trained is not None and ranking.trained.fitted.remark:
        st.caption(ranking.trained.fitted.remark)
    _save(shown, review, ranking, who)
    rows = heads_of(review.workspace, review.use_case)
    if not rows:
        st.caption("No head of this use case is saved yet.")
        return
    others = [head for head in rows if not head.in_service]
    every = False
    if others:
        every = st.toggle(
            f"Candidates and retired versions ({len(others)})",
            key="review_every_head",
            help="What is not in service; the night does not apply it",
        )
    model = model_named(review.workspace, review.use_case.head_name, KIND)
    for head in rows:
        if head.in_service or every:
            _version(shown, review, head, model, who)
    if model.serving is None and not every:
        st.caption("No version is in service: the night does not apply this head.")


def _save(shown: Workspace, review: Review, ranking: Ranking, who: str) -> None:
    serve = first_to_serve(review.workspace, review.use_case) and may(PROMOTE)
    if not st.button(
        "Save and put into service" if serve else "Save as a candidate",
        icon=":material/save:",
        type="primary",
        disabled=ranking.threshold is None or not who,
        help=None if who else NO_AUTHOR,
    ):
        return
    try:
        version = save_review(review, ranking, who, candidate=not serve)
    except AfterwatchError as error:
        st.error(str(error), icon=":material/error:")
        return
    saved = next(head for head in heads_of(review.workspace, review.use_case) if head.version == version)
    if saved.in_service:
        command = shown.command(f'run --camera "{review.use_case.camera}"')
        st.success(
            f"Version {version[:8]} is in service. To apply it to what is recorded already: `{command}`",
            icon=":material/check:",
        )
    else:
        st.success(
            f"Version {version[:8]} is kept, {saved.state}. On the Models page its flip report tells what it would change.",
            icon=":material/check:",
        )


def _version(shown: Workspace, review: Review, head: SavedHead, model: NamedModel, who: str) -> None:
    with st.container(border=True, horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"**{head.version[:8]}** {BADGES[head.state]} :small[{head.relevant} relevant, {head.irrelevant} not · {head.encoder} · "
            f"{plain_text(head.author)}, {moment_text(head.made_at, shown.zone)}]",
            width="content",
        )
        with st.container(horizontal=True, gap="small", width="content", vertical_alignment="center"):
            st.page_link(
                MODELS_PAGE,
                label="What it changes" if not head.in_service else "Its card",
                icon=":material/model_training:",
                query_params={"kind": KIND, "name": model.name, "version": head.version},
            )
            key = f"review_head_{head.version}"
            if head.in_service:
                leave_controls(review.workspace, model, who, key=key, then=_stay)
            else:
                serve_controls(review.workspace, model, head.version, who, key=key, then=_stay)


def _stay(_version: str) -> None:
    """The page shows the use case, whichever version serves."""
