"""The offline image models that come with hwlit: they are small, and really draw and see.

`pocket-sd` is a Stable Diffusion of 7.6 M parameters for 64 x 64 pictures, in diffusers format;
`pocket-clip` is a CLIP of 1.4 M parameters, in transformers format. `tools/pocket` trained both, on
scenes that it draws.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hwlit.errors import IntegrityError
from hwlit.storage import sha256

ASSETS = Path(__file__).parents[1] / "assets"
WEIGHTS_SHA256 = {
    "pocket-sd/text_encoder/model.safetensors": (
        "65a2449d9a5aa2f03305358246e8f2f597aee6554657df6abaea76b1a15ee291"
    ),
    "pocket-sd/unet/diffusion_pytorch_model.safetensors": (
        "6f9dfd94e11324d79dfe44ce8241105d6b87f03a9a46789389e5afa871a602b3"
    ),
    "pocket-sd/vae/diffusion_pytorch_model.safetensors": (
        "b3c053fc59d1f74cbc6ad5ff2a32260e1d52b78fc6104bb64ab4c7179637d767"
    ),
    "pocket-clip/model.safetensors": (
        "05a1d36b1e3ed0e945caad507cb89811717d336730ea17228deb3504276cbb8c"
    ),
}
# Files whose tensors were given other names, by the hash that they have now: the one that they had.
# Runs of then and now know the weights by that: what they drew, and what they can be compared with,
# is the same. The text encoder's names lacked `text_model.`, and so transformers 4 read none.
FORMER_SHA256 = {
    "65a2449d9a5aa2f03305358246e8f2f597aee6554657df6abaea76b1a15ee291": (
        "fc38c0c9136b678bb2a06815f8f107b30ee5393b5e3d0832b30c3e6e6c865f98"
    ),
}


@cache
def _checked(name: str) -> Path:
    for file, expected in WEIGHTS_SHA256.items():
        weights = ASSETS / file
        if file.startswith(f"{name}/") and not (weights.is_file() and sha256(weights) == expected):
            raise IntegrityError(
                f"{weights} is not the file with sha256 {expected[:12]}…; "
                "reinstall it: pip install --force-reinstall --no-deps hwlit"
            )
    return ASSETS / name


def pocket_sd_path() -> Path:
    """Return the folder of the text-to-image pipeline, after comparing its weights' hashes.

    Raises:
        IntegrityError: A file is missing or not the known one.
    """
    return _checked("pocket-sd")


def pocket_clip_path() -> Path:
    """Return the folder of the CLIP model, its tokenizer and image processor, likewise.

    Raises:
        IntegrityError: The weights are missing or not the known ones.
    """
    return _checked("pocket-clip")


def concepts() -> dict[str, Path]:
    """Return the folders of the drawn concepts, five pictures each, by name."""
    return {folder.name: folder for folder in sorted((ASSETS / "concepts").iterdir())}
