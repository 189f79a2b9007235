"""`fit retrieval`: what the review page does, for scripts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterwatch.__main__ import main
from lake.promotions import in_service
from tests.workspace.hall import AUTUMN, CAMERA, CASE, OPEN, REGION, SPRING, make_hall, review, still_picture
from tests.workspace.told_cards import says_everything
from workspace.opened import Workspace

SOME = {110: True, 320: True, 10: False, 200: False, 400: False, 580: False}
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hall(tmp_path: Path) -> Workspace:
    workspace = make_hall(tmp_path / "site")
    told = review(workspace)
    for row, relevant in SOME.items():
        told.answer(row, relevant, "ada")
    return workspace


@pytest.fixture
def call(hall: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["fit", "retrieval", *arguments, "--site", str(hall.site.root)])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def told(out: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(out)
    return parsed


def test_it_says_what_the_head_finds_and_keeps_nothing(call: Call, hall: Workspace) -> None:
    code, out, _ = call(CAMERA, CASE.name, "--region", REGION, "--json")
    found = told(out)
    assert code == 0 and found["campaign"] == SPRING and found["version"] is None
    assert found["labels"] == {"relevant": 2, "irrelevant": 4}
    assert len(found["moments"]) == len(OPEN[SPRING])
    assert hall.registry.versions() == [] and in_service(hall.ledger, "retrieval") == {}


def test_it_tells_another_campaign(call: Call) -> None:
    _, out, _ = call(CAMERA, CASE.name, "--region", REGION, "--campaign", AUTUMN, "--json")
    assert len(told(out)["moments"]) == len(OPEN[AUTUMN])


def test_a_saved_head_scores_as_the_review_did(call: Call, hall: Workspace) -> None:
    code, out, _ = call(CAMERA, CASE.name, "--region", REGION, "--save", "--author", "grace", "--json")
    version = told(out)["version"]
    assert code == 0
    name = "hall-east.hatch.hatch open"
    assert in_service(hall.ledger, "retrieval") == {name: version}
    card, arrays = hall.registry.load("retrieval", name, version)
    assert (card["author"], card["labels"]["relevant"], card["settings"]["cost"]) == ("grace", 2, 10.0)
    says_everything("retrieval", card, "grace")
    # The still is that of the campaign that was labelled.
    assert np.array_equal(arrays["reference"], still_picture(SPRING))
    again = told(call(CAMERA, CASE.name, "--region", REGION, "--save", "--json")[1])["version"]
    assert again == version, "the same labels make the same head"


def test_from_another_campaign_the_still_is_the_labelled_ones(call: Call, hall: Workspace) -> None:
    version = told(call(CAMERA, CASE.name, "--region", REGION, "--campaign", AUTUMN, "--save", "--json")[1])["version"]
    _, arrays = hall.registry.load("retrieval", "hall-east.hatch.hatch open", version)
    assert np.array_equal(arrays["reference"], still_picture(SPRING))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CAMERA, "hatch opem", "--region", REGION), 'did you mean "hatch open"'),
        (("hall-eest", CASE.name, "--region", REGION), 'did you mean "hall-east"'),
        ((CAMERA, CASE.name, "--region", "hutch"), 'did you mean "hatch"'),
        ((CAMERA, CASE.name, "--region", REGION, "--campaign", "sprin"), 'did you mean "spring"'),
        ((CAMERA, CASE.name, "--region", REGION, "--encoder", "clip"), "unknown encoder"),
    ],
)
def test_who_mistypes_is_told_what_would_be_right(call: Call, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = call(*arguments)
    assert code == 2 and message in err


def test_one_class_cannot_be_saved(call: Call, hall: Workspace) -> None:
    told_of = review(hall)
    for _ in range(4):
        told_of.undo("ada")
    code, _, err = call(CAMERA, CASE.name, "--region", REGION, "--save")
    assert code == 2 and "labels of both kinds" in err
