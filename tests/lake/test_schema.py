"""The tables are documented, complete and of types that survive Parquet."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.errors import UnknownNameError
from lake.schema import STATEMENTS, TABLES, VECTOR, embedding_schema, table


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_place_and_each_column_once(name: str) -> None:
    names = TABLES[name].schema.names
    assert names[:3] == ["campaign", "camera", "day"]
    assert len(set(names)) == len(names)
    assert TABLES[name].name == name
    assert TABLES[name].row


@pytest.mark.parametrize("name", TABLES)
def test_columns_that_a_name_does_not_explain_are_explained(name: str) -> None:
    plain = {"recording_id", "from_us", "to_us", "index", "outputs", "run_id", "started_at", "ended_at", "peak_at"}
    for column, _, meaning in TABLES[name].columns:
        assert meaning or column in plain | {"finished_at"}, column


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_survives_parquet(name: str) -> None:
    file = io.BytesIO()
    pq.write_table(TABLES[name].schema.empty_table(), file)
    assert pq.read_table(file).schema.names == TABLES[name].schema.names


def test_an_unknown_table_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match='did you mean "coverage"'):
        table("covrage")
    assert table("runs") is TABLES["runs"]


def test_vectors_have_the_length_of_their_space() -> None:
    schema = embedding_schema(7)
    assert schema.field(VECTOR).type == pa.list_(pa.float16(), 7)
    assert schema.names == TABLES["embeddings"].schema.names


def test_statements_are_tables_with_author_time_and_value() -> None:
    for name in STATEMENTS:
        assert {"key", "author", "said_at", "value"} <= set(TABLES[name].schema.names)
