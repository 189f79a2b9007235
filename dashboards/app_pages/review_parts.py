"""What the review page chooses from and remembers: use case, encoder, truth, and what went wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import streamlit as st

from dashboards.app_pages.shared import REGIONS_PAGE, Workspace, author, empty_state, opened, settings_changed_ns
from dashboards.queries import camera_days
from infra.errors import AfterwatchError
from lake.labels import UseCase, labels_now
from lake.ledger import Ledger
from lake.matrix import Matrices
from models.heads.retrieval import RetrievalSettings
from workspace.opened import PlannedEncoder
from workspace.opened import Workspace as Opened
from workspace.search import open_matrices
from workspace.session import EPOCH, Review, reviewable

NEW_USE_CASE = "e.g. hatch open"
_PROBLEM = "review_problem"
NO_AUTHOR = (
    "Say who you are first: the field with a person at the top. It stands beside everything that you say here. "
    "Where people sign in, it takes a role that allows it."
)
FRESH_S = 10
"""Seconds for which a page believes which vectors there are; a night may be writing."""


def chosen_review(shown: Workspace) -> tuple[Review, str] | None:
    """The review that the selectors choose, and who reviews; none where there is nothing to review yet, which is said."""
    days = camera_days(shown.lake)
    work = opened(shown)
    columns = st.columns([3, 3, 3, 4, 4], vertical_alignment="bottom")
    with columns[0]:
        campaign = _select("Campaign", sorted(days["campaign"].unique()), "campaign")
    cameras = sorted(days[days["campaign"] == campaign]["camera"].unique())
    with columns[1]:
        camera = _select("Camera", cameras, "camera")
    found = reviewable(work, matrices(str(work.site.root)), campaign, camera)
    if not found:
        empty_state(
            ":material/hourglass_empty:",
            "Nothing is embedded yet",
            "The night embeds every picture; then it can be reviewed.",
            shown.command(f'run --campaign "{campaign}" --camera "{camera}"'),
        )
        return None
    drawn = [region.name for region in work.regions(camera)]
    regions = [name for name in drawn if name in found] or list(found)
    with columns[2]:
        # What was drawn last is what one came for.
        region = _select("Region", regions, "region", default=regions[-1])
    with columns[3]:
        name = _use_case(work.ledger, camera, region)
    with columns[4], st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        who = author()
        with st.popover("How", icon=":material/tune:", help="Encoder, likeness, label propagation"):
            encoder = _encoder(found[region])
            _settings()
    waiting = [one for one in drawn if one not in found]
    if waiting:
        st.info(
            f"Drawn but not embedded yet: {', '.join(waiting)}. Embed it from the Regions page, or wait for the night.",
            icon=":material/hourglass_empty:",
        )
    if not name:
        empty_state(
            ":material/edit:",
            "What are you looking for?",
            f"Name a use case above ({NEW_USE_CASE}), then mark a few moments. To look at a part of the picture only, "
            "draw a region first.",
        )
        st.page_link(REGIONS_PAGE, label="Draw a region", icon=":material/crop:")
        return None
    try:
        review = _review(shown, UseCase(camera, region, name), campaign, encoder)
    except AfterwatchError as error:
        st.error(str(error), icon=":material/error:")
        return None
    _keep_to(review)
    return review, who


@st.cache_resource(max_entries=4, show_spinner=False)
def matrices(root: str) -> Matrices:
    """The vectors of a site, mapped into memory."""
    work = Opened(root)
    return open_matrices(work)


def _review(shown: Workspace, use_case: UseCase, campaign: str, encoder: PlannedEncoder) -> Review:
    root = str(shown.site.root)
    key = _block_key(root, encoder.spec.space, campaign, use_case)
    return _remembered(root, settings_changed_ns(root), use_case, campaign, encoder.table.name, key)


@st.cache_data(ttl=FRESH_S, show_spinner="Reading the vectors…")
def _block_key(root: str, space: str, campaign: str, use_case: UseCase) -> str:
    return matrices(root).block(space, campaign, use_case.camera, use_case.region).key


@st.cache_resource(max_entries=16, show_spinner="Reading the vectors…")
def _remembered(
    root: str,
    changed_ns: int,  # noqa: ARG001 — other settings, another review
    use_case: UseCase,
    campaign: str,
    encoder: str,
    key: str,  # noqa: ARG001 — newer vectors, another review
) -> Review:
    work = Opened(root)
    return Review(work, matrices(root), use_case, campaign, work.encoder(encoder))


def _select(label: str, options: Sequence[str], name: str, default: str | None = None) -> str:
    asked = st.query_params.get(name)
    key = f"review_{name}"
    st.session_state[key] = asked if asked in options else default if default in options else options[0]
    return str(st.selectbox(label, options, key=key, on_change=_remember, args=(name,)))


def _remember(name: str) -> None:
    st.query_params[name] = st.session_state[f"review_{name}"] or ""


def identity_of(review: Review) -> tuple[str, ...]:
    """What rows belong to: of another use case, campaign, encoder or matrix, the same row is another moment."""
    case = review.use_case
    root = str(review.workspace.site.root)
    return root, case.camera, case.region, case.name, review.campaign, review.encoder.table.name, review.block.key


def _keep_to(review: Review) -> None:
    """Forget what was looked at in another review."""
    mine = identity_of(review)
    if st.session_state.get("review_identity") != mine:
        st.session_state["review_identity"] = mine
        for key in ("review_row", "review_shown", "review_skipped", "review_visited"):
            st.session_state.pop(key, None)


@contextmanager
def attempt(otherwise: str) -> Iterator[None]:
    """What goes wrong while something is done is told at the next run, after `otherwise`."""
    try:
        yield
    except AfterwatchError as error:
        st.session_state[_PROBLEM] = f"{otherwise}: {error}"


def tell_problem() -> None:
    """What the last action came to, where it failed; said once."""
    problem = st.session_state.pop(_PROBLEM, None)
    if problem:
        st.error(str(problem), icon=":material/error:")


def _use_case(ledger: Ledger, camera: str, region: str) -> str:
    known = sorted(
        {
            label.use_case.name
            for label in labels_now(ledger)
            if (label.use_case.camera, label.use_case.region) == (camera, region)
        }
    )
    asked = st.query_params.get("use_case", "")
    options = known if not asked or asked in known else [*known, asked]
    st.session_state["review_use_case"] = asked or (known[0] if known else None)
    name = st.selectbox(
        "Use case",
        options,
        key="review_use_case",
        accept_new_options=True,
        placeholder=NEW_USE_CASE,
        on_change=_remember,
        args=("use_case",),
    )
    return str(name or "").strip()


def _encoder(found: Sequence[PlannedEncoder]) -> PlannedEncoder:
    names = [encoder.table.name for encoder in found]
    asked = st.query_params.get("encoder")
    st.session_state["review_encoder"] = asked if asked in names else names[0]
    name = st.selectbox(
        "Encoder",
        names,
        key="review_encoder",
        on_change=_remember,
        args=("encoder",),
        help="Which vectors are compared. Labels are about time and hold for all of them.",
    )
    return found[names.index(str(name))]


def _settings() -> None:
    st.radio(
        "Until there are two classes, rank by",
        ["cosine", "euclidean"],
        key="review_similarity",
        horizontal=True,
    )
    st.toggle(
        "Spread labels to their neighbourhood",
        key="review_propagate",
        help="Label propagation: what lies close to a labelled moment trains the head too, with less weight.",
    )


def review_settings() -> RetrievalSettings:
    """How heads are fitted, as the page's switches say."""
    return RetrievalSettings(
        similarity="euclidean" if st.session_state.get("review_similarity") == "euclidean" else "cosine",
        propagate=bool(st.session_state.get("review_propagate")),
    )


def known_truths(review: Review) -> list[str]:
    """Names under which something is known to be true of the reviewed camera and campaign."""
    case = review.use_case
    labels = labels_now(review.workspace.ledger, role="truth")
    return sorted(
        {one.use_case.name for one in labels if (one.use_case.camera, one.campaign) == (case.camera, review.campaign)}
    )


def truth_choice(review: Review) -> str:
    """Which known truth the timeline shows; empty for none."""
    names = known_truths(review)
    if not names:
        return ""
    default = review.use_case.name if review.use_case.name in names else "hidden"
    chosen = st.segmented_control(
        "Known truth", ["hidden", *names], default=default, key=f"review_truth_{review.use_case.name}", required=True
    )
    return "" if chosen in (None, "hidden") else str(chosen)


def true_spans(review: Review, name: str) -> list[tuple[datetime, datetime]]:
    """When it is known to be relevant, as far as its footage is embedded."""
    spans = [review.clock_span_us(label.span) for label in review.truth(name) if label.relevant]
    moments = [[EPOCH + timedelta(microseconds=at) for at in span] for span in spans if span is not None]
    return [(began, ended) for began, ended in moments]
