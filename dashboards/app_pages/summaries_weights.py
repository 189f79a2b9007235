"""Weights: how much each column counts, and what a summary by other weights would show. Nothing is measured again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from dashboards.app_pages.address import chosen
from dashboards.app_pages.shared import Workspace, empty_state
from dashboards.app_pages.summaries_changes import Change, compared, show_changes
from dashboards.app_pages.summaries_data import CameraDay, camera_day, measured_days
from dashboards.app_pages.summaries_job import show_job
from dashboards.app_pages.summaries_package import show_package
from dashboards.app_pages.summaries_sets import show_sets, told_set
from dashboards.app_pages.summaries_watch import run_of
from dashboards.summary_rows import PARTS
from dashboards.wording import count_text, plain_text
from infra.errors import AfterwatchError, ConfigurationError
from lake.keys import Place
from lake.weight_sets import COLUMNS, SETTINGS, WeightSet, weight_sets
from models.summary.scores import Weights
from workspace.opened import Workspace as Opened
from workspace.summaries import MeasuredDay
from workspace.weight_sets import NamedWeights, named_weights, weights_in_use, weights_of_settings

TOP, STEP = 2.0, 0.05
"""Of the sliders; only the proportions of weights matter."""
NAMED = 10
"""Cameras that are named where several are not measured yet."""
TRIED = "tried on the Summaries page"
"""Label of weights that are saved under no name."""
LONGEST_S, STEP_S = 300.0, 5.0


@dataclass(frozen=True, eq=False)
class Data:
    """What the sliders work on.

    Attributes:
        shown, work: the workspace.
        places: the camera days, all of one campaign and day.
        measured: their segments, of those that were measured.
        published: what is published of them.
        base: what the sliders start from.
        in_use: what the nights go by.
        sets: the saved ones, by label.
    """

    shown: Workspace
    work: Opened
    places: Sequence[Place]
    measured: Mapping[Place, MeasuredDay]
    published: Mapping[Place, CameraDay]
    base: NamedWeights
    in_use: NamedWeights
    sets: Mapping[str, WeightSet]


def show_weights(shown: Workspace, work: Opened, places: Sequence[Place], who: str) -> None:
    """The sliders, and what they change in the summaries of camera days of one campaign and day."""
    show_job(shown, places)
    measured, problems = measured_days(work, places)
    for problem in problems:
        st.warning(problem, icon=":material/broken_image:")
    if not measured:
        empty_state(
            ":material/tune:",
            "Not measured yet",
            "The night measures every segment once; then they can be weighed. To do it now, of what is embedded:",
            shown.command(run_of(places[0], camera=len(places) == 1)),
        )
        return
    waiting = [place.camera for place in places if place not in measured]
    if waiting:
        st.caption(
            f":material/hourglass_empty: {count_text(len(waiting), 'camera')} "
            f"{'is' if len(waiting) == 1 else 'are'} not measured yet: {plain_text(', '.join(waiting[:NAMED]))}"
            f"{'…' if len(waiting) > NAMED else ''}"
        )
    try:
        in_use = weights_in_use(work)
        saved = weight_sets(work.ledger)
    except AfterwatchError as error:
        st.error(str(error), icon=":material/error:")
        return
    sets = {one.label: one for name in sorted(saved) for one in reversed(saved[name])}
    base = _base(shown, work, in_use, sets)
    published = {place: camera_day(shown, place) for place in places}
    for day in published.values():
        if day.problem:
            st.warning(day.problem, icon=":material/broken_image:")
    st.fragment(_panel)(Data(shown, work, places, measured, published, base, in_use, sets), who)


def _base(shown: Workspace, work: Opened, in_use: NamedWeights, sets: Mapping[str, WeightSet]) -> NamedWeights:
    """What the sliders start from: what the address names, else the weights in use."""
    labels = [in_use.label, *(label for label in (SETTINGS, *sets) if label != in_use.label)]
    told = {label: told_set(shown, label, sets.get(label), in_use=label == in_use.label) for label in labels}
    label = chosen("summaries", "Weights", labels, "weights", told=told, forget=(), width=380)
    return weights_of_settings(work) if label == SETTINGS else named_weights(sets[label])


def _panel(data: Data, who: str) -> None:
    tried, budget_s = _sliders(data)
    if tried is None:
        st.info("At least one weight is above 0.", icon=":material/info:")
        return
    limit = data.shown.site.settings.summary.similarity_limit
    changes: dict[Place, Change] = {
        place: compared(day, data.published[place], tried, budget_s, limit) for place, day in data.measured.items()
    }
    show_sets(data.shown, data.work, data.places, data.base, tried, data.in_use, data.sets, who)
    label = data.base.label if tried == data.base.weights else TRIED
    show_changes(data.shown, data.work, changes, tried, label, several=len(data.places) > 1)
    show_package(data.shown, data.work)


def _sliders(data: Data) -> tuple[Weights | None, float]:
    """The weights that are tried, None where all are 0, and the length."""
    values = asdict(data.base.weights)
    # What was tried is forgotten where another set is chosen, or its weights are others now.
    about = f"{data.base.label}_{'_'.join(f'{value:g}' for value in values.values())}"
    tried = {}
    for column, name in zip(st.columns(len(COLUMNS) + 1, gap="medium"), (*COLUMNS, "budget"), strict=True):
        with column:
            if name == "budget":
                budget_s = _budget(data)
                continue
            tried[name] = float(
                st.slider(
                    name.capitalize(),
                    0.0,
                    max(TOP, values[name]),
                    values[name],
                    STEP,
                    key=f"summaries_weight_{name}_{about}",
                    help=f"How much it counts {PARTS[name]}. Only the proportions of the four matter",
                )
            )
    try:
        return Weights(**tried), budget_s
    except ConfigurationError:
        return None, budget_s


def _budget(data: Data) -> float:
    usual = data.shown.site.settings.summary.budget_s
    return float(
        st.slider(
            "Length in seconds",
            STEP_S,
            max(LONGEST_S, usual),
            usual,
            STEP_S,
            key=f"summaries_budget_{usual:g}",
            help=f"Longest summary of a camera’s day. The nights go by `[summary] budget_s` of the settings ({usual:g}); a "
            "weight set does not hold it",
        )
    )
