"""The lake as SQL: what counts, for readers only, on a folder and on object stores, while others write."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from infra.errors import LakeError
from lake.catalogue import connect, select
from lake.ledger import Ledger, RunRow, Statement
from lake.schema import TABLES
from lake.store import Store, rows_of
from tests.lake.conftest import DAY, START

RunMaker = Callable[..., RunRow]
Spans = Callable[..., pa.Table]


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, Any]]:
    """Options for an object store on this machine, with the buckets `lake` and `other`."""
    moto_server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {"key": "a", "secret": "b", "client_kwargs": {"region_name": "us-east-1"}}
    options = {"endpoint_url": f"http://{host}:{port}", **access}
    client = boto3.client(
        "s3",
        endpoint_url=options["endpoint_url"],
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
    )
    for bucket in ("lakes", "other"):
        client.create_bucket(Bucket=bucket)
    yield options
    server.stop()


@pytest.fixture(params=["local", "memory", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return Store(f"s3://lakes/{tmp_path.name}", request.getfixturevalue("s3"))
    return Store(f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path / "the lake's"))


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in select(connection, sql, parameters).to_pylist()]


def test_an_empty_lake_has_every_table(store: Store) -> None:
    connection = connect(store)
    for name, table in TABLES.items():
        assert select(connection, f"SELECT * FROM {name}").column_names == table.schema.names
    assert rows(connection, "SELECT count(*) AS n FROM embeddings WHERE len(vector) > 0") == [{"n": 0}]


def test_what_counts_is_what_is_seen(any_store: Store, run_row: RunMaker, spans: Spans) -> None:
    for name, count in (("old", 1), ("new", 4), ("orphan", 7)):
        any_store.write_table(f"coverage/{name}.parquet", spans(count, recording_id=name))
    ledger = Ledger(any_store)
    ledger.record([run_row(1, outputs=("coverage/old.parquet",))])
    ledger.record([run_row(2, outputs=("coverage/new.parquet",))])
    ledger.say("labels", [Statement("k", "ann", {"relevant": True}, said_at=START)])
    connection = connect(any_store)
    assert rows(connection, "SELECT recording_id, count(*) AS n FROM coverage GROUP BY ALL") == [
        {"recording_id": "new", "n": 4}
    ]
    assert rows(connection, "SELECT count(*) AS n FROM runs") == [{"n": 2}]
    assert rows(connection, "SELECT value->>'relevant' AS yes FROM labels") == [{"yes": "true"}]
    assert rows(connection, "SELECT from_us FROM coverage WHERE from_us >= ? ORDER BY 1", 20) == [
        {"from_us": 20},
        {"from_us": 30},
    ]


def test_a_connection_is_a_snapshot(store: Store, run_row: RunMaker, spans: Spans) -> None:
    store.write_table("coverage/a.parquet", spans(1))
    Ledger(store).record([run_row(1, outputs=("coverage/a.parquet",))])
    connection = connect(store)
    store.write_table("coverage/b.parquet", spans(5))
    Ledger(store).record([run_row(2, outputs=("coverage/b.parquet",))])
    assert rows(connection, "SELECT count(*) AS n FROM coverage") == [{"n": 1}]
    assert rows(connect(store), "SELECT count(*) AS n FROM coverage") == [{"n": 5}]


def test_statements_that_were_taken_back_are_gone(store: Store) -> None:
    ledger = Ledger(store)
    ledger.say("reviews", [Statement("a", "ann", "confirmed", said_at=START), Statement("b", "ann", 1, said_at=START)])
    ledger.say("reviews", [Statement("a", "bob", None, said_at=START + timedelta(seconds=1))])
    assert rows(connect(store), "SELECT key, value FROM reviews") == [{"key": "b", "value": "1"}]


def test_times_are_utc(store: Store, run_row: RunMaker) -> None:
    Ledger(store).record([run_row(0)])
    assert rows(connect(store), "SELECT CAST(started_at AS VARCHAR) AS at FROM runs") == [
        {"at": "2026-03-02 08:00:00+00"}
    ]


def test_embeddings_of_two_spaces_lie_in_one_table(store: Store, run_row: RunMaker) -> None:
    outputs = []
    for space, dimension in (("clip", 4), ("hog", 7)):
        columns = {
            "campaign": "c1",
            "camera": "hall",
            "day": DAY,
            "space": space,
            "recording_id": "r",
            "region": "frame",
            "index": [0, 1],
            "from_us": [0, 1],
            "to_us": [1, 2],
            "taken_at": [START, START],
            "digest": "",
            "vector": np.ones((2, dimension), dtype=np.float16),
        }
        outputs.append(f"embeddings/{space}.parquet")
        store.write_table(outputs[-1], rows_of("embeddings", columns, dimension))
    Ledger(store).record([run_row(1, outputs=tuple(outputs))])
    connection = connect(store)
    assert rows(
        connection, "SELECT space, len(vector) AS n, list_sum(vector) AS s FROM embeddings WHERE index = 1"
    ) == [
        {"space": "clip", "n": 4, "s": 4.0},
        {"space": "hog", "n": 7, "s": 7.0},
    ]
    near = "SELECT list_cosine_similarity(vector, [1, 1, 1, 1]::FLOAT[]) AS c FROM embeddings WHERE space = 'clip'"
    assert rows(connection, near)[0]["c"] == pytest.approx(1.0)


REFUSED = [
    "",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE runs",
    "DROP TABLE runs",
    "INSERT INTO runs SELECT * FROM runs",
    "DELETE FROM runs",
    "CREATE TABLE x AS SELECT 1",
    "COPY runs TO 'out.csv'",
    "COPY (SELECT 1) TO 'out.csv'",
    "EXPORT DATABASE 'out'",
    "ATTACH 'x.db'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE x AS SELECT 1",
    "SELECT * FROM nowhere",
    "SELEC 1",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_anything_but_one_select_is_refused(sql: str, store: Store) -> None:
    with pytest.raises(LakeError) as caught:
        select(connect(store), sql)
    assert str(caught.value)


@pytest.mark.parametrize(
    "sql", ["SELECT 1 AS a;", "WITH t AS (SELECT 1 AS a) SELECT * FROM t", "FROM range(1) SELECT 1 AS a"]
)
def test_one_select_may_be_written_in_its_ways(sql: str, store: Store) -> None:
    assert rows(connect(store), sql) == [{"a": 1}]


def outside(folder: Path, lake: str) -> list[str]:
    return [
        f"SELECT * FROM '{folder}/secret.csv'",
        f"SELECT * FROM read_csv('{folder}/secret.csv')",
        f"SELECT * FROM read_text('{folder}/secret.csv')",
        f"SELECT * FROM read_text('{lake}-secret/secret.csv')",
        f"SELECT * FROM glob('{folder}/*')",
        f"SELECT * FROM sniff_csv('{folder}/secret.csv')",
        f"SELECT * FROM query('FROM read_text(''{folder}/secret.csv'')')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "SELECT getenv('HOME')",
    ]


@pytest.mark.parametrize("number", range(10))
def test_no_file_but_the_lake_s_can_be_read(number: int, any_store: Store, tmp_path: Path) -> None:
    for place in (tmp_path, Path(f"{tmp_path}/the lake's-secret")):
        place.mkdir(exist_ok=True)
        (place / "secret.csv").write_text("a,b\n1,2\n")
    lake = any_store.location.replace("'", "''")
    with pytest.raises(LakeError, match=r"Error|error|disabled"):
        select(connect(any_store), outside(tmp_path, lake)[number])


def test_a_path_that_climbs_out_of_the_lake_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    store.write_bytes("x/own.csv", b"a\n1\n")
    connection = connect(store)
    assert rows(connection, f"SELECT a FROM '{store.location}/x/own.csv'") == [{"a": 1}]
    for climb in ("/..", "/x/../..", "/x/./../../", "//.."):
        with pytest.raises(LakeError, match="Permission"):
            select(connection, f"SELECT * FROM read_blob('{store.location}{climb}/secret.csv')")


def test_a_bucket_beside_the_lake_cannot_be_read(s3: dict[str, Any]) -> None:
    Store("s3://other/x", s3).write_bytes("secret.txt", b"secret")
    Store("s3://lakes/night-secret", s3).write_bytes("secret.txt", b"secret")
    lake = Store("s3://lakes/night", s3)
    lake.write_bytes("notes.txt", b"own")
    connection = connect(lake)
    assert rows(connection, "SELECT content FROM read_text('s3://lakes/night/notes.txt')") == [{"content": "own"}]
    for place in ("s3://other/x", "s3://lakes/night-secret"):
        with pytest.raises(LakeError):
            select(connection, f"SELECT * FROM read_text('{place}/secret.txt')")


def test_the_caller_s_variables_are_no_tables(store: Store) -> None:
    secret = pa.table({"a": [1]})
    assert secret.num_rows == 1
    for name in ("secret", "statements", "parameters"):
        with pytest.raises(LakeError, match="does not exist"):
            select(connect(store), f"SELECT * FROM {name}")


def test_a_select_cannot_loosen_the_connection(store: Store) -> None:
    connection = connect(store)
    with pytest.raises(duckdb.Error):
        connection.execute("SET enable_external_access = true")
    with pytest.raises(duckdb.Error):
        connection.execute("SET lock_configuration = false")


def test_a_file_that_was_removed_is_an_error_and_no_shorter_answer(
    store: Store, run_row: RunMaker, spans: Spans
) -> None:
    for name in ("a", "b"):
        store.write_table(f"coverage/{name}.parquet", spans(1))
    Ledger(store).record([run_row(1, outputs=("coverage/a.parquet", "coverage/b.parquet"))])
    connection = connect(store)
    store.delete("coverage/b.parquet")
    with pytest.raises(LakeError, match=r"b\.parquet"):
        select(connection, "SELECT count(*) FROM coverage")


def test_readers_work_while_a_night_writes(store: Store, run_row: RunMaker, spans: Spans) -> None:
    for number in range(12):
        store.write_table(f"coverage/{number}.parquet", spans(number + 1))
        (Path(store.location) / f"coverage/.{number}.parquet.1-ab.tmp").write_bytes(b"half a file")
        Ledger(store).record([run_row(number, outputs=(f"coverage/{number}.parquet",))])
        assert rows(connect(store), "SELECT count(*) AS n FROM coverage") == [{"n": number + 1}]
