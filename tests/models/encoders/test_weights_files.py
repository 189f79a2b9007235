"""Weights from files and hubs: by hash, without running code, all or nothing."""

import hashlib
import pickle
import zipfile
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn

from infra.errors import WeightsError
from infra.weights import WeightsFile
from models.encoders import hub
from models.encoders.weights import load_strictly, read_state_dict

STATE = {"0.weight": torch.arange(6.0).reshape(2, 3), "0.bias": torch.zeros(2)}


def kept(path: Path) -> WeightsFile:
    return WeightsFile(path, hashlib.sha256(path.read_bytes()).hexdigest())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pyth", ".bin"])
@pytest.mark.parametrize(
    "layout",
    [
        STATE,
        {"state_dict": {f"module.{name}": tensor for name, tensor in STATE.items()}, "epoch": 3},
        {"model_state": STATE},
        {"model": STATE},
    ],
)
def test_every_layout_is_unwrapped(tmp_path: Path, suffix: str, layout: object) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(layout, path)
    assert same(read_state_dict(kept(path)), STATE)


def test_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(STATE, path)
    assert same(read_state_dict(kept(path)), STATE)


def test_an_altered_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(STATE, path)
    weights = kept(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match=f"expected {weights.sha256}") as caught:
        read_state_dict(weights)
    assert str(path) in str(caught.value)


class Touch:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, by: str) -> None:
    path, touched = tmp_path / "weights.pt", tmp_path / "touched"
    if by == "torch":
        torch.save({"weight": Touch(touched)}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Touch(touched)}))
    with pytest.raises(WeightsError, match="safetensors"):
        read_state_dict(kept(path))
    assert not touched.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04cut short"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_damaged_and_foreign_files_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="weights"):
        read_state_dict(kept(path))


def test_an_archive_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "nothing")
    with pytest.raises(WeightsError):
        read_state_dict(kept(path))


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(2)], {"state_dict": {"a": 1}}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="no state dict"):
        read_state_dict(kept(path))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pt are not there"):
        read_state_dict(WeightsFile(tmp_path / "gone.pt", "ab" * 32))


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2))


def test_fitting_weights_are_loaded() -> None:
    module = network()
    load_strictly(module, {**STATE, "head.weight": torch.zeros(7)}, encoder="timm/x", dropped=("head.",))
    assert same(module.state_dict(), STATE)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"0.weight": STATE["0.weight"]}, "1 missing (0.bias)"),
        ({**STATE, "1.weight": torch.zeros(1)}, "1 unexpected (1.weight)"),
        ({**STATE, "0.bias": torch.zeros(5)}, "1 of another shape (0.bias (5,) for (2,))"),
        ({**STATE, **{f"extra{at}": torch.zeros(1) for at in range(9)}}, "9 unexpected (extra0, extra1, extra2, …)"),
    ],
)
def test_weights_that_do_not_fit_change_nothing_and_say_why(state: dict[str, Tensor], said: str) -> None:
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_strictly(module, state, encoder="timm/x")
    assert said in str(caught.value)
    assert "afterwatch weights add timm/x FILE" in str(caught.value)
    assert same(module.state_dict(), before)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of both hubs, and a network in which every question fails."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(hub, "ask", lambda address: "unreachable")
    return tmp_path


def test_a_hub_out_of_reach_is_an_error_with_file_and_command(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"owner/name \(a.safetensors or b.bin\).*weights add timm/x FILE"):
        hub.repository_file("timm/x", "owner/name", ("a.safetensors", "b.bin"))
    with pytest.raises(WeightsError, match=r"model.pth.*weights add timm/x FILE"):
        hub.address_file("timm/x", "https://example.invalid/model.pth")


def test_cached_files_need_no_network(cache: Path) -> None:
    snapshot = cache / "hub/models--owner--name/snapshots/0123"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("0123")
    (snapshot / "b.bin").write_bytes(b"weights")
    found = hub.repository_file("timm/x", "owner/name", ("a.safetensors", "b.bin"))
    assert found.read_bytes() == b"weights"
    (cache / "torch/checkpoints").mkdir(parents=True)
    (cache / "torch/checkpoints/model.pth").write_bytes(b"more")
    assert hub.address_file("timm/x", "https://example.invalid/model.pth").read_bytes() == b"more"


def test_a_hub_that_is_switched_off_is_not_asked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "ask", lambda address: pytest.fail("asked"))
    with pytest.raises(WeightsError, match="switched off"):
        hub.repository_file("timm/x", "owner/name", ("a.bin",))


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (HTTPError("", 404, "", None, None), "absent"),  # type: ignore[arg-type]  # no headers are read
        (HTTPError("", 502, "", None, None), "unreachable"),  # type: ignore[arg-type]  # as above
        (URLError("no route"), "unreachable"),
        (TimeoutError(), "unreachable"),
    ],
)
def test_one_question_tells_absent_from_unreachable(
    monkeypatch: pytest.MonkeyPatch, error: Exception, answer: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(hub, "urlopen", fail)
    assert hub.ask("https://example.invalid/a") == answer
