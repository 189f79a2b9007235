"""Programs planted wherever a file is loaded: none runs, and whoever reads the file is told what is wrong with it."""

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from evaluation.datasets.avenue import _from_array, _from_masks
from evaluation.datasets.summary_features import FIELDS, feature_file, read_features
from evaluation.datasets.summe import _read as read_summe
from evaluation.federated_data import ClipRows
from infra.errors import ConfigurationError, LakeError, WeightsError
from infra.weights import WeightsFile, file_sha256, read_weights
from lake.matrix_file import DamagedFileError, new_matrix, open_matrix
from lake.registry import ARRAYS, CARD, Registry
from lake.store import Store
from models.autoencoders.checkpoint import from_checkpoint, settings_in
from models.encoders.build import build
from models.encoders.specs import describe
from models.encoders.weights import PICKLED, read_state_dict
from models.federation.site_tensors import from_memory
from workspace.anomalies import normal_scores
from workspace.clip_rows import _kept as kept_clip_vectors
from workspace.clips import kept as kept_clips
from workspace.federation.memories import Memories
from workspace.indexes import index_path, load_index
from workspace.label_files.transfer import ImportSettings, import_labels
from workspace.opened import Workspace
from workspace.viewed_clips import _kept as kept_views

KINDS = ("retrieval", "novelty", "autoencoder", "classifier", "projection", "segment")


class Bomb:
    """Whoever unpickles it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a program makes if it runs."""
    return tmp_path / "it-ran"


@pytest.fixture(autouse=True)
def nothing_ran(mark: Path) -> Any:
    yield
    assert not mark.exists(), "a planted program ran"


def pickled(mark: Path) -> bytes:
    return pickle.dumps({"state_dict": {"weight": Bomb(mark)}})


def zipped_checkpoint(mark: Path) -> bytes:
    content = io.BytesIO()
    torch.save({"weight": Bomb(mark)}, content)
    return content.getvalue()


def old_checkpoint(mark: Path) -> bytes:
    content = io.BytesIO()
    torch.save({"weight": Bomb(mark)}, content, _use_new_zipfile_serialization=False)
    return content.getvalue()


def object_array(mark: Path) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    return content.getvalue()


def object_archive(mark: Path) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=True, weight=np.array([Bomb(mark)], dtype=object))
    return content.getvalue()


PAYLOADS: dict[str, Callable[[Path], bytes]] = {
    payload.__name__: payload for payload in (pickled, zipped_checkpoint, old_checkpoint, object_array, object_archive)
}
planted = pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)


def test_each_payload_runs_where_it_is_let(mark: Path) -> None:
    """What is refused below is no dud."""
    for payload in (pickled, zipped_checkpoint, old_checkpoint):
        content = io.BytesIO(payload(mark))
        if payload is pickled:
            pickle.load(content)  # noqa: S301 — to see that it goes off
        else:
            torch.load(content, weights_only=False)
        mark.rmdir()
    np.load(io.BytesIO(object_array(mark)), allow_pickle=True)
    mark.rmdir()
    _ = np.load(io.BytesIO(object_archive(mark)), allow_pickle=True)["weight"]
    mark.rmdir()


@planted
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", [ARRAYS, CARD])
def test_in_place_of_a_model(
    kind: str, file: str, payload: Callable[[Path], bytes], mark: Path, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "models")
    folder = registry.save(kind, "a", "1", {}, {"x": np.zeros(2, np.float32)}, author="ada")
    (folder / file).write_bytes(payload(mark))
    with pytest.raises(LakeError, match=r"damaged.*delete it and run again"):
        registry.load(kind, "a", "1")


