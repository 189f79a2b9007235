"""Which of a workspace's weights files serves an encoder."""

from collections.abc import Mapping

from infra.weights import WeightsFile
from models.encoders.specs import LOCAL
from models.encoders.video_architectures import LOGITS


def find_weights(known: Mapping[str, WeightsFile], name: str) -> WeightsFile | None:
    """The file for encoder `name`: its own, else the one called `local`.

    One file serves a network's features and its logits: `…+logits` also finds what was added without that ending.

    Args:
        known: files by encoder, as `infra.weights.read_weights` gives them.
        name: `family/architecture` or `family/architecture/weights`.
    """
    for asked in dict.fromkeys((name, name.replace(LOGITS, ""))):
        for candidate in (asked, f"{asked}/{LOCAL}"):
            if candidate in known:
                return known[candidate]
    return None
