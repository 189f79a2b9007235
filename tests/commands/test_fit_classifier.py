"""`fit classifier` and the `models` verbs: from clips in folders to a threshold that somebody chose."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from footage.writing import VideoWriter
from infra.settings import SETTINGS_FILE, Settings
from infra.weights import read_weights
from tests.workspace.signed import signed
from workspace.classifiers import KIND, find_classifier, load_head
from workspace.clip_sets.base import ClipSet
from workspace.clip_sets.sources import with_sources
from workspace.finetuning import KIND as NETWORK
from workspace.opened import Workspace

EACH = 6
QUICK = ("--epochs", "6", "--hidden", "8", "--learning-rate", "0.02", "--folds", "3")
Call = Callable[..., tuple[int, str, str]]


def write_clip(path: Path, seed: int, pixels_a_frame: float, seconds: float = 2.0) -> None:
    """A box that moves over a plain floor, 10 pictures a second."""
    random = np.random.default_rng(seed)
    x, y = (int(at) for at in random.integers(10, 60, 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path) as video:
        for number in range(round(10 * seconds)):
            picture = np.full((120, 160, 3), 90, np.uint8)
            left = round(x + pixels_a_frame * number)
            cv2.rectangle(picture, (left, y), (left + 30, y + 30), (200, 180, 60), -1)
            video.write(picture, number * 100_000)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes that run, and boxes that hardly move; treat it as read only."""
    folder = tmp_path_factory.mktemp("clips") / "boxes"
    for label, speed in (("run", 4.0), ("normal", 0.3)):
        for number in range(EACH):
            write_clip(folder / label / f"{label}{number}.mp4", number, speed)
    (folder / "run" / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "fresh")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classifier-cache")


