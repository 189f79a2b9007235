"""Boxes that are painted over before anything looks at a picture: burnt-in words, clocks, borders."""

from collections.abc import Sequence
from dataclasses import dataclass

from footage.pictures import Rgb
from footage.regions import MASK_GREY
from infra.errors import ConfigurationError


@dataclass(frozen=True)
class Mask:
    """A box, flat mid grey from then on.

    Attributes:
        x, y: upper left corner.
        width, height: size, above 0.
        in_pixels: in pixels of the footage; otherwise in fractions of the picture.
    """

    x: float
    y: float
    width: float
    height: float
    in_pixels: bool

    def __post_init__(self) -> None:
        if not (min(self.x, self.y) >= 0 and min(self.width, self.height) > 0):
            raise ConfigurationError(f"a mask begins inside the picture and has an area, got {self}")
        if not self.in_pixels and max(self.x + self.width, self.y + self.height) > 1 + 1e-9:
            raise ConfigurationError(f"a mask in fractions ends inside the picture, got {self}")

    @classmethod
    def parse(cls, text: str) -> "Mask":
        """From `x,y,width,height`: fractions where all four are at most 1, pixels otherwise.

        Raises:
            ConfigurationError: it does not read so.
        """
        try:
            x, y, width, height = (float(part) for part in text.split(","))
        except ValueError:
            raise ConfigurationError(
                f'--mask "{text}": give x,y,width,height, in pixels or in fractions of the picture'
            ) from None
        return cls(x, y, width, height, max(x, y, width, height) > 1)

    def paint(self, picture: Rgb) -> None:
        """Paint it into uint8 (H, W, 3); what lies outside the picture is left out."""
        across, down = (1, 1) if self.in_pixels else (picture.shape[1], picture.shape[0])
        left, right = round(self.x * across), round((self.x + self.width) * across)
        top, bottom = round(self.y * down), round((self.y + self.height) * down)
        picture[top:bottom, left:right] = MASK_GREY

    def __str__(self) -> str:
        unit = "pixels" if self.in_pixels else "of the picture"
        return f"{self.width:g} × {self.height:g} at {self.x:g}, {self.y:g} ({unit})"


def painted(picture: Rgb, masks: Sequence[Mask]) -> Rgb:
    """The picture with every mask painted; itself where there is none."""
    if not masks:
        return picture
    covered = picture.copy()
    for mask in masks:
        mask.paint(covered)
    return covered
