"""What a plan says is to be made and why, and that a run then makes just that; what was made before is still there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lake.current import current_outputs
from lake.keys import VERSIONS
from lake.promotions import promote
from tasks import embedding
from tasks.decisions import FOLDER, Decisions, keep_decisions
from tasks.forecast import Forecast, forecast, idle_night
from tasks.plan import FRAMES_SCOPE
from tasks.receipts import Receipt, record
from tasks.report import new_report
from tasks.steps import plan_whole_camera
from tests.tasks.heads import serve
from tests.tasks.nights import EAST, HATCH, NORTH, configure, run, say_region
from tests.tasks.planned import EVERYTHING, plan
from workspace.opened import Workspace

AFTER = frozenset({"score", "segment", "summarise", "publish"})
BOTH = frozenset({EAST, NORTH})
Done = set[tuple[str, str]]


def _settings(**changes: Any) -> Callable[[Workspace], Workspace]:
    return lambda workspace: configure(workspace.site.root, changes)


def _outline(workspace: Workspace) -> Workspace:
    return say_region(workspace, EAST, "hatch", [[0.3, 0.4], *HATCH[1:]])


def _taken_back(workspace: Workspace) -> Workspace:
    return say_region(workspace, EAST, "hatch", None)


def _other_version(workspace: Workspace) -> Workspace:
    workspace = serve(workspace, EAST, name="busy", version="v1")
    run(workspace)
    return serve(Workspace(workspace.site.root), EAST, name="busy", version="v2")


@dataclass(frozen=True)
class Change:
    """A change, the words that name it, and what depends on it: steps of cameras, and of embedding the scopes."""

    make: Callable[[Workspace], Workspace]
    why: str
    steps: frozenset[str]
    cameras: frozenset[str] = BOTH
    scopes: frozenset[str] = field(default_factory=frozenset)
    """Encoders and regions that are embedded."""

    @property
    def is_setting(self) -> bool:
        """Whether it can be taken back: nothing but the publication is then to be made, as results live side by side."""
        return self.make.__qualname__.startswith("_settings")


MOTION = [{"name": "handcrafted/appearance"}, {"name": "handcrafted/motion", "stride_s": 0.8}]
CHANGES = {
    "head's setting": Change(_settings(novelty={"neighbours": 4}), "novelty.neighbours 3 → 4", AFTER | {"fit"}),
    "summary's setting": Change(
        _settings(summary={"budget_s": 6.0}), "summary.budget_s 12 → 6", frozenset({"summarise", "publish"})
    ),
    "encoder's parameter": Change(
        _settings(encoders=MOTION),
        "stride_s of handcrafted/motion 0.5 → 0.8",
        AFTER | {"embed", "fit"},
        scopes=frozenset({"handcrafted-motion"}),
    ),
    "sampling of a camera": Change(
        _settings(cameras={NORTH: {"sampling": {"policy": "every_nth", "n": 5}}}),
        f"sampling of {NORTH} 1 Hz → one picture in 5",
        frozenset({"embed", "health", "segment", "summarise", "publish"}),
        frozenset({NORTH}),
        frozenset({FRAMES_SCOPE, "handcrafted-appearance"}),
    ),
    "region": Change(
        _outline,
        "region hatch was drawn anew by tests on ",
        AFTER | {"embed", "fit"},
        frozenset({EAST}),
        frozenset({"hatch"}),
    ),
    "region taken back": Change(
        _taken_back, "region hatch was taken back by tests on ", AFTER | {"fit"}, frozenset({EAST})
    ),
    "version of a head": Change(
        _other_version,
        "head hall-east.frame.busy v1 → v2, promoted by tests on ",
        frozenset({"retrieve", "summarise", "publish"}),
        frozenset({EAST}),
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_a_change_touches_is_planned_with_its_reason_and_made_and_nothing_else(
    copied: Workspace, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = change.make(copied)
    before = _files(changed)
    told = forecast(changed, EVERYTHING, workers=1)
    assert {day.place.camera for day in told.days} == change.cameras
    for day in told.days:
        assert day.why.startswith(change.why), day.why
        assert ";" not in day.why, "one cause"
        assert set(day.steps) <= change.steps
    assert {name for day in told.days for name in day.steps} == change.steps
    planned = _planned(told)
    if change.scopes:
        assert {part for _, _, step, scope in planned if step == "embed" for part in _parts(scope)} >= change.scopes

    fed: set[str] = set()
    feed = embedding.EmbeddingPass._feed

    def watched(self: Any, product: Any, *rest: Any) -> Any:
        fed.add(product.scope)
        return feed(self, product, *rest)

    monkeypatch.setattr(embedding.EmbeddingPass, "_feed", watched)
    night = run(changed)
    assert night.done() == planned
    assert fed == {scope for _, _, step, scope in planned if step == "embed"} - {FRAMES_SCOPE}, (
        "nothing else is encoded"
    )
    decoded = sum(receipt.decoded_s for receipt in night.receipts if receipt.step == "embed")
    assert decoded == pytest.approx(told.todo_s)
    after = _files(changed)
    assert {path: after.get(path) for path in before} == before, "what was made before is still there"
    assert forecast(Workspace(changed.site.root), EVERYTHING, workers=1).is_empty
    if change.is_setting:
        back = forecast(configure(changed.site.root), EVERYTHING, workers=1)
        assert {(day.steps, day.why) for day in back.days} == {(("publish",), "made from other results of the day")}


def _parts(scope: str) -> set[str]:
    space, _, region = scope.partition("/")
    return {"-".join(space.split("-")[:2]), region or space}


def _planned(told: Forecast) -> set[tuple[str, str, str, str]]:
    """(camera, day, step, scope) of everything that is to be made."""
    return {
        (day.place.camera, day.place.day.isoformat(), cause.step, cause.scope)
        for day in told.days
        for cause in day.causes
    }


def _files(workspace: Workspace) -> dict[str, bytes]:
    """Results in the lake; those of heads are in the registry."""
    lake = Path(workspace.site.lake_location)
    tables = {output.table for output in current_outputs(workspace.ledger)}
    return {
        str(path.relative_to(lake)): path.read_bytes() for name in tables for path in (lake / name).rglob("*.parquet")
    }


@pytest.mark.parametrize(
    ("step", "made"),
    [("score", AFTER | {"fit"}), ("segment", AFTER - {"score"}), ("publish", {"publish"}), ("health", {"health"})],
)
def test_a_step_whose_arithmetic_changed_is_told_by_its_versions(
    copied: Workspace, step: str, made: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    was = VERSIONS[step]
    monkeypatch.setitem(VERSIONS, step, was + 1)
    told = forecast(copied, EVERYTHING, workers=1)
    assert {day.why for day in told.days} == {f"step {step}: version {was} → {was + 1}"}
    assert {name for day in told.days for name in day.steps} == made


def test_the_steps_between_say_what_they_follow_from(copied: Workspace) -> None:
    told = forecast(configure(copied.site.root, {"novelty": {"neighbours": 4}}), EVERYTHING, workers=1)
    words = {(cause.step, cause.words) for day in told.days for cause in day.causes}
    assert words == {
        ("fit", "novelty.neighbours 3 → 4"),
        ("score", "novelty.neighbours 3 → 4"),
        ("segment", "follows from score"),
        ("segment", "follows from score, earlier days"),
        ("summarise", "follows from segment, score"),
        ("publish", "follows from score, summarise"),
    }
    assert told.as_json()["days"][0]["causes"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reach_s": 0.5}, "reach_s 2 → 0.5"),
        ({"footage": {"shard_s": 3.0}}, "footage.shard_s: recordings are cut into other shards"),
        ({"novelty": {"mu": 0.5}}, "novelty.mu none → 0.5"),
        (
            {"novelty": {"projection": "gaussian", "dimension": 8}},
            "novelty.dimension 256 → 8; novelty.projection none → gaussian",
        ),
        ({"novelty": {"exclusion_s": 2.0}}, "novelty.exclusion_s 1 → 2"),
        ({"summary": {"weights": {"entropy": 0.9}}}, "summary.weights.entropy 0.1 → 0.9"),
        ({"summary": {"segment_s": 1.0}}, "summary.segment_s 2 → 1"),
        ({"summary": {"proxy_width": 64}}, "summary.proxy_width 128 → 64"),
        ({"summary": {"cuts": [NORTH]}}, "summary.cuts for hall-north no → yes"),
        ({"site": {"time_zone": "Asia/Tokyo"}}, "site.time_zone UTC → Asia/Tokyo"),
    ],
)
def test_a_setting_is_told_by_its_name(copied: Workspace, changes: Mapping[str, Any], why: str) -> None:
    told = forecast(configure(copied.site.root, changes), EVERYTHING, workers=1)
    assert {day.why for day in told.days} == {why}


def test_a_camera_that_lacks_a_day_says_which(copied: Workspace) -> None:
    told = forecast(
        configure(copied.site.root, {"novelty": {"reference_days": 1}, "cameras": {NORTH: {"skip": True}}}),
        EVERYTHING,
        1,
    )
    assert {day.why for day in told.days} == {"novelty.reference_days 14 → 1"}
    for day in plan(copied):
        if (day.place.camera, day.place.day.isoformat()) == (EAST, "2026-03-02"):
            rows = copied.ledger.rows("recordings").to_pylist()
            assert any(row["day"] == day.place.day for row in rows)


def test_other_weights_of_an_encoder_are_told_by_their_hashes(copied: Workspace) -> None:
    encoders = [
        {"name": "handcrafted/appearance"},
        {"name": "handcrafted/motion", "stride_s": 0.5},
        {"name": "timm/resnet50"},
    ]
    weights = copied.site.weights_folder
    weights.mkdir(exist_ok=True)
    (weights / "net.safetensors").write_bytes(b"")
    table = '["timm/resnet50"]\npath = "net.safetensors"\nsha256 = "{}"\n'
    (weights / "weights.toml").write_text(table.format("a" * 64))
    first = configure(copied.site.root, {"encoders": encoders})
    told = forecast(first, EVERYTHING, workers=1)
    assert {day.why for day in told.days} == {"encoder timm/resnet50 is new, or has other weights"}
    assert {day.steps for day in told.days} == {("embed",)}
    _pretend_embedded(first)
    assert forecast(first, EVERYTHING, workers=1).is_empty

    (weights / "weights.toml").write_text(table.format("b" * 64))
    told = forecast(Workspace(copied.site.root), EVERYTHING, workers=1)
    assert {day.why for day in told.days} == {"encoder timm/resnet50: weights sha256:aaaaaaaa → sha256:bbbbbbbb"}
    assert {cause.scope.split("-")[0] for day in told.days for cause in day.causes} == {"timm"}


def _pretend_embedded(workspace: Workspace) -> None:
    """Files without vectors, and the ledger and decisions of a night that made them."""
    for day in plan(workspace):
        for scope in day.scopes:
            for product in day.products(scope):
                if not product.exists:
                    workspace.store.write_bytes(product.paths[0], b"")
    days = plan(workspace)
    for camera in (EAST, NORTH):
        same = [day for day in days if day.place.camera == camera]
        places = {day.place for day in same}
        keep_decisions(workspace, plan_whole_camera(workspace, same, places), places)
    receipts = [
        Receipt(
            day.place,
            "embed",
            scope,
            products[-1].key,
            "done",
            tuple(path for product in products for path in product.paths),
        )
        for day in days
        for scope in day.scopes
        if (products := day.products(scope)) and scope.startswith("timm")
    ]
    record(workspace.ledger, "pretended", receipts)


def test_without_decisions_it_is_said_that_the_settings_were_others_and_a_night_makes_good_for_it(
    copied: Workspace,
) -> None:
    for path in _decisions(copied):
        path.unlink()
    changed = configure(copied.site.root, {"summary": {"budget_s": 6.0}})
    assert {day.why for day in forecast(changed, EVERYTHING, workers=1).days} == {"made with other settings"}
    back = configure(copied.site.root)
    idle_night(back, forecast(back, EVERYTHING, workers=1), EVERYTHING, new_report())
    changed = configure(copied.site.root, {"summary": {"budget_s": 6.0}})
    assert {day.why for day in forecast(changed, EVERYTHING, workers=1).days} == {"summary.budget_s 12 → 6"}


def _decisions(workspace: Workspace) -> list[Path]:
    return sorted((Path(workspace.site.lake_location) / FOLDER).rglob("*.json"))


def test_decisions_are_named_by_their_content_and_a_damaged_file_explains_nothing(copied: Workspace) -> None:
    before = {path: path.read_bytes() for path in _decisions(copied)}
    assert len(before) == len(plan(copied)), "one of each camera's day"
    run(copied)
    assert {path: path.read_bytes() for path in _decisions(copied)} == before
    for path in before:
        path.write_bytes(b'{"steps": [{"step": 1}], "recordings": {}}')
    changed = configure(copied.site.root, {"summary": {"budget_s": 6.0}})
    assert {day.why for day in forecast(changed, EVERYTHING, workers=1).days} == {"made with other settings"}
    assert Decisions(changed).find(plan(changed)[0].place, "score", "0" * 20) is None


def test_files_that_were_lost_and_steps_that_failed_are_told_as_such(copied: Workspace) -> None:
    place = plan(copied)[0].place
    for path in copied.store.names(f"summaries/{place.folder}"):
        copied.store.delete(path)
    (told,) = forecast(copied, EVERYTHING, workers=1).days
    assert (told.steps, told.why) == (("summarise",), "what was made of it is not there any more as it was")
    (key,) = {
        row["key"]
        for row in copied.ledger.rows("runs").to_pylist()
        if (row["step"], row["camera"], row["day"]) == ("summarise", place.camera, place.day)
    }
    record(copied.ledger, "lost", [Receipt(place, "summarise", "", key, "failed", message="disk full")])
    (told,) = forecast(copied, EVERYTHING, workers=1).days
    assert told.why == "it failed in run lost: disk full"


def test_a_head_put_into_service_is_told_with_who_did(copied: Workspace) -> None:
    served = serve(copied, EAST, name="busy", version="v1")
    promote(served.ledger, "retrieval", f"{EAST}.frame.busy", "v1", "Ada", EAST)
    told = forecast(Workspace(copied.site.root), EVERYTHING, workers=1)
    assert {day.place.camera for day in told.days} == {EAST}
    assert all("head hall-east.frame.busy v1 is in service, promoted by Ada on " in day.why for day in told.days)
