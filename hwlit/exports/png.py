"""PNG files that say how they were drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hwlit.storage import replacing


def write_png(path: Path, picture: Image.Image, facts: Mapping[str, object] | None = None) -> None:
    """Write a picture durably.

    Args:
        path: The file.
        picture: The picture.
        facts: What the file says of it, as text chunks: prompt, seed and so on.

    Raises:
        ResourceError: It cannot be written.
    """
    chunks = PngInfo()
    for name, value in (facts or {}).items():
        chunks.add_itxt(name, str(value))
    content = io.BytesIO()
    picture.save(content, "png", pnginfo=chunks)
    with replacing(path) as file:
        file.write(content.getvalue())
