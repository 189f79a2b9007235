"""Options of segment classifiers, which the verbs that fit and measure them share, and how their encoders are loaded."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.head_options import head_settings

if TYPE_CHECKING:
    from models.heads.classifier import ClassifierSettings
    from models.losses import SegmentLossSettings

AnnotationsOption = Annotated[
    Path | None,
    typer.Option(
        help='JSON {"video.mp4": [{"start": 3, "end": 13}]}: when videos show an anomaly. Default: a folder for each class.'
    ),
]
UnlistedOption = Annotated[
    str, typer.Option(help="Videos that the annotations do not name: left-out, or normal.", show_default=True)
]
LayoutOption = Annotated[
    str | None, typer.Option(help="Of a folder for each class: folders, dcsass or ucf101. Default: found out.")
]
SourceOption = Annotated[
    str | None,
    typer.Option(help="Regular expression: videos in whose path it finds the same are of one source and never parted."),
]
SourcesOption = Annotated[
    Path | None, typer.Option(help="CSV of rows clip,source: videos of one source that their names do not tell.")
]
SplitOption = Annotated[
    Path | None,
    typer.Option(help="CSV of rows video,part: train, validation or test. Default: 70, 15 and 15 % of the sources."),
]
FramesOption = Annotated[
    int, typer.Option(help="Pictures of a segment at the videos' own rate; of a snippet encoder it is a snippet.")
]
OverlapOption = Annotated[float, typer.Option(help="Share of a segment in annotated spans that makes it anomalous.")]
StrideOption = Annotated[
    float | None, typer.Option(help="Seconds from one segment's start to the next's. Default: its length.")
]
FrameRateOption = Annotated[
    float | None,
    typer.Option(
        help="Pictures of a second that frame encoders see. Default: the rate of [sampling], else four of a segment, at least 1."
    ),
]
RankingOption = Annotated[float | None, typer.Option(help="Weight of the ranking term. Default: 1.")]
SmoothnessOption = Annotated[
    float | None, typer.Option(help="Weight of the smoothness term. Default: 0.00008, and 1 in s3, which subtracts it.")
]
SparsityOption = Annotated[float | None, typer.Option(help="Weight of the sparsity term of mil. Default: 0.00008.")]


def segment_head(
    *,
    hidden: str | None,
    dropout: float | None,
    epochs: int | None,
    batch: int | None,
    learning_rate: float | None,
    weight_decay: float | None,
    class_weights: str | None,
    members: int | None,
    seed: int = 0,
) -> "ClassifierSettings":
    """The settings of a segment classifier's head, but for what was said.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    from models.heads.segment_training import SEGMENT_HEAD as OURS

    return head_settings(
        published=False,
        hidden=",".join(map(str, OURS.hidden)) if hidden is None else hidden,
        dropout=OURS.dropout if dropout is None else dropout,
        epochs=OURS.epochs if epochs is None else epochs,
        batch_size=OURS.batch_size if batch is None else batch,
        learning_rate=OURS.learning_rate if learning_rate is None else learning_rate,
        weight_decay=OURS.weight_decay if weight_decay is None else weight_decay,
        class_weights=OURS.class_weights if class_weights is None else class_weights,
        members=OURS.members if members is None else members,
        patience=OURS.patience,
        seed=seed,
    )


def segment_losses(
    kinds: Sequence[str], ranking: float | None, smoothness: float | None, sparsity: float | None
) -> "tuple[SegmentLossSettings, ...]":
    """The losses of those kinds; a weight that was said counts for those that have the term.

    Raises:
        UnknownNameError: there is no such loss.
        ConfigurationError: a weight is out of its range, or none of the losses has its term.
    """
    from infra.errors import ConfigurationError, UnknownNameError
    from models.losses import KINDS, LOSSES

    for kind in kinds:
        if kind not in KINDS:
            raise UnknownNameError("loss", kind, KINDS)
    found = [LOSSES[kind] for kind in KINDS if kind in kinds]
    for name, weight in (("ranking", ranking), ("smoothness", smoothness), ("sparsity", sparsity)):
        if weight is None:
            continue
        field = f"{name}_weight"
        having = [loss.kind for loss in found if getattr(LOSSES[loss.kind], field)]
        if not having:
            raise ConfigurationError(f"{' and '.join(kinds)} has no {name} term; leave --{name}-weight out")
        changed: dict[str, Any] = {field: weight}
        found = [replace(loss, **changed) if loss.kind in having else loss for loss in found]
    return tuple(found)


def frame_rate_of(site: Path, said: float | None) -> float | None:
    """Pictures of a second that frame encoders see; None: it goes by the segment.

    Both verbs take the rate of the workspace's `[sampling]`, where it has one: the night applies a head only to pictures as
    often as it was fitted on, and what is measured is to be what is fitted.

    Raises:
        ConfigurationError: the workspace's settings are wrong.
    """
    from infra.settings import SETTINGS_FILE, AtRate, read_settings

    file = site.expanduser() / SETTINGS_FILE
    if said is not None or not file.is_file():  # weights may lie in a folder that is no workspace
        return said
    sampling = read_settings(file).sampling
    return sampling.rate_hz if isinstance(sampling, AtRate) else None