@pytest.fixture
def call(site: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([*arguments, "--site", str(site)])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def fit(call: Call, clips: Path, cache: Path) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        return call("fit", "classifier", "--data", str(clips), "--cache", str(cache), *QUICK, *arguments)

    return run


def told(out: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(out)
    return parsed


def test_clips_become_a_classifier_in_service_whose_card_is_true(fit: Call, site: Path, clips: Path) -> None:
    code, out, said = fit("--author", "ada", "--json")
    assert code == 0, said
    found = told(out)
    card = found["card"]
    assert (found["classifier"], found["in_service"]) == ("boxes", True)
    assert (card["classes"], card["normal"], card["author"]) == (["run"], "normal", "ada")
    assert card["data"]["clips"] == {"normal": EACH, "run": EACH} and card["data"]["folder"] == "boxes"
    assert len(card["data"]["left_out"]) == 1 and "broken.mp4" in card["data"]["left_out"][0]
    assert (card["settings"]["hidden"], card["settings"]["epochs"], card["folds"]["count"]) == ([8], 6, 3)
    assert [item["encoder"] for item in card["inputs"]] == ["handcrafted/action"], "where none is named"
    assert card["metrics"]["run"]["auc"] > 0.9, "running boxes are not still ones"
    workspace = Workspace(site)
    classifier = find_classifier(workspace, "boxes")
    assert classifier.version == found["version"] and load_head(workspace, classifier).classes == ("run",)


def test_what_is_printed_to_write_into_the_settings_is_valid_and_needed(fit: Call, site: Path) -> None:
    code, out, said = fit("--encoder", "handcrafted/motion", "--encoder", "handcrafted/appearance", "--frame-rate", "4")
    assert code == 0, said
    assert "AUC" in out and "chosen inside each fold" in out and "s an epoch" in out and "in service" in out
    block = out.split("write into afterwatch.toml:\n", 1)[1]
    parts = tomllib.loads(block)
    assert parts == {
        "sampling": {"policy": "rate", "rate_hz": 4},
        "alarms": [{"name": "run", "classifier": "boxes"}],
    }
    written = tomllib.loads((site / SETTINGS_FILE).read_text())
    assert Settings.model_validate({**written, **parts}).alarms[0].classifier_version == ("boxes", None)


def test_a_second_fit_is_a_candidate_until_it_is_promoted(fit: Call, call: Call, site: Path) -> None:
    first, second = (told(fit("--seed", seed, "--json")[1]) for seed in ("0", "1"))
    assert (first["in_service"], second["in_service"]) == (True, False)
    states = {row["version"]: row["state"] for row in told(call("models", "list", "--json")[1])["models"]}
    assert states == {first["version"]: "in service", second["version"]: "candidate"}
    code, _, said = call("models", "promote", "boxes", second["version"])
    assert code == 2 and f"afterwatch models compare boxes/{first['version']} boxes/{second['version']}" in said
    signature = signed(Workspace(site), "boxes", first["version"], second["version"])
    code, out, _ = call("models", "promote", "boxes", second["version"], "--author", "bob", "--json")
    assert code == 0 and told(out)["before"] == first["version"]
    assert (told(out)["report"], told(out)["signed_by"]) == (signature.report_id, "grace")
    shown = told(call("models", "show", "boxes", "--json")[1])
    assert shown["version"] == shown["in_service"] == second["version"] and shown["card"] == second["card"]
    assert shown["state"] == "in service" and shown["lineage"]["replaced"] == [first["version"]]
    assert shown["parts"]["data"] and shown["parts"]["parameters"] and shown["parts"]["metrics"]
    assert shown["parts"]["code"]["sources"] and shown["parts"]["author"]
    assert told(call("models", "rollback", "boxes", "--author", "cy", "--reason", "too loud", "--json")[1]) == {
        "kind": "classifier",
        "name": "boxes",
        "in_service": first["version"],
        "before": second["version"],
    }
    code, _, said = call("models", "rollback", "boxes")
    assert code == 2 and f"{first['version']} is the first" in said
    history = told(call("models", "history", "boxes", "--json")[1])["history"]
    assert [(one["author"], one["action"], one["from"], one["to"]) for one in history[1:]] == [
        ("bob", "promoted", first["version"], second["version"]),
        ("cy", "rolled back", second["version"], first["version"]),
    ]
    assert (history[1]["signed_by"], history[2]["reason"]) == ("grace", "too loud")
    _, out, _ = call("models", "history", "boxes")
    assert f"flip report {signature.report_id}" in out and "too loud" in out and "grace" in out
    assert "replaced by: " + second["version"] in call("models", "show", "boxes")[1]
    assert told(call("models", "retire", "boxes", "--json")[1])["in_service"] is None
    code, _, said = call("models", "threshold", "boxes")
    assert code == 2 and "afterwatch models promote boxes" in said
    code, _, said = call("models", "promote", "boxes", "nothing")
    assert code == 2 and "unknown version of classifier boxes" in said


def test_a_threshold_is_shown_chosen_put_by_hand_and_left_again(fit: Call, call: Call) -> None:
    card = told(fit("--json")[1])["card"]
    at = ("models", "threshold", "boxes")
    shown = told(call(*at, "--json")[1])
    assert (shown["author"], shown["threshold"]) == ("", card["thresholds"]["run"]["threshold"])
    assert shown["true_positives"] == card["metrics"]["run"]["recommended"]["true_positives"]
    chosen = told(call(*at, "--by", "recall=0.8", "--author", "ada", "--json")[1])
    assert (chosen["author"], chosen["criterion"]) == ("ada", "recall 0.8") and chosen["recall"] >= 0.8
    code, out, _ = call(*at, "--at", "0.99")
    assert code == 0 and "0.9900 (chosen), chosen by" in out
    rows = told(call("models", "show", "boxes", "--json")[1])["classes"]["run"]
    assert rows[0]["by"].startswith("in use: chosen") and rows[0]["threshold"] == 0.99
    assert all(row["recall"] >= float(row["by"].split()[1]) for row in rows[1:])
    assert told(call(*at, "--recommended", "--json")[1])["author"] == ""
    for wrong, match in (
        (("--at", "1.5"), "between 0 and 1"),
        (("--at", "0.5", "--by", "f2"), "give one"),
        (("--by", "best"), "is no criterion"),
        (("--class", "walk"), "unknown class"),
    ):
        code, _, said = call(*at, *wrong)
        assert code == 2 and match in said


def test_people_are_told_the_sweep_as_a_table(fit: Call, call: Call) -> None:
    assert fit("--published", "--json")[0] == 0
    code, out, _ = call("models", "show", "boxes")
    assert code == 0
    assert "sweep of run" in out and "recall 0.95" in out and "right alarms" in out and "in service" in out
    code, out, _ = call("models", "list")
    assert code == 0 and "boxes" in out and "in service" in out


def test_the_threshold_may_be_recommended_by_cost(fit: Call) -> None:
    card = told(fit("--threshold-by", "cost=1,20", "--json")[1])["card"]
    assert card["thresholds"]["run"]["criterion"] == "cost 1 20"
    assert card["metrics"]["run"]["recommended"]["recall"] == 1


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--hidden", "many"), "is no list of widths"),
        (("--threshold-by", "best"), "is no criterion"),
        (("--alarm", "walk"), "unknown class"),
        (("--layout", "pyramid"), "unknown layout"),
        (("--list", "1"), "leave it out"),
        (("--encoder", "handcrafted/motions"), "unknown handcrafted encoder"),
        (("--encoder", "handcrafted/motion", "--window", "5"), "leave the window out"),
        (("--name", "a/b"), "cannot name a classifier"),
        (("--folds", "40"), "40 folds need 40 of each class"),
        (("--class-weights", "all"), "unknown class weights"),
        (("--finetune", "mine"), "name it with one --encoder"),
        (("--finetune", "mine", "--encoder", "handcrafted/motion"), "no video network"),
        (("--finetune", "mine", "--encoder", "torchvision/r3d_18/random", "--device", "cuda:7"), "is not there"),
        (
            ("--finetune", "mine", "--encoder", "pytorchvideo/x3d_xs/random", "--device", "cpu"),
            "clips are held out from fine-tuning for the classifier: too few source videos",
        ),
    ],
)
def test_a_wrong_call_is_refused_and_nothing_is_kept(
    fit: Call, site: Path, arguments: tuple[str, ...], match: str
) -> None:
    code, _, said = fit(*arguments)
    assert code == 2 and match in said
    assert "vectors" not in said, "it was said before a clip was embedded"
    assert Workspace(site).registry.versions() == []


