"""`fit segments` and `evaluate segments`: from annotated videos to a classifier and to tables, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from infra.settings import SETTINGS_FILE
from models.heads.segment_training import CLASS
from tests.footage.films import Film
from tests.workspace.made_clips import put_clip
from workspace.classifiers import find_classifier, load_head, sweep_of, threshold_of
from workspace.clip_vectors import Inputs
from workspace.opened import Workspace

QUICK = (
    "--hidden",
    "none",
    "--epochs",
    "2",
    "--encoder",
    "handcrafted/appearance",
    "--frames",
    "15",
    "--frame-rate",
    "5",
)
VIDEOS = 8
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 1.8 s and their annotations; treat it as read only."""
    folder = tmp_path_factory.mktemp("clips") / "street"
    for seed in range(VIDEOS):
        put_clip(folder / f"{seed}.mp4", seed, Film(count=45, height=32, width=48))
    told = {f"{n}.mp4": [{"start": 0.6, "end": 1.8}] if n % 2 else [] for n in range(VIDEOS)}
    (folder / "annotations.json").write_text(json.dumps(told | {"lost.mp4": []}))
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A workspace, and a cache of vectors."""
    return make_workspace(tmp_path_factory.mktemp("workspace") / "site"), tmp_path_factory.mktemp("cache")


@pytest.fixture
def call(videos: Path, kept: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> Call:
    def run(verb: str, *arguments: str, data: Path = videos, annotated: bool = True) -> tuple[int, str, str]:
        site, cache = kept
        said = ("--annotations", str(videos / "annotations.json")) if annotated else ()
        fixed = ("--data", str(data), *said, *QUICK, "--site", str(site), "--cache", str(cache))
        with pytest.raises(SystemExit) as left:
            main([verb, "segments", *fixed, *arguments])
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return run


def test_a_segment_classifier_is_a_classifier_like_any_other(
    call: Call, kept: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = call("fit", "--name", "trouble", "--author", "engineer", "--json")
    assert code == 0
    told = json.loads(said)
    assert (told["classifier"], told["in_service"]) == ("trouble", True)
    card = told["card"]
    assert card["classes"] == [CLASS] and card["loss"]["kind"] == "mil" and card["loss"]["sparsity_weight"] == 8e-5
    assert card["data"]["clips"] == {"anomaly": 4, "normal": 4} and card["data"]["windows"] == VIDEOS * 3
    assert card["data"]["windows_anomalous"] == 4 * 2
    assert card["data"]["left_out"] == ["1 annotated videos that are not in the folder: lost.mp4"]
    split = card["data"]["split"]
    assert [len(split[part]) for part in ("train", "validation", "test")] == [4, 2, 2]
    assert card["clips"] == split["train"], "what was not trained on may be measured on later"
    assert set(card["parts"]) == set(card["curves"]) == {"train", "validation", "test"}
    assert card["thresholds"] == {CLASS: {"threshold": 0.5, "criterion": "fixed"}}

    workspace = Workspace(kept[0])
    found = find_classifier(workspace, "trouble")
    head = load_head(workspace, found)
    inputs = Inputs.from_card(found.card)
    assert (inputs.window_s, inputs.window_item) == (0.6, None)
    assert head.classes == (CLASS,) and threshold_of(workspace, found, CLASS).threshold == 0.5
    swept = sweep_of(workspace, found, CLASS)
    assert swept.positives + swept.negatives == 2 * 3, "the segments of validation"
    metrics = found.card["metrics"][CLASS]
    assert metrics["inside"] == {**metrics["half"], "thresholds": [0.5]}

    for arguments in (
        ["models", "show", "trouble"],
        ["models", "threshold", "trouble", "--by", "recall=0.8"],
        ["models", "export", "trouble", "--output", str(tmp_path / "trouble.onnx"), "--head-only"],
    ):
        with pytest.raises(SystemExit) as left:
            main([*arguments, "--site", str(kept[0])])
        said = capsys.readouterr().out
        assert left.value.code in (0, None), said
    assert (tmp_path / "trouble.onnx").stat().st_size > 0


def test_both_verbs_look_as_often_as_the_workspace_samples(
    videos: Path, kept: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, cache = kept
    plain = list(QUICK[: QUICK.index("--frame-rate")])
    fixed = ["--data", str(videos), "--annotations", str(videos / "annotations.json"), *plain, "--cache", str(cache)]

    def said(verb: str, *arguments: str) -> str:
        with pytest.raises(SystemExit) as left:
            main([verb, "segments", *fixed, *arguments])
        assert not left.value.code
        return capsys.readouterr().out

    def measured(root: Path) -> float:
        told = json.loads(said("evaluate", "--seeds", "1", "--site", str(root), "--json"))
        return float(told["inputs"]["handcrafted/appearance"]["frame_rate_hz"])

    told = said("fit", "--name", "often", "--site", str(site))
    assert "of them anomalous; frame encoders at 1 Hz; embedded" in told
    assert find_classifier(Workspace(site), "often").card["frame_rate_hz"] == measured(site) == 1.0
    assert "frame encoders at 1 Hz" in said("evaluate", "--seeds", "1", "--site", str(site))
    assert measured(tmp_path) == pytest.approx(4 / 0.6, abs=1e-3), "without a workspace it goes by the segment"
    settings = tmp_path / "other" / SETTINGS_FILE
    made = make_workspace(settings.parent)
    settings.write_text(
        settings.read_text().replace('policy = "rate"', 'policy = "key_frames"').replace("rate_hz", "# ")
    )
    assert measured(made) == pytest.approx(4 / 0.6, abs=1e-3)


def test_anomalies_that_are_too_short_for_a_segment_are_told(call: Call, tmp_path: Path) -> None:
    # Segments of 0.6 s. In the test part, 6 and 7, what is annotated fills half of none.
    spans = {0: [], 1: [(0.6, 1.8), (0.1, 0.2)], 2: [], 3: [(0.6, 1.8)], 4: [], 5: [(0.6, 0.7)], 6: [], 7: [(0.6, 0.7)]}
    annotations, split = tmp_path / "short.json", tmp_path / "split.csv"
    told = {f"{n}.mp4": [{"start": a, "end": b} for a, b in held] for n, held in spans.items()}
    annotations.write_text(json.dumps(told))
    parts = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    split.write_text("video,part\n" + "".join(f"{n}.mp4,{part}\n" for n, part in enumerate(parts)))
    arguments = ("--annotations", str(annotations), "--split", str(split))
    for verb in ("fit", "evaluate"):
        code, _, said = call(verb, *arguments)
        assert code == 2 and "none of the 6 segments of the test part is anomalous" in " ".join(said.split())
    annotations.write_text(json.dumps(told | {"7.mp4": told["3.mp4"]}))
    code, said, _ = call("fit", "--name", "short", *arguments)
    assert code == 0
    assert "2 of 5 annotated spans fill 50 % of no segment, and count as normal: 1.mp4 0.1 to 0.2 s, …" in said
    code, said, _ = call("evaluate", "--seeds", "1", *arguments)
    assert code == 0 and "2 of 5 annotated spans too short to make one anomalous" in said
    code, said, _ = call("evaluate", "--seeds", "1", *arguments, "--json")
    assert json.loads(said)["spans"] == {"handcrafted/appearance": {"annotated": 5, "in_no_anomalous_segment": 2}}


def test_the_same_call_gives_the_same_version_and_another_loss_another(call: Call) -> None:
    versions: dict[tuple[str, ...], set[str]] = {}
    for arguments in ((), (), ("--loss", "bce"), ("--seed", "1"), ("--overlap", "0.9")):
        code, said, _ = call("fit", "--name", "again", "--json", *arguments)
        assert code == 0
        versions.setdefault(arguments, set()).add(json.loads(said)["version"])
    assert all(len(found) == 1 for found in versions.values())
    assert len(set().union(*versions.values())) == 4


def test_a_threshold_may_be_chosen_on_the_validation_part(call: Call) -> None:
    code, said, _ = call("fit", "--name", "chosen", "--threshold-by", "recall=0.9", "--json")
    assert code == 0
    card = json.loads(said)["card"]
    threshold = card["thresholds"][CLASS]
    assert threshold["criterion"] == "recall 0.9"
    assert card["metrics"][CLASS]["inside"]["thresholds"] == [pytest.approx(threshold["threshold"], abs=1e-4)]


def test_people_are_told_what_was_made(call: Call) -> None:
    code, said, _ = call("fit", "--name", "told")
    assert code == 0
    assert "4 anomaly, 4 normal: 24 segments of 0.6 s, 8 of them anomalous" in said
    assert "left out: 1 annotated videos that are not in the folder: lost.mp4" in said
    assert "ROC-AUC" in said and "mAP" in said and "IoU" in said
    assert '[[alarms]]\nname = "anomaly"\nclassifier = "told"' in said


def test_a_report_in_tables_and_figures(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "results"
    arguments = ("--loss", "bce", "--loss", "mil", "--seeds", "2")
    code, said, _ = call("evaluate", *arguments, "--out", str(out))
    assert code == 0
    assert "# Segment models on street" in said and "tables and figures" in said
    page = (out / "segments.md").read_text()
    assert "| `handcrafted/appearance` | mil |" in page and "| `handcrafted/appearance` | bce |" in page
    for ending in ("epochs", "confusion", "roc", "segments"):
        assert (out / f"segments-{ending}.png").read_bytes().startswith(b"\x89PNG")
        assert f"(segments-{ending}.png)" in page
    assert (out / "segments.csv").is_file() and (out / "segments-scores.csv").is_file()
    told = json.loads((out / "segments.json").read_text())
    assert (told["protocol"], told["data"], told["videos"]) == ("segments", "street", VIDEOS)
    assert set(told["results"][0]) == {"name", "metric", "value", "low", "high", "n"}
    code, printed, _ = call("evaluate", *arguments, "--json")
    assert (code, json.loads(printed)) == (0, told)


def test_folders_of_classes_need_no_annotations(call: Call, videos: Path, tmp_path: Path) -> None:
    for number in range(VIDEOS):
        path = tmp_path / "fights" / ("fight" if number % 2 else "noFight") / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((videos / f"{number}.mp4").read_bytes())
    arguments = ("--seeds", "1", "--no-stills", "--out", str(tmp_path / "out"))
    code, said, _ = call("evaluate", *arguments, data=tmp_path / "fights", annotated=False)
    assert code == 0 and "8 videos, 4 of them with an anomaly" in said and "noFight is normal" in said
    assert not (tmp_path / "out" / "segments-segments.png").exists()


def test_what_is_wrong_is_said(call: Call, videos: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"0.mp4": [{"start": 2, "end": 1}]}')
    few = tmp_path / "few.csv"
    few.write_text("video,part\n0.mp4,train\n1.mp4,test\n")
    for verb, arguments, words in (
        ("fit", ("--loss", "mill"), 'did you mean "mil"'),
        ("fit", ("--loss", "bce", "--ranking-weight", "1"), "bce has no ranking term"),
        ("fit", ("--loss", "s3", "--sparsity-weight", "1"), "s3 has no sparsity term"),
        ("fit", ("--ranking-weight", "-1"), "ranking_weight is a number from 0"),
        ("fit", ("--unlisted", "maybe"), "unknown --unlisted"),
        ("fit", ("--overlap", "1.5"), "the overlap is a share"),
        ("fit", ("--frames", "0"), "1 to 1024 pictures"),
        ("fit", ("--split", str(few)), "1 of 2 videos are in the train part"),
        ("fit", ("--annotations", str(bad)), "goes from 2 to 1 s"),
        ("fit", ("--layout", "folders"), "leave it out beside --annotations"),
        ("fit", ("--threshold-by", "luck"), "is no criterion"),
        ("fit", ("--name", "../up"), "cannot name a classifier"),
        ("fit", ("--batch", "0"), "batch_size"),
        ("evaluate", ("--loss", "focal"), 'unknown loss "focal"'),
        ("evaluate", ("--seeds", "0"), "seeds are at least 1"),
        ("evaluate", ("--name", "../up"), "cannot name files"),
        ("evaluate", ("--out", str(bad)), "is a file; name a folder"),
        ("evaluate", ("--encoder", "handcrafted/motion+handcrafted/motion"), "names an encoder twice"),
    ):
        code, _, said = call(verb, *arguments)
        assert code == 2, (arguments, said)
        assert words in " ".join(said.split()), (arguments, said)
    code, _, said = call("fit", data=tmp_path / "nowhere")
    assert (code, "there is no folder" in said) == (2, True)
