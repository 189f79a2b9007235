"""The card of a model in words, and as it is kept."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import Workspace
from dashboards.model_cards import KINDS, Section, sections_of
from dashboards.model_queries import Model, use_of
from dashboards.wording import count_text, day_text, moment_text, plain_text
from workspace.classifiers import KIND as CLASSIFIER
from workspace.lineage import Lineage
from workspace.segment_scores import fold_part

COLUMNS = 3
MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1", "f2": "F2", "accuracy": "accuracy"}
AT = {
    "inside": "a threshold chosen without the clip",
    "recommended": "the recommended threshold",
    "night": "the recommended threshold, above it in any window, as the night counts",
    "half": "probability 0.5",
}
AT_TEST = {"inside": "the recommended threshold", "half": "probability 0.5"}
DIGITS = {name: st.column_config.NumberColumn(format="%.3f") for name in ("AUC", *MEASURES.values())}
HINT = (
    "The first row of a class is what a threshold chosen today may do on clips of tomorrow: it was chosen inside the training "
    "part of each fold. The recommended one was chosen on these very scores, and so flatters itself."
)
TEST_HINT = "Segments of videos that were not trained on. The recommended threshold was not chosen on them."


def show_versions(shown: Workspace, models: Sequence[Model], class_name: str) -> None:
    """All versions of a name beside one another; of a classifier, with how good they are at a class."""
    rows = []
    for one in models:
        told = ((one.card.get("metrics") or {}).get(class_name) or {}) if class_name else {}
        inside = told.get("inside") or {}
        measures = {"AUC": told.get("auc")} | {label: inside.get(measure) for measure, label in MEASURES.items()}
        rows.append(
            {
                "version": one.version,
                "state": one.state,
                "made": moment_text(one.made_at, shown.zone),
                "by": str(one.card.get("author") or ""),
                **(measures if class_name else {}),
                "remark": str(one.card.get("remark") or ""),
            }
        )
    if not any(row["remark"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "remark"} for row in rows]
    with st.expander(f"All {len(models)} versions", icon=":material/history:"):
        if class_name:
            segments = [fold_part(one.card) is not None for one in models]
            where = f"on the test part, at {AT_TEST['inside']}" if all(segments) else f"out of fold, at {AT['inside']}"
            others = "; of segment classifiers, on the test part" if any(segments) and not all(segments) else ""
            st.caption(f"{plain_text(class_name)}, {where}{others}")
        st.dataframe(
            pd.DataFrame(rows),
            width="stretch",
            height=min(320, 40 + 35 * len(rows)),
            hide_index=True,
            column_config=DIGITS,
        )


def show_card(shown: Workspace, model: Model, lineage: Lineage) -> None:
    """What a version is, and where it comes from."""
    title, purpose = KINDS.get(model.kind, (model.kind, ""))
    st.markdown("#### The card", help=f"{title} {purpose}." if purpose else None)
    used = use_of(shown.lake, model.version)
    if used.newest is not None:
        st.markdown(
            f":material/check_circle: Its scores count for {count_text(used.nights, 'night of a camera', 'nights of cameras')}, "
            f"the newest {day_text(used.newest)}."
        )
    columns, filled = st.columns(COLUMNS, gap="medium"), [0] * COLUMNS
    for section in [*sections_of(model, shown.zone), *_lineage(lineage)]:
        shortest = filled.index(min(filled))
        filled[shortest] += len(section.lines) + 2
        with columns[shortest]:
            _section(section)
    if model.kind == CLASSIFIER:
        _metrics(model)
    with st.expander("The card as it is kept", icon=":material/data_object:"):
        st.json(dict(model.card), expanded=1)


def _lineage(lineage: Lineage) -> list[Section]:
    lines = tuple(line.partition(": ")[::2] for line in lineage.words)
    return [Section("Lineage", lines)] if lines else []


def _section(section: Section) -> None:
    with st.container(border=True):
        lines = "  \n".join(f":gray[{plain_text(label)}] &ensp; {plain_text(text)}" for label, text in section.lines)
        st.markdown(f"**{section.title}**  \n{lines}")


def _metrics(model: Model) -> None:
    """How good the heads of the folds, or a segment classifier's, were on what they had not seen: a row a threshold."""
    segments = fold_part(model.card) is not None
    rows = [
        {"class": name, "AUC": told.get("auc"), "at": words}
        | {label: told[key].get(measure) for measure, label in MEASURES.items()}
        for name, told in (model.card.get("metrics") or {}).items()
        for key, words in (AT_TEST if segments else AT).items()
        if key in told
    ]
    if rows:
        if segments:
            st.markdown("**Test part** :small[:gray[segments of videos that were not trained on]]", help=TEST_HINT)
        else:
            st.markdown(
                "**Out of fold** :small[:gray[every clip scored by a head that had not seen its source video]]",
                help=HINT,
            )
        st.dataframe(pd.DataFrame(rows), width="stretch", hide_index=True, column_config=DIGITS)
