"""Labels from files into the ledger, and from the ledger into files."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from footage.regions import WHOLE
from infra.errors import ConfigurationError, UnknownNameError
from lake.audit import About
from lake.labels import TABLE, Label, Role, labels_now, say_labels
from lake.ledger import Ledger, newest
from workspace.known_recordings import KnownRecordings, check_known
from workspace.label_files.base import Problem, read_content
from workspace.label_files.checking import Checker, Defaults, Told
from workspace.label_files.coco import read_coco, write_coco
from workspace.label_files.csv_file import read_csv, write_csv
from workspace.label_files.cvat import read_cvat, write_cvat
from workspace.label_files.pictures import Frames, Outlines
from workspace.opened import Workspace
from workspace.output_files import write_files

Format = Literal["csv", "coco", "cvat"]
FORMATS: tuple[Format, ...] = get_args(Format)
ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "coco",
    ".xml": "cvat",
    ".zip": "cvat",
}


@dataclass(frozen=True)
class ImportSettings:
    """What a person says of a file that the file does not.

    Attributes:
        author: who says what has no author in the file.
        format: of the file; None: by its ending.
        role: of every label, whatever the file says; None: as the file says, else `label`.
        region: of labels that name none.
        recording: of labels that name none; of a CVAT file, whatever its `source` says.
        skip_bad: say the sound rows although others are not.
    """

    author: str
    format: Format | None = None
    role: Role | None = None
    region: str = WHOLE.name
    recording: str = ""
    skip_bad: bool = False


@dataclass(frozen=True)
class Imported:
    """What became of a file's rows.

    Attributes:
        said: labels that were new and were said.
        known: rows that say what is said already, or what was said anew since.
        problems: what is wrong, row by row; without `skip_bad`, any of it means that nothing was said.
        remarks: what else there is to know.
    """

    said: tuple[Label, ...]
    known: int
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """Which labels; None is all."""

    campaign: str | None = None
    camera: str | None = None
    use_case: str | None = None
    region: str | None = None
    author: str | None = None
    role: Role | None = None


def format_of(path: Path, told: str | None) -> Format:
    """The format that was told, else the one that the ending stands for; a folder is CVAT's.

    Raises:
        ConfigurationError: neither is known.
    """
    for name in FORMATS:
        if told == name:
            return name
    if told is not None:
        raise UnknownNameError("format of labels", told, FORMATS)
    if path.suffix.lower() in ENDINGS:
        return ENDINGS[path.suffix.lower()]
    if path.is_dir() or not path.suffix:
        return "cvat"
    raise ConfigurationError(f'"{path.name}" does not tell its format by its ending; say --format {"|".join(FORMATS)}')


def import_labels(workspace: Workspace, path: Path, settings: ImportSettings) -> Imported:
    """Say the labels of a file. What was said before is not said again, so a file can be imported twice.

    Raises:
        ConfigurationError: the file as a whole cannot be read as what it is taken for.
    """
    kind = format_of(path, settings.format)
    defaults = Defaults(
        author=settings.author,
        region=settings.region,
        said_at=datetime.now(UTC),
        role=settings.role,
        recording=settings.recording,
    )
    known = KnownRecordings(workspace.ledger)
    raw = read_content(path)
    try:
        match kind:
            case "csv":
                content = read_csv(raw)
            case "coco":
                content = read_coco(raw)
            case "cvat":
                content = read_cvat(raw, known, Frames(workspace), settings.recording)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    told, problems = Checker(workspace, known, defaults).check(content)
    if problems and not settings.skip_bad:
        return Imported((), 0, tuple(problems), content.remarks)
    said = say_what_is_new(workspace.ledger, told)
    return Imported(tuple(said), len(told) - len(said), tuple(problems), content.remarks)


def say_what_is_new(ledger: Ledger, told: Sequence[Told]) -> list[Label]:
    """Say the labels that their authors have not said already.

    A row with a moment of its own is new if its author has said nothing of the span since; one without is new if its
    author's newest word on the span is another.

    Returns:
        The labels that were said, oldest first.
    """
    rows = newest(ledger.rows(TABLE).to_pylist(), ("campaign", "camera", "key", "author"), "said_at")
    last = {(row["campaign"], row["camera"], row["key"], row["author"]): row for row in rows}
    new = []
    for item in told:
        label = item.label
        before = last.get((label.campaign, label.use_case.camera, label.key, label.author))
        if before is None:
            new.append(label)
        elif item.dated:
            if before["said_at"] < label.said_at:
                new.append(label)
        else:
            value = json.loads(before["value"])
            if value is None or value["relevant"] != label.relevant:
                new.append(label)
    new.sort(key=lambda label: label.said_at)
    say_labels(ledger, new)
    return new


def chosen_labels(workspace: Workspace, known: KnownRecordings, choice: Choice) -> list[Label]:
    """Every author's newest word on each span, as far as chosen; in an order that depends on the labels alone.

    Raises:
        UnknownNameError: campaign or camera is not known, or no label has such a use case, region or author.
    """
    check_known("campaign", choice.campaign, known.campaigns)
    check_known("camera", choice.camera, known.cameras)
    roles: tuple[Role, ...] = ("label", "truth") if choice.role is None else (choice.role,)
    labels = [label for role in roles for label in labels_now(workspace.ledger, role=role, each_author=True)]
    check_known("use case", choice.use_case, {label.use_case.name for label in labels})
    check_known("region of the labels", choice.region, {label.use_case.region for label in labels})
    check_known("author of labels", choice.author, {label.author for label in labels})
    wanted = [
        label
        for label in labels
        if choice.campaign in (None, label.campaign)
        and choice.camera in (None, label.use_case.camera)
        and choice.use_case in (None, label.use_case.name)
        and choice.region in (None, label.use_case.region)
        and choice.author in (None, label.author)
    ]
    return sorted(wanted, key=lambda label: _order(label, known))


def _order(label: Label, known: KnownRecordings) -> tuple[str, str, str, int, int, str, str, str, str]:
    case = label.use_case
    path = known.name_of(label.recording_id)
    return (
        label.campaign,
        case.camera,
        path,
        label.from_us,
        label.to_us,
        case.name,
        case.region,
        label.role,
        label.author,
    )


def export_labels(workspace: Workspace, target: Path, choice: Choice, kind: Format) -> tuple[int, list[Path]]:
    """Write the chosen labels: one file, or for CVAT a folder with a file for each recording.

    Returns:
        How many labels, and the files that were written.

    Raises:
        ConfigurationError: nothing is chosen, a recording was never ingested, or the target cannot be written.
    """
    known = KnownRecordings(workspace.ledger)
    labels = chosen_labels(workspace, known, choice)
    if not labels:
        raise ConfigurationError("nothing is labelled there; widen the choice")
    workspace.guard.ask("take footage and results away", About((f"labels as {kind}",), len(labels)))
    frames, outlines = Frames(workspace), Outlines(workspace.ledger)
    files: dict[Path, bytes] = {}
    match kind:
        case "csv":
            files[target] = write_csv(labels, known)
        case "coco":
            files[target] = write_coco(labels, known, frames, outlines)
        case "cvat":
            of_recording: dict[str, list[Label]] = defaultdict(list)
            for label in labels:
                of_recording[label.recording_id].append(label)
            for recording_id, mine in of_recording.items():
                recording = known.by_id(recording_id)
                files[_inside(target, recording.name)] = write_cvat(recording, mine, frames, outlines)
    write_files(files)
    return len(labels), list(files)


def _inside(folder: Path, name: str) -> Path:
    """Where the file of a recording goes; a name that leads out of the folder is refused."""
    parts = PurePosixPath(name).parts
    if PurePosixPath(name).is_absolute() or ".." in parts:
        raise ConfigurationError(f'recording "{name}" would be written outside of {folder}; rename its file')
    return folder.joinpath(*parts[:-1], f"{parts[-1]}.xml")
