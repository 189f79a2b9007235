"""Files of the lake spoilt by chance are refused with words, or say what they said; nothing else is read out of them."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.fuzz import fuzz_lake, lake_files
from benchmarks.fuzz_lake import MUTATIONS, mutated_file
from infra.errors import LakeError
from lake.current import statements_now
from lake.labels import labels_now
from lake.ledger import Ledger, Statement
from lake.store import SEAL, Store
from tests.chaos.sites import small
from tests.tasks.nights import run
from workspace.opened import Workspace


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after a night, with something said in it; treat it as read only."""
    workspace = small(tmp_path_factory.mktemp("lake") / "site", 1)
    run(workspace)
    workspace.ledger.say("reviews", [Statement("a/b", "ann", {"verdict": "confirmed"})])
    return workspace.site.root


def test_nothing_is_read_out_of_a_spoilt_file_but_what_was_written(site: Path) -> None:
    told = fuzz_lake(site, 600, 5)
    assert told.wrong == []
    assert (told.files, set(told.ends)) == (600, {"refused", "says what it said"})
    assert told.ends["says what it said"] < 30, "bytes that are no part of the file's meaning are few"


def test_every_kind_is_met_and_every_table_of_the_night(site: Path) -> None:
    files = lake_files(site)
    spoilt = [mutated_file(5, number, files) for number in range(600)]
    assert {one.kind for one in spoilt} == set(MUTATIONS)
    assert {one.path.split("/")[0] for one in spoilt} >= {"runs", "recordings", "reviews", "frames", "embeddings"}


def test_a_night_on_a_spoilt_ledger_is_refused_by_name_and_the_next_goes_on(tmp_path: Path) -> None:
    workspace = small(tmp_path / "site", 1)
    run(workspace)
    file = next((workspace.site.root / "lake" / "recordings").glob("*.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(LakeError, match=rf"{file.name} is damaged.*move it away and run again"):
        run(Workspace(workspace.site.root))
    file.unlink()
    night = run(Workspace(workspace.site.root))
    assert night.report.status == "complete"
    assert night.report.decoded_s == 0, "what was computed is there, and is found again"


def test_a_file_without_a_sum_is_one_of_before_there_were_sums(tmp_path: Path) -> None:
    ledger, store = Ledger(Store(str(tmp_path))), Store(str(tmp_path))
    ledger.say("reviews", [Statement("a/b", "ann", 1)])
    (name,) = store.names("reviews")
    rows = store.read_table(name)
    assert SEAL in store.read_bytes(name) and SEAL not in (rows.schema.metadata or {})
    pq.write_table(rows, store.url(name))
    assert SEAL not in store.read_bytes(name)
    assert store.read_table(name).equals(rows)


def test_a_file_among_those_of_another_table_is_no_part_of_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    Ledger(store).say("reviews", [Statement("a/b", "ann", 1)])
    (name,) = store.names("reviews")
    store.write_bytes("labels/1.parquet", store.read_bytes(name))
    with pytest.raises(LakeError, match=r"labels/1\.parquet is damaged"):
        Ledger(store).rows("labels")


def test_statements_that_are_none_are_named(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)))
    ledger.say("labels", [Statement("a/b", "ann", {"x": 1}, camera="hall")])
    with pytest.raises(LakeError, match="the label a/b that ann gave is none"):
        labels_now(ledger)
    row = ledger.rows("labels")
    store = Store(str(tmp_path / "other"))
    store.write_table("labels/1.parquet", row.set_column(row.schema.get_field_index("value"), "value", [["{"]]))
    with pytest.raises(LakeError, match="labels holds a statement of 'ann' on 'a/b' that is no JSON"):
        statements_now(Ledger(store), "labels")
