"""`fit projection`: from clips in folders of classes, or a campaign's footage, to a projection in the registry."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from footage.index import MICROSECONDS
from footage.writing import VideoWriter
from infra.errors import ConfigurationError
from lake.labels import Label, UseCase, say_labels
from models.augmentation import centred
from models.encoders.build import build
from models.encoders.specs import describe
from models.projections.trained import TrainedProjection, ViewedVectors, silhouette_of
from tasks.ingest import enter, examine_file
from tasks.inventory import take_inventory
from tests.workspace.told_cards import says_everything
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace
from workspace.projections import KIND, PARTS, split_by_source
from workspace.training_clips import Clip, camera_clips, class_clips, windows_of
from workspace.viewed_clips import Viewing, embed_clips

MOTION, APPEARANCE = describe("handcrafted/motion"), describe("handcrafted/appearance")
QUICK = ("--views", "2", "--epochs", "4", "--dimension", "16", "--learning-rate", "0.01")
SUFFIXES = (".mp4",)
EACH = 6
Call = Callable[..., tuple[int, str, str]]


def write_clip(path: Path, seed: int, direction: tuple[int, int], seconds: float = 2.0) -> None:
    """A box that moves over a plain floor, 25 pictures a second."""
    random = np.random.default_rng(seed)
    x, y = (int(at) for at in random.integers(20, 60, 2))
    speed = random.uniform(1.0, 1.6)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path) as video:
        for number in range(round(25 * seconds)):
            picture = np.full((120, 160, 3), 90, np.uint8)
            left, top = round(x + direction[0] * speed * number), round(y + direction[1] * speed * number)
            cv2.rectangle(picture, (left, top), (left + 24, top + 24), (200, 180, 60), -1)
            video.write(picture, number * 40_000)


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of boxes that go across and of boxes that go down; treat it as read only."""
    folder = tmp_path_factory.mktemp("classes")
    for label, direction in (("across", (1, 0)), ("down", (0, 1))):
        for number in range(EACH):
            write_clip(folder / label / f"{label}{number}.mp4", number, direction)
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "fresh")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def call(site: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str, at: Path = site) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["fit", "projection", *arguments, "--cache", str(cache), "--site", str(at)])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def ingested(small_site: Path) -> Workspace:
    """The small campaign, its recordings known and indexed, without a night."""
    workspace = Workspace(small_site)
    inventory = take_inventory(workspace)
    enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    return Workspace(small_site)


