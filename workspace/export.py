"""A classifier of the registry as one ONNX file, written only if it gives the classifier's own numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from infra.errors import ConfigurationError, LakeError
from infra.weights import WeightsFile, read_weights
from lake.audit import About
from models.encoders.base import Encoder, Pixels, Vectors
from models.encoders.build import build
from models.encoders.lookup import find_weights
from models.encoders.specs import describe
from models.encoders.torch_runner import TorchEncoder
from models.heads.classifier import ClassifierHead
from models.onnx_export import (
    Graph,
    checked_difference,
    classifier_graph,
    head_graph,
    random_vectors,
    random_windows,
    unit_range,
)
from models.windows import Pooling, Rows, joined
from workspace.classifiers import KIND, FoundClassifier, find_classifier, load_head, threshold_of
from workspace.clip_vectors import ClassifierInput, Inputs
from workspace.opened import Workspace
from workspace.output_files import write_files

CHECKED_WINDOWS: Final = 3
"""Random windows that graph and classifier are compared on; another number than was traced."""


@dataclass(frozen=True)
class Exported:
    """An ONNX file that was written.

    Attributes:
        path: of it.
        classifier, version: of what.
        input_name: `frames` or `vectors`.
        input_shape: of one window: (3, T, H, W) or (D,); before it the file has a free number of windows.
        classes: of its outputs.
        largest_difference: from the classifier itself, of a logit or a probability, on random windows.
        bytes: size of the file.
    """

    path: Path
    classifier: str
    version: str
    input_name: str
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    largest_difference: float
    bytes: int


def export_classifier(
    workspace: Workspace, name: str, output: Path, *, version: str | None = None, head_only: bool = False
) -> Exported:
    """Write a classifier as ONNX: network and head, or the head alone.

    Args:
        workspace: whose registry and weights.
        name: of the classifier.
        output: the file, replaced if it is there.
        version: of the classifier; None: the one in service.
        head_only: the joined vector of a window goes in instead of its pictures.

    Raises:
        ConfigurationError: there is no such classifier (UnknownNameError), it has several inputs or one that is no
            network and `head_only` was not said, the graph cannot be made, differs, or cannot be written.
        LakeError: the workspace's weights make other vectors than the classifier was fitted on.
    """
    if output.suffix != ".onnx":
        raise ConfigurationError(f"{output} does not end in .onnx; name the file so")
    found = find_classifier(workspace, name, version)
    workspace.guard.ask("take footage and results away", About((f"{KIND}/{found.name}/{found.version}",)))
    head, inputs = load_head(workspace, found), Inputs.from_card(found.card)
    metadata = _metadata(workspace, found, inputs)
    if head_only:
        graph, difference = _head(head, inputs, metadata)
    else:
        graph, difference = _whole(workspace, found, head, inputs, metadata)
    write_files({output: graph.content})
    return Exported(
        output,
        found.name,
        found.version,
        graph.input_name,
        graph.input_shape,
        head.classes,
        difference,
        len(graph.content),
    )


def _head(head: ClassifierHead, inputs: Inputs, metadata: Mapping[str, str]) -> tuple[Graph, float]:
    parts = [{"encoder": item.encoder, "space": item.space, "pooling": item.pooling} for item in inputs.items]
    graph = head_graph(head, {**metadata, "inputs": json.dumps(parts), "dimension": str(head.dimension)})
    vectors = random_vectors(CHECKED_WINDOWS, head.dimension) * head.scale + head.offset
    return graph, checked_difference(graph, vectors, head.logits(vectors), head.probabilities(vectors))


def _whole(
    workspace: Workspace, found: FoundClassifier, head: ClassifierHead, inputs: Inputs, metadata: Mapping[str, str]
) -> tuple[Graph, float]:
    if len(inputs.items) != 1:
        names = ", ".join(item.encoder for item in inputs.items)
        raise ConfigurationError(
            f"classifier {found.name} joins the vectors of {len(inputs.items)} encoders ({names}), and one graph holds one "
            "network; export the head alone with --head-only and run the encoders as they are"
        )
    (item,) = inputs.items
    encoder = _network(workspace, found, item)
    frames = encoder.spec.snippet_frames if item.kind == "snippet" else _frames(inputs)
    window = (frames, *encoder.spec.input_size)
    rate_hz = encoder.spec.snippet_rate_hz if item.kind == "snippet" else inputs.frame_rate_hz
    told = {
        **metadata,
        "encoder": encoder.spec.name,
        "space": encoder.spec.space,
        "weights": encoder.spec.weights,
        "preprocessing": encoder.spec.preprocessing,
        "pooling": item.pooling,
        "frames": str(frames),
        "rate_hz": f"{rate_hz:g}",
        "height": str(window[1]),
        "width": str(window[2]),
    }
    graph = classifier_graph(encoder.module, encoder.normalisation, item.pooling, head, window, told)
    pixels = random_windows(CHECKED_WINDOWS, window)
    vectors = window_vectors(encoder, pixels, item.pooling)
    difference = checked_difference(graph, unit_range(pixels), head.logits(vectors), head.probabilities(vectors))
    return graph, difference


def input_encoder(
    workspace: Workspace,
    found: FoundClassifier,
    item: ClassifierInput,
    *,
    device: str = "auto",
    precision: str = "auto",
) -> Encoder:
    """An input of a classifier brought to life, as the classifier was fitted on it.

    Args:
        workspace: whose weights.
        found: the classifier.
        item: one of its inputs.
        device, precision: see `models.encoders.build.build`.

    Raises:
        LakeError: the workspace's weights make other vectors now.
    """
    known = read_weights(workspace.site.weights_folder)
    weights: WeightsFile | None = find_weights(known, item.encoder)
    spec = describe(item.encoder, weights)
    if spec.space != item.space:
        raise LakeError(
            f"classifier {found.name} {found.version} was fitted on vectors of {item.space}, and {item.encoder} now makes "
            f"those of {spec.space}; put its weights back, or fit the classifier again"
        )
    return build(spec, weights, device=device, precision=precision)


def _network(workspace: Workspace, found: FoundClassifier, item: ClassifierInput) -> TorchEncoder:
    """The network of an input on the CPU, in full precision."""
    encoder = input_encoder(workspace, found, item, device="cpu", precision="fp32")
    if not isinstance(encoder, TorchEncoder):
        raise ConfigurationError(
            f"classifier {found.name} looks through {item.encoder}, which is no network and has no form in ONNX; export "
            "the head alone with --head-only and run the encoder as it is"
        )
    return encoder


def _frames(inputs: Inputs) -> int:
    """Pictures of a window that a frame encoder sees."""
    return max(1, round(inputs.window_s * (inputs.frame_rate_hz or 0)))


def window_vectors(encoder: Encoder, pixels: Pixels, pooling: Pooling) -> Vectors:
    """The vector of each window, as the night makes it.

    Args:
        encoder: of snippets for pooling `window`, else of single pictures.
        pixels: uint8 (N, T, H, W, 3).
        pooling: what a window takes of its pictures.

    Returns:
        float32 (N, D).
    """
    if pooling == "window":
        return encoder.encode(pixels)
    starts = np.arange(pixels.shape[1], dtype=np.int64)
    window = (starts[:1], starts[-1:] + 1)
    rows = (Rows(starts, starts + 1, encoder.encode(pictures)) for pictures in pixels)
    return np.concatenate([joined([(pooling, each)], window)[1] for each in rows])


def _metadata(workspace: Workspace, found: FoundClassifier, inputs: Inputs) -> dict[str, str]:
    """What the file says of itself: texts, lists and objects as JSON."""
    thresholds = {name: threshold_of(workspace, found, name) for name in found.classes}
    return {
        "made_by": "Afterwatch",
        "model": f"{KIND}/{found.name}/{found.version}",
        "name": found.name,
        "version": found.version,
        "classes": json.dumps(list(found.classes)),
        "normal": json.dumps(found.card.get("normal")),
        "thresholds": json.dumps({name: point.threshold for name, point in thresholds.items()}),
        "threshold_criteria": json.dumps({name: point.criterion for name, point in thresholds.items()}),
        "window_s": f"{inputs.window_s:g}",
        "stride_s": f"{inputs.stride_s:g}",
    }
