"""The documents say what the code has: settings, tables, commands, links, and examples that work."""

import re
import shlex
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from afterwatch.__main__ import app
from infra.settings import Settings
from lake.catalogue import connect, select
from lake.schema import STATEMENTS, TABLES
from lake.store import Store

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PLACE = ("campaign", "camera", "day")

Rows = dict[str, list[str]]


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def sections(page: str) -> dict[str, str]:
    """Text under each heading, up to the next heading of any level."""
    parts = re.split(r"^#+ +(.+)$", _without_fences(text_of(page)), flags=re.MULTILINE)
    return {heading.strip(): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def _without_fences(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for _, body in found]


def table_rows(section: str) -> Rows:
    """Rows of a section's tables by their first cell, where that is code."""
    rows: Rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) > 1:
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def code(value: object) -> str:
    return f"`{value}`"


# Settings


def tables_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Heading and fields of every table of the settings file; a union's fields are those of all its members."""
    own: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        many, models, optional = _models_of(field.annotation)
        path = f"{prefix}{name}"
        if not models or optional:
            own[name] = field
        elif len(models) > 1:
            yield f"`[{path}]`", {key: value for one in models for key, value in one.model_fields.items()}
        else:
            heading = {"list": f"[[{path}]]", "dict": f"[{path}.NAME]"}.get(many, f"[{path}]")
            inner = dict(tables_of(models[0], f"{path}."))
            yield f"`{heading}`", inner.pop("", {})
            yield from inner.items()
    yield "", own


def _models_of(annotation: Any) -> tuple[str, list[type[BaseModel]], bool]:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _models_of(parts[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "one", [annotation], False
    if origin in (tuple, dict):
        _, models, _ = _models_of(parts[-1] if origin is dict else parts[0])
        return ("dict" if origin is dict else "list"), models, False
    if origin in (types.UnionType, typing.Union):
        found = [model for part in parts for model in _models_of(part)[1]]
        return "one", found, type(None) in parts
    return "one", [], False


def told_default(field: Any) -> str:
    """A default as the documents write it: as in the settings file."""
    if field.is_required():
        return "required"
    return _toml(field.get_default(call_default_factory=True))


def _toml(value: object) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return code(str(value).lower())
        case int() | float():
            return code(value)
        case tuple():
            inner = ", ".join(f'"{item}"' for item in value)
            return code(f"[{inner}]")
        case dict():
            return code("{}")
        case _:
            return code(f'"{value}"')


def bounds_of(annotation: Any, metadata: typing.Iterable[Any] = ()) -> Iterator[str]:
    """The range of a number, as `> 0`."""
    for item in metadata:
        for bound in (item, *getattr(item, "metadata", ())):
            match bound:
                case Gt(gt=value):
                    yield f"> {value:g}"
                case Ge(ge=value):
                    yield f"≥ {value:g}"
                case Le(le=value):
                    yield f"≤ {value:g}"
                case Lt(lt=value):
                    yield f"< {value:g}"
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        yield from bounds_of(parts[0], parts[1:])
    elif typing.get_origin(annotation) in (types.UnionType, typing.Union):
        for part in parts:
            yield from bounds_of(part)


SETTINGS = {heading or "Top level": fields for heading, fields in tables_of(Settings)}


def test_the_settings_are_walked_whole() -> None:
    assert {"Top level", "`[footage]`", "`[sampling]`", "`[[encoders]]`", "`[summary.weights]`"} <= set(SETTINGS)
    assert {"`[cameras.NAME]`", "`[[alarms]]`", "`[notifications]`", "`[[notifications.email]]`"} <= set(SETTINGS)
    assert "pattern" in SETTINGS["`[footage]`"]


@pytest.mark.parametrize("heading", SETTINGS)
def test_every_setting_is_described_with_its_default_and_range(heading: str) -> None:
    told = table_rows(sections("docs/settings.md")[heading])
    wanted = SETTINGS[heading]
    assert set(told) == set(wanted), f"docs/settings.md, {heading}: one row for each setting, and no other"
    for name, field in wanted.items():
        kind, default, meaning = told[name]
        if name != "policy":  # each of the three has its own
            assert default == told_default(field), f"docs/settings.md, {heading}: the default of {name}"
        assert all(bound in kind for bound in bounds_of(field.annotation, field.metadata)), f"the range of {name}"
        assert meaning


# Tables


def told_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp (UTC)"
    if pa.types.is_fixed_size_list(kind):
        return f"list of {kind.list_size} {told_type(kind.value_type)}"
    if pa.types.is_list(kind):
        return f"list of {told_type(kind.value_type)}"
    names = {"string": "text", "double": "float64", "float": "float32", "halffloat": "float16", "date32[day]": "date"}
    return names.get(str(kind), str(kind))


def test_every_table_and_column_is_described() -> None:
    found = sections("docs/tables.md")
    headings = {re.sub("`", "", name): text for name, text in found.items()}
    place = table_rows(text_of("docs/tables.md").split("\n## ", 1)[0])
    assert list(place) == list(PLACE)
    for name, table in TABLES.items():
        shared = f"Statements: {', '.join(STATEMENTS)}"
        told = table_rows(headings[shared if name in STATEMENTS else name])
        wanted = {column: told_type(kind) for column, kind, _ in table.columns if column not in PLACE}
        assert {column: cells[0] for column, cells in told.items()} == wanted, f"docs/tables.md, {name}"
        assert all(cells[1] for cells in told.values()), f"docs/tables.md, {name}: every column has a meaning"
        assert name in STATEMENTS or table.row in headings[name], f"docs/tables.md, {name}: a row is a {table.row}"


def test_the_example_queries_run_on_an_empty_lake(tmp_path: Path) -> None:
    connection = connect(Store(str(tmp_path / "lake")))
    queries = blocks("docs/tables.md", "sql")
    assert queries
    for query in queries:
        assert select(connection, query).num_rows == 0


# Commands


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every verb that does something, by its words."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield " ".join(path), command


VERBS = dict(commands(typer.main.get_command(app)))


def test_every_verb_is_described_and_no_other() -> None:
    told = {heading.strip("`") for heading in sections("docs/command-line.md") if heading.startswith("`")}
    assert told == {f"afterwatch {verb}" for verb in VERBS}


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_described_with_its_default(verb: str) -> None:
    told = table_rows(sections("docs/command-line.md")[f"`afterwatch {verb}`"])
    wanted = {_shown(parameter): parameter for parameter in VERBS[verb].params if parameter.name != "help"}
    assert set(told) == set(wanted), f"docs/command-line.md, {verb}: one row for each argument and option, and no other"
    for name, parameter in wanted.items():
        default = told[name][0]
        assert (default == "required") == bool(parameter.required), f"{verb} {name}"
        if isinstance(parameter.default, bool):
            assert default == ("on" if parameter.default else "off"), f"{verb} {name}"
        elif isinstance(parameter.default, str | int | Path) and str(parameter.default) not in ("", "."):
            assert default == code(parameter.default), f"{verb} {name}"


def _shown(parameter: Any) -> str:
    first = str(parameter.opts[0])
    return first if first.startswith("-") else first.upper()


def examples() -> list[tuple[str, str]]:
    """(page, command line) of every line of a shell block that calls afterwatch."""
    found = []
    for page in PAGES:
        relative = str(page.relative_to(ROOT))
        for block in blocks(relative, "sh"):
            lines = [line for line in block.splitlines() if re.search(r"(^|/| )afterwatch ", line)]
            found += [(relative, line) for line in lines]
    return found


def test_there_are_examples_in_the_readme() -> None:
    told = " ".join(line for page, line in examples() if page == "README.md")
    assert all(f"afterwatch {verb}" in told for verb in ("init", "plan", "run", "dashboard"))


@pytest.mark.parametrize(("page", "line"), examples())
def test_example_commands_are_understood(page: str, line: str) -> None:
    words = shlex.split(line)
    words = words[next(at for at, word in enumerate(words) if Path(word).name == "afterwatch") + 1 :]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"{page}: {line} names no verb"
        assert words[0] in command.commands, f"{page}: {line} names no verb of afterwatch"
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))  # raises where an option or a value is not known


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.MULTILINE))
    for page in PAGES:
        told = re.findall(r"(?:^|`)make ([a-z]+)", text_of(str(page.relative_to(ROOT))), flags=re.MULTILINE)
        assert set(told) <= targets, f"{page.name}: {set(told) - targets}"