def told(out: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(out)
    return parsed


def read(folder: Path, **options: Any) -> list[Clip]:
    return class_clips(folder, MOTION, SUFFIXES, **options)[0]


# A folder of classes


@pytest.mark.parametrize("loss", ["cross_entropy", "triplet", "supervised_contrastive", "self_supervised"])
def test_a_folder_of_classes_becomes_a_projection_whose_card_is_true(
    call: Call, site: Path, cache: Path, classes: Path, loss: str
) -> None:
    code, out, said = call(
        "--name", "walks", "--data", str(classes), "--loss", loss, *QUICK, "--author", "ada", "--json"
    )
    assert code == 0, said
    version = told(out)["version"]
    workspace = Workspace(site)
    assert workspace.registry.versions() == [(KIND, "walks", version)]
    card, arrays = workspace.registry.load(KIND, "walks", version)
    assert card == told(out)["card"]
    says_everything(KIND, card, "ada")
    assert (card["encoder"], card["space"], card["scaling"]) == (MOTION.name, MOTION.space, "none")
    assert card["settings"]["loss"] == loss and card["settings"]["dimension"] == 16 and card["author"] == "ada"
    assert card["data"]["classes"] == {"across": EACH, "down": EACH} and card["data"]["folder"] == classes.name
    assert str(classes.parent) not in json.dumps(card), "a card names no folder of the machine"

    sources = [set(card["data"]["sources"][part]) for part in PARTS]
    assert set.union(*sources) == {f"{label}/{label}{number}" for label in ("across", "down") for number in range(EACH)}
    assert sum(map(len, sources)) == 2 * EACH and all({name[0] for name in own} == {"a", "d"} for own in sources)

    projection = TrainedProjection.from_arrays(arrays)
    clips = read(classes)
    samples = embed_clips(clips, build(MOTION), Viewing(2), cache=cache)
    held = [at for at, clip in enumerate(clips) if clip.source in sources[2]]
    labels = np.array([clips[at].label == "down" for at in held], dtype=np.int64)
    vectors = ViewedVectors(samples.plain[held], samples.views[held], labels)
    for alike in ("classes", "views"):
        stated = card["metrics"]["silhouette"][alike]
        assert stated["raw"] == pytest.approx(silhouette_of(vectors, alike), abs=1e-4)
        assert stated["trained"] == pytest.approx(silhouette_of(vectors, alike, projection), abs=1e-4)
        assert stated["untrained"] is not None


def test_people_are_told_how_good_it_is_and_how_to_use_it(call: Call, classes: Path) -> None:
    code, out, _ = call("--data", str(classes), *QUICK)
    assert code == 0 and "handcrafted/motion to 16 values by supervised_contrastive" in out
    assert "silhouette of classes, in the sources held out:" in out and "of a random projection" in out
    written = out.split("afterwatch.toml:")[1].split()
    assert written[0] == "[novelty]" and 'scaling = "none"' in out and f'projection = "{classes.name}/' in out


def test_the_same_call_makes_the_same_version_and_another_seed_another(call: Call, classes: Path) -> None:
    versions = [
        told(call("--name", "walks", "--data", str(classes), *QUICK, "--seed", seed, "--json")[1])["version"]
        for seed in ("0", "0", "1")
    ]
    assert versions[0] == versions[1] != versions[2]


def test_a_frame_encoder_has_views_of_single_pictures(call: Call, classes: Path) -> None:
    code, out, said = call(
        "--name", "looks", "--data", str(classes), "--encoder", "handcrafted/appearance", *QUICK, "--json"
    )
    assert code == 0, said
    assert told(out)["card"]["encoder"] == "handcrafted/appearance"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --data"),
        (("--data", ".", "--campaign", "demo"), "not both"),
        (("--data", ".", "--camera", "hall"), "leave them out"),
        (("--campaign", "demo", "--source", "x"), "apart already"),
        (("--name", "pca", "--data", "."), "are taken"),
        (("--name", "../x", "--data", "."), "cannot name"),
        (("--data", "absent"), "there is no folder absent"),
        (("--data", ".", "--loss", "triplets"), 'did you mean "triplet"'),
        (("--data", ".", "--dimension", "0"), "dimension"),
        (("--data", ".", "--views", "0"), "views are at least 1"),
        (("--data", ".", "--most", "0"), "--most 0"),
        (("--data", ".", "--encoder", "handcrafted/motions"), 'did you mean "'),
        (("--campaign", "nowhere"), "unknown campaign"),
    ],
)
def test_what_is_wrong_is_said(call: Call, arguments: tuple[str, ...], message: str) -> None:
    code, _, said = call(*arguments)
    assert code == 2 and message in said.replace("\n", " "), said


def test_losses_that_compare_views_need_two(call: Call, classes: Path) -> None:
    code, _, said = call("--name", "walks", "--data", str(classes), "--loss", "self_supervised", "--views", "1")
    assert not any(line.startswith("views") for line in said.splitlines()), "it is said before anything is embedded"
    assert code == 2 and "at least 2 of each" in said


def test_few_source_videos_are_refused(call: Call, classes: Path) -> None:
    code, _, said = call("--name", "walks", "--data", str(classes), *QUICK, "--source", "^([a-z]+)/")
    assert code == 2 and "too few source videos (1 of across, 1 of down)" in said


# Which clips are of one source video


