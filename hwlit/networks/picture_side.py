"""The side of the squares that a pipeline can take and draw."""

from __future__ import annotations

from hwlit.errors import UsageError
from hwlit.networks.pipelines import picture_sizes

MOST_PIXELS = 8192  # a side; far more than any pipeline draws


def picture_side(pretrained: str, flag: str, asked: int | None) -> int:
    """Return the side of the squares in pixels; None asks for the pipeline's own.

    Args:
        pretrained: `pocket-sd`, a local folder or a hub id.
        flag: Where the side was asked for, such as `--data.resolution`.
        asked: The side that was asked for.

    Raises:
        UsageError: The pipeline cannot take it.
    """
    usual, multiple = picture_sizes(pretrained)
    if asked is None:
        return usual
    if not 1 <= asked <= MOST_PIXELS:
        raise UsageError(f"{flag} is {asked!r}; give a whole number from 1 to {MOST_PIXELS}")
    if asked % multiple:
        lower = asked // multiple * multiple
        near = " or ".join(str(side) for side in (lower, lower + multiple) if side)
        raise UsageError(
            f"{flag} is {asked}, but {pretrained} takes multiples of {multiple} pixels; give {near}"
        )
    return asked
