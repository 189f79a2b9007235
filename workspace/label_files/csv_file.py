"""Labels as CSV: a line for each, times in seconds to the microsecond."""

import csv
import io
from collections.abc import Sequence

from infra.errors import ConfigurationError
from lake.labels import Label
from workspace.known_recordings import KnownRecordings
from workspace.label_files.base import FIELDS, Content, Problem, Row, said_at_text, text_of

COLUMNS = (
    "campaign",
    "camera",
    "recording",
    "from_s",
    "to_s",
    "use_case",
    "region",
    "relevant",
    "author",
    "said_at",
    "role",
)
DELIMITERS = ",;\t"


def read_csv(content: bytes) -> Content:
    """Rows of a CSV file: comma, semicolon or tab, with names of `FIELDS` in its first line, in any order.

    Raises:
        ConfigurationError: it is no such file.
    """
    text = text_of(content)
    names, delimiter = _header(text)
    for name in names:
        if name in FIELDS and names.count(name) > 1:
            raise ConfigurationError(f'column "{name}" stands twice in the first line; keep one')
    rows: list[Row] = []
    problems: list[Problem] = []
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(lines)
        before = lines.line_num
        for cells in lines:
            where, before = f"line {before + 1}", lines.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                problems.append(Problem(where, f"{len(cells)} cells under {len(names)} columns; put it right"))
                continue
            rows.append(Row(where, dict(zip(names, cells, strict=True))))
    except csv.Error as error:
        raise ConfigurationError(f"line {lines.line_num}: {error}; save the file as CSV again") from None
    foreign = sorted({name for name in names if name and name not in FIELDS})
    told = f"columns that were left out: {', '.join(foreign)} (known: {', '.join(FIELDS)})"
    return Content(tuple(rows), tuple(problems), (told,) if foreign else ())


def _header(text: str) -> tuple[list[str], str]:
    """Names of the columns, and what stands between them."""
    first = text.splitlines()[0]
    split = {
        delimiter: [name.strip().strip('"').lower() for name in first.split(delimiter)] for delimiter in DELIMITERS
    }
    delimiter = max(DELIMITERS, key=lambda delimiter: len(set(split[delimiter]) & set(FIELDS)))
    names = split[delimiter]
    absent = [name for name in ("use_case", "relevant") if name not in names]
    if absent:
        raise ConfigurationError(
            f"the first line names no column {' and none '.join(absent)}; it holds names such as {','.join(COLUMNS)}"
        )
    return names, delimiter


def write_csv(labels: Sequence[Label], known: KnownRecordings) -> bytes:
    """Labels as CSV, a line for each in the order given; the same labels give the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in labels:
        writer.writerow(
            (
                label.campaign,
                label.use_case.camera,
                known.name_of(label.recording_id),
                seconds_text(label.from_us),
                seconds_text(label.to_us),
                label.use_case.name,
                label.use_case.region,
                str(label.relevant).lower(),
                label.author,
                said_at_text(label),
                label.role,
            )
        )
    return text.getvalue().encode()


def seconds_text(microseconds: int) -> str:
    """Microseconds as seconds, exact."""
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
