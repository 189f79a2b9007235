"""The verb `models export`: a classifier as one ONNX file."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterwatch.options import JsonOption, SiteOption, print_json, size


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("export", epilog="Example: afterwatch models export fights --output fights.onnx --site site")(
        export_model
    )


def export_model(
    name: Annotated[str, typer.Argument(help="Classifier, as NAME or NAME/VERSION. Default: the version in service.")],
    output: Annotated[Path, typer.Option(help="The file to write, ending in .onnx.")],
    head_only: Annotated[
        bool, typer.Option("--head-only", help="The head alone, with the joined vector of a window as its input.")
    ] = False,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Write a classifier as ONNX, network and head, and check it against the original with onnxruntime."""
    from workspace.export import export_classifier
    from workspace.opened import Workspace

    called, _, version = name.partition("/")
    made = export_classifier(Workspace(site), called, output, version=version or None, head_only=head_only)
    if as_json:
        print_json(asdict(made))
        return
    shape = ", ".join(map(str, ("N", *made.input_shape)))
    typer.echo(f"{made.path}: {size(made.bytes)}, classifier {made.classifier} {made.version}")
    typer.echo(f"  {made.input_name} float32 ({shape}) → logits, probabilities ({', '.join(made.classes)})")
    typer.echo(f"  largest difference from the classifier: {made.largest_difference:.2g}")
