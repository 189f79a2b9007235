"""The verb `models export`: a classifier as one ONNX file."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
