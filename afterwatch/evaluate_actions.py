"""The verb `evaluate action-recognition`: networks side by side."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.evaluate_anomalies import command_of
from afterwatch.options import JsonOption, print_json, progress_bars

if TYPE_CHECKING:
    from evaluation.protocols.action_recognition import Contender, RecognitionReport
    from workspace.clip_sets.base import ClipSet


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "action-recognition",
        epilog="Example: afterwatch evaluate action-recognition --data kinetics/val --encoder pytorchvideo/slowfast_r50 "
        "--classes kinetics_classnames.json --clips 10 --crops 3",
    )(action_recognition)


def action_recognition(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Folder of labelled clips: a folder for each class, UCF101 or DCSASS.")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Video network with a classifier layer, as pytorchvideo/slowfast_r50; repeatable."),
    ] = None,
    classifier: Annotated[
        list[str] | None,
        typer.Option(help="Classifier of the workspace, as NAME or NAME/VERSION, measured beside them; repeatable."),
    ] = None,
    clips: Annotated[int, typer.Option(help="Views in time of each clip; the published figures take 10.")] = 1,
    crops: Annotated[int, typer.Option(help="Views in place: 1, or 3 as the published figures take.")] = 1,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Names of the networks' classes: a text file, one on each line, or JSON with their indices. "
            "Default: the folders' names in order, where the network has as many classes."
        ),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Layout of the folder: folders, dcsass or ucf101. Default: found out.")
    ] = None,
    official_list: Annotated[int | None, typer.Option("--list", help="Official list of UCF101: 1, 2 or 3.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for the tables (.md, .csv, .json).")] = None,
    site: Annotated[
        Path, typer.Option("--site", help="Workspace whose weights are used.", show_default="current folder")
    ] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Action-recognition networks side by side: top-1, top-5, seconds per sample, parameters and multiply-adds."""
    from evaluation.action_tables import to_json, to_markdown
    from evaluation.class_index import read_classes
    from infra.errors import ConfigurationError
    from workspace.clip_sets.read import read_clip_set

    if not encoder and not classifier:
        raise ConfigurationError("name a network with --encoder, pytorchvideo/slowfast_r50 say, or a --classifier")

    named = None if classes is None else read_classes(classes)
    with progress_bars(quiet=as_json) as progress:
        clip_set = read_clip_set(data, layout, official_list=official_list, progress=progress)
        contenders = _contenders(site, encoder or (), clips, crops, named, clip_set, device)
        report = _report(data, clip_set, contenders, site, classifier or (), device, progress)
    command = command_of(context)
    if out is not None:
        _write(out, report, command)
    if as_json:
        print_json(to_json(report))
    else:
        typer.echo(to_markdown(report, command))
        if out is not None:
            typer.echo(f"tables: {out}")


def _report(
    data: Path,
    clip_set: "ClipSet",
    contenders: "Sequence[Contender]",
    site: Path,
    classifiers: Sequence[str],
    device: str,
    progress: Callable[[str, float, float], None],
) -> "RecognitionReport":
    """Networks share one decode pass but for those of alarm classes, to which other clips are normal; each classifier has
    its own, for it looks at clips as the night does."""
    from evaluation.protocols.action_recognition import RecognitionReport, run_action_recognition
    from evaluation.protocols.measured_classifiers import AlarmRecogniser, measure_classifier, told_apart
    from workspace.opened import Workspace

    name = data.resolve().name
    of_alarms = [one for one in contenders if isinstance(one.recogniser, AlarmRecogniser)]
    others = [one for one in contenders if one not in of_alarms]
    report = (
        run_action_recognition(name, clip_set, others, progress=progress)
        if others
        else RecognitionReport(name, clip_set, (), clip_set.left_out, ())
    )
    for network in of_alarms:
        apart = told_apart(clip_set, network.recogniser.name, network.classes)
        own = run_action_recognition(name, apart, [network], progress=progress)
        crops = (
            f"{network.recogniser.name} was fine-tuned on whole pictures squashed to its size, and is shown crops here, as "
            "other networks are; a --classifier on it sees what it sees at night."
        )
        report = replace(
            report,
            networks=(*report.networks, *own.networks),
            left_out=tuple(dict.fromkeys((*report.left_out, *own.left_out))),
            notes=tuple(dict.fromkeys((*report.notes, *own.notes, crops))),
        )
    for one in dict.fromkeys(classifiers):
        called, _, version = one.partition("/")
        measured, problems = measure_classifier(
            Workspace(site), called, clip_set, version=version or None, device=device, progress=progress
        )
        more = tuple(problem for problem in problems if problem not in report.left_out)
        report = replace(report, networks=(*report.networks, measured), left_out=(*report.left_out, *more))
    return report


def _contenders(
    site: Path,
    names: Sequence[str],
    clips: int,
    crops: int,
    named: Sequence[str] | None,
    clip_set: "ClipSet",
    device: str,
) -> "list[Contender]":
    """The networks; one that was fine-tuned here has the classes of its card, and is refused clips that it has seen."""
    from evaluation.protocols.action_recognition import Contender
    from evaluation.protocols.measured_classifiers import AlarmRecogniser, classes_of, refuse_seen
    from infra.weights import read_weights
    from lake.registry import Registry
    from models.encoders.lookup import find_weights
    from models.encoders.specs import describe
    from models.networks.build import build_network, multiply_adds, parameter_count
    from models.recognition.flow import flow_of
    from models.recognition.recogniser import Recogniser
    from workspace.finetuning import card_of, contents_seen

    known, registry = read_weights(site / "weights"), Registry(site / "models")
    contenders = []
    for name in dict.fromkeys(names):
        weights = find_weights(known, name)
        spec = describe(name, weights)
        refuse_seen(spec.name, contents_seen(registry, [spec]), clip_set)
        flow = flow_of(spec, weights, clips=clips, crops=crops)
        network = build_network(spec, weights)
        cost, size = multiply_adds(network, (flow.frames, flow.crop_px, flow.crop_px)), parameter_count(network)
        card = card_of(registry, spec)
        recogniser = (Recogniser if card is None else AlarmRecogniser)(spec, network, flow, device=device)
        classes = tuple(named or sorted(clip_set.classes)) if card is None else classes_of(card)
        contenders.append(Contender(recogniser, classes, size, cost))
    return contenders


def _write(out: Path, report: "RecognitionReport", command: str) -> None:
    """Tables under the protocol's name; an earlier call's are replaced."""
    import json

    from evaluation.action_tables import clips_csv, to_csv, to_json, to_markdown
    from evaluation.protocols.action_recognition import PROTOCOL
    from workspace.output_files import write_files

    write_files(
        {
            out / f"{PROTOCOL}.md": to_markdown(report, command).encode(),
            out / f"{PROTOCOL}.csv": to_csv(report).encode(),
            out / f"{PROTOCOL}.json": (json.dumps(to_json(report), indent=2) + "\n").encode(),
            out / f"{PROTOCOL}-clips.csv": clips_csv(report).encode(),
        }
    )
