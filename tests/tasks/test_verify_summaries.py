"""Whatever is altered between a recording and what is published of it is found, and named with both values."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from footage.probe import content_hash
from lake.schema import TABLES, VECTOR
from lake.weight_sets import save_weight_set, use_weight_set
from tasks.plan import Selection
from tasks.verify import Verification, verify
from tests.footage.films import Film, make, scrambled
from tests.tasks.alarmed import LIVELY, lively
from tests.tasks.conftest import Processed
from tests.tasks.heads import serve
from tests.tasks.nights import EAST, SETTINGS, TUESDAY, configure, ingest, new_site, run
from tests.tasks.planned import EVERYTHING, plan, steps_of
from workspace.indexes import index_path, load_index, save_index
from workspace.opened import Workspace

FILMS = {
    "demo/hall/2026-03-02T08-00-00.mp4": Film(count=125, seed=0),
    "demo/yard/2026-03-02T08-00-00.mp4": Film(count=125, seed=2),
}
QUICK = {
    "sampling": {"policy": "rate", "rate_hz": 2.0},
    "encoders": [{"name": "handcrafted/appearance"}],
    "novelty": {"encoder": "handcrafted/appearance"},
}
"""Pictures are embedded quickly. Snippets are verified on the small campaign."""
HALL = Selection(camera="hall")
Told = dict[str, Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras after a night; a small site, so that a verification is quick. Treat it as read only."""
    workspace = new_site(tmp_path_factory.mktemp("verify") / "site", changes=QUICK)
    for name, film in FILMS.items():
        path = workspace.site.footage_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path, film)
    night = run(workspace)
    assert night.report.status == "complete", night.failed()
    return workspace.site.root


@pytest.fixture
def site(finished: Path, tmp_path: Path) -> Workspace:
    """A copy, to alter."""
    shutil.copytree(finished, tmp_path / "site")
    return Workspace(tmp_path / "site")


def verified(workspace: Workspace, selection: Selection = HALL, *, render: bool = False) -> Verification:
    return verify(workspace, selection, frames=1, render=render, threads=1, progress=lambda *_: None)


def folder_of(workspace: Workspace, camera: str = "hall") -> Path:
    return workspace.site.published_folder / "demo" / camera / "2026-03-02"


def told_of(folder: Path) -> Told:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # our own file


