"""A camera of a processed site that was turned away: its stills are written anew as if it had been."""

from collections.abc import Callable
from datetime import datetime

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake.stills import Still, read_stills
from tasks.plan import FRAMES_SCOPE
from tests.tasks.planned import plan
from workspace.opened import Workspace


def shifted(picture: NDArray[np.uint8], pixels: float) -> NDArray[np.uint8]:
    """The picture `pixels` further to the right."""
    placed = np.array([[1, 0, pixels], [0, 1, 0]], dtype=np.float64)
    moved = cv2.warpAffine(picture, placed, picture.shape[::-1], borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, dtype=np.uint8)


def still_paths(workspace: Workspace, camera: str) -> list[str]:
    days = [day for day in plan(workspace) if day.place.camera == camera]
    return [product.paths[2] for day in days for product in day.products(FRAMES_SCOPE)]


def stills_of(workspace: Workspace, camera: str) -> list[Still]:
    """All stills of a camera, in order of time."""
    return sorted(read_stills(workspace.store, still_paths(workspace, camera)), key=lambda still: still.taken_at)


def turn_away(workspace: Workspace, camera: str, pixels: float, since: datetime, until: datetime | None = None) -> None:
    """Shift the camera's stills of [since, until), and forget what its days' health was."""
    alter(workspace, camera, lambda picture: shifted(picture, pixels), since, until)


def alter(
    workspace: Workspace,
    camera: str,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    since: datetime,
    until: datetime | None = None,
) -> None:
    """Change the camera's stills of [since, until), and forget what its days' health was."""
    for path in still_paths(workspace, camera):
        table = workspace.store.read_table(path)
        rows = table.to_pylist()
        for row in rows:
            if since <= row["taken_at"] and (until is None or row["taken_at"] < until):
                picture = np.frombuffer(row["picture"], np.uint8).reshape(row["height"], row["width"])
                row["picture"] = change(picture).tobytes()
        workspace.store.write_table(path, pa.Table.from_pylist(rows, schema=table.schema))
    for day in plan(workspace):
        if day.place.camera == camera:
            for path in workspace.store.names(f"health/{day.place.folder}"):
                workspace.store.delete(path)
