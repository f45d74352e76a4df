"""What a picture shows, roughly: whether anything at all, and a thumbnail to know copies by."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from PIL import Image

from hwlit.networks.picture_flaws import is_blank

SIDE = 16  # of a thumbnail, in pixels
MOVING = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")  # a phone's MPO holds previews beside its picture


@dataclass(frozen=True)
class Looks:
    """What a picture shows.

    Args:
        thumbnail: Its colours, 16 x 16 x 3 bytes.
        blank: "of one colour" or "transparent" where it shows nothing, else "".
        moving: Whether it has more frames than the first, which is read.
    """

    thumbnail: bytes = b""
    blank: str = ""
    moving: bool = False


def looks_of(rgb: Image.Image, transparent: bool, moving: bool) -> Looks:
    """Return what a picture shows.

    Args:
        rgb: The picture as it is trained on.
        transparent: Whether all of it is.
        moving: Whether it has more frames.
    """
    blank = "of one colour" if is_blank(rgb) else ""
    small = rgb.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Looks(small.tobytes(), "transparent" if transparent else blank, moving)


def is_moving(image: Image.Image) -> bool:
    """Return whether a picture that was read has more frames; of a broken second one: none."""
    with contextlib.suppress(Exception):  # of many decoders, with no common base
        return image.format in MOVING and bool(getattr(image, "is_animated", False))
    return False
