"""Tables in Markdown."""

from collections.abc import Sequence


def row(*cells: str) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Heading and lines of a table; every row is as wide as the heading."""
    return [row(*titles), row(*("---",) * len(titles)), *(row(*cells) for cells in rows)]
