"""Options of the head of an alarm, which the verbs that train one share."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from models.heads.classifier import ClassifierSettings

DEFAULT_ENCODER = "handcrafted/action"
"""Whose vectors a head is trained on where none is named."""

PublishedOption = Annotated[
    bool, typer.Option("--published", help="Begin with the settings of the lab this follows, not with ours.")
]
HiddenOption = Annotated[
    str | None, typer.Option(help="Values of the hidden layers, as 512,64; none: one linear layer.")
]
DropoutOption = Annotated[float | None, typer.Option(help="Share of hidden values left out while it trains.")]
EpochsOption = Annotated[int | None, typer.Option(help="Most epochs.")]
PatienceOption = Annotated[
    int | None, typer.Option(help="Epochs without a lower loss of other sources until it stops; 0: every epoch is run.")
]
BatchOption = Annotated[int | None, typer.Option(help="Windows of a step.")]
LearningRateOption = Annotated[float | None, typer.Option(help="Smaller where the loss is not finite.")]
WeightDecayOption = Annotated[float | None, typer.Option(help="Pull of the weights towards 0.")]
ClassWeightsOption = Annotated[
    str | None, typer.Option(help="balanced: rare classes weigh as much as the rest; or none.")
]
MembersOption = Annotated[int | None, typer.Option(help="Heads whose logits are averaged.")]


def head_settings(*, published: bool, hidden: str | None, **said: Any) -> "ClassifierSettings":
    """Our settings or the published ones, but for what was said.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    from models.heads.classifier import PUBLISHED, ClassifierSettings

    told = {name: value for name, value in said.items() if value is not None}
    if hidden is not None:
        told["hidden"] = _widths(hidden)
    if told.get("patience") == 0:
        told["patience"] = None
    return replace(PUBLISHED if published else ClassifierSettings(), **told)


def _widths(said: str) -> tuple[int, ...]:
    from infra.errors import ConfigurationError

    if said == "none":
        return ()
    try:
        return tuple(int(width) for width in said.split(","))
    except ValueError:
        raise ConfigurationError(
            f'--hidden "{said}" is no list of widths; write 512, or 512,64, or none for a linear head'
        ) from None
