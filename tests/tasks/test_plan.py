"""Keys: what they depend on, and that nothing else is made again."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lake.keys import VERSIONS, Place
from tasks.plan import FRAMES_SCOPE, Selection, recordings_of
from tests.footage.films import Film, make
from tests.tasks.conftest import Processed
from tests.tasks.nights import (
    EAST,
    HATCH,
    MONDAY,
    NORTH,
    TUESDAY,
    configure,
    ingest,
    new_site,
    run,
    say_region,
)
from tests.tasks.planned import keys_of, plan, shards_of, steps_of
from workspace.opened import Workspace

ROOT = Path(__file__).resolve().parents[2]
AFTER_SCORES = frozenset({"score", "summarise", "publish"})
MEASURED = frozenset({"segment", "summarise", "publish"})
Named = tuple[str, str, str, str]


@dataclass(frozen=True)
class Change:
    """A change of settings, and what depends on it: steps (of embedding, scopes by what is in them) of cameras."""

    settings: Mapping[str, Any]
    steps: frozenset[str]
    scopes: tuple[str, ...] = ("",)
    cameras: frozenset[str] = frozenset({EAST, NORTH})

    def touches(self, name: Named) -> bool:
        camera, _, step, scope = name
        takes = step != "embed" or any(part in scope for part in self.scopes)
        return camera in self.cameras and step in self.steps and takes


EVERYTHING = frozenset(VERSIONS) - {"ingest", "retrieve", "classify", "digest", "queue"}
"""Steps of a camera's day where no head is in service and no alarm switched on."""
JUDGED = AFTER_SCORES | MEASURED | {"fit"}
MOTION = [{"name": "handcrafted/appearance"}, {"name": "handcrafted/motion", "stride_s": 0.4}]

