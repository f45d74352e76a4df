"""The methods that no other beats on both quality and cost."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the points on the front, by rising cost.

    A point is on it where no other costs as little or less and is as good or better, one of them
    strictly.

    Args:
        points: Cost, of which less is better, and quality, of which more is better.
    """
    best: float | None = None
    found: list[int] = []
    for place in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        quality = points[place][1]
        twin = bool(found) and points[found[-1]] == points[place]
        if best is None or quality > best or twin:
            found.append(place)
            best = quality
    return found
