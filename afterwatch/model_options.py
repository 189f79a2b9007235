"""Arguments and options that the verbs of models share."""

from typing import Annotated

import typer

ModelArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of the model, as `models list` gives it.")]
KindOption = Annotated[str | None, typer.Option(help="Kind, where models of several kinds have the name.")]
AuthorOption = Annotated[str | None, typer.Option(help="Who says so; default: you.")]
ReasonOption = Annotated[str, typer.Option(help="Why; its history keeps it.")]
