"""A bundle that was altered is told by name, whatever was done to it, and nothing in it reaches beyond its folder."""

import contextlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import BundleError, ConfigurationError
from workspace.bundle import install
from workspace.bundle.checking import check_bundle
from workspace.bundle.making import write_manifest
from workspace.package_files import put_in_place

FILES = {"install.py": b"print()\n", "wheels/a-1-py3-none-any.whl": b"wheel" * 999, "docs/index.md": b""}


def packed(folder: Path, names: list[str] | None = None) -> Path:
    """A small bundle, its files written in an order of one's own."""
    for name in names or list(FILES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(FILES[name])
    write_manifest(folder, "0" * 20)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return packed(tmp_path / "bundle")


def zipped(folder: Path) -> Path:
    target = folder.with_name("bundle.zip")
    put_in_place(folder, sorted([*FILES, install.MANIFEST]), target)
    return target


def rewritten(source: Path, change: Any) -> Path:
    """The zip again, each member as `change(name, content)` has it; None leaves it out."""
    target = source.with_name("other.zip")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def test_a_bundle_that_nobody_touched_is_whole(folder: Path) -> None:
    report = check_bundle(folder)
    assert report.problems == {} and report.files == 3
    assert report.bytes == sum(len(content) for content in FILES.values())
    assert report.place == install.this_place()
    assert check_bundle(folder, f" {report.digest.upper()}\n").digest == report.digest
    in_zip = check_bundle(zipped(folder), report.digest)
    assert (in_zip.digest, in_zip.files, in_zip.problems) == (report.digest, 3, {})


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = packed(tmp_path / "a"), packed(tmp_path / "b", list(reversed(FILES)))
    os.utime(other / "install.py", (0, 0))
    (other / "install.py").chmod(0o700)
    assert (one / install.MANIFEST).read_bytes() == (other / install.MANIFEST).read_bytes()
    first = zipped(one).rename(tmp_path / "first.zip")
    assert first.read_bytes() == zipped(other).read_bytes()


def test_altered_missing_and_surplus_files_are_named(folder: Path) -> None:
    (folder / "install.py").write_bytes(b"print?\n")
    (folder / "wheels/a-1-py3-none-any.whl").unlink()
    (folder / "wheels/b.whl").write_bytes(b"")
    (folder / "docs/index.md").write_bytes(b"longer")
    problems = check_bundle(folder).problems
    assert list(problems) == ["docs/index.md", "install.py", "wheels/a-1-py3-none-any.whl", "wheels/b.whl"]
    assert "was altered: 6 bytes, packed were 0" in problems["docs/index.md"]
    assert "was altered: 7 bytes, packed were 8" in problems["install.py"]
    assert problems["wheels/a-1-py3-none-any.whl"] == "is missing"
    assert "surplus" in problems["wheels/b.whl"]


def test_links_are_told_and_not_followed(folder: Path, tmp_path: Path) -> None:
    shutil.copyfile(folder / "install.py", tmp_path / "same")
    (folder / "install.py").unlink()
    (folder / "install.py").symlink_to(tmp_path / "same")
    (folder / "docs" / "more").symlink_to(tmp_path)
    assert check_bundle(folder).problems == {"docs/more": "is no plain file", "install.py": "is no plain file"}


def test_a_name_that_no_bundle_holds_is_told_as_it_can_be_printed(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\x1b[2J\n")).write_bytes(b"")
    (told,) = check_bundle(folder).problems
    assert told.isprintable() and told.isascii() and "\\x1b" in told


def test_a_manifest_that_was_made_to_fit_has_another_digest(folder: Path) -> None:
    noted = check_bundle(folder).digest
    told = json.loads((folder / install.MANIFEST).read_text(encoding="utf-8"))
    told["files"][0]["bytes"] += 1
    (folder / install.MANIFEST).write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(BundleError, match="was altered: its digest"):
        check_bundle(folder)
    (folder / "install.py").write_bytes(b"evil()\n")
    write_manifest_anew(folder)
    assert check_bundle(folder).problems == {}
    with pytest.raises(BundleError, match=rf"not {noted}; fetch the bundle again"):
        check_bundle(folder, noted)


def write_manifest_anew(folder: Path) -> None:
    (folder / install.MANIFEST).unlink()
    write_manifest(folder, "0" * 20)


@pytest.mark.parametrize(
    "path",
    [
        "../out",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        "a/./b",
        "",
        "a\0b",
        "a\nb",
        "C:\\x",
        "a\\b",
        "-rf",
        "x" * 300,
        "é",
        "a/",
    ],
)
def test_a_manifest_that_names_what_lies_elsewhere_is_refused(folder: Path, path: str) -> None:
    told = json.loads((folder / install.MANIFEST).read_text(encoding="utf-8"))
    told["files"][0]["path"] = path
    told["digest"] = install.digest_of(told)
    (folder / install.MANIFEST).write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(BundleError, match="which no bundle holds"):
        check_bundle(folder)


@given(st.text())
def test_a_confined_path_stays_below_its_folder(path: str) -> None:
    if install.is_confined(path):
        assert not os.path.isabs(path)
        assert os.path.normpath(os.path.join("/bundle", path)) == f"/bundle/{path}"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(json_values, st.sampled_from(["files", "for", "format", "digest", "sources"]))
def test_no_manifest_does_more_than_be_refused(value: Any, key: str) -> None:
    told = {"format": install.FORMAT, "for": install.this_place(), "sources": "", "files": []}
    for content in (value, {**told, key: value}, {**told, "files": [value]}):
        if isinstance(content, dict) and key != "digest":
            content["digest"] = install.digest_of(content)
        told_of: tuple[str, ...] = ()
        with contextlib.suppress(install.BundleFault):
            told_of = tuple(install.read_manifest(json.dumps(content).encode()).files)
        assert all(install.is_confined(path) for path in told_of)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{", b"{}", b"[]", b" " * ((1 << 24) + 2)])
def test_a_manifest_that_is_none_is_told(folder: Path, content: bytes) -> None:
    (folder / install.MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=install.MANIFEST):
        check_bundle(folder)


def test_what_is_no_bundle_is_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no"):
        check_bundle(tmp_path / "gone")
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        check_bundle(tmp_path)
    (tmp_path / "plain.zip").write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="is no whole zip"):
        check_bundle(tmp_path / "plain.zip")
    whole = zipped(folder)
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(BundleError, match="is no whole zip"):
        check_bundle(tmp_path / "cut.zip")
    without = rewritten(whole, lambda name, content: None if name == install.MANIFEST else content)
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        check_bundle(without)


def test_what_was_done_to_a_zip_is_named(folder: Path) -> None:
    whole = zipped(folder)
    altered = rewritten(whole, lambda name, content: b"print[]\n" if name == "install.py" else content)
    assert "was altered: its SHA-256" in check_bundle(altered).problems["install.py"]
    lacking = rewritten(whole, lambda name, content: None if name == "docs/index.md" else content)
    assert check_bundle(lacking).problems == {"docs/index.md": "is missing"}
    spoilt = bytearray(whole.read_bytes())
    at = spoilt.index(b"wheelwheel")
    spoilt[at] ^= 1
    whole.write_bytes(spoilt)
    assert "was altered" in check_bundle(whole).problems["wheels/a-1-py3-none-any.whl"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_would_land_elsewhere_are_named(folder: Path, tmp_path: Path) -> None:
    whole = zipped(folder)
    link = zipfile.ZipInfo("docs/link.md")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(whole, "a") as archive:
        for name in ("../out", "/etc/cron", "install.py", "docs/", "wheels\\x"):
            archive.writestr(name, b"")
        archive.writestr(link, "/etc/passwd")
    problems = check_bundle(whole).problems
    assert problems["install.py"] == "is there twice"
    assert problems["docs/link.md"] == "is no plain file"
    assert len([told for told in problems.values() if told.startswith("leaves the bundle")]) == 4
    assert not (tmp_path / "out").exists()


def test_a_member_that_unpacks_to_more_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = zipped(folder)
    bomb = whole.with_name("bomb.zip")
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(1 << 25) if name == "docs/index.md" else old.read(name))
    read: list[object] = []
    plain = install.sha256_of

    def reading(file: IO[bytes]) -> tuple[str, int]:
        read.append(file)
        return plain(file)

    monkeypatch.setattr(install, "sha256_of", reading)
    assert check_bundle(bomb).problems == {"docs/index.md": f"was altered: {1 << 25} bytes, packed were 0"}
    assert len(read) == 2
