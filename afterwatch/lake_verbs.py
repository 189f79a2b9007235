"""Verbs over what is remembered: query, regions, weights."""

import getpass
import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, print_table, size

regions_app = typer.Typer(help="Regions of interest: list, add, remove, import, export.", no_args_is_help=True)
weights_app = typer.Typer(help="Weights of encoders: add, list, verify.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command(epilog='Example: afterwatch query "SELECT camera, count(*) FROM frames GROUP BY camera"')(query)
    app.add_typer(regions_app, name="regions")
    app.add_typer(weights_app, name="weights")


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT; docs/tables.md lists the tables.")],
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Ask the lake in SQL (DuckDB). It is read only."""
    from infra.site import Site
    from lake.catalogue import connect, select
    from lake.store import Store

    opened = Site.open(site)
    rows = select(connect(Store(opened.lake_location, opened.settings.lake_options)), sql)
    if as_json:
        print_json({"columns": rows.column_names, "rows": [_plain(row) for row in rows.to_pylist()]})
    else:
        print_table(rows.column_names, [tuple(_short(value) for value in row.values()) for row in rows.to_pylist()])


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _readable(value) for name, value in row.items()}


def _readable(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        return _plain(value)
    return value.isoformat() if isinstance(value, date | datetime) else value


def _short(value: Any) -> Any:
    if isinstance(value, list) and len(value) > 4:
        return f"[{', '.join(f'{item:.3g}' if isinstance(item, float) else str(item) for item in value[:4])}, … {len(value)}]"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{len(value)} bytes" if isinstance(value, bytes) else value


@regions_app.command("list", epilog="Example: afterwatch regions list --site site")
def list_regions(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the regions that count now."""
    rows = _regions(site)
    if as_json:
        print_json({"regions": rows})
    else:
        print_table(("camera", "region", "corners"), [(row["camera"], row["name"], row["outline"]) for row in rows])


@regions_app.command("add", epilog="Example: afterwatch regions add hall-east hatch --box 0.45,0.1,0.3,0.5 --site site")
def add_region(
    camera: Annotated[str, typer.Argument(help="Camera it belongs to.")],
    name: Annotated[str, typer.Argument(help="Name of the region.")],
    box: Annotated[str | None, typer.Option(help="x,y,width,height in fractions of the picture.")] = None,
    polygon: Annotated[str | None, typer.Option(help="x,y x,y x,y … in fractions of the picture.")] = None,
    on: Annotated[str | None, typer.Option(help="Moment of the picture it was drawn on, in the site's zone.")] = None,
    author: Annotated[str | None, typer.Option(help="Who says so; default: you.")] = None,
    site: SiteOption = Path("."),
) -> None:
    """Add a region, or give one a new outline; the next night embeds it."""
    from infra.errors import ConfigurationError

    if (box is None) == (polygon is None):
        raise ConfigurationError("give either --box x,y,width,height or --polygon x,y x,y x,y, in fractions")
    outline = _outline(name, box, polygon)
    _say(site, camera, name, [list(point) for point in outline], author, on)
    typer.echo(f"{camera}: region {name} with {len(outline)} corners; the next run embeds it")


@regions_app.command("remove", epilog="Example: afterwatch regions remove hall-east hatch --site site")
def take_region_back(
    camera: Annotated[str, typer.Argument(help="Camera it belongs to.")],
    name: Annotated[str, typer.Argument(help="Name of the region.")],
    author: Annotated[str | None, typer.Option(help="Who says so; default: you.")] = None,
    site: SiteOption = Path("."),
) -> None:
    """Take a region back; what was embedded of it stays in the lake."""
    from workspace.opened import Workspace
    from workspace.regions import remove_region

    remove_region(Workspace(site).ledger, camera, name, author or getpass.getuser())


@regions_app.command("export", epilog="Example: afterwatch regions export --site site > regions.json")
def export_regions(site: SiteOption = Path(".")) -> None:
    """Print the regions as JSON, to be imported elsewhere."""
    print_json({"regions": _regions(site)})


@regions_app.command("import", epilog="Example: afterwatch regions import regions.json --site site")
def import_regions(
    file: Annotated[Path, typer.Argument(help="JSON as export prints it.")],
    author: Annotated[str | None, typer.Option(help="Who says so; default: you.")] = None,
    site: SiteOption = Path("."),
) -> None:
    """Add every region of a JSON file."""
    from footage.regions import Region, outline_of
    from infra.errors import ConfigurationError

    try:
        told = json.loads(file.read_text(encoding="utf-8"))["regions"]
        regions = [
            (str(row["camera"]), Region(str(row["name"]), outline_of(row["outline"])), row.get("drawn_on"))
            for row in told
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f'{file} is not what "afterwatch regions export" prints: {error}') from None
    for camera, region, drawn_on in regions:
        _say(site, camera, region.name, [list(point) for point in region.outline], author, drawn_on)
    typer.echo(f"{len(regions)} regions imported")


def _regions(site: Path) -> list[dict[str, Any]]:
    from workspace.opened import Workspace
    from workspace.regions import regions_now

    return [
        {
            "camera": said.camera,
            "name": said.name,
            "outline": [list(point) for point in said.region.outline],
            "drawn_on": None if said.drawn_on is None else said.drawn_on.isoformat(),
        }
        for said in regions_now(Workspace(site).ledger)
        if said.region is not None
    ]


def _say(
    site: Path, camera: str, name: str, outline: list[list[float]], author: str | None, on: str | None = None
) -> None:
    from infra.errors import ConfigurationError
    from workspace.opened import Workspace
    from workspace.regions import say_region

    workspace = Workspace(site)
    moment = None
    if on is not None:
        try:
            moment = datetime.fromisoformat(on)
        except (ValueError, TypeError):
            raise ConfigurationError(f'"{on}" is no moment; write it as 2026-03-02T08:15:00') from None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=workspace.settings.zone)
    say_region(workspace.ledger, camera, name, outline, author or getpass.getuser(), moment)


