"""open_clip's image and text towers: vectors in the space that pictures and words share."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip  # type: ignore[import-untyped]  # ships no type information
import torch
from open_clip.convert import convert_state_dict  # type: ignore[import-untyped]  # as above
from open_clip.model import convert_to_custom_text_state_dict  # type: ignore[import-untyped]  # as above
from open_clip.pretrained import (  # type: ignore[import-untyped]  # as above
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from torch import Tensor, nn

from infra.errors import ConfigurationError, UnknownNameError, WeightsError
from infra.weights import Option, WeightsFile
from models.encoders.architectures import Normalisation
from models.encoders.base import EncoderSpec, Vectors
from models.encoders.hub import address_file, repository_file
from models.encoders.specs import normalisation, split_name
from models.encoders.torch_runner import TorchEncoder, seeded
from models.encoders.weights import (
    given_file,
    load_strictly,
    read_state_dict,
    read_state_file,
    refuse_unknown_source,
)

HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TEXTS_AT_ONCE = 64
# Of the loss, of OpenAI's exported archives, and of older text towers: none takes part in a vector.
NO_FEATURES = (
    "context_length",
    "input_resolution",
    "logit_bias",
    "logit_scale",
    "text.transformer.embeddings.position_ids",
    "vocab_size",
)

Tokenizer = Callable[[Sequence[str]], Tensor]


class ImageTower(nn.Module):
    """The picture's way through a CLIP model; not normalised to unit length."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, D)."""
        features: Tensor = self.model.encode_image(images)
        return features


class OpenClipEncoder(TorchEncoder):
    """Pictures and, as a `TextEncoder`, words."""

    def __init__(
        self,
        model: Any,
        spec: EncoderSpec,
        pixels: Normalisation,
        dimension: int,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        super().__init__(
            ImageTower(model), spec, pixels, dimension, device=device, precision=precision, batch_size=batch_size
        )
        self._model = model
        self._tokenizer: Tokenizer | None = None

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Place words into the pictures' space.

        Args:
            texts: any number of texts; what exceeds the model's context is cut off.

        Returns:
            float32 (N, D), L2-normalised, comparable with `encode`'s vectors by cosine.

        Raises:
            TypeError: one string instead of several.
            WeightsError: the model's vocabulary is not on this machine.
        """
        if isinstance(texts, str):
            raise TypeError(f"encode_text takes a list of texts, got the text {texts!r}; write [text]")
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        tokens = self._tokens(texts)
        found = self._in_batches(
            len(texts), lambda start, stop: self._model.encode_text(tokens[start:stop].to(self._device))
        )
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(length, np.finfo(np.float32).tiny), np.float32)

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        architecture = split_name(self.spec.name).architecture
        if self._tokenizer is None:
            try:
                self._tokenizer = open_clip.get_tokenizer(architecture)
            # Vocabularies of non-CLIP text towers live on a hub, whose client raises errors of many libraries.
            except Exception as error:
                raise WeightsError(
                    f"{self.spec.name}: the vocabulary of its text tower cannot be had ({error}); "
                    "pictures can be encoded all the same; for words choose a model with CLIP's own vocabulary "
                    '("open_clip/ViT-B-32", say) or fill the hub\'s cache where there is a network'
                ) from error
        tokenizer = self._tokenizer
        return torch.cat(
            [tokenizer(list(texts[at : at + TEXTS_AT_ONCE])) for at in range(0, len(texts), TEXTS_AT_ONCE)]
        )


def build_open_clip(
    spec: EncoderSpec, weights: WeightsFile | None, *, device: str, precision: str, batch_size: int | None
) -> OpenClipEncoder:
    """An `open_clip/…` encoder; see `build`."""
    architecture = split_name(spec.name).architecture
    with seeded(spec):
        match spec.weights.split(":"):
            case ["random", _]:
                model = create_untrained(spec, architecture, {})
            case ["sha256", _]:
                file = given_file(spec, weights)
                model = create_untrained(spec, architecture, file.options)
                _load(model, read_state_dict(file), spec)
            case ["hub", tag]:
                path = _hub_file(spec, architecture, tag)
                model = create_untrained(spec, architecture, {})
                _load(model, read_state_file(path), spec)
            case _:
                refuse_unknown_source(spec)
    size = model.visual.image_size
    if tuple(size if isinstance(size, tuple) else (size, size)) != spec.input_size:
        raise ConfigurationError(
            f"{spec.name} takes pictures of {size}, its spec says {spec.input_size}; remove the option that changes it"
        )
    dimension = int(open_clip.get_model_config(architecture)["embed_dim"])
    return OpenClipEncoder(
        model,
        spec,
        normalisation(spec.name, weights),
        dimension,
        device=device,
        precision=precision,
        batch_size=batch_size,
    )


def create_untrained(spec: EncoderSpec, architecture: str, options: Mapping[str, Option]) -> Any:
    """The untrained model, with the activation that the named weights were trained with."""
    label = split_name(spec.name).label or ""
    told: dict[str, Option] = dict(options)
    config = get_pretrained_cfg(architecture, label)
    # Weights trained with QuickGELU run without complaint under GELU and give vectors that are a little wrong.
    if config.get("quick_gelu", False):
        told.setdefault("quick_gelu", True)
    root = logging.getLogger()
    # It would warn of random weights each time: here they are loaded afterwards, strictly, or were asked for by name.
    root.addFilter(_not_of_random_weights)
    try:
        return open_clip.create_model(
            architecture, pretrained=None, pretrained_image=False, pretrained_text=False, device="cpu", **told
        )
    except TypeError as error:
        raise ConfigurationError(f"{spec.name} refuses options {told} ({error}); correct weights.toml") from error
    # A text tower that open_clip takes from transformers asks a hub for its configuration.
    except (OSError, RuntimeError, ImportError) as error:
        raise WeightsError(
            f"{spec.name}: its text tower needs files that are not on this machine ({error}); choose a model whose "
            "text tower is open_clip's own (\"open_clip/ViT-B-32\", say) or fill the hub's cache where there is a network"
        ) from error
    finally:
        root.removeFilter(_not_of_random_weights)


def _not_of_random_weights(record: logging.LogRecord) -> bool:
    return "initialized randomly" not in record.getMessage()


def _hub_file(spec: EncoderSpec, architecture: str, tag: str) -> Path:
    config = get_pretrained_cfg(architecture, tag)
    if not config:
        raise UnknownNameError(
            f"weights of open_clip/{architecture}", tag, (*list_pretrained_tags_by_model(architecture), "random")
        )
    pixels = normalisation(spec.name)
    if (tuple(config["mean"]), tuple(config["std"])) != (pixels.mean, pixels.std):
        raise ConfigurationError(
            f"{spec.name} was trained with mean {config['mean']} and std {config['std']}, its name lets expect {pixels}; "
            f'add its file with "afterwatch weights add {spec.name} FILE" and give mean and std'
        )
    if config.get("hf_hub"):
        repository, _, filename = str(config["hf_hub"]).rpartition("/")
        return repository_file(spec.name, repository, (filename,) if filename else HUB_FILES)
    return address_file(spec.name, str(config["url"]))


def _load(model: Any, state: dict[str, Tensor], spec: EncoderSpec) -> None:
    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    load_strictly(model, state, encoder=spec.name, dropped=NO_FEATURES)
