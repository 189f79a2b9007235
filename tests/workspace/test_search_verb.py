"""`afterwatch search`: one query, limits in the site's zone, a table for people and an object for programs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from afterwatch.__main__ import main
from tests.workspace.searched import APPEARANCE, CASK, EVENT, ROWS, TRUCK, make_searched, picture


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without words: only handcrafted vectors."""
    root = make_searched(tmp_path_factory.mktemp("verb") / "site", (APPEARANCE,)).site.root
    for name, scene in (("cask", CASK), ("truck", TRUCK)):
        cv2.imwrite(str(root / f"{name}.png"), cv2.cvtColor(picture(scene), cv2.COLOR_RGB2BGR))
    return root


@pytest.fixture
def search(site: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["search", "--site", str(site), *arguments])
        told = capsys.readouterr()
        return Done(int(left.value.code or 0), told.out, told.err)

    return run


def test_a_table_tells_moments_in_the_sites_zone(search: Any, site: Path) -> None:
    done = search("--image", str(site / "truck.png"), "--limit", "2", "--region", "frame")
    assert done.code == 0
    title, header, *rows = done.out.splitlines()
    assert "360 vectors of handcrafted/appearance compared" in title
    assert header.split() == ["campaign", "camera", "region", "day", "from", "to", "score", "hits"]
    found = {tuple(row.split()[:4]): row.split()[4] for row in rows}
    assert set(found) == {
        ("spring", "hall-east", "frame", "2026-03-02"),
        ("spring", "yard", "frame", "2026-03-02"),
    }
    assert found["spring", "hall-east", "frame", "2026-03-02"].startswith("09:00:3")  # 08:00:30 UTC
    assert found["spring", "yard", "frame", "2026-03-02"].startswith("09:01:")


def test_an_object_tells_all_of_a_moment(search: Any) -> None:
    done = search("--event", EVENT, "--limit", "1", "--camera", "hall-east", "--campaign", "autumn", "--json")
    assert (done.code, done.err) == (0, "")
    told = done.json
    assert set(told) == {"encoder", "space", "searched", "moments"}
    assert (told["encoder"], told["searched"]) == (APPEARANCE, ROWS)
    (moment,) = told["moments"]
    assert moment["peak_at"].startswith("2026-09-07T08:01:4") and moment["peak_at"].endswith("+00:00")
    assert moment["day"] == "2026-09-07"
    assert moment["recording_id"] == "autumn-hall-east-b"
    assert 50_000_000 <= moment["from_us"] <= moment["peak_us"] < moment["to_us"] <= 52_040_000
    assert moment["hits"] >= 1 and 0.9 < moment["score"] <= 1


def test_an_example_is_told_by_camera_moment_and_region(search: Any) -> None:
    for moment in ("2026-03-02T09:01:10", "2026-03-02T08:01:10Z", "2026-03-02T10:01:10+02:00"):
        done = search("--at", f"yard {moment}", "--limit", "1", "--json")
        assert done.code == 0
        assert done.json["moments"][0]["score"] == pytest.approx(1, abs=1e-5)
    done = search("--at", "hall-east 2026-03-02T09:00:10", "--region", "hatch", "--limit", "9", "--json")
    assert {moment["region"] for moment in done.json["moments"]} == {"hatch"}


def test_limits_are_moments_or_days(search: Any, site: Path) -> None:
    image = ("--image", str(site / "cask.png"), "--region", "frame", "--json")
    assert search(*image, "--from", "2026-03-03").json["searched"] == ROWS
    assert search(*image, "--to", "2026-03-03").json["searched"] == 2 * ROWS
    within = search(*image, "--from", "2026-03-02T09:00:40", "--to", "2026-03-02T08:01:00Z", "--camera", "yard")
    assert within.json["searched"] == 20
    nothing = search(*image[:-1], "--from", "2030-01-01")
    assert nothing.code == 0 and nothing.out.startswith("nothing found")


WRONG = [
    ((), "give one of --text, --image, --event and --at"),
    (("--text", "a", "--event", "b"), "give one of --text, --image, --event and --at"),
    (("--text", "a cask"), "afterwatch weights add open_clip/ViT-B-32/laion2b_s34b_b79k FILE"),
    (("--image", "nowhere.png"), "nowhere.png cannot be read"),
    (("--event", "ffff"), 'no event "ffff"'),
    (("--at", "2026-03-02T08:01:10"), 'write it as "CAMERA 2026-03-02T08:01:10"'),
    (("--at", "yard monday"), '"monday" is no moment'),
    (("--at", "gate 2026-03-02T08:01:10"), 'camera with vectors "gate"'),
    (("--event", EVENT, "--from", "later"), '"later" is no moment'),
    (("--event", EVENT, "--from", "2026-03-03", "--to", "2026-03-02"), "from a moment to a later one"),
    (("--event", EVENT, "--limit", "0"), "--limit"),
    (("--event", EVENT, "--encoder", "handcrafted/motion"), "handcrafted/motion"),
    (("--event", EVENT, "--camera", "hall"), 'did you mean "hall-east"'),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: " ".join(value) if value else "nothing")
def test_a_wrong_call_ends_with_2_and_says_why(search: Any, arguments: tuple[str, ...], message: str) -> None:
    done = search(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert search(*arguments, "--json").code == 2
