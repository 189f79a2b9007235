"""The verbs over summaries and weight sets, called as from a shell but in this process."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from lake.weight_sets import WeightSet, save_weight_set, weight_set_in_use
from tasks.ingest import enter, examine_file
from tasks.inventory import take_inventory
from tests.dashboards.small_site import write_video
from tests.workspace.labelled_site import EAST, EAST_ID, EAST_PATH, NORTH
from tests.workspace.summarised_site import (
    BUDGET_S,
    MOVING,
    PLACE,
    SEGMENT_S,
    SHOWN,
    before_weights_were_told,
    entry,
    measured_site,
    publish,
    start_s,
    summarised_site,
    summary_told,
)
from workspace.opened import Workspace

DAY = PLACE.day.isoformat()


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
    return summarised_site(tmp_path / "site")


@pytest.fixture
def call(site: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls a verb of `summaries` on the site."""

    def run(*arguments: object, at: Workspace = site) -> Done:
        with pytest.raises(SystemExit) as leaving:
            main(["summaries", *map(str, arguments), "--site", str(at.site.root)])
        told = capsys.readouterr()
        code = leaving.value.code
        return Done(code if isinstance(code, int) else 0, told.out, told.err)

    return run


def begins(number: int) -> str:
    minutes, seconds = divmod(start_s(number), 60)
    return f"08:{minutes:02d}:{seconds:02d}"


def test_the_summaries_are_listed(call: Call) -> None:
    (told,) = call("list", "--json").json["summaries"]
    assert (told["campaign"], told["camera"], told["day"]) == (PLACE.campaign, EAST, DAY)
    assert (told["duration_s"], told["segments"], told["events"]) == (BUDGET_S, 3, 2)
    assert told["omitted"] == ["novelty 2"]
    assert told["weights"]["label"] == "settings" and told["weights"]["values"]["memorability"] == 0.3
    assert not told["partial"]
    assert Path(told["folder"]).joinpath("summary.json").is_file()
    done = call("list")
    assert done.code == 0 and EAST in done.out and "settings" in done.out and "partial" not in done.out


def test_the_list_is_narrowed_and_tells_a_partial_day(site: Workspace, call: Call) -> None:
    publish(site, summary_told() | {"partial": True}, replace(PLACE, camera=NORTH))
    assert [row["camera"] for row in call("list", "--json").json["summaries"]] == [EAST, NORTH]
    (told,) = call("list", "--camera", NORTH, "--day", DAY, "--json").json["summaries"]
    assert told["partial"] is True
    assert "partial" in call("list").out


def test_digests_are_listed_with_the_days_of_all_cameras(site: Workspace, call: Call) -> None:
    folder = site.site.digests_folder / PLACE.campaign / DAY
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{}", encoding="utf-8")
    assert call("list", "--json").json["digests"] == [
        {"campaign": PLACE.campaign, "day": DAY, "video": str(folder / "summary.mp4")}
    ]
    assert call("list", "--camera", EAST, "--json").json["digests"] == []
    assert str(folder / "summary.mp4") in call("list").out.replace("\n", "")


def test_a_damaged_summary_does_not_hide_the_others(site: Workspace, call: Call) -> None:
    publish(site, {"entries": [{"recording": 3}]}, replace(PLACE, camera=NORTH))
    east, north = call("list", "--json").json["summaries"]
    assert east["segments"] == 3
    assert "publish it again" in north["error"]
    done = call("show", DAY, "--camera", NORTH)
    assert done.code == 1 and "publish it again" in done.err


def test_a_summary_of_before_is_still_shown(site: Workspace, call: Call) -> None:
    publish(site, before_weights_were_told(summary_told()))
    (told,) = call("list", "--json").json["summaries"]
    assert (told["weights"], told["omitted"], told["segments"]) == (None, [], 3)
    done = call("show", DAY)
    assert done.code == 0 and "weights not told" in done.out and "its score" in done.out
    assert " event 1" in done.out and "event event" not in done.out


def test_every_segment_is_told_with_its_reason(call: Call) -> None:
    told = call("show", DAY, "--camera", EAST, "--json").json
    assert [(row["number"], row["reason"]) for row in told["entries"]] == [
        (at, reason) for at, (_, reason) in enumerate(SHOWN, start=1)
    ]
    third = told["entries"][2]
    assert third["main_column"] == "anomaly"
    assert third["main_share"] == pytest.approx(0.7 / (0.7 + 0.03 + 0.01 + 0.03))
    assert told["entries"][0]["recording_id"] == EAST_ID
    out = call("show", DAY).out
    assert "event novelty 1 (novelty-1)" in out and "its score, 91% of it anomaly" in out
    assert "not shown: novelty 2" in out and "summary.mp4" in out
    assert all(begins(number) in out for number, _ in SHOWN)


