"""What the ledger says of a camera's steps whose heads come and go: what was told of them, and which of them count."""

from collections.abc import Collection
from functools import cached_property
from typing import Any

import pyarrow.compute as pc

from lake.keys import Place, step_key
from lake.ledger import FINISHED, newest
from tasks.step_plans import Step
from workspace.opened import Workspace

Row = dict[str, Any]


class CameraRuns:
    """The rows of `runs` of one camera, as they are at the moment: read when first needed, and once.

    Args:
        workspace: the site.
        camera: whose rows.
    """

    def __init__(self, workspace: Workspace, camera: str) -> None:
        self._workspace, self._camera = workspace, camera

    def said(self, step: str, key: str) -> str:
        """What was told when the step of that name and key was done; empty where nothing was."""
        return self._said.get((step, key), "")

    def retired(self, step: str, place: Place, serving: Collection[str], remark: str) -> tuple[Step, ...]:
        """A step for each scope of `step` whose files of a day still count and which is not `serving`, in order of name.

        It gives no files and is done as it is: once it is in the ledger, nothing of that scope counts.
        """
        return tuple(
            Step(step, scope, step_key(step, {"place": place.told, "retired": scope}, ()), (), (), True, remark)
            for scope in self._counting.get((step, place), ())
            if scope not in serving
        )

    def finished(self, step: str, scope: str) -> list[Row]:
        """Every row that says files of a step and scope are there, of whatever day, oldest first."""
        mine = (row for row in self._rows if (row["step"], row["scope"]) == (step, scope))
        return sorted((row for row in mine if row["status"] in FINISHED and row["outputs"]), key=_finished_at)

    @cached_property
    def _said(self) -> dict[tuple[str, str], str]:
        done = (row for row in self._rows if row["status"] == "done" and row["message"])
        return {(row["step"], row["key"]): row["message"] for row in done}

    @cached_property
    def _counting(self) -> dict[tuple[str, Place], list[str]]:
        finished = [row for row in self._rows if row["status"] in FINISHED]
        counting: dict[tuple[str, Place], list[str]] = {}
        for row in newest(finished, ("step", "campaign", "camera", "day", "scope"), "finished_at"):
            if row["outputs"]:
                place = Place(row["campaign"], row["camera"], row["day"])
                counting.setdefault((row["step"], place), []).append(row["scope"])
        return {name: sorted(scopes) for name, scopes in counting.items()}

    @cached_property
    def _rows(self) -> list[Row]:
        rows = self._workspace.ledger.rows("runs")
        mine: list[Row] = rows.filter(pc.equal(rows["camera"], self._camera)).to_pylist()
        return mine


def _finished_at(row: Row) -> Any:
    return row["finished_at"]
