"""What is wrong with pictures that show nothing, or that are all one: a broken pipeline draws such.

Used alike for the pictures of a concept, for class pictures and for what is drawn in a test.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

# Levels of 255 in which two pixels are the same: JPEG may leave so much of one colour, and a
# picture that is drawn with others may be rounded otherwise than alone.
SAME_LEVELS = 2
EQUAL = "are all equal"
BLANK = "are each of one colour"


def is_blank(picture: Image.Image) -> bool:
    """Return whether a picture is of one colour, within `SAME_LEVELS` in each channel."""
    pixels = np.asarray(picture.convert("RGB"))
    spans = pixels.max(axis=(0, 1)).astype(int) - pixels.min(axis=(0, 1))
    return bool(spans.max() <= SAME_LEVELS)


def flaw_of(pictures: Iterable[Image.Image]) -> str:
    """Return what is wrong with a set, so that a measure of it means nothing; "" where all is well.

    Args:
        pictures: The set; only as many are taken as it takes to tell.

    Returns:
        `BLANK`, `EQUAL` or "": what follows after "the pictures".
    """
    first: np.ndarray
    first, count = np.empty(0, np.int16), 0
    blank = equal = True
    for picture in pictures:
        pixels: np.ndarray = np.asarray(picture.convert("RGB")).astype(np.int16)
        first, count = pixels if count == 0 else first, count + 1
        blank = blank and is_blank(picture)
        equal = equal and pixels.shape == first.shape
        equal = equal and bool(np.abs(pixels - first).max() <= SAME_LEVELS)
        if not blank and not equal:
            return ""
    if count and blank:
        return BLANK
    return EQUAL if count > 1 else ""
