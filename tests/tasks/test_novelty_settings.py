"""Every detector and projection of the settings judges a day."""

from datetime import date
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from infra.errors import ConfigurationError, UnknownNameError
from infra.settings import LINEAR_PROJECTIONS, NoveltyTable
from models.arrays import text_array
from models.projections.trained import TrainedProjection
from tasks.projections import find_projection
from tasks.steps import plan_camera
from tests.tasks.nights import MONDAY, TUESDAY
from tests.tasks.staged import HALL, Staged, unusual, usual

PLACES_OR_LENGTHS = {"cells", "magnitude"}
"""Detectors of vectors as the encoder makes them: a projected one has no places, and its length is no error."""
JUDGES = [
    (detector, projection)
    for detector in get_args(NoveltyTable.model_fields["detector"].annotation)
    for projection in LINEAR_PROJECTIONS
    if projection == "none" or detector not in PLACES_OR_LENGTHS
]


@pytest.mark.parametrize(("detector", "projection"), JUDGES)
def test_every_detector_judges_a_day(tmp_path: Path, detector: str, projection: str) -> None:
    site = Staged(tmp_path / "site", {"detector": detector, "projection": projection, "dimension": 2, "seed": 3})
    site.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    site.add(TUESDAY, [(0.0, {"frame": unusual(usual(80, 2), 50)})])
    steps, receipts = site.score()[TUESDAY]
    assert {receipt.status for receipt in receipts} == {"done"}
    scores, _ = site.read(steps)
    told = [row["score"] for row in sorted(scores, key=lambda row: row["index"])]
    assert told[50] > np.median(told[:50] + told[51:])
    assert np.isfinite([row["score"] for row in scores]).all()
    card, _ = site.workspace.registry.load("novelty", HALL, steps.fits[0].key)
    assert card["detector"] == detector


def step_keys(site: Staged) -> dict[tuple[date, str], str]:
    planned = plan_camera(site.workspace, site.days, {item.place for item in site.days})
    return {(steps.place.day, step.name): step.key for steps in planned for step in steps.all}


def keep_projection(site: Staged, version: str, made_at: str, **card: Any) -> None:
    """A projection on the first value alone."""
    projection = TrainedProjection(np.zeros(3), np.array([[1.0], [0.0], [0.0]]), np.zeros(1), to_unit_length=False)
    told = {"space": site.space, "scaling": "none", "made_at": made_at, **card}
    arrays = projection.to_arrays() | {"kind": text_array(projection.kind)}
    site.workspace.registry.save("projection", "street", version, told, arrays, author="ada")


def test_a_trained_projection_is_found_by_name_and_its_version_is_in_the_keys(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site", {"projection": "street"})
    keep_projection(site, "b", "2026-03-01T00:00:00+00:00")
    aside = usual(80, 2)
    aside[20, 1] += 40  # unlike anything, but not in the first value
    ahead = aside.copy()
    ahead[50, 0] += 40
    site.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    site.add(TUESDAY, [(0.0, {"frame": ahead})])
    steps, receipts = site.score()[TUESDAY]
    assert {receipt.status for receipt in receipts} == {"done"}, receipts
    scores, _ = site.read(steps)
    ranked = sorted(scores, key=lambda row: -row["score"])
    assert ranked[0]["index"] == 50 and ranked[1]["score"] < ranked[0]["score"] / 4
    before = step_keys(site)
    keep_projection(site, "a", "2026-03-02T00:00:00+00:00")
    assert all(key != before[name] for name, key in step_keys(site).items() if name[1] in ("fit", "score"))


def test_of_a_name_alone_no_candidate_is_taken_and_of_a_version_any(tmp_path: Path) -> None:
    """Other sites had a part in a candidate: a person says that it is to be used."""
    site = Staged(tmp_path / "site", {"projection": "street"})
    keep_projection(site, "a", "2026-03-01T00:00:00+00:00")
    keep_projection(site, "b", "2026-03-02T00:00:00+00:00", candidate=True)
    found = find_projection(site.workspace)
    assert found is not None and found.version == "a"
    named = Staged(tmp_path / "named", {"projection": "street/b"})
    keep_projection(named, "b", "2026-03-02T00:00:00+00:00", candidate=True)
    found = find_projection(named.workspace)
    assert found is not None and found.version == "b"
    only = Staged(tmp_path / "only", {"projection": "street"})
    keep_projection(only, "b", "", candidate=True)
    with pytest.raises(ConfigurationError, match=r'as a candidate only \(b\).*projection = "street/b"'):
        find_projection(only.workspace)


def test_a_projection_that_is_not_there_or_of_another_space_is_refused_before_anything_runs(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site", {"projection": "street/c"})
    with pytest.raises(UnknownNameError, match='unknown projection "street"'):
        find_projection(site.workspace)
    keep_projection(site, "a", "")
    with pytest.raises(UnknownNameError, match='version of projection street "c"'):
        find_projection(site.workspace)
    keep_projection(site, "c", "", space="elsewhere")
    with pytest.raises(ConfigurationError, match="was trained in the space elsewhere"):
        find_projection(site.workspace)
