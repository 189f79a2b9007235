"""The sources themselves: nothing in them loads a format that runs code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("afterwatch", "flows", "tasks", "dashboards", "evaluation", "workspace", "models", "footage", "lake", "infra")
RUN_CODE = {"pickle", "_pickle", "cPickle", "joblib", "dill", "shelve", "cloudpickle", "marshal", "jsonpickle", "yaml"}
ONLY_NAMES = {("pickle", "UnpicklingError")}
"""What torch raises where it refuses."""
BUILTINS = {"eval", "exec", "compile", "__import__"}
UNPICKLING = {"read_pickle", "to_pickle", "load_module", "load_source"}
ENTITIES = {"xml.etree.ElementTree", "xml.dom.minidom", "xml.sax", "lxml"}
WRITERS = {"Element", "ElementTree", "SubElement", "tostring", "indent", "ParseError"}


def faults(source: str) -> list[str]:
    """What a module does that could run a file's code, line by line."""
    return [f"{node.lineno}: {told}" for node in ast.walk(ast.parse(source)) for told in _faults(node)]  # type: ignore[attr-defined]  # faults have a line


def _faults(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import():
            for name in node.names:
                if name.name.split(".")[0] in RUN_CODE or name.name in ENTITIES:
                    yield f"imports {name.name}"
        case ast.ImportFrom(module=str(module)):
            for name in node.names:
                if module.split(".")[0] in RUN_CODE and (module, name.name) not in ONLY_NAMES:
                    yield f"imports {name.name} of {module}"
                if module in ENTITIES and name.name not in WRITERS:
                    yield f"imports {name.name} of {module}, which expands entities"
        case ast.Call():
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[str]:
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    called = ast.unparse(node.func)
    last = called.rsplit(".", 1)[-1]
    if called in BUILTINS:
        yield f"calls {called}"
    if last in UNPICKLING:
        yield f"calls {called}"
    if called in ("torch.load", "torch.jit.load", "torch.hub.load", "torch.hub.load_state_dict_from_url"):
        safe = named.get("weights_only")
        if called != "torch.load" or not (isinstance(safe, ast.Constant) and safe.value is True):
            yield f"calls {called} without weights_only=True"
    allowed = named.get("allow_pickle")
    if allowed is not None and not (isinstance(allowed, ast.Constant) and allowed.value is False):
        yield f"calls {called} with allow_pickle"
    if called in ("np.load", "numpy.load") and allowed is None:
        yield f"calls {called} without allow_pickle=False"


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_loads_what_runs_code(room: str) -> None:
    paths = [path for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts]
    assert paths
    found = [f"{path.relative_to(ROOT)}:{told}" for path in paths for told in faults(path.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, pickle as p",
        "from pickle import loads",
        "from joblib import load",
        "import yaml",
        "from xml.etree.ElementTree import parse",
        "import xml.etree.ElementTree as ET",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "torch.load(p, weights_only=trusted)",
        "torch.hub.load('a/b', 'c')",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "numpy.load(p, allow_pickle=told)",
        "np.save(p, x, allow_pickle=True)",
        "pd.read_pickle(p)",
        "eval(text)",
        "def f():\n    exec(text)",
        "__import__(name)",
    ],
)
def test_each_of_these_would_be_found(source: str) -> None:
    assert len(faults(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "network.eval()",
        "re.compile('a')",
        "torch.load(p, map_location='cpu', weights_only=True)",
        "np.load(p, mmap_mode='r', allow_pickle=False)",
        "from pickle import UnpicklingError",
        "from safetensors.torch import load",
    ],
)
def test_what_is_harmless_is_not(source: str) -> None:
    assert faults(source) == []