@planted
def test_in_place_of_the_scores_that_a_page_shows(payload: Callable[[Path], bytes], mark: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    folder = registry.save("novelty", "cam", "1", {}, {"x": np.zeros(2, np.float32)}, author="ada")
    (folder / ARRAYS).write_bytes(payload(mark))
    with pytest.raises(LakeError, match="damaged"):
        normal_scores(registry, "cam", "1")


@planted
@pytest.mark.parametrize("suffix", [*PICKLED, ".safetensors", ".npz", ".npy", ".joblib", ".pkl"])
def test_in_place_of_weights(suffix: str, payload: Callable[[Path], bytes], mark: Path, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(payload(mark))
    with pytest.raises(WeightsError, match="safetensors"):
        read_state_dict(WeightsFile(path, file_sha256(path)))


@pytest.mark.parametrize("payload", [pickled, zipped_checkpoint, old_checkpoint])
def test_weights_that_are_added_and_then_used(
    payload: Callable[[Path], bytes], mark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_workspace(tmp_path / "site")
    (tmp_path / "theirs.pt").write_bytes(payload(mark))
    with pytest.raises(SystemExit) as left:
        main(["weights", "add", "afterwatch/c3d/local", str(tmp_path / "theirs.pt"), "--site", str(root)])
    assert left.value.code == 0 and "afterwatch/c3d/local" in capsys.readouterr().out
    ((name, weights),) = read_weights(root / "weights").items()
    with pytest.raises(WeightsError, match="refused"):
        build(describe(name, weights), weights, device="cpu")


@planted
def test_in_place_of_a_checkpoint_or_a_sites_memory(
    payload: Callable[[Path], bytes], mark: Path, tmp_path: Path
) -> None:
    state: Any = None  # nothing is put back from what is damaged
    with pytest.raises(WeightsError, match="damaged"):
        from_checkpoint(state, payload(mark), {})
    with pytest.raises(WeightsError, match="damaged"):
        from_memory(payload(mark), state, {}, 2)
    with pytest.raises(WeightsError):
        settings_in(payload(mark))
    memories = Memories(tmp_path / "federation", "ab" * 32)
    with pytest.raises(ValueError, match="safetensors"):
        memories.keep(1, payload(mark))
    (tmp_path / "federation").mkdir(exist_ok=True)
    folder = memories._path(1).parent
    folder.mkdir(parents=True)
    memories._path(1).write_bytes(payload(mark))
    with pytest.raises(WeightsError, match="is damaged; delete it"):
        memories.before(2)


@planted
def test_in_place_of_clips_that_were_kept(payload: Callable[[Path], bytes], mark: Path, tmp_path: Path) -> None:
    kept_clips(tmp_path, ["a"], lambda: [np.zeros((2, 4, 4), np.uint8)])
    (pixels,) = tmp_path.glob("*.npy")
    pixels.write_bytes(payload(mark))
    with pytest.raises(LakeError, match=r"\.npy is damaged.*delete it"):
        kept_clips(tmp_path, ["a"], list)
    with pytest.raises(LakeError, match=r"\.npy is damaged.*delete it"):
        ClipRows(str(pixels), 0, 1).read()


@planted
def test_in_place_of_vectors_that_were_kept_these_are_made_again(
    payload: Callable[[Path], bytes], mark: Path, tmp_path: Path
) -> None:
    path = tmp_path / "kept.safetensors"
    path.write_bytes(payload(mark))
    assert kept_views(path) is None
    assert kept_clip_vectors(path) is None


@planted
def test_in_place_of_a_data_sets_annotations(payload: Callable[[Path], bytes], mark: Path, tmp_path: Path) -> None:
    for name, read in (("1.npy", _from_array), ("1.mat", _from_masks)):
        (tmp_path / name).write_bytes(payload(mark))
        with pytest.raises(ConfigurationError, match="unpack it again"):
            read(tmp_path / name)
    with pytest.raises(ConfigurationError, match="get it again"):
        read_summe(tmp_path / "1.mat", None)
    assert feature_file(tmp_path / "1.mat") is None


@planted
def test_in_place_of_the_lakes_files(payload: Callable[[Path], bytes], mark: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "lake"))
    for path in ("frames/a.parquet", "labels/b.parquet", index_path("ab" * 32)):
        store.write_bytes(path, payload(mark))
        with pytest.raises(LakeError, match="damaged"):
            store.read_table(path)
    with pytest.raises(LakeError, match="damaged"):
        load_index(store, "ab" * 32)
    matrix = tmp_path / "matrix"
    for content in (payload(mark), payload(mark).ljust(8192, b"\0")):
        matrix.write_bytes(content)
        with pytest.raises(DamagedFileError):
            open_matrix(matrix)


def of_a_type_that_unpickles(mark: Path) -> pa.Table:
    """Rows whose column claims the type of Arrow's that older versions unpickle as they read a file (CVE-2023-47248)."""
    claim = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickled(mark)}
    field = pa.field("pts", pa.int64(), metadata=claim)
    return pa.table([pa.array([0, 40_000])], schema=pa.schema([field], metadata={b"pandas": pickled(mark)}))


def test_in_a_column_of_the_lakes_files(mark: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "lake"))
    store.write_table("indexes/a.parquet", of_a_type_that_unpickles(mark))
    assert store.read_table("indexes/a.parquet")["pts"].to_pylist() == [0, 40_000]
    pq.write_table(of_a_type_that_unpickles(mark), tmp_path / "plain.parquet")
    assert pq.read_table(tmp_path / "plain.parquet")["pts"].to_pylist() == [0, 40_000]
    store.write_table(index_path("ab" * 32), of_a_type_that_unpickles(mark))
    with pytest.raises(LakeError, match="no frame index"):
        load_index(store, "ab" * 32)
    with new_matrix(tmp_path / "matrix", of_a_type_that_unpickles(mark), 3, {}) as (vectors, norms):
        vectors[:], norms[:] = 1, 1
    assert open_matrix(tmp_path / "matrix").rows["pts"].to_pylist() == [0, 40_000]


