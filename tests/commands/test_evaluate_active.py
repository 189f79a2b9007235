"""`evaluate active-learning`: clips by class, from files to tables and a figure, and what it refuses."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from afterwatch.__main__ import main
from footage.writing import Encoding, VideoWriter

Call = Callable[..., tuple[int, str, str]]
QUICK = ("--seeds", "2", "--budget", "4", "--most", "12", "--start", "1", "--encoder", "handcrafted/appearance")
FILES = ["active-nights.csv", "active.csv", "active.json", "active.md", "active.png"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of 3 s; in those of visits a bright square stands left, in the others right."""
    folder = tmp_path_factory.mktemp("data") / "visits"
    for label, left in (("visit", 4), ("normal", 44)):
        (folder / label).mkdir(parents=True)
        for number in range(4):
            random = np.random.default_rng([left, number])
            with VideoWriter(folder / label / f"{label}{number}.mp4", Encoding(rate_hz=Fraction(5), crf=20)) as video:
                for frame in range(15):
                    picture = random.integers(70, 130, (48, 64, 3), dtype=np.uint8)
                    picture[8 + frame : 28 + frame, left : left + 16] = 230
                    video.write(picture, frame * 200_000)
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["evaluate", "active-learning", *arguments])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def test_files_are_written_and_the_same_again(call: Call, data: Path, tmp_path: Path) -> None:
    written = []
    for folder in ("one", "other"):
        out = tmp_path / folder
        code, said, _ = call(
            "--data", str(data), *QUICK, "--out", str(out), "--name", "active", "--cache", str(tmp_path / "kept")
        )
        assert code == 0 and f"tables and figure: {out}" in said
        assert sorted(path.name for path in out.iterdir()) == FILES
        written.append({name: (out / name).read_bytes() for name in FILES if name != "active.md"})
    assert written[0] == written[1]
    text = (tmp_path / "one" / "active.md").read_text(encoding="utf-8")
    assert text.startswith("# Active learning: visits (clips in a folder for each class, 8 sources)")
    assert "(active.png)" in text and "--budget 4" in text and "kept" not in text
    assert "- Relevant: visit." in text and "4 videos to ask about, 4 to test on" in text


def test_the_json_form(call: Call, data: Path) -> None:
    code, out, _ = call("--data", str(data), *QUICK, "--json")
    told = json.loads(out)
    assert (code, told["protocol"], told["data"], told["settings"]["most"]) == (0, "active-learning", "visits", 12)
    names = {one["name"] for one in told["results"]}
    assert {f"{name} handcrafted/appearance at 12" for name in ("queue", "uncertain", "random")} < names
    (last,) = [
        one["value"]
        for one in told["results"]
        if (one["name"], one["metric"]) == ("queue handcrafted/appearance at 12", "frame_auc")
    ]
    assert last > 0.95
    for part in told["parts"]:
        assert len(part["pool"]) == len(part["test"]) == 4 and not set(part["pool"]) & set(part["test"])


def test_clips_of_one_source_are_not_parted(call: Call, data: Path, tmp_path: Path) -> None:
    rows = [
        f"{label}/{label}{number}.mp4,place-{label}-{number // 2}"
        for label in ("visit", "normal")
        for number in range(4)
    ]
    (tmp_path / "sources.csv").write_text("\n".join(["clip,source", *rows]), encoding="utf-8")
    code, out, _ = call("--data", str(data), *QUICK, "--sources", str(tmp_path / "sources.csv"), "--json")
    assert code == 0
    for part in json.loads(out)["parts"]:
        sides = [{(name[:-5], int(name[-5]) // 2) for name in part[side]} for side in ("pool", "test")]
        assert not sides[0] & sides[1] and len(sides[0]) == len(sides[1]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "there is no folder"),
        (["--data", "."], "nor is it clips in a folder for each class"),
        (["--data", "DATA", "--budget", "0"], "at least 1"),
        (["--data", "DATA", "--uncertain-share", "2"], "between 0 and 1"),
        (["--data", "DATA", "--encoder", "handcrafted/motion+handcrafted/action"], "without +"),
        (["--data", "DATA", "--encoder", "handcrafted/nothing"], "unknown"),
        (["--data", "DATA", "--mask", "1,2"], "give x,y,width,height"),
        (["--data", "DATA", "--sources", "nowhere.csv"], "cannot be read"),
        (["--data", "DATA", "--start", "90", "--most", "256", "--seeds", "1"], "give fewer with --start"),
        (["--data", "DATA", "--name", "../up"], "cannot name files"),
    ],
)
def test_what_is_refused(
    call: Call, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(data) if one == "DATA" else one for one in arguments]
    code, _, err = call("--encoder", "handcrafted/appearance", *given)
    assert code == 2 and message in " ".join(err.split())
    assert not any(tmp_path.iterdir())


def test_without_a_normal_class_there_is_no_question(call: Call, data: Path, tmp_path: Path) -> None:
    for label, other in (("visit", "visits"), ("normal", "strolls")):
        (tmp_path / "made" / other).mkdir(parents=True)
        for path in (data / label).iterdir():
            (tmp_path / "made" / other / path.name).write_bytes(path.read_bytes())
    code, _, err = call("--data", str(tmp_path / "made"))
    assert code == 2 and "no normal class among strolls, visits" in " ".join(err.split())