def test_a_list_of_sources_may_name_clips_of_the_test_side(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[set[str | None]] = []

    def noted(clip_set: ClipSet, file: Path) -> ClipSet:
        sides.append({clip.split for clip in clip_set.clips})
        return with_sources(clip_set, file)

    monkeypatch.setattr("workspace.clip_sets.sources.with_sources", noted)
    data, rows = tmp_path / "sides", ["clip,source"]
    for side in ("train", "test"):
        for label in ("run", "normal"):
            for number in range(2):
                name = f"{side}/{label}/{side}{number}.mp4"
                write_clip(data / name, len(rows), 2.0, seconds=0.5)
                rows.append(f"{name},{side}{number}")
    (tmp_path / "sources.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    code, _, said = call(
        "fit", "classifier", "--data", str(data), "--sources", str(tmp_path / "sources.csv"), "--folds", "40"
    )
    assert code == 2 and "too few source videos (2 of run, 2 of no alarm class)" in said
    assert sides == [{"train", "test"}], "both sides were there to be named"


def test_a_network_is_fine_tuned_first_and_measured_on_what_it_has_not_seen(
    call: Call, site: Path, tmp_path: Path
) -> None:
    data = tmp_path / "many"
    for label, speed in (("run", 4.0), ("normal", 0.3)):
        for number in range(15):
            write_clip(data / label / f"{label}{number}.mp4", number, speed, seconds=1.0)
    network = ("--encoder", "pytorchvideo/x3d_xs/random", "--finetune", "boxes", "--device", "cpu")
    code, out, said = call(
        "fit", "classifier", "--data", str(data), *network, "--finetune-epochs", "1", *QUICK, "--json"
    )
    assert code == 0, said
    workspace = Workspace(site)
    encoder = "pytorchvideo/x3d_xs/boxes"
    weights = read_weights(workspace.site.weights_folder)[encoder]
    ((_, name, version),) = (row for row in workspace.registry.versions() if row[0] == NETWORK)
    tuned, _ = workspace.registry.load(NETWORK, name, version)
    assert (name, tuned["encoder"], tuned["weights"]) == ("x3d_xs.boxes", encoder, weights.sha256)
    assert tuned["data"]["parts"] == {"training": 18, "stopped_by": 6, "held_out": 6} and len(tuned["epochs"]) == 1
    card = told(out)["card"]
    assert [item["encoder"] for item in card["inputs"]] == [encoder] and card["inputs"][0]["space"] == tuned["space"]
    assert sum(card["data"]["clips"].values()) == 6
    assert "24 clips of 24 source videos: the fine-tuned network has seen them" in card["data"]["left_out"]
    assert not (workspace.site.state_folder / "finetuning" / "x3d_xs-boxes").exists(), "what was unfinished is gone"
    assert workspace.registry.exists(KIND, "many", told(out)["version"])
