"""`evaluate summaries` on people's summaries: from their files to tables and a figure, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from afterwatch.__main__ import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """SumMe, made up: three people, two of whom agree."""
    (tmp_path / "SumMe" / "GT").mkdir(parents=True)
    for number in range(3):
        scores = np.zeros((500, 3))
        scores[50 * number : 50 * number + 70, :2] = 1
        scores[400:470, 2] = 1
        savemat(
            tmp_path / "SumMe" / "GT" / f"film{number}.mat", {"user_score": scores, "video_duration": 20.0, "FPS": 25.0}
        )
    return tmp_path / "SumMe"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["evaluate", "summaries", *arguments])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def test_people_are_held_against_one_another(call: Call, data: Path, tmp_path: Path) -> None:
    code, out, _ = call("--data", str(data), "--seeds", "2", "--json")
    told = json.loads(out)
    assert (code, told["protocol"], told["data"], told["share"]) == (0, "summaries", "SumMe", 0.15)
    values = {(one["name"], one["metric"]): one["value"] for one in told["results"]}
    assert values["human", "f1"] == values["human", "f1_max"] == pytest.approx(2 / 3)
    assert values["human", "f1_mean"] == pytest.approx(1 / 3)
    assert {name for name, _ in values} == {"human", "random", "uniform"}
    assert all(one["n"] == 3 and one["low"] <= one["value"] <= one["high"] for one in told["results"])


def test_files_are_written_and_the_same_again(call: Call, data: Path, tmp_path: Path) -> None:
    names = ["people-details.csv", "people.csv", "people.json", "people.md", "people.png"]
    written = []
    for folder in ("one", "other"):
        code, out, _ = call(
            "--data", str(data), "--seeds", "2", "--name", "people", "--out", str(tmp_path / folder), "--cache", "kept"
        )
        assert code == 0 and f"tables and figure: {tmp_path / folder}" in out
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == names
        written.append({name: (tmp_path / folder / name).read_bytes() for name in names if name != "people.md"})
    assert written[0] == written[1]
    text = (tmp_path / "one" / "people.md").read_text(encoding="utf-8")
    assert text.startswith("# Summaries: SumMe (SumMe)") and "![Every video by each method](people.png)" in text
    assert "--name people" in text and "kept" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "there is no folder"),
        (["--data", "."], "no layout that is understood"),
        (["--data", ".", "--videos", "."], "--videos is for TVSum and SumMe"),
        (["--data", "SumMe", "--share", "0"], "share is between 0 and 1"),
        (["--data", "SumMe", "--seeds", "0"], "seeds at least 1"),
        (["--data", "SumMe", "--videos", "SumMe"], "holds none of the 3 videos"),
        (["--data", "SumMe", "--mask", "1,2"], "give x,y,width,height"),
        (["--data", "SumMe/GT/film0.mat"], "there is no folder"),
    ],
)
def test_what_it_refuses(
    call: Call, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(data.parent if "SumMe" in " ".join(arguments) else tmp_path / "elsewhere")
    code, _, err = call(*arguments)
    assert code == 2
    assert message in " ".join(err.split())
