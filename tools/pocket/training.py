"""One training loop for all stages: seeded, checkpointed, resumable, with a progress bar.

Every batch is a function of (seed, step) alone, so that a run which was killed goes on from its
last checkpoint by the same command, and gives what an uninterrupted run gives.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hwlit.storage import replacing, write_text


@dataclass(frozen=True)
class Settings:
    """How a stage is trained.

    Attributes:
        folder: Where `checkpoint.pt` and `log.txt` go.
        steps: Optimizer steps in all; the last fifth lowers the learning rate to zero.
        rate: The highest learning rate of AdamW.
        ema: The decay of the running mean of the weights, 0 for none.
        save_every: Steps between checkpoints.
        seed: Where every batch comes from, together with its step.
        bf16: Compute in bfloat16 where it is safe to.
    """

    folder: Path
    steps: int
    rate: float
    ema: float = 0.999
    save_every: int = 200
    seed: int = 0
    bf16: bool = True


def batch_source(seed: int, step: int) -> np.random.Generator:
    """Return the random source of one step, and seed the global ones alike."""
    torch.manual_seed(seed * 1_000_003 + step)
    random.seed(seed * 1_000_003 + step)
    return np.random.default_rng([seed, step])


def rate_at(step: int, settings: Settings) -> float:
    """Return the learning rate: a warm-up of 100 steps, flat, down to zero in the last fifth."""
    left = (settings.steps - step) / (0.2 * settings.steps)
    return settings.rate * min(1.0, (step + 1) / 100, left)


@torch.no_grad()
def _follow(mean: nn.Module, model: nn.Module, decay: float) -> None:
    for old, new in zip(mean.parameters(), model.parameters(), strict=True):
        old.lerp_(new, 1 - decay)


def load_in_float32(config: Path) -> None:
    """Make transformers load float16 weights as float32 where no precision is asked for.

    It follows the config, while diffusers' own parts are float32 then, and both would not fit.
    """
    facts = json.loads(config.read_text(encoding="utf-8"))
    write_text(config, json.dumps({**facts, "dtype": "float32"}, indent=2) + "\n")


def _save(path: Path, state: dict[str, object]) -> None:
    with replacing(path) as file:
        torch.save(state, file)


def train(
    model: nn.Module,
    mean: nn.Module,
    loss: Callable[[np.random.Generator], Tensor],
    settings: Settings,
    look: Callable[[int], None] | None = None,
) -> None:
    """Train `model` in place; `mean`, a copy of it, becomes the running mean of its weights.

    Args:
        model: What learns.
        mean: Its copy.
        loss: Makes the batch of a step from its random source and returns the loss.
        settings: How long and how.
        look: Called with the step after every checkpoint, to draw samples with `mean`.
    """
    optimizer = torch.optim.AdamW(model.parameters(), settings.rate, betas=(0.9, 0.99), fused=True)
    path, first = settings.folder / "checkpoint.pt", 0
    if path.is_file():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    began, recent, lines = time.monotonic(), 0.0, []
    bar = tqdm(range(first, settings.steps), initial=first, total=settings.steps, mininterval=5)
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, settings)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            value = loss(batch_source(settings.seed, step))
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        _follow(mean, model, min(settings.ema, (1 + done) / (10 + done)) if settings.ema else 0.0)
        recent = float(value.detach()) if step == first else 0.98 * recent + 0.02 * value.item()
        if done % 20 == 0:
            bar.set_postfix(loss=f"{recent:.4f}")
        if done % settings.save_every == 0 or done == settings.steps:
            model_state, mean_state = model.state_dict(), mean.state_dict()
            tensors = {
                "model": model_state,
                "mean": mean_state,
                "optimizer": optimizer.state_dict(),
            }
            _save(path, {**tensors, "step": done})
            lines.append(f"{done} {recent:.5f} {time.monotonic() - began:.0f}s\n")
            write_text(settings.folder / f"log-{first}.txt", "".join(lines))
            if look is not None:
                look(done)
