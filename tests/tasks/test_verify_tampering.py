"""No key of a published `summary.json` can be altered or removed unseen, nor can what is published, or what it is made of."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.plan import Selection
from tasks.verify import verify
from tests.footage.films import make
from tests.tasks.nights import EAST, TUESDAY, configure, ingest, new_site, run
from tests.tasks.planned import EVERYTHING
from tests.tasks.test_verify_summaries import (
    FILMS,
    QUICK,
    Told,
    alter_told,
    assert_named,
    digest_of,
    folder_of,
    told_of,
    verified,
)
from workspace.opened import Workspace

BOTH = ("campaign", "contact", "day", "duration_s", "entries", "key", "made", "omitted", "partial", "versions", "video")
SUMMARY_KEYS = (*BOTH, "camera", "events", "figure", "gone", "lacking", "weights")
DIGEST_KEYS = (*BOTH, "cameras", "left_out")
ALL = [*(("summary", key) for key in SUMMARY_KEYS), *(("digest", key) for key in DIGEST_KEYS)]
"""Each top-level key, with no exception; of what is below them `NO_DIFFERENCE` may change."""


def _another_release(told: Told) -> None:
    told["versions"]["afterwatch"] = "0.0.1"


def _made_of(told: Told) -> None:
    for part in told["made"].values():
        part["of"] = "0" * 20


NO_DIFFERENCE = {"another release that makes the same": _another_release, "when a file is made again": _made_of}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras after a night. Treat it as read only."""
    workspace = new_site(tmp_path_factory.mktemp("tampering") / "site", changes=QUICK)
    for name, film in FILMS.items():
        path = workspace.site.footage_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path, film)
    assert run(workspace).report.status == "complete"
    return workspace.site.root


@pytest.fixture
def site(finished: Path, tmp_path: Path) -> Workspace:
    """A copy, to alter."""
    shutil.copytree(finished, tmp_path / "site")
    return Workspace(tmp_path / "site")


def folder(workspace: Workspace, of: str) -> Path:
    return digest_of(workspace) if of == "digest" else folder_of(workspace)


def selected(of: str) -> Selection:
    """A digest is of all cameras."""
    return EVERYTHING if of == "digest" else Selection(camera="hall")