def test_the_weights_in_use_would_show_what_is_published(call: Call) -> None:
    told = call("rank", DAY, "--json").json
    assert [(row["change"], row["reason"]) for row in told["entries"]] == [("kept", reason) for _, reason in SHOWN]
    assert told["lost"] == []
    assert told["omitted"] == ["novelty 2"]
    assert (told["budget_s"], told["duration_s"]) == (BUDGET_S, BUDGET_S)
    assert told["weights"]["label"] == "settings"
    published = summary_told()["entries"]
    assert [row["score"] for row in told["entries"]] == pytest.approx([row["score"] for row in published], abs=1e-6)


def test_other_weights_show_something_else_and_change_nothing(site: Workspace, call: Call) -> None:
    before = sorted((str(path), path.stat().st_mtime_ns) for path in site.site.root.rglob("*"))
    told = call("rank", DAY, "--weight", "anomaly=0", "--weight", "dynamics=2", "--json").json
    (gained,) = [row for row in told["entries"] if row["change"] == "gained"]
    assert gained["taken_at"].endswith(f"T{begins(MOVING[0])}+00:00") and gained["reason"] == "score"
    assert (gained["recording"], gained["from_us"]) == (EAST_PATH, MOVING[0] * 4_000_000)
    (lost,) = told["lost"]
    assert lost["taken_at"].endswith(f"T{begins(17)}+00:00")
    assert told["weights"]["values"] == {"anomaly": 0.0, "memorability": 0.3, "entropy": 0.1, "dynamics": 2.0}
    out = call("rank", DAY, "--weight", "anomaly=0", "--weight", "dynamics=2").out
    assert "1 gained, 1 lost" in out and "settings with anomaly 0, dynamics 2" in out
    assert [line[0] for line in out.splitlines() if begins(MOVING[0]) in line or begins(17) in line] == ["+", "−"]
    assert sorted((str(path), path.stat().st_mtime_ns) for path in site.site.root.rglob("*")) == before


def test_the_budget_decides_which_events_have_room(call: Call) -> None:
    told = call("rank", DAY, "--budget", 4, "--json").json
    assert [row["reason"] for row in told["entries"]] == ["novelty 1"]
    assert told["omitted"] == ["opening 1", "novelty 2"]  # of the second there is no footage
    told = call("rank", DAY, "--budget", 400, "--json").json
    assert told["omitted"] == ["novelty 2"]
    assert told["budget_s"] == 400
    assert told["duration_s"] == 21 * SEGMENT_S  # all look unlike one another, and one has no clear picture
    assert call("rank", DAY, "--budget", 0, "--json").json["entries"] == []


def test_a_day_that_is_not_published_is_ranked_all_the_same(tmp_path: Path, call: Call) -> None:
    measured = measured_site(tmp_path / "measured")
    told = call("rank", DAY, "--json", at=measured).json
    assert [row["change"] for row in told["entries"]] == ["gained"] * 3
    assert "nothing is published" in call("rank", DAY, at=measured).out
    done = call("show", DAY, at=measured)
    assert done.code == 2 and "no day has a summary yet" in done.err


def test_weight_sets_are_saved_listed_and_put_into_service(site: Workspace, call: Call) -> None:
    saved = call("weights", "save", "busy", "--anomaly", 0, "--dynamics", 1, "--author", "ann", "--json").json
    assert saved == {
        "label": "busy/1",
        "values": {"anomaly": 0.0, "memorability": 0.3, "entropy": 0.1, "dynamics": 1.0},
        "author": "ann",
        "saved": True,
    }
    assert call("weights", "save", "busy", "--json").json["saved"] is False
    again = call("weights", "save", "busy", "--entropy", 0, "--json").json
    assert again["label"] == "busy/2" and again["values"]["dynamics"] == 1.0
    assert call("weights", "use", "busy/1", "--json").json["before"] == "settings"
    assert call("rank", DAY, "--json").json["weights"]["label"] == "busy/1"
    assert call("rank", DAY, "--weights", "busy", "--json").json["weights"]["label"] == "busy/2"
    assert call("rank", DAY, "--weights", "settings", "--json").json["lost"] == []
    rows = call("weights", "list", "--json").json["weight_sets"]
    assert [(row["label"], row["in_use"]) for row in rows] == [("settings", False), ("busy/1", True), ("busy/2", False)]
    assert rows[1]["author"] == "ann"
    assert "in use" in call("weights", "list").out
    assert "before: busy/1" in call("weights", "use", "settings").out
    assert weight_set_in_use(site.ledger) is None


