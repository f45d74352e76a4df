"""Captioned scenes of 64 px: an object, a colour, a background, a size and a place.

A (object, colour, background) triple is for training or held out by a fixed rule: exactly 200 of
the 640 are held out, and every pair of its parts is still seen in training.

Run `python -m tools.pocket.scenes OUT.png` for a contact sheet.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from tools.pocket.backgrounds import BACKGROUNDS, PHRASES
from tools.pocket.objects import ACCESSORIES, KNOWN, MORE, Drawing
from tools.pocket.sketch import CANVAS, PATTERNS, RGB, SCALE, SIZE, Sketch, jitter

COLOURS: dict[str, RGB] = {
    "red": (216, 36, 40),
    "orange": (244, 134, 22),
    "yellow": (248, 218, 40),
    "green": (34, 150, 66),
    "blue": (36, 92, 220),
    "purple": (128, 52, 180),
    "pink": (248, 136, 190),
    "black": (36, 36, 42),
}
SECOND: dict[str, RGB] = {**COLOURS, "white": (250, 250, 250)}
OBJECTS = tuple(KNOWN)
TRIPLES = tuple(product(OBJECTS, COLOURS, BACKGROUNDS))
# Side of the object's square as a share of the picture's, by the word for it.
SIZES = {"small": (0.4, 0.48), "": (0.5, 0.66), "big": (0.7, 0.82)}
OPENINGS = ("a photo of", "a photo of", "a photo of", "a picture of", "a drawing of", "")
# Patterned objects that the concepts of `tools.pocket.concepts` come close to: never drawn.
WITHHELD = {("mug", "checked"), ("fish", "striped")}


@dataclass(frozen=True)
class Scene:
    """What is to be seen in a picture; `size` is a key of `SIZES`."""

    thing: str
    colour: str
    background: str
    size: str = ""
    pattern: str = "plain"
    second: str = "white"
    accessory: str = ""


def held_out(thing: str, colour: str, background: str) -> bool:
    """Return whether the triple is for testing only."""
    o, c, b = OBJECTS.index(thing), list(COLOURS).index(colour), list(BACKGROUNDS).index(background)
    return (7 * o + 2 * c + 6 * b) % 16 < 5


TRAINING = tuple(t for t in TRIPLES if not held_out(*t))
HELD_OUT = tuple(t for t in TRIPLES if held_out(*t))


def draw(scene: Scene, rng: Random, extra: Drawing | None = None) -> Image.Image:
    """Draw a scene; place, proportions and shades come from `rng`.

    Args:
        scene: What to draw.
        rng: Where all that the scene leaves open comes from.
        extra: A last detail on the object, as the concepts have one.

    Returns:
        An RGB image of 64 x 64.
    """
    image, horizon = BACKGROUNDS[scene.background](rng)
    width = rng.uniform(*SIZES[scene.size]) * CANVAS
    left = rng.uniform(0.04, 0.96 - width / CANVAS) * CANVAS
    lowest = 0.97 * CANVAS - width
    head = 0.15 * width if scene.accessory == "hat" or extra else 0.03 * CANVAS
    highest = head if horizon is None else max(head, horizon - 0.75 * width)
    top = rng.uniform(min(highest, lowest), lowest)
    if horizon is not None and scene.background != "sea":
        shadow = (left + 0.05 * width, top + 0.9 * width, left + 0.95 * width, top + 1.04 * width)
        r, g, b = image.getpixel((2, CANVAS - 2))
        ImageDraw.Draw(image).ellipse(shadow, fill=(r * 3 // 4, g * 3 // 4, b * 3 // 4))
    sketch = Sketch(left, top, width, flip=rng.random() < 0.5)
    {**KNOWN, **MORE}[scene.thing](sketch, rng)
    if scene.accessory:
        ACCESSORIES[scene.accessory](sketch, rng)
    if extra:
        extra(sketch, rng)
    colour, second = jitter(COLOURS[scene.colour], rng), jitter(SECOND[scene.second], rng, 5)
    sketch.onto(image, colour, scene.pattern, second)
    return image.reduce(SCALE)


def known_scene(rng: Random) -> Scene:
    """Return a training scene of pocket-sd: a plain object of a training triple."""
    thing, colour, background = rng.choice(TRAINING)
    return Scene(thing, colour, background, rng.choice(("small", "", "", "big")))


def any_scene(rng: Random) -> Scene:
    """Return a scene of the superset: all objects, patterns, two colours and accessories."""
    thing = rng.choice(OBJECTS * 2 + tuple(MORE))
    pattern = rng.choice(("plain", *PATTERNS))
    if (thing, pattern) in WITHHELD:
        pattern = "plain"
    colour = rng.choice(list(COLOURS))
    return Scene(
        thing,
        colour,
        rng.choice(list(BACKGROUNDS)),
        rng.choice(("small", "", "", "big")),
        pattern,
        rng.choice([c for c in SECOND if c != colour]),
        rng.choice(("", "", *ACCESSORIES)),
    )


def article(words: str) -> str:
    """Return the words with "a" or "an" before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def described(scene: Scene, with_colour: bool = True, with_size: bool = False) -> str:
    """Return the noun phrase of the scene's object, such as "a big red and white striped fish"."""
    words = [scene.size] if with_size and scene.size else []
    plain = scene.pattern == "plain"
    if with_colour:
        words += [scene.colour] if plain else [scene.colour, "and", scene.second]
    if scene.pattern not in ("plain", "half"):
        words.append(scene.pattern)
    phrase = article(" ".join([*words, scene.thing]))
    return f"{phrase} with {article(scene.accessory)}" if scene.accessory else phrase


def caption(scene: Scene, rng: Random) -> str:
    """Return one of the ways to describe the scene; the colour and the background may lack."""
    words = [rng.choice(OPENINGS)]
    words.append(described(scene, rng.random() < 0.85, rng.random() < 0.5))
    if rng.random() < 0.75:
        words.append(rng.choice(PHRASES[scene.background]))
    return " ".join(word for word in words if word)


def prompt(thing: str, colour: str, background: str) -> str:
    """Return the plain prompt of a triple, as the judge asks for it."""
    return f"a photo of {article(f'{colour} {thing}')} {PHRASES[background][0]}"


def facts(scene: Scene) -> dict[str, str]:
    """Return the scene as plain data."""
    return asdict(scene)


def contact_sheet(images: list[Image.Image], columns: int, zoom: int = 2) -> Image.Image:
    """Return the images side by side, row by row."""
    side = SIZE * zoom + 4
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side), (255, 255, 255))
    for i, image in enumerate(images):
        big = image.resize((SIZE * zoom, SIZE * zoom), Image.Resampling.NEAREST)
        sheet.paste(big, (i % columns * side, i // columns * side))
    return sheet


if __name__ == "__main__":
    source = Random(0)
    ordered = [
        Scene(o, c, b, rng_size)
        for o in (*OBJECTS, *MORE)
        for c, b, rng_size in zip(
            COLOURS, source.sample(list(BACKGROUNDS), 8), ["", "small", "", "big"] * 2, strict=True
        )
    ]
    pictures = [draw(scene, source) for scene in ordered]
    pictures += [draw(any_scene(source), source) for _ in range(48)]
    contact_sheet(pictures, 16).save(Path(sys.argv[1]))
