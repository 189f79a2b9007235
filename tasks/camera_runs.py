"""What the ledger says of a camera's steps whose heads come and go: what was told of them, and which of them count."""

from functools import cached_property
from typing import Any

import pyarrow.compute as pc

from lake.keys import Place
from lake.ledger import FINISHED, newest
from workspace.opened import Workspace


class CameraRuns:
    """The rows of `runs` of one camera, as they are at the moment: read when first needed, and once.

    Args:
        workspace: the site.
        camera: whose rows.
    """

    def __init__(self, workspace: Workspace, camera: str) -> None:
        self._workspace, self._camera = workspace, camera

    def said(self, step: str) -> dict[str, str]:
        """What was told last when a step of that name was done, by key."""
        return {row["key"]: row["message"] for row in self._rows if row["step"] == step and row["message"]}

    def counting(self, step: str) -> dict[Place, list[str]]:
        """Scopes of that step whose files count, by day, in order."""
        finished = [row for row in self._rows if row["step"] == step and row["status"] in FINISHED]
        counting: dict[Place, list[str]] = {}
        for row in newest(finished, ("campaign", "camera", "day", "scope"), "finished_at"):
            if row["outputs"]:
                place = Place(row["campaign"], row["camera"], row["day"])
                counting.setdefault(place, []).append(row["scope"])
        return {place: sorted(scopes) for place, scopes in counting.items()}

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        rows = self._workspace.ledger.rows("runs")
        mine: list[dict[str, Any]] = rows.filter(pc.equal(rows["camera"], self._camera)).to_pylist()
        return mine
