"""The guarded ledger, registry and store: they ask who acts now, refuse, and enter what is done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from infra.access import LEAST, NOBODY, ROLES, Actor, Role
from infra.errors import AccessError, LakeError, UnknownNameError
from lake.audit import TABLE, AuditRow, audit_rows, verify
from lake.guard import ACTIONS, BY_THE_NIGHT, Guard, GuardedLedger, GuardedRegistry, GuardedStore
from lake.ledger import Ledger, RunRow, Statement
from lake.schema import STATEMENTS
from lake.store import Store

VERA = Actor("vera", "viewer", "dashboard", signed_in=True)
RITA = Actor("rita", "reviewer", "dashboard", signed_in=True)
EGON = Actor("egon", "engineer", "dashboard", signed_in=True)
OPERATOR = Actor("operator", "engineer", "command line")


@dataclass
class House:
    """A guarded lake, and who acts in it."""

    store: Store
    head: Path
    actor: Actor = EGON

    def __post_init__(self) -> None:
        self.guard = Guard(Ledger(self.store), lambda: self.actor, self.head)
        self.ledger = GuardedLedger(self.store, self.guard)
        self.registry = GuardedRegistry(self.head.parent / "models", self.guard)
        self.files = GuardedStore(self.store.location, self.store.options, self.guard)

    def audit(self) -> list[AuditRow]:
        return audit_rows(Ledger(self.store))


@pytest.fixture
def house(store: Store, tmp_path: Path) -> House:
    return House(store, tmp_path / "audit-head")


def test_every_table_of_statements_has_an_action_but_the_audit() -> None:
    assert set(ACTIONS) == set(STATEMENTS) - {TABLE}


@pytest.mark.parametrize("table", sorted(ACTIONS))
@pytest.mark.parametrize("role", ROLES)
def test_each_table_takes_words_of_the_roles_that_may_and_of_no_other(house: House, table: str, role: Role) -> None:
    house.actor = NOBODY if role == "none" else Actor("somebody", role, "dashboard", signed_in=True)
    said = [Statement("key", "somebody", 1, camera="gate")]
    if ROLES.index(role) >= ROLES.index(LEAST[ACTIONS[table]]):
        house.ledger.say(table, said)
        assert house.ledger.rows(table).num_rows == 1
        assert [row.allowed for row in house.audit()] == ([] if table in BY_THE_NIGHT else [True])
    else:
        with pytest.raises(AccessError):
            house.ledger.say(table, said)
        assert house.ledger.rows(table).num_rows == 0
        (row,) = house.audit()
        assert (row.who, row.role, row.allowed, row.about.on) == (house.actor.name, role, False, ("key",))


def test_the_author_is_who_is_signed_in_whatever_a_form_says(house: House) -> None:
    house.actor = RITA
    house.ledger.say("labels", [Statement("key", "egon", True), Statement("other", "", True)])
    assert house.ledger.rows("labels")["author"].to_pylist() == ["rita", "rita"]


def test_on_the_command_line_the_author_is_as_it_is_told_and_the_audit_says_who_ran_it(house: House) -> None:
    house.actor = OPERATOR
    house.ledger.say(
        "labels", [Statement("key", "ann", True, camera="gate"), Statement("key 2", "ann", True, camera="gate")]
    )
    assert house.ledger.rows("labels")["author"].to_pylist() == ["ann", "ann"]
    (row,) = house.audit()
    assert (row.who, row.via, row.action) == ("operator", "command line", "label and judge")
    assert (row.about.count, row.about.camera) == (2, "gate")


def test_who_acts_is_asked_at_every_write_and_never_remembered(house: House) -> None:
    kept = house.ledger
    kept.say("thresholds", [Statement("a", "x", 1)])
    house.actor = VERA
    with pytest.raises(AccessError, match="vera has the role viewer"):
        kept.say("thresholds", [Statement("b", "egon", 1)])
    house.actor = EGON
    kept.say("thresholds", [Statement("c", "x", 1)])
    assert [(row.who, row.allowed) for row in house.audit()] == [("egon", True), ("vera", False), ("egon", True)]


def test_nobody_writes_into_the_audit_by_hand(house: House) -> None:
    with pytest.raises(AccessError, match="enters itself"):
        house.ledger.say(TABLE, [Statement("key", "egon", {})])
    with pytest.raises(UnknownNameError):
        house.ledger.say("runs", [Statement("key", "egon", {})])


def test_only_runs_write_runs(house: House, run_row: Callable[..., RunRow]) -> None:
    house.actor = RITA
    with pytest.raises(AccessError):
        house.ledger.record([run_row(1)])
    house.actor = Actor("rita", "reviewer", "job", signed_in=True)
    house.ledger.record([run_row(1)])
    assert house.ledger.rows("runs").num_rows == 1
    house.ledger.record([])


def test_the_files_of_the_lake_are_written_and_deleted_by_runs_and_engineers(house: House) -> None:
    house.files.write_bytes("scores/x", b"1")
    for actor in (NOBODY, VERA, RITA):
        house.actor = actor
        with pytest.raises(AccessError):
            house.files.write_bytes("scores/x", b"2")
        with pytest.raises(AccessError):
            house.files.delete("scores/x")
    assert house.files.read_bytes("scores/x") == b"1"
    house.actor = EGON
    house.files.delete("scores/x")


def test_a_model_is_trained_by_who_may_and_says_who_it_was(house: House) -> None:
    arrays = {"w": np.zeros(2)}
    house.actor = VERA
    with pytest.raises(AccessError):
        house.registry.save("classifier", "fights", "v1", {}, arrays, author="egon")
    assert house.registry.versions() == []
    house.actor = RITA
    for _ in range(2):
        house.registry.save("classifier", "fights", "v1", {}, arrays, author="egon")
    assert house.registry.card("classifier", "fights", "v1")["author"] == "rita"
    house.registry.save("novelty", "gate", "n1", {}, arrays, author="night")
    told = [(row.who, row.allowed, row.about.on) for row in house.audit()]
    assert told == [("vera", False, ("classifier/fights/v1",)), ("rita", True, ("classifier/fights/v1",))]
    house.actor = VERA
    with pytest.raises(AccessError):
        house.registry.revise("classifier", "fights", "v1", {"remark": "better"})


def test_what_cannot_be_entered_is_not_done(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store, path: str, content: bytes) -> None:
        raise LakeError("disk full")

    monkeypatch.setattr(Store, "write_bytes", full)
    with pytest.raises(LakeError, match="disk full"):
        house.ledger.say("labels", [Statement("key", "egon", True)])
    monkeypatch.undo()
    assert house.ledger.rows("labels").num_rows == 0


def test_the_chain_holds_over_everything_that_was_done(house: House) -> None:
    for actor in (EGON, VERA, RITA, NOBODY, OPERATOR) * 3:
        house.actor = actor
        for table in ("labels", "promotions"):
            try:
                house.ledger.say(table, [Statement("key", "x", 1)])
            except AccessError:
                continue
    verdict = verify(Ledger(house.store), house.head)
    assert verdict.rows == 30 and verdict.problems == ()