def alter_told(folder: Path, change: Callable[[Told], object]) -> None:
    told = told_of(folder)
    change(told)
    (folder / "summary.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(scrambled(content, [(len(content) // 2, 1)]))


def alter_table(workspace: Workspace, table: str, column: str, change: Callable[[Any], Any], row: int = 0) -> str:
    """Alter a value of the first file of a table of camera hall; returns its path."""
    found = sorted((Path(workspace.store.location) / table).rglob("*camera=hall/**/*.parquet"))
    path = found[0].relative_to(workspace.store.location).as_posix()
    rows = workspace.store.read_table(path)
    values = rows[column].to_pylist()
    values[row] = change(values[row])
    position = rows.schema.get_field_index(column)
    kind = rows.schema.field(column).type
    workspace.store.write_table(path, rows.set_column(position, rows.schema.field(column), pa.array(values, kind)))
    return path


def assert_named(result: Verification, *words: str) -> None:
    """Some one line has all the words."""
    assert any(all(word in line for word in words) for line in result.differences), result.differences


def test_an_untouched_site_verifies(finished: Path) -> None:
    result = verified(Workspace(finished), EVERYTHING, render=True)
    assert (result.differences, result.remarks) == ((), ())
    entries = sum(len(told_of(folder_of(Workspace(finished), camera))["entries"]) for camera in ("hall", "yard"))
    assert (result.recordings, result.summaries, result.digests) == (2, 2, 1)
    assert result.entries == entries >= 3
    assert result.pictures >= entries and result.vectors > entries


def test_an_untouched_campaign_with_damage_events_and_regions_verifies(processed: Processed) -> None:
    result = verified(processed.workspace, Selection(camera=EAST, day=TUESDAY))
    assert (result.differences, result.remarks) == ((), ())
    assert result.entries > 1


@pytest.fixture
def alarmed(copied: Workspace) -> Workspace:
    """A camera's two days after a night with a retrieval head, an alarm, change points, cuts and a weight set."""
    alarm = {"name": LIVELY, "classifier": LIVELY, "cameras": [EAST]}
    summary = {
        **SETTINGS["summary"],
        "segmentation": "change_points",
        "longest_s": 3.0,
        "cuts": "all",
        "anomaly": ["novelty", LIVELY],
    }
    serve(lively(copied, EAST), EAST, "hatch")
    workspace = configure(copied.site.root, {"alarms": [alarm], "summary": summary})
    save_weight_set(workspace.ledger, "busy", anomaly=0.5, memorability=1.0, entropy=0.2, dynamics=1.0, author="tests")
    use_weight_set(workspace.ledger, "busy", "tests")
    night = run(Workspace(workspace.site.root), Selection(camera=EAST))
    assert night.report.status == "complete", night.failed()
    return Workspace(workspace.site.root)


def test_heads_alarms_change_points_and_weight_sets_are_derived_again(alarmed: Workspace) -> None:
    selection = Selection(camera=EAST, day=TUESDAY)
    result = verified(alarmed, selection)
    assert (result.differences, result.remarks) == ((), ())
    assert result.entries > 1
    steps = next(steps for steps in steps_of(alarmed, plan(alarmed), selection) if steps.place.day == TUESDAY)
    for step, words in (
        (steps.heads[0].step, "scores: score of busy"),
        (steps.alarms[0].step, f"scores: score of {LIVELY}"),
    ):
        before = alarmed.store.read_table(step.outputs[0])
        altered = pa.array([value + 1 for value in before["score"].to_pylist()], pa.float32())
        position = before.schema.get_field_index("score")
        alarmed.store.write_table(step.outputs[0], before.set_column(position, "score", altered))
        assert_named(verified(alarmed, selection), words, "made again")
        alarmed.store.write_table(step.outputs[0], before)
    assert verified(alarmed, selection).differences == ()


def test_a_verification_changes_nothing(site: Workspace) -> None:
    def contents() -> dict[str, str]:
        return {str(path): content_hash(path) for path in sorted(site.site.root.rglob("*")) if path.is_file()}

    before = contents()
    verified(site, EVERYTHING, render=True)
    assert contents() == before


@pytest.mark.parametrize("name", ["summary.mp4", "contact.jpg", "segments.jpg", "keyframe"])
def test_one_changed_byte_of_a_published_file_is_found(site: Workspace, name: str) -> None:
    folder = folder_of(site)
    name = told_of(folder)["entries"][0]["keyframe"] if name == "keyframe" else name
    flip(folder / name)
    assert_named(verified(site), f"{name} is not the file that was written", content_hash(folder / name))


def test_a_published_file_that_is_lost_is_found(site: Workspace) -> None:
    (folder_of(site) / "summary.mp4").unlink()
    assert_named(verified(site), "summary.mp4 is not there any more")


def test_a_file_that_was_replaced_together_with_its_hash_is_found_by_publishing_again(site: Workspace) -> None:
    folder = folder_of(site)
    name = told_of(folder)["entries"][0]["keyframe"]
    flip(folder / name)

    def follow(told: Told) -> None:
        (part,) = [part for part in told["made"].values() if name in part["files"]]
        part["files"][name] = content_hash(folder / name)

    alter_told(folder, follow)
    assert verified(site).differences == ()
    assert_named(verified(site, render=True), f"{name} comes out otherwise when it is made again")


EDITS: dict[str, tuple[Callable[[Told], object], tuple[str, ...]]] = {
    "score": (lambda told: told["entries"][0].update(score=0.987), ("entry 1", "score is 0.987 in summary.json")),
    "raw value": (lambda told: told["entries"][0].update(motion=99.0), ("entry 1", "motion is 99.0 in summary.json")),
    "probability": (lambda told: told["entries"][0].update(probability=1.5), ("entry 1", "probability is 1.5")),
    "reason": (lambda told: told["entries"][0].update(reason="novelty 9"), ("entry 1", "reason is novelty 9")),
    "keyframe's time": (lambda told: told["entries"][0].update(keyframe_us=1), ("entry 1", "keyframe_us is 1 in")),
    "keyframe's pixels": (
        lambda told: told["entries"][0].update(keyframe_digest="0" * 16),
        ("keyframe_digest is 0000",),
    ),
    "pixels": (lambda told: told["entries"][0].update(digests="0" * 20), ("entry 1", "digests is 0000")),
    "span": (
        lambda told: told["entries"][0].update(to_us=told["entries"][0]["to_us"] + 40_000),
        ("entry 1", "to_us is"),
    ),
    "place in the video": (
        lambda told: told["entries"][1].update(at_s=0.5),
        ("entry 2", "at_s is 0.5 in summary.json"),
    ),
    "recording": (
        lambda told: told["entries"][0].update(recording="demo/hall/other.mp4"),
        ("recording is demo/hall/other",),
    ),
    "content of the recording": (
        lambda told: told["entries"][0].update(recording_id="0" * 32),
        ("entry 1", "the lake knows no such recording"),
    ),
    "a value is left out": (lambda told: told["entries"][0].pop("surprise"), ("does not say surprise",)),
    "an entry is left out": (lambda told: told["entries"].pop(), ("is chosen in the lake, and no entry",)),
    "an entry is added": (
        lambda told: told["entries"].append({**told["entries"][-1], "segment": 77}),
        ("no such segment is chosen in the lake",),
    ),
    "weights": (lambda told: told["weights"]["values"].update(dynamics=9.0), ("weights.values.dynamics is 9.0",)),
    "label": (
        lambda told: told["weights"].update(label="busy/3"),
        ("weights.label is busy/3 in summary.json, settings",),
    ),
    "omitted": (
        lambda told: told["omitted"].append({"name": "novelty 7", "event_id": "x"}),
        ("omitted is", "novelty 7"),
    ),
    "length": (lambda told: told.update(duration_s=1.0), ("duration_s is 1.0 in summary.json",)),
    "an event is added": (
        lambda told: told["events"].append({"event_id": "0" * 12, "head": "novelty", "rank": 9}),
        ("event novelty 9: the lake knows no such event",),
    ),
    "key": (lambda told: told.update(key="0" * 20), ("was published under the key 0000",)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_summary_is_found(site: Workspace, edit: str) -> None:
    change, words = EDITS[edit]
    alter_told(folder_of(site), change)
    assert_named(verified(site), *words)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}'])
def test_a_summary_that_is_no_summary_is_found(site: Workspace, content: bytes) -> None:
    (folder_of(site) / "summary.json").write_bytes(content)
    assert_named(verified(site), "demo · hall · 2026-03-02: summary.json cannot be read")


def test_a_summary_that_is_lost_is_found(site: Workspace) -> None:
    (folder_of(site) / "summary.json").unlink()
    assert_named(verified(site), "demo · hall · 2026-03-02: was summarised, and no summary.json is published")


LAKE: dict[str, tuple[str, str, Callable[[Any], Any], tuple[str, ...]]] = {
    "digest": ("frames", "digest", lambda _: "0" * 16, ("digest of the pixels of picture 0 is 0000",)),
    "luminance": ("frames", "luminance", lambda value: value + 1, ("entry 1", "luminance of picture 0 is")),
    "entropy": ("frames", "entropy_bits", lambda value: value / 2, ("entry 1", "entropy_bits of picture 0 is")),
    "sharpness": ("frames", "sharpness", lambda value: value + 9, ("entry 1", "sharpness of picture 0 is")),
    "motion": (
        "frames",
        "motion",
        lambda value: value + 1,
        ("entry 1", "motion of picture 0 is 1.0 in the lake, 0.0 from"),
    ),
    "time": (
        "frames",
        "t_us",
        lambda value: value + 10,
        ("entry 1", "time of picture 0 is 10 us in the lake, 0 us from"),
    ),
    "pixels of a vector": ("embeddings", "digest", lambda _: "0" * 16, ("digest of the pixels is 0000",)),
    "vector": (
        "embeddings",
        VECTOR,
        lambda value: [value[0] + 8, *value[1:]],
        ("entry 1", "value 0 of the vector is"),
    ),
    "span of a vector": ("embeddings", "to_us", lambda value: value + 1, ("entry 1", "to_us is")),
    "novelty score": ("scores", "score", lambda value: value + 1, ("scores: score of novelty", "made again")),
    "probability": ("scores", "probability", lambda value: 1 - value / 2, ("scores: probability of novelty",)),
    "surprise": ("segments", "surprise", lambda value: value + 1, ("segments: surprise of", "made again")),
    "scaled": ("segments", "anomaly", lambda value: 1 - value / 2, ("segments: anomaly of", "made again")),
    "begin": (
        "segments",
        "begins_at",
        lambda _: "cut",
        ("segments: begins_at of", "is cut in the lake, recording made"),
    ),
    "look": ("segments", "look", lambda value: [1.0, *value[1:]], ("segments: look[0] of", "made again")),
    "chosen score": ("summaries", "score", lambda value: value / 2, ("summaries: score of", "made again")),
    "chosen reason": (
        "summaries",
        "reason",
        lambda _: "novelty 5",
        ("summaries: reason of", "is novelty 5 in the lake"),
    ),
    "label": (
        "summaries",
        "weights",
        lambda _: "busy/9",
        ("summaries: weights of", "is busy/9 in the lake, settings made"),
    ),
}


@pytest.mark.parametrize("value", LAKE)
def test_an_altered_value_of_the_lake_is_found(site: Workspace, value: str) -> None:
    table, column, change, words = LAKE[value]
    alter_table(site, table, column, change)
    assert_named(verified(site), *words)


@pytest.mark.parametrize("table", ["frames", "embeddings", "scores", "events", "segments", "summaries"])
def test_a_file_of_the_lake_that_is_damaged_is_found(site: Workspace, table: str) -> None:
    path = next((Path(site.store.location) / table).rglob("*camera=hall/**/*.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    result = verified(site)
    assert result.differences
    assert all("Traceback" not in line for line in result.differences)


def test_rows_that_are_lost_are_found(site: Workspace) -> None:
    path = alter_table(site, "segments", "segment", lambda value: value)
    assert verified(site).differences == ()
    site.store.write_table(path, site.store.read_table(path).slice(1))
    assert_named(verified(site), "segments has", "rows in the lake", "made again")


def test_a_replaced_recording_is_found_at_each_of_its_entries(site: Workspace) -> None:
    name = "demo/hall/2026-03-02T08-00-00.mp4"
    make(site.site.footage_root / name, Film(count=125, seed=9))
    result = verified(site)
    lines = [line for line in result.differences if "entry " in line]
    entries = [entry for entry in told_of(folder_of(site))["entries"] if entry["recording"] == name]
    assert len(lines) == len(entries) > 0
    assert all(f"{name} " in line and "content is not the one that was processed" in line for line in lines)


def test_an_altered_index_is_found_against_the_file_s_own_times(site: Workspace) -> None:
    recording = told_of(folder_of(site))["entries"][0]["recording_id"]
    index = load_index(site.store, recording)
    pts = index.pts.copy()
    pts[3] += 1
    save_index(site.store, recording, type(index)(pts, index.is_key, index.time_base, index.declared_us))
    assert site.store.exists(index_path(recording))
    assert_named(
        verified(site), "entry 1", f"of picture 3 it is {pts[3]} in the lake's index, {index.pts[3]} in the file"
    )


def test_a_recording_that_is_lost_is_found_until_the_night_has_seen_it(site: Workspace) -> None:
    name = "demo/hall/2026-03-02T08-00-00.mp4"
    (site.site.footage_root / name).unlink()
    assert_named(verified(site), "entry 1", name, "the file is not there any more")
    ingest(site)
    result = verified(site, render=True)
    assert any(name in line and "rest on the lake alone" in line for line in result.remarks)
    assert not any("entry 1," in line for line in result.differences)


def test_other_settings_than_it_was_made_with_are_told(site: Workspace) -> None:
    workspace = configure(site.site.root, {**QUICK, "summary": {"budget_s": 8.0}})
    result = verified(workspace)
    assert len(result.differences) == 1
    assert "was published under the key" in result.differences[0] and "run the night" in result.differences[0]
    assert result.entries > 0  # its recordings and vectors are compared all the same


def test_a_published_day_that_the_lake_knows_nothing_of_is_found(site: Workspace) -> None:
    shutil.copytree(folder_of(site), site.site.published_folder / "demo" / "attic" / "2026-03-02")
    assert_named(verified(site, EVERYTHING), "demo · attic · 2026-03-02", "the lake knows no recording of that day")


def digest_of(workspace: Workspace) -> Path:
    return workspace.site.digests_folder / "demo" / "2026-03-02"


DIGEST: dict[str, tuple[Callable[[Told], object], tuple[str, ...]]] = {
    "camera": (lambda told: told["entries"][0].update(camera="attic"), ("entry 1, camera attic", "no such camera")),
    "score": (lambda told: told["entries"][0].update(score=0.123), ("score is 0.123 in the digest",)),
    "reason": (lambda told: told["entries"][0].update(reason="novelty 8"), ("shown and not due", "novelty 8")),
    "place": (lambda told: told["entries"][0].update(at_s=3.0), ("entry 1", "at_s is 3.0 in summary.json")),
    "left out": (lambda told: told["entries"].pop(), ("due and not shown",)),
    "order": (lambda told: told["entries"].reverse(), ("at_s is",)),
}


@pytest.mark.parametrize("edit", DIGEST)
def test_an_edited_digest_is_found(site: Workspace, edit: str) -> None:
    change, words = DIGEST[edit]
    alter_told(digest_of(site), change)
    assert_named(verified(site, Selection(campaign="demo")), "digest demo · 2026-03-02", *words)


def test_a_digest_of_another_summary_than_the_camera_s_is_found(site: Workspace) -> None:
    alter_told(folder_of(site, "yard"), lambda told: told["entries"][0].update(score=0.5))
    assert_named(verified(site, EVERYTHING), "digest demo", "summary.json of camera yard had the hash")


def test_one_changed_byte_of_a_digest_is_found(site: Workspace) -> None:
    flip(digest_of(site) / "summary.mp4")
    result = verified(site, EVERYTHING)
    assert_named(result, "digest demo", "summary.mp4 is not the file that was written")
    assert len(result.differences) == 1


def test_a_digest_is_of_all_cameras_and_not_of_one(site: Workspace) -> None:
    flip(digest_of(site) / "summary.mp4")
    assert (verified(site).digests, verified(site).differences) == (0, ())


def test_summaries_can_be_left_out(site: Workspace) -> None:
    flip(folder_of(site) / "summary.mp4")
    told = verify(site, EVERYTHING, frames=1, summaries=False, progress=lambda *_: None)
    assert (told.recordings, told.summaries, told.differences) == (2, 0, ())


def test_the_tables_that_are_altered_are_tables_of_the_lake() -> None:
    assert {table for table, *_ in LAKE.values()} <= set(TABLES)
    assert all(column in TABLES[table].schema.names for table, column, *_ in LAKE.values())


def test_steps_of_the_site_exist(finished: Path) -> None:
    workspace = Workspace(finished)
    assert all(steps.exist for steps in steps_of(workspace, plan(workspace)))
    assert np.isfinite([entry["score"] for entry in told_of(folder_of(workspace))["entries"]]).all()
