"""The few-shot experiment, from pictures to tables."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from evaluation.datasets.read import read_data
from evaluation.figures import box_plot
from evaluation.protocols.few_shot_retrieval import (
    NEXT,
    PROTOCOL,
    TEST,
    FewShotReport,
    FewShotSettings,
    run_few_shot_retrieval,
)
from evaluation.tables import Line, summarise, to_csv, to_json, to_markdown
from infra.errors import ConfigurationError, UnknownNameError
from models.encoders.build import build
from models.encoders.specs import describe

SETTINGS = FewShotSettings(budgets=(2, 8, 64), runs=3)
METRICS = {"accuracy", "precision", "recall", "false_events_per_hour", "event_recall_70", "event_precision_50"}


@pytest.fixture(scope="module")
def report(clips: Path) -> FewShotReport:
    return run_few_shot_retrieval(read_data(clips), [build(describe("handcrafted/appearance"))], SETTINGS)


@pytest.fixture(scope="module")
def lines(report: FewShotReport) -> list[Line]:
    return summarise(report)


def value(lines: list[Line], metric: str, budget: int, average: str = "micro") -> Line:
    (found,) = [line for line in lines if (line.metric, line.budget, line.average) == (metric, budget, average)]
    return found


def test_a_square_is_found(lines: list[Line]) -> None:
    assert value(lines, "event_recall_70", 64).summary.mean == 1.0
    assert value(lines, "event_precision_70", 64).summary.mean == 1.0
    assert value(lines, "accuracy", 64).summary.mean > 0.95


def test_every_run_budget_and_clip_is_scored(report: FewShotReport, lines: list[Line]) -> None:
    scored = {(score.run, score.budget, score.unit) for score in report.scores}
    assert scored == {(r, b, f"Test{c:03d}") for r in range(3) for b in (2, 8, 64) for c in (4, 5, 6)}
    assert value(lines, "accuracy", 8).summary.n == 3 and value(lines, "accuracy", 8, "macro").summary.n == 9
    frames = sum(
        score.tally.true_positives
        + score.tally.false_positives
        + score.tally.false_negatives
        + score.tally.true_negatives
        for score in report.scores
        if (score.run, score.budget) == (0, 8)
    )
    assert frames == 3 * 120


def test_labels_there_are_told_where_they_are_fewer(report: FewShotReport, lines: list[Line]) -> None:
    (pool,) = report.pools.values()
    assert value(lines, "accuracy", 2).labels == "2 + 2"
    assert value(lines, "accuracy", 64).labels == f"{min(64, pool[0])} + {min(64, pool[1])}"


def test_the_seed_decides_the_subsets(clips: Path, report: FewShotReport, lines: list[Line]) -> None:
    data, encoders = read_data(clips), [build(describe("handcrafted/appearance"))]
    again = run_few_shot_retrieval(data, encoders, SETTINGS)
    assert to_csv(summarise(again)) == to_csv(lines)
    assert box_plot(again, TEST) == box_plot(report, TEST)
    other = run_few_shot_retrieval(data, encoders, FewShotSettings(budgets=(2, 8, 64), runs=3, seed=1))
    assert to_csv(summarise(other)) != to_csv(lines)


def test_the_json_form(report: FewShotReport, lines: list[Line]) -> None:
    told = json.loads(json.dumps(to_json(report, lines), allow_nan=False))
    assert told["protocol"] == PROTOCOL and told["data"] == "squares"
    assert all(set(row) == {"name", "metric", "value", "low", "high", "n"} for row in told["results"])
    assert {row["metric"] for row in told["results"]} > METRICS
    (row,) = [
        row
        for row in told["results"]
        if row["name"] == "support_vectors handcrafted/appearance 8+8 micro" and row["metric"] == "accuracy"
    ]
    summary = value(lines, "accuracy", 8).summary
    assert row["value"] == summary.mean and row["high"] - row["value"] == pytest.approx(summary.deviation)
    assert [row["value"] for row in told["results"] if row["metric"] == "anomalous_share"] == [pytest.approx(1 / 3)]


def test_the_tables_hold_the_numbers(report: FewShotReport, lines: list[Line]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(lines))))
    assert len(rows) == len(lines) and {row["metric"] for row in rows} > METRICS
    text = to_markdown(report, lines)
    shown = value(lines, "accuracy", 8).summary
    start = f"| 8 | {value(lines, 'accuracy', 8).labels} | {shown.mean:.3f} ± {shown.deviation:.3f} |"
    assert re.search(rf"^{re.escape(start)}", text, flags=re.MULTILINE)
    assert "Test001 to Test003 to train, Test004 to Test006 to test" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables}) == 2  # every row is as wide as its heading


def test_the_next_campaign_is_a_part_of_its_own(campaigns: tuple[Path, Path], clips: Path) -> None:
    appearance = build(describe("handcrafted/appearance"))
    spring, autumn = (read_data(folder) for folder in campaigns)
    both = run_few_shot_retrieval(spring, [appearance], SETTINGS, next_campaign=autumn)
    assert {(score.part, score.unit) for score in both.scores} == {
        (TEST, "hall 2026-03-03"),
        (NEXT, "hall 2026-09-07"),
    }
    alone = run_few_shot_retrieval(spring, [appearance], SETTINGS)
    assert to_csv(summarise(alone)) == to_csv([line for line in summarise(both) if line.part == TEST])
    found = [line for line in summarise(both) if line.part == NEXT]
    assert value(found, "event_recall_70", 64).summary.mean == 1.0
    assert {line.name for line in found if line.budget == 8} == {
        f"support_vectors handcrafted/appearance 8+8 {average} next campaign" for average in ("micro", "macro")
    }
    assert "### handcrafted/appearance, next campaign" in to_markdown(both, summarise(both))
    assert box_plot(both, NEXT) != box_plot(both, TEST)
    with pytest.raises(ConfigurationError, match=r"leaks: .* both are of 2026-03-02"):
        run_few_shot_retrieval(spring, [appearance], SETTINGS, next_campaign=spring)
    with pytest.raises(UnknownNameError, match="camera of the training part"):
        run_few_shot_retrieval(spring, [appearance], SETTINGS, next_campaign=read_data(clips))


def test_wrong_settings_are_refused(clips: Path) -> None:
    for wrong in ({"budgets": ()}, {"budgets": (0,)}, {"budgets": (4, 4)}, {"runs": 0}, {"rate_hz": 0.0}):
        with pytest.raises(ConfigurationError, match="got"):
            FewShotSettings(**wrong)
    with pytest.raises(ConfigurationError, match="no encoder"):
        run_few_shot_retrieval(read_data(clips), [], SETTINGS)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", PROTOCOL, *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_the_command_writes_what_it_prints(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--data", clips, "--budgets", "2,8", "--runs", 2, "--rate", 1, "--cache", tmp_path / "cache")
    encoders = ("--encoder", "handcrafted/appearance", "--encoder", "handcrafted/motion")
    code, out, _ = call(capsys, *few, *encoders, "--out", tmp_path / "out", "--json")
    assert code == 0
    told: dict[str, Any] = json.loads(out)
    assert told == json.loads((tmp_path / "out" / f"{PROTOCOL}.json").read_text(encoding="utf-8"))
    assert {name.split()[1] for name in (row["name"] for row in told["results"]) if " " in name} == {
        "handcrafted/appearance",
        "handcrafted/motion",
    }
    assert (tmp_path / "out" / f"{PROTOCOL}.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = call(capsys, *few)
    assert code == 0 and "### handcrafted/appearance" in out and "embed" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--budgets", "4,x"), "whole numbers"),
        (("--encoder", "handcrafted/nothing"), "appearance"),
        (("--region", "window"), "unknown region"),
        (("--encoder", "handcrafted/motion", "--gap", "1"), "at least 2 s"),
    ],
)
def test_a_wrong_call_says_why(
    clips: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    code, out, _ = call(capsys, "--data", clips, *arguments, "--json")
    assert code == 2 and reason in json.loads(out)["error"]


def test_real_visits_are_found(real_data: Path) -> None:
    """The lobby, first half of the visits against the second."""
    settings = FewShotSettings(budgets=(64,), rate_hz=5.0)
    data = read_data(real_data / "footage/lobby")
    found = summarise(run_few_shot_retrieval(data, [build(describe("handcrafted/appearance"))], settings))
    assert value(found, "event_recall_70", 64).summary.mean == 1.0
    assert value(found, "event_precision_70", 64).summary.mean >= 0.95