def test_clips_of_one_source_stay_together(tmp_path: Path, classes: Path) -> None:
    video = classes / "down" / "down0.mp4"
    names = (
        "run/v_Run_g01_c01.mp4",
        "run/v_Run_g01_c02.mp4",
        "run/v_Run_g02_c01.mp4",
        "walk/Walk014_x264/a_1.mp4",
        "walk/Walk014_x264/a_2.mp4",
        "walk/other.mp4",
    )
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        # Bytes behind the last box change the content, not the pictures.
        (tmp_path / name).write_bytes(video.read_bytes() + bytes([number] * 8))
    sources = {clip.name: clip.source for clip in read(tmp_path)}
    assert list(sources.values()) == [
        "run/v_Run_g01",
        "run/v_Run_g01",
        "run/v_Run_g02",
        *["Walk014_x264"] * 2,
        "walk/other",
    ]
    told_apart = {clip.name: clip.source for clip in read(tmp_path, pattern=r"([a-z]+)/")}
    assert set(told_apart.values()) == {"run", "walk"}
    with pytest.raises(ConfigurationError, match="says no source video of run"):
        read(tmp_path, pattern="walk")
    with pytest.raises(ConfigurationError, match="no regular expression"):
        read(tmp_path, pattern="(")


def test_the_same_clip_twice_and_broken_ones_are_left_out_and_told(tmp_path: Path, classes: Path) -> None:
    shutil.copytree(classes, tmp_path / "set")
    shutil.copy(classes / "across" / "across0.mp4", tmp_path / "set" / "down" / "zz.mp4")
    (tmp_path / "set" / "down" / "broken.mp4").write_bytes(b"no video")
    write_clip(tmp_path / "set" / "down" / "short.mp4", 1, (0, 1), seconds=0.5)
    clips, left_out = class_clips(tmp_path / "set", MOTION, SUFFIXES)
    assert len(clips) == 2 * EACH
    assert [line.split(":")[0] for line in left_out] == ["down/broken.mp4", "down/zz.mp4", "down/short.mp4"]
    assert "the same as across/across0.mp4" in left_out[1]


def test_one_class_is_not_enough(tmp_path: Path, classes: Path) -> None:
    shutil.copytree(classes / "down", tmp_path / "down")
    with pytest.raises(ConfigurationError, match=r"1 classes \(down\)"):
        read(tmp_path)


def test_sources_are_in_one_part_each_and_classes_in_all() -> None:
    sources = [f"{number % 20}" for number in range(100)]
    labels = ["a" if int(source) < 10 else "b" for source in sources]
    split = split_by_source(sources, labels, seed=3)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(100))
    parts = [{sources[row] for row in rows} for rows in split.values()]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert not parts[0] & parts[1] and not parts[1] & parts[2] and not parts[0] & parts[2]
    assert all({labels[row] for row in rows} == {"a", "b"} for rows in split.values())
    assert split_by_source(sources, labels, seed=3)["held_out"].tolist() == split["held_out"].tolist()
    assert split_by_source(sources, labels, seed=4)["held_out"].tolist() != split["held_out"].tolist()


# Samples and their views


def test_the_sample_is_the_snippet_in_the_middle(classes: Path) -> None:
    from footage.decode import decode
    from footage.regions import WHOLE

    clip = read(classes)[0]
    encoder = build(MOTION)
    made = embed_clips([clip], encoder, Viewing(3))
    assert made.plain.shape == (1, 576) and made.views.shape == (1, 3, 576) and made.clip.tolist() == [0]
    pictures = [picture.view(WHOLE, (120, 160)) for picture in decode(clip.path, clip.index, np.arange(50))]
    shown = np.stack([pictures[at] for at in centred(50, 16, 25 / 8)])
    np.testing.assert_array_equal(made.plain, encoder.encode(shown[None]))
    assert len({view.tobytes() for view in made.views[0]} | {made.plain[0].tobytes()}) == 4


