"""Networks side by side: clips named rightly, clips that cannot be read, and the table."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.action_tables import clips_csv, to_csv, to_json, to_markdown
from evaluation.class_index import indices_of, read_classes
from evaluation.protocols import action_recognition
from evaluation.protocols.action_recognition import Contender, RecognitionReport, run_action_recognition
from footage.decode import decode
from footage.pictures import Picture
from footage.writing import Encoding, VideoWriter
from infra.errors import ConfigurationError
from models.encoders.base import EncoderSpec
from models.networks.base import VideoNetwork
from models.recognition.flow import RecognitionFlow
from models.recognition.recogniser import Recogniser
from workspace.clip_sets.base import ClipSet
from workspace.clip_sets.read import read_clip_set

COLOURS = {
    "blue": (40, 40, 220),
    "green": (40, 220, 40),
    "grey": (120, 120, 120),
    "purple": (200, 40, 200),
    "red": (220, 40, 40),
    "white": (230, 230, 230),
    "yellow": (210, 210, 40),
}
SHOWN = ("blue", "green", "red")
EACH = 2


class Nearest(VideoNetwork):
    """Names the colour that a clip's mean is nearest to; `confused` takes the classes for one another in a ring."""

    def __init__(self, colours: tuple[str, ...], turned: int = 0) -> None:
        super().__init__(3, len(colours))
        self.register_buffer("wanted", torch.tensor([COLOURS[name] for name in colours]) / 255)
        self.turned = turned

    def features(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=(2, 3, 4)) * 0.225 + 0.45

    def logits(self, frames: Tensor) -> Tensor:
        distance = torch.cdist(self.features(frames), self.get_buffer("wanted"))
        return -20 * distance.roll(self.turned, dims=1)


