"""What is printed of a classifier: settings that can be pasted, and a table with a row for the night."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from afterwatch.classifier_texts import tell_fitted, tell_metrics
from afterwatch.workspace_files import make_workspace
from infra.settings import SETTINGS_FILE, Settings
from workspace.classifier_fitting import FittedClassifier
from workspace.opened import Workspace

SHARES = {"precision": 0.5, "recall": 0.8, "f1": 0.6, "f2": 0.7, "accuracy": 0.75}


def card(*classes: str) -> dict[str, Any]:
    told = {
        "auc": 0.9,
        "average_precision": 0.8,
        "half": SHARES,
        "inside": {**SHARES, "thresholds": [0.4, 0.6]},
        "recommended": SHARES,
        "night": {**SHARES, "recall": 0.999, "normal_windows_above": 0.256},
    }
    return {
        "classes": list(classes),
        "inputs": [],
        "frame_rate_hz": None,
        "window_s": 2.0,
        "epochs": 4,
        "remark": "",
        "data": {
            "clips": dict.fromkeys(classes, 4),
            "windows": 40,
            "windows_per_clip": {"fewest": 2, "mean": 5.0, "most": 8},
            "sources": 8,
            "left_out": [],
        },
        "thresholds": {name: {"threshold": 0.5, "criterion": "f_beta 2"} for name in classes},
        "metrics": dict.fromkeys(classes, told),
    }


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (("shop lifting", "shop-lifting"), ["shop-lifting", "trouble-shop-lifting"]),
        (("a b", "a-b", "a/b"), ["a-b", "trouble-a-b", "trouble-a-b-2"]),
        (("novelty", "fight"), ["trouble-novelty", "fight"]),
        (("novelty.", "!novelty"), ["trouble-novelty", "trouble-novelty-2"]),
    ],
)
def test_alarms_to_write_have_a_name_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], classes: tuple[str, ...], names: list[str]
) -> None:
    site = make_workspace(tmp_path / "site")
    fitted = FittedClassifier("trouble", "v1", card(*classes), True, 0.1)
    tell_fitted(Workspace(site), fitted, 3.0)
    out = capsys.readouterr().out
    assert "40 windows of 2 s, 2 to 8 a clip, 8 source videos" in out
    parts = tomllib.loads(out.split("write into afterwatch.toml:\n", 1)[1])
    assert [alarm["name"] for alarm in parts["alarms"]] == names
    assert [alarm["class_name"] for alarm in parts["alarms"]] == list(classes)
    written = tomllib.loads((site / SETTINGS_FILE).read_text())
    assert len(Settings.model_validate({**written, **parts}).alarms) == len(classes)


def test_the_table_has_a_row_for_the_night(capsys: pytest.CaptureFixture[str]) -> None:
    tell_metrics(card("fight"), "fight")
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if "as the night counts" in line]
    assert row.split()[-5:] == ["0.500", "0.999", "0.600", "0.700", "0.750"]
    assert "25.6 % of the windows of normal clips are above the recommended threshold" in out


def test_a_card_from_before_there_was_a_row_for_the_night_is_told_without(capsys: pytest.CaptureFixture[str]) -> None:
    old = card("fight")
    del old["metrics"]["fight"]["night"]
    tell_metrics(old, "fight")
    out = capsys.readouterr().out
    assert "recommended" in out and "night" not in out and "normal clips" not in out
