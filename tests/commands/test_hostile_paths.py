"""Names that lead elsewhere, through every entrance: refused in words, and nothing outside the workspace is made or touched."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from afterwatch.__main__ import main
from dashboards.media import confined, read_file
from infra.errors import AfterwatchError, ConfigurationError
from infra.weights import read_weights
from lake.registry import Registry
from tests.footage.films import Film, make
from tests.tasks.nights import ingest, new_site
from tests.tasks.planned import plan, shards_of
from tests.workspace.labelled_site import labelled_site
from workspace.opened import Workspace
from workspace.retention.files import delete

OUTSIDE = "/tmp/evil-of-afterwatch"
NAMES = ("../../evil", OUTSIDE, "..", "a\nb", "C:\\evil", "..\\..\\evil", "-rf", "x" * 300)
NO_TEXT = ("a\0b", "evil\udcff")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with labels; read only."""
    folder = tmp_path_factory.mktemp("pristine") / "site"
    labelled_site(folder)
    return folder


@pytest.fixture
def site(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy; whatever is written, it is written within it."""
    shutil.copytree(pristine, tmp_path / "there" / "site")
    monkeypatch.chdir(tmp_path / "there" / "site")
    yield tmp_path / "there" / "site"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["site"]
    assert not Path(OUTSIDE).exists()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit code and message of a verb; anything but an end in words fails the test."""

    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(list(words))
        return int(left.value.code or 0), capsys.readouterr().err

    return call


ENTRANCES: dict[str, Callable[[str], tuple[str, ...]]] = {
    "campaign": lambda name: ("plan", f"--campaign={name}"),
    "camera": lambda name: ("run", f"--camera={name}"),
    "day": lambda name: ("backfill", f"--day={name}"),
    "day to verify": lambda name: ("verify", "--", name),
    "campaign to link": lambda name: ("init", "new", "--footage=footage", f"--campaign={name}"),
    "region": lambda name: ("regions", "add", "--box=0.1,0.1,0.2,0.2", "--", "hall-east", name),
    "weights' encoder": lambda name: ("weights", "add", "--", name, "afterwatch.toml"),
    "label file": lambda name: ("labels", "import", "--", name),
    "head": lambda name: ("models", "promote", "--", "retrieval", name, "v1"),
    "version": lambda name: ("models", "promote", "--", "retrieval", "a", name),
    "event": lambda name: ("search", f"--event={name}"),
    "picture": lambda name: ("search", f"--image={name}"),
    "moment": lambda name: ("search", f"--at={name}"),
    "hold": lambda name: ("holds", "add", "--reason=case", "--", name),
    "weight set": lambda name: ("summaries", "weights", "save", "--anomaly=1", "--", name),
    "federation": lambda name: ("federate", "receipts", "--", name),
}
"""Of each entrance, a call that would otherwise be a good one, or fail later."""


@pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=ENTRANCES)
def test_a_name_is_refused_in_words(
    entrance: Callable[[str], tuple[str, ...]], site: Path, said: Callable[..., tuple[int, str]]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
    for name in NAMES:
        code, told = said(*entrance(name))
        assert code in (1, 2) and "afterwatch: " in told, (name, told)
    after = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {site / ".afterwatch" / "run.lock"}


@pytest.mark.parametrize("name", NO_TEXT)
def test_what_is_no_text_is_refused_before_anything_is_read(
    name: str, site: Path, said: Callable[..., tuple[int, str]]
) -> None:
    code, told = said("labels", "import", name, "--site", str(site))
    assert code == 2 and "is no text in UTF-8" in told
    assert told.isprintable() or told.rstrip("\n").isprintable(), "what is told can be shown"


def test_a_night_passes_by_recordings_of_hostile_names(tmp_path: Path) -> None:
    film = make(tmp_path / "film.mp4", Film(count=20)).read_bytes()
    workspace = new_site(tmp_path / "site")
    footage = workspace.site.footage_root
    good = "demo/hall/2026-03-02T08-00-00.mp4"
    names = (
        f"demo/{'c' * 250}/2026-03-02T08-00-00.mp4",
        f"{'k' * 250}/hall/2026-03-02T08-00-00.mp4",
        "demo/-rf/2026-03-02T08-00-00.mp4",
        "demo/C:\\evil/2026-03-02T08-00-00.mp4",
        "demo/a\\..\\evil/2026-03-02T08-00-00.mp4",
        "demo/hall/2026-03-02T09-00-00.mp4\n.mp4",
        "demo/\x1b[2J/2026-03-02T08-00-00.mp4",
        "demo/hall/2026-03-02T08-00-00\udcff.mp4",
    )
    for number, name in enumerate((good, *names)):
        path = Path(os.fsdecode(os.fsencode(footage / name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(film + bytes(number))
    secret = tmp_path / "secret.txt"
    secret.write_text("only its owner reads this", encoding="utf-8")
    for hour, target in ((10, secret), (11, Path("/dev/zero")), (12, tmp_path / "nowhere")):
        (footage / f"demo/hall/2026-03-02T{hour}-00-00.mp4").symlink_to(target)
    inventory, rows = ingest(workspace)
    assert [row["path"] for row in rows if row["status"] == "ready"] == [good]
    assert {row["status"] for row in rows if row["path"] != good} == {"quarantined"}
    assert [shard.recording.path for shard in shards_of(plan(workspace))] == [good], "they stop nothing"
    told = [row["path"] + row["reason"] for row in rows] + [path + reason for path, reason in inventory.problems]
    assert len(told) == 1 + len(names) + 3, "each is accounted for"
    assert all(line.isprintable() for line in told), "none writes into a report or a terminal"
    assert "only its owner" not in str(told)


def test_weights_lie_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "evil.safetensors").write_bytes(b"")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "linked.safetensors").symlink_to(tmp_path / "evil.safetensors")
    paths = ("../evil.safetensors", str(tmp_path / "evil.safetensors"), "linked.safetensors", "a\\u0000b")
    for path in paths:
        entry = f'["afterwatch/c3d/local"]\npath = "{path}"\nsha256 = "{"0" * 64}"\n'
        (tmp_path / "weights" / "weights.toml").write_text(entry, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"weights\.toml"):
            read_weights(tmp_path / "weights")


@pytest.mark.parametrize("name", [*NAMES, *NO_TEXT])
def test_a_models_name_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    for parts in ((name, "a", "1"), ("retrieval", name, "1"), ("retrieval", "a", name)):
        with pytest.raises((AfterwatchError, OSError)):
            registry.save(*parts, {}, {"x": np.zeros(1, np.float32)}, author="ada")
    assert {path.name for path in tmp_path.iterdir()} <= {"models"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["../evil.json", "/etc/passwd", "..", "", "a\0b", "x" * 300, "linked.json"])
def test_what_a_published_day_names_is_read_from_its_folder_alone(path: str, tmp_path: Path) -> None:
    (tmp_path / "evil.json").write_text("only its owner reads this", encoding="utf-8")
    day = tmp_path / "day"
    day.mkdir()
    (day / "linked.json").symlink_to(tmp_path / "evil.json")
    assert confined(day, path) is None and read_file(day, path) is None


def test_a_hostile_place_is_no_place_of_the_workspaces(site: Path) -> None:
    opened = Workspace(site)
    for where in ("lake", "site", "footage"):
        for path in ("../evil", "/etc/passwd", "a/../../evil", "a\0b", ""):
            with pytest.raises(ConfigurationError, match="nothing is deleted"):
                delete(opened, where, path)  # type: ignore[arg-type]  # each is one of the three
