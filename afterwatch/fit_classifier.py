"""The verb `fit classifier`: the head of an alarm, on what an encoder sees."""

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `fit`."""
