"""How an encoder prepares pictures, looked at as data before transformers makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.networks.plain_files import read_object
from hwlit.networks.vetting import PREPROCESSORS

SIDE = 4_096  # pixels that a picture may be enlarged to before an encoder reads it
# Those of CLIP and DINO; others start programs (OCR), or open files and addresses by their config.
KNOWN = re.compile(r"(CLIP|ViT|Bit|DINOv3ViT)(ImageProcessor|FeatureExtractor)(Fast|Pil)?")
KINDS = ("image_processor_type", "feature_extractor_type")


def check_preparation(folder: Path) -> None:
    """Refuse an encoder that prepares pictures in another way than CLIP and DINO do.

    Args:
        folder: The encoder's.

    Raises:
        UsageError: Its config names another class, or a size beyond reason.
    """
    for path in (folder / name for name in PREPROCESSORS if (folder / name).is_file()):
        for name, value in _values(read_object(path)):
            if name in KINDS and not (isinstance(value, str) and KNOWN.fullmatch(value)):
                raise UsageError(
                    f"{path} has {name}: {str(value)[:80]}, which is not how CLIP or DINO prepare "
                    "pictures; give another encoder"
                )
            if isinstance(value, int | float) and not abs(value) <= SIDE:
                raise UsageError(
                    f"{path} has {name}: {value:,}, and no encoder takes pictures of more than "
                    f"{SIDE:,} pixels a side; give another encoder"
                )


def _values(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value that is no container with the key it lies under."""
    waiting = [("", data)]
    while waiting:
        name, inner = waiting.pop()
        if isinstance(inner, dict):
            waiting += inner.items()
        elif isinstance(inner, list):
            waiting += ((name, value) for value in inner)
        else:
            yield name, inner
