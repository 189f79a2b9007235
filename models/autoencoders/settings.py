"""What decides an autoencoder's shape, and names that are known without loading a network library."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from infra.errors import ConfigurationError, UnknownNameError
from infra.weights import Option
from models.layout import Layout

CELLS = 14
"""Rows, and columns, that the errors of a cuboid are summed in: 16 pixels each at the papers' sizes."""
SMALLEST_PX = 48
MOST_WIDTH = 4.0


@dataclass(frozen=True)
class _Shape:
    """What the three have in common.

    Attributes:
        width: factor on the numbers of channels; 1 is the paper's.
        size_px: height and width of the pictures.
    """

    width: float = 1.0
    size_px: int = 224

    architecture: ClassVar[str] = ""
    cuboid_frames: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if isinstance(self.width, bool) or not isinstance(self.width, int | float) or not 0 < self.width <= MOST_WIDTH:
            raise ConfigurationError(
                f"width of an autoencoder is a factor above 0 and at most {MOST_WIDTH:g}, got {self.width!r}; 1 is the "
                "paper's"
            )
        if isinstance(self.size_px, bool) or not isinstance(self.size_px, int) or self.size_px < SMALLEST_PX:
            raise ConfigurationError(
                f"size_px of an autoencoder is a whole number of at least {SMALLEST_PX} pixels, got {self.size_px!r}"
            )

    def channels(self, count: int) -> int:
        """The paper's `count` of channels times the width, at least 1."""
        return max(1, round(count * self.width))

    @property
    def layout(self) -> Layout:
        """Of the vector of errors."""
        return Layout(CELLS, CELLS, (("error", 1),))

    @property
    def is_the_papers(self) -> bool:
        """Whether size and channels are as published."""
        return self == type(self)()

    def as_options(self) -> dict[str, Option]:
        """What `weights.toml` says of it: as far as it differs from the paper."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}


@dataclass(frozen=True)
class HasanSettings(_Shape):
    """Hasan et al. 2016; see `models.autoencoders.hasan`."""

    size_px: int = 227

    architecture: ClassVar[str] = "hasan"
    cuboid_frames: ClassVar[int] = 10


@dataclass(frozen=True)
class ChongTaySettings(_Shape):
    """Chong and Tay 2017; see `models.autoencoders.chong_tay`."""

    size_px: int = 227

    architecture: ClassVar[str] = "chong_tay"
    cuboid_frames: ClassVar[int] = 10


@dataclass(frozen=True)
class IstlSettings(_Shape):
    """Nawaratne et al. 2019; see `models.autoencoders.istl`."""

    architecture: ClassVar[str] = "istl"
    cuboid_frames: ClassVar[int] = 8


AutoencoderSettings = HasanSettings | ChongTaySettings | IstlSettings
ARCHITECTURES: dict[str, type[HasanSettings] | type[ChongTaySettings] | type[IstlSettings]] = {
    "hasan": HasanSettings,
    "chong_tay": ChongTaySettings,
    "istl": IstlSettings,
}


def settings_of(architecture: str, options: Mapping[str, Option] | None = None) -> AutoencoderSettings:
    """Settings of an architecture by its name.

    Args:
        architecture: `hasan`, `chong_tay` or `istl`.
        options: `width` and `size_px` where they are not the paper's.

    Raises:
        UnknownNameError: there is no such architecture or option.
        ConfigurationError: an option is out of its range.
    """
    if architecture not in ARCHITECTURES:
        raise UnknownNameError("autoencoder", architecture, ARCHITECTURES)
    made = ARCHITECTURES[architecture]
    known = [field.name for field in fields(made)]
    told = dict(options or {})
    for name in told:
        if name not in known:
            raise UnknownNameError(f"option of autoencoder/{architecture}", name, known)
    # Every value is checked by the class itself, whatever its type.
    return made(**told)  # type: ignore[arg-type]
