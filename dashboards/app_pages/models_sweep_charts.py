"""What a threshold on a class of a classifier comes to: figures, charts, and the clips that are told wrong."""

import math
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import Workspace, facts
from dashboards.model_charts import (
    TRIED,
    Place,
    confusion_table,
    cost_chart,
    precision_recall_chart,
    roc_chart,
    threshold_text,
    thresholds_chart,
)
from dashboards.wording import count_text
from models.sweep import Sweep
from workspace.classifiers import FoundClassifier
from workspace.opened import Workspace as Opened
from workspace.segment_scores import fold_part

TRIED_MARK, OTHER_MARK, GUESS_MARK = (
    '<span style="color:#D55E00">●</span>',
    '<span style="color:#8A929C">○ ┅</span>',
    '<span style="color:#8A929C">┄</span>',
)


@dataclass(frozen=True)
class Measures:
    """How a threshold is measured: β of Fβ, and the costs of a false alarm and of a missed one."""

    beta: float
    false_alarm: float
    missed: float


@dataclass(frozen=True, eq=False)
class Class:
    """A class of a classifier, as its sweep is shown.

    Attributes:
        shown, work: the workspace.
        found: the classifier.
        name: of the class.
        sweep: on clips that the scoring head had not seen.
        clips: columns clip, truth (bool), probability: each of them.
        tested: of a segment classifier, on the test part, which no threshold is chosen on; None of any other.
    """

    shown: Workspace
    work: Opened
    found: FoundClassifier
    name: str
    sweep: Sweep
    clips: pd.DataFrame
    tested: Sweep | None

    @property
    def noun(self) -> str:
        """What is scored: a clip, or a segment of a video."""
        return "clip" if self.tested is None else "segment"

    def key(self, what: str) -> str:
        """Of a widget or of what is remembered, for this class of this version."""
        return f"models_{what}_{self.found.name}_{self.found.version}_{self.name}"


def show_figures(places: list[Place], measures: Measures) -> None:
    """Precision and its like: as it stands → at this threshold, where the two differ."""
    beta, costs = measures.beta, (measures.false_alarm, measures.missed)
    digits = 0 if all(cost.is_integer() for cost in costs) else 1
    found = [place.told for place in places]
    change = f"{places[0].word.capitalize()} → {TRIED}. " if len(places) > 1 else ""
    weighted = (
        f"F{beta:g}",
        _told([one.f_beta(beta) for one in found]),
        f"{change}Recall counts {beta:g} times as much",
    )
    facts(
        ("Precision", _told([one.precision for one in found]), f"{change}Share of the alarms that are right"),
        ("Recall", _told([one.recall for one in found]), f"{change}Share of the class that is found"),
        ("F1", _told([one.f_beta(1.0) for one in found]), f"{change}Precision and recall alike: 2·P·R / (P + R)"),
        *(() if beta == 1 else (weighted,)),
        ("Accuracy", _told([one.accuracy for one in found]), f"{change}Share of all clips told right"),
        ("Cost", _told([one.cost(*costs) for one in found], digits), f"{change}Of all clips together"),
    )


def show_tested(data: Class, threshold: float) -> None:
    """Of a segment classifier what its threshold comes to on the test part.

    Not what the slider tries: whoever moved it by these figures would choose on what is to tell how good the choice is.
    """
    if data.tested is None or fold_part(data.found.card) == "test":
        return
    told = data.tested.at(threshold)
    figures = (
        ("precision", told.precision),
        ("recall", told.recall),
        ("F1", told.f_beta(1.0) if data.tested.positives else math.nan),
        ("accuracy", told.accuracy),
    )
    st.caption(
        f"At {threshold_text(threshold)} on the test part, {count_text(data.tested.positives + data.tested.negatives, data.noun)} "
        f"of other videos: {', '.join(f'{name} {_told([value])}' for name, value in figures)}."
    )


def _told(values: list[float], digits: int = 3) -> str:
    return " → ".join("–" if math.isnan(value) else f"{value:,.{digits}f}" for value in values)


def show_charts(data: Class, places: list[Place], measures: Measures) -> None:
    """Confusion matrix, precision and recall, ROC; everything by threshold."""
    sweep, both = data.sweep, data.sweep.positives > 0 and data.sweep.negatives > 0
    st.markdown(_legend(places), unsafe_allow_html=True)
    upper = st.columns(3, gap="medium")
    with upper[0]:
        st.markdown("**Confusion matrix** :small[:gray[at this threshold]]")
        st.html(confusion_table(places[-1].told, data.name))
    if both:
        with upper[1]:
            st.markdown(f"**Precision and recall** :small[:gray[average precision {sweep.average_precision:.3f}]]")
            st.altair_chart(precision_recall_chart(sweep, places), width="stretch", alt="Precision over recall")
        with upper[2]:
            st.markdown(f"**ROC** :small[:gray[area {sweep.auc:.3f}]]")
            st.altair_chart(roc_chart(sweep, places), width="stretch", alt="Recall over the false alarm rate")
    else:
        upper[1].caption(
            f"All {data.noun}s are of one kind, so there is no curve: add {data.noun}s of the class and of the others."
        )
    lower = st.columns([2, 1], gap="medium")
    with lower[0]:
        st.markdown("**By threshold**")
        st.altair_chart(
            thresholds_chart(sweep, places, measures.beta),
            width="stretch",
            alt="Precision, recall and F over the threshold",
        )
    with lower[1]:
        st.markdown(f"**Cost** :small[:gray[missed {measures.missed:g}, false alarm {measures.false_alarm:g}]]")
        st.altair_chart(
            cost_chart(sweep, places, measures.false_alarm, measures.missed),
            width="stretch",
            alt="Cost over the threshold",
        )


def _legend(places: list[Place]) -> str:
    parts = [f"{TRIED_MARK} {TRIED}"]
    parts += [f"{OTHER_MARK} {place.word}" for place in places if place.word != TRIED]
    parts.append(f"{GUESS_MARK} what guessing would reach")
    return f'<span style="font-size:0.8rem;opacity:0.85">{" &ensp; ".join(parts)}</span>'


def show_mistakes(data: Class, tried: float) -> None:
    """Which clips are told wrong: what a person looks at to find out why."""
    above = data.clips["probability"] > tried
    missed = data.clips[data.clips["truth"] & ~above].sort_values(["probability", "clip"])
    false = data.clips[~data.clips["truth"] & above].sort_values(["probability", "clip"], ascending=[False, True])
    words = (
        f"{count_text(len(missed), f'missed {data.noun}')}, {count_text(len(false), 'false alarm')} at this threshold"
    )
    with st.expander(words, icon=":material/playlist_remove:"):
        for side, title, rows in zip(
            st.columns(2, gap="medium"), ("Missed", "False alarms"), (missed, false), strict=True
        ):
            with side:
                st.markdown(f"**{title}**")
                if rows.empty:
                    st.caption("None.")
                else:
                    st.dataframe(
                        rows[["clip", "probability"]],
                        width="stretch",
                        height=min(320, 40 + 35 * len(rows)),
                        hide_index=True,
                        column_config={"probability": st.column_config.NumberColumn(format="%.3f", width="small")},
                    )
