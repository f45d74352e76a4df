"""The eight backgrounds, drawn on a canvas of 256 px, and the words for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw

from tools.pocket.sketch import CANVAS, RGB, jitter

Ground = tuple[Image.Image, int | None]  # the picture and the horizon's y (None: no ground)


def _land(rng: Random, sky: RGB, ground: RGB) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    horizon = rng.randint(90, 140)
    image = Image.new("RGB", (CANVAS, CANVAS), jitter(sky, rng))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, horizon, CANVAS, CANVAS), fill=jitter(ground, rng))
    return image, draw, horizon


def grass(rng: Random) -> Ground:
    """Draw a meadow under a blue sky."""
    image, draw, horizon = _land(rng, (150, 206, 240), (126, 190, 84))
    for _ in range(26):
        x, y = rng.randint(0, CANVAS), rng.randint(horizon + 10, CANVAS)
        draw.line([(x - 6, y - 12), (x, y), (x + 6, y - 12)], fill=(84, 146, 56), width=4)
    return image, horizon


def sand(rng: Random) -> Ground:
    """Draw a beach under a pale sky."""
    image, draw, horizon = _land(rng, (196, 226, 240), (232, 208, 152))
    draw.rectangle((0, horizon - 14, CANVAS, horizon), fill=(112, 178, 206))
    for _ in range(30):
        x, y = rng.randint(0, CANVAS), rng.randint(horizon + 8, CANVAS)
        draw.ellipse((x, y, x + 9, y + 6), fill=(200, 170, 110))
    return image, horizon


def snow(rng: Random) -> Ground:
    """Draw snow that falls on a white field."""
    image, draw, horizon = _land(rng, (158, 172, 194), (240, 244, 250))
    for _ in range(36):
        x, y = rng.randint(0, CANVAS), rng.randint(0, CANVAS)
        white = (255, 255, 255) if y < horizon else (214, 224, 238)
        draw.ellipse((x, y, x + 9, y + 9), fill=white)
    return image, horizon


def sea(rng: Random) -> Ground:
    """Draw waves under a light sky."""
    image, draw, horizon = _land(rng, (206, 232, 246), (64, 150, 190))
    phase = rng.uniform(0, 6)
    for row, y in enumerate(range(horizon + 16, CANVAS, 26)):
        wave = [(x, y + 5 * math.sin(x / 11 + phase + 2 * row)) for x in range(0, CANVAS + 8, 8)]
        draw.line(wave, fill=(138, 202, 226), width=5)
    return image, horizon


def night(rng: Random) -> Ground:
    """Draw a night sky with small stars and the moon."""
    image = Image.new("RGB", (CANVAS, CANVAS), jitter((24, 28, 66), rng, 6))
    draw = ImageDraw.Draw(image)
    for _ in range(26):
        x, y = rng.randint(0, CANVAS), rng.randint(0, CANVAS)
        draw.ellipse((x, y, x + 6, y + 6), fill=(236, 236, 210))
    x, y = rng.choice((24, CANVAS - 64)), rng.randint(12, 30)
    draw.ellipse((x, y, x + 42, y + 42), fill=(240, 236, 206))
    return image, None


def brick(rng: Random) -> Ground:
    """Draw a brick wall."""
    image = Image.new("RGB", (CANVAS, CANVAS), (206, 192, 180))
    draw = ImageDraw.Draw(image)
    clay, start = jitter((168, 104, 84), rng), rng.randint(-32, 0)
    for row, y in enumerate(range(start, CANVAS, 32)):
        for x in range(-64 + 32 * (row % 2) + start, CANVAS, 64):
            draw.rectangle((x + 3, y + 3, x + 61, y + 29), fill=jitter(clay, rng, 8))
    return image, None


def table(rng: Random) -> Ground:
    """Draw a wooden table before a wall."""
    image, draw, horizon = _land(rng, (226, 220, 206), (158, 108, 62))
    for y in range(horizon + 8, CANVAS, 36):
        draw.line([(0, y), (CANVAS, y)], fill=(112, 72, 40), width=5)
        x = rng.randint(0, CANVAS)
        draw.line([(x, y), (x, y + 36)], fill=(112, 72, 40), width=5)
    return image, horizon


def white(rng: Random) -> Ground:
    """Draw nothing but a bright surface."""
    return Image.new("RGB", (CANVAS, CANVAS), jitter((248, 248, 248), rng, 4)), None


BACKGROUNDS: dict[str, Callable[[Random], Ground]] = {
    f.__name__: f for f in (grass, sand, snow, sea, night, brick, table, white)
}
PHRASES: dict[str, tuple[str, ...]] = {
    "grass": ("on grass", "on the grass", "in a meadow"),
    "sand": ("on sand", "on the sand", "on the beach"),
    "snow": ("in snow", "in the snow", "on snow"),
    "sea": ("in the sea", "on the sea", "in the water"),
    "night": ("at night", "in the night sky"),
    "brick": ("in front of a brick wall", "on a brick wall"),
    "table": ("on a wooden table", "on a table"),
    "white": ("on a white background", "on white"),
}