def test_views_depend_on_the_clip_and_the_seed_alone(classes: Path, tmp_path: Path) -> None:
    clips, encoder = read(classes)[:2], build(MOTION)
    both = embed_clips(clips, encoder, Viewing(2), cache=tmp_path)
    alone = embed_clips(clips[1:], encoder, Viewing(2))
    np.testing.assert_array_equal(both.views[1:], alone.views)
    assert not np.array_equal(alone.views, embed_clips(clips[1:], encoder, Viewing(2, seed=1)).views)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    files[0].write_bytes(b"damaged")
    again = embed_clips(clips, encoder, Viewing(2), cache=tmp_path)
    np.testing.assert_array_equal(both.views, again.views)
    np.testing.assert_array_equal(both.plain, again.plain)


def test_windows_lie_in_their_spans_and_apart() -> None:
    second = MICROSECONDS
    assert windows_of(((0, 2 * second),), MOTION) == ((0, 2 * second),)
    assert windows_of(((0, second - 1),), MOTION) == ()
    spans = ((second, 11 * second), (20 * second, 23 * second))
    windows = windows_of(spans, MOTION)
    assert len(windows) == 4 and all(end - begin == 3 * second for begin, end in windows)
    assert all(before[1] <= after[0] for before, after in pairwise(windows))
    assert all(any(low <= begin and end <= high for low, high in spans) for begin, end in windows)


# A campaign


def test_a_campaigns_footage_trains_without_labels(ingested: Workspace, call: Call) -> None:
    camera = KnownRecordings(ingested.ledger).cameras[0]
    arguments = ("--campaign", "demo", "--camera", camera, "--most", "12", *QUICK)
    code, out, said = call("--name", "hall", *arguments, "--json", at=ingested.site.root)
    assert code == 0, said
    card = told(out)["card"]
    assert card["settings"]["loss"] == "self_supervised" and card["data"]["camera"] == camera
    assert card["metrics"]["silhouette"]["classes"]["raw"] is None
    assert card["metrics"]["silhouette"]["views"]["trained"] is not None
    code, _, said = call("--name", "hall", *arguments, "--loss", "triplet", at=ingested.site.root)
    assert code == 2 and "--data" in said


def test_confirmed_anomalies_are_left_out_in_every_region(ingested: Workspace) -> None:
    known = KnownRecordings(ingested.ledger)
    camera = known.cameras[0]
    first = known.of_camera("demo", camera)[0]
    case = UseCase(camera, "frame", ingested.settings.novelty.name)
    third = first.duration_us // 3

    def windows() -> list[tuple[int, int]]:
        clips = camera_clips(ingested, MOTION, "demo", camera)
        return [window for clip in clips if clip.content == first.recording_id for window in clip.windows]

    def looked_at(begin: int, end: int) -> bool:
        return any(low < end and begin < high for low, high in windows())

    about = ("demo", first.day, first.recording_id)
    say_labels(ingested.ledger, [Label(case, *about, third, 2 * third, relevant=False, author="ada")])
    assert looked_at(third, 2 * third), "what was dismissed is normal"
    say_labels(ingested.ledger, [Label(case, *about, third, 2 * third, relevant=True, author="ada")])
    assert not looked_at(third, 2 * third) and looked_at(0, third) and looked_at(2 * third, first.duration_us)


def test_few_recordings_are_cut_into_stretches_with_gaps(ingested: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownRecordings(ingested.ledger)
    camera = known.cameras[0]
    recordings = known.of_camera("demo", camera)
    assert [clip.source for clip in camera_clips(ingested, APPEARANCE, "demo", camera)] == [
        one.path for one in recordings
    ]
    monkeypatch.setattr("workspace.training_clips.FEWEST_RECORDINGS", len(recordings) + 1)
    clips = [
        clip
        for clip in camera_clips(ingested, APPEARANCE, "demo", camera)
        if clip.content == recordings[0].recording_id
    ]
    assert len({clip.source for clip in clips}) == len(clips) > 1
    spans = [(clip.windows[0][0], clip.windows[-1][1]) for clip in clips]
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    few = camera_clips(ingested, APPEARANCE, "demo", camera, most=1)
    assert all(len(clip.windows) == 1 for clip in few)