def another(value: Any) -> Any:
    """A value of the same kind that is not the same."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case list():
            return [*value, {"name": "ghost"}]
        case _:
            return {**value, "ghost": {"of": "", "files": {}, "summary": "", "key": "", "entries": 0}}


def test_the_keys_are_all_that_is_published(finished: Path) -> None:
    told = {of: told_of(folder(Workspace(finished), of)) for of in ("summary", "digest")}
    assert set(told["summary"]) == set(SUMMARY_KEYS)
    assert set(told["digest"]) == set(DIGEST_KEYS)
    result = verified(Workspace(finished), EVERYTHING)
    assert (result.differences, result.nothing) == ((), False)


@pytest.mark.parametrize(("of", "key"), ALL)
def test_an_altered_key_is_found(site: Workspace, of: str, key: str) -> None:
    alter_told(folder(site, of), lambda told: told.update({key: another(told[key])}))
    assert_named(verified(site, selected(of)), "demo · ")


@pytest.mark.parametrize(("of", "key"), ALL)
def test_a_removed_key_is_found(site: Workspace, of: str, key: str) -> None:
    alter_told(folder(site, of), lambda told: told.pop(key))
    assert_named(verified(site, selected(of)), "summary.json", key)


@pytest.mark.parametrize("of", ["summary", "digest"])
def test_a_key_that_should_not_be_there_is_found(site: Workspace, of: str) -> None:
    alter_told(folder(site, of), lambda told: told.update(ghost=1))
    assert_named(verified(site, selected(of)), "ghost is 1 in summary.json, and should not be there")


@pytest.mark.parametrize("of", ["summary", "digest"])
@pytest.mark.parametrize("change", NO_DIFFERENCE)
def test_what_says_nothing_of_the_day_is_no_difference(site: Workspace, of: str, change: str) -> None:
    alter_told(folder(site, of), NO_DIFFERENCE[change])
    assert verified(site, selected(of)).differences == ()


@pytest.mark.parametrize("step", ["score", "segment", "summarise"])
def test_a_version_that_is_altered_or_left_out_is_found(site: Workspace, step: str) -> None:
    alter_told(folder_of(site), lambda told: told["versions"].update({step: "0" * 20}))
    assert_named(verified(site), f"versions.{step} is 0000", "derived again")
    alter_told(folder_of(site), lambda told: told["versions"].pop(step))
    assert_named(verified(site), f"does not say versions.{step}")


@pytest.mark.parametrize("of", ["summary", "digest"])
def test_sheets_and_stills_that_are_disowned_are_found(site: Workspace, of: str) -> None:
    def disown(told: Told) -> None:
        told["made"] = {}
        told.update({name: "" for name in ("video", "contact", "figure") if name in told})

    alter_told(folder(site, of), disown)
    result = verified(site, selected(of))
    assert_named(result, "contact is  in summary.json, contact.jpg derived again")
    assert_named(result, "made does not tell of summary.mp4")


def test_what_is_told_of_an_event_is_compared_whole(copied: Workspace) -> None:
    selection = Selection(camera=EAST, day=TUESDAY)
    published = copied.site.published_folder / "demo" / EAST / TUESDAY.isoformat()
    assert told_of(published)["events"]
    alter_told(published, lambda told: told["events"][0].update(clip_s=99.0, recording="other.mp4", note="seen"))
    result = verified(copied, selection)
    for said in (
        "clip_s is 99.0 in",
        "recording is other.mp4 in",
        "note is seen in summary.json, and should not be there",
    ):
        assert_named(result, "event novelty 1", said)


def test_a_removed_digest_is_found(site: Workspace) -> None:
    shutil.rmtree(digest_of(site))
    result = verified(site, EVERYTHING)
    (line,) = result.differences
    assert (
        line
        == "digest demo · 2026-03-02: it is due of camera hall, yard, and no summary.json is there; run the night again"
    )
    assert result.digests == 0


def test_a_digest_is_not_due_where_nothing_is_to_be_shown(site: Workspace) -> None:
    shutil.rmtree(digest_of(site))
    workspace = configure(site.site.root, {**QUICK, "cameras": {name: {"skip": True} for name in ("hall", "yard")}})
    assert verified(workspace, EVERYTHING).digests == 0
    assert not [line for line in verified(workspace, EVERYTHING).differences if line.startswith("digest")]


def test_an_emptied_digest_is_found(site: Workspace) -> None:
    alter_told(digest_of(site), lambda told: told.update(entries=[]))
    assert_named(verified(site, EVERYTHING), "digest demo", "due and not shown: camera yard")
    alter_told(digest_of(site), lambda told: told.update(entries=[], cameras={}))
    for camera in ("hall", "yard"):
        assert_named(verified(site, EVERYTHING), f"camera {camera} has a summary, and the digest was made without it")


def test_a_camera_that_is_cut_from_a_digest_is_found(site: Workspace) -> None:
    def cut(told: Told) -> None:
        told["cameras"].pop("yard")
        told["entries"] = [entry for entry in told["entries"] if entry["camera"] != "yard"]
        at_us = 0
        for entry in told["entries"]:
            entry["at_s"] = at_us / 1e6
            at_us += entry["to_us"] - entry["from_us"]

    alter_told(digest_of(site), cut)
    assert_named(verified(site, EVERYTHING), "camera yard has a summary, and the digest was made without it")


def test_a_camera_that_is_said_to_be_left_out_and_can_be_shown_is_found(site: Workspace) -> None:
    alter_told(digest_of(site), lambda told: told["left_out"].append({"camera": "yard", "reason": "damaged"}))
    assert_named(verified(site, EVERYTHING), "left_out is", "damaged", "[] derived again")


@pytest.mark.parametrize("table", ["frames", "embeddings", "scores", "segments", "summaries"])
def test_what_was_made_and_is_gone_is_found(site: Workspace, table: str) -> None:
    shutil.rmtree(Path(site.store.location) / table)
    for published in (site.site.published_folder, site.site.digests_folder):
        shutil.rmtree(published)
    result = verified(site, EVERYTHING)
    assert_named(result, "demo · hall · 2026-03-02", f"{table}/", "was made, and is not there any more")
    assert_named(result, "demo · hall · 2026-03-02: was summarised, and no summary.json is published")


def test_pictures_that_are_gone_are_found_of_recordings_alone(site: Workspace) -> None:
    shutil.rmtree(Path(site.store.location) / "frames")
    shutil.rmtree(Path(site.store.location) / "segments")
    told = verify(site, EVERYTHING, frames=1, summaries=False, progress=lambda *_: None)
    assert len(told.differences) == 2
    assert all("frames/" in line and "is not there any more" in line for line in told.differences)
    assert told.nothing


def test_recordings_that_no_night_has_processed_are_told_as_not_compared(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site", changes=QUICK)
    name, film = next(iter(FILMS.items()))
    path = workspace.site.footage_root / name
    path.parent.mkdir(parents=True)
    make(path, film)
    ingest(workspace)
    told = verified(workspace, EVERYTHING)
    assert (told.differences, told.nothing) == ((), True)
    (remark,) = told.remarks
    assert name in remark and "run the night" in remark
