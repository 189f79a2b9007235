"""Encoders as `--encoder` names them, one or several side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.encoders.base import Encoder


def load_combinations(site: Path, said: Sequence[str]) -> "list[list[Encoder]]":
    """Encoders of each combination `A+B`, loaded; one that is in several is loaded once.

    Raises:
        ConfigurationError: one is named twice in a combination, or there is no such encoder (UnknownNameError).
        WeightsError: its weights are not there.
    """
    from infra.errors import ConfigurationError
    from infra.weights import read_weights
    from models.encoders.build import build
    from models.encoders.lookup import find_weights
    from models.encoders.specs import describe

    known = read_weights(site / "weights")
    loaded: dict[str, Encoder] = {}
    found = []
    for words in dict.fromkeys(said):
        names = split_encoders(words)
        if len(set(names)) < len(names):
            raise ConfigurationError(f'--encoder "{words}" names an encoder twice; name each once')
        for name in names:
            if name not in loaded:
                weights = find_weights(known, name)
                loaded[name] = build(describe(name, weights), weights)
        found.append([loaded[name] for name in names])
    return found


def split_encoders(words: str) -> list[str]:
    """The encoders of `A+B`; a + within a name (`slowfast_r50+logits`) stands before no family.

    >>> split_encoders("handcrafted/motion+afterwatch/tsm_r50+logits/mine")
    ['handcrafted/motion', 'afterwatch/tsm_r50+logits/mine']
    """
    import re

    from models.encoders.specs import FAMILIES

    families = "|".join(re.escape(f"{family}/") for family in FAMILIES)
    return re.split(rf"\+(?={families})", words)