CHANGES = {
    "one camera's sampling": Change(
        {"cameras": {NORTH: {"sampling": {"policy": "every_nth", "n": 2}}}},
        MEASURED | {"embed", "health"},
        (FRAMES_SCOPE, "appearance"),  # snippets are cut by their encoder's rate
        frozenset({NORTH}),
    ),
    "reach of a sample": Change({"reach_s": 0.5}, MEASURED | {"embed", "health"}, (FRAMES_SCOPE,)),
    "stride of snippets": Change({"encoders": MOTION}, JUDGED | {"embed"}, ("motion",)),
    "novelty's detector": Change({"novelty": {"detector": "lof"}}, JUDGED),
    "projection": Change({"novelty": {"projection": "gaussian", "dimension": 8}}, JUDGED),
    "μ, which is a threshold": Change({"novelty": {"mu": 0.5}}, AFTER_SCORES),
    "alarm budget": Change({"novelty": {"alarms_per_night": 5.0}}, JUDGED),
    "weights of the summary": Change({"summary": {"weights": {"entropy": 0.9}}}, frozenset({"summarise", "publish"})),
    "budget of the summary": Change({"summary": {"budget_s": 6.0}}, frozenset({"summarise", "publish"})),
    "likeness of segments": Change({"summary": {"similarity_limit": 0.5}}, frozenset({"summarise", "publish"})),
    "length of segments": Change({"summary": {"segment_s": 1.0}}, MEASURED),
    "longest segment between changes, where none are looked for": Change({"summary": {"longest_s": 9.0}}, frozenset()),
    "where segments begin": Change({"summary": {"segmentation": "change_points"}}, MEASURED),
    "cuts of one camera": Change({"summary": {"cuts": [NORTH]}}, MEASURED, cameras=frozenset({NORTH})),
    "length of the digest": Change({"summary": {"digest_s": 9.0}}, frozenset()),
    "what people are asked": Change({"queue": {"budget": 3}}, frozenset()),
    "size of proxies": Change({"summary": {"proxy_width": 64}}, frozenset({"publish"})),
    "time zone without another day": Change({"site": {"time_zone": "Asia/Tokyo"}}, frozenset({"publish"})),
    "name of the site": Change({"site": {"name": "other"}}, frozenset()),
    "cluster, threads and batches": Change(
        {"cluster": {"workers": 7}, "compute": {"decode_threads": 3, "batch_size": 5}}, frozenset()
    ),
    "schedule": Change({"schedule": {"cron": "0 4 * * *"}}, frozenset()),
    "one camera's clock": Change({"cameras": {NORTH: {"clock_offset_s": 1.0}}}, EVERYTHING, cameras=frozenset({NORTH})),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_touches_exactly_what_depends_on_it(copied: Workspace, change: Change) -> None:
    before = keys_of(copied)
    changed = configure(copied.site.root, change.settings)
    if "clock_offset_s" in str(change.settings):
        ingest(changed)
    after = keys_of(changed)
    assert {name for name in before if before[name] != after.get(name)} == {n for n in before if change.touches(n)}


def test_another_encoder_adds_its_own_products_and_touches_nothing_else(copied: Workspace) -> None:
    before = keys_of(copied)
    encoders = [*({"name": item.table.name, "stride_s": item.table.stride_s} for item in copied.encoders)]
    encoders = [{name: value for name, value in table.items() if value is not None} for table in encoders]
    after = keys_of(configure(copied.site.root, {"encoders": [*encoders, {"name": "timm/resnet50"}]}))
    assert {name: key for name, key in after.items() if name in before} == before
    assert {(step, scope.split("-")[0]) for _, _, step, scope in set(after) - set(before)} == {("embed", "timm")}


def test_an_outline_touches_its_own_embeddings_and_the_judgement_of_its_camera(copied: Workspace) -> None:
    before = keys_of(copied)
    moved = say_region(copied, EAST, "hatch", [[0.3, 0.4], *HATCH[1:]])
    after = keys_of(moved)
    changed = {name for name in before if before[name] != after.get(name)}
    assert {camera for camera, *_ in changed} == {EAST}
    assert {(step, scope.rsplit("/", 1)[-1]) for _, _, step, scope in changed if step == "embed"} == {
        ("embed", "hatch")
    }
    steps = {(step, scope) for _, _, step, scope in changed if step != "embed"}
    assert {("score", "novelty"), ("summarise", ""), ("publish", "")} <= steps
    assert ("health", "") not in steps
    back = say_region(moved, EAST, "hatch", HATCH)
    assert keys_of(back) == before
    assert plan_is_done(back)


def test_a_region_taken_back_leaves_the_rest_as_it_was(copied: Workspace) -> None:
    before = keys_of(copied)
    after = keys_of(say_region(copied, EAST, "hatch", None))
    same = {name for name in before if after.get(name) == before[name]}
    assert {name for name in before if name[0] == NORTH} <= same
    assert {name for name in before if name[2] == "embed" and not name[3].endswith("hatch")} <= same
    assert not any(name[3].endswith("hatch") for name in after)


def plan_is_done(workspace: Workspace) -> bool:
    days = plan(workspace)
    return not any(shard.todo for shard in shards_of(days)) and all(steps.exist for steps in steps_of(workspace, days))


def test_after_a_night_nothing_is_left_to_do(processed: Processed) -> None:
    assert plan_is_done(processed.workspace)


def test_keys_do_not_depend_on_the_order_of_files_or_cameras(processed: Processed) -> None:
    workspace = processed.workspace
    expected, rows = keys_of(workspace), processed.night.rows.copy()
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        days = plan(workspace, rows)
        random.Random(seed).shuffle(days)
        told = {
            (steps.place.camera, steps.place.day.isoformat(), step.name, step.scope): {step.key}
            for steps in steps_of(workspace, days)
            for step in steps.all
        }
        assert told.items() <= expected.items()
        assert len(told) == sum(step != "embed" for _, _, step, _ in expected)


def test_another_process_finds_the_same_keys(processed: Processed) -> None:
    script = (
        "import json, sys\nfrom workspace.opened import Workspace\nfrom tests.tasks.planned import keys_of\n"
        "print(json.dumps(sorted([*name, sorted(keys)] for name, keys in keys_of(Workspace(sys.argv[1])).items())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(processed.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "4711", "PATH": "/usr/bin:/bin", "HOME": str(processed.root)},
    )
    expected = sorted([*name, sorted(keys)] for name, keys in keys_of(processed.workspace).items())
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize("step", sorted(EVERYTHING))
def test_the_version_of_a_step_touches_it_and_what_follows(
    processed: Processed, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    follows = {
        "embed": EVERYTHING,
        "health": {"health"},
        "fit": JUDGED,
        "score": JUDGED,  # later days are held against the past without what raised an alarm there
        "segment": MEASURED,
        "summarise": {"summarise", "publish"},
        "publish": {"publish"},
    }
    before = keys_of(processed.workspace)
    monkeypatch.setitem(VERSIONS, step, VERSIONS[step] + 1)
    after = keys_of(processed.workspace)
    changed = {name[2] for name in before if before[name] != after.get(name)}
    assert changed == follows[step]


def test_a_new_day_of_one_camera_touches_later_days_of_that_camera_only(
    processed: Processed, tmp_path: Path, small_footage: Path
) -> None:
    shutil.copytree(small_footage, tmp_path / "footage")
    shutil.copytree(processed.root, tmp_path / "site", symlinks=True)
    link = tmp_path / "site" / "footage" / "demo"
    link.unlink()
    link.symlink_to(tmp_path / "footage")
    workspace = Workspace(tmp_path / "site")
    make(tmp_path / "footage" / EAST / "2026-03-01T08-00-00.mp4", Film(count=100))
    make(tmp_path / "footage" / NORTH / "2026-03-04T08-00-00.mp4", Film(count=100, seed=1))
    # Copies have other times of change: what lies there is examined again, and its content found to be known.
    night = run(workspace)
    touched = {(camera, day) for camera, day, *_ in night.done()}
    assert touched == {
        (EAST, "2026-03-01"),
        (EAST, "2026-03-02"),
        (EAST, "2026-03-03"),
        (NORTH, "2026-03-04"),
    }
    embedded = {(camera, day) for camera, day, step, _ in night.done() if step == "embed"}
    assert embedded == {(EAST, "2026-03-01"), (NORTH, "2026-03-04")}


def test_the_past_of_a_day_is_its_own_camera_within_reach(copied: Workspace) -> None:
    steps = {(steps.place.camera, steps.place.day): steps for steps in steps_of(copied, plan(copied))}
    assert steps[EAST, MONDAY].fits == ()
    fits = {fit.scope for fit in steps[EAST, TUESDAY].fits}
    assert fits == {"frame", "hatch"}
    assert all(f"camera={EAST}/day={MONDAY}" in path for path in steps[EAST, TUESDAY].regions[0].reference)
    assert steps[EAST, TUESDAY].regions[0].unusual == (steps[EAST, MONDAY].unusual.path,)


def test_a_day_of_which_nothing_is_embedded_is_nobodys_past(copied: Workspace) -> None:
    for day in plan(copied):
        if day.place.day == MONDAY:
            for shard in day.shards:
                for product in shard.products:
                    for path in product.paths:
                        copied.store.delete(path)
            for table in ("scores", "events", "unusual"):
                for path in copied.store.names(f"{table}/{day.place.folder}"):
                    copied.store.delete(path)
    for steps in steps_of(copied, plan(copied)):
        assert steps.fits == ()
        assert all(region.unusual == () for region in steps.regions)


def test_skipped_cameras_are_not_planned(copied: Workspace) -> None:
    changed = configure(copied.site.root, {"cameras": {NORTH: {"skip": True}}})
    assert {day.place.camera for day in plan(changed)} == {EAST}


def test_a_selection_takes_what_it_names() -> None:
    place = Place("demo", EAST, MONDAY)
    assert Selection().takes(place)
    assert Selection("demo", EAST, MONDAY).takes(place)
    assert not any(
        selection.takes(place) for selection in (Selection("autumn"), Selection(camera=NORTH), Selection(day=TUESDAY))
    )


def test_of_a_recording_that_is_gone_only_what_was_made_counts(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    path.parent.mkdir(parents=True)
    make(path, Film(count=50))
    _, rows = ingest(workspace)
    never_embedded = plan(workspace, rows)
    assert len(shards_of(never_embedded)) == 1
    path.unlink()
    _, rows = ingest(workspace)
    assert plan(workspace, rows) == []
    assert [recording.there for recording in recordings_of(workspace, rows)] == [False]
