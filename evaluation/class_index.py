"""Which output of a network stands for which class: read from a file, or the folders' names in order."""

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from infra.errors import ConfigurationError

NAMED = 5


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of classes in the order of a network's outputs.

    Args:
        path: a JSON file of names with their indices, as pytorchvideo's `kinetics_classnames.json`, or of a list of names;
            or a text file with a name on each line.

    Raises:
        ConfigurationError: it cannot be read, or its indices are not 0 … K − 1, each once, or two names are alike.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}); give a text file with the name of a class on each line, or JSON"
        ) from None
    names = _of_json(path, text) if path.suffix.lower() == ".json" else _of_lines(text)
    alike = _alike(names)
    if len(names) < 2 or alike:
        fault = f'"{alike[0]}" and "{alike[1]}" are one name' if alike else f"it names {len(names)} classes"
        raise ConfigurationError(f"{path}: {fault}; name each of at least 2 classes once")
    return names


def indices_of(labels: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """The index of each label among `classes`; upper case, quotes, underscores and hyphens make no difference.

    Raises:
        ConfigurationError: a label is none of them; the message names the nearest.
    """
    known = {_plain(name): index for index, name in enumerate(classes)}
    found: dict[str, int] = {}
    absent: list[str] = []
    for label in labels:
        if _plain(label) in known:
            found[label] = known[_plain(label)]
        else:
            near = get_close_matches(_plain(label), known, n=1)
            absent.append(f'"{label}"' + (f' (did you mean "{classes[known[near[0]]]}"?)' if near else ""))
    if absent:
        more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
        raise ConfigurationError(
            f"{len(absent)} folders are none of the {len(classes)} classes: {', '.join(absent[:NAMED])}{more}; rename "
            "the folders, or give the classes that the network was trained on with --classes FILE"
        )
    return found


def indices_or_rest(labels: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """As `indices_of`, but a label that is none of the classes is the rest, whose index is the count of classes."""
    known = {_plain(name): index for index, name in enumerate(classes)}
    return {label: known.get(_plain(label), len(classes)) for label in labels}


def _of_lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _of_json(path: Path, text: str) -> tuple[str, ...]:
    try:
        told = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON ({error}); correct it") from None
    if isinstance(told, list) and all(isinstance(name, str) for name in told):
        return tuple(told)
    if not isinstance(told, Mapping) or not all(type(index) is int for index in told.values()):
        raise ConfigurationError(
            f'{path} holds neither names with their indices, as {{"abseiling": 0, …}}, nor a list of names; correct it'
        )
    if sorted(told.values()) != list(range(len(told))):
        raise ConfigurationError(f"{path}: indices are 0 … {len(told) - 1}, each once; correct it")
    return tuple(_bare(name) for name in sorted(told, key=lambda name: int(told[name])))


def _bare(name: str) -> str:
    """pytorchvideo's file has names of several words in quotation marks of their own."""
    return name.strip().strip('"').strip()


def _plain(name: str) -> str:
    return " ".join(_bare(name).casefold().replace("_", " ").replace("-", " ").split())


def _alike(names: Sequence[str]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for name in names:
        if _plain(name) in seen:
            return seen[_plain(name)], name
        seen[_plain(name)] = name
    return None
