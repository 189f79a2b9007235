"""Labels as CVAT's XML for video, version 1.1 (https://docs.cvat.ai/docs/other/xml_format): a file for each recording.

A label is a track: visible from its first picture on, outside from the one after its last. What CVAT has no place for
stands in attributes, which CVAT keeps if its task has labels with these attributes, as the file's own `meta` lists
them.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import (  # it writes only; what is read goes through defusedxml
    Element,
    ParseError,
    SubElement,
    indent,
    tostring,
)

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from footage.regions import Region
from infra.errors import ConfigurationError
from lake.labels import ROLES, Label
from workspace.known_recordings import KnownRecording, KnownRecordings
from workspace.label_files.base import Content, Problem, Row, said_at_text
from workspace.label_files.pictures import Frames, Outlines, frames_of

SHAPES = ("box", "polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton")
ATTRIBUTES = ("relevant", "author", "role", "region", "said_at", "from_us", "to_us")
FLAGS = {"0": False, "1": True, "False": False, "True": True}


@dataclass(frozen=True)
class Task:
    """What the file says of its task: the video's name, the last picture of the task and the step between pictures."""

    source: str
    stop_frame: int | None
    step: int


@dataclass(frozen=True)
class Shape:
    """One shape of a track: a picture's number, whether the object is to be seen, and its attributes."""

    frame: int
    is_outside: bool
    attributes: Mapping[str, str]


def read_cvat(content: bytes, known: KnownRecordings, frames: Frames, recording: str = "") -> Content:
    """Rows of a CVAT file for one video: each visible run of a track, cut where its attributes change, is a label.

    A track that is not marked outside is visible to the end of its task, as CVAT shows it. A track without the
    attribute `relevant` is relevant.

    Args:
        content: the XML.
        known: recordings, of which the file's `source` or else `recording` names one.
        frames: their frame indexes.
        recording: what a person says the video is; goes before what the file says.

    Raises:
        ConfigurationError: it is no such file, or its recording is not known.
    """
    task, tracks = _parsed(content)
    name = recording or task.source
    if not name:
        raise ConfigurationError("the file does not say of which video it is (source); name it with --recording")
    try:
        found = known.find(name)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (or name it with --recording)") from None
    index = frames.of(found)
    last = len(index) if task.stop_frame is None else min(task.stop_frame + task.step, len(index))
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, track in enumerate(tracks):
        where = f"track {track.attributes.get('id', str(number))}"
        try:
            shapes = [_shape(shape, attributes) for shape, attributes in track.shapes]
            for first, end, attributes in _runs(shapes, last):
                told = {name: text for name, text in attributes.items() if name in ATTRIBUTES}
                told |= {"recording": found.recording_id, "use_case": track.attributes.get("label", "")}
                told |= {"from_frame": str(first), "to_frame": str(end)}
                told["relevant"] = told.get("relevant", "").strip() or "true"
                rows.append(Row(f"{where}, picture {first}", told))
        except ConfigurationError as error:
            problems.append(Problem(where, str(error)))
    return Content(tuple(rows), tuple(problems))


@dataclass(frozen=True)
class _Track:
    """A track as it stands in the file: its attributes, and those of its shapes with what each says of itself."""

    attributes: dict[str, str]
    shapes: list[tuple[dict[str, str], dict[str, str]]]


def _parsed(content: bytes) -> tuple[Task, list[_Track]]:
    """What the file holds, and no more of its elements in memory than one track."""
    task, tracks = Task("", None, 1), []
    root: Any = None
    try:
        for event, element in iterparse(io.BytesIO(content), events=("start", "end"), forbid_dtd=True):
            if root is None:
                root = element
                if root.tag != "annotations":
                    raise ConfigurationError(f"<{root.tag}> is no CVAT file; export from CVAT as “CVAT for video 1.1”")
            if event == "start":
                continue
            if element.tag == "image":
                raise ConfigurationError("these are annotations of images; export from CVAT as “CVAT for video 1.1”")
            if element.tag == "meta":
                task = _task(element)
            elif element.tag == "track":
                tracks.append(_track(element))
                root.clear()
    except ParseError as error:
        raise ConfigurationError(f"not XML: {error}; export it again") from None
    except DefusedXmlException as error:
        raise ConfigurationError(
            f"the XML defines entities or a document type, which CVAT's does not: {error}"
        ) from None
    except (ValueError, LookupError) as error:  # an encoding that its first line claims
        raise ConfigurationError(f"not XML: {error}; save it as UTF-8") from None
    return task, tracks


def _task(meta: Any) -> Task:
    def told(name: str) -> str:
        found = (meta.findtext(path) for path in (f"task/{name}", f"job/{name}", name))
        return next((text.strip() for text in found if text and text.strip()), "")

    stop = told("stop_frame")
    step = re.fullmatch(r"step\s*=\s*([1-9][0-9]{0,6})", told("frame_filter"))
    return Task(told("source"), _frame(stop) if stop else None, int(step[1]) if step else 1)


def _track(element: Any) -> _Track:
    shapes = []
    for child in element:
        if child.tag in SHAPES:
            told = {item.get("name", ""): item.text or "" for item in child.findall("attribute")}
            shapes.append((dict(child.attrib), told))
    return _Track(dict(element.attrib), shapes)


