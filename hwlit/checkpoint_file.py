"""Reads a checkpoint of ours and nothing else: whole by its manifest, plain data, complete."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwlit.errors import IntegrityError, is_out_of_memory
from hwlit.storage import verify

# What Lightning, task and callbacks read of it without asking.
PARTS: dict[str, type] = {
    "state_dict": dict, "global_step": int, "epoch": int, "loops": dict, "callbacks": dict,
    "optimizer_states": list, "lr_schedulers": list,
}  # fmt: skip


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Return what a checkpoint holds after comparing it with its manifest.

    Args:
        path: The file.
        map_location: Where its tensors go, as `torch.load` takes it.

    Raises:
        IntegrityError: It is damaged, holds more than plain data, or is none of ours.
    """
    return _read(path, verify(path), map_location)


def check_checkpoint(path: Path) -> dict[str, Any]:
    """Return the manifest of a checkpoint that `read_checkpoint` would read; holds none of it.

    Raises:
        IntegrityError: It is damaged, holds more than plain data, or is none of ours.
    """
    facts = verify(path)
    _read(path, facts, "cpu", mmap=True)
    return facts


def _read(
    path: Path, facts: Mapping[str, Any], map_location: Any, mmap: bool = False
) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:  # torch never packs what it saves
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"it would unpack to {unpacked} bytes")
        loaded = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except Exception as error:  # of zip files, pickles and tensors
        if is_out_of_memory(error):
            raise
        raise IntegrityError(
            f"{path} is no checkpoint of plain data, and nothing else is read; use another"
        ) from error
    if (odd := _odd_part(loaded, facts)) is not None:
        raise IntegrityError(f"{path} is no checkpoint of hwlit's: look at its {odd}; use another")
    return dict(loaded)


def _odd_part(loaded: object, facts: Mapping[str, Any]) -> str | None:
    """Return a part that a checkpoint of ours has otherwise; None where all are right."""
    if not isinstance(loaded, dict):
        return "type"
    for name, kind in PARTS.items():
        if not isinstance(loaded.get(name), kind):
            return name
    if not all(isinstance(tensor, Tensor) for tensor in loaded["state_dict"].values()):
        return "state_dict"
    steps = {"step": loaded["global_step"], "epoch": loaded["epoch"]}
    return next((name for name, at in steps.items() if facts.get(name, at) != at), None)
