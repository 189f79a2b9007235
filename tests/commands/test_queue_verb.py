"""The verbs over the queue, called as from a shell but in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from lake.labels import labels_now
from lake.ledger import Ledger
from tests.workspace.labelled_site import EAST_ID, EAST_PATH, labelled_site
from tests.workspace.queued_site import queued_site
from workspace.opened import Workspace
from workspace.queue_items import queue_now, skips_now


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return queued_site(tmp_path / "site")


@pytest.fixture
def call(site: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls a verb on the site."""

    def run(*arguments: object, root: Path = site.site.root) -> Done:
        with pytest.raises(SystemExit) as leaving:
            main([*map(str, arguments), "--site", str(root)])
        told = capsys.readouterr()
        code = leaving.value.code
        return Done(code if isinstance(code, int) else 0, told.out, told.err)

    return run


def test_the_queue_is_listed_for_people_and_for_programs(call: Call) -> None:
    told = call("queue", "list", "--json")
    assert told.code == 0
    assert [(row["rank"], row["head"], row["from_s"]) for row in told.json["queue"]] == [
        (1, "novelty", 4.0),
        (2, "fight", 10.0),
        (3, "opening", 20.0),
        (4, "novelty", 30.0),
    ]
    first, last = told.json["queue"][0], told.json["queue"][-1]
    assert (first["recording"], first["recording_id"], first["distance"]) == (EAST_PATH, EAST_ID, -0.25)
    assert (last["reason"], last["threshold"], last["distance"]) == ("diverse", None, None)
    assert {row["head"]: row["left"] for row in told.json["heads"]} == {"fight": 1, "novelty": 2, "opening": 1}
    narrow = call("queue", "list", "--head", "fight")
    assert first["item"] not in narrow.out and "fight" in narrow.out and "0 of 1 judged" in narrow.out


def test_answers_skips_and_taking_back(call: Call, site: Workspace) -> None:
    first, second, third, _ = queue_now(site)
    done = call("queue", "answer", first.queue_id, "relevant", "--author", "ann")
    assert (done.code, done.out) == (0, f"relevant: {first.use_case}\n")
    done = call("queue", "answer", second.queue_id, "normal", "--author", "ann", "--json")
    assert (done.json["answer"], done.json["author"]) == ("normal", "ann")
    assert call("queue", "skip", third.queue_id, "--author", "ann").code == 0
    ledger = Ledger(site.store)
    answers = {label.use_case: label.relevant for label in labels_now(ledger)}
    assert answers == {first.use_case: True, second.use_case: False}
    assert [skip.span for skip in skips_now(ledger)] == [third.span]
    refused = call("queue", "skip", first.queue_id, "--author", "ann")
    assert (refused.code, refused.out) == (2, "") and f"afterwatch queue undo {first.queue_id}" in refused.err
    listed = call("queue", "list")
    assert first.queue_id not in listed.out and "3 of 4 judged or skipped" in listed.out
    assert call("queue", "undo", second.queue_id, "--json").json == {
        "item": second.queue_id,
        "taken_back": "irrelevant",
    }
    assert "nothing was said" in call("queue", "undo", second.queue_id).out
    assert call("queue", "undo", third.queue_id).out.startswith("taken back: skipped")
    assert [item.queue_id for item in queue_now(Workspace(site.site.root))][:2] == [second.queue_id, third.queue_id]


def test_wrong_names_and_words_are_refused(call: Call, site: Workspace) -> None:
    for arguments in (
        ("answer", "0" * 12, "relevant"),
        ("answer", queue_now(site)[0].queue_id, "perhaps"),
        ("answer", queue_now(site)[0].queue_id, "relevant", "--author", " "),
        ("skip", "nothing"),
        ("undo", "nothing"),
        ("list", "--head", "theft"),
        ("list", "--camera", "roof"),
    ):
        done = call("queue", *arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert done.err
    assert "fight" in call("queue", "list", "--head", "fihgt").err, "the known ones are told"
    assert labels_now(Ledger(site.store)) == []


def test_where_nothing_is_asked_the_remedy_is_told(call: Call, tmp_path: Path) -> None:
    root = labelled_site(tmp_path / "fresh").site.root
    assert 'run the night with "afterwatch run"' in call("queue", "list", root=root).out
    assert call("queue", "list", "--json", root=root).json == {"queue": [], "heads": []}
    settings = root / "afterwatch.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + "\n[queue]\nbudget = 0\n", encoding="utf-8")
    assert "[queue] budget = 0" in call("queue", "list", root=root).out
