"""Labels as COCO-style JSON: categories are use cases, an annotation is a label, its image a picture of the recording.

The form is COCO's object detection (https://cocodataset.org/#format-data) with `videos`, and with `video_id` and
`frame_id` (from 0) on the images, as CocoVID has them; TAO's `frame_index` is read too. What COCO has no place for
stands in an annotation's `attributes`, where CVAT puts its own.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from footage.regions import Point
from infra.errors import ConfigurationError
from lake.labels import Label
from workspace.known_recordings import KnownRecording, KnownRecordings
from workspace.label_files.base import Content, Problem, Row, said_at_text, text_of
from workspace.label_files.pictures import Frames, Outlines, frames_of

ATTRIBUTES = ("relevant", "author", "from_us", "to_us", "role", "region", "said_at")
TIMES = ("from_us", "to_us")


def read_coco(content: bytes) -> Content:
    """Rows of a COCO-style file. An annotation without times stands for its picture, one without an answer is relevant.

    Raises:
        ConfigurationError: it is no such file.
    """
    try:
        told = json.loads(text_of(content), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"not JSON: {error}; export it again") from None
    if not isinstance(told, dict):
        raise ConfigurationError("COCO is an object with images, annotations and categories; this is none")
    images, videos, categories = (_by_id(told, name) for name in ("images", "videos", "categories"))
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, annotation in enumerate(_list(told, "annotations"), start=1):
        where = f"annotation {number}"
        try:
            if not isinstance(annotation, Mapping):
                raise ConfigurationError("an annotation is an object; this is none")
            where = f"annotation {_text(annotation.get('id')) or number}"
            rows.append(Row(where, _row(annotation, images, videos, categories)))
        except ConfigurationError as error:
            problems.append(Problem(where, str(error)))
    return Content(tuple(rows), tuple(problems))


def _row(
    annotation: Mapping[str, Any],
    images: Mapping[str, Mapping[str, Any]],
    videos: Mapping[str, Mapping[str, Any]],
    categories: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    attributes = annotation.get("attributes") or {}
    if not isinstance(attributes, Mapping):
        raise ConfigurationError("attributes is an object; this is none")
    told = {name: _text(attributes.get(name)) for name in ATTRIBUTES}
    told["relevant"] = told["relevant"] or "true"
    told["use_case"] = _text(_referred(annotation, "category_id", categories, "categories").get("name"))
    image = _referred(annotation, "image_id", images, "images")
    if image.get("video_id") is not None:
        video = _referred(image, "video_id", videos, "videos")
        told["recording"] = _text(video.get("name")) or _text(video.get("file_name"))
    if not any(told[name] for name in TIMES):
        told["frame"] = _text(image.get("frame_id", image.get("frame_index")))
        if not told["frame"]:
            raise ConfigurationError(
                f"image {_text(image.get('id'))} has no frame_id, the number of the picture in its video from 0; add it"
            )
    return told


def _referred(
    owner: Mapping[str, Any], field: str, known: Mapping[str, Mapping[str, Any]], listed: str
) -> Mapping[str, Any]:
    key = _text(owner.get(field))
    if key not in known:
        raise ConfigurationError(f'{field} is "{key[:80]}", but {listed} hold no such id; correct it')
    return known[key]


def _by_id(told: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    return {_text(item.get("id")): item for item in _list(told, name) if isinstance(item, Mapping)}


def _list(told: Mapping[str, Any], name: str) -> list[Any]:
    found = told.get(name, [] if name == "videos" else None)
    if not isinstance(found, list):
        raise ConfigurationError(f"COCO holds a list of {name}; this has none")
    return found


def _text(value: Any) -> str:
    """A value as a CSV would hold it; what is no plain value becomes text that no rule lets pass."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def write_coco(labels: Sequence[Label], known: KnownRecordings, frames: Frames, outlines: Outlines) -> bytes:
    """Labels as COCO-style JSON, in the order given; the same labels give the same bytes.

    The image of a label is the first picture on display in its span, the box its region's, in pixels.
    """
    videos: dict[str, dict[str, Any]] = {}
    images: dict[tuple[str, int], dict[str, Any]] = {}
    names = {name: number for number, name in enumerate(sorted({label.use_case.name for label in labels}), start=1)}
    annotations = []
    for number, label in enumerate(labels, start=1):
        recording = known.by_id(label.recording_id)
        video = videos.setdefault(label.recording_id, _video(recording, len(videos) + 1))
        index = frames.of(recording)
        frame, _ = frames_of(index, label.from_us, label.to_us)
        image = images.setdefault(
            (label.recording_id, frame), _image(recording, video["id"], frame, int(index.t_us[frame]), len(images) + 1)
        )
        shape = _shape(outlines.of(label.use_case), recording)
        ids = {"id": number, "image_id": image["id"], "video_id": video["id"]}
        answers = {"category_id": names[label.use_case.name], **shape, "iscrowd": 0, "attributes": _attributes(label)}
        annotations.append(ids | answers)
    told = {
        "info": {"description": "labels of Afterwatch", "version": "1.0"},
        "licenses": [],
        "videos": list(videos.values()),
        "images": list(images.values()),
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in names.items()],
        "annotations": annotations,
    }
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()


def _video(recording: KnownRecording, number: int) -> dict[str, Any]:
    size = {"width": recording.width, "height": recording.height, "fps": recording.rate_hz}
    return {"id": number, "name": recording.name, **size, "recording_id": recording.recording_id}


def _image(recording: KnownRecording, video: int, frame: int, t_us: int, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "video_id": video,
        "frame_id": frame,
        "file_name": f"{recording.name.rsplit('.', 1)[0]}/frame_{frame:06d}.png",
        "width": recording.width,
        "height": recording.height,
        "date_captured": (recording.started_at + timedelta(microseconds=t_us)).isoformat(),
    }


def _shape(outline: Sequence[Point], recording: KnownRecording) -> dict[str, Any]:
    """Box, outline and area in pixels."""
    corners = [(round(x * recording.width, 2), round(y * recording.height, 2)) for x, y in outline]
    xs, ys = zip(*corners, strict=True)
    around = zip(corners, (*corners[1:], corners[0]), strict=True)
    area = abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in around)) / 2
    box = [min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)]
    return {"bbox": box, "segmentation": [[value for corner in corners for value in corner]], "area": round(area, 2)}


def _attributes(label: Label) -> dict[str, Any]:
    return {
        "relevant": label.relevant,
        "author": label.author,
        "from_us": label.from_us,
        "to_us": label.to_us,
        "role": label.role,
        "region": label.use_case.region,
        "said_at": said_at_text(label),
    }
