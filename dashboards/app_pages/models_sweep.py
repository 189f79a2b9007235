"""Where a class of a classifier begins to raise alarms: every threshold, what it would have come to, and who chose."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.models_sweep_charts import (
    Class,
    Measures,
    show_charts,
    show_figures,
    show_mistakes,
    show_tested,
)
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt
from dashboards.app_pages.shared import Workspace
from dashboards.model_charts import CANDIDATES, IN_USE, TRIED, Place, threshold_steps, threshold_text
from dashboards.wording import count_text, moment_text, plain_text
from infra.alarm_settings import AlarmTable
from infra.errors import ConfigurationError, LakeError
from lake.operating_points import OperatingPoint, say_operating_point, take_back_operating_point
from lake.promotions import in_service
from models.sweep import Criterion, Sweep
from workspace.classifiers import EVERY_CAMERA, KIND, FoundClassifier, recommended, sweep_of, threshold_of
from workspace.opened import Workspace as Opened
from workspace.segment_scores import fold_names, fold_words, sweep_on_test

CHOSEN = "chosen"
FIELD_WIDTH = 150


@dataclass(frozen=True)
class _Use:
    """What a class of a version raises.

    Attributes:
        serves: whether the version is in service.
        now: alarms that go by it.
        later: alarms that name no version, and so will go by it once it is in service.
    """

    serves: bool
    now: tuple[AlarmTable, ...]
    later: tuple[AlarmTable, ...]

    @property
    def counts(self) -> bool:
        """Whether its threshold is one in use: an alarm may name a version that is not in service."""
        return self.serves or bool(self.now)


def show_sweep(shown: Workspace, work: Opened, found: FoundClassifier, class_name: str, who: str) -> None:
    """The sweep of a class, re-drawn at every move of its slider from what is in memory; why there is none where it has no scores."""
    try:
        mine, clips, tested = _read(work, str(shown.site.root), found, found.name, found.version, class_name)
    except LakeError as error:
        st.error(plain_text(f"There is no sweep: {error}"), icon=":material/error:")
        return
    st.fragment(_panel)(Class(shown, work, found, class_name, mine, clips, tested), who)


@st.cache_resource(max_entries=32, show_spinner="Reading the scores…")
def _read(
    _work: Opened,
    root: str,  # noqa: ARG001 — part of the cache's key, as are the next three
    _found: FoundClassifier,
    name: str,
    version: str,
    class_name: str,
) -> tuple[Sweep, pd.DataFrame, Sweep | None]:
    mine = sweep_of(_work, _found, class_name)
    _, arrays = _work.registry.load(KIND, name, version)
    column = _found.classes.index(class_name)
    clips = pd.DataFrame(
        {
            "clip": fold_names(_found, len(arrays["fold.truth"])),
            "truth": arrays["fold.truth"][:, column].astype(bool),
            "probability": arrays["fold.scores"][:, column].astype(float),
        }
    )
    return mine, clips, sweep_on_test(_work, _found, class_name)


def _panel(data: Class, who: str) -> None:
    now, use = threshold_of(data.work, data.found, data.name), _use(data)
    clips = count_text(data.sweep.positives + data.sweep.negatives, data.noun)
    of = fold_words(data.found.card)
    st.markdown(
        f"**{plain_text(data.name)}** :gray[on {clips}{f' of {of}' if of else ''}, {data.sweep.positives} of the class, each "
        "scored by a head that had not seen its source video]"
    )
    measures = _choosers(data, now)
    tried = _slider(data, now)
    places = [Place(tried, TRIED, data.sweep.at(tried))]
    if threshold_text(tried) != threshold_text(now.threshold):
        places.insert(0, Place(now.threshold, IN_USE if use.counts else CANDIDATES, data.sweep.at(now.threshold)))
    _actions(data, now, use, tried, who)
    show_figures(places, measures)
    show_tested(data, now.threshold)
    show_charts(data, places, measures)
    show_mistakes(data, tried)


def _choosers(data: Class, now: OperatingPoint) -> Measures:
    """What a threshold can be chosen by."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content"):
            beta = _number("beta", "β", 2.0, 0.1, "How many times as important as precision recall is", 0.5)
            _chooser(data, now, f"Best F{beta:g}", Criterion("f_beta", (beta,)))
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content"):
            recall = _number("recall", "Recall", 0.8, 0.01, "The share of the class that must be found", 0.05, 1.0)
            _chooser(data, now, f"Recall at least {recall:g}", Criterion("recall", (recall,)))
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content"):
            missed = _number("missed", "A missed one costs", 5.0, 0.0, "In any unit", 1.0)
            false = _number("false", "A false alarm costs", 1.0, 0.0, "In the same unit", 1.0)
            none = missed + false == 0
            _chooser(data, now, "Least cost", None if none else Criterion("cost", (false, missed)))
    problem = st.session_state.pop(data.key("problem"), None)
    if problem:
        st.warning(str(problem), icon=":material/info:")
    return Measures(beta, false, missed)


def _number(
    what: str, label: str, value: float, least: float, hint: str, step: float, most: float | None = None
) -> float:
    return float(
        st.number_input(
            label, least, most, value, step, format="%.4g", key=f"models_{what}", help=hint, width=FIELD_WIDTH
        )
    )


def _chooser(data: Class, now: OperatingPoint, label: str, criterion: Criterion | None) -> None:
    st.button(
        label,
        icon=":material/my_location:",
        key=data.key(f"choose_{criterion.kind if criterion else 'cost'}"),
        on_click=_choose,
        args=(data, now, criterion),
        disabled=criterion is None,
        help="Moves the slider there" if criterion else "One of the two costs something",
    )


