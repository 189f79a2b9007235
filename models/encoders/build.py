"""From a specification to an encoder on a device; the family's library is imported only here and only when needed."""

from infra.errors import UnknownNameError
from infra.weights import WeightsFile
from models.encoders.base import Encoder, EncoderSpec
from models.encoders.specs import FAMILIES, check_described


def build(
    spec: EncoderSpec,
    weights: WeightsFile | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
) -> Encoder:
    """Bring `spec` to life.

    Args:
        spec: made by `describe` with the same `weights`.
        weights: the workspace's file for this encoder, if it has one.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`. Handcrafted encoders always use the CPU.
        precision: `auto` (fp16 on a GPU, fp32 on a CPU), `fp32`, `fp16` (GPU only) or `bf16`.
        batch_size: pictures or snippets at once; by default chosen by their size. Halved when a GPU's memory runs out.

    Returns:
        The encoder; `open_clip` ones are also `TextEncoder`s.

    Raises:
        ConfigurationError: spec and weights disagree, the device is not there, or a setting is not known.
        WeightsError: weights are absent, altered or do not fit; the message names the file and the command.
    """
    check_described(spec, weights)
    match spec.family:
        case "afterwatch" | "pytorchvideo" | "torchvision":
            from models.encoders.video import build_video

            return build_video(spec, weights, device=device, precision=precision, batch_size=batch_size)
        case "autoencoder":
            from models.encoders.autoencoder import build_autoencoder_encoder

            return build_autoencoder_encoder(spec, weights, device=device, precision=precision, batch_size=batch_size)
        case "handcrafted":
            from models.encoders.action import ActionEncoder
            from models.encoders.handcrafted import AppearanceEncoder, MotionEncoder
            from models.encoders.velocity import VelocityEncoder

            if spec.name == "handcrafted/action":
                return ActionEncoder(spec)
            if spec.name == "handcrafted/velocity":
                return VelocityEncoder(spec)
            return AppearanceEncoder(spec) if spec.kind == "frame" else MotionEncoder(spec)
        case "open_clip":
            from models.encoders.open_clip import build_open_clip

            return build_open_clip(spec, weights, device=device, precision=precision, batch_size=batch_size)
        case "timm":
            from models.encoders.timm import build_timm

            return build_timm(spec, weights, device=device, precision=precision, batch_size=batch_size)
        case family:
            raise UnknownNameError("encoder family", family, FAMILIES)
