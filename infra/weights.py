"""Weights kept in a workspace: `weights/weights.toml` says which file serves which encoder, trusted by its hash."""

import hashlib
import json
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from infra.errors import ConfigurationError, WeightsError

WEIGHTS_FILE = "weights.toml"
READ_BYTES = 1 << 20

Option = bool | int | float | str
Triple = tuple[float, float, float]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WeightsFile:
    """One weights file.

    Attributes:
        path: where it lies.
        sha256: 64 lower-case hexadecimal digits; the file is not read unless they match.
        licence: under which it may be used.
        options: passed to the architecture's constructor (`pad_type = "same"`, say).
        mean, std: per channel in the unit range; they override the normalisation the architecture would use.
    """

    path: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    licence: str = ""
    options: dict[str, Option] = Field(default_factory=dict)
    mean: Triple | None = None
    std: Triple | None = None


_CHECKED = TypeAdapter(WeightsFile)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_weights(folder: Path) -> dict[str, WeightsFile]:
    """What `weights.toml` says, by encoder; empty where there is none.

    Raises:
        ConfigurationError: it is not TOML, an entry is wrong, or a path leaves the folder.
    """
    source = folder / WEIGHTS_FILE
    if not source.exists():
        return {}
    try:
        told = tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{source}: not TOML: {error}") from None
    found = {}
    for name, entry in told.items():
        try:
            weights = _CHECKED.validate_python({**entry, "path": folder / str(entry["path"])})
        except (ValidationError, KeyError, TypeError) as error:
            place, told_of = "path", "missing"
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                place, told_of = str(first["loc"][-1]), first["msg"]
            raise ConfigurationError(f'{source}: ["{name}"] {place}: {told_of}') from None
        if not _is_inside(folder, str(entry["path"])):
            raise ConfigurationError(f'{source}: ["{name}"] path = "{entry["path"]}" leaves the folder of the weights')
        found[name] = weights
    return found


def _is_inside(folder: Path, path: str) -> bool:
    try:
        return (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # no file can be called so
        return False


def add_weights(folder: Path, name: str, file: Path, details: Mapping[str, object]) -> WeightsFile:
    """Copy a weights file into the workspace and enter it for an encoder, replacing an older entry.

    Args:
        folder: the workspace's `weights/`.
        name: the encoder, `family/architecture/weights`.
        file: the file to copy.
        details: `licence`, `options`, `mean`, `std` as far as they are known.

    Raises:
        WeightsError: there is no such file.
        ConfigurationError: `details` names something else, or a value is of the wrong kind.
    """
    if not file.is_file():
        raise WeightsError(f"there is no weights file {file}; give the path of one")
    digest = file_sha256(file)
    target = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{digest[:12]}{file.suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    if not target.is_file() or file_sha256(target) != digest:
        unfinished = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(file, unfinished)
        unfinished.replace(target)
    try:
        added = _CHECKED.validate_python({**details, "path": target, "sha256": digest})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(f'weights of "{name}": {first["loc"][-1]}: {first["msg"]}') from None
    _write(folder, {**read_weights(folder), name: added})
    return added


def _write(folder: Path, entries: Mapping[str, WeightsFile]) -> None:
    lines = []
    for name, weights in sorted(entries.items()):
        lines += [f"[{_toml(name)}]", f"path = {_toml(weights.path.name)}", f'sha256 = "{weights.sha256}"']
        if weights.licence:
            lines.append(f"licence = {_toml(weights.licence)}")
        if weights.options:
            inner = ", ".join(f"{_toml(key)} = {_toml(value)}" for key, value in sorted(weights.options.items()))
            lines.append(f"options = {{ {inner} }}")
        lines += [f"{key} = {list(value)}" for key in ("mean", "std") if (value := getattr(weights, key)) is not None]
        lines.append("")
    unfinished = folder / f".{WEIGHTS_FILE}.tmp"
    unfinished.write_text("\n".join(lines), encoding="utf-8")
    unfinished.replace(folder / WEIGHTS_FILE)


def _toml(value: Option) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's escapes are JSON's
    return repr(value)
