"""A contact sheet: many pictures in one, in rows, with captions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

WIDTH = 160  # smallest width of a column in pixels, so that a caption can be read
MARGIN = 8
# Pillow's own font knows no letter beyond ASCII.
FONT, FONT_SIZE = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 11
LINES = 3  # of a caption; what is longer is cut with an ellipsis
PAPER, INK = (255, 255, 255), (32, 32, 32)


def contact_sheet(
    pictures: Sequence[Image.Image], captions: Sequence[str], columns: int
) -> Image.Image:
    """Return the pictures in rows, from left to right, with their captions below.

    Small pictures are enlarged by a whole number, without smoothing.

    Args:
        pictures: At least one, of any sizes.
        captions: One each; may be empty.
        columns: How many stand in a row.

    Returns:
        The sheet, RGB.
    """
    captions = [" ".join(caption.split()) for caption in captions]
    tiles = [_enlarged(picture.convert("RGB")) for picture in pictures]
    width = max(WIDTH, *(tile.width for tile in tiles))
    height = max(tile.height for tile in tiles)
    font = ImageFont.truetype(FONT, FONT_SIZE)
    letters = int(width / font.getlength("n"))
    texts = [_cut(caption, letters) for caption in captions]
    line = sum(font.getmetrics()) + 2
    below = MARGIN // 2 + line * max(len(text) for text in texts)
    rows = -(-len(tiles) // columns)
    step = width + MARGIN, height + below + MARGIN
    columns = min(columns, len(tiles))
    sheet = Image.new("RGB", (MARGIN + columns * step[0], MARGIN + rows * step[1]), PAPER)
    canvas = ImageDraw.Draw(sheet)
    for index, (tile, text) in enumerate(zip(tiles, texts, strict=True)):
        row, column = divmod(index, columns)
        left, top = MARGIN + column * step[0], MARGIN + row * step[1]
        sheet.paste(tile, (left + (width - tile.width) // 2, top + height - tile.height))
        for number, words in enumerate(text):
            place = left, top + height + MARGIN // 2 + number * line
            canvas.text(place, words, INK, font)
    return sheet


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = max(1, -(-WIDTH // picture.width))
    size = picture.width * factor, picture.height * factor
    return picture.resize(size, Image.Resampling.NEAREST)


def _cut(caption: str, letters: int) -> list[str]:
    """Return the lines of a caption."""
    return textwrap.wrap(caption, letters, max_lines=LINES, placeholder=" …")
