"""`evaluate classifier`: from a folder of clips to tables, and what it refuses."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from afterwatch.__main__ import main
from afterwatch.encoder_options import split_encoders
from infra.errors import ConfigurationError
from infra.weights import WeightsFile, add_weights
from models.encoders.base import EncoderSpec
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


def test_clips_that_cannot_be_parted_are_refused_before_any_is_embedded(
    call: Call, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(*_: object, **__: object) -> None:
        raise AssertionError("a clip was embedded")

    monkeypatch.setattr("evaluation.protocols.classification.clip_rows", embed)
    code, _, said = call("--folds", "9")
    assert code == 2 and "too few source videos" in said
    sides, rows = tmp_path / "sides", ["clip,source"]
    for side in ("train", "test"):
        for path in sorted(clips.glob(f"*/[{'0-3' if side == 'train' else '4-7'}].mp4")):
            name = f"{side}/{path.parent.name}/{path.name}"
            (sides / name).parent.mkdir(parents=True, exist_ok=True)
            (sides / name).write_bytes(path.read_bytes())
            rows.append(f"{name},{'street' if path.stem in '04' else path.stem}")
    (tmp_path / "sources.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    code, _, said = call("--sources", str(tmp_path / "sources.csv"), data=sides)
    assert code == 2 and "the split leaks: train/noFight/0.mp4 is trained on, test/noFight/4.mp4 is held out" in said


def test_logits_find_the_weights_that_were_added_for_the_network(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"a network")
    weights = add_weights(tmp_path / "weights", "pytorchvideo/x3d_xs/mine", tmp_path / "mine.safetensors", {})

    def build(spec: EncoderSpec, found: WeightsFile | None) -> None:
        raise ConfigurationError(f"{spec.name} of {None if found is None else found.sha256}")

    monkeypatch.setattr("models.encoders.build.build", build)
    code, _, said = call("--encoder", "pytorchvideo/x3d_xs+logits/mine")
    assert code == 2 and f"pytorchvideo/x3d_xs+logits/mine of {weights.sha256}" in said


def test_encoders_side_by_side() -> None:
    assert split_encoders("timm/mobilenetv2_100") == ["timm/mobilenetv2_100"]
    assert split_encoders("a/b+handcrafted/motion+timm/x+logits/y") == ["a/b", "handcrafted/motion", "timm/x+logits/y"]
