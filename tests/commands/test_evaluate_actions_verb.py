"""`evaluate action-recognition`: from a folder of clips to a table."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from afterwatch.__main__ import main
from footage.writing import VideoWriter
from infra.weights import add_weights
from lake.registry import Registry
from models.encoders.base import EncoderSpec
from models.networks.base import VideoNetwork, classified, classifier_layer
from workspace.clip_sets.read import read_clip_set
from workspace.finetuning import KIND as FINE_TUNED

Call = Callable[..., tuple[int, str, str]]
NETWORK = "torchvision/r3d_18/random"


class Small(VideoNetwork):
    """Mean of each channel, then a layer of chance: three classes."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.layer = classifier_layer(3, 3)

    def features(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=(2, 3, 4))

    def logits(self, frames: Tensor) -> Tensor:
        return classified(self.layer, self.features(frames))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, label in enumerate(("jump", "run", "walk")):
        (tmp_path / "data" / label).mkdir(parents=True)
        with VideoWriter(tmp_path / "data" / label / "a.mp4") as video:
            for frame in range(10):
                video.write(np.full((64, 96, 3), 40 + 60 * number, np.uint8), frame * 40_000)
    return tmp_path / "data"


@pytest.fixture
def call(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    def small(_spec: EncoderSpec, _weights: object = None) -> VideoNetwork:
        return Small()

    monkeypatch.setattr("models.networks.build.build_network", small)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["evaluate", "action-recognition", "--data", str(data), "--device", "cpu", *arguments])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def test_a_folder_in_and_a_table_out(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, _ = call("--encoder", NETWORK, "--clips", "2", "--crops", "3", "--out", str(out))
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "action-recognition-clips.csv",
        "action-recognition.csv",
        "action-recognition.json",
        "action-recognition.md",
    ]
    (row,) = [line for line in said.splitlines() if line.startswith(f"| {NETWORK}")]
    assert row.endswith("| 6 |")
    assert f"--encoder {NETWORK} --clips 2 --crops 3" in (out / "action-recognition.md").read_text("utf-8")


def test_programs_get_one_object(call: Call) -> None:
    code, said, _ = call("--encoder", NETWORK, "--json")
    assert code == 0
    told = json.loads(said)
    assert told["protocol"] == "action-recognition"
    assert {one["metric"] for one in told["results"]} == {
        "top1",
        "top5",
        "seconds_per_sample",
        "times_bare_network",
        "clips_per_second",
        "parameters",
        "multiply_adds",
    }
    (top5,) = [one for one in told["results"] if one["metric"] == "top5"]
    assert top5["value"] is None


def test_classes_of_another_count_are_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("jump\nrun\nwalk\nswim\n", encoding="utf-8")
    code, _, said = call("--encoder", NETWORK, "--classes", str(tmp_path / "classes.txt"))
    assert code == 2
    assert "tells 3 classes apart and 4 are named" in " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "name a network with --encoder"),
        (("--encoder", "handcrafted/motion"), "is no video network"),
        (("--encoder", "torchvision/r3d_17/random"), "r3d_17"),
        (("--encoder", NETWORK, "--crops", "2"), "crops 1 or 3"),
    ],
)
def test_calls_that_are_wrong_say_what_is_right(call: Call, arguments: tuple[str, ...], fault: str) -> None:
    code, _, said = call(*arguments)
    assert code == 2
    assert fault in " ".join(said.split())


@pytest.fixture
def tuned(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Enters a fine-tuned network of three alarm classes; gives what names it, and the folder of its workspace."""

    def enter(*, seen: tuple[str, ...] = ()) -> tuple[str, str]:
        (tmp_path / "tuned.safetensors").write_bytes(b"a network")
        site = tmp_path / "site"
        added = add_weights(site / "weights", "torchvision/r3d_18/mine", tmp_path / "tuned.safetensors", {})
        card = {"weights": added.sha256, "classes": ["run", "swim", "jump"], "normal": "calm", "data": {"seen": seen}}
        Registry(site / "models").save(FINE_TUNED, "r3d_18.mine", "v1", card, {"a": np.zeros(1)}, author="ada")
        return "torchvision/r3d_18+logits/mine", str(site)

    return enter


def test_a_fine_tuned_network_tells_its_alarm_classes_and_the_normal_one(
    call: Call, tuned: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    name, site = tuned()
    out = tmp_path / "out"
    code, said, _ = call("--encoder", name, "--encoder", NETWORK, "--site", site, "--out", str(out))
    assert code == 0
    assert [line.split(" |")[0] for line in said.splitlines() if line.startswith("| torch")] == [
        f"| {NETWORK}",
        f"| {name}",
    ]
    assert f"`{name}`:" in said and "4 classes, so that 0.250 is chance" in said
    assert f"{name} was fine-tuned on whole pictures" in said
    with (out / "action-recognition-clips.csv").open() as file:
        rows = {row["clip"]: row for row in csv.DictReader(file) if row["name"] == name}
    assert [rows[clip]["class"] for clip in sorted(rows)] == ["jump", "run", "calm"]
    # Three sigmoids do not add to 1; what the normal class has is what the highest leaves.
    for row in rows.values():
        if row["taken_for"] == "calm":
            assert float(row["probability"]) >= 0.5
    assert json.loads((out / "action-recognition.json").read_text())["networks"][1]["classes"] == 4


def test_a_fine_tuned_network_is_not_measured_on_clips_that_it_has_seen(
    call: Call, tuned: Callable[..., tuple[str, str]], data: Path
) -> None:
    seen = next(clip.content for clip in read_clip_set(data).clips if clip.label == "run")
    name, site = tuned(seen=("of another clip", seen))
    code, _, said = call("--encoder", name, "--site", site)
    assert code == 2
    assert f"{name} was fitted on the source videos of 1 of these 3 clips (run/a.mp4)" in " ".join(said.split())