# Examples of settings and code


def settings_examples() -> list[tuple[str, str]]:
    pages = [str(page.relative_to(ROOT)) for page in PAGES]
    return [(page, block) for page in pages for block in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "block"), settings_examples())
def test_example_settings_are_valid(page: str, block: str) -> None:
    settings = Settings.model_validate(tomllib.loads(block))
    assert settings != Settings(), f"{page}: an example that changes nothing"


def test_the_worked_example_works() -> None:
    names: dict[str, Any] = {}
    exec("\n".join(blocks("CONTRIBUTING.md", "python")), names)
    tests = [name for name in names if name.startswith("test_")]
    assert tests
    for name in tests:
        names[name]()


# Links


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"`", "", heading).strip().lower())
    return kept.replace(" ", "-")


def links() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = _without_fences(page.read_text(encoding="utf-8"))
        targets = re.findall(r"\]\(([^)\s]+)\)", text)
        found += [(str(page.relative_to(ROOT)), target) for target in targets if "://" not in target]
    return sorted(set(found))


@pytest.mark.parametrize(("page", "target"), links())
def test_links_resolve(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.resolve().is_relative_to(ROOT), f"{page}: {target} leads out of the repository"
    assert file.exists(), f"{page}: {target} leads nowhere"
    if anchor:
        headings = sections(str(file.resolve().relative_to(ROOT)))
        assert anchor in {_anchor(heading) for heading in headings}, f"{page}: {target} names no heading"


def test_every_page_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs/index.md"
    told = {(index.parent / target.partition("#")[0]).resolve() for page, target in links() if page == "docs/index.md"}
    assert set((ROOT / "docs").rglob("*.md")) - {index} <= told


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(page.name[:4]) for page in ROOT.glob("docs/decisions/*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
    for page in ROOT.glob("docs/decisions/*.md"):
        assert text_of(str(page.relative_to(ROOT))).startswith(f"# {page.name[:4]}: ")
