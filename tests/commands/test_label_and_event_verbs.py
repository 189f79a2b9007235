"""The verbs over labels and events, called as from a shell but in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from afterwatch.demonstration import truth_labels
from footage.synthetic.truth import read_truth
from lake.labels import labels_now, say_labels
from lake.ledger import RunRow
from lake.store import rows_of
from tasks.ingest import enter, examine_file
from tasks.inventory import take_inventory
from tests.workspace.labelled_site import (
    CAMPAIGN,
    DAY,
    EAST,
    EAST_ID,
    EAST_PATH,
    NORTH_ID,
    SAID,
    SEEN,
    START,
    label,
    labelled_site,
)
from workspace.opened import Workspace

GOOD = f"{EAST_PATH},1,2,opening,hatch,true"
BAD = f"{EAST_PATH},1,99,opening,hatch,true"
HEADER = "recording,from_s,to_s,use_case,region,relevant"


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
    return labelled_site(tmp_path / "site")


@pytest.fixture
def call(site: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls a verb on the site."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as leaving:
            main([*map(str, arguments), "--site", str(site.site.root)])
        told = capsys.readouterr()
        code = leaving.value.code
        return Done(code if isinstance(code, int) else 0, told.out, told.err)

    return run


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def test_labels_come_in_are_listed_and_go_out(call: Call, tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    done = call("labels", "import", path, "--author", "ann", "--json")
    assert done.code == 0
    assert done.json == {"said": 1, "known": 0, "problems": [], "remarks": []}
    assert call("labels", "import", path, "--author", "ann", "--json").json["known"] == 1
    (row,) = call("labels", "list", "--json").json["labels"]
    assert (row["recording"], row["from_s"], row["to_s"]) == (EAST_PATH, 1.0, 2.0)
    assert (row["use_case"], row["region"], row["relevant"], row["author"]) == ("opening", "hatch", True, "ann")
    assert "opening" in call("labels", "list").out
    assert call("labels", "list", "--role", "truth", "--json").json == {"labels": []}
    done = call("labels", "export", tmp_path / "out.json")
    assert done.code == 0 and "1 labels" in done.out
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["annotations"]
    assert call("labels", "export", tmp_path / "cvat").code == 0
    assert list((tmp_path / "cvat").rglob("*.xml"))


def test_a_wrong_row_ends_with_2_and_nothing_said_or_with_1_and_the_rest(call: Call, tmp_path: Path) -> None:
    path = written(tmp_path, GOOD, BAD)
    done = call("labels", "import", path)
    assert done.code == 2
    assert "line 3:" in done.err and "lasts 60.000000 s" in done.err
    assert "nothing was said" in done.out
    assert call("labels", "list", "--json").json == {"labels": []}
    done = call("labels", "import", path, "--skip-bad", "--json")
    assert done.code == 1
    assert done.json["said"] == 1
    assert [problem["where"] for problem in done.json["problems"]] == ["line 3"]


def test_many_problems_are_cut_short_for_people_only(call: Call, tmp_path: Path) -> None:
    path = written(tmp_path, *[BAD] * 100)
    assert "and 60 more" in call("labels", "import", path).err
    assert len(call("labels", "import", path, "--json").json["problems"]) == 100


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("labels", "import", "absent.csv"), "cannot be read"),
        (("labels", "import", "labels.doc"), "--format"),
        (("labels", "import", "labels.csv", "--format", "excel"), "known: coco, csv, cvat"),
        (("labels", "import", "labels.csv", "--role", "rumour"), "known: label, truth"),
        (("labels", "list", "--camera", "gate"), "known: hall-east, hall-north"),
        (("labels", "export", "labels.csv"), "nothing is labelled"),
        (("labels", "undo", "../gate", "opening"), "cannot name a camera"),
        (("events", "export", "events.csv"), "no such events"),
        (("events", "export", "events.pdf"), "no such events"),
        (("events", "export", "events.otio", "--rate", "0"), "rate"),
        (("events", "list", "--day", "tomorrow"), "is no day"),
        (("events", "list", "--head", "novelty"), "unknown head"),
    ],
)
def test_a_wrong_call_ends_with_2_and_the_reason(call: Call, arguments: tuple[str, ...], reason: str) -> None:
    done = call(*arguments, *(["--json"] if arguments[1] in ("list", "import") else []))
    assert done.code == 2
    assert reason in done.err
    if arguments[1] in ("list", "import"):
        assert reason in done.json["error"]


def test_undo_takes_the_newest_word_back(call: Call, site: Workspace) -> None:
    say_labels(site.ledger, [label(), label(from_us=5_000_000, to_us=6_000_000, said_at=SAID + timedelta(hours=1))])
    told = ("labels", "undo", EAST, "opening", "--region", "hatch", "--author", "inspector")
    assert call(*told, "--json").json["undone"]["from_s"] == 5.0
    assert "1.000 to 2.500 s, relevant" in call(*told).out
    assert call(*told, "--json").json == {"undone": None}
    assert "nothing" in call(*told).out
    assert call("labels", "list", "--json").json == {"labels": []}


def test_events_are_listed_and_handed_on(call: Call, site: Workspace, tmp_path: Path) -> None:
    say_events(site)
    told = call("events", "list", "--alarms", "--json").json["events"]
    assert [(row["camera"], row["recording"], row["from_s"]) for row in told] == [(EAST, EAST_PATH, 10.0)]
    assert "novelty" in call("events", "list", "--camera", EAST).out
    for name in ("events.csv", "events.json", "one.otio"):
        assert call("events", "export", tmp_path / name, "--camera", EAST).code == 0
        assert (tmp_path / name).stat().st_size > 0
    done = call("events", "export", tmp_path / "timelines", "--rate", "25", "--file-urls")
    assert "2 files" in done.out
    text = (tmp_path / "timelines" / CAMPAIGN / f"{EAST}.otio").read_text(encoding="utf-8")
    assert (site.site.footage_root / EAST_PATH).as_uri() in text
    refused = call("events", "export", tmp_path / "events.pdf")
    assert refused.code == 2 and "--format" in refused.err


def test_an_event_is_confirmed_dismissed_and_left_open_again(call: Call, site: Workspace) -> None:
    say_events(site)
    told = call("events", "confirm", "a", "--author", "ann", "--json").json
    assert (told["event_id"], told["verdict"]) == ("a", "confirmed")
    assert told["labels"] == [
        {"recording": EAST_PATH, "recording_id": EAST_ID, "from_s": 10.0, "to_s": 15.0, "author": "ann"}
    ]
    rows = {row["event_id"]: row for row in call("events", "list", "--json").json["events"]}
    assert (rows["a"]["verdict"], rows["a"]["verdict_author"]) == ("confirmed", "ann")
    assert rows["b"]["verdict"] is rows["b"]["verdict_author"] is rows["b"]["verdict_said_at"] is None
    done = call("events", "dismiss", "a", "--author", "bob")
    assert done.code == 0 and "dismissed: hall-east · frame · 2026-03-02 08:00:10" in done.out
    assert "dismissed" in call("events", "list").out
    assert call("events", "undo", "a", "--json").json["verdict"] is None
    assert "nothing that stands" in call("events", "undo", "a").out
    assert labels_now(site.ledger) == []


@pytest.mark.parametrize("verb", ["confirm", "dismiss", "undo"])
def test_an_event_that_is_not_known_is_answered_with_those_most_like_it(call: Call, site: Workspace, verb: str) -> None:
    say_events(site)
    done = call("events", verb, "ax", "--json")
    assert done.code == 2
    assert 'unknown event "ax" — did you mean "a"? (known: a, b)' in done.json["error"]
    assert labels_now(site.ledger) == []


def say_events(site: Workspace) -> None:
    columns: dict[str, Any] = {
        "campaign": CAMPAIGN,
        "camera": [EAST, "hall-north"],
        "day": DAY,
        "head": "novelty",
        "version": "v1",
        "region": "frame",
        "event_id": ["a", "b"],
        "rank": 1,
        "alarm": [True, False],
        "recording_id": [EAST_ID, NORTH_ID],
        "started_at": START + timedelta(seconds=10),
        "ended_at": START + timedelta(seconds=15),
        "peak_at": START + timedelta(seconds=11),
        "peak_us": 11_000_000,
        "peak_score": 4.0,
        "threshold": 2.0,
        "deviations": 6.0,
        "keyframe": "",
        "clip": "",
    }
    site.store.write_table("events/both.parquet", rows_of("events", columns))
    place: dict[str, Any] = {"campaign": CAMPAIGN, "camera": EAST, "day": DAY, "outputs": ("events/both.parquet",)}
    row = RunRow("r", "score", scope="", key="k", status="done", started_at=SEEN, finished_at=SEEN, **place)
    site.ledger.record([row])


def test_the_demonstration_keeps_what_was_staged_as_truth(small_site: Path, small_footage: Path) -> None:
    workspace = Workspace(small_site)
    inventory = take_inventory(workspace)
    rows = enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    usable = {row["path"]: row for row in rows if row["status"] in ("ready", "partial")}
    truth = read_truth(small_footage)
    staged = {
        (camera.name, event.kind, usable[f"demo/{event.file}"]["recording_id"], event.from_us, event.to_us)
        for camera in truth.cameras
        for event in camera.events
        if f"demo/{event.file}" in usable
    }
    assert staged
    for _ in range(2):
        truth_labels(workspace, truth)
    said = labels_now(workspace.ledger, role="truth")
    assert {
        (one.use_case.camera, one.use_case.name, one.recording_id, one.from_us, one.to_us) for one in said
    } == staged
    assert {(one.author, one.use_case.region, one.relevant) for one in said} == {("staged", "frame", True)}
    assert workspace.ledger.rows("labels").num_rows == len(staged), "the second time, nothing is said"
    assert not labels_now(workspace.ledger)
