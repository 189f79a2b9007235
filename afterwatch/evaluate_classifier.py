"""The verb `evaluate classifier`: alarm classifiers by cross-validation."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
