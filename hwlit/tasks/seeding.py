"""Randomness by position, not by history: a step's numbers do not depend on what ran before."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor


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


def noise_of_rows(rows: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return two draws of a row's own standard normal noise, the same in any run and batch.

    Args:
        rows: Numbers of the rows, int64 (rows,).
        like: A tensor in the shape, the type and on the device of each draw, (rows, ...).
    """
    seeds = (seed_of(0, "validation", row) for row in rows.tolist())
    draws = [
        torch.randn(2, *like.shape[1:], generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    ]
    first, second = torch.stack(draws).to(like).unbind(dim=1)
    return first, second
