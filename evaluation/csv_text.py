"""Tables as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence


def csv_text(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Heading and rows, each with a line feed behind it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    return text.getvalue()
