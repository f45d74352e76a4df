"""The drawn objects: ten that pocket-sd knows, six more for pocket-clip and the autoencoder.

Each function draws one object on a sketch (unit coordinates, y down) with proportions and details
from `rng`. Whatever has no colour of its own is the body.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from tools.pocket.sketch import RGB, Sketch

DARK: RGB = (40, 40, 44)
WHITE: RGB = (250, 250, 250)
GLASS: RGB = (196, 226, 240)
BROWN: RGB = (122, 78, 44)
GOLD: RGB = (250, 200, 40)
LEAF: RGB = (52, 130, 58)
GREY: RGB = (150, 150, 156)


def car(s: Sketch, rng: Random) -> None:
    """Draw a car from its side."""
    roof = rng.uniform(0.22, 0.32)
    back = rng.uniform(0.12, 0.22)
    s.polygon([(0.02, 0.52), (0.98, 0.52), (0.98, 0.76), (0.02, 0.76)])
    s.polygon([(back, 0.54), (back + 0.1, roof), (0.66, roof), (0.82, 0.54)])
    s.polygon(
        [(back + 0.08, 0.5), (back + 0.14, roof + 0.06), (0.44, roof + 0.06), (0.44, 0.5)], GLASS
    )
    s.polygon([(0.5, 0.5), (0.5, roof + 0.06), (0.63, roof + 0.06), (0.74, 0.5)], GLASS)
    s.box(0.9, 0.56, 0.99, 0.63, GOLD)
    r = rng.uniform(0.11, 0.14)
    for x in (0.25, 0.76):
        s.ellipse(x, 0.77, r, colour=DARK)
        s.ellipse(x, 0.77, r * 0.45, colour=GREY)


def house(s: Sketch, rng: Random) -> None:
    """Draw a house with a roof, a door and windows."""
    eaves = rng.uniform(0.36, 0.46)
    s.box(0.66, 0.1, 0.77, 0.4, GREY)
    s.box(0.12, eaves, 0.88, 0.96)
    s.polygon([(0.02, eaves + 0.02), (0.5, 0.04), (0.98, eaves + 0.02)], (104, 62, 52))
    door = rng.choice((0.42, 0.2))
    s.box(door, 0.68, door + 0.18, 0.96, BROWN)
    for x in (0.2, 0.66) if door == 0.42 else (0.48, 0.7):
        s.box(x, eaves + 0.12, x + 0.15, eaves + 0.28, GLASS)


def tree(s: Sketch, rng: Random) -> None:
    """Draw a broad-leaved tree."""
    w = rng.uniform(0.06, 0.09)
    s.polygon([(0.5 - w, 0.5), (0.5 + w, 0.5), (0.5 + w * 1.5, 1.0), (0.5 - w * 1.5, 1.0)], BROWN)
    for x, y in ((0.27, 0.46), (0.73, 0.46), (0.36, 0.24), (0.64, 0.24), (0.5, 0.4)):
        s.ellipse(x + rng.uniform(-0.03, 0.03), y, rng.uniform(0.2, 0.24))


def fish(s: Sketch, rng: Random) -> None:
    """Draw a fish that looks to the right."""
    h = rng.uniform(0.22, 0.3)
    s.polygon([(0.24, 0.5), (0.0, 0.24), (0.06, 0.5), (0.0, 0.76)])
    s.polygon([(0.36, 0.52 - h), (0.56, 0.36 - h), (0.7, 0.54 - h), (0.55, 0.5)])
    s.ellipse(0.58, 0.5, 0.4, h)
    s.ellipse(0.8, 0.44, 0.065, colour=WHITE)
    s.ellipse(0.815, 0.44, 0.036, colour=DARK)
    s.polygon([(0.5, 0.52), (0.36, 0.64), (0.54, 0.66)], GREY)


def mug(s: Sketch, rng: Random) -> None:
    """Draw a mug of coffee with its handle at the right."""
    top, w = rng.uniform(0.16, 0.24), rng.uniform(0.66, 0.72)
    s.arc(w, 0.54, 0.19, -80, 80, 0.1)
    s.box(0.08, top, w, 0.86)
    s.ellipse((0.08 + w) / 2, 0.86, (w - 0.08) / 2, 0.08)
    s.ellipse((0.08 + w) / 2, top, (w - 0.08) / 2, 0.09, colour=WHITE)
    s.ellipse((0.08 + w) / 2, top + 0.01, (w - 0.16) / 2, 0.055, colour=(84, 50, 30))


def star(s: Sketch, rng: Random) -> None:
    """Draw a five-pointed star with a face."""
    inner = rng.uniform(0.22, 0.27)
    tips = [math.radians(-90 + 36 * i) for i in range(10)]
    radii = (0.52, inner)
    s.polygon(
        [
            (0.5 + radii[i % 2] * math.cos(a), 0.54 + radii[i % 2] * math.sin(a))
            for i, a in enumerate(tips)
        ]
    )
    for x in (0.42, 0.58):
        s.ellipse(x, 0.47, 0.05, colour=WHITE)
        s.ellipse(x, 0.48, 0.028, colour=DARK)


def flower(s: Sketch, rng: Random) -> None:
    """Draw a flower with a stem and a leaf."""
    s.line([(0.5, 0.4), (0.5, 1.0)], 0.06, LEAF)
    s.polygon([(0.5, 0.86), (0.74, 0.68), (0.86, 0.74), (0.7, 0.88)], LEAF)
    petals = rng.choice((5, 6, 7))
    turn = rng.uniform(0, 2 * math.pi)
    for i in range(petals):
        a = turn + 2 * math.pi * i / petals
        s.ellipse(0.5 + 0.22 * math.cos(a), 0.36 + 0.22 * math.sin(a), 0.82 / petals)
    s.ellipse(0.5, 0.36, 0.12, colour=(92, 58, 30))
    s.ellipse(0.5, 0.36, 0.07, colour=GOLD)


def umbrella(s: Sketch, rng: Random) -> None:
    """Draw an open umbrella with a hooked handle."""
    low = rng.uniform(0.5, 0.56)
    s.line([(0.5, 0.04), (0.5, 0.9), (0.55, 0.97), (0.63, 0.95), (0.66, 0.87)], 0.05, BROWN)
    dome = [math.radians(180 + 180 * i / 16) for i in range(17)]
    rim = [(1 - x / 16, low - 0.07 * abs(math.sin(math.pi * x / 4))) for x in range(17)]
    s.polygon([(0.5 + 0.5 * math.cos(a), low + 0.44 * math.sin(a)) for a in dome] + rim)
    for x in (0.25, 0.5, 0.75):
        s.line(
            [(0.5, low - 0.43), (0.5 + (x - 0.5) * 0.7, low - 0.28), (x, low - 0.02)], 0.018, DARK
        )


def boat(s: Sketch, rng: Random) -> None:
    """Draw a sailing boat: the hull and a small flag have the colour, the sails are white."""
    tip = rng.uniform(0.08, 0.16)
    s.line([(0.46, tip - 0.04), (0.46, 0.7)], 0.045, BROWN)
    s.polygon([(0.51, tip + 0.04), (0.9, 0.62), (0.51, 0.62)], WHITE)
    s.polygon([(0.41, tip + 0.12), (0.14, 0.62), (0.41, 0.62)], (225, 228, 236))
    s.polygon([(0.0, 0.68), (1.0, 0.68), (0.84, 0.95), (0.16, 0.95)])
    for x in (0.32, 0.5, 0.68):
        s.ellipse(x, 0.79, 0.04, colour=WHITE)


def bottle(s: Sketch, rng: Random) -> None:
    """Draw a bottle with a cap and a label."""
    w, neck = rng.uniform(0.18, 0.22), rng.uniform(0.36, 0.44)
    s.box(0.42, 0.1, 0.58, neck)
    s.polygon(
        [(0.42, neck - 0.04), (0.58, neck - 0.04), (0.5 + w, neck + 0.14), (0.5 - w, neck + 0.14)]
    )
    s.box(0.5 - w, neck + 0.13, 0.5 + w, 0.98)
    s.box(0.41, 0.02, 0.59, 0.11, GREY)
    s.box(0.5 - w, 0.62, 0.5 + w, 0.84, WHITE)
    s.line([(0.5 - w + 0.06, 0.73), (0.5 + w - 0.06, 0.73)], 0.045, DARK)


def ball(s: Sketch, rng: Random) -> None:
    """Draw a ball with a highlight."""
    s.ellipse(0.5, 0.5, 0.46)
    s.ellipse(0.34, 0.3, 0.09, 0.07, colour=WHITE)


def cat(s: Sketch, rng: Random) -> None:
    """Draw the head of a cat."""
    s.polygon([(0.12, 0.5), (0.12, 0.04), (0.46, 0.26)])
    s.polygon([(0.88, 0.5), (0.88, 0.04), (0.54, 0.26)])
    s.ellipse(0.5, 0.56, 0.42, 0.38)
    for x in (0.34, 0.66):
        s.ellipse(x, 0.48, 0.075, colour=WHITE)
        s.ellipse(x, 0.48, 0.035, 0.065, colour=DARK)
    s.polygon([(0.45, 0.62), (0.55, 0.62), (0.5, 0.69)], DARK)


def bird(s: Sketch, rng: Random) -> None:
    """Draw a sitting bird that looks to the right."""
    s.polygon([(0.28, 0.5), (0.0, 0.36), (0.06, 0.62), (0.32, 0.7)])
    s.ellipse(0.48, 0.56, 0.3, 0.24)
    s.ellipse(0.7, 0.34, 0.19)
    s.polygon([(0.86, 0.3), (1.0, 0.37), (0.86, 0.42)], GOLD)
    s.ellipse(0.75, 0.3, 0.04, colour=DARK)
    for x in (0.42, 0.54):
        s.line([(x, 0.78), (x, 0.97)], 0.04, GOLD)


def lamp(s: Sketch, rng: Random) -> None:
    """Draw a table lamp with a shade."""
    s.box(0.46, 0.5, 0.54, 0.9, GREY)
    s.ellipse(0.5, 0.92, 0.22, 0.06, colour=GREY)
    top = rng.uniform(0.12, 0.18)
    s.polygon([(0.5 - top, 0.05), (0.5 + top, 0.05), (0.88, 0.55), (0.12, 0.55)])


def mushroom(s: Sketch, rng: Random) -> None:
    """Draw a mushroom with a coloured cap."""
    s.polygon([(0.4, 0.45), (0.6, 0.45), (0.66, 0.97), (0.34, 0.97)], (238, 226, 204))
    dome = [math.radians(180 + 180 * i / 16) for i in range(17)]
    s.polygon(
        [(0.5 + 0.46 * math.cos(a), 0.52 + rng.uniform(0.44, 0.46) * math.sin(a)) for a in dome]
    )


def kite(s: Sketch, rng: Random) -> None:
    """Draw a kite with a tail."""
    s.line([(0.5, 0.66), (0.4, 0.76), (0.56, 0.86), (0.44, 0.98)], 0.035, DARK)
    s.polygon([(0.5, 0.0), (0.84, 0.28), (0.5, 0.7), (0.16, 0.28)])
    s.line([(0.5, 0.02), (0.5, 0.68)], 0.02, DARK)
    s.line([(0.18, 0.28), (0.82, 0.28)], 0.02, DARK)


def hat(s: Sketch, rng: Random) -> None:
    """Put a top hat on an object."""
    s.box(0.36, -0.14, 0.64, 0.08, DARK)
    s.box(0.24, 0.06, 0.76, 0.13, DARK)


def bow(s: Sketch, rng: Random) -> None:
    """Tie a red bow in the middle of an object."""
    red = (220, 40, 60)
    s.polygon([(0.5, 0.62), (0.28, 0.5), (0.28, 0.74)], red)
    s.polygon([(0.5, 0.62), (0.72, 0.5), (0.72, 0.74)], red)
    s.ellipse(0.5, 0.62, 0.06, colour=red)


def sun(s: Sketch, rng: Random) -> None:
    """Stick a golden sun on an object."""
    for i in range(8):
        a = math.pi * i / 4
        s.line([(0.5, 0.58), (0.5 + 0.2 * math.cos(a), 0.58 + 0.2 * math.sin(a))], 0.04, GOLD)
    s.ellipse(0.5, 0.58, 0.12, colour=GOLD)


Drawing = Callable[[Sketch, Random], None]
KNOWN: dict[str, Drawing] = {
    f.__name__: f for f in (car, house, tree, fish, mug, star, flower, umbrella, boat, bottle)
}
MORE: dict[str, Drawing] = {f.__name__: f for f in (ball, cat, bird, lamp, mushroom, kite)}
ACCESSORIES: dict[str, Drawing] = {f.__name__: f for f in (hat, bow, sun)}
