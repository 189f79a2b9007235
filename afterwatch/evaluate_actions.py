"""The verb `evaluate action-recognition`: networks side by side."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
