"""`evaluate federated`: from pictures to tables and a figure, and what it refuses."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import flows.runners
from afterwatch.__main__ import main
from infra.settings import ClusterTable
from tests.evaluation.made_squares import put_squares

QUICK = ("--size", "48", "--width", "0.02", "--rounds", "2", "--seeds", "1", "--step", "5", "--score-step", "3")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four normal clips and two test clips; treat it as read only."""
    return put_squares(tmp_path_factory.mktemp("data") / "squares")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """The verb, with threads for workers."""

    @contextmanager
    def threads(cluster: ClusterTable, folder: Path) -> Iterator[Executor]:
        with ThreadPoolExecutor(cluster.workers or 1) as pool:
            yield pool

    monkeypatch.setattr(flows.runners, "client_pool", threads)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["evaluate", "federated", *arguments])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def test_a_folder_in_tables_out(call: Call, squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    arguments = (
        "--data",
        str(squares),
        *QUICK,
        "--out",
        str(out),
        "--name",
        "squares",
        "--cache",
        str(tmp_path / "kept"),
    )
    code, said, _ = call(*arguments)
    assert code == 0 and f"tables and figure: {out}" in said
    endings = [".csv", ".json", ".md", "-rounds.csv", "-rounds.png"]
    assert sorted(path.name for path in out.iterdir()) == sorted(f"squares{ending}" for ending in endings)
    page = (out / "squares.md").read_text(encoding="utf-8")
    assert page.startswith("# Federated training: squares") and "(squares-rounds.png)" in page
    assert "--score-step 3" in page and "kept" not in page.split("```")[1]
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    code, said, _ = call(*arguments, "--json")
    told = json.loads(said)
    assert code == 0 and told == json.loads(written["squares.json"])
    assert {(one["name"], one["metric"]) for one in told["results"]} >= {
        ("federated", "frame_auc"),
        ("central", "frame_auc"),
        ("client 1", "frame_auc"),
        ("client 2", "held_out_error"),
        ("federated", "frame_auc_above_central"),
    }
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "there is no folder"),
        (["--data", "."], "no layout that is understood"),
        (["--data", "squares", "--architecture", "hassan"], 'did you mean "hasan"?'),
        (["--data", "squares", "--size", "20"], "at least 48 pixels"),
        (["--data", "squares", "--rounds", "0"], "rounds, local epochs, seeds and steps are at least 1"),
        (["--data", "squares", "--clients", "1"], "clients at least 2"),
        (["--data", "squares", "--clients", "3"], "3 clients need at least 6"),
        (["--data", "squares", "--strides", "one"], "--strides"),
        (["--data", "squares", "--batch", "0"], "batch_size"),
        (["--data", "squares", "--scheduler", "tcp://127.0.0.1:9"], "--scheduler needs --cache"),
        (["--data", "squares", "--data", "squares"], "two data sets are called squares, squares"),
        (["--data", "squares", "--out", "squares/labels.json"], "is a file; name a folder"),
    ],
)
def test_what_it_refuses(
    call: Call, squares: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (squares.parent / "empty").mkdir(exist_ok=True)
    monkeypatch.chdir(squares.parent / "empty" if "." in arguments else squares.parent)
    code, _, err = call(*arguments)
    assert code == 2
    assert message in " ".join(err.split())