def test_a_new_set_begins_with_the_weights_in_use(site: Workspace, call: Call) -> None:
    save_weight_set(site.ledger, "calm", anomaly=2, memorability=0, entropy=0, dynamics=0, author="ann")
    call("weights", "use", "calm")
    saved = call("weights", "save", "other", "--entropy", 1, "--json").json
    assert saved["values"] == {"anomaly": 2.0, "memorability": 0.0, "entropy": 1.0, "dynamics": 0.0}
    found = weight_set_in_use(site.ledger)
    assert isinstance(found, WeightSet) and found.label == "calm/1"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("show", "2026-03-09"), f"(known: {DAY})"),
        (("show", "yesterday"), "write it as 2026-03-02"),
        (("show", DAY, "--camera", "hall-eest"), f'did you mean "{EAST}"?'),
        (("show", DAY, "--campaign", "winter"), f"(known: {PLACE.campaign})"),
        (("list", "--camera", "gate"), f"(known: {EAST})"),
        (("list", "--day", "soon"), "write it as 2026-03-02"),
        (("rank", DAY, "--weights", "bussy"), "unknown weight set"),
        (("rank", DAY, "--weight", "dynamics"), "write it as dynamics=1"),
        (("rank", DAY, "--weight", "motion=1"), "(known: anomaly, dynamics, entropy, memorability)"),
        (("rank", DAY, "--weight", "dynamics=much"), "is no number"),
        (("rank", DAY, "--weight", "dynamics=nan"), "finite"),
        (("rank", DAY, "--weight", "dynamics=-1"), "at least 0"),
        (("rank", DAY, "--budget", "-1"), "budget_s is at least 0"),
        (("weights", "save", "settings", "--anomaly", "1"), "settings"),
        (("weights", "save", "a/b", "--anomaly", "1"), "name"),
        (
            ("weights", "save", "none", "--anomaly", "0", "--memorability", "0", "--entropy", "0", "--dynamics", "0"),
            "not all 0",
        ),
        (("weights", "use", "bussy"), "unknown weight set"),
        (
            ("export", DAY, "--segment", "9", "--output", "package.zip"),
            "segment 9 is not in this summary, which has 1 to 3",
        ),
    ],
)
def test_a_wrong_call_ends_with_2_and_the_reason(call: Call, arguments: tuple[str, ...], reason: str) -> None:
    done = call(*arguments, "--json")
    assert done.code == 2
    assert reason in done.err and reason in done.json["error"]


def test_a_day_of_several_cameras_asks_for_one(site: Workspace, call: Call) -> None:
    publish(site, summary_told(), replace(PLACE, camera=NORTH))
    done = call("show", DAY)
    assert done.code == 2 and f"{EAST}, {NORTH} have a summary; choose one with --camera" in done.err
    publish(site, summary_told(), replace(PLACE, campaign="winter"))
    done = call("show", DAY, "--camera", EAST)
    assert done.code == 2 and "choose one with --campaign" in done.err
    assert call("show", DAY, "--camera", EAST, "--campaign", "winter").code == 0


@pytest.fixture
def filmed(tmp_path: Path) -> Workspace:
    """A site with a real recording of twelve seconds, of which a published summary shows two segments."""
    root = make_workspace(tmp_path / "filmed")
    path = f"{PLACE.campaign}/{EAST}/2026-03-02T08-00-00.mp4"
    (root / "footage" / path).parent.mkdir(parents=True)
    write_video(root / "footage" / path, 12.0, "hall")
    workspace = Workspace(root)
    inventory = take_inventory(workspace)
    (row,) = enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    entries = [
        entry(number, reason, at * SEGMENT_S) | {"recording_id": row["recording_id"], "recording": path}
        for at, (number, reason) in enumerate(((0, "novelty 1"), (2, "score")))
    ]
    publish(workspace, summary_told() | {"entries": entries})
    return workspace


def test_segments_are_exported_with_checksums(call: Call, filmed: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "package"
    told = call("export", DAY, "--output", target, "--json", at=filmed).json
    assert (told["segments"], told["output"]) == (2, str(target))
    assert told["files"] == len([path for path in target.rglob("*") if path.is_file()])
    sums = (target / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    for line in sums:
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((target / name).read_bytes()).hexdigest() == digest
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    assert [row["reason"] for row in manifest["entries"]] == ["novelty 1", "score"]
    assert manifest["entries"][0]["weights"] == "settings"
    again = call("export", DAY, "--output", target, at=filmed)
    assert again.code == 2 and "is there already" in again.err


def test_one_segment_is_exported_as_a_zip(call: Call, filmed: Workspace, tmp_path: Path) -> None:
    done = call("export", DAY, "--camera", EAST, "--segment", 2, "--output", tmp_path / "package.zip", at=filmed)
    assert done.code == 0 and "1 segments" in done.out
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        (row,) = json.loads(archive.read("manifest.json"))["entries"]
    assert (row["from_us"], row["to_us"], row["reason"]) == (8_000_000, 12_000_000, "score")


def test_what_cannot_be_exported_is_told_and_leaves_nothing(call: Call, filmed: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "package"
    (recording,) = (filmed.site.footage_root).rglob("*.mp4")
    recording.unlink()
    done = call("export", DAY, "--output", target, at=filmed)
    assert done.code == 1 and not list(tmp_path.glob("*package*"))
    publish(filmed, summary_told() | {"entries": []})
    done = call("export", DAY, "--output", target, at=filmed)
    assert done.code == 2 and "shows nothing" in done.err
