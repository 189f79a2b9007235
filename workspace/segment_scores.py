"""What a segment classifier keeps of its held-out segments: those a threshold is chosen on, and those that tell what it comes to.

A classifier of clips is cross-validated, and has neither: each of its clips is held out once.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from infra.errors import LakeError
from models.sweep import Sweep, sweep
from workspace.classifiers import KIND, FoundClassifier
from workspace.opened import Workspace

FOLD_PART = "fold_part"
"""Of a card: the part whose segments are swept, `validation`, or `test` where there is no validation."""
FOLD_CLIPS = "fold_clips"
"""Of a card: video and start of each of these segments."""
TEST_SCORES, TEST_TRUTH = "test.scores", "test.truth"


def fold_part(card: Mapping[str, Any]) -> str | None:
    """The part whose segments a threshold is chosen on; None of a classifier of clips."""
    part = card.get(FOLD_PART)
    return None if part is None else str(part)


def fold_words(card: Mapping[str, Any]) -> str | None:
    """What a threshold is chosen on, in words; None of a classifier of clips."""
    part = fold_part(card)
    if part is None:
        return None
    return "the validation part" if part == "validation" else "the test part, for there is no validation part"


def fold_names(found: FoundClassifier, count: int) -> list[str]:
    """Of each of `count` scores that a threshold is chosen on, what it is of: a clip, or a segment of a video.

    Raises:
        LakeError: its card tells more or fewer.
    """
    names = [str(name) for name in found.card.get(FOLD_CLIPS, found.card.get("clips")) or ()]
    if len(names) != count:
        raise LakeError(
            f"classifier {found.name} {found.version} has {count} held-out scores, and its card names {len(names)} of what "
            "they are of; fit it again"
        )
    return names


def sweep_on_test(workspace: Workspace, found: FoundClassifier, class_name: str) -> Sweep | None:
    """What each threshold on a class comes to on the test part; None of a classifier of clips.

    Raises:
        UnknownNameError: it has no such class.
        LakeError: the scores of the test part are not there, or not those of its classes.
    """
    if fold_part(found.card) is None:
        return None
    column = found.classes.index(found.class_named(class_name))
    _, arrays = workspace.registry.load(KIND, found.name, found.version)
    try:
        return sweep(arrays[TEST_TRUTH][:, column].astype(np.bool_), arrays[TEST_SCORES][:, column])
    except (KeyError, IndexError, ValueError) as error:
        raise LakeError(
            f"the test scores of classifier {found.name} {found.version} are damaged ({error!r}); fit it again"
        ) from None
