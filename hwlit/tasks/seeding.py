"""Randomness by position, not by history: a step's numbers do not depend on what ran before."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from typing import Any

import torch


class seeded(AbstractContextManager[None]):
    """Seed torch by position inside the block and give the generator back as it was."""

    def __init__(self, seed: int, *position: int | str) -> None:
        self._seed = seed_of(seed, *position)
        self._fork = torch.random.fork_rng(devices=[])

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error: Any) -> None:
        self._fork.__exit__(*error)


def seed_of(seed: int, *position: int | str) -> int:
    """Return a seed that depends on the run's seed and a position, and on nothing before it."""
    text = ":".join(map(str, (seed, *position)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
