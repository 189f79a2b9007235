"""timm's image backbones: the pooled features before the classifier."""

from collections.abc import Mapping
from typing import Any

import timm
from timm.models import get_arch_pretrained_cfgs
from torch import Tensor

from infra.errors import ConfigurationError, UnknownNameError
from infra.weights import Option, WeightsFile
from models.encoders.base import EncoderSpec
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

RESERVED = ("in_chans", "num_classes", "pretrained")
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def build_timm(
    spec: EncoderSpec, weights: WeightsFile | None, *, device: str, precision: str, batch_size: int | None
) -> TorchEncoder:
    """A `timm/…` encoder; see `build`."""
    architecture = split_name(spec.name).architecture
    with seeded(spec):
        match spec.weights.split(":"):
            case ["random", _]:
                module = _create(spec, architecture, {})
            case ["sha256", _]:
                file = given_file(spec, weights)
                module = _create(spec, architecture, file.options)
                load_strictly(module, read_state_dict(file), encoder=spec.name, dropped=_classifier(module))
            case ["hub", tag]:
                module = _from_hub(spec, architecture, tag)
            case _:
                refuse_unknown_source(spec)
    _check_size(spec, module, {} if weights is None else weights.options)
    dimension = int(getattr(module, "head_hidden_size", None) or module.num_features)
    pixels = normalisation(spec.name, weights)
    return TorchEncoder(module, spec, pixels, dimension, device=device, precision=precision, batch_size=batch_size)


def _create(spec: EncoderSpec, architecture: str, options: Mapping[str, Option]) -> Any:
    told: dict[str, Any] = {key: value for key, value in options.items() if key != "input_size"}
    reserved = sorted(set(told) & set(RESERVED))
    if reserved:
        raise ConfigurationError(f"{spec.name}: options {reserved} are set by Afterwatch; remove them in weights.toml")
    try:
        return timm.create_model(architecture, pretrained=False, num_classes=0, **told)
    except TypeError as error:
        raise ConfigurationError(f"{spec.name} refuses options {told} ({error}); correct weights.toml") from error


def _classifier(module: Any) -> tuple[str, ...]:
    names = module.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def _from_hub(spec: EncoderSpec, architecture: str, tag: str) -> Any:
    known = {key: config for key, config in _tags(architecture).items() if config.has_weights}
    if tag not in known:
        raise UnknownNameError(f"weights of timm/{architecture}", tag, known)
    config = known[tag]
    _check_against_hub(spec, config)
    if config.hf_hub_id:
        files = (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES
        path = repository_file(spec.name, config.hf_hub_id, files)
    else:
        path = address_file(spec.name, config.url)
    state: dict[str, Tensor] = read_state_file(path)
    # timm converts older layouts, and is strict only while the class count is the file's own: so the classifier is
    # loaded with the rest and taken off afterwards.
    module: Any = timm.create_model(
        f"{architecture}.{tag}", pretrained=True, pretrained_cfg_overlay={"state_dict": state}
    )
    module.reset_classifier(0)
    return module


def _tags(architecture: str) -> dict[str, Any]:
    return {name.partition(".")[2]: config for name, config in get_arch_pretrained_cfgs(architecture).items()}


def _check_against_hub(spec: EncoderSpec, config: Any) -> None:
    size = tuple(config.input_size[1:])
    pixels = normalisation(spec.name)
    differing = []
    if size != spec.input_size:
        differing.append(f"input_size {spec.input_size} (timm: {size})")
    if (tuple(config.mean), tuple(config.std)) != (pixels.mean, pixels.std):
        differing.append(f"{pixels} (timm: mean {tuple(config.mean)}; std {tuple(config.std)})")
    if differing:
        raise ConfigurationError(
            f"{spec.name} was trained otherwise than its name lets expect: {'; '.join(differing)}; add its file with "
            f'"afterwatch weights add {spec.name} FILE" and give input_size, mean and std'
        )


def _check_size(spec: EncoderSpec, module: Any, options: Mapping[str, Option]) -> None:
    config = module.pretrained_cfg
    if not config.get("fixed_input_size"):
        return
    told = options.get("img_size")
    size = (told, told) if isinstance(told, int) else tuple(config["input_size"][1:])
    if size != spec.input_size:
        raise ConfigurationError(
            f"{spec.name} takes pictures of {size} only, its spec says {spec.input_size}; "
            "set the option img_size in weights.toml"
        )
