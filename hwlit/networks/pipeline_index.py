"""model_index.json of a pipeline: which class of which library each of its parts is.

diffusers imports what stands there, and a part's folder may bring code of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.networks.plain_files import read_object

INDEX = "model_index.json"
# What model_index.json may name: (library, class) of each part; a part may also be none.
NAMED = {
    "unet": r"diffusers\.\w+",
    "vae": r"diffusers\.\w+",
    "text_encoder": r"transformers\.\w+",
    "tokenizer": r"transformers\.CLIPTokenizer(Fast)?",
    "scheduler": r"diffusers\.\w+Scheduler",
    "safety_checker": r"stable_diffusion\.\w+",
    "feature_extractor": r"transformers\.CLIP(ImageProcessor|FeatureExtractor)\w*",
    "image_encoder": r"transformers\.CLIPVision\w+",
}


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a pipeline's folder.

    Raises:
        UsageError: There is none that can be read.
    """
    try:
        return read_object(folder / INDEX)
    except UsageError as error:
        raise UsageError(
            f"pipeline folder {folder} holds no readable {INDEX}; give the folder that a "
            "pipeline's save_pretrained wrote"
        ) from error


def check_named(folder: Path, index: Mapping[str, Any]) -> None:
    """Refuse a pipeline whose parts are of other classes than diffusers and transformers have.

    Args:
        folder: Its folder.
        index: What its index holds.

    Raises:
        UsageError: It does, or the folder of a part holds code.
    """
    for part, named in index.items():
        if isinstance(named, list | dict) and named != [None, None]:
            known = NAMED.get(part.removesuffix("_2"))
            told = ".".join(map(str, named))
            if len(named) != 2 or known is None or not re.fullmatch(known, told):
                raise UsageError(
                    f"{folder / INDEX} names {told} as its {part}, which may be code of its own; "
                    "give a pipeline of the classes that diffusers and transformers have"
                )
            for code in (folder / part).glob("*.py"):
                raise UsageError(f"{code} is code, and no part of a pipeline; take it away")
