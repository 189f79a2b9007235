"""`evaluate classifier`: from a folder of clips to tables, and what it refuses."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from afterwatch.__main__ import main
from afterwatch.evaluate_classifier import split_encoders
from tests.footage.films import Film
from tests.workspace.made_clips import put_clip

QUICK = ("--hidden", "none", "--epochs", "2", "--patience", "0", "--seeds", "1", "--resamples", "20")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of each of two classes, 1.2 s long; treat it as read only."""
    folder = tmp_path_factory.mktemp("clips") / "brawls"
    for seed in range(8):
        label = "fight" if seed % 2 else "noFight"
        put_clip(folder / label / f"{seed}.mp4", seed, Film(count=30, height=32, width=48))
    (folder / "fight" / "broken.mp4").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def call(clips: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    kept = ("--cache", str(cache))

    def run(*arguments: str, data: Path = clips) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["evaluate", "classifier", "--data", str(data), *QUICK, *arguments, *kept, "--site", str(tmp_path)])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def test_a_folder_in_tables_out(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "results"
    both = "handcrafted/appearance+handcrafted/velocity"
    arguments = ("--encoder", "handcrafted/appearance", "--encoder", both, "--folds", "3")
    code, said, _ = call(*arguments, "--out", str(out), "--name", "brawls")
    assert code == 0
    assert "# Alarm classifiers on brawls" in said and "8 clips (4 fight, 4 noFight) of 8 source videos" in said
    assert "fight/broken.mp4: not a readable video" in said
    page = (out / "brawls.md").read_text()
    assert page.split("## Curves")[0].strip() in said and "![ROC" in page
    assert (out / "brawls-curves.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((out / "brawls.json").read_text())
    assert (told["protocol"], told["data"], told["split"]) == (
        "classifier",
        "brawls",
        "3 folds over source videos, parted anew by each seed",
    )
    assert {one["name"].split()[1] for one in told["results"]} == {"handcrafted/appearance", both}
    with (out / "brawls-scores.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 8
    # The call that the page names gives the same page; --json prints the same object.
    again, printed, _ = call(*arguments, "--json")
    assert (again, json.loads(printed)) == (0, told)


def test_what_is_wrong_is_said(call: Call, clips: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("--encoder", "handcrafted/motoin"), 'did you mean "motion"'),
        (("--encoder", "handcrafted/motion+handcrafted/motion"), "names an encoder twice"),
        (("--alarm", "theft"), 'unknown class "theft"'),
        (("--folds", "9"), "too few source videos"),
        (("--folds", "1"), "seeds are at least 1 and folds 2"),
        (("--layout", "kinetics"), 'unknown layout "kinetics"'),
        (("--list", "2"), "is of UCF101"),
        (("--source", "cam("), "no regular expression"),
        (("--hidden", "many"), "is no list of widths"),
        (("--frame-rate", "0", "--encoder", "handcrafted/appearance"), "above 0"),
        (("--frame-rate", "2000", "--encoder", "handcrafted/appearance"), "at most 1000"),
    ):
        code, _, said = call(*arguments)
        assert code == 2, arguments
        assert words in " ".join(said.split()), arguments
    code, _, said = call(data=tmp_path / "nowhere")
    assert (code, "there is no folder" in said) == (2, True)


def test_encoders_side_by_side() -> None:
    assert split_encoders("timm/mobilenetv2_100") == ["timm/mobilenetv2_100"]
    assert split_encoders("a/b+handcrafted/motion+timm/x+logits/y") == ["a/b", "handcrafted/motion", "timm/x+logits/y"]
