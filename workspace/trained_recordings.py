"""Recordings that a version of a model may have been trained on: what people said of them does not tell how right it is."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from infra.errors import LakeError
from lake.labels import Label
from workspace.labelled_windows import CONTENT
from workspace.opened import Workspace
from workspace.refitting import Known


def trained_recordings(
    workspace: Workspace, kind: str, name: str, version: str, labels: Sequence[Label]
) -> frozenset[str]:
    """Contents of the recordings that a version was, or may have been, trained on.

    Where its card names what it was trained on, as those of a classifier and of an autoencoder do, it is those. Else it is
    every recording with a label that was there when the version was made and that the card does not say was held out. A
    version whose card cannot be read may have been trained on all of them.

    Args:
        workspace: whose registry.
        kind, name, version: of the model.
        labels: what people have said of its question.
    """
    with suppress(LakeError):
        card = workspace.registry.card(kind, name, version)
        contents = card.get("contents")
        if isinstance(contents, list):
            return frozenset(_recording(one) for one in contents)
        sources = (card.get("footage") or {}).get("sources")
        if isinstance(sources, dict):
            return _at_paths(workspace, {path for part in sources.values() for path in part})
        known = Known.of(card)
        return frozenset(label.recording_id for label in labels if known.has(label))
    return frozenset(label.recording_id for label in labels)


def _at_paths(workspace: Workspace, paths: Collection[str]) -> frozenset[str]:
    """Contents that ever lay there: a recording may have been renamed or replaced since."""
    rows = workspace.ledger.rows("recordings").select(["path", "recording_id"]).to_pylist()
    return frozenset(row["recording_id"] for row in rows if row["path"] in paths and row["recording_id"])


def _recording(content: Any) -> str:
    """Of a labelled span, the recording that it is a part of; of a clip, itself: it may be a recording of the lake too."""
    return str(content).removeprefix(CONTENT).partition("/")[0]
