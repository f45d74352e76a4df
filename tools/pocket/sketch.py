"""A canvas of 256 px on which one object is drawn in unit coordinates, then shrunk to 64 px.

An object has a body, which takes its colour and pattern, and details in colours of their own. All
shapes also widen the outline, so that an object stands out even from a background of its colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from PIL import Image, ImageChops, ImageDraw

SIZE = 64
SCALE = 4
CANVAS = SIZE * SCALE
RGB = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
PATTERNS = ("plain", "striped", "spotted", "checked", "half")


def shift(colour: RGB, by: float) -> RGB:
    """Return a lighter (`by` > 0) or a darker colour; `by` in [-1, 1]."""
    to = 255 if by > 0 else 0
    red, green, blue = (round(c + (to - c) * abs(by)) for c in colour)
    return red, green, blue


def jitter(colour: RGB, rng: Random, by: int = 10) -> RGB:
    """Return the colour with each channel moved by at most `by`."""
    red, green, blue = (max(0, min(255, c + rng.randint(-by, by))) for c in colour)
    return red, green, blue


class Sketch:
    """One object: every point (x, y) in [0, 1] x [0, 1], y down, inside a square of the canvas.

    Args:
        left: x of the square's left side, canvas pixels.
        top: y of its top side, canvas pixels.
        width: its side, canvas pixels.
        flip: Mirror left and right.
    """

    def __init__(self, left: float, top: float, width: float, flip: bool = False) -> None:
        self.left, self.top, self.width, self.flip = left, top, width, flip
        self._edge = max(4.0, width * 0.05)
        self._body = Image.new("L", (CANVAS, CANVAS))
        self._outline = Image.new("L", (CANVAS, CANVAS))
        self._details = Image.new("RGBA", (CANVAS, CANVAS))
        self._on_body = ImageDraw.Draw(self._body)
        self._on_outline = ImageDraw.Draw(self._outline)
        self._on_details = ImageDraw.Draw(self._details)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        x = 1 - x if self.flip else x
        return self.left + x * self.width, self.top + y * self.width

    def polygon(self, points: Points, colour: RGB | None = None) -> None:
        """Fill a polygon: part of the body, or a detail of a given colour."""
        corners = [self._at(*p) for p in points]
        if colour is None:
            self._on_body.polygon(corners, fill=255)
        else:
            self._on_details.polygon(corners, fill=(*colour, 255))
        self._on_outline.polygon(corners, fill=255)
        closed = [*corners, corners[0], corners[1]]
        self._on_outline.line(closed, fill=255, width=round(2 * self._edge), joint="curve")

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB | None = None) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float | None = None, colour: RGB | None = None
    ) -> None:
        """Fill an ellipse of centre (x, y) and radii `rx`, `ry` (a circle without `ry`)."""
        ry = rx if ry is None else ry
        cx, cy = self._at(x, y)
        rx, ry = rx * self.width, ry * self.width
        inner = (cx - rx, cy - ry, cx + rx, cy + ry)
        if colour is None:
            self._on_body.ellipse(inner, fill=255)
        else:
            self._on_details.ellipse(inner, fill=(*colour, 255))
        e = self._edge
        self._on_outline.ellipse((cx - rx - e, cy - ry - e, cx + rx + e, cy + ry + e), fill=255)

    def line(self, points: Points, width: float, colour: RGB | None = None) -> None:
        """Draw a line of `width` (unit coordinates), in the body's colour or its own."""
        corners = [self._at(*p) for p in points]
        wide = max(1, round(width * self.width))
        if colour is None:
            self._on_body.line(corners, fill=255, width=wide, joint="curve")
        else:
            self._on_details.line(corners, fill=(*colour, 255), width=wide, joint="curve")
        wider = wide + round(2 * self._edge)
        self._on_outline.line(corners, fill=255, width=wider, joint="curve")

    def arc(self, x: float, y: float, r: float, start: float, end: float, width: float) -> None:
        """Draw a circular arc of the body from `start` to `end`, degrees, clockwise from east."""
        steps = [math.radians(start + (end - start) * i / 16) for i in range(17)]
        self.line([(x + r * math.cos(a), y + r * math.sin(a)) for a in steps], width)

    def onto(self, scene: Image.Image, colour: RGB, pattern: str, second: RGB) -> None:
        """Paste the finished object onto an RGB image of the canvas's size."""
        dark = sum(colour) < 200
        scene.paste(shift(colour, 0.6) if dark else shift(colour, -0.65), mask=self._outline)
        fill = ImageChops.multiply(self._filled(colour, pattern, second), _SHADE)
        scene.paste(fill, mask=self._body)
        scene.paste(self._details, mask=self._details)

    def _filled(self, colour: RGB, pattern: str, second: RGB) -> Image.Image:
        fill = Image.new("RGB", (CANVAS, CANVAS), colour)
        draw = ImageDraw.Draw(fill)
        cell = self.width / 7
        if pattern == "half":
            draw.rectangle((0, self.top + self.width / 2, CANVAS, CANVAS), fill=second)
        for i in range(-1, 9):
            x = self.left + i * cell
            if pattern == "striped" and i % 2:
                draw.rectangle((x, 0, x + cell, CANVAS), fill=second)
            for j in range(-1, 9):
                y = self.top + j * cell
                if pattern == "checked" and (i + j) % 2:
                    draw.rectangle((x, y, x + cell, y + cell), fill=second)
                if pattern == "spotted" and (i + j) % 2:
                    draw.ellipse((x, y, x + cell, y + cell), fill=second)
        return fill


def _shade() -> Image.Image:
    """Return a soft light from above, as factors of 255."""
    column = Image.new("L", (1, CANVAS))
    column.putdata([255 - round(40 * y / CANVAS) for y in range(CANVAS)])
    return column.resize((CANVAS, CANVAS)).convert("RGB")


_SHADE = _shade()
