"""Comparing versions of an autoencoder before one serves: what the next night finds is what the comparison found."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.access import Actor
from infra.errors import AccessError, ConfigurationError, NightError
from lake.catalogue import connect, select
from models.autoencoders.settings import settings_of
from models.autoencoders.training import Trained, first_network
from tasks.embed import embed_shards
from tasks.flips import compare
from tests.tasks.nights import EAST, configure, new_site, run, tree
from tests.tasks.retained_nights import own_footage
from workspace.autoencoders import keep_autoencoder, version_weights
from workspace.flip_files import COMPARISONS, keep_report
from workspace.flip_sides import find_sides
from workspace.flip_signing import sign
from workspace.flip_trial import trial_folder
from workspace.flips import FlipReport
from workspace.opened import Workspace
from workspace.serving import model_named, put_into_service, versions_in_service

KIND, NAME, ENCODER = "autoencoder", "hasan.hall", "autoencoder/hasan/hall"
SETTINGS = settings_of("hasan", {"width": 0.02, "size_px": 48})
JUDGED_BY_IT = {
    "encoders": [{"name": "handcrafted/appearance"}, {"name": "handcrafted/motion"}, {"name": ENCODER}],
    "novelty": {
        "encoder": ENCODER,
        "detector": "magnitude",
        "scaling": "none",
        "minimum_reference": 8,
        "floor_mad": 0.5,
    },
}
Told = set[tuple[Any, ...]]


def keep(workspace: Workspace, seed: int, *, candidate: bool) -> str:
    """An autoencoder of drawn weights; returns its version."""
    state = first_network(SETTINGS, seed).state_dict()
    return keep_autoencoder(
        workspace, Trained(SETTINGS, state, (), 0), "hall", {}, author="ada", candidate=candidate
    ).version


def counting(workspace: Workspace) -> Told:
    sql = "SELECT day, event_id, started_at, ended_at, peak_us, peak_score FROM events WHERE head = 'novelty'"
    return {tuple(row.values()) for row in select(connect(workspace.store), sql).to_pylist()}


def flips_of(workspace: Workspace, current: str, candidate: str) -> FlipReport:
    return compare(workspace, find_sides(workspace, f"{NAME}/{current}", f"{NAME}/{candidate}"), "demo")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, small_footage: Path) -> tuple[Path, str, str]:
    """A site of one camera after a night by the first of two versions. Treat it as read only."""
    folder = tmp_path_factory.mktemp("autoencoders")
    shutil.copytree(small_footage / EAST, folder / "footage" / EAST)
    workspace = new_site(folder / "site", folder / "footage")
    versions = keep(workspace, 1, candidate=False), keep(workspace, 2, candidate=True)
    run(configure(workspace.site.root, JUDGED_BY_IT))
    return workspace.site.root, *versions


@pytest.fixture
def site(night: tuple[Path, str, str], tmp_path: Path) -> Workspace:
    shutil.copytree(night[0], tmp_path / "site", symlinks=True)
    return Workspace(tmp_path / "site")


def test_what_a_candidate_would_find_is_told_before_it_serves_and_changes_nothing(
    night: tuple[Path, str, str], site: Workspace, decoded: list[str]
) -> None:
    _, first, second = night
    before, files = counting(site), {name: tree(site.site.root / name) for name in ("lake", "models", "weights")}
    report = flips_of(site, first, second)
    assert {name: tree(site.site.root / name) for name in files} == files
    assert not list((site.site.state_folder / COMPARISONS).rglob("*.parquet")), "what was made for it is taken away"
    assert len(decoded) == len(set(decoded)) == 6, "once with the candidate, and not again with what serves"
    assert (report.kind, report.current, report.candidate) == (KIND, first, second)
    assert report.remarks == () and report.total("days") == 2 and report.total("current") == len(before) > 0
    assert "detector magnitude" in report.applied[0]

    signed = sign(site, keep_report(site, report), "ada")
    model = model_named(site, NAME)
    assert put_into_service(site, model, second, "ada").report == signed.report_id
    run(Workspace(site.site.root))
    after = counting(Workspace(site.site.root))
    assert report.total("candidate") == len(after) and after != before
    for flip in report.flips:
        for found, rows in ((flip.current, before), (flip.candidate, after)):
            if found is not None:
                told = (flip.day, found.event_id, found.started_at, found.ended_at, found.peak_us, found.peak_score)
                assert told in rows
    # Back again: by now both are embedded, and nothing is decoded.
    decoded.clear()
    back = flips_of(Workspace(site.site.root), second, first)
    assert (back.total("current"), back.total("candidate"), decoded) == (len(after), len(before), [])


def test_one_that_was_broken_off_goes_on_and_one_that_fails_is_told(
    night: tuple[Path, str, str], site: Workspace, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, second = night
    own_footage(site)
    calls: list[Any] = []

    def failing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return embed_shards(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr("tasks.flip_autoencoders.embed_shards", failing)
        with pytest.raises(KeyboardInterrupt):
            flips_of(site, first, second)
    done = len(decoded)
    path = max(site.site.footage_root.rglob("2026*"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(NightError, match=f"{path.name} cannot be embedded with {ENCODER}"):
        flips_of(site, first, second)
    path.write_bytes(content)
    flips_of(site, first, second)
    assert decoded[:done] == sorted(set(decoded[:done])) and len(set(decoded)) == 6
    assert done == 2 and decoded[done:].count(decoded[0]) == decoded[done:].count(decoded[1]) == 0, "not again"


def test_recordings_that_are_gone_are_left_out(night: tuple[Path, str, str], site: Workspace) -> None:
    _, first, second = night
    own_footage(site)
    for path in sorted(site.site.footage_root.rglob("2026-03-02*")):
        path.unlink()
    run(Workspace(site.site.root))  # which notices
    report = flips_of(Workspace(site.site.root), first, second)
    assert report.total("days") == 1
    assert any("the recordings are gone" in remark and "1 camera-day" in remark for remark in report.remarks)


def test_one_that_no_setting_names_is_judged_as_if_novelty_named_it(
    night: tuple[Path, str, str], site: Workspace
) -> None:
    _, first, second = night
    plain = configure(site.site.root)
    report = flips_of(plain, first, second)
    assert report.total("days") == 2 and any("as they would if it named" in line for line in report.applied)
    assert report.total("current") != 0
    assert versions_in_service(plain, KIND) == {NAME: first}


def test_who_may_not_compare_decodes_nothing_and_two_at_once_are_refused(
    night: tuple[Path, str, str], site: Workspace, decoded: list[str]
) -> None:
    _, first, second = night
    with (
        trial_folder(site, NAME, first, second),
        pytest.raises(ConfigurationError, match="another process compares"),
    ):
        flips_of(site, first, second)
    encoder, weights = version_weights(site, NAME, second)
    assert encoder == ENCODER and weights.options == {"width": 0.02, "size_px": 48}
    viewer = Workspace(site.site.root, Actor("vera", "viewer", "job"))
    with pytest.raises(AccessError, match="compare models"):
        flips_of(viewer, first, second)
    assert decoded == []