def contender(name: str = "test/nearest/random", turned: int = 0, clips: int = 1, crops: int = 1) -> Contender:
    spec = EncoderSpec(name, "snippet", (16, 16), "random:0", "test", 4, 10.0)
    flow = RecognitionFlow(short_side_px=16, crop_px=16, frames=4, stride=3, clips=clips, crops=crops)
    colours = tuple(COLOURS)
    return Contender(Recogniser(spec, Nearest(colours, turned), flow, device="cpu"), colours, 1234, 5_600_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of one colour each, in a folder for each class; treat it as read only."""
    root = tmp_path_factory.mktemp("colours")
    for label in SHOWN:
        (root / label).mkdir()
        for number in range(EACH):
            with VideoWriter(root / label / f"{label}{number}.mp4", Encoding(crf=12)) as video:
                for frame in range(12):
                    picture = np.empty((24, 32, 3), np.uint8)
                    picture[:] = np.array(COLOURS[label], np.uint8) - 6 * number - frame // 4
                    video.write(picture, frame * 40_000)
    return root


@pytest.fixture(scope="module")
def clip_set(folder: Path) -> ClipSet:
    return read_clip_set(folder)


@pytest.fixture(scope="module")
def report(clip_set: ClipSet) -> RecognitionReport:
    networks = [contender(), contender("test/turned/random", turned=1, clips=2, crops=3)]
    return run_action_recognition("colours", clip_set, networks, threads=1)


def test_a_network_that_knows_hits_and_one_that_mistakes_misses(report: RecognitionReport) -> None:
    knowing, turned = report.networks
    assert knowing.result("top1").value == 1.0
    assert knowing.result("top5").value == 1.0
    # Each class takes another's place: blue's clips are named green, and so on.
    assert turned.result("top1").value == 0.0
    assert turned.result("top1").n == len(SHOWN) * EACH
    low, high = knowing.result("top1").low, knowing.result("top1").high
    assert low == pytest.approx(0.6097, abs=1e-4)
    assert high == 1.0


def test_speeds_are_told_with_and_without_decoding(report: RecognitionReport) -> None:
    for measured in report.networks:
        assert 0 < measured.sample_s < measured.elapsed_s
        assert measured.result("seconds_per_sample").value == measured.sample_s
        assert measured.result("clips_per_second").value == pytest.approx(1 / measured.elapsed_s)
        assert measured.result("times_bare_network").value > 0
    first, second = report.networks
    assert first.result("multiply_adds").value == 5_600_000
    assert second.result("multiply_adds").value == 6 * 5_600_000


def test_a_network_is_charged_with_decoding_its_own_pictures_only(
    clip_set: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that a decoded picture moves by a second, the bare network too, and nothing else."""
    clock = [0.0]

    def ticking(*arguments: Any, **named: Any) -> Iterator[Picture]:
        for picture in decode(*arguments, **named):
            clock[0] += 1
            yield picture

    monkeypatch.setattr(action_recognition, "decode", ticking)

    def bare(_recogniser: Recogniser) -> None:
        clock[0] += 1

    monkeypatch.setattr(action_recognition, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(Recogniser, "run_alone", bare)
    one = contender().recogniser
    pictures = [
        len(one.sample(clip.index.t_us, clip.index.extent_us).wanted)
        for clip in clip_set.clips[: action_recognition.PAIRED_CLIPS]
    ]
    greedy = contender("test/greedy/random", clips=10)
    wanted = greedy.recogniser.sample(clip_set.clips[0].index.t_us, clip_set.clips[0].index.extent_us).wanted
    assert len(wanted) > pictures[0]
    for beside in ([], [greedy]):
        measured = run_action_recognition("colours", clip_set, [contender(), *beside], threads=1).networks[0]
        assert measured.sample_s == 0
        assert measured.elapsed_s == pytest.approx(np.mean(pictures))


def test_a_clip_that_cannot_be_decoded_is_told_and_the_rest_is_measured(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.mp4"):
        copy = tmp_path / path.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "red" / "broken.mp4").write_bytes(b"no video")
    clip_set = read_clip_set(tmp_path)
    (tmp_path / "blue" / "blue1.mp4").write_bytes(b"overwritten since")
    report = run_action_recognition("colours", clip_set, [contender()], threads=1)
    assert [line.split(":")[0] for line in report.left_out] == ["red/broken.mp4", "blue/blue1.mp4"]
    assert report.networks[0].result("top1").n == len(SHOWN) * EACH - 1
    assert "Left out: 2" in to_markdown(report, "afterwatch")


def test_five_classes_have_no_top_five(clip_set: ClipSet) -> None:
    colours = ("blue", "green", "red", "white", "yellow")
    spec = EncoderSpec("test/five/random", "snippet", (16, 16), "random:0", "test", 4, 10.0)
    flow = RecognitionFlow(short_side_px=16, crop_px=16, frames=4)
    five = Contender(Recogniser(spec, Nearest(colours), flow, device="cpu"), colours, 1, 1)
    (measured,) = run_action_recognition("colours", clip_set, [five], threads=1).networks
    assert math.isnan(measured.result("top5").value)
    assert measured.result("top1").value == 1.0


def test_the_test_side_of_an_official_split_is_measured(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.mp4"):
        side = "val" if path.stem.endswith("0") else "train"
        copy = tmp_path / side / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    report = run_action_recognition("colours", read_clip_set(tmp_path), [contender()], threads=1)
    assert [clip.path.stem for clip in report.networks[0].clips] == [f"{label}0" for label in SHOWN]
    assert "the test side" in report.notes[0]


def test_classes_that_do_not_fit_the_network_are_refused(clip_set: ClipSet) -> None:
    fitting = contender()
    with pytest.raises(ConfigurationError, match=r"tells 7 classes apart and 3 are named.*--classes"):
        Contender(fitting.recogniser, SHOWN, 1, 1)
    others = tuple(f"class {number}" for number in range(7))
    with pytest.raises(ConfigurationError, match='3 folders are none of the 7 classes: "blue"'):
        run_action_recognition("colours", clip_set, [Contender(fitting.recogniser, others, 1, 1)])
    with pytest.raises(ConfigurationError, match="name each network once"):
        run_action_recognition("colours", clip_set, [contender(), contender()])
    with pytest.raises(ConfigurationError, match="got none"):
        run_action_recognition("colours", clip_set, [])


def test_the_table_has_a_row_for_each_network(report: RecognitionReport) -> None:
    text = to_markdown(report, "afterwatch evaluate action-recognition --data colours")
    (row,) = [line for line in text.splitlines() if line.startswith("| test/turned/random")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1].startswith("0.000 [0.000, 0.390]")
    assert cells[-3:] == ["1.2 k", "5.6 M", "6"]
    assert "afterwatch evaluate action-recognition --data colours" in text
    assert "7 classes, so that 0.143 is chance" in text
    assert "6 clips of 3 classes (folders)" in text


def test_programs_read_the_same_numbers(report: RecognitionReport) -> None:
    told = json.loads(json.dumps(to_json(report)))
    assert told["protocol"] == "action-recognition"
    by_name = {(one["name"], one["metric"]): one for one in told["results"]}
    assert by_name["test/nearest/random", "top1"]["value"] == 1.0
    assert by_name["test/nearest/random", "parameters"] == {
        "name": "test/nearest/random",
        "metric": "parameters",
        "value": 1234.0,
        "low": None,
        "high": None,
        "n": 6,
    }
    assert len(list(csv.reader(io.StringIO(to_csv(report))))) == 1 + len(told["results"])
    clips = list(csv.DictReader(io.StringIO(clips_csv(report))))
    assert len(clips) == 2 * len(SHOWN) * EACH
    assert all((one["class"] == one["taken_for"]) == (one["name"] == "test/nearest/random") for one in clips)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "abseiling\n\nair drumming\r\nzumba\n"),
        ("names.json", '["abseiling", "air drumming", "zumba"]'),
        ("kinetics.json", r'{"zumba": 2, "\"air drumming\"": 1, "abseiling": 0}'),
        ("marked.txt", "\ufeffabseiling\nair drumming\nzumba"),
    ],
)
def test_classes_are_read_in_the_networks_order(tmp_path: Path, name: str, text: str) -> None:
    assert read_classes(write(tmp_path / name, text)) == ("abseiling", "air drumming", "zumba")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("one.txt", "abseiling\n", "names 1 classes"),
        ("twice.txt", "air drumming\nAir_Drumming\n", "are one name"),
        ("gap.json", '{"abseiling": 0, "zumba": 2}', "indices are 0 … 1"),
        ("kind.json", '{"abseiling": "0"}', "neither names with their indices"),
        ("bool.json", '{"abseiling": false, "zumba": true}', "neither names with their indices"),
        ("broken.json", "{", "is no JSON"),
    ],
)
def test_class_files_that_are_none_are_refused(tmp_path: Path, name: str, text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        read_classes(write(tmp_path / name, text))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_classes(tmp_path / "absent.txt")


def test_folders_find_their_class_however_it_is_spelt() -> None:
    classes = ("abseiling", "air drumming", "tai chi")
    assert indices_of(["Air_Drumming", "tai-chi"], classes) == {"Air_Drumming": 1, "tai-chi": 2}
    with pytest.raises(ConfigurationError, match=r'"absailing" \(did you mean "abseiling"\?\)'):
        indices_of(["absailing"], classes)
