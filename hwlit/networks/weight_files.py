"""Which files of weights a part of a pipeline is read from, by the names that diffusers gives them.

A pipeline may hold a variant alone, such as fp16: `diffusion_pytorch_model.fp16.safetensors`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

STEMS = "(model|diffusion_pytorch_model)"
WHOLE = re.compile(rf"{STEMS}\.safetensors(\.index\.json)?")
VARIANTS = (
    re.compile(rf"{STEMS}\.(?P<variant>\w+)\.safetensors"),
    re.compile(rf"{STEMS}\.safetensors\.index\.(?P<variant>\w+)\.json"),
)
USUAL = ("fp16", "bf16", "fp32")  # tried in this order


def variants_of(folder: Path) -> tuple[str | None, ...]:
    """Return the variants that a part's folder holds; None among them stands for the plain files.

    Args:
        folder: Such as `unet`; it need not exist.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = {m["variant"] for name in names for v in VARIANTS if (m := v.fullmatch(name))}
    plain: tuple[str | None, ...] = (None,) if any(map(WHOLE.fullmatch, names)) else ()
    return plain + tuple(sorted(found, key=lambda name: (*map(name.__ne__, USUAL), name)))


def common_variant(folders: Iterable[Path]) -> tuple[str | None, Sequence[Path]]:
    """Return the variant by which all parts can be read, as one call of diffusers reads them.

    A part that lacks the variant is read from its plain files.

    Args:
        folders: Those of the parts.

    Returns:
        The variant, None where the plain files do; and the folders that it cannot read.
    """
    held = {folder: variants_of(folder) for folder in folders}
    wanted = list(dict.fromkeys(v for found in held.values() for v in found if v is not None))
    ordered = sorted(wanted, key=lambda name: (*map(name.__ne__, USUAL), name))
    lacking = [f for f, found in held.items() if None not in found]
    for variant in ordered if lacking else ():
        if not [f for f in lacking if variant not in held[f]]:
            return variant, ()
    return None, lacking
