"""The two seeds of a run, as its record has them. Standard library only.

`seed` is `seed_everything`, which decides all that is random in training; `data.seed` divides the
data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def data_seed(record: Mapping[str, Any]) -> int | None:
    """Return the seed that divided a run's data; None where nothing was divided.

    Args:
        record: The record as plain data. One of schema 1 was divided by `seed_everything`.
    """
    data = record.get("data", {})
    if "instance_prompt" in data:  # pictures of a concept: all of them train
        return None
    seed = data.get("seed", record.get("seed") if record.get("schema") == 1 else None)
    return None if seed is None else int(seed)


def seeds_told(record: Mapping[str, Any]) -> str:
    """Return both seeds of a run in words: "seed 3, data.seed 0"."""
    seed, divided = record.get("seed"), data_seed(record)
    told = f"seed {'unknown' if seed is None else seed}"
    return told if divided is None else f"{told}, data.seed {divided}"
