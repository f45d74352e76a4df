"""One training loop for all stages: seeded, checkpointed, resumable, with a progress bar.

Every batch is a function of (seed, step) alone, so that a run which was killed goes on from its
last checkpoint by the same command, and gives what an uninterrupted run gives.

Started by `torchrun --nproc-per-node 2 -m tools.pocket.diffusion …`, the processes share the work:
each has a batch of its own and the gradients are averaged. On a busy machine one thread in each of
two processes is quicker than two threads in one, which wait for each other a thousand times a step.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
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


RANK, WORLD = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let the first process make what the others then find."""
    if WORLD > 1 and not distributed.is_initialized():
        distributed.init_process_group("gloo")
    if RANK:
        distributed.barrier()
    yield
    if WORLD > 1 and not RANK:
        distributed.barrier()


def _average(model: nn.Module) -> None:
    """Average the gradients over the processes."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads]).div_(WORLD)
    distributed.all_reduce(flat)
    for grad, mean in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        grad.copy_(mean.view_as(grad))


def batch_source(seed: int, step: int) -> np.random.Generator:
    """Return the random source of one step, and seed the global ones alike."""
    torch.manual_seed((seed + 31 * RANK) * 1_000_003 + step)
    random.seed((seed + 31 * RANK) * 1_000_003 + step)
    return np.random.default_rng([seed + 31 * RANK, step])


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


def _save(path: Path, parts: dict[str, Any], step: int) -> None:
    with replacing(path) as file:
        torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step}, file)


def _resume(path: Path, parts: dict[str, Any]) -> int:
    """Load the parts' states from a checkpoint where there is one, and return its step."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"]


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
    parts = {"model": model, "mean": mean, "optimizer": optimizer}
    path = settings.folder / "checkpoint.pt"
    first = _resume(path, parts)
    began, recent, lines = time.monotonic(), 0.0, []
    bar = tqdm(
        range(first, settings.steps),
        initial=first,
        total=settings.steps,
        mininterval=5,
        disable=RANK > 0,
    )
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, settings)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            value = loss(batch_source(settings.seed, step))
        value.backward()
        if WORLD > 1:
            _average(model)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        _follow(mean, model, min(settings.ema, (1 + done) / (10 + done)) if settings.ema else 0.0)
        recent = float(value.detach()) if step == first else 0.98 * recent + 0.02 * value.item()
        if done % 20 == 0:
            bar.set_postfix(loss=f"{recent:.4f}")
        if RANK == 0 and (done % settings.save_every == 0 or done == settings.steps):
            _save(path, parts, done)
            lines.append(f"{done} {recent:.5f} {time.monotonic() - began:.0f}s\n")
            write_text(settings.folder / f"log-{first}.txt", "".join(lines))
            if look is not None:
                look(done)
