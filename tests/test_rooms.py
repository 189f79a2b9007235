"""The rooms: what the distribution owns, what its wheel holds, and what light modules do without."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "afterwatch",
    "flows",
    "tasks",
    "dashboards",
    "evaluation",
    "workspace",
    "models",
    "footage",
    "lake",
    "infra",
)


def modules(room: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; it is a development requirement")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_of_the_rooms_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.endswith(".py")}
        everything = archive.namelist()
    assert held == set().union(*(modules(room) for room in ROOMS))
    foreign = {name.split("/", 1)[0] for name in everything} - set(ROOMS)
    assert all(name.startswith("afterwatch-") and name.endswith(".dist-info") for name in foreign)
    assert not [name for name in everything if name.startswith("tests/") or "__pycache__" in name]
    assert "infra/deploy/prefect.yaml" in everything


def test_the_wheel_says_where_its_command_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "afterwatch = afterwatch.entry:run" in archive.read(entry).decode()


def test_the_distribution_owns_each_top_level_name(tmp_path: Path) -> None:
    owners = importlib.metadata.packages_distributions()
    assert {owner for room in ROOMS for owner in owners.get(room, [])} <= {"afterwatch"}
    # An editable install lists no files of its own; what is found from anywhere else tells.
    program = "import importlib.util, sys\nfor name in sys.argv[1:]: print(importlib.util.find_spec(name).origin)"
    command = [sys.executable, "-c", program, *ROOMS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"install the distribution first: {done.stderr[-300:]}"
    assert [Path(line).resolve() for line in done.stdout.split()] == [ROOT / room / "__init__.py" for room in ROOMS]


@pytest.mark.parametrize("room", ROOMS)
def test_packages_re_export_nothing(room: str) -> None:
    folders = {path.parent for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts}
    assert folders
    for folder in folders:
        init = folder / "__init__.py"
        assert init.is_file(), f"{folder.relative_to(ROOT)} is no package"
        assert init.read_text(encoding="utf-8").strip() == "", f"{init.relative_to(ROOT)} re-exports"


ORCHESTRATION = {"prefect", "distributed", "dask", "streamlit"}
NETWORKS = {"torch", "torchvision", "open_clip", "timm"}
LIGHT = {
    "infra": (
        ("infra.errors", "infra.background", "infra.settings", "infra.site", "infra.weights"),
        ORCHESTRATION | NETWORKS | {"numpy", "pyarrow", "duckdb", "cv2", "av", "sklearn"},
    ),
    "footage": (
        ("footage.index", "footage.sampling", "footage.recordings"),
        ORCHESTRATION | NETWORKS | {"pyarrow", "duckdb", "cv2", "av", "sklearn"},
    ),
    "decoding": (("footage.probe", "footage.health"), ORCHESTRATION | NETWORKS | {"pyarrow", "duckdb", "sklearn"}),
    "keys": (("lake.keys",), ORCHESTRATION | NETWORKS | {"numpy", "pyarrow", "duckdb", "cv2", "av", "sklearn"}),
    "lake": (("lake.ledger", "lake.registry"), ORCHESTRATION | NETWORKS | {"duckdb", "cv2", "av", "sklearn"}),
    "planning": (("tasks.plan", "workspace.opened"), ORCHESTRATION | NETWORKS | {"duckdb"}),
}


@pytest.mark.parametrize("part", LIGHT)
def test_light_modules_load_no_heavy_library(part: str) -> None:
    names, heavy = LIGHT[part]
    program = f"import sys, {', '.join(names)}\nprint(*sorted({heavy!r} & set(sys.modules)))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.split() == []
