"""`fit autoencoder`: from normal footage to an encoder that the workspace can use."""

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from footage.decode import decode
from footage.probe import probe
from footage.regions import WHOLE
from footage.sampling import snippets
from infra.errors import UnknownNameError
from infra.settings import SETTINGS_FILE
from infra.weights import read_weights
from lake.labels import Label, UseCase, say_labels
from lake.promotions import history
from models.autoencoders.settings import settings_of
from models.encoders.build import build
from tasks.ingest import enter, examine_file
from tasks.inventory import take_inventory
from tests.workspace.told_cards import says_everything
from workspace.autoencoders import KIND, clips_folder
from workspace.clips import View
from workspace.indexes import load_index
from workspace.known_recordings import KnownRecordings
from workspace.normal_footage import folder_footage, known_footage
from workspace.opened import Workspace

SMALL = ("--architecture", "chong_tay", "--width", "0.05", "--size", "48", "--epochs", "1", "--cuboids", "8")
VIEW = View(48, 10.0)
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "site")


@pytest.fixture
def call(site: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["fit", "autoencoder", *arguments, "--site", str(site)])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def images(folder: Path, clips: int, frames: int = 14) -> Path:
    """Folders of numbered grey images, as UCSD has them, with masks beside them."""
    rng = np.random.default_rng(0)
    for clip in range(1, clips + 1):
        for frame in range(1, frames + 1):
            path = folder / f"Train{clip:03d}" / f"{frame:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(0, 256, (30, 40), dtype=np.uint8))
    (folder / "Train001_gt").mkdir()
    cv2.imwrite(str(folder / "Train001_gt" / "001.png"), np.zeros((30, 40), np.uint8))
    return folder


def told(out: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(out)
    return parsed


# From a folder


def test_a_folder_of_clips_becomes_an_encoder(call: Call, site: Path, tmp_path: Path) -> None:
    images(tmp_path / "set" / "Train", 5)
    code, out, _ = call(*SMALL, "--data", str(tmp_path / "set"), "--name", "hall")
    assert code == 0
    for line in (
        'name = "autoencoder/chong_tay/hall"',
        'encoder = "autoencoder/chong_tay/hall"',
        'detector = "magnitude"',
    ):
        assert line in out
    weights = read_weights(site / "weights")["autoencoder/chong_tay/hall"]
    assert weights.options == {"width": 0.05, "size_px": 48}
    with (site / SETTINGS_FILE).open("a") as settings:
        settings.write('\n[[encoders]]\nname = "autoencoder/chong_tay/hall"\n')
    workspace = Workspace(site)
    planned = workspace.encoder("autoencoder/chong_tay/hall")
    vectors = build(planned.spec, planned.weights, device="cpu").encode(np.zeros((1, 10, 48, 48, 3), np.uint8))
    assert np.isfinite(vectors).all() and np.linalg.norm(vectors) > 0
    (kind, name, version) = workspace.registry.versions()[0]
    card, arrays = workspace.registry.load(kind, name, version)
    assert (kind, name, card["space"]) == (KIND, "chong_tay.hall", planned.spec.space)
    says_everything(KIND, card, getpass.getuser())
    assert card["footage"]["sources"] == {
        "training": ["Train001", "Train002", "Train003", "Train004"],
        "held_out": ["Train005"],
    }
    assert not card["is_the_papers_size"] and len(arrays["held_out_scores"]) == card["footage"]["held_out_cuboids"] == 5


def test_the_same_call_goes_on_and_another_needs_a_restart(call: Call, site: Path, tmp_path: Path) -> None:
    data = ("--data", str(images(tmp_path / "clips", 3)), "--json")
    _, first, _ = call(*SMALL, *data)
    _, more, _ = call(*SMALL, *data, "--epochs", "2")
    assert told(more)["encoder"] == "autoencoder/chong_tay/clips"
    assert told(more)["card"]["epochs"][0] == told(first)["card"]["epochs"][0]
    assert len(told(more)["card"]["epochs"]) == 2
    assert (told(first)["in_service"], told(more)["in_service"]) == (True, False)
    serving = read_weights(site / "weights")["autoencoder/chong_tay/clips"].sha256
    assert serving.startswith(told(first)["version"]), "what serves stays there until somebody says otherwise"
    _, out, _ = call(*SMALL, *data[:-1], "--epochs", "2")
    assert f"afterwatch models promote chong_tay.clips {told(more)['version']} --kind autoencoder" in out
    assert [word.after for word in history(Workspace(site).ledger, KIND, "chong_tay.clips")] == [told(first)["version"]]
    code, _, said = call(*SMALL, *data, "--seed", "1")
    assert code == 2 and "--restart" in said
    assert call(*SMALL, *data, "--seed", "1", "--restart")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--architecture", "lstm"), "chong_tay"),
        (("--data", "absent"), "neither videos"),
        (("--width", "0"), "width"),
        (("--strides", "a"), "strides"),
        (("--data", ".", "--camera", "hall"), "leave one out"),
        (("--name", "random"), "random"),
        ((), "afterwatch run"),
    ],
)
def test_what_is_wrong_is_said(call: Call, arguments: tuple[str, ...], message: str) -> None:
    code, _, said = call(*arguments)
    assert code == 2 and message in said


def test_videos_and_images_are_held_out_whole(tmp_path: Path, small_footage: Path) -> None:
    camera = next(path for path in sorted(small_footage.iterdir()) if path.is_dir())
    video = next(path for path in sorted(camera.glob("*.mp4")) if path.stat().st_size)
    folder = images(tmp_path / "mixed", 2)
    (folder / "a.mp4").symlink_to(video)
    found = folder_footage(folder, VIEW, tmp_path / "cache")
    assert found.sources == {"training": ["Train001", "Train002"], "held_out": ["a.mp4"]}
    seconds = probe(video).index.extent_us / 1e6
    assert sum(map(len, found.held_out)) == pytest.approx(10 * seconds, abs=2)
    assert {clip.shape[1:] for clip in (*found.training, *found.held_out)} == {(48, 48)}