def _outline(name: str, box: str | None, polygon: str | None) -> tuple[tuple[float, float], ...]:
    from footage.regions import Region
    from infra.errors import ConfigurationError
    from infra.table import NAME

    if name == "frame" or not NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" cannot name a region: "frame" is the whole picture; use letters and digits, 64 at most'
        )
    try:
        if box is not None:
            x, y, width, height = (float(part) for part in box.split(","))
            return Region.box(name, x, y, width, height).outline
        points = [tuple(float(part) for part in point.split(",")) for point in (polygon or "").split()]
        return Region(name, tuple((x, y) for x, y in points)).outline
    except ValueError as error:
        raise ConfigurationError(f"{error}; corners are fractions of the picture, as 0.45,0.1,0.3,0.5") from None


@weights_app.command("list", epilog="Example: afterwatch weights list --site site")
def list_weights(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """List the weights that the workspace keeps."""
    from infra.site import Site
    from infra.weights import read_weights

    found = read_weights(Site.open(site).weights_folder)
    rows = [(name, item.path.name, item.sha256, item.licence, dict(item.options)) for name, item in found.items()]
    if as_json:
        names = ("encoder", "file", "sha256", "licence", "options")
        print_json({"weights": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_table(("encoder", "file", "sha256", "licence", "options"), rows)


@weights_app.command(
    "add", epilog="Example: afterwatch weights add timm/mobilenetv2_100/local FILE --option pad_type=same --site site"
)
def add(
    encoder: Annotated[str, typer.Argument(help="Encoder they are for, as in the settings.")],
    file: Annotated[Path, typer.Argument(help="A .safetensors, .pt, .pth or .pyth file; it is copied.")],
    licence: Annotated[str, typer.Option(help="Licence they come under.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="name=value for the architecture; repeatable.")] = None,
    mean: Annotated[str | None, typer.Option(help="Normalisation: r,g,b in the unit range.")] = None,
    std: Annotated[str | None, typer.Option(help="Normalisation: r,g,b in the unit range.")] = None,
    site: SiteOption = Path("."),
) -> None:
    """Keep a weights file in the workspace, trusted by its hash."""
    from infra.errors import ConfigurationError
    from infra.site import Site
    from infra.weights import add_weights
    from models.encoders.specs import split_name

    split_name(encoder)
    details: dict[str, object] = {"licence": licence, "options": dict(_option(text) for text in option or ())}
    for name, text in (("mean", mean), ("std", std)):
        if text is not None:
            parts = text.split(",")
            if len(parts) != 3:
                raise ConfigurationError(f"--{name} {text}: give three numbers, as 0.5,0.5,0.5")
            details[name] = tuple(_value(part) for part in parts)
    added = add_weights(Site.open(site).weights_folder, encoder, file, details)
    typer.echo(f"{encoder}: {added.path.name} ({size(added.path.stat().st_size)}, sha256 {added.sha256})")


@weights_app.command("verify", epilog="Example: afterwatch weights verify --site site")
def verify_weights(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Hash every weights file again and compare."""
    from infra.site import Site
    from infra.weights import file_sha256, read_weights

    rows = []
    for name, item in read_weights(Site.open(site).weights_folder).items():
        state = "missing" if not item.path.is_file() else "good" if file_sha256(item.path) == item.sha256 else "altered"
        rows.append({"encoder": name, "file": item.path.name, "state": state})
    if as_json:
        print_json({"weights": rows})
    else:
        print_table(("encoder", "file", "state"), [tuple(row.values()) for row in rows])
    if any(row["state"] != "good" for row in rows):
        raise typer.Exit(1)


def _option(text: str) -> tuple[str, object]:
    from infra.errors import ConfigurationError

    name, sign, value = text.partition("=")
    if not (name and sign):
        raise ConfigurationError(f'--option "{text}": write it as name=value')
    return name, _value(value)


def _value(text: str) -> object:
    """A TOML-like value: true, false, a number, else the text itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
