"""The lake as SQL: DuckDB views over the files that count.

A connection lives in memory and only reads, so any number of them work while a night writes. It is a snapshot: what
the `runs` ledger says at the moment of connecting is what the views show; connect again to see what came since.
"""

import json
import secrets
from collections.abc import Iterable, Sequence
from tempfile import gettempdir
from typing import Any

import duckdb
import pyarrow as pa

from infra.errors import LakeError
from lake.current import outputs_of, recordings_now, statements_now
from lake.ledger import Ledger
from lake.schema import LOOK, STATEMENTS, TABLES, VECTOR
from lake.store import Store

DATA_TABLES = (
    "coverage",
    "frames",
    "stills",
    "embeddings",
    "health",
    "scores",
    "events",
    "reasons",
    "standards",
    "unusual",
    "segments",
    "summaries",
    "queue",
)


def connect(store: Store, ledger: Ledger | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with one view per table of `lake/schema.py`; it can read the lake and nothing else.

    Args:
        store: the lake.
        ledger: of the lake, where the caller keeps one: what it has read before is not read again.
    """
    ledger = Ledger(store) if ledger is None else ledger
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    # Files never change: each footer is read once for a snapshot, not once for every query.
    connection.execute("SET parquet_metadata_cache = true")
    if not store.is_local:
        connection.register_filesystem(store.filesystem)
    # Read once: a row entered between two readings would tell of files that the views do not show.
    runs = ledger.rows("runs").to_pylist()
    outputs = outputs_of(runs)
    for name in DATA_TABLES:
        _view_of_files(connection, store, name, [output.path for output in outputs if output.table == name])
    _table_of_rows(connection, "recordings", recordings_now(ledger))
    _table_of_rows(connection, "runs", runs)
    for name in STATEMENTS:
        said = [{**row, "value": json.dumps(row["value"])} for row in statements_now(ledger, name)]
        _table_of_rows(connection, name, said)
    # What does not fit into memory goes there; DuckDB's own choice is the current folder, which a query could then read.
    connection.execute("SET temp_directory = ?", [f"{gettempdir()}/afterwatch-{secrets.token_hex(8)}"])
    spellings = [store.location]
    if not store.is_local:  # a store may tell its files by another spelling than the settings
        spellings.append(store.filesystem.unstrip_protocol(store.filesystem._strip_protocol(store.location)))
    connection.execute("SET allowed_directories = ?", [spellings])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")  # a query sees the lake, not the caller's variables
    connection.execute("SET lock_configuration = true")
    return connection


def select(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
    """Run one SELECT and return its rows.

    Raises:
        LakeError: it is not one SELECT, or DuckDB refuses it; the message is DuckDB's own.
    """
    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise LakeError("the lake is read only: give one SELECT statement")
        rows: pa.Table = connection.sql(sql, params=list(parameters)).to_arrow_table()
        return rows
    except duckdb.Error as error:
        raise LakeError(str(error)) from None


def _view_of_files(connection: duckdb.DuckDBPyConnection, store: Store, name: str, paths: Iterable[str]) -> None:
    files = ", ".join(_quoted(store.url(path)) for path in paths)
    columns = ", ".join(f'"{column}"' for column in TABLES[name].schema.names)
    source = f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)" if files else ""
    if not source:
        _table_of_rows(connection, name, [])
        return
    try:
        connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM {source}")
    except duckdb.BinderException:
        # Every file is older than some column: an empty table brings it along, without a value.
        _table_of_rows(connection, name, [], f"_none_of_{name}")
        united = f"SELECT * FROM _none_of_{name} UNION ALL BY NAME SELECT * FROM {source}"
        connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM ({united})")


def _table_of_rows(
    connection: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]], called: str = ""
) -> None:
    # DuckDB takes no floats of 16 bits from Arrow; out of Parquet it reads them as 32.
    schema = pa.schema(
        field.with_type(pa.list_(pa.float32())) if field.name in (VECTOR, LOOK) else field
        for field in TABLES[name].schema
    )
    connection.register(f"_{name}", pa.Table.from_pylist(rows, schema=schema))
    connection.execute(f"CREATE TABLE {called or name} AS SELECT * FROM _{name}")
    connection.unregister(f"_{name}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
