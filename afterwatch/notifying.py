"""The verb `notify`: tell what is still to be told of alarms."""

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