def test_a_single_clip_is_cut_with_a_gap(tmp_path: Path) -> None:
    folder = images(tmp_path / "one", 1, frames=100)
    found = folder_footage(folder, VIEW, tmp_path / "cache")
    assert [len(clip) for clip in found.training] == [80] and [len(clip) for clip in found.held_out] == [15]


# From a workspace


@pytest.fixture
def ingested(small_site: Path) -> Workspace:
    """The small campaign, its recordings known and indexed, without a night."""
    workspace = Workspace(small_site)
    inventory = take_inventory(workspace)
    enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    return Workspace(small_site)


def test_footage_labelled_as_an_anomaly_is_left_out(ingested: Workspace, tmp_path: Path) -> None:
    known = KnownRecordings(ingested.ledger)
    camera = known.cameras[0]
    mine = known.of_camera("demo", camera)
    before = known_footage(ingested, VIEW, tmp_path / "cache", camera=camera)
    first = mine[0]
    assert before.sources["training"][0] == first.path and before.sources["held_out"] == [mine[-1].path]
    about = ("demo", first.day, first.recording_id)
    case = UseCase(camera, "frame", ingested.settings.novelty.name)
    other = UseCase(camera, "frame", "a visitor")
    second = 1_000_000
    labels = [
        Label(case, *about, 2 * second, 4 * second, relevant=True, author="ada"),
        Label(case, *about, 3 * second, 5 * second, relevant=True, author="ada"),
        Label(case, *about, 6 * second, 7 * second, relevant=False, author="ada"),
        Label(other, *about, 8 * second, 9 * second, relevant=True, author="ada"),
    ]
    say_labels(ingested.ledger, labels)
    after = known_footage(ingested, VIEW, tmp_path / "cache", camera=camera)
    assert after.left_out_s - before.left_out_s == 3.0
    assert before.seconds - after.seconds == pytest.approx(3.0, abs=0.2)
    assert [len(clip) for clip in after.training[:1]] == [20]
    np.testing.assert_array_equal(after.training[0], before.training[0][:20])


def test_a_single_normal_recording_is_cut_in_two_with_a_gap(ingested: Workspace, tmp_path: Path) -> None:
    known = KnownRecordings(ingested.ledger)
    camera = known.cameras[0]
    first, *others = known.of_camera("demo", camera)
    case = UseCase(camera, "frame", ingested.settings.novelty.name)
    say_labels(
        ingested.ledger,
        [
            Label(case, "demo", one.day, one.recording_id, 0, one.duration_us, relevant=True, author="ada")
            for one in others
        ],
    )
    found = known_footage(ingested, VIEW, tmp_path / "cache", camera=camera)
    assert found.sources == {"training": [first.path], "held_out": [first.path]}
    seconds = first.duration_us / 1e6
    assert sum(map(len, found.training)) == pytest.approx(8 * seconds, abs=2)
    assert sum(map(len, found.held_out)) == pytest.approx(1.5 * seconds, abs=2)  # a quarter of the rest is the gap


def test_pictures_are_those_the_night_shows_the_encoder(ingested: Workspace, tmp_path: Path) -> None:
    camera = KnownRecordings(ingested.ledger).cameras[0]
    first = KnownRecordings(ingested.ledger).of_camera("demo", camera)[0]
    found = known_footage(ingested, VIEW, tmp_path / "cache", camera=camera).training[0]
    index = load_index(ingested.store, first.recording_id)
    runs = snippets(index, frames=8, rate_hz=10.0, stride_s=0.8)
    pictures = {
        picture.index: picture.view(WHOLE, (48, 48))
        for picture in decode(ingested.site.footage_root / first.path, index, np.unique(runs.frames[:2]))
    }
    for number in range(2):
        shown = np.stack([cv2.cvtColor(pictures[int(at)], cv2.COLOR_RGB2GRAY) for at in runs.frames[number]])
        np.testing.assert_array_equal(found[8 * number : 8 * number + 8], shown)


def test_much_footage_is_thinned_and_an_unknown_camera_refused(ingested: Workspace, tmp_path: Path) -> None:
    known = KnownRecordings(ingested.ledger)
    camera, campaign = known.cameras[0], "demo"
    everything = known_footage(ingested, VIEW, tmp_path / "cache", campaign=campaign, camera=camera)
    little = known_footage(ingested, VIEW, tmp_path / "cache", campaign=campaign, camera=camera, most_s=1.0)
    assert len(little.sources["training"]) == len(little.sources["held_out"]) == 1
    assert little.seconds < everything.seconds
    with pytest.raises(UnknownNameError, match=camera):
        known_footage(ingested, VIEW, tmp_path / "cache", camera="nowhere")


def test_it_trains_on_a_cameras_recordings(ingested: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    camera = KnownRecordings(ingested.ledger).cameras[0]
    with pytest.raises(SystemExit) as left:
        main(["fit", "autoencoder", *SMALL, "--camera", camera, "--site", str(ingested.site.root)])
    out = capsys.readouterr().out
    assert left.value.code in (0, None)
    assert f'name = "autoencoder/chong_tay/{camera}"' in out and f'cameras = ["{camera}"]' in out
    settings_kept = settings_of("chong_tay", {"width": 0.05, "size_px": 48})
    assert not clips_folder(ingested, settings_kept, camera).exists()
