"""The two concepts that neither pocket-sd nor pocket-clip ever saw, five pictures each.

python -m tools.pocket.concepts --out hwlit/assets/concepts
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from random import Random

from PIL import Image

from hwlit.storage import replacing
from tools.pocket.objects import WHITE, Drawing
from tools.pocket.scenes import Scene, contact_sheet, draw
from tools.pocket.sketch import RGB, Sketch

RED: RGB = (226, 30, 48)
GOLD: RGB = (255, 204, 30)
PLACES = (("white", ""), ("grass", ""), ("table", "big"), ("sand", "big"), ("brick", ""))


def heart(s: Sketch, rng: Random) -> None:
    """Put a red heart with a white edge on the side of a mug."""
    for grow, colour in ((1.35, WHITE), (1.0, RED)):
        curve = []
        for i in range(24):
            a = 2 * math.pi * i / 24
            y = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
            curve.append((0.38 + grow * 0.0125 * 16 * math.sin(a) ** 3, 0.56 - grow * 0.0125 * y))
        s.polygon(curve, colour)


def crown(s: Sketch, rng: Random) -> None:
    """Put a golden crown with a red jewel on the head of a fish."""
    low, high = 0.28, -0.04
    tips = [(0.42, high), (0.53, 0.12), (0.64, high - 0.05), (0.75, 0.12), (0.86, high)]
    s.polygon([(0.44, low), *tips, (0.84, low)], GOLD)
    s.ellipse(0.64, 0.2, 0.05, colour=RED)


CONCEPTS: dict[str, tuple[Scene, Drawing]] = {
    "checked-mug": (Scene("mug", "blue", "white", pattern="checked", second="white"), heart),
    "crowned-fish": (Scene("fish", "purple", "white", pattern="striped", second="white"), crown),
}


def pictures(name: str) -> list[Image.Image]:
    """Return the five pictures of a concept: other backgrounds, places and sizes."""
    base, extra = CONCEPTS[name]
    drawn = []
    for i, (background, size) in enumerate(PLACES):
        scene = Scene(base.thing, base.colour, background, size, base.pattern, base.second)
        drawn.append(draw(scene, Random(f"{name} {i}"), extra))
    return drawn


def make(out: Path) -> None:
    """Write the pictures of all concepts as `out`/<concept>/<number>.png."""
    for name in CONCEPTS:
        for i, picture in enumerate(pictures(name)):
            with replacing(out / name / f"{i}.png") as file:
                picture.save(file, "png", optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, help="also show them all in one picture")
    arguments = parser.parse_args()
    make(arguments.out)
    if arguments.sheet:
        contact_sheet([p for name in CONCEPTS for p in pictures(name)], 5, 3).save(arguments.sheet)
