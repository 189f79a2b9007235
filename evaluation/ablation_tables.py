"""Tables of what was varied: a table for each encoder, task and detector, a row for each scaling and projection."""

import math
from collections.abc import Sequence

from evaluation.markdown import table
from evaluation.protocols.ablation import Cell, Outcome
from evaluation.tallies import Summary

WORDS = {"frame_auc": "frame AUC, micro", "auc": "AUC of snippets"}


def ablation_section(outcomes: Sequence[Outcome]) -> list[str]:
    """All tables under one heading."""
    seeds = max(one.auc.n for one in outcomes)
    lines = [
        "## What was varied",
        "",
        f"Scaling × projection × dimension × detector; random projections: mean ± standard deviation over {seeds} seeds. The "
        "last column is the vector as the encoder gives it. PCA goes no further than the rank of the normal vectors: beyond "
        "it its columns are equal. These figures are of the test footage: they compare, and choose "
        "nothing.",
    ]
    for task in dict.fromkeys((one.cell.encoder, one.cell.fit, one.metric) for one in outcomes):
        encoder, fit, metric = task
        mine = [one for one in outcomes if (one.cell.encoder, one.cell.fit, one.metric) == task]
        for detector in dict.fromkeys(one.cell.detector for one in mine):
            same = [one for one in mine if one.cell.detector == detector]
            lines += [
                "",
                f"### `{encoder}`, {detector}, {fit}: {WORDS[metric]}",
                "",
                *_table(same, [one.auc for one in same]),
            ]
        one_detector = [one for one in mine if one.cell.detector == mine[0].cell.detector]
        if any(one.silhouette.n for one in one_detector):
            lines += [
                "",
                f"### `{encoder}`, {fit}: silhouette of normal against anomalous test vectors",
                "",
                *_table(one_detector, [one.silhouette for one in one_detector]),
            ]
    return lines


def _table(outcomes: Sequence[Outcome], summaries: Sequence[Summary]) -> list[str]:
    held = {_place(one.cell): summary for one, summary in zip(outcomes, summaries, strict=True)}
    whole = max(one.cell.dimension for one in outcomes if one.cell.projection == "none")
    dimensions = sorted({one.cell.dimension for one in outcomes if one.cell.projection != "none"})
    rows = []
    for scaling, projection in dict.fromkeys((one.cell.scaling, one.cell.projection) for one in outcomes):
        columns = [*((projection, dimension) for dimension in dimensions), ("none", whole)]
        if projection == "none":
            columns = [*((projection, dimension) for dimension in dimensions), (projection, whole)]
        cells = [held.get((scaling, *column)) for column in columns]
        if projection != "none":
            cells[-1] = None
        rows.append([scaling, projection, *(_shown(one) for one in cells)])
    return table(["scaling", "projection", *(str(one) for one in dimensions), f"{whole} (all)"], rows)


def _place(cell: Cell) -> tuple[str, str, int]:
    return cell.scaling, cell.projection, cell.dimension


def _shown(summary: Summary | None) -> str:
    if summary is None or summary.n == 0:
        return ""
    deviation = "" if math.isnan(summary.deviation) else f" ± {summary.deviation:.3f}"
    return f"{summary.mean:.3f}{deviation}"
