"""Reading a checkpoint: nothing in it is run, and no more is unpacked than lies on the disk."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from hwlit.errors import IntegrityError, is_out_of_memory

NEEDED = ("state_dict", "pytorch-lightning_version", "epoch", "global_step")


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint that Lightning saved.

    Args:
        path: The file.
        map_location: Where its tensors are put, as `torch.load` takes it.

    Raises:
        IntegrityError: It is damaged, is no checkpoint, or holds more than plain data and tensors.
    """
    wrong = (
        f"{path} is damaged, or no checkpoint of hwlit: what else it holds could be code, and is "
        "not read; use another checkpoint"
    )
    try:
        with zipfile.ZipFile(path) as archive:  # torch never packs what it saves
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > path.stat().st_size:
            raise IntegrityError(wrong)
        loaded: Any = torch.load(path, map_location=map_location, weights_only=True)
    except IntegrityError:
        raise
    except Exception as error:  # of zip files, pickles and tensors
        if is_out_of_memory(error):
            raise
        raise IntegrityError(wrong) from error
    if not isinstance(loaded, dict) or not all(name in loaded for name in NEEDED):
        raise IntegrityError(wrong)
    return loaded