def _shape(attributes: Mapping[str, str], told: Mapping[str, str]) -> Shape:
    outside = attributes.get("outside", "0")
    if outside not in FLAGS:
        raise ConfigurationError(f'outside is "{outside[:80]}"; it is 0 or 1')
    kept = {name: text for name, text in told.items() if name in ATTRIBUTES}
    return Shape(_frame(attributes.get("frame", "")), FLAGS[outside], kept)


def _frame(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ConfigurationError(f'the picture\'s number is "{text[:80]}"; it is whole and at least 0')
    return int(text)


def _runs(shapes: Sequence[Shape], last: int) -> Iterator[tuple[int, int, Mapping[str, str]]]:
    """Visible runs: first picture, the one after the last, and the attributes that hold throughout."""
    ordered = sorted(shapes, key=lambda shape: shape.frame)
    begun: Shape | None = None
    for shape in ordered:
        if begun is not None and (shape.is_outside or shape.attributes != begun.attributes):
            if begun.frame < shape.frame:
                yield begun.frame, shape.frame, begun.attributes
            begun = None
        if begun is None and not shape.is_outside:
            begun = shape
    if begun is not None:
        yield begun.frame, max(last, ordered[-1].frame + 1), begun.attributes


def write_cvat(recording: KnownRecording, labels: Sequence[Label], frames: Frames, outlines: Outlines) -> bytes:
    """Labels of one recording as CVAT's XML, in the order given; the same labels give the same bytes.

    Raises:
        ConfigurationError: an author's name holds what XML cannot.
    """
    index = frames.of(recording)
    root = Element("annotations")
    _add(root, "version", "1.1")
    _add_meta(SubElement(root, "meta"), recording, labels, len(index))
    for number, label in enumerate(labels):
        if not label.author.isprintable():
            raise ConfigurationError(f"author {label.author!r} holds what XML cannot; export these labels as CSV")
        track = SubElement(root, "track", {"id": str(number), "label": label.use_case.name, "source": "manual"})
        region = Region(label.use_case.region, outlines.of(label.use_case))
        first, end = frames_of(index, label.from_us, label.to_us)
        _add_shape(track, first, False, region, recording, label)
        if end < len(index):
            _add_shape(track, end, True, region, recording, label)
    indent(root)
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + body + b"\n"


def _add_meta(meta: Element, recording: KnownRecording, labels: Sequence[Label], size: int) -> None:
    task = SubElement(meta, "task")
    plain = {"name": recording.name, "size": str(size), "mode": "interpolation", "overlap": "0", "bugtracker": ""}
    span = {"start_frame": "0", "stop_frame": str(size - 1), "frame_filter": "", "z_order": "False"}
    for name, text in (plain | span).items():
        _add(task, name, text)
    listed = SubElement(task, "labels")
    regions = sorted({label.use_case.region for label in labels})
    for name in sorted({label.use_case.name for label in labels}):
        element = SubElement(listed, "label")
        _add(element, "name", name)
        attributes = SubElement(element, "attributes")
        _add_attribute(attributes, "relevant", "checkbox", "true", ("true", "false"), mutable=True)
        _add_attribute(attributes, "role", "select", "label", ROLES)
        _add_attribute(attributes, "region", "select", regions[0], regions)
        for text in ("author", "said_at", "from_us", "to_us"):
            _add_attribute(attributes, text, "text", "", ())
    original = SubElement(task, "original_size")
    _add(original, "width", str(recording.width))
    _add(original, "height", str(recording.height))
    _add(task, "source", recording.name)


def _add_attribute(
    parent: Element, name: str, kind: str, default: str, values: Sequence[str], *, mutable: bool = False
) -> None:
    attribute = SubElement(parent, "attribute")
    told = {"name": name, "mutable": str(mutable), "input_type": kind, "default_value": default}
    for tag, text in (told | {"values": "\n".join(values)}).items():
        _add(attribute, tag, text)


def _add_shape(
    track: Element, frame: int, outside: bool, region: Region, recording: KnownRecording, label: Label
) -> None:
    width, height = recording.width, recording.height
    place = {"frame": str(frame), "keyframe": "1", "outside": str(int(outside)), "occluded": "0"}
    if region.is_box:
        (left, top), (right, bottom) = region.bounds
        edges = {"xtl": left * width, "ytl": top * height, "xbr": right * width, "ybr": bottom * height}
        shape = SubElement(track, "box", place | {name: f"{value:.2f}" for name, value in edges.items()})
    else:
        points = ";".join(f"{x * width:.2f},{y * height:.2f}" for x, y in region.outline)
        shape = SubElement(track, "polygon", place | {"points": points})
    told = {
        "relevant": str(label.relevant).lower(),
        "author": label.author,
        "role": label.role,
        "region": label.use_case.region,
        "said_at": said_at_text(label),
        "from_us": str(label.from_us),
        "to_us": str(label.to_us),
    }
    for name, text in told.items():
        _add(shape, "attribute", text).set("name", name)


def _add(parent: Element, tag: str, text: str) -> Element:
    element = SubElement(parent, tag)
    element.text = text
    return element
