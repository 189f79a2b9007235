"""`afterwatch bundle`: a small bundle is made, checked, unpacked, installed without an index, and tested where it stands."""

import contextlib
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from infra.errors import BundleError, ConfigurationError
from infra.weights import add_weights, read_weights
from workspace.bundle import install, making
from workspace.bundle.lock import LOCK, needed, read_lock
from workspace.bundle.wheels import check_closed, gather_wheels, own_pip, pinned, requirements

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "afterwatch"
version = "9.1"
dependencies = ["alpha>=1"]

[project.scripts]
afterwatch = "stand_in:main"

[tool.hatch.build.targets.wheel]
only-include = ["stand_in.py"]
"""
STAND_IN = """import json, sys
import alpha, beta_tool


def main():
    told = {
        "demo": {"report": {"status": "complete", "events": 1, "decoded_s": 2.0}},
        "query": {"rows": [{"event_id": beta_tool.EVENT}]},
        "search": {"moments": [{}] if beta_tool.EVENT in sys.argv else []},
        "run": {"status": "complete", "decoded_s": 0},
    }
    print(json.dumps(told[sys.argv[1]]))
"""


def make_wheel(folder: Path, name: str, needs: str = "", body: str = "") -> Path:
    """A wheel of one module, version 1.0."""
    folder.mkdir(parents=True, exist_ok=True)
    path, about = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {
            f"{name}.py": body,
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + needs,
            f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/RECORD": "",
        }.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_project(folder: Path, alpha: str, beta: str) -> Path:
    """A checkout of something that is called Afterwatch; `absent` is a tool of those who develop it."""
    (folder / "docs").mkdir(parents=True)
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "docs/index.md"):
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
    pins = (
        ("absent", "0" * 64, "absent"),
        ("alpha", alpha, "afterwatch (pyproject.toml)"),
        ("beta-tool", beta, "alpha"),
    )
    lock = "".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n    # via {via}\n" for name, digest, via in pins)
    (folder / "requirements.lock").write_text(lock, encoding="utf-8")
    return folder


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["bundle", *map(str, words)])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out or said.err


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "alpha", needs="Requires-Dist: beta-tool\n", body="import beta_tool\n")
    make_wheel(folder, "beta_tool", body='EVENT = "e1"\n')
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    hashes = [sha256(wheels / f"{name}-1.0-py3-none-any.whl") for name in ("alpha", "beta_tool")]
    return make_project(tmp_path_factory.mktemp("checkout") / "afterwatch", *hashes)


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To set it up takes longer than all that these tests do with it."""
    return own_pip(tmp_path_factory.mktemp("pip"))


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, project: Path, wheels: Path, pip: Path
) -> tuple[Path, dict[str, Any]]:
    """A bundle, and what was said of it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "net.safetensors").write_bytes(b"weights")
    details: dict[str, object] = {"licence": "MIT", "options": {"deep": True}, "mean": (0.5, 0.5, 0.5)}
    add_weights(folder / "weights", "timm/resnet50/local", folder / "net.safetensors", details)
    given = ["--wheels", wheels, "--source", project, "--weights", folder / "weights", "--json"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(making, "own_pip", lambda folder: pip)
        with pytest.raises(SystemExit) as left:
            main(["bundle", "make", str(folder / "bundle.zip"), *map(str, given)])
    assert left.value.code == 0
    return folder / "bundle.zip", json.loads(said.getvalue())


def test_what_is_packed_is_what_is_needed(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, told = made
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    assert {Path(name).name.split("-")[0] for name in names if name.startswith("wheels/")} == {
        *("afterwatch", "alpha", "beta_tool")
    }
    assert {"install.py", "self_test.py", "requirements.txt", "bundle.json", "README.md", "docs/index.md"} <= names
    assert told["wheels"] == 3 and told["unlocked"] == [] and told["weights"] == {"timm/resnet50/local": "MIT"}
    assert told["files"] == len(names) - 1 and told["installer"] == sha256(tmp_path / "install.py")
    weights = read_weights(tmp_path / "weights")["timm/resnet50/local"]
    assert weights.path.read_bytes() == b"weights" and weights.options == {"deep": True} and weights.mean == (0.5,) * 3
    assert [path.name for path in path.parent.iterdir() if "partial" in path.name] == []


def test_check_tells_whether_it_is_what_was_packed(
    made: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, told = made
    code, said = call(capsys, "check", path, "--digest", told["digest"], "--json")
    assert code == 0
    found = json.loads(said)
    assert found["problems"] == [] and found["for"] == install.this_place()
    assert {name: found[name] for name in ("digest", "files", "bytes")} == {
        name: told[name] for name in ("digest", "files", "bytes")
    }
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "bundle")
    (tmp_path / "bundle" / "README.md").write_text("other", encoding="utf-8")
    (tmp_path / "bundle" / "more").write_text("", encoding="utf-8")
    code, said = call(capsys, "check", tmp_path / "bundle")
    assert code == 1 and "README.md was altered" in said and "more is surplus" in said and "2 problems" in said
    assert call(capsys, "check", path, "--digest", "0" * 64)[0] == 1
    assert call(capsys, "check", tmp_path / "none")[0] == 2


def test_it_installs_from_nowhere_else_and_tests_itself(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, told = made
    bundle, environment = tmp_path / "bundle", tmp_path / "env"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(bundle)
    # An index that answers nothing: whoever asked it would fail.
    asked = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "0", "PYTHONPATH": "/nowhere"}
    command = list(map(str, [sys.executable, bundle / "install.py", environment, "--digest", told["digest"]]))
    done = subprocess.run(command, cwd=tmp_path, env=asked, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "files are what was packed" in done.stdout and done.stdout.endswith("self-test passed\n")
    assert "search: 1 moments" in done.stdout
    assert install.folder_problems(bundle, install.manifest_of_folder(bundle)) == {}
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert again.returncode == 1 and "is there already" in again.stderr
    # A night that does not work is told by the self-test.
    module = next(environment.glob("lib/python*/site-packages/stand_in.py"))
    module.write_text(STAND_IN.replace('"complete", "events"', '"partial", "events"'), encoding="utf-8")
    test = [environment / "bin/python", bundle / "self_test.py", environment / "bin"]
    failed = subprocess.run(test, capture_output=True, text=True, check=False, timeout=60)
    assert failed.returncode == 1 and "self-test failed: the night is partial" in failed.stderr


def test_nothing_is_installed_from_a_bundle_that_was_altered(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    with zipfile.ZipFile(made[0]) as archive:
        archive.extractall(tmp_path / "bundle")
    (wheel,) = (tmp_path / "bundle" / "wheels").glob("alpha-*")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    command = list(map(str, [sys.executable, tmp_path / "bundle" / "install.py", tmp_path / "env"]))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and f"wheels/{wheel.name} was altered" in done.stderr
    assert not (tmp_path / "env").exists()


def test_a_bundle_for_another_machine_is_not_installed(
    made: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(made[0]) as archive:
        archive.extractall(tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(install.BundleFault, match=r"is for CPython 3\.\d+ on Linux .*, this is .* riscv64"):
        install.check_folder(tmp_path, "")


def test_an_environment_in_the_bundle_or_in_place_of_something_is_refused(tmp_path: Path) -> None:
    with pytest.raises(install.BundleFault, match="lies in the bundle"):
        install.install(tmp_path, tmp_path / "env")
    with pytest.raises(install.BundleFault, match="is there already"):
        install.install(tmp_path / "bundle", tmp_path)


def test_a_wheel_that_the_lock_file_does_not_know_is_refused_unless_named(
    project: Path, wheels: Path, pip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "wheels"
    shutil.copytree(wheels, folder)
    other = make_wheel(folder, "beta_tool", body='EVENT = "other"\n')
    pins = needed(read_lock(project / LOCK), {"alpha"})
    with pytest.raises(BundleError, match=r"cannot be got(.|\n)*DO NOT MATCH(.|\n)*beta-tool"):
        gather_wheels(pip, pinned(pins, folder, ()), tmp_path / "got", tmp_path, folder)
    gather_wheels(pip, pinned(pins, folder, ["Beta_Tool"]), tmp_path / "got", tmp_path, folder)
    assert (tmp_path / "got" / other.name).read_bytes() == other.read_bytes()
    assert requirements(tmp_path / "got").splitlines()[1] == f"beta-tool==1.0 --hash=sha256:{sha256(other)}"


def test_wheels_that_need_another_are_told_before_they_are_carried_away(pip: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "alpha", needs="Requires-Dist: absent\n")
    (tmp_path / "required").write_text(requirements(tmp_path / "wheels"), encoding="utf-8")
    with pytest.raises(BundleError, match=r"are not all that is needed(.|\n)*absent"):
        check_closed(pip, tmp_path / "wheels", tmp_path / "required", tmp_path)
    make_wheel(tmp_path / "wheels", "absent")
    (tmp_path / "required").write_text(requirements(tmp_path / "wheels"), encoding="utf-8")
    check_closed(pip, tmp_path / "wheels", tmp_path / "required", tmp_path)


def test_built_names_wheels_that_are_there(project: Path, wheels: Path, tmp_path: Path) -> None:
    pins = needed(read_lock(project / LOCK), {"alpha"})
    with pytest.raises(ConfigurationError, match=r"--built delta: .* holds no wheel of delta, which is not needed"):
        pinned(pins, wheels, ["delta"])
    with pytest.raises(ConfigurationError, match=r"holds no wheel of alpha 1\.0"):
        pinned(pins, tmp_path, ["alpha"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--wheels", "nowhere"], "there is no folder nowhere"),
        (["--built", "alpha"], "name that with --wheels"),
        (["--weights", "."], "that names weights"),
        (["--source", "."], "name a checkout of Afterwatch with --source"),
    ],
)
def test_a_call_that_is_wrong_ends_in_2(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = call(capsys, "make", "bundle", "--source", project, *words)
    assert code == 2 and message in said
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_replaces_nothing_and_weights_that_were_altered_are_not_packed(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = call(capsys, "make", tmp_path, "--source", project)
    assert code == 2 and "replaces nothing" in said
    (tmp_path / "net.pt").write_bytes(b"weights")
    added = add_weights(tmp_path / "weights", "timm/resnet50/local", tmp_path / "net.pt", {})
    added.path.write_bytes(b"altered")
    code, said = call(capsys, "make", tmp_path / "b", "--source", project, "--weights", tmp_path / "weights")
    assert code == 2 and "is not the file that was added for timm/resnet50/local" in said