def test_objects_in_an_hdf5_file_stay_bytes(mark: Path, tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    with h5py.File(path, "w") as held:
        group = held.create_group("video_1")
        for name in FIELDS:
            group.create_dataset(name, data=np.void(pickled(mark)))
    with pytest.raises(ConfigurationError):
        read_features(path)


YAML = "!!python/object/apply:os.mkdir ['{}']\n"
XML = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file://{}">]><annotations><meta>&e;</meta></annotations>'


@pytest.mark.parametrize("name", ["labels.csv", "labels.json", "labels.xml", "labels.zip", "labels.yaml", "labels.pkl"])
@pytest.mark.parametrize("content", [*PAYLOADS, "yaml", "xml", "zip of xml"])
def test_in_place_of_a_file_of_labels(name: str, content: str, mark: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("what only its owner reads", encoding="utf-8")
    path = tmp_path / name
    match content:
        case "yaml":
            path.write_text(YAML.format(mark), encoding="utf-8")
        case "xml":
            path.write_text(XML.format(secret), encoding="utf-8")
        case "zip of xml":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("annotations.xml", XML.format(secret))
        case _:
            path.write_bytes(PAYLOADS[content](mark))
    workspace = Workspace(make_workspace(tmp_path / "site"))
    try:
        told = import_labels(workspace, path, ImportSettings(author="ada"))
    except ConfigurationError as error:
        said = str(error)
    else:
        assert told.problems and not told.said, "such a file holds no label"
        said = " ".join(problem.message for problem in told.problems)
    assert said and "only its owner" not in said


@planted
def test_in_place_of_settings(payload: Callable[[Path], bytes], mark: Path, tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "site")
    kept = (root / "afterwatch.toml").read_bytes()
    for content in (payload(mark), YAML.format(mark).encode()):
        (root / "afterwatch.toml").write_bytes(content)
        with pytest.raises(ConfigurationError, match="not TOML"):
            Workspace(root)
        (root / "afterwatch.toml").write_bytes(kept)
        (root / "weights").mkdir(exist_ok=True)
        (root / "weights" / "weights.toml").write_bytes(content)
        with pytest.raises(ConfigurationError, match="not TOML"):
            _ = Workspace(root).encoders
        shutil.rmtree(root / "weights")
