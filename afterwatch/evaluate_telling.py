"""How the report of an evaluation is told: printed, and as files where a folder is named."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from afterwatch.options import print_json

if TYPE_CHECKING:
    from evaluation.anomaly_figures import DrawnFigure


def tell_report(
    page: Callable[[dict[str, str]], str],
    values: Mapping[str, Any],
    *,
    tables: Mapping[str, str],
    figures: "Callable[[], Sequence[DrawnFigure]]",
    out: Path | None,
    name: str,
    as_json: bool,
) -> None:
    """Write the files where a folder is named, in place of an earlier call's; print the page, or the values.

    Args:
        page: the Markdown, given the figures' files by what they show.
        values: what `--json` prints.
        tables: CSV by what stands behind the name in the file's: nothing, or a word.
        figures: draws them; drawn only to be written.
        out: the folder.
        name: what its files begin with.
        as_json: print the values.
    """
    from workspace.output_files import write_files

    if out is not None:
        drawn = figures()
        write_files(
            {
                out / f"{name}.md": page({one.title: one.file for one in drawn}).encode(),
                **{out / f"{name}{'-' * bool(part)}{part}.csv": text.encode() for part, text in tables.items()},
                out / f"{name}.json": (json.dumps(values, indent=2) + "\n").encode(),
                **{out / one.file: one.png for one in drawn},
            }
        )
    if as_json:
        print_json(dict(values))
        return
    typer.echo(page({}))
    if out is not None:
        typer.echo(f"tables and figure: {out}")