def _choose(data: Class, now: OperatingPoint, criterion: Criterion) -> None:
    """Put the slider where a criterion says; it is kept as what the threshold was chosen by until the slider is moved."""
    try:
        threshold = data.sweep.choose(criterion)
    except ConfigurationError as error:
        st.session_state[data.key("problem")] = str(error)
        return
    st.session_state[data.key("picked")] = (threshold, criterion.words)
    st.session_state[_slider_key(data, now)] = threshold


def _slider_key(data: Class, now: OperatingPoint) -> str:
    # What was tried is forgotten where somebody has said something new.
    return data.key(f"at_{now.threshold!r}_{now.said_at.isoformat()}")


def _slider(data: Class, now: OperatingPoint) -> float:
    picked: tuple[float, str] | None = st.session_state.get(data.key("picked"))
    steps = threshold_steps(data.sweep, (now.threshold, *([picked[0]] if picked else [])))
    key = _slider_key(data, now)
    if st.session_state.get(key) not in steps:
        st.session_state[key] = now.threshold
    return float(
        st.select_slider(
            f"An alarm is a probability of {plain_text(data.name)} above …",
            steps,
            key=key,
            format_func=threshold_text,
            help="Each step tells at least one clip apart, or is a round number",
        )
    )


def _actions(data: Class, now: OperatingPoint, used: _Use, tried: float, who: str) -> None:
    # No callbacks: what they show would replace the top of the page, of which this is a fragment.
    moved = threshold_text(tried) != threshold_text(now.threshold)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        use = st.button(
            f"Use {threshold_text(tried)}",
            icon=":material/save:",
            type="primary",
            key="models_use",
            disabled=not who or (not moved and bool(now.author)),
            help=NO_AUTHOR if not who else "It is the threshold already" if not moved and now.author else None,
        )
        give_back = st.button(
            "Back to the recommendation",
            icon=":material/settings_backup_restore:",
            key="models_recommended",
            disabled=not who or not now.author,
            help=f"The model’s card recommends {threshold_text(recommended(data.found, data.name).threshold)}",
        )
    _tell(data, now, used)
    name, version = data.found.name, data.found.version
    if use:
        with attempt("Not saved"):
            criterion = _criterion(data, tried, now)
            say_operating_point(data.work.ledger, OperatingPoint(name, version, data.name, tried, criterion, who))
        st.rerun()
    if give_back:
        with attempt("Not saved"):
            take_back_operating_point(data.work.ledger, name, version, data.name, who)
        st.rerun()


def _criterion(data: Class, tried: float, now: OperatingPoint) -> str:
    """What the slider's threshold was chosen by, in words."""
    picked: tuple[float, str] | None = st.session_state.get(data.key("picked"))
    if picked is not None and picked[0] == tried:
        return picked[1]
    return now.criterion if tried == now.threshold else CHOSEN


def _use(data: Class) -> _Use:
    name, version = data.found.name, data.found.version
    serves = in_service(data.work.ledger, KIND, EVERY_CAMERA).get(name) == version
    alarms = [
        alarm
        for alarm in data.shown.site.settings.alarms
        if alarm.classifier_version[0] == name and _looks_for(alarm, data)
    ]
    named = {None, version} if serves else {version}
    now = tuple(alarm for alarm in alarms if alarm.classifier_version[1] in named)
    later = () if serves else tuple(alarm for alarm in alarms if alarm.classifier_version[1] is None)
    return _Use(serves, now, later)


def _looks_for(alarm: AlarmTable, data: Class) -> bool:
    try:
        return data.found.class_named(alarm.class_name) == data.name
    except ConfigurationError:  # the night suspends it, and says why
        return False


def _tell(data: Class, now: OperatingPoint, use: _Use) -> None:
    """Who chose the present threshold, when and by what; and whose alarms it moves."""
    about = f"{'In use' if use.counts else 'Of this version'}: **{threshold_text(now.threshold)}**"
    about += f", {criterion_text(now.criterion)}"
    if now.author:
        about += f", said by {plain_text(now.author)}, {moment_text(now.said_at, data.shown.zone)}."
    else:
        about += ", as the model’s card recommends; nobody has chosen another."
    mine, waiting = (_names(alarm for alarm in alarms if alarm.threshold is None) for alarms in (use.now, use.later))
    if mine:
        about += (
            f" From the next run on it counts for all days of {mine}: the night reads the stored vectors again and applies "
            "the head to them; nothing is decoded for analysis, and no network runs."
        )
    if waiting:
        about += f" A candidate: it counts for {waiting} once this version is in service."
    elif not use.counts:
        about += " A candidate: it counts once this version is in service."
    if not (use.now or use.later):
        about += " No [[alarms]] of the settings looks for it yet."
    own = [alarm for alarm in (*use.now, *use.later) if alarm.threshold is not None]
    if own:
        told = ", ".join(f"{plain_text(alarm.name)} ({alarm.threshold:g})" for alarm in own)
        about += f" {told} has a threshold of its own in `afterwatch.toml`, which counts instead."
    st.caption(about.replace("[[alarms]]", r"\[\[alarms\]\]"))


def _names(alarms: Iterable[AlarmTable]) -> str:
    return ", ".join(plain_text(alarm.name) for alarm in alarms)


def criterion_text(criterion: str) -> str:
    """What a threshold was chosen by, in a few words."""
    try:
        told: Any = Criterion.parse(criterion)
    except ConfigurationError:
        return "put there by hand" if criterion == CHOSEN else plain_text(criterion)
    match told.kind:
        case "f_beta":
            return f"the best F{told.values[0]:g}"
        case "recall":
            return f"the most precise with a recall of at least {told.values[0]:g}"
        case "precision":
            return f"the greatest recall with a precision of at least {told.values[0]:g}"
        case _:
            return f"the least cost where a false alarm costs {told.values[0]:g} and a missed one {told.values[1]:g}"
