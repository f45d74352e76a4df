"""What a user should know of the pictures that were read, a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hwlit.data.picture_folder import some_of
from hwlit.data.pictures import Picture

# Levels of 255. At every place of the thumbnail a copy in another size or quality differs by up to
# 7, while two photos of one thing differ by 110 and more somewhere (the subjects of DreamBooth).
COPY_LEVELS = 12
COPY_SHAPE = 0.05  # difference of the logarithms of width by height
MOST_COMPARED = 500  # pictures each with each; of more, only equal files are found
KEPT = 0.5  # share of a picture's area that the square should hold


def remarks_on_pictures(pictures: Sequence[Picture], size: int) -> Iterator[str]:
    """Yield what a user should know.

    Args:
        pictures: The pictures, read.
        size: Side in pixels of the square that is cut from each.
    """
    kinds: list[tuple[str, Callable[[Picture], bool]]] = [
        (f"enlarged to {size} pixels", lambda p: min(p.width, p.height) < size),
        ("all transparent, which is white in training", lambda p: p.looks.blank == "transparent"),
        ("of one colour, so that they show nothing", lambda p: p.looks.blank == "of one colour"),
        ("animated, and only the first frame is read", lambda p: p.looks.moving),
    ]
    for what, holds in kinds:
        if names := [picture.name for picture in pictures if holds(picture)]:
            yield f"{what}: {len(names)} of {len(pictures)} pictures, such as {some_of(names)}"
    cut = [(kept, p.name) for p in pictures if (kept := _kept(p)) < KEPT]
    if cut:
        listed = [f"{name} ({kept:.0%} is kept)" for kept, name in sorted(cut)]
        yield (
            f"more than half lies outside of the square: {len(cut)} of {len(pictures)} pictures, "
            f"such as {some_of(listed)}; cut them yourself to what matters"
        )
    yield from _copies(pictures)


def _kept(picture: Picture) -> float:
    return min(picture.width, picture.height) / max(picture.width, picture.height)


def _copies(pictures: Sequence[Picture]) -> Iterator[str]:
    """Yield how many pictures are copies of others: each is learned as often as it is there."""
    groups: dict[int, list[str]] = {}
    first = first_of_its_kind(pictures)
    for picture, number in zip(pictures, first, strict=True):
        groups.setdefault(number, []).append(picture.name)
    names = [name for group in groups.values() if len(group) > 1 for name in group]
    if names:
        yield (
            f"copies of one another, equal or nearly so: {len(names)} of {len(pictures)} pictures "
            f"({some_of(names)}), so that {len(groups)} different "
            f"{'picture is' if len(groups) == 1 else 'pictures are'} learned from"
        )


def first_of_its_kind(pictures: Sequence[Picture]) -> list[int]:
    """Return for each picture the number of the first that is equal to it or nearly so."""
    if len(pictures) > MOST_COMPARED:
        known: dict[str, int] = {}
        return [known.setdefault(p.sha256, number) for number, p in enumerate(pictures)]
    width = max((len(picture.looks.thumbnail) for picture in pictures), default=0)
    colours = np.frombuffer(b"".join(p.looks.thumbnail for p in pictures), np.uint8)
    colours = colours.reshape(len(pictures), width).astype(np.int16)
    shapes = np.log([picture.width / picture.height for picture in pictures])
    first: list[int] = []
    for number in range(len(pictures)):
        differences = np.abs(colours[:number] - colours[number]).max(axis=1, initial=0)
        alike = np.abs(shapes[:number] - shapes[number]) <= COPY_SHAPE
        same = np.flatnonzero((differences <= COPY_LEVELS) & alike)
        first.append(first[same[0]] if len(same) else number)
    return first
